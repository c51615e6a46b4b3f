"""hypersharp.plot, show and cube.hyper: what they show is what the cubes hold, wherever these come from."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from affine import Affine
from matplotlib.figure import Figure
from PIL import Image

import hypersharp as hsp
from hypersharp.cube import make_cube
from hypersharp.errors import CallError, InputError
from hypersharp.plot.colour import component_mix, composite, infrared_mix, true_mix
from hypersharp.plot.places import find_pixel, parse_point, same_place

NM = np.linspace(420, 920, 26)
PLACE = Affine(10, 0, 500_000, 0, -10, 5_800_000)


def scene(side: int = 24, seed: int = 0, step: int = 1, nm: np.ndarray | None = NM) -> xr.DataArray:
    """A georeferenced cube whose pixels are `step` times 10 m wide."""
    bands = 26 if nm is None else len(nm)
    values = np.random.default_rng(seed).uniform(0.1, 0.9, (bands, side, side)).astype(np.float32)
    return make_cube(values, wavelengths_nm=nm, crs="EPSG:32633", transform=PLACE @ Affine.scale(step))


def test_vegetation_is_red_in_infrared_and_missing_pixels_stay_missing() -> None:
    leaf = np.where(NM > 700, 0.5, 0.05)[:, None, None] * np.ones((26, 3, 3))
    leaf[:, 0, 0] = np.nan
    mix = infrared_mix(NM)
    assert mix is not None
    shown = composite(make_cube(leaf, wavelengths_nm=NM), mix, (0.0, 0.6))
    assert (shown[1:, :, 0] > 2 * shown[1:, :, 1]).all()
    assert np.isnan(shown[0, 0]).all()
    assert np.isfinite(shown).sum() == 3 * 8


def test_unusable_bands_are_no_part_of_a_composite() -> None:
    cube = scene()
    values = cube.values.copy()
    values[5] = np.nan
    flags = np.arange(26) != 7
    spoilt = make_cube(values, wavelengths_nm=NM, good_bands=flags)
    kept = flags & (np.arange(26) != 5)
    plain = make_cube(values[kept], wavelengths_nm=NM[kept])
    mix = true_mix(NM[kept], int(kept.sum()))
    np.testing.assert_array_equal(composite(spoilt, mix), composite(plain, mix))


def test_principal_components_are_those_of_the_covariance() -> None:
    rng = np.random.default_rng(1)
    axes = np.linalg.qr(rng.standard_normal((8, 8)))[0][:3]
    strengths = np.array([3.0, 2, 1])[:, None] * rng.standard_normal((3, 900))
    mix = component_mix(make_cube((axes.T @ strengths).reshape(8, 30, 30)))
    assert mix is not None
    assert (np.abs((mix.weights * axes).sum(1)) > 0.98).all()
    assert component_mix(scene(nm=NM[:2])) is None


@pytest.mark.parametrize("kind", ["true", "infrared", "components"])
def test_composites_show_every_image(kind: str) -> None:
    figure = hsp.plot.composites({"a": scene(), "b": scene(8)}, kind)
    assert isinstance(figure, Figure)
    assert [axes.get_title().split("\n")[0] for axes in figure.axes] == ["a", "b"]
    assert [axes.images[0].get_array().shape[:2] for axes in figure.axes] == [(24, 24), (8, 8)]


def test_what_bands_cannot_show_is_said() -> None:
    visible = scene(nm=NM[:10])
    with pytest.raises(InputError, match="near infrared"):
        hsp.plot.composites(visible, "infrared")
    with pytest.raises(InputError, match="components"):
        hsp.plot.composites(visible, "component")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="axes"):
        hsp.plot.composites(xr.DataArray(np.zeros((3, 3))))


def test_spectra_are_those_of_the_pixels_each_on_its_own_grid() -> None:
    hs, sharp = scene(6, 1, step=4), scene(24, 2)
    figure = hsp.plot.spectra({"hs": hs, "result": sharp}, [(9, 14), (500_095.0, 5_799_855.0)])
    for axes in figure.axes:  # the second place is the first, on the map
        lines = {line.get_label(): line.get_ydata() for line in axes.lines}
        np.testing.assert_allclose(lines["hs"], hs.values[:, 3, 2])
        np.testing.assert_allclose(lines["result"], sharp.values[:, 14, 9])
    with pytest.raises(InputError, match="no place"):
        hsp.plot.spectra(hs, [])


def test_comparison_error_map_sensor_and_uncertainty_are_drawn() -> None:
    rng = np.random.default_rng(0)
    truth = make_cube(rng.random((6, 1, 1)) * rng.random((1, 64, 64)), wavelengths_nm=np.linspace(450, 700, 6))
    protocol = hsp.simulate(truth, find_sensor(truth))
    hs, ms, truth = protocol
    sharp = hsp.fuse(hs, ms, method="glp", consistent=False, coregister="none")
    figure = hsp.plot.comparison(hs, ms, sharp, truth, [(3, 4), (40, 50)])
    assert len([axes for axes in figure.axes if axes.images]) == 4 + 2  # pictures and error maps
    assert len(hsp.plot.error_map(sharp, truth).axes) == 4
    assert {axes.get_title() for axes in hsp.plot.sensor(hs, ms).axes} >= {"blur", "response", "residual"}
    error = make_cube(np.full(sharp.shape, 0.1, np.float32))
    assert hsp.plot.uncertainty(sharp, error, truth).axes[0].images


def test_figures_of_images_without_one_whole_pixel_in_common_are_empty_or_refused() -> None:
    left, right, torn = (scene().copy() for _ in range(3))
    left[..., 12:], right[..., :12], torn[0, :12], torn[1, 12:] = (np.nan,) * 4
    assert hsp.plot.error_map(left, right).axes and hsp.plot.error_map({"a": left, "b": left}, right).axes
    assert hsp.plot.composites(torn).axes
    with pytest.raises(InputError, match="half-widths without one band"):
        hsp.plot.uncertainty(left, left * np.nan)


def test_figures_have_one_name_each_and_the_one_of_0_1() -> None:
    assert set(hsp.plot.__all__) == set(dir(hsp.plot))
    assert hsp.plot.trust is hsp.plot.uncertainty
    with pytest.raises(AttributeError, match="no attribute 'composit'"):
        _ = hsp.plot.composit
    rooms = {path.stem for path in Path(hsp.plot.__file__).parent.glob("*.py")}
    assert not rooms & set(hsp.plot.__all__)


def find_sensor(truth: xr.DataArray) -> object:
    from hypersharp.sensor.observe import Sensor
    from hypersharp.sensor.psf import gaussian

    rows = np.array([[0.5, 0.5, 0, 0, 0, 0], [0, 0, 0.5, 0.5, 0, 0], [0, 0, 0, 0, 0.5, 0.5]])
    return Sensor(gaussian(7, 1.5, ratio=4), rows, 4)


def test_places_are_pixels_or_map_coordinates() -> None:
    cube = scene()
    assert find_pixel((3, 5), cube) == (5, 3)
    assert find_pixel((np.int64(3), np.int64(5)), cube) == (5, 3)
    assert find_pixel((500_035.0, 5_799_945.0), cube) == (5, 3)
    assert find_pixel((500_035, 5_799_945), cube) == (5, 3)  # too large for pixels
    with pytest.raises(InputError, match="0,0 to 23,23"):
        find_pixel((3.0, 5.0), cube)
    with pytest.raises(InputError, match="outside"):
        find_pixel((30, 5), make_cube(cube.values, transform=Affine.scale(100)))  # no CRS: not taken for metres
    assert parse_point("3,5") == (3, 5)
    assert isinstance(parse_point("3,5")[0], int)
    assert isinstance(parse_point("3.0,5")[0], float)


@pytest.mark.parametrize("text", ["", "3", "3,4,5", "x,y", "3;4", "nan,1"])
def test_what_is_no_point_is_refused(text: str) -> None:
    with pytest.raises(CallError, match="X,Y"):
        parse_point(text)


def test_the_same_place_is_found_on_another_grid() -> None:
    fine, coarse = scene(24), scene(6, step=4)
    assert same_place((14, 9), fine, coarse) == (3, 2)
    assert same_place((23, 23), fine, scene(3, step=4)) is None
    plain = make_cube(coarse.values)
    assert same_place((14, 9), fine, plain) == (3, 2)
    elsewhere = make_cube(coarse.values, crs="EPSG:4326", transform=Affine(0.1, 0, 13, 0, -0.1, 52))
    assert same_place((14, 9), fine, elsewhere) is None


def test_show_says_what_is_known_of_a_cube() -> None:
    shown = repr(hsp.show(scene()))
    assert "24 × 24 pixels, 26 bands" in shown
    assert "420 to 920 nm" in shown
    assert "EPSG:32633" in shown
    with pytest.raises(InputError, match="axes"):
        hsp.show(xr.DataArray(np.zeros((3, 3))))


def test_hyper_is_a_thumbnail_with_facts(tmp_path) -> None:
    cube = scene(500)
    page = cube.hyper._repr_html_()
    assert "420 to 920 nm" in page
    assert re.search(r'alt="[^"]+"', page)
    picture = re.search(r"data:image/png;base64,([^\"]+)", page)
    assert picture
    import base64
    import io

    assert max(Image.open(io.BytesIO(base64.b64decode(picture[1]))).size) <= 400
    lazy = cube.chunk({"y": 100})
    assert lazy.hyper._repr_html_() == page
    assert cube.attrs.keys() == {*()}


def test_hyper_knows_bands_by_wavelength() -> None:
    cube = scene()
    np.testing.assert_array_equal(cube.hyper.at(651).values, cube.values[np.abs(NM - 651).argmin()])
    np.testing.assert_array_equal(cube.hyper.wavelengths_nm, NM)
    assert isinstance(cube.hyper.composite("infrared"), Figure)
    assert isinstance(cube.hyper.spectra([(1, 2)]), Figure)
    with pytest.raises(InputError, match="without wavelengths"):
        make_cube(cube.values).hyper.at(650)


def test_hyper_is_there_once_anything_of_hypersharp_is_used() -> None:
    code = "import hypersharp as hsp, xarray as xr; hsp.open; print(hasattr(xr.DataArray([1.0]), 'hyper'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_a_window_or_a_cube_with_an_empty_band_is_shown() -> None:
    cube = scene()
    cube[3] = np.nan
    assert hsp.show(cube)._repr_html_()
    whole, mix = scene(), true_mix(NM, len(NM))
    whole[3, :8] = 0
    assert composite(whole[:, :8], mix).shape == (8, 24, 3)
