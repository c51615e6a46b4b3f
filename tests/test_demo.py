"""The demo: a real scene from a dependency, scored, drawn, in files that open elsewhere."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hypersharp.bench import demo
from hypersharp.cli import main
from hypersharp.cube import transform_of
from hypersharp.io import open_cube
from hypersharp.networks.packaged import packaged_weights
from hypersharp.pair.record import Record


def test_the_scene_is_the_first_spectrometer_scaled() -> None:
    scene = demo.load_indian_pines()
    assert scene.shape == (31, 144, 144)
    assert float(scene.min()) >= 0
    assert float(scene.max()) == 1
    np.testing.assert_allclose(scene.wavelength, np.arange(400, 701, 10), atol=4)


def test_wavelengths_agree_with_the_known_ends_of_the_spectrometer() -> None:
    np.testing.assert_allclose(demo.CENTRES_NM[[0, 29, 30]], [400.02, 686.53, 696.50], atol=0.25)


def test_newline_damage_is_undone() -> None:
    rng = np.random.default_rng(0)
    spectrum = 2300 + 1800 * np.exp(-(((np.arange(31) - 10) / 9) ** 2))
    whole = (1000 + (spectrum[:, None, None] - 1000) * rng.uniform(0.6, 1.4, (1, 60, 60))).astype(np.int64)
    whole += rng.integers(-20, 20, whole.shape)
    damaged = np.where(whole >> 8 == 13, whole - 768, whole)
    assert (damaged != whole).mean() > 0.05
    assert (demo.undo_newline_damage(damaged) != whole).mean() < 1e-3
    assert np.array_equal(demo.undo_newline_damage(whole), whole)


def test_the_repaired_scene_has_no_steps_left() -> None:
    """768 numbers are about 0.11 of full scale; between neighbours in space and spectrum nothing jumps so."""
    values = demo.load_indian_pines().values[2:]
    jumps = np.abs(np.diff(values, axis=0) - np.median(np.diff(values, axis=0), axis=(1, 2), keepdims=True))
    assert (jumps > 0.06).mean() < 0.001


def check_files(out: Path, paths: list[Path], methods: tuple[str, ...]) -> None:
    names = {"hs.tif", "ms.tif", "truth.tif", "demo.png", "report.html", *(f"sharp_{method}.tif" for method in methods)}
    assert {path.name for path in paths} == names == {path.name for path in out.iterdir()} - {"blind", "index.html"}
    hs, ms, sharp = (open_cube(out / name) for name in ("hs.tif", "ms.tif", "sharp_bicubic.tif"))
    assert (hs.shape, ms.shape, sharp.shape) == ((31, 36, 36), (3, 144, 144), (31, 144, 144))
    assert tuple(transform_of(hs))[:6] == (80, 0, 0, 0, -80, 2880)
    assert transform_of(ms) == transform_of(sharp)
    np.testing.assert_allclose(sharp.wavelength, demo.CENTRES_NM, atol=0.01)
    picture = np.asarray(Image.open(out / "demo.png").convert("RGB"))
    assert min(picture.shape[:2]) > 800
    assert picture.std() > 20


def test_the_demo_without_weights_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "METHODS", ("bicubic",))
    done: list[float] = []
    result = demo.run_demo(tmp_path / "out", progress=done.append)
    check_files(tmp_path / "out", result.paths, ("bicubic",))
    assert 25 < result.scores["bicubic"][0] < 45
    assert done == sorted(done)


@pytest.mark.skipif(not packaged_weights(), reason="no weights are packaged in this checkout")
def test_the_demo_shows_that_the_network_sharpens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[demo.DemoResult] = []
    run_demo = demo.run_demo

    def keep(*args: object, **options: object) -> demo.DemoResult:
        kept.append(run_demo(*args, **options))  # type: ignore[arg-type]
        return kept[0]

    monkeypatch.setattr(demo, "run_demo", keep)
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--no-blind", "-o", str(tmp_path / "out")])
    assert stop.value.code == 0
    check_files(tmp_path / "out", kept[0].paths, ("ssjcn", "bicubic"))
    assert kept[0].scores["ssjcn"][0] > kept[0].scores["bicubic"][0] + 1
    assert "ssjcn" in capsys.readouterr().out


def test_the_pair_of_two_satellites_blind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "BLIND", ("gsa", "bicubic"))
    (tmp_path / "blind").mkdir()
    found = demo.run_blind(tmp_path / "blind")
    assert found.scores["gsa"][0] > found.scores["bicubic"][0] + 3
    sharp = open_cube(tmp_path / "blind" / "sharp_gsa.tif")
    assert np.isnan(sharp.values[0, demo.CLOUD_YX[0], demo.CLOUD_YX[1]])
    centre = Record.of(sharp).known_psf_and_srf()[0].centre_yx()  # type: ignore[union-attr]
    np.testing.assert_allclose(np.subtract(centre, 1), demo.OFFSET_PX_YX, atol=0.15)
    Image.new("RGB", (8, 8)).save(tmp_path / "demo.png")
    text = demo.write_index(tmp_path, found, found).read_text()
    assert "gsa" in text
    assert 'href="blind/report.html"' in text
    assert "<script" not in text
