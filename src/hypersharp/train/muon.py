"""Muon: the momentum of a matrix, its singular values brought near 1, as the step.

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks", with Nesterov momentum and five
Newton-Schulz steps; the scale .2 sqrt(largest side), which gives the step the size of AdamW's, is that of
Liu et al. 2025, "Muon is scalable for LLM training". torch.optim.Muon takes matrices alone, no kernels in the layout of
convolutions, and orthogonalises in bfloat16, which is 1.4 % of a step off this one (in norm): so it is not used.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

QUINTIC = (3.4445, -4.7750, 2.0315)  # of the singular values: their sum is near 1, its slope at 0 is steep
STEPS = 5
MOMENTUM = 0.95


class Muon(torch.optim.Optimizer):
    """For convolution kernels (out, in, k, k), each taken as a matrix (out, in k k)."""

    def __init__(self, kernels: Iterable[Tensor], lr: float, weight_decay: float = 0.0) -> None:
        super().__init__(kernels, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override] # torch's own returns the closure's loss
        del closure
        for group in self.param_groups:
            for kernel in group["params"]:
                if kernel.grad is None:
                    continue
                kernel.mul_(1 - group["lr"] * group["weight_decay"])
                change(kernel, kernel.grad, self.state[kernel], group["lr"])


class MuonAdam(torch.optim.Adam):
    """One optimiser of all parameters: Muon's step at `kernel_rate` for kernels (out, in, k, k), Adam's for others."""

    def __init__(self, parameters: Iterable[Tensor], lr: float, kernel_rate: float) -> None:
        kernels, others = list[Tensor](), list[Tensor]()
        for parameter in parameters:
            (kernels if parameter.ndim == 4 else others).append(parameter)
        groups: list[dict[str, Any]] = [{"params": others}, {"params": kernels, "lr": kernel_rate}]
        super().__init__(groups, lr)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """The loss that `closure` gives, which is called first where there is one."""
        with torch.enable_grad():
            loss = closure() if closure else None
        group = self.param_groups[1]
        for kernel in group["params"]:
            if kernel.grad is not None:
                state = self.state[kernel]
                state.setdefault("step", torch.zeros(()))  # which Adam looks for when it reads a checkpoint
                change(kernel, kernel.grad, state, group["lr"])
                kernel.grad = None  # so that Adam passes it by
        super().step()
        return loss


def change(kernel: Tensor, slope: Tensor, state: dict[str, Any], rate: float) -> None:
    """Muon's step of one kernel with this gradient; its momentum is kept in `state`."""
    mean = state.setdefault("momentum", torch.zeros_like(kernel))
    mean.lerp_(slope, 1 - MOMENTUM)
    ahead = slope.lerp(mean, MOMENTUM).flatten(1)
    kernel.sub_(orthogonalised(ahead).view_as(kernel), alpha=rate * 0.2 * max(ahead.shape) ** 0.5)


def orthogonalised(matrix: Tensor) -> Tensor:
    """The matrix with singular values between about .7 and 1.2."""
    wide: Tensor = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT
    wide = wide / (wide.norm() + 1e-12)
    a, b, c = QUINTIC
    for _ in range(STEPS):
        gram = wide @ wide.mT
        wide = a * wide + (b * gram + c * gram @ gram) @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.mT
