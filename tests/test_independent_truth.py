"""Enumeration and rules against a truth that shares no code with minigrad (``independent``).

Random graphs are plain data.  ``independent.truth`` reads them with NumPy, ``loss_of`` reads them with minigrad.
"""

import ast
from pathlib import Path

import independent
import numpy as np
import pytest
from independent import KINDS, Graph, random_graph, truth

import minigrad as mg

close = np.testing.assert_allclose
GRAPHS = 20         # of each kind

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
    for seed in range(GRAPHS):
        graph = random_graph(kind, seed)
        expectation, gradient = truth(graph)
        leaves = leaves_of(graph)

        def fn(rng, graph=graph, leaves=leaves):
            return loss_of(graph, leaves, [mg.estimators.Stop()] * len(graph.nodes), rng)

        where = f"{kind}, seed {seed}: "
        if seed % 4 == 0:       # it is found together with the gradient
            close(mg.testing.exact_expectation(fn), expectation, rtol=1e-9, atol=1e-11, err_msg=where + "expectation")
        found = mg.testing.exact_gradient(fn, list(leaves.values()))
        for (name, true), array in zip(gradient.items(), found, strict=True):
            close(array, true, rtol=1e-9, atol=1e-11, err_msg=where + name)
