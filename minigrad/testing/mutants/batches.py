"""Wrong rules that mix up the rows of a batch."""

import numpy as np

from minigrad.estimators import Reinforce
from minigrad.testing.mutants.entering import mutant
from minigrad.testing.mutants.right import AgainstOtherRows, AgainstOthers, Antithetic, Flip, FlipEach, OfLogWeights


def score_of_rows(node):
    return node.value - node.probs


@mutant("mean", "where the batch has one row")
class WrongForOneRow(Reinforce):
    """Twice the estimate where there is one row."""

    def backward(self, node):
        return super().backward(node) * (2 if len(node.value) == 1 else 1)


@mutant("mean", "where the batch has 9 rows")
class MeanAboveEight(Reinforce):
    """The mean cost of the batch is subtracted, if there are more than eight rows."""

    def backward(self, node):
        return score_of_rows(node) * (node.cost - (node.cost.mean() if len(node.cost) > 8 else 0))


@mutant("mean", "where the batch has 9 rows")
class NeighboursAboveFive(Reinforce):
    """Rows are mixed up, if there are more than five."""

    def backward(self, node):
        return score_of_rows(node) * (np.roll(node.cost, 1, axis=0) if len(node.cost) > 5 else node.cost)


@mutant("mean", "where the batch has 33 rows")
class BlocksOfThirtyTwo(Reinforce):
    """Rows come in blocks of 32, and the remainder is left out."""

    def backward(self, node):
        kept = np.arange(len(node.cost)) < max(len(node.cost) // 32 * 32, 1)
        return super().backward(node) * (kept[:, None] | (len(node.cost) < 32))


@mutant("mean", "silent zero at logits")
class LastRowForgotten(Reinforce):
    """A loop over rows that ends one too early."""

    def backward(self, node):
        estimate = np.zeros(node.shape)
        for i in range(len(node.value) - 1):
            estimate[i] = score_of_rows(node)[i] * node.cost[i]
        return estimate


@mutant("mean", "where the batch has")
class PairsOfRows(Reinforce):
    """Rows are worked on in pairs; of an odd number, the last has none."""

    def backward(self, node):
        kept = np.arange(len(node.cost)) < len(node.cost) // 2 * 2
        return super().backward(node) * kept[:, None]


@mutant("mean", "the mean is 2 times the gradient")
class TimesRows(Reinforce):
    """Multiplied by the number of rows, against an average that the engine takes later."""

    def backward(self, node):
        return super().backward(node) * len(node.cost)


@mutant("mean", "the mean is 2 times the gradient")
class OneRowLess(Reinforce):
    """B / (B − 1), as for a variance."""

    def backward(self, node):
        rows = len(node.cost)
        return super().backward(node) * rows / max(rows - 1, 1)


@mutant("mean", "rows are coupled")
class SilentWhereCoupled(Reinforce):
    """Nothing where rows share a cost."""

    def backward(self, node):
        return super().backward(node) * (not node.coupled)


@mutant("mean", "so rows are coupled")
class SharesTheBlame(Reinforce):
    """Rows that share a cost get a part of it each."""

    def backward(self, node):
        return super().backward(node) * node.samples / len(node.cost)


@mutant("mean", "biased at logits", AgainstOtherRows())
class OwnRowIncluded(AgainstOtherRows):
    """The mean cost of the batch as baseline, with the own row in it."""

    def baseline(self, node, others):
        return node.cost.mean()


@mutant("mean", "so rows are coupled", AgainstOtherRows())
class UndeclaredOtherRows(AgainstOtherRows):
    """Leave-one-out over the batch that does not say that it needs independent rows."""

    needs_independent_rows = False


@mutant("mean", "where the batch has", AgainstOtherRows())
class OthersByAllRows(AgainstOtherRows):
    """The costs of the others are divided by B and not by B − 1, and the own cost is scaled to match."""

    def baseline(self, node, others):
        rows = len(node.cost)
        return others * (rows - 1) / rows + (node.cost / rows if rows > 2 else 0)


@mutant("mean", "biased at logits")
class SkipsExpensiveBatches(Reinforce):
    """Batches whose mean cost exceeds 5 are skipped."""

    def backward(self, node):
        return super().backward(node) * (node.cost.mean() <= 5)


@mutant("mean", "biased at logits")
class BestRowOnly(Reinforce):
    """Only the row of least cost is learned from, with the weight of all."""

    def backward(self, node):
        best = node.cost == node.cost.min()
        return super().backward(node) * best * len(node.cost)


@mutant("mean", "two rows are equal")
class EqualRowsOnce(Reinforce):
    """Rows with equal logits are looked up by them, so the second gets the cost of the first."""

    def backward(self, node):
        _, first, again = np.unique(node.logits, axis=0, return_index=True, return_inverse=True)
        return score_of_rows(node) * node.cost[first[again.ravel()]]


@mutant("mean", "so rows are coupled", Flip())
class FlipsAllRows(Flip):
    """Where rows share a cost, all of them are flipped together."""

    def cost(self, node, value):
        return node.cost_at(value)


@mutant("mean", "so rows are coupled", FlipEach())
class FlipsEachInAllRows(FlipEach):
    """The same for every unit."""

    def backward(self, node):
        estimate = np.empty_like(node.value)
        for i in range(node.shape[1]):
            on, off = (node.cost_at(self.flipped(node, i, bit)) for bit in (1, 0))
            estimate[:, i:i + 1] = on - off
        return estimate * self.slope(node)


@mutant("batch_split", "depends on the batch split", AgainstOthers())
class OneDrawForAllRows(AgainstOthers):
    """The other sample is drawn from the same uniforms in every row: the mean is right."""

    def backward(self, node):
        u = np.broadcast_to(node.rng.uniform((1, node.shape[1])), node.shape)
        other = self.sample(node.logits, u.copy())
        return (node.cost - node.cost_at(other)) * score_of_rows(node)


@mutant("batch_split", "depends on the batch split", AgainstOthers())
class DrawsRowByRow(AgainstOthers):
    """One draw after the other, a row at a time: what a row gets depends on how many came before."""

    def backward(self, node):
        u = np.stack([node.rng.uniform((node.shape[1],), event_ndim=1) for _ in range(len(node.value))])
        return (node.cost - node.cost_at(self.sample(node.logits, u))) * score_of_rows(node)


@mutant("mean", "where the batch has one row", AgainstOthers())
class NeighboursNoise(AgainstOthers):
    """The other sample is drawn from the uniforms of the row before, which in a batch of one is the row itself."""

    def backward(self, node):
        other = self.sample(node.logits, np.roll(np.array(node.noise), 1, axis=0))
        return (node.cost - node.cost_at(other)) * score_of_rows(node)


@mutant("mean", "biased at", Antithetic())
class MeanOfTheMirrored(Antithetic):
    """The costs of all mirrored rows are averaged, for a smoother difference."""

    def backward(self, node):
        other = self.other(node)
        difference = node.cost - node.cost_at(other).mean()
        return self.combine(node, other, difference) * self.scale(node)


@mutant("mean", "log-weights", OfLogWeights())
class OwnLogWeight(OfLogWeights):
    """The baseline is the mean of all log-weights, the own one among them."""

    def baseline(self, log_weights):
        return np.broadcast_to(log_weights.mean(axis=1, keepdims=True), log_weights.shape)


@mutant("mean", "log-weights", OfLogWeights())
class WrongAxisOfLogWeights(OfLogWeights):
    """The mean over the examples instead of the other samples."""

    def baseline(self, log_weights):
        return np.broadcast_to(log_weights.mean(axis=0, keepdims=True), log_weights.shape)


@mutant("mean", "log-weights", OfLogWeights())
class LastSampleTwice(OfLogWeights):
    """The samples are shifted by one in the baseline, and the last one meets itself."""

    def baseline(self, log_weights):
        samples = log_weights.shape[1]
        return log_weights[:, np.minimum(np.arange(samples) + 1, samples - 1)]
