"""`--method auto` on 32 pairs, beside each of its candidates: what its rules were settled on, and what judges them.

    HYPERSHARP_DATA=FOLDER python benchmarks/auto_pairs.py ROWS.jsonl [--only NAME,..] [--again auto|all] [--table]

Twenty-two pairs settled the rules, ten others judge them: they were made once the first rules stood, and nothing was
changed for them since. Twelve have a spoiled hs: its pixels repeated (nearest neighbour) or smeared (bilinear) from a
native grid 1.1 to 1.25 times as coarse, misplaced by 0.4 to 1 hs pixels, striped by gains of columns, or under a cloud
that the ms does not have. All go the way of `fuse`: placed by their images, the sensor estimated, the ms without
wavelengths. PSNR (mean over bands, dB) and SAM (degrees) over measured pixels but a border of one coarse pixel; every
candidate as it is and made consistent (+c) under the same sensor. The gap is auto's PSNR less that of the best of
them. A row is kept as soon as it is found; what ROWS.jsonl has is not made again.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

import numpy as np
import torch
from auto import Case, beside_best, cave, drawn, jasper, paris_unmoved, pines, simulated, tilted
from numpy.typing import NDArray
from placement import berlin
from torch import Tensor

from hypersharp.bench.demo import load_indian_pines
from hypersharp.cube import make_cube, wavelengths_nm
from hypersharp.errors import InputError
from hypersharp.fusion.changed import find_changes
from hypersharp.fusion.choose.auto import CANDIDATES
from hypersharp.fusion.consistency import make_consistent
from hypersharp.fusion.finish import missing_pixels
from hypersharp.fusion.learn import learn_pair, sensor_of
from hypersharp.io.image import CubeImage
from hypersharp.networks.inference import choose_weights
from hypersharp.pair.options import Frame, Options, ignore
from hypersharp.pair.pair import Pair, check_pair
from hypersharp.pair.place import place
from hypersharp.pair.placement import OnMS
from hypersharp.quality.metrics import psnr_sam_ergas
from hypersharp.sensor.observe import Sensor, add_noise, degraded
from hypersharp.sensor.psf import PSF, gaussian_fwhm
from hypersharp.simulation.protocols import find_protocol

Row = dict[str, Any]
Spoil = Callable[[Case], Case]
NOISE_DB = 40.0
BUDGET_S = 600.0  # enough for every candidate, so that a busy machine does not change the choice


class Named(NamedTuple):
    """How a pair is made, and on whose pixels its truth lies."""

    make: Callable[[Path], Case]
    frame: Frame = "ms"


class Placed(NamedTuple):
    """A pair as `fuse` sees it, and its truth (L, H, W) with the fine pixels (H, W) that count."""

    pair: Pair
    truth: Tensor
    counted: Tensor


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("rows", type=Path)
    parser.add_argument("--only", default=",".join(PAIRS))
    parser.add_argument("--again", choices=["auto", "all"])
    parser.add_argument("--table", action="store_true", help="print what is there, make nothing")
    arguments = parser.parse_args()
    rows = read_rows(arguments.rows)
    for name in [] if arguments.table else arguments.only.split(","):
        known = {} if arguments.again == "all" else rows.get(name, {})
        if known and not arguments.again:
            continue
        rows[name] = compare(name, placed(PAIRS[name], Path(os.environ["HYPERSHARP_DATA"])), known)
        with arguments.rows.open("a") as file:
            file.write(json.dumps(rows[name]) + "\n")
        print(as_markdown(rows[name]), flush=True)
    if arguments.table:
        print(table(rows))


def read_rows(path: Path) -> dict[str, Row]:
    """The last row of each pair."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {row["pair"]: row for row in map(json.loads, lines)}


def placed(named: Named, data: Path) -> Placed:
    case = named.make(data)
    nm = case.pair.spectra.hs_nm
    images = CubeImage(make_cube(case.pair.hs.numpy(), wavelengths_nm=nm)), CubeImage(make_cube(case.pair.ms.numpy()))
    placement = place(*images, frame=named.frame)
    y, x, height, width = placement.lattice.window if isinstance(placement, OnMS) else (0, 0, *case.truth.shape[1:])
    truth = case.truth[:, y : y + height, x : x + width]
    pair, counted = check_pair(placement, scale=1.0), torch.zeros(height, width, dtype=torch.bool)
    if changes := find_changes(pair.whole(), sensor_of(pair, pair.whole(), None, None)):
        pair = pair.without(changes)
    counted[pair.ratio : -pair.ratio, pair.ratio : -pair.ratio] = True
    return Placed(pair, truth, counted & ~torch.from_numpy(missing_pixels(pair.whole())))


def compare(name: str, case: Placed, known: Row) -> Row:
    """One row: auto's scores and why; those of every candidate, unless they are known."""
    singles = known.get("singles") or dict(single_scores(case))
    started = process_time()
    fusion = learn_pair(case.pair, "auto", Options(budget_s=BUDGET_S))
    made = fusion.sharpen(case.pair.whole()) if fusion.made is None else fusion.made
    seconds, auto = process_time() - started, scores(made, case)
    return {
        "pair": name,
        **beside_best(singles, auto),
        "over_bicubic_db": auto[0] - singles["bicubic"][0],
        "seconds": seconds,
        "misfit": fusion.sensor.misfit,
        "chosen": str(fusion.choice),
        "notes": [*case.pair.placement.notes, fusion.choice.why, *fusion.choice.skipped],
    }


def single_scores(case: Placed) -> Iterator[tuple[str, tuple[float, float]]]:
    """Name and scores of each candidate that fits, and of it made consistent."""
    whole, options = case.pair.whole(), Options()
    sensor = sensor_of(case.pair, whole, None, None)
    for method in CANDIDATES:
        try:
            if method.is_network:
                choose_weights(method.name, whole, options)  # those for any sensor are a candidate of their own
            estimate = method.learn(whole, sensor, options)(whole, options, ignore)
        except InputError:
            continue
        yield method.name, scores(estimate, case)
        yield f"{method.name}+c", scores(make_consistent(estimate, whole, sensor.psf)[0], case)


def scores(estimate: Tensor, case: Placed) -> tuple[float, float]:
    ours, truth = (np.ascontiguousarray(image[:, case.counted])[..., None] for image in (estimate.numpy(), case.truth))
    psnr, sam, _ = psnr_sam_ergas(ours, truth, ratio=case.pair.ratio, preset="float")
    return psnr, sam


def table(rows: dict[str, Row]) -> str:
    known = [rows[name] for name in PAIRS if name in rows]
    halves = {
        what: [row for row in known if row["pair"] in names]
        for what, names in (("settled by", SETTLED_BY), ("judged by", JUDGED_BY))
    }
    head = ["| pair | rules | best single | auto | gap (dB) | over bicubic (dB) | s |", "|---" * 7 + "|"]
    ends = [
        f"{what}: {sum(row['gap_db'] >= -0.1 for row in half)} of {len(half)} at most 0.1 dB below the best, "
        f"{sum(row['over_bicubic_db'] < 0 for row in half)} below bicubic, mean gap "
        f"{np.mean([row['gap_db'] for row in half]):+.2f} dB"
        for what, half in halves.items()
        if half
    ]
    return "\n".join([*head, *map(as_markdown, known), "", *ends])


def as_markdown(row: Row) -> str:
    psnr, sam = row["singles"][row["best"]]
    best, auto = f"{row['best']} {psnr:.2f} / {sam:.2f}", f"{row['auto'][0]:.2f} / {row['auto'][1]:.2f}"
    gaps = f"{row['gap_db']:+.2f} | {row['over_bicubic_db']:+.2f}"
    part = "settled" if row["pair"] in SETTLED_BY else "judges"
    return f"| {row['pair']} | {part} | {best} | {auto}: {row['chosen']} | {gaps} | {row['seconds']:.0f} |"


def protocol(name: str, scene: str, corner_yx: tuple[int, int], side: int = 128) -> Callable[[Path], Case]:
    """A part of a scene of CAVE by a named protocol, without noise."""

    def make(data: Path) -> Case:
        found = find_protocol(name)
        psf = replace(found.psf, boundary="reflect")
        return crop(cave(scene, corner_yx, psf, found.srf, found.ratio)(data), side)

    return make


def pines_by_protocol(_: Path) -> Case:
    """Another scene than those that the weights of CAVE know, under the very sensor they were made for."""
    scene, sensor = load_indian_pines(), find_protocol("dian-x4").sensor()
    sensor = replace(sensor, psf=replace(sensor.psf, boundary="reflect"))
    return simulated(torch.from_numpy(np.ascontiguousarray(scene.values)), sensor, wavelengths_nm(scene), None)


def small_cave(*scene: Any, side: int = 128, **more: Any) -> Callable[[Path], Case]:
    return lambda data: crop(cave(*scene, **more)(data), side)


def crop(case: Case, side: int) -> Case:
    """The first pixels of a pair, `side` fine ones along y and x."""
    coarse, pair = side // case.pair.ratio, case.pair
    side = coarse * pair.ratio
    part = replace(pair, hs=pair.hs[:, :coarse, :coarse], ms=pair.ms[:, :side, :side])
    return Case(part, case.truth[:, :side, :side])


def thinned(make: Callable[[Path], Case], step: int = 3) -> Callable[[Path], Case]:
    """Every third band, which costs a third of the time."""

    def less(data: Path) -> Case:
        case = make(data)
        nm = case.pair.spectra.hs_nm
        spectra = case.pair.spectra if nm is None else replace(case.pair.spectra, hs_nm=nm[::step])
        return Case(replace(case.pair, hs=case.pair.hs[::step].contiguous(), spectra=spectra), case.truth[::step])

    return less


def urban(ratio: int, psf: PSF) -> Callable[[Path], Case]:
    """Berlin by EnMAP, 30 m, as Sentinel-2 and a coarser sensor would see it."""

    def make(data: Path) -> Case:
        truth, srf = berlin(data)
        return simulated(torch.from_numpy(truth), Sensor(psf, srf, ratio), None, NOISE_DB)

    return thinned(make)


def paris_by_one_band(data: Path) -> Case:
    case = paris_unmoved(data)
    return replace(case, pair=replace(case.pair, ms=case.pair.ms[1:5].mean(0, keepdim=True)))


def spoiled(make: Callable[[Path], Case], spoil: Spoil) -> Callable[[Path], Case]:
    return lambda data: spoil(make(data))


def resampled(pitch: float, kind: str) -> Spoil:
    """hs taken from a native grid, noise and all, whose pixels are `pitch` times as far apart, by "nearest" or
    "bilinear".
    """

    def spoil(case: Case) -> Case:
        ratio, sides = case.pair.ratio, case.truth.shape[1:]
        step, first = pitch * ratio, 0.3 * ratio
        blur = replace(gaussian_fwhm(step, 1, boundary="reflect"), start_yx=(0, 0))
        seen = degraded(case.truth, blur, 1)
        own = [interpolating(np.arange(first, side, step), side, "bilinear") for side in sides]
        onto = [
            interpolating((ratio * np.arange(side // ratio) + (ratio - 1) / 2 - first) / step, len(axis), kind)
            for side, axis in zip(sides, own, strict=True)
        ]
        native = add_noise(own[0] @ seen @ own[1].T, NOISE_DB, 1)
        return replace(case, pair=replace(case.pair, hs=onto[0] @ native @ onto[1].T))

    return spoil


def interpolating(places: NDArray[np.floating], count: int, kind: str) -> Tensor:
    """(n, count): what makes n places of as many pixels along an axis."""
    distance = np.abs(np.clip(places, 0, count - 1)[:, None] - np.arange(count))
    nearest = distance == distance.min(axis=1, keepdims=True)
    weights = nearest / nearest.sum(1, keepdims=True) if kind == "nearest" else np.clip(1 - distance, 0, None)
    return torch.from_numpy(weights.astype(np.float32))


def misplaced(off_coarse_yx: tuple[float, float]) -> Spoil:
    """hs of what lies so many of its pixels further down and right."""

    def spoil(case: Case) -> Case:
        ratio = case.pair.ratio
        off_px_yx = off_coarse_yx[0] * ratio, off_coarse_yx[1] * ratio
        blur = gaussian_fwhm(ratio, ratio, boundary="reflect").moved(off_px_yx, ratio)
        hs = add_noise(degraded(case.truth, blur, ratio), NOISE_DB, 1)
        return replace(case, pair=replace(case.pair, hs=hs))

    return spoil


def striped(strength: float) -> Spoil:
    """Gains of columns that differ by band, a standard deviation of `strength`."""

    def spoil(case: Case) -> Case:
        bands, _, columns = case.pair.hs.shape
        gains = 1 + strength * torch.randn(bands, 1, columns, generator=torch.Generator().manual_seed(5))
        return replace(case, pair=replace(case.pair, hs=case.pair.hs * gains))

    return spoil


def clouded(share: float) -> Spoil:
    """A soft, white cloud in hs alone, of about that share of its pixels."""

    def spoil(case: Case) -> Case:
        hs = case.pair.hs
        y, x = torch.meshgrid(*(torch.linspace(-1, 1, side) for side in hs.shape[1:]), indexing="ij")
        cover = torch.sigmoid((share - ((y - 0.3) ** 2 + (x + 0.2) ** 2)) * 20)
        return replace(case, pair=replace(case.pair, hs=hs * (1 - cover) + 0.8 * hs.max() * cover))

    return spoil


S2 = "sentinel-2a:B2,B3,B4,B5,B6,B7,B8,B8A,B11,B12"
L8 = "landsat-8:B1,B2,B3,B4,B5,B6,B7"
RGB, VISIBLE = "ikonos:blue,green,red", "landsat-9:B1,B2,B3,B4"
ROUND, ROUND_X3 = tilted((0.45, 0.45), 0, (0, 0)), tilted((0.45, 0.45), 0, (0, 0), 3)
JASPER_X4, JASPER_X3 = thinned(jasper(S2, ROUND, 4)), thinned(jasper(L8, None, 3))
SPOOLS_X4 = small_cave("thread_spools", (60, 60), ROUND, drawn(3, 31, 31), snr_db=NOISE_DB)
OIL_X4 = small_cave("oil_painting", (100, 100), ROUND, drawn(4, 31, 32), snr_db=NOISE_DB)
FACE_X4 = small_cave("photo_and_face", (200, 120), ROUND, drawn(3, 31, 33), snr_db=NOISE_DB)
PINES_X3, PINES_X4 = pines(VISIBLE, ROUND_X3, 3, NOISE_DB), pines(RGB, ROUND, 4, NOISE_DB)
BERLIN_X2 = urban(2, gaussian_fwhm(2, 2, boundary="reflect"))
SETTLED_BY: dict[str, Named] = {
    "cave-dian-x4-jelly-beans": Named(protocol("dian-x4", "jelly_beans", (100, 100))),
    "cave-dian-x4-stuffed-toys": Named(protocol("dian-x4", "stuffed_toys", (150, 150))),
    "pines-dian-x4": Named(pines_by_protocol),
    "cave-oil-painting-x4-35-db": Named(
        small_cave("oil_painting", (100, 100), tilted((0.5, 0.35), 30, (0.3, 0)), drawn(3, 31, 1), snr_db=35.0)
    ),
    "cave-sponges-x2": Named(
        small_cave("sponges", (128, 128), tilted((0.6, 0.6), 0, (0.4, 0.3), 2), "spot-6:blue,green,red", 2, 40.0)
    ),
    "cave-photo-and-face-x8": Named(
        small_cave("photo_and_face", (60, 160), tilted((0.4, 0.5), 20, (0, 0), 8), drawn(5, 31, 11), 8, 45.0, side=256)
    ),
    "pines-landsat-9-x3-30-db": Named(pines(VISIBLE, tilted((0.4, 0.5), 0, (0, 0.4), 3), 3, 30.0)),
    "jasper-sentinel-2-x3": Named(thinned(jasper(S2, None, 3))),
    "berlin-x4": Named(urban(4, tilted((0.45, 0.35), 20, (0.3, 0)))),
    "paris": Named(paris_unmoved, "hs"),
    "jasper-x4-nearest": Named(spoiled(JASPER_X4, resampled(1.1, "nearest"))),
    "cave-x4-bilinear": Named(spoiled(OIL_X4, resampled(1.25, "bilinear"))),
    "jasper-x4-misplaced": Named(spoiled(JASPER_X4, misplaced((0.6, -0.4)))),
    "pines-x4-striped": Named(spoiled(PINES_X4, striped(0.02))),
    "jasper-x4-clouded": Named(spoiled(JASPER_X4, clouded(0.08))),
    "cave-dian-x4-peppers": Named(protocol("dian-x4", "real_and_fake_peppers", (180, 120))),
    "cave-dian-x4-oil-painting": Named(protocol("dian-x4", "oil_painting", (200, 280))),
    "jasper-spot-6-x5-35-db": Named(thinned(jasper("spot-6", tilted((0.4, 0.3), 0, (0, 0.5), 5), 5, 35.0))),
    "cave-superballs-x8": Named(
        small_cave("superballs", (200, 60), tilted((0.45, 0.4), 0, (0.5, 0), 8), drawn(4, 31, 12), 8, 40.0, side=256)
    ),
    "jasper-x3-nearest": Named(spoiled(JASPER_X3, resampled(1.2, "nearest"))),
    "cave-x4-nearest": Named(spoiled(FACE_X4, resampled(1.1, "nearest"))),
    "pines-x3-bilinear": Named(spoiled(PINES_X3, resampled(1.2, "bilinear"))),
}
JUDGED_BY: dict[str, Named] = {
    "cave-watercolors-x4-30-db": Named(
        small_cave("watercolors", (300, 100), tilted((0.35, 0.5), 50, (0, -0.4)), drawn(3, 31, 2), snr_db=30.0)
    ),
    "cave-stuffed-toys-x2": Named(
        small_cave("stuffed_toys", (300, 300), tilted((0.5, 0.7), 70, (0, 0.5), 2), RGB, 2, 35.0)
    ),
    "pines-sentinel-2-x4-30-db": Named(pines("sentinel-2a:B2,B3,B4", tilted((0.5, 0.4), 45, (0, 0)), 4, 30.0)),
    "jasper-landsat-8-x6": Named(thinned(jasper(L8, tilted((0.4, 0.4), 0, (0.5, 0), 6), 6))),
    "berlin-x3": Named(urban(3, tilted((0.5, 0.4), 60, (0, 0.5), 3))),
    "paris-one-band": Named(paris_by_one_band, "hs"),
    "berlin-x2-misplaced": Named(spoiled(BERLIN_X2, misplaced((0.7, 0.9)))),
    "cave-x4-misplaced-1-px": Named(spoiled(FACE_X4, misplaced((-0.3, 1.0)))),
    "cave-x4-striped": Named(spoiled(SPOOLS_X4, striped(0.03))),
    "pines-x4-clouded": Named(spoiled(PINES_X4, clouded(0.1))),
}
PAIRS = {**SETTLED_BY, **JUDGED_BY}

if __name__ == "__main__":
    main()
