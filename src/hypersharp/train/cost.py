"""What a computation costs, what a training has cost, and what it ran on, as its weights tell."""

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from hypersharp.networks.checkpoint import build_network
from hypersharp.networks.header import WeightsHeader
from hypersharp.system.build_info import commit, machine


def made_with() -> dict[str, str]:
    """Commit, machine and version of torch, which any weights file tells."""
    return {"commit": commit(), "machine": machine(), "torch": torch.__version__}


def count_operations(compute: Callable[[], object]) -> int:
    """Those of convolutions and matrix products that it does, a multiplication with its addition being two."""
    with FlopCounterMode(display=False) as counter:
        compute()
    return int(counter.get_total_flops())


def training_pflop(header: WeightsHeader) -> float | None:
    """Operations of a training, forward and backward, in 1e15; a multiplication with its addition is two.

    Weights that do not say it say of how many patches they were made: one of them is counted. None for weights of any
    sensor, whose pairs are not all of one size, and for those that say nothing.
    """
    made, shape = header.provenance, header.options
    if "pflop" in made or made.get("any_sensor") or not {"steps", "batch", "patch_px"} <= set(made):
        return made.get("pflop")
    net, fine = build_network(header.network, shape), made["patch_px"]
    hs = torch.rand(1, shape["bands"], fine // shape["ratio"], fine // shape["ratio"])
    ms, truth = torch.rand(1, shape["ms_bands"], fine, fine), torch.rand(1, shape["bands"], fine, fine)

    def learn_patch() -> None:
        images = net.at_levels(hs, ms, truth if made.get("start_weight") else None)
        if made.get("lambda_deg"):
            images += [image for pair in net.degrade(truth) for image in pair]
        torch.stack([image.sum() for image in images]).sum().backward()  # type: ignore[no-untyped-call]

    return float(f"{count_operations(learn_patch) * made['batch'] * made['steps'] / 1e15:.4g}")
