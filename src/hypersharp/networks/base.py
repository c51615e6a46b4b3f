"""What every fusion network is, so that training, inference and weights files need not know which one it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from hypersharp.networks.layers import Means


@dataclass(frozen=True)
class FusionOptions:
    """The part of a network's options that a pair decides: bands L of HS and l of MS, fine pixels per coarse one."""

    bands: int = 31
    ms_bands: int = 3
    ratio: int = 4


class FusionNetwork(nn.Module):
    """The base of every fusion network: estimate = net(hs, ms, start), all scaled to 0..1.

    A network is one file and one frozen dataclass of options, a `FusionOptions`: implement `forward`, give it a row in
    `NETWORKS`, and training, inference, tiles, ONNX and weights files know it.

    Attributes:
        options: its dataclass of options.
        start: whether it corrects a first estimate: "needed" (of which it makes everything), "optional" or "none".
        asks_means: whether it works with means over the image; `forward` then takes `Means` last, or None.
        pair_buffers: buffers that belong to a sensor or pair, which may be exchanged in an ONNX file.
        held: the means of a whole scene, where the network sees parts of it.

    >>> import torch
    >>> class Repeat(FusionNetwork):
    ...     options = FusionOptions(bands=4, ms_bands=1, ratio=2)
    ...     def forward(self, hs, ms, start=None):
    ...         return hs.repeat_interleave(2, -1).repeat_interleave(2, -2)
    >>> Repeat()(torch.ones(1, 4, 3, 3), torch.ones(1, 1, 6, 6)).shape
    torch.Size([1, 4, 6, 6])
    """

    start: ClassVar[Literal["none", "optional", "needed"]] = "none"
    asks_means: ClassVar[bool] = False
    pair_buffers: ClassVar[tuple[str, ...]] = ("srf", "psf")
    options: FusionOptions
    held: tuple[Tensor, ...] = ()

    def __call__(self, hs: Tensor, ms: Tensor, start: Tensor | None = None, *, means: Means | None = None) -> Tensor:
        """Run the network.

        Args:
            hs: (B, L, h, w).
            ms: (B, l, H, W).
            start: a first estimate (B, L, H, W) made from the whole image, for a network that corrects one.
            means: where image-wide means come from and are noted; by default `held`.

        Returns:
            The estimate (B, L, H, W).
        """
        if means is None and self.held:
            means = Means(self.held)
        more = () if means is None or not self.asks_means else (means,)
        estimate: Tensor = super().__call__(hs, ms, start, *more)
        return estimate

    def take_sensor(self, srf: Tensor, psf_window: Callable[[int], Tensor]) -> None:
        """Keep the response (l, L) and the PSF, if it uses them; `psf_window(k)` gives weights (k, k)."""

    def exchange_sensor(self, srf: Tensor, psf_window: Tensor | None) -> None:
        """Take a pair's response (l, L) and, where given, blur (k, k) instead of those it was trained with.

        Raises: InputError where it cannot work with them.
        """
        del psf_window  # of which most know nothing
        self.get_buffer("srf").copy_(srf)

    def expecting_noise(self, covariance: Tensor) -> "FusionNetwork":
        """The network for an hs with noise of that covariance (L, L); most have no use for knowing it."""
        del covariance
        return self

    def at_levels(self, hs: Tensor, ms: Tensor, start: Tensor | None = None) -> list[Tensor]:
        """What a training judges: the estimate, and coarser ones of a network with costs at several levels."""
        return [self(hs, ms, start)]

    def degrade(self, z: Tensor) -> list[tuple[Tensor, Tensor]]:
        """(ms, hs) as each learned degradation makes them of z (B, L, H, W); empty where none is learned."""
        del z
        return []


def check_power_of_two(network: str, ratio: int) -> None:
    """Raises: ValueError for a ratio that halving the ms does not lead to."""
    if ratio < 2 or ratio & (ratio - 1):
        raise ValueError(f"{network} halves: its ratios are 2, 4, 8, 16 and 32, not {ratio}")
