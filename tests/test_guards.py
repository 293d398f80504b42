"""First and second derivatives at the points that a primitive treats separately: zeros, ties, infinities.

A special case such as "0 where x is 0" gives the right value.  It must not change the derivative of the function.
"""

import numpy as np
import pytest

import minigrad as mg
from minigrad import ops
from minigrad.graph import Evaluation
from minigrad.testing import gradcheck

inf = np.inf


def derivatives(function, *point):
    """The gradient and the Hessian of a scalar function; H[i][j] is the j-th derivative of the i-th."""
    with np.errstate(all="ignore"):
        leaves = [mg.tensor(float(x), requires_grad=True) for x in point]
        slopes = mg.grad(function(*leaves), leaves, create_graph=True)
        hessian = []
        for slope in slopes:
            found = Evaluation([slope], [np.ones(())]).backward(leaves)
            hessian.append([float(found.get(x, 0.0)) for x in leaves])
    return [slope.item() for slope in slopes], hessian


@pytest.mark.parametrize(("function", "point", "gradient", "hessian"), [
    (ops.xlogy, (0, 2), [np.log(2), 0], [[0, 0.5], [0.5, 0]]),
    (ops.xlogy, (0, 0), [-inf, 0], [[0, inf], [inf, 0]]),
    (ops.xlogy, (2, 0), [-inf, inf], [[0, inf], [inf, -inf]]),
    (ops.xlog1py, (0, 1), [np.log(2), 0], [[0, 0.5], [0.5, 0]]),
    (ops.xlog1py, (0, -1), [-inf, 0], [[0, inf], [inf, 0]]),
    (ops.power, (2, 0), [0, np.log(2)], [[0, 0.5], [0.5, np.log(2)**2]]),
    (ops.power, (2, 1), [1, 2 * np.log(2)], [[0, 1 + np.log(2)], [1 + np.log(2), 2 * np.log(2)**2]]),
    (ops.power, (0, 3), [0, 0], [[0, 0], [0, 0]]),
    (ops.power, (0, 2), [0, 0], [[2, 0], [0, 0]]),
    (ops.power, (0, 0), [0, 0], [[0, 0], [0, 0]]),          # taken: none of them exists
    (ops.power, (0, -1), [-inf, -inf], None),
    (lambda x: x ** 2, (0,), [0], [[2]]),
    (lambda x: x ** 1, (0,), [1], [[0]]),
    (lambda x: x ** 0, (0,), [0], [[0]]),
    (lambda x: x ** 3, (-2,), [12], [[-12]]),
    (lambda x: x ** np.uint8(2), (-3,), [-6], [[2]]),
    (lambda x: x ** np.int8(0), (-3,), [0], [[0]]),
    (lambda x: 0.0 ** x, (2,), [0], [[0]]),
    (ops.maximum, (1, 1), [0.5, 0.5], [[0, 0], [0, 0]]),    # kinks: the curvature is taken to be 0
    (lambda x, y: ops.maximum(x, y) ** 2, (1, 1), [1, 1], [[0.5, 0.5], [0.5, 0.5]]),
    (lambda x, y: ops.minimum(x, y) ** 2, (1, 1), [1, 1], [[0.5, 0.5], [0.5, 0.5]]),
    (lambda x, y: ops.max(ops.stack([x, y])) ** 2, (1, 1), [1, 1], [[0.5, 0.5], [0.5, 0.5]]),
    (lambda x, y: ops.min(ops.stack([x, y])) ** 2, (1, 1), [1, 1], [[0.5, 0.5], [0.5, 0.5]]),
    (lambda x: ops.absolute(x) * x, (0,), [0], [[0]]),
    (lambda x: ops.relu(x) * x, (0,), [0], [[0]]),
    (lambda x: ops.clip(x, 0, 1) ** 2, (1,), [1], [[0.5]]),
    (ops.sqrt, (0,), [inf], [[-inf]]),
    (ops.logit, (0,), [inf], [[-inf]]),
    (ops.logit, (1,), [inf], [[inf]]),
    (lambda x, y: ops.where(x > 0, x * y, y / 2), (0, 3), [0, 0.5], [[0, 0], [0, 0]]),
    (lambda x, y: ops.mask(x * y, 0), (2, 3), [0, 0], [[0, 0], [0, 0]]),
    (lambda x, y: ops.mask(x * y, 1), (2, 3), [3, 2], [[0, 1], [1, 0]]),
    (lambda x, y: ops.prod(ops.stack([x, y, x])), (0, 3), [0, 0], [[6, 0], [0, 0]]),
    (lambda x, y: ops.logsumexp(ops.stack([x, y])), (-inf, 1), [0, 1], [[0, 0], [0, 0]]),
    (lambda x, y: ops.logsumexp(ops.stack([x, y])), (-inf, -inf), [0, 0], [[0, 0], [0, 0]]),
    (lambda x, y: ops.cross_entropy(ops.stack([x, y]), np.array(1)), (-inf, 1), [0, 0], [[0, 0], [0, 0]]),
    (lambda x, y: ops.softmax(ops.stack([x, y]))[1], (-inf, 1), [0, 0], [[0, 0], [0, 0]]),
])
def test_values(function, point, gradient, hessian):
    slopes, curvatures = derivatives(function, *point)
    np.testing.assert_allclose(slopes, gradient, rtol=1e-12)
    if hessian is not None:
        np.testing.assert_allclose(curvatures, hessian, rtol=1e-12)


@pytest.mark.parametrize(("function", "inputs"), [
    (ops.xlogy, [np.zeros(2), np.array([0.5, 2])]),
    (ops.xlog1py, [np.zeros(2), np.array([-0.5, 2])]),
    (lambda x: ops.power(x, np.array([0, 1, 2, 3, 4], np.int8)), [np.zeros(5)]),
    (lambda x: ops.power(x, np.array([0, 1, 2, 3, 4, -1])), [np.full(6, -2.0)]),
    (lambda x: ops.power(x, mg.tensor([0.0, 1, 2, 3, 4, -1])), [np.full(6, -2.0)]),
    (ops.power, [np.full(4, 2.0), np.array([0.0, 1, 2, -1])]),
    (lambda y: ops.power(0.0, y), [np.array([1.0, 2])]),
    (ops.softplus, [np.zeros(2)]), (ops.sigmoid, [np.zeros(2)]), (ops.log_sigmoid, [np.zeros(2)]),
    (ops.binary_cross_entropy, [np.zeros(2), np.array([0.5, 0.25])]),
    (ops.logsumexp, [np.zeros(3)]), (ops.softmax, [np.zeros(3)]), (ops.log_softmax, [np.zeros(3)]),
    (ops.tanh, [np.zeros(2)]), (ops.expm1, [np.zeros(2)]), (ops.log1p, [np.zeros(2)]), (ops.erf, [np.zeros(2)]),
    (lambda x: ops.prod(x, axis=1), [np.array([[0.0, 2, 3], [0, 0, 5], [0, 0, 0]])]),
    (ops.var, [np.zeros(3)]),
    (lambda x: ops.where(np.array([True, False]), ops.exp(x), ops.xlogy(x, 2.0)), [np.zeros(2)]),
    (lambda x, y: ops.mask(x * y, np.array([True, False])), [np.zeros(2), np.ones(2)]),
    (lambda x, y: ops.gated_linear(x, y, None, np.array([[1.0, 0.0]]), block=1).to_dense(),
     [np.zeros((1, 2)), np.ones((2, 2))]),
    (lambda x, g: ops.gated_linear(x, np.ones((2, 2)), None, g, block=1).to_dense() ** 2,
     [np.ones((1, 2)), np.array([[1.0, 2.0]])]),
])
def test_against_differences(function, inputs):
    assert gradcheck(function, inputs, order=2)
