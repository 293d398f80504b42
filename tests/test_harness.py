"""The test harness itself: enumeration of noise compared with closed forms, statistics, claims, adapters."""

from dataclasses import fields
from functools import partial
from itertools import combinations, product

import numpy as np
import pytest
from nodes import binary_network

import minigrad as mg
from minigrad.testing import certificate, trials, verdicts
from minigrad.testing.layers import Certificate
from minigrad.testing.live import points_for
from minigrad.testing.models import Model, truth
from minigrad.testing.moments import Problem
from minigrad.testing.mutants import AgainstOtherRows, Antithetic, OwnRowIncluded
from minigrad.testing.outcomes import Choices, Continuous, Noise, Tape, Uniforms
from minigrad.testing.problems import LEVELS, PROBLEMS, Circumstances, pairwise_cover
from minigrad.testing.statistics import critical
from minigrad.testing.verdicts import verdict

ESTIMATORS = mg.estimators


def leaf(value, **options):
    return mg.tensor(value, requires_grad=True, **options)


def toy(rule, logit=0.0, t=0.499):
    """(b − t)² for one bit: the toy problem."""
    logits = leaf([logit])

    def fn(rng):
        return mg.expected((mg.bernoulli(logits, rule, rng=rng) - t) ** 2)
    return fn, logits


class UsesNumbers(mg.Estimator):
    """ARM, which multiplies by the noise."""

    needs = {"cost", "cost_at"}
    unbiased = True

    def backward(self, node):
        other = self.sample(node.logits, 1 - node.noise)
        return (node.cost_at(other) - node.cost) * (node.noise - 0.5)


# ---- outcomes ------------------------------------------------------------------------------------------------


def outcomes(computation, **options):
    """Every result of a computation of a generator, with its probability."""
    tape, found = Tape(), {}
    while tape.rewind():
        result = computation(Choices(Noise(tape, **options)))
        found[result] = found.get(result, 0.0) + tape.probability
    return found


def test_a_comparison_is_a_choice_and_a_second_one_knows_of_the_first():
    def computation(rng):
        u = rng.uniform((1, 1))
        return bool(u < 0.25), bool(1 - u <= 0.25), bool(u < 0.5), bool(u > 0.25)
    found = outcomes(computation)
    expected = {(True, False, True, False): 0.25, (False, False, True, True): 0.25,
                (False, True, False, True): 0.25, (False, False, False, True): 0.25}
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("compare", [
    lambda u, p: u < p, lambda u, p: p > u, lambda u, p: p - u > 0, lambda u, p: np.less(u, p), lambda u, p: ~(u >= p),
    lambda u, p: -u > -p, lambda u, p: 0.5 + u < 0.5 + p, lambda u, p: np.subtract(1.0, u) > 1 - p,
    lambda u, p: np.greater(p, u),
])
def test_ways_to_compare(compare):
    found = outcomes(lambda rng: bool(compare(rng.uniform((1,)), 0.3)[0]))
    assert found == pytest.approx({True: 0.3, False: 0.7})


def test_the_thresholds_of_extreme_logits_need_no_choice():
    logits = np.array([[-80.0, 80.0]])
    rule = mg.Estimator()
    assert outcomes(lambda rng: tuple(rule.sample(logits, rng.uniform((1, 2)))[0])) == {(0.0, 1.0): 1.0}


def test_integers_and_forks_are_enumerated():
    found = outcomes(lambda rng: tuple(rng.fork(3).integers(3, (2,))))
    assert list(found.values()) == pytest.approx([1 / 9] * 9)


def test_the_same_fork_draws_the_same():
    assert set(outcomes(lambda rng: tuple(bool(rng.fork(7).uniform((1,)) < 0.5) for _ in range(2)))) == {
        (True, True), (False, False)}


def test_one_group_varies_and_the_others_stay():
    found = outcomes(lambda rng: tuple((rng.uniform((3, 1)) < 0.5)[:, 0]), group=1, groups=3)
    assert len(found) == 2
    assert len({(first, last) for first, _, last in found}) == 1


@pytest.mark.parametrize("use", [
    lambda u: np.log(u / (1 - u)), lambda u: u * 2, lambda u: u + np.ones(2), np.asarray, np.add.reduce, np.log,
])
def test_other_uses_of_noise_are_refused(use):
    with pytest.raises((Continuous, TypeError)):
        use(Choices(Noise(Tape())).uniform((2,)))


def test_noise_looks_like_an_array():
    tape = Tape()
    tape.rewind()
    u = Choices(Noise(tape)).uniform((2, 3), np.float32)
    assert isinstance(u, Uniforms)
    assert (u.shape, u.ndim, u.size, len(u), u.dtype) == ((2, 3), 2, 6, 2, np.float32)
    assert u[:, :1].reshape(-1).astype(float).copy().shape == (2,)


# ---- moments -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "logit", "t", "variance"), [
    (ESTIMATORS.Reinforce(), 0.0, 0.499, 1.563e-2), (ESTIMATORS.Reinforce(), -2.0, 0.499, 6.602e-3),
    (ESTIMATORS.Reinforce(), -2.0, 0.49, 6.973e-3),
    (Antithetic(), 0.0, 0.499, 0.0), (Antithetic(), -2.0, 0.499, 1.409e-7), (Antithetic(), -2.0, 0.49, 1.409e-5),
])
def test_exact_variances_of_the_toy_problem(rule, logit, t, variance):
    report = mg.testing.check_estimator(*toy(rule, logit, t))
    p = 1 / (1 + np.exp(-logit))
    assert report.exact
    np.testing.assert_allclose(report.gradient, p * (1 - p) * (1 - 2 * t), rtol=1e-9)
    np.testing.assert_allclose(report.variance, variance, rtol=5e-4, atol=1e-18)
    assert (report.unbiased, report.z, report.stderr) == (True, 0.0, 0.0)


class SkipsDearBatches(ESTIMATORS.Reinforce):
    """Wrong only in batches whose mean cost is above a limit."""

    def __init__(self, limit):
        super().__init__()
        self.limit = limit

    def backward(self, node):
        return super().backward(node) * (node.cost.mean() <= self.limit)


def of_rows(rule, rows, logit=-1.1):
    logits = leaf(np.full((rows, 1), logit))
    return lambda rng: mg.expected(1 + 6 * mg.bernoulli(logits, rule, rng=rng).sum(axis=1)), logits


def test_a_rule_that_is_wrong_in_rare_batches_is_found_at_every_seed():
    for seed in range(40):
        report = mg.testing.check_estimator(*of_rows(SkipsDearBatches(5), 2), seed=seed)
        assert report.exact
        assert not report.unbiased
    p = 1 / (1 + np.exp(1.1))
    np.testing.assert_allclose(report.gradient, 3 * p * (1 - p))
    np.testing.assert_allclose(report.bias, -3.5 * p**2 * (1 - p), rtol=1e-9)


def test_rows_of_a_large_batch_are_enumerated_by_themselves_only_while_they_are_independent():
    """2²⁰ joint outcomes are too many.  The report names the assumption that it made, or it uses samples."""
    report = mg.testing.check_estimator(*of_rows(ESTIMATORS.Reinforce(), 20), samples=500, seed=0)
    assert (report.exact, report.unbiased, report.runs, report.moments.rows) == (True, True, 40, 20)
    assert "separately for 20 groups of rows: exact if rows are independent" in repr(report)
    report = mg.testing.check_estimator(*of_rows(SkipsDearBatches(3), 20), samples=500, seed=0)
    assert not report.exact


@pytest.mark.parametrize("offset", [0.0, 1e9, -1e9])
@pytest.mark.parametrize("rule", [ESTIMATORS.Enumerate(), ESTIMATORS.Reinforce(), ESTIMATORS.DisARM()], ids=repr)
def test_no_false_alarm_where_the_gradient_is_0_or_the_costs_are_far_from_it(rule, offset):
    for change in (lambda b: (b - 0.5)**2, lambda b: 0 * b, lambda b: 1e-3 * b):
        logits = leaf([[0.3], [-1.0]])
        assert mg.testing.assert_unbiased(
            lambda rng, change=change, logits=logits: mg.expected(
                offset + change(mg.bernoulli(logits, rule, rng=rng)).sum(axis=1)), logits).exact


@pytest.mark.parametrize("t", [0.499, 0.3])
def test_the_bias_of_straight_through_is_exact(t):
    report = mg.testing.check_estimator(*toy(ESTIMATORS.StraightThrough(), -2.0, t))
    p = 1 / (1 + np.exp(2.0))
    np.testing.assert_allclose(report.mean, 2 * (p - t))
    assert not report.unbiased


def test_a_rule_with_thresholds_of_its_own():
    """SPSA compares with σ(η ± c); its mean on one unit is the central difference of σ."""
    report = mg.testing.check_estimator(*toy(ESTIMATORS.SPSA(c=0.3), 0.7, 0.2))
    above, below = mg.sigmoid(1.0), mg.sigmoid(0.4)
    assert report.exact
    np.testing.assert_allclose(report.mean, (above - below) / 0.6 * (0.8**2 - 0.2**2))


@pytest.mark.parametrize("rules", [
    [Antithetic()], [ESTIMATORS.Reinforce(), ESTIMATORS.Reinforce()],
    [ESTIMATORS.StraightThroughSlope(), ESTIMATORS.Reinforce()],
])
def test_rows_one_after_the_other_or_all_at_once(rules):
    problem = Problem(*binary_network(rules))
    assert problem.exact(0)[1] == 2
    apart, together = problem.moments_by_group(2, 10_000, seed=0), problem.joint_moments(10_000, seed=0)
    assert apart.runs < together.runs / 4
    assert (apart.rows, apart.states, together.rows) == (2, apart.runs, 1)
    np.testing.assert_allclose(apart.mean, together.mean, atol=1e-13)
    np.testing.assert_allclose(apart.variance, together.variance, atol=1e-13)


def test_rows_that_depend_on_each_other_are_noticed():
    class BatchBaseline(ESTIMATORS.Reinforce):
        def backward(self, node):
            return (node.value - node.probs) * (node.cost - node.cost.mean())

    problem = Problem(*binary_network([BatchBaseline()]))
    assert not problem.independent(2, seed=0)
    with pytest.raises(ValueError, match="estimate of a row depends on other rows"):
        problem.moments_by_group(2, 500, seed=0)
    exact, sampled = problem.moments(2, 500, seed=0), problem.sampled_moments(2000, seed=1)
    assert (exact.exact, exact.runs, exact.rows) == (True, 16, 1)
    assert (np.abs(exact.mean - sampled.mean) < 6 * sampled.stderr).all()
    np.testing.assert_allclose(exact.variance, sampled.variance, rtol=0.2)


def test_enumeration_gives_up_early_on_what_would_take_too_long():
    problem = Problem(*binary_network([ESTIMATORS.SPSA(), ESTIMATORS.SPSA()]))
    with pytest.raises(OverflowError):
        problem.exact_moments(2, 150, seed=0)


def test_noise_used_as_a_number_is_sampled():
    fn, logits = toy(UsesNumbers(), -2.0)
    report = mg.testing.check_estimator(fn, logits, samples=1000, seed=3)
    assert (report.exact, report.runs, report.unbiased) == (False, 1000, True)
    np.testing.assert_allclose(report.variance, 1.420e-7, rtol=0.2)
    assert report.evaluations == 2


def test_float32_graphs():
    logits = leaf(np.array([0.3, -1.0], np.float32))

    def fn(rng):
        return mg.expected(mg.bernoulli(logits, Antithetic(), rng=rng).prod(keepdims=True))
    assert mg.testing.assert_unbiased(fn, logits).exact


# ---- reports -------------------------------------------------------------------------------------------------


def test_functions_without_argument_draw_from_the_default_generator():
    logits = leaf([0.0, 1.0])

    def fn():
        return mg.expected(mg.bernoulli(logits, ESTIMATORS.Reinforce()).sum(keepdims=True))
    before = mg.random.current()
    assert mg.testing.check_estimator(fn, logits).exact
    assert mg.random.current() is before


def test_params_give_the_report_its_form():
    fn, params = binary_network([Antithetic(), Antithetic()])
    named = mg.testing.check_estimator(fn, params)
    listed = mg.testing.check_estimator(fn, list(params.values()))
    assert named.bias.keys() == params.keys()
    assert [b.shape for b in listed.bias] == [(2, 2), (2, 2)]
    assert "weight 1[1, 0]" in repr(named)
    assert "params[1][1, 0]" in repr(listed)


def test_the_table_says_what_was_found():
    text = repr(mg.testing.check_estimator(*toy(ESTIMATORS.Reinforce())))
    assert "2 joint outcomes enumerated: exact" in text
    assert "unbiased; a bias of" in text
    fn, logits = toy(UsesNumbers())
    assert "with probability 0.99" in repr(mg.testing.check_estimator(fn, logits, samples=50, seed=1))


def test_the_power_that_is_stated_is_there():
    """A bias that is found with probability 0.99 is missed at most eight times in 40."""
    fn, logits = toy(UsesNumbers(), -2.0)
    report = mg.testing.check_estimator(fn, logits, samples=100, significance=0.01, seed=0)
    problem = Problem(fn, logits)
    found = 0
    for seed in range(1, 41):
        m = problem.sampled_moments(100, seed)
        found += abs(m.mean[0] + report.detectable[0] - report.gradient[0]) > report.critical * m.stderr[0]
    assert found >= 32      # of 40 at 0.99, fewer come with probability 1e-10


def test_false_alarms_are_as_rare_as_stated():
    problem = Problem(*toy(UsesNumbers(), 1.0))
    gradient, _ = problem.exact(0)
    alarms = 0
    for seed in range(50):
        m = problem.sampled_moments(60, seed)
        alarms += abs(m.mean[0] - gradient[0]) > critical(0.2, 1) * m.stderr[0]
    assert alarms < 28      # of 50 at 0.2, more come with probability 1e-8


def test_significance_is_shared_out_among_coordinates():
    fn, params = binary_network([Antithetic(), Antithetic()])
    one = mg.testing.check_estimator(*toy(Antithetic()), significance=1e-3)
    many = mg.testing.check_estimator(fn, params, significance=8e-3)
    assert one.critical == pytest.approx(many.critical)
    with pytest.raises(ValueError, match="between 0 and 1"):
        mg.testing.check_estimator(fn, params, significance=0)


def test_a_sampled_bias_is_told_with_its_error():
    class Doubled(UsesNumbers):
        def backward(self, node):
            return 2 * super().backward(node)
    fn, logits = toy(Doubled(), t=0.1)
    with pytest.raises(AssertionError, match=r"biased at gradient\[0\] by 0\.\d+ ± .*\(z = .*, allowed 4.9\).*times"):
        mg.testing.assert_unbiased(fn, logits, samples=500, seed=2)


@pytest.mark.parametrize(("scale", "words"), [
    (0, "silent zero"), (-1, "the mean is -1 times"), (np.array([1, -1]), "only signs are reversed"),
    (np.array([1, 0]), "silent zero at gradient"), (np.nan, "not finite"),
    (3, r"biased at gradient\[\d\] by .*, exactly"),
])
def test_messages_tell_what_is_wrong(scale, words):
    class Wrong(ESTIMATORS.Reinforce):
        def backward(self, node):
            return super().backward(node) * scale
    logits = leaf([0.3, -0.2])

    def fn(rng):
        return mg.expected(mg.exp(mg.bernoulli(logits, Wrong(), rng=rng)).sum(keepdims=True))
    with pytest.raises(AssertionError, match=words):
        mg.testing.assert_unbiased(fn, logits)


def test_noise_from_elsewhere_is_noticed():
    class Foreign(ESTIMATORS.Reinforce):
        def backward(self, node):
            return super().backward(node) * (1 + 0.1 * np.random.default_rng().normal())
    fn, logits = toy(Foreign())
    assert not mg.testing.check_estimator(fn, logits, samples=100).exact
    with pytest.raises(AssertionError, match=r"not deterministic under a seed: .* gradient\[0\]"):
        mg.testing.assert_unbiased(fn, logits, samples=100)


def test_a_long_report_is_cut():
    logits = leaf(np.zeros((8, 5)))

    def fn(rng):
        return mg.expected(mg.bernoulli(logits, ESTIMATORS.StraightThroughSlope(), rng=rng).sum(axis=1))
    assert "and 10 coordinates with less bias" in repr(mg.testing.check_estimator(fn, logits))


def test_means_and_variances_against_references():
    fn, logits = toy(ESTIMATORS.StraightThrough(), 0.0)
    mg.testing.assert_mean(fn, logits, np.array([2 * (0.5 - 0.499)]))
    mg.testing.assert_variance(fn, logits, np.array([1.0]))
    mg.testing.assert_mean(fn, logits, fn)
    with pytest.raises(AssertionError, match="variance off by a factor"):
        mg.testing.assert_variance(fn, logits, np.array([2.0]))
    with pytest.raises(AssertionError, match="mean off by"):
        mg.testing.assert_mean(fn, logits, np.array([0.5]))
    with pytest.raises(ValueError, match="expected a reference with 1 entries"):
        mg.testing.assert_mean(fn, logits, np.array([0.5, 0.5]))


def test_sampled_variances_against_references():
    fn, logits = toy(UsesNumbers(), -2.0)
    mg.testing.assert_variance(fn, logits, np.array([1.420e-7]), samples=1000, seed=1)
    with pytest.raises(AssertionError, match=r"variance off by a factor 0\.[45].*±"):
        mg.testing.assert_variance(fn, logits, np.array([2.84e-7]), samples=1000, seed=1)


# ---- what is refused -----------------------------------------------------------------------------------------


def test_a_generator_of_the_functions_own_is_refused():
    logits = leaf([0.0])

    def fn():
        return mg.expected(mg.bernoulli(logits, ESTIMATORS.Reinforce(), rng=mg.Generator(1)))
    with pytest.raises(ValueError, match="pass rng to every bernoulli"):
        mg.testing.check_estimator(fn, logits)


def test_other_noise_is_refused():
    logits = leaf([0.0])

    def fn(rng):
        return mg.expected(mg.bernoulli(logits, ESTIMATORS.Reinforce(), rng=rng) * rng.normal((1,)))
    with pytest.raises(ValueError, match="draw data and other noise outside fn"):
        mg.testing.check_estimator(fn, logits)


@pytest.mark.parametrize("params", [[], [np.ones(2)], mg.tensor([1.0])])
def test_params_have_to_be_leaves(params):
    with pytest.raises(TypeError, match="requires_grad=True"):
        mg.testing.check_estimator(lambda rng: None, params)


# ---- promises of graphs --------------------------------------------------------------------------------------


def test_rows_of_a_network_are_independent():
    fn, _ = binary_network([ESTIMATORS.Reinforce(), ESTIMATORS.StraightThrough()], rows=3)
    mg.testing.check_rows(fn)


def test_batch_normalisation_breaks_the_promise():
    logits = leaf(np.zeros((4, 2)))

    def fn(rng):
        bits = mg.bernoulli(logits, ESTIMATORS.Reinforce(), rng=rng, name="gate")
        normal = (bits - bits.mean(axis=0)) / mg.sqrt(bits.var(axis=0) + 0.1)
        return mg.expected((normal * [1.0, 2.0]).sum(axis=1) ** 2)
    with pytest.raises(AssertionError, match=r"costs\[0\].*when the other rows of node 'gate' were drawn again"):
        mg.testing.check_rows(fn)
    for call in (mg.testing.check_estimator, mg.testing.assert_unbiased, mg.testing.exact_gradient):
        with pytest.raises(ValueError, match="expected the rows of a batch to be independent"):
            call(fn, logits)
    with pytest.raises(ValueError, match="expected the rows of a batch to be independent"):
        mg.testing.exact_expectation(fn)


def test_a_coupling_in_one_of_many_states_is_found_at_every_seed():
    """In one of 2⁸ states, two rows depend on each other."""
    logits = leaf(np.zeros((3, 4)))

    def fn(rng):
        bits = mg.bernoulli(logits, ESTIMATORS.Reinforce(), rng=rng)
        return mg.expected(bits[:, 0] * bits[[1, 2, 0], 0] * bits[[1, 2, 0], 1])
    for seed in range(20):
        with pytest.raises(AssertionError, match="rows are not independent"):
            mg.testing.check_rows(fn, seed=seed)


def test_samples_with_time_first_are_told_from_batch_first():
    """There are as many steps as examples, so no shape is wrong."""
    logits = leaf(np.zeros((3, 3, 1)))

    def fn(rng, axes):
        bits = mg.bernoulli(logits, ESTIMATORS.Reinforce(), rng=rng)
        return mg.expected((bits.sum(axis=axes) + 0.5)**2)
    mg.testing.check_rows(lambda rng: fn(rng, (1, 2)))
    with pytest.raises(ValueError, match="expected the rows of a batch to be independent"):
        mg.testing.exact_gradient(lambda rng: fn(rng, (0, 2)), logits)


def test_parameters_that_the_loss_is_not_computed_from_are_refused():
    logits = leaf([[0.5]])
    copy = mg.tensor(logits.numpy(), requires_grad=True)

    def fn(rng):
        return mg.expected(mg.bernoulli(logits, ESTIMATORS.Reinforce(), rng=rng).sum(axis=1))
    for call in (mg.testing.check_estimator, mg.testing.assert_unbiased, mg.testing.exact_gradient):
        with pytest.raises(ValueError, match=r"params that the loss is computed from, .*Pass the Tensor that fn uses"):
            call(fn, copy)


def test_relaxed_samples_have_no_exact_gradient_and_the_report_says_so():
    logits = leaf([[0.5]])

    def fn(rng):
        return mg.expected(mg.bernoulli(logits, ESTIMATORS.GumbelSigmoid(), rng=rng, name="soft").sum(axis=1))
    with pytest.raises(ValueError, match="expected samples of 0 and 1, got relaxed ones"):
        mg.testing.exact_gradient(fn, logits)
    assert "the samples of 'soft' are relaxed" in repr(mg.testing.check_estimator(fn, logits, samples=200, seed=1))


# ---- costs of several rows -----------------------------------------------------------------------------------


def test_terms_outside_expected_promise_nothing():
    logits = leaf(np.zeros((4, 2)))
    mg.testing.check_rows(lambda rng: mg.bernoulli(logits, ESTIMATORS.Reinforce(), rng=rng).mean() ** 2)


def test_more_samples_than_costs():
    logits = leaf(np.zeros((2, 3, 1)))

    def fn(rng):
        bits = mg.bernoulli(logits, ESTIMATORS.Reinforce(), rng=rng)
        return mg.expected(bits.sum(axis=(1, 2)) ** 2)
    mg.testing.check_rows(fn)


# ---- the certificate -----------------------------------------------------------------------------------------


SMALL = [c for c in [*PROBLEMS, *pairwise_cover()[::7]]
         if c.units * c.rows * (1 + (c.samples != "one")) <= 10 and c.below != "relaxed" and c.above == "nothing"]


@pytest.mark.parametrize("c", SMALL, ids=str)
def test_the_truth_of_a_problem_is_the_exact_gradient(c):
    """By differences of an expectation in NumPy, and by derivatives of ours at every outcome."""
    model = Model(c)
    params = model.leaves()
    rules = [ESTIMATORS.Reinforce() for _ in range(3)]
    found = mg.testing.exact_gradient(lambda rng: model.loss(rules, params, rng), list(params.values()))
    known = truth(c)
    for name, gradient in zip(params, found, strict=True):
        if name in model.judged:
            np.testing.assert_allclose(known.gradient[name], gradient, atol=1e-10 * (known.size + 1e3 * c.offset))


def test_the_expected_loss_of_a_problem():
    c = PROBLEMS[1]
    model = Model(c)
    params = model.leaves()
    loss = mg.testing.exact_expectation(lambda: model.loss([ESTIMATORS.Reinforce()], params, mg.Generator(0)))
    np.testing.assert_allclose(model.expectation(model.start)[0], loss, rtol=1e-12)


def test_the_truth_is_computed_once():
    assert truth(PROBLEMS[0]) is truth(Circumstances())


def test_each_two_values_of_two_properties_meet_in_the_thorough_set():
    found = pairwise_cover()
    assert found[:len(PROBLEMS)] == PROBLEMS
    for a, b in combinations(LEVELS, 2):
        met = {(getattr(c, a), getattr(c, b)) for c in found}
        assert set(product(LEVELS[a], LEVELS[b])) <= met


def test_all_properties_have_words():
    for c in pairwise_cover():
        assert "None" not in str(c)
        assert all(c.phrase(f.name) and "{" not in c.phrase(f.name) for f in fields(c))


def test_gauss_points_integrate_over_the_uniform_numbers():
    u, weight = points_for([1.3])
    p = 1 / (1 + np.exp(-1.3))
    for function, mean in [(np.ones_like, 1.0), (np.copy, 0.5), (np.log, -1.0), (lambda u: u < p, p)]:
        np.testing.assert_allclose(weight @ function(u), mean, atol=2e-5)


def equal_contexts(node):
    return node.context is not None and not node.coupled and len(np.unique(node.context, axis=0)) < len(node.context)


def wrong_where(condition):
    """REINFORCE, twice as large where a condition on the node holds."""
    class Wrong(ESTIMATORS.Reinforce):
        def backward(self, node):
            return super().backward(node) * (2 if condition(node) else 1)
    return Wrong()


@pytest.mark.parametrize(("condition", "words"), [
    (lambda node: len(node.value) == 1, "Wrong only where the batch has one row. Smallest"),
    (lambda node: len(node.value) > 8, "Wrong only where the batch has 9 rows. Smallest"),
    (lambda node: len(node.value) > 20, "Wrong only where the batch has 33 rows. Smallest"),
    (lambda node: node.shape[1] > 9, "Wrong only where a sample has 17 units. Smallest"),
    (lambda node: node.shape[1] == 3, "Wrong only where a sample has 3 units. Smallest"),
    (lambda node: (node.cost < 0).any(), "Wrong only where costs are negative. Smallest"),
    (lambda node: np.abs(node.cost).max() > 50, "Wrong only where costs are of scale 100. Smallest"),
    (lambda node: (np.abs(np.abs(node.logits) - 12) < 1).any(), "Wrong only where logits are as large as 12. Smallest"),
    (lambda node: node.context is not None, "Wrong only where the node has a context. Smallest"),
    (lambda node: node.context is None, "Wrong in the simplest problem already, but not where the node has a context"),
    (lambda node: node.coupled and node.samples == 1, "Wrong only where a term stands outside expected"),
    (lambda node: node.coupled and len(node.value) == 4, "Wrong only where"),
    (lambda node: (node.logits == 0).any(), "Wrong only where two rows are equal and a logit is exactly 0"),
    (lambda node: (node.cost == 0).any(), "Wrong only where some costs are exactly 0. Smallest"),
    (lambda node: (node.logits == 0).sum() == node.logits.size > 1, "Wrong only where all logits are 0. Smallest"),
    (lambda node: (np.abs(node.logits) == 0.6).sum() > 2, "Wrong only where logits of a sample are equal, up to their"),
    (lambda node: equal_contexts(node), "Wrong only where rows share a context. Smallest"),
    (lambda node: np.ptp(np.abs(node.logits)[np.abs(node.logits) < 39]) > 11, "one bit is very rarely 1. Smallest"),
    (lambda node: (np.abs(node.logits) < 39).sum(axis=1).max() > 6,
     "Wrong only where a sample has 8 units and all bits are uncertain. Smallest"),
    (lambda node: node._evaluation.path, "Wrong only where a rule above runs this one again"),
    (lambda node: True, "Wrong in the simplest problem already. Smallest problem that shows it: 2 units; 2 rows;"),
])
def test_a_fault_comes_with_the_property_that_brings_it_out(condition, words):
    assert words in mg.testing.examine(wrong_where(condition)).fault()


class Remembers(mg.Estimator):
    """REINFORCE that counts its passes, wrong after some numbers of them."""

    needs = {"cost"}
    unbiased = True

    def __init__(self, wrong):
        self.wrong, self.state = wrong, {"count": 0}

    def backward(self, node):
        count = int(node.memory["count"])
        node.propose(count=count + 1)
        return node.cost * (node.value - node.probs) * (2 if self.wrong(count) else 1)


@pytest.mark.parametrize("updates", [2, 9, 25, 39])
def test_a_memory_is_tried_after_each_number_of_updates(updates):
    finding = verdict(Remembers(lambda count: count == updates)).finding
    assert finding.where == f"Wrong only where the memory had {updates} updates"


def test_a_right_memory_passes_after_each_number_of_updates():
    found = verdict(Remembers(lambda count: count > 40))
    assert found.finding is None
    assert found.updates == pytest.approx(1e-11)
    assert "One problem was tried after each number of updates up to 40" in str(found)
    assert verdict(ESTIMATORS.Reinforce()).updates is None


class ManyEvaluations(ESTIMATORS.Reinforce):
    """REINFORCE with a baseline that does not know the sample: the mean cost at many values of all bits."""

    needs = {"cost", "cost_at"}

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def backward(self, node):
        values = np.linspace(0.1, 0.9, 5)
        baseline = np.mean([node.cost_at(np.full(node.shape, x), rows="one by one") for x in values], axis=0)
        return self.factor * (node.cost - baseline) * (node.value - node.probs)


@pytest.fixture
def little_work(monkeypatch):
    """Small budgets, which are used up soon."""
    monkeypatch.setattr(trials, "MOST_WORK", 250)
    monkeypatch.setattr(verdicts, "MOST_WORK", 500)
    monkeypatch.setattr(Certificate, "most_evaluations", 2_000)


def test_a_rule_with_many_evaluations_is_sampled_and_the_report_says_so(little_work):
    before = trials.work.done
    report = mg.testing.examine(ManyEvaluations(1.0))
    assert trials.work.done - before < 2 * 250 * len(report.verdict.covered)
    assert report.unbiased
    assert report.verdict.too_long > 2
    assert f"Not decided exactly: {report.verdict.too_long} problems would take too many evaluations" in repr(report)
    assert "not decided exactly: to enumerate all outcomes takes more than 2000 evaluations of the cost" in repr(report)


def test_a_rule_with_few_evaluations_is_decided():
    report = mg.testing.examine(ESTIMATORS.Reinforce())
    assert report.verdict.too_long == 0
    assert "decided" not in repr(report)


def test_a_wrong_rule_with_many_evaluations_is_simplified_as_far_as_work_allows(little_work):
    before = trials.work.done
    finding = verdict(ManyEvaluations(1.1)).finding
    assert "the mean is 1.1 times the gradient" in finding.fault
    assert "It takes too many evaluations of the cost to try all simpler problems" in finding.where
    assert trials.work.done - before < 1_500


def test_sizes_that_are_equal_or_rare():
    def logits(**options):
        return Model(Circumstances(**options)).start["logits"]
    assert (logits(rows=1, equal="at 0") == 0).all()
    assert logits(rows=1, units=3, equal="of either sign").tolist() == [[0.6, 0.6, -0.6]]
    assert logits(rows=1, rare=True, logit=12.0).tolist() == [[-0.8, -12]]
    assert (np.abs(logits(rows=1, units=8, live=3)) < 1).all()


def test_costs_are_exactly_0_or_rarely_large():
    bits = np.array([[[0.0, 1.0]], [[1.0, 0.0]], [[1.0, 1.0]]])
    zero, large, plain = (Model(Circumstances(rows=1, costs=costs)).costs(np, bits, 0.0, 0.0)
                          for costs in ("sometimes 0", "rarely large", "curved"))
    np.testing.assert_array_equal(zero[0][:, 0] == 0, [True, True, False])
    np.testing.assert_array_equal(zero[1][:, 0] == 0, [True, True, False])
    np.testing.assert_allclose((large[0] - plain[0])[:, 0], [100, 0, 100])


def test_two_properties_at_once_are_both_named():
    rule = wrong_where(lambda node: node.context is not None and (node.cost < 0).any() and len(node.value) == 5)
    finding = verdict(rule).finding
    assert finding.where == "Wrong only where the batch has 5 rows and costs are negative and the node has a context"


def test_the_report_says_what_was_covered():
    text = repr(mg.testing.examine(ESTIMATORS.Reinforce()))
    assert "passes 30 problems (30 enumerated): 1, 2, 3, 5, 8 or 17 units, 1, 2, 3, 5, 9 or 33 rows, 0, 1, 3" in text
    assert "nothing is said beyond them. A bias of 1e-11 of the size of the costs would have been found" in text
    assert "with probability 0.99 where samples were drawn" in str(verdict(ESTIMATORS.ARMS()))


def refusing(condition, words):
    class Refuses(ESTIMATORS.Reinforce):
        def backward(self, node):
            if condition(node):
                raise ValueError(words)
            return super().backward(node)
    return Refuses()


def test_a_rule_may_refuse_in_its_own_name():
    words = "Refuses: expected at most 12 units, got 17"
    found = verdict(refusing(lambda node: node.shape[1] > 12, words))
    assert found.finding is None
    assert found.refused == [words]
    assert f"It refuses: {words}" in str(found)
    assert max(c.units for c in found.covered) == 8


def test_a_rule_may_ask_for_a_context():
    found = verdict(refusing(lambda node: node.context is None, "Refuses: expected a context"))
    assert found.finding is None
    assert all(c.context or c.shared for c in found.covered)


def test_another_error_is_a_fault():
    rule = refusing(lambda node: len(node.value) == 1, "zero-size array to reduction operation")
    with pytest.raises(AssertionError, match=r"raises ValueError: zero-size array .* 1 row;"):
        certificate.check_mean(rule)


def test_refusing_everything_is_a_fault():
    with pytest.raises(AssertionError, match="refuses all problems: Refuses: expected a better day"):
        certificate.check_mean(refusing(lambda node: True, "Refuses: expected a better day"))


def test_the_thorough_set_finds_what_the_default_one_does_not():
    """Five units and nine rows do not meet in a default problem."""
    rule = wrong_where(lambda node: node.value.size in (45, 90))
    assert verdict(rule).finding is None
    found = verdict(rule, thorough=True).finding.circumstances
    assert (found.units, found.rows) == (5, 9)


def test_checks_may_be_thorough():
    parameters = mg.testing.parametrize_with_checks([ESTIMATORS.ARM()], thorough=True).args[1]
    assert parameters[0].id == "ARM-thoroughly"
    assert len(parameters) == len(certificate.CHECKS)


def test_a_biased_rule_has_its_bias_printed(capsys):
    certificate.check_mean(ESTIMATORS.StraightThrough())
    assert "StraightThrough(), which does not claim to be unbiased:" in capsys.readouterr().out


def test_a_sampled_mean_is_judged_by_its_error():
    class TooLarge(ESTIMATORS.ARMS):
        def backward(self, node):
            return 1.2 * super().backward(node)
    finding = verdict(TooLarge()).finding
    assert "±" in finding.fault


# ---- rules that look at the whole batch ----------------------------------------------------------------------


def batch_loss(rule, outside):
    logits = leaf(np.zeros((3, 2)))
    bits = mg.bernoulli(logits, rule, rng=mg.Generator(1), name="gate")
    loss = mg.expected(bits.sum(axis=1) ** 2)
    return loss + bits.mean() ** 2 if outside else loss


def test_a_rule_that_needs_independent_rows_is_refused_where_they_are_coupled():
    rule = AgainstOtherRows()
    batch_loss(rule, outside=False).backward()
    with pytest.raises(ValueError, match=r"AgainstOtherRows\(\) at node 'gate': this rule needs independent rows, but "
                                         "here several rows share one cost: there are 3 rows and 1 costs"):
        batch_loss(rule, outside=True).backward()


def test_it_is_tried_where_rows_are_independent():
    found = verdict(AgainstOtherRows())
    assert found.finding is None
    assert not any(c.coupled for c in found.covered)
    assert max(c.rows for c in found.covered) == 33


def test_the_declaration_does_not_excuse_the_own_row():
    """A baseline that contains its own row reduces the mean by 1 / B."""
    finding = verdict(OwnRowIncluded()).finding
    assert "the mean is 0.5 times the gradient" in finding.fault


# ---- rules of others -----------------------------------------------------------------------------------------


@mg.testing.parametrize_with_checks([getattr(ESTIMATORS, name)() for name in ESTIMATORS.__all__])
def test_certificate(rule, check):
    check(rule)


@mg.testing.parametrize_with_checks([ESTIMATORS.Reinforce(baseline=b) for b in (2.0, "mean", "optimal")])
def test_certificate_with_memories(rule, check):
    check(rule)


def numpy_reinforce(logits, cost, rng):
    probs = 1 / (1 + np.exp(-logits.astype(float)))
    bits = (rng.uniform(logits.shape) < probs).astype(logits.dtype)
    return cost(bits)[:, None] * (bits - probs)


@mg.testing.parametrize_with_checks([mg.testing.from_function(numpy_reinforce)])
def test_a_function_in_numpy(rule, check):
    check(rule)


def test_a_wrong_function_is_rejected():
    rule = mg.testing.from_function(lambda logits, cost, rng: 0.9 * numpy_reinforce(logits, cost, rng))
    with pytest.raises(AssertionError, match=r"exactly: .* the mean is 0\.9 times the gradient"):
        mg.testing.assert_unbiased(*toy(rule, t=0.1))


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_an_estimator_in_pytorch(torch, scale):
    """DisARM in PyTorch, with the ½ and, wrongly, without."""
    def disarm(logits, cost, rng):
        probs = torch.sigmoid(logits)
        u = rng.uniform(logits.shape)
        first, second = (u < probs).double(), (1 - u < probs).double()
        difference = (cost(first) - cost(second))[:, None]
        return scale * difference * (first - second) * torch.maximum(probs, 1 - probs)

    rule = mg.testing.from_function(disarm, array=torch.from_numpy)
    report = mg.testing.examine(rule)
    assert not report.exact
    assert report.unbiased is (scale == 0.5)


class Wrapped:
    """An array of a framework that is not NumPy."""

    def __init__(self, array):
        self.array = np.array(array)

    shape = property(lambda self: self.array.shape)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype)


def test_all_that_a_function_gets_is_of_its_framework():
    seen = []

    def estimate(logits, cost, rng):
        noise = rng.uniform(logits.shape)
        bits = Wrapped(noise.array < 0.5)
        seen.extend([logits, noise, cost(bits), rng.normal((2, 3)), rng.integers(4, [2, 1])])
        return Wrapped(np.zeros(logits.shape, np.float32))

    rule = mg.testing.from_function(estimate, array=Wrapped, unbiased=False)
    logits = mg.tensor(np.zeros((4, 2)), requires_grad=True, dtype="float32")
    mg.expected(mg.bernoulli(logits, rule, rng=mg.Generator(0)).sum(axis=1)).backward()
    assert all(type(x) is Wrapped for x in seen)
    assert [x.shape for x in seen] == [(4, 2), (4, 2), (4,), (2, 3), (2, 1)]
    assert seen[0].array.dtype == seen[1].array.dtype == np.float64
    assert logits.grad.dtype == np.float32


def test_a_function_keeps_its_name():
    rule = mg.testing.from_function(numpy_reinforce)
    assert repr(rule) == "from_function(numpy_reinforce)"
    assert repr(mg.testing.from_function(partial(numpy_reinforce))) == repr(rule)
    parameters = mg.testing.parametrize_with_checks([rule, mg.estimators.ARM()]).args[1]
    assert [p.id for p in parameters][::9] == ["numpy_reinforce-mean", "ARM-mean"]


def test_a_function_that_starts_a_generator_of_its_own_is_told_why_it_fails():
    def seeded(logits, cost, rng):
        probs = 1 / (1 + np.exp(-logits))
        bits = (np.random.default_rng(rng.seed).random(logits.shape) < probs).astype(float)
        return cost(bits)[:, None] * (bits - probs)

    with pytest.raises(AssertionError, match=r"batch split: .* \(it asked for rng.seed; take its noise from rng.uni"):
        certificate.check_batch_split(mg.testing.from_function(seeded))


def test_from_function_refuses_what_is_no_function():
    with pytest.raises(TypeError, match=r"a function \(logits, cost, rng\) as estimate, got \[1.0\]"):
        mg.testing.from_function([1.0])
    with pytest.raises(TypeError, match="function of a NumPy array as array, got 'torch'"):
        mg.testing.from_function(numpy_reinforce, array="torch")


@pytest.mark.parametrize("check", certificate.CHECKS, ids=lambda check: check.__name__)
def test_an_estimator_in_pytorch_passes_all_checks(torch, check):
    def reinforce(logits, cost, rng):
        bits = (rng.uniform(logits.shape) < torch.sigmoid(logits)).double()
        return cost(bits)[:, None] * (bits - torch.sigmoid(logits))

    check(mg.testing.from_function(reinforce, array=torch.from_numpy))


def test_an_estimator_with_a_generator_of_pytorch(torch):
    def reinforce(logits, cost, rng):
        noise = torch.Generator().manual_seed(rng.seed % 2**63)
        bits = torch.bernoulli(torch.sigmoid(logits), generator=noise)
        return cost(bits)[:, None] * (bits - torch.sigmoid(logits))

    rule = mg.testing.from_function(reinforce, array=torch.from_numpy)
    fn, logits = toy(rule, 0.5, 0.1)
    report = mg.testing.check_estimator(fn, logits, samples=1000, seed=1)
    assert (report.exact, report.unbiased) == (False, True)


class OneDrawForAllRows(mg.Estimator):
    """The cost of another sample as a baseline.  The noise of this sample is shared by all rows, which is right."""
    needs = {"cost", "cost_at"}
    unbiased = True

    def other(self, node):
        sample = (node.rng.uniform((1, node.shape[1])) < node.probs) * 1.0
        return sample, node.cost_at(sample)

    def backward(self, node):
        _, baseline = self.other(node)
        return (node.cost - baseline) * (node.value - node.probs)


class SharedAntithetic(OneDrawForAllRows):
    """Half the difference of costs times that of samples: wrong where rows share a cost, since both samples change."""

    def backward(self, node):
        sample, baseline = self.other(node)
        return 0.5 * (node.cost - baseline) * (node.value - sample)


@pytest.mark.slow
def test_rows_may_share_a_draw():
    assert "passes 30 problems" in str(mg.testing.examine(OneDrawForAllRows()))
    assert "rows are coupled" in str(mg.testing.examine(SharedAntithetic()))
