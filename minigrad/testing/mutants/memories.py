"""Wrong baselines and wrong memories."""

import numpy as np

from minigrad.estimators import Reinforce
from minigrad.testing.mutants.entering import mutant
from minigrad.testing.mutants.right import AgainstOthers, Antithetic, Remembering


@mutant("mean", "the mean is 0.5 times the gradient", Remembering())
class OwnCostInBaseline(Remembering):
    """A moving average that already contains the current cost: the mean shrinks by its decay."""

    def baseline(self, node):
        return self.decay * node.memory["average"] + (1 - self.decay) * node.cost


@mutant("mean", "times the gradient", AgainstOthers())
class MeanOfAll(AgainstOthers):
    """Baseline: the mean of all samples, the current one among them, instead of the others."""

    def baseline(self, node, other_cost):
        return (node.cost + other_cost) / 2


@mutant("variance", "variance off by a factor", Reinforce(baseline=1.0))
class BaselineAdded(Reinforce):
    """f + c instead of f − c: the mean is right."""

    def backward(self, node):
        return (node.value - node.probs) * (node.cost + 1)


@mutant("purity", "not pure", Remembering())
class UpdatesInBackward(Remembering):
    """The memory changes in backward: a second pass gives something else."""

    def remember(self, node, average):
        self.state = {"average": average}


@mutant("purity", "not pure", Remembering())
class ReadsWhatCameLater(Remembering):
    """The baseline is the memory as it is now: after the next draw it holds the sample's own cost."""

    def baseline(self, node):
        return self.state["average"]


@mutant("state_dict", "state_dict does not hold", Remembering())
class Forgetful(Remembering):
    """The memory is not in ``state``, so checkpoints lose it."""

    def __init__(self):
        self.average = self.coming = np.zeros(1)

    state = None

    def backward(self, node):
        self.coming = self.decay * self.average + (1 - self.decay) * node.cost.mean(axis=0)
        return ((node.cost - self.average) * (node.value - node.probs)).astype(node.value.dtype)

    def update(self):
        self.average = self.coming


class Counting(Remembering):
    """Remembering that counts its updates."""

    def __init__(self):
        self.state = {"average": np.zeros(1), "count": 0}

    def remember(self, node, average):
        node.propose(average=average, count=int(node.memory["count"]) + 1)


@mutant("mean", "where the memory had 12 updates", Remembering())
class LateOwnCost(Counting):
    """The own cost gets into the baseline after ten updates."""

    def baseline(self, node):
        average = node.memory["average"]
        return average if node.memory["count"] < 10 else 0.5 * (average + node.cost)


@mutant("mean", "where the memory had 40 updates", Remembering())
class VeryLateOwnCost(Counting):
    """The same after 30 updates."""

    def baseline(self, node):
        average = node.memory["average"]
        return average if node.memory["count"] < 30 else 0.5 * (average + node.cost)


@mutant("mean", "not where the memory had 3 updates", Remembering())
class FirstBaselineIsOwnCost(Counting):
    """An empty memory starts with the mean of the costs at hand."""

    def baseline(self, node):
        return node.memory["average"] if node.memory["count"] else node.cost.mean()


@mutant("mean", "silent zero", Remembering())
class BurnIn(Counting):
    """Nothing is returned before the memory had two updates."""

    def backward(self, node):
        return super().backward(node) * (node.memory["count"] >= 2)


@mutant("mean", "where the memory had one update", Remembering())
class Annealed(Counting):
    """Estimates get smaller with each update."""

    def backward(self, node):
        return super().backward(node) / (1 + node.memory["count"] / 100)


@mutant("mean", "where the memory had one update", Remembering())
class InUnitsOfPastCosts(Remembering):
    """Divided by the size of past costs, which nothing multiplies again."""

    def backward(self, node):
        estimate, size = super().backward(node), np.abs(node.memory["average"])
        return estimate / np.where(size > 0, size, 1)


@mutant("mean", "where the memory had one update", Remembering())
class AdvantageClipped(Counting):
    """Differences from the baseline are clipped at ±½, once there is one."""

    def baseline(self, node):
        average = node.memory["average"]
        return node.cost - np.clip(node.cost - average, -0.5, 0.5) if node.memory["count"] else average


@mutant("mean", "where the memory had one update", Remembering())
class StaleProbs(Remembering):
    """θ of the pass before."""

    def __init__(self):
        self.state = {}

    def backward(self, node):
        probs = node.memory.get("probs", node.probs)
        node.propose(probs=np.array(node.probs))
        return (node.value - (probs if probs.shape == node.shape else node.probs)) * node.cost


@mutant("mean", "where the memory had one update", Remembering())
class Momentum(Remembering):
    """An average with the estimates of past passes."""

    def __init__(self):
        self.state = {}

    def backward(self, node):
        estimate = (node.value - node.probs) * node.cost
        past = node.memory.get("estimate", estimate)
        node.propose(estimate=np.array(estimate))
        return 0.9 * estimate + 0.1 * past if past.shape == estimate.shape else estimate


@mutant("purity", "not pure", Remembering())
class MemoryInPlace(Remembering):
    """The array in the memory is written to during backward."""

    def remember(self, node, average):
        self.state["average"][:] = average


@mutant("purity", "not pure", Remembering())
class LatePurity(Counting):
    """The memory changes in backward, after five updates."""

    def remember(self, node, average):
        super().remember(node, average)
        if node.memory["count"] > 5:
            self.state = {**self.state, "average": average}


@mutant("purity", "not pure", Reinforce())
class CountsPasses(Reinforce):
    """A counter of passes outside the memory, and the estimates of every second pass are doubled."""

    passes = 0

    def backward(self, node):
        self.passes += 1
        return super().backward(node) * 2 * (self.passes % 2)


@mutant("state_dict", "state_dict does not hold", Remembering())
class ForgetsItsSchedule(Remembering):
    """The average is saved, and the number of updates that its weight depends on is not."""

    updates = 0

    def update(self):
        super().update()
        self.updates += 1

    def baseline(self, node):
        return node.memory["average"] / (1 + self.updates)


@mutant("mean", "another graph was drawn before backward", Antithetic())
class LastDrawOfAll(Antithetic):
    """The mirrored sample is made from the uniforms of whichever sample was drawn last with this rule."""

    last = None

    def sample(self, logits, u):
        self.last = u
        return super().sample(logits, u)

    def backward(self, node):
        mirrored = super().sample(node.logits, 1 - self.last.reshape(node.shape))
        difference = node.cost - node.cost_at(mirrored)
        return self.combine(node, mirrored, difference) * self.scale(node)
