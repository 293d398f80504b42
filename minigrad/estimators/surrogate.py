"""Surrogate slopes: the forward pass takes a step, the backward pass the slope of a smooth function.

Straight-through is the surrogate with slope 1.  Each of these rules is biased: the mean of its estimate is the mean
gradient times the slope.  So judge them by the networks that they train.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minigrad import ops
from minigrad.arguments import is_real
from minigrad.functional import grad
from minigrad.rule import Estimator
from minigrad.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from minigrad.aliases import Array
    from minigrad.stochastic import BinaryNode

SURROGATES: dict[str, Callable[[Any], Any]] = {
    "fast sigmoid": lambda x: x / (1 + abs(x)),
    "arctan": ops.arctan,
    "gaussian": ops.ndtr,
}


class Surrogate(Estimator):
    """d cost / d logit = ψ'(logit) · d cost / d sample, for a function ψ of your choice.

    These slopes train spiking networks, whose neurons are steps too.  The slope of ψ is large at the logits where a
    unit should learn.  The engine differentiates ψ, so ψ may be any function of a Tensor.  Needs the gradient, also
    at units whose sample is 0.  Biased.
    Neftci, Mostafa & Zenke (2019), arXiv 1901.09948.

    Parameters
    ----------
    psi : a function of a Tensor, or a name: "fast sigmoid", x / (1 + |x|) with the slope (1 + |x|)⁻²
        (Zenke & Ganguli 2018); "arctan", with the slope 1 / (1 + x²); "gaussian", the normal distribution
        function.

    Raises
    ------
    ValueError
        ``psi`` is neither a function nor one of these names.

    >>> import minigrad as mg
    >>> logits = mg.tensor([[1.0, -3.0]], requires_grad=True)
    >>> b = mg.bernoulli(logits, mg.estimators.Surrogate(), rng=mg.Generator(1))
    >>> mg.expected((b * 8).sum(axis=1)).backward()
    >>> logits.grad                                          # 8 / (1 + 1)², 8 / (1 + 3)²
    array([[2. , 0.5]])
    """

    needs = frozenset({"grad"})

    def __init__(self, psi: str | Callable[[Tensor], Any] = "fast sigmoid") -> None:
        if not callable(psi) and not (isinstance(psi, str) and psi in SURROGATES):
            raise ValueError(f"Surrogate: expected a function or one of {', '.join(SURROGATES)}, got {psi!r}")
        self.psi = psi

    def backward(self, node: BinaryNode) -> Array:
        psi = self.psi if callable(self.psi) else SURROGATES[self.psi]
        x = Tensor(node.logits, requires_grad=True)
        return node.grad * grad(psi(x).sum(), x).data

    def __repr__(self) -> str:
        return f"Surrogate({self.psi!r})"


class StraightThroughAnnealed(Estimator):
    """d cost / d logit = a σ'(a · logit) · d cost / d sample, with a slope a that grows during training.

    At first the sigmoid is flat and gradients reach all units.  Later it comes closer to the step, and only units
    with a logit near 0 still learn.  With a = 1 the rule is straight-through with the slope of the sigmoid.  Each
    backward pass adds ``growth`` to a, for the samples that are drawn after it.  a is the rule's memory.  Needs the
    gradient, also at units whose sample is 0.  Biased.
    Chung, Ahn & Bengio (2016), arXiv 1609.01704.

    Parameters
    ----------
    slope : the first a.
    growth : what each pass adds to a.
    most : the largest a.

    Raises
    ------
    ValueError
        Not 0 < slope <= most, or ``growth`` is negative.
    """

    needs = frozenset({"grad"})

    def __init__(self, slope: float = 1.0, growth: float = 1e-4, most: float = 5.0) -> None:
        if not (all(map(is_real, (slope, most, growth))) and 0 < slope <= most and growth >= 0):
            raise ValueError(f"StraightThroughAnnealed: expected 0 < slope <= most and growth >= 0, got slope={slope}, "
                             f"most={most}, growth={growth}")
        self.growth, self.most = growth, most
        self.state = {"slope": slope}

    def backward(self, node: BinaryNode) -> Array:
        slope = float(node.memory["slope"])
        node.propose(slope=min(slope + self.growth, self.most))
        p = ops.sigmoid(slope * node.logits)
        return node.grad * slope * p * (1 - p)

    def __repr__(self) -> str:
        slope = float(self.merged()["slope"])
        return f"StraightThroughAnnealed(slope={slope:g}, growth={self.growth}, most={self.most})"
