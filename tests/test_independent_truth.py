"""Enumeration and rules give the exact gradients of ``independent``, which shares no code with minigrad.

Random graphs are plain data.  ``independent.truth`` reads them with NumPy, ``loss_of`` reads them with minigrad.
"""

import ast
from collections import Counter
from math import prod
from pathlib import Path

import independent
import numpy as np
import pytest
from enumeration import Chosen, cells, grid
from independent import KINDS, Graph, random_graph, truth

import minigrad as mg
from minigrad.testing.moments import Problem
from minigrad.testing.outcomes import Continuous

close = np.testing.assert_allclose
GRAPHS, SMALL = 20, 4       # of each kind: for the exact gradient, and for the means of rules
UPDATES = 2                 # of the memory of a rule, before its mean is found
MOST_RUNS = 600             # joint outcomes of one graph and one rule
MOST_CELLS = 150            # the same for ``mean_by_cells``

#: Rules that compute with their noise.  Their mean is an integral and no sum, but for ARM: see ``mean_by_cells``.
CONTINUOUS = {"ARMS", "Rebar", "Relax"}
#: Rules that draw a second sample, which squares the number of outcomes.  To save time, half of the graphs with more
#: than 8 outcomes are left out for them.
SECOND_SAMPLE = {"DoubleControlVariate", "LeaveOneOut", "Rodeo"}
UNBIASED = [name for name in mg.estimators.__all__ if getattr(mg.estimators, name).unbiased]

#: What each step of a graph is in minigrad.
FUNCTIONS = {
    "constant": lambda value: mg.tensor(value),
    "add": lambda x, y: x + y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
    "select": lambda bits, x, y: mg.where(bits > 0.5, x, y),
    "square": mg.square,
    "tanh": mg.tanh,
    "exp": mg.exp,
    "sigmoid": mg.sigmoid,
    "dot": lambda x, weight: x @ weight,
    "sum": mg.sum,
    "mean": mg.mean,
    "expand": mg.expand_dims,
    "total": mg.sum,
    "expected": mg.expected,
    "bound": lambda x: mg.expected(x, over=-1),
}


def leaves_of(graph):
    return {name: mg.tensor(value, requires_grad=True) for name, value in graph.params.items()}


def loss_of(graph, leaves, rules, rng=None):
    """The loss of a graph in minigrad, with a rule for each of its nodes."""
    values, rules = dict(leaves), iter(rules)
    for name, function, arguments, options in graph.steps:
        x = [values[argument] for argument in arguments]
        if function == "bernoulli":
            values[name] = mg.bernoulli(*x, next(rules), rng=rng, **options)
        else:
            values[name] = FUNCTIONS[function](*x, **options)
    return values[graph.loss]


@pytest.mark.parametrize("kind", KINDS)
def test_the_exact_gradient_is_the_independent_one(kind):
    all_coordinates = []
    for seed in range(GRAPHS):
        graph = random_graph(kind, seed)
        expectation, gradient = truth(graph)
        leaves = leaves_of(graph)

        def fn(rng, graph=graph, leaves=leaves):
            return loss_of(graph, leaves, [mg.estimators.Stop()] * len(graph.nodes), rng)

        where = f"{kind}, seed {seed}: "
        if seed < 2:        # it is found together with the gradient
            close(mg.testing.exact_expectation(fn), expectation, rtol=1e-9, atol=1e-11, err_msg=where + "expectation")
        found = mg.testing.exact_gradient(fn, list(leaves.values()))
        for (name, true), array in zip(gradient.items(), found, strict=True):
            close(array, true, rtol=1e-9, atol=1e-11, err_msg=where + name)
            all_coordinates.extend(true.ravel())
    assert np.mean(np.abs(all_coordinates) > 1e-6) > 0.95       # the graphs are not trivial


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_of_a_rule_that_claims_to_be_unbiased_is_the_independent_gradient(kind):
    """One node has the rule: the first or a later one, depending on the seed.  The other nodes have REINFORCE."""
    seen = Counter()
    for seed in range(SMALL):
        graph = random_graph(kind, seed, small=True)
        true = np.concatenate([array.ravel() for array in truth(graph)[1].values()])
        for name in UNBIASED:
            what, mean = mean_of(name, graph, seed)
            seen[what] += 1
            if what == "compared":
                scale = 1 + np.abs(true).max()
                close(mean, true, rtol=1e-9, atol=1e-10 * scale, err_msg=f"{name} on {kind}, seed {seed}")
    assert seen["compared"] >= (len(UNBIASED) - len(CONTINUOUS)) * SMALL - 6, seen


def mean_of(name, graph, seed):
    """The result for a rule on a graph, in a word or two, and the mean of its estimate over all outcomes."""
    if name in SECOND_SAMPLE and seed % 2 == 0 and len(independent.outcomes(graph, graph.params)[0]) > 8:
        return "left out", None
    rule = getattr(mg.estimators, name)
    place = seed % len(graph.nodes)
    rules = [rule() if i == place else mg.estimators.Reinforce() for i in range(len(graph.nodes))]
    leaves = leaves_of(graph)

    def fn(rng):
        return loss_of(graph, leaves, rules, rng)

    if not all(claim.unbiased for claim in mg.testing.unbiased_nodes(fn)):
        return "no claim", None
    try:
        if rules[place].state is not None:
            for step in range(UPDATES):
                fn(mg.Generator(100 + step)).backward()
        if name == "ARM":
            return mean_by_cells(graph, fn, leaves, place)
        return "compared", Problem(fn, leaves).joint_moments(MOST_RUNS, seed=0).mean
    except Continuous:
        assert name in CONTINUOUS
        return "continuous", None
    except ValueError as error:
        if not str(error).startswith(name):
            raise
        return "refused", None


def mean_by_cells(graph, fn, leaves, place):
    """The same for ARM at one node.

    Its estimate is linear in each uniform u between jumps at σ(logit) and 1 − σ(logit).  These cut [0, 1] into cells,
    and the mean over a cell is the estimate at its middle.  A bit below another has several logits, so more cells.
    """
    values = independent.outcomes(graph, graph.params)[1]
    partitions, shapes = [], []
    for i, (_, _, (logits,), _) in enumerate(step for step in graph.steps if step[1] == "bernoulli"):
        shapes.append(values[logits].shape[1:])
        for attained in values[logits].reshape(len(values[logits]), -1).T:
            p = independent.sigmoid(np.unique(attained.round(13)))
            partitions.append(cells(*p, *(1 - p if i == place else ())))
    if prod(map(len, partitions)) > MOST_CELLS:
        return "too many", None
    mean = 0.0
    for u, probability in zip(*grid(partitions), strict=True):
        draws = np.split(u, np.cumsum([prod(shape) for shape in shapes])[:-1])
        found = mg.grad(fn(Chosen(*(x.reshape(shape) for x, shape in zip(draws, shapes, strict=True)))),
                        list(leaves.values()))
        mean = mean + probability * np.concatenate([g.data.ravel() for g in found])
    return "compared", mean


def test_the_independent_truth_of_a_graph_with_a_known_one():
    """Two bits, the second below the first, and the cost (b₁ + b₂)²."""
    a, c, w = 0.3, -0.4, 0.9
    graph = Graph({"a": np.array([a]), "c": np.array([c]), "w": np.array([w])}, [
        ("first", "bernoulli", ("a",), {"event_ndim": 1}),
        ("move", "multiply", ("first", "w"), {}),
        ("logits", "add", ("move", "c"), {}),
        ("second", "bernoulli", ("logits",), {"event_ndim": 1}),
        ("both", "add", ("first", "second"), {}),
        ("square", "square", ("both",), {}),
        ("loss", "expected", ("square",), {}),
    ], "loss")
    p, off, on = (1 / (1 + np.exp(-x)) for x in (a, c, c + w))
    expectation, gradient = truth(graph)
    close(expectation, (1 - p) * off + p * (1 + 3 * on), rtol=1e-15)
    close(gradient["a"], p * (1 - p) * (1 + 3 * on - off), rtol=1e-14)
    close(gradient["w"], p * 3 * on * (1 - on), rtol=1e-14)
    close(gradient["c"], (1 - p) * off * (1 - off) + p * 3 * on * (1 - on), rtol=1e-14)


def test_the_independent_truth_imports_nothing_of_minigrad():
    tree = ast.parse(Path(independent.__file__).read_text(encoding="utf-8"))
    names = {alias.name for x in ast.walk(tree) if isinstance(x, ast.Import) for alias in x.names}
    names |= {x.module for x in ast.walk(tree) if isinstance(x, ast.ImportFrom)}
    assert names == {"dataclasses", "itertools", "math", "numpy"}
