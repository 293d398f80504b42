"""REINFORCE, and the baselines that it takes."""

import numpy as np
import pytest
from enumeration import EXACT, LOGITS, cells, close, coupled, estimates, grid, moments, sigmoid, truth

import minigrad as mg
from minigrad.estimators import baselines
from minigrad.estimators.score_function import Correlation, Reinforce


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


def test_reinforce_and_the_plain_correlation_by_their_formulas():
    """Without centring, the mean is too large by p · E[cost]."""
    exact, p = truth(LOGITS, coupled), sigmoid(LOGITS)
    u, probability = grid([cells(x) for x in p])
    b = (u < p).astype(float)
    costs = coupled(mg.tensor(b)).numpy()[:, None]
    close(estimates(Reinforce(0.7), LOGITS, coupled, u), (b - p) * (costs - 0.7), **EXACT)
    close(estimates(Correlation(), LOGITS, coupled, u), b * costs, **EXACT)
    close(moments(Correlation(), LOGITS, coupled)[0], exact + p * (probability @ costs), **EXACT)
