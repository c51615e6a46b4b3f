"""Benchmarks: every row is made once, a failure costs its own row only, tables say what the rows say."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torch.utils.flop_counter import FlopCounterMode

from hypersharp.bench import run
from hypersharp.bench.report import markdown
from hypersharp.bench.run import Row, parse_methods, read_rows, run_bench, with_weights
from hypersharp.bench.tables import TABLES, WITHOUT_WEIGHTS, Benchmark
from hypersharp.cli import main
from hypersharp.errors import CallError, InputError
from hypersharp.methods.base import Apply, Method
from hypersharp.methods.table import METHODS
from hypersharp.networks.checkpoint import build_network, save_weights
from hypersharp.networks.header import WeightsHeader
from hypersharp.numerics.unit import peak as find_peak
from hypersharp.quality.metrics import PRESETS, score_cubes
from hypersharp.simulation.protocols import find_protocol

SCENES = ("paints", "pompoms")
OPTIONS = Benchmark("dian-x4", methods=("bicubic",), scenes=SCENES)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two small scenes in CAVE's layout."""
    for seed, scene in enumerate(SCENES):
        folder = tmp_path / "cave" / f"{scene}_ms" / f"{scene}_ms"
        folder.mkdir(parents=True)
        planes = np.random.default_rng(seed).integers(5000, 60000, (31, 40, 40)).astype(np.uint16)
        for band, plane in enumerate(planes, 1):
            Image.fromarray(plane).save(folder / f"{scene}_ms_{band:02d}.png")
    return tmp_path


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that fails on every scene."""

    def fail(*_: object) -> None:
        raise RuntimeError("too hard")

    add_method(monkeypatch, "failing", fail)


def add_method(monkeypatch: pytest.MonkeyPatch, name: str, learn: Callable[..., object]) -> None:
    """A row of the table, and the file it names."""
    module = ModuleType(name)
    module.learn = learn  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(METHODS, name, Method(name, "", "-", module=name))


def test_a_row_says_all_that_the_number_depends_on(data: Path, tmp_path: Path) -> None:
    rows = run_bench(OPTIONS, data, tmp_path / "out")
    assert [row["scene"] for row in rows] == list(SCENES)
    written = [json.loads(line) for line in (tmp_path / "out" / "rows.jsonl").read_text().splitlines()]
    assert written == rows
    row = rows[0]
    assert set(row["scores"]) == set(PRESETS)
    assert 5 < row["scores"]["dian"]["psnr_db"] < 30
    for name in ("commit", "machine", "mode", "precision", "seconds", "peak_mb", "parameters", "notes"):
        assert name in row
    assert row["peak_mb"] > 10
    assert row["parameters"] == 0
    assert row["flops"] is None


def test_a_run_goes_on_where_it_stopped(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    run_bench(replace(OPTIONS, scenes=SCENES[:1]), data, out)
    with (out / "rows.jsonl").open("a") as file:
        file.write('{"protocol": "dian-x4", "met')  # cut off in the middle of a line
    made: list[str] = []
    make_row = run.make_row

    def counted(task: run.Task, *rest: object) -> Row:
        made.append(task.scene)
        return make_row(task, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(run, "make_row", counted)
    rows = run_bench(OPTIONS, data, out)
    assert made == [SCENES[1]]
    assert len(rows) == len(list(read_rows(out / "rows.jsonl"))) == 2
    run_bench(OPTIONS, data, out)
    assert made == [SCENES[1]]


def test_a_failed_method_stops_nobody_and_is_tried_again(data: Path, tmp_path: Path, failing: None) -> None:
    options = replace(OPTIONS, methods=("failing", "bicubic"))
    seen: list[tuple[int, int]] = []
    rows = run_bench(options, data, tmp_path, on_row=lambda number, of, _: seen.append((number, of)))
    assert [row.get("error") for row in rows] == ["RuntimeError: too hard", None] * 2
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert "* failing, paints: RuntimeError: too hard" in (tmp_path / "table.md").read_text()
    run_bench(options, data, tmp_path)
    assert len(list(read_rows(tmp_path / "rows.jsonl"))) == 6


def test_methods_and_weights_that_are_not_there_fail_in_their_own_rows(data: Path, tmp_path: Path) -> None:
    methods = ("bicubik", "ssjcn:ssjcn-dian-x5", "bicubic")
    rows = run_bench(replace(OPTIONS, methods=methods), data, tmp_path)
    assert [row.get("error", "")[:35] for row in rows[:3]] == [
        "InputError: found method 'bicubik',",
        "InputError: found weights 'ssjcn-di",
        "",
    ]
    text = (tmp_path / "table.md").read_text()
    assert "| bicubic | 2 |" in text
    assert "* ssjcn (ssjcn-dian-x5), paints: InputError" in text


def test_a_network_s_row_says_what_it_costs(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    options = {"bands": 31, "ms_bands": 3, "ratio": 4, "features": 4, "iterations": 1}
    nm = find_protocol("dian-x4").wavelengths_nm
    path = tmp_path / "tiny.safetensors"
    net = build_network("ssjcn", options)
    save_weights(path, net, WeightsHeader("ssjcn", options, nm))
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        net(torch.zeros(1, 31, 10, 10), torch.zeros(1, 3, 40, 40))
    methods = (f"ssjcn:{path}", "bicubic", f"ssjcn+e:{path}")
    rows = run_bench(replace(OPTIONS, methods=methods), data, tmp_path / "out")
    network = counter.get_total_flops()
    beside = rows[0]["flops"] - network  # the noise is estimated once, however often the network runs
    assert 0 <= beside < 0.01 * network
    assert [row.get("flops") for row in rows] == [network + beside, None, 8 * network + beside] * 2
    assert "mean over 8 of 8 orientations" in rows[2]["notes"]
    assert rows[0]["parameters"] == sum(parameter.numel() for parameter in net.parameters())
    header, first, *_ = (tmp_path / "out" / "table.csv").read_text().splitlines()
    cells = dict(zip(header.split(","), first.split(","), strict=False))
    assert cells["method"] == "ssjcn"
    assert f",{network + beside}," in first


def test_table1_has_a_folder_for_each_protocol(data: Path, tmp_path: Path) -> None:
    command = ["bench", "table1", "--data", str(data), "-o", str(tmp_path / "out"), "--scenes", "paints"]
    for _ in range(2):  # the second makes nothing again
        with pytest.raises(SystemExit) as stop:
            main([*command, "--methods", "bicubic"])
        assert not stop.value.code
    for part in TABLES["table1"]:
        (row,) = read_rows(tmp_path / "out" / part.protocol / "rows.jsonl")
        assert (row["protocol"], row["method"]) == (part.protocol, "bicubic")


def test_table2_is_run_on_scenes_of_harvard_s_layout(tmp_path: Path) -> None:
    """All but the networks, whose weights whoever has the scenes trains."""
    scene = find_protocol("harvard-x4").test[0]
    shares = np.random.default_rng(0).random((4, 12, 12)).repeat(4, 1).repeat(4, 2)
    ref = np.einsum("lk,kyx->yxl", np.random.default_rng(1).random((31, 4)).cumsum(0), shares)
    savemat(tmp_path / f"{scene}.mat", {"ref": ref, "lbl": np.ones(ref.shape[:2])})
    with pytest.raises(SystemExit, match="1"):
        main(["bench", "table2", "--data", str(tmp_path), "-o", str(tmp_path / "out"), "--scenes", scene])
    rows = {row["method"]: row for row in read_rows(tmp_path / "out" / "rows.jsonl")}
    assert {name for name, row in rows.items() if "error" in row} == {"ssjcn", "dbin", "dhsis"}
    assert {*WITHOUT_WEIGHTS} < {*rows}
    text = (tmp_path / "out" / "table.md").read_text()
    assert "* ssjcn (ssjcn-harvard-x4), imgd3: InputError: found weights 'ssjcn-harvard-x4'" in text
    assert f"| nssr | 1 | {rows['nssr']['scores']['dian']['psnr_db']:.2f} |" in text


def test_a_device_that_is_not_there_stops_the_run_at_once(data: Path, tmp_path: Path) -> None:
    with pytest.raises(CallError, match="abacus"):
        run_bench(replace(OPTIONS, device="abacus"), data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_methods_are_parsed_and_checked() -> None:
    assert parse_methods("bicubic, bicubic,,hysure") == ("bicubic", "hysure")
    with pytest.raises(InputError, match="did you mean bicubic"):
        parse_methods("hysure,bicubik")
    with pytest.raises(InputError, match="ssjcn-dian-x4"):
        parse_methods("ssjcn:ssjcn-dian-x5")
    with pytest.raises(CallError, match="write bicubic alone"):
        parse_methods("bicubic:ssjcn-dian-x4")
    given = with_weights(("bicubic", "ssjcn", "ssjcn:ssjcn-dian-x4-t1"), "ssjcn-dian-x4")
    assert given == ("bicubic", "ssjcn:ssjcn-dian-x4", "ssjcn:ssjcn-dian-x4-t1")
    assert with_weights(("ssjcn",), None) == ("ssjcn",)


def test_tables_hold_the_means_of_the_rows(data: Path, tmp_path: Path) -> None:
    rows = run_bench(OPTIONS, data, tmp_path)
    mean = fmean(row["scores"]["dian"]["psnr_db"] for row in rows)
    text = (tmp_path / "table.md").read_text()
    assert text.index("preset `dian`") < text.index("preset `dlpan`")
    assert f"| bicubic | 2 | {mean:.2f} ± " in text
    header, *lines = (tmp_path / "table.csv").read_text().splitlines()
    assert "psnr_db" in header.split(",")
    assert len(lines) == len(SCENES) * len(PRESETS)


def test_rows_of_other_weights_and_modes_share_the_table(data: Path, tmp_path: Path) -> None:
    run_bench(OPTIONS, data, tmp_path)
    run_bench(replace(OPTIONS, mode="tiles"), data, tmp_path)
    text = (tmp_path / "table.md").read_text()
    assert "| bicubic | 2 |" in text
    assert "| bicubic (tiles) | 2 |" in text


def test_a_table_forgets_earlier_weights_of_a_name(data: Path, tmp_path: Path) -> None:
    options = {"bands": 31, "ms_bands": 3, "ratio": 4, "features": 4, "iterations": 1}
    path = tmp_path / "tiny.safetensors"
    for seed in (0, 1):
        torch.manual_seed(seed)
        save_weights(path, build_network("ssjcn", options), WeightsHeader("ssjcn", options))
        run_bench(replace(OPTIONS, methods=(f"ssjcn:{path}",), scenes=SCENES[:1]), data, tmp_path / "out")
        run_bench(replace(OPTIONS, scenes=SCENES[:1]), data, tmp_path / "out")  # others stand in its table, too
        assert "| ssjcn (tiny) | 1 |" in (tmp_path / "out" / "table.md").read_text()
    assert len(list(read_rows(tmp_path / "out" / "rows.jsonl"))) == 3


def test_a_table_of_failures_only_is_a_table() -> None:
    row = {"method": "x", "scene": "s", "error": "E: e", "protocol": "p", "commit": "c", "machine": "m"}
    assert "* x, s: E: e" in markdown([row], "dian")


@pytest.mark.parametrize(("change", "says"), [({"scenes": ("paint",)}, "paints"), ({"protocol": "dian"}, "dian-x4")])
def test_unknown_names_are_refused_before_anything_is_done(
    data: Path, tmp_path: Path, change: dict[str, object], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        run_bench(replace(OPTIONS, **change), data, tmp_path / "out")  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_a_perfect_method_scores_perfectly(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Method and truth meet on one grid: what a method returns is what is scored."""
    from hypersharp.bench.scenes import load_truth

    truth = load_truth(find_protocol("dian-x4"), data / "cave" / "paints_ms" / "paints_ms")

    class Oracle(Apply):
        def __call__(self, pair: object, options: object, progress: object) -> torch.Tensor:
            return torch.tensor(truth.values)

    add_method(monkeypatch, "oracle", lambda *_: Oracle())
    (row,) = run_bench(replace(OPTIONS, methods=("oracle",), scenes=("paints",)), data, tmp_path)
    assert row["scores"]["float"]["rmse"] == 0
    assert row["scores"]["dian"]["ssim"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("truth", "peak"),
    [
        (np.array([[[7]]], np.uint8), 255),
        (np.array([[[7]]], np.int16), 32767),
        (np.array([[[0.4, 1.2]]]), 1),
        (np.array([[[np.nan, 5000.0]]], np.float32), 5000),
    ],
)
def test_full_scale_is_found_by_dtype_and_range(truth: np.ndarray, peak: float) -> None:
    assert find_peak(truth) == peak


def test_scores_refuse_what_cannot_be_compared() -> None:
    one: Callable[[int], np.ndarray] = lambda side: np.ones((2, side, side))  # noqa: E731
    with pytest.raises(InputError, match="one shape"):
        score_cubes(one(4), one(5), ratio=4)
    with pytest.raises(CallError, match="peak"):
        score_cubes(one(4), one(4), ratio=4, peak=0)
