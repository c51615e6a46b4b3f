"""An enlarged hs is taken back to its own pixels; any other is left as it is."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

import hypersharp as hsp
from hypersharp.cube import make_cube
from hypersharp.io.image import CubeImage
from hypersharp.numerics.enlarged import enlargement
from hypersharp.pair.native import native_image
from hypersharp.pair.place import place
from hypersharp.pair.record import Record, placed_as
from hypersharp.sensor.observe import Sensor, add_noise
from hypersharp.sensor.psf import gaussian_fwhm

pytest.importorskip("rasterio")
Floats = NDArray[np.float32]
RATIO, SIDE, PITCH = 4, 128, 1.3


def truth() -> Floats:
    draw = np.random.default_rng(0)
    shares = np.exp(4 * (fields := gaussian_filter(draw.normal(size=(4, SIDE, SIDE)), (0, 2, 2))) / fields.std())
    return np.tensordot(draw.uniform(0.05, 0.9, (8, 4)), shares / shares.sum(0), 1).astype(np.float32)


def between(places: NDArray[np.float64], count: int, kind: str) -> Floats:
    """(n, count): interpolation at n places among count lines, repeated beyond the last."""
    apart = np.abs(np.clip(places, 0, count - 1)[:, None] - np.arange(count))
    nearest = np.eye(count)[np.argmin(apart, axis=1)]
    return (nearest if kind == "nearest" else np.clip(1 - apart, 0, None)).astype(np.float32)


def enlarged(native: Floats, kind: str, first: float = 0.2, pitch: float = PITCH) -> Floats:
    """As many lines as a pixel of size 1 has where those of native (L, h, w) are of size `pitch`."""
    ways = [between(first + np.arange(int(size * pitch - 1)) / pitch, size, kind) for size in native.shape[1:]]
    return np.einsum("jy,byx,kx->bjk", ways[0], native, ways[1]).astype(np.float32)


def noise(shape: tuple[int, ...] = (5, 24, 20), seed: int = 0) -> Floats:
    return np.random.default_rng(seed).uniform(0.1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("kind", ["nearest", "bilinear"])
@pytest.mark.parametrize(("first", "pitch"), [(0.0, 1.15), (0.41, 1.5), (-0.3, 2.0), (0.2, 3.3)])
def test_native_lines_are_found(kind: str, first: float, pitch: float) -> None:
    native = noise()
    shown = enlarged(native, kind, first, pitch)
    found = native_image(CubeImage(make_cube(shown)))
    assert found is not None
    corner = found.to_given @ (0.5, 0.5)  # the middle of its first pixel among those that were given
    start = round(first + (corner[1] - 0.5) / pitch)
    inside = found.values.values[:, 2:-2, 2:-2]
    rows, columns = inside.shape[1:]
    assert rows >= native.shape[1] - 6 and columns >= native.shape[2] - 6
    own = native[:, start + 2 : start + 2 + rows, start + 2 : start + 2 + columns]
    np.testing.assert_allclose(inside, own, atol=2e-4)
    exact = 2e-3 if kind == "bilinear" else 1.0  # nearest: whole lines bound the places, they do not tell them
    assert np.allclose(corner, 0.5 + pitch * (start - first), atol=exact)
    assert np.allclose([found.to_given.a, found.to_given.e], pitch, atol=0.1 if kind == "nearest" else 1e-3)


def test_one_direction_may_be_enlarged_alone_and_numbers_may_be_whole() -> None:
    native = (1000 * noise()).astype(np.int16)
    shown = np.einsum("jy,byx->bjx", between(np.arange(30) / 1.3, 24, "bilinear"), native).round().astype(np.int16)
    found = native_image(CubeImage(make_cube(shown)))
    assert found is not None and found.values.dtype == np.int16
    assert found.values.shape[2] == 20 and found.to_given.a == 1 and found.to_given.e == pytest.approx(1.3, abs=0.01)
    assert np.abs(found.values.values[:, 2:-2].astype(int) - native[:, 2 : found.values.shape[1] - 2]).max() <= 4


@pytest.mark.parametrize("kind", ["noise", "smooth", "mixed", "constant", "stripes", "cubic", "turned", "gaps"])
def test_an_hs_that_was_not_enlarged_so_is_left_as_it_is(kind: str) -> None:
    native, whole = noise(), truth()[:, ::4, ::4]
    y, x = np.indices((32, 32)) / 31
    gappy = enlarged(native, "nearest")
    gappy[:, 3, 4] = np.nan
    maps = np.stack([np.sin(9 * y + 2 * x), np.cos(7 * x * y + 1), np.sin(20 * x * (1 - y))])[:, ::3, ::3]
    hs = {
        "noise": native,
        "mixed": np.tensordot(noise((5, 3, 1))[..., 0], maps, 1),
        "smooth": np.stack([np.sin((band + 1) * y) * np.cos(band * x) for band in range(5)]),
        "constant": np.ones((5, 20, 20)),
        "stripes": np.broadcast_to(native[:, :, :1], (5, 24, 20)),
        "cubic": np.stack([gaussian_filter(band, 1.0) for band in whole]),
        "turned": np.stack([np.roll(row, i // 3, 1) for i, row in enumerate(np.moveaxis(whole, 1, 0))], 1),
        "gaps": gappy,
    }[kind].astype(np.float32)
    assert [enlargement(hs, axis) for axis in (1, 2)] == [None, None]
    assert native_image(CubeImage(make_cube(hs))) is None


@pytest.fixture(scope="module")
def pair() -> dict[str, tuple[Floats, Floats]]:
    """hs by kind and ms of one scene: native pixels 1.25 times as large as those of hs."""
    scene = torch.from_numpy(truth())
    step, count = RATIO * 1.25, SIDE // RATIO
    blur = gaussian_fwhm(round(step), 1, boundary="reflect")
    places = np.arange(1.0, SIDE, step)
    own = between(places, SIDE, "bilinear")
    seen = np.einsum("jy,byx,kx->bjk", own, Sensor(blur, np.eye(8), 1).hs(scene).numpy(), own)
    native = add_noise(torch.from_numpy(seen), 40, 1).numpy()
    middles = (RATIO * np.arange(count) + (RATIO - 1) / 2 - places[0]) / step
    ms = add_noise(Sensor(blur, np.kron(np.eye(4), [[0.5, 0.5]]), 1).ms(scene), 40, 2).numpy()
    hs = {}
    for kind in ("nearest", "bilinear"):
        way = between(middles, len(places), kind)
        hs[kind] = np.einsum("jy,byx,kx->bjk", way, native, way).astype(np.float32), ms
    return hs


def error(result: NDArray[np.floating]) -> float:
    inside = (slice(None), slice(8, -8), slice(8, -8))
    return float(np.sqrt(np.square(result[inside] - truth()[inside]).mean()))


@pytest.mark.parametrize("kind", ["nearest", "bilinear"])
def test_a_result_of_an_enlarged_hs_lies_on_ms_and_is_made_of_its_own_pixels(
    pair: dict[str, tuple[Floats, Floats]], kind: str
) -> None:
    hs, ms = (make_cube(image) for image in pair[kind])
    found = hsp.fuse(hs, ms, method="gsa")
    record = Record.of(found)
    assert found.shape == (8, SIDE, SIDE) and np.isfinite(found.values).all()
    assert f"hs was enlarged by {'nearest-neighbour' if kind == 'nearest' else 'bilinear'} interpolation" in str(record)
    assert "times their noise" not in str(record) and record.placement["native"]
    repeated = place(CubeImage(hs), CubeImage(ms), known=dict(record.placement)).read((0, 0, 32, 32))[0]
    np.testing.assert_array_equal(placed_as(found, hs, ms).placement.read((0, 0, 32, 32))[0], repeated)
    as_given = hsp.fuse(hs, ms, method="gsa", frame="hs")  # on the pixels of hs, which stay as they are
    assert error(found.values) < (0.7 if kind == "nearest" else 0.95) * error(as_given.values)


def test_files_with_a_place_are_taken_back_as_arrays_are(
    tmp_path: Path, pair: dict[str, tuple[Floats, Floats]]
) -> None:
    from affine import Affine

    hs, ms = pair["nearest"]
    names, corner = (tmp_path / "hs.tif", tmp_path / "ms.tif"), Affine.translation(5e5, 5e6)
    for name, image, size in zip(names, (hs, ms), (RATIO * 5, 5), strict=True):
        hsp.save(make_cube(image, crs=32633, transform=corner @ Affine.scale(size, -size)), name)
    placed, plain = hsp.fuse(*names, method="gsa"), hsp.fuse(make_cube(hs), make_cube(ms), method="gsa")
    np.testing.assert_allclose(placed.values, plain.values, atol=1e-5)
    assert placed.rio.transform() == corner @ Affine.scale(5, -5)
