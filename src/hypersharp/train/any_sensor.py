"""Weights for any sensor: SSJCN in subspace coordinates, learned from scenes seen by random sensors.

Each batch is one scene, sharpened by averaging pixels down (so that it has the fine detail of an image from
afar), under one random sensor: ratio, blur, phase, response and noise are drawn, and the network is told a
slightly wrong sensor, as an estimate would be. The loss is that of the start it corrects set to 1, so that easy
and hard pairs count alike; coordinates count as far as they move the bands.
Batch k depends on (seed, k) alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from hypersharp.networks.checkpoint import build_network, save_weights, to_fast_layout
from hypersharp.networks.coordinates import Coordinates, fit_coordinates, psf_window
from hypersharp.networks.ssjcn import SSJCN
from hypersharp.networks.subspace import SubspaceSSJCN, guided_start
from hypersharp.sensor.observe import Sensor, add_noise
from hypersharp.sensor.psf import PSF, box, centred_start
from hypersharp.sensor.tables import FloatArray
from hypersharp.system.build_info import commit
from hypersharp.train.hardware import Hardware
from hypersharp.train.module import FusionTraining
from hypersharp.train.options import TrainOptions
from hypersharp.train.patches import Array, RoundSampler, mapped, orient, write_arrays
from hypersharp.train.run import (
    CHECKPOINT,
    Readers,
    TrainingSet,
    check_options,
    describe,
    make_trainer,
    quiet_lightning,
)

RATIOS = (2, 3, 4, 6, 8)
REGION_PX = 256  # side of the fine image that one batch is cut from
VALIDATION_PAIRS = 6  # random sensors that each validation scene is seen by
VALIDATION_SEED = 20_000


@dataclass(frozen=True, eq=False)
class Pair:
    """A pair in coordinates: c (B, p, h, w), g and truth (B, p, H, W), how much each coordinate weighs (p),

    and the sensor as the network is told it: response (p, p), psf (k, k), ratio.
    """

    c: Tensor
    g: Tensor
    truth: Tensor
    weight: Tensor
    response: Tensor
    psf: Tensor
    ratio: int

    def to(self, device: torch.device, **options: Any) -> "Pair":
        """The same there; lightning calls this."""
        names = ("c", "g", "truth", "weight", "response", "psf")
        return replace(self, **{name: getattr(self, name).to(device, **options) for name in names})


@dataclass(frozen=True)
class Blur:
    """A Gaussian blur in coarse pixels: standard deviations and centre along y and x; or a box."""

    sigma_yx: tuple[float, float]
    centre_yx: tuple[float, float]
    boxed: bool = False

    def psf(self, ratio: int) -> PSF:
        if self.boxed:
            return box(ratio, boundary="reflect")
        places = (np.arange(3 * ratio) - (3 * ratio - 1) / 2) / ratio
        y, x = (
            np.exp(-0.5 * ((places + centre) / sigma) ** 2)
            for sigma, centre in zip(self.sigma_yx, self.centre_yx, strict=True)
        )
        start = centred_start(3 * ratio, ratio)
        return PSF(np.outer(y, x), (start, start), "reflect")


def random_blur(random: Generator) -> Blur:
    sigma, stretch = random.uniform(0.3, 0.6), random.uniform(0.85, 1.18)
    y, x = random.uniform(-0.12, 0.12, 2)
    return Blur((sigma * stretch, sigma / stretch), (y, x), random.random() < 0.15)


def misjudged(blur: Blur, random: Generator) -> Blur:
    """What an estimate would take the blur for: some per cent wider or narrower, slightly moved."""
    sigma_y, sigma_x = np.array(blur.sigma_yx) * random.uniform(0.92, 1.08)
    y, x = np.array(blur.centre_yx) + random.uniform(-0.03, 0.03, 2)
    return replace(blur, sigma_yx=(sigma_y, sigma_x), centre_yx=(y, x))


def random_response(random: Generator, bands: int) -> FloatArray:
    """(l, L): 1 to 8 Gaussian bands anywhere in the spectrum, or one that covers most of it."""
    count = int(random.integers(1, 9))
    widths = random.uniform(0.02, 0.12, count) if count > 1 else random.uniform(0.05, 0.3, 1)
    places = np.linspace(0, 1, bands)
    rows = np.exp(-0.5 * ((places - random.random((count, 1))) / widths[:, None]) ** 2) + 1e-6
    response: FloatArray = rows / rows.sum(1, keepdims=True)
    return response


def random_scene(truth: Array, random: Generator, ratio: int) -> Tensor:
    """A region (L, H, W) of a scene, averaged down by 1 to 3, turned, its bands weighted by a smooth curve."""
    step = int(random.choice([1, 2, 3], p=[0.3, 0.4, 0.3]))
    side = min(REGION_PX, min(truth.shape[1:]) // step) // ratio * ratio
    y, x = (int(random.integers(size - side * step + 1)) for size in truth.shape[1:])
    region = np.array(truth[:, y : y + side * step, x : x + side * step], dtype=np.float32)
    turned = np.ascontiguousarray(orient(region, int(random.integers(8))))
    knots = np.exp(random.normal(0, 0.4, 5))
    gains = np.interp(np.linspace(0, 4, len(truth)), np.arange(5), knots).astype(np.float32)
    fine = F.avg_pool2d(torch.from_numpy(turned), step) if step > 1 else torch.from_numpy(turned)
    return fine * torch.from_numpy(gains)[:, None, None]


def random_pair(truth: Array, random: Generator, *, crops: int, crop_px: int, dimensions: int) -> Pair:
    """`crops` crops of about crop_px (0: the whole) of a random region of the scene under a random sensor."""
    ratio = int(random.choice(RATIOS))
    scene, blur = random_scene(truth, random, ratio), random_blur(random)
    response = random_response(random, len(scene))
    sensor = Sensor(blur.psf(ratio), response, ratio)
    seeds = [int(seed) for seed in random.integers(2**31, size=2)]
    hs = add_noise(sensor.hs(scene), random.uniform(25, 45), seeds[0])
    ms = add_noise(sensor.ms(scene), random.uniform(35, 50), seeds[1])
    told_response = response * random.normal(1, 0.03, response.shape)
    told = Sensor(misjudged(blur, random).psf(ratio), told_response, ratio)
    found = with_signs(fit_coordinates(hs, ms, told, dimensions=dimensions), random)
    side = min(crop_px, scene.shape[1]) // ratio if crop_px else scene.shape[1] // ratio
    corners = [tuple(int(random.integers(size - side + 1)) for size in hs.shape[1:]) for _ in range(crops)]
    return Pair(
        cut(found.of_hs(hs), corners, side, 1),
        cut(found.of_ms(ms), corners, side, ratio),
        cut(found.of_hs(scene), corners, side, ratio),
        found.basis.norm(dim=0),
        found.response(torch.tensor(told_response)),
        psf_window(told.psf, ratio),
        ratio,
    )


def with_signs(found: Coordinates, random: Generator) -> Coordinates:
    """The same subspace with the axes' arbitrary signs drawn."""
    signs = torch.from_numpy(random.choice([-1.0, 1.0], found.basis.shape[1])).to(found.basis)
    turned = {"basis": found.basis * signs, "analysis": found.analysis * signs[:, None]}
    return replace(found, **turned, guide=found.guide * signs[:, None])


def cut(image: Tensor, corners: list[tuple[int, ...]], side: int, ratio: int) -> Tensor:
    """(B, p, ratio side, ratio side): crops whose corners are given in coarse pixels."""
    pieces = [image[:, ratio * y : ratio * (y + side), ratio * x : ratio * (x + side)] for y, x in corners]
    return torch.stack(pieces).contiguous(memory_format=torch.channels_last)


class RandomPairs(Dataset[Pair]):
    """Batch k of an endless stream; k alone (and the seed) decides everything."""

    def __init__(self, truths: list[Array], options: TrainOptions, dimensions: int) -> None:
        self.truths, self.options, self.dimensions = truths, options, dimensions

    def __getitem__(self, k: int) -> Pair:
        o, random = self.options, np.random.default_rng((self.options.seed, k))
        truth = self.truths[random.integers(len(self.truths))]
        return random_pair(truth, random, crops=o.batch, crop_px=o.patch_px, dimensions=self.dimensions)


class FixedPairs(Dataset[Pair]):
    """Every validation scene under a few random sensors that stay the same."""

    def __init__(self, truths: list[Array], dimensions: int) -> None:
        self.truths, self.dimensions = truths, dimensions

    def __len__(self) -> int:
        return VALIDATION_PAIRS * len(self.truths)

    def __getitem__(self, k: int) -> Pair:
        random = np.random.default_rng((VALIDATION_SEED, k))
        truth = self.truths[k % len(self.truths)]
        return random_pair(truth, random, crops=1, crop_px=0, dimensions=self.dimensions)


class AnySensorTraining(FusionTraining):
    """Trains an SSJCN in coordinates; logs `val_psnr_db` and by how much it is above the start's."""

    net: SSJCN

    def training_step(self, batch: Any, _: int) -> Tensor:
        error, first = (weighted_l1(z, batch) for z in self.estimates(batch))
        loss = error / first.clamp(min=1e-6)
        self.log("loss", loss, prog_bar=True, batch_size=1)
        return loss

    def validation_step(self, batch: Any, _: int) -> None:
        psnr_db, first_db = (weighted_psnr_db(z, batch) for z in self.estimates(batch))
        scores = {"val_psnr_db": psnr_db, "val_gain_db": psnr_db - first_db}
        self.log_dict(scores, prog_bar=True, batch_size=1)

    def estimates(self, pair: Pair) -> tuple[Tensor, Tensor]:
        """The network's estimate under the pair's sensor, and the start."""
        self.net.see_with(pair.response, pair.psf, pair.ratio)
        start = guided_start(self.net, pair.c, pair.g)
        return self.net(pair.c, pair.g, start), start


def weighted_l1(z: Tensor, pair: Pair) -> Tensor:
    return ((z.float() - pair.truth) * pair.weight[:, None, None]).abs().mean()


def weighted_psnr_db(z: Tensor, pair: Pair) -> Tensor:
    """Peak: the standard deviation of the scene, so that scenes of all brightnesses can be averaged."""
    squares = ((z.float() - pair.truth) * pair.weight[:, None, None]).square().sum(1).mean()
    return 10 * torch.log10(pair.weight.square().sum() / squares)


def train_any_sensor(
    options: TrainOptions,
    data: TrainingSet,
    out_dir: Path,
    *,
    cache_dir: Path | None = None,
    resume: bool = False,
    hardware: Hardware = Hardware(),
) -> Path:
    """Train weights for any sensor and return the path of their file; as `train.run.train` otherwise.

    Raises: InputError where `resume` finds no checkpoint, or options do not fit.
    """
    check_options(options, hardware, out_dir, resume)
    commit()
    pl.seed_everything(options.seed, verbose=False)
    header = options.header(data.sensor.srf.shape[1], data.sensor.srf.shape[0], data.sensor.ratio)
    net = build_network(header.network, header.options)
    assert isinstance(net, SubspaceSSJCN)
    module = AnySensorTraining(net.core, options, data.preset)
    to_fast_layout(module)
    folder = (cache_dir or out_dir / "scenes") / "truths" / options.protocol
    dimensions = net.options.dimensions
    training = RandomPairs(read_truths(data.training, folder), options, dimensions)
    validation = FixedPairs(read_truths(data.validation, folder), dimensions)
    with quiet_lightning(), hardware.lost_process():
        trainer = make_trainer(options, out_dir, hardware)
        loaders = PairLoaders(options, training, validation)
        trainer.fit(module, loaders, ckpt_path=out_dir / CHECKPOINT if resume else None)
    provenance = describe(options, data, trainer, module.minutes())
    del provenance["psf"]
    path = out_dir / f"{options.name}.safetensors"
    if trainer.is_global_zero:
        save_weights(path, net, replace(header, provenance=provenance | {"any_sensor": True}))
    return path


def read_truths(readers: Readers, folder: Path) -> list[Array]:
    """The scenes as memory maps under `folder`; those already there are reused."""

    def kept(name: str, read: Callable[[], Array]) -> Array:
        if not (folder / name).exists():
            write_arrays({"truth": read()}, folder / name)
        return mapped(folder / name, "truth")

    return [kept(name, read) for name, read in readers.items()]


class PairLoaders(pl.LightningDataModule):
    """The batches of this device and the validation pairs; lightning asks once it knows the device."""

    def __init__(self, options: TrainOptions, training: RandomPairs, validation: FixedPairs) -> None:
        super().__init__()
        self.options, self.training, self.validation = options, training, validation

    def train_dataloader(self) -> DataLoader[Pair]:
        assert self.trainer is not None
        rank, devices = self.trainer.global_rank, self.trainer.world_size
        sampler = RoundSampler(self.options.round_steps * devices, 1, rank, devices)
        return DataLoader(self.training, batch_size=None, sampler=sampler)

    def val_dataloader(self) -> DataLoader[Pair]:
        return DataLoader(self.validation, batch_size=None)
