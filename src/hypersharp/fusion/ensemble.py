"""A network on a scene in several orientations, whose results are turned back and averaged.

A network is not exactly equivariant, so what it makes of a turned scene is another estimate with errors of its own
(self-ensemble: Timofte, Rothe, Van Gool 2016, CVPR, "Seven ways to improve example-based single image super
resolution"). Only orientations count in which the sensor's blur stays what it is: under another one the network would
see a sensor that it was not made for.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from hypersharp.methods.base import Apply, Method
from hypersharp.networks.coordinates import psf_window
from hypersharp.pair.options import Options, Progress, part_of
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import ORIENTATIONS, TensorPair, turned
from hypersharp.sensor.psf import PSF

SAME_BLUR = 0.05  # share of the weights that may lie elsewhere: what an estimate is uncertain by


@dataclass(frozen=True, eq=False)
class Ensemble(Apply):
    """What a method learned of a scene in each of some orientations."""

    members: tuple[Apply, ...]
    orientations: tuple[int, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        few = "" if len(self.members) == ORIENTATIONS else ": in the others the PSF is another"
        return *self.members[0].notes, f"mean over {len(self.members)} of {ORIENTATIONS} orientations{few}"

    @property
    def weights(self) -> str | None:
        return self.members[0].weights

    def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        """(L, h, w) and (l, H, W) -> (L, H, W)."""
        total: Tensor | None = None
        for number, (apply, orientation) in enumerate(zip(self.members, self.orientations, strict=True)):
            part = part_of(progress, number / len(self.members), (number + 1) / len(self.members))
            view = pair.changed(partial(turned, orientation=orientation))
            estimate = turned_back(apply(view, options, part), orientation)
            total = estimate if total is None else total.add_(estimate)
        assert total is not None
        return total.div_(len(self.members))


def learn_method(method: Method, pair: TensorPair, sensor: PairSensor, options: Options) -> Apply:
    """What the method learns of the pair, or of each of its orientations where that was asked for and it is a network.

    Raises: InputError where the method cannot serve the pair.
    """
    if not (options.ensemble and method.is_network):
        return method.learn(pair, sensor, options)
    orientations = own_orientations(sensor.psf, pair.ratio)
    views = (pair.changed(partial(turned, orientation=orientation)) for orientation in orientations)
    return Ensemble(tuple(method.learn(view, sensor, options) for view in views), orientations)


def own_orientations(psf: PSF, ratio: int) -> tuple[int, ...]:
    """The orientations in which a PSF stays itself around its coarse pixel.

    >>> from hypersharp.sensor.psf import gaussian
    >>> own_orientations(gaussian(8, 2, 4), 4), own_orientations(gaussian(4, 2, 4, start=2), 4)
    ((0, 1, 2, 3, 4, 5, 6, 7), (0, 7))
    """
    window = psf_window(psf, ratio)
    same = (
        float((turned(window, n) - window).abs().sum() / window.sum()) / 2 <= SAME_BLUR for n in range(ORIENTATIONS)
    )
    return tuple(orientation for orientation, kept in enumerate(same) if kept)


def turned_back(image: Tensor, orientation: int) -> Tensor:
    """What `turned` was given."""
    unmirrored = image.flip(-1) if orientation >= 4 else image
    return torch.rot90(unmirrored, -orientation % 4, (-2, -1)).contiguous()
