"""The loss of one problem of the certificate, and its true gradient.

Nearly all logits are ±40: such bits are certain, but costs depend on them all the same.  One or two bits are
*live*, in a few small problems all of them.  So the joint outcomes of everything random stay few, with 17 units and
33 rows as well.

The true gradient is a four-point difference of the expected loss, which is a sum over all outcomes, computed
with NumPy alone.  No derivative of ours takes part, and no rule: it is computed once for each problem and kept.
"""

from dataclasses import replace
from functools import lru_cache
from itertools import product
from math import prod

import numpy as np

from minigrad import ops
from minigrad.objective import expected
from minigrad.rule import Estimator
from minigrad.stochastic import bernoulli
from minigrad.tensor import tensor
from minigrad.testing.problems import LARGE

CERTAIN = 40.0      # the size of a saturated logit
STEP = 2e-3         # of the four-point differences
COUPLING = 0.4      # how much a bit above moves the logits of the live units


# ---- neighbours of the rule: right or wrong in a way that is known -------------------------------------------


class Exact(Estimator):
    """p (1 − p)(f(1) − f(0)): without noise for one unit."""

    needs = {"cost_at"}
    unbiased = True

    def backward(self, node):
        on, off = (node.cost_at(np.full(node.shape, bit), rows="one by one") for bit in (1.0, 0.0))
        return node.probs * (1 - node.probs) * (on - off)


class TwoPoint(Estimator):
    """The sample is p ± 0.2, or the certain bit where abs(logit) > 20; the gradient is that of this relaxed model."""

    needs = {"grad"}
    unbiased = True

    def sample(self, logits, u):
        logits = np.asarray(logits, float)
        return ops.sigmoid(logits) + np.where(np.abs(logits) > 20, 0, np.where(u < 0.5, 0.2, -0.2))

    def backward(self, node):
        return node.grad * node.probs * (1 - node.probs)


class Smooth(Estimator):
    """The sample is p itself, without noise."""

    needs = {"grad"}
    unbiased = True

    def sample(self, logits, u):
        return ops.sigmoid(np.asarray(logits, float))

    def backward(self, node):
        return node.grad * node.probs * (1 - node.probs)


class SmoothAndBiased(Smooth):
    """The same, and the slope p (1 − p) is forgotten."""

    unbiased = False

    def backward(self, node):
        return node.grad


class Biased(Estimator):
    """Straight-through: the gradient is passed on as it is."""

    needs = {"grad"}

    def backward(self, node):
        return node.grad


class MidPoint(Estimator):
    """p (1 − p) f'(½), which runs the rule under test again at another value; bits that are certain stay.

    No estimate of the gradient by its own logits, but one whose mean is known where the rule below is right.
    """

    needs = {"cost_and_grad_at"}
    unbiased = True

    def backward(self, node):
        _, slope = node.cost_and_grad_at(np.where(np.abs(node.logits) > 20, node.value, 0.5))
        return node.probs * (1 - node.probs) * slope


#: Rules that a node above or below may have.  Those of BIASED leave their own logits without a right gradient.
NEIGHBOURS = {"exact": Exact, "relaxed": TwoPoint, "straight-through": Biased, "mid-point": MidPoint, "smooth": Smooth,
              "smooth, with a wrong slope": SmoothAndBiased}
BIASED = {"straight-through", "smooth, with a wrong slope"}


# ---- the problem ---------------------------------------------------------------------------------------------


class Model:
    """The loss under some circumstances: with Tensors, and, for its expectation, with NumPy.

    Rows are counted without their axes: R rows of U units, whatever the shape of the node.

    Attributes
    ----------
    live : the (row, unit) pairs of bits that are not certain.
    start : dict of arrays, the values of the parameters.
    judged : the names of parameters whose gradient a right rule gets right.
    """

    def __init__(self, circumstances, copies=1, dtype=np.float64):
        c = self.circumstances = circumstances
        self.copies = copies
        self.group = 1 if c.samples == "one" else 2             # rows of one example
        rows, units = c.rows * self.group, c.units
        numbers = np.random.default_rng(8)
        self.live = sorted({(rows - 1, units - 1), (0, 0)}) if c.live > 1 else [(rows - 1, units - 1)]
        logits = np.where(numbers.random((33 * 2, 17))[:rows, :units] < 0.5, -CERTAIN, CERTAIN)
        for number, place in enumerate(reversed(self.live)):
            logits[place] = c.logit * (-0.7) ** number
        if c.all_live:
            self.live = list(product(range(rows), range(units)))
            logits[:] = self.all_logits(c)
        if c.rare:
            for place in self.live[:-1]:
                logits[place] = np.clip(logits[place], -0.8, 0.8)
            logits[self.live[-1]] = -c.logit
        is_live = np.zeros(logits.shape)
        is_live[tuple(np.transpose(self.live))] = 1
        self.live_rows = is_live.any(axis=1)
        self.first = numbers.normal(size=(66, 17))[:rows, :units] + 0.5
        self.second = numbers.normal(size=(66, 17))[:rows, :units] - 0.4
        if c.ties:
            self.first[:], self.second[:] = self.first[0], self.second[0]
        shrink = np.where(is_live == 1, 1, 1 / np.sqrt(units))
        self.first, self.second = self.first * shrink, self.second * shrink
        self.share = np.array([0.5, -1.5, 2.0, -0.25, 1.0])[np.arange(c.rows) % 5] if c.weights else np.ones(c.rows)
        self.second_weight = -0.5 if c.weights else 0.5
        self.is_live = is_live
        self.is_last = np.zeros(logits.shape)
        self.is_last[self.live[-1]] = 1
        self.start = {"logits": logits}
        if c.above != "nothing":
            top = np.full((rows, 1), -CERTAIN)
            top[-1] = 0.6
            self.start["above"] = top
        if c.below != "nothing":
            self.start["below"] = is_live.any(axis=1, keepdims=True) * np.linspace(0.9, -0.6, units)
        self.judged = ["logits"] + [name for name in ("above", "below")
                                    if name in self.start and getattr(c, name) not in BIASED]
        self.middle = 0.0
        if c.sign == "mixed":       # costs lie on both sides of that at the means
            self.middle = self.shape_of_costs(np, ops.sigmoid(self.start["logits"]), 0.5, 0.5)[0]
        for name in ("first", "second", "share", "is_live", "is_last", "middle"):
            setattr(self, name, self.tiled(np.asarray(getattr(self, name), dtype)))

    @staticmethod
    def all_logits(c):
        """The logits of a sample, all of whose bits are live."""
        if c.equal == "no":
            return np.linspace(0 if c.ties else -0.7, 0.8, c.units)
        return 0.0 if c.equal == "at 0" else 0.6 * np.where(np.arange(c.units) % 3 < 2, 1, -1)

    def tiled(self, x):
        """An array by rows once for each copy, one after the other."""
        return x if self.copies == 1 or x.ndim == 0 else np.tile(x, (self.copies,) + (1,) * (x.ndim - 1))

    # -- the formulas, for arrays with any axes in front, and for Tensors -----------------------------

    def shape_of_costs(self, xp, bits, above, below):
        """Two costs of each row, positive and curved in every unit, and what the term outside is made of."""
        s = (bits * self.first).sum(axis=-1) + 0.3 * above + 0.8 * below
        q = (bits * self.second).sum(axis=-1) - 0.3 + 0.5 * below
        if self.group > 1 and self.circumstances.samples == "two with one cost":
            s, q = (x.reshape(*x.shape[:-1], -1, 2) for x in (s, q))
            s, q = s[..., 0] + 0.7 * s[..., 1], q[..., 0] * 0.6 + q[..., 1]
        return xp.exp(0.5 * s) + 0.5 * q * q, 0.5 * (s - 0.2) * (s - 0.2), s

    def costs(self, xp, bits, above, below):
        """Both costs of each row with scale, sign and offset, and the term outside."""
        c = self.circumstances
        f, g, s = self.shape_of_costs(xp, bits, above, below)
        factor = -c.scale if c.sign == "negative" else c.scale
        outer = factor * ((s.mean(axis=-1) + 0.5) * (s.mean(axis=-1) + 0.5))
        f = f - self.middle
        if c.costs == "sometimes 0":
            on = self.by_example((bits * self.is_live + (1 - self.is_live)).prod(axis=-1), "prod")
            f, g = f * on, g * on
        elif c.costs == "rarely large":
            f = f + LARGE * self.by_example((bits * self.is_last).sum(axis=-1), "sum")
        return factor * f + c.offset, factor * g, outer

    def by_example(self, x, reduce):
        """A number for each row as one for each cost, of which several rows may have a part."""
        if self.circumstances.samples != "two with one cost":
            return x
        return getattr(x.reshape(*x.shape[:-1], -1, 2), reduce)(axis=-1)

    def below_logits(self, bits, weight):
        """The logits of the node below: certain where the row is, and a weighted sum of the bits where not."""
        sign = np.where(np.arange(len(self.is_live)) % 2, CERTAIN, -CERTAIN)
        certain = (1 - self.is_live.max(axis=1)) * sign.astype(self.is_live.dtype)
        return (bits * weight).sum(axis=-1) + certain + 0.25

    # -- with Tensors ----------------------------------------------------------------------------------

    def leaves(self, dtype=np.float64):
        return {name: tensor(self.tiled(x), requires_grad=True, dtype=dtype)
                for name, x in self.start.items()}

    def loss(self, rules, params, rng):
        """The loss as a graph; ``rules`` are those of the node under test, of the one above and of the one below."""
        c = self.circumstances
        dtype = params["logits"].dtype
        rows = c.rows * self.copies
        lead = (rows,) if self.group == 1 else (rows, 2)
        logits, top, low = params["logits"], 0.0, 0.0

        def drawn(x, rule, units, name, context=None):
            shape = {0: (*lead, units), 1: (*lead, units), 2: (*lead, *factors(units))}[c.axes]
            return bernoulli(x.reshape(shape), rule, rng=rng, event_ndim=c.axes, name=name, context=context
                             ).reshape(prod(lead), units)

        if "above" in params:
            top = drawn(params["above"], rules[1], 1, "above")
            logits = logits + COUPLING * (top * self.is_live)
            top = top[:, 0]
        context = None
        if c.context or c.shared:
            each = np.linspace(-1, 1, prod(lead) * 2 // self.copies).reshape(-1, *lead[1:], 2).astype(dtype)
            if c.shared:
                each = each[np.arange(len(each)) // 2]
            each = self.tiled(each)
            context = np.broadcast_to(each[..., None, :], (*lead, c.units, 2)).copy() if c.axes == 0 else each
        bits = drawn(logits, rules[0], c.units, "under test", context)
        if "below" in params:
            low = drawn(self.below_logits(bits, params["below"]).reshape(-1, 1), rules[2], 1, "below")[:, 0]
        f, g, outer = self.costs(ops, bits, top, low)
        if c.samples == "two with log-weights":
            bound = expected(f.reshape(*lead), over=1)
            total = 0.75 * bound + self.second_weight * expected(g.reshape(*lead).mean(axis=1))
        else:
            total = 0.75 * expected(f * self.share) + self.second_weight * expected(g)
        return total + 0.3 * outer if c.outside else total

    # -- with NumPy: the expectation and its gradient ----------------------------------------------------

    def states(self):
        """All joint outcomes, one a row: bits of the live units, then of the live rows above and below."""
        count = len(self.live) + ("above" in self.start) + int(self.live_rows.sum()) * ("below" in self.start)
        return np.array(list(product([0.0, 1.0], repeat=count)))

    def expectation(self, params):
        """The expected loss, and the largest costs of a row over all outcomes."""
        c = self.circumstances
        states = self.states()
        probability, top, used = np.ones(len(states)), 0.0, 0

        def take(logits, rule, places):
            """Values of some bits in all states, by their column; ``logits`` broadcast against (states, …)."""
            nonlocal probability, used
            p = ops.sigmoid(np.broadcast_to(logits, (len(states), *np.shape(logits)[1:])))
            value = (p > 0.5).astype(float)
            for place in places:
                at = (slice(None), *place)
                bit, q = states[:, used], p[at]
                used += 1
                if rule == "relaxed":
                    value[at], q = q + np.where(bit == 1, 0.2, -0.2), 0.5
                elif rule in ("smooth", "smooth, with a wrong slope"):
                    value[at], q = q, 0.5
                else:
                    value[at] = bit
                probability = probability * np.where(bit == 1, q, 1 - q)
            return value

        logits = params["logits"][None]
        if "above" in params:
            value = take(params["above"][None], c.above, [(len(self.is_live) - 1, 0)])
            if "value above" in params:
                value[:, -1] = params["value above"]
            logits, top = logits + COUPLING * value * self.is_live, value[..., 0]
        bits = take(logits, None, self.live)
        low = 0.0
        if "below" in params:
            live = [(row,) for row in np.flatnonzero(self.live_rows)]
            low = take(self.below_logits(bits, params["below"]), c.below, live)
        f, g, outer = self.costs(np, bits, top, low)
        if c.samples == "two with log-weights":
            f = f.reshape(len(states), -1, 2)
            most = f.max(axis=-1)
            f = most + np.log(np.exp(f - most[..., None]).mean(axis=-1))
            size = 0.75 * np.abs(f).max() + 0.5 * np.abs(g).max()
        else:
            f = f * self.share
            size = 0.75 * np.abs(f).max() + 0.5 * np.abs(g).max()
        loss = 0.75 * f.mean(axis=-1) + self.second_weight * g.mean(axis=-1) + (0.3 * outer if c.outside else 0.0)
        return probability @ loss, size + (0.3 * np.abs(outer).max() * c.rows if c.outside else 0.0)


def factors(units):
    """Two event axes for so many units."""
    return (2, units // 2) if units % 2 == 0 else (1, units)


class Truth:
    """A model, its true gradient by all coordinates that are judged, and the size of its costs."""

    def __init__(self, circumstances):
        c = circumstances
        self.model = Model(c)
        plain = Model(replace(c, offset=0.0))       # an offset changes no gradient, and would cost digits
        self.size = plain.expectation(plain.start)[1]
        self.gradient = {name: np.zeros(plain.start[name].shape) for name in plain.judged}
        for name, gradient in self.gradient.items():
            live = self.model.live_rows if name != "above" else np.arange(len(gradient)) == len(gradient) - 1
            for place in np.argwhere(np.broadcast_to(live[:, None], gradient.shape)):
                place = tuple(place)
                if np.abs(plain.start[name][place]) < CERTAIN:
                    gradient[place] = difference(plain, plain.start, name, place)
        if c.above == "mid-point":
            p = ops.sigmoid(plain.start["above"][-1, 0])
            at_half = {**plain.start, "value above": np.array([0.5])}
            self.gradient["above"][-1, 0] = p * (1 - p) * difference(plain, at_half, "value above", (0,))


def difference(model, start, name, place):
    """The derivative of the expected loss, by values at x ± h and x ± 2h: exact for polynomials of degree four."""
    def at(steps):
        params = {key: x.copy() for key, x in start.items()}
        params[name][place] += steps * STEP
        return model.expectation(params)[0]
    return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * STEP)


@lru_cache(1024)
def truth(circumstances):
    """The truth about a problem, computed once."""
    return Truth(circumstances)
