"""The verb of the interactive viewer."""

from pathlib import Path
from typing import Annotated

import typer

from hypersharp.cli.app import app
from hypersharp.cli.shown import say


@app.command(rich_help_panel="The main job")
def view(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE...", help="Images; beside --hs or --ms, results of a fusion.")
    ] = None,
    hs: Annotated[Path | None, typer.Option(help="The low-resolution hyperspectral image.")] = None,
    ms: Annotated[Path | None, typer.Option(help="The high-resolution MS, RGB or pan image.")] = None,
    truth: Annotated[Path | None, typer.Option(help="The true fine image: adds maps of error and angle.")] = None,
    uncertainty: Annotated[
        Path | None,
        typer.Option(help="Half-widths that `fuse --uncertainty` wrote for the first FILE: adds prediction intervals."),
    ] = None,
    folder: Annotated[
        list[Path] | None,
        typer.Option(help="Folder to read and write, the first for new files; default: those of the files."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; beyond this machine (0.0.0.0) a token is needed.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 5006,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Another name under which browsers reach this server.")
    ] = None,
    read_host: Annotated[
        list[str] | None,
        typer.Option(help="Host (or bucket) at whose addresses images may be read; by default none is."),
    ] = None,
    token: Annotated[bool, typer.Option("--token", help="Ask for a token on this machine too.")] = False,
    max_upload: Annotated[float, typer.Option(help="Largest upload, MiB.", min=0)] = 512,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the browser.")] = True,
) -> None:
    """Look at images in the browser: swipe, spectra with intervals, error maps, and fuse there; works offline."""
    from hypersharp.errors import CallError
    from hypersharp.viewer.scene import named_files
    from hypersharp.viewer.server import Options, Viewer

    chosen = named_files(files or [], hs=hs, ms=ms, truth=truth, uncertainty=uncertainty)
    if not chosen:
        raise CallError("no image", "one at least", "name a FILE, --hs, --ms or --truth")
    hosts, most_bytes = tuple(allow_host or ()), int(max_upload * 2**20)
    options = Options(host, port, tuple(folder or ()), hosts, token, most_bytes, tuple(read_host or ()))
    viewer = Viewer(chosen, options)
    say(f"{viewer.url}\n(Ctrl+C ends it; files in {', '.join(map(str, viewer.folders.roots))} can be read and written)")
    if open_browser:
        import webbrowser

        webbrowser.open(viewer.url)
    viewer.run()
