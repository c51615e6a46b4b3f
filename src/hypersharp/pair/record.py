"""What was done to make a result, as data: kept as JSON in its attributes, shown to people by `str`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import shape_text
from hypersharp.errors import CallError, InputError
from hypersharp.io.image import CubeImage
from hypersharp.pair.changes import CHANGED_ABOVE, Changes
from hypersharp.pair.options import Options
from hypersharp.pair.pair import Pair, check_pair
from hypersharp.pair.place import place
from hypersharp.pair.sensor import PairSensor
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import PSF
from hypersharp.sensor.spectra import coverage_notes
from hypersharp.system.build_info import release

ATTRIBUTE = "hypersharp"
WARNING = "warning: "


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a result was made of and how; `print(Record.of(sharp))` is the summary people read.

    Attributes:
        version: of hypersharp.
        method: that made the result.
        inputs: path and shape of "hs" and "ms".
        placement: what `pair.place` takes to place them again.
        placed: what it did, in words.
        scale: the value that counted as 1.
        sensor: PSF, response (l, L) and which of them were given; None where nobody needed it.
        options: what differed from the defaults.
        choice: shares of the methods, consistency and ranking of "auto".
        left_out: bands and shares of pixels that were excluded.
        weights: names of those that ran.
        consistency: how far the blurred, downsampled result differs from hs, before and after.
        notes, warnings: what the methods said.
        tiles: how the scene was cut; None for a whole image.
        seconds, peak_bytes: of the run, where measured.

    >>> import hypersharp as hsp
    >>> from hypersharp.cube import make_cube
    >>> random = np.random.default_rng(0)
    >>> hs, ms = make_cube(random.random((5, 8, 8))), make_cube(random.random((1, 16, 16)))
    >>> Record.of(hsp.fuse(hs, ms, method="bicubic")).method
    'bicubic'
    """

    version: str
    method: str
    inputs: Mapping[str, Any]
    placement: Mapping[str, Any]
    placed: Sequence[str]
    scale: float
    sensor: Mapping[str, Any] | None
    options: Mapping[str, Any]
    choice: Mapping[str, Any]
    left_out: Mapping[str, Mapping[str, float]]
    weights: Sequence[str]
    consistency: Mapping[str, float] | None
    notes: Sequence[str]
    warnings: Sequence[str]
    tiles: str | None = None
    seconds: float | None = None
    peak_bytes: int | None = None

    @classmethod
    def of(cls, result: xr.DataArray) -> "Record":
        """The record of a result of `fuse`.

        Raises: CallError for a cube that has none; InputError for one that cannot be read.
        """
        text = result.attrs.get(ATTRIBUTE)
        if text is None:
            raise CallError("a result without a record of how it was made", "one of `fuse`", "name the method")
        try:
            known = {field.name for field in fields(cls)}
            return cls(**{name: value for name, value in json.loads(str(text)).items() if name in known})
        except (ValueError, TypeError, AttributeError) as exc:
            raise InputError("a record that cannot be read", "one that `fuse` wrote", "fuse the images again") from exc

    @classmethod
    def find(cls, result: xr.DataArray) -> "Record | None":
        """The record of a result, None where it has none that can be read."""
        try:
            return cls.of(result)
        except (CallError, InputError):
            return None

    def on(self, result: xr.DataArray) -> xr.DataArray:
        """The result with this record in its attributes."""
        return result.assign_attrs({ATTRIBUTE: json.dumps(asdict(self))})

    def known_sensor(self) -> Sensor | None:
        """The sensor that the result was made with, None where PSF or response is unknown."""
        psf, srf = self.known_psf_and_srf()
        return None if psf is None or srf is None else Sensor(psf, srf, self.placement["ratio"])

    def known_psf_and_srf(self) -> tuple[PSF | None, NDArray[np.float64] | None]:
        """PSF and response as far as they were given or estimated."""
        psf, srf = (None, None) if self.sensor is None else (self.sensor["psf"], self.sensor["srf"])
        return psf and PSF.from_dict(psf), None if srf is None else np.array(srf, dtype=np.float64)

    def took(self, **measured: Any) -> "Record":
        """The same with `seconds`, `peak_bytes` or `tiles`."""
        return replace(self, **measured)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """Formatted for display, a fact a line."""
        yield from self.decisions(ranking=True)
        yield from (f"{WARNING}{text}" for text in self.warnings)

    def decisions(self, *, ranking: bool = False) -> Iterator[str]:
        """The same without warnings and, by default, without the table of candidates."""
        yield f"method {self.method}, ratio {self.placement['ratio']}, scale {self.scale:g}"
        yield from self.placed
        for name in ("hs", "ms"):
            left = self.left_out[name]
            if left["bands"]:
                yield f"{left['bands']:g} of {self.inputs[name]['shape'][0]} {name} bands left out, bad or empty"
            if left["pixels"]:
                yield f"{left['pixels']} {name} pixels ({left['share']:.1%}) left out"
        if self.choice["why"]:
            yield self.choice["why"]
        if ranking and self.choice["ranking"]:
            for name, *cells in ranking_rows(self.choice["ranking"]):
                yield f"{name:<12} " + " ".join(f"{cell:>9}" for cell in cells)
        if self.choice["skipped"]:
            yield f"skipped: {', '.join(self.choice['skipped'])}"
        yield from self.notes
        if self.consistency is not None:
            c = self.consistency
            changed = f"consistency: {c['bands_changed']} of {c['bands']} bands changed"
            yield f"{changed}, the degraded result differs from hs by {c['after']:.2%}, was {c['before']:.2%}"
        if self.tiles:
            yield self.tiles


def placed_as(sharp: xr.DataArray, hs: xr.DataArray, ms: xr.DataArray) -> Pair:
    """The pair that a result was made of: placed as in its record; without one as `fuse` places other grids.

    Raises: InputError as `place` and `check_pair`, and for images of another size than those that it was made of.
    """
    record, images = Record.find(sharp), (CubeImage(hs), CubeImage(ms))
    if record is not None:
        check_own(record, hs, ms)
        destripe, despike = record.options.get("destripe", True), not record.options.get("keep_changed", False)
        placed = place(*images, known=dict(record.placement))
        pair = check_pair(placed, scale=record.scale, destripe=destripe, despike=despike)
        limit, sensor = record.left_out["hs"].get(CHANGED_ABOVE), record.known_sensor()
        if limit is None or sensor is None:
            return pair
        return pair.without(Changes.of(pair.to_learn_from(in_parts=False), sensor, limit))
    placement = place(*images, coregister="none")
    if sharp.shape[1:] != placement.fine.shape_yx:
        placement = place(*images, frame="hs")
    return check_pair(placement)


def check_own(record: Record, hs: xr.DataArray, ms: xr.DataArray) -> None:
    """Raise an InputError unless the images have the sizes of those that a result was made of, as a part has not."""
    for name, image in (("hs", hs), ("ms", ms)):
        made_of = tuple(record.inputs[name]["shape"])
        reduced = name == "hs" and record.placement.get("native")  # an enlarged one counts as taken back
        if image.shape != made_of and not reduced:
            found = (
                f"{name} of {shape_text(image)} for a result that was made of one of {' x '.join(map(str, made_of))}"
            )
            raise InputError(found, "the images it was made of", "give hs, ms and the result whole")


def record_of(
    pair: Pair,
    method: str,
    options: Options,
    sensor: PairSensor,
    notes: Sequence[str],
    *,
    sees_ms: bool,
    **learned: Any,
) -> Record:
    """The record of a fusion; notes: those of its methods, warnings among them; learned: its other fields.

    sees_ms: whether the result has detail of the ms.
    """
    plain = [note for note in notes if not note.startswith(WARNING)]
    warned = [note.removeprefix(WARNING) for note in notes if note.startswith(WARNING)]
    images = (("hs", pair.placement.hs), ("ms", pair.placement.ms))
    inputs = {
        name: {"path": image.path and str(image.path), "shape": list(image.outline().shape)} for name, image in images
    }
    return Record(
        version=release(),
        method=method,
        inputs=inputs,
        placement=pair.placement.described(),
        placed=[
            *(f"{name}: {line}" for name, image in images for line in image.said()),
            *pair.placement.notes,
            *(coverage_notes(pair.spectra) if sees_ms else []),
        ],
        scale=pair.unit,
        sensor=described(sensor),
        options=options.chosen(),
        left_out=pair.left_out,
        notes=tuple(dict.fromkeys([*sensor.notes, *plain])),
        warnings=tuple(dict.fromkeys([*pair.warnings, *sensor.warnings, *warned])),
        **learned,
    )


def described(sensor: PairSensor) -> dict[str, Any] | None:
    """The sensor, as far as it was given or estimated, as plain data, JSON-able."""
    psf, srf = sensor.given_psf, sensor.given_srf
    given = [name for name, value in (("psf", psf), ("srf", srf)) if value is not None]
    if not sensor.is_estimated and not given:
        return None
    if sensor.is_estimated:
        psf, srf = sensor.sensor.psf, sensor.sensor.srf
    return {
        "psf": psf and psf.to_dict(),
        "srf": None if srf is None else srf.tolist(),
        "given": given,
        "residual": sensor.estimate.residual if sensor.is_estimated else None,
    }


def ranking_rows(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The candidates of `auto`, best first, as cells of text under a heading."""
    cells = [
        [row["candidate"], *(f"{row[name]:.2f}" for name in ("psnr_db", "sam_deg", "ergas")), f"{row['seconds']:.1f}"]
        for row in rows
    ]
    return [["candidate", "PSNR dB", "SAM deg", "ERGAS", "s (about)"], *cells]
