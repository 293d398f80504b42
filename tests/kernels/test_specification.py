"""The specification gives the results of sums that are written as explicit loops."""

import numpy as np

from minigrad.kernels import specification

RNG = np.random.default_rng(0)
X, WEIGHT, BIAS, G = (RNG.standard_normal(shape) for shape in ((3, 4), (6, 4), (6,), (3, 6)))
GATES = np.array([[1, 0, 0.5], [0, 0, 2], [0, 0, 0]])
BLOCK = 2


def output(x, weight, bias, gates):
    out = np.zeros((3, 6))
    for i in range(3):
        for u in range(6):
            out[i, u] = gates[i, u // BLOCK] * (sum(x[i, d] * weight[u, d] for d in range(4)) + bias[u])
    return out


def slope(function, at):
    """Central differences of the sum of G · function(at); exact to rounding, since the function is linear in `at`."""
    gradient = np.zeros_like(at)
    for place in np.ndindex(*at.shape):
        moved = at.copy(), at.copy()
        moved[0][place] += 0.5
        moved[1][place] -= 0.5
        gradient[place] = (G * (function(moved[0]) - function(moved[1]))).sum()
    return gradient


def test_the_gated_layer_and_its_gradients():
    close = np.testing.assert_allclose
    close(specification.gated_linear(X, WEIGHT, BIAS, GATES, BLOCK), output(X, WEIGHT, BIAS, GATES), atol=1e-14)
    for got, expected in (
            (specification.gated_linear_dx(G, WEIGHT, GATES, BLOCK),
             slope(lambda x: output(x, WEIGHT, BIAS, GATES), X)),
            (specification.gated_linear_dw(G, X, GATES, BLOCK), slope(lambda w: output(X, w, BIAS, GATES), WEIGHT)),
            (specification.gated_linear_db(G, GATES, BLOCK), slope(lambda b: output(X, WEIGHT, b, GATES), BIAS)),
            (specification.gated_linear_dgates(G, X, WEIGHT, BIAS, BLOCK),
             slope(lambda gates: output(X, WEIGHT, BIAS, gates), GATES))):
        close(got, expected, atol=1e-13)


def test_the_three_products_are_those_of_the_layers():
    close = np.testing.assert_allclose
    opened = specification.per_unit(GATES != 0, BLOCK)
    h = specification.sdd(X, WEIGHT, GATES, BLOCK)
    assert ((h != 0) == opened).all()
    close(h[opened], (X @ WEIGHT.T)[opened])
    close(specification.dsd(h, WEIGHT), [[sum(h[i, u] * WEIGHT[u, d] for u in range(6)) for d in range(4)]
                                         for i in range(3)], atol=1e-14)
    close(specification.dw(h, X), [[sum(h[i, u] * X[i, d] for i in range(3)) for d in range(4)] for u in range(6)],
          atol=1e-14)
    close(specification.packed_linear(h, WEIGHT.T, np.ones(4)), h @ WEIGHT + 1)
    close(specification.packed_linear_dh(X, WEIGHT.T, GATES, BLOCK), h)
    close(specification.packed_linear_dw(X, h), X.T @ h)
