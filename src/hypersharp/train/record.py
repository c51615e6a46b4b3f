"""A long training of SSJCN's second generation on few cores, which one can read from top to bottom.

Steps of Muon (the residual blocks' kernels) and AdamW (the rest) on crops that are scenes of their own, at a
constant rate after a short warm-up; a finish takes a copy of any checkpoint, lets the rate fall to zero (1 - sqrt,
Hagele et al. 2024) and writes the weights' moving average. The undecayed checkpoint is what a later run goes on from.

Writes into out_dir: `last.pt` (resumes exactly), `finish.pt` while it finishes, `log.jsonl`, `NAME.safetensors`.
"""

import copy
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from hypersharp.errors import InputError, noted_on_stop
from hypersharp.networks.checkpoint import (
    build_network,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
    to_fast_layout,
    what_is_kept,
)
from hypersharp.networks.header import read_header
from hypersharp.networks.inference import settled_precision
from hypersharp.networks.ssjcn_v2 import SSJCN2
from hypersharp.numerics.subspace import second_moment
from hypersharp.quality.metrics import psnr_sam_ergas
from hypersharp.system.atomic import make_folder
from hypersharp.system.build_info import commit
from hypersharp.train.cost import count_operations, made_with
from hypersharp.train.crops import CropStream, wrapped_margin_px
from hypersharp.train.muon import Muon
from hypersharp.train.options import RecordOptions
from hypersharp.train.patches import TrainingSet

LAST, FINISH, LOG = "last.pt", "finish.pt", "log.jsonl"
CHECKPOINT_EVERY_S = 180.0
KEPT = ("step", "crops", "seconds", "cpu_seconds", "began_with", "pflop_before")


@dataclass(eq=False)
class State:
    """All that a training changes, which a checkpoint holds."""

    net: SSJCN2
    average: SSJCN2
    optimisers: tuple[Muon, torch.optim.AdamW]
    step: int = 0
    crops: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    began_with: Sequence[str] = ()  # weights files
    pflop_before: float = 0.0  # which those had cost

    def save(self, path: Path) -> None:
        content = {
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
        }
        save_checkpoint(content | {name: getattr(self, name) for name in KEPT}, path)

    def load(self, path: Path) -> None:
        """Raises: InputError for a checkpoint of another network."""
        content = load_checkpoint(path)
        try:
            self.net.load_state_dict(content["net"])
            self.average.load_state_dict(content["average"])
        except RuntimeError as exc:
            do = "keep network_options as they were, or train without --resume"
            raise InputError(f"another network in {path}", "that of these options", do) from exc
        for optimiser, saved in zip(self.optimisers, content["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        for name in KEPT:
            setattr(self, name, content.get(name, getattr(self, name)))


@dataclass(frozen=True, eq=False)
class Course:
    """What stays the same while a training runs."""

    options: RecordOptions
    crops: CropStream
    validation: dict[str, tuple[Tensor, Tensor, Tensor]]
    out_dir: Path
    preset: str
    pflop_per_crop: float


def train_record(
    options: RecordOptions,
    data: TrainingSet,
    out_dir: Path,
    *,
    resume: bool = False,
    start_from: Sequence[Path] = (),
    minutes: float | None = None,
    finish_only: bool = False,
) -> Path:
    """Train at the constant rate, then finish; the weights file, or the checkpoint where `minutes` ran out before.

    `start_from` begins with the chains of rounds of weights files. `finish_only` finishes the last checkpoint as it is,
    or those weights: without a step, the mean of chains that were trained apart.

    Raises: InputError where there is no checkpoint to go on from, or options do not fit.
    """
    commit()  # asked now and kept: the checkout may change while a training runs
    options = replace(options, precision=settled_precision(torch.device("cpu"), options.precision))
    last, deadline = make_folder(out_dir) / LAST, time.monotonic() + 60 * minutes if minutes else None
    state = begin(options, data, start_from)
    course = make_course(options, data, out_dir, state.net)
    if resume or (finish_only and not start_from):
        if not last.exists():
            raise InputError(f"no {LAST} in {out_dir}", "an interrupted training", "train without --resume")
        state.load(last)
    if (start_from and finish_only) or (not finish_only and state.step < options.steps):
        (out_dir / FINISH).unlink(missing_ok=True)  # of other weights, or an earlier checkpoint
    with noted_on_stop(partial(what_is_kept, last)):
        if not finish_only:
            warm_up = options.warmup_steps
            learn(course, state, options.steps, lambda step: min(1.0, (step + 1) / warm_up), last, deadline)
            if state.step < options.steps:
                return last
        return finish(course, state, data, out_dir / FINISH, deadline)


def finish(course: Course, state: State, data: TrainingSet, path: Path, deadline: float | None) -> Path:
    """Let the rate fall to zero and write the weights; goes on from `path` where that was interrupted.

    The weights file, or `path` where the deadline came before.
    """
    o, begun = course.options, state.step
    steps = max(1, round(begun * o.finish_share / (1 - o.finish_share)))  # one at rate zero, where there was none
    if path.exists():
        state.load(path)
    learn(course, state, begun + steps, lambda step: 1 - ((step + 1 - begun) / steps) ** 0.5, path, deadline)
    if state.step < begun + steps:
        return path
    weights, half = course.out_dir / f"{o.name}.safetensors", copy.deepcopy(state.average)
    half.bodies.half()  # what is learnt in float16, half the file; the sensor stays exact
    header = o.header(half.options.bands, half.options.ms_bands, half.options.ratio)
    provenance = {
        **asdict(o),
        **progress(course, state),
        **validate(course, state.average),
        "began_with": list(state.began_with),
        "pflop": course.pflop_per_crop * state.crops + state.pflop_before,
        "training_scenes": sorted(data.training),
        "validation_scenes": sorted(data.validation),
        "psf": data.sensor.psf.to_dict(),
        "threads": torch.get_num_threads(),
        **made_with(),
    }
    save_weights(weights, half, replace(header, wavelengths_nm=data.wavelengths_nm, provenance=provenance))
    path.unlink()  # not before: a full disk leaves something to go on from
    return weights


def begin(options: RecordOptions, data: TrainingSet, start_from: Sequence[Path]) -> State:
    """The network with the sensor and the scenes' axes, and its average; Muon for the blocks, AdamW for the rest."""
    torch.manual_seed(options.seed)
    ms_bands, bands = data.sensor.srf.shape
    psf, ratio = data.sensor.psf, data.sensor.ratio
    header = options.header(bands, ms_bands, ratio)
    net = build_network(header.network, header.options)
    assert isinstance(net, SSJCN2)
    net.take_sensor(torch.tensor(data.sensor.srf), lambda side: torch.tensor(psf.window(ratio, side)))
    before = begin_as(net, start_from)
    if not start_from:
        scenes = (torch.from_numpy(read()).flatten(1) for read in data.training.values())
        net.turn_basis(torch.stack([second_moment(spectra) / spectra.shape[1] for spectra in scenes]).mean(0))
    net = to_fast_layout(net)
    kernels, others = list[nn.Parameter](), list[nn.Parameter]()
    for name, parameter in net.named_parameters():
        (kernels if ".blocks." in name and parameter.ndim == 4 else others).append(parameter)
    muon = Muon(kernels, options.muon_rate, weight_decay=options.weight_decay)
    adam = torch.optim.AdamW(others, options.adam_rate, betas=(0.9, 0.99), weight_decay=options.weight_decay)
    files = [path.name for path in start_from]
    return State(net, copy.deepcopy(net).eval(), (muon, adam), began_with=files, pflop_before=before)


def begin_as(net: SSJCN2, files: Sequence[Path]) -> float:
    """Let net's chains begin as those of weights files: as many in their order, of others those of the same start.

    What they had cost in PFLOP, of each file the share of its chains that are taken.

    Raises: InputError where they do not fit.
    """
    if not files:
        return 0.0
    sources, starts = [load_weights(path)[0] for path in files], net.options.starts
    chains = [(one, k) for one in sources if isinstance(one, SSJCN2) for k in range(len(one.options.starts))]
    if len(chains) != len(starts):
        of_start = {one.options.starts[k]: (one, k) for one, k in reversed(chains)}
        chains = [of_start[start] for start in starts if start in of_start]
    found = ", ".join(map(str, files))
    expected = f"chains of rounds from {', '.join(starts)} as in network_options"
    if len(chains) != len(starts):
        raise InputError(f"{len(chains)} such chains in {found}", expected, "name one file for each")
    try:
        net.begin_as(chains)
    except ValueError as exc:
        raise InputError(f"{found} ({exc})", expected, "name weights of its kind") from exc
    taken = [len({k for one, k in chains if one is source}) for source in sources]
    there = [len(one.options.starts) if isinstance(one, SSJCN2) else 1 for one in sources]
    costs = [float(read_header(path).provenance.get("pflop", 0.0)) for path in files]
    return sum(some / count * cost for some, count, cost in zip(taken, there, costs, strict=True))


def make_course(options: RecordOptions, data: TrainingSet, out_dir: Path, net: SSJCN2) -> Course:
    scenes = [read() for read in data.training.values()]
    o, augmented = options, ("mixed", "recoloured", "shift_bands", "relit")
    crops = CropStream(scenes, data.sensor, o.crop_px, o.seed, **{name: getattr(o, name) for name in augmented})
    validation = {}
    for name, read in data.validation.items():
        truth = torch.from_numpy(read())[None]
        validation[name] = (*data.sensor.observe(truth), truth)
    hs, ms, _ = crops.batch(0, 1)
    operations = count_operations(lambda: torch.autograd.backward(net(hs, ms).sum()))  # what a crop costs
    net.zero_grad(set_to_none=True)
    return Course(options, crops, validation, out_dir, data.preset, operations / 1e15)


def learn(
    course: Course, state: State, until: int, rate: Callable[[int], float], checkpoint: Path, deadline: float | None
) -> None:
    """Steps up to `until`, or to a deadline of the monotonic clock, at a fraction rate(step) of the full rates."""
    o, net = course.options, state.net.train()
    losses_of = torch.compile(compute_loss) if o.compile else compute_loss
    full, margin = (o.muon_rate, o.adam_rate), wrapped_margin_px(course.crops.sensor)
    saved, started = time.monotonic(), (time.monotonic(), time.process_time())
    losses: list[float] = []
    norms: list[float] = []
    while state.step < until and (deadline is None or time.monotonic() < deadline):
        hs, ms, truth = course.crops.batch(state.crops, o.batch)
        with torch.autocast("cpu", torch.bfloat16, enabled=o.precision == "bf16"):
            loss = losses_of(net, hs, ms, truth, o, margin)
        torch.autograd.backward(loss)
        norms.append(float(nn.utils.clip_grad_norm_(net.parameters(), o.clip_norm)))
        for optimiser, full_rate in zip(state.optimisers, full, strict=True):
            optimiser.param_groups[0]["lr"] = full_rate * rate(state.step)
            optimiser.step()
            optimiser.zero_grad()
        state.step, state.crops = state.step + 1, state.crops + o.batch
        share = 1 - min(o.ema_decay, (1 + state.step) / (10 + state.step))  # the average follows faster at first
        with torch.no_grad():
            torch._foreach_lerp_(list(state.average.parameters()), list(net.parameters()), share)
        losses.append(float(loss.detach()))
        now = (time.monotonic(), time.process_time())
        state.seconds += now[0] - started[0]
        state.cpu_seconds += now[1] - started[1]
        started = now
        if state.step % o.round_steps == 0 or state.step == until:
            log(course, state, rate(state.step - 1), losses, norms)
            losses, norms = [], []
        if now[0] - saved > CHECKPOINT_EVERY_S:
            state.save(checkpoint)
            saved = now[0]
    state.save(checkpoint)


def compute_loss(net: SSJCN2, hs: Tensor, ms: Tensor, truth: Tensor, o: RecordOptions, margin: int) -> Tensor:
    inside = (..., slice(margin, truth.shape[-2] - margin), slice(margin, truth.shape[-1] - margin))
    losses, truth = list[Tensor](), truth[inside]
    for estimate in net.estimates(hs, ms):
        errors = (estimate[inside] - truth).abs().mean((2, 3))  # (B, L)
        loss = (o.level * torch.log1p(errors / o.level) if o.level else errors).mean()
        if o.cosine_weight:
            loss = loss + o.cosine_weight * (1 - torch.cosine_similarity(estimate[inside], truth, eps=1e-4)).mean()
        losses.append(loss)
    return torch.stack(losses).mean()


def log(course: Course, state: State, rate: float, losses: list[float], norms: list[float]) -> None:
    """One JSON line: how far it is, what that cost, losses and gradients since the last, the validation scores."""
    line = {
        **progress(course, state),
        "rate": rate,
        "loss": sum(losses) / max(1, len(losses)),
        "largest_loss": max(losses, default=0.0),
        "gradient_norm": sum(norms) / max(1, len(norms)),
        **validate(course, state.average),
    }
    with (course.out_dir / LOG).open("a") as file:
        file.write(json.dumps(line) + "\n")


def progress(course: Course, state: State) -> dict[str, float]:
    pflop = float(f"{state.crops * course.pflop_per_crop:.5g}")
    spent = {"seconds": round(state.seconds, 1), "cpu_seconds": round(state.cpu_seconds, 1)}
    return {"step": state.step, "crops": state.crops, "pflop": pflop, **spent}


@torch.no_grad()
def validate(course: Course, net: SSJCN2) -> dict[str, float]:
    """Mean PSNR (dB), SAM (degrees) and ERGAS over the validation scenes; nothing where all scenes are learnt from."""
    if not course.validation:
        return {}
    scores = []
    for hs, ms, truth in course.validation.values():
        with torch.autocast("cpu", torch.bfloat16, enabled=course.options.precision == "bf16"):
            estimate = net(hs, ms).clamp(0, 1)
        images = estimate[0].numpy(), truth[0].numpy()
        scores.append(psnr_sam_ergas(*images, ratio=net.options.ratio, preset=course.preset))
    means = (round(sum(values) / len(scores), 4) for values in zip(*scores, strict=True))
    return dict(zip(("val_psnr_db", "val_sam_deg", "val_ergas"), means, strict=True))
