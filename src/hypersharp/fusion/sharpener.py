"""What was decided and learned for a scene, ready to be applied to all of it or to any part.

A plan says which methods share in a result and whether it is made consistent with hs. `carry_out` does that to a
pair at once; `learn_recipe` only learns, from a scene or a sample of it, and what it gives back sharpens any part.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from hypersharp.fusion.consistency import Agreement, agree_with_hs, agreement_floats_per_px, learn_agreement
from hypersharp.methods.base import Apply, Method
from hypersharp.pair.settings import Settings

TRYING = 0.5  # of the progress, and of the time budget, where methods are compared first
AGREEMENT_HALO = 4  # coarse pixels that a change for consistency reaches, beyond the methods' own


@dataclass(frozen=True)
class Plan:
    """A way to a result: methods by name and their shares, and whether it is made consistent with hs."""

    shares: Mapping[str, float]
    consistent: bool

    @property
    def name(self) -> str:
        """`gsa`, `gsa+c` (consistent) or `blend+c`."""
        return ("blend" if len(self.shares) > 1 else next(iter(self.shares))) + "+c" * self.consistent

    def __str__(self) -> str:
        parts = sorted(self.shares.items(), key=lambda part: -part[1])
        mixed = " + ".join(f"{share:.2f} {name}" for name, share in parts)
        return (f"{self.name} = {mixed}" if len(parts) > 1 else self.name) + (
            ", made consistent with hs" if self.consistent else ""
        )


@dataclass(frozen=True)
class Decision:
    """A plan, its methods by name, and what is then known of the sensor (`known`) besides what was `given`."""

    plan: Plan
    methods: Mapping[str, Method]
    known: Settings
    given: Settings


@dataclass(frozen=True, eq=False)
class Part:
    """A method's share in a result, and what it has learned."""

    share: float
    apply: Apply
    halo_px: int
    halo_coarse: int
    floats_per_px: float


@dataclass(frozen=True, eq=False)
class Recipe:
    """What makes any part of a scene sharp: the mean of its parts, made consistent with hs by an agreement, if any."""

    parts: tuple[Part, ...]
    agreement: Agreement | None = None

    def __call__(self, hs: Tensor, ms: Tensor, settings: Settings) -> Tensor:
        """(L, h, w) and (l, H, W) -> (L, H, W)."""
        sharp = self.blend(hs, ms, settings)
        return self.agreement(sharp, hs, ms, replace(settings, progress=None)) if self.agreement else sharp

    def blend(self, hs: Tensor, ms: Tensor, settings: Settings) -> Tensor:
        """(L, h, w) and (l, H, W) -> (L, H, W), as the parts make it."""
        blended: Tensor | None = None
        for number, part in enumerate(self.parts):
            report = partial(part_done, settings, number, len(self.parts))
            estimate = part.apply(hs, ms, replace(settings, progress=report))
            if len(self.parts) == 1:
                return estimate
            estimate = part.share * estimate
            blended = estimate if blended is None else blended.add_(estimate.to(blended))
        assert blended is not None
        return blended

    def halo_px(self, ratio: int) -> int:
        """How far (fine pixels) a result pixel sees."""
        own = max(max(part.halo_px, part.halo_coarse * ratio) for part in self.parts)
        return own + (AGREEMENT_HALO * ratio if self.agreement else 0)

    def floats_per_px(self, bands: int) -> float:
        """How many float32 are held per fine pixel at most."""
        blending = 2.0 * bands if len(self.parts) > 1 else 0.0
        most = max(part.floats_per_px for part in self.parts) + blending
        return max(most, agreement_floats_per_px(bands)) if self.agreement else most


def part_done(settings: Settings, number: int, count: int, fraction: float) -> None:
    settings.report((number + fraction) / count)


def learn_parts(decision: Decision, hs: Tensor, ms: Tensor) -> Recipe:
    """The plan's methods, learned from (L, h, w) and (l, H, W); without an agreement yet."""
    parts = []
    for name, share in decision.plan.shares.items():
        method = decision.methods[name]
        apply = method.learn(hs, ms, own_settings(method, decision.known, decision.given))
        parts.append(Part(share, apply, method.halo_px, method.halo_coarse, method.floats_per_px(len(hs), len(ms))))
    return Recipe(tuple(parts))


def learn_recipe(decision: Decision, hs: Tensor, ms: Tensor) -> Recipe:
    """The whole recipe, learned from (L, h, w) and (l, H, W)."""
    recipe, known = learn_parts(decision, hs, ms), replace(decision.known, progress=None)
    if not decision.plan.consistent:
        return recipe
    sharp = recipe(hs, ms, replace(decision.given, progress=None))
    return replace(recipe, agreement=learn_agreement(sharp, hs, ms, known)[0])


def carry_out(decision: Decision, hs: Tensor, ms: Tensor) -> Tensor:
    """(L, h, w) and (l, H, W) -> (L, H, W): learned from the pair and applied to it."""
    sharp = learn_parts(decision, hs, ms)(hs, ms, decision.given)
    if not decision.plan.consistent:
        return sharp
    return agree_with_hs(sharp, hs, ms, replace(decision.known, progress=None))


def own_settings(method: Method, known: Settings, given: Settings) -> Settings:
    """What a method is told: the sensor, but a network only what the user gave, for its own it was trained with."""
    return replace(known, psf=given.psf, srf=given.srf) if "weights" in method.needs else known
