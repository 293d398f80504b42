"""Straight-through with the slopes of surrogates."""

import numpy as np
import pytest
from enumeration import EXACT, LINE, LOGITS, P, cells, close, coupled, enumerated, estimates, grid, sigmoid

import minigrad as mg
from minigrad import ops
from minigrad.estimators.straight_through import StraightThrough, StraightThroughSlope
from minigrad.estimators.surrogate import StraightThroughAnnealed, Surrogate


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
