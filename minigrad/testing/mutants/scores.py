"""Wrong scores and wrong costs."""

import numpy as np

from minigrad.estimators import Reinforce
from minigrad.testing.mutants.entering import mutant


@mutant("mean", "biased at logits")
class Uncentred(Reinforce):
    """b instead of b − θ: the mean gains θ E[f]."""

    def backward(self, node):
        return node.value * node.cost


@mutant("mean", "the mean is -1 times the gradient")
class Descending(Reinforce):
    """The score with its sign reversed."""

    def backward(self, node):
        return (node.probs - node.value) * node.cost


@mutant("mean", "biased at logits")
class AlwaysOn(Reinforce):
    """The score of b = 1, whatever the sample was."""

    def backward(self, node):
        return (1 - node.probs) * node.cost


@mutant("mean", "biased at logits")
class SlopeTwice(Reinforce):
    """v (b − θ) f: the slope of the sigmoid is in the score already."""

    def backward(self, node):
        return node.probs * (1 - node.probs) * (node.value - node.probs) * node.cost


@mutant("mean", "biased at logits")
class OneSignFlipped(Reinforce):
    """The sign of one coordinate is reversed, and another makes up for it: their sum is right."""

    def backward(self, node):
        estimate = super().backward(node)
        estimate[:, 1] += 2 * estimate[:, 0]
        estimate[:, 0] *= -1
        return estimate


@mutant("mean", "silent zero")
class SilentZero(Reinforce):
    """No gradient through a sample, and nobody is told."""

    def backward(self, node):
        return np.zeros_like(node.value)


@mutant("mean", "silent zero at logits")
class FirstUnitFrozen(Reinforce):
    """One unit never gets a gradient."""

    def backward(self, node):
        return super().backward(node) * (np.arange(node.shape[1]) > 0)


@mutant("mean", "biased at logits")
class Clipped(Reinforce):
    """Estimates clipped at ±½, for stability."""

    def backward(self, node):
        return np.clip(super().backward(node), -0.5, 0.5)


@mutant("mean", "biased at logits")
class WrongNeighbour(Reinforce):
    """Each row is blamed for the cost of the row before it."""

    def backward(self, node):
        return (node.value - node.probs) * np.roll(node.cost, 1, axis=0)


@mutant("mean", "biased at logits")
class BatchMeanCost(Reinforce):
    """Every row gets the mean cost of the batch, and is averaged over the batch once more."""

    def backward(self, node):
        return (node.value - node.probs) * node.cost.mean()


@mutant("batch_split", "depends on the batch split")
class BatchSumCost(Reinforce):
    """Every row gets the summed cost of the batch: the mean is right, the variance is not."""

    def backward(self, node):
        return (node.value - node.probs) * node.cost.sum()


@mutant("batch_split", "depends on the batch split")
class Standardised(Reinforce):
    """Costs less their mean over the batch, by their standard deviation."""

    def backward(self, node):
        advantage = (node.cost - node.cost.mean()) / (node.cost.std() + 1e-6)
        return (node.value - node.probs) * advantage


@mutant("mean", "only where costs are negative")
class AbsoluteCost(Reinforce):
    """abs(f): right for as long as no cost is negative."""

    def backward(self, node):
        return (node.value - node.probs) * np.abs(node.cost)


@mutant("mean", "where costs are negative")
class PositivePart(Reinforce):
    """max(f, 0): a reward that is never punished."""

    def backward(self, node):
        return (node.value - node.probs) * np.maximum(node.cost, 0)


@mutant("mean", "where costs are of scale 100")
class CostsClipped(Reinforce):
    """Costs clipped at ±10, "against outliers"."""

    def backward(self, node):
        return (node.value - node.probs) * np.clip(node.cost, -10, 10)


@mutant("mean", "where costs are of scale 100")
class ClippedFar(Reinforce):
    """Estimates clipped at ±10."""

    def backward(self, node):
        return np.clip(super().backward(node), -10, 10)


@mutant("mean", "biased at logits")
class CostsSquashed(Reinforce):
    """5 tanh(f / 5): nearly f for small costs."""

    def backward(self, node):
        return (node.value - node.probs) * 5 * np.tanh(node.cost / 5)


@mutant("mean", "where costs have an offset of 1e+09")
class OverflowGuard(Reinforce):
    """Costs beyond a million are taken for an overflow, and left out."""

    def backward(self, node):
        return (node.value - node.probs) * np.where(np.abs(node.cost) > 1e6, 0, node.cost)


@mutant("mean", "biased at logits")
class SmallOnesDropped(Reinforce):
    """Estimates below 1e-3 are set to 0, to save work."""

    def backward(self, node):
        estimate = super().backward(node)
        return np.where(np.abs(estimate) < 1e-3, 0, estimate)


@mutant("mean", "where logits are as large as 6")
class SilentBeyondFour(Reinforce):
    """No gradient where abs(logit) > 4: these units "are decided"."""

    def backward(self, node):
        live = (np.abs(node.logits) <= 4) | (np.abs(node.logits) > 39)
        return super().backward(node) * live


@mutant("mean", "biased at logits")
class ProbsClamped(Reinforce):
    """θ is kept within [0.05, 0.95]."""

    def backward(self, node):
        return (node.value - np.clip(node.probs, 0.05, 0.95)) * node.cost


@mutant("mean", "where logits are as large as 6")
class ClampedButAtTheEnds(Reinforce):
    """θ is kept within [0.05, 0.95], unless it is 0 or 1."""

    def backward(self, node):
        p = node.probs
        return (node.value - np.where((p < 1e-9) | (p > 1 - 1e-9), p, np.clip(p, 0.05, 0.95))) * node.cost


@mutant("mean", "biased at logits")
class ProbsRounded(Reinforce):
    """θ is rounded to two decimals."""

    def backward(self, node):
        return (node.value - node.probs.round(2)) * node.cost


@mutant("mean", "biased at logits")
class ProbsInSinglePrecision(Reinforce):
    """θ in float32, in a float64 graph."""

    def backward(self, node):
        return (node.value - node.probs.astype(np.float32).astype(float)) * node.cost


@mutant("mean", "biased at logits")
class Tempered(Reinforce):
    """θ from logits that are divided by 1.01."""

    def backward(self, node):
        return (node.value - 1 / (1 + np.exp(-node.logits / 1.01))) * node.cost


@mutant("mean", "biased at logits")
class EntropyBonus(Reinforce):
    """The gradient of 0.01 times the entropy is added, and nobody asked for it."""

    def backward(self, node):
        return super().backward(node) + 0.01 * node.logits * node.probs * (1 - node.probs)


@mutant("mean", "biased at logits")
class Decayed(Reinforce):
    """Logits decay by 1e-3, unless they are saturated."""

    def backward(self, node):
        return super().backward(node) + 1e-3 * node.logits * (np.abs(node.logits) < 30)


@mutant("mean", "biased at logits")
class UnitLength(Reinforce):
    """Estimates of length 1 in each row."""

    def backward(self, node):
        estimate = super().backward(node)
        return estimate / (np.linalg.norm(estimate, axis=1, keepdims=True) + 1e-9)


@mutant("mean", "two rows are equal and a logit is exactly 0")
class SilentAtZero(Reinforce):
    """By the sign of the logit, so there is no gradient at exactly 0."""

    def backward(self, node):
        return super().backward(node) * np.abs(np.sign(node.logits))


@mutant("mean", "not where a sample has one unit")
class PerUnit(Reinforce):
    """Divided by the number of units."""

    def backward(self, node):
        return super().backward(node) / node.shape[1]


@mutant("mean", "where a sample has 3 units")
class OddCount(Reinforce):
    """Halves are counted with //, which loses one of an odd number of units."""

    def backward(self, node):
        half = max(node.shape[1] // 2, 0.5)
        return super().backward(node) * (2 * half) / node.shape[1]


@mutant("mean", "a sample has one unit")
class NotForOneUnit(Reinforce):
    """An average over the other units, of which there are none: 0."""

    def backward(self, node):
        others = node.shape[1] - 1
        return super().backward(node) * others / max(others, 1)


@mutant("mean", "silent zero at logits")
class LastUnitForgotten(Reinforce):
    """A loop over units that ends one too early."""

    def backward(self, node):
        estimate = np.zeros(node.shape)
        for i in range(node.shape[1] - 1):
            estimate[:, i] = (node.value[:, i] - node.probs[:, i]) * node.cost[:, 0]
        return estimate


@mutant("mean", "where a sample has 5 units")
class FourUnitsAtMost(Reinforce):
    """Units come in blocks of four, and the remainder is left out."""

    def backward(self, node):
        kept = np.arange(node.shape[1]) < max(node.shape[1] // 4 * 4, 1)
        return super().backward(node) * (kept | (node.shape[1] < 4))


@mutant("mean", "not where the node has a context")
class NeedsContext(Reinforce):
    """Costs are halved where there is no context."""

    def backward(self, node):
        return super().backward(node) * (0.5 if node.context is None else 1.0)


@mutant("mean", "where the node has a context")
class WeighedByContext(Reinforce):
    """The context, meant for a baseline, multiplies the cost."""

    def backward(self, node):
        weight = 1.0 if node.context is None else 1 + 0.1 * node.context[:, :1]
        return super().backward(node) * weight


@mutant("mean", "a rule above runs this one again")
class WrongWhenNested(Reinforce):
    """Estimates within another rule's replay have the wrong sign."""

    def backward(self, node):
        return super().backward(node) * (-1 if node._evaluation.path else 1)


@mutant("mean", "where costs have an offset of 1e+09")
class SinglePrecisionOfLargeCosts(Reinforce):
    """Costs beyond a million are stored in float32."""

    def backward(self, node):
        small = np.abs(node.cost) < 1e6
        return (node.value - node.probs) * np.where(small, node.cost, node.cost.astype(np.float32))


@mutant("variance", "variance off by a factor")
class NoiseAdded(Reinforce):
    """A bit of noise for each row, "for exploration": the mean is right."""

    def backward(self, node):
        return super().backward(node) + np.where(node.rng.uniform((node.shape[0], 1)) < 0.5, 0.2, -0.2)
