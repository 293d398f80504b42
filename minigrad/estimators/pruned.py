"""A flip that is chosen before it is made."""

import numpy as np

from minigrad.rule import Estimator


class PrunedFlip(Estimator):
    """d cost / d logit_i = W (f(b with b_i = 1) − f(b)) at one unit i at 0, drawn ∝ p_i, and 0 elsewhere.

    When its logits rise a little, a node changes in that one of its zeros turns into a one: unit i
    with a probability ∝ w_i = p_i (1 − b_i).  Of all these alternatives one is kept, drawn ∝ w, and
    stands for the whole weight W = Σ_i w_i ("pruning", as stochastic triples do).  The mean over i is
    p_i (1 − b_i)(f(b_i = 1) − f(b)), whose mean over b_i is p_i (1 − p_i)(f(b_i = 1) − f(b_i = 0)):
    unbiased.  Needs the cost at one other sample, however many units there are: one evaluation (one a
    row, where rows share a cost).
    Arya, Schauer, Schäfer & Rackauckas (2022), arXiv 2210.08572.
    """

    needs = frozenset({"cost", "cost_at"})
    unbiased = True

    def backward(self, node):
        reach = np.cumsum(node.probs * (1 - node.value), axis=1)
        weight = reach[:, -1:]
        share = np.divide(reach, weight, out=np.ones_like(reach), where=weight > 0)
        passed = node.rng.uniform((len(reach), 1)) >= share
        chosen = passed.sum(axis=1, keepdims=True)
        difference = node.cost_flipped(chosen.T)[0] - node.cost
        return np.where(np.arange(node.shape[1], like=chosen) == chosen, weight * difference, 0)
