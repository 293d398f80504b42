"""The comparison of rules: exact variances, costs, efficiency and the frontier.  The problem does not change."""

from copy import deepcopy

import numpy as np
import pytest

import minigrad as mg
from minigrad.testing import compare

E = mg.estimators


@pytest.fixture
def problem():
    logits = mg.tensor([[0.5], [-1.0]], requires_grad=True)

    def fn(rule, rng):
        return mg.expected((mg.bernoulli(logits, rule, rng=rng).sum(axis=1) - 0.3) ** 2)
    return fn, logits


def test_variances_and_efficiency_are_those_of_the_formulas(problem):
    fn, logits = problem
    found = compare(fn, logits, [E.Reinforce(), E.LocalExpectation(), E.StraightThrough()])
    p = 1 / (1 + np.exp(-logits.data))
    costs = np.array([0.09, 0.49])
    second = p * (costs[1] * (1 - p))**2 + (1 - p) * (costs[0] * p)**2
    slope = p * (1 - p) * (costs[1] - costs[0])
    plain, local, biased = found.rows
    np.testing.assert_allclose(plain.variance, np.sum(second - slope**2) / 4, rtol=1e-9)
    assert (local.variance, local.efficiency, local.price, plain.price) == (0, np.inf, 2, 1)
    assert not biased.report.unbiased
    assert 0 < plain.efficiency < 1         # a mean baseline helps here
    assert found.frontier() == [plain, local]
    assert all(row.seconds > 0 for row in found.rows)


def test_the_table_and_the_picture(problem, tmp_path):
    pytest.importorskip("matplotlib")
    found = compare(*problem, [E.Reinforce(), E.Correlation(), E.LocalExpectation()])
    lines = repr(found).splitlines()
    assert [line.split("(")[0].strip() for line in lines[1:4]] == ["Reinforce", "Correlation", "LocalExpectation"]
    assert [line.endswith("*") for line in lines[1:4]] == [True, False, True]
    assert "none" in lines[1]
    assert "none" not in lines[2]
    found.draw(tmp_path / "rules.png")
    assert (tmp_path / "rules.png").stat().st_size > 5000


def test_rules_and_gradients_are_left_as_they_were(problem):
    fn, logits = problem
    rule = E.Reinforce("mean")
    fn(rule, mg.Generator(1)).backward()
    memory, gradient = rule.state_dict(), logits.grad.copy()
    compare(fn, logits, [rule])
    np.testing.assert_equal(rule.state_dict(), memory)
    np.testing.assert_array_equal(logits.grad, gradient)


def test_several_nodes_get_copies():
    logits = mg.tensor([[0.5], [-1.0]], requires_grad=True)

    def fn(rule, rng):
        bits = mg.bernoulli(logits, deepcopy(rule), rng=rng)
        return mg.expected(mg.bernoulli(2 * bits - 1, deepcopy(rule), rng=rng).sum(axis=1))
    assert all(row.report.unbiased for row in compare(fn, logits, [E.Reinforce("mean"), E.DisARM()]).rows)


def test_what_is_refused(problem):
    fn, logits = problem
    with pytest.raises(TypeError, match="Make an instance of it"):
        compare(fn, logits, [E.Reinforce])
    with pytest.raises(ValueError, match="at least one rule"):
        compare(fn, logits, [])
    with pytest.raises(TypeError, match="a function of a rule and a generator"):
        compare(logits, logits, [E.Reinforce()])
