"""Methods tried on a pair at reduced resolution (`pair.reduced`): what counts there, scores and errors."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.fusion.consistency import make_consistent
from hypersharp.fusion.ensemble import own_orientations
from hypersharp.methods.base import Method
from hypersharp.networks.inference import choose_weights, made_for
from hypersharp.pair.options import Options, ignore
from hypersharp.pair.reduced import ReducedPair, as_noisy_as, reduced_pairs
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair
from hypersharp.quality.metrics import psnr_sam_ergas

BORDER = 1 / 8  # of a side of the truth is the most that is left out as border
PSNR_SHARE = 0.75  # of the quality; the rest is SAM's
# Signal to noise of hs and of ms below which noise decides between methods; the texture of an ms passes for it at 24 dB
NOISY_DB, NOISY_MS_DB = 30.0, 20.0
TILES = 6  # along the shorter side of a reduced pair, whose gains are compared
# How much better this network with weights for the very sensor of the pair is than its reduced resolution says, where
# its texture is another: from 7 on it leads on four crops of CAVE, as it does on the pair itself, and from 11 on Indian
# Pines, where it does not
OWN_SENSOR_DB, SSJCN2 = 9.0, "ssjcn-v2"
HOPELESS_DB = 6.0  # so far behind the best, a candidate is not run on the pair itself
BICUBIC = "bicubic"


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
    """What methods made of a pair, alone or blended: their shares, scores at reduced resolution, seconds at full size.

    `own_db`: the error expected at the pair's own scale, -10 log10 of its square in the units of `own_scale`.
    """

    shares: Mapping[str, float]
    consistent: bool
    quality: Quality
    seconds: float
    own_db: float

    @property
    def name(self) -> str:
        """`gsa`, `gsa+c` (consistent) or `blend+c`."""
        name = "blend" if len(self.shares) > 1 else next(iter(self.shares))
        return f"{name}+c" if self.consistent else name


@dataclass(frozen=True, eq=False)
class Trial:
    """What a candidate made of each reduced pair, made consistent or not; seconds at full size, of either step."""

    estimates: dict[bool, list[Tensor]]
    seconds: float
    agreeing_seconds: float


@dataclass(eq=False)
class Trials:
    """Candidates on the reduced pairs of a scene of `scene_px` fine pixels.

    `credit`: by what the errors of networks are multiplied whose weights were made for the sensor of the pair.
    `noise_share`: the noise of hs relative to hs. `ms_noise`: standard deviations (l,), zero where the ms is not noisy.
    """

    pair: TensorPair
    pairs: list[ReducedPair]
    sensor: PairSensor
    options: Options
    scene_px: int
    noise_share: float
    ms_noise: Tensor
    by_name: dict[str, Trial] = field(default_factory=dict)
    credit: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, pair: TensorPair, sensor: PairSensor, options: Options) -> "Trials":
        """None yet. Raises: InputError for an hs too small, or a pair that does not show its sensor."""
        pairs = reduced_pairs(pair, sensor.sensor)
        noise, ms_noise, is_noisy = pair.noise, pair.ms_noise.cpu(), pair.ms_snr_db < NOISY_MS_DB
        if is_noisy or np.median(noise.hs_snr_db) < NOISY_DB:
            of_ms = ms_noise.numpy() if is_noisy or len(ms_noise) > 1 else np.zeros(1)  # texture of a single band
            pairs = [as_noisy_as(reduced, replace(noise, ms=of_ms), sensor.psf) for reduced in pairs]
        power = np.square(noise.hs)
        share = float(np.sqrt(power.sum() / max((power * 10 ** (noise.hs_snr_db / 10)).sum(), np.finfo(float).tiny)))
        told = ms_noise if is_noisy else torch.zeros_like(ms_noise)
        return cls(pair, pairs, sensor, options, pair.scene_px or pair.ms[0].numel(), share, told)

    @property
    def wanted(self) -> tuple[bool, ...]:
        """Whether results are made consistent: one or the other, or both are compared.

        At reduced resolution the sensor is exact, and hs what it saw; where that is not so, nothing is held to it.
        """
        if self.options.consistent is not None:
            return (self.options.consistent,)
        return (False,) if self.sensor.against_consistency else (False, True)

    @property
    def learned_share(self) -> float:
        """Of n pixels of a reduced hs and the gains of l ms bands and a constant, n / (n + l + 1)."""
        pixels = [pair.hs[0].numel() if pair.hs_valid is None else int(pair.hs_valid.sum()) for pair in self.pairs]
        return float(np.mean(pixels) / (np.mean(pixels) + len(self.pair.ms) + 1))

    def attempt(self, method: Method) -> Trial:
        """Run a method on every pair. Raises: InputError where it does not fit the pair, or gives no numbers."""
        plain, agreed, seconds, agreeing = [], [], [], []
        options, sensor, runs = self.options, self.sensor, 1
        if method.is_network:  # sees only what the user gave of the sensor, for its own it was trained with
            known = sensor.given_psf, sensor.given_srf
            # weights for any sensor are a candidate of their own
            weights, _ = choose_weights(method.name, self.pair, options)
            options = replace(options, weights=weights.path)  # the same in every phase
            runs = len(own_orientations(sensor.psf, self.pair.ratio)) if options.ensemble else 1
            protocol, second = sensor.estimate.protocol, weights.header.network == SSJCN2
            if second and protocol is not None and made_for(weights) == protocol:
                self.credit[method.name] = 10 ** (-OWN_SENSOR_DB / 20)
        else:
            known = sensor.psf, sensor.sensor.srf
        for pair in self.pairs:
            started = perf_counter()
            estimate = method.learn(pair, PairSensor(pair, *known), options)(pair, options, ignore).cpu()
            between = perf_counter()
            if not estimate.isfinite().all():
                raise InputError("values that are not finite", "numbers", "use another method")
            plain.append(estimate)
            if True in self.wanted:
                agreed.append(make_consistent(estimate, pair, self.sensor.psf)[0])
            growth = self.scene_px / pair.ms[0].numel()
            seconds.append(runs * growth * (between - started))
            agreeing.append(growth * (perf_counter() - between))
        self.by_name[method.name] = Trial({False: plain, True: agreed}, min(seconds), min(agreeing))
        return self.by_name[method.name]

    def quality(self, shares: Mapping[str, float], consistent: bool) -> Quality:
        """The scores of a blend at reduced resolution."""
        return quality_of(self._blended(shares, consistent), self.pairs)

    def hopeful(self, *, without: Collection[str] = ()) -> list[str]:
        """The candidates that are not far behind the best of them at reduced resolution, and bicubic, for comparison.

        As they are or consistent, whichever is better, their credit included.
        """
        found = {
            name: max(self.quality({name: 1.0}, consistent).db for consistent in self.wanted)
            - 20 * float(np.log10(self.credit.get(name, 1.0)))
            for name in self.by_name
            if name not in without
        }
        least = max(found.values()) - HOPELESS_DB
        return [name for name, db in found.items() if db >= least or name == BICUBIC]

    def leader(self, names: Sequence[str], seconds: float) -> str:
        """The best at reduced resolution of those that take no longer at full size; the quickest where all do."""
        in_time = [name for name in names if self.by_name[name].seconds <= seconds]
        if not in_time:
            return min(names, key=lambda name: self.by_name[name].seconds)
        return max(in_time, key=lambda name: self.quality({name: 1.0}, self.wanted[0]).db)

    def errors(self, names: Sequence[str], consistent: bool) -> Tensor:
        """(n, L, N): the errors of candidates at the pixels of the reduced pairs that count."""
        by_pair = []
        for number, pair in enumerate(self.pairs):
            images = [self.by_name[name].estimates[consistent][number] for name in names]
            by_pair.append((torch.stack(images) - pair.truth.cpu())[:, :, counted_pixels(pair)])
        return torch.cat(by_pair, 2)

    def gain_of_consistency(self, shares: Mapping[str, float]) -> tuple[float, float]:
        """By how many dB consistency lowers a blend's error at reduced resolution, the mean over tiles; its error."""
        gains = []
        for pair, *both in zip(self.pairs, *(self._blended(shares, one) for one in (False, True)), strict=True):
            counted, (height, width) = counted_pixels(pair), pair.truth.shape[1:]
            side = max(1, min(height, width) // TILES)
            rows, columns = (np.arange(length) // side for length in (height, width))
            tiles = rows[:, None] * (columns[-1] + 1) + columns
            plain, agreed = (
                np.bincount(tiles[counted], (image - pair.truth.cpu()).square().sum(0)[counted].double().numpy())
                for image in both
            )
            there = plain > 0
            gains.append(10 * np.log10(plain[there] / np.maximum(agreed[there], np.finfo(float).tiny)))
        every = np.concatenate(gains)
        return float(every.mean()), float(every.std() / max(len(every) - 1, 1) ** 0.5)

    def seconds(self, names: Sequence[str], consistent: bool) -> float:
        """About how long these take at full size, with one change at the end that makes the result consistent."""
        trials = [self.by_name[name] for name in names]
        agreeing = max(trial.agreeing_seconds for trial in trials) if consistent else 0.0
        return sum(trial.seconds for trial in trials) + agreeing

    def seconds_on(self, part: TensorPair, names: Sequence[str]) -> float:
        """About how long these take on a part of the pair."""
        return sum(self.by_name[name].seconds for name in names) * part.ms[0].numel() / self.scene_px

    def _blended(self, shares: Mapping[str, float], consistent: bool) -> list[Tensor]:
        members = [(share, self.by_name[name].estimates[consistent]) for name, share in shares.items()]
        return [sum(share * images[i] for share, images in members) for i in range(len(self.pairs))]  # type: ignore[misc]


def counted_pixels(pair: ReducedPair) -> Tensor:
    """(h, w): pixels of the truth measured in all images, without its border; all where none are left."""
    height, width = pair.truth.shape[1:]
    margin = min(pair.ratio, int(BORDER * min(height, width)))
    inside = torch.zeros(height, width, dtype=torch.bool)
    inside[margin : height - margin, margin : width - margin] = True
    counted = inside & pair.measured_finely()
    counted = counted if pair.truth_valid is None else counted & pair.truth_valid.cpu()
    return counted if counted.any() else torch.ones_like(counted)


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
