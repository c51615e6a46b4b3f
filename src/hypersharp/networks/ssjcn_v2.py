"""SSJCN, second generation: joint correction where only what both inputs leave open is learnt.

The principle is that of the Spatial-Spectral Joint Correction Network (Wang, Xu, Wu, Wei 2021): T rounds correct
an estimate Z until it agrees with both inputs. Here the agreement is exact and in closed form. With a response P
(l x L) of full rank, P+ = P'(PP')^-1 and B an orthonormal basis (L x (L - l)) of its null space,

    Z = P+ X + B c                              agrees with the ms X whatever c is,
    c <- c + D'(DD' + s)^-1 (B'Y - D c)         agrees with the hs Y (s = 0), each coordinate alone,

for D, blur and decimation, acts per band and B per pixel. Where the blur reads its own ratio x ratio block only, DD' is
a number; else it is a circular convolution on the coarse grid, inverted there by FFT. A round's body adds to c, which
begins at one of

    bicubic       c = up(B'Y)
    regression    c = up(B'Y) + sum_k lin(G_k) (X - up(P Y))_k,   G the slopes of B'Y on P Y in windows
    likeness      the mean of B'Y around, weighted by nearness and by how alike P Y there and X here are

of which the last two need no training, and know materials that no training scene had. With several starts, each has a
chain of rounds of its own, and the estimate is the mean: it agrees with both inputs as they do, and their errors are
the less alike the less their starts are.
Where hs is known to be noisy, s is the variance of its noise over that of the error of c (Wiener), which is what the
disagreement has beyond the noise: an exact agreement would copy the noise.
Where hs has no noise and neither image a value below zero, the estimate is drawn at the end, by what both leave open,
to where it has none either: by projections on that and on the agreement in turn (Bregman 1965), beyond by as much
again, none of which can lead away from a scene without such values. Of values near zero that is the least possible one;
with the error that the chains' disagreement tells, e, what can be expected is z + e phi(z/e) / Phi(z/e).
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hypersharp.errors import InputError
from hypersharp.networks.base import FusionNetwork, FusionOptions
from hypersharp.networks.layers import (
    Means,
    ResidualBlock,
    full_precision,
    image_mean,
    mixed,
    repeat_to_multiple,
    window_centre,
)
from hypersharp.numerics.interpolate import interpolate_bicubic, upsample_by_likeness
from hypersharp.numerics.regression import regress_locally

# resolution of the bodies -> fine pixels that lie in one of theirs, along a side
UNSHUFFLE = {"full": 1, "half": 2, "quarter": 4}
STARTS = ("bicubic", "regression", "likeness")
MOST_CHAINS = 8
LEAST_ERROR = 1e-12  # the variance of an error that is all noise
LEAST_STRENGTH = 1e-4  # of the weakest direction that a response sees, of the strongest
RAISES = 5  # projections: 19 in 20 of the decibels that endless ones gain
ERROR_OF_SPREAD = 2.0  # of the mean of chains over their deviations from it, as errors that correlate by .6 to .7 have
LEAST_DEVIATION = 1e-6  # where chains agree
FARTHEST = -5.0  # standard deviations below zero, where the raises have left next to nothing
CLEAR = 5.0  # standard deviations above zero, where nothing else is to be expected


@dataclass(frozen=True)
class SSJCN2Options(FusionOptions):
    """The shape of an SSJCN of the second generation.

    Attributes:
        bands, ms_bands, ratio: L, l and fine pixels per coarse one, of the pair.
        psf_px: side of the window around a coarse pixel that holds the PSF; None is the ratio.
        features, blocks: channels and residual blocks of the body of each round.
        rounds: how often the estimate is corrected.
        joint: which of the inputs the estimate meets exactly in every round: none, ms, or both.
        resolution: that of the bodies.
        start: where the rounds begin, one of STARTS; several names are as many chains of rounds.

    >>> SSJCN2Options(bands=8, ms_bands=3).coordinates
    5
    """

    psf_px: int | None = None
    features: int = 96
    blocks: int = 4
    rounds: int = 2
    joint: Literal["off", "ms", "both"] = "both"
    resolution: Literal["full", "half", "quarter"] = "half"
    start: str | Sequence[str] = "bicubic"

    def __post_init__(self) -> None:
        side = self.psf_px or self.ratio
        if side < self.ratio or (side - self.ratio) % 2:
            raise ValueError(f"psf_px {side} is not the ratio {self.ratio} and an even number more")
        if self.resolution not in UNSHUFFLE or self.joint not in ("off", "ms", "both"):
            raise ValueError(f"resolution '{self.resolution}' or joint '{self.joint}' is unknown")
        if not 0 < len(self.starts) <= MOST_CHAINS or not set(STARTS).issuperset(self.starts):
            raise ValueError(f"start {self.start} is none of {', '.join(STARTS)}, or 1 to {MOST_CHAINS} of them")

    @property
    def starts(self) -> tuple[str, ...]:
        """The start of each chain of rounds."""
        return (self.start,) if isinstance(self.start, str) else tuple(self.start)

    @property
    def coordinates(self) -> int:
        """How many coordinates a pixel's spectrum has: those that the ms leaves open, or all."""
        return self.bands if self.joint == "off" else self.bands - self.ms_bands


class SSJCN2(FusionNetwork):
    """SSJCN, second generation: hs (B, L, h, w), ms (B, l, H, W) -> estimate (B, L, H, W), all scaled to 0..1.

    What carries the image stays in float32. Buffers: srf P (l, L), psf (k, k), the weights of the fine pixels around a
    coarse one, basis B (L, n). `noise`: the variance of hs's noise in each coordinate, (n), if it has any.

    Source: after Wang, Xu, Wu, Wei 2021; Z = P+ X + B c, equations at the head of this file.

    Args:
        options: its shape.

    >>> net = SSJCN2(SSJCN2Options(bands=8, ms_bands=3, features=16, blocks=1, joint="off"))
    >>> net.take_sensor(torch.rand(3, 8), lambda side: torch.full((side, side), 1 / side**2))
    >>> net(torch.rand(1, 8, 8, 8), torch.rand(1, 3, 32, 32)).shape
    torch.Size([1, 8, 32, 32])
    """

    asks_means = True
    options: SSJCN2Options
    srf: Tensor
    psf: Tensor
    basis: Tensor
    noise: Tensor | None

    def __init__(self, options: SSJCN2Options) -> None:
        super().__init__()
        self.options = o = options
        side, n = o.psf_px or o.ratio, o.coordinates
        self.register_buffer("srf", torch.zeros(o.ms_bands, o.bands))
        self.register_buffer("psf", torch.zeros(side, side))
        self.register_buffer("basis", torch.eye(o.bands, n))
        self.register_buffer("noise", None, persistent=False)
        shape = n + 2 * o.ms_bands, n, o.features, o.blocks, UNSHUFFLE[o.resolution]
        self.bodies = nn.ModuleList(Body(*shape) for _ in range(o.rounds * len(o.starts)))

    def forward(self, hs: Tensor, ms: Tensor, start: Tensor | None = None, means: Means | None = None) -> Tensor:
        """The mean of the chains' estimates; a start from elsewhere has no place here."""
        del start
        estimates = self.estimates(hs, ms, means)
        mean, spread = next(estimates), torch.zeros(())
        for count, estimate in enumerate(estimates, 2):  # Welford 1962
            apart = estimate - mean
            mean = mean + apart / count
            spread = spread + (apart * (estimate - mean)).mean(1, keepdim=True)
        exact = self.options.joint == "both" and self.noise is None
        if not exact or hs.amin() < 0 or ms.amin() < 0:
            return mean
        chains = len(self.options.starts)
        error = ERROR_OF_SPREAD * (spread / chains).sqrt() if chains > 1 else None  # (B, 1, H, W)
        return self.raised(mean, error)

    def estimates(self, hs: Tensor, ms: Tensor, means: Means | None = None) -> Iterator[Tensor]:
        """The estimate (B, L, H, W) of each chain of rounds, from its start."""
        with full_precision(hs):
            hs, ms = hs.float(), ms.float()
            y, coarse_ms = mixed(self.basis.mT, hs), mixed(self.srf, hs)  # (B, n, h, w), (B, l, h, w)
            ratio, centre = self.options.ratio, window_centre(self.psf, self.options.ratio)
            detail = ms - interpolate_bicubic(coarse_ms, ratio, centre)  # (B, l, H, W)
            seen_by_ms = torch.zeros_like(ms[:, :1])  # P+ X, where the estimate is to agree with it
            if self.options.joint != "off":
                seen_by_ms = mixed(torch.linalg.solve(self.srf @ self.srf.mT, self.srf).mT, ms)
        for chain, start in enumerate(self.options.starts):
            with full_precision(hs):
                if start == "likeness":
                    c = upsample_by_likeness(y, coarse_ms, ms, ratio, centre)
                else:
                    c = interpolate_bicubic(y, ratio, centre)  # (B, n, H, W)
                c = c.contiguous(memory_format=torch.channels_last)  # twice as fast for what follows
                if start == "regression":
                    slopes = regress_locally(y, coarse_ms)  # (B, n, l, h, w)
                    for slope, band in zip(slopes.unbind(2), detail.unbind(1), strict=True):
                        # bilinear, as they are smooth: no worse than bicubic and quicker
                        rows = slope.clone(memory_format=torch.channels_last)
                        fine = F.interpolate(rows, scale_factor=ratio, mode="bilinear", align_corners=False)
                        c = torch.addcmul(c, fine, band[:, None])
                c = self.meet_hs(c, y, means)
            features = None
            for body in self.chain(chain):
                change, features = body(torch.cat([c, ms, detail], 1), features)
                with full_precision(hs):
                    c = self.meet_hs(c + change.float(), y, means)
            with full_precision(hs):
                yield seen_by_ms + mixed(self.basis, c)

    def raised(self, estimate: Tensor, error: Tensor | None) -> Tensor:
        """The estimate (B, L, H, W), hardly below zero any more, by what neither of the inputs sees.

        error (B, 1, H, W): its standard deviation, where it is known: then values near zero become what can be expected
        of those that are not negative. Where a coarse pixel reads its own block only, blocks without such values, most
        of a scene, are left out.
        """
        with full_precision(estimate):
            if self.margin_px():
                return self.raised_everywhere(estimate, error)
            low = estimate.amin(1, keepdim=True) < (0 if error is None else CLEAR * error)
            blocks = partial(in_blocks, side=self.options.ratio)
            some, estimate = blocks(low).flatten(3).any(3), estimate.clone()
            blocks(estimate)[some] = self.raised_everywhere(
                blocks(estimate)[some], None if error is None else blocks(error)[some]
            )
            return estimate

    def raised_everywhere(self, estimate: Tensor, error: Tensor | None) -> Tensor:
        """The same, leaving out nothing."""
        for _ in range(RAISES):
            estimate = estimate + 2 * self.unseen((-estimate).clamp(min=0))
        if error is None:
            return estimate
        places = estimate / error.clamp(min=LEAST_DEVIATION)
        density = (-places.square() / 2).exp() / math.sqrt(2 * math.pi)
        expected = error * density / torch.special.ndtr(places.clamp(min=FARTHEST))
        return estimate + self.unseen(expected)

    def unseen(self, change: Tensor) -> Tensor:
        """What of a change of the estimate (B, L, H, W) neither of the inputs sees."""
        c = mixed(self.basis.mT, change)
        return mixed(self.basis, self.meet_hs(c, c.new_zeros(())))

    def chain(self, k: int) -> "list[Body]":
        """The bodies of chain k's rounds."""
        rounds = self.options.rounds
        return cast("list[Body]", [*self.bodies[k * rounds : (k + 1) * rounds]])

    def meet_hs(self, c: Tensor, y: Tensor, means: Means | None = None) -> Tensor:
        """The least change to coordinates c (B, n, H, W) that makes D c = y (B, n, h, w), as far as it is no noise."""
        if self.options.joint != "both":
            return c
        missing = y - self.blur(c)
        s: Tensor | float = 0.0
        if self.noise is not None:
            noise = self.noise.to(y)[:, None, None]
            error = (image_mean(missing.square(), means) - noise).clamp(min=LEAST_ERROR) / self.psf.square().sum()
            s = noise / error
        return c + self.spread(self.inverse_gram(missing, s))

    def blur(self, fine: Tensor) -> Tensor:
        """D: (B, n, H, W) -> (B, n, h, w), circular; the kernel once a channel: faster than channels as a batch."""
        margin, ratio, channels = self.margin_px(), self.options.ratio, fine.shape[1]
        padded = F.pad(fine, (margin,) * 4, mode="circular") if margin else fine
        return F.conv2d(padded, self.psf.expand(channels, 1, -1, -1), stride=ratio, groups=channels)

    def spread(self, coarse: Tensor) -> Tensor:
        """D', the transpose of `blur`: (B, n, h, w) -> (B, n, H, W)."""
        ratio, channels = self.options.ratio, coarse.shape[1]
        padded = F.conv_transpose2d(coarse, self.psf.expand(channels, 1, -1, -1), stride=ratio, groups=channels)
        return wrap_margin(wrap_margin(padded, self.margin_px(), -2), self.margin_px(), -1)

    def inverse_gram(self, coarse: Tensor, noise: Tensor | float = 0.0) -> Tensor:
        """(DD' + s)^-1 of an image on the coarse grid, s the noise of each channel over its error."""
        if not self.margin_px():
            return coarse / (self.psf.square().sum() + noise)
        height, width = coarse.shape[-2:]
        impulse = F.pad(coarse.new_ones(1, 1, 1, 1), (0, width - 1, 0, height - 1))
        power = torch.fft.rfft2(self.blur(self.spread(impulse))).real + noise
        solved: Tensor = torch.fft.irfft2(torch.fft.rfft2(coarse) / power, s=(height, width))
        return solved

    def margin_px(self) -> int:
        """How far the blur's window reaches over its coarse pixel on each side."""
        return (self.psf.shape[-1] - self.options.ratio) // 2

    def take_sensor(self, srf: Tensor, psf_window: Callable[[int], Tensor]) -> None:
        """Keep the response and the blur, for which the options have room."""
        self.see_with(srf.to(self.srf), psf_window(self.psf.shape[-1]).to(self.psf))

    def exchange_sensor(self, srf: Tensor, psf_window: Tensor | None) -> None:
        """Raises: InputError for a response some of whose bands the others give: an exact agreement needs all."""
        strengths = torch.linalg.svdvals(srf.double())
        if strengths[-1] < LEAST_STRENGTH * strengths[0]:
            found = f"a response whose {len(srf)} ms bands depend on each other"
            do = "correct --srf, or name other weights (--weights ssjcn-dian-x4) or another method"
            raise InputError(found, "bands that each see something of their own", do)
        self.see_with(srf, self.psf if psf_window is None else psf_window.to(self.psf))

    def expecting_noise(self, covariance: Tensor) -> "SSJCN2":
        """A copy that meets hs as far as it is no noise."""
        other, basis = copy.copy(self), self.basis.to(covariance)
        other._buffers = {**self._buffers}  # which a copy shares
        other.noise = (basis * (covariance @ basis)).sum(0).to(self.basis)
        return other

    def see_with(self, srf: Tensor, psf: Tensor) -> None:
        """Take any sensor of this ratio; the basis is the one nearest to that of the weights, if they have one."""
        known = bool(self.srf.any())
        self.srf, self.psf = srf, psf
        if self.options.joint == "off":
            return
        open_axes = torch.linalg.svd(srf.double())[2][len(srf) :].mT  # (L, n)
        nearest = open_axes @ open_axes.mT @ self.basis.double()
        u, _, vh = torch.linalg.svd(nearest, full_matrices=False)
        self.basis.copy_(u @ vh if known else open_axes)

    def begin_as(self, chains: "Sequence[tuple[SSJCN2, int]]") -> None:
        """Let each chain begin as a chain k of another network, for the sensor that this one has.

        Rounds that the other has not begin as its last, and change no estimate yet; nor does any round after another
        start than the other's. Raises: ValueError for other bands or bodies, or bases that differ.
        """
        first, sensor = chains[0][0], (self.srf, self.psf)
        if any(net.basis.shape != self.basis.shape or not net.basis.allclose(first.basis) for net, _ in chains):
            raise ValueError("the basis differs")
        self.srf, self.basis = first.srf, first.basis.clone()
        if not torch.equal(first.srf, sensor[0]):
            self.see_with(*sensor)
        self.srf, self.psf = sensor
        for own, start, (net, k) in zip(range(len(chains)), self.options.starts, chains, strict=True):
            bodies = net.chain(k)
            for round_, body in enumerate(self.chain(own)):
                try:
                    body.load_state_dict(bodies[min(round_, len(bodies) - 1)].state_dict())
                except RuntimeError as exc:
                    raise ValueError("the bodies have another size") from exc
                if round_ >= len(bodies) or start != net.options.starts[k]:
                    for parameter in body.tail.parameters():
                        nn.init.zeros_(parameter)

    def turn_basis(self, power: Tensor) -> None:
        """Turn the basis to the principal axes of spectra whose second moments are `power` (L, L)."""
        basis = self.basis.double()
        _, axes = torch.linalg.eigh(basis.mT @ power.double() @ basis)
        self.basis.copy_(basis @ axes.flip(-1))


class Body(nn.Module):
    """What a round learns: coordinates and ms in, a change of the coordinates and its features out.

    `side`: how many fine pixels lie in one of its own along a side.
    """

    fill = staticmethod(repeat_to_multiple)

    def __init__(self, channels_in: int, channels_out: int, features: int, blocks: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.head = nn.Conv2d(side**2 * channels_in, features, 3, padding=1)
        self.blocks = nn.ModuleList(ReluBlock(features) for _ in range(blocks))
        self.tail = nn.Conv2d(features, side**2 * channels_out, 3, padding=1)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type] # it has one

    def forward(self, image: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
        height, width = image.shape[-2:]
        x: Tensor = self.head(F.pixel_unshuffle(self.fill(image, self.side), self.side))  # (B, F, H/side, W/side)
        x = x if before is None else x + before
        for block in self.blocks:
            x = block(x)
        return F.pixel_shuffle(self.tail(x), self.side)[..., :height, :width], x


class ReluBlock(ResidualBlock):
    """x + conv(relu(conv(x))), without normalisation."""

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = x + self.second(F.relu(self.first(x)))
        return changed


def in_blocks(image: Tensor, side: int) -> Tensor:
    """(B, n, H, W) as its blocks (B, H/side, W/side, n, side, side), which are not copied."""
    batch, channels, height, width = image.shape
    rows = image.view(batch, channels, height // side, side, width // side, side)
    return rows.permute(0, 2, 4, 1, 3, 5)


def wrap_margin(image: Tensor, margin: int, axis: int) -> Tensor:
    """The margins on both sides of an axis added to where they lie on a circle, and cut off."""
    if not margin:
        return image
    sizes = [margin, margin, image.shape[axis] - 4 * margin, margin, margin]
    before, first, middle, last, after = torch.split(image, sizes, axis)
    return torch.cat([first + after, middle, last + before], axis)
