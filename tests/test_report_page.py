"""The page of a result: whole, valid, readable without network, and its numbers those that the package computes."""

import sys
from base64 import b64encode
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from affine import Affine

import hypersharp as hsp
from hypersharp.bench.demo import load_indian_pines
from hypersharp.cli import main
from hypersharp.cube import make_cube
from hypersharp.errors import InputError, MissingExtraError
from hypersharp.io import save_cube
from hypersharp.io.image import Image
from hypersharp.pair.record import Record
from hypersharp.plot.places import find_pixel
from hypersharp.reporting import charts
from hypersharp.reporting.build import NAME, SCORES
from hypersharp.reporting.charts import choose_points, detailed_window, diverse_pixels
from hypersharp.reporting.findings import Findings, image_facts
from hypersharp.simulation.protocols import find_protocol

SECTIONS = ("pictures", "spectra", "errors", "judgement", "decisions", "inputs", "sensor", "run")
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """A parsed page: elements with their attributes, the text of each, and whether every tag that opens closes."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        assert len(attrs) == len(dict(attrs)), f"an attribute twice in <{tag}>"
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)
        if {"td", "th"} & set(self.open[-2:]):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]

    def row(self, head: str) -> list[str]:
        """The cells of the row whose first begins so."""
        return next([" ".join(cell.split()) for cell in row] for row in self.rows if row[0].startswith(head))


def read_page(folder: Path) -> Page:
    """The page in a folder, checked for what holds of any."""
    text = (folder / NAME).read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert [path.name for path in folder.iterdir()] == [NAME]
    page = Page(text)
    assert not page.open
    names = Counter(tag for tag, _ in page.elements)
    assert not names.keys() & {"script", "link", "iframe", "object", "base"}
    assert "url(" not in text.split("</style>")[0]
    assert "@import" not in text
    assert all((picture["src"] or "").startswith("data:image/") for picture in page.all("img"))
    assert all((picture["alt"] or "").strip() for picture in page.all("img"))
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert set(SECTIONS) <= set(ids)
    assert {attrs["href"] for attrs in page.all("a")} == {f"#{name}" for name in SECTIONS}
    assert not any(
        value.startswith(("http", "//", "on"))
        for _, attrs in page.elements
        for name, value in attrs.items()
        if value and name in ("href", "src", "srcset", "data")
    )
    return page


@pytest.fixture(scope="module")
def pines() -> dict[str, xr.DataArray]:
    """The demo's scene, seen by the demo's sensor, and what GSA makes of it."""
    hs, ms, truth = hsp.simulate(load_indian_pines(), find_protocol("dian-x4").sensor())
    return {"hs": hs, "ms": ms, "truth": truth, "sharp": hsp.fuse(hs, ms, method="gsa", scale=1.0)}


@pytest.fixture(scope="module")
def with_truth(pines: dict[str, xr.DataArray], tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("truth")
    places = [(30, 20), (610.0, 2470.0), (5, 7)]  # the second is the first once more, on the map
    hsp.report(pines["sharp"], pines["hs"], pines["ms"], folder, truth=pines["truth"], points=places)
    return read_page(folder)


def test_the_scores_on_the_page_are_those_of_score(pines: dict[str, xr.DataArray], with_truth: Page) -> None:
    scores = hsp.score(pines["sharp"], pines["truth"], ratio=4, preset="dian")
    bicubic = hsp.fuse(pines["hs"], pines["ms"], method="bicubic", consistent=False)
    plain = hsp.score(bicubic, pines["truth"], ratio=4, preset="dian")
    for key, heading, digits, _ in SCORES:
        expected = [f"{getattr(values, key):.{digits}f}" for values in (scores, plain)]
        assert with_truth.row(heading)[1:] == expected
    assert "Preset dian" in with_truth.text


def test_the_judgement_on_the_page_is_that_of_judge(pines: dict[str, xr.DataArray], with_truth: Page) -> None:
    judged = hsp.judge(pines["sharp"], pines["hs"], pines["ms"])
    for heading, value in (("QNR", judged.qnr), ("HQNR", judged.hqnr), ("Dλ, spectral", judged.d_lambda)):
        assert with_truth.row(heading)[1] == f"{value:.4f}"
    assert with_truth.row("Residual of MS")[1].startswith(f"{np.median(judged.ms_residual):.2%}")


def test_pictures_spectra_and_errors_are_all_there(with_truth: Page) -> None:
    alts = [str(picture["alt"]) for picture in with_truth.all("img")]
    for name in ("hs", "ms", "result", "truth"):
        kinds = [alt for alt in alts if alt.startswith(f"{name}, ")]
        assert [kind.split()[1] for kind in kinds] == ["true", "close-up,", "false"]
    spectra = [alt for alt in alts if alt.startswith("spectra of hs, result, ms, truth")]
    assert len(spectra) == 2 + 4  # two places of the user's, four that differ
    assert "point A, pixel 30, 20" in spectra[0]
    assert "point B, pixel 5, 7" in spectra[1]
    assert any(alt.startswith("map of the spectral angle") for alt in alts)
    assert any(alt.startswith("the blur") for alt in alts)


def test_nothing_runs_on_the_page_and_nothing_is_fetched(with_truth: Page) -> None:
    metas = [attrs for tag, attrs in with_truth.elements if tag == "meta"]
    policy = next(str(attrs["content"]) for attrs in metas if attrs.get("http-equiv") == "Content-Security-Policy")
    css = (files("hypersharp.reporting") / "page.css").read_text(encoding="utf-8")
    assert policy.startswith("default-src 'none'; img-src data:; ")
    assert f"'sha256-{b64encode(sha256(css.encode()).digest()).decode()}'" in policy
    assert not any(tag == "script" or "style" in attrs for tag, attrs in with_truth.elements)


def test_every_table_has_its_cells(with_truth: Page) -> None:
    assert len({len(row) for row in with_truth.rows if row[0].startswith(("PSNR", "SSIM", "ERGAS"))}) == 1
    assert all(attrs.get("scope") in ("row", "col") for attrs in with_truth.all("th"))


def test_without_a_truth_the_error_is_predicted(pines: dict[str, xr.DataArray], tmp_path: Path) -> None:
    pair = pines["hs"], pines["ms"]
    hsp.report(pines["sharp"], *pair, tmp_path)
    page = read_page(tmp_path)
    error = hsp.predict_error(pines["sharp"], *pair)
    assert f"± {np.nanmedian(error.values):.3g}" in page.text
    assert "Half-widths of the 90 % prediction interval" in page.text
    assert "PSNR" not in page.text.split("What was chosen")[0]


@pytest.mark.filterwarnings("ignore:the mean of ms")
def test_what_cannot_be_had_is_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hs, ms = make_cube(rng.random((5, 6, 6))), make_cube(rng.random((2, 24, 24)))
    sharp = make_cube(rng.random((5, 24, 24)))  # of another program: it does not say how it was made
    hsp.report(sharp, hs, ms, tmp_path)
    page = read_page(tmp_path)
    assert "The result does not say how it was made" in page.text
    assert "Predicted error: not to be had here (found a result without a record of how it was made" in page.text


def test_a_result_on_another_grid_still_has_a_page(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hs, ms = make_cube(rng.random((5, 6, 6))), make_cube(rng.random((2, 24, 24)))
    hsp.report(make_cube(rng.random((5, 20, 22))), hs, ms, tmp_path)
    page = read_page(tmp_path)
    assert "found an estimate of 5 x 20 x 22" in page.text
    assert len(page.all("img")) > 5


def test_images_that_are_not_those_of_the_result_are_refused(tmp_path: Path) -> None:
    hs, ms, sharp = (make_cube(np.ones(shape)) for shape in ((5, 6, 6), (2, 24, 24), (5, 24, 24)))
    few = make_cube(np.ones((4, 6, 6)))
    for images, said in (
        ((sharp, ms, hs), "do: swap the two"),
        ((sharp, few, ms), "found an estimate of 5 x 24 x 24, expected 4 x 24 x 24"),
        ((hs, hs, ms), "found an estimate of 5 x 6 x 6, expected 5 x 24 x 24"),
    ):
        with pytest.raises(InputError, match=said):
            hsp.report(*images, tmp_path)
    assert not list(tmp_path.iterdir())


def test_bands_that_one_image_lacks_are_no_part_of_its_pictures(tmp_path: Path) -> None:
    rng, nm = np.random.default_rng(0), np.linspace(450, 900, 6)
    flags = np.ones((2, 6), bool)
    flags[0, 1] = flags[1, 4] = False
    truth = make_cube(rng.random((6, 1, 1)) + rng.random((6, 24, 24)), wavelengths_nm=nm, good_bands=flags[0])
    hs = make_cube(truth.values.reshape(6, 6, 4, 6, 4).mean((2, 4)), wavelengths_nm=nm, good_bands=flags[1])
    ms = make_cube(truth.values[::2], wavelengths_nm=nm[::2])
    sharp = hsp.fuse(hs, ms, method="bicubic")
    hsp.report(sharp, hs, ms, tmp_path, truth=truth)
    page = read_page(tmp_path)
    assert "1 of 6 bands, bad or empty" in page.text
    assert page.row("PSNR (dB)")[1] == f"{hsp.score(sharp, truth, ratio=4).psnr_db:.2f}"


@pytest.fixture(scope="module")
def small() -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """A result, and the hs of 6 x 6 pixels and the ms that it was made from."""
    truth = np.random.default_rng(0).random((5, 24, 24))
    hs, ms = make_cube(truth.reshape(5, 6, 4, 6, 4).mean((2, 4))), make_cube(truth[:2])
    return hsp.fuse(hs, ms, method="bicubic", coregister="none"), hs, ms


def test_notes_are_text_not_html(small: tuple[xr.DataArray, xr.DataArray, xr.DataArray], tmp_path: Path) -> None:
    record = replace(Record.of(small[0]), notes=["<script>alert(1)</script>"], warnings=["a & b"])
    hsp.report(record.on(small[0]), *small[1:], tmp_path, uncertainty=False)
    page = read_page(tmp_path)
    assert "<script>alert(1)</script>" in page.text
    assert "To look out for a & b" in page.text


def test_what_the_run_and_the_sensor_both_warn_of_is_said_once(
    small: tuple[xr.DataArray, xr.DataArray, xr.DataArray], tmp_path: Path
) -> None:
    found = Findings(*small, None, record=Record.of(small[0]))
    found.judge_result(None, None)
    assert found.diagnosis is not None and found.diagnosis.warnings
    record = replace(Record.of(small[0]), warnings=found.diagnosis.warnings)
    hsp.report(record.on(small[0]), *small[1:], tmp_path, uncertainty=False)
    assert [read_page(tmp_path).text.count(text) for text in record.warnings] == [1] * len(record.warnings)


@pytest.mark.parametrize(
    ("place", "message"),
    [((144, 0), "0,0 to 143,143"), ((-1, 3), "outside the result"), ((1e6, 2e6), "x 0 to 2880, y 0 to 2880")],
)
def test_a_point_outside_says_what_is_inside(
    place: tuple[float, float], message: str, pines: dict[str, xr.DataArray], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        hsp.report(pines["sharp"], pines["hs"], pines["ms"], tmp_path, points=[place])
    assert not list(tmp_path.iterdir())


def files_of(pines: dict[str, xr.DataArray], folder: Path) -> dict[str, str]:
    return {name: str(save_cube(cube, folder / f"{name}.tif")) for name, cube in pines.items()}


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    return int(stop.value.code or 0)


def test_fuse_writes_the_page_with_the_run(
    pines: dict[str, xr.DataArray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths, out = files_of(pines, tmp_path), str(tmp_path / "made by auto.tif")
    words = [
        "fuse",
        paths["hs"],
        paths["ms"],
        "-o",
        out,
        "--budget",
        "6",
        "--truth",
        paths["truth"],
        "--report",
        str(tmp_path / "page"),
        "--point",
        "30,20",
    ]
    assert run(*words) == 0
    assert "report -> " in capsys.readouterr().out
    page = read_page(tmp_path / "page")
    assert f"hypersharp fuse {paths['hs']}" in page.text
    assert f"-o '{out}'" in page.text
    assert "Peak memory" in page.text
    ranking = page.row("candidate")
    assert ranking == ["candidate", "PSNR dB", "SAM deg", "ERGAS", "s (about)"]
    assert len(page.row("bicubic")) == len(ranking)
    assert [attrs.get("class") for attrs in page.all("tr")].count("chosen") == 1
    scores = hsp.score(hsp.open(out), hsp.open(paths["truth"]), ratio=4)
    assert page.row("PSNR (dB)")[1] == f"{scores.psnr_db:.2f}"


def test_report_makes_the_page_of_a_file(
    pines: dict[str, xr.DataArray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = files_of(pines, tmp_path)
    words = ["report", paths["sharp"], "--hs", paths["hs"], "--ms", paths["ms"], "-o", str(tmp_path / "page")]
    assert run(*words, "--no-uncertainty") == 0
    page = read_page(tmp_path / "page")
    assert "method gsa, ratio 4" in page.text  # the file says how it was made
    assert "sharp.tif (" in page.text
    assert "no error was predicted" in page.text
    capsys.readouterr()
    assert run(*words, "--no-uncertainty", "--point", "200,3") == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert said[0].startswith("error: found the point 200,3 outside the result")
    assert run(*words, "--point", "twenty") == 2
    assert run("fuse", paths["hs"], paths["ms"], "-o", str(tmp_path / "x.tif"), "--point", "3,4") == 2
    assert "without --report" in capsys.readouterr().err
    assert not (tmp_path / "x.tif").exists()


def test_a_real_georeferenced_pair(data_dir, tmp_path: Path) -> None:
    folder, parts = data_dir("berlin"), {"EnMAP": (0, 0, 30, 26), "HighResolution": (0, 0, 260, 230)}
    paths = [
        str(save_cube(hsp.open(next(folder.glob(f"{name}*.hdr")), window=part), tmp_path / f"{name}.tif"))
        for name, part in parts.items()
    ]
    out = str(tmp_path / "sharp.tif")
    assert run("fuse", *paths, "-o", out, "--method", "glp", "--no-consistent") == 0
    words = ["report", out, "--hs", paths[0], "--ms", paths[1], "-o", str(tmp_path / "page"), "--no-uncertainty"]
    assert run(*words, "--point", "383586.74,5818195.5") == 0
    page = read_page(tmp_path / "page")
    assert "EPSG:32633" in page.text
    assert "hs pixels of 28.8 m, ms pixels of 3.6 m, ratio 8.333, taken as 8" in page.text
    sharp = hsp.open(out)
    y, x = find_pixel((383586.74, 5818195.5), sharp)
    assert f"pixel {x}, {y} (" in page.text
    assert page.row("HQNR")[1] == f"{hsp.judge(sharp, *map(hsp.open, paths)).hqnr:.4f}"


def test_a_sensor_that_the_run_estimated_is_not_called_given(pines: dict[str, xr.DataArray], tmp_path: Path) -> None:
    """The page has it from the record of the result."""
    for psf, said in ((None, "as the run found it"), ("gaussian:8:2", "given")):
        sharp = hsp.fuse(pines["hs"], pines["ms"], method="gsa", psf=psf)
        hsp.report(sharp, pines["hs"], pines["ms"], tmp_path, uncertainty=False)
        text = read_page(tmp_path).text
        assert f"fine pixels (y, x), {said}" in text
        assert "31 HS bands, as the run found it" in text


def test_a_missing_library_is_answered_with_its_installation(
    pines: dict[str, xr.DataArray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hypersharp\[report\]'"):
        hsp.report(pines["sharp"], pines["hs"], pines["ms"], tmp_path)


@pytest.mark.parametrize("notes", ["", "made by hand", "[1]", '{"method": "gsa"}', "method gsa, ratio 4; scale 1"])
def test_a_result_with_notes_of_another_kind_has_a_page(
    notes: str, small: tuple[xr.DataArray, xr.DataArray, xr.DataArray], tmp_path: Path
) -> None:
    hsp.report(small[0].assign_attrs(hypersharp=notes), *small[1:], tmp_path, uncertainty=False)
    assert "the file does not name it" in read_page(tmp_path).text


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    values = np.ones((3, 4, 5))
    values[:, 0, :2] = np.nan
    values[1] = np.nan
    facts = image_facts(make_cube(values), Image(Path("image.tif"), mask=Path("clouds.tif"), saturated=255))
    expected = "2 of 20 pixels (10.0%); 1 of 3 bands, bad or empty (mask clouds.tif, saturated from 255)"
    assert facts["Left out"] == expected
    assert facts["Place"] == "not georeferenced"


def test_chosen_points_lie_on_different_materials() -> None:
    rng = np.random.default_rng(3)
    spectra = np.eye(4, 12) + 0.1
    materials = np.repeat(np.repeat(np.arange(4).reshape(2, 2), 8, 0), 8, 1)
    hs = spectra[materials].transpose(2, 0, 1) + 0.001 * rng.standard_normal((12, 16, 16))
    sharp = hs.repeat(3, 1).repeat(3, 2)
    pixels = diverse_pixels(make_cube(sharp), make_cube(hs), 4)
    assert {int(materials[y // 3, x // 3]) for y, x in pixels} == {0, 1, 2, 3}
    sharp[:, :, :] = np.nan
    sharp[:, :24] = 1.0
    assert all(y < 24 for y, _ in diverse_pixels(make_cube(sharp), make_cube(hs), 4))
    points = choose_points([(x, 0) for x in range(28)], make_cube(sharp), make_cube(hs))
    assert [point.label for point in points][24:28] == ["Y", "Z", "A2", "B2"]


def test_the_close_up_is_where_the_detail_is() -> None:
    ms = np.zeros((1, 160, 200))
    ms[:, 100:140, 120:170] = np.random.default_rng(0).random((40, 50))
    y, x, height, width = detailed_window(make_cube(ms, transform=Affine(1, 0, 0, 0, -1, 0)), 4)
    assert (height, width) == (64, 64)
    assert y <= 100
    assert y + height >= 140
    assert x <= 120
    assert x + width >= 170
    assert y % 4 == x % 4 == 0


def test_a_displacement_is_drawn_and_its_evidence_told() -> None:
    draw = np.random.default_rng(0).normal(size=(2, 16)) / 4
    field = {"coefficients": draw.tolist(), "first_yx": [1.5, 1.5], "last_yx": [38.5, 58.5]}
    evidence = {
        "model": "local",
        "largest_px": 2.83,
        "correlation_before": 0.9,
        "correlation_after": 0.99,
        "tie_points": [60, 64],
        "residual_px": 0.2,
    }
    placement = {"window": [0, 0, 40, 60], "warp": {"field": field}, "evidence": evidence}
    sharp = make_cube(np.ones((2, 40, 60)))
    drawn = charts.displacement_chart(SimpleNamespace(record=SimpleNamespace(placement=placement), sharp=sharp))  # type: ignore[arg-type]
    assert drawn is not None and drawn.uri.startswith("data:image/png")
    assert drawn.word.startswith("up to 2.83 fine pixels") and "60 of 64 tie points" in drawn.word
    shift = placement | {"warp": None}
    assert charts.displacement_chart(SimpleNamespace(record=SimpleNamespace(placement=shift), sharp=sharp)) is None  # type: ignore[arg-type]
