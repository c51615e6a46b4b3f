"""The Spatial-Spectral Joint Correction Network, whole.

Wang, Xu, Wu, Wei, "Spatial-Spectral Joint Correction Network for Hyperspectral and Multispectral
Image Fusion", 2021. Each of T iterations degrades the estimate both ways (DB, eqs. 4-5), compares
it with the two inputs (eqs. 6-7), fuses the two error maps (EFB, eq. 8) and corrects the estimate
with the attended error (RB, eq. 9). What the paper leaves open (widths, kernels, activations) is
settled in the option defaults; `share`, `degradation`, `compare`, `zero_init`, `guided` and
`spectrally_consistent` are ours.

Spectral consistency is the least change to an estimate Z that makes it agree with the ms exactly,
Z + P^T (P P^T)^-1 (X - P Z), for a known response P.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hypersharp.networks import layers
from hypersharp.networks.base import FusionNetwork, FusionOptions
from hypersharp.networks.layers import STRIDED_KERNEL, Means, full_precision, join, mixed
from hypersharp.numerics.interpolate import interpolate_bicubic, upsample_bicubic


@dataclass(frozen=True)
class SSJCNOptions(FusionOptions):
    """The shape of an SSJCN; the defaults settle what the paper does not state.

    Attributes:
        bands, ms_bands, ratio: L, l and fine pixels per coarse one, of the pair.
        features: channels of the error fusion.
        iterations: T.
        share: what the iterations have in common.
        degradation: learned with a PReLU as in the paper, the sensor's own, or that of any sensor, which `see_with`
            gives: then the hs error comes to the fine grid bicubically from where the PSF is centred, else by a learned
            deconvolution, and nothing that is learned depends on sensor or ratio.
        compare: the inputs that the estimate is compared with; the other's error map is zero. "none" fuses the inputs
            themselves, without degradation blocks.
        psf_px: side of the window that holds the PSF in fine pixels; None is three coarse pixels.
        zero_init: start with a correction of zero.
        guided: the fusion also gets ms itself.
        spectrally_consistent: every estimate agrees exactly with ms, Z + P^T (P P^T)^-1 (X - P Z) for a response P.

    >>> SSJCNOptions(bands=8, iterations=1).features
    64
    """

    features: int = 64
    iterations: int = 2
    share: Literal["none", "degradation", "all"] = "none"
    degradation: Literal["prelu", "sensor", "any sensor"] = "prelu"
    compare: Literal["both", "ms", "hs", "none"] = "both"
    psf_px: int | None = None
    zero_init: bool = False
    guided: bool = False
    spectrally_consistent: bool = False

    def __post_init__(self) -> None:
        if self.ratio not in layers.RATIOS:
            raise ValueError(f"SSJCN has ratios {layers.RATIOS.start} to {layers.RATIOS.stop - 1}, not {self.ratio}")

    @property
    def any_sensor(self) -> bool:
        """Whether nothing that is learned depends on sensor or ratio."""
        return self.degradation == "any sensor"


class SSJCN(FusionNetwork):
    """SSJCN: hs (B, L, h, w), ms (B, l, H, W) -> estimate (B, L, H, W), all scaled to 0..1.

    Source: Wang, Xu, Wu, Wei 2021, equations 4 to 10.

    Args:
        options: its shape.

    >>> net = SSJCN(SSJCNOptions(bands=8, ms_bands=3, features=4))
    >>> net(torch.rand(1, 8, 8, 8), torch.rand(1, 3, 32, 32)).shape
    torch.Size([1, 8, 32, 32])
    """

    start = "optional"
    asks_means = True
    fill = staticmethod(layers.repeat_to_multiple)
    options: SSJCNOptions
    srf: Tensor

    def __init__(self, options: SSJCNOptions) -> None:
        super().__init__()
        self.options = options
        own = 1 if options.share == "all" else options.iterations
        degradations = 1 if options.share != "none" else own
        block = Degradation if options.degradation == "prelu" else SensorDegradation
        self.degradation = nn.ModuleList(block(options) for _ in range(degradations))
        self.error_fusion = nn.ModuleList(ErrorFusion(options) for _ in range(own))
        self.attention = nn.ModuleList(ErrorAttention(options.bands) for _ in range(own))
        self.register_buffer("srf", torch.zeros(options.ms_bands, options.bands), persistent=not options.any_sensor)
        layers.initialise(self, partial(nn.init.kaiming_normal_, a=layers.PRELU_START))
        for fusion in self.error_fusion if options.zero_init else ():
            nn.init.zeros_(fusion.get_parameter("tail.1.weight"))  # a net that starts at Z^0

    def forward(self, hs: Tensor, ms: Tensor, start: Tensor | None = None, means: Means | None = None) -> Tensor:
        """The final estimate; `start` replaces the bicubic Z^0 (a tile takes it from the whole image's)."""
        return self.estimates(hs, ms, start, means)[-1]

    def estimates(
        self, hs: Tensor, ms: Tensor, start: Tensor | None = None, means: Means | None = None
    ) -> list[Tensor]:
        """Z^0 (bicubic), Z^1, .. Z^T of the paper, each (B, L, H, W)."""
        ratio, size_yx = self.options.ratio, ms.shape[-2:]
        start = upsample_bicubic(hs, ratio) if start is None else start
        coarse_px = 4 // math.gcd(4, ratio)  # the fine size is then a whole number of 4s, for two halvings
        hs = self.fill(hs, coarse_px)
        ms, start = (self.fill(image, ratio * coarse_px) for image in (ms, start))
        estimates = [self.correct_spectra(start, ms)]
        for t in range(self.options.iterations):
            z = estimates[-1]
            estimates.append(self.correct_spectra(z + self.correction(t, z, hs, ms, means), ms))
        return [z[..., : size_yx[0], : size_yx[1]] for z in estimates]

    def correction(self, t: int, z: Tensor, hs: Tensor, ms: Tensor, means: Means | None = None) -> Tensor:
        """The attended error map of iteration t (eqs. 4-9)."""
        ms_error, hs_error = self.errors(t, z, hs, ms)
        if self.options.any_sensor:  # bicubic from where the sensor's blur is centred
            with full_precision(hs_error):
                hs_error = interpolate_bicubic(hs_error.float(), self.options.ratio, self.centre_yx())
        if self.options.guided:
            ms_error = join(ms_error, ms)
        fuse, attend = at(self.error_fusion, t), at(self.attention, t)  # eq. 8, and what of it is added, eq. 9
        error: Tensor = attend(fuse(ms_error, hs_error, means), means)
        return error

    def errors(self, t: int, z: Tensor, hs: Tensor, ms: Tensor) -> tuple[Tensor, Tensor]:
        """What is left of ms and hs (eqs. 6-7)."""
        compare = self.options.compare
        if compare == "none":
            return ms, hs
        ms_hat, hs_hat = at(self.degradation, t)(z)
        ms_error = torch.zeros_like(ms) if compare == "hs" else ms - ms_hat
        hs_error = torch.zeros_like(hs) if compare == "ms" else hs - hs_hat
        return ms_error, hs_error

    def centre_yx(self) -> tuple[float, float]:
        """The centre of mass of coarse pixel (0, 0), in fine pixels."""
        block = self.degradation[0]
        assert isinstance(block, SensorDegradation)
        return layers.window_centre(block.psf, block.ratio)

    def see_with(self, srf: Tensor, psf_window: Tensor, ratio: int) -> None:
        """Take another sensor, of another ratio and blur too, and keep what is learnt."""
        self.options = replace(self.options, ratio=ratio, psf_px=psf_window.shape[-1])
        self.srf = srf.to(self.srf)
        for block in self.degradation:
            assert isinstance(block, SensorDegradation)
            block.ratio, block.srf, block.psf = ratio, self.srf, psf_window.to(block.psf)

    def take_sensor(self, srf: Tensor, psf_window: Callable[[int], Tensor]) -> None:
        """Keep the response (l, L) and, for `degradation="sensor"`, the blur."""
        self.srf.copy_(srf)
        for block in self.degradation:
            if isinstance(block, SensorDegradation):
                block.srf.copy_(srf)
                block.psf.copy_(psf_window(block.psf.shape[-1]))

    def exchange_sensor(self, srf: Tensor, psf_window: Tensor | None) -> None:
        """The blur in a window of any size."""
        super().exchange_sensor(srf, psf_window)
        for block in self.degradation:
            if isinstance(block, SensorDegradation):
                block.srf.copy_(srf)
                block.psf = block.psf if psf_window is None else psf_window.to(block.psf)
                self.options = replace(self.options, psf_px=block.psf.shape[-1])

    def degrade(self, z: Tensor) -> list[tuple[Tensor, Tensor]]:
        """What each iteration's degradation block makes of z: (ms, hs) pairs."""
        return [block(z) for block in self.degradation]

    def correct_spectra(self, z: Tensor, ms: Tensor) -> Tensor:
        """The least change to z that makes srf z = ms; in float32, for bfloat16 would undo it."""
        if not self.options.spectrally_consistent:
            return z
        with full_precision(z):
            missing = ms.float() - mixed(self.srf.float(), z.float())
            return z.float() + mixed(self.spectral_gain(), missing)

    def spectral_gain(self) -> Tensor:
        """P^T (P P^T)^-1 of the response P, (L, l)."""
        gain: Tensor = torch.linalg.pinv(self.srf.float())
        return gain


class Degradation(nn.Module):
    """DB: what the two sensors would see of an estimate (eqs. 4-5)."""

    def __init__(self, o: SSJCNOptions) -> None:
        super().__init__()
        kernel, padding = STRIDED_KERNEL[o.ratio]
        self.spectral = nn.Conv2d(o.bands, o.ms_bands, 3, padding=1)
        self.spatial = nn.Conv2d(o.bands, o.bands, kernel, o.ratio, padding)
        self.spectral_act, self.spatial_act = layers.PReLU(o.ms_bands), layers.PReLU(o.bands)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        with full_precision(z):
            z = z.float()
            return self.spectral_act(self.spectral(z)), self.spatial_act(self.spatial(z))


class SensorDegradation(nn.Module):
    """The sensor itself in the place of DB: nothing to learn."""

    srf: Tensor
    psf: Tensor

    def __init__(self, o: SSJCNOptions) -> None:
        super().__init__()
        self.ratio = o.ratio
        side, kept = o.psf_px or 3 * o.ratio, not o.any_sensor
        self.register_buffer("srf", torch.zeros(o.ms_bands, o.bands), persistent=kept)
        self.register_buffer("psf", torch.zeros(side, side), persistent=kept)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        with full_precision(z):
            return mixed(self.srf, z.float()), blurred(z.float(), self.psf, self.ratio)


class ErrorFusion(nn.Module):
    """EFB: both error maps, brought to one grid, fused and reconstructed to L bands (eq. 8)."""

    def __init__(self, o: SSJCNOptions) -> None:
        super().__init__()
        kernel, padding = STRIDED_KERNEL[o.ratio]
        n, bands = o.features, o.bands
        self.ms_in = layers.conv(o.ms_bands * (2 if o.guided else 1), n)
        self.ms_down = layers.conv(n, n, stride=2)
        self.hs_up = nn.Identity() if o.any_sensor else layers.deconv(bands, bands, kernel, o.ratio, padding)
        self.hs_down = layers.conv(bands, n, stride=2)
        self.fuse1 = layers.conv(2 * n, n)
        self.fuse_gate = ChannelGate(n, reduction=16)
        self.fuse2 = layers.conv(n, n)
        self.down = layers.conv(n, n, stride=2)
        self.rebuild1 = nn.Sequential(layers.conv(n, n), layers.deconv(n, n, 4, 2, 1))
        self.rebuild2 = nn.Sequential(layers.conv(2 * n, n), layers.deconv(n, n, 4, 2, 1))
        self.tail = nn.Sequential(layers.conv(2 * n + bands, n), nn.Conv2d(n, bands, 3, padding=1))

    def forward(self, ms_error: Tensor, hs_error: Tensor, means: Means | None) -> Tensor:
        y = self.hs_up(hs_error)  # (B, L, H, W)
        below = self.hs_down(y)  # (B, F, H/2, W/2)
        with full_precision(ms_error):
            x = self.ms_in(ms_error.float()).to(below.dtype)  # (B, F, H, W)
        fused = join(self.ms_down(x), below)  # (B, 2F, H/2, W/2)
        q = self.fuse2(self.fuse_gate(self.fuse1(fused), means))  # (B, F, H/2, W/2)
        e = self.rebuild1(self.down(q))  # (B, F, H/2, W/2)
        e = self.rebuild2(join(e, q))  # (B, F, H, W)
        error: Tensor = self.tail(join(e, x, y.to(e.dtype)))  # (B, L, H, W)
        return error


class ErrorAttention(nn.Module):
    """RB's attention: a gate per band, then a gate per pixel (CBAM's order)."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.spectral = ChannelGate(bands, reduction=8)
        self.spatial = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, error: Tensor, means: Means | None) -> Tensor:
        error = self.spectral(error, means)
        largest = error.max(1, keepdim=True).values  # not amax, whose gradient is 0/0 under rounding
        summary = join(error.mean(1, keepdim=True), largest)
        return error * torch.sigmoid(self.spatial(summary))


class ChannelGate(nn.Module):
    """Squeeze and excitation: each channel scaled by a number in 0..1 from the image-wide means."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = max(4, channels // reduction)
        self.squeeze = nn.Sequential(nn.Conv2d(channels, hidden, 1), layers.PReLU(hidden))
        self.excite = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor, means: Means | None) -> Tensor:
        return x * torch.sigmoid(self.excite(self.squeeze(layers.image_mean(x, means))))


def blurred(image: Tensor, psf: Tensor, ratio: int) -> Tensor:
    """(B, n, H, W) -> (B, n, h, w) by the weights (k, k) around a coarse pixel, the border repeated."""
    beyond_px = (psf.shape[-1] - ratio) // 2
    padded = repeat_border(repeat_border(image, beyond_px, -2), beyond_px, -1)
    planes = padded.reshape(-1, 1, *padded.shape[-2:])
    coarse = F.conv2d(planes, psf[None, None], stride=ratio)
    return coarse.view(*image.shape[:2], *coarse.shape[-2:])


def repeat_border(image: Tensor, margin: int, axis: int) -> Tensor:
    """The first and the last slice along an axis repeated; torch.compile has no gradient of F.pad's own way."""
    first, last = image.narrow(axis, 0, 1), image.narrow(axis, image.shape[axis] - 1, 1)
    return torch.cat([first] * margin + [image] + [last] * margin, axis)


def at(blocks: nn.ModuleList, t: int) -> nn.Module:
    """Block of iteration t; the only one there is where iterations share it."""
    return blocks[min(t, len(blocks) - 1)]
