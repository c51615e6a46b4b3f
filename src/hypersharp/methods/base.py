"""What a method is: its row in the table of methods, and what its file has to offer. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from hypersharp.pair.options import Options, Progress
    from hypersharp.pair.sensor import PairSensor
    from hypersharp.pair.tensors import TensorPair


class Apply(Protocol):
    """What a scene has taught a method: sharpens that scene, or any part of it.

    A frozen dataclass of tensors, arrays, numbers and networks, so that other processes can be told (`tiles.values`).

    >>> class Repetition(Apply):
    ...     def __call__(self, pair, options, progress):
    ...         return pair.hs.repeat_interleave(pair.ratio, -2).repeat_interleave(pair.ratio, -1)
    >>> Repetition().notes
    ()
    """

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should read of it; warnings begin with "warning: "."""
        return ()

    @property
    def weights(self) -> str | None:
        """The name of the weights that it runs, if any."""
        return None

    def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        """HS (L, h, w) and MS (l, H, W), float32, about 0..1 -> estimate (L, H, W); progress hears 0..1."""
        ...


class Learn(Protocol):
    """What a method's file calls `learn`: a pair, or a sample of it, and its sensor -> what sharpens the scene.

    Raises: InputError where the method cannot serve this pair.
    """

    def __call__(self, pair: TensorPair, sensor: PairSensor, options: Options) -> Apply: ...


@dataclass(frozen=True)
class Method:
    """A row of the table of methods.

    `learn` (in the file `module`) finds what belongs to a scene as a whole (subspace, gains, pooled means); what it
    returns is local: it sees a halo of fixed width, so that a tile is what the whole image would be there.

    Attributes:
        name: what a user calls it.
        title, paper: what `hypersharp methods` shows.
        module: the file with its `learn(pair, sensor, options)`; by default that of its name in `hypersharp.methods`.
        needs: which of "psf", "srf", "weights" it cannot do without; psf and srf are estimated if not given.
        halo_px, halo_coarse: how far a result pixel sees, in fine and in coarse pixels, whichever is further; less than
            1e-4 of the range comes from beyond.
        floats: (a, b): applying it holds about a L + l + b float32 per fine pixel at most, HS (L bands), MS (l) and
            result included (measured: peak of the resident memory on 256 and 448 pixels a side, and a little).
        candidate: whether `auto` tries it.
        blind: whether it is a network that needs nothing but weights, and so no file of its own (`methods.trained`).
        licence: that of its code.
        nonnegative: whether it takes values for brightness, of which there is none below zero.
        sees_ms: whether it has detail of the MS.

    >>> from hypersharp.methods.table import METHODS
    >>> METHODS["gsa"].needs
    ('psf',)
    """

    name: str
    title: str
    paper: str
    needs: tuple[str, ...] = ()
    halo_px: int = 0
    floats: tuple[float, float] = (8, 0)
    halo_coarse: int = 5  # what any blur and interpolation reach
    candidate: bool = True
    module: str = ""
    blind: bool = False
    licence: str = "Apache-2.0"
    nonnegative: bool = False
    sees_ms: bool = True

    @property
    def learn(self) -> Learn:
        """The function of that name in the method's file, or that of a network which is blind."""
        if self.blind:
            return partial(import_module("hypersharp.methods.trained").learn, self.name)
        found: Learn = import_module(self.module or f"hypersharp.methods.{self.name.replace('-', '_')}").learn
        return found

    def floats_per_px(self, bands: int, ms_bands: int) -> float:
        """How many float32 applying it holds per fine pixel at most."""
        return self.floats[0] * bands + ms_bands + self.floats[1]

    @property
    def is_network(self) -> bool:
        """Whether it runs trained weights, which know their own sensor."""
        return "weights" in self.needs
