"""The right rules that some of the wrong ones are made from."""

import numpy as np

from minigrad import ops
from minigrad.rule import Estimator


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


class FlipByChance(Estimator):
    """(v_i / q_i)(f(b_i = 1) − f(b_i = 0)) for one unit i, drawn with probability q_i = v_i / Σ v."""

    needs = frozenset({"cost_at"})
    unbiased = True

    def backward(self, node):
        chance = self.chance(node)
        u = node.rng.uniform((node.shape[0], 1))
        unit = (u >= chance.cumsum(axis=1)[:, :-1]).sum(axis=1, keepdims=True)
        chosen = np.arange(node.shape[1]) == unit
        on, off = (node.cost_at(np.where(chosen, bit, node.value), rows="one by one") for bit in (1.0, 0.0))
        weight = self.slope(node) / self.divisor(np.where(chosen, chance, 1))
        return np.where(chosen, weight * (on - off), 0).astype(node.value.dtype)

    def slope(self, node):
        return np.maximum(node.probs * ops.sigmoid(-node.logits), 1e-300)

    def chance(self, node):
        slope = self.slope(node).astype(float)
        return slope / slope.sum(axis=1, keepdims=True)

    def divisor(self, chance):
        return chance


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


class AgainstOtherRows(Estimator):
    """(f − the mean cost of the other rows)(b − θ): leave-one-out over the batch, and f itself in a batch of one."""

    needs = frozenset({"cost"})
    unbiased = True
    needs_independent_rows = True

    def backward(self, node):
        rows = len(node.cost)
        others = (node.cost.sum() - node.cost) / (rows - 1) if rows > 1 else 0.0
        return (node.cost - self.baseline(node, others)) * (node.value - node.probs)

    def baseline(self, node, others):
        return others


class AgainstSameContext(Estimator):
    """(f − the mean cost of the other rows with the same context)(b − θ), and f itself where there are none."""

    needs = frozenset({"cost"})
    unbiased = True
    needs_independent_rows = True

    def backward(self, node):
        rows = len(node.cost)
        if node.context is None:
            same = np.eye(rows, dtype=bool)
        else:
            same = (node.context[:, None, :] == node.context[None, :, :]).all(axis=2)
        return ((node.cost - self.baseline(node, same)) * (node.value - node.probs)).astype(node.value.dtype)

    def baseline(self, node, same):
        others = same & ~np.eye(len(same), dtype=bool)
        return others @ node.cost / np.maximum(others.sum(axis=1, keepdims=True), 1)


class OfSeveral(Estimator):
    """Σ_k (f_k − f̄)(b_k − b̄) / (K − 1) over K = 3 samples: leave-one-out.  Kool et al. (2019)."""

    needs = frozenset({"cost", "cost_at"})
    unbiased = True
    samples = 3

    def backward(self, node):
        others = self.others(node)
        costs = np.stack([node.cost, *map(node.cost_at, others)])
        bits = np.stack([node.value, *others])
        return self.combine(costs - costs.mean(axis=0), bits - bits.mean(axis=0), node)

    def others(self, node):
        return [self.sample(node.logits, node.rng.uniform(node.shape)) for _ in range(self.samples - 1)]

    def combine(self, costs, bits, node):
        return (costs * bits).sum(axis=0) / (self.samples - 1)


class OfLogWeights(Estimator):
    """(f − Λ of the other log-weights)(b − θ): leave-one-out for importance-weighted bounds."""

    needs = frozenset({"cost", "inner"})
    unbiased = True

    def backward(self, node):
        cost = node.cost
        for weight, log_weights in node.inner:
            cost = cost - weight * self.baseline(log_weights).reshape(-1, 1)
        return cost * (node.value - node.probs)

    def baseline(self, log_weights):
        samples = np.arange(log_weights.shape[1])
        return np.stack([log_weights[:, samples != k].mean(axis=1) for k in samples], axis=1)


RIGHT = [Antithetic(), Flip(), FlipEach(), FlipByChance(), AgainstOthers(), MeanField(), Relaxed(), Remembering(),
         AgainstOtherRows(), AgainstSameContext(), OfSeveral(), OfLogWeights()]
