"""A rule for samples that pass no gradient on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minigrad.rule import Estimator

if TYPE_CHECKING:
    from minigrad.aliases import Array
    from minigrad.stochastic import BinaryNode


class Stop(Estimator):
    """d cost / d logit = 0: the sample is a constant.

    For units whose gradient bypasses the sample, such as stochastic times smooth, h = b √p (Eq 2 of Bengio,
    Léonard & Courville 2013): √p is differentiated, and b is a constant.  Needs nothing, so no gradient is
    computed for units whose sample is 0.  Where the sample is the only path to the logits, the logits learn
    nothing: the rule is biased, with variance 0.
    """

    needs_closed_gates = False
    differentiable = True

    def backward(self, node: BinaryNode) -> Array:
        return 0 * node.value
