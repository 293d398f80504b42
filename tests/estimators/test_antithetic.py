"""Rules that evaluate a mirrored sample, compared with rules without noise: exact means and variances."""

import numpy as np
import pytest
from enumeration import (
    EXACT,
    LOGITS,
    QUARTERS,
    Chosen,
    cells,
    close,
    coupled,
    estimates,
    grid,
    mirrored,
    mixed_cost,
    moments,
    shared,
    sigmoid,
    toy,
    truth,
)

from minigrad.estimators.antithetic import ARM, DisARM
from minigrad.estimators.flips import BitFlip, Enumerate, LocalExpectation
from minigrad.estimators.score_function import Reinforce
from minigrad.estimators.second_order import Darn
from minigrad.stochastic import BinaryNode


@pytest.mark.parametrize(("t", "logit", "arm", "disarm"), [
    (0.499, 0.0, 8.33e-8, 0), (0.499, -2.0, 1.420e-7, 1.409e-7), (0.49, -2.0, 1.420e-5, 1.409e-5),
    (0.499, np.log(3 / 7), None, 1.176e-7), (0.45, np.log(3 / 7), None, 2.94e-4),
])
def test_antithetic_rules_on_the_toy_problem(t, logit, arm, disarm):
    exact = truth([logit], toy(t))
    for rule, variance in ((ARM(), arm), (DisARM(), disarm), (LocalExpectation(), 0), (Enumerate(), 0)):
        mean, found = moments(rule, [logit], toy(t), [mirrored], nodes=3)
        close(mean, exact, **EXACT)
        if variance is not None:
            close(found, variance, rtol=1e-3, atol=1e-20)


def moments_of_shared_logit(rule, logit, monkeypatch):
    """Mean and variance of the estimate for one logit that three bits share."""
    u, probability = grid([cells(sigmoid(logit), 1 - sigmoid(logit))] * 3)
    draws = [(i + 0.5) / 3 for i in range(3)] if isinstance(rule, BitFlip) else [0.5]
    found = []
    for draw in draws:
        with monkeypatch.context() as patch:
            patch.setattr(BinaryNode, "rng", property(lambda node, draw=draw: Chosen(np.array(draw))))
            found.append(estimates(rule, np.full(3, logit), shared, u).sum(axis=1))
    mean = sum(probability @ x for x in found) / len(found)
    return mean, sum(probability @ (x - mean) ** 2 for x in found) / len(found)


@pytest.mark.parametrize(("logit", "gradient", "variances"), [
    (0.0, -0.045, (0.438420, 0.00465, 0.00585)),
    (-4.0, -0.00317929, (0.0335568, 3.7435e-4, 2.920e-5)),
    (2.3, -0.0149075, (0.136815, 1.80296e-3, 6.4201e-4)),
])
def test_one_logit_for_three_bits(logit, gradient, variances, monkeypatch):
    for rule, variance in zip((Reinforce(), DisARM(), BitFlip()), variances, strict=True):
        close(moments_of_shared_logit(rule, logit, monkeypatch), (gradient, variance), rtol=1e-4)


def test_rules_on_a_coupled_cost():
    exact = truth(LOGITS, coupled)
    for rule, variance in ((DisARM(), 0.618571), (LocalExpectation(), 0.0895807), (Enumerate(), 0)):
        mean, found = moments(rule, LOGITS, coupled, [mirrored])
        close(mean, exact, **EXACT)
        close(found.sum(), variance, rtol=1e-5, atol=1e-25)
    close(np.abs(moments(Darn(), LOGITS, coupled)[0] - exact).max(), 0.0563, atol=5e-5)


def test_disarm_never_has_more_variance_than_arm():
    for logits in (QUARTERS, QUARTERS - 2, [0.1, 3.0, -1.0]):
        of = [moments(rule, logits, mixed_cost, [mirrored], nodes=3)[1] for rule in (DisARM(), ARM())]
        assert np.all(of[0] < of[1])
