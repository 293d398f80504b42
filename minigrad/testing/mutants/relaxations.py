"""Wrong rules that relax the sample."""

import numpy as np

from minigrad import ops
from minigrad.estimators import Rebar
from minigrad.testing.mutants.entering import mutant
from minigrad.testing.mutants.right import MeanField, Relaxed


@mutant("mean", "biased at", Relaxed())
class WrongBranch(Relaxed):
    """z̃ is drawn given that the sample was the other one."""

    def branch(self, node):
        return node.value == 0


@mutant("mean", "biased at", Relaxed())
class LeakingPath(Relaxed):
    """The gradient of the free relaxed sample reaches the logits twice."""

    def pathwise(self, free, conditional):
        return 2 * free - conditional


@mutant("mean", "biased at", Relaxed())
class ConditionalHeld(Relaxed):
    """z̃ is treated as a constant, though it depends on the logit."""

    def pathwise(self, free, conditional):
        return free


@mutant("variance", "variance off by a factor", Relaxed())
class OffCentre(Relaxed):
    """Relaxed samples centred at σ(logit) instead of the logit: the mean is right all the same."""

    def relax(self, node, z, slope):
        shift = node.probs - node.logits
        return super().relax(node, z + shift, slope + node.probs * (1 - node.probs) - 1)


@mutant("mean", "biased at", MeanField())
class MeanFieldUncorrected(MeanField):
    """The linear term is subtracted from the cost, and its mean f'(θ) v not added back."""

    def correction(self, node, slope):
        return 0.0


@mutant("mean", "not where a sample has one unit", MeanField())
class MeanOverUnits(MeanField):
    """⟨·,·⟩ is a mean over the units in place of a sum."""

    def backward(self, node):
        cost, slope = node.cost_and_grad_at(node.probs)
        score = node.value - node.probs
        residual = node.cost - cost - (slope * score).mean(axis=1, keepdims=True)
        return residual * score + self.correction(node, slope)


@mutant("mean", "biased at", MeanField())
class SlopeAtTheSample(MeanField):
    """The line is taken at the sample, and its slope so knows the sample."""

    def backward(self, node):
        cost, slope = node.cost_and_grad_at(node.value)
        score = node.value - node.probs
        residual = node.cost - cost - (slope * score).sum(axis=1, keepdims=True)
        return residual * score + self.correction(node, slope)


@mutant("mean", "a node is below, whose rule is smooth, with a wrong slope", Rebar())
class MindsWhatIsBelow(Rebar):
    """REBAR that claims to be right whatever gradients it gets from below."""

    needs_unbiased_below = False


class OneRelaxation(Rebar):
    """REBAR, in parts that can be wrong."""

    def control(self, node, temperature):
        u, score = self.noise(node), node.value - node.probs
        y = ops.sigmoid((node.logits + np.log1p(-u) - np.log(u)) / temperature)
        cost, slope = node.cost_and_grad_at(y)
        return score * cost - slope * y * (1 - y) / self.width(temperature) * self.path(node, score, u)

    def noise(self, node):
        return node.noise

    def width(self, temperature):
        return temperature

    def path(self, node, score, u):
        return score / (node.value - u)


@mutant("mean", "biased at", Rebar())
class PathForgotten(OneRelaxation):
    """Without the factor (b − θ) / (b − u)."""

    def path(self, node, score, u):
        return 1.0


@mutant("mean", "biased at", Rebar())
class NoiseClipped(OneRelaxation):
    """u is kept within [0.05, 0.95]."""

    def noise(self, node):
        return np.clip(node.noise, 0.05, 0.95)


@mutant("mean", "biased at", Rebar())
class TemperatureForgotten(OneRelaxation):
    """The derivative of σ(z / τ) without the 1 / τ."""

    def width(self, temperature):
        return 1.0
