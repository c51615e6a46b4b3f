"""How a result is made: which methods share in it, whether it is made consistent with hs, and why."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hypersharp.fusion.choose.trial import Ranked


@dataclass(frozen=True)
class Choice:
    """Methods by name and their shares in the result; `ranking` and `skipped`: the candidates, where some were tried.

    `why`: what spoke for it, in words.
    """

    shares: Mapping[str, float]
    consistent: bool
    why: str = ""
    ranking: tuple[Ranked, ...] = ()
    skipped: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = sorted(self.shares.items(), key=lambda part: -part[1])
        mixed = " + ".join(f"{share:.2f} {name}" for name, share in parts) if len(parts) > 1 else parts[0][0]
        return f"{mixed}, made consistent with hs" if self.consistent else mixed

    def described(self) -> dict[str, Any]:
        """As plain data, JSON-able."""
        rows = [
            {"candidate": row.name, **asdict(row.quality), "seconds": row.seconds}  # psnr_db, sam_deg, ergas
            for row in self.ranking
        ]
        facts = {"shares": dict(self.shares), "consistent": self.consistent, "why": self.why}
        return {**facts, "ranking": rows, "skipped": list(self.skipped)}
