"""The folder of a tiled run: one run at a time, nobody else's, nothing in it that could run."""

import ast
import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import hypersharp
from hypersharp.cli.app import stop_on_signals
from hypersharp.cube import make_cube
from hypersharp.errors import CallError, InputError, OutputError, Stopped, noted_on_stop
from hypersharp.io import open_cube, save_cube
from hypersharp.io.image import Image
from hypersharp.methods.table import METHODS
from hypersharp.networks.checkpoint import build_network
from hypersharp.networks.inference import Inference
from hypersharp.pair.options import ignore
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.psf import box, gaussian
from hypersharp.system.atomic import hidden_name, staged
from hypersharp.system.lock import FILE, take_lock
from hypersharp.tiles import store, worker
from hypersharp.tiles.run import TiledOptions, TiledRun, prepare
from hypersharp.tiles.store import JOB, Tiles, folder_for
from hypersharp.tiles.values import encode_values, read_values
from hypersharp.tiles.workers import check_answer
from method_runs import ON_CPU

needs_flock = pytest.mark.skipif(sys.platform == "win32", reason="locks of POSIX")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    random = np.random.default_rng(0)
    hs, ms = random.random((6, 32, 32), np.float32), random.random((2, 64, 64), np.float32)
    folder = tmp_path / "pair"
    folder.mkdir()
    return save_cube(make_cube(hs), folder / "hs.npy"), save_cube(make_cube(ms), folder / "ms.npy")


def run_of(files: tuple[Path, Path], out: Path, *, resume: bool = False, **options: object) -> TiledRun:
    tiles = TiledOptions(workers=1, side_px=32, resume=resume, **options)  # type: ignore[arg-type]
    return prepare(Image(files[0]), Image(files[1]), out, method="bicubic", tiles=tiles)


@needs_flock
def test_a_second_run_into_one_output_is_refused_and_the_first_is_whole(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    out, other = tmp_path / "sharp.npy", save_cube(open_cube(files[0]) * 2, tmp_path / "pair" / "twice.npy")
    first = run_of(files, out)
    for resume in (False, True):
        with pytest.raises(CallError, match=rf"another run that writes .*sharp\.npy \(process {os.getpid()} on .*\)"):
            run_of((other, files[1]), out, resume=resume)
    first.carry_out()
    made = open_cube(out).values
    run_of((other, files[1]), out).carry_out()
    np.testing.assert_allclose(open_cube(out).values, 2 * made, rtol=1e-5, atol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pair", "sharp.npy"]


@needs_flock
def test_what_a_dead_run_left_is_cleared_and_tiles_of_another_job_are_not_taken(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "sharp.npy"
    folder = folder_for(out)
    folder.mkdir(mode=0o700)
    (folder / "000000.0123456789abcdef.npy").write_bytes(b"of a run that learned nothing")
    run = run_of(files, out)
    assert sorted(path.name for path in folder.iterdir()) == [FILE, JOB]
    tiles = Tiles.of(folder)
    np.save(folder / "000000.0123456789abcdef.npy", np.zeros((6, 32, 32), np.float32))
    (folder / "000001.1-2.partial").write_bytes(b"half a tile")
    assert not tiles.finished(4)
    del run
    assert not list(run_of(files, out, resume=True).store.folder.glob("*.partial"))


def test_a_memory_that_is_too_small_leaves_nothing(files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "sharp.npy"
    with pytest.raises(CallError, match=r"0\.1 GB for 1 worker"):
        prepare(Image(files[0]), Image(files[1]), out, method="bicubic", tiles=TiledOptions(1e8, workers=1))
    assert [path.name for path in tmp_path.iterdir()] == ["pair"]


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="owners of POSIX")
def test_a_folder_of_another_user_or_open_to_others_is_refused(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "sharp.npy"
    run_of(files, out)
    folder = folder_for(out)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(OutputError, match=r"\.tiles, which another user owns or may change"):
        run_of(files, out, resume=True)
    folder.chmod(0o700)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(OutputError, match=r"\.tiles, which another user owns or may change"):
        run_of(files, out, resume=True)
    monkeypatch.undo()
    (folder / "000000.npy").symlink_to("/etc/passwd")
    with pytest.raises(OutputError, match=r"000000\.npy, which another user owns or may change"):
        run_of(files, out, resume=True)


def test_a_tile_that_is_not_what_was_written_is_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "sharp.npy"
    run = run_of(files, out)
    path = Tiles.of(run.store.folder).path(0)
    np.save(path, np.zeros((6, 1, 1), np.float32))
    with pytest.raises(InputError, match=r"000000.*\.npy of float32 \(6, 1, 1\), expected float32 \(6, 32, 32\)"):
        run.carry_out()
    assert not out.exists()


def test_a_job_of_another_program_or_damaged_is_one_line(files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "sharp.npy"
    run_of(files, out)
    job = folder_for(out) / JOB
    for content in (b"", b"not safetensors", job.read_bytes()[:-10], job.read_bytes().replace(b"tuple", b"tupel")):
        job.write_bytes(content)
        with pytest.raises(InputError, match=r"job\.safetensors unreadable"):
            run_of(files, out, resume=True)


def test_values_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "values.safetensors"
    value = {
        "psf": box(2),
        "tensor": torch.ones(2, 3).mT,
        "array": np.arange(3.0),
        4: [1, 2.5, float("inf"), None, "x"],
    }
    path.write_bytes(encode_values({**value, "where": (tmp_path, np.dtype("u2"), True)}))
    found = read_values(path)
    assert found.pop("where") == (tmp_path, np.dtype("u2"), True)
    assert found.pop("psf") == value.pop("psf")
    for name in ("tensor", "array"):
        np.testing.assert_array_equal(found.pop(name), value.pop(name))
    assert found == value


@pytest.mark.parametrize("method", METHODS)
def test_what_a_method_learns_comes_back_and_makes_the_same(method: str, tmp_path: Path) -> None:
    bands, ms_bands = (31, 3) if METHODS[method].is_network else (8, 2)
    random = torch.Generator().manual_seed(0)
    pair = TensorPair(
        torch.rand(bands, 8, 8, generator=random), torch.rand(ms_bands, 32, 32, generator=random), in_parts=True
    )
    srf = np.repeat(np.eye(ms_bands), bands, 1)[:, ms_bands - 1 :: ms_bands] * ms_bands / bands  # a third of them each
    sensor = PairSensor(pair, None if method in ("dbin", "dhsis") else gaussian(8, 2, 4), srf)
    apply = METHODS[method].learn(pair, sensor, ON_CPU)
    path = tmp_path / "learned.safetensors"
    path.write_bytes(encode_values(apply))
    again = read_values(path)
    with torch.inference_mode():
        first, second = (one(pair, ON_CPU, ignore) for one in (apply, again))
    assert (again.notes, again.weights) == (apply.notes, apply.weights)
    torch.testing.assert_close(second, first, rtol=0, atol=1e-5)  # torch rounds by how arrays lie in memory


def test_a_network_comes_back_knowing_the_noise(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = build_network("ssjcn-v2", {"bands": 8, "ms_bands": 2, "ratio": 4, "features": 16, "blocks": 1}).eval()
    net.take_sensor(torch.rand(2, 8), lambda side: torch.full((side, side), side**-2.0))
    pair, path = TensorPair(torch.rand(8, 6, 6), torch.rand(2, 24, 24)), tmp_path / "learned.safetensors"
    knowing = Inference(net.expecting_noise(0.05 * torch.eye(8)))
    path.write_bytes(encode_values(knowing))
    with torch.inference_mode():
        plain, known, again = (one(pair, ON_CPU, ignore) for one in (Inference(net), knowing, read_values(path)))
    torch.testing.assert_close(again, known, rtol=0, atol=1e-5)
    assert not known.allclose(plain, atol=1e-2)


@pytest.mark.parametrize(
    "kind",
    ["os:system", "builtins:eval", "hypersharp.cli.app:main", "hypersharp.pair.options:choose_device", "no:Thing"],
)
def test_a_job_can_name_nothing_but_our_dataclasses(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "values.safetensors"
    content = encode_values(box(2)).replace(b"hypersharp.sensor.psf:PSF", kind.ljust(25).encode())
    path.write_bytes(content)
    with pytest.raises(InputError, match="unreadable"):
        read_values(path)


def test_no_file_unpickles_anything() -> None:
    """Neither by pickle and its likes, nor by torch.load or lightning without weights_only."""
    unpickling = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
    for file in Path(hypersharp.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and ast.unparse(node) != "from pickle import UnpicklingError":
                names.append(node.module or "")
            assert not unpickling & {name.partition(".")[0] for name in names}, file
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "trainer.fit"):
                assert "weights_only=True" in ast.unparse(node), file
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "np.lib.format.read_array"):
                assert "allow_pickle=True" not in ast.unparse(node), file


def test_a_hidden_folder_of_a_dead_writer_is_cleared_but_not_that_of_a_living_one(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    dead = tmp_path / ".a.npy.dead.partial"
    dead.mkdir()
    (dead / "a.npy").write_bytes(b"half")
    with staged(path) as living:
        living.write_bytes(b"first")
        with staged(path) as second:
            second.write_bytes(b"second")
        assert living.exists()
    assert path.read_bytes() == b"first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.npy"]


@needs_flock
def test_a_lock_is_one_processs_and_free_when_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / FILE
    lock = take_lock(path)
    assert lock is not None and take_lock(path) is None
    lock.release()
    assert take_lock(path) is not None


def test_without_locks_nothing_is_refused_and_nothing_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("hypersharp.system.lock.fcntl", raising=False)
    left = tmp_path / ".a.npy.x.partial"
    left.mkdir()
    first, second = take_lock(tmp_path / FILE), take_lock(tmp_path / FILE)
    assert first is not None and second is not None and first.unsure
    save_cube(make_cube(np.ones((1, 2, 2))), tmp_path / "a.npy")
    assert left.exists()


def test_the_longest_names_can_be_written(files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / ("-" + "ä" * 125 + ".npy")
    assert len(os.fsencode(out.name)) == 255
    run_of(files, out).carry_out()
    assert open_cube(out).shape == (6, 64, 64)
    assert len(hidden_name("ä" * 127)) < 255 - len(".tiles")


def test_what_a_worker_cannot_do_is_said_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiles = Tiles(tmp_path, "0" * 16)
    for error in (InputError("a", "b", "c"), OSError(errno.ENOSPC, "full"), ValueError("odd")):
        monkeypatch.setattr(worker, "sharpen_tile", raising(error))
        answer = json.loads(json.dumps(worker.answer_to(0, tiles, None)))
        with pytest.raises(RuntimeError if isinstance(error, ValueError) else type(error), match=r"odd|full|found a"):
            check_answer(answer)
    check_answer({"made": 3})


def raising(error: Exception):  # type: ignore[no-untyped-def]
    def sharpen_tile(*_: object) -> int:
        raise error

    return sharpen_tile


SWALLOWED = """
import time
save_cube = run.save_cube
def save(*result):
    try:
        time.sleep(60)
    except BaseException:
        return save_cube(*result)
run.save_cube = save
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("swallowed", ["", SWALLOWED], ids=["raised", "swallowed by other code"])
def test_a_signal_ends_a_run_with_one_line_about_what_is_kept(
    files: tuple[Path, Path], tmp_path: Path, swallowed: str
) -> None:
    out = tmp_path / "sharp.npy"
    code = f"""
import os, hypersharp.tiles.run as run
{swallowed}
from hypersharp.cli import main
from hypersharp.pair.tiling import Tiling
made, make = [], run.sharpen_tile
def sharpen_tile(tiles, number, *more):
    if len(made) == 2:
        os.kill(os.getpid(), {int(signal.SIGTERM)})
    made.append(number)
    return make(tiles, number, *more)
run.sharpen_tile = sharpen_tile
run.make_tiling = lambda shape, ratio, **_: Tiling(shape, ratio, 8, 2)
main(["fuse", {str(files[0])!r}, {str(files[1])!r}, "-o", {str(out)!r}, "--method", "bicubic", "--workers", "1"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 128 + signal.SIGTERM
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("stopped: ") and last.endswith("of 16 tiles kept: repeat the call with --resume to go on")
    assert not out.exists() and len(list(folder_for(out).glob("*.npy"))) >= 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [".sharp.npy.tiles", "pair"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_thread_that_nobody_ends_does_not_outlive_a_signal() -> None:
    """A library's thread whose beginning the signal interrupted, so that the library forgot it."""
    code = f"""
import os, sys, threading, hypersharp.cli
app = sys.modules["hypersharp.cli.app"]
app.PATIENCE_S = 0.1
threading.Thread(target=threading.Event().wait).start()
app.one_line_warnings = lambda debug: os.kill(os.getpid(), {int(signal.SIGTERM)})
app.main(["--version"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stderr.startswith("stopped: nothing is left half-written") and done.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_both_signals_end_a_command_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stopped, "told", None)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    stop_on_signals()
    try:
        for number in before:
            with pytest.raises(Stopped) as stop, noted_on_stop(lambda: "all of it"):
                signal.raise_signal(number)
            assert stop.value.number == number and stop.value.__notes__ == ["all of it"]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_lock_that_vanishes_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of a run that ended between our making it and our locking it."""
    take, calls = store.take_lock, []

    def once_gone(path: Path) -> object:
        calls.append(path)
        if len(calls) == 1:
            path.parent.rmdir()
        return take(path)

    monkeypatch.setattr(store, "take_lock", once_gone)
    assert store.lock_folder(tmp_path / "x.tiles", tmp_path / "x") is not None and len(calls) == 2


def test_a_stamp_knows_the_mask_and_what_lies_in_a_folder(tmp_path: Path) -> None:
    for name in ("a.zarr", "mask.tif"):
        save_cube(make_cube(np.ones((1, 4, 4), "u1")), tmp_path / name)
    image = Image(tmp_path / "a.zarr", mask=tmp_path / "mask.tif")
    stamps = [image.stamp()]
    for name in ("a.zarr", "mask.tif"):
        save_cube(make_cube(np.zeros((1, 4, 4), "u1")), tmp_path / name)
        stamps.append(image.stamp())
    assert stamps[0] != stamps[1] != stamps[2] and stamps[2] == image.stamp()
