"""The page of a batch: a line and three small pictures for each pair, in one file without network or script."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from hypersharp.batch.run import Row
from hypersharp.cube import only_usable, wavelengths_nm
from hypersharp.io.together import write_text
from hypersharp.reporting.build import fill
from hypersharp.reporting.charts import composites
from hypersharp.system.build_info import machine, release

SIDE_PX = 240  # of a picture, at most about


def pictures_of(cubes: Mapping[str, xr.DataArray]) -> list[dict[str, Any]]:
    """HS, MS and result in true colour, about SIDE_PX a side; HS and result share one stretch."""
    small = {}
    for name in ("hs", "ms", "result"):
        step = max(1, max(cubes[name].shape[1:]) // SIDE_PX)
        small[name] = cubes[name][:, ::step, ::step]
    made = composites(small, wavelengths_nm(only_usable(small["ms"], "ms")))
    return [{"uri": picture.uri, "alt": picture.alt, "title": picture.title} for picture in made]


def write_page(rows: Sequence[Row], path: Path, command: str) -> Path:
    """Write the page of all pairs, those that failed first. Raises: OutputError."""
    failed = [row for row in rows if row.status == "failed"]
    kinds = {row.sensors for row in rows if row.sensors}
    keys = [
        ("Pairs", f"{len(rows):,}", f"{len(failed)} failed" if failed else "none failed"),
        ("Sensor pairs", f"{len(kinds):,}", "blur and response estimated once for each"),
        ("Time", f"{sum(row.seconds for row in rows):.0f} s", f"in all, {machine()}"),
        ("Version", release(), "of hypersharp"),
    ]
    links = {row.name: os.path.relpath(row.out, path.parent) for row in rows}
    rows = sorted(rows, key=lambda row: row.status != "failed")
    return write_text(path, fill("batch.html.j2", rows=rows, keys=keys, failed=failed, links=links, command=command))
