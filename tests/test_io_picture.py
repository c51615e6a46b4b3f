"""Pictures of a camera that was turned: they are read as viewers show them."""

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

import hypersharp as hsp
from hypersharp.errors import InputError
from hypersharp.io import folder
from hypersharp.io.image import Image
from hypersharp.io.picture import in_directory

pytest.importorskip("rasterio")
PIL = pytest.importorskip("PIL.Image")
ImageOps = pytest.importorskip("PIL.ImageOps")
Y, X = np.mgrid[:32, :48]
VALUES = np.stack([4 * Y + 2 * X, 4 * X + Y, 220 - 5 * Y], axis=2).astype("u1")  # smooth, for decoders differ at edges


def picture(path: Path, orientation: int, values: np.ndarray = VALUES) -> np.ndarray:
    """A picture that states an orientation, as Pillow shows it: (band, y, x)."""
    exif = PIL.Exif()
    exif[274] = orientation
    PIL.fromarray(values).save(path, exif=exif, **({"quality": 100} if path.suffix == ".jpg" else {}))
    with path.open("rb") as file:  # named, Pillow would garble a grey TIFF
        return np.atleast_3d(np.asarray(ImageOps.exif_transpose(PIL.open(file)))).transpose(2, 0, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
@pytest.mark.filterwarnings("ignore:a.* has 8 bits")
def test_a_picture_is_read_upright_whole_and_in_parts(name: str, orientation: int, tmp_path: Path) -> None:
    shown = picture(tmp_path / name, orientation)
    if orientation == 1:
        cube = hsp.open(tmp_path / name)
    else:
        with pytest.warns(UserWarning, match=f"turned upright, as its EXIF orientation {orientation} says"):
            cube = hsp.open(tmp_path / name)
    np.testing.assert_allclose(cube.values, shown, atol=4)  # two decoders
    stored = Image(tmp_path / name).stored() if orientation == 1 else None
    if stored is None:
        with pytest.warns(UserWarning, match="turned upright"):
            stored = Image(tmp_path / name).stored()
    window = (3, 5, 16, 8)
    np.testing.assert_array_equal(stored.cube(window=window).values, cube.values[:, 3:19, 5:13])
    coarse = stored.pixels.coarse([0], slice(0, 16), slice(8, 16), (4, 2))
    np.testing.assert_allclose(coarse[0], shown[0, :16, 8:16].reshape(4, 4, 2, 4).mean((1, 3)), atol=4)


@pytest.mark.parametrize("orientation", [3, 6])
@pytest.mark.parametrize("by_gdal", [True, False])
@pytest.mark.parametrize("name", ["scene_01.png", "scene_01.tif"])
def test_a_folder_of_pictures_is_read_upright(
    name: str, orientation: int, by_gdal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "installed", lambda library: by_gdal)
    shown = [
        picture(tmp_path / name.replace("1", str(number)), orientation, VALUES[:, :, number - 1])
        for number in (1, 2, 3)
    ]
    with pytest.warns(UserWarning, match=f"turned upright, as its EXIF orientation {orientation} says"):
        cube = hsp.open(tmp_path)
    np.testing.assert_array_equal(cube.values, np.concatenate(shown))
    picture(tmp_path / name, 1, VALUES[:, :, 0])
    with pytest.raises(InputError, match="of EXIF orientation 1 beside"):
        hsp.open(tmp_path)


@pytest.mark.parametrize(("magic", "order"), [("II", "<"), ("MM", ">")])
def test_a_bigtiff_states_its_orientation_too(magic: str, order: str) -> None:
    head = magic.encode() + struct.pack(f"{order}HHHQ", 43, 8, 0, 16)
    entries = struct.pack(f"{order}QHHQQ", 2, 256, 3, 1, 0) + struct.pack(f"{order}HHQH6x", 274, 3, 1, 8)
    assert in_directory(BytesIO(head + entries)) == 8


def test_a_tiff_with_a_place_lies_as_that_says(tmp_path: Path) -> None:
    picture(tmp_path / "a.tif", 6)
    (tmp_path / "a.tfw").write_text("2\n0\n0\n-2\n500001\n4999999\n")
    assert hsp.open(tmp_path / "a.tif").shape == (3, 32, 48)


def test_bands_with_a_place_lie_as_that_says_whatever_their_orientations(tmp_path: Path) -> None:
    for number, orientation in ((1, 1), (2, 6)):
        picture(tmp_path / f"scene_0{number}.tif", orientation, VALUES[:, :, number - 1])
        (tmp_path / f"scene_0{number}.tfw").write_text("2\n0\n0\n-2\n500001\n4999999\n")
    np.testing.assert_array_equal(hsp.open(tmp_path).values, VALUES[:, :, :2].transpose(2, 0, 1))


@pytest.mark.filterwarnings("ignore:a.png")
def test_the_mask_is_turned_too(tmp_path: Path) -> None:
    opaque = np.full((32, 48, 1), 255, "u1")
    opaque[:4] = 0
    shown = picture(tmp_path / "a.png", 6, np.concatenate([VALUES, opaque], axis=2))
    cube = hsp.open(tmp_path / "a.png")
    np.testing.assert_array_equal(np.isnan(cube.values[0]), shown[3] == 0)


@pytest.mark.filterwarnings("ignore:a.jpg has 8 bits")
def test_a_picture_with_a_world_file_lies_as_that_says(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg", 6)
    (tmp_path / "a.jgw").write_text("2\n0\n0\n-2\n500001\n4999999\n")
    assert hsp.open(tmp_path / "a.jpg").shape == (3, 32, 48)


@pytest.mark.parametrize(
    "data", [b"", b"II*\0", b"XX*\0\x08\0\0\0", b"MM\0*\0\0\0\x08\xff\xff", b"II*\0\xff\xff\xff\xff"]
)
def test_broken_exif_data_turn_nothing(data: bytes) -> None:
    assert in_directory(BytesIO(data)) == 1
