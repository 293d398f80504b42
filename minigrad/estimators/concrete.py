"""Concrete rules: the step 1[logit + L > 0] is replaced by the smooth σ((logit + L) / τ).

Every sample comes from logistic noise: with the uniform u of the node, L = log((1 − u)/u), and
b = 1[u < p] = 1[logit + L > 0].  The sigmoid of (logit + L) / τ is a smooth version of this step, and its slope can
be used.  As the temperature τ goes to 0, the sigmoid becomes the step: its slope is then large near 0 and almost 0
elsewhere.  (For two classes, Gumbel noise is logistic noise.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minigrad import ops
from minigrad.arguments import is_real, is_whole
from minigrad.rule import Estimator

if TYPE_CHECKING:
    from minigrad.aliases import Array, TensorLike
    from minigrad.stochastic import BinaryNode


class Concrete(Estimator):
    """What the three rules share: a temperature, and the slope of the smooth step."""

    needs = frozenset({"grad"})

    def __init__(self, temperature: float = 0.5) -> None:
        if not is_real(temperature) or not temperature > 0:
            raise ValueError(f"{type(self).__name__}: expected a temperature > 0, got {temperature}")
        self.temperature = temperature

    def slope(self, z: TensorLike) -> Array:
        """d σ(z/τ) / dz, at a logit z with noise."""
        y = ops.sigmoid(z / self.temperature)
        return y * (1 - y) / self.temperature

    def __repr__(self) -> str:
        return f"{type(self).__name__}(temperature={self.temperature})"


class GumbelSigmoid(Concrete):
    """d cost / d logit = y (1 − y) / τ · d cost / dy, where the sample itself is y = σ((logit + L) / τ).

    This is the one rule whose samples are not binary: the layers below get numbers in (0, 1).  The gradient is
    exact for this relaxed model.  For the binary model it is biased.  A lower temperature gives less bias and
    more variance.  The cost in a replay is also that of the relaxed model.  Needs the gradient.
    Maddison, Mnih & Teh (2017), arXiv 1611.00712; Jang, Gu & Poole (2017), arXiv 1611.01144.

    Parameters
    ----------
    temperature : τ.

    Raises
    ------
    ValueError
        ``temperature`` is not above 0.

    >>> import minigrad as mg
    >>> logits = mg.tensor([[0.0, 0.0, 0.0]], requires_grad=True)
    >>> y = mg.bernoulli(logits, mg.estimators.GumbelSigmoid(), rng=mg.Generator(1))
    >>> bool(((0 < y.data) & (y.data < 1)).all())
    True
    """

    differentiable = True

    def sample(self, logits: Array, u: Array) -> Array:
        return ops.sigmoid((logits + logistic(u)) / self.temperature)

    def backward(self, node: BinaryNode) -> Array:
        return node.grad * self.slope(node.logits + logistic(node.noise))


class GumbelStraightThrough(Concrete):
    """d cost / d logit = σ'((logit + L) / τ) / τ · d cost / d sample.

    The forward pass takes the step, the backward pass the slope of the smooth step, with the same noise.  Needs
    the gradient, also at units whose sample is 0.  Biased.  If the gradient does not depend on the sample, the
    bias goes to 0 as τ → 0, while the variance grows as 1/τ.
    Jang, Gu & Poole (2017), arXiv 1611.01144.

    Parameters
    ----------
    temperature : τ.

    Raises
    ------
    ValueError
        ``temperature`` is not above 0.
    """

    def backward(self, node: BinaryNode) -> Array:
        return node.grad * self.slope(node.logits + logistic(node.noise))


class GumbelRao(Concrete):
    """d cost / d logit = E[σ'((logit + L) / τ) / τ | b] · d cost / d sample: the mean slope, given the sample.

    It has the mean of GumbelStraightThrough, so the same bias, and less variance.  The cost depends on the noise
    L through the sample b alone, so the slope may be averaged over L given b (Rao–Blackwell).  The rule draws
    this noise several times and takes the mean of the slopes, without another evaluation.  Given b, logit + L is

        ±(softplus(± logit + log(1 − v)) − log v),    v uniform, + for b = 1, − for b = 0.

    As τ → 0 the mean slope tends to (b − ½)(b − p), so the rule tends to ``Darn`` about ½.  Needs the gradient,
    also at units whose sample is 0.
    Paulus, Maddison & Krause (2021), arXiv 2010.04838.

    Parameters
    ----------
    temperature : τ.
    samples : how many times the noise is drawn.

    Raises
    ------
    ValueError
        ``temperature`` is not above 0, or ``samples`` is below 1.
    """

    def __init__(self, temperature: float = 0.5, samples: int = 16) -> None:
        super().__init__(temperature)
        if not is_whole(samples, 1):
            raise ValueError(f"GumbelRao: expected samples >= 1, got {samples}")
        self.samples = samples

    def backward(self, node: BinaryNode) -> Array:
        rows, units = node.shape
        v = node.rng.uniform((rows, self.samples, units), event_ndim=2)
        toward = np.where(node.value == 1, node.logits, -node.logits)[:, None]
        distance = ops.softplus(toward + np.log1p(-v)) - np.log(v)      # |logit + L|
        return node.grad * self.slope(distance).mean(axis=1)

    def __repr__(self) -> str:
        return f"GumbelRao(temperature={self.temperature}, samples={self.samples})"


def logistic(u: Array) -> Array:
    """Logistic noise L = log((1 − u)/u): then u < σ(logit) exactly where logit + L > 0."""
    return np.log1p(-u) - np.log(u)
