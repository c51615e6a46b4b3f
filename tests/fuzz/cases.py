"""What is damaged, and what reads it: images of every format, folders, products' parts, sensors, recipes, weights."""

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import rasterio
from affine import Affine

from hypersharp.cube import check_cube, make_cube
from hypersharp.io import open_cube, save_cube
from hypersharp.io.guarded import guarding
from hypersharp.io.image import Image
from product_scene import Landscape

from .mutate import damaged

TEXTS = (".hdr", ".json", ".zattrs", ".zarray", ".zgroup", ".yaml", ".pgw", ".xml", ".txt", ".imd", ".csv", "")
PLACE = {"crs": "EPSG:32633", "transform": Affine(30, 0, 383472.37, 0, -30, 5818302.35)}
VALUES = np.random.default_rng(0).integers(1, 250, (4, 12, 10)).astype("f4")
PAM = (
    '<PAMDataset><PAMRasterBand band="1"><NoDataValue>5</NoDataValue><Offset>1</Offset><Scale>2</Scale><Metadata>'
    '<MDI key="wavelength">450</MDI></Metadata></PAMRasterBand><SRS>EPSG:32633</SRS>'
    "<GeoTransform>1,2,3,4,5,6</GeoTransform></PAMDataset>"
)


@dataclass(frozen=True)
class Case:
    """A kind of input: how a whole one is made in a folder, what of it is opened (a pattern), and by what."""

    make: Callable[[Path], None]
    name: str
    read: Callable[[Path], Any]


def read_image(path: Path) -> None:
    """Open and check an image, whole and a window of it, in a child with limits as the viewer does."""
    with guarding("all"):
        check_cube(open_cube(path), "it")
        open_cube(path, window=(1, 1, 2, 2), bands=[0])


def whole_cube() -> Any:
    known = {"wavelengths_nm": [450, 550, 650, 850.5], "fwhm_nm": [10, 10, 12, 20], "nodata": -99}
    return make_cube(VALUES, good_bands=[True, True, False, True], **known, **PLACE)


def saved(name: str) -> Case:
    return Case(lambda folder: save_cube(whole_cube(), folder / name) and None, name, read_image)


def matlab(folder: Path) -> None:
    with h5py.File(folder / "a.mat", "w", userblock_size=512) as file:
        file["cube"] = VALUES.transpose(2, 1, 0)
        file["cube"].attrs["MATLAB_class"] = np.bytes_("single")


def picture(name: str) -> Case:
    def make(folder: Path) -> None:
        from PIL import Image

        Image.fromarray(VALUES[:3].transpose(1, 2, 0).astype("u1")).save(folder / name)
        (folder / "a.pgw").write_text("10\n0\n0\n-10\n500005\n4999995\n")

    return Case(make, name, read_image)


def pages(folder: Path) -> None:
    from PIL import Image

    first, *rest = (Image.fromarray(band) for band in VALUES)
    first.save(folder / "a.tif", save_all=True, append_images=rest)


def palette(folder: Path) -> None:
    shape = {"height": 12, "width": 10, "count": 1, "dtype": "uint8", "photometric": "PALETTE"}
    with rasterio.open(folder / "a.tif", "w", driver="GTiff", **shape, **PLACE) as dataset:
        dataset.write(VALUES[:1].astype("u1"))
        dataset.write_colormap(1, {number: (number, 255 - number, 7, 255) for number in range(256)})


def sidecar(folder: Path) -> None:
    save_cube(whole_cube(), folder / "a.tif")
    (folder / "a.tif.aux.xml").write_text(PAM)


def bands(folder: Path) -> None:
    (folder / "a").mkdir()
    for number, band in enumerate(VALUES, 1):
        save_cube(make_cube(band[np.newaxis], **PLACE), folder / "a" / f"B0{number}.tif")


def sensor(folder: Path) -> None:
    from hypersharp.sensor.psf import gaussian

    made = {"ratio": 4, "psf": gaussian(8, 2.0, 4).to_dict(), "srf": [[0.25] * 4] * 2}
    (folder / "a.json").write_text(json.dumps(made))


def read_sensor(path: Path) -> None:
    from hypersharp.sensor.stored import read_sensor

    read_sensor(path)


def recipe(folder: Path) -> None:
    (folder / "a.yaml").write_text("name: small\nprotocol: dian-x4\nsteps: 60\nround_steps: 20\nnetwork: ssjcn\n")


def read_recipe(path: Path) -> None:
    from hypersharp.train.options import read_options

    read_options(path)


def weights(folder: Path) -> None:
    from hypersharp.networks.checkpoint import build_network, save_weights
    from hypersharp.networks.header import WeightsHeader

    options = {"bands": 4, "ms_bands": 2, "ratio": 2, "features": 8}
    save_weights(folder / "a.safetensors", build_network("ssjcn", options), WeightsHeader("ssjcn", options, (1.0,) * 4))


def read_weights(path: Path) -> None:
    from hypersharp.networks.checkpoint import load_weights

    load_weights(path)


def checkpoint(folder: Path) -> None:
    import torch

    from hypersharp.networks.checkpoint import save_checkpoint

    save_checkpoint({"step": 3, "options": {"lr": 0.1}, "tensors": {"a": torch.ones(4, 3)}}, folder / "a.ckpt")


def read_checkpoint(path: Path) -> None:
    from hypersharp.networks.checkpoint import load_checkpoint

    load_checkpoint(path)


def onnx(folder: Path) -> None:
    from hypersharp.networks.checkpoint import build_network
    from hypersharp.networks.header import WeightsHeader
    from hypersharp.networks.onnx.export import export_onnx

    options = {"bands": 4, "ms_bands": 2, "ratio": 4, "features": 8}
    header = WeightsHeader("ssjcn", options, (1.0,) * 4)
    export_onnx(build_network("ssjcn", options).eval(), header, folder / "a.onnx")


def read_onnx(path: Path) -> None:
    from hypersharp.networks.onnx.session import load_onnx

    load_onnx(path)


def response(folder: Path) -> None:
    rows = (f"{nm},{nm / 1000},{1 - nm / 1000}" for nm in range(400, 900, 50))
    (folder / "a.csv").write_text("nm,red,green\n" + "\n".join(rows))


def read_response(path: Path) -> None:
    from hypersharp.sensor.srf import find_srf

    find_srf(str(path), [450, 550, 650, 850.5])


def mask(folder: Path) -> None:
    save_cube(whole_cube(), folder / "a.tif")
    save_cube(make_cube((VALUES[:1] > 99).astype("u1"), **PLACE), folder / "mask.img")


def read_mask(path: Path) -> None:
    with guarding("all"):
        Image(path.with_name("a.tif"), mask=path).cube()


def miniature(name: str, pattern: str, *options: str) -> Case:
    """A product as its makers lay it out."""

    def make(folder: Path) -> None:
        import product_files

        getattr(product_files, name)(folder, Landscape(), *options)

    return Case(make, pattern, read_product)


def read_product(path: Path) -> None:
    """Open a product, all that is said of it, and its pixels."""
    with guarding("all"):
        image = Image(path)
        image.said()
        check_cube(image.cube(), "it")


CASES = {
    "geotiff": saved("a.tif"),
    "cog": saved("a.cog.tif"),
    "pages": Case(pages, "a.tif", read_image),
    "palette": Case(palette, "a.tif", read_image),
    "pam": Case(sidecar, "a.tif", read_image),
    "png": picture("a.png"),
    "jpeg": picture("a.jpg"),
    "envi": saved("a.img"),
    "envi-bil": saved("a.bil"),
    "mat5": saved("a.mat"),
    "mat7.3": Case(matlab, "a.mat", read_image),
    "npy": saved("a.npy"),
    "npz": saved("a.npz"),
    "netcdf": saved("a.nc"),
    "zarr": saved("a.zarr"),
    "folder": saved("a"),
    "bands": Case(bands, "a", read_image),
    "sensor": Case(sensor, "a.json", read_sensor),
    "recipe": Case(recipe, "a.yaml", read_recipe),
    "weights": Case(weights, "a.safetensors", read_weights),
    "checkpoint": Case(checkpoint, "a.ckpt", read_checkpoint),
    "onnx": Case(onnx, "a.onnx", read_onnx),
    "response": Case(response, "a.csv", read_response),
    "mask": Case(mask, "mask.hdr", read_mask),
    "enmap": miniature("enmap", "ENMAP*"),
    "sentinel2": miniature("sentinel2", "S2A*"),
    "prisma": miniature("prisma", "PRS*"),
    "prisma-l1": miniature("prisma", "PRS*", "L1"),
    "emit": miniature("emit", "EMIT_L2A_RFL*"),
    "landsat": miniature("landsat", "LC08*"),
    "hls": miniature("hls", "HLS*"),
    "desis": miniature("desis", "DESIS*"),
    "tanager": miniature("tanager", "*.h5"),
    "neon": miniature("neon", "NEON*"),
    "aviris3": miniature("aviris3", "AV3*"),
    "planet": miniature("planet", "*_SR_8b.tif"),
    "wyvern": miniature("wyvern", "wyvern*"),
    "worldview": miniature("worldview", "*.TIF"),
    "hyperion": miniature("hyperion", "EO1H*"),
}


def damage(rng: random.Random, folder: Path) -> None:
    """Damage one file of those in a folder, mostly one with a text."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.stat().st_size)
    texts = [file for file in files if file.suffix.lower() in TEXTS]
    file = rng.choice(texts if texts and rng.random() < 0.7 else files)
    file.write_bytes(damaged(rng, file.read_bytes(), text=file.suffix.lower() in TEXTS))


def damaged_copy(kind: str, whole: Path, folder: Path, seed: int) -> Path:
    """A damaged copy of the whole files of a kind, and what of it is to be opened."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole / kind, folder)
    damage(random.Random(f"{kind} {seed}"), folder)
    return whole_path(kind, folder)


def make_whole(kind: str, whole: Path) -> Path:
    """Make the whole files of a kind; what of them is to be opened."""
    (whole / kind).mkdir(parents=True)
    CASES[kind].make(whole / kind)
    return whole_path(kind, whole / kind)


def whole_path(kind: str, folder: Path) -> Path:
    return next(folder.glob(CASES[kind].name), folder / CASES[kind].name)
