"""Weights files: what goes in comes out; what is broken is refused in one line."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hypersharp.errors import InputError, OutputError
from hypersharp.networks import checkpoint
from hypersharp.networks.checkpoint import build_network, load_weights, save_weights
from hypersharp.networks.header import WeightsHeader, read_header

HEADER = WeightsHeader(
    "ssjcn", {"bands": 4, "ms_bands": 2, "ratio": 2, "features": 8}, (450.0, 550.0, 650.0, 750.0), {"steps": 3}
)


@pytest.fixture
def weights_path(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    save_weights(path, build_network(HEADER.network, HEADER.options), HEADER)
    return path


def test_a_saved_network_computes_the_same(weights_path: Path) -> None:
    net = build_network(HEADER.network, HEADER.options).eval()
    save_weights(weights_path, net, HEADER)
    loaded, header = load_weights(weights_path)
    hs, ms = torch.rand(1, 4, 6, 6), torch.rand(1, 2, 12, 12)
    assert header == HEADER
    torch.testing.assert_close(loaded(hs, ms), net(hs, ms), rtol=0, atol=0)


@pytest.mark.parametrize("kept", [0, 4, 100, 3000])
def test_a_truncated_file_is_refused(weights_path: Path, kept: int) -> None:
    weights_path.write_bytes(weights_path.read_bytes()[:kept])
    with pytest.raises(InputError, match="truncated"):
        load_weights(weights_path)


def test_another_programs_file_is_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="another program"):
        read_header(tmp_path / "other.safetensors")


def test_tensors_that_do_not_fit_their_options_are_refused(tmp_path: Path) -> None:
    net = build_network("ssjcn", {**HEADER.options, "features": 16})
    save_weights(tmp_path / "odd.safetensors", net, HEADER)
    with pytest.raises(InputError, match=r"do not fit \(\S+ of [\d x]+\), expected .*, do: make them again"):
        load_weights(tmp_path / "odd.safetensors")


def test_weights_of_another_version_are_refused_by_name(tmp_path: Path) -> None:
    path, older = tmp_path / "own.safetensors", {"bands": 9, "ms_bands": 2, "ratio": 3, "iterations": 2}
    save_weights(path, torch.nn.Conv2d(1, 1, 1), WeightsHeader("ssjcn-subspace", older))
    with pytest.raises(InputError, match=r"own\.safetensors: .*iterations.*hypersharp adapt"):
        load_weights(path)


@pytest.mark.parametrize("options", [{"ratio": 33}, {"colour": 3}])
def test_unknown_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(InputError, match="options"):
        build_network("ssjcn", options)


def test_an_unknown_network_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="ssjcn"):
        build_network("ssjnc", {})


def test_a_failed_write_leaves_the_old_file(weights_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = weights_path.read_bytes()
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="no space left"):
        save_weights(weights_path, build_network(HEADER.network, HEADER.options), HEADER)
    assert weights_path.read_bytes() == before
    assert list(weights_path.parent.iterdir()) == [weights_path]


def test_large_weights_are_several_files_that_belong_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "MOST_BYTES", 3000)
    options = {"bands": 4, "ms_bands": 2, "ratio": 4, "features": 4, "iterations": 1}
    nets = [build_network("ssjcn", options) for _ in range(2)]
    paths = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    for net, path in zip(nets, paths, strict=True):
        save_weights(path, net, WeightsHeader("ssjcn", options))
        for name, tensor in load_weights(path)[0].state_dict().items():
            assert torch.equal(tensor, net.state_dict()[name])
    part, other = (path.with_name(f"{path.stem}.part2.safetensors") for path in paths)
    part.write_bytes(other.read_bytes())
    with pytest.raises(InputError, match=r"one\.part2\.safetensors beside it is of other weights"):
        load_weights(paths[0])
    part.unlink()
    with pytest.raises(InputError, match=r"one\.part2\.safetensors"):
        load_weights(paths[0])
    with pytest.raises(InputError, match="another program"):
        load_weights(other)


def test_weights_in_several_files_are_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"bands": 4, "ms_bands": 2, "ratio": 4, "features": 4, "iterations": 1}
    path, header, write = tmp_path / "w.safetensors", WeightsHeader("ssjcn", options), Path.write_bytes
    nets = [build_network("ssjcn", options) for _ in range(2)]

    def full(place: Path, content: bytes) -> int:
        if place.name == path.name:
            raise OSError(28, "No space left on device")
        return write(place, content)

    monkeypatch.setattr(checkpoint, "MOST_BYTES", 2000)
    save_weights(path, nets[0], header)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert len(before) > 2
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="no space left"):
        save_weights(path, nets[1], header)
    monkeypatch.setattr(Path, "write_bytes", write)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    for most_bytes in (5000, 10**6):
        monkeypatch.setattr(checkpoint, "MOST_BYTES", most_bytes)
        save_weights(path, nets[1], header)
        assert len(list(tmp_path.iterdir())) < len(before)
        for name, tensor in load_weights(path)[0].state_dict().items():
            assert torch.equal(tensor, nets[1].state_dict()[name])
    assert list(tmp_path.iterdir()) == [path]
