"""The learned correction of a biased rule."""

import numpy as np
import pytest
from enumeration import EXACT, QUARTERS, close, estimates, every_sample_equally_often, mixed_cost, truth

import minigrad as mg
from minigrad.estimators.learned import LearnedCorrection
from minigrad.estimators.score_function import Reinforce


@pytest.mark.slow
def test_a_learned_correction_starts_as_straight_through_and_ends_with_the_true_mean():
    """If a constant is among its inputs, a least-squares fit has the same mean as the data."""
    rule, u = LearnedCorrection(rate=1.0), every_sample_equally_often()
    start = estimates(rule, QUARTERS, mixed_cost, u)
    close(start, estimates(mg.estimators.StraightThroughSlope(), QUARTERS, mixed_cost, u), **EXACT)
    exact = truth(QUARTERS, mixed_cost)
    assert np.abs(start.mean(axis=0) - exact).max() > 0.01
    for _ in range(3000):
        found = estimates(rule, QUARTERS, mixed_cost, u)
    close(found.mean(axis=0), exact, rtol=1e-8)
    # The fit itself, against the normal equations.
    biased, unbiased = start, estimates(Reinforce(), QUARTERS, mixed_cost, u)
    for i in range(3):
        inputs = np.stack([biased[:, i], np.ones(len(u))], axis=1)
        close(found[:, i], inputs @ np.linalg.lstsq(inputs, unbiased[:, i])[0], atol=1e-8)
    assert np.all(found.var(axis=0) < unbiased.var(axis=0))


@pytest.mark.slow
def test_a_learned_correction_can_tell_contexts_apart():
    """There are two kinds of rows with opposite costs.  Without context, both would get the same correction."""
    u = np.tile(every_sample_equally_often(), (2, 1))
    kind = np.repeat([1.0, -1.0], len(u) // 2)
    rule = LearnedCorrection(rate=1.0)

    def opposite(b):
        return mg.exp(b @ np.array([1.0, -0.5, 0.3])) * kind

    for _ in range(4000):
        found = estimates(rule, QUARTERS, opposite, u, context=kind[:, None])
    exact = truth(QUARTERS, lambda b: mg.exp(b @ np.array([1.0, -0.5, 0.3])))
    close(found[kind == 1].mean(axis=0), exact, rtol=1e-6)
    close(found[kind == -1].mean(axis=0), -exact, rtol=1e-6)


@pytest.mark.parametrize("bad", [{"rate": 0}, {"rate": 1.5}, {"decay": -0.1}, {"decay": 1.1}])
def test_a_learned_correction_refuses_rates_that_diverge(bad):
    with pytest.raises(ValueError, match=r"LearnedCorrection: expected a (rate|decay)"):
        LearnedCorrection(**bad)
