"""A training of several processes: started as SLURM and Kubernetes do, it survives the loss of one of them."""

import multiprocessing
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import yaml
from torch.distributed import DistNetworkError

from hypersharp.cli import app
from hypersharp.errors import HypersharpError
from hypersharp.train.module import FusionTraining
from hypersharp.train.run import Hardware, train
from test_train_run import OPTIONS, losses, small_set

pytestmark = pytest.mark.filterwarnings("ignore::Warning:pytorch_lightning", "ignore::Warning:torch")

PAGE = (Path(__file__).parents[1] / "docs" / "training-on-many-machines.md").read_text()
STEP_OF_DEATH = 5  # in the third round of two steps
HANG_S = 240  # a process that takes longer hangs
# processes are forked from one that has imported what a training needs, which takes longer than the training
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["hypersharp.train.run"])


def work(environment: dict[str, str], out: Path, resume: bool, dies: bool, said: Path) -> None:
    """One process of a training, which may be killed on its way."""
    os.environ.update(environment)
    learn = FusionTraining.training_step

    def step(self: FusionTraining, *batch: Any) -> Any:
        if dies and self.global_step == STEP_OF_DEATH:
            os.kill(os.getpid(), signal.SIGKILL)
        return learn(self, *batch)

    FusionTraining.training_step = step  # type: ignore[method-assign]
    try:
        train(OPTIONS, small_set(), out, resume=resume, hardware=Hardware("cpu", 1, 2, "ddp", timeout_s=120))
    except HypersharpError as error:
        said.write_text(str(error))
        sys.exit(1)


def page_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def manifests() -> dict[str, Any]:
    (text,) = page_blocks("yaml")
    return {entry["kind"]: entry for entry in yaml.safe_load_all(text)}


def container() -> dict[str, Any]:
    (found,) = manifests()["Job"]["spec"]["template"]["spec"]["containers"]
    return found  # type: ignore[no-any-return]


def as_slurm(rank: int, port: int) -> dict[str, str]:
    """What `srun` sets for two tasks, one on each of two nodes."""
    return {
        "SLURM_JOB_ID": "12345",
        "SLURM_JOB_NAME": "hypersharp-train",
        "SLURM_NODELIST": "localhost",
        "SLURM_NNODES": "2",
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_PROCID": str(rank),
        "SLURM_NODEID": str(rank),
        "SLURM_LOCALID": "0",
        "MASTER_PORT": str(port),
    }


def as_kubernetes(rank: int, port: int) -> dict[str, str]:
    """What the manifest sets, on this machine."""
    values = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "NODE_RANK": str(rank)}
    assert {entry["name"] for entry in container()["env"]} == set(values)
    return values


def run_two(environment: Any, out: Path, *, resume: bool = False, victim: int | None = None) -> list[tuple[int, str]]:
    """Exit code and error of both processes."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    errors = [out / f"error-{rank}.txt" for rank in (0, 1)]
    processes = [
        PROCESSES.Process(target=work, args=(environment(rank, port), out, resume, rank == victim, said))
        for rank, said in enumerate(errors)
    ]
    for process, said in zip(processes, errors, strict=True):
        said.unlink(missing_ok=True)
        process.start()
    for process in processes:
        process.join(HANG_S)
        process.kill()
        process.join()
    return [
        (process.exitcode, said.read_text() if said.exists() else "")
        for process, said in zip(processes, errors, strict=True)
    ]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[int, float]:
    """The losses of a training by one process."""
    folder = tmp_path_factory.mktemp("one")
    train(OPTIONS, small_set(), folder, hardware=Hardware("cpu"))
    return losses(folder)


def assert_same_losses(found: dict[int, float], expected: dict[int, float]) -> None:
    assert list(found) == list(expected)
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-4)


def test_processes_started_by_slurm_give_the_losses_of_one(tmp_path: Path, uninterrupted: dict[int, float]) -> None:
    ends = run_two(as_slurm, tmp_path)
    assert [code for code, _ in ends] == [0, 0], ends
    assert_same_losses(losses(tmp_path), uninterrupted)


@pytest.mark.parametrize("victim", [0, 1])
def test_when_one_process_is_killed_the_other_ends_and_both_resume(
    tmp_path: Path, uninterrupted: dict[int, float], victim: int
) -> None:
    """The first process is the one that logs, writes checkpoints and is called by all others."""
    ends = run_two(as_kubernetes, tmp_path, victim=victim)
    assert ends[victim][0] == -signal.SIGKILL
    code, said = ends[1 - victim]
    assert code == 1
    assert re.search(r"found a lost process of this training \(.*(Connection|Broken pipe)", said), said
    assert "--resume" in said
    assert len(losses(tmp_path)) < OPTIONS.steps
    ends = run_two(as_kubernetes, tmp_path, resume=True)
    assert [code for code, _ in ends] == [0, 0], ends
    assert_same_losses(losses(tmp_path), uninterrupted)


def test_only_a_lost_process_is_called_so() -> None:
    two = Hardware("cpu", devices=2)
    with pytest.raises(HypersharpError, match="none silent for more than 600 s"), two.lost_process():
        raise RuntimeError("[/gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 600000ms for recv to complete")
    with pytest.raises(HypersharpError, match=r"\(no answer\)"), two.lost_process():
        raise DistNetworkError("no answer")
    with pytest.raises(RuntimeError, match="shapes"), two.lost_process():
        raise RuntimeError("shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="Timed out"), Hardware("cpu").lost_process():
        raise RuntimeError("[/gloo/transport/tcp/unbound_buffer.cc:78] Timed out")


def test_the_strategy_waits_no_longer_than_it_is_told() -> None:
    for name in ("auto", "ddp", "ddp_fork"):
        strategy = Hardware("cpu", devices=2, strategy=name, timeout_s=30).lightning_strategy()
        assert strategy._timeout.total_seconds() == 30
    assert Hardware("cpu").lightning_strategy() == "auto"
    assert replace(Hardware("cpu", devices=2), strategy="fsdp").lightning_strategy() == "fsdp"


def commands() -> list[list[str]]:
    """Every call of hypersharp on the page: in shell blocks, behind srun or torchrun, and in the manifest."""
    text = "\n".join(page_blocks("sh") + page_blocks("bash")).replace("\\\n", " ")
    lines = [line.removesuffix("; then") for line in text.splitlines() if "hypersharp train " in line]
    words = [shlex.split(line) for line in lines]
    in_shell = [line[line.index("hypersharp") :] for line in words]
    return [*in_shell, container()["command"] + container()["args"]]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_the_commands_of_the_page_exist(words: list[str]) -> None:
    verb = typer.main.get_command(app).commands[words[1]]  # type: ignore[attr-defined]
    known = {option for parameter in verb.params for option in parameter.opts}
    assert {word for word in words[2:] if word.startswith("-")} <= known


@pytest.mark.parametrize("script", page_blocks("sh") + page_blocks("bash"))
def test_the_scripts_of_the_page_are_shell(script: str) -> None:
    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_manifest_names_one_pod_a_process() -> None:
    service, job = manifests()["Service"], manifests()["Job"]
    spec, name = job["spec"], job["metadata"]["name"]
    words = container()["args"]
    assert spec["completions"] == spec["parallelism"] == int(words[words.index("--nodes") + 1])
    assert service["spec"]["selector"] == {"job-name": name}
    assert service["spec"]["clusterIP"] == "None"
    assert spec["template"]["spec"]["subdomain"] == service["metadata"]["name"]
    first = next(entry["value"] for entry in container()["env"] if entry["name"] == "MASTER_ADDR")
    assert first == f"{name}-0.{service['metadata']['name']}"
