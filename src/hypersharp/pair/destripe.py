"""Stripes of hs, as detectors that are not calibrated leave them, told from the scene by statistics and removed.

A stripe adds s_bn to band b of line n (a column, say), another to each band. Along a line it is constant, so that
differences along lines show the scene without stripes: how hs follows the ms there (W), and the spectra S of what the
ms does not explain. Of the means of lines across the image, m = mean(hs - W ms), the scene's part is taken to be a
random walk of covariance k S a step, the stripes white, of variance sigma_b^2. In the mode j of a cosine transform
along n

    E[s_j | m_j] = D (D + k l_j S)^-1 m_j,   D = diag(sigma^2),   1 / l_j = 2 - 2 cos(pi j / N),

where k and D are the likeliest (expectation maximisation: Dempster, Laird, Rubin 1977, JRSS B 39(1)). A gain that
differs stretches the differences along a line too; how far they are stretched as stripes of gain would be tells gains
from offsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dct, idct

from hypersharp.grid import middle
from hypersharp.pair.defects import AXES
from hypersharp.pair.placement import Placement, Stripes
from hypersharp.pair.sample import MOST_COARSE
from hypersharp.pair.tensors import fill_gaps
from hypersharp.sensor.observe import degraded
from hypersharp.sensor.psf import parse_psf

USUAL_PSF = "mtf:0.3"  # how hs sees the ms, before its sensor is known
MOST_GAIN = 0.5  # of 1; where more would be needed, where values are near zero, it is an offset
STEPS = 50
TINY = 1e-12

Floats = NDArray[np.float64]


def without_stripes(placement: Placement, bands: NDArray[np.intp], lines: Sequence[str]) -> Placement:
    """The pair without the stripes along `lines` ("rows", "columns") in the bands of hs that count, and what was done.

    They are found in the middle of the scene, of as much as a sample holds along lines, and all of it across.
    """
    for axis, name in ((AXES.index(name), name) for name in lines):
        window, along = list(placement.everything), middle(placement.shape_yx, MOST_COARSE)
        window[1 - axis], window[3 - axis] = along[1 - axis], along[3 - axis]
        read = placement.read((window[0], window[1], window[2], window[3]))
        hs, ms = (fill_gaps(cube.values.astype(np.float32)) for cube in (read[0][bands], read[1]))
        psf = parse_psf(USUAL_PSF, placement.ratio).moved(placement.offset_px_yx, placement.ratio)
        seen = degraded(torch.from_numpy(ms), psf, placement.ratio).numpy()
        found, share = find_stripes(hs, seen, axis)
        every = placement.hs.outline().shape[0], found.gain.shape[1]
        gain, offset = np.ones(every), np.zeros(every)
        gain[bands], offset[bands] = found.gain, found.offset
        note = f"stripes along the {name} of hs removed, {share:.0%} of them gain, the rest offset"
        stripes = (*placement.stripes, Stripes(axis, gain, offset))
        placement = replace(placement, stripes=stripes, notes=(*placement.notes, note))
    return placement


def find_stripes(hs: NDArray[Any], seen: NDArray[Any], axis: int) -> tuple[Stripes, float]:
    """The stripes of hs (L, h, w) along an axis, 0 rows, 1 columns, and the share of gain in them.

    seen: the ms (l, h, w) as hs sees it.
    """
    lines, guide = (np.moveaxis(np.asarray(image, np.float64), axis + 1, 1) for image in (hs, seen))
    steps, guide_steps = (np.diff(image, axis=2) for image in (lines, guide))
    flat, guide_flat = steps.reshape(len(steps), -1), guide_steps.reshape(len(guide), -1)
    weights = np.linalg.lstsq(guide_flat.T, flat.T, rcond=None)[0].T
    left = flat - weights @ guide_flat
    scene = left @ left.T / left.shape[1]
    means = lines.mean(2)
    added = likely_offsets(means - weights @ guide.mean(2), scene + TINY * np.trace(scene) * np.eye(len(scene)))
    level = means - added
    gains = np.divide(added, level, out=np.zeros_like(added), where=np.abs(added) < MOST_GAIN * np.abs(level))
    expected = np.einsum("lm,mnp->lnp", weights, guide_steps)
    power = float((np.square(expected).sum(2) * np.square(gains)).sum())
    stretched = float((((steps - expected) * expected).sum(2) * gains).sum())
    share = min(1.0, max(0.0, stretched / power)) if power > 0 else 0.0
    return Stripes(axis, 1 + share * gains, added - share * gains * level), share


def likely_offsets(means: Floats, scene: Floats) -> Floats:
    """(L, n): the stripes in the means (L, n) of lines of a scene whose steps have that covariance (L, L)."""
    bands, count = means.shape
    modes = dct(means, norm="ortho", axis=1)[:, 1:]
    walk = 1 / (2 - 2 * np.cos(np.pi * np.arange(1, count) / count))
    scale, variance = 1.0, np.square(np.diff(means, axis=1)).mean(1) / 2
    variance = np.maximum(variance, TINY * max(float(variance.max()), TINY))
    striped = np.zeros((bands, count))
    for _ in range(STEPS):
        deviation = np.sqrt(variance)
        powers, axes = np.linalg.eigh(scene / deviation[:, None] / deviation)
        powers = np.maximum(powers, TINY * powers[-1])[:, None]
        seen, ratio = axes.T @ (modes / deviation[:, None]), scale * powers * walk
        striped[:, 1:] = deviation[:, None] * (axes @ (seen / (1 + ratio)))
        uncertain = ratio / (1 + ratio)
        scale = float(((np.square(seen * uncertain) + uncertain) / (powers * walk)).mean())
        variance = np.square(striped[:, 1:]).mean(1) + variance * (np.square(axes) @ uncertain.mean(1))
    return np.asarray(idct(striped, norm="ortho", axis=1))
