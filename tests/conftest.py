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
