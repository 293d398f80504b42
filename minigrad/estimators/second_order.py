"""Rules that read the gradient at the sample as part of a quadratic: exact where the cost is one.

Straight-through takes the slope where the sample happens to be.  Half of the slopes at both ends,
½ (L'(0) + L'(1)), is the difference L(1) − L(0) of every quadratic, and weighting the slope at the
sample by ½ (1 − p) at 1 and ½ p at 0 has p (1 − p) times that as its mean.
"""

from minigrad import ops
from minigrad.arguments import is_real
from minigrad.rule import Estimator


class Darn(Estimator):
    """d cost / d logit = (h − centre) (h − p) · d cost / d h, with centre ½ or p.

    REINFORCE with a first-order expansion of the cost about the centre as baseline.  About ½ it has
    the mean p(1 − p) ½ (L'(0) + L'(1)): exact for costs that are quadratic in each unit by itself.
    About p the mean is p(1 − p) ((1 − p) L'(1) + p L'(0)).  Biased otherwise.  Needs the gradient,
    also at units whose sample is 0.  Gregor, Danihelka, Mnih, Blundell & Wierstra (2014).

    Parameters
    ----------
    centre : "half" or "mean".
    """

    needs = frozenset({"grad"})
    differentiable = True

    def __init__(self, centre="half"):
        if centre not in ("half", "mean"):
            raise ValueError(f"Darn: expected centre 'half' or 'mean', got {centre!r}")
        self.centre = centre

    def backward(self, node):
        score = node.value - node.probs
        distance = node.value - 0.5 if self.centre == "half" else score
        return node.grad * distance * score

    def __repr__(self):
        return f"Darn(centre={self.centre!r})"


class Zgr(Estimator):
    """d cost / d logit = ½ (p (1 − p) + (h − p)²) · d cost / d h.

    The mean of straight-through with the sigmoid's slope, right where the cost is linear, and of DARN
    about p: for one bit this is ``Darn`` about ½ in other words, and ``ReinMax`` at temperature 1.  Biased
    unless the cost is quadratic.  Needs the gradient, also at units whose sample is 0.
    Shekhovtsov (2023), "Cold analysis of Rao-Blackwellized straight-through Gumbel-softmax".
    """

    needs = frozenset({"grad"})
    differentiable = True

    def backward(self, node):
        p, score = node.probs, node.value - node.probs
        return node.grad * (p * (1 - p) + score * score) / 2


class ReinMax(Estimator):
    """d cost / d logit = (2 π (1 − π) − ½ p (1 − p)) · d cost / d h, with π = ½ (σ(logit / τ) + h).

    Heun's method for the difference that straight-through takes by Euler's.  At temperature τ = 1 it
    is ``Darn`` about ½; other temperatures trade bias for variance.  Biased unless the cost is
    quadratic and τ = 1.  Needs the gradient, also at units whose sample is 0.
    Liu, Dong, Liu, Yu & Gao (2023), "Bridging discrete and backpropagation: straight-through and beyond".

    Parameters
    ----------
    temperature : τ > 0.
    """

    needs = frozenset({"grad"})
    differentiable = True

    def __init__(self, temperature=1.0):
        if not is_real(temperature) or not temperature > 0:
            raise ValueError(f"ReinMax: expected a temperature above 0, got {temperature}")
        self.temperature = temperature

    def backward(self, node):
        p = node.probs
        middle = (ops.sigmoid(node.logits / self.temperature) + node.value) / 2
        return node.grad * (2 * middle * (1 - middle) - p * (1 - p) / 2)

    def __repr__(self):
        return f"ReinMax(temperature={self.temperature})"
