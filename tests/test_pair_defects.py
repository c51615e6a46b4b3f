"""What an hs shows of its own faults: repeated lines, stripes, and a blur that is no kernel."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hypersharp.cube import make_cube
from hypersharp.fusion.fuse import fuse
from hypersharp.io.image import CubeImage
from hypersharp.pair.defects import STRIPED, defect_warnings, ms_warnings, repeated_lines, striped_lines, stripes
from hypersharp.pair.pair import check_pair
from hypersharp.pair.place import place
from hypersharp.pair.record import Record, placed_as
from hypersharp.pair.sensor import FALLEN_BACK, PairSensor
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import gaussian

RATIO, SIDE, BANDS = 2, 48, 8
SRF = np.kron(np.eye(2), np.full(4, 0.25))


def pair(noise: float = 0.003) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    draw = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, SIDE // 3, SIDE // 3, generator=draw)
    maps = torch.nn.functional.interpolate(coarse, (RATIO * SIDE, RATIO * SIDE), mode="bicubic")[0]
    scene = torch.einsum("bm,myx->byx", torch.rand(BANDS, 3, generator=draw), maps) + 0.2
    hs, ms = Sensor(gaussian(6, 1.0, RATIO, boundary="reflect"), SRF, RATIO).observe(scene)
    return (hs + noise * torch.randn(hs.shape, generator=draw)).numpy(), ms.numpy()


def test_repeated_lines_are_counted_and_named() -> None:
    hs, ms = pair()
    rows, columns = (np.rint(np.arange(SIDE) * step).astype(int) for step in (0.8, 1.0))
    repeated = hs[:, rows][:, :, columns]
    shares = repeated_lines(repeated)
    assert abs(shares["rows"] - 0.2) < 0.03 and shares["columns"] == 0
    assert repeated_lines(hs) == {"rows": 0.0, "columns": 0.0}
    gone = np.full_like(hs, np.nan)
    gone[:, 5:, :] = 0.5  # one value everywhere says nothing
    assert repeated_lines(gone) == {"rows": 0.0, "columns": 0.0}
    [said] = defect_warnings(repeated)
    assert "hs repeats 19% of its rows" in said and "columns" not in said
    gap = repeated.copy()
    gap[:, 20, 20] = np.nan  # with which it is not taken back to its own pixels
    assert said in str(Record.of(fuse(make_cube(gap), make_cube(ms), method="bicubic")))
    assert "hs repeats" not in str(Record.of(fuse(make_cube(repeated), make_cube(ms), method="bicubic")))


def test_stripes_are_told_from_noise_and_texture() -> None:
    hs, _ = pair()
    gains = 1 + 0.03 * np.random.default_rng(1).normal(size=(BANDS, 1, SIDE)).astype(np.float32)
    found = stripes(hs * gains)
    assert found["columns"] > 2 * STRIPED and found["rows"] < STRIPED / 2
    assert max(stripes(hs).values()) < STRIPED / 2 and max(stripes(np.ones_like(hs)).values()) == 1
    assert list(defect_warnings(hs)) == []
    assert striped_lines(hs) == [] and striped_lines(hs * gains) == ["columns"]


@pytest.mark.parametrize("kind", ["gain", "offset"])
def test_stripes_are_removed_whatever_their_kind_and_direction(kind: str) -> None:
    hs, ms = pair()
    drawn = 0.03 * np.random.default_rng(1).normal(size=(BANDS, SIDE, 1)).astype(np.float32)
    spoilt = hs * (1 + drawn) if kind == "gain" else hs + 0.5 * drawn
    placed = check_pair(place(CubeImage(make_cube(spoilt)), CubeImage(make_cube(ms))), scale=1.0)
    left, before = (float(np.square(image - hs).mean()) for image in (placed.whole().hs.numpy(), spoilt))
    assert left < before / 8
    (note,) = (note for note in placed.placement.notes if "stripes along the rows" in note)
    share = int(note.split("%")[0].split()[-1])
    assert share > 70 if kind == "gain" else share < 30
    part = placed.read((8, 4, 16, 20)).hs
    torch.testing.assert_close(part, placed.whole().hs[:, 8:24, 4:24])


def test_stripes_are_kept_where_that_is_asked_for_and_nothing_is_changed_where_there_are_none() -> None:
    hs, ms = pair()
    drawn = 0.03 * np.random.default_rng(1).normal(size=(BANDS, 1, SIDE)).astype(np.float32)
    for values, destripe in ((hs, True), (hs * (1 + drawn), False)):
        sharp = fuse(make_cube(values), make_cube(ms), method="bicubic", scale=1.0, destripe=destripe)
        plain = check_pair(place(CubeImage(make_cube(values)), CubeImage(make_cube(ms))), destripe=False)
        assert not plain.placement.stripes
        assert ("keeps stripes" in str(Record.of(sharp))) is (not destripe)
        assert "removed" not in str(Record.of(sharp))


def test_where_a_cloud_hides_the_blur_the_pixel_size_stands_for_it() -> None:
    hs, ms = pair()
    y, x = np.meshgrid(*(np.linspace(-1, 1, SIDE),) * 2, indexing="ij")
    cover = 1 / (1 + np.exp(20 * ((y - 0.3) ** 2 + (x + 0.2) ** 2 - 0.2)))
    cloudy = (hs * (1 - cover) + 0.9 * cover).astype(np.float32)
    sensor = PairSensor(TensorPair(torch.from_numpy(cloudy), torch.from_numpy(ms)))
    assert sensor.is_doubtful and sensor.estimate.blur == FALLEN_BACK
    assert any("no kernel explains hs" in note for note in sensor.notes)
    clear = PairSensor(TensorPair(torch.from_numpy(hs), torch.from_numpy(ms)))
    assert clear.estimate.blur != FALLEN_BACK and not clear.is_doubtful


def test_a_cloud_that_ms_does_not_have_is_left_out_where_a_sensor_explains_the_rest() -> None:
    hs, ms = pair()
    y, x = np.meshgrid(*(np.linspace(-1, 1, SIDE),) * 2, indexing="ij")
    cover = 1 / (1 + np.exp(40 * ((y - 0.3) ** 2 + (x + 0.2) ** 2 - 0.1)))
    cloudy, fine = (make_cube(image) for image in ((hs * (1 - cover) + 0.9 * cover).astype(np.float32), ms))
    sharp = fuse(cloudy, fine, method="gsa")
    missing, covered = np.isnan(sharp.values).any(0), np.kron(cover, np.ones((RATIO, RATIO))) > 0.1
    assert missing[covered].all() and missing.mean() < 0.5
    assert "shows something else than ms" in str(Record.of(sharp))
    again = placed_as(sharp, cloudy, fine).whole().hs_valid
    assert again is not None and torch.equal(again, ~torch.from_numpy(missing[::RATIO, ::RATIO]))
    kept = fuse(cloudy, fine, method="gsa", keep_changed=True)
    assert np.isfinite(kept.values).all() and "something else" not in str(Record.of(kept))
    assert np.isfinite(fuse(make_cube(hs), fine, method="gsa").values).all()


def test_stripes_of_ms_are_said() -> None:
    hs, ms = pair()
    draw = np.random.default_rng(1)
    ms = ms + 0.01 * draw.normal(size=ms.shape).astype(np.float32)
    assert list(ms_warnings(ms)) == [] and list(ms_warnings(ms[:1])) == []
    striped = ms.copy()
    striped[1] *= 1 + 0.03 * draw.normal(size=(1, ms.shape[2])).astype(np.float32)
    found = check_pair(place(CubeImage(make_cube(hs)), CubeImage(make_cube(striped)), coregister="none"))
    assert [text for text in found.warnings if "ms is striped along its columns: " in text]


def test_gaps_are_no_stripes() -> None:
    """Filled from the nearest pixel, they would be the same along lines."""
    hs, _ = pair()
    for columns in (1, 2, 5, 9, 20):
        gappy = hs.copy()
        gappy[:, :, columns:] = np.nan
        assert striped_lines(gappy) == []
    striped = hs * (1 + 0.05 * np.random.default_rng(0).standard_normal((BANDS, SIDE, 1)))
    striped[:, :, 20:] = np.nan
    assert striped_lines(striped) == ["rows"]


def test_haze_is_no_change_and_a_change_is_no_more_than_it_is() -> None:
    hs, ms = pair(0)
    hazy = (0.85 * ms + np.array([0.1, 0.03])[:, None, None]).astype(np.float32)
    assert not np.isnan(fuse(make_cube(hs), make_cube(hazy), method="gsa").values).any()
    changed = hs.copy()
    changed[:, 20:24, 30:34] = 0.9
    missing = np.isnan(fuse(make_cube(changed), make_cube(ms), method="gsa").values).any(0)
    assert missing[41:47, 61:67].all() and missing.sum() < RATIO**2 * 12**2


def test_the_share_left_out_is_that_of_the_scene_though_only_a_sample_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from hypersharp.pair import sample

    hs, ms = pair()
    y, x = np.mgrid[:SIDE, :SIDE]
    cloudy = np.where((y - 24) ** 2 + (x - 24) ** 2 < 80, 0.9, hs).astype(np.float32)
    monkeypatch.setattr(sample, "MOST_COARSE", 40)
    monkeypatch.setattr(sample, "LEAST_RUN", 10)
    sharp = fuse(make_cube(cloudy), make_cube(ms), method="gsa", coregister="none")
    record = Record.of(sharp)
    missing = float(np.isnan(sharp.values).any(0).mean())
    assert missing > 0.05 and record.left_out["hs"]["share"] == pytest.approx(missing, abs=0.06)
