"""Rules that flip bits and use the difference: dE[L]/da_i = p_i (1 − p_i) E[L(h_i = 1) − L(h_i = 0)].

The other units keep their sample, and the nodes below keep their uniforms.  Where several rows share a cost,
bits are flipped in one row at a time.  All flips are evaluated at once.  A flip in the input of a linear layer
is cheap: it adds a multiple of one column of the weight to the output (``ops.alternatives``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minigrad.rule import Estimator

if TYPE_CHECKING:
    from minigrad.aliases import Array
    from minigrad.stochastic import BinaryNode

MOST_UNITS = 12


def cost_differences(node: BinaryNode, units: Array) -> Array:
    """L(h_i = 1) − L(h_i = 0) of each row, (rows, K), for K units i.

    ``units`` is (K, rows), or (K, 1) for the same units in all rows.
    """
    bits = node.value[np.arange(len(node.value), like=node.value), units]
    return ((node.cost_flipped(units)[..., 0] - node.cost[:, 0]) * (1 - 2 * bits)).T


class LocalExpectation(Estimator):
    """d cost / d logit_i = p_i (1 − p_i) (L(h_i = 1) − L(h_i = 0)), for every unit i.

    Unbiased.  The unit itself adds no variance, so the estimate is exact if there is only one.  Needs the cost
    with each unit flipped in turn: as many evaluations as there are units.
    Titsias & Lázaro-Gredilla (2015); Tokui & Sato (2017).
    """

    needs = frozenset({"cost", "cost_at"})
    unbiased = True

    def backward(self, node: BinaryNode) -> Array:
        every_unit = np.arange(node.shape[1], like=node.value)[:, None]
        return node.probs * (1 - node.probs) * cost_differences(node, every_unit)


class BitFlip(Estimator):
    """d cost / d logit_i = D p_i (1 − p_i) (L(h_i = 1) − L(h_i = 0)) for one of the D units, and 0 for the others.

    The unit is drawn at random for each row.  Unbiased.  It takes one evaluation, where the local expectation
    takes D, and its variance grows with D.  Needs the cost with one unit flipped.
    Kunes, Yin, Land & Blei (2022).
    """

    needs = frozenset({"cost", "cost_at"})
    unbiased = True

    def backward(self, node: BinaryNode) -> Array:
        rows, units = node.shape
        chosen = node.rng.integers(units, (rows, 1))
        estimate = units * node.probs * (1 - node.probs) * cost_differences(node, chosen.T)
        return np.where(np.arange(units, like=chosen) == chosen, estimate, 0)


class Enumerate(Estimator):
    """d cost / d logit = Σ_b P(b) L(b) (b − p), over all 2^D states b of the D units.

    Unbiased.  Only the noise of the nodes below is left, so no rule of this node has less variance.  Needs the
    cost at every state.

    Raises
    ------
    ValueError
        At backward: more than 12 units.
    """

    needs = frozenset({"cost_at"})
    unbiased = True

    def backward(self, node: BinaryNode) -> Array:
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
