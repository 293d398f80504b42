"""Rules that flip bits and look at the difference: dE[L]/da_i = p_i (1 − p_i) E[L(h_i = 1) − L(h_i = 0)].

The other units keep their sample, and nodes below their uniforms.  Where rows share a cost they are
flipped one row at a time.
"""

from itertools import product

import numpy as np

from minigrad.stochastic import Estimator

MOST_UNITS = 12


def difference_made(node, units):
    """L(h_i = 1) − L(h_i = 0) in every row, for the unit i that ``units`` (rows, 1) names there."""
    bit = np.take_along_axis(node.value, units, axis=1)
    flipped = node.value.copy()
    np.put_along_axis(flipped, units, 1 - bit, axis=1)
    return (node.cost_at(flipped, rows="one by one") - node.cost) * (1 - 2 * bit)


class LocalExpectation(Estimator):
    """d cost / d logit_i = p_i (1 − p_i) (L(h_i = 1) − L(h_i = 0)), for every unit i.

    Unbiased, with no variance from the unit itself: exact where there is one.  Needs the cost with
    each unit flipped in turn, so as many evaluations as there are units.
    Titsias & Lázaro-Gredilla (2015); Tokui & Sato (2017).
    """

    needs = frozenset({"cost", "cost_at"})
    unbiased = True

    def backward(self, node):
        rows, units = node.shape
        differences = [difference_made(node, np.full((rows, 1), i)) for i in range(units)]
        return np.concatenate(differences, axis=1) * node.probs * (1 - node.probs)


class BitFlip(Estimator):
    """d cost / d logit_i = D p_i (1 − p_i) (L(h_i = 1) − L(h_i = 0)) for one of the D units, drawn at
    random for each row, and 0 for the others.

    Unbiased; the local expectation at the price of one evaluation, with more variance the more units
    there are.  Needs the cost with one unit flipped.  Kunes, Yin, Land & Blei (2022).
    """

    needs = frozenset({"cost", "cost_at"})
    unbiased = True

    def backward(self, node):
        rows, units = node.shape
        chosen = node.rng.integers(units, (rows, 1))
        estimate = units * node.probs * (1 - node.probs) * difference_made(node, chosen)
        return np.where(np.arange(units) == chosen, estimate, 0)


class Enumerate(Estimator):
    """d cost / d logit = Σ_b P(b) L(b) (b − p), over all 2^D states b of the D units.

    Exact but for the noise of nodes below: unbiased, of the least variance a rule of this node alone
    can have.  Needs the cost at every state, hence at most 2**12 of them.
    """

    needs = frozenset({"cost_at"})
    unbiased = True

    def backward(self, node):
        units = node.shape[1]
        if units > MOST_UNITS:
            raise ValueError(f"Enumerate: expected at most {MOST_UNITS} units in a sample, got {units}. Use "
                             "LocalExpectation, or set event_ndim so that samples are smaller")
        p, total = node.probs, np.zeros_like(node.value)
        for state in product((0, 1), repeat=units):
            b = np.broadcast_to(np.array(state, p.dtype), p.shape)
            probability = np.where(b == 1, p, 1 - p).prod(axis=1, keepdims=True)
            total += probability * node.cost_at(b, rows="one by one") * (b - p)
        return total
