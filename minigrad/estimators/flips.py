"""Rules that flip bits and look at the difference: dE[L]/da_i = p_i (1 − p_i) E[L(h_i = 1) − L(h_i = 0)].

The other units keep their sample, and nodes below their uniforms.  Where rows share a cost they are
flipped one row at a time.  All flips are evaluated at once, and one that enters a linear layer adds a
multiple of a column of the weight to its output (``ops.alternatives``).
"""

import numpy as np

from minigrad.rule import Estimator

MOST_UNITS = 12


def differences_made(node, units):
    """L(h_i = 1) − L(h_i = 0), (rows, K), for K units i in every row, which ``units`` (K, rows or 1) names."""
    bits = node.value[np.arange(len(node.value), like=node.value), units]
    return ((node.cost_flipped(units)[..., 0] - node.cost[:, 0]) * (1 - 2 * bits)).T


class LocalExpectation(Estimator):
    """d cost / d logit_i = p_i (1 − p_i) (L(h_i = 1) − L(h_i = 0)), for every unit i.

    Unbiased, with no variance from the unit itself: exact where there is one.  Needs the cost with
    each unit flipped in turn, so as many evaluations as there are units.
    Titsias & Lázaro-Gredilla (2015); Tokui & Sato (2017).
    """

    needs = frozenset({"cost", "cost_at"})
    unbiased = True

    def backward(self, node):
        every_unit = np.arange(node.shape[1], like=node.value)[:, None]
        return node.probs * (1 - node.probs) * differences_made(node, every_unit)


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
        estimate = units * node.probs * (1 - node.probs) * differences_made(node, chosen.T)
        return np.where(np.arange(units, like=chosen) == chosen, estimate, 0)


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
        p = node.probs
        numbers, places = np.arange(2**units, like=p), np.arange(units, like=p)[::-1]
        states = (numbers[:, None] >> places & 1).astype(p.dtype)
        b = np.broadcast_to(states[:, None], (len(states), *node.shape))
        probability = np.where(b == 1, p, 1 - p).prod(axis=2, keepdims=True)
        return (probability * node.cost_at(b, rows="one by one") * (b - p)).sum(axis=0)
