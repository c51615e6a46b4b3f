"""Pictures: colours follow wavelengths, figures save whole or not at all."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hypersharp.cube import make_cube
from hypersharp.errors import InputError, OutputError
from hypersharp.io.together import save_figure
from hypersharp.plot.colour import composite, rgb_weights, true_mix
from hypersharp.plot.errors import rms_error
from hypersharp.plot.figures import comparison, composites, error_map, spectra

NM = np.arange(400.0, 701.0, 10)


def scene(bands: int = 31, side: int = 16, seed: int = 0):
    values = np.random.default_rng(seed).uniform(0, 1, (bands, side, side)).astype(np.float32)
    return make_cube(values, wavelengths_nm=NM[:bands] if bands > 3 else None)


@pytest.mark.parametrize("nm", [NM, NM[::-1].copy(), np.linspace(400, 2500, 200), np.array([480.0, 560.0, 660.0])])
def test_rgb_weights_sum_to_one_and_follow_the_wavelengths(nm: np.ndarray) -> None:
    weights = rgb_weights(nm, len(nm))
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
    centres = weights @ nm
    assert centres[0] > centres[1] > centres[2]


def test_rgb_weights_outside_the_visible_take_the_nearest_band() -> None:
    weights = rgb_weights(np.linspace(1000, 2500, 50), 50)
    assert (weights @ np.linspace(1000, 2500, 50) < 1050).all()


def test_true_colour_of_a_red_scene_is_red() -> None:
    values = np.where(NM[:, None, None] > 600, 1.0, 0.01) * np.ones((31, 4, 4))
    rgb = composite(make_cube(values, wavelengths_nm=NM), true_mix(NM, 31), limits=(0, 1))
    assert rgb.shape == (4, 4, 3)
    assert (rgb[..., 0] > 0.8).all()
    assert (rgb[..., 1:] < 0.2).all()


def test_rms_error_is_over_bands() -> None:
    truth = scene()
    np.testing.assert_allclose(rms_error(truth + 0.5, truth), 0.5, rtol=1e-6)
    with pytest.raises(InputError, match="one shape"):
        rms_error(truth[:, :8], truth)


def test_figures_are_written_and_hold_what_they_show(tmp_path: Path) -> None:
    truth, estimate = scene(), scene(seed=1)
    figures = {
        "colour": composites({"a": truth, "b": estimate}),
        "error": error_map({"a": estimate, "b": truth + 0.1}, truth),
        "spectra": spectra({"a": estimate, "truth": truth}, [(2, 1), (4, 3)]),
        "all": comparison(scene(side=4), scene(bands=3), {"x": estimate}, truth, [(2, 1), (4, 3)]),
    }
    for name, figure in figures.items():
        path = save_figure(figure, tmp_path / f"{name}.png", dpi=40)
        assert np.asarray(Image.open(path)).std() > 5
    curve = figures["spectra"].axes[0].lines[0]
    np.testing.assert_allclose(curve.get_xdata(), NM)
    np.testing.assert_allclose(curve.get_ydata(), estimate.values[:, 1, 2])


def test_a_figure_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(OutputError, match="folder"):
        save_figure(composites(scene()), blocked / "figure.png")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
