"""The packaged weights: small, self-explaining, and as good on a scene as the README says."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import xarray as xr

from hypersharp.bench.scenes import find_scenes, load_truth
from hypersharp.fusion.fuse import fuse
from hypersharp.networks.packaged import packaged_weights
from hypersharp.quality.metrics import Scores
from hypersharp.quality.score import score_cubes
from hypersharp.simulation.pair import simulate_pair
from hypersharp.simulation.protocols import find_protocol

SCENE = "paints"
FLOORS_DB = {
    "ssjcn-dian-x4": 47.1,
    "ssjcn-dian-x4-t1": 46.6,
    "ssjcn-dian-x4-paper": 45.0,
    "dbin-dian-x4": 43.9,
    "dhsis-dian-x4": 45.9,
}


@cache
def pair(path: Path) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    protocol = find_protocol("dian-x4")
    return simulate_pair(load_truth(protocol, path), protocol.sensor())


def scored(data: Path, preset: str = "dian", **options: str | bool) -> Scores:
    path = find_scenes(find_protocol("dian-x4"), data, [SCENE])[SCENE]
    hs, ms, truth = pair(path)
    sharp = fuse(hs, ms, scale=1.0, **{"method": "ssjcn", **options})  # type: ignore[arg-type]
    return score_cubes(sharp, truth, ratio=4, preset=preset, peak=1.0)


@pytest.mark.parametrize("name", FLOORS_DB)
def test_weights_are_small_and_say_where_they_come_from(name: str) -> None:
    weights = packaged_weights()[name]
    told = weights.header.provenance
    assert weights.path.stat().st_size < 8e6
    assert told["protocol"] == "dian-x4"
    assert not set(told["training_scenes"]) & set(find_protocol("dian-x4").test + tuple(told["validation_scenes"]))
    assert {"steps", "val_psnr_db", "commit", "machine", "psf"} <= told.keys()


@pytest.mark.parametrize("name", FLOORS_DB)
def test_weights_score_on_a_test_scene(name: str, data_dir: Callable[[str], Path]) -> None:
    """Told the protocol's blur and response, as in the README's table."""
    protocol, network = find_protocol("dian-x4"), packaged_weights()[name].header.network
    told = {"psf": protocol.psf_spec, "srf": protocol.srf, "consistent": False}
    scores = scored(data_dir("cave"), method=network, weights=name, **told)
    assert scores.psnr_db > FLOORS_DB[name]
    assert scores.ergas < 1.1


def test_the_best_weights_are_picked_by_themselves(data_dir: Callable[[str], Path]) -> None:
    data = data_dir("cave")
    assert scored(data) == scored(data, weights="ssjcn-dian-x4")


def test_bfloat16_is_within_two_hundredths_of_a_decibel(data_dir: Callable[[str], Path]) -> None:
    low, full = (scored(data_dir("cave"), "float", precision=precision) for precision in ("bf16", "fp32"))
    assert low.psnr_db == pytest.approx(full.psnr_db, abs=0.02)
