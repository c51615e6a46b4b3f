"""Caches are this user's alone, whoever else was there first."""

import os
from pathlib import Path

import pytest

from hypersharp.system.folders import cache_folder

pytestmark = pytest.mark.skipif(not hasattr(os, "getuid"), reason="users have numbers on POSIX systems alone")


def test_a_cache_is_this_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = tmp_path / "shared"
    monkeypatch.setenv("HYPERSHARP_CACHE", str(shared))
    assert cache_folder() == shared and shared.stat().st_mode & 0o777 == 0o700
    shared.chmod(0o777)
    assert cache_folder() == shared and shared.stat().st_mode & 0o777 == 0o755


def test_two_users_at_one_cache_have_one_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared, me = tmp_path / "shared", os.getuid()
    monkeypatch.setenv("HYPERSHARP_CACHE", str(shared))
    assert cache_folder() == shared
    monkeypatch.setattr(os, "getuid", lambda: me + 1)  # another user, for whom all here is somebody else's
    found = cache_folder()
    assert found != shared and shared not in found.parents and found.stat().st_mode & 0o777 == 0o700
