"""Every operator passes the adjoint and linearity laws and agrees with its definition."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.numerics.linops import BlurDecimation, gradient_power
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import PSF
from oracles.splitting import Operator, gradient, gradient_adjoint

SHAPE = (12, 18)
Laws = Operator | BlurDecimation


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def blurred(ratio: int, start_yx: tuple[int, int], taps: tuple[int, int] = (4, 5)) -> Callable[[], Laws]:
    return lambda: BlurDecimation(random(*taps, seed=9), SHAPE, ratio, start_yx)


OPERATORS: dict[str, Callable[[], Laws]] = {
    "gradient": lambda: Operator(gradient, gradient_adjoint),
    "blur and decimation 1": blurred(1, (0, 0)),
    "blur and decimation 2": blurred(2, (1, 0)),
    "blur and decimation 3": blurred(3, (2, 1)),
    "blur and decimation 6": blurred(6, (3, 5)),
    "kernel larger than the image": blurred(2, (0, 1), (15, 40)),
}
every_operator = pytest.mark.parametrize("name", OPERATORS)


@every_operator
def test_the_adjoint_is_that_of_autograd(name: str) -> None:
    operator = OPERATORS[name]()
    x = random(2, 3, *SHAPE).requires_grad_()
    seen = operator.forward(x)
    y = random(*seen.shape, seed=1)
    (gradient,) = torch.autograd.grad((seen * y).sum(), x)
    assert torch.linalg.vector_norm(operator.adjoint(y) - gradient) <= 1e-12 * gradient.norm()


@every_operator
def test_the_map_is_linear(name: str) -> None:
    operator = OPERATORS[name]()
    x, y = random(3, *SHAPE), random(3, *SHAPE, seed=1)
    torch.testing.assert_close(operator.forward(2 * x - 3 * y), 2 * operator.forward(x) - 3 * operator.forward(y))


@given(
    h=st.integers(1, 5),
    w=st.integers(1, 5),
    ratio=st.integers(1, 5),
    taps=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    data=st.data(),
)
@settings(max_examples=40, deadline=None)
def test_blur_and_decimation_are_those_of_the_sensor(
    h: int, w: int, ratio: int, taps: tuple[int, int], data: st.DataObject
) -> None:
    phases = st.integers(0, ratio - 1)
    start_yx = (data.draw(phases), data.draw(phases))
    kernel = np.random.default_rng(0).random(taps)
    kernel /= kernel.sum()
    scene = random(2, h * ratio, w * ratio)
    operator = BlurDecimation(torch.from_numpy(kernel), (h * ratio, w * ratio), ratio, start_yx)
    expected = Sensor(PSF(kernel, start_yx), np.eye(2), ratio).hs(scene)
    torch.testing.assert_close(operator.forward(scene), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_operators_keep_the_dtype(dtype: torch.dtype) -> None:
    operator = BlurDecimation(random(4, 4, dtype=dtype), SHAPE, 2, (0, 0))
    coarse = operator.forward(random(1, *SHAPE, dtype=dtype))
    assert coarse.dtype == operator.adjoint(coarse).dtype == operator.coarse_power().dtype == dtype


def test_gradient_power_holds_the_eigenvalues_of_the_gram() -> None:
    x = random(2, *SHAPE)
    by_spectrum = torch.fft.irfft2(torch.fft.rfft2(x) * gradient_power(SHAPE, x), s=SHAPE)
    torch.testing.assert_close(by_spectrum, gradient_adjoint(gradient(x)))


def test_coarse_power_holds_the_eigenvalues_of_a_a_transposed() -> None:
    operator = BlurDecimation(random(4, 5), SHAPE, 3, (1, 2))
    y = random(2, 4, 6)
    by_spectrum = torch.fft.irfft2(torch.fft.rfft2(y) * operator.coarse_power(), s=(4, 6))
    torch.testing.assert_close(by_spectrum, operator.forward(operator.adjoint(y)))


def test_sizes_and_phases_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="multiples of the ratio 5"):
        BlurDecimation(random(3, 3), SHAPE, 5, (0, 0))
    with pytest.raises(InputError, match="decimation start"):
        BlurDecimation(random(3, 3), SHAPE, 3, (0, 3))
