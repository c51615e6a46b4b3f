"""The viewer in a real browser (Chromium, driven by Playwright); pictures of each state in build/screenshots."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hypersharp.bench.demo import load_indian_pines
from hypersharp.cube import transform_of
from hypersharp.fusion.fuse import fuse
from hypersharp.io import open_cube, save_cube
from hypersharp.plot.colour import RGB_CENTRES_NM
from hypersharp.plot.errors import rms_error
from hypersharp.simulation.pair import simulate_pair
from hypersharp.simulation.protocols import find_protocol
from hypersharp.uncertainty.predict import predict_error

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-sync"]
SCREENSHOTS = Path(__file__).parents[1] / "build" / "screenshots"
UPLOAD_MIB = 0.5
PATIENCE_MS = 180_000

if CHROMIUM is None:
    pytest.skip("no Chromium on this machine (apt-get install chromium)", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("bokeh", reason="bokeh is not installed")

from hypersharp.viewer.page import THEMES  # noqa: E402
from hypersharp.viewer.pictures import PALETTES  # noqa: E402


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Served:
    """A viewer in a process of its own, and the files it shows."""

    def __init__(self, folder: Path, *words: str | Path) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "hypersharp", "view", *words, "--port", "0", "--no-open", "--folder", folder]
        self.process = subprocess.Popen(
            [*map(str, command), "--max-upload", str(UPLOAD_MIB)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http"), self.process.communicate()

    def stop(self) -> str:
        """End it; what it said on stderr."""
        self.process.terminate()
        return self.process.communicate(timeout=20)[1]


@pytest.fixture(scope="module")
def berlin(data_dir: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The real pair (every sixteenth band of hs), a result and its intervals."""
    source, folder = data_dir("berlin"), tmp_path_factory.mktemp("berlin")
    hs = open_cube(next(source.glob("EnMAP*.hdr")), bands=range(0, 177, 16))
    ms_path = next(source.glob("High*.hdr"))
    ms = open_cube(ms_path)
    sharp = fuse(hs, ms, method="gsa", consistent=False)
    half = predict_error(sharp, hs, ms, consistent=False)
    for name, cube in {"enmap": hs, "sharp": sharp, "half": half}.items():
        save_cube(cube, folder / f"{name}.tif")
    served = Served(
        folder,
        folder / "sharp.tif",
        "--hs",
        folder / "enmap.tif",
        "--ms",
        ms_path,
        "--uncertainty",
        folder / "half.tif",
    )
    yield served
    said = served.stop()
    assert "Traceback" not in said, said


@pytest.fixture(scope="module")
def pines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A simulated pair whose truth is known."""
    pytest.importorskip("tensorly")
    folder = tmp_path_factory.mktemp("pines")
    hs, ms, truth = simulate_pair(load_indian_pines(), find_protocol("dian-x4").sensor())
    for name, cube in {"hs": hs, "ms": ms, "truth": truth, "sharp": fuse(hs, ms, method="gsa")}.items():
        save_cube(cube, folder / f"{name}.tif")
    roles = [word for name in ("hs", "ms", "truth") for word in (f"--{name}", folder / f"{name}.tif")]
    served = Served(folder, folder / "sharp.tif", *roles)
    yield served
    said = served.stop()
    assert "Traceback" not in said, said


class View:
    """An open page and the hands and eyes of a person at it."""

    def __init__(self, page: Any, served: Served) -> None:
        self.page, self.served = page, served
        page.set_default_timeout(PATIENCE_MS)
        page.goto(served.url)
        page.wait_for_selector("body[data-ready=yes]")
        self.until("[0, 1].every(n => figure(n).renderers[0].data_source.data.image.length)")
        self.until("data('view').x0.length > 0")  # the page has told the server what it shows

    def js(self, expression: str) -> Any:
        """A value in the page; model(name), data(name) and figure(0 or 1) are at hand."""
        return self.page.evaluate(f"() => {{ {HANDS} return {expression}; }}")

    def until(self, expression: str) -> None:
        self.page.wait_for_function(f"() => {{ {HANDS} return {expression}; }}")

    def painted(self) -> None:
        """Wait until what the page holds is on the screen: Bokeh has drawn it, and two frames have passed."""
        self.until("Bokeh.documents[0].is_idle")
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def shot(self, name: str) -> None:
        """Keep what the page looks like."""
        self.painted()
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")

    def ranges(self) -> list[float]:
        return [float(self.js(f"model('{axis}').{end}")) for axis in "xy" for end in ("start", "end")]

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the ground is on the screen."""
        box, (x0, x1, y0, y1) = self.page.locator("#pane_a").bounding_box(), self.ranges()
        return (box["x"] + (x - x0) / (x1 - x0) * box["width"], box["y"] + (y1 - y) / (y1 - y0) * box["height"])

    def zoom_to(self, x: float, y: float) -> None:
        """Turn the wheel over a point."""
        self.page.mouse.move(*self.point(x, y))
        for _ in range(4):
            before = self.ranges()
            self.page.mouse.wheel(0, -250)
            self.until(f"{WIDTH} < {0.99 * (before[1] - before[0])}")

    def pixels(self, side: str) -> np.ndarray:
        """What the screen shows of a pane, (y, x, 3)."""
        from io import BytesIO

        from PIL import Image

        self.painted()
        picture = Image.open(BytesIO(self.page.screenshot(clip=self.page.locator(f"#pane_{side}").bounding_box())))
        return np.asarray(picture.convert("RGB"))

    def choose(self, label: str, option: str) -> None:
        self.page.get_by_label(label, exact=True).select_option(option)

    def start_fusion(self, method: str, name: str) -> None:
        self.page.locator("#fuse summary").click()
        self.choose("Method", method)
        self.page.get_by_label("Result", exact=True).fill(name)
        self.page.get_by_label("Result", exact=True).press("Tab")
        self.page.get_by_role("button", name="Fuse", exact=True).click()
        self.page.get_by_text("running").wait_for()

    def caption(self, side: str) -> str:
        return str(self.js(f"model('caption_{side}').text"))

    def spectra(self) -> dict[str, Any]:
        """The spectra in the page, image -> columns."""
        copied = "Object.fromEntries(Object.entries(data('spectra')).map(([k, v]) => [k, Array.from(v)]))"
        columns = {name: np.array(values) for name, values in self.js(copied).items()}
        return {
            str(name): {key: values[columns["image"] == name] for key, values in columns.items()}
            for name in dict.fromkeys(columns["image"])
        }


def holds(condition: Callable[[], bool]) -> bool:
    """Whether a condition comes to hold."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


HANDS = """
const model = (name) => Bokeh.documents[0].get_model_by_name(name);
const data = (name) => model(name).data;
const figure = (n) => model(["figure_a", "figure_b"][n]);
"""
WIDTH = "(model('x').end - model('x').start)"


@pytest.fixture
def console(browser: Any) -> Iterator[tuple[Any, list[str]]]:
    """A page of its own, and what goes wrong in it."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    page, errors = context.new_page(), list[str]()
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "request",
        lambda request: (
            errors.append(request.url)
            if "127.0.0.1" not in request.url and not request.url.startswith(("data:", "blob:"))
            else None
        ),
    )
    yield page, errors
    context.close()
    assert errors == []


@pytest.fixture
def at_berlin(console: tuple[Any, list[str]], berlin: Served) -> View:
    return View(console[0], berlin)


@pytest.fixture
def at_pines(console: tuple[Any, list[str]], pines: Served) -> View:
    return View(console[0], pines)


def test_it_opens_on_both_images(at_berlin: View) -> None:
    assert "enmap.tif" in at_berlin.caption("a") and "sharp.tif" in at_berlin.caption("b")
    nm = open_cube(at_berlin.served.folder / "enmap.tif").wavelength.values
    names = " / ".join(f"{nm[np.abs(nm - centre).argmin()]:.0f} nm" for centre in RGB_CENTRES_NM)
    assert f"True colour · {names}" in at_berlin.caption("a")
    for side in "ab":
        assert len(np.unique(at_berlin.pixels(side).reshape(-1, 3), axis=0)) > 500
    at_berlin.shot("1-open")


def test_pan_and_zoom_move_both_images(at_berlin: View) -> None:
    page, before = at_berlin.page, at_berlin.ranges()
    assert at_berlin.js("figure(0).x_range === figure(1).x_range && figure(0).y_range === figure(1).y_range")
    box = page.locator("#pane_a").bounding_box()
    middle = box["x"] + box["width"] / 4, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 100, middle[1] - 60, steps=4)
    page.mouse.up()
    scale = (before[1] - before[0]) / box["width"]
    at_berlin.until(f"Math.abs(model('x').start - {before[0]} + {100 * scale}) < {scale}")
    at_berlin.until(f"Math.abs(model('y').start - {before[2]} + {60 * scale}) < {scale}")
    np.testing.assert_allclose(
        np.subtract(at_berlin.ranges(), before), [-100 * scale] * 2 + [-60 * scale] * 2, atol=scale
    )
    page.mouse.wheel(0, -300)
    at_berlin.until(f"{WIDTH} < {0.95 * (before[1] - before[0])}")
    at_berlin.painted()
    zoomed = at_berlin.ranges()
    assert zoomed[1] - zoomed[0] < 0.95 * (before[1] - before[0])
    x, y = (zoomed[1] - zoomed[0]) / box["width"], (zoomed[3] - zoomed[2]) / box["height"]
    assert x == pytest.approx(y, rel=1e-3)  # square pixels
    at_berlin.shot("2-zoomed")
    page.get_by_role("button", name="Fit").click()
    np.testing.assert_allclose(at_berlin.ranges(), before, rtol=1e-6)


def test_the_swipe_line_uncovers_the_other_image(at_berlin: View) -> None:
    page, box = at_berlin.page, at_berlin.page.locator("#stage").bounding_box()
    page.keyboard.press("1")
    only_a = at_berlin.pixels("a")
    page.keyboard.press("2")
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 200, steps=5)
    page.mouse.up()
    page.wait_for_selector("#handle[aria-valuenow='30']")
    assert at_berlin.js("data('pick').x.length") == 0
    swiped, width = at_berlin.pixels("a"), only_a.shape[1]
    left, right = slice(200, int(0.3 * width) - 20), slice(int(0.3 * width) + 20, None)
    np.testing.assert_array_equal(swiped[150:-100, left], only_a[150:-100, left])
    assert (swiped[150:-100, right] != only_a[150:-100, right]).mean() > 0.3
    at_berlin.shot("3-swiped")
    page.keyboard.press("]")
    assert page.locator("#handle").get_attribute("aria-valuenow") == "32"


def test_a_click_reads_the_spectra_of_the_files(at_berlin: View) -> None:
    folder = at_berlin.served.folder
    hs, sharp, half = (open_cube(folder / f"{name}.tif") for name in ("enmap", "sharp", "half"))
    row, column = 411, 222
    transform = transform_of(sharp)
    assert transform is not None
    x, y = transform @ (column + 0.5, row + 0.5)
    at_berlin.zoom_to(x, y)
    at_berlin.page.mouse.click(*at_berlin.point(x, y))
    at_berlin.until("data('spectra').band.length > 0")
    spectra = at_berlin.spectra()
    assert list(spectra) == ["enmap.tif", "HighResolution_BerlinUrbanGradient.hdr", "sharp.tif"]
    result = spectra["sharp.tif"]
    assert (result["row"][0], result["column"][0]) == (row, column)
    np.testing.assert_array_equal(result["value"].astype("f4"), sharp.values[:, row, column])
    np.testing.assert_array_equal(result["half_width"].astype("f4"), half.values[:, row, column])
    np.testing.assert_array_equal(result["nm"], hs.wavelength.values)
    coarse = spectra["enmap.tif"]
    hs_column, hs_row = ~transform_of(hs) @ (x, y)  # type: ignore[operator]
    np.testing.assert_array_equal(coarse["value"], hs.values[:, int(hs_row), int(hs_column)])
    table = at_berlin.page.locator("#analysis table").inner_text()
    assert f"{row}, {column}" in table and "±" in table
    assert f"{sharp.values[0, row, column]:.4g}" in table  # 460 nm is the blue of true colour
    assert at_berlin.js("model('profile').renderers[0].data_source.data.xs.length") == 3
    with at_berlin.page.expect_download() as download:
        at_berlin.page.get_by_role("button", name="CSV").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0] == "image,row,column,band,wavelength_nm,value,half_width"
    assert len(lines) == 1 + 12 + 4 + 12
    assert np.float32(lines[-1].split(",")[5]) == sharp.values[-1, row, column]
    at_berlin.shot("4-spectra")


def test_all_of_it_works_with_the_keyboard(at_berlin: View) -> None:
    page, press = at_berlin.page, at_berlin.page.keyboard.press
    press("Enter")
    at_berlin.until("data('spectra').band.length > 0")
    column = at_berlin.spectra()["enmap.tif"]["column"][0]
    press("Shift+ArrowRight")
    at_berlin.until(f"data('spectra').column[0] === {column + 1}")
    for key, mode in zip("1342", ("single", "beside", "flip", "swipe"), strict=True):
        press(key)
        assert page.locator("#stage").get_attribute("class") == mode
    press("i")
    at_berlin.until(
        "model('caption_a').text.includes('Colour infrared') && model('caption_b').text.includes('Colour infrared')"
    )
    at_berlin.shot("5-colour-infrared")
    first = int(at_berlin.js("model('band_r').value"))
    press("g")
    press("n")
    at_berlin.until(
        f"model('composite').value === 'One band' && model('band_r').value === '{first + 1}'"
        " && model('caption_b').text.includes('class=\"bar\"')"
    )
    press("p")
    at_berlin.until(f"model('band_r').value === '{first}'")
    press("3")
    press("d")
    page.wait_for_selector("html[data-theme=light]")
    at_berlin.until(f"model('spectrum').below[0].axis_label_text_color === '{THEMES['light']['text']}'")
    at_berlin.shot("6-one-band-light")
    before = at_berlin.ranges()
    press("+")
    assert at_berlin.ranges()[1] - at_berlin.ranges()[0] < before[1] - before[0]
    press("ArrowRight")
    assert at_berlin.ranges()[0] > before[0]
    press("?")
    assert page.locator("#keys").is_visible()
    at_berlin.shot("7-keys")
    press("Escape")
    assert not page.locator("#keys").is_visible()
    swapped = at_berlin.js("model('layer_a').value")
    press("s")
    at_berlin.until(f"model('layer_b').value === '{swapped}' && model('caption_b').text.includes('{swapped}')")


def test_keys_work_at_once_after_the_help_is_closed(at_berlin: View) -> None:
    at_berlin.page.evaluate("""() => {
        const help = document.getElementById("keys");
        help.showModal();
        help.close();  // the browser leaves the focus in it until it draws the next frame
        document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "3", bubbles: true, composed: true }));
    }""")
    assert at_berlin.page.locator("#stage").get_attribute("class") == "beside"


def test_error_maps_are_those_of_the_files(at_pines: View) -> None:
    folder = at_pines.served.folder
    expected = rms_error(open_cube(folder / "sharp.tif"), open_cube(folder / "truth.tif"))
    at_pines.choose("Image B", "RMS error of sharp.tif")
    at_pines.until("model('caption_b').text.includes('RMS error')")
    high = np.quantile(expected, 0.995)
    assert f"{high:.4g}" in at_pines.caption("b")
    at_pines.page.keyboard.press("3")
    at_pines.page.mouse.click(*at_pines.point(1500.0, 1390.0))
    at_pines.until("model('profile').renderers[1].data_source.data.ys.length === 1")
    profile = np.array(at_pines.js("Array.from(model('profile').renderers[1].data_source.data.ys[0])"))
    np.testing.assert_allclose(profile, expected[(2880 - 1390) // 20], rtol=1e-5)
    at_pines.until("data('spectra').band.length > 0")
    assert set(at_pines.spectra()) == {"hs.tif", "ms.tif", "sharp.tif", "truth.tif"}
    at_pines.shot("8-error-map")
    at_pines.choose("Image B", "Spectral angle of sharp.tif")
    at_pines.until("model('caption_b').text.includes('°')")
    at_pines.shot("9-angle-map")


def test_the_map_of_the_predicted_error(at_berlin: View) -> None:
    at_berlin.choose("Image A", "sharp.tif")
    at_berlin.choose("Image B", "Predicted error, half.tif")
    at_berlin.until("model('caption_b').text.includes('Predicted error')")
    at_berlin.choose("Colour map", "Magma")
    at_berlin.until(f"model('caption_b').text.includes('{PALETTES['Magma'][-1]}')")
    half = open_cube(at_berlin.served.folder / "half.tif").mean("band").values
    low, high = (float(end) for end in re.findall(r"<span>([^<]+)</span>", at_berlin.caption("b"))[-2:])
    assert np.nanmin(half) * 0.99 <= low < np.nanmedian(half) < high <= np.nanmax(half) * 1.01
    at_berlin.shot("10-predicted-error")


def test_a_fusion_runs_to_its_end_and_is_downloaded(at_berlin: View) -> None:
    page, folder = at_berlin.page, at_berlin.served.folder
    at_berlin.start_fusion("sfim", "fused.tif")
    at_berlin.shot("11-fusing")
    page.get_by_text("Download fused.tif").wait_for()
    at_berlin.until("model('layer_b').value === 'fused.tif' && model('caption_b').text.includes('fused.tif')")
    made = open_cube(folder / "fused.tif")
    assert "method sfim" in at_berlin.js("model('fuse_state').text")
    assert made.shape[0] == 12
    with page.expect_download() as download:
        page.get_by_text("Download fused.tif").click()
    assert Path(download.value.path()).read_bytes() == (folder / "fused.tif").read_bytes()
    page.locator("#stage").click(position={"x": 200, "y": 400})
    at_berlin.until("data('spectra').image.includes('fused.tif')")
    at_berlin.shot("12-fused")


def test_a_fusion_can_be_cancelled(at_berlin: View) -> None:
    page, folder = at_berlin.page, at_berlin.served.folder
    before = sorted(folder.iterdir())
    at_berlin.start_fusion("hysure", "never.tif")
    assert holds(lambda: sorted(folder.iterdir()) != before)  # the folder that the fusion works in
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("cancelled").wait_for()
    at_berlin.shot("13-cancelled")
    assert holds(lambda: sorted(folder.iterdir()) == before)
    assert page.get_by_role("button", name="Fuse", exact=True).is_enabled()


def test_a_result_does_not_go_where_it_may_not(at_berlin: View) -> None:
    page = at_berlin.page
    page.locator("#fuse summary").click()
    for name in ("../out.tif", "/tmp/out.tif", "sharp.tif", "out.txt"):
        page.get_by_label("Result", exact=True).fill(name)
        page.get_by_label("Result", exact=True).press("Tab")
        page.get_by_role("button", name="Fuse", exact=True).click()
        at_berlin.until("model('fuse_state').text.includes('expected')")
        assert not (at_berlin.served.folder / name).exists() or name == "sharp.tif"


def test_files_are_opened_and_uploaded(at_pines: View, tmp_path: Path) -> None:
    page, folder = at_pines.page, at_pines.served.folder
    page.locator("#files summary").click()
    small = save_cube(open_cube(folder / "truth.tif")[::8], tmp_path / "small.tif")
    page.locator("#upload").set_input_files(small)
    page.get_by_text("small.tif is here").wait_for()
    at_pines.until("model('layer_b').value === 'small.tif' && model('caption_b').text.includes('small.tif')")
    assert (folder / "small.tif").read_bytes() == small.read_bytes()
    at_pines.shot("14-uploaded")
    (tmp_path / "large.tif").write_bytes(b"x" * int((UPLOAD_MIB + 1) * 2**20))
    at_pines.js("model('open_name').value = '../../../etc/passwd'")
    page.get_by_role("button", name="Open", exact=True).click()
    at_pines.until("model('notice').text.includes('makes no sense')")
    at_pines.choose("In the viewer's folders", "truth.tif")
    page.get_by_role("button", name="Open", exact=True).click()
    at_pines.until("model('layer_b').value === 'truth.tif (2)'")


def test_nothing_runs_that_is_not_a_file_of_the_viewer(console: tuple[Any, list[str]], pines: Served) -> None:
    view = View(console[0], pines)
    view.page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = 1";
            document.body.append(script);
            document.body.insertAdjacentHTML("beforeend", '<img src="data:," onerror="window.ran = 2">');
        }"""
    )
    view.page.wait_for_timeout(100)
    assert view.page.evaluate("window.ran") is None
    refused = [text for text in console[1] if "Content Security Policy" in text]
    assert len(refused) == 2
    console[1].clear()


def test_an_oversized_upload_is_refused_in_words(console: tuple[Any, list[str]], pines: Served, tmp_path: Path) -> None:
    view = View(console[0], pines)
    (tmp_path / "large.tif").write_bytes(b"x" * int((UPLOAD_MIB + 1) * 2**20))
    view.page.locator("#files summary").click()
    view.page.locator("#upload").set_input_files(tmp_path / "large.tif")
    view.page.get_by_text(re.compile("not taken")).wait_for()
    assert not (pines.folder / "large.tif").exists()
    console[1][:] = [text for text in console[1] if "413" not in text and "net::ERR" not in text]
