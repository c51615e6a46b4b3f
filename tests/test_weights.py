"""The packaged weights: small, self-explaining, as good as the README says, and named where they are missing."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from hypersharp.bench.scenes import find_scenes, load_truth
from hypersharp.cli import main
from hypersharp.cube import make_cube
from hypersharp.errors import InputError
from hypersharp.fusion.fuse import fuse
from hypersharp.networks import packaged
from hypersharp.networks.packaged import FOLDER, IN_SECOND_PACKAGE, named_weights, packaged_weights
from hypersharp.quality.metrics import psnr_sam_ergas
from hypersharp.simulation.pair import simulate_pair
from hypersharp.simulation.protocols import find_protocol

SCENE = "paints"
NEVER_LEARNED = "jelly_beans"  # a test scene of every protocol
SECOND_GENERATION_DB = {
    ("uestc-x4", "dlpan"): 48.8,
    ("dspnet-x4", "float"): 49.8,
    ("dspnet-x4-quick", "float"): 48.1,
    ("dspnet-x8", "float"): 44.9,
    ("dian-x4", "dian"): 49.0,
}
LEAST_DB_MOST_ERGAS = {
    "ssjcn-dian-x4": (47.1, 1.1),
    "ssjcn-dian-x4-t1": (46.6, 1.1),
    "ssjcn-dian-x4-paper": (45.0, 1.1),
    "dbin-dian-x4": (43.9, 1.1),
    "dhsis-dian-x4": (45.9, 1.1),
    "ssf-cnn-dian-x4": (41.8, 1.3),
    "pdcon-ssf-dian-x4": (41.0, 1.3),
    "ms-ssfnet-dian-x4": (40.1, 1.4),
    "ham-mfn-dian-x4": (41.0, 1.3),
    "srcnn-dian-x4": (28.0, 6.0),
}


@cache
def pair(path: Path) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    protocol = find_protocol("dian-x4")
    return simulate_pair(load_truth(protocol, path), protocol.sensor())


def sharpened(data: Path, corner_px: int | None = None, **options: str | bool) -> tuple[np.ndarray, np.ndarray]:
    """The estimate and the truth; of a corner of so many fine pixels along a side."""
    path = find_scenes(find_protocol("dian-x4"), data, [SCENE])[SCENE]
    coarse_px = None if corner_px is None else corner_px // 4
    hs, ms, truth = (cube[:, :n, :n] for cube, n in zip(pair(path), (coarse_px, corner_px, corner_px), strict=True))
    sharp = fuse(hs, ms, scale=1.0, **{"method": "ssjcn", "consistent": False, **options})  # type: ignore[arg-type]
    return sharp.values, truth.values


@pytest.mark.parametrize("name", LEAST_DB_MOST_ERGAS)
def test_weights_are_small_and_say_where_they_come_from(name: str) -> None:
    weights = packaged_weights()[name]
    provenance = weights.header.provenance
    assert weights.path.stat().st_size < 8e6
    assert provenance["protocol"] == "dian-x4"
    assert not set(provenance["training_scenes"]) & set(
        find_protocol("dian-x4").test + tuple(provenance["validation_scenes"])
    )
    assert {"steps", "val_psnr_db", "commit", "machine", "psf"} <= provenance.keys()


@pytest.mark.parametrize("name", LEAST_DB_MOST_ERGAS)
def test_weights_score_on_a_test_scene(name: str, data_dir: Callable[[str], Path]) -> None:
    """Given the protocol's blur and response, as in the README's table."""
    protocol, network = find_protocol("dian-x4"), packaged_weights()[name].header.network
    known = {"psf": protocol.psf_spec, "srf": protocol.srf}
    pair = sharpened(data_dir("cave"), method=network, weights=name, **known)
    psnr_db, _, ergas = psnr_sam_ergas(*pair, ratio=4, preset="dian")
    least_db, most_ergas = LEAST_DB_MOST_ERGAS[name]
    assert psnr_db > least_db
    assert ergas < most_ergas


@pytest.mark.parametrize(("name", "preset"), SECOND_GENERATION_DB)
def test_the_second_generation_scores_on_a_scene_and_agrees_with_both_inputs(
    name: str, preset: str, data_dir: Callable[[str], Path]
) -> None:
    weights = packaged_weights()[f"ssjcn2-{name}"]
    protocol = find_protocol(weights.header.provenance["protocol"])
    assert all(path.stat().st_size < 8e6 for path in weights.path.parent.glob(f"{weights.name}.*"))
    assert not {*weights.header.provenance["training_scenes"]} & {*protocol.test, NEVER_LEARNED}
    truth = load_truth(protocol, find_scenes(protocol, data_dir("cave"), [NEVER_LEARNED])[NEVER_LEARNED])
    hs, ms, _ = simulate_pair(truth, protocol.sensor())
    told = {"psf": protocol.psf_spec, "srf": protocol.srf}  # else ms is moved by half a pixel onto hs
    sharp = fuse(hs, ms, method="ssjcn", weights=weights.name, scale=1.0, consistent=False, **told)  # type: ignore[arg-type]
    assert psnr_sam_ergas(sharp.values, truth.values, ratio=4, preset=preset)[0] > SECOND_GENERATION_DB[name, preset]
    for seen, given in zip(protocol.sensor().observe(torch.from_numpy(sharp.values)), (hs, ms), strict=True):
        np.testing.assert_allclose(seen, given.values, atol=1e-5)


def test_the_best_weights_are_picked_by_themselves(data_dir: Callable[[str], Path]) -> None:
    data = data_dir("cave")
    np.testing.assert_array_equal(sharpened(data, 128)[0], sharpened(data, 128, weights="ssjcn2-dian-x4")[0])


def test_bfloat16_is_within_two_hundredths_of_a_decibel(data_dir: Callable[[str], Path]) -> None:
    pairs = (sharpened(data_dir("cave"), 64, precision=precision) for precision in ("bf16", "fp32"))
    low_db, full_db = (psnr_sam_ergas(*pair, preset="float")[0] for pair in pairs)
    assert low_db == pytest.approx(full_db, abs=0.02)


def test_this_package_carries_what_fuse_picks_by_itself_and_the_second_one_the_rest() -> None:
    assert {path.stem for path in FOLDER.glob("*.safetensors")} == {"ssjcn-dian-x4", "ssjcn-any"}
    for name, (network, *shape) in IN_SECOND_PACKAGE.items():
        weights = packaged_weights()[name]
        assert weights.path.parent.name == "hypersharp_weights"
        assert weights.header.network == network
        assert [weights.header.options[length] for length in ("bands", "ms_bands", "ratio")] == shape
    assert set(packaged_weights()) == {"ssjcn-dian-x4", "ssjcn-any", *IN_SECOND_PACKAGE}


@pytest.fixture
def without_the_second_package(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(packaged, "find_spec", lambda _: None)
    packaged_weights.cache_clear()
    yield
    packaged_weights.cache_clear()


@pytest.mark.usefixtures("without_the_second_package")
@pytest.mark.parametrize("options", [{"method": "dbin"}, {"method": "ssjcn", "weights": "ssjcn-dian-x4-t1"}])
def test_weights_of_the_second_package_are_named_where_it_is_missing(options: dict[str, str]) -> None:
    name = options.get("weights", "dbin-dian-x4")
    hs, ms = np.random.default_rng(0).uniform(0.1, 0.9, (31, 8, 8)), np.full((3, 32, 32), 0.5)
    nm = np.arange(400.0, 701.0, 10)
    with pytest.raises(InputError, match=f"weights {name}.* not installed.* pip install hypersharp-weights"):
        fuse(make_cube(hs, wavelengths_nm=nm), make_cube(ms), **options)  # type: ignore[arg-type]


@pytest.mark.usefixtures("without_the_second_package")
def test_the_list_of_weights_names_those_that_are_not_installed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["weights"])
    assert "not installed: dbin-dian-x4, dhsis-dian-x4" in capsys.readouterr().out
    with pytest.raises(InputError, match="ssjcn-dian-x4-t1"):
        named_weights("ssjcn-dian-x4-t1")
