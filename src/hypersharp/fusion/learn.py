"""The main job on tensors: decided and learned once for a scene, then applied to all of it.

What a scene tells as a whole (sensor, subspace, gains, pooled means, which method does best) is learned from a sample
of at most `MOST_COARSE` coarse pixels a side, so that it costs the same for scenes of any size: all of a small one; of
a larger one `WINDOWS` windows evenly spaced along either axis, put side by side, the seams left out.
A scene that is sharpened in parts learns the same, and so becomes the same.
"""

from dataclasses import replace

from torch import Tensor

from hypersharp.fusion.choose.auto import decide_named
from hypersharp.fusion.sharpener import Recipe, carry_out, learn_recipe
from hypersharp.methods.base import Method
from hypersharp.pair.sample import Sample
from hypersharp.pair.settings import Settings


def run_named(method: Method, hs: Tensor, ms: Tensor, settings: Settings) -> Tensor:
    """A method the user named: (L, h, w) and (l, H, W) -> (L, H, W); a large scene learns from its sample."""
    if Sample.of((hs.shape[1], hs.shape[2]), settings.ratio).is_all:
        return carry_out(decide_named(method, hs, ms, settings), hs, ms)
    return learn_run(method, hs, ms, settings)(hs, ms, settings)


def learn_run(method: Method, hs: Tensor, ms: Tensor, settings: Settings) -> Recipe:
    """What `run_named` learns of (L, h, w) and (l, H, W) before it applies it to them."""
    sample = Sample.of((hs.shape[1], hs.shape[2]), settings.ratio)
    if sample.is_all:
        return learn_recipe(decide_named(method, hs, ms, settings), hs, ms)
    told = replace(sample.settings(settings), pixels=ms[0].numel())
    return learn_named(method, sample.coarse(hs), sample.fine(ms), told)


def learn_named(method: Method, hs: Tensor, ms: Tensor, settings: Settings) -> Recipe:
    """What sharpens any part of a scene, learned from hs (L, h, w) and ms (l, H, W) of its sample."""
    return learn_recipe(decide_named(method, hs, ms, for_parts(settings)), hs, ms)


def for_parts(settings: Settings) -> Settings:
    """The settings of a scene for parts of it, which have no far side to come in from."""
    psf = settings.psf
    if psf is not None and psf.boundary == "wrap":
        psf = replace(psf, boundary="reflect")
    return replace(settings, psf=psf, in_parts=True)
