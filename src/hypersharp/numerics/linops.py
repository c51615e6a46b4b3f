"""Linear maps of images (..., band, y, x), each with its adjoint; all borders are circular.

Blur and decimation go through the Fourier domain: a spectrum is the half one of `torch.fft.rfft2`, and
decimation folds its rows before the inverse transform, so that only rows that are kept are computed.
Source: the observation model of HySure (Simoes et al. 2015, IEEE TGRS 53(6), eqs. 2 to 6).

The closed-form step of fusion with a Gaussian prior, for any rectangle, ratio and phase,

    min_X ||Y - A X||^2 + ||Z - R X||^2 + weight ||X - prior||^2,   A: blur and decimation of every band

has the normal equations H1 X + A'A X = H3, H1 = R'R + weight I, H3 = A'Y + R'Z + weight prior. In the
eigenvectors of H1 the bands part; for eigenvalue lam, (lam I + A'A)^-1 = (I - A'(lam I + A A')^-1 A) / lam,
and A A' is a circular convolution on the coarse grid. That is the folded form of Wei, Dobigeon, Tourneret
2015 (IEEE TIP 24(11), FUSE, Theorem 1); DHSIS's first and last step (Dian et al. 2018, eq. 6).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from hypersharp.errors import InputError

Map = Callable[[Tensor], Tensor]


def mix_bands(matrix: Tensor, image: Tensor) -> Tensor:
    """matrix (m, n) on the band axis of an image (..., n, H, W)."""
    mixed: Tensor = matrix @ image.flatten(-2)
    return mixed.view(*mixed.shape[:-1], *image.shape[-2:])


def mirror(image: Tensor, margin_px: int) -> Tensor:
    """(n, h, w) with so many pixels more on each side, the border pixel repeated first; again and again if need be.

    >>> mirror(torch.arange(3.0).view(1, 1, 3), 2)[0, 0].tolist()
    [1.0, 0.0, 0.0, 1.0, 2.0, 2.0, 1.0]
    """
    for axis in (1, 2) if margin_px else ():
        size = image.shape[axis]
        places = torch.arange(-margin_px, size + margin_px, device=image.device) % (2 * size)
        image = image.index_select(axis, torch.minimum(places, 2 * size - 1 - places))
    return image


def unmirrored(image: Tensor, margin_px: int) -> Tensor:
    """What `mirror` made an image of."""
    return image[:, margin_px : image.shape[1] - margin_px, margin_px : image.shape[2] - margin_px]


def gradient_power(shape_yx: tuple[int, int], like: Tensor) -> Tensor:
    """|F_Dh|^2 + |F_Dv|^2 on the half spectrum, (H, W//2 + 1): D'D's eigenvalues, D: differences to the next pixel."""
    y = torch.fft.fftfreq(shape_yx[0], dtype=torch.float64)[:, None]
    x = torch.fft.rfftfreq(shape_yx[1], dtype=torch.float64)
    return (4 * torch.sin(torch.pi * y).square() + 4 * torch.sin(torch.pi * x).square()).to(like)


def embed(kernel: Tensor, shape_yx: tuple[int, int], start_yx: tuple[int, int] = (0, 0)) -> Tensor:
    """The kernel on an (H, W) canvas, tap floor(k/2) at `-start_yx` (psf2otf's place and a phase), wrapped."""
    height, width = shape_yx
    rows, columns = (
        (torch.arange(taps, device=kernel.device) - taps // 2 - start) % size
        for taps, start, size in zip(kernel.shape, start_yx, shape_yx, strict=True)
    )
    places = (rows[:, None] * width + columns).flatten()
    return kernel.new_zeros(height * width).index_add(0, places, kernel.flatten()).view(height, width)


@dataclass(frozen=True, eq=False)
class BlurDecimation:
    """A: circular blur by `kernel` (kh, kw), then every `ratio`-th pixel from `start_yx`, on (..., H, W).

    Coarse pixel i is sum_t kernel[t] fine[ratio i + start + floor(k/2) - t]. The phase is part of
    `transfer`, so that everything after it samples from pixel 0.

    Raises: InputError where H or W is no multiple of the ratio, or the phase is outside 0..ratio-1.

    >>> mean = BlurDecimation(torch.full((2, 2), 0.25), (4, 6), ratio=2, start_yx=(0, 0))
    >>> mean.forward(torch.ones(3, 4, 6)).shape
    torch.Size([3, 2, 3])
    """

    kernel: Tensor
    shape_yx: tuple[int, int]
    ratio: int
    start_yx: tuple[int, int]

    def __post_init__(self) -> None:
        if any(size % self.ratio or size == 0 for size in self.shape_yx):
            height, width = self.shape_yx
            found = f"an image of {height} x {width} pixels"
            raise InputError(found, f"multiples of the ratio {self.ratio}", "crop it")
        if not all(0 <= start < self.ratio for start in self.start_yx):
            found = f"decimation start {self.start_yx} at ratio {self.ratio}"
            raise InputError(found, f"0 to {self.ratio - 1}", "build the PSF for this ratio")

    @cached_property
    def transfer(self) -> Tensor:
        """Half spectrum (H, W//2 + 1) of the kernel, moved by the phase."""
        spectrum: Tensor = torch.fft.rfft2(embed(self.kernel, self.shape_yx, self.start_yx))
        return spectrum

    @cached_property
    def folded_conjugate(self) -> Tensor:
        """The conjugate transfer in folded rows (ratio, h, W//2 + 1)."""
        return fold_rows(self.transfer, self.ratio).conj().resolve_conj()

    def forward(self, image: Tensor) -> Tensor:
        """(..., H, W) -> (..., h, w)."""
        return self.sample(torch.fft.rfft2(image))

    def adjoint(self, coarse: Tensor) -> Tensor:
        """(..., h, w) -> (..., H, W)."""
        spectrum = self.repeated(coarse) * self.folded_conjugate
        image: Tensor = torch.fft.irfft2(spectrum.flatten(-3, -2), s=self.shape_yx)
        return image

    def sample(self, spectrum: Tensor) -> Tensor:
        """A x from the half spectrum of x: its rows folded into h, one small inverse transform."""
        height, width = self.shape_yx
        first, *others = zip(
            fold_rows(spectrum, self.ratio).unbind(-3), fold_rows(self.transfer, self.ratio), strict=True
        )
        folded = first[0] * first[1]
        for rows, transfer in others:
            folded.addcmul_(rows, transfer)
        folded /= self.ratio
        coarse: Tensor = torch.fft.irfft2(folded, s=(height // self.ratio, width))[..., :: self.ratio]
        return coarse

    def add_spread(self, coarse: Tensor, spectrum: Tensor) -> Tensor:
        """Add the half spectrum of A'y to another, in place."""
        fold_rows(spectrum, self.ratio).addcmul_(self.repeated(coarse), self.folded_conjugate)
        return spectrum

    def repeated(self, coarse: Tensor) -> Tensor:
        """The half spectrum (..., 1, h, W//2 + 1) of y with zeros between its columns, the same in all folded rows."""
        rows = coarse.new_zeros(*coarse.shape[:-1], self.shape_yx[1])
        rows[..., :: self.ratio] = coarse
        repeated: Tensor = torch.fft.rfft2(rows).unsqueeze(-3)
        return repeated

    @property
    def coarse_yx(self) -> tuple[int, int]:
        """(h, w)."""
        return self.shape_yx[0] // self.ratio, self.shape_yx[1] // self.ratio

    def coarse_power(self, between: Map = lambda image: image) -> Tensor:
        """The eigenvalues of A C A', C a circular convolution, on the coarse half spectrum (h, w//2 + 1)."""
        impulse = self.kernel.new_zeros(self.coarse_yx)
        impulse[0, 0] = 1
        return torch.real(torch.fft.rfft2(self.forward(between(self.adjoint(impulse)))))


def fold_rows(spectrum: Tensor, ratio: int) -> Tensor:
    """(..., H, W') -> (..., ratio, H/ratio, W'): the rows that decimation along y makes one."""
    height, width = spectrum.shape[-2:]
    return spectrum.reshape(*spectrum.shape[:-2], ratio, height // ratio, width)


def sylvester(gram: Tensor, rhs: Tensor, observe: BlurDecimation) -> Tensor:
    """X (L, H, W) with gram X + A'A X = rhs, gram (L, L). Raises: InputError where that is not positive definite."""
    eigenvalues, vectors = torch.linalg.eigh(gram)
    if float(eigenvalues[0]) <= 0:
        found = f"a band matrix with eigenvalue {float(eigenvalues[0]):.3g}"
        raise InputError(found, "positive ones", "raise the weight")
    lam = eigenvalues[:, None, None]
    turned = mix_bands(vectors.mT, rhs)
    coarse = torch.fft.rfft2(observe.forward(turned)) / (observe.coarse_power() + lam)
    turned -= observe.adjoint(torch.fft.irfft2(coarse, s=observe.coarse_yx))
    return mix_bands(vectors, turned.div_(lam))


def fuse_gaussian(
    hs: Tensor, ms: Tensor, prior: Tensor, *, observe: BlurDecimation, response: Tensor, weight: float
) -> Tensor:
    """The X (L, H, W) that explains hs (L, h, w) and ms (l, H, W) and lies near `prior` (L, H, W).

    response: (l, L). DHSIS's weight is 5e-4 (its paper) or 5e-5 (its program), its first prior is the
    bicubic hs; in a subspace, give the coefficients' images and response @ basis instead.

    Raises: InputError for a weight that is not positive.
    """
    if not weight > 0:
        raise InputError(f"weight {weight}", "a positive one", "take 5e-4")
    identity = torch.eye(response.shape[1], dtype=hs.dtype, device=hs.device)
    rhs = observe.adjoint(hs).add_(mix_bands(response.mT, ms)).add_(prior, alpha=weight)
    return sylvester(response.mT @ response + weight * identity, rhs, observe)
