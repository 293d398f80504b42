"""Learned baselines: they must not depend on the sample, and they learn to predict the cost."""

import numpy as np
import pytest
from enumeration import EXACT, LINE, LOGITS, P, cells, close, coupled, estimates, grid, sigmoid, truth

import minigrad as mg
from minigrad.estimators.nvil import LearnedBaseline, Nvil
from minigrad.estimators.score_function import Reinforce


class BaselineThatSawTheSample(LearnedBaseline):
    """It learns first, and then predicts."""

    def value(self, node, state):
        return super().value(node, self.learn(node, state))


@pytest.mark.parametrize(("baseline", "biased"), [(LearnedBaseline, False), (BaselineThatSawTheSample, True)])
def test_a_learned_baseline_must_not_have_seen_the_sample(baseline, biased):
    """The batch has a single row.  All samples of this row are tried."""
    rule, (u, probability) = Reinforce(baseline(hidden=3, rate=0.1)), grid([cells(x) for x in P])
    for _ in range(3):
        estimates(rule, LOGITS, coupled, u)
    with mg.testing.frozen_memories():
        mean = probability @ np.concatenate([estimates(rule, LOGITS, coupled, row[None]) for row in u])
    assert np.allclose(mean, truth(LOGITS, coupled), **EXACT) is not biased


def test_nvil_learns_to_predict_the_cost_from_the_context():
    """There are two kinds of rows with different costs.  The baseline of each kind tends to its mean cost."""
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
