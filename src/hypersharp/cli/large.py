"""The main job in bounded memory: when `fuse` turns to tiles, and what it says then."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypersharp.cli.shown import progress_bar, say, size
from hypersharp.errors import CallError

if TYPE_CHECKING:
    import xarray as xr

    from hypersharp.cli.options import Large
    from hypersharp.io.image import Image
    from hypersharp.tiles.run import TiledOptions

SHOWN_PX = 512  # along a side of a large scene, drawn


def tiles_for(
    hs: "Image", ms: "Image", method: str, chosen: "Large", *, uncertainty: bool = False
) -> "TiledOptions | None":
    """How to fuse two files in tiles, where that was asked for or they are too large otherwise, which is shown."""
    from hypersharp.tiles.run import TiledOptions

    if all(value in (None, False) for value in vars(chosen).values()):
        reason = too_large(hs, ms, method, uncertainty=uncertainty)
        if reason is None:
            return None
        say(f"       {reason}")
        return TiledOptions()
    from dask.utils import parse_bytes

    text = chosen.memory  # `4GB`, `500 MB` or a plain number of bytes
    try:
        memory = None if text is None else float(parse_bytes(text))
    except ValueError as exc:
        raise CallError(f"--memory {text}", "an amount such as 4GB or 500MB", "write 4GB or 500MB, say") from exc
    if memory is not None and memory <= 0:
        raise CallError(f"--memory {text}", "more than nothing", "give what the machine can spare")
    return TiledOptions(memory, chosen.workers, chosen.scheduler, chosen.resume)


def too_large(hs: "Image", ms: "Image", method: str, *, uncertainty: bool = False) -> str | None:
    """Why two files are better fused in tiles, None where they fit this machine's memory at once."""
    from hypersharp.system.memory import free_bytes
    from hypersharp.tiles.run import WHOLE_SHARE, bytes_for_whole

    wanted, free = bytes_for_whole(hs, ms, method, uncertainty=uncertainty), free_bytes()
    if wanted <= WHOLE_SHARE * free:
        return None
    return f"about {wanted / 1e9:.1f} GB at once, of {free / 1e9:.1f} GB free: fused in tiles"


def fuse_large(
    hs: "Image", ms: "Image", out: Path, *, uncertainty: Path | None, part: bool, **chosen: Any
) -> "dict[str, xr.DataArray]":
    """Fuse in tiles and say what was decided and made; chosen: what else `prepare` takes.

    What `middle_part` gives, if `part`.
    """
    from hypersharp.io.coarse import coarse_cube
    from hypersharp.io.image import Image
    from hypersharp.pair.record import Record
    from hypersharp.tiles.job import middle_part
    from hypersharp.tiles.run import prepare

    started = time.perf_counter()
    say(f"hs     {size(hs.outline())}  ({hs.path})\nms     {size(ms.outline())}  ({ms.path})")
    with progress_bar("learning from a sample of the scene") as progress:
        run = prepare(hs, ms, out, uncertainty=uncertainty, progress=progress, **chosen)
    say("\n".join(f"       {line}" for line in run.record.lines()))
    with progress_bar(f"fusing {len(run.job.tiling)} tiles") as progress:
        run.carry_out(progress, announce=lambda text: say(f"       {text}"))
    seconds = time.perf_counter() - started
    say(f"sharp  {size(Image(out).outline())}, {run.job.dtype}, in {seconds:.1f} s -> {out}")
    if uncertainty and run.job.intervals:
        small, error = (coarse_cube(Image(path).stored(), SHOWN_PX) for path in (out, uncertainty))
        show_half_widths(small, error.assign_attrs(run.job.intervals.attrs()), uncertainty)
    if not part:
        return {}
    cubes = middle_part(run.job)
    return cubes | {"result": Record.of(cubes["result"]).took(seconds=seconds).on(cubes["result"])}


def picture_of(half_widths: Path) -> Path:
    """Where half-widths at a path are drawn: beside them, here where they lie elsewhere."""
    from hypersharp.system.elsewhere import address_of

    picture = half_widths.with_suffix(".png")
    return picture if address_of(half_widths) is None else Path(picture.name)


def show_half_widths(sharp: "xr.DataArray", error: "xr.DataArray", path: Path) -> None:
    """Draw the half-widths of a result, which lie at a path, beside it, and say where both are."""
    from hypersharp.io.together import save_figure
    from hypersharp.plot.figures import uncertainty

    picture = picture_of(path)
    save_figure(uncertainty(sharp, error), picture)
    say(f"error  {error.attrs['long_name']}; from {error.attrs['calibration']} -> {path}, {picture}")
