"""What was done travels with a result: read by what judges it, written once, found out once."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import hypersharp as hsp
from hypersharp import cube as cubes
from hypersharp.cli import main
from hypersharp.cube import make_cube
from hypersharp.errors import CallError, InputError
from hypersharp.pair import align, pair, place, tensors
from hypersharp.pair.record import Record
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import gaussian

affine = pytest.importorskip("affine")
RATIO, BANDS, SIDE = 4, 8, 96
NM = np.linspace(450, 850, BANDS)
RESPONSE = np.kron(np.eye(2), np.full(BANDS // 2, 2 / BANDS))
SENSOR = Sensor(gaussian(8, 2, RATIO, boundary="reflect"), RESPONSE, RATIO)
PLACE = affine.Affine(3, 0, 400_000, 0, -3, 5_800_000)


def images(off_px: float = 0.0) -> tuple[xr.DataArray, xr.DataArray]:
    """A pair of rough materials; its ms on a grid of its own pixel size where it lies off."""
    y, x = torch.meshgrid(torch.arange(SIDE) / 9, torch.arange(SIDE) / 11, indexing="ij")
    shares = torch.stack([(y * x / 9).sin() > 0, (3 * y).sin() * (2 * x).cos() > 0.2, y.sin() + x.cos() > 0]).float()
    random = torch.Generator().manual_seed(0)
    spectra = torch.rand(BANDS, 3, generator=random).cumsum(0) / BANDS
    scene = torch.einsum("lk,kyx->lyx", spectra, shares * (1 + 0.1 * torch.randn(3, SIDE, SIDE, generator=random)))
    hs, ms = SENSOR.observe(scene * 0.5 + 0.05)
    fine = PLACE @ affine.Affine.translation(off_px, -off_px) @ affine.Affine.scale(0.96 if off_px else 1)
    coarse = PLACE @ affine.Affine.scale(RATIO)
    return (
        make_cube(hs.numpy(), wavelengths_nm=NM, crs="EPSG:32633", transform=coarse),
        make_cube(ms.numpy(), wavelengths_nm=[550, 750], crs="EPSG:32633", transform=fine),
    )


@pytest.mark.parametrize(("method", "off_px"), [("gsa", 0.0), ("auto", 0.3)])
def test_a_tiled_result_is_judged_predicted_and_reported(method: str, off_px: float, tmp_path: Path) -> None:
    hs, ms = images(off_px)
    paths = [hsp.save(cube, tmp_path / f"{name}.tif") for name, cube in (("hs", hs), ("ms", ms))]
    how: dict[str, Any] = {"memory_bytes": 2e9, "workers": 1, **({"budget_s": 2} if method == "auto" else {})}
    sharp = hsp.fuse_in_tiles(*paths, tmp_path / "sharp.tif", method=method, **how)
    record = Record.of(sharp)
    assert (record.method, record.placement["ratio"], record.tiles) == (method, RATIO, "1 tile")
    error = hsp.predict_error(sharp, hs, ms)
    assert error.shape == sharp.shape and float(error.median()) > 0
    page = hsp.report(sharp, hs, ms, tmp_path / "page").read_text()
    assert "Predicted error: not to be had" not in page and "Judged without a truth" in page
    with pytest.raises(SystemExit) as done:
        main(["evaluate", str(tmp_path / "sharp.tif"), "--hs", str(paths[0]), "--ms", str(paths[1]), "--json"])
    assert done.value.code == 0


def test_what_the_record_says_is_not_found_out_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hs, ms = images()
    sharp = hsp.fuse(hs, ms, method="auto", budget_s=2)

    def refuse(*_: object, **__: object) -> Any:
        raise AssertionError("looked for what the record says")

    for module, name in ((align, "register"), (place, "registered")):
        monkeypatch.setattr(module, name, refuse)
    for chooser in ("choose_best", "choose_named"):
        monkeypatch.setattr(f"hypersharp.fusion.learn.{chooser}", refuse)
    monkeypatch.setattr("hypersharp.sensor.estimate.fit_sensor", refuse)
    hsp.predict_error(sharp, hs, ms)
    hsp.judge(sharp, hs, ms)
    hsp.report(sharp, hs, ms, tmp_path)


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    hs, ms = images()
    record = Record.of(hsp.fuse(hs, ms, method="glp", psf=SENSOR.psf, consistent=True))
    assert Record.of(record.on(hs)) == record
    assert record.sensor is not None and record.sensor["given"] == ["psf"]
    assert record.consistency is not None and record.consistency["after"] < record.consistency["before"]
    assert str(record).startswith(f"method glp, ratio {RATIO}, scale {record.scale:g}\n")
    with pytest.raises(CallError, match="without a record"):
        Record.of(hs)


def test_everything_is_looked_at_once_or_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """`fuse` with GSA: bands, cubes, gaps, grids and the pair are each checked at most twice, once an image."""
    counts: Counter[str] = Counter()

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            counts[name] += 1
            return function(*args, **options)

        return call

    watched = {
        "usable_bands": (cubes, pair),
        "check_cube": (cubes, place, pair),
        "fill_gaps": (tensors, align),
        "grid_of": (cubes, place),
        "check_pair": (pair, place),
    }
    for name, modules in watched.items():
        for module in modules:
            if hasattr(module, name):
                monkeypatch.setattr(module, name, counted(name, getattr(module, name)))
    random = np.random.default_rng(0)
    hs, ms = make_cube(random.random((31, 128, 128))), make_cube(random.random((3, 512, 512)))
    hsp.fuse(hs, ms, method="gsa", psf="gaussian:8:2", consistent=False)
    assert set(counts) == set(watched)
    assert all(count <= 2 for count in counts.values()), counts


@pytest.mark.parametrize("method", ["bicubic", "gsa"])
def test_detail_is_inferred_where_there_is_detail_of_ms(method: str) -> None:
    truth = np.random.default_rng(0).random((6, 48, 48))
    hs = make_cube(truth.reshape(6, 12, 4, 12, 4).mean((2, 4)), wavelengths_nm=np.linspace(450, 2400, 6))
    sharp = hsp.fuse(hs, make_cube(truth[:1], wavelengths_nm=[450]), method=method, coregister="none")
    assert any("is inferred from" in line for line in Record.of(sharp).lines()) == (method == "gsa")


def test_parts_of_images_that_a_result_was_made_of_are_refused_by_their_size() -> None:
    random = np.random.default_rng(0)
    hs, ms = make_cube(random.random((5, 24, 24))), make_cube(random.random((2, 48, 48)))
    sharp = hsp.fuse(hs, ms, method="bicubic")
    for use in (hsp.judge, hsp.predict_error):
        with pytest.raises(InputError, match=r"hs of 5 x 12 x 12 for a result .* of 5 x 24 x 24, .* whole"):
            use(sharp[:, :24, :24], hs[:, :12, :12], ms[:, :24, :24])
        with pytest.raises(InputError, match=r"ms of 2 x 24 x 48 for a result .* of 2 x 48 x 48"):
            use(sharp, hs, ms[:, :24])
