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

GLOO = "gloo/transport/"  # in the text of gloo's errors, which have no type of their own


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
        """Turn a broken or silent connection into one error that says how to continue.

        Raises: HypersharpError.
        """
        try:
            yield
        except RuntimeError as exc:
            if self.processes == 1 or not (isinstance(exc, DistError) or GLOO in str(exc)):
                raise
            reason = str(exc).rpartition("] ")[2].partition(". ")[0].splitlines()[0]
            raise HypersharpError(
                f"a lost process of this training ({reason})",
                f"all {self.processes} alive, none silent for more than {self.timeout_s:.0f} s",
                "see why it ended, then repeat the command on all machines with --resume: it continues from the last "
                "checkpoint",
            ) from exc
