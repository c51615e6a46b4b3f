"""The viewer's numbers: where images lie, what is read of them, colours, maps, lines."""

import json
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from hypersharp.cube import make_cube
from hypersharp.errors import InputError
from hypersharp.io import save_cube
from hypersharp.quality.metrics import score
from hypersharp.viewer.pictures import (
    ONE,
    Look,
    Stretch,
    caption,
    composite_bands,
    detail,
    limits,
    make_map,
    map_names,
    matching_band,
    paint,
    rgba,
)
from hypersharp.viewer.readings import histogram, profile, spectra_at, table_of
from hypersharp.viewer.scene import Layer, Scene, named_files

NM = np.linspace(450, 900, 6)
FINE = np.random.default_rng(0).uniform(1, 9, (6, 24, 36)).astype("f4")
UTM = {"crs": "EPSG:32633", "transform": Affine(2, 0, 1000, 0, -2, 5000)}
COARSE_UTM = {"crs": "EPSG:32633", "transform": Affine(8, 0, 1000, 0, -8, 5000)}


def open_scene(folder: Path, **place: object) -> Scene:
    """hs, ms, a result with noise, its truth and its intervals."""
    coarse = {**place, **({"transform": COARSE_UTM["transform"]} if place else {})}
    noise = np.random.default_rng(1).normal(0, 0.1, FINE.shape).astype("f4")
    cubes = {
        "hs": make_cube(FINE.reshape(6, 6, 4, 9, 4).mean((2, 4)), wavelengths_nm=NM, **coarse),
        "ms": make_cube(FINE[[0, 2, 4]], wavelengths_nm=NM[[0, 2, 4]], **place),
        "sharp": make_cube(FINE + noise, wavelengths_nm=NM, **place),
        "truth": make_cube(FINE, wavelengths_nm=NM, **place),
        "uncertainty": make_cube(np.abs(noise), wavelengths_nm=NM, **place),
    }
    paths = {name: save_cube(cube, folder / f"{name}.tif") for name, cube in cubes.items()}
    scene = Scene()
    named = {name: paths[name] for name in ("hs", "ms", "truth", "uncertainty")}
    scene.open(named_files([paths["sharp"]], **named))
    return scene


@pytest.mark.parametrize("place", [{}, UTM], ids=["pixels", "map"])
def test_a_point_leads_to_the_pixel_of_each_image(tmp_path: Path, place: dict[str, object]) -> None:
    scene = open_scene(tmp_path, **place)
    row, column = 13, 30
    x, y = (1000 + 2 * column + 0.4, 5000 - 2 * row - 0.4) if place else (column + 0.2, -row - 0.2)
    found = {spectrum.layer.role: spectrum for spectrum in spectra_at(scene, x, y)}
    assert found["truth"].pixel == found["ms"].pixel == (row, column)
    assert found["hs"].pixel == (row // 4, column // 4)
    np.testing.assert_array_equal(found["truth"].values, FINE[:, row, column])
    np.testing.assert_allclose(
        found["result"].half_widths, np.abs(found["result"].values - found["truth"].values), atol=1e-5
    )
    assert found["hs"].half_widths is None
    assert spectra_at(scene, x + 1e6, y) == []
    assert len(table_of(list(found.values()))["value"]) == 3 * 6 + 3
    assert scene.unit == ("m" if place else "px")


def test_an_image_that_grows_northwards_is_turned(tmp_path: Path) -> None:
    flipped = {"crs": "EPSG:32633", "transform": Affine(2, 0, 1000, 0, 2, 4952)}
    up, down = tmp_path / "up.nc", tmp_path / "down.tif"
    save_cube(make_cube(FINE[:, ::-1], **flipped), up)
    save_cube(make_cube(FINE, **UTM), down)
    scene = Scene()
    layers = scene.open([(down, "image", None), (up, "image", None)])
    assert layers[0].box == layers[1].box
    assert layers[1].pixel_at(1001, 4999) == (23, 0)
    view = (1004.0, 4970.0, 1020.0, 4980.0)
    patches = [layer.patch([2], view, (50, 50)) for layer in layers]
    assert patches[0] and patches[1]
    assert patches[0].box == patches[1].box
    np.testing.assert_array_equal(patches[0].values, patches[1].values)


def test_what_is_not_on_the_map_lies_over_the_whole_of_it_and_says_so(tmp_path: Path) -> None:
    here, nowhere, elsewhere = (tmp_path / f"{name}.tif" for name in ("here", "nowhere", "elsewhere"))
    save_cube(make_cube(FINE, **UTM), here)
    save_cube(make_cube(FINE), nowhere)
    save_cube(make_cube(FINE, crs="EPSG:32634", transform=UTM["transform"]), elsewhere)
    scene = Scene()
    layers = scene.open([(path, "image", None) for path in (nowhere, here, elsewhere)])
    assert {layer.box for layer in layers} == {(1000, 4952, 1072, 5000)}
    assert [len(layer.notes) for layer in layers] == [1, 0, 1]
    assert "another CRS" in layers[2].notes[0]


def test_names_stay_apart(tmp_path: Path) -> None:
    path = save_cube(make_cube(FINE), tmp_path / "image.tif")
    scene = Scene()
    scene.open([(path, "image", None)])
    assert [layer.name for layer in scene.open([(path, "image", None)])] == ["image.tif (2)"]
    with pytest.raises(InputError, match="image 'nothing'"):
        scene.find("nothing")


def test_a_patch_is_what_the_view_shows(tmp_path: Path) -> None:
    truth = open_scene(tmp_path, **UTM).with_role("truth")[0]
    patch = truth.patch([1], (1009.0, 4975.0, 1016.5, 4981.0), (100, 100))
    assert patch is not None
    assert patch.box == (1008.0, 4974.0, 1018.0, 4982.0)
    np.testing.assert_array_equal(patch.values[0], FINE[1, 9:13, 4:9])
    assert truth.patch([1], (0.0, 0.0, 10.0, 10.0), (100, 100)) is None
    small = truth.patch([1], None, (6, 9))
    assert small is not None
    assert small.pixels_a_value == 4
    np.testing.assert_allclose(small.values[0], FINE[1].reshape(6, 4, 9, 4).mean((1, 3)), rtol=1e-6)


def test_maps_have_the_values_of_the_metrics(tmp_path: Path) -> None:
    scene = open_scene(tmp_path, **UTM)
    maps = map_names(scene)
    assert list(maps) == ["RMS error of sharp.tif", "Spectral angle of sharp.tif", "Predicted error, uncertainty.tif"]
    error, angle, half = (make_map(chosen, None, (24, 36)) for chosen in maps.values())
    assert error and angle and half
    result, truth, widths = scene.with_role("result", "truth", "uncertainty")
    estimate = result.source.values(None, None)
    scores = score(estimate / 10, truth.source.values(None, None) / 10, ratio=4, preset="float")
    np.testing.assert_allclose(np.sqrt((error.values**2).mean()) / 10, scores.rmse, rtol=1e-5)
    np.testing.assert_allclose(angle.values.mean(), scores.sam_deg, rtol=1e-4)
    np.testing.assert_allclose(half.values[0], widths.source.values(None, None).mean(0), rtol=1e-5)


def test_a_map_on_two_grids_takes_the_nearest_truth(tmp_path: Path) -> None:
    halves = FINE.repeat(2, 1).repeat(2, 2)
    fine = {"crs": "EPSG:32633", "transform": Affine(1, 0, 1000, 0, -1, 5000)}
    paths = tmp_path / "sharp.tif", tmp_path / "truth.tif"
    save_cube(make_cube(FINE, **UTM), paths[0])
    save_cube(make_cube(halves, **fine), paths[1])
    scene = Scene()
    scene.open([(paths[0], "result", None), (paths[1], "truth", None)])
    made = make_map(map_names(scene)["RMS error of sharp.tif"], None, (24, 36))
    assert made is not None
    np.testing.assert_array_equal(made.values, 0)


def test_missing_values_leave_the_others_of_a_pixel(tmp_path: Path) -> None:
    holes = FINE.copy()
    holes[0] = np.nan
    holes[:, 0, 0] = np.nan
    paths = (save_cube(make_cube(holes), tmp_path / "a.tif"), save_cube(make_cube(FINE + 2), tmp_path / "b.tif"))
    scene = Scene()
    scene.open([(paths[0], "result", None), (paths[1], "truth", None)])
    error, angle = (make_map(chosen, None, (24, 36)) for chosen in map_names(scene).values())
    assert error and angle
    assert np.isnan(error.values[0, 0, 0]) and np.isnan(angle.values[0, 0, 0])
    np.testing.assert_allclose(error.values[0, 1:], 2, rtol=1e-6)


def test_composites_find_their_bands_by_wavelength() -> None:
    nm = np.array([2200.0, 460, 550, 650, 620, 861])
    assert composite_bands("True colour", nm, 6) == (4, 2, 1)
    assert composite_bands("Colour infrared", nm, 6) == (5, 3, 2)
    assert composite_bands("Short-wave infrared", nm, 6) == (0, 5, 3)
    assert composite_bands("Colour infrared", nm[1:5], 4) is None
    assert composite_bands("True colour", None, 5) == (4, 2, 0)
    assert composite_bands("Colour infrared", None, 5) is None
    assert [matching_band(band, None, 3, None, 31) for band in range(3)] == [0, 15, 30]


def test_colours_run_from_black_to_white_and_missing_is_clear() -> None:
    values = np.linspace(0, 100, 101, dtype="f4").reshape(1, 1, 101).repeat(3, 0)
    between = limits(values, Stretch(10, 90, 1.0))
    assert between == ((10.0, 90.0),) * 3
    values[1, 0, 50] = np.nan
    pixels = rgba(values, between, 1.0, []).view("u1").reshape(101, 4)
    assert pixels[5].tolist() == [0, 0, 0, 255]
    assert pixels[95].tolist() == [255, 255, 255, 255]
    assert pixels[30].tolist() == [64, 64, 64, 255]
    assert pixels[50, 3] == 0
    single = rgba(values[:1], between[:1], 1.0, ["#000000", "#0a141e"]).view("u1").reshape(101, 4)
    assert single[100].tolist() == [10, 20, 30, 255]


def test_a_picture_of_a_constant_is_no_error(tmp_path: Path) -> None:
    path = save_cube(make_cube(np.ones((1, 4, 4), "f4")), tmp_path / "flat.tif")
    scene = Scene()
    (layer,) = scene.open([(path, "image", None)])
    made = paint(scene, layer.name, Look(ONE, (0, 0, 0), layer), {})
    assert np.isfinite(made.columns(made.base)["image"][0]).all()
    assert "flat.tif" in caption("A", made, made.limits)


def test_detail_is_read_only_where_it_shows_more(tmp_path: Path) -> None:
    values = np.random.default_rng(0).uniform(0, 1, (1, 1500, 1200)).astype("f4")
    path = save_cube(make_cube(values, **UTM), tmp_path / "large.tif")
    scene = Scene()
    (layer,) = scene.open([(path, "image", None)])
    made = paint(scene, layer.name, Look(ONE, (0, 0, 0), layer), {})
    assert made.base.values.shape == (1, 900, 720)
    assert detail(scene, made, layer.box, (700, 560)) is None
    close = detail(scene, made, (1100.0, 4600.0, 1300.0, 4700.0), (600, 800))
    assert close is not None
    np.testing.assert_array_equal(close.values[0], values[0, 150:200, 50:150])
    whole = detail(scene, made, layer.box, (3000, 3000))
    assert whole is not None
    assert whole.values.shape == (1, 1500, 1200)


def test_profiles_and_histograms_are_those_of_what_is_shown(tmp_path: Path) -> None:
    scene = open_scene(tmp_path, **UTM)
    patch = scene.with_role("truth")[0].patch([0, 3], None, (24, 36))
    assert patch is not None
    across, down = profile(patch, 1011, 4973, True), profile(patch, 1011, 4973, False)
    assert across and down
    np.testing.assert_array_equal(across[1], FINE[[0, 3], 13])
    np.testing.assert_array_equal(down[1], FINE[[0, 3], :, 5])
    assert across[0][:2].tolist() == [1001, 1003]
    assert down[0][:2].tolist() == [4999, 4997]
    assert profile(patch, 900, 4973, True) is None
    assert 98 < histogram(FINE[0])[1][1:-1:2].sum() <= 100
    assert not len(histogram(np.full((2, 2), np.nan, "f4"))[0])


def test_a_large_file_without_overviews_says_what_to_do(tmp_path: Path) -> None:
    import rasterio

    profile = {"driver": "GTiff", "width": 1100, "height": 4, "count": 1, "dtype": "uint8", **UTM}
    with rasterio.open(tmp_path / "wide.tif", "w", **profile) as gdal:
        gdal.write(np.ones((1, 4, 1100), "u1"))
    layers: list[Layer] = Scene().open([(tmp_path / "wide.tif", "image", None)])
    assert "gdaladdo" in layers[0].notes[0]


def test_a_displacement_that_the_result_records_is_a_map(tmp_path: Path) -> None:
    """Of what lies at row y and column x of the ms, here from its pixel (4, 8) on, 0.5 + y / 100 pixels down."""
    rows, columns = FINE.shape[1:]
    field = {"coefficients": [[0.5 + 0.5, 0.5, 0.0], [0.0, 0.0, 0.0]], "first_yx": [0, 0], "last_yx": [100, 100]}
    evidence = {"model": "affine", "largest_px": 1.5, "correlation_before": 0.9, "correlation_after": 0.99}
    evidence |= {"tie_points": [60, 64], "residual_px": 0.2}
    placement = {"window": [4, 8, rows, columns], "warp": {"field": field}, "evidence": evidence}
    plain, moved = make_cube(FINE, **UTM), make_cube(FINE, **UTM)
    save_cube(moved.assign_attrs(hypersharp=json.dumps({"placement": placement})), tmp_path / "moved.tif")
    save_cube(plain.assign_attrs(hypersharp="no JSON"), tmp_path / "plain.tif")
    scene = Scene()
    scene.open([(tmp_path / name, "result", None) for name in ("moved.tif", "plain.tif")])
    ((title, chosen),) = map_names(scene).items()
    assert title == "Displacement of moved.tif" and "60 of 64 tie points" in chosen.what
    made = make_map(chosen, None, (rows, columns))
    assert made is not None
    wanted = 0.5 + (np.arange(rows) + 4) / 100
    np.testing.assert_allclose(made.values[0], np.repeat(wanted[:, None], columns, 1), rtol=1e-5)
