"""A blend of estimates: the weights, none negative and of sum one, that bring their mean nearest to the truth.

Stacked regression: Wolpert 1992, Neural Networks 5(2); with such weights Breiman 1996, Machine Learning 24(1). With
G (n, n) the mean products of the errors of n estimates,

    min_w  w' G w,   w >= 0, sum w = 1.

A ridge, a share of the best estimate's power, keeps estimates that err alike from taking turns, and draws the weights
together.
"""

import numpy as np
from numpy.typing import NDArray

RIDGE = 0.2
LEAST_WEIGHT = 0.03  # what weighs less is not worth its time

Floats = NDArray[np.float64]


def blend_weights(products: Floats) -> Floats:
    """(n,) for the products (n, n) of errors, by sequential quadratic programming from their inverse powers.

    Weights below `LEAST_WEIGHT` are 0.

    >>> blend_weights(np.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 9.0]])).round(3).tolist()
    [0.5, 0.5, 0.0]
    """
    from scipy.optimize import minimize

    count = len(products)
    least = max(float(products.diagonal().min()), np.finfo(float).tiny)
    power = products / least + RIDGE * np.eye(count)
    start = 1 / power.diagonal()
    found = minimize(
        lambda w: (float(w @ power @ w), 2 * power @ w),
        start / start.sum(),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones_like(w)},
        options={"ftol": 1e-9},
    )
    weights: Floats = np.clip(found.x, 0, None)
    weights[weights < LEAST_WEIGHT * weights.sum()] = 0.0
    weights /= weights.sum()
    return weights
