"""The plugin in a real QGIS, offscreen: every algorithm run, cancelled, given bad input, and run from its dialog.

    python3 qgis/tests/try_in_qgis.py COMMAND FOLDER    with QGIS's own Python

COMMAND is a hypersharp command; FOLDER gets what is made, with `sharpen.png` and `sharpened.png`, the dialog before and
after.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
FOLDER = Path(sys.argv[2]).resolve()
FOLDER.mkdir(parents=True, exist_ok=True)
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["QGIS_CUSTOM_CONFIG_PATH"] = str(FOLDER / "profile")
sys.path[:0] = [str(HERE), "/usr/share/qgis/python/plugins"]

from qgis.core import QgsApplication, QgsProcessingContext, QgsProcessingException, QgsProcessingFeedback, QgsProject  # noqa: E402
from qgis.PyQt.QtCore import QSettings  # noqa: E402


def main():
    app = QgsApplication([], True)
    QSettings().setValue("Processing/Configuration/IGNORE_INVALID_FEATURES", 0)
    app.initQgis()
    import processing
    from hypersharp_qgis.provider import Provider
    from processing.core.Processing import Processing

    Processing.initialize()
    provider = Provider()
    assert app.processingRegistry().addProvider(provider)
    names = sorted(algorithm.id() for algorithm in provider.algorithms())
    step(f"listed: {', '.join(names)}")
    assert len(names) == 6

    pair = make_pair()
    expect("no hypersharp|no raster layer|is no hypersharp", processing, "setup", {"COMMAND": sys.executable})
    done = processing.run("hypersharp:setup", {"COMMAND": sys.argv[1]})
    step(f"set up: {done['VERSION']}")

    out = {name: str(FOLDER / name) for name in ("sharp.tif", "sensor.json", "scores.json", "aligned", "report")}
    context, project = QgsProcessingContext(), QgsProject.instance()
    context.setProject(project)
    heard = Heard()
    asked = {**pair, "METHOD": "gsa", "OUTPUT": out["sharp.tif"]}
    processing.run("hypersharp:sharpen", asked, feedback=heard, context=context)
    assert heard.fractions and heard.fractions[-1] > 90, heard.fractions
    step(f"sharpened: {len(heard.fractions)} steps of progress")
    shown = processing.runAndLoadResults("hypersharp:sharpen", {**asked, "METHOD": "bicubic"})
    layer = next(iter(project.mapLayers().values()))
    picture = layer.renderer()
    bands = picture.redBand(), picture.greenBand(), picture.blueBand()
    step(f"styled: bands {bands}, named {layer.bandName(bands[0])}")
    assert len(set(bands)) == 3
    assert "nm" in layer.bandName(1), shown

    processing.run("hypersharp:estimatesensor", {**pair, "OUTPUT": out["sensor.json"]})
    assert json.loads(Path(out["sensor.json"]).read_text())["ratio"] == 4
    processing.run("hypersharp:align", {**pair, "OUTPUT": out["aligned"]})
    assert (Path(out["aligned"]) / "ms.tif").exists()
    scores = processing.run("hypersharp:evaluate", {"SHARP": out["sharp.tif"], **pair, "OUTPUT": out["scores.json"]})
    step(f"sensor, align and evaluate: HQNR {scores['HQNR']:.3f}")
    processing.run(
        "hypersharp:report", {"SHARP": out["sharp.tif"], **pair, "UNCERTAINTY": False, "OUTPUT": out["report"]}
    )
    assert (Path(out["report"]) / "report.html").stat().st_size > 10_000
    step("reported")

    refuse(processing, pair, out["sharp.tif"])
    run_dialog(app, make_miniature())
    step("all is well")
    os._exit(0)  # QGIS's own end may crash without a window


def refuse(processing, pair, target):
    """Bad input ends with the command's own words, a cancelled run with nothing left."""
    for words, files in (
        ("swap the two", {"HS": pair["MS"], "MS": pair["HS"]}),
        ("give a layer or a file", {"MS": pair["MS"]}),
        ("give a layer or a file, not both", {**pair, "HS_FILE": pair["HS"]}),
        ("no file", {"HS_FILE": "/no/such.xml", "MS": pair["MS"]}),
    ):
        expect(words, processing, "sharpen", {**files, "OUTPUT": target})
    stopped, started = FOLDER / "stopped.tif", time.monotonic()
    asked = {**pair, "METHOD": "hysure", "OUTPUT": str(stopped)}
    expect("cancelled", processing, "sharpen", asked, feedback=Heard(cancel_after_s=2.0))
    assert not list(FOLDER.glob("*stopped*")), list(FOLDER.iterdir())
    step(f"cancelled after {time.monotonic() - started:.1f} s, nothing left")


def step(text):
    print(text, flush=True)


def make_pair():
    """A pair that the command makes of a scene of its own."""
    scene, folder = FOLDER / "demo", FOLDER / "pair"
    if not (folder / "hs.tif").exists():
        subprocess.run([sys.argv[1], "demo", "-o", str(scene)], check=True, stdout=subprocess.DEVNULL)
        words = ["simulate", str(scene / "truth.tif"), "-o", str(folder), "--protocol", "dian-x4", "--format", "tif"]
        subprocess.run([sys.argv[1], *words], check=True, stdout=subprocess.DEVNULL)
    return {"HS": str(folder / "hs.tif"), "MS": str(folder / "ms.tif")}


def make_miniature():
    """A miniature of EnMAP and Sentinel-2 as they are delivered, made by the tests of the package."""
    folder = FOLDER / "miniature"
    if not folder.exists():
        folder.mkdir()
        words = "import pathlib, docs_inputs; docs_inputs.write_inputs('ENMAP_SCENE S2.SAFE', pathlib.Path.cwd())"
        own = {**os.environ, "PYTHONPATH": str(HERE.parent / "tests")}
        subprocess.run([Path(sys.argv[1]).with_name("python"), "-c", words], cwd=folder, env=own, check=True)
    return {"HS_FILE": str(folder / "ENMAP_SCENE"), "MS_FILE": str(folder / "S2.SAFE")}


def expect(words, processing, name, parameters, **more):
    """That an algorithm ends with an error in words of which one is among these."""
    heard = more.pop("feedback", None) or Heard()
    try:
        processing.run(f"hypersharp:{name}", parameters, feedback=heard, **more)
    except QgsProcessingException as error:
        said = " ".join([str(error), *heard.errors])
        assert any(word in said for word in words.split("|")), said
        step(f"refused: {str(error)[:110]}")
        return
    raise AssertionError(f"{name} did not fail")


class Heard(QgsProcessingFeedback):
    """What an algorithm tells; cancels it after a while, where that is asked for."""

    def __init__(self, cancel_after_s=None):
        super().__init__(False)
        self.fractions, self.errors, self.started, self.after_s = [], [], time.monotonic(), cancel_after_s
        self.progressChanged.connect(self.fractions.append)

    def reportError(self, error, fatalError=False):
        self.errors.append(error)

    def isCanceled(self):
        return self.after_s is not None and time.monotonic() - self.started > self.after_s


def run_dialog(app, files):
    """Fill the dialog of Sharpen as the user does, press Run, and draw it before and after."""
    from processing.gui.AlgorithmDialog import AlgorithmDialog

    algorithm, result = app.processingRegistry().algorithmById("hypersharp:sharpen").create(), FOLDER / "dialog.tif"
    dialog = AlgorithmDialog(algorithm)
    dialog.resize(900, 760)
    dialog.setParameters({**files, "METHOD": "gsa", "OUTPUT": str(result)})
    dialog.show()
    draw(app, dialog, "sharpen.png")
    ended = []
    dialog.algorithmFinished.connect(lambda successful, _: ended.append(successful))
    dialog.runAlgorithm()
    until = time.monotonic() + 300
    while not ended and time.monotonic() < until:
        app.processEvents()
        time.sleep(0.02)
    draw(app, dialog, "sharpened.png")
    assert ended == [True] and result.stat().st_size > 10_000, ended
    step("the dialog sharpened EnMAP with Sentinel-2")


def draw(app, dialog, name):
    for _ in range(20):
        app.processEvents()
        time.sleep(0.02)
    dialog.grab().save(str(FOLDER / name))


if __name__ == "__main__":
    main()
