"""Local regressions against numpy's least squares, window by window."""

import numpy as np
import torch

from hypersharp.numerics.regression import RIDGE, RIDGE_SHARE, SIDE_PX, regress_locally


def test_slopes_are_those_of_ridge_regression_in_each_window() -> None:
    random = torch.Generator().manual_seed(0)
    guides, targets = (torch.rand(2, bands, 7, 9, generator=random, dtype=torch.float64) for bands in (3, 4))
    found = regress_locally(targets, guides)
    assert found.shape == (2, 4, 3, 7, 9)
    half = SIDE_PX // 2
    y, x = (np.pad(image[1].numpy(), ((0, 0), (half, half), (half, half)), mode="edge") for image in (targets, guides))
    for row, column in ((0, 0), (3, 4), (6, 8)):
        window = (slice(None), slice(row, row + SIDE_PX), slice(column, column + SIDE_PX))
        of_y, of_x = (image[window].reshape(len(image), -1) for image in (y, x))
        of_y, of_x = (image - image.mean(1, keepdims=True) for image in (of_y, of_x))
        covariance = of_x @ of_x.T / SIDE_PX**2
        ridge = (RIDGE + RIDGE_SHARE * np.trace(covariance) / 3) * np.eye(3)
        expected = of_y @ of_x.T / SIDE_PX**2 @ np.linalg.inv(covariance + ridge)
        np.testing.assert_allclose(found[1, :, :, row, column].numpy(), expected, rtol=1e-6, atol=1e-8)


def test_guides_that_do_not_vary_have_no_slopes() -> None:
    slopes = regress_locally(torch.rand(1, 2, 6, 6), torch.full((1, 3, 6, 6), 0.5))
    assert float(slopes.abs().max()) < 1e-2
