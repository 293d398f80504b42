"""Wrong rules that evaluate the cost several times."""

import numpy as np

from minigrad.testing.mutants.entering import mutant
from minigrad.testing.mutants.right import AgainstOthers, Antithetic, Flip, FlipEach, OfSeveral


@mutant("mean", "biased at logits", Antithetic())
class AntitheticCast(Antithetic):
    """b − b̃ loses its sign in a cast to boolean."""

    def combine(self, node, other, difference):
        return 0.5 * difference * (node.value - other).astype(bool)


@mutant("mean", "silent zero", Antithetic())
class AntitheticRounded(Antithetic):
    """max(θ, 1 − θ) is cast to an integer: 0."""

    def scale(self, node):
        return super().scale(node).astype(int).astype(node.value.dtype)


@mutant("mean", "biased at logits", Antithetic())
class AntitheticFresh(Antithetic):
    """b̃ from fresh noise instead of 1 − u, but with the weight that belongs to 1 − u."""

    def other(self, node):
        return self.sample(node.logits, node.rng.uniform(node.shape))


@mutant("mean", "the mean is 2 times the gradient", Antithetic())
class AntitheticWhole(Antithetic):
    """Without the ½: both orders of the pair are counted already."""

    def combine(self, node, other, difference):
        return 2 * super().combine(node, other, difference)


@mutant("mean", "biased at logits", Antithetic())
class AntitheticSlope(Antithetic):
    """v where max(θ, 1 − θ) belongs."""

    def scale(self, node):
        return node.probs * (1 - node.probs)


@mutant("mean", "the mean is 0.5 times the gradient", Flip())
class FlipUnweighted(Flip):
    """One unit of D is tried, and its estimate not multiplied by D."""

    def weight(self, node):
        return super().weight(node) / node.shape[1]


@mutant("mean", "biased at", Flip())
class FlipByOwnNoise(Flip):
    """The unit is chosen by the noise of the sample, which the costs depend on, not by fresh noise."""

    def unit(self, node):
        return (node.noise[:, :1] < 0.5).astype(int)


@mutant("batch_split", "depends on the batch split", Flip())
class FlipOneForAll(Flip):
    """One unit is drawn for the whole batch: the mean is right, rows are no longer independent."""

    def unit(self, node):
        return np.full((node.shape[0], 1), node.rng.integers(node.shape[1], (node.shape[0], 1)).sum() % node.shape[1])


@mutant("determinism", "not deterministic under a seed", Flip())
class GlobalNoise(Flip):
    """The unit is drawn by NumPy's global generator, which no seed of ours reaches."""

    def unit(self, node):
        return np.random.randint(node.shape[1], size=(node.shape[0], 1))      # noqa: NPY002


@mutant("mean", "biased at logits", FlipEach())
class FlipTogether(FlipEach):
    """All units are flipped together, and each uses the same difference of costs."""

    def flipped(self, node, i, bit):
        return np.full_like(node.value, bit)


@mutant("mean", "biased at logits", FlipEach())
class FlipSlopeless(FlipEach):
    """f(1) − f(0) is the derivative by θ; the slope v to the logit is missing."""

    def slope(self, node):
        return 1.0


@mutant("mean", "where a sample has 3 units", Flip())
class FlipOfTwo(Flip):
    """The estimate is multiplied by 2 in place of D."""

    def weight(self, node):
        return super().weight(node) * min(2, node.shape[1]) / node.shape[1]


@mutant("mean", "where a sample has 3 units", FlipEach())
class FirstTwoUnits(FlipEach):
    """Only the first two units are tried."""

    def slope(self, node):
        return super().slope(node) * (np.arange(node.shape[1]) < 2)


@mutant("mean", "biased at logits", Flip())
class FlipOneWay(Flip):
    """Only bits that are 0 are flipped, with the weight for both."""

    def weight(self, node):
        return super().weight(node) * (1 - node.value)


@mutant("mean", "biased at logits", Flip())
class FlipTwice(Flip):
    """Two units are drawn, each with weight D / 2; where both are the same, it is counted once."""

    def backward(self, node):
        rows, units = node.shape
        drawn = [np.arange(units) == node.rng.integers(units, (rows, 1)) for _ in range(2)]
        estimate = 0
        for chosen in drawn:
            on, off = (self.cost(node, np.where(chosen, bit, node.value)) for bit in (1.0, 0.0))
            estimate = np.where(chosen, self.weight(node) / 2 * (on - off), estimate)
        return estimate


@mutant("mean", "biased at logits", FlipEach())
class SlopeByDifferences(FlipEach):
    """θ(1 − θ) by a difference of σ with a step of 0.01."""

    def slope(self, node):
        above, below = (1 / (1 + np.exp(-node.logits - step)) for step in (0.01, -0.01))
        return (above - below) / 0.02


@mutant("mean", "biased at logits", FlipEach())
class NextUnitsSlope(FlipEach):
    """The slope of the unit before."""

    def slope(self, node):
        return np.roll(super().slope(node), 1, axis=1)


@mutant("mean", "biased at logits", Antithetic())
class OwnSideOnly(Antithetic):
    """θ in place of max(θ, 1 − θ)."""

    def scale(self, node):
        return node.probs


@mutant("mean", "biased at logits", AgainstOthers())
class MirroredBaseline(AgainstOthers):
    """The mirrored sample as if it were an independent one: a baseline that knows the sample."""

    def backward(self, node):
        other = self.sample(node.logits, 1 - node.noise)
        return (node.cost - node.cost_at(other)) * (node.value - node.probs)


@mutant("mean", "silent zero", AgainstOthers())
class SameNoiseAgain(AgainstOthers):
    """The other sample is drawn from the noise of the first, and so is the same."""

    def backward(self, node):
        other = self.sample(node.logits, node.noise)
        return (node.cost - node.cost_at(other)) * (node.value - node.probs)


@mutant("mean", "where a sample has one unit", AgainstOthers())
class ShiftedUnits(AgainstOthers):
    """The other sample is drawn from the noise of the first, one unit along."""

    def backward(self, node):
        other = self.sample(node.logits, np.roll(np.array(node.noise), 1, axis=1) if isinstance(node.noise, np.ndarray)
                            else node.noise[:, np.arange(node.shape[1]) - 1])
        return (node.cost - node.cost_at(other)) * (node.value - node.probs)


@mutant("mean", "the mean is 0.6667 times the gradient", OfSeveral())
class WrongCount(OfSeveral):
    """Divided by K, not by K − 1."""

    def combine(self, costs, bits, node):
        return (costs * bits).mean(axis=0)


@mutant("mean", "the mean is 0.6667 times the gradient", OfSeveral())
class SameOtherTwice(OfSeveral):
    """All other samples are drawn from the same noise."""

    def others(self, node):
        return 2 * [self.sample(node.logits, node.rng.uniform(node.shape))]


@mutant("mean", "biased at logits", OfSeveral())
class BestOfSeveral(OfSeveral):
    """Of the samples, the one of least cost is learned from."""

    def combine(self, costs, bits, node):
        return np.where(costs == costs.min(axis=0), costs * bits, 0).sum(axis=0)


@mutant("mean", "biased at logits", OfSeveral())
class OthersOfTheMean(OfSeveral):
    """The other samples are drawn with logits that are a little flatter."""

    def others(self, node):
        return [self.sample(0.9 * node.logits, node.rng.uniform(node.shape)) for _ in range(self.samples - 1)]
