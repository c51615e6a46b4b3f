"""Fixtures that all tests share."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest


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
