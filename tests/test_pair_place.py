"""A pair on the pixels of the ms: where hs lies on them belongs to the PSF, and the ms is never resampled."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.ndimage import gaussian_filter, map_coordinates

pytest.importorskip("rasterio")
from affine import Affine

from hypersharp.cube import flipped, make_cube, transform_of
from hypersharp.errors import InputError
from hypersharp.fusion.fuse import fuse
from hypersharp.io import open_cube, save_cube
from hypersharp.io.image import CubeImage, Image
from hypersharp.io.raster import RasterPixels
from hypersharp.pair import align
from hypersharp.pair.options import Frame
from hypersharp.pair.place import place
from hypersharp.pair.placement import OnMS
from hypersharp.pair.record import Record
from hypersharp.registration.register import register
from hypersharp.sensor.observe import Sensor, add_noise
from hypersharp.sensor.psf import PSF, gaussian, gaussian_fwhm
from hypersharp.sensor.srf import find_srf
from hypersharp.tiles.run import fuse_in_tiles

CRS = "EPSG:32633"
SIDE = 96
Floats = NDArray[np.float32]


def scene(side: int = SIDE, seed: int = 0) -> Floats:
    """(8, side, side) of four materials whose shares vary smoothly."""
    draw = np.random.default_rng(seed)
    fields = gaussian_filter(draw.normal(size=(4, side, side)), (0, 1.5, 1.5))
    shares = np.exp(4 * fields / fields.std())
    shares /= shares.sum(0)
    return np.tensordot(draw.uniform(0.05, 0.9, (8, 4)), shares, 1).astype(np.float32)


def observed(truth: Floats, psf: PSF, ratio: int = 4) -> tuple[Floats, Floats]:
    """hs at 35 dB and an ms of 4 bands at 40 dB."""
    sensor = Sensor(psf, np.kron(np.eye(4), [[0.5, 0.5]]), ratio)
    hs, ms = sensor.observe(torch.from_numpy(truth))
    return add_noise(hs, 35, 1).numpy(), add_noise(ms, 40, 2).numpy()


def error(sharp: xr.DataArray, truth: Floats, border: int = 12) -> float:
    inside = (slice(None), slice(border, -border), slice(border, -border))
    return float(np.sqrt(np.square(sharp.values[inside] - truth[inside]).mean()))


@pytest.mark.parametrize("method", ["gsa", "glp", "sfim", "hysure"])
@pytest.mark.parametrize(("taps", "sigma", "start", "ratio"), [(7, 1.5, 0, 4), (8, 1.8, 2, 4), (6, 1.4, 0, 3)])
def test_a_psf_off_the_middle_costs_nothing(method: str, taps: int, sigma: float, start: int, ratio: int) -> None:
    truth, psf = scene(), gaussian(taps, sigma, ratio=ratio, start=start, boundary="reflect")
    pair = [make_cube(image) for image in observed(truth, psf, ratio)]
    found = fuse(*pair, method=method, consistent=False)
    told = fuse(*pair, method=method, psf=psf, srf=np.kron(np.eye(4), [[0.5, 0.5]]), consistent=False)
    assert error(found, truth) < 10 ** (0.3 / 20) * error(told, truth)
    offset = Record.of(found).placement["offset_px_yx"]
    assert offset == pytest.approx([psf.centre_yx()[0] - (ratio - 1) / 2] * 2, abs=0.1)


def test_bicubic_interpolates_about_the_centres_of_the_hs_pixels() -> None:
    truth = scene()
    hs, ms = observed(truth, gaussian(7, 1.5, ratio=4, start=0, boundary="reflect"))
    placed, left = (
        fuse(make_cube(hs), make_cube(ms), method="bicubic", coregister=model, consistent=False)
        for model in ("local", "none")
    )
    assert error(placed, truth) < 0.85 * error(left, truth)


@pytest.mark.parametrize("offset_px", [(0.0, 0.0), (1.4, -2.3), (5.0, 3.0)])
def test_the_result_has_the_pixels_of_an_ms_that_lies_anywhere(offset_px: tuple[float, float]) -> None:
    """An ms that is larger than hs, by a fraction of a pixel off its grid: georeference and PSF say where."""
    truth = scene(128)
    hs, ms = observed(truth, gaussian(8, 1.8, ratio=4, boundary="reflect"))
    corner = Affine(10, 0, 500_000, 0, -10, 5_000_000)
    inner = hs[:, 4:-4, 4:-4]
    place_of_hs = corner @ Affine.scale(4) @ Affine.translation(4, 4)
    stated = corner @ Affine.translation(offset_px[1], offset_px[0])  # the ms says that it lies elsewhere
    cubes = make_cube(inner, crs=CRS, transform=place_of_hs), make_cube(ms, crs=CRS, transform=stated)
    sharp = fuse(*cubes, method="gsa", consistent=False)
    x, y = ~stated @ (transform_of(sharp) @ (0, 0))
    assert (round(x, 6), round(y, 6)) == (round(x), round(y))
    rows, columns = (
        slice(round(first), round(first) + size) for first, size in zip((y, x), sharp.shape[1:], strict=True)
    )
    assert sharp.shape[1] > 80
    assert error(sharp, truth[:, rows, columns]) < 0.03


def test_an_hs_far_off_has_gaps_where_it_shows_nothing() -> None:
    truth = scene(160)
    hs, ms = observed(truth, gaussian(8, 1.8, ratio=4, boundary="reflect"))
    moved = np.roll(ms, (0, 12, -20), (0, 1, 2))[:, 20:-20, 20:-20]
    sharp = fuse(make_cube(hs[:, 5:-5, 5:-5]), make_cube(moved), method="gsa", consistent=False)
    assert sharp.shape == (8, 120, 120)
    missing = np.isnan(sharp.values[0])
    assert missing[:12].all() and missing[:, -20:].all() and not missing[12:, :-20].any()
    expected = np.roll(truth, (0, 12, -20), (0, 1, 2))[:, 20:-20, 20:-20][:, 12:, :-20]
    assert error(sharp[:, 12:, :-20], expected) < 0.03


@pytest.mark.parametrize("known", [{}, {"transform": Affine(10, 0, 0, 0, -10, 0)}, {"crs": CRS}])
def test_one_image_without_a_place_is_refused(known: dict[str, object]) -> None:
    hs = make_cube(scene(24), crs=CRS, transform=Affine(40, 0, 0, 0, -40, 0))
    ms = make_cube(scene(96)[:3], **known)  # type: ignore[arg-type]
    for pair in (
        (hs, ms),
        (make_cube(scene(24), **known), make_cube(scene(96)[:3], crs=CRS, transform=Affine(10, 0, 0, 0, -10, 0))),
    ):  # type: ignore[arg-type]
        with pytest.raises(InputError, match="placed on the ground"):
            place(*(CubeImage(cube) for cube in pair))


def test_a_ratio_that_is_not_whole_resamples_hs_alone() -> None:
    """hs pixels of 25 m on an ms of 6 m: 4.17; what the ms shows is not lost between the pixels of hs."""
    side = 240
    truth = scene(side, seed=3)  # in pixels of 3 m
    by_two, by_eight = (gaussian_fwhm(ratio, ratio, boundary="reflect") for ratio in (2, 8))
    fine = Sensor(by_two, np.kron(np.eye(4), [[0.5, 0.5]]), 2)
    ms, fine_truth = fine.ms(fine.hs(torch.from_numpy(truth))).numpy(), fine.hs(torch.from_numpy(truth)).numpy()
    coarse = np.stack([gaussian_filter(band, 25 / 3 / 2.355) for band in truth])
    count = int(side * 3 / 25) - 1
    places = (np.arange(count) + 0.5) * 25 / 3 - 0.5
    grid = np.stack(np.meshgrid(places, places, indexing="ij"))
    hs = np.stack([map_coordinates(band, grid, order=3) for band in coarse]).astype(np.float32)
    del by_eight
    cubes = (
        make_cube(hs, crs=CRS, transform=Affine(25, 0, 0, 0, -25, 0)),
        make_cube(ms, crs=CRS, transform=Affine(6, 0, 0, 0, -6, 0)),
    )
    sharp = fuse(*cubes, method="gsa", consistent=False)
    rows, columns = sharp.shape[1:]
    assert transform_of(sharp) == Affine(6, 0, 0, 0, -6, 0)
    assert "hs resampled once" in str(Record.of(sharp))
    assert error(sharp, fine_truth[:, :rows, :columns]) < 0.03


def bent(ms: Floats, field: NDArray[np.float64]) -> Floats:
    """The ms displaced: what it shows at p lies at p + d(p)."""
    grid = np.indices(ms.shape[1:]).astype(float)
    places = grid
    for _ in range(12):
        places = grid - np.stack([map_coordinates(axis, places, order=1, mode="nearest") for axis in field])
    return np.stack([map_coordinates(band, places, order=3, mode="mirror") for band in ms]).astype(np.float32)


def smooth_field(shape_yx: tuple[int, int]) -> NDArray[np.float64]:
    y, x = np.meshgrid(*(np.linspace(0, 1, side) for side in shape_yx), indexing="ij")
    return 2 * np.stack([np.sin(np.pi * x) * np.cos(np.pi * y / 2), -np.cos(np.pi * y)])


def test_a_field_is_found_on_jasper_ridge(data_dir: Callable[[str], Path]) -> None:
    stored = loadmat(data_dir("jasper_ridge") / "jasperRidge2_R198.mat")
    cube = (stored["Y"].reshape(198, 100, 100, order="F") / 5000).astype(np.float32)[::4]
    nm = np.linspace(380, 2500, 224)[stored["SlectBands"].ravel() - 1][::4]
    srf = find_srf("sentinel-2a", nm)
    hs, ms = Sensor(gaussian_fwhm(4, 4), srf, 4).observe(torch.from_numpy(cube))
    field = smooth_field((100, 100))
    displaced = add_noise(torch.from_numpy(bent(ms.numpy(), field)), 35, 2).numpy()
    found = register(add_noise(hs, 35, 1).numpy(), displaced, model="local")
    assert found.model == "local"
    grid = np.indices((100, 100)).reshape(2, -1).astype(float)
    gap = found.field(4, (25, 25))(grid).reshape(2, 100, 100) - field
    assert np.sqrt(np.square(gap).sum(0).mean()) < 0.15
    assert register(add_noise(hs, 35, 1).numpy(), add_noise(ms, 35, 2).numpy(), model="local").model == "shift"


def test_a_pair_under_a_field_fuses_almost_as_well() -> None:
    truth = scene(160)
    hs, ms = observed(truth, gaussian(8, 1.8, ratio=4, boundary="reflect"))
    field = smooth_field((160, 160))
    displaced, there = bent(ms, field), bent(truth, field)
    straight, local, shifted = (
        fuse(make_cube(hs), make_cube(image), method="gsa", coregister=model, consistent=False)
        for image, model in ((ms, "none"), (displaced, "local"), (displaced, "shift"))
    )
    record = Record.of(local).placement
    assert record["evidence"]["model"] == "local" and record["evidence"]["tie_points"][0] > 30
    assert error(local, there) < 10 ** (0.5 / 20) * error(straight, truth)
    assert error(local, there) < 0.7 * error(shifted, there)


@pytest.mark.parametrize("case", ["shift", "field", "ratio"])
def test_a_part_of_the_pair_is_that_part_of_the_whole(case: str) -> None:
    truth = scene(160)
    hs, ms = observed(truth, gaussian(8, 1.8, ratio=4, start=0, boundary="reflect"))
    if case == "field":
        ms = bent(ms, smooth_field((160, 160)))
    coarse = Affine(40.6, 0, 0, 0, -40.6, 0) if case == "ratio" else Affine(40, 0, 0, 0, -40, 0)
    cubes = make_cube(hs, crs=CRS, transform=coarse), make_cube(ms, crs=CRS, transform=Affine(10, 0, 0, 0, -10, 0))
    placed = place(*(CubeImage(cube) for cube in cubes))
    assert isinstance(placed, OnMS)
    whole, again = placed.read(placed.everything), place(*(CubeImage(cube) for cube in cubes), known=placed.described())
    y, x, height, width = 10, 12, 14, 9
    for one in (placed, again):
        part = one.read((y, x, height, width))
        np.testing.assert_allclose(part[0], whole[0][:, y : y + height, x : x + width], atol=1e-5)
        np.testing.assert_array_equal(part[1], whole[1][:, 4 * y : 4 * (y + height), 4 * x : 4 * (x + width)])


def test_of_a_large_scene_windows_alone_are_read_to_register_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By counting the pixels that are read of each file, while the shift is found as exactly as of the whole."""
    fine = gaussian_filter(np.random.default_rng(0).normal(size=(1, 1802, 1802)), (0, 1, 1)).astype(np.float32)
    coarse = fine[:, 1:-1, 1:-1].reshape(1, 900, 2, 900, 2).mean((2, 4))  # one fine pixel off the ms's own blocks
    grid = Affine(10, 0, 500_000, 0, -10, 5_800_000)
    hs_cube = make_cube(np.concatenate([coarse, 2 * coarse]), crs=CRS, transform=grid)
    ms_cube = make_cube(fine[:, :-2, :-2], crs=CRS, transform=grid @ Affine.scale(0.5))
    hs, ms = (Image(save_cube(cube, tmp_path / name)) for cube, name in ((hs_cube, "hs.tif"), (ms_cube, "ms.tif")))
    read, seen = RasterPixels.read, dict[str, int]()

    def counted(self: RasterPixels, bands: list[int], rows: slice, columns: slice) -> NDArray[np.generic]:
        area = len(bands) * (rows.stop - rows.start) * (columns.stop - columns.start)
        name = Path(self.parts[0][0]).name
        seen[name] = seen.get(name, 0) + area
        return read(self, bands, rows, columns)

    monkeypatch.setattr(RasterPixels, "read", counted)
    lattice = place(hs, ms).lattice
    np.testing.assert_allclose(np.add(lattice.hs_corner_yx, lattice.offset_px_yx), 1, atol=0.02)
    assert seen["ms.tif"] < 0.25 * fine.size and seen["hs.tif"] < 0.25 * 2 * coarse.size


@pytest.mark.parametrize(("frame", "georeferenced"), [("ms", False), ("hs", False), ("hs", True)])
def test_a_large_scene_whose_corner_or_middle_shows_nothing_is_registered_by_the_rest(
    monkeypatch: pytest.MonkeyPatch, frame: Frame, georeferenced: bool
) -> None:
    """A rotated swath has empty corners, a cloud may fill the middle: windows there show nothing."""
    monkeypatch.setattr(align, "LARGEST_SIDE", 64)  # coarse pixels, of 120
    hs, ms = observed(scene(240), gaussian_fwhm(2.4, 2), 2)
    ms = np.roll(ms, (1, -2), (1, 2))
    places = ({"crs": CRS, "transform": Affine(d, 0, 0, 0, -d, off)} for d, off in ((2.0, 0.0), (1.0, 1.0)))
    known = list(places) if georeferenced else [{}, {}]

    def found(hs_gap: slice = slice(0), ms_gap: slice = slice(0)) -> tuple[float, ...]:
        coarse, fine = hs.copy(), ms.copy()
        coarse[:, hs_gap, hs_gap], fine[:, ms_gap, ms_gap] = np.nan, np.nan
        cubes = [CubeImage(make_cube(image, **one)) for image, one in zip((coarse, fine), known, strict=True)]
        placement = place(*cubes, coregister="local" if frame == "ms" else "shift", frame=frame)
        if isinstance(placement, OnMS):
            return placement.offset_px_yx
        return placement.alignment.to_ms[2:6:3] if placement.alignment else placement.shift_px_yx

    whole = found()
    assert np.abs(whole).max() > 0.9
    for hs_gap, ms_gap in ((slice(60), slice(0)), (slice(0), slice(120)), (slice(28, 92), slice(0))):
        assert found(hs_gap, ms_gap) == pytest.approx(whole, abs=0.1)


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_an_hs_of_rows_or_columns_that_run_the_other_way_keeps_its_pixels(
    axes: tuple[int, ...], tmp_path: Path
) -> None:
    hs, ms = observed(scene(), gaussian_fwhm(4, 4))
    upright = make_cube(hs, crs=CRS, transform=Affine(40, 0, 1000, 0, -40, 9000))
    fine = make_cube(ms, crs=CRS, transform=Affine(10, 0, 1003, 0, -10, 9002))
    other = flipped(upright, axes)
    place_of, rows = transform_of(other), [slice(None, None, -1) if axis in axes else slice(None) for axis in (0, 1)]
    assert place_of is not None and (place_of.e > 0, place_of.a < 0) == (0 in axes, 1 in axes)
    np.testing.assert_array_equal(other.values, hs[:, rows[0], rows[1]])
    save_cube(other, tmp_path / "hs.tif")
    save_cube(fine, tmp_path / "ms.tif")
    expected = fuse(upright, fine, method="gsa")
    assert Record.of(expected).placement["warp"] is None
    np.testing.assert_array_equal(fuse(other, fine, method="gsa").values, expected.values)
    fuse_in_tiles(tmp_path / "hs.tif", tmp_path / "ms.tif", tmp_path / "sharp.tif", method="gsa")
    np.testing.assert_allclose(open_cube(tmp_path / "sharp.tif").values, expected.values, atol=1e-6)
    lazy = fuse(other.chunk({"band": -1}), fine.chunk({"band": -1}), method="gsa")
    np.testing.assert_allclose(lazy.values, expected.values, atol=1e-6)
