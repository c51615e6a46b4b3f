"""Options that several verbs share: type, help and name of each in one place."""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial, wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

from typer import Argument, Option

from hypersharp.io.format import FOLDER, FORMATS, check_there
from hypersharp.products.files import split_part

if TYPE_CHECKING:
    import xarray as xr

    from hypersharp.io.image import Image
    from hypersharp.pair.options import Options
FORMAT = ", ".join(form.suffixes[0].removeprefix(".") for form in FORMATS if form.written and form is not FOLDER)
LAYOUT = "Axes of a plain array: hwl, lhw, lp or pl (bands, rows, columns, pixels)."
PRODUCT_MASK = "Leave out what a product's own quality layers speak against: clouds, shadows, snow, ..."
KEEP = "A reason of these masks that does not count, such as snow; may be repeated."
NODATA = "Number that stands for a missing pixel of MS; nan: none."
SCALE = "Value = scale x number of MS (+ offset), instead of what its file says."
JSON = "JSON file of `hypersharp estimate`, instead of --psf and --srf."
IMAGES = ("hs", "ms", "truth", "scene", "estimate", "sharp")  # parameters that name one to read
of_sensor = partial(Option, rich_help_panel="Sensor")
of_reading = partial(Option, rich_help_panel="Reading the images")
of_large = partial(Option, rich_help_panel="Large scenes")
of_page = partial(Option, rich_help_panel="Report")
Hs = Annotated[Path, Argument(help="Low-resolution hyperspectral image.", show_default=False)]
Ms = Annotated[Path, Argument(help="High-resolution MS, RGB or pan image.", show_default=False)]
Out = Annotated[Path, Option("--out", "-o", help="Folder to write into; made if missing.")]
FileFormat = Annotated[str, Option(help=f"Format of the files, by its suffix: {FORMAT}.")]
WEIGHTS = "Packaged weights, a .safetensors or an .onnx file; default: those that fit."
Weights = Annotated[str | None, Option(help=WEIGHTS)]
Device = Annotated[str, Option(help="auto, cpu, cuda, cuda:1, ...")]
MODE = "Network on the whole image, blended tiles, or the paper's patches."
Mode = Annotated[Literal["whole", "tiles", "patches"], Option(help=MODE)]
PRECISION = "auto takes bf16 where this machine is fast at it."
Precision = Annotated[Literal["auto", "fp32", "bf16"], Option(help=PRECISION)]
Data = Annotated[Path, Option(help="Folder with the protocol's scenes.", envvar="HYPERSHARP_DATA")]
Preset = Annotated[str, Option(help="Definitions of the scores: dian, dhsis, float, ssrnet, dlpan.")]

Psf = Annotated[str | None, of_sensor(help="Blur of HS: gaussian:8:2, fwhm:4.5, box, mtf:0.3, a file, ...")]
Srf = Annotated[str | None, of_sensor(help="Response of MS: a name (`hypersharp sensors`) or a file.")]
SensorFile = Annotated[Path | None, of_sensor(help=JSON)]
Ratio = Annotated[int | None, of_sensor(help="Fine pixels per coarse one; default: from the sizes.")]
COREGISTER = (
    "Richest displacement between MS and HS that is looked for; the images decide, local is a smooth field "
    "(none where --psf or --sensor is given)."
)
Richest = Literal["local", "affine", "shift", "none"]
Coregister = Annotated[Richest, of_sensor(help=COREGISTER)]
Move = Annotated[Literal["shift", "none"] | None, Option("--move", hidden=True)]  # the former name of --coregister
NoCoregister = Annotated[bool, Option("--no-coregister", hidden=True)]  # the former --coregister none

Truth = Annotated[Path | None, of_page(help="What the result should be: the page then has scores.")]
POINT = (
    "X,Y of a pixel whose spectra the page shows; whole numbers count pixels of the result, others are map "
    "coordinates; may be repeated."
)
Points = Annotated[list[str] | None, of_page("--point", help=POINT)]


def coregisters(coregister: Richest, move: str | None, not_at_all: bool) -> Richest:
    """What --coregister says, or its former names where one was given."""
    if not_at_all or move == "none":
        return "none"
    return "shift" if move == "shift" else coregister


@dataclass(frozen=True)
class Known:
    """What is known of the sensor."""

    psf: Psf = None
    srf: Srf = None
    sensor: SensorFile = None
    ratio: Ratio = None

    def given(self) -> dict[str, Any]:
        """psf, srf and ratio, those of the sensor file where that is named."""
        from hypersharp.sensor.stored import sensor_from_args

        values = sensor_from_args(self.sensor, self.psf, self.srf, self.ratio)
        return dict(zip(("psf", "srf", "ratio"), values, strict=True))


CONSISTENT = "Project the result onto the set consistent with HS. Default: if it scores better at reduced resolution."
RUNTIME = "What runs a network: torch or onnxruntime (fp32)."
ENSEMBLE = "Run a network on up to eight orientations of the scene, for their mean: more accurate, eight times as long."
DESTRIPE = "Remove stripes along rows or columns from an HS that has some."
KEEP_CHANGED = (
    "Keep HS pixels that show something else than MS (a cloud, a changed field) though a sensor explains the rest, "
    "and single values that stand out by far."
)
FRAME = "Whose pixels the result has: MS's own; or a multiple of HS's, to which MS is resampled (for a truth on those)."


@dataclass(frozen=True)
class Fusing:
    """How a pair is fused; the names are those of `pair.options.Options`."""

    method: Annotated[str, Option(help="Fusion method; `hypersharp methods` lists them.")] = "auto"
    budget_s: Annotated[
        float | None, Option("--budget", help="Seconds that --method auto may take, about; default 60.", min=0)
    ] = None
    weights: Weights = None
    mode: Mode = "whole"
    tile_px: Annotated[
        int | None, Option("--tile", help="Side of a tile in fine pixels, with --mode tiles; default 128.", min=16)
    ] = None
    device: Device = "auto"
    precision: Precision = "auto"
    runtime: Annotated[Literal["torch", "onnx"], Option(help=RUNTIME)] = "torch"
    ensemble: Annotated[bool, Option("--ensemble", help=ENSEMBLE)] = False
    consistent: Annotated[bool | None, Option(help=CONSISTENT)] = None
    coregister: Coregister = "local"
    move: Move = None
    no_coregister: NoCoregister = False
    frame: Annotated[Literal["ms", "hs"], Option(help=FRAME)] = "ms"
    destripe: Annotated[bool, Option(help=DESTRIPE)] = True
    keep_changed: Annotated[bool, Option("--keep-changed", help=KEEP_CHANGED)] = False

    def options(self) -> "Options":
        from hypersharp.pair.options import Options

        chosen = vars(self) | {"coregister": coregisters(self.coregister, self.move, self.no_coregister)}
        former = ("method", "move", "no_coregister")
        return Options(**{name: value for name, value in chosen.items() if name not in former})


@dataclass(frozen=True)
class Large:
    """How a scene larger than memory is fused."""

    memory: Annotated[
        str | None, of_large(help="What all processes together may take, as 4GB: the scene is fused in tiles that fit.")
    ] = None
    workers: Annotated[int | None, of_large(help="Processes that fuse tiles; default one a core or GPU.", min=1)] = None
    scheduler: Annotated[
        str | None, of_large(help="Address of a dask cluster to fuse tiles on, as tcp://host:8786.")
    ] = None
    resume: Annotated[bool, of_large("--resume", help="Go on with the tiles of an interrupted run.")] = False


STAC = (
    "Write a STAC item beside the result: when the images were taken, as 2024-06-01T10:20Z, or two times with a slash."
)
HEADER = "Write an ENVI header beside a GeoTIFF: wavelengths, widths, bad bands, for programs that read those there."


@dataclass(frozen=True)
class Beside:
    """What is written beside the result for other programs."""

    stac: Annotated[str | None, Option(help=STAC)] = None
    envi_header: Annotated[bool, Option("--envi-header", help=HEADER)] = False

    def check(self, out: Path) -> list[Path]:
        """What `write` is to write; raise now what it would raise after a long computation.

        Raises: CallError, OutputError.
        """
        from hypersharp.errors import CallError
        from hypersharp.io.envi import check_beside
        from hypersharp.io.format import GEOTIFF
        from hypersharp.io.stac import item_beside, parse_when
        from hypersharp.system.elsewhere import address_of

        if address_of(out) and (self.stac is not None or self.envi_header):
            raise CallError(f"--stac or --envi-header for {out}", "a result on this machine", "leave them out")
        if self.stac is not None:
            parse_when(self.stac)
        if self.envi_header and out.suffix.lower() not in GEOTIFF.suffixes:
            raise CallError(f"--envi-header for {out}", "a GeoTIFF", "leave it out, or name the result .tif")
        header = [check_beside(out)] if self.envi_header else []
        return header if self.stac is None else [*header, item_beside(out)]

    def write(self, out: Path, *sources: Path) -> list[Path]:
        """Write what was asked for about a result that was made from the sources."""
        from hypersharp.io import open_cube
        from hypersharp.io.envi import write_beside
        from hypersharp.io.stac import parse_when, write_item

        cube = open_cube(out, lazy=True)
        made = [write_beside(cube, out)] if self.envi_header else []
        return made if self.stac is None else [*made, write_item(cube, out, parse_when(self.stac), sources)]


@dataclass(frozen=True)
class PlainReading:
    """How the images of a pair are read, the same in every verb that reads one."""

    mask: Annotated[
        Path | None, of_reading(help="Mask of MS, its size, one band: not 0 leaves the pixel out (clouds, water, ...).")
    ] = None
    hs_mask: Annotated[Path | None, of_reading(help="As --mask, for HS.")] = None
    saturated: Annotated[
        float | None, of_reading(help="Pixels that reach this value in any band are left out, of HS and MS.")
    ] = None
    variable: Annotated[str | None, of_reading(help="Variable of the HS file (.mat, .nc, .npz) to read.")] = None
    layout: Annotated[str | None, of_reading(help=LAYOUT)] = None
    ms_variable: Annotated[str | None, of_reading(help="As --variable, for MS.")] = None
    ms_layout: Annotated[str | None, of_reading(help="As --layout, for MS.")] = None
    product_mask: Annotated[bool, of_reading(help=PRODUCT_MASK)] = True
    hs_scale: Annotated[float | None, of_reading(help="As --ms-scale, for HS.")] = None
    hs_offset: Annotated[float | None, of_reading(help="As --ms-offset, for HS.")] = None
    ms_scale: Annotated[float | None, of_reading(help=SCALE)] = None
    ms_offset: Annotated[float | None, of_reading(help="Added to scale x number; default 0.")] = None
    hs_nodata: Annotated[float | None, of_reading(help="As --ms-nodata, for HS.")] = None
    ms_nodata: Annotated[float | None, of_reading(help=NODATA)] = None

    @property
    def masks(self) -> tuple[Path | None, Path | None]:
        return self.mask, self.hs_mask

    def images(self, hs: Path, ms: Path) -> "tuple[Image, Image]":
        """Both, not opened yet."""
        from hypersharp.errors import CallError
        from hypersharp.fusion.near import near
        from hypersharp.io.image import Image

        for name in (name for name in ("hs_scale", "ms_scale") if getattr(self, name) == 0):
            raise CallError(f"--{name.replace('_', '-')} 0", "a number that is not zero", "see the file's own scale")
        keep = tuple(getattr(self, "keep", None) or ())  # which `align` has not
        both: dict[str, Any] = {"saturated": self.saturated, "product_mask": self.product_mask, "keep": keep}
        coarse = Image(hs, self.variable, self.layout, mask=self.hs_mask, **both)
        fine = Image(ms, self.ms_variable, self.ms_layout, mask=self.mask, **both)
        coarse = replace(coarse, scale=self.hs_scale, offset=self.hs_offset, nodata=self.hs_nodata)
        fine = replace(fine, scale=self.ms_scale, offset=self.ms_offset, nodata=self.ms_nodata)
        return coarse, near(fine, coarse)

    def cubes(self, hs: Path, ms: Path) -> "tuple[xr.DataArray, xr.DataArray]":
        """Both in memory."""
        coarse, fine = self.images(hs, ms)
        return coarse.cube(), fine.cube()


@dataclass(frozen=True)
class Reading(PlainReading):
    """The same with the reasons to keep; `align` has another --keep."""

    keep: Annotated[list[str] | None, of_reading(help=KEEP)] = None

    def words(self) -> list[str]:
        """The options given, as they are typed."""
        typed = list[str]()
        for part in fields(self):
            name, value = f"--{part.name.replace('_', '-')}", getattr(self, part.name)
            if isinstance(value, bool):
                typed += [] if value == part.default else [name if value else f"--no-{name[2:]}"]
            else:
                several = value if isinstance(value, list) else [] if value is None else [value]
                typed += [word for one in several for word in (name, str(one))]
        return typed

    def said_of_pair(self) -> list[str]:
        """The options given, but for those that count for a truth alone, too."""
        words = replace(self, mask=None, variable=None, layout=None).words()
        return [*dict.fromkeys(word for word in words if word.startswith("--"))]


def grouped(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb as typer sees it: a dataclass among its parameters (`Reading`) becomes an option for each field.

    A wrong name of an image is told before the verb loads torch, which takes seconds.
    """
    parameters, types = signature(verb).parameters, get_type_hints(verb)
    groups = {name: types[name] for name in parameters if is_dataclass(types[name])}

    @wraps(verb)
    def run(**given: Any) -> None:
        for path in filter(None, map(given.get, IMAGES)):
            check_there(split_part(path)[0])
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
