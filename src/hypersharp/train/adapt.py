"""SSJCN learned from one pair alone, without truth, for `hypersharp adapt`: Wald's protocol in its coordinates.

hs and the ms on its grid are brought to reduced resolution by the estimated PSF and ratio; the network learns to
reproduce hs, its error maps being taken through the estimated PSF and response. The weights for any sensor stay as
they are; a second correction, specific to the pair, is learned. The pair is rotated, mirrored and cut at other
phases before it is reduced, because a PSF need not be symmetric, and gets the noise of both images, which reducing
averages out. Held-out tiles decide when to stop and what is kept of the second correction.
Source: the zero-shot training of Dian et al., IEEE TPAMI 2023.
"""

import copy
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.io.image import CubeImage
from hypersharp.methods.ssjcn_any import pair_network
from hypersharp.networks.checkpoint import check_suffix, save_weights, to_fast_layout
from hypersharp.networks.header import WeightsHeader
from hypersharp.networks.inference import autocast
from hypersharp.networks.layers import mixed
from hypersharp.networks.subspace import SubspaceSSJCN
from hypersharp.pair.options import Coregister, Options, Progress, choose_device, ignore
from hypersharp.pair.place import pair_of
from hypersharp.pair.sensor import PairSensor, given_sensor
from hypersharp.pair.tensors import ORIENTATIONS, TensorPair, turned
from hypersharp.sensor.psf import PSF
from hypersharp.sensor.spectra import coverage_notes
from hypersharp.train.cost import made_with
from hypersharp.train.patches import cut

LEAST_PX = 4  # coarser pixels along a side that there must be to learn from
SMALL_PX = 96 * 96  # images up to this size are scored in all orientations, for the sake of few pixels
VIEWS, LEAST_VIEWS = 32, 2  # orientations and phases the pair is seen in; a large one shows enough in few
MOST_BYTES = 2**30  # of the views, which are kept
TILES = 6  # along a side, of which some are held out
WARMUP_STEPS = 20
LEAST_ERROR = 1e-9
LEAST_S = 1e-3


@dataclass(frozen=True)
class AdaptOptions:
    """How long and how `adapt` learns.

    Attributes:
        seconds, steps: at most.
        features: channels of the second correction.
        learning_rate: of Adam.
        batch: patches a step.
        patch_px: side of a patch in HS pixels.
        held_out: share of the tiles that decide when to stop.
        every: steps between two scores.
        patience: scores without a better one, after which it ends.
        seed: of patches and initial weights.

    >>> AdaptOptions(seconds=120).steps
    2000
    """

    seconds: float = 60.0
    steps: int = 2000
    features: int = 32
    learning_rate: float = 2e-3
    batch: int = 4
    patch_px: int = 64
    held_out: float = 0.2
    every: int = 20
    patience: int = 10
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """How small the error in the pair's coordinates is on the held-out tiles, dB: of the start (a regression), before

    and after learning. Only the differences of the three tell something: it is no PSNR of an image.
    `notes`: what was done to the pair before, formatted for display.
    """

    start_db: float
    before_db: float
    after_db: float
    steps: int
    seconds: float
    notes: tuple[str, ...] = ()


def adapt_pair(
    hs: xr.DataArray,
    ms: xr.DataArray,
    out: Path,
    *,
    options: AdaptOptions | None = None,
    psf: str | Path | PSF | None = None,
    srf: str | Path | NDArray[np.float64] | None = None,
    ratio: int | None = None,
    coregister: Coregister = "local",
    device: str = "auto",
    progress: Progress = ignore,
) -> Outcome:
    """Train SSJCN on one pair, at reduced resolution (Wald's protocol), and write the weights.

    Args:
        hs: (L, h, w), at least 4 ratio pixels a side.
        ms: (l, H, W) in the unit of hs.
        out: the .safetensors file to write.
        options: how long and how it learns.
        psf, srf, ratio, coregister, device: as `fuse` takes them (a response is (l, L)).
        progress: called with the fraction done, 0..1.

    Returns:
        How the regression, `ssjcn-any`, and the weights after learning do on held-out tiles; steps and seconds.

    Raises:
        CallError: an output that is no .safetensors file.
        InputError: images that do not match, hold no texture, or are too small.

    Source: the zero-shot training of Dian et al., IEEE TPAMI 2023.

    >>> adapt_pair(None, None, Path("weights.pkl"))
    Traceback (most recent call last):
    hypersharp.errors.CallError: found --out weights.pkl, expected a file that ends in .safetensors, do: rename it
    """
    check_suffix(out, ".safetensors")
    run = Options(device=device, coregister=coregister)
    pair = pair_of(CubeImage(hs), CubeImage(ms), run, psf=psf, ratio=ratio)
    whole, chosen = pair.whole(), options or AdaptOptions()
    sensor = PairSensor(whole, *given_sensor(pair, psf, srf))
    net, learnt = adapt(whole, sensor, run, chosen, progress)
    outcome = replace(learnt, notes=(*pair.placement.notes, *coverage_notes(pair.spectra)))
    provenance = {**asdict(chosen), **asdict(outcome), "scale": pair.unit, **made_with()}
    centres = pair.spectra.hs_nm
    nm = None if centres is None else tuple(float(centre) for centre in centres)
    save_weights(out, net, WeightsHeader("ssjcn-subspace", asdict(net.options), nm, provenance))
    return outcome


def adapt(
    pair: TensorPair, sensor: PairSensor, chosen: Options, options: AdaptOptions, progress: Progress = ignore
) -> tuple[SubspaceSSJCN, Outcome]:
    """The network after learning from a pair. Raises: InputError for images too small, or as `pair_network`."""
    started = time.monotonic()
    least = LEAST_PX * pair.ratio
    if min(pair.hs.shape[1:]) < least:
        found = f"hs of {pair.hs.shape[1]} x {pair.hs.shape[2]} pixels at ratio {pair.ratio}"
        expected = f"at least {least} x {least} to learn from"
        raise InputError(found, expected, "use --method ssjcn without adapting, or a larger part of the scene")
    device, seer = choose_device(chosen.device), sensor.sensor
    torch.manual_seed(options.seed)
    net = to_fast_layout(pair_network(pair, seer, own_features=options.features)).to(device)
    counted = replace(pair, hs_valid=pair.measured_under(seer)).changed(lambda image: image.to(device))
    learning = Learning(net, counted, chosen, options)
    outcome = learning.run(started, progress)
    return net.cpu().eval(), outcome


def held_out(shape_yx: tuple[int, int], options: AdaptOptions) -> Tensor:
    """(h, w): True in the tiles, TILES a side, that are kept for scoring."""
    random = np.random.default_rng(options.seed)
    count = max(1, round(options.held_out * TILES**2))
    tiles = torch.zeros(TILES**2, dtype=torch.bool)
    tiles[torch.from_numpy(random.permutation(TILES**2)[:count])] = True
    rows, columns = (torch.arange(size) * TILES // size for size in shape_yx)
    return tiles.view(TILES, TILES)[rows][:, columns]


class Learning:
    """The run: steps, scores on the held-out tiles, the state that is kept. The network sees with its sensor.

    It has the pair one level down: c (p, h, w), to be given back, the reduced ms x (l, h, w), the noise of both, and
    the pixels that count for learning and for scoring (h, w).
    """

    def __init__(self, net: SubspaceSSJCN, pair: TensorPair, chosen: Options, options: AdaptOptions) -> None:
        """hs_valid of the pair: the pixels that count."""
        assert net.own is not None and pair.hs_valid is not None
        self.net, self.own, self.precision, self.options = net, net.own, chosen.precision, options
        with torch.no_grad():
            self.sight = net.sight()
            self.c, fine = (image[0] for image in net.coordinates(pair.hs[None], pair.ms[None]))
            self.x = self.sight.blur(fine[None])[0]
        valid, held = pair.hs_valid, held_out((self.c.shape[1], self.c.shape[2]), options).to(pair.hs.device)
        self.learn, self.score = valid & ~held, valid & held
        if not self.learn.any() or not self.score.any():
            raise InputError("next to no measured pixels", "an image to learn from", "use --method ssjcn")
        averaged = 1 - float(net.psf.square().sum())  # share of the noise that degrading takes away
        self.noise, self.ms_noise = averaged**0.5 * net.noise[0], averaged**0.5 * pair.ms_noise.to(pair.ms)
        self.weight = net.basis.norm(dim=0)[:, None, None]
        self.views: dict[int, tuple[Tensor, ...]] = {}
        view_bytes = 3 * self.c.numel() * self.c.element_size()  # the guide, the first estimate and c
        self.view_count = min(VIEWS, max(LEAST_VIEWS, MOST_BYTES // view_bytes))

    def run(self, started: float, progress: Progress) -> Outcome:
        """Learn until the time is over or nothing improves; the best state is left in the network."""
        o, before_db = self.options, self.score_db()
        best_db, best = before_db, copy.deepcopy(self.own.state_dict())
        steps, waited, random = 0, 0, np.random.default_rng(o.seed)
        adam = torch.optim.Adam(self.own.parameters(), lr=o.learning_rate)
        while waited < o.patience:
            spent = max((time.monotonic() - started) / max(o.seconds, LEAST_S), steps / o.steps)
            progress(min(1.0, spent))
            if spent >= 1:
                break
            warmup = min(1.0, (steps + 1) / WARMUP_STEPS)
            adam.param_groups[0]["lr"] = o.learning_rate * warmup * 0.5 * (1 + np.cos(np.pi * spent))
            self.step(adam, random)
            steps += 1
            if steps % o.every == 0:
                reached_db, waited = self.score_db(), waited + 1
                if reached_db > best_db:
                    best_db, best, waited = reached_db, copy.deepcopy(self.own.state_dict()), 0
        self.own.load_state_dict(best)
        progress(1.0)
        return Outcome(self.score_db(of_start=True), before_db, best_db, steps, time.monotonic() - started)

    def step(self, adam: torch.optim.Adam, random: Generator) -> None:
        """One step, on patches of one view, down the mean absolute error in bands, the first estimate's being 1."""
        coarse, *fine, _ = self.view(int(random.integers(self.view_count)))
        ratio, sizes = self.net.options.ratio, coarse.shape[1:]
        sides = [min(max(1, self.options.patch_px // ratio), size) for size in sizes]
        corners = [
            [int(random.integers(size - side + 1)) for size, side in zip(sizes, sides, strict=True)]
            for _ in range(self.options.batch)
        ]
        # c degraded, g, first estimate, c, what counts for learning
        c, g, first, truth, counts = cut(coarse, corners, sides), *(cut(image, corners, sides, ratio) for image in fine)
        with autocast(c.device, self.precision):
            z = self.own(c, g, first)
        factor = self.weight * counts
        error, before = ((factor * (image.float() - truth)).abs().mean() for image in (z, first))
        loss: Tensor = error / before.clamp(min=LEAST_ERROR)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.own.parameters(), 1.0)
        adam.step()
        adam.zero_grad()

    def view(self, number: int) -> tuple[Tensor, ...]:
        """The pair turned, its first rows and columns cut off, with the noise that degrading took away: c degraded, g,

        first estimate, c, and what counts for learning and for scoring. The first ones are whole, in all orientations.
        """
        if number in self.views:
            return self.views[number]
        ratio, random = self.net.options.ratio, np.random.default_rng((self.options.seed, number))
        top, left = random.integers(0, ratio, 2) if number >= ORIENTATIONS else (0, 0)
        images = []
        for image in (self.x, self.c, self.learn[None], self.score[None]):
            whole = turned(image, number % ORIENTATIONS)[:, top:, left:]
            height, width = (size // ratio * ratio for size in whole.shape[1:])
            images.append(whole[:, :height, :width])
        x, c, learn, score = images
        with torch.no_grad(), autocast(x.device, self.precision):
            coarse = self.sight.blur(c[None])[0]
            coarse, x = (noisy(*one, random) for one in ((coarse, self.noise), (x, self.ms_noise)))
            first = self.net.core(coarse[None], x[None], self.sight)[0].float()
        self.views[number] = (coarse, mixed(self.sight.guide, x[None])[0], first, c, learn, score)
        return self.views[number]

    def score_db(self, *, of_start: bool = False) -> float:
        """How small the error on the held-out tiles is, or that of the regression alone, in dB; see `Outcome`."""
        squares, count = 0.0, 0
        for k in range(ORIENTATIONS) if self.score.numel() <= SMALL_PX else (0, 5):
            coarse, g, first, c, _, score = self.view(k)
            with torch.no_grad(), autocast(g.device, self.precision):
                images = (image[None] for image in (coarse, g, first))
                z = (self.sight.start(coarse[None], g[None]) if of_start else self.own(*images))[0].float()
            squares += float((self.weight * score * (z - c)).square().sum())
            count += int(score.sum())
        return float(10 * np.log10(float(self.weight.square().sum()) / max(squares / max(1, count), LEAST_ERROR)))


def noisy(image: Tensor, deviation: Tensor, random: Generator) -> Tensor:
    """(n, y, x) with white noise of that deviation (n)."""
    noise = torch.from_numpy(random.standard_normal(image.shape)).to(image)
    return image + noise * deviation[:, None, None]


def summary(outcome: Outcome) -> str:
    """One line for the user; a warning where nothing was learned."""
    before, after = (db - outcome.start_db for db in (outcome.before_db, outcome.after_db))
    learned = outcome.after_db > outcome.before_db
    warning = "" if learned else "\nwarning: nothing was learned that helps there: give more --minutes, or do without"
    return (
        f"adapted in {outcome.steps} steps, {outcome.seconds:.0f} s: error on held-out tiles lower than a regression's "
        f"by {before:.2f} dB before, {after:.2f} dB after{warning}"
    )
