"""Fixtures that all tests share."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

# Whole files go to a worker (`make test`), so that what a file sets up is made once; the longest begin, lest one that
# begins last keeps a single worker busy.
LONGEST = (
    "test_docs.py",
    "test_tiles_run.py",
    "test_docs_site.py",
    "test_networks_export.py",
    "test_networks_runtime.py",
    "test_report_page.py",
    "test_tiles_uncertainty.py",
    "test_viewer_browser.py",
    "test_weights.py",
    "test_tiles_store.py",
    "test_cli.py",
    "test_pair_place.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture(scope="session")
def data_dir() -> Callable[[str], Path]:
    """data_dir("paris") is the folder of that data set; the test is skipped where it is not there."""
    root = os.environ.get("HYPERSHARP_DATA")

    def find(name: str) -> Path:
        if not root:
            pytest.skip("HYPERSHARP_DATA names no folder of data sets")
        folder = Path(root) / name
        if not folder.is_dir():
            pytest.skip(f"the data set '{name}' is not in HYPERSHARP_DATA")
        return folder

    return find


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """product("enmap") is the path of that miniature, made once."""
    import product_files
    from product_scene import Landscape

    made: dict[tuple[str, tuple[str, ...]], Path] = {}

    def make(name: str, *options: str) -> Path:
        key = name, options
        if key not in made:
            made[key] = getattr(product_files, name)(tmp_path_factory.mktemp(name), Landscape(), *options)
        return made[key]

    return make
