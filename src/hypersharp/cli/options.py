"""Options that several verbs share: type, help and name of each in one place."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hypersharp.io.format import FOLDER, FORMATS

if TYPE_CHECKING:
    FormatName = str
else:  # typer offers these, and refuses others
    FormatName = Literal[tuple(format.suffixes[0].removeprefix(".") for format in FORMATS if format is not FOLDER)]
Mode = Literal["whole", "tiles", "patches"]
Move = Literal["shift", "none"]
Precision = Literal["auto", "fp32", "bf16"]
Runtime = Literal["torch", "onnx"]
FileFormat = Annotated[FormatName, typer.Option(help="Format of the files.")]
LAYOUT = "Axes of a plain array: hwl, lhw, lp or pl (bands, rows, columns, pixels)."
Method = Annotated[str, typer.Option(help="Fusion method; `hypersharp methods` lists them.")]
Weights = Annotated[
    str | None, typer.Option(help="Packaged weights, a .safetensors or an .onnx file; default: those that fit.")
]
ModeOption = Annotated[Mode, typer.Option(help="Network on the whole image, blended tiles, or the paper's patches.")]
Psf = Annotated[str | None, typer.Option(help="Blur of hs: gaussian:8:2, fwhm:4.5, box, mtf:0.3, a file, ...")]
Srf = Annotated[str | None, typer.Option(help="Response of ms: a name (`hypersharp sensors`) or a file.")]
Ratio = Annotated[int | None, typer.Option(help="Fine pixels per coarse one; default: from the sizes.")]
MoveOption = Annotated[
    Move,
    typer.Option(
        help="Move ms by fractions of a pixel onto hs where the images prove a shift; never with a psf given."
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
PrecisionOption = Annotated[Precision, typer.Option(help="auto takes bf16 where this machine is fast at it.")]
RuntimeOption = Annotated[Runtime, typer.Option(help="What runs a network: torch or onnxruntime (fp32).")]
Data = Annotated[Path, typer.Option(help="Folder with the protocol's scenes.", envvar="HYPERSHARP_DATA")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write into; made if missing.")]
Variable = Annotated[str | None, typer.Option(help="Variable of the hs file (.mat, .nc, .npz) to read.")]
Layout = Annotated[str | None, typer.Option(help=LAYOUT)]
MsVariable = Annotated[str | None, typer.Option(help="As --variable, for ms.")]
MsLayout = Annotated[str | None, typer.Option(help="As --layout, for ms.")]
Mask = Annotated[
    Path | None, typer.Option(help="Mask of ms, its size, one band: not 0 leaves the pixel out (clouds, water, ...).")
]
HsMask = Annotated[Path | None, typer.Option(help="As --mask, for hs.")]
Saturated = Annotated[
    float | None, typer.Option(help="Pixels that reach this value in any band are left out, of hs and ms.")
]
Points = Annotated[
    list[str] | None,
    typer.Option(
        "--point",
        help="X,Y of a pixel whose spectra the page shows; whole numbers count pixels of the result, others are map "
        "coordinates; may be repeated.",
    ),
]
Truth = Annotated[Path | None, typer.Option(help="What the result should be: the page then has scores.")]
Preset = Annotated[str, typer.Option(help="Definitions of the scores: dian, dhsis, float, ssrnet, dlpan.")]
