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

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hypersharp.nets.base import FusionNetwork
from hypersharp.nets.layers import (
    PRELU_START,
    STRIDED_KERNEL,
    conv,
    deconv,
    full_precision,
    pad_edges,
    padding_to_levels,
    prelu,
    upsample_bicubic,
)


@dataclass(frozen=True)
class SSJCNOptions:
    """The shape of an SSJCN. `bands` and `ms_bands` are L and l, `ratio` fine pixels per coarse one.

    `share`: what the iterations have in common. `degradation`: learnt with a PReLU as the paper's, learnt and
    linear, or the sensor's own. `compare`: which inputs the estimate is compared with; the other's error map is
    zero, and "none" gives the inputs themselves to the fusion, without degradation blocks.
    """

    bands: int = 31
    ms_bands: int = 3
    ratio: int = 4
    features: int = 64
    iterations: int = 2
    share: Literal["none", "degradation", "all"] = "none"
    degradation: Literal["prelu", "linear", "sensor"] = "prelu"
    compare: Literal["both", "ms", "hs", "none"] = "both"
    zero_init: bool = False
    guided: bool = False
    spectrally_consistent: bool = False

    def __post_init__(self) -> None:
        if self.ratio not in STRIDED_KERNEL:
            raise ValueError(f"SSJCN has ratios {sorted(STRIDED_KERNEL)}, not {self.ratio}")


class SSJCN(FusionNetwork):
    """SSJCN: forward(hs (B, L, h, w), ms (B, l, H, W)) -> estimate (B, L, H, W), all scaled to 0..1."""

    options: SSJCNOptions
    srf: Tensor

    def __init__(self, options: SSJCNOptions) -> None:
        super().__init__()
        self.options = options
        own = 1 if options.share == "all" else options.iterations
        degradations = 1 if options.share != "none" else own
        block = SensorDegradation if options.degradation == "sensor" else Degradation
        self.degradation = nn.ModuleList(block(options) for _ in range(degradations))
        self.error_fusion = nn.ModuleList(ErrorFusion(options) for _ in range(own))
        self.attention = nn.ModuleList(ErrorAttention(options.bands) for _ in range(own))
        self.register_buffer("srf", torch.zeros(options.ms_bands, options.bands))
        initialise(self, options.zero_init)

    def forward(self, hs: Tensor, ms: Tensor, start: Tensor | None = None) -> Tensor:
        """The final estimate; `start` replaces the bicubic Z^0 (a tile takes it from the whole image's)."""
        return self.estimates(hs, ms, start)[-1]

    def estimates(self, hs: Tensor, ms: Tensor, start: Tensor | None = None) -> list[Tensor]:
        """Z^0 (bicubic), Z^1, .. Z^T of the paper, each (B, L, H, W)."""
        ratio, size_yx = self.options.ratio, ms.shape[-2:]
        start = upsample_bicubic(hs, ratio) if start is None else start
        pad_yx = padding_to_levels(hs.shape[-2:], ratio)
        hs = pad_edges(hs, pad_yx)
        ms, start = (pad_edges(image, [ratio * pad for pad in pad_yx]) for image in (ms, start))
        estimates = [self.correct_spectra(start, ms)]
        for t in range(self.options.iterations):
            z = estimates[-1]
            estimates.append(self.correct_spectra(z + self.correction(t, z, hs, ms), ms))
        return [z[..., : size_yx[0], : size_yx[1]] for z in estimates]

    def correction(self, t: int, z: Tensor, hs: Tensor, ms: Tensor) -> Tensor:
        """The attended error map of iteration t (eqs. 4-9)."""
        ms_error, hs_error = self.errors(t, z, hs, ms)
        if self.options.guided:
            ms_error = torch.cat([ms_error, ms], 1)
        error: Tensor = at(self.attention, t)(at(self.error_fusion, t)(ms_error, hs_error))
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

    def take_sensor(self, srf: Tensor, psf_window: Callable[[int], Tensor]) -> None:
        """Keep the response (l, L) and, for `degradation="sensor"`, the blur."""
        self.srf.copy_(srf)
        for block in self.degradation:
            if isinstance(block, SensorDegradation):
                block.srf.copy_(srf)
                block.psf.copy_(psf_window(block.psf.shape[-1]))

    def degrade(self, z: Tensor) -> list[tuple[Tensor, Tensor]]:
        """What each iteration's degradation block makes of z: (ms, hs) pairs."""
        return [block(z) for block in self.degradation]

    def correct_spectra(self, z: Tensor, ms: Tensor) -> Tensor:
        """The least change to z that makes srf z = ms; in float32, for bfloat16 would undo it."""
        if not self.options.spectrally_consistent:
            return z
        with full_precision(z):
            srf = self.srf.float()
            gain = torch.linalg.pinv(srf)  # P^T (P P^T)^-1, (L, l)
            missing = ms.float() - F.conv2d(z.float(), srf[:, :, None, None])
            return z.float() + F.conv2d(missing, gain[:, :, None, None])


class Degradation(nn.Module):
    """DB: what the two sensors would see of an estimate (eqs. 4-5)."""

    def __init__(self, o: SSJCNOptions) -> None:
        super().__init__()
        kernel, padding = STRIDED_KERNEL[o.ratio]
        linear = o.degradation == "linear"
        self.spectral = nn.Conv2d(o.bands, o.ms_bands, 3, padding=1)
        self.spatial = nn.Conv2d(o.bands, o.bands, kernel, o.ratio, padding)
        self.spectral_act = nn.Identity() if linear else prelu(o.ms_bands)
        self.spatial_act = nn.Identity() if linear else prelu(o.bands)

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
        self.register_buffer("srf", torch.zeros(o.ms_bands, o.bands))
        self.register_buffer("psf", torch.zeros(3 * o.ratio, 3 * o.ratio))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        with full_precision(z):
            z = z.float()
            padded = F.pad(z, [self.ratio] * 4, mode="replicate")
            weights = self.psf.expand(z.shape[1], 1, *self.psf.shape)
            hs = F.conv2d(padded, weights, stride=self.ratio, groups=z.shape[1])
            return F.conv2d(z, self.srf[:, :, None, None]), hs


class ErrorFusion(nn.Module):
    """EFB: both error maps, brought to one grid, fused and reconstructed to L bands (eq. 8)."""

    def __init__(self, o: SSJCNOptions) -> None:
        super().__init__()
        kernel, padding = STRIDED_KERNEL[o.ratio]
        n = o.features
        self.ms_in = conv(o.ms_bands * (2 if o.guided else 1), n)
        self.ms_down = conv(n, n, stride=2)
        self.hs_up = deconv(o.bands, o.bands, kernel, o.ratio, padding)
        self.hs_down = conv(o.bands, n, stride=2)
        self.fuse1 = conv(2 * n, n)
        self.fuse_gate = ChannelGate(n, reduction=16)
        self.fuse2 = conv(n, n)
        self.down = conv(n, n, stride=2)
        self.rebuild1 = nn.Sequential(conv(n, n), deconv(n, n, 4, 2, 1))
        self.rebuild2 = nn.Sequential(conv(2 * n, n), deconv(n, n, 4, 2, 1))
        self.tail = nn.Sequential(conv(2 * n + o.bands, n), nn.Conv2d(n, o.bands, 3, padding=1))

    def forward(self, ms_error: Tensor, hs_error: Tensor) -> Tensor:
        y = self.hs_up(hs_error)  # (B, L, H, W)
        with full_precision(ms_error):
            x = self.ms_in(ms_error.float()).to(y.dtype)  # (B, F, H, W)
        fused = torch.cat([self.ms_down(x), self.hs_down(y)], 1)  # (B, 2F, H/2, W/2)
        q = self.fuse2(self.fuse_gate(self.fuse1(fused)))  # (B, F, H/2, W/2)
        e = self.rebuild1(self.down(q))  # (B, F, H/2, W/2)
        e = self.rebuild2(torch.cat([e, q], 1))  # (B, F, H, W)
        error: Tensor = self.tail(torch.cat([e, x, y], 1))  # (B, L, H, W)
        return error


class ErrorAttention(nn.Module):
    """RB's attention: a gate per band, then a gate per pixel (CBAM's order)."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.spectral = ChannelGate(bands, reduction=8)
        self.spatial = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, error: Tensor) -> Tensor:
        error = self.spectral(error)
        largest = error.max(1, keepdim=True).values  # not amax, whose gradient is 0/0 under rounding
        summary = torch.cat([error.mean(1, keepdim=True), largest], 1)
        return error * torch.sigmoid(self.spatial(summary))


class ChannelGate(nn.Module):
    """Squeeze and excitation: each channel scaled by a number in 0..1 from the image-wide means."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = max(4, channels // reduction)
        self.squeeze = nn.Sequential(nn.Conv2d(channels, hidden, 1), prelu(hidden))
        self.excite = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((-2, -1), keepdim=True)
        return x * torch.sigmoid(self.excite(self.squeeze(means)))


def at(blocks: nn.ModuleList, t: int) -> nn.Module:
    """Block of iteration t; the only one there is where iterations share it."""
    return blocks[min(t, len(blocks) - 1)]


def initialise(net: SSJCN, zero_init: bool) -> None:
    """Kaiming-normal weights for PReLU(0.25), zero biases; optionally a net that starts at Z^0."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, a=PRELU_START)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for fusion in net.error_fusion:
        if zero_init and isinstance(fusion, ErrorFusion):
            last = fusion.tail[-1]
            assert isinstance(last, nn.Conv2d)
            nn.init.zeros_(last.weight)
