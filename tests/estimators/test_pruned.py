"""The rule that flips one unit, which it chooses with a probability proportional to its weight."""

from itertools import product

import numpy as np
from enumeration import EXACT, LOGITS, P, cells, close, coupled, estimates, grid, moments_of, truth

import minigrad as mg
from minigrad.estimators.pruned import PrunedFlip


class FlipsWithoutTheirWeight(PrunedFlip):
    """The change of the cost by the flip, as if every unit were always flipped."""

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
