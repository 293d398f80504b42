"""Antithetic rules: compare the sample with a second one, drawn with the mirrored uniforms 1 − u.

What the two costs have in common, such as their size, cancels in the difference.  The rules take one evaluation
besides that of the sample, however many units there are.  The cost may be a step function or a black box.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minigrad.rule import Estimator

if TYPE_CHECKING:
    from minigrad.aliases import Array
    from minigrad.stochastic import BinaryNode


class ARM(Estimator):
    """d cost / d logit = (L(1[1 − u < p]) − L(1[u < p])) (u − ½), p = σ(logit).

    Unbiased.  Needs the cost at the antithetic sample.
    Yin & Zhou (2019), "ARM: Augment-REINFORCE-merge gradient for stochastic binary networks".
    """

    needs = frozenset({"cost", "cost_at"})
    unbiased = True

    def backward(self, node: BinaryNode) -> Array:
        mirrored = self.sample(node.logits, 1 - node.noise)
        return (node.cost_at(mirrored) - node.cost) * (node.noise - 0.5)


class DisARM(Estimator):
    """d cost / d logit = ½ (L(b) − L(b̃)) (b − b̃) max(p, 1 − p), with b̃ = 1[1 − u < p].

    The mean of ARM over u, given b and b̃.  So it is unbiased and its variance is never larger than that of
    ARM.  A unit with the same bit in both samples gets 0.  Needs the cost at the antithetic sample.
    Dong, Mnih & Tucker (2020); Yin, Ho, Yan, Qian & Zhou (2020), who call it U2G.
    """

    needs = frozenset({"cost", "cost_at"})
    unbiased = True

    def backward(self, node: BinaryNode) -> Array:
        mirrored = self.sample(node.logits, 1 - node.noise)
        difference = node.cost - node.cost_at(mirrored)
        larger = np.maximum(node.probs, 1 - node.probs)
        return difference * (node.value - mirrored) * larger / 2
