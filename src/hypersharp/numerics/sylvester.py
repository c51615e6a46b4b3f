"""The closed-form step H1 X + X H2 = H3 of fusion with a Gaussian prior, for any rectangle, ratio and phase.

    min_X ||Y - A X||^2 + ||Z - R X||^2 + weight ||X - prior||^2,   A: blur and decimation of every band

has the normal equations H1 X + A'A X = H3, H1 = R'R + weight I, H3 = A'Y + R'Z + weight prior. In the
eigenvectors of H1 the bands part; for eigenvalue lam, (lam I + A'A)^-1 = (I - A'(lam I + A A')^-1 A) / lam,
and A A' is a circular convolution on the coarse grid. That is the folded form of Wei, Dobigeon, Tourneret
2015 (IEEE TIP 24(11), FUSE, Theorem 1); DHSIS's first and last step (Dian et al. 2018, eq. 6).
"""

import torch
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.numerics.linops import BlurDecimation, mix_bands


def sylvester(gram: Tensor, rhs: Tensor, observe: BlurDecimation) -> Tensor:
    """X (L, H, W) with gram X + A'A X = rhs; gram (L, L) symmetric positive definite, on the band axis.

    Raises: InputError for a gram that is not positive definite.
    """
    eigenvalues, vectors = torch.linalg.eigh(gram)
    if float(eigenvalues[0]) <= 0:
        raise InputError(
            f"a band matrix with eigenvalue {float(eigenvalues[0]):.3g}", "positive ones", "raise the weight"
        )
    lam = eigenvalues[:, None, None]
    turned = mix_bands(vectors.mT, rhs)
    coarse = torch.fft.rfft2(observe.forward(turned)) / (observe.coarse_power() + lam)
    shape_yx = (observe.shape_yx[0] // observe.ratio, observe.shape_yx[1] // observe.ratio)
    turned -= observe.adjoint(torch.fft.irfft2(coarse, s=shape_yx))
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
