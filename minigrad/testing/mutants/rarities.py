"""Wrong rules that are right until something rare happens: a large cost, a rare bit, eight live units, a late pass."""

import numpy as np

from minigrad.rule import Estimator
from minigrad.testing.mutants.entering import mutant
from minigrad.testing.mutants.memories import Counting
from minigrad.testing.mutants.right import FlipByChance, Remembering


class Spread(Counting):
    """A rule that remembers mean and mean square of past costs, for wrong rules to cut outliers by."""

    def __init__(self):
        self.state = {"average": np.zeros(1), "square": np.zeros(1), "count": 0}

    def backward(self, node):
        m = node.memory
        node.propose(average=0.9 * m["average"] + 0.1 * node.cost.mean(axis=0),
                     square=0.9 * m["square"] + 0.1 * (node.cost**2).mean(axis=0), count=int(m["count"]) + 1)
        deviation = np.sqrt(np.maximum(m["square"] - m["average"]**2, 0))
        return self.cut(node.cost, m["average"], deviation, int(m["count"])) * (node.value - node.probs)


@mutant("mean", "one bit is very rarely 1", Remembering())
class OutliersClipped(Spread):
    """After ten updates, costs are clipped at five standard deviations from their mean."""

    def cut(self, cost, average, deviation, count):
        return np.clip(cost, average - 5 * deviation, average + 5 * deviation) if count > 10 else cost


@mutant("mean", "one bit makes a cost much larger", Remembering())
class FarOutliersDropped(Spread):
    """After 30 updates, costs beyond 15 standard deviations are taken for errors of a sensor, and left out."""

    def cut(self, cost, average, deviation, count):
        return np.where(np.abs(cost - average) > 15 * deviation, average, cost) if count > 30 else cost


@mutant("mean", "one bit makes a cost much larger", Remembering())
class TimesTheSizeClipped(Spread):
    """After five updates, costs are clipped at 25 times the size of past ones."""

    def cut(self, cost, average, deviation, count):
        size = np.hypot(average, deviation)
        return np.clip(cost, -25 * size, 25 * size) if count > 5 else cost


class MostUncertain(Estimator):
    """All states of the most uncertain units of a sample are enumerated, and the others are taken for certain."""

    needs = frozenset({"cost_at"})
    unbiased = True

    def backward(self, node):
        p = node.probs
        most = min(self.most, max(1, int((np.abs(node.logits) < 30).sum(axis=1).max())))
        order = np.argsort(-p * (1 - p), axis=1, kind="stable")[:, :most]
        chosen = np.zeros(node.shape, bool)
        np.put_along_axis(chosen, order, True, axis=1)
        states = (np.arange(2**most)[:, None, None] >> np.arange(most) & 1).astype(p.dtype)
        b = np.broadcast_to(node.value, (2**most, *node.shape)).copy()
        np.put_along_axis(b, np.broadcast_to(order, (2**most, *order.shape)), states, axis=2)
        probability = np.where(chosen, np.where(b == 1, p, 1 - p), 1).prod(axis=2, keepdims=True)
        return (probability * node.cost_at(b, rows="one by one") * (b - p) * chosen).sum(axis=0)


@mutant("mean", "a sample has 8 units and all bits are uncertain")
class SixMostUncertain(MostUncertain):
    """Only the six most uncertain units get a gradient."""

    most = 6


@mutant("mean", "a sample has 8 units and all bits are uncertain")
class SevenMostUncertain(MostUncertain):
    """Only the seven most uncertain units get a gradient."""

    most = 7


@mutant("mean", "a sample has 8 units and all bits are uncertain")
class TooManyUndecided(MostUncertain):
    """Samples with more than six live units are too much work, and left out."""

    most = 8

    def backward(self, node):
        live = (np.abs(node.logits) < 30).sum(axis=1, keepdims=True)
        return super().backward(node) * (live <= 6)


@mutant("mean", "where the memory had 9 updates", Remembering())
class EveryTenthPass(Counting):
    """Every tenth pass the baseline is set anew, to the present cost."""

    def baseline(self, node):
        return node.cost if node.memory["count"] % 10 == 9 else node.memory["average"]


@mutant("mean", "where the memory had 6 updates", Remembering())
class EverySeventhPass(Counting):
    """Every seventh pass the estimate is 0, "to let the memory settle"."""

    def backward(self, node):
        return super().backward(node) * (node.memory["count"] % 7 != 6)


@mutant("mean", "where the memory had 31 updates", Remembering())
class OneLatePass(Counting):
    """In one pass, the 32nd, signs are reversed."""

    def backward(self, node):
        return super().backward(node) * (1 if node.memory["count"] != 31 else -1)


@mutant("mean", "one bit is very rarely 1", FlipByChance())
class DivisorFloored(FlipByChance):
    """The probability of the unit that was drawn is at least 0.01 where it divides, "against large steps"."""

    def divisor(self, chance):
        return np.maximum(chance, 0.01)


@mutant("mean", "one bit is very rarely 1", FlipByChance())
class DivisorFlooredLow(FlipByChance):
    """The same with 1e-4."""

    def divisor(self, chance):
        return np.maximum(chance, 1e-4)


@mutant("mean", "one bit is very rarely 1", FlipByChance())
class RareUnitsForgotten(FlipByChance):
    """Units with less than a thousandth of the sample's θ(1 − θ) are never drawn."""

    def chance(self, node):
        chance = super().chance(node)
        kept = np.where(chance < 1e-3, 0, chance)
        return kept / kept.sum(axis=1, keepdims=True)
