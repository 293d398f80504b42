"""Wrong rules that are right until two things are exactly equal: a cost and 0, two logits, two contexts."""

import numpy as np

from minigrad.estimators import Reinforce
from minigrad.testing.mutants.entering import mutant
from minigrad.testing.mutants.right import AgainstSameContext, FlipEach, Remembering


@mutant("mean", "some costs are exactly 0", Remembering())
class ZeroCostIsPadding(Remembering):
    """Rows whose cost is exactly 0 are taken for padding, and left out."""

    def backward(self, node):
        return super().backward(node) * (node.cost != 0)


@mutant("mean", "some costs are exactly 0")
class ZeroCostIsMissing(Reinforce):
    """A cost of exactly 0 is taken for a missing one, and the mean of the batch stands in."""

    def backward(self, node):
        return np.where(node.cost == 0, node.cost.mean(), node.cost) * (node.value - node.probs)


@mutant("mean", "some costs are exactly 0", Remembering())
class NothingToLearn(Remembering):
    """A batch whose costs are all 0 is skipped, and so is its baseline."""

    def backward(self, node):
        return super().backward(node) * node.cost.any()


def flipped_together(node, i, bit, together):
    """The sample with unit i, and those that are ``together`` with it, at a value."""
    chosen = (np.arange(node.shape[1]) == i) | (together[:, i:i + 1] & together)
    return np.where(chosen, bit, node.value)


@mutant("mean", "all logits are 0", FlipEach())
class MostUncertainTogether(FlipEach):
    """Flips the unit whose θ(1 − θ) is largest.  If several units have this value, it flips all of them together."""

    def flipped(self, node, i, bit):
        v = self.slope(node)
        return flipped_together(node, i, bit, v == v.max(axis=1, keepdims=True))


@mutant("mean", "all logits are 0", FlipEach())
class UndecidedTogether(FlipEach):
    """All units whose θ is exactly ½ are flipped together."""

    def flipped(self, node, i, bit):
        return flipped_together(node, i, bit, node.probs == 0.5)


@mutant("mean", "logits of a sample are equal, up to their sign", FlipEach())
class OppositeTogether(FlipEach):
    """A unit is flipped together with those whose logit is the opposite of its own."""

    def flipped(self, node, i, bit):
        opposite = (node.logits == -node.logits[:, i:i + 1]) & (node.logits != 0) & (np.abs(node.logits) < 30)
        return np.where(opposite | (np.arange(node.shape[1]) == i), bit, node.value)


def among_equal_logits(estimate, node, combine):
    """The estimates of units of a sample that have equal logits, combined; certain units stay as they are."""
    found = estimate.copy()
    for row, logits in enumerate(node.logits):
        for logit in np.unique(logits[np.abs(logits) < 30]):
            found[row, logits == logit] = combine(estimate[row, logits == logit])
    return found


@mutant("mean", "all logits are 0")
class EqualLogitsAveraged(Reinforce):
    """Units of a sample with equal logits share the mean of their estimates."""

    def backward(self, node):
        return among_equal_logits(super().backward(node), node, np.mean)


@mutant("mean", "all logits are 0")
class EqualLogitsOnce(Reinforce):
    """Estimates are looked up by the logit, so units with equal logits get that of the first."""

    def backward(self, node):
        return among_equal_logits(super().backward(node), node, lambda estimates: estimates[0])


@mutant("mean", "logits of a sample are equal, up to their sign")
class SortedBySize(Reinforce):
    """A mapping from abs(logit) to the unit, of which equal ones overwrite each other, unless they are 0."""

    def backward(self, node):
        score, size = node.value - node.probs, np.abs(node.logits)
        equal = (size[:, :, None] == size[:, None, :]) & ((size > 0) & (size < 30))[:, :, None]
        last = np.where(equal, np.arange(node.shape[1]), -1).max(axis=2)
        last = np.where(last < 0, np.arange(node.shape[1]), last)
        return np.take_along_axis(score, last, axis=1) * node.cost


@mutant("mean", "rows share a context", AgainstSameContext())
class OwnRowInContext(AgainstSameContext):
    """The mean cost of the rows with the same context as baseline, with the own row in it."""

    def baseline(self, node, same):
        return same @ node.cost / same.sum(axis=1, keepdims=True) * (same.sum(axis=1, keepdims=True) > 1)


@mutant("mean", "rows share a context", AgainstSameContext())
class FirstOfContext(AgainstSameContext):
    """The cost of the first row with the same context as baseline, which for this row is its own cost."""

    def baseline(self, node, same):
        return node.cost[same.argmax(axis=1)] * (same.sum(axis=1, keepdims=True) > 1)


@mutant("mean", "rows share a context", AgainstSameContext())
class UndeclaredContexts(AgainstSameContext):
    """The other rows with the same context as baseline, in a rule that does not say that it needs independent rows."""

    needs_independent_rows = False
