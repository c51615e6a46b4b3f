"""HDF5 and GeoTIFF that point at other files: what a stranger's file could read on this machine is refused."""

from pathlib import Path
from typing import Any

from hypersharp.errors import InputError

MOST_ITEMS = 100_000


def check_own_content(path: Path, file: Any) -> None:
    """Check that an open h5py.File holds all that it shows.

    Raises: InputError for external links, datasets stored in other files, virtual datasets, or too many items.
    """
    import h5py

    seen = [0]  # a callback may not raise, but ends the visit by what it returns

    def in_link(name: str, link: Any) -> str | None:
        seen[0] += 1
        if seen[0] > MOST_ITEMS:
            return f"more than {MOST_ITEMS} items"
        return f"a link to another file ({name[:60]})" if isinstance(link, h5py.ExternalLink) else None

    def in_item(name: str, item: Any) -> str | None:
        if isinstance(item, h5py.Dataset) and item.external:
            return f"numbers stored in another file ({name[:60]})"
        return f"a virtual dataset ({name[:60]})" if isinstance(item, h5py.Dataset) and item.is_virtual else None

    found = file.visititems_links(in_link) or file.visititems(in_item)
    if found is not None:
        raise InputError(f"{path} with {found}", "all data in the file itself", "copy it with h5repack")


def check_own_raster(path: Path, dataset: Any) -> None:
    """Check that an open rasterio dataset takes its overviews from itself, or from what lies beside it by its name.

    Raises: InputError where its tags, or its PAM file, name another file for them, which GDAL would open.
    """
    named = {name.upper(): text for name, text in dataset.tags(ns="OVERVIEWS").items()}.get("OVERVIEW_FILE")
    if named is not None:
        found = f"{path} that takes its overviews from another file ({named[:60]})"
        raise InputError(found, "all data in the file itself", "make a copy of it with gdal_translate")
