"""Exact gradients of random graphs, computed only with NumPy: this file does not use minigrad.

A ``Graph`` is plain data: the values of its parameters and a list of steps.  ``random_graph`` makes one from a kind and
a seed.  ``truth`` reads the steps with NumPy.  It tries every joint outcome of all bits:

    E[loss] = Σ_outcomes P(outcome) loss(outcome)

It does not separate rows or terms of the loss.  The whole loss is differentiated by a complex step: for an analytic
function f, f'(x) = Im f(x + ih) / h.  There is no difference of two values, so there is no cancellation, and the step h
can be far below rounding.  (Squire & Trapp 1998, "Using complex variables to estimate derivatives of real
functions".)
"""

from dataclasses import dataclass, field
from itertools import product
from math import prod

import numpy as np

STEP = 1e-40


@dataclass
class Graph:
    """A loss with random bits, as data.

    Attributes
    ----------
    params : dict of arrays, the values of the parameters.
    steps : a list of (name, function, names of its arguments, options), in order.  All axes among the options are
        negative.  The step "bernoulli" draws bits from logits.
    loss : the name of the last step.
    """

    params: dict = field(default_factory=dict)
    steps: list = field(default_factory=list)
    loss: str = ""

    @property
    def nodes(self):
        """The names of the random steps."""
        return [name for name, function, _, _ in self.steps if function == "bernoulli"]


# ---- the truth -----------------------------------------------------------------------------------------------


def truth(graph):
    """The expected loss, a float, and its gradient, a dict of arrays."""
    gradient = {name: np.zeros(value.shape) for name, value in graph.params.items()}
    for name, value in graph.params.items():
        for index in np.ndindex(value.shape):
            moved = value.astype(complex)
            moved[index] += 1j * STEP
            gradient[name][index] = expectation(graph, {**graph.params, name: moved}).imag / STEP
    return float(expectation(graph, graph.params)), gradient


def expectation(graph, params):
    """The expected loss for these values of the parameters."""
    probability, values = outcomes(graph, params)
    return np.sum(probability * values[graph.loss])


def outcomes(graph, params):
    """The probability of each joint outcome of all bits, (outcomes,), and the values of all steps, a dict of arrays.

    The first axis of each array is that of the outcomes.  There is one at the start.  Where n bits are drawn, each
    outcome becomes 2ⁿ outcomes.
    """
    probability = np.ones(1)
    values = {name: value[None] for name, value in params.items()}
    for name, function, arguments, options in graph.steps:
        if function == "bernoulli":
            p = sigmoid(values[arguments[0]])
            shape = p.shape[1:]
            patterns = np.array(list(product((0.0, 1.0), repeat=prod(shape)))).reshape(-1, *shape)
            before, count = len(p), len(patterns)
            values = {other: np.repeat(value, count, axis=0) for other, value in values.items()}
            p = np.repeat(p, count, axis=0)
            bits = np.concatenate([patterns] * before)
            values[name] = bits
            of_each = np.where(bits == 1, p, 1 - p).reshape(len(bits), -1)
            probability = np.repeat(probability, count) * of_each.prod(axis=1)
        elif function == "constant":
            values[name] = np.repeat(options["value"][None], len(probability), axis=0)
        else:
            values[name] = FUNCTIONS[function](*(values[x] for x in arguments), **options)
    return probability, values


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def aligned(function):
    """An elementwise function whose arguments may have different numbers of axes after the first."""
    def call(*arrays):
        most = max(x.ndim for x in arrays)
        return function(*(x.reshape(len(x), *(1,) * (most - x.ndim), *x.shape[1:]) for x in arrays))
    return call


def mean_of_all(x):
    return x.reshape(len(x), -1).mean(axis=1)


def sum_of_all(x):
    return x.reshape(len(x), -1).sum(axis=1)


#: What each step means.  The first axis is that of the outcomes.
FUNCTIONS = {
    "add": aligned(lambda x, y: x + y),
    "multiply": aligned(lambda x, y: x * y),
    "divide": aligned(lambda x, y: x / y),
    "select": aligned(lambda bits, x, y: np.where(bits == 1, x, y)),
    "square": lambda x: x * x,
    "tanh": np.tanh,
    "exp": np.exp,
    "sigmoid": sigmoid,
    "dot": lambda x, weight: x @ weight[0],        # weights are the same in all outcomes
    "sum": lambda x, axis: x.sum(axis=axis),
    "mean": lambda x, axis: x.mean(axis=axis),
    "expand": lambda x, axis: np.expand_dims(x, axis),
    "total": sum_of_all,
    "expected": mean_of_all,
    "bound": lambda x: mean_of_all(np.log(np.exp(x).mean(axis=-1))),       # of log-weights
}


# ---- random graphs -------------------------------------------------------------------------------------------


class Sketch:
    """A graph in the making.  ``small`` asks for one with few bits."""

    def __init__(self, kind, seed, small):
        self.random = np.random.default_rng([list(KINDS).index(kind), seed, small])
        self.seed, self.small, self.graph = seed, small, Graph()
        self.units = {}         # of each node

    def pick(self, *choices):
        return choices[self.random.integers(len(choices))]

    def turn(self, *choices):
        """The choices in turn, one for each seed, so that every choice occurs."""
        return choices[self.seed % len(choices)]

    def parameter(self, *shape, size=0.8):
        name = f"p{len(self.graph.params)}"
        self.graph.params[name] = np.array(size * self.random.normal(size=shape))
        return name

    def constant(self, *shape, size=0.8):
        return self.step("constant", value=np.array(size * self.random.normal(size=shape)))

    def either(self, *shape):
        """A parameter or a constant."""
        return self.pick(self.parameter, self.parameter, self.constant)(*shape)

    def step(self, function, *arguments, **options):
        name = f"s{len(self.graph.steps)}"
        self.graph.steps.append((name, function, arguments, options))
        return name

    def draw(self, logits, units=1, event_ndim=1):
        bits = self.step("bernoulli", logits, event_ndim=event_ndim)
        self.units[bits] = units
        return bits

    def width(self):
        """The units of a layer."""
        return 1 if self.small else self.pick(1, 2)

    def rows(self, bits, most=9):
        """The axes of the samples, for so many bits in each: none, or one of up to three rows."""
        most = min(most, 4) if self.small else most
        found = [axes for axes in ((), (1,), (2,), (3,)) if bits * prod(axes) <= max(most, bits)]
        return found[-2:][self.seed // 2 % len(found[-2:])] if self.small else self.pick(*found)

    # -- parts of graphs --

    def logits(self, axes, units, above=()):
        """Logits of (*axes, units), computed from the nodes above."""
        if not above:
            if self.pick(True, False):
                return self.parameter(*axes, units, size=1.2)
            features = self.constant(*axes, 2)
            return self.step("add", self.step("dot", features, self.parameter(2, units)), self.parameter(units))
        logits = self.parameter(units)
        for node in above:
            logits = self.step("add", logits, self.step("dot", node, self.either(self.units[node], units)))
        return self.step("tanh", logits) if self.pick(True, False) else logits

    def layer(self, axes, units, *above):
        """A node whose logits depend on the nodes above."""
        return self.draw(self.logits(axes, units, above), units)

    def cost(self, *nodes):
        """A number for each sample.  It is not a sum over bits, so that the effect of one bit depends on the others."""
        hidden = self.either(2)
        for node in nodes:
            hidden = self.step("add", hidden, self.step("dot", node, self.either(self.units[node], 2)))
        hidden = self.step(self.pick("tanh", "exp", "square", "sigmoid"), hidden)
        return self.step("sum", self.step("multiply", hidden, self.either(2)), axis=-1)

    def expected(self, costs):
        return self.step("expected", costs)

    def sum(self, *terms):
        total, *others = terms
        for term in others:
            total = self.step("add", total, term)
        return total


def chain(s):
    """Each node below the last one; the cost depends on the last or on all."""
    widths = [s.width() for _ in range(2 if s.small else s.pick(2, 3))]
    axes = s.rows(sum(widths))
    nodes = []
    for units in widths:
        nodes.append(s.layer(axes, units, *nodes[-1:]))
    return s.expected(s.cost(*(nodes if s.pick(True, False) else nodes[-1:])))


def diamond(s):
    """Two nodes below one; the cost or a fourth node joins them."""
    widths = [s.width(), 1, 1]
    closed = not s.small and s.pick(True, False)
    axes = s.rows(sum(widths) + closed)
    top = s.layer(axes, widths[0])
    left, right = (s.layer(axes, units, top) for units in widths[1:])
    if not closed:
        return s.expected(s.cost(left, right))
    bottom = s.layer(axes, 1, left, right)
    return s.expected(s.cost(bottom, top) if s.pick(True, False) else s.cost(bottom))


def tree(s):
    """Branches of different depths, a term of the loss for each; one chooses a cost by the value of a bit."""
    deep = not s.small and s.pick(True, False)
    axes = s.rows(3 + deep)
    top = s.layer(axes, 1)
    left, right = s.layer(axes, 1, top), s.layer(axes, 1, top)
    leaf = s.layer(axes, 1, right) if deep else right
    first = s.cost(left)
    bit = s.step("sum", leaf, axis=-1)
    second = s.step("select", bit, s.cost(top), s.parameter()) if s.pick(True, False) else s.cost(leaf)
    return s.sum(s.expected(first), s.expected(second))


def shared(s):
    """Two nodes with the same logits, or two layers with the same weights; the cost may read the logits as well."""
    units = s.width()
    axes = s.rows(2 * units)
    logits = s.logits(axes, units)
    first = s.draw(logits, units)
    way = s.turn("same", "mirrored", "recurrent")
    if way == "same":
        second = s.draw(logits, units)
    elif way == "mirrored":
        second = s.draw(s.step("multiply", logits, s.parameter()), units)
    else:
        weight = s.parameter(units, units)
        logits = s.step("add", logits, s.step("dot", first, weight))
        second = s.draw(s.step("add", logits, s.step("dot", first, weight)), units)
    costs = s.cost(first, second)
    if s.pick(True, False):
        costs = s.step("add", costs, s.step("sum", s.step("multiply", s.step("tanh", logits), second), axis=-1))
    return s.expected(costs)


def event_axes(s):
    """Samples of no axis, or of two."""
    way = s.turn("rows", "coupled", "plane above", "table", "plane")
    if way == "rows":                                   # each row one bit
        rows = s.pick(1, 2) if s.small else s.pick(2, 3)
        first = s.draw(s.parameter(rows), event_ndim=0)
        second = s.draw(s.step("add", s.step("multiply", first, s.parameter(rows)), s.parameter()), event_ndim=0)
        costs = s.step("tanh", s.sum(first, s.step("multiply", second, s.parameter(rows)), s.either()))
        return s.expected(s.step("multiply", costs, s.either(rows)))
    if way == "table":                                  # each entry of a table one bit, with its own cost
        shape = (1, 2) if s.small else (2, 3)
        bits = s.draw(s.parameter(*shape), event_ndim=0)
        return s.expected(s.step("exp", s.step("multiply", bits, s.either(*shape))))
    if way == "coupled":                                # two bits of an example lead to one cost
        axes = (s.pick(1, 2),)
        bits = s.draw(s.parameter(*axes, 2 - s.small), 2 - s.small, event_ndim=0)
        return s.expected(s.cost(bits))
    axes = s.pick((), (1,)) if s.small else s.pick((), (1,), (2,))
    logits = s.parameter(*axes, 2, 1 if s.small else 2)
    if way == "plane above":
        above = s.layer(axes, 1)
        column = s.step("expand", s.step("dot", above, s.parameter(1, 1)), axis=-1)
        logits = s.step("add", logits, column)
    plane = s.draw(logits, event_ndim=2)
    weighted = s.step("multiply", plane, s.either(2, 1 if s.small else 2))
    return s.expected(s.step("tanh", s.step("sum", s.step("sum", weighted, axis=-1), axis=-1)))


def samples(s):
    """Several samples of each example, with a cost each, or with one cost that they share."""
    axes = (1,) if s.small else s.pick((1,), (2,))
    units = s.width()
    logits = s.step("expand", s.logits(axes, units), axis=-2)
    logits = s.step("add", logits, s.pick(s.parameter, lambda *shape: s.constant(*shape, size=0))(2, units))
    bits = s.draw(logits, units)
    if units * prod(axes) < 3 and s.pick(True, False):
        bits = s.layer((*axes, 2), 1, bits)
    costs = s.cost(bits)
    if s.turn(True, False):
        costs = s.step(s.pick("tanh", "square"), s.step("mean", costs, axis=-1))
    return s.expected(costs)


def weights(s):
    """Weights of costs and of terms: negative, trained, two for one term; and a term outside the mean over samples."""
    units = s.width()
    axes = s.rows(1 + units, 6)
    above = s.layer(axes, 1)
    below = s.layer(axes, units, above)
    weighted = s.step("multiply", s.cost(above, below), s.parameter(*axes, size=1.5))
    negative = s.step("multiply", s.step("constant", value=np.array(-0.7)), s.expected(s.cost(below)))
    mean = s.expected(weighted)
    twice = mean if s.pick(True, False) else s.expected(s.cost(above))
    trained = s.step("multiply", s.step("tanh", s.parameter()), twice)
    terms = [mean, negative, trained]
    if s.turn(True, False):
        outside = s.step(s.pick("tanh", "square"), s.step("total", below))
        terms.append(s.step("multiply", s.either(), outside))
    if s.pick(True, False):
        terms.append(s.step("square", s.parameter()))
    return s.sum(*terms)


def trailing_axes(s):
    """A node with one sample for each example above a node with two of them: costs have an axis more than the first."""
    axes = (1,) if s.small else s.pick((1,), (2,))
    above = s.layer(axes, 1)
    units = s.width() if axes == (1,) else 1
    by_example = s.step("expand", s.step("dot", above, s.parameter(1, units)), axis=-2)
    below = s.draw(s.step("add", by_example, s.parameter(2, units)), units)
    costs = s.cost(below)
    if s.pick(True, False):
        costs = s.step("multiply", costs, s.step("exp", above))        # (examples, 1): above has one unit
    loss = s.expected(costs)
    if s.pick(True, False):
        loss = s.step("add", loss, s.expected(s.step("expand", s.cost(above), axis=-1)))
    return loss


def quotients(s):
    """Quotients, products and other functions of means over samples: the loss is not linear in them."""
    units = s.width()
    axes = s.rows(1 + units, 6)
    above = s.layer(axes, 1)
    below = s.layer(axes, units, above)
    first = s.expected(s.cost(above, below))
    way = s.turn("quotient", "product", "quotient", "of the certain", "function")
    if way == "product":
        loss = s.step("multiply", first, s.expected(s.cost(below)))
    elif way == "function":
        loss = s.step("tanh", first)
    elif way == "of the certain":       # linear in the random mean after all
        certain = s.step("exp", s.step("dot", s.constant(3, 2), s.parameter(2, 1)))
        loss = s.step("divide", first, s.expected(s.step("sum", certain, axis=-1)))
    else:
        loss = s.step("divide", first, s.step("exp", s.expected(s.cost(below))))
    return s.step("add", loss, s.expected(s.cost(below))) if s.pick(True, False) else loss


def bounds(s):
    """Importance-weighted bounds: the mean over examples of log mean exp(log-weights)."""
    axes = (1,) if s.small else s.pick((1,), (2,))
    two = s.pick(True, False)
    units = 1 if two else s.width()
    by_example = s.step("expand", s.logits(axes, units), axis=-2)
    bits = s.draw(s.step("add", by_example, s.parameter(2, units)), units)
    if two and axes == (1,):
        bits = s.layer((*axes, 2), 1, bits)
    loss = s.step("bound", s.cost(bits))
    if s.pick(True, False):
        loss = s.step("add", s.step("multiply", loss, s.parameter()), s.expected(s.cost(bits)))
    return loss


#: The kinds of graphs, by name.
KINDS = {"chain": chain, "diamond": diamond, "tree": tree, "shared logits": shared, "event axes": event_axes,
         "sample axes": samples, "weights": weights, "trailing axes": trailing_axes, "quotients": quotients,
         "bounds": bounds}


def random_graph(kind, seed, small=False):
    """A graph of this kind."""
    s = Sketch(kind, seed, small)
    s.graph.loss = KINDS[kind](s)
    return s.graph
