"""Bands of an image that lie off each other are moved onto each other as they are read; others stay as they are."""

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import shift

from hypersharp.cube import make_cube
from hypersharp.fusion.fuse import fuse
from hypersharp.io.image import CubeImage
from hypersharp.pair.align import align
from hypersharp.pair.bands import MovedBands
from hypersharp.pair.place import place
from hypersharp.pair.record import Record, placed_as
from hypersharp.sensor.psf import box, gaussian_fwhm
from hypersharp.sensor.srf import gaussian_srf
from hypersharp.sensor.tables import FloatArray
from test_registration import NM, observed, textured

RATIO, SIDE_PX, MS_NM = 4, 112, [480, 560, 660, 850]
CAMERAS = [(0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.8, -0.6)]  # how far down and right each camera's band lies
Cubes = tuple[xr.DataArray, xr.DataArray]


def pair(off: list[tuple[float, float]]) -> Cubes:
    truth = textured(SIDE_PX, SIDE_PX)
    hs, ms = observed(truth, gaussian_fwhm(RATIO, RATIO), gaussian_srf(MS_NM, 80, NM), RATIO)
    return make_cube(hs, wavelengths_nm=NM), make_cube(apart(ms, off), wavelengths_nm=MS_NM)


def apart(bands: FloatArray, off: list[tuple[float, float]]) -> FloatArray:
    return np.array([shift(band, way, order=3, mode="nearest") for band, way in zip(bands, off, strict=True)])


def lines(hs: xr.DataArray, ms: xr.DataArray, **options: str) -> str:
    return "\n".join(place(CubeImage(hs), CubeImage(ms), **options).notes)


def test_a_camera_of_its_own_is_moved_onto_the_others() -> None:
    """The others keep their pixels, and no affine map is taken for what one camera is off."""
    hs, ms = pair(CAMERAS)
    placed = place(CubeImage(hs), CubeImage(ms))
    (note,) = placed.notes
    assert note.startswith("ms bands lay up to 1 fine pixels off each other: band 4 (+0.8")
    assert isinstance(placed.ms, MovedBands)
    np.testing.assert_allclose(placed.ms.off_px_yx, CAMERAS, atol=0.05)
    seen, straight = placed.read(placed.everything)[1], pair([(0.0, 0.0)] * 4)[1]
    assert (seen.values[:3] == ms.values[:3]).all()
    kept = np.isfinite(seen.values[3])
    assert not kept.all() and kept[:-1, 1:].all()  # what it does not show
    off = (np.abs(image.values[3] - straight.values[3])[4:-4, 4:-4].mean() for image in (seen, ms))
    assert next(off) < 0.2 * next(off)


def test_where_no_two_lie_together_all_are_moved_to_their_mean() -> None:
    hs, ms = pair([(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)])
    text = lines(hs, ms)
    assert "up to 1.4 fine pixels off each other: bands 1 (-0.5" in text and "co-registered" not in text
    assert "up to 1.4 fine pixels" in lines(hs, ms, frame="hs")


def test_bands_that_lie_together_stay() -> None:
    """Wherever they lie on hs, and whatever they show; nor is anything looked for that is not asked for."""
    straight = [(0.0, 0.0)] * 4
    assert "ms bands lay" not in lines(*pair(straight))
    assert "ms bands lay" not in lines(*pair([(0.7, -0.4)] * 4))
    hs, ms = pair(straight)
    noise = ms.copy(data=np.where(np.arange(4)[:, None, None] == 1, textured(SIDE_PX, SIDE_PX, 5)[0], ms.values))
    assert "ms bands lay" not in lines(hs, noise)
    assert lines(*pair(CAMERAS), coregister="none") == ""


def test_bands_of_hs_that_lie_off_each_other_move_no_band_of_ms() -> None:
    truth = textured(SIDE_PX, SIDE_PX)
    slanted = apart(truth, [(0.0, 2.0 * band / len(NM)) for band in range(len(NM))])
    srf = gaussian_srf(MS_NM, 80, NM)
    hs, ms = observed(slanted, box(RATIO), srf, RATIO)[0], observed(truth, box(RATIO), srf, RATIO)[1]
    text = lines(make_cube(hs, wavelengths_nm=NM), make_cube(ms, wavelengths_nm=MS_NM))
    assert "co-registered" in text and "ms bands lay" not in text


@pytest.mark.parametrize("frame", ["ms", "hs"])
def test_windows_show_what_the_whole_does_and_a_record_tells_it_again(frame: str) -> None:
    hs, ms = pair(CAMERAS)
    placed = place(CubeImage(hs), CubeImage(ms), frame=frame)
    again = place(CubeImage(hs), CubeImage(ms), known=placed.described())
    whole, (y, x, size) = placed.read(placed.everything)[1].values, (7, 12, 11)
    for one in (placed, again):
        part = one.read((y, x, size, size))[1].values
        own = whole[:, y * RATIO : (y + size) * RATIO, x * RATIO : (x + size) * RATIO]
        np.testing.assert_allclose(part, own, rtol=1e-5)
    assert again.ms.origin.outline() is ms


def two_spectrometers(off_px: float, *, drifts: bool = False) -> tuple[xr.DataArray, xr.DataArray]:
    """hs whose bands from the tenth on lie so many of its pixels further down, or ever further, and a straight ms."""
    truth, srf, last = textured(SIDE_PX, SIDE_PX), gaussian_srf(MS_NM, 80, NM), len(NM) - 1
    downs = [off_px * (band / last if drifts else band >= 9) for band in range(len(NM))]
    hs = observed(apart(truth, [(RATIO * down, 0.0) for down in downs]), gaussian_fwhm(RATIO, RATIO), srf, RATIO)[0]
    ms = observed(truth, gaussian_fwhm(RATIO, RATIO), srf, RATIO)[1]
    return make_cube(hs, wavelengths_nm=NM), make_cube(ms, wavelengths_nm=MS_NM)


@pytest.mark.parametrize(("off_px", "drifts"), [(1.0, False), (0.5, False), (1.0, True)])
def test_bands_of_hs_that_lie_off_the_others_are_moved_there(off_px: float, drifts: bool) -> None:
    """Two spectrometers that are a pixel or half of one apart, or a keystone; a line says which bands, and how far."""
    hs, ms = two_spectrometers(off_px, drifts=drifts)
    placed = place(CubeImage(hs), CubeImage(ms))
    which = "hs bands 1-7, 14-20 (400 to 580 nm, 790 to 970 nm) lay" if drifts else "hs bands 1-9 (400 to 640 nm) lay"
    assert any(note.startswith(which) and "hs pixels off the others" in note for note in placed.notes)
    assert isinstance(placed.hs, MovedBands)
    between = np.ptp(placed.hs.off_px_yx, axis=0)
    np.testing.assert_allclose(between, (off_px, 0.0), atol=0.15)
    assert np.isfinite(placed.hs.cube().values).all()
    again = place(CubeImage(hs), CubeImage(ms), known=placed.described())
    np.testing.assert_allclose(again.read((3, 4, 9, 8))[0], placed.read(placed.everything)[0][:, 3:12, 4:12], rtol=1e-5)


def test_hs_bands_that_lie_together_stay() -> None:
    """Also where one shows something else, or nothing is asked for; and where hs keeps its pixels, which is told."""
    hs, ms = two_spectrometers(0.0)
    other = hs.copy(data=np.where(np.arange(len(NM))[:, None, None] == 3, textured(28, 28, 5)[0], hs.values))
    assert "hs pixels off" not in lines(hs, ms) + lines(other, ms)
    hs, ms = two_spectrometers(1.0)
    assert lines(hs, ms, coregister="none") == ""
    placed = place(CubeImage(hs), CubeImage(ms), frame="hs")
    assert placed.hs.cube() is hs and "left so" in placed.notes[0]
    assert any("hs bands 1-9" in note and "left so" in note for note in align(hs, ms).notes)


def test_a_result_is_as_good_as_that_of_bands_that_lie_together() -> None:
    (straight, ms), slipped = two_spectrometers(0.0), two_spectrometers(1.0)[0]
    made = [fuse(hs, ms, method="gsa").values[:, 8:-8, 8:-8] for hs in (straight, slipped)]
    assert np.abs(made[1] - made[0]).mean() < 0.02 * made[0].std()


@pytest.mark.parametrize("moved", ["hs", "ms"])
def test_what_is_fused_lazily_is_what_is_fused_at_once(moved: str) -> None:
    pytest.importorskip("dask")
    hs, ms = pair(CAMERAS) if moved == "ms" else two_spectrometers(1.0)
    whole = fuse(hs, ms, method="glp")
    parts = fuse(hs, ms.chunk({"y": 56, "x": 56}), method="glp").compute()
    assert any(line.startswith(f"{moved} bands") for line in Record.of(whole).placed)
    assert isinstance(getattr(placed_as(whole, hs, ms).placement, moved), MovedBands)
    np.testing.assert_allclose(parts.values[:, 4:-4, 4:-4], whole.values[:, 4:-4, 4:-4], atol=2e-3 * float(hs.max()))
