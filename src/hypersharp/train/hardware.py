"""Where a training runs, one process a device, and how it ends when one of them is lost.

Nothing here detects a failure by itself: a killed process closes its connections, which the others see at once, and
one that is silent (a frozen or unplugged machine) makes them wait no longer than the strategy's timeout.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pytorch_lightning.strategies import StrategyRegistry
from torch.distributed import DistError

from hypersharp.errors import HypersharpError

# what gloo and NCCL say of a peer that is gone or silent; gloo's errors have no type of their own
OF_A_LOST_PROCESS = ("Connection closed by peer", "Connection reset", "Broken pipe", "Timed out", "timed out", "NCCL")


@dataclass(frozen=True)
class Hardware:
    """Where a training runs; lightning's own words. `timeout_s`: how long to wait for a process that is silent."""

    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"
    timeout_s: float = 600.0

    @property
    def processes(self) -> int:
        return self.devices * self.nodes

    def lightning_strategy(self) -> Any:
        """The strategy by its name, with our timeout where it is one of DDP's."""
        name = "ddp" if self.strategy == "auto" and self.processes > 1 else self.strategy
        if not name.startswith("ddp") or name not in StrategyRegistry:
            return name
        row, timeout = StrategyRegistry[name], timedelta(seconds=self.timeout_s)
        return row["strategy"](**row["init_params"], timeout=timeout)

    @contextmanager
    def lost_process(self) -> Iterator[None]:
        """Turn a broken or silent connection into one error that says how to go on.

        Raises: HypersharpError.
        """
        try:
            yield
        except RuntimeError as exc:
            sign = sign_of_a_lost_process(exc)
            if self.processes == 1 or sign is None:
                raise
            raise HypersharpError(
                f"a lost process of this training ({sign})",
                f"all {self.processes} alive, none silent for more than {self.timeout_s:.0f} s",
                "see why it ended, then repeat the command on all machines with --resume: it goes on from the last "
                "checkpoint",
            ) from exc


def sign_of_a_lost_process(error: RuntimeError) -> str | None:
    """What tells that a process is gone or silent; None for an error of another kind.

    >>> sign_of_a_lost_process(RuntimeError("[gloo/pair.cc:547] Connection closed by peer [10.0.0.7]"))
    'Connection closed by peer'
    """
    said = next((words for words in OF_A_LOST_PROCESS if words in str(error)), None)
    return said or (type(error).__name__ if isinstance(error, DistError) else None)
