"""Score-function rules: they use the correlation of each unit with the cost of the sample.

They need the cost of each sample and no gradient, so the cost may be a step function or a black box.  They take
no evaluation besides the forward pass.  Their variance is high, and it grows with the number of units, since the
cost that multiplies the score of one unit depends on all units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minigrad.arguments import described, is_real
from minigrad.estimators.baselines import Constant, LeastVariance, MeanCost
from minigrad.rule import Estimator

if TYPE_CHECKING:
    from minigrad.aliases import Array
    from minigrad.estimators.baselines import Baseline
    from minigrad.stochastic import BinaryNode

BASELINES = {None: Constant, "mean": MeanCost, "optimal": LeastVariance}


class Reinforce(Estimator):
    """d cost / d logit = (h − p)(L − L̄), with cost L, p = σ(logit) and a baseline L̄.

    Unbiased, since h − p is the derivative of log P(h) by the logit.  The baseline changes the variance only.
    Needs the cost.
    Williams (1992); Bengio, Léonard & Courville (2013), Theorem 1 and Corollary 1.

    Parameters
    ----------
    baseline : None, a number, "mean" (a moving average of the cost), "optimal" (for each unit the baseline of
        least variance), or an object like those of ``minigrad.estimators.baselines``.  The averages are the
        rule's memory.  Each pass adds its costs to them, for the next draw.

    Raises
    ------
    ValueError
        ``baseline`` is none of these, or a number that is not finite.

    >>> import minigrad as mg
    >>> logits = mg.tensor([[0.0]], requires_grad=True)
    >>> h = mg.bernoulli(logits, mg.estimators.Reinforce(baseline=1.0), rng=mg.Generator(2))
    >>> mg.expected((h * 6).sum(axis=1)).backward()
    >>> h.item(), logits.grad                              # (1 − 0.5)(6 − 1)
    (1.0, array([[2.5]]))
    """

    needs = frozenset({"cost"})
    unbiased = True
    baseline: Any

    def __init__(self, baseline: Baseline | str | float | None = None) -> None:
        known = ", ".join(map(repr, BASELINES))
        if baseline is None or isinstance(baseline, str):
            if baseline not in BASELINES:
                raise ValueError(f"Reinforce: expected baseline to be {known}, a finite number or an object with "
                                 f"start, value and learn, got {baseline!r}")
            self.baseline = BASELINES[baseline]()
        elif hasattr(baseline, "start"):
            self.baseline = baseline
        elif is_real(baseline):
            self.baseline = Constant(float(baseline))
        else:
            raise ValueError(f"Reinforce: expected baseline to be {known}, a finite number or an object with "
                             f"start, value and learn, got {described(baseline)}")
        self.state = self.baseline.start()

    def backward(self, node: BinaryNode) -> Array:
        if node.memory is not None:
            node.propose(**self.baseline.learn(node, node.memory))
        return (node.value - node.probs) * (node.cost - self.baseline.value(node, node.memory))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(baseline={self.baseline})"


class Correlation(Estimator):
    """d cost / d logit = h L: the correlation of unit and cost, where h is not centred.

    Its mean is the gradient plus p E[L].  So it is biased, unless the mean of the cost is 0.  It shows
    why the score must be centred.  It is also the learning rule of Boltzmann machines, if the reward is +1 for samples
    with the visible units set to data and −1 for samples of the model alone.  Needs the cost.
    Bengio (2013), arXiv 1305.2982.
    """

    needs = frozenset({"cost"})

    def backward(self, node: BinaryNode) -> Array:
        return node.value * node.cost
