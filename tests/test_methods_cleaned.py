"""Networks of clean pairs where ms is noisy."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from hypersharp.methods import ssjcn
from hypersharp.methods.cleaned import NOISY_DB, Cleaned, can_clean, learn_cleaned
from hypersharp.networks.inference import Inference
from hypersharp.numerics.interpolate import upsample_bicubic
from hypersharp.pair.options import ignore
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.observe import Sensor, add_noise
from hypersharp.simulation.protocols import find_protocol
from method_runs import ON_CPU, Known


def protocol_pair(ms_db: float | None = None) -> tuple[TensorPair, Sensor, Tensor]:
    """Four materials in soft patches under the sensor of `dian-x4`, noise in ms alone."""
    random = torch.Generator().manual_seed(0)
    shares = upsample_bicubic(torch.randn(1, 4, 12, 12, generator=random), 8)[0].mul(2).softmax(0)
    places = torch.linspace(0, 1, 31)[:, None]
    spectra = 0.4 + 0.3 * torch.sin(5 * places * torch.rand(4, generator=random) + 3 * torch.rand(4, generator=random))
    scene, sensor = torch.einsum("ln,nyx->lyx", spectra, shares), find_protocol("dian-x4").sensor()
    hs, ms = sensor.observe(scene)
    return TensorPair(hs, ms if ms_db is None else add_noise(ms, ms_db, 1)), sensor, scene


def rmse(one: Tensor, other: Tensor) -> float:
    return float((one - other).square().mean().sqrt())


def test_noise_is_told_from_texture() -> None:
    pair, _, _ = protocol_pair()
    assert pair.ms_snr_db > NOISY_DB
    assert replace(pair, ms=add_noise(pair.ms, 30, 1)).ms_snr_db < NOISY_DB
    spoiled, measured = pair.ms.clone(), torch.ones(pair.ms.shape[1:], dtype=torch.bool)
    spoiled[:, :60] = add_noise(pair.ms, 20, 1)[:, :60]
    measured[:60] = False
    noisy = replace(pair, ms=spoiled)
    assert noisy.ms_snr_db < NOISY_DB < replace(noisy, ms_valid=measured).ms_snr_db


def test_of_a_noisy_ms_little_is_kept_and_what_is_given_on_is_nearer_to_the_clean_one() -> None:
    (noisy, sensor, _), clean = protocol_pair(30), protocol_pair()[0]
    given = Known(sensor.psf, sensor.srf)
    seen = list[TensorPair]()

    class Listening(Inference):
        def __call__(self, pair: TensorPair, *_: object) -> Tensor:
            seen.append(pair)
            return pair.hs.repeat_interleave(4, -1).repeat_interleave(4, -2)

    found = learn_cleaned(Listening(torch.nn.Identity()), noisy, sensor, given.options)  # type: ignore[arg-type]
    assert isinstance(found, Cleaned) and float(found.kept.max()) < 0.2
    found(noisy, given.options, ignore)
    assert rmse(seen[-1].ms, clean.ms) < 0.85 * rmse(noisy.ms, clean.ms)
    torch.testing.assert_close(seen[-1].hs, noisy.hs)


def test_a_small_hs_cleans_nothing() -> None:
    pair, _, _ = protocol_pair(30)
    assert can_clean(pair)
    assert not can_clean(TensorPair(pair.hs[:, :15, :15], pair.ms[:, :60, :60]))
    measured = torch.zeros(pair.hs.shape[1:], dtype=torch.bool)
    measured[:10] = True
    assert not can_clean(replace(pair, hs_valid=measured))


def test_of_a_clean_ms_nearly_all_is_kept() -> None:
    pair, sensor, _ = protocol_pair()
    found = learn_cleaned(Inference(torch.nn.Identity()), pair, sensor, ON_CPU)  # type: ignore[arg-type]
    assert float(found.kept.min()) > 0.5


def test_ssjcn_on_a_noisy_ms_is_better_than_its_network_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy, sensor, scene = protocol_pair(30)
    known = Known(sensor.psf, sensor.srf)
    cleaned, notes = known.run_and_notes("ssjcn", noisy.hs, noisy.ms)
    monkeypatch.setattr(ssjcn, "NOISY_DB", -100.0)
    alone, plain_notes = known.run_and_notes("ssjcn", noisy.hs, noisy.ms)
    assert rmse(cleaned, scene) < 0.9 * rmse(alone, scene)
    assert any("ssjcn-any cleans ms" in note for note in notes) and not any("cleans" in note for note in plain_notes)


def test_onnxruntime_runs_its_network_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy, sensor, _ = protocol_pair(30)
    known = Known(sensor.psf, sensor.srf, options=replace(ON_CPU, runtime="onnx"))
    monkeypatch.setattr(ssjcn, "in_runtime", lambda net, header, options: net)
    assert isinstance(ssjcn.learn(noisy, known.sensor(noisy.hs, noisy.ms), known.options), Inference)
