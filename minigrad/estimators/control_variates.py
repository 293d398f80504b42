"""Control variates: subtract from the score-function estimate something like it, whose mean is known.

Each of these rules is a − c h, with a the estimate by scores, f (b − p) or its mean over samples, and
h correlated with it, of mean 0, made from the slope of the cost.  So they are unbiased whatever c is
and however badly the slope describes the cost; the better it does, the more variance goes.
"""

import numpy as np

from minigrad import ops
from minigrad.arguments import is_real
from minigrad.estimators.concrete import logistic
from minigrad.estimators.multi_sample import at_least_two, covariance, mean_of_others
from minigrad.rule import Estimator


class MuProp(Estimator):
    """d cost / d logit = (f − f(p) − ⟨f'(p), b − p⟩)(b − p) + f'(p) p(1 − p), ⟨·,·⟩ over the units of the node.

    A straight line through the mean-field point, where every unit has its mean p as value, predicts the
    cost.  Scores are left to explain the rest only, while what the line contributes to the gradient,
    f'(p) p(1 − p), is known.  Unbiased whatever the line: f'(p) may itself be biased by rules below, for
    what it adds is what it takes.  Exact, without variance, where the cost is linear in the sample.
    Needs the cost, and cost and gradient at the means: one evaluation and its backward pass.
    Gu, Levine, Sutskever & Mnih (2016), arXiv 1511.05176.
    """

    needs = frozenset({"cost", "cost_and_grad_at"})
    unbiased = True
    needs_unbiased_below = False

    def backward(self, node):
        cost, slope = node.cost_and_grad_at(node.probs)
        score = node.value - node.probs
        line = cost + (slope * score).sum(axis=1, keepdims=True)
        return (node.cost - line) * score + slope * node.probs * (1 - node.probs)


class Scaled(Estimator):
    """A rule a − c h whose scale c, one for each unit, is either given or learned.

    The variance of a − c h is a parabola in c, since E[h] = 0: d E[(a − c h)²]/dc = −2 E[(a − c h) h] = 0
    at c = E[a h] / E[h²].  Both means are moving averages over past passes, the rule's memory; c = 1
    before the first.
    """

    def __init__(self, scale=None, decay=0.99):
        if not is_real(decay) or not 0 <= decay < 1:
            raise ValueError(f"{type(self).__name__}: expected a decay in [0, 1), got {decay}")
        self.scale, self.decay = scale, decay
        if scale is None:
            self.state = {"product": np.zeros(1), "square": np.zeros(1)}

    def combine(self, node, a, h):
        """a − c h, and the averages of this pass."""
        if self.scale is None:
            product, square = node.memory["product"], node.memory["square"]
            wide = h.astype(float)          # the square of a large float32 is infinite
            node.propose(product=self.decay * product + (1 - self.decay) * (a * wide).mean(axis=0),
                         square=self.decay * square + (1 - self.decay) * (wide * wide).mean(axis=0))
        return a - self.current_scale(node, a.dtype) * h

    def current_scale(self, node, dtype):
        """c as it is in this pass."""
        if self.scale is not None:
            return dtype.type(self.scale)
        product, square = node.memory["product"], node.memory["square"]
        return np.divide(product, square, out=np.ones_like(product), where=square > 0).astype(dtype)


class Rebar(Scaled):
    """d cost / d logit = f (b − p) − c h,  h = (b − p) (f(y) − f'(y) y(1 − y) / (τ (b − u))).

    The control variate is the score-function estimate of a relaxed cost, f at y = σ((logit + L)/τ),
    L = log((1 − u)/u), minus the exact gradient of that.  As first written it needs y and ỹ, a second
    relaxed value drawn given the sample b:

        h = f(ỹ)(b − p) − d/dlogit [f(y) − f(ỹ)].

    Given b, the noise that is left is v = u/p for b = 1 and (u − p)/(1 − p) for b = 0, uniform and
    independent of b.  Drawing ỹ with this very v makes it equal to y, and only its derivative, taken
    at constant v, differs: d(z − z̃)/dlogit = (b − p)/(b − u), which is (1 − p)/(1 − u) or p/u.  So one
    relaxed evaluation is enough.  That E[h] = 0 is then a matter of integrating by parts: over u < p,
    h is (1 − p) d(u f(y))/du, over u > p it is p d((1 − u) f(y))/du, and the two parts cancel.

    Unbiased if the gradients that come from below are.  Needs the cost, and cost and gradient at y:
    one evaluation and its backward pass.
    Tucker, Mnih, Maddison, Lawson & Sohl-Dickstein (2017), arXiv 1703.07370.

    Parameters
    ----------
    temperature : τ, or where it starts.
    scale : c; None learns the one of least variance, unit by unit.
    decay : of the averages it is learned from, per pass.
    rate : of the steps in which log τ goes down the relative slope of the variance, E[ĝ dĝ/dlog τ] / E[ĝ²]
        for the estimate ĝ; 0 leaves τ as it is.  The slope comes from h at two temperatures nearby, which
        takes two further evaluations, instead of a second derivative of the cost.
    """

    needs = frozenset({"cost", "cost_and_grad_at"})
    unbiased = True
    needs_continuous_cost = True
    nearby = 0.05           # the distance, in log τ, of the temperatures that are compared

    def __init__(self, temperature=0.5, scale=None, decay=0.99, rate=0.0):
        if not is_real(temperature) or not temperature > 0:
            raise ValueError(f"Rebar: expected a temperature > 0, got {temperature}")
        if not is_real(rate) or not rate >= 0:
            raise ValueError(f"Rebar: expected a rate of at least 0, got {rate}")
        super().__init__(scale, decay)
        self.temperature, self.rate = temperature, rate
        if rate:
            self.state = {**(self.state or {}), "log_temperature": np.log(temperature)}

    def backward(self, node):
        log_temperature = node.memory["log_temperature"] if self.rate else np.log(self.temperature)
        scores = (node.value - node.probs) * node.cost
        estimate = self.combine(node, scores, self.control(node, np.exp(log_temperature)))
        if not self.rate:
            return estimate
        above, below = (self.control(node, np.exp(log_temperature + d)) for d in (self.nearby, -self.nearby))
        change = -self.current_scale(node, estimate.dtype) * (above - below) / (2 * self.nearby)
        wide = estimate.astype(float)
        slope, square = (wide * change).sum(), (wide * wide).sum()
        step = np.where(square > 0, slope, 0) / np.where(square > 0, square, 1)
        node.propose(log_temperature=log_temperature - self.rate * step)
        return estimate

    def control(self, node, temperature):
        """h, from one relaxed evaluation."""
        b, u = node.value, node.noise
        y = ops.sigmoid((node.logits + logistic(u)) / temperature)
        cost, slope = node.cost_and_grad_at(y)
        score = b - node.probs
        return score * cost - slope * y * (1 - y) / temperature * (score / (b - u))

    def __repr__(self):
        return f"Rebar(temperature={self.temperature}, scale={self.scale}, rate={self.rate})"


class DoubleControlVariate(Scaled):
    """d cost / d logit = cov(f, b) − c (cov(ℓ, b) − ḡ p(1 − p)),  ℓ_k = ⟨mean of the other g, b_k − p⟩.

    Leave-one-out, in which each of K samples has two baselines: the cost f of the others, and a line
    through the mean p whose slope is that of the cost at the others, g_j = f'(b_j).  cov is the sample
    covariance over the K samples.  No slope meets its own sample in ℓ, so E[ℓ_j (b_k − p)] is 0 for
    j ≠ k and E[g] p(1 − p) for j = k, which ḡ p(1 − p) makes good: unbiased, whatever the slopes, and
    rules below may bias them.  With c = 1 it is exact, without variance, where the cost is linear.
    Needs cost and gradient at K samples: K − 1 evaluations and their backward passes.
    Titsias & Shi (2022), arXiv 2111.05300.

    Parameters
    ----------
    samples : K, two or more.
    scale : c; None learns the one of least variance, unit by unit.
    decay : of the averages it is learned from, per pass.
    """

    needs = frozenset({"grad", "cost", "cost_and_grad_at"})
    unbiased = True
    needs_unbiased_below = False

    def __init__(self, samples=2, scale=None, decay=0.99):
        super().__init__(scale, decay)
        self.samples = at_least_two(self, samples)

    def backward(self, node):
        costs, slopes, bits = several(self, node)
        score = bits - node.probs
        line = (mean_of_others(slopes) * score).sum(axis=-1, keepdims=True)
        known = slopes.mean(axis=0) * node.probs * (1 - node.probs)
        return self.combine(node, covariance(costs, score), covariance(line, score) - known)

    def __repr__(self):
        return f"DoubleControlVariate(samples={self.samples}, scale={self.scale})"


def several(rule, node):
    """Costs, their gradients and bits of the node's own sample and of more, as arrays (K, rows, …)."""
    others = [rule.sample(node.logits, node.rng.uniform(node.shape)) for _ in range(rule.samples - 1)]
    costs, slopes = map(np.stack, zip((node.cost, node.grad), *map(node.cost_and_grad_at, others), strict=True))
    return costs, slopes, np.stack([node.value, *others])
