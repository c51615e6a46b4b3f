"""The page itself: findings and pictures put into one HTML file that needs no network and no script."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
import xarray as xr

from hypersharp.cube import only_usable, usable_bands, wavelengths_nm
from hypersharp.errors import needs
from hypersharp.io.image import Image
from hypersharp.io.together import write_text
from hypersharp.pair.settings import Progress
from hypersharp.plot.places import Place, find_pixel
from hypersharp.quality.judge import MEANINGS, median_and_worst
from hypersharp.quality.metrics import PRESETS
from hypersharp.reporting.charts import UNIT, error_charts, ms_bands, residual_chart, sensor_charts, spectra_charts
from hypersharp.reporting.facts import Decisions, Facts, Run, image_facts, read_notes, run_facts
from hypersharp.reporting.findings import Findings, Known, study_result
from hypersharp.reporting.pictures import CHART_STYLE, Picture, composites, detailed_window, marks_of
from hypersharp.reporting.points import Point, choose_points
from hypersharp.system.atomic import make_folder

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
    known: Known | None = None,
    error: xr.DataArray | None = None,
    trust: bool = True,
    run: Run | None = None,
    sources: Mapping[str, Image] | None = None,
    placed: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write folder/report.html about a result (L, H, W) and the hs (L, h, w) and ms (l, H, W) it was made from.

    Args:
        truth: what the result should be, (L, H, W): it is then scored by `preset`, and its errors are shown.
        points: places (x, y) whose spectra are shown, beside chosen ones: whole numbers count pixels of the result
            from 0, others are map coordinates.
        known: what `fuse` was given: of the sensor, weights and consistency.
        error: what `predict_error` gave; without it and without a truth it is computed, unless `trust` is False.
        run: command, time and memory of the run, where known.
        sources: the files by name: "hs", "ms", "result", "truth".
        placed: whether hs and ms lie as the result does already, whatever its notes say was done to them.
        progress: called with the fraction done, 0..1.

    Returns: the path of the page.

    Raises:
        InputError: a point outside the result, a truth of another shape, an unknown preset.
        OutputError: the folder cannot be written. MissingExtraError: without matplotlib or jinja2.
    """
    check_libraries()
    report = progress or (lambda _: None)
    for place in points:
        find_pixel(place, sharp)
    found = study_result(
        sharp,
        hs,
        ms,
        known or Known(),
        truth=truth,
        preset=preset,
        error=error,
        trust=trust,
        placed=placed,
        progress=lambda fraction: report(0.7 * fraction),
    )
    images = {"hs": hs, "ms": ms, "result": sharp} | ({} if truth is None else {"truth": truth})
    text = render(found, images, points, preset, run or Run(), sources or {})
    report(1.0)
    return write_text(make_folder(Path(folder)) / NAME, text)


def check_libraries() -> None:
    """Raise MissingExtraError unless pages can be made."""
    with needs("reports", "report"):
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401


def render(
    found: Findings,
    images: Mapping[str, xr.DataArray],
    places: Sequence[Place],
    preset: str,
    run: Run,
    sources: Mapping[str, Image],
) -> str:
    """The page as HTML: what the template shows, by name."""
    import jinja2
    import matplotlib as mpl

    here = files("hypersharp.reporting")
    page = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string((here / "page.html.j2").read_text(encoding="utf-8"))
    points = choose_points(places, found.sharp, found.hs)
    decisions = read_notes(str(found.sharp.attrs.get("hypersharp", "")))
    with mpl.rc_context(CHART_STYLE):  # type: ignore[arg-type]  # its names are spelt out there
        return page.render(
            css=(here / "page.css").read_text(encoding="utf-8"),
            title=sources["result"].path.name if "result" in sources else "Sharpened image",
            day=f"{run.ended:%d %B %Y}".lstrip("0"),
            keys=key_numbers(found, decisions, run),
            warnings=[*decisions.warnings, *(found.diagnosis.warnings if found.diagnosis else ())],
            pictures=picture_rows(found, points),
            spectra=list(spectra_charts(found, points)),
            errors=list(error_charts(found)),
            error=found.error,
            score_head=list(found.scores),
            scores=score_rows(found),
            score_notes=score_notes(found, preset),
            judged=judgement_rows(found),
            residuals=residual_chart(found),
            images={name: image_facts(cube, sources.get(name)) for name, cube in images.items()},
            sensor=list(sensor_charts(found)),
            sensor_facts=sensor_facts(found),
            decisions=decisions,
            run=run_facts(run),
            command=run.command,
            missing=found.missing,
        )


def picture_rows(found: Findings, points: Sequence[Point]) -> list[tuple[str, str, list[Picture]]]:
    """Rows of pictures with title and a word: true colour, a close-up, false colour."""
    cubes, ms_nm = shown_cubes(found), wavelengths_nm(only_usable(found.ms, "ms"))
    known = wavelengths_nm(found.hs) is not None
    if ms_nm is None and known and (bands := ms_bands(found)):
        ms_nm = bands[0]
    window = None if found.ratio is None else detailed_window(found.ms, found.ratio)
    marks = [] if window is None else marks_of(points, window, found.sharp.shape[2])
    true, false = composites(cubes, ms_nm, marks=marks), composites(cubes, ms_nm, false=True)
    rows = [("True colour" if known else "Three bands", mix_words(true), true)]
    if window is not None:
        y, x, height, width = window
        where = f"where MS has the most detail: pixels {x} to {x + width - 1}, {y} to {y + height - 1}"
        rows.append(("Close-up", where, composites(cubes, ms_nm, window=window)))
    return [*rows, ("False colour", mix_words(false), false)]


def shown_cubes(found: Findings) -> dict[str, xr.DataArray]:
    """The images by name, all but ms with the bands that none of them lacks."""
    cubes = {"hs": found.hs, "result": found.sharp} | ({} if found.truth is None else {"truth": found.truth})
    kept = np.logical_and.reduce([usable_bands(cube) for cube in cubes.values()])
    if kept.any() and not kept.all():
        cubes = {name: cube.isel(band=np.flatnonzero(kept)) for name, cube in cubes.items()}
    return {"hs": cubes.pop("hs"), "ms": found.ms, **cubes}


def mix_words(pictures: Sequence[Picture]) -> str:
    """What the pictures of a row show as red, green and blue."""
    mixes = dict.fromkeys(picture.mix for picture in pictures)
    if len(mixes) == 1:
        return pictures[0].mix
    names = {mix: [picture.title for picture in pictures if picture.mix == mix] for mix in mixes}
    return "; ".join(f"{', '.join(names[mix])}: {mix}" for mix in mixes)


def key_numbers(found: Findings, decisions: Decisions, run: Run) -> list[tuple[str, str, str]]:
    """The numbers at the head of the page: what it is, the number, a word on it."""
    bands, height, width = found.sharp.shape
    size = f"{width:,} × {height:,} pixels, {bands:,} bands"
    keys = [("Method", *method_words(decisions)), ("Finer by", f"{found.ratio} ×" if found.ratio else "–", size)]
    if found.scores:
        best = found.scores["result"]
        keys.append(("PSNR", f"{best.psnr_db:.2f} dB", f"against the truth, preset {best.preset}"))
        keys.append(("Spectral angle", f"{best.sam_deg:.2f}°", "against the truth, mean"))
    elif found.judgement is not None:
        keys.append(("HQNR", f"{found.judgement.hqnr:.3f}", "without a truth; 1 is best"))
    if found.judgement is not None:
        share = float(np.nanmedian(found.judgement.hs_residual))
        keys.append(("Residual of HS", f"{share:.2%}", "of the degraded result, median band"))
    if found.error is not None:
        half, unit = float(np.nanmedian(found.error.values)), found.sharp.attrs.get("units", UNIT)
        keys.append(("Predicted error", f"± {half:.3g}", f"median half-width of 90 % prediction intervals, {unit}"))
    if run.seconds is not None:
        keys.append(("Time", f"{run.seconds:.1f} s", "to fuse"))
    return keys


def method_words(decisions: Decisions) -> tuple[str, str]:
    """The method, and what it took where it chose."""
    first = decisions.sentences[0] if decisions.sentences else ""
    if not first.startswith("method "):
        return "unknown", "the file does not name it"
    name = first.removeprefix("method ").split(",")[0]
    ranking = decisions.ranking
    if ranking is None or not ranking.taken:
        return name, "as the result says"
    return ranking.taken, f"chosen by {name} on this pair"


def score_rows(found: Findings) -> list[tuple[str, str, list[str]]]:
    """Score, which way is better, and the value of each estimate; nothing without estimates."""
    if not found.scores:
        return []
    return [
        (heading, better, [f"{getattr(values, key):.{digits}f}" for values in found.scores.values()])
        for key, heading, digits, better in SCORES
    ]


def score_notes(found: Findings, preset: str) -> str:
    """Preset, full scale, and what did not count."""
    if not found.scores:
        return ""
    first = next(iter(found.scores.values()))
    left = f"{first.masked_pixels:,} pixels and {first.masked_bands} bands left out"
    unit = "RMSE counts in 255ths of it. " if PRESETS[preset].eight_bit else ""
    return f"Preset {preset}: {PRESETS[preset].source}. Full scale {found.peak:g}. {unit}{left}."


def judgement_rows(found: Findings) -> list[tuple[str, str, str, str]]:
    """Title, name, value and meaning of what can be said without a truth."""
    if found.judgement is None:
        return []
    rows, nm = [], found.judgement.wavelengths_nm
    for name, meaning in MEANINGS.items():
        value = getattr(found.judgement, name)
        shares = isinstance(value, np.ndarray)
        text = median_and_worst(value, nm if name == "hs_residual" else None) if shares else f"{value:.4f}"
        rows.append((TITLES[name], name, text, meaning))
    return rows


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
        facts["Signal to noise"] = (
            f"HS {np.median(noise.hs_snr_db):.1f} dB, MS {np.median(noise.ms_snr_db):.1f} dB (median band)"
        )
    return facts
