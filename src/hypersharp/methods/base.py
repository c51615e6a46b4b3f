"""What a method is, and the only door between cubes (xarray, numpy) and tensors (torch)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from torch import Tensor

from hypersharp.pair.settings import Settings


class Apply(Protocol):
    """hs (L, h, w) and ms (l, H, W) of a scene or a part of it, float32, about 0..1 -> estimate (L, H, W)."""

    def __call__(self, hs: Tensor, ms: Tensor, settings: Settings) -> Tensor: ...


class Learn(Protocol):
    """hs (L, h, w) and ms (l, H, W) of a scene, or a sample of it -> what sharpens any part of that scene.

    What is given back can be pickled, so that other processes can apply it.
    """

    def __call__(self, hs: Tensor, ms: Tensor, settings: Settings) -> Apply: ...


@dataclass(frozen=True)
class Method:
    """A row of the table of methods.

    `learn` finds what belongs to a scene as a whole (subspace, sensor, gains, pooled means); what it gives back is
    local: a result pixel sees `halo_px` fine pixels or `halo_coarse` coarse ones far, whichever is further; less than
    1e-4 of the range comes in from beyond.
    `floats_per_px`: for (L, l), how many float32 applying it holds per fine pixel at most, hs, ms and result included
    (measured: peak of the resident memory on 256 and 448 pixels a side, and a little).
    """

    name: str
    title: str
    paper: str
    needs: tuple[str, ...]
    halo_px: int
    licence: str
    learn: Learn
    floats_per_px: Callable[[int, int], float] = lambda bands, ms_bands: 8.0 * bands + ms_bands
    halo_coarse: int = 5  # what any blur and interpolation reach

    def run(self, hs: Tensor, ms: Tensor, settings: Settings) -> Tensor:
        """(L, h, w) and (l, H, W) -> (L, H, W): what the pair tells applied to the pair."""
        return self.learn(hs, ms, settings)(hs, ms, settings)


def local(apply: Apply) -> Learn:
    """How a method learns that takes nothing from the scene as a whole."""
    return partial(learn_nothing, apply)


def learn_nothing(apply: Apply, hs: Tensor, ms: Tensor, settings: Settings) -> Apply:  # noqa: ARG001
    return apply
