"""Tables from files: whatever bytes a file holds, a table or one clear error comes of it."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from hypersharp.errors import InputError
from hypersharp.sensor.tables import SUFFIXES, read_table


def stored(suffix: str) -> bytes:
    """A sound file of that suffix."""
    buffer, table = io.BytesIO(), np.arange(12.0).reshape(3, 4)
    if suffix == ".mat":
        savemat(buffer, {"B": table}, do_compression=True)
    elif suffix == ".npy":
        np.save(buffer, table)
    else:
        np.savetxt(buffer, table)
    return buffer.getvalue()


SOUND = {suffix: stored(suffix) for suffix in SUFFIXES}


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 400), at=st.integers(0, 400), patch=st.binary(max_size=6), garbage=st.booleans())
def test_a_spoiled_file_is_answered_with_one_error(
    tmp_path: Path, suffix: str, cut: int, at: int, patch: bytes, garbage: bool
) -> None:
    sound = SOUND[suffix]
    spoiled = patch * cut if garbage else sound[:at] + patch + sound[at + len(patch) : len(sound) - cut % 3]
    path = tmp_path / f"table{suffix}"
    path.write_bytes(spoiled)
    try:
        table = read_table(path, "table", lambda shape: len(shape) == 2)
    except InputError:
        return
    assert table.ndim == 2
    assert np.isfinite(table).all()


def test_a_table_with_names_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("# by hand\nwavelength,R\n400, 1\n410; 2\n")
    np.testing.assert_array_equal(read_table(path, "table", lambda _: True), [[400, 1], [410, 2]])


@pytest.mark.parametrize(
    ("name", "said"), [("table.tif", "suffix '.tif'"), ("table.mat:C", "no variable 'C'"), ("no.csv", "no file")]
)
def test_what_is_asked_for_must_be_there(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "table.tif").write_bytes(b"II")
    (tmp_path / "table.mat").write_bytes(SOUND[".mat"])
    with pytest.raises(InputError, match=said):
        read_table(tmp_path / name, "table", lambda _: True)
