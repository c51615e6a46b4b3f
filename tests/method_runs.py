"""What tests know of a pair of tensors, and a method run on it as `fuse` does."""

import sys
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

from hypersharp.methods.base import Learn, Method
from hypersharp.methods.table import METHODS
from hypersharp.pair.options import Options, Progress, ignore
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import PSF, gaussian_fwhm

ON_CPU = Options(device="cpu", precision="fp32")


@dataclass(frozen=True, eq=False)
class Known:
    """The sensor as far as it is given, which pixels are measured, what the user chose."""

    psf: PSF | None = None
    srf: NDArray[np.float64] | None = None
    hs_valid: Tensor | None = None
    ms_valid: Tensor | None = None
    options: Options = ON_CPU

    def pair(self, hs: Tensor, ms: Tensor) -> TensorPair:
        return TensorPair(hs, ms, self.hs_valid, self.ms_valid)

    def sensor(self, hs: Tensor, ms: Tensor) -> PairSensor:
        return PairSensor(self.pair(hs, ms), self.psf, self.srf)

    def run(self, name: str, hs: Tensor, ms: Tensor, progress: Progress = ignore) -> Tensor:
        """The result (L, H, W)."""
        return self.run_and_notes(name, hs, ms, progress)[0]

    def run_and_notes(
        self, name: str, hs: Tensor, ms: Tensor, progress: Progress = ignore
    ) -> tuple[Tensor, tuple[str, ...]]:
        """The result, and what is said of it."""
        sensor = self.sensor(hs, ms)
        apply = METHODS[name].learn(self.pair(hs, ms), sensor, self.options)
        return apply(self.pair(hs, ms), self.options, progress), (*sensor.notes, *apply.notes)


def seen_at_ratio_4(truth: Tensor) -> tuple[Tensor, Tensor, Tensor, Known]:
    """(hs, ms, truth, sensor) of a scene of 12 bands, of which an ms of three bands averages four each."""
    sensor = Sensor(gaussian_fwhm(4, 4, boundary="reflect"), np.repeat(np.eye(3), 4, axis=1) / 4, 4)
    hs, ms = (image.float() for image in sensor.observe(truth))
    return hs, ms, truth, Known(sensor.psf, sensor.srf)


def add_method(monkeypatch: pytest.MonkeyPatch, name: str, learn: Learn, needs: tuple[str, ...] = ()) -> Method:
    """A method of a test's own, in the table while the test runs."""
    module = ModuleType(f"method_{name}")
    module.learn = learn  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(METHODS, name, Method(name, "", "-", needs, module=module.__name__))
    return METHODS[name]


def part_and_whole(name: str, known: Known, hs: Tensor, ms: Tensor, core: int) -> tuple[Tensor, Tensor]:
    """The first `core` coarse rows of a result, made of these and the halo, and as the whole image has them."""
    method, ratio = METHODS[name], ms.shape[-1] // hs.shape[-1]
    seen = core + -(-max(method.halo_px, method.halo_coarse * ratio) // ratio)
    assert seen < hs.shape[1]
    apply = method.learn(known.pair(hs, ms), known.sensor(hs, ms), known.options)
    part = known.pair(hs[:, :seen], ms[:, : seen * ratio])
    part_result, result = (apply(some, known.options, ignore)[:, : core * ratio] for some in (part, known.pair(hs, ms)))
    return part_result, result
