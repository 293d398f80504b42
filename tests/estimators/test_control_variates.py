"""Rules that subtract a control variate follow their definitions; wrong versions are biased."""

from itertools import product

import numpy as np
import pytest
from enumeration import (
    EXACT,
    LINE,
    LOGITS,
    P,
    cells,
    close,
    coupled,
    enumerated,
    estimates,
    grid,
    integrated,
    ramp,
    sigmoid,
    toy,
    truth,
)

import minigrad as mg
from minigrad.estimators.control_variates import DoubleControlVariate, MuProp, Rebar
from minigrad.estimators.multi_sample import LeaveOneOut
from minigrad.estimators.score_function import Reinforce


def test_muprop():
    """MuProp is unbiased, and is what it should be: score · (cost − linear part at the means), plus the slope."""
    mean, variance = enumerated(MuProp(), LOGITS, coupled)
    close(mean, truth(LOGITS, coupled), **EXACT)
    x = mg.tensor(P, requires_grad=True)
    at_mean = coupled(x)
    slope = mg.grad(at_mean, x).data
    square = 0
    for state in product([0, 1], repeat=3):
        b = np.array(state, float)
        rest = coupled(mg.tensor(b)).item() - at_mean.item() - slope @ (b - P)
        square += np.prod(np.where(b == 1, P, 1 - P)) * (rest * (b - P) + slope * P * (1 - P)) ** 2
    close(variance, square - mean**2, **EXACT)
    close(enumerated(MuProp(), LOGITS, lambda b: b @ LINE)[1], 0, atol=1e-28)


@pytest.mark.parametrize("scale", [0.0, 1.0, -0.7, None])
@pytest.mark.parametrize("samples", [2, 3])
def test_double_control_variates(samples, scale):
    rule = DoubleControlVariate(samples, scale)
    mean, variance = enumerated(rule, LOGITS, coupled, samples - 1)
    close(mean, truth(LOGITS, coupled), **EXACT)
    if scale == 0:
        close(variance, enumerated(LeaveOneOut(samples), LOGITS, coupled, samples - 1)[1], **EXACT)
    if scale is None:                                        # which starts at 1
        close(variance, enumerated(DoubleControlVariate(samples, 1.0), LOGITS, coupled, samples - 1)[1], **EXACT)
        close(enumerated(rule, LOGITS, lambda b: b @ LINE, samples - 1)[1], 0, atol=1e-26)


class SlopesMeetTheirOwnSample(DoubleControlVariate):
    """The line of each sample contains its own slope."""

    def backward(self, node):
        other = self.sample(node.logits, node.rng.uniform(node.shape))
        costs, slopes = map(np.stack, zip((node.cost, node.grad), node.cost_and_grad_at(other), strict=True))
        score = np.stack([node.value, other]) - node.probs
        line = costs - (slopes.mean(axis=0) * score).sum(axis=-1, keepdims=True)
        return (line[0] - line[1]) * (score[0] - score[1]) / 2 + slopes.mean(axis=0) * node.probs * (1 - node.probs)


def test_a_slope_must_not_meet_its_own_sample():
    mean, _ = enumerated(SlopesMeetTheirOwnSample(), LOGITS, coupled, 1)
    assert np.abs(mean - truth(LOGITS, coupled)).max() > 0.01


@pytest.mark.parametrize("temperature", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("logit", [-2.0, 0.0, 1.4])
def test_rebar_on_one_unit_against_its_definition(logit, temperature):
    """Mean and variance with y and ỹ apart: the slope of ỹ by the logit from differences at constant v."""
    t, scale, p = 0.45, 0.8, sigmoid(logit)
    u, weight = np.array(cells(p, nodes=200)).T
    b = (u < p).astype(float)
    v = np.where(b == 1, u / p, (u - p) / (1 - p))

    def f(x):
        return (x - t) ** 2

    def relaxed_given_sample(logit):
        p = sigmoid(logit)
        return ramp(logit, np.where(b == 1, v * p, p + v * (1 - p)), temperature)[0]

    h = 1e-5
    slope = (f(ramp(logit + h, u, temperature)[0]) - f(ramp(logit - h, u, temperature)[0])) / (2 * h)
    slope_given = (f(relaxed_given_sample(logit + h)) - f(relaxed_given_sample(logit - h))) / (2 * h)
    definition = (f(b) - scale * f(relaxed_given_sample(logit))) * (b - p) + scale * (slope - slope_given)
    mean, variance = integrated(Rebar(temperature, scale), [logit], toy(t), nodes=200)
    close(mean, p * (1 - p) * (1 - 2 * t), atol=1e-8)
    close(weight @ definition, p * (1 - p) * (1 - 2 * t), atol=1e-8)
    close(variance, weight @ definition**2 - (weight @ definition) ** 2, rtol=1e-6)


def test_rebar_on_three_units():
    for scale in (0.0, 1.0):
        mean, variance = integrated(Rebar(0.5, scale), LOGITS, coupled, nodes=14)
        close(mean, truth(LOGITS, coupled), atol=2e-6)
    plain = enumerated(Reinforce(), LOGITS, coupled)[1]
    assert variance.sum() < plain.sum() / 3


class RebarOfTheWrongBranch(Rebar):
    """The rest of the noise is computed as if the sample had been the other one."""

    def backward(self, node):
        b, u = node.value, node.noise
        y, slope = ramp(node.logits, u, self.temperature)
        cost, gradient = node.cost_and_grad_at(y)
        score = b - node.probs
        return score * (node.cost - cost) + gradient * slope * score / (1 - b - u)


def test_rebar_of_the_wrong_branch_is_rejected():
    mean, _ = integrated(RebarOfTheWrongBranch(1.0), [0.5], toy(0.45), nodes=60)
    assert np.abs(mean - truth([0.5], toy(0.45))) > 0.01


@pytest.mark.parametrize(("rule", "draws", "nodes"), [
    (lambda scale: Rebar(0.5, scale), 0, 10), (lambda scale: DoubleControlVariate(2, scale), 1, 1)])
def test_the_scale_learned_is_the_one_of_least_variance(rule, draws, nodes):
    """In this batch every outcome has the frequency of its probability, because all p are 1/2."""
    logits = np.zeros(2)

    def cost(b):
        return mg.exp(b @ np.array([1.0, -2.0]) + b[:, 0] * b[:, 1])

    u, probability = grid([cells(0.5, nodes=nodes)] * 2 * (1 + draws))
    first, *own = np.split(u, 1 + draws, axis=1)
    with_0, with_1 = (estimates(rule(c), logits, cost, first, own) for c in (0.0, 1.0))
    difference = with_0 - with_1
    weights = probability if draws else np.full(len(u), 1 / len(u))
    best = weights @ (with_0 * difference) / (weights @ difference**2)
    learned = rule(None)
    close(estimates(learned, logits, cost, first, own), with_1, **EXACT)
    for _ in range(2):
        found = estimates(learned, logits, cost, first, own)
        close(found, with_0 - best * difference, **EXACT)
    if draws:
        close(found.mean(axis=0), truth(logits, cost), **EXACT)
        assert np.all(found.var(axis=0) <= np.minimum(with_0.var(axis=0), with_1.var(axis=0)))


def test_rebar_descends_the_variance_over_its_temperature():
    """The second moment over 20,000 rows with the same noise, before and after τ is learned."""
    def second_moment(rule):
        logits = mg.tensor(np.full((20_000, 1), 0.5), requires_grad=True)
        bits = mg.bernoulli(logits, rule, rng=mg.Generator(3))
        mg.expected(mg.exp(2 * bits).sum(axis=1)).backward()
        return ((logits.grad * len(logits)) ** 2).mean()

    learning = Rebar(0.2, scale=1.0, rate=0.5)
    start = second_moment(Rebar(0.2, scale=1.0))
    np.testing.assert_allclose(second_moment(learning), start, rtol=1e-12)      # τ is that of before the pass
    moments_seen = []
    for _ in range(30):
        learnt = float(np.exp(learning.state_dict()["log_temperature"]))
        moments_seen.append(second_moment(learning))
    end = moments_seen[-1]
    np.testing.assert_allclose(second_moment(Rebar(learnt, scale=1.0)), end, rtol=1e-9)
    assert end < 0.3 * start
    assert (np.diff(moments_seen) < 0).all()
