"""Concrete rules: the step 1[logit + L > 0] becomes the smooth σ((logit + L) / τ).

Behind every sample is logistic noise: with the uniform u of the node, L = log((1 − u)/u), and
b = 1[u < p] = 1[logit + L > 0].  Dividing by a temperature τ before a sigmoid makes of the step a ramp,
whose slope can be followed; as τ → 0 the ramp becomes the step, and the slope rarer and steeper.
(For two classes, Gumbel noise is logistic noise.)
"""

import numpy as np

from minigrad import ops
from minigrad.arguments import is_real, is_whole
from minigrad.rule import Estimator


class Concrete(Estimator):
    """What the three rules share: a temperature, and the slope of the ramp at a noisy logit."""

    needs = frozenset({"grad"})

    def __init__(self, temperature=0.5):
        if not is_real(temperature) or not temperature > 0:
            raise ValueError(f"{type(self).__name__}: expected a temperature > 0, got {temperature}")
        self.temperature = temperature

    def slope(self, z):
        """d σ(z/τ) / dz."""
        y = ops.sigmoid(z / self.temperature)
        return y * (1 - y) / self.temperature

    def __repr__(self):
        return f"{type(self).__name__}(temperature={self.temperature})"


class GumbelSigmoid(Concrete):
    """d cost / d logit = y (1 − y) / τ · d cost / dy, where the sample itself is y = σ((logit + L) / τ).

    The one rule whose forward pass is not binary: what lies below sees numbers in (0, 1), and the
    gradient is exact for this relaxed model.  For the binary one it is biased, the less the lower the
    temperature and the more it varies; replays ask for the relaxed cost as well.  Needs the gradient.
    Maddison, Mnih & Teh (2017), arXiv 1611.00712; Jang, Gu & Poole (2017), arXiv 1611.01144.

    Parameters
    ----------
    temperature : τ.

    >>> import minigrad as mg
    >>> logits = mg.tensor([[0.0, 0.0, 0.0]], requires_grad=True)
    >>> y = mg.bernoulli(logits, mg.estimators.GumbelSigmoid(), rng=mg.Generator(1))
    >>> bool(((0 < y.data) & (y.data < 1)).all())
    True
    """

    differentiable = True

    def sample(self, logits, u):
        return ops.sigmoid((logits + logistic(u)) / self.temperature)

    def backward(self, node):
        return node.grad * self.slope(node.logits + logistic(node.noise))


class GumbelStraightThrough(Concrete):
    """d cost / d logit = σ'((logit + L) / τ) / τ · d cost / d sample: forward the step, backward the ramp.

    The sample is binary, and its noise the same as that of the ramp whose slope is used.  Needs the
    gradient, also at units whose sample is 0.  Biased; where the gradient does not depend on the sample
    the mean tends to the truth as τ → 0, and the variance grows as 1/τ.
    Jang, Gu & Poole (2017), arXiv 1611.01144.

    Parameters
    ----------
    temperature : τ.
    """

    def backward(self, node):
        return node.grad * self.slope(node.logits + logistic(node.noise))


class GumbelRao(Concrete):
    """d cost / d logit = E[σ'((logit + L) / τ) / τ | b] · d cost / d sample: the slope averaged given the sample.

    The mean of GumbelStraightThrough (so it is as biased) with less variance: of the noise L only the
    sample b mattered to the cost, so the rest of it may be averaged away (Rao–Blackwell).  It is drawn
    afresh several times given b, in one array and without an evaluation; given b, logit + L is

        ±(softplus(± logit + log(1 − v)) − log v),    v uniform, + for b = 1, − for b = 0.

    As τ → 0 the average tends to (b − ½)(b − p), so the rule tends to DARN(½).  Needs the gradient, also
    at units whose sample is 0.
    Paulus, Maddison & Krause (2021), arXiv 2010.04838.

    Parameters
    ----------
    temperature : τ.
    samples : how often the noise is drawn.
    """

    def __init__(self, temperature=0.5, samples=16):
        super().__init__(temperature)
        if not is_whole(samples, 1):
            raise ValueError(f"GumbelRao: expected samples >= 1, got {samples}")
        self.samples = samples

    def backward(self, node):
        rows, units = node.shape
        v = node.rng.uniform((rows, self.samples, units), event_ndim=2)
        toward = np.where(node.value == 1, node.logits, -node.logits)[:, None]
        distance = ops.softplus(toward + np.log1p(-v)) - np.log(v)      # of logit + L from 0
        return node.grad * self.slope(distance).mean(axis=1)

    def __repr__(self):
        return f"GumbelRao(temperature={self.temperature}, samples={self.samples})"


def logistic(u):
    """Logistic noise L = log((1 − u)/u), so that u < σ(logit) where logit + L > 0."""
    return np.log1p(-u) - np.log(u)
