"""A rule that flips one unit, which it chooses at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minigrad.rule import Estimator

if TYPE_CHECKING:
    from minigrad.aliases import Array
    from minigrad.stochastic import BinaryNode


class PrunedFlip(Estimator):
    """d cost / d logit_i = W (f(b with b_i = 1) − f(b)) at one unit i whose bit is 0, and 0 at the others.

    If the logits increase a little, one of the zeros of the sample may become a one.  For unit i, the probability is
    proportional to w_i = p_i (1 − b_i).  The rule draws one of these alternatives with probability w_i / W,
    W = Σ_i w_i, and gives it the whole weight W (stochastic triples call this pruning).  The mean over the choice
    is p_i (1 − b_i)(f(b_i = 1) − f(b)).  The mean of that over b_i is p_i (1 − p_i)(f(b_i = 1) − f(b_i = 0)), so
    the rule is unbiased.  Needs the cost at one other sample: one evaluation, however many units there are.
    Where several rows share a cost, it takes one evaluation for each of them.
    Arya, Schauer, Schäfer & Rackauckas (2022), arXiv 2210.08572.
    """

    needs = frozenset({"cost", "cost_at"})
    unbiased = True

    def backward(self, node: BinaryNode) -> Array:
        cumulative = np.cumsum(node.probs * (1 - node.value), axis=1)
        weight = cumulative[:, -1:]
        share = np.divide(cumulative, weight, out=np.ones_like(cumulative), where=weight > 0)
        passed = node.rng.uniform((len(cumulative), 1)) >= share
        chosen = passed.sum(axis=1, keepdims=True)
        difference = node.cost_flipped(chosen.T)[0] - node.cost
        return np.where(np.arange(node.shape[1], like=chosen) == chosen, weight * difference, 0)
