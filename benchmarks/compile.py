"""What torch.compile gains in `fuse`: a network on one tile, eager and compiled, and what the warm-up costs.

    python benchmarks/compile.py [WEIGHTS] [--side 512]

One thread, as a worker has it; values are random, for only the time counts. Needs a C++ compiler.
"""

import argparse
import json
import time
from collections.abc import Callable
from timeit import repeat

import torch

from hypersharp.networks.checkpoint import load_weights, to_fast_layout
from hypersharp.networks.inference import autocast, batched
from hypersharp.networks.packaged import packaged_weights
from hypersharp.system.build_info import commit, machine
from hypersharp.system.memory import keep_memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", nargs="?", default="ssjcn-dian-x4")
    parser.add_argument("--side", type=int, default=512, help="fine pixels along a side")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    net = to_fast_layout(load_weights(packaged_weights()[arguments.weights].path)[0].eval())
    options = net.options
    hs = batched(torch.rand(options.bands, *2 * [arguments.side // options.ratio]))
    ms = batched(torch.rand(options.ms_bands, arguments.side, arguments.side))

    def timed(run: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> float:
        def once() -> None:
            run(hs, ms)

        with torch.inference_mode(), autocast(ms.device, "bf16"):
            return min(repeat(once, number=1, repeat=4)[1:])  # the first sets up

    eager_s = timed(net)
    started = time.perf_counter()
    compiled_s = timed(torch.compile(net, dynamic=True))
    warm_up_s = time.perf_counter() - started - 4 * compiled_s
    row = {"weights": arguments.weights, "side": arguments.side, "eager_s": round(eager_s, 2)}
    row |= {"compiled_s": round(compiled_s, 2), "warm_up_s": round(warm_up_s, 1)}
    print(json.dumps(row | {"commit": commit(), "machine": machine()}))


if __name__ == "__main__":
    main()
