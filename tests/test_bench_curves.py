"""Validation curves: the rounds of a log, in order, counted in steps done."""

import os
import runpy
from pathlib import Path

import pytest
from PIL import Image

from hypersharp.errors import InputError

SCRIPT = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "training_curves.py"))
draw_curves, read_curve, write_curves = (SCRIPT[name] for name in ("draw_curves", "read_curve", "write_curves"))

LOG = """epoch,fusion_loss,loss,step,val_psnr_db,val_sam_deg
0,0.03,0.05,0,,
0,0.02,0.04,1,,
0,,,1,32.5,9.75
1,0.02,0.04,2,,
1,,,3,36.25,6.5
"""


def training(folder: Path, *logs: str) -> Path:
    """The folder of a training that was started once for each log."""
    for version, text in enumerate(logs):
        path = folder / "logs" / "csv" / f"version_{version}" / "metrics.csv"
        path.parent.mkdir(parents=True)
        path.write_text(text)
        os.utime(path, (version, version))
    return folder


def test_a_curve_is_the_validation_rounds_in_steps_done(tmp_path: Path) -> None:
    assert read_curve(training(tmp_path, LOG)) == [
        {"step": 2, "val_psnr_db": 32.5, "val_sam_deg": 9.75},
        {"step": 4, "val_psnr_db": 36.25, "val_sam_deg": 6.5},
    ]


def test_a_resumed_training_goes_on_and_its_later_rounds_count(tmp_path: Path) -> None:
    later = "epoch,step,val_psnr_db,val_sam_deg\n1,3,37.0,6.0\n2,5,38.0,5.0\n"
    curve = read_curve(training(tmp_path, LOG, later))
    assert [(line["step"], line["val_psnr_db"]) for line in curve] == [(2, 32.5), (4, 37.0), (6, 38.0)]


def test_curves_are_written_and_named_after_their_weights(tmp_path: Path) -> None:
    runs = [training(tmp_path / "a", LOG), training(tmp_path / "b", LOG)]
    (runs[0] / "net-a.safetensors").touch()
    paths = write_curves(runs, tmp_path / "out")
    assert [path.name for path in paths] == ["net-a.csv", "b.csv", "curves.png"]
    assert paths[0].read_text() == "step,val_psnr_db,val_sam_deg\n2,32.5,9.75\n4,36.25,6.5\n"
    with Image.open(paths[-1]) as picture:
        assert picture.size[0] > 300


def test_minutes_are_the_axis_where_every_log_has_them() -> None:
    timed = [{"step": 2, "minutes": 0.5, "val_psnr_db": 30.0}, {"step": 4, "minutes": 1.5, "val_psnr_db": 31.0}]
    untimed = [{"step": 2, "val_psnr_db": 29.0}]
    (line,) = draw_curves({"a": timed}).axes[0].lines
    assert list(line.get_xdata()) == [0.5, 1.5]
    axes = draw_curves({"a": timed, "b": untimed}).axes[0]
    assert axes.get_xlabel() == "steps"
    assert [list(line.get_xdata()) for line in axes.lines] == [[2, 4], [2]]


def test_folders_without_a_log_and_runs_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no validation round"):
        read_curve(tmp_path)
    with pytest.raises(InputError, match="no validation round"):
        read_curve(training(tmp_path / "new", "epoch,step,loss\n0,0,0.5\n"))
    with pytest.raises(InputError, match="different names"):
        write_curves([training(tmp_path / "x" / "same", LOG), training(tmp_path / "y" / "same", LOG)], tmp_path / "out")
    assert not (tmp_path / "out").exists()
