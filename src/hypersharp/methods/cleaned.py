"""Networks that learned without noise, on a pair whose ms has some: what they are given is cleaned first.

`ssjcn-any` learned noise. What its estimate shows through the response is an ms without most of the noise, with errors
of its own, which do not depend on it: of ms itself as much is kept as makes their sum least (Wiener). The network makes
of that what it would of a clean pair, and the mean of both estimates is the result, for their errors are unlike.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hypersharp.methods.base import Apply
from hypersharp.methods.ssjcn_any import ANY_SENSOR, learn_any
from hypersharp.networks.inference import PIXELS_A_BAND, Inference, with_held_means
from hypersharp.networks.packaged import named_weights
from hypersharp.numerics.linops import mix_bands
from hypersharp.pair.options import Options, Progress, ignore, part_of
from hypersharp.pair.tensors import TensorPair, measured_pixels
from hypersharp.sensor.observe import Sensor

NOISY_DB = 34.0  # signal to noise below which ms is: the texture of clean ones passes for noise at 37 dB
LEAST_PIXELS = 256  # of hs, for its coordinates to be those of the scene
LEAST_ERROR = 1e-12


@dataclass(frozen=True, eq=False)
class Cleaned(Apply):
    """What cleans, what sharpens then, the response (l, L) and what is kept of each ms band (l)."""

    first: Inference
    then: Inference
    srf: Tensor
    kept: Tensor

    @property
    def notes(self) -> tuple[str, ...]:
        shares = ", ".join(f"{float(share):.0%}" for share in self.kept)
        note = f"noise: {ANY_SENSOR} cleans ms, of whose bands {shares} are kept, and its result is averaged in"
        return *self.then.notes, note

    @property
    def weights(self) -> str | None:
        return self.then.weights

    def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        """(L, h, w) and (l, H, W) -> (L, H, W)."""
        estimate = self.first(pair, options, part_of(progress, 0.0, 0.3))
        clean = self.clean(pair, mix_bands(self.srf.to(estimate), estimate))
        return torch.lerp(self.then(clean, options, part_of(progress, 0.3, 1.0)), estimate, 0.5)

    def clean(self, pair: TensorPair, seen: Tensor) -> TensorPair:
        """The pair whose ms is between itself and what an estimate shows, (l, H, W)."""
        return replace(pair, ms=torch.lerp(seen, pair.ms.to(seen), self.kept.to(seen)[:, None, None]).to(pair.ms))


def can_clean(pair: TensorPair) -> bool:
    """Whether hs is large enough for `ssjcn-any` to know the scene's spectra."""
    pixels = measured_pixels(pair.hs, pair.hs_valid)
    return pixels.shape[1] >= max(LEAST_PIXELS, PIXELS_A_BAND * len(pixels))


def learn_cleaned(then: Inference, pair: TensorPair, sensor: Sensor, options: Options) -> Cleaned:
    """What is kept of ms: its noise is read off it, the error of what is shown is what both differ by beyond that."""
    first, srf = learn_any(named_weights(ANY_SENSOR), pair, sensor, options), torch.tensor(sensor.srf).to(pair.ms)
    seen = mix_bands(srf, first(pair, options, ignore).to(srf))
    noise = pair.ms_noise.square()
    apart = measured_pixels(pair.ms - seen, pair.measured_finely()).square().mean(1)
    error = (apart - noise).clamp(min=LEAST_ERROR)
    made = Cleaned(first, then, srf, error / (error + noise))
    return replace(made, then=with_held_means(then, made.clean(pair, seen), options))
