"""What every fusion network is, so that training, inference and weights files need not know which one it is."""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor, nn


class FusionOptions(Protocol):
    """The part of a network's options that a pair decides: L and l bands, fine pixels per coarse one."""

    @property
    def bands(self) -> int: ...
    @property
    def ms_bands(self) -> int: ...
    @property
    def ratio(self) -> int: ...


class FusionNetwork(nn.Module):
    """forward(hs (B, L, h, w), ms (B, l, H, W), start) -> estimate (B, L, H, W), all scaled to 0..1.

    `start` (B, L, H, W) is a first estimate made from the whole image, for a network that corrects one.
    """

    options: FusionOptions

    def __call__(self, hs: Tensor, ms: Tensor, start: Tensor | None = None) -> Tensor:
        estimate: Tensor = super().__call__(hs, ms, start)
        return estimate

    def take_sensor(self, srf: Tensor, psf_window: Callable[[int], Tensor]) -> None:
        """Keep the response (l, L) and the blur, if it uses them; psf_window(k) gives its (k, k) weights."""

    def degrade(self, z: Tensor) -> list[tuple[Tensor, Tensor]]:
        """(ms, hs) as each learnt degradation makes them of z; none where nothing of the kind is learnt."""
        del z
        return []
