"""The main job in bounded memory: when `fuse` turns to tiles, and what it says then."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hypersharp.cli.shown import progress_bar, say, size
from hypersharp.errors import CallError, needs

if TYPE_CHECKING:
    import xarray as xr

    from hypersharp.io.image import Image
    from hypersharp.pair.settings import FuseOptions
    from hypersharp.tiles.run import TiledOptions

Memory = Annotated[
    str | None, typer.Option(help="What all processes together may take, as 4GB: the scene is fused in tiles that fit.")
]
Workers = Annotated[int | None, typer.Option(help="Processes that fuse tiles; default: one a core or GPU.", min=1)]
Scheduler = Annotated[str | None, typer.Option(help="Address of a dask cluster to fuse tiles on, as tcp://host:8786.")]
SHOWN_PX = 512  # along a side of a large scene, drawn
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the tiles of an interrupted run.")]


def tiled_options(
    memory: str | None, workers: int | None, scheduler: str | None, resume: bool
) -> "TiledOptions | None":
    """What was said of tiles; None where nothing was."""
    from hypersharp.tiles.run import TiledOptions

    if memory is None and workers is None and scheduler is None and not resume:
        return None
    return TiledOptions(parse_memory(memory), workers, scheduler, resume)


def parse_memory(text: str | None) -> float | None:
    """Bytes of `4GB`, `500 MB` or a plain number of bytes."""
    if text is None:
        return None

    with needs("fusing in tiles"):
        from dask.utils import parse_bytes
    try:
        wanted = float(parse_bytes(text))
    except ValueError as exc:
        raise CallError(f"--memory {text}", "an amount such as 4GB or 500MB", "mend it") from exc
    if wanted <= 0:
        raise CallError(f"--memory {text}", "more than nothing", "give what the machine can spare")
    return wanted


def too_large(hs: "Image", ms: "Image", method: str, *, trust: bool = False) -> str | None:
    """Why two files are better fused in tiles, None where they fit this machine's memory at once."""
    from hypersharp.system.memory import free_bytes
    from hypersharp.tiles.run import WHOLE_SHARE, bytes_for_whole

    wanted, free = bytes_for_whole(hs, ms, method, trust=trust), free_bytes()
    if wanted <= WHOLE_SHARE * free:
        return None
    return f"about {wanted / 1e9:.1f} GB at once, of {free / 1e9:.1f} GB free: fused in tiles"


def tiles_if_too_large(hs: "Image", ms: "Image", method: str, *, trust: bool = False) -> "TiledOptions | None":
    """How to fuse two files that are too large for this machine's memory, which is said; None for others."""
    from hypersharp.tiles.run import TiledOptions

    reason = too_large(hs, ms, method, trust=trust)
    if reason is None:
        return None
    say(f"       {reason}")
    return TiledOptions()


def fuse_large(
    hs: "Image",
    ms: "Image",
    out: Path,
    *,
    method: str,
    tiles: "TiledOptions",
    options: "FuseOptions",
    trust: Path | None,
    part: bool,
    **known: Any,
) -> "tuple[dict[str, xr.DataArray], float]":
    """Fuse in tiles and say what was decided and made; known: psf, srf, ratio and move, for `prepare`.

    "result", "hs", "ms" and "error" of the middle of the scene, if `part`, and seconds.
    """
    from hypersharp.fusion.fuse import find_method, method_for
    from hypersharp.io.coarse import coarse_cube
    from hypersharp.io.image import Image
    from hypersharp.tiles.part import middle_part
    from hypersharp.tiles.run import prepare

    started = time.perf_counter()
    say(f"hs     {size(hs.outline())}  ({hs.path})\nms     {size(ms.outline())}  ({ms.path})")
    with progress_bar("learning from a sample of the scene") as progress:
        run = prepare(
            hs, ms, out, method=method, tiles=tiles, options=replace(options, progress=progress), trust=trust, **known
        )
    say("\n".join(f"       {note}" for note in [f"method {method}", *run.notes]))
    with progress_bar(f"fusing {len(run.job.tiling)} tiles") as progress:
        sharp = run.carry_out(progress, announce=lambda text: say(f"       {text}"))
    seconds = time.perf_counter() - started
    say(f"sharp  {size(sharp)}, {sharp.dtype}, in {seconds:.1f} s -> {out}")
    if trust and run.job.trust:
        small, error = (coarse_cube(Image(path).stored(), SHOWN_PX) for path in (out, trust))
        show_trust(small, error.assign_attrs(run.job.trust.attrs()), trust)
    return middle_part(run.job, find_method(method_for(method, options.weights))) if part else {}, seconds


def show_trust(sharp: "xr.DataArray", error: "xr.DataArray", path: Path) -> None:
    """Draw the error of a result, which lies at a path, beside it, and say where both are."""
    from hypersharp.io.together import save_figure
    from hypersharp.plot.figures import uncertainty

    picture = path.with_suffix(".png")
    save_figure(uncertainty(sharp, error), picture)
    say(f"trust  {error.attrs['long_name']}; from {error.attrs['calibration']} -> {path}, {picture}")


def refuse(**chosen: Any) -> None:
    """Raise where an option was chosen that needs the whole image in memory."""
    names = [name for name, value in chosen.items() if value]
    if names:
        raise CallError(
            f"--{names[0].replace('_', '-')} for a scene fused in tiles",
            "none of --grid ms, --mode tiles, --mode patches, --truth, --point",
            "leave it out, or cut the scene",
        )
