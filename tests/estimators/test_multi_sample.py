"""Rules that draw several samples, dependent or not: exact means and variances, and published numbers."""

from itertools import product

import numpy as np
import pytest
from enumeration import (
    EXACT,
    GRADIENT,
    LOGITS,
    cells,
    close,
    coupled,
    enumerated,
    estimates,
    grid,
    mirrored,
    moments_of,
    shared,
    sigmoid,
    toy,
    truth,
)

from minigrad.estimators.control_variates import DoubleControlVariate
from minigrad.estimators.multi_sample import ARMS, LeaveOneOut, mean_of_others
from minigrad.estimators.rodeo import Rodeo
from minigrad.estimators.score_function import Reinforce


@pytest.mark.parametrize(("t", "p", "loo2", "loo4", "arms2"), [
    (0.499, 0.3, 2.436e-7, 6.30e-8, 1.176e-7), (0.45, 0.3, 6.09e-4, 1.575e-4, 2.94e-4),
    (0.499, sigmoid(0.0), 2.50e-7, None, 0), (0.499, sigmoid(-2.0), 1.659e-7, None, 1.409e-7),
    (0.49, sigmoid(-2.0), 1.659e-5, None, 1.409e-5),
])
def test_multi_sample_rules_on_the_toy_problem(t, p, loo2, loo4, arms2):
    logits, cost = [np.log(p / (1 - p))], toy(t)
    for rule, draws, variance in ((LeaveOneOut(), 1, loo2), (LeaveOneOut(4), 3, loo4), (ARMS(2), 0, arms2)):
        mean, found = enumerated(rule, logits, cost, draws, [mirrored]) if draws else arms_of_two(logits, cost)
        close(mean, p * (1 - p) * (1 - 2 * t), **EXACT)
        if variance is not None:
            close(found, variance, rtol=1e-3, atol=1e-20)


def arms_of_two(logits, cost, total=False):
    """With two samples, the second Dirichlet coordinate is 1 minus the first, so nothing else is drawn."""
    u, probability = grid([cells(sigmoid(x), mirrored(x)) for x in logits])
    found = estimates(ARMS(2), logits, cost, u, [0.5])
    return moments_of(found.sum(axis=1, keepdims=True) if total else found, probability)


@pytest.mark.parametrize(("logit", "gradient", "reinforce", "loo2", "loo4", "disarm"), [
    (0.0, -0.045, 0.438420, 0.007275, 0.0019875, 0.00465),
    (-4.0, -0.00317929, 0.0335568, 3.8102e-4, 1.8228e-4, 3.7435e-4),
    (2.3, -0.0149075, 0.136815, 1.96145e-3, 7.9964e-4, 1.80296e-3),
])
def test_multi_sample_rules_on_bits_that_share_a_logit(logit, gradient, reinforce, loo2, loo4, disarm):
    logits = [logit] * 3
    for (mean, variance), number in (
        (enumerated(Reinforce(), logits, shared, total=True), reinforce),
        (enumerated(LeaveOneOut(2), logits, shared, 1, total=True), loo2),
        (enumerated(LeaveOneOut(4), logits, shared, 3, total=True), loo4),
        (arms_of_two(logits, shared, total=True), disarm),
    ):
        close(mean, gradient, rtol=3e-6)
        close(variance, number, rtol=3e-5)


def test_multi_sample_rules_on_a_coupled_cost():
    for (mean, variance), number in ((enumerated(LeaveOneOut(2), LOGITS, coupled, 1), 0.858959),
                                     (enumerated(LeaveOneOut(4), LOGITS, coupled, 3), 0.227775),
                                     (arms_of_two(LOGITS, coupled), 0.618571)):
        close(mean, truth(LOGITS, coupled), **EXACT)
        close(mean, GRADIENT, rtol=1e-5)
        close(variance.sum(), number, rtol=3e-6)
    assert round(arms_of_two(LOGITS, coupled)[1][0], 3) == 0.345          # more than leave-one-out's 0.245


def copula(p, samples):
    """P(a given set of m samples takes the rarer value and no other does), m = 0 … K, by inclusion and
    exclusion from P(d_k > t for all k in a set of m) = (1 − m t)₊^(K−1)."""
    t = 1 - min(p, 1 - p) ** (1 / (samples - 1))
    all_of = [max(0.0, 1 - m * t) ** (samples - 1) if m else 1.0 for m in range(samples + 1)]
    return [sum((-1) ** j * binomial(samples - m, j) * all_of[m + j] for j in range(samples - m + 1))
            for m in range(samples + 1)]


def binomial(n, k):
    return np.prod([(n - i) / (i + 1) for i in range(k)])


def arms_by_definition(p, costs, samples):
    """Mean and variance for one unit, from the law of the joint sample alone."""
    law = copula(p, samples)
    both = 2 * p - 1 + max(0, 2 * (1 - p) ** (1 / (samples - 1)) - 1) ** (samples - 1)
    if p < 0.5:                                          # the same formula for the flipped bits
        both = 2 * p - 1 + 1 - 2 * p + max(0, 2 * p ** (1 / (samples - 1)) - 1) ** (samples - 1)
    mean = square = 0.0
    for rare in product([0, 1], repeat=samples):
        b = np.array(rare) if p < 0.5 else 1 - np.array(rare)
        f = costs[b]
        estimate = (f - f.mean()) @ (b - p) * p * (1 - p) / ((samples - 1) * (p - both))
        mean += law[sum(rare)] * estimate
        square += law[sum(rare)] * estimate**2
    return mean, square - mean**2


@pytest.mark.parametrize("p", [0.1, 0.45, 0.5, 0.73])
@pytest.mark.parametrize("samples", [2, 3, 4, 7])
def test_the_dirichlet_copula_leaves_each_sample_its_own_law(p, samples):
    law = copula(p, samples)
    close(sum(binomial(samples, m) * x for m, x in enumerate(law)), 1)
    close(sum(binomial(samples - 1, m - 1) * x for m, x in enumerate(law) if m), min(p, 1 - p))
    close(arms_by_definition(p, np.array([0.3, 1.7]), samples)[0], p * (1 - p) * 1.4, **EXACT)


@pytest.mark.parametrize("p", [0.1, 0.45, 0.73])
def test_arms_of_three_has_the_law_that_its_definition_says(p):
    """The rest after the first coordinate is divided between the other two by one number s.

    The second sample is rare if s > s*, the third if 1 − s > s*, with s* = (1 − √r)/√w.  Here w is the node's own
    uniform, which also determines the node's sample.
    """
    costs, logit, r = np.array([0.3, 1.7]), np.log(p / (1 - p)), min(p, 1 - p)
    u, s, probability = [], [], []
    for w, weight in cells(r, *[x for x in ((1 - np.sqrt(r)) ** 2, 4 * (1 - np.sqrt(r)) ** 2) if x < 1], nodes=40):
        edge = (1 - np.sqrt(r)) / np.sqrt(w)
        for share, length in cells(*[x for x in (edge, 1 - edge) if 0 < x < 1]):
            u.append(w if p < 0.5 else 1 - w)
            s.append(share)
            probability.append(weight * length)
    e = np.stack([s, 1 - np.array(s)], axis=1)[:, :, None]
    found = estimates(ARMS(3), [logit], lambda b: costs[0] + (costs[1] - costs[0]) * b[:, 0],
                      np.array(u)[:, None], [np.exp(-e)])
    mean, variance = moments_of(found, np.array(probability))
    exact = arms_by_definition(p, costs, 3)
    close(mean, exact[0], rtol=1e-9)
    close(variance, exact[1], rtol=1e-9)
    assert variance < arms_by_definition(p, costs, 2)[1]


def test_samples_that_avoid_each_other_need_the_factor():
    """Leave-one-out on antithetic samples: the mean is too large by the fraction of pairs that differ."""
    class Antithetic(LeaveOneOut):
        def backward(self, node):
            other = self.sample(node.logits, 1 - node.noise)
            return (node.cost - node.cost_at(other)) * (node.value - other) / 2

    mean, _ = enumerated(Antithetic(), LOGITS, coupled, breaks=[mirrored])
    assert np.abs(mean - truth(LOGITS, coupled)).max() > 0.01


@pytest.mark.parametrize("dtype", [np.float32, float])
def test_the_mean_of_others_does_not_know_its_own(dtype):
    x = np.random.default_rng(1).normal(size=(5, 3)).astype(dtype)
    for count in (2, 3, 5):
        expected = np.stack([np.delete(x[:count], k, axis=0).mean(axis=0) for k in range(count)])
        close(mean_of_others(x[:count]), expected, rtol=1e-6)
        for own in (1e30, -1e9, -np.inf, np.nan):
            for k in range(count):
                spoilt = x[:count].copy()
                spoilt[k] = own
                close(mean_of_others(spoilt)[k], expected[k], rtol=1e-6)
                assert mean_of_others(spoilt).dtype == dtype


@pytest.mark.parametrize("rule", [LeaveOneOut, ARMS, DoubleControlVariate, Rodeo])
def test_one_sample_has_no_other_as_its_baseline(rule):
    with pytest.raises(ValueError, match="samples >= 2"):
        rule(1)
