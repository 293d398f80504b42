"""Score-function rules: correlate what each unit did with the cost that followed.

They need no gradient, only the cost of each sample: one evaluation, which was made anyway, and it
may be a step function or a black box.  The price is variance, which grows with the number of units,
for each is blamed for what all of them did.
"""

from minigrad.arguments import described, is_real
from minigrad.estimators.baselines import Constant, LeastVariance, MeanCost
from minigrad.rule import Estimator

BASELINES = {None: Constant, "mean": MeanCost, "optimal": LeastVariance}


class Reinforce(Estimator):
    """d cost / d logit = (h − p)(L − L̄), with cost L, p = σ(logit) and a baseline L̄.

    Unbiased, since h − p is the derivative of log P(h) by the logit; the baseline changes the
    variance only.  Needs the cost.
    Williams (1992); Bengio, Léonard & Courville (2013), Theorem 1 and Corollary 1.

    Parameters
    ----------
    baseline : None, a number, "mean" (a moving average of the cost), "optimal" (the one of least
        variance, by unit), or an object such as those of ``minigrad.estimators.baselines``.  The
        averages are the rule's memory: each pass adds its costs to them, for the next draw.

    >>> import minigrad as mg
    >>> logits = mg.tensor([[0.0]], requires_grad=True)
    >>> h = mg.bernoulli(logits, mg.estimators.Reinforce(baseline=1.0), rng=mg.Generator(2))
    >>> mg.expected((h * 6).sum(axis=1)).backward()
    >>> h.item(), logits.grad                              # (1 − 0.5)(6 − 1)
    (1.0, array([[2.5]]))
    """

    needs = frozenset({"cost"})
    unbiased = True

    def __init__(self, baseline=None):
        known = ", ".join(map(repr, BASELINES))
        if baseline is None or isinstance(baseline, str):
            if baseline not in BASELINES:
                raise ValueError(f"Reinforce: expected a baseline out of {known}, a finite number or an object with "
                                 f"start, value and learn, got {baseline!r}")
            baseline = BASELINES[baseline]()
        elif not hasattr(baseline, "start"):
            if not is_real(baseline):
                raise ValueError(f"Reinforce: expected a baseline out of {known}, a finite number or an object with "
                                 f"start, value and learn, got {described(baseline)}")
            baseline = Constant(float(baseline))
        self.baseline = baseline
        self.state = baseline.start()

    def backward(self, node):
        if node.memory is not None:
            node.propose(**self.baseline.learn(node, node.memory))
        return (node.value - node.probs) * (node.cost - self.baseline.value(node, node.memory))

    def __repr__(self):
        return f"{type(self).__name__}(baseline={self.baseline})"


class Correlation(Estimator):
    """d cost / d logit = h L: the plain correlation of unit and cost, without centring.

    Its mean is the gradient plus p E[L]: biased unless the cost is 0 on average, and shown to teach
    why the score is centred.  With a reward of +1 for what data shows and −1 for what the model
    dreams it is the learning rule of Boltzmann machines.  Needs the cost.
    Bengio (2013), arXiv 1305.2982.
    """

    needs = frozenset({"cost"})

    def backward(self, node):
        return node.value * node.cost
