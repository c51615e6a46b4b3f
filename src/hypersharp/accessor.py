"""`cube.hyper`: what a hyperspectral image can be asked for in a notebook, as an xarray accessor.

`cube.hyper` as the last line of a cell shows a thumbnail with what is known of the image; so does `show(cube)`.
Registered with the first name that is used of `hypersharp`, or by `import hypersharp.accessor`.
"""

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp import plot
from hypersharp.cube import check_axes, good_bands, usable_bands, wavelengths_nm
from hypersharp.describe import facts_of
from hypersharp.errors import InputError
from hypersharp.plot.colour import Image, Kind, Mix, composite, nearest_band, true_mix
from hypersharp.plot.draw import png
from hypersharp.plot.places import Place

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THUMBNAIL_PX = 200
SEEN = 0.02  # of a colour's largest weight: bands with less are not read for a thumbnail
CARD = (
    '<div style="display:flex;gap:1em;align-items:flex-start"><img src="{uri}" alt="{alt}" style="width:{width}px;'
    'image-rendering:pixelated"><table style="text-align:left">{rows}</table></div>'
)
ROW = '<tr><th style="text-align:left">{}</th><td style="text-align:left">{}</td></tr>'


@xr.register_dataarray_accessor("hyper")  # type: ignore[no-untyped-call]
class Hyper:
    """`cube.hyper`: what there is to see of a cube; dask-backed cubes are read in steps, and only the bands needed.

    Args:
        cube: (L, H, W).

    >>> from hypersharp.cube import make_cube
    >>> make_cube(np.ones((3, 2, 2)), wavelengths_nm=[480, 560, 660]).hyper.wavelengths_nm
    array([480., 560., 660.])
    """

    def __init__(self, cube: xr.DataArray) -> None:
        self._cube = cube

    @property
    def wavelengths_nm(self) -> NDArray[np.float64] | None:
        """Centres of the bands in nm, (L,); None where unknown."""
        return wavelengths_nm(self._cube)

    def at(self, nm: float) -> xr.DataArray:
        """The band (y, x) whose centre lies nearest to a wavelength in nm.

        Raises: InputError where the wavelengths are unknown.

        >>> from hypersharp.cube import make_cube
        >>> make_cube(np.ones((3, 2, 2)), wavelengths_nm=[480, 560, 660]).hyper.at(600).wavelength.item()
        560.0
        """
        centres = self.wavelengths_nm
        if centres is None:
            raise InputError("an image without wavelengths", "a wavelength for each band", "use cube[band]")
        return self._cube[nearest_band(centres, nm)]

    def composite(self, kind: Kind = "true") -> "Figure":
        """As `hypersharp.plot.composites`."""
        return plot.composites(self._cube, kind)

    def spectra(self, places: Sequence[Place]) -> "Figure":
        """As `hypersharp.plot.spectra`."""
        return plot.spectra(self._cube, places)

    def __repr__(self) -> str:
        return "\n".join(f"{name:<12} {text}" for name, text in facts(self._cube).items())

    def _repr_html_(self) -> str:
        picture, mix = thumbnail(self._cube)
        known = facts(self._cube) | {"Shown": mix.title}
        rows = "".join(ROW.format(html.escape(name), html.escape(text)) for name, text in known.items())
        width = round(THUMBNAIL_PX * min(1.0, picture.shape[1] / picture.shape[0]))
        return CARD.format(uri=png(picture), alt=html.escape(f"thumbnail, {mix.title}"), width=width, rows=rows)


def show(cube: xr.DataArray) -> Hyper:
    """Show a cube as a thumbnail with its metadata: a picture in Jupyter, a few lines of text elsewhere.

    Args:
        cube: (L, H, W).

    Returns:
        What shows itself; the same as `cube.hyper`.

    Raises:
        InputError: an array that is no cube.

    >>> from hypersharp.cube import make_cube
    >>> show(make_cube(np.ones((3, 4, 5), "f4"), wavelengths_nm=[480, 560, 660]))
    Size         5 × 4 pixels, 3 bands
    Wavelengths  480 to 660 nm
    Place        not georeferenced
    Numbers      float32
    """
    check_axes(cube, "image")
    return Hyper(cube)


def facts(cube: xr.DataArray) -> dict[str, str]:
    """What is known of a cube without reading its pixels."""
    numbers = f"{cube.dtype}, {cube.attrs['units']}" if "units" in cube.attrs else str(cube.dtype)
    return {name: text for name, text in (facts_of(cube) | {"Numbers": numbers}).items() if text}


def thumbnail(cube: xr.DataArray) -> tuple[Image, Mix]:
    """True colour of every so many pixels (h, w, 3), and what was mixed; from the good bands that count in it."""
    flags = good_bands(cube)
    good = np.arange(len(cube)) if flags is None or not flags.any() else np.flatnonzero(flags)
    nm = wavelengths_nm(cube)
    mix = true_mix(None if nm is None else nm[good], len(good))
    seen = (mix.weights > SEEN * mix.weights.max(1, keepdims=True)).any(0)
    step = -(-max(cube.shape[1:]) // THUMBNAIL_PX)
    part = cube.isel(band=good[seen])[:, ::step, ::step].drop_vars("good_band", errors="ignore").compute()
    there = usable_bands(part)
    shown = np.flatnonzero(there if there.any() else ~there)
    return composite(part[shown], Mix(mix.weights[:, seen][:, shown], mix.title)), mix
