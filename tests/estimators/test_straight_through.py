"""Straight-through rules: the gradient at the sample times a slope."""

import numpy as np
from enumeration import EXACT, LOGITS, close, moments, sigmoid

from minigrad.estimators.straight_through import StraightThrough, StraightThroughClipped, StraightThroughSlope


def test_clipped_straight_through_leaves_sure_units_alone():
    found, variance = moments(StraightThroughClipped(), [-1.1, -1.0, 0.3], lambda b: b @ np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(found, [0, 2, 3], rtol=1e-12)
    close(variance, 0, atol=1e-25)


def test_the_mean_is_that_of_the_gradient_at_the_sample_times_the_slope():
    """Of b² + b the gradient is 1 at a closed unit and 3 at an open one."""
    p = sigmoid(LOGITS)
    for rule, slope in ((StraightThrough(), 1), (StraightThroughSlope(), p * (1 - p))):
        mean, variance = moments(rule, LOGITS, lambda b: (b * b + b).sum(axis=-1))
        close(mean, (1 + 2 * p) * slope, **EXACT)
        close(variance, 4 * p * (1 - p) * slope**2, **EXACT)
