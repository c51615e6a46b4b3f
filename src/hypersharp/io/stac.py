"""A STAC item beside an image: where and when it is, its bands, what it was made from.

Source: STAC 1.1.0 (item, common metadata), extensions projection 2.0.0 and eo 2.0.0. The wavelengths there are in
micrometres. GeoJSON's corners are WGS 84.
"""

import json
import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import xarray as xr

from hypersharp.cube import changing_crs, crs_of, fwhm_nm, good_bands, nodata_of, transform_of, wavelengths_nm
from hypersharp.errors import CallError, InputError, needs
from hypersharp.io.together import write_text

EXTENSIONS = {name: f"https://stac-extensions.github.io/{name}/v2.0.0/schema.json" for name in ("projection", "eo")}
MEDIA = {".tif": "image/tiff; application=geotiff", ".nc": "application/netcdf", ".zarr": "application/vnd.zarr"}
EDGE_POINTS = 8  # along each side of the footprint: a side is curved in other coordinates


def parse_when(text: str) -> tuple[str, ...]:
    """One time of a text, or the two ends of an interval between a slash, in UTC as STAC writes them.

    Raises: CallError.

    >>> parse_when("2024-06-01T10:20:00+02:00"), parse_when("2024-06-01/2024-06-08")
    (('2024-06-01T08:20:00Z',), ('2024-06-01T00:00:00Z', '2024-06-08T00:00:00Z'))
    """
    try:
        times = [datetime.fromisoformat(part) for part in text.split("/")]
        times = [time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC) for time in times]
        if len(times) > 2 or times != sorted(times):
            raise ValueError
    except ValueError as exc:
        expected = "a time such as 2024-06-01T10:20Z, or two between a slash, the earlier first"
        raise CallError(f"--stac {text}", expected, "give when the images were taken") from exc
    return tuple(f"{time:%Y-%m-%dT%H:%M:%SZ}" for time in times)


def write_item(cube: xr.DataArray, image: Path, when: Sequence[str], sources: Sequence[Path]) -> Path:
    """Write the item of an image that was saved of the cube, beside it.

    when: as `parse_when` gives it. sources: the images it was made from.

    Raises: OutputError.
    """
    return write_text(item_beside(image), json.dumps(item(cube, image, when, sources), indent=1) + "\n")


def item_beside(image: Path) -> Path:
    """Where the item of an image lies."""
    return image.with_name(f"{image.stem}.stac.json")


def item(cube: xr.DataArray, image: Path, when: Sequence[str], sources: Sequence[Path]) -> dict[str, Any]:
    """The item, JSON-able; one of an image without a CRS of the Earth has no place."""
    one = len(when) == 1
    times = {"datetime": when[0]} if one else {"datetime": None, "start_datetime": when[0], "end_datetime": when[1]}
    where, projection = place_of(cube)
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": list(EXTENSIONS.values()),
        "id": image.stem,
        **where,
        "properties": {**times, "title": image.stem, **projection},
        "links": [{"rel": "derived_from", "href": href_of(source, image.parent)} for source in sources],
        "assets": {"data": asset_of(cube, image)},
    }


def href_of(source: Path, folder: Path) -> str:
    """How an item in a folder names a file; an address stays one."""
    address = re.match(r"\w+:/", str(source))
    return str(source) if address else quote(Path(os.path.relpath(source, folder)).as_posix())


def asset_of(cube: xr.DataArray, image: Path) -> dict[str, Any]:
    """What is said of the file itself: its format, numbers and bands."""
    media = MEDIA.get(image.suffix.lower(), "application/octet-stream")
    asset: dict[str, Any] = {
        "href": f"./{quote(image.name)}",
        "type": media + ("; profile=cloud-optimized" if image.name.lower().endswith(".cog.tif") else ""),
        "roles": ["data"],
        "data_type": np.dtype(cube.encoding.get("dtype", cube.dtype)).name,
        "bands": list(bands_of(cube)),
    }
    if (nodata := nodata_of(cube)) is not None:
        asset["nodata"] = nodata if math.isfinite(nodata) else str(nodata)  # for which JSON has no number
    if cube.attrs.get("units"):
        asset["unit"] = str(cube.attrs["units"])
    return asset


def place_of(cube: xr.DataArray) -> tuple[dict[str, Any], dict[str, Any]]:
    """`geometry` and `bbox` in WGS 84, as far as there are any; the properties that say size, place and CRS."""
    crs, place = crs_of(cube), transform_of(cube)
    where: dict[str, Any] = {"geometry": None}
    known: dict[str, Any] = {"proj:shape": list(cube.shape[1:])}
    if place is not None:
        known["proj:transform"] = [float(number) for number in place[:6]]
        if crs is None or not crs.is_geographic:  # in metres
            metres = 1.0 if crs is None else crs.linear_units_factor[1]
            known["gsd"] = round(abs(place.determinant) ** 0.5 * metres, 6)
    if crs is not None:
        code = crs.to_epsg()
        known |= {"proj:code": f"EPSG:{code}"} if code else {"proj:code": None, "proj:wkt2": crs.to_wkt()}
        if place is not None:
            with suppress(InputError):  # of the Moon, say
                where = footprint(crs, place, cube.shape[1:])
    return where, known


def bands_of(cube: xr.DataArray) -> Iterator[dict[str, Any]]:
    """The bands with their wavelengths and widths in micrometres; bad ones say so."""
    centres, widths, flags = wavelengths_nm(cube), fwhm_nm(cube), good_bands(cube)
    for number in range(cube.shape[0]):
        band: dict[str, Any] = {"name": f"B{number + 1}"}
        if centres is not None:
            band["eo:center_wavelength"] = round(float(centres[number]) / 1000, 7)
        if widths is not None:
            band["eo:full_width_half_max"] = round(float(widths[number]) / 1000, 7)
        if flags is not None and not flags[number]:
            band["description"] = "bad band"
        yield band


def footprint(crs: Any, place: Any, shape_yx: Sequence[int]) -> dict[str, Any]:
    """The outline of the pixels in WGS 84 as GeoJSON, and its box; cut in two where it crosses 180 degrees."""
    with needs("a STAC item"):
        from rasterio.warp import transform_geom
    height, width = shape_yx
    steps = [number / EDGE_POINTS for number in range(EDGE_POINTS)]
    edge = [(0.0, t * height) for t in steps] + [(t * width, float(height)) for t in steps]
    edge += [(float(width), (1 - t) * height) for t in steps] + [((1 - t) * width, 0.0) for t in steps]
    a, b, c, d, e, f = (float(number) for number in place[:6])
    ring = [[a * x + b * y + c, d * x + e * y + f] for x, y in [*edge, edge[0]]]
    with changing_crs(crs, "EPSG:4326"):
        found = transform_geom(crs, "EPSG:4326", {"type": "Polygon", "coordinates": [ring]}, antimeridian_cutting=True)
    parts = found["coordinates"] if found["type"] == "MultiPolygon" else [found["coordinates"]]
    if len(parts) == 1:  # degrees that go on beyond 180 are not cut there
        turn = 360.0 * math.floor((min(x for x, _ in parts[0][0]) + 180) / 360)
        turned = [(x - turn, y) for x, y in parts[0][0]]
        beyond = [(x - 360, y) for x, y in clipped(turned, 180.0, side=1)]
        parts = [[one] for one in (clipped(turned, 180.0, side=-1), beyond) if one]
    rounded = [[counter_clockwise([[round(x, 7), round(y, 7)] for x, y in ring]) for ring in rings] for rings in parts]
    boxes = [([x for x, _ in rings[0]], [y for _, y in rings[0]]) for rings in rounded]
    if len(boxes) == 1:
        west, east = min(boxes[0][0]), max(boxes[0][0])
    else:  # parts on both sides of 180 degrees: west is the larger, as GeoJSON has it
        west, east = min(min(x) for x, _ in boxes if min(x) > 0), max(max(x) for x, _ in boxes if max(x) < 0)
    south, north = min(min(y) for _, y in boxes), max(max(y) for _, y in boxes)
    one = len(rounded) == 1
    geometry = {"type": "Polygon" if one else "MultiPolygon", "coordinates": rounded[0] if one else rounded}
    return {"geometry": geometry, "bbox": [west, south, east, north]}


def clipped(ring: Sequence[tuple[float, float]], limit: float, *, side: int) -> list[tuple[float, float]]:
    """The part of a closed ring (x, y) beyond x = limit (side 1), or before it (side -1); empty where there is none.

    >>> clipped([(0, 0), (4, 0), (4, 2), (0, 2), (0, 0)], 3, side=1)
    [(3, 0.0), (4, 0), (4, 2), (3, 2.0), (3, 0.0)]
    """
    found = list[tuple[float, float]]()
    if not any((x - limit) * side > 0 for x, _ in ring):
        return found
    for (x0, y0), (x1, y1) in pairwise(ring):
        if (x0 - limit) * side >= 0:
            found.append((x0, y0))
        if (x0 - limit) * (x1 - limit) < 0:
            found.append((limit, y0 + (y1 - y0) * (limit - x0) / (x1 - x0)))
    return [*found, found[0]]


def counter_clockwise(ring: list[list[float]]) -> list[list[float]]:
    """The ring as GeoJSON wants it to go round."""
    x, y = np.array(ring).T
    return ring if np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) > 0 else ring[::-1]
