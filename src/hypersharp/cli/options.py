"""Options that several verbs share: type, help and name of each in one place."""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

from typer import Argument, Option

from hypersharp.io.format import FOLDER, FORMATS

if TYPE_CHECKING:
    import xarray as xr

    from hypersharp.io.image import Image
    from hypersharp.pair.options import Options

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


@dataclass(frozen=True)
class Known:
    """What is known of the sensor."""

    psf: Psf = None
    srf: Srf = None
    sensor: SensorFile = None
    ratio: Ratio = None

    def given(self) -> dict[str, Any]:
        """psf, srf and ratio, those of the sensor file where that is named."""
        from hypersharp.sensor.stored import given_sensor

        return dict(
            zip(("psf", "srf", "ratio"), given_sensor(self.sensor, self.psf, self.srf, self.ratio), strict=True)
        )


@dataclass(frozen=True)
class Fusing:
    """How a pair is fused; the names are those of `pair.options.Options`."""

    method: Method = "auto"
    budget_s: Annotated[float, Option("--budget", help="Seconds that --method auto may take, about.", min=0)] = 60.0
    weights: Weights = None
    mode: ModeOption = "whole"
    tile_px: Annotated[int, Option("--tile", help="Side of a tile in fine pixels, with --mode tiles.", min=16)] = 128
    device: Device = "auto"
    precision: PrecisionOption = "auto"
    runtime: RuntimeOption = "torch"
    consistent: Annotated[
        bool | None,
        Option(
            help="Project the result onto the set consistent with HS. Default: only if it scores better at reduced "
            "resolution."
        ),
    ] = None
    coregister: Coregister = True
    move: Move = None
    grid: Annotated[
        Literal["pair", "ms"],
        Option(help="Where MS had to be resampled: nest in HS's pixels, or come back to the MS's own grid."),
    ] = "pair"

    def options(self) -> "Options":
        from hypersharp.pair.options import Options

        chosen = vars(self) | {"coregister": coregisters(self.coregister, self.move)}
        return Options(**{name: value for name, value in chosen.items() if name not in ("method", "move")})


def coregisters(coregister: bool, move: str | None) -> bool:
    """What --coregister says, or --move where that was given."""
    return coregister if move is None else move == "shift"


@dataclass(frozen=True)
class Large:
    """How a scene larger than memory is fused."""

    memory: Memory = None
    workers: Workers = None
    scheduler: Scheduler = None
    resume: Resume = False


@dataclass(frozen=True)
class Reading:
    """How the images of a pair are read, the same in every verb that reads one."""

    mask: Mask = None
    hs_mask: HsMask = None
    saturated: Saturated = None
    variable: Variable = None
    layout: Layout = None
    ms_variable: MsVariable = None
    ms_layout: MsLayout = None

    @property
    def masks(self) -> tuple[Path | None, Path | None]:
        return self.mask, self.hs_mask

    def images(self, hs: Path, ms: Path) -> "tuple[Image, Image]":
        """Both, not opened yet."""
        from hypersharp.io.image import Image

        coarse = Image(hs, self.variable, self.layout, self.hs_mask, self.saturated)
        return coarse, Image(ms, self.ms_variable, self.ms_layout, self.mask, self.saturated)

    def cubes(self, hs: Path, ms: Path) -> "tuple[xr.DataArray, xr.DataArray]":
        """Both in memory."""
        coarse, fine = self.images(hs, ms)
        return coarse.cube(), fine.cube()


def grouped(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb as typer sees it: a dataclass among its parameters (`Reading`) becomes an option for each field."""
    parameters, types = signature(verb).parameters, get_type_hints(verb)
    groups = {name: types[name] for name in parameters if is_dataclass(types[name])}

    @wraps(verb)
    def run(**given: Any) -> None:
        made = {
            name: kind(**{part.name: given.pop(part.name) for part in fields(kind)}) for name, kind in groups.items()
        }
        verb(**given, **made)

    flat = list[Parameter]()
    for name, parameter in parameters.items():
        flat += signature(groups[name]).parameters.values() if name in groups else [parameter]
    run.__annotations__ = {part.name: part.annotation for part in flat}
    run.__signature__ = Signature([part.replace(kind=Parameter.KEYWORD_ONLY) for part in flat])  # type: ignore[attr-defined]
    return run
