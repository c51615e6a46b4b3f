"""Lazy cubes are fused lazily: nothing is read before it is asked for, and what comes is what tiles in a run give."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

from hypersharp.cube import crs_of, cut, make_cube, transform_of, wavelengths_nm
from hypersharp.errors import CallError, InputError
from hypersharp.fusion.fuse import fuse
from hypersharp.io import open_cube
from hypersharp.io.image import CubeParts
from hypersharp.pair import sample as samples
from test_tiles_run import PLACE, RATIO, affine, pair, prepared, saved

ALONE = {"coregister": "none", "precision": "fp32", "device": "cpu"}


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is learned is learned from windows, not from all of it."""
    monkeypatch.setattr(samples, "MOST_COARSE", 24)
    monkeypatch.setattr(samples, "LEAST_RUN", 6)
    monkeypatch.setattr(samples, "MOST_FINE", 96)


def lazy(cube: xr.DataArray, side: int) -> xr.DataArray:
    return cube.chunk({"y": side, "x": side})


def small_pair(bands: int = 8) -> tuple[xr.DataArray, xr.DataArray]:
    """(bands, 32, 32) and (3, 128, 128)."""
    hs, ms = pair(bands)
    return hs[:, :32, :32], ms[:, :128, :128]


def placed(hs: xr.DataArray, *changes: Any) -> xr.DataArray:
    """The same image elsewhere on the ground."""
    place = PLACE @ affine.Affine.scale(RATIO)
    for change in changes:
        place = place @ change
    return make_cube(hs.values, wavelengths_nm=wavelengths_nm(hs), crs="EPSG:32633", transform=place)


CASES: dict[str, tuple[Callable[[xr.DataArray], xr.DataArray], str, Any]] = {
    "as it lies": (lambda hs: hs, "gsa", "none"),
    "shifted": (lambda hs: placed(hs[:, 2:-2, 2:-2], affine.Affine.translation(2.4, 1.7)), "bicubic", "shift"),
    "rotated": (lambda hs: placed(hs, affine.Affine.rotation(3, (16, 16))), "bicubic", "shift"),
}


@pytest.mark.usefixtures("sampled")
@pytest.mark.parametrize("case", CASES)
def test_it_is_what_tiles_give(case: str, tmp_path: Path) -> None:
    """Also where the place of hs is found only as the scene is learned: on the pixels promised before."""
    (hs, ms), (move, method, coregister) = small_pair(), CASES[case]
    files = saved(tmp_path, move(hs), ms)
    run = prepared(files, tmp_path / "sharp.npy", method, coregister=coregister)
    run.carry_out()
    fine = run.job.fusion.pair.placement.fine.transform
    cubes = (lazy(open_cube(path), 64) for path in files)
    sharp = fuse(*cubes, method=method, **{**ALONE, "coregister": coregister})
    assert isinstance(sharp.data, da.Array) and sharp.chunks[1][0] == 64
    there = transform_of(sharp)
    assert fine is not None and there is not None and crs_of(sharp) == crs_of(ms)
    down, right = round((fine.f - there.f) / there.e), round((fine.c - there.c) / there.a)
    tiled, own = open_cube(tmp_path / "sharp.npy").values, sharp.values
    seen = np.full((len(tiled), *(size + 8 for size in own.shape[1:])), np.nan)
    seen[:, 4 : 4 + own.shape[1], 4 : 4 + own.shape[2]] = own
    seen = seen[:, 4 + down :, 4 + right :][:, : tiled.shape[1], : tiled.shape[2]]
    both = np.isfinite(tiled) & np.isfinite(seen)
    np.testing.assert_allclose(seen[both], tiled[both], atol=1e-4 * np.nanmax(tiled))
    assert both.mean() > 0.97 * np.isfinite(tiled).mean()
    assert np.isfinite(own).mean() > 0.9
    assert ((down, right) != (0, 0)) == (case == "shifted")


@pytest.mark.parametrize("method", ["ssjcn", "auto"])
def test_networks_and_auto_run_in_the_threads_of_a_graph(method: str) -> None:
    hs, ms = small_pair(31 if method == "ssjcn" else 8)
    how: dict[str, Any] = {**ALONE, **({"budget_s": 0.0} if method == "auto" else {})}
    whole = fuse(hs, ms, method=method, **how)
    with dask.config.set(scheduler="threads", num_workers=2):
        found = fuse(lazy(hs, 16), lazy(ms, 64), method=method, **how).values
    np.testing.assert_allclose(found, whole.values, atol=1e-4 * np.ptp(whole.values))


def counted(cube: xr.DataArray, side: int, reads: list[Any]) -> xr.DataArray:
    """The cube in chunks, each of which is counted as it is computed."""

    def read(block: np.ndarray, block_info: Any = None) -> np.ndarray:
        reads.append(block_info[0]["chunk-location"])
        return block

    chunks = lazy(cube, side)
    return chunks.copy(data=chunks.data.map_blocks(read, dtype=cube.dtype))


@pytest.mark.usefixtures("sampled")
def test_nothing_is_read_before_it_is_asked_for_and_a_part_costs_a_part() -> None:
    reads, random = list[Any](), da.random.default_rng(0)
    hs, ms = (
        counted(make_cube(random.random(shape, chunks=shape)), side, reads)
        for shape, side in (((4, 256, 256), 16), ((1, 1024, 1024), 64))
    )
    sharp = fuse(hs, ms, method="bicubic", **ALONE)
    assert not reads
    assert sharp.shape == (4, 1024, 1024) and sharp.chunks[1] == (64,) * 16
    assert np.isfinite(sharp[:, :64, :64].values).all()
    assert 0 < len(reads) < 0.7 * 2 * 16 * 16


def test_numbers_without_gaps_to_mark_become_floats_and_fill_is_left_out() -> None:
    hs, ms = ((cube * 10_000).round().astype("i2") for cube in small_pair())
    hs.values[:, 3:5, 4:6] = -9999
    found = fuse(lazy(hs, 16), lazy(ms, 64), method="sfim", **ALONE)
    assert found.dtype == np.float32
    whole = fuse(hs, ms, method="sfim", **ALONE)
    np.testing.assert_allclose(found.values, whole.values, atol=1e-4 * np.nanmax(whole.values), equal_nan=True)
    assert np.isnan(found.values[:, 12:20, 16:24]).all() and np.isnan(found.values).sum() == 8 * 64


def test_what_outlines_rule_out_is_said_at_once() -> None:
    hs, ms = (lazy(cube, 64) for cube in small_pair())
    with pytest.raises(InputError, match="swap the two"):
        fuse(ms, hs, method="gsa")
    with pytest.raises(CallError, match="frame hs for lazy cubes"):
        fuse(hs, ms, method="gsa", frame="hs")


def test_a_displacement_beyond_what_was_read_is_one_line() -> None:
    hs, _ = small_pair()
    parts = CubeParts(hs, parts=(((4, 4, 8, 8), hs.values[:, 4:12, 4:12]),))
    assert parts.cube((5, 6, 2, 3)).identical(cut(hs, (5, 6, 2, 3)))
    with pytest.raises(InputError, match="further off each other"):
        parts.cube((3, 4, 2, 2))


def test_results_that_differ_in_anything_have_other_names() -> None:
    """Else dask would compute one of them for both."""
    hs, ms = (lazy(cube, 16) for cube in small_pair())
    wide = np.random.default_rng(0).random((3, 400))
    other = wide.copy()
    other[1, 200] += 1  # which numpy does not print
    flags = [True] * 7 + [False]
    flagged = make_cube(
        hs.data, wavelengths_nm=wavelengths_nm(hs), good_bands=flags, crs=crs_of(hs), transform=transform_of(hs)
    )
    calls = [(hs, wide), (hs, other), (hs, None), (flagged, None), (hs, wide)]
    names = [fuse(image, ms, method="bicubic", srf=srf, coregister="none").data.name for image, srf in calls]
    assert names[0] == names[4] and len(set(names)) == 4
