"""Methods tried on a pair at reduced resolution (`pair.reduced`): what counts there, scores, trials and blends."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.fusion.consistency import make_consistent
from hypersharp.methods.base import Method
from hypersharp.networks.inference import choose_weights
from hypersharp.pair.options import Options, ignore
from hypersharp.pair.reduced import ReducedPair, as_noisy_as, checkerboard, reduced_pairs
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair
from hypersharp.quality.metrics import psnr_sam_ergas
from hypersharp.sensor.noise import measure_noise

BORDER = 1 / 8  # of a side of the truth is the most that is left out as border
PSNR_SHARE = 0.75  # of the quality; the rest is SAM's
NOISY_DB = 30.0  # signal to noise of hs below which noise decides between methods; above, ms's texture passes for it
TILES = 6  # along the shorter side of a reduced pair: blends are fitted on every other one


@dataclass(frozen=True)
class Quality:
    """PSNR in dB, SAM in degrees and ERGAS, the mean over the reduced pairs."""

    psnr_db: float
    sam_deg: float
    ergas: float

    @property
    def db(self) -> float:
        """What is ranked: both errors in dB, 3/4 PSNR - 1/4 20 log10(SAM)."""
        return PSNR_SHARE * self.psnr_db - (1 - PSNR_SHARE) * 20 * float(np.log10(max(self.sam_deg, 1e-6)))


@dataclass(frozen=True)
class Ranked:
    """What methods made of the reduced pairs, alone or blended: their shares, scores, and seconds at full size."""

    shares: Mapping[str, float]
    consistent: bool
    quality: Quality
    seconds: float

    @property
    def name(self) -> str:
        """`gsa`, `gsa+c` (consistent) or `blend+c`."""
        name = "blend" if len(self.shares) > 1 else next(iter(self.shares))
        return f"{name}+c" if self.consistent else name


@dataclass(frozen=True, eq=False)
class Trial:
    """What a candidate made of each reduced pair, as it is and made consistent; seconds at full size, of either."""

    plain: list[Tensor]
    agreed: list[Tensor]
    seconds: float
    agreeing_seconds: float


@dataclass(eq=False)
class Trials:
    """Candidates on the reduced pairs of a scene of `scene_px` fine pixels."""

    pairs: list[ReducedPair]
    sensor: PairSensor
    options: Options
    scene_px: int
    by_name: dict[str, Trial] = field(default_factory=dict)

    @classmethod
    def of(cls, pair: TensorPair, sensor: PairSensor, options: Options) -> "Trials":
        """None yet. Raises: InputError for an hs too small, or a pair that does not show its sensor."""
        pairs = reduced_pairs(pair, sensor.sensor)
        noise = measure_noise(pair.hs, pair.ms, pair.hs_valid, pair.ms_valid)
        if np.median(noise.hs_snr_db) < NOISY_DB:
            pairs = [as_noisy_as(reduced, noise, sensor.psf) for reduced in pairs]
        return cls(pairs, sensor, options, pair.scene_px or pair.ms[0].numel())

    @property
    def wanted(self) -> tuple[bool, ...]:
        """Whether results are made consistent: one or the other, or both are compared.

        At reduced resolution the sensor is exact; where it does not explain the pair itself, nothing is held to it.
        """
        if self.options.consistent is not None:
            return (self.options.consistent,)
        return (False,) if self.sensor.is_doubtful else (False, True)

    def attempt(self, method: Method) -> Trial:
        """Run a method on every pair. Raises: InputError where it does not fit the pair, or gives no numbers."""
        plain, agreed, seconds, agreeing = [], [], [], []
        for pair in self.pairs:
            started = perf_counter()
            if method.is_network:
                choose_weights(method.name, pair, self.options)  # those for any sensor are a candidate of their own
            estimate = method.learn(pair, self._sensor_for(method, pair), self.options)(pair, self.options, ignore)
            estimate, between = estimate.cpu(), perf_counter()
            if not estimate.isfinite().all():
                raise InputError("values that are not finite", "numbers", "use another method")
            plain.append(estimate)
            if True in self.wanted:
                agreed.append(make_consistent(estimate, pair, self.sensor.psf).image)
            growth = self.scene_px / pair.ms[0].numel()
            seconds.append(growth * (between - started))
            agreeing.append(growth * (perf_counter() - between))
        self.by_name[method.name] = Trial(plain, agreed, min(seconds), min(agreeing))
        return self.by_name[method.name]

    def singles(self) -> Iterator[Ranked]:
        """Every candidate alone, in the order tried."""
        for name, consistent in product(self.by_name, self.wanted):
            quality = quality_of(self._estimates(name, consistent), self.pairs)
            yield Ranked({name: 1.0}, consistent, quality, self.seconds([name], consistent))

    def estimates(self, names: Sequence[str], consistent: bool, fold: bool | None) -> tuple[Tensor, Tensor]:
        """What the candidates made (n, L, N) and the truth (L, N), of pixels that count, all or those of one fold."""
        made, truths = [], []
        for number, pair in enumerate(self.pairs):
            counted = counted_pixels(pair)
            if fold is not None:
                counted = counted & (folds(pair) == fold)
            images = [self._estimates(name, consistent)[number] for name in names]
            made.append(torch.stack([image[:, counted] for image in images]))
            truths.append(pair.truth.cpu()[:, counted])
        return torch.cat(made, 2), torch.cat(truths, 1)

    def crossed(self, by_fold: Sequence[dict[str, float]], consistent: bool) -> Quality:
        """The quality of blends of these shares, fitted on the tiles of either fold, each on those of the other."""

        def blend(shares: dict[str, float], number: int) -> Tensor:
            return torch.stack([share * self.by_name[name].plain[number] for name, share in shares.items()]).sum(0)

        blended = []
        for number, pair in enumerate(self.pairs):
            first, second = (blend(shares, number) for shares in by_fold)
            mixed = torch.where(folds(pair), first, second)
            blended.append(make_consistent(mixed, pair, self.sensor.psf).image if consistent else mixed)
        return quality_of(blended, self.pairs)

    def seconds(self, names: Sequence[str], consistent: bool) -> float:
        """About how long these take at full size, with one change at the end that makes the result consistent."""
        trials = [self.by_name[name] for name in names]
        agreeing = max(trial.agreeing_seconds for trial in trials) if consistent else 0.0
        return sum(trial.seconds for trial in trials) + agreeing

    def _estimates(self, name: str, consistent: bool) -> list[Tensor]:
        return self.by_name[name].agreed if consistent else self.by_name[name].plain

    def _sensor_for(self, method: Method, pair: ReducedPair) -> PairSensor:
        """The sensor of the scene; for a network only what the user gave, for its own it was trained with."""
        own, sensor = method.is_network, self.sensor
        return PairSensor(pair, *(sensor.given_psf, sensor.given_srf) if own else (sensor.psf, sensor.sensor.srf))


def counted_pixels(pair: ReducedPair) -> Tensor:
    """(h, w): measured pixels of the truth without its border, of all where none are left."""
    height, width = pair.truth.shape[1:]
    margin = min(pair.ratio, int(BORDER * min(height, width)))
    inside = torch.zeros(height, width, dtype=torch.bool)
    inside[margin : height - margin, margin : width - margin] = True
    counted = inside if pair.truth_valid is None else inside & pair.truth_valid.cpu()
    return counted if counted.any() else torch.ones_like(counted)


def folds(pair: ReducedPair) -> Tensor:
    """(h, w): True on every other tile of the truth."""
    height, width = pair.truth.shape[1:]
    return checkerboard((height, width), max(1, min(height, width) // TILES))


def quality_of(estimates: Sequence[Tensor], pairs: Sequence[ReducedPair]) -> Quality:
    """The scores of one estimate (L, h, w) of each pair's truth."""
    rows = []
    for estimate, pair in zip(estimates, pairs, strict=True):
        counted = counted_pixels(pair).to(estimate.device)
        top = max(1.0, float(pair.truth.abs().max()))
        images = estimate, pair.truth.to(estimate)
        found, truth = ((image[:, counted] / top).cpu().numpy()[..., None] for image in images)
        rows.append(psnr_sam_ergas(found, truth, ratio=pair.ratio, preset="float"))
    return Quality(*np.mean(rows, axis=0).tolist())
