"""Every rule: its exact mean, its memory, its declaration, and what its constructor refuses.

The propositions about them are proved in test_paper.py, the protocol they use in test_stochastic.py.
"""

import numpy as np
import pytest
from enumeration import Chosen, cells, estimates, grid, moments, sigmoid, truth

import minigrad as mg
from minigrad.estimators import (
    ARM,
    SPSA,
    BitFlip,
    Darn,
    DisARM,
    Enumerate,
    LearnedCorrection,
    LocalExpectation,
    Reinforce,
    ReinMax,
    Stop,
    StraightThroughClipped,
    baselines,
)
from minigrad.stochastic import BinaryNode

close = np.testing.assert_allclose
EXACT = {"rtol": 1e-9, "atol": 1e-13}
RULES = [getattr(mg.estimators, name) for name in mg.estimators.__all__]
LOGITS = np.log([0.25 / 0.75, 1.0, 3.0])
MIRRORED = [lambda logit: 1 - sigmoid(logit)]           # where the antithetic sample changes


def cost(b):
    return mg.exp(b @ np.array([1.0, -0.5, 0.3])) + (b[:, 0] - 0.2) * (b[:, 1] - b[:, 2]) ** 2


def every_sample_equally_often():
    """Uniforms of a batch in which each joint sample is as frequent as it is probable."""
    return grid([cells(0.25, 0.5, 0.75)] * 3)[0]


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_can_be_made_without_arguments_and_says_what_it_is(rule):
    made = rule()
    assert isinstance(made, mg.Estimator)
    assert repr(made).startswith(rule.__name__)
    assert rule.__doc__


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_that_claims_to_be_unbiased_is_and_the_others_are_not(rule, monkeypatch):
    if not rule.needs <= {"grad", "cost", "cost_at"}:
        pytest.skip("its estimate is no polynomial of the uniforms")
    own_noise = property(lambda node: pytest.skip("its own noise is enumerated elsewhere"))
    monkeypatch.setattr(BinaryNode, "rng", own_noise)
    mean, _ = moments(rule(), LOGITS, cost, MIRRORED)
    assert rule.unbiased == np.allclose(mean, truth(LOGITS, cost), **EXACT)


def test_reinforce_takes_its_baseline_in_many_forms():
    assert repr(Reinforce()) == "Reinforce(baseline=Constant(number=0.0))"
    assert repr(Reinforce(2)) == "Reinforce(baseline=Constant(number=2.0))"
    assert repr(Reinforce("mean")) == "Reinforce(baseline=MeanCost(decay=0.9))"
    assert repr(Reinforce(baselines.LeastVariance(0.5))) == "Reinforce(baseline=LeastVariance(decay=0.5))"
    for bad in ("median", ""):
        with pytest.raises(ValueError, match="expected baseline to be None, 'mean', 'optimal', a finite number"):
            Reinforce(bad)
    with pytest.raises(ValueError, match="finite"):
        Reinforce(np.nan)
    with pytest.raises(ValueError, match="decay"):
        baselines.MeanCost(1.0)


class Features:
    """A baseline of somebody else's: linear in the context."""

    def start(self):
        return {"weight": np.zeros((2, 1))}

    def value(self, node, state):
        return node.context @ state["weight"]

    def learn(self, node, state):
        error = node.cost - self.value(node, state)
        return {"weight": state["weight"] + 0.1 * node.context.T @ error / len(error)}


def test_a_baseline_can_be_learned_from_context():
    rule, u = Reinforce(Features()), every_sample_equally_often()
    context = np.tile([1.0, 2.0], (len(u), 1))
    for _ in range(60):
        found = estimates(rule, LOGITS, cost, u, context)
        close(found.mean(axis=0), truth(LOGITS, cost), **EXACT)
    b = (u < sigmoid(LOGITS)).astype(float)
    close(context[0] @ rule.state_dict()["weight"], cost(mg.tensor(b)).data.mean(), rtol=1e-6)


@pytest.mark.parametrize("baseline", ["mean", "optimal"])
def test_the_baseline_is_that_of_past_passes_only(baseline):
    """So in the first pass it is 0, and the current sample is never part of it."""
    rule, plain, u = Reinforce(baseline), Reinforce(), every_sample_equally_often()
    close(estimates(rule, LOGITS, cost, u), estimates(plain, LOGITS, cost, u), **EXACT)
    rng = np.random.default_rng(1)
    for _ in range(5):
        before = rule.state_dict()
        mean, _ = moments(rule, LOGITS, cost)
        close(mean, truth(LOGITS, cost), **EXACT)
        np.testing.assert_equal(rule.state_dict(), before)
        estimates(rule, LOGITS, cost, rng.uniform(size=(8, 3)))
        assert any(not np.array_equal(rule.state_dict()[name], x) for name, x in before.items())


@pytest.mark.parametrize(("baseline", "weight_of"), [("mean", lambda s: np.ones((len(s), 1))),
                                                     ("optimal", np.square)])
def test_moving_averages_of_costs(baseline, weight_of):
    rule, rng = Reinforce(baseline), np.random.default_rng(2)
    weighted, weight = 0.0, 0.0
    for _ in range(4):
        u = rng.uniform(size=(6, 3))
        b = (u < sigmoid(LOGITS)).astype(float)
        costs, score = cost(mg.tensor(b)).data[:, None], b - sigmoid(LOGITS)
        now = 0.0 if np.all(weight == 0) else weighted / weight
        close(estimates(rule, LOGITS, cost, u), (costs - now) * score, **EXACT)
        weighted = 0.9 * weighted + 0.1 * (weight_of(score) * costs).mean(axis=0)
        weight = 0.9 * weight + 0.1 * weight_of(score).mean(axis=0)


@pytest.mark.parametrize("rule", [lambda: Reinforce("mean"), lambda: Reinforce("optimal"), LearnedCorrection])
def test_memory_does_not_depend_on_how_often_a_batch_is_repeated(rule):
    u = every_sample_equally_often()
    once, thrice = rule(), rule()
    for _ in range(3):
        close(np.tile(estimates(once, LOGITS, cost, u), (3, 1)),
              estimates(thrice, LOGITS, cost, np.tile(u, (3, 1))), **EXACT)
    for name, x in once.state_dict().items():
        close(x, thrice.state_dict()[name], **EXACT)


@pytest.mark.parametrize("rule", [lambda: Reinforce("mean"), lambda: Reinforce("optimal"), LearnedCorrection])
def test_memory_is_saved_and_comes_back(rule):
    u = np.random.default_rng(3).uniform(size=(9, 3))
    learned, fresh = rule(), rule()
    for _ in range(3):
        estimates(learned, LOGITS, cost, u)
    fresh.load_state_dict(learned.state_dict())
    np.testing.assert_array_equal(estimates(fresh, LOGITS, cost, u), estimates(learned, LOGITS, cost, u))
    with pytest.raises(ValueError, match="no memory"):
        Stop().load_state_dict(learned.state_dict())


def test_a_unit_that_never_varies_has_baseline_0():
    rule, u = Reinforce("optimal"), np.full((2, 1), 0.5)
    for _ in range(2):
        estimate = estimates(rule, np.float64(1000.0), lambda b: b.sum(axis=1), u)
    np.testing.assert_array_equal(estimate, 0)


def test_spsa_uses_the_uniforms_of_the_sample_on_both_sides():
    """Where no uniform lies between the moved probabilities nothing changes, and the estimate is 0."""
    u = np.random.default_rng(4).uniform(size=(400, 3))
    c = 0.05
    found = estimates(SPSA(c), LOGITS, cost, u)
    changes = (u > sigmoid(LOGITS - c)) & (u < sigmoid(LOGITS + c))
    assert not found[~changes.any(axis=1)].any()
    assert changes.any()
    assert np.all(np.any(found[changes.any(axis=1)] != 0, axis=1))
    for bad in (0, -1.0, np.nan):
        with pytest.raises(ValueError, match="c > 0"):
            SPSA(bad)


def test_a_learned_correction_starts_as_straight_through_and_ends_with_the_true_mean():
    """With a constant among its inputs, a least-squares fit has the mean of what it was fitted to."""
    rule, u = LearnedCorrection(rate=1.0), every_sample_equally_often()
    start = estimates(rule, LOGITS, cost, u)
    close(start, estimates(mg.estimators.StraightThroughSlope(), LOGITS, cost, u), **EXACT)
    exact = truth(LOGITS, cost)
    assert np.abs(start.mean(axis=0) - exact).max() > 0.01
    for _ in range(3000):
        found = estimates(rule, LOGITS, cost, u)
    close(found.mean(axis=0), exact, rtol=1e-8)
    # The fit itself, against the normal equations.
    biased, unbiased = start, estimates(Reinforce(), LOGITS, cost, u)
    for i in range(3):
        inputs = np.stack([biased[:, i], np.ones(len(u))], axis=1)
        close(found[:, i], inputs @ np.linalg.lstsq(inputs, unbiased[:, i])[0], atol=1e-8)
    assert np.all(found.var(axis=0) < unbiased.var(axis=0))


def test_a_learned_correction_can_tell_contexts_apart():
    """Two kinds of row whose costs are opposite: without context the correction would be the same."""
    u = np.tile(every_sample_equally_often(), (2, 1))
    kind = np.repeat([1.0, -1.0], len(u) // 2)
    rule = LearnedCorrection(rate=1.0)

    def opposite(b):
        return mg.exp(b @ np.array([1.0, -0.5, 0.3])) * kind

    for _ in range(4000):
        found = estimates(rule, LOGITS, opposite, u, kind[:, None])
    exact = truth(LOGITS, lambda b: mg.exp(b @ np.array([1.0, -0.5, 0.3])))
    close(found[kind == 1].mean(axis=0), exact, rtol=1e-6)
    close(found[kind == -1].mean(axis=0), -exact, rtol=1e-6)


@pytest.mark.parametrize("bad", [{"rate": 0}, {"rate": 1.5}, {"decay": -0.1}, {"decay": 1.1}])
def test_a_learned_correction_refuses_rates_that_diverge(bad):
    with pytest.raises(ValueError, match=r"LearnedCorrection: expected a (rate|decay)"):
        LearnedCorrection(**bad)


def test_stop_leaves_the_logits_without_gradient_and_the_rest_with_theirs():
    a, w = (mg.tensor(np.full((2, 3), x), requires_grad=True) for x in (0.3, 2.0))
    b = mg.bernoulli(a, Stop(), rng=Chosen(np.array(0.2)))
    mg.expected((b * w).sum(axis=1)).backward()
    np.testing.assert_array_equal(a.grad, 0)
    np.testing.assert_array_equal(w.grad, 0.5)


# -- rules of other papers, against exact numbers ---------------------------------------------------

def toy(t):
    return lambda b: ((b - t) ** 2).sum(axis=-1)


@pytest.mark.parametrize(("t", "logit", "arm", "disarm"), [
    (0.499, 0.0, 8.33e-8, 0), (0.499, -2.0, 1.420e-7, 1.409e-7), (0.49, -2.0, 1.420e-5, 1.409e-5),
    (0.499, np.log(3 / 7), None, 1.176e-7), (0.45, np.log(3 / 7), None, 2.94e-4),
])
def test_antithetic_rules_on_the_toy_problem(t, logit, arm, disarm):
    exact = truth([logit], toy(t))
    for rule, variance in ((ARM(), arm), (DisARM(), disarm), (LocalExpectation(), 0), (Enumerate(), 0)):
        mean, found = moments(rule, [logit], toy(t), MIRRORED, nodes=3)
        close(mean, exact, **EXACT)
        if variance is not None:
            close(found, variance, rtol=1e-3, atol=1e-20)


def shared(b):
    return ((b - np.array([0.6, 0.51, 0.48])) ** 2).sum(axis=-1)


def moments_of_shared_logit(rule, logit, monkeypatch):
    """Mean and variance of the estimate for one logit that serves three bits."""
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


A = np.array([[0, 1, -2], [0, 0, 1.5], [0, 0, 0]])
COUPLED = np.log(np.array([0.2, 0.5, 0.8]) / (1 - np.array([0.2, 0.5, 0.8])))


def coupled(b):
    return mg.exp(((b @ A) * b).sum(axis=-1) / 2 + 0.3 * b.sum(axis=-1))


def test_rules_on_a_coupled_cost():
    exact = truth(COUPLED, coupled)
    for rule, variance in ((DisARM(), 0.618571), (LocalExpectation(), 0.0895807), (Enumerate(), 0)):
        mean, found = moments(rule, COUPLED, coupled, MIRRORED)
        close(mean, exact, **EXACT)
        close(found.sum(), variance, rtol=1e-5, atol=1e-25)
    close(np.abs(moments(Darn(), COUPLED, coupled)[0] - exact).max(), 0.0563, atol=5e-5)


def test_disarm_never_has_more_variance_than_arm():
    for logits in (LOGITS, LOGITS - 2, [0.1, 3.0, -1.0]):
        of = [moments(rule, logits, cost, MIRRORED, nodes=3)[1] for rule in (DisARM(), ARM())]
        assert np.all(of[0] < of[1])


def test_darn_is_exact_for_quadratic_costs_of_single_units():
    def quadratic(b):
        return (b * b * np.array([1.0, -2.0, 0.5]) + b * np.array([0.3, 0.1, -4.0])).sum(axis=-1)

    exact = truth(LOGITS, quadratic)
    close(moments(Darn(), LOGITS, quadratic)[0], exact, **EXACT)
    p = sigmoid(LOGITS)
    at_0, at_1 = np.array([0.3, 0.1, -4.0]), np.array([2.3, -3.9, -3.0])
    close(moments(Darn("mean"), LOGITS, quadratic)[0], p * (1 - p) * ((1 - p) * at_1 + p * at_0), **EXACT)
    with pytest.raises(ValueError, match="'half' or 'mean'"):
        Darn("zero")


def test_reinmax_is_darn_about_one_half_and_keeps_its_documented_mean_at_other_temperatures():
    u = np.random.default_rng(5).uniform(size=(2000, 3))
    close(estimates(ReinMax(), LOGITS, cost, u), estimates(Darn(), LOGITS, cost, u), rtol=1e-12, atol=1e-14)
    logit, slopes = 0.7, {0: 0.3, 1: 2.3}
    p, mean = sigmoid(logit), 0.0
    for b, probability in ((0, 1 - p), (1, p)):
        middle = (sigmoid(logit / 2) + b) / 2
        mean += probability * slopes[b] * (2 * middle * (1 - middle) - p * (1 - p) / 2)
    close(moments(ReinMax(2.0), [logit], lambda b: (b * b + 0.3 * b).sum(axis=-1))[0], mean, **EXACT)
    with pytest.raises(ValueError, match="temperature above 0"):
        ReinMax(0)


def test_clipped_straight_through_leaves_sure_units_alone():
    found, variance = moments(StraightThroughClipped(), [-1.1, -1.0, 0.3], lambda b: b @ np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(found, [0, 2, 3], rtol=1e-12)
    close(variance, 0, atol=1e-25)


def test_enumeration_refuses_too_many_units():
    a = mg.tensor(np.zeros((1, 13)), requires_grad=True)
    with pytest.raises(ValueError, match="at most 12 units"):
        mg.expected(mg.bernoulli(a, Enumerate()).sum(axis=1)).backward()


@pytest.mark.parametrize("rule", [LocalExpectation, BitFlip, Enumerate])
def test_rules_that_flip_bits_where_rows_share_a_cost(rule, monkeypatch):
    """Two rows of two units and one cost for all four: the mean over their 16 samples is exact."""
    logits = np.array([[0.4, -1.0], [2.0, 0.1]])
    a = mg.tensor(logits, requires_grad=True)

    def loss(rng=None):
        b = mg.bernoulli(a, rule(), rng=rng)
        return (b.sum() - 1.5) ** 2 + mg.exp(b[0, 0] - b[1, 1])
    exact = mg.testing.exact_gradient(lambda: loss(), a)
    u, probability = grid([cells(x) for x in sigmoid(logits).ravel()])
    draws = [0.25, 0.75] if rule is BitFlip else [0.5]
    for draw in draws:
        monkeypatch.setattr(BinaryNode, "rng", property(lambda node, draw=draw: Chosen(np.array(draw))))
        for row, share in zip(u, probability, strict=True):
            loss(Chosen(row.reshape(2, 2))).backward(np.array(share / len(draws)))
    close(a.grad, exact, **EXACT)


def test_one_rule_under_three_names():
    """For a bit, ReinMax at temperature 1, DARN about ½ and ZGR are the same function of sample and gradient."""
    u = np.random.default_rng(0).uniform(size=(1000, len(LOGITS)))
    found = [estimates(rule, LOGITS, lambda b: (b * b * b + b).sum(axis=-1), u)
             for rule in (mg.estimators.ReinMax(), mg.estimators.Darn(), mg.estimators.Zgr())]
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found[2], found[0], rtol=1e-12, atol=1e-15)
