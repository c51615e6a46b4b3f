"""PNG and JPEG as the fine image of a pair: read only, through rasterio (GDAL), with a world file beside them."""

import warnings

import numpy as np

from hypersharp.io.image import Image
from hypersharp.io.raster import read_raster
from hypersharp.stored import Stored


def read(image: Image) -> Stored:
    """Open a picture; an alpha channel becomes missing pixels. A word is said of the tone curve that it may carry."""
    stored = read_raster(image.path, "PNG" if image.path.suffix.lower() == ".png" else "JPEG")
    if stored.pixels.dtype == np.uint8:
        text = f"{image.path.name} has 8 bits, maybe with a camera's tone curve: it is taken for light as it is"
        warnings.warn(text, stacklevel=3)
    return stored
