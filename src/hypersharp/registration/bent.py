"""Whether a displacement is more than a shift: an affine map or a smooth field, chosen by tiles it was not fitted to.

The field is one of cubic B-splines, its bending held back (a ridge found by leaving tiles out); Gauss-Newton as for a
shift. Shifts and affine maps are fields too, so that all are judged on the same equations: each tile in turn is left
out, and a richer model is taken only where it clearly predicts the tiles better, and lies elsewhere.
A tile whose misfit is far above the others' shows something else (a cloud, a changed place) and does not count.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import isqrt
from typing import Any

import numpy as np
import torch

from hypersharp.registration.displaced import Fit, Scene, linearised, targets_of
from hypersharp.registration.field import AFFINE, LEAST_SPLINES, SHIFT, as_splines, bending
from hypersharp.sensor.tables import FloatArray, Mask

MOST_TILES, LEAST_TILE_PX, LEAST_TILES = 8, 3, 8  # along either side; coarse pixels of a tile; tiles that agree
SPLINE_PX, MOST_SPLINES = 5, 10  # coarse pixels between splines; splines along a side
LEAST_FIELD_PX = 12  # coarse pixels along the shorter side, less shows no field
RIDGES = 10.0 ** np.arange(-7.0, 2.0)  # of the bending, against what the tiles say
STEPS, SETTLED_PX = 10, 0.01
OUTLIER = 5.0  # times the median misfit of a pixel
EVIDENCE = 2.5  # standard errors by which a richer model must predict better
LEAST_BENT_PX = 0.1  # root mean square by which a richer model must differ
LARGEST_LEFT = 0.25  # of a coarse pixel: what tiles may still disagree by; beyond, no one displacement explains them
LEAST_AGREEING = 0.6  # of the tiles
STIFF = 1e-9  # of the mean diagonal, keeps a system solvable where tiles say nothing


@dataclass(frozen=True, eq=False)
class Model:
    """Coefficients of splines (2K,) along `axes` (2K, m), their bending held back by `ridge`."""

    axes: FloatArray
    ridge: float = 0.0


@dataclass(frozen=True, eq=False)
class Tiles:
    """What each tile says: (T, 2K, 2K) and (T, 2K), of the change from the splines' `place` (2K,)."""

    normal: FloatArray
    rhs: FloatArray
    place: FloatArray

    @cached_property
    def sums(self) -> tuple[FloatArray, FloatArray]:
        """Of all tiles."""
        return self.normal.sum(0), self.rhs.sum(0)

    @cached_property
    def bending(self) -> FloatArray:
        """(2K, 2K), of the mean diagonal that the tiles' sum has."""
        bend = np.kron(np.eye(2), bending(isqrt(len(self.place) // 2)))
        return np.asarray(bend * (np.trace(self.sums[0]) / np.trace(bend)))

    def solved(self, model: Model) -> FloatArray:
        """The model's coefficients (2K,)."""
        return np.asarray(self._solved(model, *(total[None] for total in self.sums))[0])

    def misfits(self, model: Model) -> FloatArray:
        """(T,): how badly each tile is predicted by the others, up to a constant."""
        others = (total - part for total, part in zip(self.sums, (self.normal, self.rhs), strict=True))
        steps = self._solved(model, *others) - self.place
        seen = (self.normal @ steps[..., None])[..., 0] - 2 * self.rhs
        return np.asarray((seen * steps).sum(1))

    def freest(self) -> Model:
        """A field, its bending held back as tiles that are left out ask for."""
        fields = [Model(np.eye(len(self.place)), ridge) for ridge in RIDGES]
        return min(fields, key=lambda model: float(self.misfits(model).sum()))

    def _solved(self, model: Model, normal: FloatArray, rhs: FloatArray) -> FloatArray:
        """(n, 2K) for equations (n, 2K, 2K) and (n, 2K)."""
        held = normal + model.ridge * self.bending if model.ridge else normal
        system = model.axes.T @ held @ model.axes if model.axes.shape[1] < len(self.place) else held
        stiff = STIFF * np.trace(system, axis1=1, axis2=2) / system.shape[1]
        system = system + stiff[:, None, None] * np.eye(system.shape[1])
        wanted = (normal @ self.place + rhs) @ model.axes
        # by torch: on a machine at work, numpy's threads wait 200 times as long for each other; one by one: in batches
        # MKL's factors are wrong where a program has set torch's number of threads
        pairs = zip(torch.from_numpy(system), torch.from_numpy(wanted), strict=True)
        found = torch.stack([torch.linalg.solve(one, side) for one, side in pairs]).numpy()
        return np.asarray(found @ model.axes.T)

    def left_px(self, coefficients: FloatArray) -> float:
        """The root mean square of the shifts that tiles would still make on their own, by how much each says."""
        ones = np.kron(np.eye(2), np.ones((len(self.place) // 2, 1)))
        normal = np.einsum("im,tij,jn->tmn", ones, self.normal, ones)
        rhs = (self.rhs - np.einsum("tij,j->ti", self.normal, coefficients - self.place)) @ ones
        shifts = np.array([np.linalg.lstsq(one, side, rcond=None)[0] for one, side in zip(normal, rhs, strict=True)])
        return float(np.sqrt(np.average((shifts**2).sum(1), weights=np.trace(normal, axis1=1, axis2=2))))


def bend(scene: Scene, srf: FloatArray | None, shift: Fit, *, affine_only: bool) -> dict[str, Any] | None:
    """The affine map or field that the tiles ask for beyond a shift, None where they do not.

    As fields of a `Registration`: `coefficients`, `correlation`, `tie_points` and `residual_px`.
    """
    sides = scene.hs.shape[1:]
    affine_only = affine_only or min(sides) < LEAST_FIELD_PX
    count = LEAST_SPLINES if affine_only else min(MOST_SPLINES, min(sides) // SPLINE_PX + 3)
    tiles_y, tiles_x = (max(1, min(MOST_TILES, side // LEAST_TILE_PX)) for side in sides)
    scene = replace(scene, terms=count**2, tiles_yx=(tiles_y, tiles_x))
    models = straight_models(count)
    fit, free = replace(shift, coefficients=as_splines(shift.coefficients, count)), models[-1]
    for step in range(STEPS):
        fit, tiles, kept = equations(scene, srf, fit)
        if kept.sum() < LEAST_TILES:
            return None
        if not affine_only and step < 2:
            free = tiles.freest()
        if step == 0 and simplest(tiles, [*models, free], scene.basis) is models[0]:
            return None
        moved = np.clip(tiles.solved(free) - tiles.place, -scene.ratio, scene.ratio)
        fit = replace(fit, coefficients=fit.coefficients + moved.reshape(2, -1))
        if np.abs(moved).max() < SETTLED_PX:
            break
    fit, tiles, kept = equations(scene, srf, fit)
    chosen = simplest(tiles, [*models, free], scene.basis)
    if chosen is models[0]:
        return None
    found = tiles.solved(chosen)
    left_px = tiles.left_px(found)
    if left_px > LARGEST_LEFT * scene.ratio or kept.mean() < LEAST_AGREEING:
        return None
    coefficients = found.reshape(2, -1)
    fit = linearised(scene, targets_of(scene, srf, coefficients, fit.sigma_px), coefficients, fit.sigma_px)
    if chosen is models[1]:
        coefficients = as_affine(coefficients)
    agree = int(kept.sum()), len(kept)
    return {"coefficients": coefficients, "correlation": fit.correlation, "tie_points": agree, "residual_px": left_px}


def equations(scene: Scene, srf: FloatArray | None, fit: Fit) -> tuple[Fit, Tiles, Mask]:
    """The fit and its equations at the displacement it has, and which tiles agree with the others.

    Those are the tiles whose misfit of a pixel is not far above the median.
    """
    targets = targets_of(scene, srf, fit.coefficients, fit.sigma_px)
    fit = linearised(scene, targets, fit.coefficients, fit.sigma_px)
    counts = np.bincount(scene.tiles[scene.counted(fit.coefficients, fit.sigma_px)], minlength=scene.tile_count)
    misfit = fit.squares.sum(0) / np.maximum(counts, 1)
    enough = counts >= LEAST_TILE_PX
    kept = enough & (misfit <= OUTLIER * np.median(misfit[enough]) if enough.any() else enough)
    normal, rhs = fit.normal.sum(0)[kept, :-1, :-1], fit.rhs.sum(0)[kept, :-1]
    return fit, Tiles(normal, rhs, fit.coefficients.ravel()), kept


def straight_models(count: int) -> list[Model]:
    """A shift and an affine map, as count x count splines."""
    straight = as_splines(np.eye(AFFINE), count).T  # (K, 3)
    return [Model(np.asarray(np.kron(np.eye(2), straight[:, :terms]), np.float64)) for terms in (SHIFT, AFFINE)]


def as_affine(coefficients: FloatArray) -> FloatArray:
    """Coefficients (2, 3) of the affine map that splines (2, K) make."""
    straight = as_splines(np.eye(AFFINE), isqrt(coefficients.shape[1])).T
    return np.asarray(np.linalg.lstsq(straight, coefficients.T, rcond=None)[0].T, np.float64)


def simplest(tiles: Tiles, models: list[Model], basis: FloatArray) -> Model:
    """The first model that none after it beats clearly; basis: (K, n), the splines where models are compared."""
    chosen, misfits = models[0], tiles.misfits(models[0])
    for model in models[1:]:
        gains = misfits - (richer := tiles.misfits(model))
        apart = (tiles.solved(model) - tiles.solved(chosen)).reshape(2, -1) @ basis
        bent_px = float(np.sqrt((apart**2).sum(0).mean()))
        if gains.sum() > EVIDENCE * np.sqrt(len(gains)) * gains.std() and bent_px > LEAST_BENT_PX:
            chosen, misfits = model, richer
    return chosen
