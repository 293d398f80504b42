"""Rules in graphs: two layers, a batch of four, weighted costs; and rows that share a cost."""

import warnings
from itertools import product

import numpy as np
import pytest
from enumeration import EXACT, Chosen, Given, cells, close, grid, ramp, sigmoid

import minigrad as mg
from minigrad.estimators.control_variates import DoubleControlVariate, MuProp, Rebar
from minigrad.estimators.multi_sample import ARMS, LeaveOneOut
from minigrad.estimators.nvil import Nvil
from minigrad.estimators.pruned import PrunedFlip
from minigrad.estimators.relax import Relax
from minigrad.estimators.rodeo import Rodeo
from minigrad.estimators.score_function import Reinforce
from minigrad.estimators.stop import Stop
from minigrad.estimators.straight_through import StraightThrough

X = np.random.default_rng(2).normal(size=(4, 2))

W, V = np.array([[0.9, -0.6], [0.4, 1.1]]), np.array([[1.2], [-0.8]])

STATES = np.array(list(product([0.0, 1.0], repeat=2)))


def two_layers(a, rules, rngs=(None, None), example=slice(None)):
    above = mg.bernoulli(a, rules[0], rng=rngs[0])
    below = mg.bernoulli(above @ V - 0.2, rules[1], rng=rngs[1])
    one = (below[:, 0] + above @ np.array([0.7, -1.2]) - 0.3) ** 2
    two = mg.exp((above * X[example]).sum(axis=1) - below[:, 0])
    return 0.7 * mg.expected(one) - 2 * (mg.expected(two) / 5)


def below_values(rule, p, u):
    """For each row, the values at which the rule evaluates the graph below.  There the second layer changes."""
    if isinstance(rule, Rebar):
        return [ramp(np.log(p / (1 - p)), u, rule.temperature)[0]]
    return [np.broadcast_to(p, u.shape)]


@mg.testing.frozen_memories()
def mean_above(rule, below, draws=0, nodes=1, own=None):
    """The exact mean of the estimates for the first layer's logits, example by example."""
    means = []
    for i, p in enumerate(sigmoid(X @ W)):
        partitions = [cells(x, 1 - x, nodes=nodes) for x in p]
        u, share = grid(partitions * (1 + draws) + ([own] if own else []))
        q = [sigmoid(STATES @ V - 0.2)[:, 0] + np.zeros((len(u), 1))]
        q += [sigmoid(x @ V - 0.2) for x in below_values(rule, p, u[:, :2])]
        edges = np.sort(np.concatenate([np.zeros((len(u), 1)), *q, np.ones((len(u), 1))], axis=1), axis=1)
        pieces = np.diff(edges, axis=1)
        second = (edges[:, :-1] + pieces / 2).reshape(-1, 1)
        u = np.repeat(u, pieces.shape[1], axis=0)
        share = (share[:, None] * pieces).ravel()
        first = u[:, :2]
        drawn = [u[:, 2 * k:2 * k + 2] for k in range(1, 1 + draws)] + ([u[:, -1:]] if own else [])
        a = mg.tensor(np.tile((X @ W)[i], (len(u), 1)), requires_grad=True)
        two_layers(a, (rule, below), (Given(first, *drawn, 0.5), Chosen(second)), example=[i] * len(u)).backward()
        means.append(share @ a.grad * len(u))
    return np.array(means)


def exact_above():
    a = mg.tensor(X @ W, requires_grad=True)
    return 4 * mg.testing.exact_gradient(lambda: two_layers(a, (Stop(), Stop())), a)


def flips():
    """Cells of the number that draws the unit to flip, for all examples."""
    shares = []
    for p in sigmoid(X @ W):
        reach = np.cumsum(p * (1 - STATES[:-1]), axis=1)
        shares.append(reach / reach[:, -1:])
    return cells(*np.unique(np.concatenate(shares).round(12)))


def trained(rule, draws=0):
    """The rule after a few updates, with a memory that is not the initial one."""
    rng = np.random.default_rng(5)
    for _ in range(4):
        a = mg.tensor(X @ W, requires_grad=True)
        own = [rng.uniform(size=(4, 2)) for _ in range(draws)]
        rngs = Given(rng.uniform(size=(4, 2)), *own), Chosen(rng.uniform(size=(4, 1)))
        two_layers(a, (rule, Reinforce()), rngs).backward()
    return rule


@pytest.mark.parametrize(("rule", "draws", "below"), [
    (LeaveOneOut(), 1, StraightThrough()), (LeaveOneOut(3), 2, StraightThrough()), (ARMS(2), 0, StraightThrough()),
    (MuProp(), 0, Reinforce()), (MuProp(), 0, StraightThrough()), (DoubleControlVariate(), 1, Reinforce()),
    (DoubleControlVariate(), 1, StraightThrough()), (Rodeo(rate=0.1), 1, StraightThrough()),
])
def test_two_layers(rule, draws, below):
    """The estimates are right for any gradients below, also for MuProp and the double control variate."""
    if rule.state is not None:
        rule = trained(rule, draws)
    close(mean_above(rule, below, draws), exact_above(), **EXACT)


def test_two_layers_with_pruned_flips():
    close(mean_above(PrunedFlip(), StraightThrough(), own=flips()), exact_above(), **EXACT)


def test_two_layers_with_networks():
    close(mean_above(trained(Nvil(hidden=3)), StraightThrough()), exact_above(), **EXACT)
    close(mean_above(trained(Relax(hidden=3)), StraightThrough(), nodes=16), exact_above(), rtol=1e-6)


def test_two_layers_with_rebar_which_needs_unbiased_gradients_below():
    rule = trained(Rebar(0.5))
    close(mean_above(rule, Reinforce(), nodes=24), exact_above(), atol=2e-7)
    with pytest.warns(UserWarning, match=r"Rebar.* claims to be unbiased, .*StraightThrough\(\) is biased"):
        wrong = mean_above(rule, StraightThrough(), nodes=12)
    assert np.abs(wrong - exact_above()).max() > 0.01


def test_no_warning_where_nothing_is_wrong():
    a = mg.tensor(X @ W, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for rules in ((Rebar(), Reinforce()), (MuProp(), StraightThrough()), (Rebar(), Rebar())):
            two_layers(a, rules).backward()


@pytest.mark.parametrize(("rule", "draws"), [
    (LeaveOneOut(), 1), (MuProp(), 0), (DoubleControlVariate(), 1), (Rodeo(), 1), (PrunedFlip(), 0), (Nvil(), 0)])
def test_rows_that_share_a_cost(rule, draws):
    """Two rows of two units under one cost outside ``expected``: one graph for each joint outcome."""
    logits = np.array([[0.4, -1.0], [-0.3, 0.8]])
    p, states = sigmoid(logits), np.array(list(product([0.0, 1.0], repeat=4))).reshape(-1, 2, 2)

    def loss(a, rule, rng=None):
        b = mg.bernoulli(a, rule, rng=rng)
        return mg.exp((b * [[1.0, -0.5], [0.7, 0.3]]).sum()) + (b[0, 0] - b[1, 1]) ** 2 * b[1, 0]

    def draw(b):
        """Uniforms that lead to the state b, and its probability."""
        return np.where(b == 1, p / 2, (1 + p) / 2), np.where(b == 1, p, 1 - p).prod()

    a = mg.tensor(logits, requires_grad=True)
    mean = np.zeros((2, 2))
    for b in states:
        u, share = draw(b)
        if draws:
            own = [draw(other) for other in states]
        elif isinstance(rule, PrunedFlip):
            w = p * (1 - b)
            first = w[:, 0] / np.maximum(w.sum(axis=1), 1e-9)
            own = [(np.array([[v], [t]]), x * y) for v, x in cells(first[0]) for t, y in cells(first[1])]
        else:
            own = [(u, 1.0)]
        for v, part in own:
            a.grad = None
            with mg.testing.frozen_memories():
                loss(a, rule, Given(u, v)).backward()
            mean += share * part * a.grad
    close(mean, mg.testing.exact_gradient(lambda: loss(a, Stop()), a), **EXACT)
