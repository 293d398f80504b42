"""Rules that flip bits."""

import numpy as np
import pytest
from enumeration import EXACT, Chosen, cells, close, grid, sigmoid

import minigrad as mg
from minigrad.estimators.flips import BitFlip, Enumerate, LocalExpectation
from minigrad.stochastic import BinaryNode


def test_enumeration_refuses_too_many_units():
    a = mg.tensor(np.zeros((1, 13)), requires_grad=True)
    with pytest.raises(ValueError, match="at most 12 units"):
        mg.expected(mg.bernoulli(a, Enumerate()).sum(axis=1)).backward()


@pytest.mark.parametrize("rule", [LocalExpectation, BitFlip, Enumerate])
def test_rules_that_flip_bits_where_rows_share_a_cost(rule, monkeypatch):
    """Two rows of two units and one cost for all four: the mean over their 16 samples is exact."""
    logits = np.array([[0.4, -1.0], [2.0, 0.1]])
    a = mg.tensor(logits, requires_grad=True)

    def loss(rng=None):
        b = mg.bernoulli(a, rule(), rng=rng)
        return (b.sum() - 1.5) ** 2 + mg.exp(b[0, 0] - b[1, 1])
    exact = mg.testing.exact_gradient(lambda: loss(), a)
    u, probability = grid([cells(x) for x in sigmoid(logits).ravel()])
    draws = [0.25, 0.75] if rule is BitFlip else [0.5]
    for draw in draws:
        monkeypatch.setattr(BinaryNode, "rng", property(lambda node, draw=draw: Chosen(np.array(draw))))
        for row, share in zip(u, probability, strict=True):
            loss(Chosen(row.reshape(2, 2))).backward(np.array(share / len(draws)))
    close(a.grad, exact, **EXACT)
