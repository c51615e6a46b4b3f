"""Networks as ONNX files: the same numbers as torch at any size, what is optional, what is refused."""

import copy
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hypersharp.errors import CallError, InputError, MissingExtraError, OutputError
from hypersharp.networks.base import FusionNetwork
from hypersharp.networks.checkpoint import build_network
from hypersharp.networks.header import WeightsHeader
from hypersharp.networks.layers import Means
from hypersharp.networks.onnx import export as export_module
from hypersharp.networks.onnx.export import export_onnx
from hypersharp.networks.onnx.exportable import right_inverse
from hypersharp.networks.onnx.session import load_onnx, read_onnx

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

BANDS, MS_BANDS = 5, 2
# case -> network, ratio, options, whether the start is an input
CASES: dict[str, tuple[str, int, dict[str, Any], bool]] = {
    "paper": ("ssjcn", 4, {"iterations": 1}, False),
    "start": ("ssjcn", 4, {"spectrally_consistent": True, "guided": True, "iterations": 1}, True),
    "odd-ratio": ("ssjcn", 3, {"degradation": "sensor", "psf_px": 5, "iterations": 1}, False),
    "dbin": ("dbin", 4, {"refinements": 1, "blocks": 1}, False),
    "dhsis": ("dhsis", 4, {"layers": 3}, False),
    "ham-mfn": ("ham-mfn", 4, {"norm": True}, False),
    "ms-ssfnet": ("ms-ssfnet", 2, {}, False),
    "srcnn": ("srcnn", 3, {"mode": "per-band"}, False),
    "ssf-cnn": ("ssf-cnn", 4, {"dense": True}, False),
    "adapted": ("ssjcn-subspace", 4, {"dimensions": 2, "rounds": 1, "psf_px": 6, "own_features": 4}, False),
}
OPTIONAL = {"paper": ["srf"], "start": ["srf"], "odd-ratio": ["srf", "psf"], "adapted": ["hs_mean", "ms_mean"]}


def network(name: str, ratio: int, options: dict[str, Any]) -> tuple[FusionNetwork, WeightsHeader]:
    """A network of random weights that has met a sensor and a pair."""
    torch.manual_seed(0)
    header = WeightsHeader(
        name, {"bands": BANDS, "ms_bands": MS_BANDS, "ratio": ratio, "features": 8, **options}, None, {"steps": 1}
    )
    net = build_network(name, header.options).eval()
    srf = torch.rand(MS_BANDS, BANDS)
    net.take_sensor(srf / srf.sum(1, keepdim=True), lambda side: torch.full((side, side), side**-2.0))
    if name == "ssjcn-subspace":
        for buffer in net.buffers():
            buffer.copy_(torch.rand(buffer.shape) / buffer.shape[-1])
        for entry in (net.core, net.own):  # else their corrections are zero
            for parameter in entry.parameters():
                parameter.data += 0.01 * torch.randn(parameter.shape)
    return net, header


def images(ratio: int, batch: int = 1, h: int = 7, w: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    fine = ratio * h, ratio * w
    return torch.rand(batch, BANDS, h, w), torch.rand(batch, MS_BANDS, *fine), torch.rand(batch, BANDS, *fine)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """exported("dbin") is the file of that case, made once."""

    @cache
    def export(case: str) -> Path:
        name, ratio, options, with_start = CASES[case]
        path = tmp_path_factory.mktemp(case) / "model.onnx"
        assert export_onnx(*network(name, ratio, options), path, start=with_start) < 1e-5
        assert list(path.parent.iterdir()) == [path]
        return path

    return export


@pytest.mark.parametrize("case", CASES)
def test_an_exported_network_gives_what_torch_gives(case: str, exported: Callable[[str], Path]) -> None:
    name, ratio, options, with_start = CASES[case]
    net, header = network(name, ratio, options)
    path = exported(case)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    other = load_onnx(path)
    assert asdict(other.file.header) == asdict(header)
    for batch in (1, 3):
        hs, ms, start = images(ratio, batch)
        given = start if with_start or name == "dhsis" else None
        assert_same(net, other, hs, ms, given)
    told = [name for name in other.file.optional if not name.startswith("held_")]
    assert told == OPTIONAL.get(case, [])
    if told:
        assert_parts_of_a_scene_hold_its_means(net, other, images(ratio, 1, 12, 10), with_start)
        assert_optional_inputs_are_its_own(net, other, images(ratio), with_start)
    named = {"hs": hs, "ms": ms, "start": start}
    images_alone = {name: named[name].numpy() for name in other.file.images}  # as another program calls it
    np.testing.assert_array_equal(other.session.inference.run(None, images_alone)[0], other(hs, ms, given).numpy())


def test_it_takes_another_sensor_as_the_network_does(exported: Callable[[str], Path]) -> None:
    """The blur of the pair may be narrower than the window that the file has room for, and not wider."""
    name, ratio, options, _ = CASES["odd-ratio"]
    (net, _), other = network(name, ratio, options), load_onnx(exported("odd-ratio"))
    srf, narrow = torch.rand(MS_BANDS, BANDS), torch.rand(3, 3)
    for one in (net, other):
        one.exchange_sensor(srf, narrow / narrow.sum())
    hs, ms, _ = images(ratio)
    assert_same(net, other, hs, ms)
    for one in (net, other):
        one.exchange_sensor(2 * srf, None)
    assert_same(net, other, hs, ms)
    with pytest.raises(InputError, match="a blur of 7 fine pixels, expected one of 5"):
        other.exchange_sensor(srf, torch.ones(7, 7))


def assert_same(net: FusionNetwork, other: FusionNetwork, *given: Tensor | None) -> None:
    with torch.inference_mode():
        torch.testing.assert_close(other(*given), net(*given), rtol=1e-4, atol=1e-5)  # type: ignore[arg-type]


def assert_optional_inputs_are_its_own(
    net: FusionNetwork, as_made: FusionNetwork, pair: tuple[Tensor, ...], with_start: bool
) -> None:
    """What belongs to a pair may be set in the file's network as in torch's, in a copy of its own."""
    given, other = pair if with_start else pair[:2], copy.deepcopy(as_made)
    before = as_made(*given)
    for name, buffer in other.named_buffers():
        value = torch.rand(buffer.shape)
        value = value / value.sum() if name == "psf" else value
        for each in (net, other):
            for full in export_module.buffers_named(each, name):
                each.get_buffer(full).copy_(value)
    assert_same(net, other, *given)
    assert torch.equal(as_made(*given), before)
    changed = not torch.allclose(other(*given), before, atol=1e-3)
    assert changed or net.options == network(*CASES["paper"][:3])[0].options


def assert_parts_of_a_scene_hold_its_means(
    net: FusionNetwork, as_made: FusionNetwork, scene: tuple[Tensor, ...], with_start: bool
) -> None:
    """What is pooled over a scene is held for a part of it, in both."""
    ratio, given = net.options.ratio, scene if with_start else scene[:2]
    steps = (1, ratio, ratio)
    part = tuple(image[..., : 4 * step, : 8 * step] for image, step in zip(given, steps, strict=False))
    holders = [copy.deepcopy(each) for each in (net, as_made)]
    for each in holders:
        with torch.inference_mode():
            each(*given, means=(means := Means()))
        each.held = tuple(means.found)
    assert_same(*holders, *part)
    assert not torch.allclose(holders[1](*part), as_made(*part), atol=1e-5)


def test_sizes_are_free_and_named(exported: Callable[[str], Path]) -> None:
    session = load_onnx(exported("dbin")).session.inference
    assert {entry.name: entry.shape for entry in session.get_inputs()} == {
        "hs": ["batch", 5, "h", "w"],
        "ms": ["batch", 2, "4*h", "4*w"],
    }
    assert session.get_outputs()[0].shape == ["batch", 5, "4*h", "4*w"]


def test_a_file_that_disagrees_with_torch_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exported: Callable[[str], Path]
) -> None:
    content = exported("dbin").read_bytes()
    net, header = network(*CASES["dbin"][:3])
    torch.nn.init.zeros_(net.aggregation.weight)  # type: ignore[operator, union-attr]
    monkeypatch.setattr(export_module, "as_onnx", lambda *_: content)
    with pytest.raises(OutputError, match="between onnxruntime and torch"):
        export_onnx(net, header, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported_says_why(tmp_path: Path) -> None:
    net, header = network(*CASES["dbin"][:3])
    with pytest.raises(CallError, match=r"\.onnx"):
        export_onnx(net, header, tmp_path / "m.pt")
    any_sensor = WeightsHeader("ssjcn-subspace", header.options, None, {"any_sensor": True})
    with pytest.raises(InputError, match="hypersharp adapt"):
        export_onnx(net, any_sensor, tmp_path / "m.onnx")


def test_a_start_that_the_file_has_no_place_for_is_refused(exported: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match="--start"):
        load_onnx(exported("paper"))(*images(4))


def test_foreign_and_broken_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    for content in (b"nonsense", b""):
        path.write_bytes(content)
        with pytest.raises(InputError, match="ONNX"):
            read_onnx(path)
    with pytest.raises(InputError, match="no readable file"):
        read_onnx(tmp_path / "none.onnx")


def test_without_its_libraries_the_command_that_installs_them_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, header = network(*CASES["dbin"][:3])
    for library in ("onnx", "onnxscript"):
        with monkeypatch.context() as patched:
            patched.setitem(sys.modules, library, None)
            with pytest.raises(MissingExtraError, match=r"hypersharp\[onnx\]"):
                export_onnx(net, header, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_right_inverse_is_the_pseudo_inverse() -> None:
    matrix = torch.rand(6, 31, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(right_inverse(matrix), torch.linalg.pinv(matrix), rtol=1e-3, atol=1e-5)
