"""Pictures as text, to stand inside a page or a notebook."""

import base64
import io

import numpy as np
from PIL import Image as Pil

from hypersharp.plot.colour import Image

MOST_PX, LEAST_PX = 640, 280  # along the longer side


def png(image: Image) -> str:
    """A picture (H, W, 3) in 0..1 as a data URI; NaN is transparent; few pixels are repeated: printers blur them."""
    missing = np.isnan(image).any(2)
    pixels = np.round(255 * np.nan_to_num(image)).astype(np.uint8)
    alpha = np.where(missing, 0, 255).astype(np.uint8)[..., None]
    picture = Pil.fromarray(np.concatenate([pixels, alpha], 2) if missing.any() else pixels)
    picture.thumbnail((MOST_PX, MOST_PX), Pil.Resampling.BOX)
    times = -(-LEAST_PX // max(picture.size))
    picture = picture.resize((times * picture.width, times * picture.height), Pil.Resampling.NEAREST)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return as_data("image/png", file.getvalue())


def as_data(kind: str, content: bytes) -> str:
    """Bytes of a media type as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
