"""Rules that are exact for quadratic costs."""

import numpy as np
import pytest
from enumeration import EXACT, QUARTERS, close, estimates, mixed_cost, moments, sigmoid, truth

import minigrad as mg
from minigrad.estimators.second_order import Darn, ReinMax


def test_darn_is_exact_for_quadratic_costs_of_single_units():
    def quadratic(b):
        return (b * b * np.array([1.0, -2.0, 0.5]) + b * np.array([0.3, 0.1, -4.0])).sum(axis=-1)

    exact = truth(QUARTERS, quadratic)
    close(moments(Darn(), QUARTERS, quadratic)[0], exact, **EXACT)
    p = sigmoid(QUARTERS)
    at_0, at_1 = np.array([0.3, 0.1, -4.0]), np.array([2.3, -3.9, -3.0])
    close(moments(Darn("mean"), QUARTERS, quadratic)[0], p * (1 - p) * ((1 - p) * at_1 + p * at_0), **EXACT)
    with pytest.raises(ValueError, match="'half' or 'mean'"):
        Darn("zero")


def test_reinmax_is_darn_about_one_half_and_keeps_its_documented_mean_at_other_temperatures():
    u = np.random.default_rng(5).uniform(size=(2000, 3))
    found, darn = (estimates(rule, QUARTERS, mixed_cost, u) for rule in (ReinMax(), Darn()))
    close(found, darn, rtol=1e-12, atol=1e-14)
    logit, slopes = 0.7, {0: 0.3, 1: 2.3}
    p, mean = sigmoid(logit), 0.0
    for b, probability in ((0, 1 - p), (1, p)):
        middle = (sigmoid(logit / 2) + b) / 2
        mean += probability * slopes[b] * (2 * middle * (1 - middle) - p * (1 - p) / 2)
    close(moments(ReinMax(2.0), [logit], lambda b: (b * b + 0.3 * b).sum(axis=-1))[0], mean, **EXACT)
    with pytest.raises(ValueError, match="temperature above 0"):
        ReinMax(0)


def test_one_rule_under_three_names():
    """For a bit, ReinMax at temperature 1, DARN about ½ and ZGR are the same function of sample and gradient."""
    u = np.random.default_rng(0).uniform(size=(1000, len(QUARTERS)))
    found = [estimates(rule, QUARTERS, lambda b: (b * b * b + b).sum(axis=-1), u)
             for rule in (mg.estimators.ReinMax(), mg.estimators.Darn(), mg.estimators.Zgr())]
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found[2], found[0], rtol=1e-12, atol=1e-15)
