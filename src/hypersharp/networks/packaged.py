"""The weights that come with the package, and which of them fit a pair."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hypersharp.errors import InputError, unknown_name
from hypersharp.networks.checkpoint import WeightsHeader, read_header
from hypersharp.networks.onnx.session import read_onnx

FOLDER = Path(__file__).resolve().parents[1] / "weights"
WAVELENGTH_TOLERANCE_NM = 6.0  # half the spacing of 10 nm bands, and a little


@dataclass(frozen=True)
class Weights:
    """A weights file and its header."""

    name: str
    path: Path
    header: WeightsHeader

    @property
    def any_sensor(self) -> bool:
        """Whether they serve any bands, ratio and sensor (`train/any_sensor.py`)."""
        return bool(self.header.provenance.get("any_sensor", False))

    @property
    def method(self) -> str:
        """The name of the method that runs them."""
        return self.header.network.removesuffix("-subspace")

    def __str__(self) -> str:
        if self.any_sensor:
            return f"{self.name} (any bands, ratio and sensor)"
        o = self.header.options
        return f"{self.name} ({o['bands']} bands, {o['ms_bands']} ms bands, ratio {o['ratio']})"


@cache
def packaged_weights() -> dict[str, Weights]:
    """Name -> weights in the package, those with the best validation PSNR first."""
    found = [Weights(path.stem, path, read_header(path)) for path in FOLDER.glob("*.safetensors")]
    found.sort(key=lambda weights: (-weights.header.provenance.get("val_psnr_db", 0.0), weights.name))
    return {weights.name: weights for weights in found}


def named_weights(name: str | Path) -> Weights:
    """Weights by packaged name or by path.

    Raises: InputError for a name that is neither, or a file that is no weights file.
    """
    path = Path(name)
    if str(name) in packaged_weights():
        return packaged_weights()[str(name)]
    if path.suffix == ".onnx":
        return Weights(path.stem, path, read_onnx(path).header)
    if path.suffix == ".safetensors" or path.exists():
        return Weights(path.stem, path, read_header(path))
    raise unknown_name("weights", str(name), packaged_weights())


def fitting_weights(network: str, shape: dict[str, int], wavelengths_nm: NDArray[np.float64] | None) -> Weights:
    """The best packaged weights for bands, ms_bands and ratio; unknown wavelengths (None) fit any.

    Raises: InputError where none fits, saying what there is.
    """
    for weights in packaged_weights().values():
        if weights.header.network == network and misfit(weights.header, shape, wavelengths_nm) is None:
            return weights
    there_is = "; ".join(str(w) for w in packaged_weights().values() if w.header.network == network)
    raise InputError(
        f"a pair of {shape['bands']} bands{span(wavelengths_nm)}, {shape['ms_bands']} ms bands, ratio {shape['ratio']}",
        f"one that packaged {network} weights fit: {there_is or 'none are packaged'}",
        "choose the bands they fit, train weights with `hypersharp train`, or use --method hysure",
    )


def misfit(header: WeightsHeader, shape: dict[str, int], wavelengths_nm: NDArray[np.float64] | None) -> str | None:
    """Why weights do not fit a pair, or None."""
    for name, length in shape.items():
        if header.options[name] != length:
            return f"{name} {length} instead of {header.options[name]}"
    if wavelengths_nm is None or header.wavelengths_nm is None:
        return None
    gap = float(np.abs(np.asarray(header.wavelengths_nm) - wavelengths_nm).max())
    return f"wavelengths up to {gap:.0f} nm apart" if gap > WAVELENGTH_TOLERANCE_NM else None


def span(wavelengths_nm: NDArray[np.float64] | None) -> str:
    if wavelengths_nm is None or not len(wavelengths_nm):
        return ""
    return f" at {wavelengths_nm.min():.0f} to {wavelengths_nm.max():.0f} nm"
