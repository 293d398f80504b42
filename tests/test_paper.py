"""The statements of the papers, proved by enumeration or quadrature with the library's own units and rules.

The paper is Bengio, Léonard & Courville (2013), arXiv 1308.3432, if no other is named.  Nothing here is sampled, so
tolerances only allow rounding.  If a check could pass for a wrong reason, a wrong unit or rule must fail it.
"""

import numpy as np
import pytest
from enumeration import GRADIENT, LOGITS, Chosen, P, cells, coupled, estimates, grid, moments, sigmoid, truth
from scipy import stats

import minigrad as mg
from minigrad.estimators import (
    SPSA,
    Correlation,
    Reinforce,
    Stop,
    StraightThrough,
    StraightThroughSlope,
)
from minigrad.neurons import noisy_rectifier, stochastic_times_smooth
from minigrad.stochastic import BinaryNode

close = np.testing.assert_allclose
EXACT = {"rtol": 1e-10, "atol": 1e-13}


def states(units):
    return np.array([[s >> i & 1 for i in range(units)] for s in range(2**units)], float)


def all_costs(units, cost):
    """Probability of each state at P, states, and costs."""
    b = states(units)
    return np.prod(np.where(b == 1, P[:units], 1 - P[:units]), axis=1), b, cost(mg.tensor(b)).numpy()


# -- §2.1: noisy rectifier --------------------------------------------------------------------------

LOGISTIC = stats.logistic, "logistic", 30.0
GAUSSIAN = stats.norm, "gaussian", 7.5


def quadrature_of_rectifier(a, scale, law, name, far, unit=noisy_rectifier):
    """P(h > 0), E[h] and E[dh/da], integrated over the noise on either side of the kink."""
    points, weights = np.polynomial.legendre.leggauss(300)
    found = np.zeros(3)
    kink = -a / scale
    for low, high in ((-far, kink), (kink, far)):
        z = low + (high - low) * (1 + points) / 2
        density = weights * (high - low) / 2 * law.pdf(z)
        x = mg.tensor(np.full((300, 1), a), requires_grad=True)
        h = unit(x, name, scale, rng=Chosen(law.cdf(z)[:, None]))
        h.sum().backward()
        found += [density @ (h.data[:, 0] > 0), density @ h.data[:, 0], density @ x.grad[:, 0]]
    return found


@pytest.mark.parametrize("scale", [1.0, 0.6])
@pytest.mark.parametrize("a", [-3.0, -0.4, 0.0, 1.7])
def test_noisy_rectifier_with_logistic_noise(a, scale):
    fires, mean, slope = quadrature_of_rectifier(a, scale, *LOGISTIC)
    close(fires, sigmoid(a / scale), rtol=1e-9)
    close(mean, scale * np.log1p(np.exp(a / scale)), rtol=1e-9)
    close(slope, sigmoid(a / scale), rtol=1e-9)             # the derivative of E[h]


@pytest.mark.parametrize("scale", [1.0, 0.6])
@pytest.mark.parametrize("a", [-1.5, 0.0, 1.7])
def test_noisy_rectifier_with_gaussian_noise(a, scale):
    fires, mean, slope = quadrature_of_rectifier(a, scale, *GAUSSIAN)
    x = a / scale
    close(fires, stats.norm.cdf(x), rtol=1e-9)
    close(mean, a * stats.norm.cdf(x) + scale * stats.norm.pdf(x), rtol=1e-9)
    close(slope, stats.norm.cdf(x), rtol=1e-9)


def test_noise_after_the_rectifier_would_not_do():
    def noise_outside(a, name, scale, *, rng):
        return mg.relu(a) + scale * rng.logistic(a.shape)

    fires, mean, slope = quadrature_of_rectifier(-0.4, 1.0, *LOGISTIC, unit=noise_outside)
    assert abs(fires - sigmoid(-0.4)) > 0.05
    assert abs(mean - np.log1p(np.exp(-0.4))) > 0.05
    assert slope == 0


# -- Eq 2: stochastic times smooth ------------------------------------------------------------------

def expectation_of_unit(p, f, unit=stochastic_times_smooth):
    a = mg.tensor([[np.log(p / (1 - p))]])
    return mg.testing.exact_expectation(lambda: mg.expected(f(unit(a)).sum(axis=1)))


def times_smooth_without_root(a):
    """b ~ Bernoulli(p) instead of Bernoulli(√p)."""
    return mg.mask(mg.sqrt(mg.sigmoid(a)), mg.bernoulli(a, Stop()))


@pytest.mark.parametrize("p", [1e-6, 0.01, 0.5, 0.99])
def test_stochastic_times_smooth_has_mean_p_and_fires_with_root_p(p):
    close(expectation_of_unit(p, lambda h: h), p, rtol=1e-12)
    close(expectation_of_unit(p, lambda h: (h > 0).astype(float)), np.sqrt(p), rtol=1e-12)
    assert abs(expectation_of_unit(p, lambda h: h, times_smooth_without_root) / p - 1) > 1e-3


def test_stochastic_times_smooth_against_a_plain_bit_at_one_percent():
    p = 0.01
    smooth = expectation_of_unit(p, mg.exp) - np.exp(p)
    plain = expectation_of_unit(p, mg.exp, lambda a: mg.bernoulli(a, Stop())) - np.exp(p)
    close([smooth, plain], [4.67e-4, 7.13e-3], rtol=1e-3)


@pytest.mark.parametrize(("f", "second", "third"), [(mg.exp, 1, 1), (mg.sin, 0, -1), (mg.cos, -1, 0)])
def test_remainder_of_stochastic_times_smooth(f, second, third):
    """E f(h) − f(p) = ½ p^{3/2} f''(0) + (f'''(0)/6 − f''(0)/2) p² + O(p^{5/2}), hence o(√p)."""
    for p in (1e-3, 1e-4):
        error = expectation_of_unit(p, f) - f(np.float64(p))
        close(error, p**1.5 * second / 2 + p**2 * (third / 6 - second / 2), atol=p**2.5)
        assert abs(error) < np.sqrt(p) * p**0.9
    if f is not mg.cos:                                      # whose slope at 0 is 0
        wrong = expectation_of_unit(p, f, times_smooth_without_root) - f(np.float64(p))
        assert abs(wrong) > np.sqrt(p) * p**0.9


@pytest.mark.parametrize("p", [0.03, 0.5, 0.9])
def test_half_of_the_gradient_goes_through_the_smooth_part(p):
    logit, slope = np.log(p / (1 - p)), 3.0
    u, probability = grid([cells(np.sqrt(p))])
    a = mg.tensor(np.full((2, 1), logit), requires_grad=True)
    mg.expected((stochastic_times_smooth(a, rng=Chosen(u)) * slope).sum(axis=1)).backward()
    mean = probability @ (2 * a.grad[:, 0])
    one = mg.tensor([[logit]], requires_grad=True)
    exact = mg.testing.exact_gradient(
        lambda: mg.expected((stochastic_times_smooth(one) * slope).sum(axis=1)), one)
    close(exact, slope * p * (1 - p), **EXACT)
    close(mean, exact / 2, **EXACT)


@pytest.mark.parametrize("p", [0.03, 0.5, 0.9])
def test_mean_of_the_smooth_parts_gradient(p):
    """E[b d√p/da f'(√p)] = ½ p (1 − p) f'(√p), here for f = exp."""
    u, probability = grid([cells(np.sqrt(p))])
    a = mg.tensor(np.full((2, 1), np.log(p / (1 - p))), requires_grad=True)
    mg.expected(mg.exp(stochastic_times_smooth(a, rng=Chosen(u))).sum(axis=1)).backward()
    close(probability @ (2 * a.grad[:, 0]), p * (1 - p) / 2 * np.exp(np.sqrt(p)), **EXACT)


# -- Theorem 1 and Corollary 1: correlation with the cost -------------------------------------------

class ScoreOfTheWrongCoordinate(mg.Estimator):
    """The scores of units 0 and 1 exchanged."""

    needs = {"cost"}

    def backward(self, node):
        return node.cost * (node.value - node.probs)[:, [1, 0, 2]]


class BaselineWithTheCurrentCost(mg.Estimator):
    """A moving average that already contains the cost from which it is subtracted."""

    needs = {"cost"}

    def backward(self, node):
        return (node.cost - 0.1 * node.cost) * (node.value - node.probs)


def test_the_exact_gradient_is_the_difference_that_a_unit_makes():
    """dE[L]/da_i = p_i (1 − p_i) (E[L | h_i = 1] − E[L | h_i = 0])."""
    probability, b, cost = all_costs(3, coupled)
    difference = [np.average(cost[on], weights=probability[on]) - np.average(cost[~on], weights=probability[~on])
                  for on in (b == 1).T]
    close(truth(LOGITS, coupled), P * (1 - P) * difference, **EXACT)
    close(truth(LOGITS, coupled), GRADIENT, rtol=1e-5)


def test_theorem_1_on_several_units():
    mean, variance = moments(Reinforce(), LOGITS, coupled)
    close(mean, truth(LOGITS, coupled), **EXACT)
    close(variance.sum(), 2.76528, rtol=1e-5)


@pytest.mark.parametrize("wrong", [ScoreOfTheWrongCoordinate(), BaselineWithTheCurrentCost()])
def test_theorem_1_fails_for_wrong_scores(wrong):
    with pytest.raises(AssertionError):
        close(moments(wrong, LOGITS, coupled)[0], truth(LOGITS, coupled), **EXACT)


def test_theorem_1_with_noise_between_the_unit_and_its_cost():
    """The cost may be random, given the unit: a second layer of binary units is between the unit and its cost."""
    weight = np.array([[2.0, -1.0], [0.5, 1.0]])
    u, probability = grid([cells(P[0]), cells(P[1])])
    logits = LOGITS[:2]

    def loss(a, rngs):
        h = mg.bernoulli(a, Reinforce(), rng=rngs[0])
        below = mg.bernoulli(h @ weight - 0.5, Reinforce(), rng=rngs[1])
        return mg.expected((below @ np.array([1.0, -2.0]) + h.sum(axis=1) * below[:, 0]) ** 2)

    mean = np.zeros(2)
    for v, share in zip(*grid([np.array(cells(*np.sort(np.unique(sigmoid(states(2) @ weight[:, j] - 0.5)))))
                               for j in range(2)]), strict=True):
        a = mg.tensor(np.tile(logits, (len(u), 1)), requires_grad=True)
        loss(a, (Chosen(u), Chosen(v))).backward()
        mean += share * (probability @ (a.grad * len(u)))
    one = mg.tensor(logits[None], requires_grad=True)
    close(mean, mg.testing.exact_gradient(lambda: loss(one, (None, None)), one)[0], **EXACT)


def best_baselines():
    probability, b, cost = all_costs(3, coupled)
    square = (b - P) ** 2
    return probability @ (square * cost[:, None]) / (probability @ square), probability @ square


@pytest.mark.parametrize("baseline", [-3.0, 0.7, 10.0])
def test_corollary_1_any_constant_keeps_the_mean(baseline):
    close(moments(Reinforce(baseline), LOGITS, coupled)[0], truth(LOGITS, coupled), **EXACT)


def test_corollary_1_the_variance_is_a_parabola_with_its_least_value_at_the_stated_baseline():
    best, curvature = best_baselines()
    assert np.ptp(best) > 0.1                                # each unit has its own
    for i in range(3):
        at_best = moments(Reinforce(best[i]), LOGITS, coupled)[1][i]
        for shift in (-0.5, 1e-3, 2.0):
            other = moments(Reinforce(best[i] + shift), LOGITS, coupled)[1][i]
            close(other - at_best, curvature[i] * shift**2, rtol=1e-6, atol=1e-12)
            assert other > at_best > 0


def test_corollary_1_in_practice_as_two_moving_averages_per_unit():
    """A batch that shows every cell of the uniforms equally often is the distribution itself."""
    p = np.array([0.25, 0.5, 0.75])
    logits = np.log(p / (1 - p))
    u, _ = grid([cells(0.25, 0.5, 0.75)] * 3)
    rule = Reinforce("optimal")
    close(estimates(rule, logits, coupled, u), estimates(Reinforce(), logits, coupled, u), **EXACT)
    b = (u < p).astype(float)
    cost, score = coupled(mg.tensor(b)).numpy()[:, None], b - p
    best = (score**2 * cost).mean(axis=0) / (score**2).mean(axis=0)
    found = estimates(rule, logits, coupled, u)
    close(found, (cost - best) * score, **EXACT)
    close(found.mean(axis=0), truth(logits, coupled), **EXACT)
    for other in (Reinforce(), Reinforce(cost.mean()), Reinforce(best[0] + 0.01)):
        excess = estimates(other, logits, coupled, u).var(axis=0) - found.var(axis=0)
        assert np.all(excess > -1e-12)
        assert excess.max() > 1e-5


def test_corollary_1_leaves_a_single_unit_no_variance():
    for p, cost in ((0.1, lambda b: mg.exp(b.sum(axis=-1))), (0.6, lambda b: (b.sum(axis=-1) - 0.4) ** 2)):
        logit = [np.log(p / (1 - p))]
        zero, one = (float(cost(mg.tensor([x])).item()) for x in (0.0, 1.0))
        best = (1 - p) * one + p * zero
        mean, variance = moments(Reinforce(best), logit, cost)
        close(mean, truth(logit, cost), **EXACT)
        close(variance, 0, atol=1e-28)


# -- Eq 13: straight-through ------------------------------------------------------------------------

def toy(t):
    return lambda b: ((b - t) ** 2).sum(axis=-1)


def test_straight_through_can_point_the_wrong_way():
    """For (b − t)² with t = 0.499 and logit −2, the mean of straight-through is 2(p − t), which has the wrong sign."""
    p, t = sigmoid(-2.0), 0.499
    mean, variance = moments(StraightThrough(), [-2.0], toy(t))
    sloped, sloped_variance = moments(StraightThroughSlope(), [-2.0], toy(t))
    exact = truth([-2.0], toy(t))
    close(exact, p * (1 - p) * (1 - 2 * t), **EXACT)
    close(mean, 2 * (p - t), **EXACT)
    close(sloped, p * (1 - p) * 2 * (p - t), **EXACT)
    close([mean[0], sloped[0], exact[0]], [-0.760, -0.0798, 0.00021], rtol=1e-3)
    close([variance[0], sloped_variance[0]], [0.42, 4.63e-3], rtol=1e-3)
    assert mean[0] * exact[0] < 0


def test_straight_through_has_the_right_sign_for_one_layer_with_a_linear_cost():
    slopes = np.array([2.0, -0.3, 1e-3])
    exact = truth(LOGITS, lambda b: b @ slopes)
    mean, variance = moments(StraightThrough(), LOGITS, lambda b: b @ slopes)
    close(mean, slopes, **EXACT)
    close(mean * P * (1 - P), exact, **EXACT)
    close(variance, 0, atol=1e-28)
    close(moments(StraightThroughSlope(), LOGITS, lambda b: b @ slopes)[0], exact, **EXACT)


def test_bias_of_straight_through_on_a_coupled_cost():
    bias = moments(StraightThroughSlope(), LOGITS, coupled)[0] - truth(LOGITS, coupled)
    close(np.abs(bias).max(), 0.0691, atol=5e-5)


@pytest.mark.parametrize(("t", "logit", "gradient", "variances"), [
    (0.499, 0.0, 5.0e-4, {"none": 1.563e-2, "mean": 0, "slope": 6.25e-2, "identity": 1.0}),
    (0.499, -2.0, 2.10e-4, {"none": 6.602e-3, "mean": 2.436e-7, "slope": 4.63e-3, "identity": 0.42}),
    (0.49, -2.0, 2.10e-3, {"none": 6.973e-3, "mean": 2.436e-5, "slope": 4.63e-3, "identity": 0.42}),
])
def test_table_of_the_toy_problem(t, logit, gradient, variances):
    p, cost = sigmoid(logit), toy(t)
    expected_cost = p * (1 - t) ** 2 + (1 - p) * t**2
    best = (1 - p) * (1 - t) ** 2 + p * t**2
    rules = {"none": Reinforce(), "mean": Reinforce(expected_cost), "slope": StraightThroughSlope(),
             "identity": StraightThrough()}
    close(truth([logit], cost), gradient, rtol=3e-3)
    for name, rule in rules.items():
        mean, variance = moments(rule, [logit], cost)
        close(variance, variances[name], rtol=3e-3, atol=1e-20)
        if rule.unbiased:
            close(mean, truth([logit], cost), **EXACT)
    close(moments(Reinforce(best), [logit], cost)[1], 0, atol=1e-30)


# -- arXiv 1305.2982: correlation, Boltzmann machines, simultaneous perturbation --------------------

def test_the_uncentred_correlation_is_off_by_probability_times_mean_cost():
    probability, _, cost = all_costs(3, coupled)
    mean_cost = probability @ cost
    mean, _ = moments(Correlation(), LOGITS, coupled)
    close(mean, truth(LOGITS, coupled) + P * mean_cost, **EXACT)
    close(mean - P * mean_cost, moments(Reinforce(), LOGITS, coupled)[0], **EXACT)
    # Of a cost whose mean is 0 it is unbiased.
    centred = moments(Correlation(), LOGITS, lambda b: coupled(b) - mean_cost)[0]
    close(centred, truth(LOGITS, coupled), **EXACT)


def test_boltzmann_machines_learn_by_the_correlation_estimator():
    """With reward 1 for states of the data and −1 for states of the model, X_i R and X_i R X_j are the
    bias's X_i⁺ − X_i⁻ and the weight's X_i⁺X_j⁺ − X_i⁻X_j⁻, the gradient of the log-likelihood."""
    units = 4
    rng = np.random.default_rng(0)
    weight = np.triu(rng.normal(size=(units, units)), 1)
    weight, bias = weight + weight.T, rng.normal(size=units)
    x = states(units)

    def log_likelihood(weight, bias):
        energy = x @ bias + (x @ weight * x).sum(axis=1) / 2
        return energy - np.log(np.exp(energy).sum())

    model = np.exp(log_likelihood(weight, bias))
    data = rng.dirichlet(np.ones(len(x)))
    phases, reward = np.concatenate([x, x]), np.repeat([1.0, -1.0], len(x))
    share = np.concatenate([data, model])

    def gradients(rule):
        """Ascent directions from one pass over all states in both phases, each forced upon the units."""
        w, c = mg.tensor(weight, requires_grad=True), mg.tensor(bias, requires_grad=True)
        b = mg.bernoulli(phases @ w + c, rule, rng=Chosen(1 - phases))
        np.testing.assert_array_equal(b.numpy(), phases)
        # The reward follows what the units did, but is not a function of it: hence the zero.
        costs = -reward * share * (1 + 0 * b.sum(axis=1))
        mg.expected(costs).backward()
        return -len(phases) * c.grad, -len(phases) * w.grad

    by_bias, by_weight = gradients(Correlation())
    close(by_bias, data @ x - model @ x, **EXACT)
    off = ~np.eye(units, dtype=bool)
    close(by_weight[off], ((x.T * data) @ x - (x.T * model) @ x)[off], **EXACT)
    h = 1e-6
    for i in range(units):
        step = h * np.eye(units)[i]
        slope = data @ (log_likelihood(weight, bias + step) - log_likelihood(weight, bias - step)) / (2 * h)
        close(by_bias[i], slope, atol=1e-8)
    # Centring would compare each phase with itself: of the model's own states nothing is left.
    close(gradients(Reinforce())[0], data @ (x - sigmoid(x @ weight + bias)), **EXACT)


class PerturbationWithoutItsSigns(SPSA):
    """The difference is divided by c instead of c δ, so errors of different units have opposite signs."""

    def backward(self, node):
        return super().backward(node) * np.where(node.rng.uniform(node.shape) < 0.5, 1.0, -1.0)


def mean_of_spsa(rule, monkeypatch):
    """The exact mean over the signs δ and the cells of u between which no sample changes."""
    logits, c = LOGITS, rule.c
    u, probability = grid([cells(sigmoid(x - c), sigmoid(x), sigmoid(x + c)) for x in logits])
    total = np.zeros(3)
    for signs in states(3):
        with monkeypatch.context() as patch:
            patch.setattr(BinaryNode, "rng", property(lambda node, signs=signs: Chosen(signs)))
            total += probability @ estimates(rule, logits, coupled, u) / 8
    return total


def test_bias_of_simultaneous_perturbation_is_of_second_order(monkeypatch):
    exact = truth(LOGITS, coupled)
    steps = (0.4, 0.2, 0.1)
    bias = np.array([mean_of_spsa(SPSA(c), monkeypatch) - exact for c in steps])
    assert np.all(np.abs(bias[-1]) < 0.002)
    close(bias[0] / bias[1], 4, rtol=0.1)
    close(bias[1] / bias[2], 4, rtol=0.03)
    close((4 * bias[2] - bias[1]) / 3, 0, atol=2e-5)
    wrong = np.array([mean_of_spsa(PerturbationWithoutItsSigns(c), monkeypatch) - exact for c in steps])
    assert np.all(np.abs(wrong[1] / wrong[2] - 4) > 1)
