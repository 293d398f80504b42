"""Baselines: they only use past passes, they follow their formulas, and users can write their own."""

import numpy as np
import pytest
from enumeration import (
    EXACT,
    QUARTERS,
    close,
    estimates,
    every_sample_equally_often,
    mixed_cost,
    moments,
    sigmoid,
    truth,
)

import minigrad as mg
from minigrad.estimators.score_function import Reinforce


class Features:
    """A baseline that a user has written: linear in the context."""

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
        found = estimates(rule, QUARTERS, mixed_cost, u, context=context)
        close(found.mean(axis=0), truth(QUARTERS, mixed_cost), **EXACT)
    b = (u < sigmoid(QUARTERS)).astype(float)
    close(context[0] @ rule.state_dict()["weight"], mixed_cost(mg.tensor(b)).data.mean(), rtol=1e-6)


@pytest.mark.parametrize("baseline", ["mean", "optimal"])
def test_the_baseline_is_that_of_past_passes_only(baseline):
    """In the first pass the baseline is 0, and it never contains the current sample."""
    rule, plain, u = Reinforce(baseline), Reinforce(), every_sample_equally_often()
    close(estimates(rule, QUARTERS, mixed_cost, u), estimates(plain, QUARTERS, mixed_cost, u), **EXACT)
    rng = np.random.default_rng(1)
    for _ in range(5):
        before = rule.state_dict()
        mean, _ = moments(rule, QUARTERS, mixed_cost)
        close(mean, truth(QUARTERS, mixed_cost), **EXACT)
        np.testing.assert_equal(rule.state_dict(), before)
        estimates(rule, QUARTERS, mixed_cost, rng.uniform(size=(8, 3)))
        assert any(not np.array_equal(rule.state_dict()[name], x) for name, x in before.items())


@pytest.mark.parametrize(("baseline", "weight_of"), [("mean", lambda s: np.ones((len(s), 1))),
                                                     ("optimal", np.square)])
def test_moving_averages_of_costs(baseline, weight_of):
    rule, rng = Reinforce(baseline), np.random.default_rng(2)
    weighted, weight = 0.0, 0.0
    for _ in range(4):
        u = rng.uniform(size=(6, 3))
        b = (u < sigmoid(QUARTERS)).astype(float)
        costs, score = mixed_cost(mg.tensor(b)).data[:, None], b - sigmoid(QUARTERS)
        now = 0.0 if np.all(weight == 0) else weighted / weight
        close(estimates(rule, QUARTERS, mixed_cost, u), (costs - now) * score, **EXACT)
        weighted = 0.9 * weighted + 0.1 * (weight_of(score) * costs).mean(axis=0)
        weight = 0.9 * weight + 0.1 * weight_of(score).mean(axis=0)


def test_a_unit_that_never_varies_has_baseline_0():
    rule, u = Reinforce("optimal"), np.full((2, 1), 0.5)
    for _ in range(2):
        estimate = estimates(rule, np.float64(1000.0), lambda b: b.sum(axis=1), u)
    np.testing.assert_array_equal(estimate, 0)
