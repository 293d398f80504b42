"""Surrogate slopes: forward a step, backward as if it had been some smooth function of the logit.

Relatives of straight-through, which is the case of a slope of 1.  They are judged by what they train,
not by their mean: each is biased, and its expectation is E[g] times its slope.
"""

from minigrad import ops
from minigrad.arguments import is_real
from minigrad.functional import grad
from minigrad.rule import Estimator
from minigrad.tensor import Tensor

SURROGATES = {
    "fast sigmoid": lambda x: x / (1 + abs(x)),
    "arctan": ops.arctan,
    "gaussian": ops.ndtr,
}


class Surrogate(Estimator):
    """d cost / d logit = ψ'(logit) · d cost / d sample, for a function ψ of your choice.

    What trains spiking networks, whose neurons are steps as well: the slope of ψ says over which
    range of logits a unit is worth adjusting.  It is taken by the engine, so ψ is any function of a
    Tensor.  Needs the gradient, also at units whose sample is 0.  Biased.
    Neftci, Mostafa & Zenke (2019), arXiv 1901.09948.

    Parameters
    ----------
    psi : a function of a Tensor, or a name: "fast sigmoid", x / (1 + |x|) of slope (1 + |x|)⁻²
        (Zenke & Ganguli 2018); "arctan", of slope 1 / (1 + x²); "gaussian", the normal distribution
        function.

    >>> import minigrad as mg
    >>> logits = mg.tensor([[1.0, -3.0]], requires_grad=True)
    >>> b = mg.bernoulli(logits, mg.estimators.Surrogate(), rng=mg.Generator(1))
    >>> mg.expected((b * 8).sum(axis=1)).backward()
    >>> logits.grad                                          # 8 / (1 + 1)², 8 / (1 + 3)²
    array([[2. , 0.5]])
    """

    needs = frozenset({"grad"})

    def __init__(self, psi="fast sigmoid"):
        if not callable(psi) and not (isinstance(psi, str) and psi in SURROGATES):
            raise ValueError(f"Surrogate: expected a function or one of {', '.join(SURROGATES)}, got {psi!r}")
        self.psi = psi

    def backward(self, node):
        psi = self.psi if callable(self.psi) else SURROGATES[self.psi]
        x = Tensor(node.logits, requires_grad=True)
        return node.grad * grad(psi(x).sum(), x).data

    def __repr__(self):
        return f"Surrogate({self.psi!r})"


class StraightThroughAnnealed(Estimator):
    """d cost / d logit = a σ'(a · logit) · d cost / d sample, with a slope a that grows as training goes on.

    Early on, a gentle slope lets gradients through; later the slope nears the step that the sample
    really is, and only units about to change their mind still move.  At a = 1 it is straight-through
    with the sigmoid's slope.  Each backward pass adds ``growth`` to a for the samples drawn after it;
    a is the rule's memory.  Needs the gradient, also at units whose sample is 0.  Biased.
    Chung, Ahn & Bengio (2016), arXiv 1609.01704.

    Parameters
    ----------
    slope : a to begin with.
    growth : by how much a grows with every pass.
    most : the largest a.
    """

    needs = frozenset({"grad"})

    def __init__(self, slope=1.0, growth=1e-4, most=5.0):
        if not (all(map(is_real, (slope, most, growth))) and 0 < slope <= most and growth >= 0):
            raise ValueError(f"StraightThroughAnnealed: expected 0 < slope <= most and growth >= 0, got slope={slope}, "
                             f"most={most}, growth={growth}")
        self.growth, self.most = growth, most
        self.state = {"slope": slope}

    def backward(self, node):
        slope = float(node.memory["slope"])
        node.propose(slope=min(slope + self.growth, self.most))
        p = ops.sigmoid(slope * node.logits)
        return node.grad * slope * p * (1 - p)

    def __repr__(self):
        slope = float(self.merged()["slope"])
        return f"StraightThroughAnnealed(slope={slope:g}, growth={self.growth}, most={self.most})"
