"""Images at addresses, and STAC items that name them: read over HTTP by windows, from a server on this machine."""

import json
import runpy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio

import hypersharp as hsp
from hypersharp.cli import main
from hypersharp.cube import transform_of
from hypersharp.errors import InputError
from hypersharp.io.image import Image
from hypersharp.system.elsewhere import HOSTS
from hypersharp.viewer.folders import Folders
from product_files import S2, write_raster
from product_scene import on_map

Make = Callable[..., Path]
SCRIPT = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "range_requests.py"))


@pytest.fixture(autouse=True)
def without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, list[int]]]:
    """A folder, its address, and the bytes that were fetched from it, one number an answer."""
    folder = tmp_path_factory.mktemp("web")
    with SCRIPT["serving"](folder) as (address, sent):
        yield folder, address, sent


def item(folder: Path, safe: Path, address: str = ".", **properties: object) -> Path:
    """A STAC item of a miniature of Sentinel-2, its bands copied beside it as GeoTIFF with plain numbers."""
    assets: dict[str, object] = {"visual": {"href": "x.tif", "type": "image/tiff", "eo:bands": [{"name": "B04"}]}}
    for band, (nm, width, size) in S2.items():
        with rasterio.open(next(safe.rglob(f"*_{band}_{size}m.jp2"))) as source:
            write_raster(folder / f"{band}.tif", source.read(), source.transform, tiled=True)
        described = {"name": band, "center_wavelength": nm / 1000, "full_width_half_max": width / 1000}
        raster = {"scale": 1e-4, "offset": -0.1, "nodata": 0, "spatial_resolution": size}
        assets[band.lower()] = {
            "href": f"{address}/{band}.tif",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "eo:bands": [described],
            "raster:bands": [raster],
        }
    with rasterio.open(next(safe.rglob("*_SCL_20m.jp2"))) as source:
        write_raster(folder / "SCL.tif", source.read(), source.transform)
    assets["scl"] = {"href": f"{address}/SCL.tif", "type": "image/tiff", "raster:bands": [{"spatial_resolution": 20}]}
    feature = {"type": "Feature", "stac_version": "1.0.0", "id": "S2A_33UUU", "collection": "sentinel-2-l2a"}
    path = folder / "item.json"
    path.write_text(json.dumps(feature | {"properties": properties, "assets": assets}))
    return path


def test_a_stac_item_is_as_its_product(product: Make, web: tuple[Path, str, list[int]], tmp_path: Path) -> None:
    folder, address, _ = web
    item(folder, product("sentinel2"), address)
    here = item(tmp_path, product("sentinel2"))
    safe, over_http, beside = hsp.open(product("sentinel2")), hsp.open(f"{address}/item.json"), hsp.open(here)
    assert over_http.identical(beside)
    np.testing.assert_allclose(over_http, safe, atol=1e-6)
    assert transform_of(over_http) == on_map(10) and over_http.attrs["units"] == "reflectance"
    assert over_http.wavelength.values.tolist() == safe.wavelength.values.tolist()
    image = Image(Path(f"{address}/item.json"))
    assert image.said()[1] == Image(product("sentinel2")).said()[1]
    both = hsp.open(f"{here}:b04,b11")
    np.testing.assert_allclose(both, hsp.open(f"{product('sentinel2')}:B4,B11"), atol=1e-6)
    with pytest.raises(InputError, match=r"asset of item\.json 'b99'"):
        hsp.open(f"{here}:b99")


def test_an_offset_that_is_in_the_numbers_already_is_not_applied(product: Make, tmp_path: Path) -> None:
    plain, applied = (item(tmp_path, product("sentinel2"), **said) for said in ({}, BOA))
    assert plain == applied
    cube = hsp.open(applied)
    item(tmp_path, product("sentinel2"))
    np.testing.assert_allclose(cube - 0.1, hsp.open(tmp_path / "item.json"), atol=1e-6)


BOA = {"earthsearch:boa_offset_applied": True}


def test_only_a_window_is_fetched(web: tuple[Path, str, list[int]]) -> None:
    folder, address, sent = web
    values = np.random.default_rng(0).integers(0, 9000, (1, 2048, 2048)).astype("u2")
    path = write_raster(folder / "large.tif", values, on_map(10), tiled=True, blockxsize=256, blockysize=256)
    sent.clear()
    part = Image(Path(f"{address}/large.tif"), part=(512, 512, 300, 200)).cube()
    np.testing.assert_array_equal(part, values[:, 512:812, 512:712])
    assert 0 < sum(sent) < path.stat().st_size / 4


def test_each_block_of_a_pair_is_fetched_once(tmp_path: Path) -> None:
    """As the benchmark says of 2,000 x 2,000 pixels."""
    SCRIPT["make_pair"](tmp_path, 640)
    shares = {name: fetched / needed for name, fetched, needed, _ in SCRIPT["rows"](tmp_path, 640)}
    assert set(shares) == {"window", "whole", "in_tiles"}
    assert all(0.9 < share < 1.2 for share in shares.values()), shares


def test_a_pair_at_addresses_is_fused(
    product: Make, web: tuple[Path, str, list[int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, address, _ = web
    item(folder, product("sentinel2"), address)
    shutil.copy(hsp.save(hsp.open(product("enmap")), tmp_path / "hs.tif"), folder / "hs.tif")
    sharp = hsp.fuse(f"{address}/hs.tif", f"{address}/item.json", method="bicubic", coregister="none")
    assert sharp.shape == (48, 72, 72) and transform_of(sharp) == on_map(10, 350, 410)
    with pytest.raises(SystemExit) as ended:
        main(["info", f"{address}/item.json"])
    assert not ended.value.code and "STAC item of sentinel-2-l2a" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["none.tif", "none.json", "broken.json", "item.zip", "text.tif"])
def test_what_is_not_there_is_one_line(web: tuple[Path, str, list[int]], name: str) -> None:
    folder, address, _ = web
    (folder / "broken.json").write_text('{"type": "Feature", "stac_version": "1.0.0", "assets": 3}')
    (folder / "text.tif").write_text("no image")
    with pytest.raises(InputError, match=r"expected .*, do: "):
        hsp.open(f"{address}/{name}")


def test_an_item_leads_to_no_file_outside_its_folder(product: Make, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = item(tmp_path / "in", product("sentinel2"))
    (tmp_path / "in/B04.tif").rename(tmp_path / "B04.tif")
    plain = path.read_text()
    for href in ("../B04.tif", str(tmp_path / "B04.tif")):
        path.write_text(plain.replace("./B04.tif", href))
        with pytest.raises(InputError, match="files beside it"):
            hsp.open(path)


def test_a_viewer_follows_addresses_at_allowed_hosts_alone(
    product: Make, web: tuple[Path, str, list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The item, its assets, and where a redirection leads."""
    host = web[1].removeprefix("http://")
    name = f"{web[1]}/{item(web[0], product('sentinel2'), web[1]).name}"
    folders = Folders.of([tmp_path])
    monkeypatch.setenv(HOSTS, host)
    assert Image(folders.existing(name)).cube().shape[0] > 1
    moved = (web[0] / "item.json").read_text().replace(host, "elsewhere.example")
    (web[0] / "moved.json").write_text(moved)
    with pytest.raises(InputError, match=r"an address at 'elsewhere\.example'"):
        Image(folders.existing(f"{web[1]}/moved.json")).cube()
    (web[0] / "redirected.json.redirect").write_text("http://elsewhere.example/item.json")
    with pytest.raises(InputError, match=r"an address at 'elsewhere\.example'"):
        Image(folders.existing(f"{web[1]}/redirected.json")).cube()
    monkeypatch.setenv(HOSTS, "")
    for address in (name, f"{web[1]}/large.tif"):
        with pytest.raises(InputError, match="an image on this machine"):
            folders.existing(address)
    with pytest.raises(InputError, match="not offered here"):
        folders.existing("/vsicurl/http://127.0.0.1/large.tif")
    item(tmp_path, product("sentinel2"), web[1])
    assert "item.json" not in folders.images() and "B04.tif" in folders.images()
