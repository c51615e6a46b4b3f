"""How a result is made: which methods share in it, whether it is made consistent with hs, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hypersharp.fusion.choose.trial import Quality


@dataclass(frozen=True)
class Ranked:
    """What methods made of the reduced pairs, alone or blended: their shares, scores, and seconds at full size."""

    shares: Mapping[str, float]
    consistent: bool
    quality: Quality
    seconds: float

    @property
    def name(self) -> str:
        """`gsa`, `gsa+c` (consistent) or `blend+c`."""
        name = "blend" if len(self.shares) > 1 else next(iter(self.shares))
        return f"{name}+c" if self.consistent else name


@dataclass(frozen=True)
class Choice:
    """Methods by name and their shares in the result; `ranking` and `skipped`: the candidates, where some were tried.

    `why`: what spoke for it, in words.
    """

    shares: Mapping[str, float]
    consistent: bool
    why: str = ""
    ranking: tuple[Ranked, ...] = ()
    skipped: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        parts = sorted(self.shares.items(), key=lambda part: -part[1])
        mixed = " + ".join(f"{share:.2f} {name}" for name, share in parts)
        if len(parts) == 1:
            mixed = parts[0][0]
        return f"{mixed}, made consistent with hs" if self.consistent else mixed

    def described(self) -> dict[str, Any]:
        """As plain data, JSON-able."""
        rows = [
            {
                "candidate": row.name,
                "psnr_db": row.quality.psnr_db,
                "sam_deg": row.quality.sam_deg,
                "ergas": row.quality.ergas,
                "seconds": row.seconds,
            }
            for row in self.ranking
        ]
        return {
            "shares": dict(self.shares),
            "consistent": self.consistent,
            "why": self.why,
            "ranking": rows,
            "skipped": list(self.skipped),
        }
