"""Rules, leaves and losses for tests of binary nodes."""

import numpy as np

import minigrad as mg


class ARM(mg.Estimator):
    """(f(1[1 − u < p]) − f(1[u < p])) (u − ½), Yin & Zhou (2019): a rule that replays."""

    needs = {"cost_at"}
    unbiased = True

    def backward(self, node):
        antithetic = self.sample(node.logits, 1 - node.noise)
        return (node.cost_at(antithetic) - node.cost_at(node.value)) * (node.noise - 0.5)


class LocalExpectation(mg.Estimator):
    """p(1 − p)(f(b_i = 1) − f(b_i = 0)), row by row where rows share a cost."""

    needs = {"cost_at"}
    unbiased = True

    def backward(self, node):
        difference = np.empty_like(node.value)
        for i in range(node.shape[1]):
            on, off = node.value.copy(), node.value.copy()
            on[:, i], off[:, i] = 1, 0
            difference[:, i:i + 1] = node.cost_at(on, rows="one by one") - node.cost_at(off, rows="one by one")
        return node.probs * (1 - node.probs) * difference


class Probe(mg.Estimator):
    """Runs a function on the node, keeps its result, and estimates 0."""

    def __init__(self, look, *needs):
        self.look, self.needs = look, set(needs)

    def backward(self, node):
        self.seen = self.look(node)
        return np.zeros_like(node.value)


def leaf(value, dtype=float):
    return mg.tensor(np.asarray(value, dtype), requires_grad=True)


def passed_back(rule, cost, shape=(4, 3), event_ndim=1, rng=None):
    """The gradient of a loss made from the sample of one node with logits 0."""
    a = leaf(np.zeros(shape))
    cost(mg.bernoulli(a, rule, rng=rng or mg.Generator(5), event_ndim=event_ndim)).backward()
    return a.grad


def per_row(b):
    return mg.expected((b * b).sum(axis=-1))


def binary_network(rules, rows=2):
    """A network of binary layers of two units, and its parameters."""
    numbers = np.random.default_rng(4)
    logits = leaf(numbers.normal(size=(rows, 2)))
    weights = [leaf(numbers.normal(size=(2, 2))) for _ in rules[1:]]

    def fn(rng):
        bits = mg.bernoulli(logits, rules[0], rng=rng, name="layer 0")
        for i, (rule, weight) in enumerate(zip(rules[1:], weights, strict=True), 1):
            bits = mg.bernoulli(bits @ weight, rule, rng=rng, name=f"layer {i}")
        return mg.expected(mg.exp(bits @ np.array([1.0, -0.5])) + bits.prod(axis=1))
    return fn, {"logits": logits, **{f"weight {i}": w for i, w in enumerate(weights, 1)}}
