"""Weights for any sensor: SSJCN in subspace coordinates, learned from scenes seen by random sensors.

Each batch is one scene, sharpened by averaging pixels down (so that it has the fine detail of an image from
afar), or the structures of an image of few bands in random spectra, under one random sensor: ratio, blur, phase,
response and noise are drawn, and the network gets a slightly wrong sensor, as an estimate would be. The loss is that
of the start it corrects set to 1, so that easy and hard pairs count alike; coordinates count as far as they move the
bands.
Batch k depends on (seed, k) alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from hypersharp.errors import InputError
from hypersharp.io import open_cube
from hypersharp.networks.base import FusionNetwork
from hypersharp.networks.coordinates import fit_coordinates, psf_window
from hypersharp.networks.layers import full_precision, mixed, window_centre
from hypersharp.networks.ssjcn_coordinates import Sight
from hypersharp.networks.subspace import SubspaceSSJCN
from hypersharp.numerics.linops import mix_bands
from hypersharp.pair.tensors import ORIENTATIONS, TensorPair
from hypersharp.sensor.observe import Sensor, add_noise
from hypersharp.sensor.psf import PSF, box, centred_start
from hypersharp.sensor.tables import FloatArray
from hypersharp.train.module import FusionTraining, Loaders
from hypersharp.train.options import TrainOptions
from hypersharp.train.patches import Array, Items, TrainingSet, cut, kept, orient

RATIOS = (2, 3, 4, 6, 8)
REGION_PX = 256  # side of the fine image that one batch is cut from
HS_SNR_DB, MS_SNR_DB = (20, 55), (20, 60)
TEXTURE_SHARE = 0.4  # of the batches, where there are images to take textures from
MOST_TEXTURE_BANDS = 8  # an image of more has spectra of its own
MATERIAL_BANDS, MATERIAL_KNOTS = (31, 101), 8
LEAST_SPREAD = 1e-6
VALIDATION_PAIRS = 6  # random sensors that each validation scene is seen by
VALIDATION_SEED = 20_000


@dataclass(frozen=True, eq=False)
class Pair:
    """A pair in coordinates: c (B, p, h, w), the ms less its mean x (B, l, H, W), truth (B, p, H, W), how much each

    coordinate weighs (p), and how the network takes the pair to see them.
    """

    c: Tensor
    x: Tensor
    truth: Tensor
    weight: Tensor
    sight: Sight

    def to(self, device: torch.device, **options: Any) -> "Pair":
        """The same there; lightning calls this."""
        names = ("c", "x", "truth", "weight", "sight")
        return replace(self, **{name: getattr(self, name).to(device, **options) for name in names})


def gaussian_blur(sigma_yx: FloatArray, centre_yx: FloatArray, ratio: int) -> PSF:
    """A Gaussian blur whose standard deviations and centre are given in coarse pixels."""
    places = (np.arange(3 * ratio) - (3 * ratio - 1) / 2) / ratio
    y, x = np.exp(-0.5 * ((places + centre_yx[:, None]) / sigma_yx[:, None]) ** 2)
    start = centred_start(3 * ratio, ratio)
    return PSF(np.outer(y, x), (start, start), "reflect")


def random_response(random: Generator, bands: int) -> FloatArray:
    """(l, L): 1 to 8 Gaussian bands anywhere in the spectrum, or one that covers most of it."""
    count = int(random.integers(1, 9))
    widths = random.uniform(0.02, 0.12, count) if count > 1 else random.uniform(0.05, 0.3, 1)
    places = np.linspace(0, 1, bands)
    rows = np.exp(-0.5 * ((places - random.random((count, 1))) / widths[:, None]) ** 2) + 1e-6
    return np.asarray(rows / rows.sum(1, keepdims=True))


def random_scene(truth: Array, random: Generator, ratio: int) -> Tensor:
    """A region (L, H, W) of a scene, averaged down by 1 to 4, turned, its bands weighted by a smooth curve."""
    step = int(random.choice([1, 2, 3, 4], p=[0.2, 0.3, 0.3, 0.2]))
    side = min(REGION_PX, min(truth.shape[1:]) // step) // ratio * ratio
    y, x = (int(random.integers(size - side * step + 1)) for size in truth.shape[1:])
    region = np.array(truth[:, y : y + side * step, x : x + side * step], dtype=np.float32)
    turned = np.ascontiguousarray(orient(region, int(random.integers(ORIENTATIONS))))
    knots = np.exp(random.normal(0, 0.4, 5))
    gains = np.interp(np.linspace(0, 4, len(truth)), np.arange(5), knots).astype(np.float32)
    fine = F.avg_pool2d(torch.from_numpy(turned), step) if step > 1 else torch.from_numpy(turned)
    return fine * torch.from_numpy(gains)[:, None, None]


def random_materials(image: Tensor, random: Generator) -> Tensor:
    """A scene (31 to 100, H, W) of random smooth spectra, one for each of some kinds of pixel of an image (l, H, W).

    Kinds are pixels drawn from it; between them spectra mix, by likeness, and brightness follows the image.
    """
    pixels = image.flatten(1)
    unlike = pixels / pixels.std(1, keepdim=True).clamp(min=LEAST_SPREAD)
    kinds = torch.from_numpy(random.integers(pixels.shape[1], size=int(random.integers(4, 13))))
    apart = torch.cdist(unlike.mT, unlike[:, kinds].mT).square().mT  # (k, H W)
    shares = torch.softmax(-apart / (random.uniform(0.05, 0.5) * apart.mean().clamp(min=LEAST_SPREAD)), 0)
    knots = np.exp(random.normal(0, 0.5, (len(kinds), MATERIAL_KNOTS)))
    at = np.linspace(0, MATERIAL_KNOTS - 1, int(random.integers(*MATERIAL_BANDS)))
    spectra = torch.from_numpy(np.stack([np.interp(at, np.arange(MATERIAL_KNOTS), row) for row in knots])).to(image)
    brightness = pixels.clamp(min=0).mean(0)
    return (spectra.mT @ shares * brightness).view(-1, *image.shape[1:])


def random_pair(truth: Array, random: Generator, *, crops: int, crop_px: int) -> Pair:
    """`crops` crops of about crop_px (0: the whole) of a random region of the scene under a random sensor."""
    ratio = int(random.choice(RATIOS))
    scene = random_scene(truth, random, ratio)
    if len(scene) <= MOST_TEXTURE_BANDS:
        scene = random_materials(scene, random)
    sigma, stretch = random.uniform(0.3, 0.6), random.uniform(0.85, 1.18)
    sigma_yx, centre_yx = sigma * np.array([stretch, 1 / stretch]), random.uniform(-0.12, 0.12, 2)
    boxed = box(ratio, boundary="reflect") if random.random() < 0.15 else None
    response = random_response(random, len(scene))
    sensor = Sensor(boxed or gaussian_blur(sigma_yx, centre_yx, ratio), response, ratio)
    seeds = [int(seed) for seed in random.integers(2**31, size=2)]
    hs = add_noise(sensor.hs(scene), random.uniform(*HS_SNR_DB), seeds[0])
    ms = add_noise(sensor.ms(scene), random.uniform(*MS_SNR_DB), seeds[1])
    # what an estimate would take the sensor for: a blur some per cent wider or narrower, slightly moved
    assumed_response = response * random.normal(1, random.uniform(0, 0.06), response.shape)
    sigma_yx, centre_yx = sigma_yx * random.uniform(0.92, 1.08), centre_yx + random.uniform(-0.05, 0.05, 2)
    assumed = Sensor(boxed or gaussian_blur(sigma_yx, centre_yx, ratio), assumed_response, ratio)
    found = fit_coordinates(TensorPair(hs, ms), assumed)
    signs = torch.from_numpy(random.choice([-1.0, 1.0], found.basis.shape[1])).to(found.basis)  # which are arbitrary
    turned = {"analysis": found.analysis * signs[:, None], "guide": found.guide * signs[:, None]}
    found = replace(found, basis=found.basis * signs, **turned)
    side = min(crop_px, scene.shape[1]) // ratio if crop_px else scene.shape[1] // ratio
    corners = [tuple(int(random.integers(size - side + 1)) for size in hs.shape[1:]) for _ in range(crops)]
    c, fine = (mix_bands(found.analysis, image - found.hs_mean[:, None, None]) for image in (hs, scene))
    x = ms - found.ms_mean[:, None, None]
    steps = (c, 1), (x, ratio), (fine, ratio)
    c, x, fine = (cut(image, corners, (side, side), step).contiguous() for image, step in steps)
    seen = torch.tensor(assumed_response).to(found.basis) @ found.basis
    window = psf_window(assumed.psf, ratio)
    centre = window_centre(window, ratio)
    sight = Sight(found.guide, seen, found.detail, window, found.noise, found.spread, ratio, centre)
    return Pair(c, x, fine, found.basis.norm(dim=0), sight)


def validation_pair(truths: list[Array], k: int) -> Pair:
    """A whole validation scene under one of the random sensors that stay the same."""
    random = np.random.default_rng((VALIDATION_SEED, k))
    return random_pair(truths[k % len(truths)], random, crops=1, crop_px=0)


def training_batch(truths: list[Array], textures: list[Array], options: TrainOptions, k: int) -> Pair:
    """Batch k of an endless stream; k alone (and the seed) decides everything."""
    random = np.random.default_rng((options.seed, k))
    drawn = textures if textures and random.random() < TEXTURE_SHARE else truths
    truth = drawn[random.integers(len(drawn))]
    return random_pair(truth, random, crops=options.batch, crop_px=options.patch_px)


def texture(path: Path) -> Array:
    """An image (l, H, W) whose brightest value is about 1. Raises: InputError for one with as many bands as a scene."""
    image = np.nan_to_num(open_cube(path).values).astype(np.float32)
    if len(image) > MOST_TEXTURE_BANDS:
        found, expected = f"{len(image)} bands in {path}", f"an image of {MOST_TEXTURE_BANDS} or fewer"
        raise InputError(found, expected, "name another in textures")
    scaled: Array = image / max(float(np.quantile(image, 0.999)), LEAST_SPREAD)
    return scaled


class AnySensorTraining(FusionTraining):
    """Trains the rounds in coordinates; logs `val_psnr_db` and by how much it is above the start's."""

    net: SubspaceSSJCN

    def training_step(self, batch: Any, _: int) -> Tensor:
        error, first = (gap.abs().mean() for gap in self.weighted_errors(batch))
        loss = error / first.clamp(min=1e-6)
        self.log("loss", loss, prog_bar=True, batch_size=1)
        return loss

    def validation_step(self, batch: Any, _: int) -> None:
        """PSNR in dB, the peak being the standard deviation of the scene, so that all brightnesses count alike."""
        squares, first = (gap.square().sum(1).mean() for gap in self.weighted_errors(batch))
        psnr_db = 10 * torch.log10(batch.weight.square().sum() / squares)
        scores = {"val_psnr_db": psnr_db, "val_gain_db": 10 * torch.log10(first / squares)}
        self.log_dict(scores, prog_bar=True, batch_size=1)

    def weighted_errors(self, pair: Pair) -> list[Tensor]:
        """Of the network's estimate under the pair's sensor, and of the start, as far as they move the bands."""
        with full_precision(pair.c):
            start = pair.sight.start(pair.c, mixed(pair.sight.guide, pair.x))
        estimate = self.net.core(pair.c, pair.x, pair.sight)
        return [(z.float() - pair.truth) * pair.weight[:, None, None] for z in (estimate, start)]


def lessons_for_any_sensor(
    options: TrainOptions, data: TrainingSet, net: FusionNetwork, cache: Path
) -> tuple[AnySensorTraining, Loaders]:
    """The network, whose rounds are trained, and random pairs of the scenes."""
    if not isinstance(net, SubspaceSSJCN):
        raise InputError(f"sensors: random for {options.network}", "network: ssjcn-subspace", "change one of the two")
    folder = cache / "truths" / options.protocol

    def truth(name: str, read: Callable[[], Array]) -> Array:
        return kept(folder / name, lambda: {"truth": read()})["truth"]

    scenes, watched = ([truth(*one) for one in readers.items()] for readers in (data.training, data.validation))
    textures = [texture(Path(path)) for path in options.textures]
    batches = Items(partial(training_batch, scenes, textures, options))
    validation = Items(partial(validation_pair, watched), VALIDATION_PAIRS * len(watched))
    loaders = Loaders(batches, DataLoader(validation, batch_size=None), options.round_steps)
    return AnySensorTraining(net, options, data.preset), loaders
