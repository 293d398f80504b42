"""Control variates: subtract from the score-function estimate a similar estimate whose mean is known.

Each of these rules is a − c h.  Here a is the score-function estimate f (b − p), or its mean over samples, and h
has the mean 0 and is correlated with a.  h is made from the slope of the cost.  The rules are unbiased for every
c, even if the slope describes the cost badly.  The better it describes the cost, the smaller the variance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import ops
from minigrad.arguments import is_real
from minigrad.estimators.concrete import logistic
from minigrad.estimators.multi_sample import at_least_two, covariance, mean_of_others
from minigrad.rule import Estimator

if TYPE_CHECKING:
    from minigrad.aliases import Array
    from minigrad.stochastic import BinaryNode


class MuProp(Estimator):
    """d cost / d logit = (f − f(p) − ⟨f'(p), b − p⟩)(b − p) + f'(p) p(1 − p), ⟨·,·⟩ over the units of the node.

    The tangent of the cost at the means p predicts the cost.  The score-function estimate is used for the rest
    only.  The gradient of the tangent, f'(p) p(1 − p), is known and added.  Unbiased for every slope f'(p), also
    where rules below make it biased: the term that is added is the mean of the term that is subtracted.
    If the cost is linear in the sample, the estimate is exact and has no variance.  Needs the cost, and cost and
    gradient at the means: one evaluation and its backward pass.
    Gu, Levine, Sutskever & Mnih (2016), arXiv 1511.05176.
    """

    needs = frozenset({"cost", "cost_and_grad_at"})
    unbiased = True
    needs_unbiased_below = False

    def backward(self, node: BinaryNode) -> Array:
        cost, slope = node.cost_and_grad_at(node.probs)
        score = node.value - node.probs
        tangent = cost + (slope * score).sum(axis=1, keepdims=True)
        return (node.cost - tangent) * score + slope * node.probs * (1 - node.probs)


class Scaled(Estimator):
    """A rule a − c h with one scale c for each unit.  c is given by the user or learned.

    Since E[h] = 0, the variance of a − c h is a parabola in c.  It is smallest at c = E[a h] / E[h²], where its
    derivative −2 E[(a − c h) h] is 0.  Both means are moving averages over past passes.  They are the rule's
    memory.  Before the first pass c = 1.
    """

    def __init__(self, scale: float | None = None, decay: float = 0.99) -> None:
        if not is_real(decay) or not 0 <= decay < 1:
            raise ValueError(f"{type(self).__name__}: expected a decay in [0, 1), got {decay}")
        self.scale, self.decay = scale, decay
        if scale is None:
            self.state = {"product": np.zeros(1), "square": np.zeros(1)}

    def combine(self, node: BinaryNode, a: Array, h: Array) -> Array:
        """a − c h.  Proposes the averages of this pass."""
        if self.scale is None:
            product, square = node.memory["product"], node.memory["square"]
            wide = h.astype(float)          # the square of a large float32 is infinite
            node.propose(product=self.decay * product + (1 - self.decay) * (a * wide).mean(axis=0),
                         square=self.decay * square + (1 - self.decay) * (wide * wide).mean(axis=0))
        return a - self.current_scale(node, a.dtype) * h

    def current_scale(self, node: BinaryNode, dtype: np.dtype[Any]) -> Any:
        """The scale c of this pass, a number or an array of (units,), in ``dtype``."""
        if self.scale is not None:
            return dtype.type(self.scale)
        product, square = node.memory["product"], node.memory["square"]
        return np.divide(product, square, out=np.ones_like(product), where=square > 0).astype(dtype)


class Rebar(Scaled):
    """d cost / d logit = f (b − p) − c h,  h = (b − p) (f(y) − f'(y) y(1 − y) / (τ (b − u))).

    h is the score-function estimate for a relaxed cost, minus the exact gradient of this relaxed cost.  The
    relaxed cost is f at y = σ((logit + L)/τ), L = log((1 − u)/u).  The paper uses two relaxed values: y, and ỹ, which
    is drawn given the sample b:

        h = f(ỹ)(b − p) − d/dlogit [f(y) − f(ỹ)].

    One relaxed value is enough.  Given b, the noise v = u/p for b = 1, or (u − p)/(1 − p) for b = 0, is uniform
    and independent of b.  If ỹ is drawn with this v, its value is y.  Its derivative, at constant v, differs:
    d(z − z̃)/dlogit = (b − p)/(b − u), which is (1 − p)/(1 − u) or p/u.  Then E[h] = 0 follows by integration by
    parts: for u < p, h is (1 − p) d(u f(y))/du; for u > p, it is p d((1 − u) f(y))/du; and the two integrals
    cancel.

    Unbiased if the gradients from below are unbiased.  Needs the cost, and cost and gradient at y: one evaluation
    and its backward pass.
    Tucker, Mnih, Maddison, Lawson & Sohl-Dickstein (2017), arXiv 1703.07370.

    Parameters
    ----------
    temperature : τ; if τ is learned, its first value.
    scale : c; None learns for each unit the c of least variance.
    decay : of the averages from which c is learned, per pass.
    rate : learning rate of log τ; 0 keeps τ.  log τ moves against the relative slope of the variance,
        E[ĝ dĝ/dlog τ] / E[ĝ²] for the estimate ĝ.  The slope is a difference of h at two temperatures nearby, so
        it takes two more evaluations and no second derivative of the cost.

    Raises
    ------
    ValueError
        ``temperature`` is not above 0, ``decay`` is outside [0, 1), or ``rate`` is negative.
    """

    needs = frozenset({"cost", "cost_and_grad_at"})
    unbiased = True
    needs_continuous_cost = True
    nearby = 0.05           # the distance, in log τ, of the temperatures that are compared

    def __init__(self, temperature: float = 0.5, scale: float | None = None, decay: float = 0.99,
                 rate: float = 0.0) -> None:
        if not is_real(temperature) or not temperature > 0:
            raise ValueError(f"Rebar: expected a temperature > 0, got {temperature}")
        if not is_real(rate) or not rate >= 0:
            raise ValueError(f"Rebar: expected a rate of at least 0, got {rate}")
        super().__init__(scale, decay)
        self.temperature, self.rate = temperature, rate
        if rate:
            self.state = {**(self.state or {}), "log_temperature": np.log(temperature)}

    def backward(self, node: BinaryNode) -> Array:
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

    def control(self, node: BinaryNode, temperature: Any) -> Array:
        """h at this temperature, from one relaxed evaluation."""
        b, u = node.value, node.noise
        y = ops.sigmoid((node.logits + logistic(u)) / temperature)
        cost, slope = node.cost_and_grad_at(y)
        score = b - node.probs
        return score * cost - slope * y * (1 - y) / temperature * (score / (b - u))

    def __repr__(self) -> str:
        return f"Rebar(temperature={self.temperature}, scale={self.scale}, rate={self.rate})"


class DoubleControlVariate(Scaled):
    """d cost / d logit = cov(f, b) − c (cov(ℓ, b) − ḡ p(1 − p)),  ℓ_k = ⟨mean of the other g, b_k − p⟩.

    Leave-one-out with two baselines for each of K samples: the mean cost f of the other samples, and a linear
    function ℓ, whose slope is the mean of the slopes at the other samples, g_j = f'(b_j).  cov is the sample
    covariance over the K samples.  A slope is never multiplied by its own sample in ℓ.  So E[ℓ_j (b_k − p)]
    is 0 for j ≠ k, and E[g] p(1 − p) for j = k; the term ḡ p(1 − p) makes up for this.  Unbiased for all slopes,
    also where rules below make them biased.  With c = 1 and a cost that is linear in the sample, the estimate is
    exact and has no variance.  Needs cost and gradient at K samples: K − 1 evaluations and their backward passes.
    Titsias & Shi (2022), arXiv 2111.05300.

    Parameters
    ----------
    samples : K, two or more.
    scale : c; None learns for each unit the c of least variance.
    decay : of the averages from which c is learned, per pass.

    Raises
    ------
    ValueError
        ``samples`` is below 2, or ``decay`` is outside [0, 1).
    """

    needs = frozenset({"grad", "cost", "cost_and_grad_at"})
    unbiased = True
    needs_unbiased_below = False

    def __init__(self, samples: int = 2, scale: float | None = None, decay: float = 0.99) -> None:
        super().__init__(scale, decay)
        self.samples = at_least_two(self, samples)

    def backward(self, node: BinaryNode) -> Array:
        costs, slopes, bits = several(self, node)
        score = bits - node.probs
        linear = (mean_of_others(slopes) * score).sum(axis=-1, keepdims=True)
        known = slopes.mean(axis=0) * node.probs * (1 - node.probs)
        return self.combine(node, covariance(costs, score), covariance(linear, score) - known)

    def __repr__(self) -> str:
        return f"DoubleControlVariate(samples={self.samples}, scale={self.scale})"


def several(rule: Any, node: BinaryNode) -> tuple[Array, Array, Array]:
    """Costs, gradients and bits of ``rule.samples`` samples, as arrays (K, rows, …); the node's own comes first."""
    others = [rule.sample(node.logits, node.rng.uniform(node.shape)) for _ in range(rule.samples - 1)]
    costs, slopes = map(np.stack, zip((node.cost, node.grad), *map(node.cost_and_grad_at, others), strict=True))
    return costs, slopes, np.stack([node.value, *others])
