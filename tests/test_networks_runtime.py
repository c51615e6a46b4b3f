"""fuse by onnxruntime: the result of torch, one export for each weights file, clear words where it cannot."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from hypersharp.cli import main
from hypersharp.cube import make_cube
from hypersharp.errors import CallError, InputError
from hypersharp.fusion.fuse import fuse
from hypersharp.io import save_cube
from hypersharp.methods.ssjcn_any import pair_network
from hypersharp.methods.table import METHODS
from hypersharp.networks.checkpoint import build_network, load_weights, save_weights
from hypersharp.networks.header import FORMAT, WeightsHeader
from hypersharp.networks.onnx import export
from hypersharp.networks.onnx.export import exported
from hypersharp.networks.onnx.session import load_onnx
from hypersharp.pair import sample
from hypersharp.pair.options import Options
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor import psf
from hypersharp.sensor.observe import Sensor
from hypersharp.system.folders import cache_folder
from hypersharp.tiles import values

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SRF = np.array([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])
SENSOR = Sensor(psf.gaussian(8, 2.0, ratio=4), SRF, 4)
SMALL = {
    "ssjcn": {"iterations": 1, "spectrally_consistent": True},
    "dbin": {"blocks": 1, "refinements": 1},
    "dhsis": {"layers": 3},
    "ssjcn-subspace": {"dimensions": 2, "rounds": 1, "psf_px": 8},
}


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One for all tests: exporting takes long."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HYPERSHARP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield cache_folder() / "onnx"


def weights_of(network: str, folder: Path, **options: Any) -> Path:
    torch.manual_seed(0)
    shape = {"bands": 4, "ms_bands": 2, "ratio": 4, "features": 8}
    header = WeightsHeader(network, {**shape, **SMALL[network], **options})
    net = build_network(network, header.options)
    net.take_sensor(torch.tensor(SRF), lambda side: torch.full((side, side), side**-2.0))
    path = folder / f"{network}.safetensors"
    save_weights(path, net, header)
    return path


def make_pair(seed: int = 1) -> tuple[xr.DataArray, xr.DataArray]:
    steps = torch.rand(4, 48, 64, generator=torch.Generator().manual_seed(seed))
    hs, ms = SENSOR.observe(steps.cumsum(1).cumsum(2).sqrt() / 40)
    return make_cube(hs.numpy()), make_cube(ms.numpy())


@pytest.mark.parametrize("network", ["ssjcn", "dbin", "dhsis"])
def test_onnxruntime_gives_the_result_of_torch(network: str, tmp_path: Path, cache: Path) -> None:
    """Whole and in tiles."""
    hs, ms = make_pair()
    told = {"method": network, "weights": weights_of(network, tmp_path), "psf": SENSOR.psf, "scale": 1.0}
    for more in ({"srf": SRF}, {"srf": SRF, "mode": "tiles", "tile_px": 32}):
        by_torch = fuse(hs, ms, precision="fp32", **told, **more)  # type: ignore[arg-type]
        by_onnx = fuse(hs, ms, runtime="onnx", **told, **more)  # type: ignore[arg-type]
        np.testing.assert_allclose(by_onnx, by_torch, atol=1e-4 * float(np.ptp(by_torch.values)))
        assert "onnxruntime" in by_onnx.attrs["hypersharp"]
    assert any(path.name.startswith(network) for path in cache.iterdir())


@pytest.mark.parametrize("given", ["gaussian:4:1", "gaussian:20:4"])
def test_a_blur_of_another_width_than_the_networks_is_run_too(given: str, tmp_path: Path) -> None:
    by_sensor = {**SMALL["ssjcn"], "degradation": "sensor"}
    hs, ms = make_pair()
    weights = weights_of("ssjcn", tmp_path, **by_sensor)
    told = {"weights": weights, "psf": given, "srf": SRF, "scale": 1.0, "consistent": False}
    by_torch = fuse(hs, ms, precision="fp32", **told)  # type: ignore[arg-type]
    by_onnx = fuse(hs, ms, runtime="onnx", method="ssjcn", **told)  # type: ignore[arg-type]
    np.testing.assert_allclose(by_onnx, by_torch, atol=1e-4 * float(np.ptp(by_torch.values)))


def test_in_tiles_the_session_is_on_the_device_of_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, header = load_weights(weights_of("dhsis", tmp_path))
    other, asked = load_onnx(exported(net, header)), list[str]()
    other.session.device = torch.device("cuda:0")
    (tmp_path / "job").write_bytes(values.encode_values((other,)))

    def chosen(name: str) -> torch.device:
        asked.append(name)
        return torch.device("cpu")  # which is there

    monkeypatch.setattr(values, "choose_device", chosen)
    for device in (None, "cuda:1"):
        values.read_values(tmp_path / "job", device)
    assert [name for name in asked if name != "cpu"] == ["cuda:0", "cuda:1"]


def test_the_command_runs_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [save_cube(cube, tmp_path / f"{name}.npy") for name, cube in zip(("hs", "ms"), make_pair(), strict=True)]
    words = [*files, "-o", tmp_path / "sharp.npy", "--weights", weights_of("ssjcn", tmp_path), "--runtime", "onnx"]
    with pytest.raises(SystemExit) as stop:
        main(["fuse", *map(str, words)])
    assert stop.value.code == 0 and "onnxruntime" in capsys.readouterr().out


def test_weights_may_be_an_onnx_file(tmp_path: Path) -> None:
    hs, ms = make_pair()
    weights, model = weights_of("ssjcn", tmp_path), tmp_path / "model.onnx"
    shutil.copy(exported(*load_weights(weights)), model)
    by_torch = fuse(hs, ms, method="ssjcn", weights=weights, precision="fp32")
    by_onnx = fuse(hs, ms, weights=model)
    np.testing.assert_allclose(by_onnx, by_torch, atol=1e-4)
    assert "weights model: as asked" in by_onnx.attrs["hypersharp"]


def test_an_adapted_network_serves_another_scene_of_its_sensors(tmp_path: Path) -> None:
    """The file holds the means of the pair it was made from; the other pair's take their place."""
    hs, ms = (torch.from_numpy(cube.values) for cube in make_pair())
    net = pair_network(TensorPair(hs, ms), SENSOR, weights=weights_of("ssjcn-subspace", tmp_path))
    weights = tmp_path / "adapted.safetensors"
    save_weights(weights, net, WeightsHeader("ssjcn-subspace", asdict(net.options), None, {"seconds": 1}))
    other_hs, other_ms = make_pair(2)
    told = {"method": "ssjcn", "psf": SENSOR.psf, "srf": SRF, "weights": weights, "scale": 1.0}
    for pair in ((hs, ms), (torch.from_numpy(other_hs.values), torch.from_numpy(other_ms.values))):
        cubes = tuple(make_cube(image.numpy()) for image in pair)
        by_torch = fuse(*cubes, precision="fp32", **told)  # type: ignore[arg-type]
        by_onnx = fuse(*cubes, runtime="onnx", **told)  # type: ignore[arg-type]
        np.testing.assert_allclose(by_onnx, by_torch, atol=1e-4)


def test_the_cache_knows_weights_by_what_is_in_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "export_onnx", lambda net, header, path, **_: path.write_bytes(b"a model"))
    monkeypatch.setenv("HYPERSHARP_CACHE", str(tmp_path))
    net, header = load_weights(weights_of("dbin", tmp_path))
    first = exported(net, header)
    made = first.stat().st_mtime_ns
    assert exported(net, header) == first
    assert first.stat().st_mtime_ns == made
    net.aggregation.bias.data += 1  # type: ignore[operator, union-attr]
    assert exported(net, header) != first


def test_a_large_scene_holds_the_means_of_its_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a response of the user's own."""
    hs, ms = make_pair()
    told = {"method": "ssjcn", "weights": weights_of("ssjcn", tmp_path), "srf": SRF + 0.02, "consistent": False}
    small = fuse(hs, ms, precision="fp32", **told)  # type: ignore[arg-type]
    monkeypatch.setattr(sample, "MOST_COARSE", 8)
    monkeypatch.setattr(sample, "LEAST_RUN", 2)
    by_torch = fuse(hs, ms, precision="fp32", **told)  # type: ignore[arg-type]
    np.testing.assert_allclose(fuse(hs, ms, runtime="onnx", **told), by_torch, atol=1e-4)  # type: ignore[arg-type]
    assert not np.allclose(small, by_torch, atol=1e-5)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"method": "gsa"}, "--method with one of ssjcn, dbin, dhsis, "),
        ({"method": "auto"}, "--method with one of ssjcn, dbin, dhsis, "),
        ({"method": "ssjcn", "precision": "bf16"}, "fp32"),
        ({"method": "ssjcn"}, "hypersharp adapt"),  # no packaged weights fit but those for any sensor
    ],
)
def test_what_onnxruntime_cannot_run_says_why(told: dict[str, str], message: str) -> None:
    with pytest.raises(CallError, match=message):
        fuse(*make_pair(), runtime="onnx", **told)  # type: ignore[arg-type]


def test_torch_is_what_runs_by_default() -> None:
    assert Options().runtime == "torch"
    assert METHODS["ssjcn"].is_network


def test_an_onnx_file_that_names_another_file_or_is_damaged_is_refused(tmp_path: Path) -> None:
    import onnx

    path = tmp_path / "a.onnx"
    header = WeightsHeader("ssjcn", {"bands": 4, "ms_bands": 2, "ratio": 4}, (1.0,) * 4)
    weight = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[1], data_location=1)
    weight.external_data.add(key="location", value="/etc/passwd")
    node = onnx.helper.make_node("Add", ["hs", "nonesuch"], ["sharp"])
    for tensors, said in (([weight], "lie in another file"), ([], "a.onnx unreadable")):
        graph = onnx.helper.make_graph([node], "g", [], [], tensors)
        model = onnx.helper.make_model(graph)
        onnx.helper.set_model_props(model, {"format": FORMAT, "header": json.dumps(asdict(header))})
        path.write_bytes(model.SerializeToString())
        with pytest.raises(InputError, match=said):
            load_onnx(path)
