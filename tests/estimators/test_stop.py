"""The rule that passes nothing to its logits."""

import numpy as np
from enumeration import Chosen

import minigrad as mg
from minigrad.estimators.stop import Stop


def test_stop_leaves_the_logits_without_gradient_and_the_rest_with_theirs():
    a, w = (mg.tensor(np.full((2, 3), x), requires_grad=True) for x in (0.3, 2.0))
    b = mg.bernoulli(a, Stop(), rng=Chosen(np.array(0.2)))
    mg.expected((b * w).sum(axis=1)).backward()
    np.testing.assert_array_equal(a.grad, 0)
    np.testing.assert_array_equal(w.grad, 0.5)
