"""Patches: on the ratio grid, degraded whole, and a function of (seed, k) alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hypersharp.errors import InputError, OutputError
from hypersharp.sensor import psf
from hypersharp.sensor.observe import Sensor
from hypersharp.train.patches import (
    ORIENTATIONS,
    RoundSampler,
    TrainingScene,
    kept,
    orient,
    patch_stream,
    prepare_scenes,
    whole_scene,
)

OFF_CENTRE = Sensor(psf.gaussian(3, 0.5, ratio=4, start=2), np.array([[0.2, 0.3, 0.5]]), 4)


def random_scene(seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((3, 48, 64), dtype=np.float32)


@pytest.fixture
def scene(tmp_path: Path) -> TrainingScene:
    return prepare_scenes({"a": random_scene}, OFF_CENTRE, tmp_path)[0]


@pytest.mark.parametrize("orientation", range(ORIENTATIONS))
def test_a_patch_is_a_piece_of_the_turned_scene_degraded_whole(scene: TrainingScene, orientation: int) -> None:
    """Also where the PSF is off the centre, so that turning a finished pair would be wrong."""
    turned = torch.from_numpy(np.ascontiguousarray(orient(random_scene(), orientation)))
    whole_hs, whole_ms = OFF_CENTRE.observe(turned)
    hs, ms, truth = scene.patch(orientation, (0.5, 0.25), coarse_px=4, ratio=4)
    y, x = int(0.5 * (whole_hs.shape[1] - 3)), int(0.25 * (whole_hs.shape[2] - 3))
    fine = slice(4 * y, 4 * y + 16), slice(4 * x, 4 * x + 16)
    torch.testing.assert_close(hs, whole_hs[:, y : y + 4, x : x + 4])
    torch.testing.assert_close(ms, whole_ms[:, *fine])
    torch.testing.assert_close(truth, turned[:, *fine])


def test_prepared_scenes_are_reused(tmp_path: Path) -> None:
    prepare_scenes({"a": random_scene}, OFF_CENTRE, tmp_path)

    def unread() -> NDArray[np.float32]:
        raise AssertionError("read again")

    assert prepare_scenes({"a": unread}, OFF_CENTRE, tmp_path)[0].truth.shape == (3, 48, 64)


def test_the_arrays_of_a_process_that_was_first_stay(tmp_path: Path) -> None:
    """Another process makes the same ones at the same time, and may be reading them by now."""
    images, first = {"a": np.zeros(3, np.float32)}, list[int]()

    def make() -> dict[str, NDArray[np.float32]]:
        kept(tmp_path / "scene", lambda: images)  # the other one
        first.append((tmp_path / "scene").stat().st_ino)
        return images

    assert list(kept(tmp_path / "scene", make)) == ["a"]
    assert [(tmp_path / "scene").stat().st_ino] == first
    assert [entry.name for entry in tmp_path.iterdir()] == ["scene"]


def test_a_scene_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OutputError, match="no space left"):
        prepare_scenes({"a": random_scene}, OFF_CENTRE, tmp_path / "scenes")
    assert list((tmp_path / "scenes").iterdir()) == []


def test_a_patch_depends_on_seed_and_index_alone(scene: TrainingScene) -> None:
    stream, again, other = (patch_stream([scene], 4, 16, seed) for seed in (1, 1, 2))
    _ = stream[3]
    assert all(torch.equal(a, b) for a, b in zip(stream[7], again[7], strict=True))
    assert not torch.equal(stream[7][2], other[7][2])


def test_devices_share_each_global_batch() -> None:
    """Two devices see in each step what one device sees in that step."""
    one, first, second = RoundSampler(3, 4), RoundSampler(3, 4, 0, 2), RoundSampler(3, 4, 1, 2)
    for sampler in (one, first, second):
        sampler.set_epoch(5)
    shares = [np.array(list(s)).reshape(3, -1) for s in (first, second)]
    assert np.array_equal(np.sort(np.hstack(shares)), np.array(list(one)).reshape(3, 4))
    assert next(iter(one)) == 60


@pytest.mark.parametrize(("patch_px", "message"), [(18, "multiple of the ratio"), (64, "pixels wide")])
def test_patches_that_cannot_be_cut_are_refused(scene: TrainingScene, patch_px: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        patch_stream([scene], 4, patch_px, seed=0)


@pytest.mark.parametrize("orientation", [0, 3, 6])
def test_a_start_explains_the_turned_pair(tmp_path: Path, orientation: int) -> None:
    whole = prepare_scenes({"a": random_scene}, OFF_CENTRE, tmp_path, start_weight=1e-3)[0]
    assert whole.start is not None
    _, ms, _, start = whole.patch(orientation, (0.0, 0.0), coarse_px=whole.hs[orientation].shape[1], ratio=4)
    assert start.shape[1:] == ms.shape[1:]
    seen = OFF_CENTRE.observe(torch.from_numpy(np.array(whole.start[orientation])))
    assert (seen[0] - torch.from_numpy(np.array(whole.hs[orientation]))).abs().mean() < 0.01
    torch.testing.assert_close(seen[1][:, : ms.shape[1], : ms.shape[2]], ms, atol=0.02, rtol=0)
    assert len(whole_scene([whole], 0)) == 4
