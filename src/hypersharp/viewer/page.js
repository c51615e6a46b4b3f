// The page around the Bokeh figures: modes, swipe line, keys, mouse, what lies under it; tells the server views and picks.
"use strict";
(() => {
  const el = (id) => document.getElementById(id);
  const stage = el("stage"), handle = el("handle");
  const state = { mode: "single", swipe: 0.5, scale: null, pointer: null, signal: 0 };
  let doc = null;
  const model = (name) => doc.get_model_by_name(name);

  Bokeh.set_log_level("info");
  Bokeh.embed.embed_items({}, JSON.parse(el("items").textContent));

  function start() {
    doc = window.Bokeh && Bokeh.documents && Bokeh.documents[0];
    if (!doc || !model("signals") || !el("pane_a").querySelector("div")) return setTimeout(start, 20);
    new ResizeObserver(keepScale).observe(el("pane_a"));
    const [x, y] = [model("x"), model("y")];
    for (const range of [x, y]) for (const side of ["start", "end"]) range.properties[side].change.connect(moved);
    model("grids").properties.data.change.connect(showPointer);
    model("home").properties.data.change.connect(fit);
    setMode(model("home").data.mode[0]);
    fit();
    document.body.dataset.ready = "yes";
  }

  // ---- view ----------------------------------------------------------------------------------------------------
  const size = () => { const box = el("pane_a").getBoundingClientRect(); return [box.width, box.height]; };
  const view = () => ({ x0: model("x").start, x1: model("x").end, y0: model("y").start, y1: model("y").end });

  function look(cx, cy, scale) { // scale: ground units a pixel of the screen
    const [width, height] = size();
    if (!width || !height) return;
    state.scale = scale;
    model("x").setv({ start: cx - scale * width / 2, end: cx + scale * width / 2 });
    model("y").setv({ start: cy - scale * height / 2, end: cy + scale * height / 2 });
  }
  function centre() { const v = view(); return [(v.x0 + v.x1) / 2, (v.y0 + v.y1) / 2]; }
  function scaleNow() { const v = view(), [width] = size(); return (v.x1 - v.x0) / width; }
  function fit() {
    const h = model("home").data, [width, height] = size();
    const scale = 1.04 * Math.max((h.x1[0] - h.x0[0]) / width, (h.y1[0] - h.y0[0]) / height);
    look((h.x0[0] + h.x1[0]) / 2, (h.y0[0] + h.y1[0]) / 2, scale);
    state.fitted = view();
  }
  function keepScale() { // when the window or the mode has changed: the whole scene stays whole
    const whole = state.fitted && Object.entries(view()).every(([end, at]) => Math.abs(at - state.fitted[end]) < 1e-3 * state.scale);
    if (whole) fit();
    else if (state.scale) look(...centre(), state.scale);
  }
  function zoom(factor) { look(...centre(), scaleNow() * factor); }
  function pan(dx, dy) {
    const v = view(), [cx, cy] = centre();
    look(cx + dx * (v.x1 - v.x0), cy + dy * (v.y1 - v.y0), scaleNow());
  }

  let timer = null;
  function moved() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const v = view(), [width, height] = size();
      if (!width) return;
      state.scale = scaleNow();
      model("view").data = { x0: [v.x0], y0: [v.y0], x1: [v.x1], y1: [v.y1], width: [width], height: [height] };
      showScale();
    }, 80);
  }
  function showScale() {
    const unit = model("home").data.unit[0], scale = scaleNow();
    const power = 10 ** Math.floor(Math.log10(130 * scale));
    const length = [5, 2, 1].map((n) => n * power).find((n) => n <= 130 * scale);
    const [number, name] = unit === "m" && length >= 1000 ? [length / 1000, "km"] : [length, unit];
    el("scale").querySelector("span").textContent = `${+number.toPrecision(3)} ${name}`;
    el("scale").querySelector("i").style.width = `${length / scale}px`;
    const grid = gridOf(0);
    el("zoomed").textContent = grid ? `${+(100 * grid.width / scale).toPrecision(3)} % of A` : "";
  }

  // ---- modes and the swipe line --------------------------------------------------------------------------------
  function setMode(mode) {
    state.mode = mode;
    stage.className = mode;
    for (const button of document.querySelectorAll("#modes button"))
      button.setAttribute("aria-checked", String(button.dataset.mode === mode));
    setSwipe(state.swipe);
  }
  function setSwipe(share) {
    state.swipe = Math.min(1, Math.max(0, share));
    stage.style.setProperty("--swipe", `${100 * state.swipe}%`);
    handle.setAttribute("aria-valuenow", String(Math.round(100 * state.swipe)));
  }
  handle.addEventListener("pointerdown", (event) => {
    handle.setPointerCapture(event.pointerId);
    event.stopPropagation();
  });
  handle.addEventListener("pointermove", (event) => {
    if (!handle.hasPointerCapture(event.pointerId)) return;
    const box = stage.getBoundingClientRect();
    setSwipe((event.clientX - box.left) / box.width);
  });

  // ---- mouse: what lies under it, and clicks -------------------------------------------------------------------
  function gridOf(side) {
    const d = model("grids").data;
    if (!d.name[side]) return null;
    return { name: d.name[side], x0: d.x0[side], y1: d.y1[side], width: d.width[side], height: d.height[side],
             rows: d.rows[side], columns: d.columns[side] };
  }
  function ground(event) {
    const box = stage.getBoundingClientRect(), v = view(), [width, height] = size();
    let px = event.clientX - box.left;
    if (state.mode === "beside" && px > box.width / 2) px -= box.width / 2 + 1;
    return [v.x0 + px / width * (v.x1 - v.x0), v.y1 - (event.clientY - box.top) / height * (v.y1 - v.y0)];
  }
  function pixelText(side) {
    const grid = gridOf(side);
    if (!grid || !state.pointer) return "";
    const column = Math.floor((state.pointer[0] - grid.x0) / grid.width);
    const row = Math.floor((grid.y1 - state.pointer[1]) / grid.height);
    const inside = column >= 0 && row >= 0 && column < grid.columns && row < grid.rows;
    return inside ? `${"AB"[side]}: row ${row}, column ${column}` : `${"AB"[side]}: outside`;
  }
  function showPointer() {
    if (!state.pointer) return;
    const unit = model("home").data.unit[0], [x, y] = state.pointer;
    const digits = unit === "°" ? 6 : 1;
    el("place").textContent = `x ${x.toFixed(digits)}  y ${y.toFixed(digits)} ${unit}`;
    el("under_a").textContent = pixelText(0);
    el("under_b").textContent = state.mode === "single" ? "" : pixelText(1);
  }
  let down = null;
  stage.addEventListener("pointerdown", (event) => { down = [event.clientX, event.clientY]; }, true);
  stage.addEventListener("pointermove", (event) => { state.pointer = ground(event); showPointer(); }, true);
  stage.addEventListener("click", (event) => {
    stage.focus({ preventScroll: true });
    if (handle.contains(event.target) || !down) return;
    if (Math.hypot(event.clientX - down[0], event.clientY - down[1]) < 4) pick(...ground(event));
  }, true);
  function pick(x, y) { model("pick").data = { x: [x], y: [y] }; }
  function step(dx, dy) {
    const grid = gridOf(0), data = model("pick").data;
    const [x, y] = data.x.length ? [data.x[0], data.y[0]] : centre();
    pick(x + dx * grid.width, y + dy * grid.height);
  }

  // ---- what the server is told ---------------------------------------------------------------------------------
  function signal(kind, value = "") {
    model("signals").data = { kind: [kind], value: [value], number: [++state.signal] };
  }
  function theme(name) {
    document.documentElement.dataset.theme = name;
    el("theme").textContent = name === "light" ? "Dark" : "Light";
    signal("theme", name);
  }
  const flipTheme = () => theme(document.documentElement.dataset.theme === "light" ? "dark" : "light");

  // ---- keys ----------------------------------------------------------------------------------------------------
  const COMPOSITES = { t: "True colour", i: "Colour infrared", w: "Short-wave infrared", g: "One band" };
  const KEYS = {
    ArrowLeft: () => pan(-0.1, 0), ArrowRight: () => pan(0.1, 0), ArrowUp: () => pan(0, 0.1), ArrowDown: () => pan(0, -0.1),
    "+": () => zoom(1 / 1.25), "=": () => zoom(1 / 1.25), "-": () => zoom(1.25), 0: fit, 9: () => full(),
    1: () => setMode("single"), 2: () => setMode("swipe"), 3: () => setMode("beside"), 4: () => setMode("flip"),
    "[": () => setSwipe(state.swipe - 0.02), "]": () => setSwipe(state.swipe + 0.02),
    " ": () => state.mode === "flip" && stage.classList.toggle("other"),
    Enter: () => pick(...centre()), s: () => signal("swap"), n: () => signal("band", "1"), p: () => signal("band", "-1"),
    d: flipTheme, "?": () => el("keys").showModal(),
  };
  for (const [key, name] of Object.entries(COMPOSITES)) KEYS[key] = () => signal("composite", name);
  const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  document.addEventListener("keydown", (event) => {
    const target = event.composedPath()[0];
    const typing = target.closest && target.closest("input, select, textarea, [contenteditable], .noUi-handle, dialog[open]"); // a closed one keeps the focus for a frame
    const pressing = target.closest && target.closest("button, summary, a") && [" ", "Enter"].includes(event.key);
    if (!doc || typing || pressing || event.ctrlKey || event.metaKey || event.altKey) return;
    const onHandle = target === handle && STEPS[event.key];
    const act = onHandle ? () => setSwipe(state.swipe + 0.02 * (STEPS[event.key][0] + STEPS[event.key][1]))
      : event.shiftKey && STEPS[event.key] ? () => step(...STEPS[event.key]) : KEYS[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  function full() { const grid = gridOf(0); if (grid) look(...centre(), grid.width); }

  // ---- buttons -------------------------------------------------------------------------------------------------
  el("modes").addEventListener("click", (event) => event.target.dataset.mode && setMode(event.target.dataset.mode));
  const CLICKS = { zoom_in: KEYS["+"], zoom_out: KEYS["-"], fit, full, swap: KEYS.s, theme: flipTheme, help: KEYS["?"], csv };
  for (const [id, act] of Object.entries(CLICKS)) el(id).addEventListener("click", () => doc && act());

  function csv() { // every spectrum of the pixel, one row a band
    const rows = [["image", "row", "column", "band", "wavelength_nm", "value", "half_width"].join(",")];
    const d = model("spectra").data, text = (value) => (value === null || Number.isNaN(value) ? "" : value);
    for (let i = 0; i < d.band.length; i++)
      rows.push([`"${d.image[i].replace(/"/g, '""')}"`, d.row[i], d.column[i], d.band[i], text(d.nm[i]), text(d.value[i]),
                 text(d.half_width[i])].join(","));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([rows.join("\n") + "\n"], { type: "text/csv" }));
    link.download = "spectra.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  el("upload").addEventListener("change", () => {
    const file = el("upload").files[0], request = new XMLHttpRequest(), say = (text) => { el("upload_state").textContent = text; };
    if (!file) return;
    request.open("POST", `upload?name=${encodeURIComponent(file.name)}`);
    request.upload.onprogress = (event) => say(`${Math.round(100 * event.loaded / event.total)} % of ${file.name}`);
    request.onload = () => {
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { answer = { error: request.responseText }; }
      say(request.status === 200 ? `${answer.name} is here` : `not taken: ${answer.error}`);
      if (request.status === 200) signal("uploaded", answer.name);
    };
    request.onerror = () => say("not taken: the connection was closed (too large?)");
    request.send(file);
  });
  start();
})();
