"""How fast the viewer is on a large raster: the first picture, a click, a zoom, a band, as a browser sees them.

python benchmarks/view_speed.py [--side 10000] [--bands 8] needs Chromium and playwright; it makes a raster of noise
and waves (uint16, deflated tiles, overviews) in a temporary folder, or takes --file.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from hypersharp.system.build_info import commit, machine

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-sync"]
MODEL = "(name) => Bokeh.documents[0].get_model_by_name(name)"
SHOWN = f"() => ({MODEL})('figure_a').renderers.slice(0, 2).some(r => r.data_source.data.image.length)"
TIMED = f"""(act) => new Promise((done) => {{
  const model = {MODEL}, started = performance.now();
  const watch = {{ click: model('spectra'), zoom: model('figure_a').renderers[1].data_source,
                  band: model('figure_a').renderers[0].data_source }}[act.what];
  const listener = () => {{ watch.properties.data.change.disconnect(listener);
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - started))); }};
  watch.properties.data.change.connect(listener);
  if (act.what === 'click') model('pick').data = {{ x: [act.x], y: [act.y] }};
  if (act.what === 'zoom') {{
    model('x').setv({{ start: act.x, end: act.x + act.w }}); model('y').setv({{ start: act.y, end: act.y + act.h }}); }}
  if (act.what === 'band') model('band_r').value = String(act.n);
}})"""


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=10_000)
    parser.add_argument("--bands", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--file", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.file or write_raster(Path(folder) / "large.tif", options.side, options.bands)
        print(f"{path.name}: {path.stat().st_size / 2**20:.0f} MiB, load {os.getloadavg()[0]:.1f}")
        rows = measure(path, options.repeats)
    print(f"\ncommit {commit()}, {machine()}, load {os.getloadavg()[0]:.1f}\n")
    print("| | median (ms) | slowest (ms) |\n|---|---|---|")
    for name, times in rows.items():
        print(f"| {name} | {median(times):.0f} | {max(times):.0f} |")


def write_raster(path: Path, side: int, bands: int) -> Path:
    """A raster of side x side pixels, strip by strip, then its overviews, as `io.geotiff` makes them."""
    import rasterio
    from rasterio.enums import Resampling

    from hypersharp.io.geotiff import overview_factors

    profile = {
        "driver": "GTiff",
        "width": side,
        "height": side,
        "count": bands,
        "dtype": "uint16",
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
        "compress": "deflate",
        "predictor": 2,
        "interleave": "band",
        "crs": "EPSG:32633",
        "transform": rasterio.Affine(2, 0, 400_000, 0, -2, 5_800_000),
        "bigtiff": "YES",
    }
    random = np.random.default_rng(0)
    with rasterio.open(path, "w", **profile) as file:
        for band in range(1, bands + 1):
            file.update_tags(band, wavelength=str(450 + 60 * band), wavelength_units="nm")
        for y0 in range(0, side, 256):
            y, x = np.mgrid[y0 : min(y0 + 256, side), :side]
            waves = 1500 + 700 * np.sin(x / 211) * np.cos(y / 173)
            noise = random.normal(0, 60, waves.shape)
            strip = np.stack([waves * (1 + 0.1 * band) + noise for band in range(bands)]).astype("u2")
            file.write(strip, window=((y0, y0 + len(y)), (0, side)))
    with rasterio.open(path, "r+") as file:
        file.build_overviews(overview_factors((side, side)), Resampling.average)
    return path


def measure(path: Path, repeats: int) -> dict[str, list[float]]:
    """Milliseconds of each thing that people do, several times."""
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-m", "hypersharp", "view", str(path), "--port", "0", "--no-open"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    try:
        with sync_playwright() as engine:
            browser = engine.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            return {"first picture of a new page": [first_picture(browser, url) for _ in range(5)]} | acts(
                browser.new_page(viewport={"width": 1440, "height": 900}), url, repeats
            )
    finally:
        process.terminate()
        process.wait()


def first_picture(browser: Any, url: str) -> float:
    """From the address to the picture, nothing cached."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page, started = context.new_page(), perf_counter()
    page.goto(url)
    page.wait_for_function("() => document.body.dataset.ready === 'yes'")
    page.wait_for_function(SHOWN)
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    seconds = perf_counter() - started
    context.close()
    return 1000 * seconds


def acts(page: Any, url: str, repeats: int) -> dict[str, list[float]]:
    """Clicks, zooms and bands at places drawn by chance."""
    page.goto(url)
    page.wait_for_function("() => document.body.dataset.ready === 'yes'")
    page.wait_for_function(SHOWN)
    home = page.evaluate(f"() => ({MODEL})('home').data")
    x0, y0, x1, y1 = (home[name][0] for name in ("x0", "y0", "x1", "y1"))
    random = np.random.default_rng(1)

    def timed(make: Callable[[int], dict[str, Any]]) -> list[float]:
        times = []
        for n in range(repeats):
            times.append(float(page.evaluate(TIMED, make(n))))
            page.wait_for_timeout(400)
        return times

    def anywhere() -> tuple[float, float]:
        return float(random.uniform(x0, x1)), float(random.uniform(y0, y1))

    def click(_: int) -> dict[str, Any]:
        x, y = anywhere()
        return {"what": "click", "x": x, "y": y}

    def zoom(_: int) -> dict[str, Any]:
        x, y = anywhere()
        return {"what": "zoom", "x": x, "y": y, "w": (x1 - x0) / 8, "h": (y1 - y0) / 8}

    found = {"click to spectrum": timed(click), "new view to sharp picture (80 ms of it waiting)": timed(zoom)}
    page.keyboard.press("g")
    page.wait_for_timeout(1500)
    bands = page.evaluate(f"() => ({MODEL})('band_r').options.length")
    return found | {"another band of the whole scene": timed(lambda n: {"what": "band", "n": (n + 1) % min(bands, 8)})}


if __name__ == "__main__":
    main()
