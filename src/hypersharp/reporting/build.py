"""The page itself: findings and pictures put into one HTML file that needs no network and no script."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import only_usable, shape_text, usable_bands, wavelengths_nm
from hypersharp.errors import InputError, check_name, needs
from hypersharp.grid import Window
from hypersharp.io.given import as_cube
from hypersharp.io.image import Image
from hypersharp.io.together import write_text
from hypersharp.pair.options import Progress, ignore
from hypersharp.pair.place import checked_grids
from hypersharp.pair.record import Record, ranking_rows
from hypersharp.plot.places import Place, find_pixel
from hypersharp.quality.judge import check_estimate, judged
from hypersharp.quality.metrics import PRESETS
from hypersharp.reporting import charts
from hypersharp.reporting.findings import Facts, Findings, Run, image_facts, run_facts
from hypersharp.sensor.psf import PSF
from hypersharp.system.atomic import make_folder
from hypersharp.uncertainty.predict import predict_error

NAME = "report.html"
SCORES = (  # attribute, heading, digits, which way is better
    ("psnr_db", "PSNR (dB)", 2, "higher"),
    ("ssim", "SSIM", 4, "higher"),
    ("sam_deg", "SAM (°)", 2, "lower"),
    ("ergas", "ERGAS", 3, "lower"),
    ("rmse", "RMSE", 4, "lower"),
    ("uiqi", "UIQI", 4, "higher"),
)
TITLES = {
    "d_lambda": "Dλ, spectral distortion",
    "d_s": "Ds, spatial distortion",
    "qnr": "QNR",
    "d_lambda_khan": "Dλ of Khan et al.",
    "hqnr": "HQNR",
    "hs_residual": "Residual of HS",
    "ms_residual": "Residual of MS",
}


def write_report(
    sharp: xr.DataArray,
    hs: xr.DataArray,
    ms: xr.DataArray,
    folder: str | Path,
    *,
    truth: xr.DataArray | None = None,
    points: Sequence[Place] = (),
    preset: str = "dian",
    psf: str | Path | PSF | None = None,
    srf: str | Path | NDArray[np.float64] | None = None,
    weights: str | Path | None = None,
    error: xr.DataArray | None = None,
    uncertainty: bool = True,
    run: Run | None = None,
    sources: Mapping[str, Image] | None = None,
    progress: Progress = ignore,
) -> Path:
    """Write folder/report.html: inputs, decisions, images, spectra, errors and the sensor of a run.

    Args:
        sharp: the result (L, H, W).
        hs: (L, h, w).
        ms: (l, H, W).
        folder: made if missing.
        truth: the fine scene (L, H, W): the result is then scored, and its errors are shown.
        points: places (x, y) whose spectra are shown, beside chosen ones: whole numbers count pixels of the result
            from 0, others are map coordinates.
        preset: the metric preset of the scores.
        psf, srf, weights: as `fuse` takes them (a response is (l, L)), for a result whose record does not say.
        error: half-widths (L, H, W) of `predict_error`; without it and without a truth they are computed.
        uncertainty: whether to compute them.
        run: command, time and memory of the run, where known.
        sources: the files by name: "hs", "ms", "result", "truth".
        progress: called with the fraction done, 0..1.

    Returns:
        The path of the page.

    Raises:
        InputError: images that are swapped or not the result's, a point outside it, a truth of another shape, an
            unknown preset.
        OutputError: the folder cannot be written.
        MissingExtraError: without matplotlib or jinja2.

    >>> import tempfile
    >>> import hypersharp as hsp
    >>> from hypersharp.cube import make_cube
    >>> random = np.random.default_rng(0)
    >>> hs, ms = make_cube(random.random((5, 16, 16))), make_cube(random.random((2, 32, 32)))
    >>> sharp = hsp.fuse(hs, ms, method="bicubic")
    >>> write_report(sharp, hs, ms, tempfile.mkdtemp(), uncertainty=False).name
    'report.html'
    """
    check_libraries()
    check_name("metric preset", preset, PRESETS)
    sharp, hs, ms = (as_cube(image, what) for image, what in ((sharp, "sharp"), (hs, "hs"), (ms, "ms")))
    truth, error = (None if image is None else as_cube(image, "image") for image in (truth, error))
    if len(ms) > len(hs):  # swapped
        checked_grids(hs, ms, None)
    if len(sharp) != len(hs) or (sharp.shape == hs.shape and Record.find(sharp) is None):
        check_estimate(sharp, (len(hs), *ms.shape[1:]))  # of other bands, or hs itself; one on other pixels has a page
    if truth is not None:
        check_truth(truth, sharp)
    for place in points:
        find_pixel(place, sharp)
    found = Findings(sharp, hs, ms, truth, error=error, record=Record.find(sharp))
    found.judge_result(psf, srf)
    progress(0.3)
    if truth is not None:
        found.score_result(truth, preset)
    elif error is None and uncertainty:
        predict = partial(predict_error, sharp, hs, ms, weights=weights, psf=psf, srf=srf)
        found.error = found.attempt("error", predict)
    progress(0.7)
    images = {"hs": hs, "ms": ms, "result": sharp} | ({} if truth is None else {"truth": truth})
    text = render(found, images, points, preset, run or Run(), sources or {})
    progress(1.0)
    return write_text(make_folder(Path(folder)) / NAME, text)


def check_truth(truth: xr.DataArray, sharp: xr.DataArray) -> None:
    """Raise InputError for a truth of another shape than the result."""
    if truth.shape != sharp.shape:
        shapes = f"a truth of {shape_text(truth)} and a result of {shape_text(sharp)}"
        raise InputError(shapes, "two cubes of one shape", "crop one of them")


def check_libraries() -> None:
    """Raise MissingExtraError unless pages can be made."""
    with needs("reports", "report"):
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401


def fill(template: str, **shown: Any) -> str:
    """A page of this folder with what it is to show, its style and the policy that lets nothing else in."""
    import jinja2

    here = files("hypersharp.reporting")
    strict = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    css = (here / "page.css").read_text(encoding="utf-8")
    digest = b64encode(sha256(css.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    page = strict.from_string((here / template).read_text(encoding="utf-8"))
    return page.render(shown, css=css, policy=policy)


def render(
    found: Findings,
    images: Mapping[str, xr.DataArray],
    places: Sequence[Place],
    preset: str,
    run: Run,
    sources: Mapping[str, Image],
) -> str:
    """The page as HTML: what the template shows, by name."""
    import matplotlib as mpl

    points = charts.choose_points(places, found.sharp, found.hs)
    record, window = found.record, None if found.ratio is None else charts.detailed_window(found.ms, found.ratio)
    warned = [*(record.warnings if record else ()), *(found.diagnosis.warnings if found.diagnosis else ())]
    with mpl.rc_context(charts.CHART_STYLE):  # type: ignore[arg-type]  # its names are spelt out there
        return fill(
            "page.html.j2",
            **vars(found),
            title=sources["result"].path.name if "result" in sources else "Sharpened image",
            day=f"{run.ended:%d %B %Y}".lstrip("0"),
            keys=key_numbers(found, run),
            warnings=list(dict.fromkeys(warned)),
            pictures=picture_rows(found, window),
            points=points,
            window=window,
            size_yx=found.sharp.shape[1:],
            spectra=list(charts.spectra_charts(found, points)),
            errors=list(charts.error_charts(found)),
            score_rows=SCORES,
            preset=preset,
            definition=PRESETS[preset],
            judged=[
                (TITLES[name], name, value if isinstance(value, str) else f"{value:.4f}", meaning)
                for name, value, meaning in (judged(vars(found.judgement)) if found.judgement else ())
            ],
            residuals=charts.residual_chart(found),
            images={name: image_facts(cube, sources.get(name)) for name, cube in images.items()},
            sensor=list(charts.sensor_charts(found)),
            sensor_facts=sensor_facts(found),
            decisions=list(record.decisions()) if record else [],
            displacement=charts.displacement_chart(found),
            ranking=ranking_of(record),
            run=run_facts(run),
            command=run.command,
        )


def picture_rows(found: Findings, window: Window | None) -> list[tuple[str, str, list[charts.Picture]]]:
    """Rows of pictures with title and a word: true colour, a close-up of the window, false colour."""
    cubes = {"hs": found.hs, "result": found.sharp} | ({} if found.truth is None else {"truth": found.truth})
    kept = np.logical_and.reduce([usable_bands(cube) for cube in cubes.values()])
    if kept.any() and not kept.all():  # all but ms with the bands that none of them lacks
        cubes = {name: cube.isel(band=np.flatnonzero(kept)) for name, cube in cubes.items()}
    cubes = {"hs": cubes.pop("hs"), "ms": found.ms, **cubes}
    known, ms_nm = wavelengths_nm(found.hs) is not None, wavelengths_nm(only_usable(found.ms, "ms"))
    if ms_nm is None and known and (bands := charts.ms_bands(found)):
        ms_nm = bands[0]
    true = charts.composites(cubes, ms_nm, marked=window is not None)
    false = charts.composites(cubes, ms_nm, false=True)
    rows = [("True colour" if known else "Three bands", mix_words(true), true)]
    if window is not None:
        y, x, height, width = window
        where = f"where MS has the most detail: pixels {x} to {x + width - 1}, {y} to {y + height - 1}"
        rows.append(("Close-up", where, charts.composites(cubes, ms_nm, window=window)))
    return [*rows, ("False colour", mix_words(false), false)]


def mix_words(pictures: Sequence[charts.Picture]) -> str:
    """What the pictures of a row show as red, green and blue."""
    mixes = dict.fromkeys(picture.mix for picture in pictures)
    if len(mixes) == 1:
        return pictures[0].mix
    names = {mix: [picture.title for picture in pictures if picture.mix == mix] for mix in mixes}
    return "; ".join(f"{', '.join(names[mix])}: {mix}" for mix in mixes)


def key_numbers(found: Findings, run: Run) -> list[tuple[str, str, str]]:
    """The numbers at the head of the page: what it is, the number, a word on it."""
    (bands, height, width), record, ranking = found.sharp.shape, found.record, ranking_of(found.record)
    method = ("Method", record.method, "as recorded") if record else ("Method", "unknown", "the file does not name it")
    if record and ranking:
        method = ("Method", ranking["taken"], f"chosen by {record.method} on this pair")
    size = f"{width:,} × {height:,} pixels, {bands:,} bands"
    keys = [method, ("Finer by", f"{found.ratio} ×" if found.ratio else "–", size)]
    if found.scores:
        best = found.scores["result"]
        keys.append(("PSNR", f"{best.psnr_db:.2f} dB", f"against the truth, preset {best.preset}"))
        keys.append(("Spectral angle", f"{best.sam_deg:.2f}°", "against the truth, mean"))
    elif found.judgement is not None:
        keys.append(("HQNR", f"{found.judgement.hqnr:.3f}", "without a truth; 1 is best"))
    if found.judgement is not None and np.isfinite(found.judgement.hs_residual).any():
        share = float(np.nanmedian(found.judgement.hs_residual))
        keys.append(("Residual of HS", f"{share:.2%}", "of the degraded result, median band"))
    if found.error is not None:
        half, unit = float(np.nanmedian(found.error.values)), found.sharp.attrs.get("units", charts.UNIT)
        keys.append(("Predicted error", f"± {half:.3g}", f"median half-width of 90 % prediction intervals, {unit}"))
    if run.seconds is not None:
        keys.append(("Time", f"{run.seconds:.1f} s", "to fuse"))
    return keys


def ranking_of(record: Record | None) -> dict[str, Any] | None:
    """The candidates as rows of text, best first; what was `taken`, and in which row (from 0) it stands, if in any."""
    if record is None or not record.choice["ranking"]:
        return None
    head, *rows = ranking_rows(record.choice["ranking"])
    names, shares = [row[0].removesuffix("+c") for row in rows], record.choice["shares"]
    name = "blend" if len(shares) > 1 else next(iter(shares))
    taken = f"{name}+c" if record.choice["consistent"] else name
    return {"head": head, "rows": rows, "taken": taken, "chosen": names.index(name) if name in names else None}


def sensor_facts(found: Findings) -> Facts:
    """The sensor in words."""
    if found.estimate is None:
        return {}
    estimate, noise = found.estimate, found.diagnosis.noise if found.diagnosis else None
    (sigma_y, sigma_x), (shift_y, shift_x) = estimate.sensor.psf.sigma_yx_px(), estimate.shift_px_yx
    facts = {
        "Blur": f"σ {sigma_y:.2f} × {sigma_x:.2f} fine pixels (y, x), {estimate.blur}",
        "Its centre": f"{shift_y:+.2f}, {shift_x:+.2f} fine pixels (y, x) off the coarse pixel's",
        "Response": f"{len(estimate.sensor.srf)} MS bands over {estimate.sensor.srf.shape[1]} HS bands"
        + (f", {', '.join(dict.fromkeys(estimate.responses))}" if estimate.responses else ""),
        "Fit": f"HS and MS differ by {estimate.residual:.1%} under it (below 2 % simulated, 3 to 10 % real)",
    }
    if noise is not None:
        hs_db, ms_db = np.median(noise.hs_snr_db), np.median(noise.ms_snr_db)
        facts["Signal to noise"] = f"HS {hs_db:.1f} dB, MS {ms_db:.1f} dB (median band)"
    return facts
