"""Rules with noise of their own, relaxed noise or a memory, by family: exact means and variances.

Finite noise is enumerated, the rule's own with the node's; where the rule computes with the uniforms
themselves, they are integrated by Gauss's rule on the pieces between the jumps.  Nothing is sampled:
a tolerance is rounding, or the digits of a published number.  One wrong rule for each family shows that
the checks can fail.
"""

import warnings
from itertools import pairwise, product

import numpy as np
import pytest
from enumeration import GRADIENT, LOGITS, Chosen, P, cells, coupled, grid, sigmoid, truth

import minigrad as mg
from minigrad import ops
from minigrad.estimators import Darn, Reinforce, Stop, StraightThrough, StraightThroughSlope, relax, rodeo
from minigrad.estimators.concrete import GumbelRao, GumbelSigmoid, GumbelStraightThrough, logistic
from minigrad.estimators.control_variates import DoubleControlVariate, MuProp, Rebar
from minigrad.estimators.multi_sample import ARMS, LeaveOneOut, mean_of_others
from minigrad.estimators.nvil import LearnedBaseline, Nvil
from minigrad.estimators.pruned import PrunedFlip
from minigrad.estimators.relax import Relax
from minigrad.estimators.rodeo import Rodeo
from minigrad.estimators.surrogate import StraightThroughAnnealed, Surrogate
from minigrad.estimators.vimco import Vimco

close = np.testing.assert_allclose
EXACT = {"rtol": 1e-9, "atol": 1e-13}


def shared(b):
    """Problem A: three bits with one logit among them."""
    return ((b - np.array([0.6, 0.51, 0.48])) ** 2).sum(axis=-1)


def toy(t):
    return lambda b: ((b - t) ** 2).sum(axis=-1)


class Given(Chosen):
    """A node's uniforms, and the draws of its rule."""

    def __init__(self, u, *own):
        super().__init__(u)
        self.own = own

    def fork(self, *path):
        return Chosen(*self.own)


def estimates(rule, logits, cost, u, own=(), context=None):
    """The rule's estimate for each row of uniforms u (rows, units)."""
    a = mg.tensor(np.broadcast_to(logits, u.shape), requires_grad=True)
    mg.expected(cost(mg.bernoulli(a, rule, rng=Given(u, *own), context=context))).backward()
    return a.grad * len(u)


def moments_of(found, probability):
    mean = probability @ found
    return mean, probability @ (found - mean) ** 2


@mg.testing.frozen_memories()
def enumerated(rule, logits, cost, draws=0, breaks=(), total=False):
    """Exact mean and variance, where the rule draws its node ``draws`` times more.

    ``breaks`` are functions from logits to probabilities at which the estimate jumps, besides σ;
    ``total`` adds the units' estimates up, which share a logit.
    """
    units = [cells(sigmoid(x), *(f(x) for f in breaks)) for x in logits]
    u, probability = grid(units * (1 + draws))
    first, *own = np.split(u, 1 + draws, axis=1)
    found = estimates(rule, logits, cost, first, own)
    return moments_of(found.sum(axis=1, keepdims=True) if total else found, probability)


@mg.testing.frozen_memories()
def integrated(rule, logits, cost, nodes=60, breaks=()):
    """Mean and variance by Gauss's rule on either side of σ(logit)."""
    u, probability = grid([cells(sigmoid(x), *breaks, nodes=nodes) for x in logits])
    return moments_of(estimates(rule, logits, cost, u), probability)


def mirrored(x):
    return 1 - sigmoid(x)


# -- multi-sample -----------------------------------------------------------------------------------

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
    """With two samples the Dirichlet's other coordinate is what the first leaves: nothing else is drawn."""
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
    """One number s shares what the first coordinate leaves between the other two.

    The second sample is rare where s > s*, the third where 1 − s > s*, with s* = (1 − √r)/√w, which
    is all that the node's own uniform w decides besides its sample.
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
    """Leave-one-out on antithetic samples: the mean grows by the share of pairs that differ."""
    class Antithetic(LeaveOneOut):
        def backward(self, node):
            other = self.sample(node.logits, 1 - node.noise)
            return (node.cost - node.cost_at(other)) * (node.value - other) / 2

    mean, _ = enumerated(Antithetic(), LOGITS, coupled, breaks=[mirrored])
    assert np.abs(mean - truth(LOGITS, coupled)).max() > 0.01


# -- slopes -----------------------------------------------------------------------------------------

LINE = np.array([1.5, -2.0, 0.5])


@pytest.mark.parametrize(("psi", "slope"), [
    ("fast sigmoid", lambda x: 1 / (1 + np.abs(x)) ** 2),
    ("arctan", lambda x: 1 / (1 + x**2)),
    ("gaussian", lambda x: np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)),
    (ops.sigmoid, lambda x: sigmoid(x) * (1 - sigmoid(x))),
    (lambda x: ops.tanh(x / 2) / 2, lambda x: sigmoid(x) * (1 - sigmoid(x))),
])
def test_surrogate_slopes(psi, slope):
    u, _ = grid([cells(x) for x in P])
    st = estimates(StraightThrough(), LOGITS, coupled, u)
    close(estimates(Surrogate(psi), LOGITS, coupled, u), st * slope(LOGITS), **EXACT)
    mean, _ = enumerated(Surrogate(psi), LOGITS, lambda b: b @ LINE)
    close(mean, LINE * slope(LOGITS), **EXACT)


def test_a_surrogate_has_to_be_known():
    with pytest.raises(ValueError, match="expected a function or one of fast sigmoid, arctan, gaussian"):
        Surrogate("slow sigmoid")


def test_the_slope_is_annealed_with_every_pass():
    rule, u = StraightThroughAnnealed(slope=1.0, growth=0.5, most=2.2), grid([cells(x) for x in P])[0]
    st = estimates(StraightThrough(), LOGITS, coupled, u)
    with mg.testing.frozen_memories():
        close(estimates(rule, LOGITS, coupled, u), estimates(StraightThroughSlope(), LOGITS, coupled, u), **EXACT)
    for slope in (1.0, 1.5, 2.0, 2.2, 2.2):
        assert rule.state_dict() == {"slope": slope}
        p = sigmoid(slope * LOGITS)
        close(estimates(rule, LOGITS, coupled, u), slope * p * (1 - p) * st, **EXACT)
    with pytest.raises(ValueError, match="expected 0 < slope <= most"):
        StraightThroughAnnealed(slope=6)


# -- concrete ---------------------------------------------------------------------------------------

def ramp(logit, u, temperature):
    """σ((logit + L)/τ) and its slope by the logit, written with odds."""
    y = 1 / (1 + (np.exp(-logit) * u / (1 - u)) ** (1 / temperature))
    return y, y * (1 - y) / temperature


@pytest.mark.parametrize("temperature", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("logit", [-1.3, 0.0, 2.0])
def test_concrete_rules_against_quadrature(logit, temperature):
    """One unit with cost exp(b): their means are integrals over the uniform."""
    def cost(b):
        return mg.exp(b).sum(axis=-1)

    u, weight = np.array(cells(sigmoid(logit), nodes=80)).T
    b = (u < sigmoid(logit)).astype(float)
    y, slope = ramp(logit, u, temperature)
    mean, variance = integrated(GumbelSigmoid(temperature), [logit], cost, nodes=50)
    close(mean, weight @ (np.exp(y) * slope), rtol=1e-7)
    close(variance, weight @ (np.exp(y) * slope) ** 2 - mean**2, rtol=1e-6)
    above, below = (weight @ np.exp(ramp(logit + step, u, temperature)[0]) for step in (1e-5, -1e-5))
    close(mean, (above - below) / 2e-5, rtol=1e-6)          # exact for the relaxed model
    mean, variance = integrated(GumbelStraightThrough(temperature), [logit], cost, nodes=50)
    close(mean, weight @ (np.exp(b) * slope), rtol=1e-7)
    close(variance, weight @ (np.exp(b) * slope) ** 2 - mean**2, rtol=1e-6)
    # Gumbel-Rao draws the noise again, given b: the same mean, and the variance of its average.
    v, share = np.array(cells(nodes=80)).T
    for sample, probability in ((1, sigmoid(logit)), (0, 1 - sigmoid(logit))):
        row = np.array([[0.0 if sample else 1.0]]) + (1e-9 if sample else -1e-9)
        found = [estimates(GumbelRao(temperature, 1), [logit], cost, row, [x])[0, 0] for x in v]
        close(share @ found, weight @ (np.exp(b) * slope * (b == sample)) / probability, rtol=1e-6)
        close(share @ np.square(found), weight @ ((np.exp(b) * slope) ** 2 * (b == sample)) / probability, rtol=1e-6)


def rao(temperature, u, samples=20000):
    """Gumbel-Rao with evenly spread noise in place of random draws."""
    v = ((np.arange(samples) + 0.5) / samples)[None, :, None]
    return estimates(GumbelRao(temperature, samples), LOGITS, coupled, u, [v])


def test_gumbel_rao_tends_to_darn_as_the_temperature_falls():
    u = grid([cells(x) for x in P])[0]
    darn = estimates(Darn(), LOGITS, coupled, u)
    apart = [rao(temperature, u) - darn for temperature in (0.08, 0.04, 0.02)]
    for more, less in pairwise(apart):                       # in proportion to the temperature
        assert 1.8 < np.abs(more).max() / np.abs(less).max() < 2.2
    close(2 * apart[2] - apart[1], 0, atol=1e-3)
    assert np.abs(estimates(GumbelStraightThrough(0.02), LOGITS, coupled, u) - darn).max() > 0.1     # not averaged


def test_gumbel_rao_averages_over_its_draws():
    u, v = np.full((1, 3), 0.3), np.array([0.2, 0.7])
    apart = [estimates(GumbelRao(0.5, 1), LOGITS, coupled, u, [x]) for x in v]
    close(estimates(GumbelRao(0.5, 2), LOGITS, coupled, u, [v[None, :, None]]), sum(apart) / 2, **EXACT)


@pytest.mark.parametrize("rule", [GumbelSigmoid, GumbelStraightThrough, GumbelRao, Rebar])
def test_temperatures_are_positive(rule):
    for bad in (0, -1.0, np.nan):
        with pytest.raises(ValueError, match="temperature > 0"):
            rule(bad)


# -- flips ------------------------------------------------------------------------------------------

class FlipsWithoutTheirWeight(PrunedFlip):
    """The difference that the flip makes, as if every unit were always flipped."""

    def backward(self, node):
        weight = (node.probs * (1 - node.value)).sum(axis=1, keepdims=True)
        return super().backward(node) / np.where(weight > 0, weight, 1)


def pruned(rule):
    states = np.array(list(product([0, 1], repeat=3)))
    reach = np.cumsum(P * (1 - states), axis=1)[:-1]         # the last state has nothing to flip
    own = cells(*np.unique((reach / reach[:, -1:]).round(12)))
    u, probability = grid([*[cells(x) for x in P], own])
    return moments_of(estimates(rule, LOGITS, coupled, u[:, :3], [u[:, 3:]]), probability)


def test_pruned_flips():
    exact, variance = truth(LOGITS, coupled), 0.0
    for state in product([0, 1], repeat=3):
        b = np.array(state, float)
        w = P * (1 - b)
        for i in np.flatnonzero(w):
            flipped = b.copy()
            flipped[i] = 1
            difference = coupled(mg.tensor(flipped)).item() - coupled(mg.tensor(b)).item()
            variance += np.prod(np.where(b == 1, P, 1 - P)) * w[i] * w.sum() * difference**2
    mean, found = pruned(PrunedFlip())
    close(mean, exact, **EXACT)
    close(found.sum(), variance - (exact**2).sum(), rtol=1e-9)
    assert np.abs(pruned(FlipsWithoutTheirWeight())[0] - exact).max() > 0.01


# -- control variates -------------------------------------------------------------------------------

def test_muprop():
    """Unbiased, and by definition: the score of what the line through the means leaves, and its slope."""
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
    """What is left of the noise is taken as if the sample had been the other one."""

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
    """A batch in which every outcome is as frequent as it is probable, here: all p are 1/2."""
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


# -- networks ---------------------------------------------------------------------------------------

def test_relax_starts_as_reinforce_and_learns_a_control_variate():
    rule, rng = Relax(hidden=8, rate=0.02), np.random.default_rng(0)
    first = rng.uniform(size=(5, 3))
    close(estimates(rule, LOGITS, coupled, first), estimates(Reinforce(), LOGITS, coupled, first), **EXACT)
    for _ in range(400):
        estimates(rule, LOGITS, coupled, rng.uniform(size=(64, 3)))
    mean, variance = integrated(rule, LOGITS, coupled, nodes=12)
    close(mean, truth(LOGITS, coupled), atol=2e-5)
    plain = enumerated(Reinforce(), LOGITS, coupled)[1]
    assert variance.sum() < plain.sum() / 3
    baseline = rule.network.scale(rule.state_dict())[0]
    assert variance.sum() < 0.8 * enumerated(Reinforce(baseline), LOGITS, coupled)[1].sum()


def test_the_network_of_relax_descends_the_variance():
    """The gradient that it learns by is that of the mean square of the estimate, by differences."""
    rule, u = Relax(hidden=3), np.random.default_rng(1).uniform(size=(20, 3))
    seen = {}
    learn = rule.network.learn
    rule.network.learn = lambda state, gradients, costs: seen.update(gradients) or learn(state, gradients, costs)
    for _ in range(3):
        estimates(rule, LOGITS, coupled, u)
    state = rule.state_dict()
    _, deviation = rule.network.scale(state)
    estimates(rule, LOGITS, coupled, u)
    gradients = dict(seen)
    for name, index in (("W", (1, 2)), ("a", (0,)), ("v", (1, 0)), ("c", (0,))):
        squares = []
        for step in (1e-5, -1e-5):
            moved = {key: x.copy() for key, x in state.items()}
            moved[name][index] += step
            rule.load_state_dict(moved)
            squares.append((estimates(rule, LOGITS, coupled, u) ** 2).sum(axis=1).mean() / deviation**2)
        close(gradients[name][index], (squares[0] - squares[1]) / 2e-5, rtol=1e-6, atol=1e-9)


def test_a_relaxed_sample_centred_at_the_probability_shows_in_the_variance_alone(monkeypatch):
    rule, rng = Relax(hidden=8, rate=0.02), np.random.default_rng(0)
    for _ in range(300):
        estimates(rule, LOGITS, coupled, rng.uniform(size=(64, 3)))
    mean, variance = integrated(rule, LOGITS, coupled, nodes=12)
    monkeypatch.setattr(relax, "logistic", lambda u: logistic(u) + P - LOGITS)      # z = p + L
    wrong_mean, wrong_variance = integrated(rule, LOGITS, coupled, nodes=12)
    close(wrong_mean, mean, atol=2e-5)
    assert wrong_variance.sum() > 1.1 * variance.sum()


class BaselineThatSawTheSample(LearnedBaseline):
    """It learns first, and then predicts."""

    def value(self, node, state):
        return super().value(node, self.learn(node, state))


@pytest.mark.parametrize(("baseline", "biased"), [(LearnedBaseline, False), (BaselineThatSawTheSample, True)])
def test_a_learned_baseline_must_not_have_seen_the_sample(baseline, biased):
    """Passes over a single row, for every sample that it may show."""
    rule, (u, probability) = Reinforce(baseline(hidden=3, rate=0.1)), grid([cells(x) for x in P])
    for _ in range(3):
        estimates(rule, LOGITS, coupled, u)
    with mg.testing.frozen_memories():
        mean = probability @ np.concatenate([estimates(rule, LOGITS, coupled, row[None]) for row in u])
    assert np.allclose(mean, truth(LOGITS, coupled), **EXACT) is not biased


def test_nvil_learns_to_predict_the_cost_from_the_context():
    """Two kinds of row with costs of their own: the baseline of each tends to its mean."""
    rule, u = Nvil(hidden=4, rate=0.02), np.tile(grid([cells(0.25, 0.5, 0.75)] * 3)[0], (2, 1))
    logits = np.log([0.25 / 0.75, 1.0, 3.0])
    kind = np.repeat([1.0, -1.0], len(u) // 2)

    def cost(b):
        return 50 * kind + mg.exp(b @ LINE)

    close(estimates(rule, logits, cost, u, context=kind[:, None]), estimates(Reinforce(), logits, cost, u), **EXACT)
    for _ in range(400):
        found = estimates(rule, logits, cost, u, context=kind[:, None])
    exact = truth(logits, lambda b: mg.exp(b @ LINE))
    b = (u < sigmoid(logits)).astype(float)
    costs = cost(mg.tensor(b)).data
    baseline = (costs[:, None] - found / (b - sigmoid(logits)))[:, 0]
    for one in (1.0, -1.0):
        close(found[kind == one].mean(axis=0), exact, **EXACT)
        close(baseline[kind == one], costs[kind == one].mean(), rtol=0.02)
    assert found.var(axis=0).sum() < estimates(Reinforce("mean"), logits, cost, u).var(axis=0).sum() / 100


def test_a_learned_baseline_without_context_learns_the_mean():
    rule, u = Reinforce(LearnedBaseline(hidden=2)), grid([cells(0.25, 0.5, 0.75)] * 3)[0]
    logits = np.log([0.25 / 0.75, 1.0, 3.0])
    for _ in range(3):
        found = estimates(rule, logits, coupled, u)
    b = (u < sigmoid(logits)).astype(float)
    close(found, (b - sigmoid(logits)) * (coupled(mg.tensor(b)).data - coupled(mg.tensor(b)).data.mean())[:, None],
          rtol=0.1, atol=0.02)


def trained_on_samples(rule, draws, steps=300):
    rng = np.random.default_rng(8)
    for _ in range(steps):
        own = [rng.uniform(size=(64, 3)) for _ in range(draws)]
        estimates(rule, LOGITS, coupled, rng.uniform(size=(64, 3)), own)
    return rule


@pytest.mark.parametrize("samples", [2, 3])
def test_rodeo_starts_as_leave_one_out_and_learns_a_control_variate(samples):
    rule = Rodeo(samples, rate=0.02)
    start, plain = (enumerated(x, LOGITS, coupled, samples - 1) for x in (rule, LeaveOneOut(samples)))
    close(start, plain, **EXACT)
    mean, variance = enumerated(trained_on_samples(rule, samples - 1), LOGITS, coupled, samples - 1)
    close(mean, truth(LOGITS, coupled), **EXACT)
    assert variance.sum() < plain[1].sum() / 2


def test_rodeo_by_definition():
    """The control variates as the Stein operator of h and of h · (b − p), each bit flipped in turn."""
    rule, rng = trained_on_samples(Rodeo(2, rate=0.05), 1, steps=20), np.random.default_rng(9)
    u, other = rng.uniform(size=(2, 5, 3))
    memory = rule.state_dict()
    found = estimates(rule, LOGITS, coupled, u, [other])
    mean, deviation = rule.network.scale(memory)
    bits = (np.stack([u, other]) < P).astype(float)
    x = mg.tensor(bits, requires_grad=True)
    costs = coupled(x)
    slope = mg.grad(costs.sum(), x).data / deviation
    f = (costs.data - mean) / deviation

    def h(b, k, row):
        j = 1 - k
        x = np.array([[f[j, row], slope[j, row] @ (b - bits[j, row])]])
        return rule.network.output(memory, x).item()

    def stein(function, b):
        return sum(abs(b[i] - P[i]) * (function(np.where(np.arange(3) == i, 1 - b, b)) - function(b)) for i in range(3))

    for row in range(5):
        b = bits[:, row]
        extended = [f[k, row] + stein(lambda x, k=k, row=row: h(x, k, row), b[k]) for k in range(2)]
        estimate = sum((f[k, row] - extended[1 - k]) * (b[k] - P)
                       + stein(lambda x, k=k, row=row: h(x, k, row) * (x - P), b[k]) for k in range(2)) / 2
        close(found[row], deviation * estimate, rtol=1e-9, atol=1e-12)


def test_rodeo_must_not_know_its_sample(monkeypatch):
    """h_k made of sample k itself: the wrong one of two is left out."""
    rule = trained_on_samples(Rodeo(2, rate=0.05), 1, steps=20)
    monkeypatch.setattr(rodeo, "identity", lambda n, like: np.ones((n, n)) - np.diag(np.ones(n)))
    assert np.abs(enumerated(rule, LOGITS, coupled, 1)[0] - truth(LOGITS, coupled)).max() > 0.01


# -- in graphs: two layers, a batch of four, weighted costs -----------------------------------------

X = np.random.default_rng(2).normal(size=(4, 2))
W, V = np.array([[0.9, -0.6], [0.4, 1.1]]), np.array([[1.2], [-0.8]])
STATES = np.array(list(product([0.0, 1.0], repeat=2)))


def two_layers(a, rules, rngs=(None, None), example=slice(None)):
    above = mg.bernoulli(a, rules[0], rng=rngs[0])
    below = mg.bernoulli(above @ V - 0.2, rules[1], rng=rngs[1])
    one = (below[:, 0] + above @ np.array([0.7, -1.2]) - 0.3) ** 2
    two = mg.exp((above * X[example]).sum(axis=1) - below[:, 0])
    return 0.7 * mg.expected(one) - 2 * (mg.expected(two) / 5)


def below_values(rule, p, u):
    """The values at which the rule evaluates what is below, for each row: there the second layer jumps."""
    if isinstance(rule, Rebar):
        return [ramp(np.log(p / (1 - p)), u, rule.temperature)[0]]
    return [np.broadcast_to(p, u.shape)]


@mg.testing.frozen_memories()
def mean_above(rule, below, draws=0, nodes=1, own=None):
    """The exact mean of the estimates for the first layer's logits, example by example."""
    means = []
    for i, p in enumerate(sigmoid(X @ W)):
        partitions = [cells(x, 1 - x, nodes=nodes) for x in p]
        u, share = grid(partitions * (1 + draws) + ([own] if own else []))
        q = [sigmoid(STATES @ V - 0.2)[:, 0] + np.zeros((len(u), 1))]
        q += [sigmoid(x @ V - 0.2) for x in below_values(rule, p, u[:, :2])]
        edges = np.sort(np.concatenate([np.zeros((len(u), 1)), *q, np.ones((len(u), 1))], axis=1), axis=1)
        pieces = np.diff(edges, axis=1)
        second = (edges[:, :-1] + pieces / 2).reshape(-1, 1)
        u = np.repeat(u, pieces.shape[1], axis=0)
        share = (share[:, None] * pieces).ravel()
        first = u[:, :2]
        drawn = [u[:, 2 * k:2 * k + 2] for k in range(1, 1 + draws)] + ([u[:, -1:]] if own else [])
        a = mg.tensor(np.tile((X @ W)[i], (len(u), 1)), requires_grad=True)
        two_layers(a, (rule, below), (Given(first, *drawn, 0.5), Chosen(second)), example=[i] * len(u)).backward()
        means.append(share @ a.grad * len(u))
    return np.array(means)


def exact_above():
    a = mg.tensor(X @ W, requires_grad=True)
    return 4 * mg.testing.exact_gradient(lambda: two_layers(a, (Stop(), Stop())), a)


def flips():
    """Cells of the number that draws the unit to flip, for all examples."""
    shares = []
    for p in sigmoid(X @ W):
        reach = np.cumsum(p * (1 - STATES[:-1]), axis=1)
        shares.append(reach / reach[:, -1:])
    return cells(*np.unique(np.concatenate(shares).round(12)))


def trained(rule, draws=0):
    """The rule after a few updates, its memory no longer that of the start."""
    rng = np.random.default_rng(5)
    for _ in range(4):
        a = mg.tensor(X @ W, requires_grad=True)
        own = [rng.uniform(size=(4, 2)) for _ in range(draws)]
        rngs = Given(rng.uniform(size=(4, 2)), *own), Chosen(rng.uniform(size=(4, 1)))
        two_layers(a, (rule, Reinforce()), rngs).backward()
    return rule


@pytest.mark.parametrize(("rule", "draws", "below"), [
    (LeaveOneOut(), 1, StraightThrough()), (LeaveOneOut(3), 2, StraightThrough()), (ARMS(2), 0, StraightThrough()),
    (MuProp(), 0, Reinforce()), (MuProp(), 0, StraightThrough()), (DoubleControlVariate(), 1, Reinforce()),
    (DoubleControlVariate(), 1, StraightThrough()), (Rodeo(rate=0.1), 1, StraightThrough()),
])
def test_two_layers(rule, draws, below):
    """Right whatever the gradients below: of MuProp and the double control variate too."""
    if rule.state is not None:
        rule = trained(rule, draws)
    close(mean_above(rule, below, draws), exact_above(), **EXACT)


def test_two_layers_with_pruned_flips():
    close(mean_above(PrunedFlip(), StraightThrough(), own=flips()), exact_above(), **EXACT)


def test_two_layers_with_networks():
    close(mean_above(trained(Nvil(hidden=3)), StraightThrough()), exact_above(), **EXACT)
    close(mean_above(trained(Relax(hidden=3)), StraightThrough(), nodes=16), exact_above(), rtol=1e-6)


def test_two_layers_with_rebar_which_needs_unbiased_gradients_below():
    rule = trained(Rebar(0.5))
    close(mean_above(rule, Reinforce(), nodes=24), exact_above(), atol=2e-7)
    with pytest.warns(UserWarning, match=r"Rebar.* claims to be unbiased, .*StraightThrough\(\) is biased"):
        wrong = mean_above(rule, StraightThrough(), nodes=12)
    assert np.abs(wrong - exact_above()).max() > 0.01


def test_no_warning_where_nothing_is_wrong():
    a = mg.tensor(X @ W, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for rules in ((Rebar(), Reinforce()), (MuProp(), StraightThrough()), (Rebar(), Rebar())):
            two_layers(a, rules).backward()


# -- rows that share a cost -------------------------------------------------------------------------

@pytest.mark.parametrize(("rule", "draws"), [
    (LeaveOneOut(), 1), (MuProp(), 0), (DoubleControlVariate(), 1), (Rodeo(), 1), (PrunedFlip(), 0), (Nvil(), 0)])
def test_rows_that_share_a_cost(rule, draws):
    """Two rows of two units under one cost outside ``expected``: one graph for each joint outcome."""
    logits = np.array([[0.4, -1.0], [-0.3, 0.8]])
    p, states = sigmoid(logits), np.array(list(product([0.0, 1.0], repeat=4))).reshape(-1, 2, 2)

    def loss(a, rule, rng=None):
        b = mg.bernoulli(a, rule, rng=rng)
        return mg.exp((b * [[1.0, -0.5], [0.7, 0.3]]).sum()) + (b[0, 0] - b[1, 1]) ** 2 * b[1, 0]

    def draw(b):
        """Uniforms that lead to the state b, and its probability."""
        return np.where(b == 1, p / 2, (1 + p) / 2), np.where(b == 1, p, 1 - p).prod()

    a = mg.tensor(logits, requires_grad=True)
    mean = np.zeros((2, 2))
    for b in states:
        u, share = draw(b)
        if draws:
            own = [draw(other) for other in states]
        elif isinstance(rule, PrunedFlip):
            w = p * (1 - b)
            first = w[:, 0] / np.maximum(w.sum(axis=1), 1e-9)
            own = [(np.array([[v], [t]]), x * y) for v, x in cells(first[0]) for t, y in cells(first[1])]
        else:
            own = [(u, 1.0)]
        for v, part in own:
            a.grad = None
            with mg.testing.frozen_memories():
                loss(a, rule, Given(u, v)).backward()
            mean += share * part * a.grad
    close(mean, mg.testing.exact_gradient(lambda: loss(a, Stop()), a), **EXACT)


# -- importance-weighted bounds ---------------------------------------------------------------------

def bound(a, rule, rng=None, weight=1.3):
    """Two examples of three samples each; a second term looks at the samples one by one."""
    b = mg.bernoulli(a, rule, rng=rng)
    log_weights = (b * np.array([0.9, -1.4])).sum(axis=-1) + 0.5 * b[:, :, 0] * b[:, :, 1] * EXAMPLE
    return -weight * mg.expected(log_weights, over=1) + 0.5 * mg.expected((b.sum(axis=-1) - 0.3) ** 2)


EXAMPLE = np.array([[1.0], [-2.0]])


class BaselineOfAll(Vimco):
    """The mean replaces a log-weight that it was made of as well."""

    def backward(self, node):
        (weight, log_weights), = node.inner
        replaced = np.where(np.eye(3, dtype=bool), log_weights.mean(axis=1)[:, None, None], log_weights[:, None, :])
        baseline = weight * ops.logmeanexp(replaced, axis=2).reshape(-1, 1)
        return (node.cost - baseline) * (node.value - node.probs)


@pytest.mark.parametrize(("rule", "biased"), [(Vimco(), False), (Reinforce(), False), (BaselineOfAll(), True)])
def test_vimco_on_every_joint_state(rule, biased):
    logits = np.random.default_rng(6).normal(size=(2, 3, 2))
    a, p = mg.tensor(logits, requires_grad=True), sigmoid(logits)
    exact = mg.testing.exact_gradient(lambda: bound(a, Stop()), a)
    mean = 0
    for bits in product([0, 1], repeat=6):
        b = np.broadcast_to(np.reshape(bits, (3, 2)), p.shape)
        share = np.where(b == 1, p, 1 - p).prod(axis=(1, 2), keepdims=True)
        a.grad = None
        bound(a, rule, Chosen(np.where(b == 1, p / 2, (1 + p) / 2))).backward()
        mean += share * a.grad
    assert np.allclose(mean, exact, **EXACT) is not biased


def test_vimco_by_definition():
    a = mg.tensor(np.random.default_rng(6).normal(size=(2, 3, 2)), requires_grad=True)
    b = mg.bernoulli(a, Vimco(), rng=mg.Generator(2))
    log_weights = (b @ np.array([0.9, -1.4])) * EXAMPLE
    mg.expected(log_weights, over=1).backward()
    ell, score = log_weights.data, b.data - sigmoid(a.data)
    for i, k in product(range(2), range(3)):
        other = np.delete(ell[i], k)
        baseline = np.log(np.mean([*np.exp(other), np.exp(other.mean())]))
        close(a.grad[i, k] * 2, (np.log(np.exp(ell[i]).mean()) - baseline) * score[i, k], **EXACT)


def masked(b, least):
    """Log-weights of (2, K) samples, of which all but the first are impossible where their first bit is 1."""
    possible = np.arange(b.shape[1]) == 0
    return mg.where(b[:, :, 0] <= possible.astype(b.dtype), (b * np.array([0.9, -1.4], b.dtype)).sum(axis=-1),
                    b.dtype.type(least))


@pytest.mark.parametrize("samples", [2, 3])
@pytest.mark.parametrize("least", [-1e3, -1e9, -np.inf])
def test_vimco_with_samples_of_no_weight_on_every_joint_state(samples, least):
    a = mg.tensor(np.random.default_rng(6).normal(size=(2, samples, 2)), requires_grad=True)
    p, mean = sigmoid(a.data), 0
    for bits in product([0, 1], repeat=2 * samples):
        b = np.broadcast_to(np.reshape(bits, (samples, 2)), p.shape)
        share = np.where(b == 1, p, 1 - p).prod(axis=(1, 2), keepdims=True)
        a.grad = None
        rng = Chosen(np.where(b == 1, p / 2, (1 + p) / 2))
        mg.expected(masked(mg.bernoulli(a, Vimco(), rng=rng), least), over=1).backward()
        mean += share * a.grad
    exact = mg.testing.exact_gradient(lambda: mg.expected(masked(mg.bernoulli(a, Stop()), least), over=1), a)
    close(mean, exact, rtol=1e-9, atol=1e-6 if least == -1e9 else 1e-12)     # 1e9 · (b − p), which cancel


@pytest.mark.parametrize("dtype", [np.float32, float])
@pytest.mark.parametrize("least", [-1e9, -np.inf])
def test_vimco_with_samples_of_no_weight_by_definition(dtype, least):
    a = mg.tensor(np.zeros((2, 3, 2)), requires_grad=True, dtype=dtype)
    bits = np.array([[[0, 1], [1, 0], [0, 0]], [[1, 1], [0, 1], [1, 1]]])
    b = mg.bernoulli(a, Vimco(), rng=Chosen(np.where(bits == 1, 0.25, 0.75)))
    log_weights = masked(b, least)
    mg.expected(log_weights, over=1).backward()
    ell = log_weights.numpy().astype(float)
    for i, k in product(range(2), range(3)):
        other = np.delete(ell[i], k)
        baseline = np.log(np.mean([*np.exp(other), np.exp(other.mean())]))
        close(a.grad[i, k] * 2, (np.log(np.exp(ell[i]).mean()) - baseline) * (bits[i, k] - 0.5), rtol=1e-5)


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


@pytest.mark.parametrize("name", mg.estimators.__all__)
def test_huge_costs_only_scale_the_estimate(name):
    """A power of two costs no digits, so estimates are the same to the last one, in float32 as well."""
    found = []
    for factor in (1.0, 2.0**30):
        a = mg.tensor(np.tile(LOGITS, (8, 1)), requires_grad=True, dtype="float32")
        b = mg.bernoulli(a, getattr(mg.estimators, name)(), rng=mg.Generator(3))
        mg.expected(factor * ((b * LINE.astype(np.float32)).sum(axis=1) - 0.3) ** 2).backward()
        found.append(a.grad / np.float32(factor))
    np.testing.assert_array_equal(*found)


def test_the_bound_passes_its_weights_to_the_log_weights():
    ell = mg.tensor(np.random.default_rng(7).normal(size=(4, 3)), requires_grad=True)
    value = mg.expected(ell, over=1)
    value.backward()
    weights = np.exp(ell.data)
    close(value.data, np.log(weights.mean(axis=1)).mean())
    close(ell.grad, weights / weights.sum(axis=1, keepdims=True) / 4)


# -- every rule here --------------------------------------------------------------------------------

RULES = [LeaveOneOut, ARMS, Surrogate, StraightThroughAnnealed, GumbelSigmoid, GumbelStraightThrough, GumbelRao,
         PrunedFlip, MuProp, Rebar, DoubleControlVariate, Nvil, Relax, Rodeo, Vimco]


@pytest.mark.parametrize("rule", RULES)
def test_float32_agrees_with_float64(rule):
    found = []
    for dtype in (np.float32, float):
        a = mg.tensor(LOGITS[None].repeat(6, axis=0), requires_grad=True, dtype=dtype)
        rng = mg.Generator(4)
        b = mg.bernoulli(a, rule(), rng=rng)
        mg.expected(((b * LINE.astype(dtype)).sum(axis=1) - dtype(0.3)) ** 2).backward()
        assert a.grad.dtype == dtype
        found.append(a.grad)
    close(found[0], found[1], rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("rule", RULES)
def test_memory_is_saved_and_comes_back(rule):
    learned, fresh = rule(), rule()
    u = np.random.default_rng(3).uniform(size=(9, 3))
    for _ in range(3):
        estimates(learned, LOGITS, coupled, u, np.full(4, 0.6))
    fresh.load_state_dict(learned.state_dict())
    np.testing.assert_array_equal(*[estimates(x, LOGITS, coupled, u, np.full(4, 0.6)) for x in (learned, fresh)])


@pytest.mark.parametrize("rule", [LeaveOneOut, ARMS, DoubleControlVariate, Rodeo])
def test_one_sample_has_no_other_as_its_baseline(rule):
    with pytest.raises(ValueError, match="samples >= 2"):
        rule(1)


def test_evaluations_are_as_many_as_stated():
    for rule, evaluations in ((LeaveOneOut(5), 4), (ARMS(4), 3), (PrunedFlip(), 1), (MuProp(), 1), (Rebar(), 1),
                              (DoubleControlVariate(3), 2), (Relax(), 0), (Nvil(), 0), (GumbelRao(), 0)):
        a = mg.tensor(np.zeros((4, 3)), requires_grad=True)
        b = mg.bernoulli(a, rule)
        mg.expected(coupled(b)).backward()
        assert b.primitive.replays == evaluations


def test_rebar_descends_the_variance_over_its_temperature():
    """The second moment over 20,000 rows, of the very same noise, before and after learning τ."""
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
