"""The main job: two images in, one sharp image out, in the user's units, on the ms's grid."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.fusion.finish import as_cube as on_fine_grid
from hypersharp.fusion.finish import finished, missing_pixels, result_type
from hypersharp.fusion.lazy import fuse_lazily
from hypersharp.fusion.learn import Fusion, learn_pair
from hypersharp.io.given import AnyImage, as_cube
from hypersharp.io.image import CubeImage, Image
from hypersharp.methods.table import find_method
from hypersharp.pair.options import (
    Coregister,
    Frame,
    Mode,
    Options,
    Precision,
    Progress,
    Runtime,
    given_ratio,
    ignore,
    part_of,
)
from hypersharp.pair.pair import Pair
from hypersharp.pair.place import pair_of
from hypersharp.pair.sensor import GivenPSF, GivenSRF
from hypersharp.sensor.psf import PSF


def fuse(
    hs: AnyImage,
    ms: AnyImage,
    *,
    method: str = "auto",
    weights: str | Path | None = None,
    mode: Mode = "whole",
    tile_px: int | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    runtime: Runtime = "torch",
    ensemble: bool = False,
    psf: str | Path | PSF | None = None,
    srf: str | Path | NDArray[np.float64] | None = None,
    ratio: int | None = None,
    scale: float | None = None,
    consistent: bool | None = None,
    budget_s: float | None = None,
    coregister: Coregister = "local",
    frame: Frame = "ms",
    destripe: bool = True,
    keep_changed: bool = False,
    progress: Progress = ignore,
) -> xr.DataArray:
    """Sharpen a hyperspectral image with a finer one of the same place.

    The result lies on the pixels of MS, which is not resampled but for bands that lie off the others: where HS lies on
    them, by georeference and by what the images show, belongs to its PSF. What the pair does not get as an argument is
    estimated from it. Of lazy images (backed by dask) the result is lazy, too: one task learns from a sample, others
    make the tiles (`fusion.lazy`).

    Args:
        hs: hyperspectral image (L, h, w), any unit; NaN is nodata. A cube, a path, or an array or xarray object as
            other programs make them (`io.given.as_cube`).
        ms: multispectral, RGB or panchromatic image (l, H, W), in the same unit.
        method: a name (`hypersharp methods`); "auto" ranks them on a reduced-resolution copy of the pair (Wald's
            protocol) and takes the best, or their blend; with weights given, the method of those.
        weights: packaged name or file, for methods with a network; by default those that fit.
        mode: how a network runs: "whole" image, blended "tiles" of tile_px, or the paper's "patches".
        tile_px: side of a tile in fine pixels, by default 128.
        device: "auto", "cpu", "cuda", "cuda:1", ...
        precision: of a network: "fp32", "bf16", or "auto", which takes bf16 where this machine is faster at it.
        runtime: what runs a network, "torch" or, in float32, "onnx", as weights in an ONNX file always are.
        ensemble: whether a network runs on all orientations of the scene in which the PSF stays itself, up to eight,
            for their mean: a little more accurate, eight times as long.
        psf: PSF of hs, a spec such as "gaussian:8:2" or a file; by default the method's own or estimated.
        srf: response (l, L) of ms, a name or a file; by default the one of the weights or estimated.
        ratio: fine pixels per coarse one; by default from the sizes, which it must agree with.
        scale: the value that counts as 1; by default the 99.9 % quantile of hs.
        consistent: project the result onto those that reproduce hs, within its noise, when blurred and downsampled
            (`consistency.project`). None: where the psf is known or estimated anyway and that raises the scores at
            reduced resolution.
        budget_s: seconds that "auto" may take in all, about; by default 60.
        coregister: the richest displacement between the images that is looked for, "local" (a smooth field), "affine",
            "shift" or "none"; not with a psf given, which fixes where the pixels of hs lie.
        frame: whose pixels the result has: "ms"; or "hs", with the ms resampled to an exact multiple of them, for
            comparing with a truth that lies on those.
        destripe: whether stripes along rows or columns are removed from an hs that has some (`pair.destripe`), not of
            lazy images.
        keep_changed: whether pixels of hs count that show something else than the ms, a cloud or a changed field
            (`pair.changes`); by default they are left out, and NaN in the result, where a sensor explains the rest,
            and single values that stand out by far are replaced (`numerics.spikes`).
        progress: called with the fraction done, 0..1.

    Returns:
        (L, H, W) with the bands, unit and dtype of hs and the grid and CRS of ms, where both show something; how it was
        made is in attrs["hypersharp"], see `pair.record.Record`; of a lazy one that is not known yet.

    Raises:
        InputError: unusable or ill-matched images, an unknown name, no weights that fit.

    Source: those of the methods, see `docs/methods`.

    >>> from hypersharp.cube import make_cube
    >>> random = np.random.default_rng(0)
    >>> fuse(make_cube(random.random((5, 8, 8))), make_cube(random.random((1, 16, 16))), method="bicubic").shape
    (5, 16, 16)
    """
    run = Options(weights=weights, mode=mode, tile_px=tile_px, device=device, precision=precision, runtime=runtime)
    options = replace(run, ensemble=ensemble, consistent=consistent, budget_s=budget_s, scale=scale)
    options = replace(options, coregister=coregister, frame=frame, destripe=destripe, keep_changed=keep_changed)
    cubes, ratio = (as_cube(hs, "hs"), as_cube(ms, "ms")), given_ratio(ratio)
    if any(hasattr(cube.data, "__dask_graph__") for cube in cubes):
        return fuse_lazily(*cubes, method=method, options=options, psf=psf, srf=srf, ratio=ratio)
    images = CubeImage(cubes[0]), CubeImage(cubes[1])
    return fuse_images(*images, method=method, options=options, psf=psf, srf=srf, ratio=ratio, progress=progress)[0]


def fuse_images(
    hs: Image | CubeImage,
    ms: Image | CubeImage,
    *,
    method: str,
    options: Options,
    psf: GivenPSF = None,
    srf: GivenSRF = None,
    ratio: int | None = None,
    pair: Pair | None = None,
    check: Callable[[Pair], None] = lambda pair: None,
    progress: Progress = ignore,
) -> tuple[xr.DataArray, Fusion]:
    """The result of two images in one piece, and what it was made with.

    pair: what `pair_of` gives of them, if known. check: raises where it does not allow what the caller wants.

    Raises: InputError as `fuse`.
    """
    find_method(method)
    pair = pair or pair_of(hs, ms, options, psf=psf, ratio=ratio)
    check(pair)
    fusion = learn_pair(pair, method, options, psf=psf, srf=srf, progress=part_of(progress, 0, 0.5))
    pair = fusion.pair
    whole = pair.whole()
    estimate = fusion.sharpen(whole, part_of(progress, 0.5, 1)) if fusion.made is None else fusion.made
    missing = missing_pixels(whole)
    values = finished(estimate, missing, pair, result_type(pair, gaps=bool(missing.any())))
    sharp = fusion.record.on(on_fine_grid(values, pair.placement))
    progress(1.0)
    return sharp, fusion
