"""MATLAB files: versions, variables and the order of axes."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from hypersharp.cube import wavelengths_nm
from hypersharp.errors import CallError, InputError
from hypersharp.io import open_cube

CUBE = np.arange(60.0).reshape(3, 4, 5)  # bands, rows, columns
HWL = CUBE.transpose(1, 2, 0)


def v5(path: Path, **variables: object) -> Path:
    scipy.io.savemat(path, variables)
    return path


def v73(path: Path, **variables: np.ndarray) -> Path:
    """As MATLAB writes it: axes reversed, the class in an attribute."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in variables.items():
            file[name] = np.asarray(array).T
            file[name].attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return path


@pytest.mark.parametrize("save", [v5, v73])
@pytest.mark.parametrize("options", [{"layout": "hwl"}, {"layout": "hwl", "variable": "x"}])
def test_the_only_image_is_found(save: Callable[..., Path], options: dict[str, str], tmp_path: Path) -> None:
    path = save(tmp_path / "image.mat", x=HWL, note=np.ones((1, 7)))
    np.testing.assert_array_equal(open_cube(path, **options).values, CUBE)


@pytest.mark.parametrize("save", [v5, v73])
def test_bands_last_or_first_are_told_apart(save: Callable[..., Path], tmp_path: Path) -> None:
    square = np.arange(48.0).reshape(3, 4, 4)
    for layout, array in (("hwl", square.transpose(1, 2, 0)), ("lhw", square)):
        np.testing.assert_array_equal(open_cube(save(tmp_path / f"{layout}.mat", x=array)).values, square)
    listed = save(tmp_path / "listed.mat", x=HWL, wavelength=np.array([[450.0, 550.0, 650.0]]))
    cube = open_cube(listed)
    np.testing.assert_array_equal(cube.values, CUBE)
    assert wavelengths_nm(cube).tolist() == [450, 550, 650]
    np.testing.assert_array_equal(open_cube(save(tmp_path / "custom.mat", x=HWL)).values, CUBE)
    with pytest.raises(InputError, match="layout hwl"):  # three bands first, or three rows?
        open_cube(save(tmp_path / "unclear.mat", x=np.ones((3, 14, 15))))


@pytest.mark.parametrize("save", [v5, v73])
def test_the_cube_is_read_where_the_others_are_maps_of_its_pixels(save: Callable[..., Path], tmp_path: Path) -> None:
    path = save(tmp_path / "scene.mat", scene=HWL, labels=np.ones((4, 5)), bands=np.array([[450.0, 550.0, 650.0]]))
    with pytest.warns(UserWarning, match="'scene' is read .* not labels"):
        cube = open_cube(path)
    np.testing.assert_array_equal(cube.values, CUBE)
    assert wavelengths_nm(cube).tolist() == [450, 550, 650]  # in a list called bands, as ICVL has it


def test_a_file_of_h5py_is_read_in_pythons_order(tmp_path: Path) -> None:
    """Without MATLAB's mark nothing has turned the axes; its mark may be text as well as bytes."""
    image = np.random.default_rng(0).random((3, 6, 6))
    with h5py.File(tmp_path / "python.mat", "w") as file:
        file["hsi"] = image.transpose(1, 2, 0)
    with h5py.File(tmp_path / "marked.mat", "w") as file:
        file["hsi"] = image.transpose(0, 2, 1)
        file["hsi"].attrs["MATLAB_class"] = "double"
    for name in ("python.mat", "marked.mat"):
        np.testing.assert_array_equal(open_cube(tmp_path / name).values, image)


@pytest.mark.parametrize("save", [v5, v73])
def test_several_images_are_listed(save: Callable[..., Path], tmp_path: Path) -> None:
    path = save(tmp_path / "two.mat", hs=np.ones((4, 4, 9)), ms=np.ones((8, 8, 3)), mask=np.ones((8, 8)))
    with pytest.raises(InputError, match=r"hs 4x4x9.*variable="):
        open_cube(path)
    assert open_cube(path, variable="ms").shape == (3, 8, 8)
    assert open_cube(path, variable="mask").shape == (1, 8, 8)
    with pytest.raises(InputError, match="did you mean hs"):
        open_cube(path, variable="hss")
    with pytest.raises(CallError, match="layout"):
        open_cube(path, variable="hs", layout="xyz")


@pytest.mark.parametrize("save", [v5, v73])
def test_bands_x_pixels_count_down_the_columns(save: Callable[..., Path], tmp_path: Path) -> None:
    rows, columns = 5, 80
    cube = np.random.default_rng(0).random((6, rows, columns))
    spectra = cube.transpose(0, 2, 1).reshape(6, -1)  # column-major
    path = save(tmp_path / "spectra.mat", Y=spectra)
    np.testing.assert_array_equal(open_cube(path, shape_yx=(rows, columns)).values, cube)
    with pytest.raises(InputError, match="shape_yx"):
        open_cube(path)
    transposed = save(tmp_path / "pixels.mat", Y=spectra.T)
    np.testing.assert_array_equal(open_cube(transposed, shape_yx=(rows, columns)).values, cube)
    counted = save(tmp_path / "counted.mat", Y=spectra, A=spectra[:2], nRow=rows, nCol=columns, nBand=6)
    np.testing.assert_array_equal(open_cube(counted).values, cube)
    with pytest.raises(InputError, match="shape_yx"):
        open_cube(path, shape_yx=(3, 3))


def struct_v73(path: Path, **fields: np.ndarray) -> Path:
    """A struct S as MATLAB writes it: a group of arrays."""
    v73(path, note=np.ones((1, 7)))
    with h5py.File(path, "r+") as file:
        for name, array in fields.items():
            file[f"S/{name}"] = np.asarray(array).T
            file[f"S/{name}"].attrs["MATLAB_class"] = np.bytes_("double")
    return path


def struct_v5(path: Path, **fields: np.ndarray) -> Path:
    return v5(path, note=np.ones((1, 7)), S=fields)


@pytest.mark.parametrize("save", [struct_v5, struct_v73])
def test_a_field_of_a_struct_is_found_or_named(save: Callable[..., Path], tmp_path: Path) -> None:
    """With what lies beside it; a window of it, too."""
    nm = np.array([450.0, 550.0, 650.0])
    one = save(tmp_path / "one.mat", cube=HWL, wavelength=nm[None])
    for options in ({"layout": "hwl"}, {"layout": "hwl", "variable": "S.cube"}, {}):
        cube = open_cube(one, **options)
        np.testing.assert_array_equal(cube.values, CUBE)
        np.testing.assert_array_equal(wavelengths_nm(cube), nm)
    np.testing.assert_array_equal(open_cube(one, layout="hwl", window=(1, 1, 2, 3)).values, CUBE[:, 1:3, 1:4])
    two = save(tmp_path / "two.mat", a=HWL, b=HWL + 1)
    with pytest.raises(InputError, match=r"2 possible images .*S.a 4x5x3, S.b 4x5x3"):
        open_cube(two)
    np.testing.assert_array_equal(open_cube(two, layout="hwl", variable="S.b").values, CUBE + 1)
    with pytest.raises(InputError, match=r"S\.a"):
        open_cube(two, variable="S.c")


def test_cells_are_counted_and_an_image_outside_goes_first(tmp_path: Path) -> None:
    cell = np.empty((1, 2), object)
    cell[0, 0], cell[0, 1] = HWL, np.ones((3, 1))
    path = v5(tmp_path / "cell.mat", C=cell)
    np.testing.assert_array_equal(open_cube(path, layout="hwl", variable="C{1}").values, CUBE)
    both = v5(tmp_path / "both.mat", x=HWL, S={"cube": HWL + 1})
    np.testing.assert_array_equal(open_cube(both, layout="hwl").values, CUBE)
    np.testing.assert_array_equal(open_cube(both, layout="hwl", variable="S.cube").values, CUBE + 1)


def test_what_holds_no_image_is_refused(tmp_path: Path) -> None:
    for name, variables in {
        "vector": {"x": np.ones(5)},
        "text": {"x": "words"},
        "cell": {"x": np.array([["a", 1]], object)},
        "struct": {"x": {"a": np.ones(3)}},
        "complex": {"x": np.ones((3, 3)) * 1j},
        "sparse": {"x": __import__("scipy.sparse").sparse.eye(4).tocsc()},
    }.items():
        path = v5(tmp_path / f"{name}.mat", **variables)
        with pytest.raises(InputError):
            open_cube(path)
        if name != "vector":  # a line scan, if somebody says so
            with pytest.raises(InputError):
                open_cube(path, variable="x")


def test_a_part_of_a_v73_file(tmp_path: Path) -> None:
    path = v73(tmp_path / "image.mat", x=HWL)
    part = open_cube(path, layout="hwl", window=(1, 2, 3, 2), bands=[2, 0], lazy=True)
    np.testing.assert_array_equal(part.values, CUBE[[2, 0], 1:4, 2:4])


def test_jasper_ridge(data_dir: Callable[[str], Path]) -> None:
    path = data_dir("jasper_ridge") / "jasperRidge2_R198.mat"
    cube = open_cube(path)
    assert cube.shape == (198, 100, 100)
    spectra = scipy.io.loadmat(path)["Y"]
    np.testing.assert_array_equal(cube.values[:, 7, 3], spectra[:, 3 * 100 + 7])


@pytest.mark.parametrize(
    ("name", "variable", "shape"),
    [
        ("ms", "HSim", (128, 72, 72)),
        ("ms", "MSim", (9, 72, 72)),
        ("pan", "HSim", (128, 72, 58)),
        ("pan", "PCim", (1, 216, 174)),
    ],
)
def test_paris(name: str, variable: str, shape: tuple[int, ...], data_dir: Callable[[str], Path]) -> None:
    path = data_dir("paris") / f"paris_data_hs_{name}.mat"
    assert open_cube(path, variable=variable).shape == shape
    with pytest.raises(InputError, match="HSim"):
        open_cube(path)
