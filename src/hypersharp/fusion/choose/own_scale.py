"""What a pair shows of its candidates' errors at its own scale, where nobody knows the truth.

The response R sees a part of an error there: R (Z - X) = R Z - ms. With the bands in units of their errors and spectra
divided into what R sees and the rest, the mean products of the candidates' errors are taken to be

    G = V + c U:

V of the part that R sees, at the pair's own scale; U of the rest, at reduced resolution, where hs is the truth; c, at
most 1, how much of the ms's power is detail (what interpolation does not bring back of it degraded) against there.
That differs by the ms's noise, which is no error of theirs: V are products of neighbouring pixels, in which white noise
leaves nothing. Where an ms is noisy enough for that to be told from its texture, what comes through of it is added:
a_i a_j sigma^2, where a candidate's difference from the ms has (1 - a_i)^2 sigma^2 of it left.
What methods learn of the l ms bands from n pixels of a reduced hs is the worse the fewer these are: of U counts the
share n / (n + l + 1), for the rest it is taken to be as V is.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import inf
from time import perf_counter

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hypersharp.errors import InputError
from hypersharp.fusion.choose.blend import Floats
from hypersharp.fusion.choose.trial import Trials, counted_pixels
from hypersharp.fusion.finish import missing_pixels
from hypersharp.grid import middle
from hypersharp.methods.table import METHODS
from hypersharp.numerics.interpolate import interpolate_bicubic
from hypersharp.pair.reduced import cut, trusted_pixels
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.observe import Sensor

LOOKED_AT_PX = 64  # coarse pixels along a side of the window that candidates are run on
NEARLY = 0.1  # so much less than the most that a window shows is as good
LEAST_SEEN = 0.02  # of the response's largest singular value: what it sees less of, it does not see
TINY = 1e-12
LinAlgError: type[RuntimeError] = torch.linalg.LinAlgError  # type: ignore[attr-defined]


@dataclass(frozen=True, eq=False)
class OwnScale:
    """V (n, n) of the candidates `names`, c, and how far each differs from hs once degraded, relative to hs.

    `late`: those for which there was no time.
    """

    names: tuple[str, ...]
    late: tuple[str, ...]
    seen: Floats
    detail: float
    differs: dict[str, float]
    units: Tensor
    basis: Tensor

    def products(self, trials: Trials, names: Sequence[str], consistent: bool) -> Floats:
        """G (n, n) of some of the candidates."""
        errors = trials.errors(names, consistent) / self.units[:, None]
        hidden = errors - torch.einsum("kb,nkp->nbp", self.basis, torch.einsum("kb,nbp->nkp", self.basis, errors))
        of_hidden = torch.einsum("ibp,jbp->ij", hidden, hidden) / hidden[0].numel()
        at = [self.names.index(name) for name in names]
        credit = np.array([trials.credit.get(name, 1.0) for name in names])
        hidden_products = np.outer(credit, credit) * of_hidden.double().cpu().numpy()
        seen, told = self.seen[np.ix_(at, at)], np.sqrt(np.where(credit < 1, 1.0, trials.learned_share))
        as_seen, untold = seen * np.trace(hidden_products) / max(np.trace(seen), TINY), np.sqrt(1 - np.square(told))
        hidden_products = np.outer(told, told) * hidden_products + np.outer(untold, untold) * as_seen
        return np.asarray(seen + self.detail * hidden_products)


def look(
    trials: Trials, pair: TensorPair, names: Sequence[str], until: float = inf, *, always: Collection[str] = ()
) -> OwnScale:
    """Run candidates on a window of the pair itself, the quick ones first; those that cannot serve it are left out.

    So are those that would not have ended by a time of `perf_counter`, but for the first and for some `always`.

    Raises: InputError where none can.
    """
    sensor = trials.sensor.sensor
    part = cut(pair, *looked_at(pair, sensor))
    made, late = dict[str, Tensor](), list[str]()
    for name in sorted(names, key=lambda name: trials.by_name[name].seconds):
        if made and name not in always and perf_counter() + trials.seconds_on(part, [name]) > until:
            late.append(name)
            continue
        try:
            sharpener = METHODS[name].learn(part, trials.sensor.on(part), trials.options)
            image = sharpener(part, trials.options, lambda fraction: None).cpu()
        except (InputError, LinAlgError):
            continue
        if image.isfinite().all():
            made[name] = image
    if not made:
        raise InputError("a pair that no candidate can sharpen at its own scale", "one", "name a method")
    units = trials.errors(list(made), False).square().mean(2).median(0).values.sqrt().clamp(min=TINY)
    response = torch.tensor(sensor.srf).to(units)
    left, strength, basis = torch.linalg.svd(response * units, full_matrices=False)
    kept = strength > LEAST_SEEN * strength[0]
    to_seen = (left[:, kept] / strength[kept]).T  # ms -> coordinates along the spectra that R sees
    counted = ~torch.from_numpy(missing_pixels(part))
    if min(part.hs.shape[1:]) > 2:  # a border of one coarse pixel aside
        inside = torch.zeros_like(counted)
        inside[part.ratio : -part.ratio, part.ratio : -part.ratio] = True
        counted &= inside
    shown = torch.stack([torch.einsum("km,myx->kyx", to_seen, sensor.ms(image) - part.ms) for image in made.values()])
    reduced = trials.pairs[0]
    powers = []  # of what interpolation does not bring back of a degraded ms
    for ms, where in ((part.ms, counted), (reduced.ms, counted_pixels(reduced))):
        smooth = interpolate_bicubic(sensor.hs(ms), sensor.ratio, sensor.psf.centre_yx())
        detail = torch.einsum("km,myx->kyx", to_seen, (ms - smooth).cpu())
        powers.append(float(detail[:, where].square().mean()))
    own, coarse = powers
    trusted = trusted_pixels(next(iter(made.values())), part.hs, sensor, hs_valid=part.hs_valid, ms_valid=part.ms_valid)
    whole = part.hs[:, trusted].norm().clamp(min=TINY)
    differs = {name: float((sensor.hs(image) - part.hs)[:, trusted].norm() / whole) for name, image in made.items()}
    seen = neighbour_products(shown, counted)
    sigma2 = float((to_seen.square() @ trials.ms_noise.to(to_seen).square()).sum())
    if sigma2 > 0:
        white = shown[:, :, counted].square().mean(2).sum(1).double().numpy() - seen.diagonal()
        through = 1 - np.sqrt(np.clip(white / sigma2, 0, 1))
        seen += sigma2 * np.outer(through, through)
    share = min(1.0, own / max(coarse, TINY))
    return OwnScale(tuple(made), tuple(late), seen / len(units), share, differs, units, basis[kept])


def looked_at(pair: TensorPair, sensor: Sensor) -> tuple[slice, slice]:
    """The rows and columns of hs where it shows most, the middle if it is as good as any."""
    shape_yx = pair.hs.shape[1], pair.hs.shape[2]
    y, x, height, width = middle(shape_yx, LOOKED_AT_PX)
    shows = (pair.measured_under(sensor) & (pair.hs != 0).any(0).cpu()).double()
    totals = F.avg_pool2d(shows[None, None], (height, width), stride=1)[0, 0]  # by the window's first pixel
    if totals[y, x] < (1 - NEARLY) * totals.max():
        y, x = divmod(int(totals.argmax()), totals.shape[1])
    return slice(y, y + height), slice(x, x + width)


def neighbour_products(images: Tensor, counted: Tensor) -> Floats:
    """(n, n): the mean products of images (n, k, H, W), summed over k, between pixels side by side that both count.

    Made the nearest matrix that is one of products: without eigenvalues below zero.
    """
    there, total, count = torch.where(counted, images, 0.0), torch.zeros(len(images), len(images)), 0
    for axis in (-2, -1):
        sides = [(there.narrow(axis, first, there.shape[axis] - 1)) for first in (0, 1)]
        both = counted.narrow(axis, 0, counted.shape[axis] - 1) & counted.narrow(axis, 1, counted.shape[axis] - 1)
        total += torch.einsum("ikyx,jkyx->ij", sides[0] * both, sides[1])
        count += int(both.sum())
    products = (total + total.T).double().numpy() / (2 * max(count, 1))
    values, vectors = np.linalg.eigh(products)
    return np.asarray((vectors * np.clip(values, 0, None)) @ vectors.T)
