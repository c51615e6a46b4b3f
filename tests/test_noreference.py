"""Quality without a truth: the definitions written out slowly, outside numbers, what must be zero, what must not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hypersharp.errors import InputError
from hypersharp.quality.judge import (
    best_partner,
    block_side,
    d_lambda,
    d_lambda_khan,
    d_s,
    qnr,
    quality_matrix,
    residuals,
)

RATIO, BANDS, SIDE = 4, 4, 24  # SIDE coarse pixels: 3 x 3 blocks
Array = NDArray[np.float64]


def images(seed: int = 0) -> tuple[Array, Array, Array, Array]:
    """estimate, hs, ms, coarse ms: unrelated noise on a common pattern."""
    random = np.random.default_rng(seed)

    def image(bands: int, side: int) -> Array:
        pattern = np.sin(np.arange(side) * 50 / side)[:, None] + np.cos(np.arange(side) * 31 / side)
        weights = random.uniform(0.5, 1.5, (bands, 1, 1))
        return np.asarray(2 + weights * pattern + 0.3 * random.standard_normal((bands, side, side)))

    return image(BANDS, RATIO * SIDE), image(BANDS, SIDE), image(2, RATIO * SIDE), image(2, SIDE)


def enlarged(image: Array) -> Array:
    return image.repeat(RATIO, axis=1).repeat(RATIO, axis=2)


def slow_quality(a: Array, b: Array, side: int) -> float:
    """Wang and Bovik's index of two bands (y, x), block by block, by the book."""
    found = []
    for y in range(0, len(a), side):
        for x in range(0, len(a), side):
            p, q = a[y : y + side, x : x + side].ravel(), b[y : y + side, x : x + side].ravel()
            (var_p, cov), (_, var_q) = np.cov(p, q, bias=True)
            found.append(4 * cov * p.mean() * q.mean() / ((var_p + var_q) * (p.mean() ** 2 + q.mean() ** 2)))
    return float(np.mean(found))


def test_d_lambda_by_the_book() -> None:
    estimate, hs, _, _ = images()
    fine, coarse = RATIO * block_side(RATIO), block_side(RATIO)
    gaps = [
        abs(slow_quality(estimate[a], estimate[b], fine) - slow_quality(hs[a], hs[b], coarse))
        for a in range(BANDS)
        for b in range(BANDS)
        if a != b
    ]
    assert d_lambda(estimate, hs) == pytest.approx(np.mean(gaps), rel=1e-12)


def test_d_s_by_the_book() -> None:
    estimate, hs, ms, coarse_ms = images()
    fine, coarse = RATIO * block_side(RATIO), block_side(RATIO)
    gaps = []
    for band in range(BANDS):
        rho = [np.corrcoef(hs[band].ravel(), other.ravel())[0, 1] for other in coarse_ms]
        k = int(np.argmax(rho))
        gaps.append(abs(slow_quality(estimate[band], ms[k], fine) - slow_quality(hs[band], coarse_ms[k], coarse)))
    assert d_s(estimate, hs, ms, coarse_ms) == pytest.approx(np.mean(gaps), rel=1e-12)


def test_khan_by_the_book() -> None:
    _, hs, _, _ = images()
    degraded = hs + 0.2 * np.random.default_rng(1).standard_normal(hs.shape)
    found = [slow_quality(a, b, block_side(RATIO)) for a, b in zip(degraded, hs, strict=True)]
    assert d_lambda_khan(degraded, hs, ratio=RATIO) == pytest.approx(1 - np.mean(found), rel=1e-12)


def test_enlarged_images_relate_as_they_did() -> None:
    _, hs, _, coarse_ms = images()
    assert d_lambda(enlarged(hs), hs) == pytest.approx(0, abs=1e-12)
    assert d_s(enlarged(hs), hs, enlarged(coarse_ms), coarse_ms) == pytest.approx(0, abs=1e-12)
    assert d_lambda_khan(hs, hs, ratio=RATIO) == pytest.approx(0, abs=1e-12)
    np.testing.assert_array_equal(residuals(hs, hs), 0)
    assert qnr(0, 0) == 1


def test_shifted_colours_are_seen() -> None:
    _, hs, _, _ = images()
    shifted = enlarged(hs)
    shifted[0] = 4 - shifted[0]
    assert d_lambda(shifted, hs) > 0.1


def test_missing_detail_is_seen() -> None:
    _, hs, ms, coarse_ms = images()
    flat = np.full_like(enlarged(hs), 2.0)
    assert d_s(flat, hs, ms, coarse_ms) > d_s(enlarged(hs), hs, ms, coarse_ms)


def test_residuals_are_relative_and_by_band() -> None:
    _, hs, _, _ = images()
    factors = np.array([1.0, 1.1, 0.5, 0.0])[:, None, None]
    np.testing.assert_allclose(residuals(factors * hs, hs), [0, 0.1, 0.5, 1], atol=1e-12)
    assert np.isnan(residuals(hs, 0 * hs)).all()


@pytest.mark.parametrize("garbage", [np.nan, 1e9])
def test_missing_pixels_count_nowhere(garbage: float) -> None:
    """Whatever lies where one of the images is NaN."""
    estimate, hs, ms, coarse_ms = images()

    def values(filler: float) -> list[float]:
        z, y = estimate.copy(), hs.copy()
        y[:, 3, 5] = np.nan
        z[1:, 12:16, 20:24], z[0, 12:16, 20:24] = filler, np.nan
        y[1:, 7, 7], y[0, 7, 7] = filler, np.nan
        return [d_lambda(z, y), d_s(z, y, ms, coarse_ms), d_lambda_khan(coarse(z), y, ratio=RATIO)]

    def coarse(z: Array) -> Array:
        return z[:, ::RATIO, ::RATIO]

    np.testing.assert_array_equal(values(garbage), values(0.0))
    assert np.isfinite(values(0.0)).all()


def test_flat_and_dark_blocks_have_an_index() -> None:
    flat, dark = np.full((1, 9), 0.3), np.zeros((1, 9))
    assert quality_matrix(dark, dark) == 1
    both = np.concatenate([flat, 3 * flat])
    np.testing.assert_allclose(quality_matrix(both, both), [[1, 0.6], [0.6, 1]])


def test_each_band_has_the_partner_it_follows() -> None:
    _, hs, _, _ = images()
    assert best_partner(hs, hs[[2, 0]]).tolist()[0] == 1
    assert best_partner(hs, hs[[2, 0]]).tolist()[2] == 0


def test_too_small_an_image_has_no_score() -> None:
    tiny = np.ones((3, 4, 4))
    assert np.isnan([d_lambda(enlarged(tiny), tiny), d_lambda_khan(tiny, tiny, ratio=RATIO)]).all()
    assert np.isnan(d_lambda(enlarged(images()[1][:1]), images()[1][:1]))


def test_sizes_that_do_not_match_are_refused() -> None:
    estimate, hs, _, _ = images()
    with pytest.raises(InputError, match="whole ratio"):
        d_lambda(estimate[:, :-1], hs)
