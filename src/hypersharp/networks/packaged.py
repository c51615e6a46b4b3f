"""The weights at hand, and which of them fit a pair: `fuse` picks the ones here; others are in a second package."""

from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from hypersharp.errors import InputError, unknown_name
from hypersharp.networks.header import METHOD_OF, PART, WeightsHeader, read_header
from hypersharp.sensor.wavelengths import SAME_BAND_NM

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FOLDER = Path(__file__).resolve().parents[1] / "weights"
SECOND_PACKAGE = "hypersharp-weights"
# name -> network, hs bands, ms bands and ratio of the weights in the second package, to name them where it is missing
IN_SECOND_PACKAGE: dict[str, tuple[str, int, int, int]] = {
    "dbin-dian-x4": ("dbin", 31, 3, 4),
    "dhsis-dian-x4": ("dhsis", 31, 3, 4),
    "ham-mfn-dian-x4": ("ham-mfn", 31, 3, 4),
    "ms-ssfnet-dian-x4": ("ms-ssfnet", 31, 3, 4),
    "pdcon-ssf-dian-x4": ("ssf-cnn", 31, 3, 4),
    "srcnn-dian-x4": ("srcnn", 31, 3, 4),
    "ssf-cnn-dian-x4": ("ssf-cnn", 31, 3, 4),
    "ssjcn-dian-x4-paper": ("ssjcn", 31, 3, 4),
    "ssjcn-dian-x4-t1": ("ssjcn", 31, 3, 4),
    "ssjcn2-dian-x4": ("ssjcn-v2", 31, 3, 4),
    "ssjcn2-dspnet-x4": ("ssjcn-v2", 31, 3, 4),
    "ssjcn2-dspnet-x4-quick": ("ssjcn-v2", 31, 3, 4),
    "ssjcn2-dspnet-x8": ("ssjcn-v2", 31, 3, 8),
    "ssjcn2-uestc-x4": ("ssjcn-v2", 31, 3, 4),
}
SUBSPACE = "ssjcn-subspace"  # the network of weights around coordinates of the pair's own


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
        return METHOD_OF.get(self.header.network, self.header.network)

    def __str__(self) -> str:
        if self.any_sensor:
            return f"{self.name} (any bands, ratio and sensor)"
        o = self.header.options
        return f"{self.name} ({o['bands']} bands, {o['ms_bands']} ms bands, ratio {o['ratio']})"


@cache
def packaged_weights() -> dict[str, Weights]:
    """Name -> weights of this package and of the second one where it is installed, best validation PSNR first."""
    folders = [FOLDER]
    module = SECOND_PACKAGE.replace("-", "_")
    if find_spec(module) is not None:
        folders.append(Path(str(resources.files(module))))
    files = [path for folder in folders for path in folder.glob("*.safetensors") if PART not in path.stem]
    found = [Weights(path.stem, path, read_header(path)) for path in files]
    found.sort(key=lambda weights: (-weights.header.provenance.get("val_psnr_db", 0.0), weights.name))
    return {weights.name: weights for weights in found}


def missing_weights() -> list[str]:
    """The names in the second package, where it is not installed."""
    return [name for name in IN_SECOND_PACKAGE if name not in packaged_weights()]


def named_weights(name: str | Path) -> Weights:
    """Weights by packaged name or path. Raises: InputError for a name that is neither or not installed."""
    path = Path(name)
    if str(name) in packaged_weights():
        return packaged_weights()[str(name)]
    if path.suffix == ".onnx":
        from hypersharp.networks.onnx.session import read_onnx

        return Weights(path.stem, path, read_onnx(path).header)
    if path.suffix == ".safetensors" or path.exists():
        return Weights(path.stem, path, read_header(path))
    if str(name) in missing_weights():
        raise not_installed(str(name))
    raise unknown_name("weights", str(name), packaged_weights())


def not_installed(name: str) -> InputError:
    """The error for weights of the second package where it is missing."""
    return InputError(
        f"weights {name}, which are not installed",
        f"the package {SECOND_PACKAGE}",
        f"pip install {SECOND_PACKAGE}, or pip install -e packages/{SECOND_PACKAGE} in a clone",
    )


def fitting_weights(
    method: str, shape: dict[str, int], wavelengths_nm: "NDArray[np.float64] | None"
) -> "tuple[Weights, ...]":
    """The packaged weights that a method runs, for bands, ms_bands and ratio, the best first.

    Those for any sensor are no such ones. Unknown wavelengths (None) fit any.

    Raises: InputError where none fits, saying what there is, or what to install.
    """
    known = [one for one in packaged_weights().values() if one.method == method]
    own = [one for one in known if one.header.network != SUBSPACE]
    fitting = tuple(one for one in own if misfit(one.header, shape, wavelengths_nm) is None)
    if fitting:
        return fitting
    there_is = [str(weights) for weights in own]
    for name in missing_weights():
        if not there_is and IN_SECOND_PACKAGE[name] == (method, shape["bands"], shape["ms_bands"], shape["ratio"]):
            raise not_installed(name)
    range_nm = ""
    if wavelengths_nm is not None and len(wavelengths_nm):
        range_nm = f" at {wavelengths_nm.min():.0f} to {wavelengths_nm.max():.0f} nm"
    raise InputError(
        f"a pair of {shape['bands']} bands{range_nm}, {shape['ms_bands']} ms bands, ratio {shape['ratio']}",
        f"one that packaged {method} weights fit: {'; '.join(there_is) or 'none are packaged'}",
        "choose the bands they fit, train weights with `hypersharp train`, or use --method hysure",
    )


def misfit(header: WeightsHeader, shape: dict[str, int], wavelengths_nm: "NDArray[np.float64] | None") -> str | None:
    """Why weights do not fit a pair, or None."""
    for name, length in shape.items():
        if header.options[name] != length:
            return f"{name} {length} instead of {header.options[name]}"
    if wavelengths_nm is None or header.wavelengths_nm is None:
        return None
    gap = max(abs(own - given) for own, given in zip(header.wavelengths_nm, wavelengths_nm, strict=True))
    return f"wavelengths up to {gap:.0f} nm apart" if gap > SAME_BAND_NM else None
