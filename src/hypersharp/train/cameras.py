"""Random cameras in the place of a protocol's sensor: a blur and noise of their own, of which the network is told.

All crops of a step are seen through one blur, each has noise of its own. As on a pair (`networks.inference.for_noise`),
only what of hs stands out of its noise is left, and how much noise that is, is known to some 20 %.
"""

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from hypersharp.networks.ssjcn_v2 import SSJCN2
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import PSF, Boundary, centred_start
from hypersharp.sensor.tables import FloatArray

HS_DB, MS_BETTER_DB = (25.0, 50.0), (0.0, 10.0)  # signal to noise of hs, and by how much that of ms is higher
SIGMA_COARSE = (0.3, 0.6)  # of the blur, in coarse pixels
KNOWN_TO = 0.2  # the logarithm of the noise's variance


def see(net: SSJCN2, truth: Tensor, sensor: Sensor, random: Generator) -> tuple[Tensor, Tensor]:
    """(hs, ms) of crops (B, L, H, W) by a random camera with the sensor's response, for which net is made ready."""
    camera = Sensor(random_blur(random, sensor.ratio), sensor.srf, sensor.ratio)
    hs, ms = camera.observe(truth)
    net.psf = torch.tensor(camera.psf.window(sensor.ratio, len(net.psf))).to(net.psf)
    hs_db = random.uniform(*HS_DB, len(truth))
    hs_noise = variance_of(hs, hs_db)
    noisy = add(hs, hs_noise, random)
    ms = add(ms, variance_of(ms, hs_db + random.uniform(*MS_BETTER_DB, len(truth))), random)
    told = hs_noise * torch.from_numpy(np.exp(random.normal(0, KNOWN_TO, len(truth)))).to(hs_noise)
    signal = signal_of(noisy, told)
    net.noise = told[:, None] * (signal @ net.basis).square().sum(1)  # (B, n)
    return torch.einsum("bkl,blhw->bkhw", signal, noisy), ms


def random_blur(random: Generator, ratio: int) -> PSF:
    """A Gaussian, a little longer along one axis, centred within an eighth of a coarse pixel of its own."""
    sigma, stretch = random.uniform(*SIGMA_COARSE), random.uniform(0.85, 1.18)
    return gaussian_blur(sigma * np.array([stretch, 1 / stretch]), random.uniform(-0.12, 0.12, 2), ratio, "wrap")


def gaussian_blur(sigma_yx: FloatArray, centre_yx: FloatArray, ratio: int, boundary: Boundary = "reflect") -> PSF:
    """A Gaussian blur whose standard deviations and centre are given in coarse pixels."""
    places = (np.arange(3 * ratio) - (3 * ratio - 1) / 2) / ratio
    y, x = np.exp(-0.5 * ((places + centre_yx[:, None]) / sigma_yx[:, None]) ** 2)
    start = centred_start(3 * ratio, ratio)
    return PSF(np.outer(y, x), (start, start), boundary)


def variance_of(image: Tensor, snr_db: FloatArray) -> Tensor:
    """(B,): that of noise so far below images (B, n, h, w)."""
    return image.square().mean((1, 2, 3)) * torch.from_numpy(10 ** (-snr_db / 10)).to(image)


def add(image: Tensor, variance: Tensor, random: Generator) -> Tensor:
    noise = torch.from_numpy(random.standard_normal(image.shape, dtype=np.float32))
    return image + variance.sqrt()[:, None, None, None] * noise


def signal_of(image: Tensor, variance: Tensor) -> Tensor:
    """(B, L, L): projections on the axes of spectra that hold more signal than noise, on one at least."""
    pixels = image.flatten(2).double()
    power, axes = torch.linalg.eigh(pixels @ pixels.mT / pixels.shape[2])
    kept = power > 2 * variance[:, None]
    kept[:, -1] = True
    axes = axes * kept[:, None]
    signal: Tensor = axes @ axes.mT
    return signal.to(image)
