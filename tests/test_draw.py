"""Drawings of a graph name every node once, in order, and mark the stochastic ones with their rules."""

import re
import shutil
import subprocess

import numpy as np
import pytest

import minigrad as mg


class Antithetic(mg.Estimator):
    """ARM: two replays for each estimate."""

    needs = {"cost_at"}

    def backward(self, node):
        other = (1 - node.noise < node.probs).astype(node.logits.dtype)
        return (node.cost_at(other) - node.cost_at(node.value)) * (node.noise - 0.5)


@pytest.fixture
def loss():
    weight = mg.tensor(np.ones((2, 3)), requires_grad=True)
    first = mg.bernoulli(weight * 2, Antithetic(), name="first", rng=mg.Generator(1))
    second = mg.bernoulli(first - 0.5, mg.estimators.StraightThrough(), name='the "second"', rng=mg.Generator(2))
    return mg.expected(second.sum(axis=1))


def test_text(loss):
    loss.backward()
    assert mg.draw(loss).splitlines() == [
        "%0 = leaf (2, 3) float64, requires grad",
        "%1 = multiply(%0, 2) (2, 3) float64",
        "%2 = first(%1) (2, 3) float64 ~ Antithetic() needs cost_at, 2 replays",
        "%3 = subtract(%2, 0.5) (2, 3) float64",
        '%4 = the "second"(%3) (2, 3) float64 ~ StraightThrough() needs grad, 0 replays',
        "%5 = sum(%4, axis=1, keepdims=False) (2,) float64",
        "%6 = expected(%5) () float64",
    ]


def test_dot(loss):
    dot = mg.draw(loss, format="dot")
    assert re.findall(r"(\d+) -> (\d+);", dot) == [(str(i), str(i + 1)) for i in range(6)]
    assert dot.count("fillcolor") == 2
    if shutil.which("dot"):
        subprocess.run(["dot", "-Tsvg"], input=dot, text=True, check=True, capture_output=True)


def test_what_draw_refuses(loss):
    with pytest.raises(ValueError, match="'text' or 'dot'"):
        mg.draw(loss, format="png")
    with pytest.raises(TypeError, match="expected Tensors, got float"):
        mg.draw(1.0)
