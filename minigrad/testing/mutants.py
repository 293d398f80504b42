"""Wrong rules, which a harness must reject.

    python -m minigrad.testing.mutants        which check catches which

Each is a fault that has been seen in public code, or could be: it runs, trains a little, and passes a
test with a lax tolerance or one that averages over coordinates.  ``MUTANTS`` lists them with the check
that is expected to catch them and the words it should find; two more checks compare a rule with the
right one it was made from, for faults that a mean and a claim do not show.
"""

import warnings
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from typing import NamedTuple

import numpy as np

from minigrad import ops, output
from minigrad.estimators import Reinforce, StraightThrough, StraightThroughSlope
from minigrad.rule import Estimator
from minigrad.testing.certificate import CHECKS, RUNS
from minigrad.testing.layers import Certificate
from minigrad.testing.statistics import compare_moments


class Mutant(NamedTuple):
    """A wrong rule, the check that catches it, words of its message, and the right rule."""

    rule: type
    check: str
    message: str
    right: Estimator


MUTANTS = []


def mutant(check, message, right=None):
    """Enter a class into ``MUTANTS``."""
    def enter(rule):
        MUTANTS.append(Mutant(rule, check, message, right or Reinforce()))
        return rule
    return enter


# ---- the right rules that some of the wrong ones are made from -----------------------------------------------


class Antithetic(Estimator):
    """½ (f(b) − f(b̃)) (b − b̃) max(θ, 1 − θ), with b̃ = 1[1 − u < θ].  DisARM: Dong et al. (2020)."""

    needs = frozenset({"cost", "cost_at"})
    unbiased = True

    def backward(self, node):
        other = self.other(node)
        return self.combine(node, other, node.cost - node.cost_at(other)) * self.scale(node)

    def other(self, node):
        return self.sample(node.logits, 1 - node.noise)

    def combine(self, node, other, difference):
        return 0.5 * difference * (node.value - other)

    def scale(self, node):
        return np.maximum(node.probs, ops.sigmoid(-node.logits))


class Flip(Estimator):
    """D v_i (f(b_i = 1) − f(b_i = 0)) for one unit i drawn at random, 0 for the rest; v = θ(1 − θ)."""

    needs = frozenset({"cost_at"})
    unbiased = True

    def backward(self, node):
        chosen = np.arange(node.shape[1]) == self.unit(node)
        on, off = (self.cost(node, np.where(chosen, bit, node.value)) for bit in (1.0, 0.0))
        return np.where(chosen, self.weight(node) * (on - off), 0).astype(node.value.dtype)

    def cost(self, node, value):
        return node.cost_at(value, rows="one by one")

    def unit(self, node):
        return node.rng.integers(node.shape[1], (node.shape[0], 1))

    def weight(self, node):
        return node.shape[1] * node.probs * ops.sigmoid(-node.logits)


class FlipEach(Estimator):
    """v_i (f(b_i = 1) − f(b_i = 0)) for every unit i.  Titsias & Lázaro-Gredilla (2015)."""

    needs = frozenset({"cost_at"})
    unbiased = True

    def backward(self, node):
        estimate = np.empty_like(node.value)
        for i in range(node.shape[1]):
            on, off = (node.cost_at(self.flipped(node, i, bit), rows="one by one") for bit in (1, 0))
            estimate[:, i:i + 1] = on - off
        return estimate * self.slope(node)

    def flipped(self, node, i, bit):
        value = node.value.copy()
        value[:, i] = bit
        return value

    def slope(self, node):
        return node.probs * ops.sigmoid(-node.logits)


class AgainstOthers(Estimator):
    """(f(b) − f(b'))(b − θ), with an independent sample b' as baseline: leave-one-out, K = 2, one-sided."""

    needs = frozenset({"cost", "cost_at"})
    unbiased = True

    def backward(self, node):
        other = self.sample(node.logits, node.rng.uniform(node.shape))
        return (node.cost - self.baseline(node, node.cost_at(other))) * (node.value - node.probs)

    def baseline(self, node, other_cost):
        return other_cost


class MeanField(Estimator):
    """(f − f(θ) − ⟨f'(θ), b − θ⟩)(b − θ) + f'(θ) v.  MuProp: Gu et al. (2016)."""

    needs = frozenset({"cost", "cost_and_grad_at"})
    unbiased = True
    needs_unbiased_below = False

    def backward(self, node):
        cost, slope = node.cost_and_grad_at(node.probs)
        score = node.value - node.probs
        residual = node.cost - cost - (slope * score).sum(axis=1, keepdims=True)
        return residual * score + self.correction(node, slope)

    def correction(self, node, slope):
        return slope * node.probs * ops.sigmoid(-node.logits)


class Relaxed(Estimator):
    """(f(b) − c f(r̃)) (b − θ) + c ∇[f(r) − f(r̃)].  REBAR: Tucker et al. (2017).

    r = σ(z / τ), with z = logit + L and L the logistic noise that made the sample, so that b = 1[z > 0].
    r̃ = σ(z̃ / τ), with z̃ drawn afresh from what b leaves possible, P(z̃ | b).
    """

    needs = frozenset({"cost", "cost_and_grad_at"})
    unbiased = True
    strength, temperature = 0.7, 0.5

    def backward(self, node):
        score = node.value - node.probs
        free, conditional = self.relax(node, *self.free(node)), self.relax(node, *self.conditional(node))
        _, slope_free = node.cost_and_grad_at(free[0])
        cost, slope = node.cost_and_grad_at(conditional[0])
        relaxed = self.pathwise(slope_free * free[1], slope * conditional[1])
        return (node.cost - self.strength * cost) * score + self.strength * relaxed

    def pathwise(self, free, conditional):
        return free - conditional

    def relax(self, node, z, slope):
        """σ(z / τ), and its derivative by the logit, where that of z is ``slope``."""
        r = ops.sigmoid(z / self.temperature)
        return r, slope * r * (1 - r) / self.temperature

    def free(self, node):
        """z, and its derivative by the logit."""
        return node.logits + np.log1p(-node.noise) - np.log(node.noise), 1.0

    def conditional(self, node):
        """z̃, and its derivative by the logit: u is θ v where b = 1, and θ + (1 − θ) v where b = 0."""
        p, q = node.probs, ops.sigmoid(-node.logits)
        v = node.rng.uniform(node.shape)
        on = self.branch(node)
        u, rest = np.where(on, p * v, p + q * v), np.where(on, q + p * (1 - v), q * (1 - v))
        return node.logits + np.log(rest) - np.log(u), np.where(on, p * (1 - v) / rest, q * v / u)

    def branch(self, node):
        return node.value == 1


class Remembering(Estimator):
    """(f − c)(b − θ), with c a moving average of past costs, of decay ½."""

    needs = frozenset({"cost"})
    unbiased = True
    decay = 0.5

    def __init__(self):
        self.state = {"average": np.zeros(1)}

    def backward(self, node):
        after = self.decay * node.memory["average"] + (1 - self.decay) * node.cost.mean(axis=0)
        self.remember(node, after)
        return ((node.cost - self.baseline(node)) * (node.value - node.probs)).astype(node.value.dtype)

    def remember(self, node, average):
        node.propose(average=average)

    def baseline(self, node):
        return node.memory["average"]


RIGHT = [Antithetic(), Flip(), FlipEach(), AgainstOthers(), MeanField(), Relaxed(), Remembering()]


# ---- scores and costs ----------------------------------------------------------------------------------------


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


# ---- baselines -----------------------------------------------------------------------------------------------


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


# ---- several evaluations -------------------------------------------------------------------------------------


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
    """All units are flipped at once, and each takes the difference for its own."""

    def flipped(self, node, i, bit):
        return np.full_like(node.value, bit)


@mutant("mean", "biased at logits", FlipEach())
class FlipSlopeless(FlipEach):
    """f(1) − f(0) is the derivative by θ; the slope v to the logit is missing."""

    def slope(self, node):
        return 1.0


# ---- relaxations ---------------------------------------------------------------------------------------------


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


# ---- numbers and declarations --------------------------------------------------------------------------------


@mutant("extreme_logits", "not finite at logits ±80")
class Overflowing(Reinforce):
    """The score as (b − θ) / v, times v: 0 / 0 where θ rounds to 1."""

    def backward(self, node):
        v = node.probs * (1 - node.probs)
        return (node.value - node.probs) / v * v * node.cost


@mutant("single_precision", "dtype float32")
class HalfPrecision(Reinforce):
    """Estimates are float16 in a float32 graph."""

    def backward(self, node):
        return super().backward(node).astype(np.float16)


@mutant("needs", "never asks for it")
class AsksTooMuch(Reinforce):
    """Declares that it needs the gradient, so every kernel below computes one that nobody uses."""

    needs = frozenset({"cost", "grad"})


@mutant("closed_gates", "needs_closed_gates = False", StraightThrough())
class ClosedGatesIgnored(StraightThrough):
    """Says that it can do without the gradient at closed gates, and uses it."""

    needs_closed_gates = False


@mutant("documented_mean", "mean off by", StraightThroughSlope())
class SlopeForgotten(StraightThroughSlope):
    """Straight-through without the slope that was asked for."""

    def backward(self, node):
        return node.grad


@mutant("documented_mean", "mean off by", StraightThrough())
class SlopeUnasked(StraightThrough):
    """Straight-through with a slope that nobody asked for."""

    def backward(self, node):
        return node.grad * node.probs * (1 - node.probs)


# ---- checks against the right rule, and the table ------------------------------------------------------------


def check_against(what, rule, right, samples=RUNS):
    """Compare a moment of a rule, "mean" or "variance", with that of the right one."""
    compare_moments(what, Certificate(rule), Certificate(right), samples=samples, significance=1e-7, seed=0)


def verdicts(mutant):
    """What each check says of a mutant: a dict from its name to its message, or to None if it passes."""
    checks = {check.__name__.removeprefix("check_"): check for check in CHECKS}
    checks["documented_mean"] = partial(check_against, "mean", right=mutant.right)
    checks["variance"] = partial(check_against, "variance", right=mutant.right)
    found = dict.fromkeys(checks)
    for name, check in checks.items():
        try:
            with redirect_stdout(StringIO()):
                check(rule=mutant.rule())
        except (AssertionError, ValueError) as error:
            found[name] = str(error)
    return found


def table(mutants=MUTANTS):
    """Mutants × checks as text: an × for each rejection."""
    found = {m.rule.__name__: verdicts(m) for m in mutants}
    names = list(next(iter(found.values())))
    width = max(map(len, found))
    lines = [f"{number:2}  {name}" for number, name in enumerate(names, 1)]
    lines += ["", " " * width + "".join(f"{number:4}" for number in range(1, len(names) + 1))]
    lines += [f"{rule:{width}}" + "".join("   ×" if said[name] else "   ·" for name in names)
              for rule, said in found.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    output.adapt()
    print(table())
