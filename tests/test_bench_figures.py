"""The paper's figures 4 to 6: what is drawn is what the network holds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hypersharp.bench import figures
from hypersharp.bench.figures import SHOWN, draw_all, figures_of, load_ssjcn, look_inside
from hypersharp.cli import main
from hypersharp.cube import make_cube
from hypersharp.errors import InputError
from hypersharp.networks.checkpoint import build_network, save_weights
from hypersharp.networks.header import WeightsHeader
from hypersharp.networks.ssjcn import SSJCN, SSJCNOptions
from hypersharp.simulation.pair import simulate_pair
from hypersharp.simulation.protocols import find_protocol

SIDE, BAND = 48, 19
PROTOCOL = find_protocol("dian-x4")


def pair(seed: int = 0):
    values = np.random.default_rng(seed).uniform(0, 1, (31, SIDE, SIDE)).astype(np.float32)
    return simulate_pair(make_cube(values, wavelengths_nm=np.array(PROTOCOL.wavelengths_nm)), PROTOCOL.sensor())


def tiny(**options: object) -> SSJCN:
    torch.manual_seed(0)
    net = SSJCN(SSJCNOptions(features=4, **options))  # type: ignore[arg-type]
    net.srf.copy_(torch.tensor(PROTOCOL.sensor().srf))
    return net.eval()


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    options = {"features": 4, "iterations": 2}
    path = tmp_path / "tiny.safetensors"
    shape = {"bands": 31, "ms_bands": 3, "ratio": 4}
    save_weights(
        path, build_network("ssjcn", options), WeightsHeader("ssjcn", shape | options, PROTOCOL.wavelengths_nm)
    )
    return path


def test_estimates_grow_by_the_error_maps() -> None:
    inside = look_inside(tiny(), *pair())
    assert len(inside.estimates) == len(inside.corrections) + 1 == 3
    for t, error in enumerate(inside.corrections):
        np.testing.assert_allclose(inside.estimates[t] + error, inside.estimates[t + 1], atol=1e-5)
    assert inside.hs_hat.shape == inside.hs.shape
    assert inside.ms_hat.shape == inside.ms.shape
    assert not inside.projects


def test_a_network_that_agrees_with_ms_adds_less_than_its_error_map() -> None:
    inside = look_inside(tiny(spectrally_consistent=True), *pair())
    response = PROTOCOL.sensor().srf
    added = inside.estimates[2] - inside.estimates[1]
    assert inside.projects
    assert np.abs(np.einsum("lb,byx->lyx", response, added)).max() < 1e-4
    assert np.abs(np.einsum("lb,byx->lyx", response, inside.corrections[1])).max() > 1e-3


def images_in(figure: object) -> dict[str, np.ndarray]:
    return {axes.get_title(): axes.images[0].get_array() for axes in figure.axes if axes.images}  # type: ignore[attr-defined]


def test_figures_hold_the_bands_they_name() -> None:
    inside = look_inside(tiny(), *pair())
    drawn = {name: images_in(figure) for name, figure in figures_of(inside, BAND, 1).items()}
    assert sorted(drawn) == ["figure4", "figure5", "figure6"]
    np.testing.assert_array_equal(drawn["figure4"]["$Z^2$"], inside.estimates[2][BAND])
    np.testing.assert_array_equal(drawn["figure4"]["error map (block 1)"], inside.corrections[0][BAND])
    error = inside.truth[BAND] - inside.estimates[1][BAND]
    np.testing.assert_array_equal(drawn["figure5"]["truth - $Z^1$"], error)
    correlation = np.corrcoef(error.ravel(), inside.corrections[1][BAND].ravel())[0, 1]
    assert f"error map (block 2)\ncorrelation {correlation:.2f}" in drawn["figure5"]
    np.testing.assert_array_equal(drawn["figure6"]["ms band 2 as observed"], inside.ms[1])
    np.testing.assert_allclose(drawn["figure6"]["hs band 20 of the degraded estimate"], inside.hs_hat[BAND])


def test_error_maps_have_a_scale_symmetric_about_zero_and_bars_their_unit() -> None:
    for figure in figures_of(look_inside(tiny(), *pair()), BAND, 1).values():
        for axes in figure.axes:
            if axes.images and axes.images[0].get_cmap().name == "PuOr":
                low, high = axes.images[0].get_clim()
                assert low == -high < 0
        assert any("full scale" in axes.get_ylabel() for axes in figure.axes)


def test_one_iteration_has_no_second_block() -> None:
    assert sorted(figures_of(look_inside(tiny(iterations=1), *pair()), BAND, 1)) == ["figure4", "figure6"]


def test_the_command_writes_them(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(figures, "SHOWN", dict(list(SHOWN.items())[:1]))
    for seed, scene in enumerate(figures.SHOWN):
        folder = tmp_path / "cave" / f"{scene}_ms"
        folder.mkdir(parents=True)
        planes = np.random.default_rng(seed).integers(5000, 60000, (31, SIDE, SIDE)).astype(np.uint16)
        for band, plane in enumerate(planes, 1):
            Image.fromarray(plane).save(folder / f"{scene}_ms_{band:02d}.png")
    out = tmp_path / "figures"
    with pytest.raises(SystemExit) as stop:
        main(["bench", "figures", "--data", str(tmp_path), "-o", str(out), "--weights", str(weights)])
    assert stop.value.code == 0
    made = sorted(path.name for path in out.iterdir())
    assert made == sorted(f"figure{n}-{scene}-{band}.png" for n in (4, 5, 6) for scene, band in figures.SHOWN.items())
    with Image.open(out / made[0]) as picture:
        assert np.asarray(picture).std() > 5


def test_weights_of_another_kind_are_refused(tmp_path: Path) -> None:
    options = {"bands": 31, "ms_bands": 3, "ratio": 8, "features": 4, "iterations": 1}
    path = tmp_path / "eight.safetensors"
    save_weights(path, build_network("ssjcn", options), WeightsHeader("ssjcn", options, PROTOCOL.wavelengths_nm))
    with pytest.raises(InputError, match="SSJCN weights for dian-x4"):
        load_ssjcn(str(path))
    with pytest.raises(InputError, match="ssjcn-dian-x4"):
        draw_all(tmp_path, tmp_path / "out", weights="ssjcn-dian-x9")
    assert not (tmp_path / "out").exists()


def test_the_degradation_blocks_know_the_sensor_on_a_real_scene(data_dir: Callable[[str], Path]) -> None:
    """The learnt degradations of the packaged network differ from hs and ms by a small share of what they hold."""
    from hypersharp.bench.scenes import find_scenes, load_truth

    path = find_scenes(PROTOCOL, data_dir("cave").parent, ["stuffed_toys"])["stuffed_toys"]
    truth = load_truth(PROTOCOL, path)[:, 128:256, 128:256]
    net = load_ssjcn(figures.WEIGHTS)
    inside = look_inside(net, *simulate_pair(truth, PROTOCOL.sensor()))
    inner = np.s_[:, 4:-4, 4:-4]  # dian-x4's blur wraps around, which the network knows of whole scenes only
    for made, observed in ((inside.hs_hat[inner], inside.hs[inner]), (inside.ms_hat[inner], inside.ms[inner])):
        assert np.sqrt(np.mean((made - observed) ** 2)) < 0.1 * observed.std()
