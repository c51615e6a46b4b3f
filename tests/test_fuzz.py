"""A few damaged files of each kind; `make fuzz` opens thousands."""

from pathlib import Path

import pytest

from fuzz.cases import CASES, damaged_copy, make_whole
from hypersharp.errors import HypersharpError

SEEDS = range(4)
ELSEWHERE = ("cog", "envi", "envi-bil", "npy", "npz", "mat5", "folder")  # in test_io_fuzz


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", [kind for kind in CASES if kind not in ELSEWHERE])
def test_a_whole_one_opens_and_a_damaged_one_is_answered_in_one_line(kind: str, tmp_path: Path) -> None:
    whole = make_whole(kind, tmp_path / "whole")
    CASES[kind].read(whole)
    said = list[str]()
    for seed in SEEDS:
        path = damaged_copy(kind, tmp_path / "whole", tmp_path / "in", seed)
        try:
            CASES[kind].read(path)
        except HypersharpError as error:
            said.append(str(error))
    assert all("\n" not in line and len(line) < 1000 for line in said)
