"""Antithetic rules: compare the sample with the one that the mirrored uniforms 1 − u would have drawn.

What both sides share, above all the size of the cost, cancels.  One evaluation besides the sample's
own, however many units there are; the cost may be a step function or a black box.
"""

import numpy as np

from minigrad.rule import Estimator


class ARM(Estimator):
    """d cost / d logit = (L(1[1 − u < p]) − L(1[u < p])) (u − ½), p = σ(logit).

    Unbiased.  Needs the cost at the antithetic sample.  Yin & Zhou (2019), "ARM:
    Augment-REINFORCE-merge gradient for stochastic binary networks".
    """

    needs = frozenset({"cost", "cost_at"})
    unbiased = True

    def backward(self, node):
        mirrored = self.sample(node.logits, 1 - node.noise)
        return (node.cost_at(mirrored) - node.cost) * (node.noise - 0.5)


class DisARM(Estimator):
    """d cost / d logit = ½ (L(b) − L(b̃)) (b − b̃) max(p, 1 − p), with b̃ = 1[1 − u < p].

    ARM with u averaged out given b and b̃: unbiased, and never of more variance.  Units whose bit is
    the same on both sides get 0.  Needs the cost at the antithetic sample.
    Dong, Mnih & Tucker (2020); Yin, Ho, Yan, Qian & Zhou (2020), who call it U2G.
    """

    needs = frozenset({"cost", "cost_at"})
    unbiased = True

    def backward(self, node):
        mirrored = self.sample(node.logits, 1 - node.noise)
        difference = node.cost - node.cost_at(mirrored)
        larger = np.maximum(node.probs, 1 - node.probs)
        return difference * (node.value - mirrored) * larger / 2
