"""Options that several verbs share: type, help and name of each in one place."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Argument, Option

from hypersharp.io.format import FOLDER, FORMATS

if TYPE_CHECKING:
    FormatName = str
else:  # typer offers these, and refuses others
    FormatName = Literal[tuple(format.suffixes[0].removeprefix(".") for format in FORMATS if format is not FOLDER)]
SENSOR, INPUTS, LARGE, PAGE = "Sensor", "Reading the images", "Large scenes", "Report"
LAYOUT = "Axes of a plain array: hwl, lhw, lp or pl (bands, rows, columns, pixels)."
JSON = "JSON file of `hypersharp estimate`, instead of --psf and --srf."

Hs = Annotated[Path, Argument(help="Low-resolution hyperspectral image.", show_default=False)]
Ms = Annotated[Path, Argument(help="High-resolution MS, RGB or pan image.", show_default=False)]
Out = Annotated[Path, Option("--out", "-o", help="Folder to write into; made if missing.")]
FileFormat = Annotated[FormatName, Option(help="Format of the files.")]
Method = Annotated[str, Option(help="Fusion method; `hypersharp methods` lists them.")]
Weights = Annotated[
    str | None, Option(help="Packaged weights, a .safetensors or an .onnx file; default: those that fit.")
]
Device = Annotated[str, Option(help="auto, cpu, cuda, cuda:1, ...")]
ModeOption = Annotated[
    Literal["whole", "tiles", "patches"],
    Option(help="Network on the whole image, blended tiles, or the paper's patches."),
]
PrecisionOption = Annotated[
    Literal["auto", "fp32", "bf16"], Option(help="auto takes bf16 where this machine is fast at it.")
]
RuntimeOption = Annotated[Literal["torch", "onnx"], Option(help="What runs a network: torch or onnxruntime (fp32).")]
Data = Annotated[Path, Option(help="Folder with the protocol's scenes.", envvar="HYPERSHARP_DATA")]
Preset = Annotated[str, Option(help="Definitions of the scores: dian, dhsis, float, ssrnet, dlpan.")]

Psf = Annotated[
    str | None, Option(help="Blur of HS: gaussian:8:2, fwhm:4.5, box, mtf:0.3, a file, ...", rich_help_panel=SENSOR)
]
Srf = Annotated[
    str | None, Option(help="Response of MS: a name (`hypersharp sensors`) or a file.", rich_help_panel=SENSOR)
]
SensorFile = Annotated[Path | None, Option(help=JSON, rich_help_panel=SENSOR)]
Ratio = Annotated[
    int | None, Option(help="Fine pixels per coarse one; default: from the sizes.", rich_help_panel=SENSOR)
]
Coregister = Annotated[
    bool,
    Option(
        help="Correct a sub-pixel shift between MS and HS if one is detected (skipped when --psf is given).",
        rich_help_panel=SENSOR,
    ),
]
Move = Annotated[Literal["shift", "none"] | None, Option("--move", hidden=True)]  # the former name of --coregister

Mask = Annotated[
    Path | None,
    Option(
        help="Mask of MS, its size, one band: not 0 leaves the pixel out (clouds, water, ...).", rich_help_panel=INPUTS
    ),
]
HsMask = Annotated[Path | None, Option(help="As --mask, for HS.", rich_help_panel=INPUTS)]
Saturated = Annotated[
    float | None,
    Option(help="Pixels that reach this value in any band are left out, of HS and MS.", rich_help_panel=INPUTS),
]
Variable = Annotated[
    str | None, Option(help="Variable of the HS file (.mat, .nc, .npz) to read.", rich_help_panel=INPUTS)
]
Layout = Annotated[str | None, Option(help=LAYOUT, rich_help_panel=INPUTS)]
MsVariable = Annotated[str | None, Option(help="As --variable, for MS.", rich_help_panel=INPUTS)]
MsLayout = Annotated[str | None, Option(help="As --layout, for MS.", rich_help_panel=INPUTS)]

Memory = Annotated[
    str | None,
    Option(
        help="What all processes together may take, as 4GB: the scene is fused in tiles that fit.",
        rich_help_panel=LARGE,
    ),
]
Workers = Annotated[
    int | None, Option(help="Processes that fuse tiles; default: one a core or GPU.", min=1, rich_help_panel=LARGE)
]
Scheduler = Annotated[
    str | None, Option(help="Address of a dask cluster to fuse tiles on, as tcp://host:8786.", rich_help_panel=LARGE)
]
Resume = Annotated[bool, Option("--resume", help="Go on with the tiles of an interrupted run.", rich_help_panel=LARGE)]

Truth = Annotated[
    Path | None, Option(help="What the result should be: the page then has scores.", rich_help_panel=PAGE)
]
Points = Annotated[
    list[str] | None,
    Option(
        "--point",
        help="X,Y of a pixel whose spectra the page shows; whole numbers count pixels of the result, others are map "
        "coordinates; may be repeated.",
        rich_help_panel=PAGE,
    ),
]


def coregisters(coregister: bool, move: str | None) -> bool:
    """What --coregister says, or --move where that was given."""
    return coregister if move is None else move == "shift"
