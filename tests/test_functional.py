"""Values with gradients, Jacobians and Hessians equal closed forms; wrong arguments raise errors; new leaves."""

import numpy as np
import pytest

import minigrad as mg

A = np.array([[1.0, 2.0, 0.5], [-1.0, 0.0, 3.0], [0.25, 1.0, -2.0]])
X = np.array([0.5, -1.0, 2.0])


@pytest.mark.parametrize("made", [np.array, mg.tensor])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_closed_forms(made, dtype):
    x, a = made(X.astype(dtype)), A.astype(dtype)
    value, gradient = mg.value_and_grad(lambda x: x @ a @ x, x)
    np.testing.assert_allclose(value.data, X @ A @ X, rtol=1e-6)
    np.testing.assert_allclose(gradient.data, (A + A.T) @ X, rtol=1e-6)
    assert value.dtype == gradient.dtype == dtype
    assert not value.requires_grad
    linear = mg.jacobian(lambda x: a @ x, x)
    np.testing.assert_array_equal(linear.data, a)
    np.testing.assert_allclose(mg.hessian(lambda x: x @ a @ x, x).data, A + A.T, rtol=1e-6)
    assert linear.dtype == dtype


def test_shapes_of_results_come_before_those_of_inputs():
    x, y = np.arange(6.0).reshape(2, 3), np.array([2.0, 3.0])
    by_x, by_y = mg.jacobian(lambda x, y: x.T * y, [x, y])
    assert (by_x.shape, by_y.shape) == ((3, 2, 2, 3), (3, 2, 2))
    np.testing.assert_array_equal(by_x.data, np.einsum("ia,bj,a->baij", np.eye(2), np.eye(3), y))
    np.testing.assert_array_equal(by_y.data, np.einsum("ab,ac->bac", x, np.eye(2)))
    assert mg.jacobian(lambda x: x.sum(), x).shape == (2, 3)


def test_a_hessian_of_several_inputs():
    x, y = np.array([1.0, 2.0]), np.array([3.0])
    (xx, xy), (yx, yy) = mg.hessian(lambda x, y: (x ** 2 * y).sum() + x[0], [x, y])
    np.testing.assert_array_equal(xx.data, np.diag([6.0, 6.0]))
    np.testing.assert_array_equal(xy.data, [[2.0], [4.0]])
    np.testing.assert_array_equal(yx.data, [[2.0, 4.0]])
    np.testing.assert_array_equal(yy.data, [[0.0]])


def test_a_hessian_is_zero_where_the_gradient_is_constant():
    np.testing.assert_array_equal(mg.hessian(lambda x: (x * [1.0, 2.0]).sum(), np.ones(2)).data, np.zeros((2, 2)))


def test_no_gradient_is_left_behind():
    w, x = mg.tensor([2.0], requires_grad=True), mg.tensor([3.0], requires_grad=True)
    _, gradient = mg.value_and_grad(lambda x: (w * x).sum(), x)
    mg.jacobian(lambda x: w * x, x)
    assert gradient.tolist() == [2.0]
    assert w.grad is None
    assert x.grad is None


def test_expected_costs_go_through_their_rules():
    def loss(rule):
        return lambda logits: mg.expected((mg.bernoulli(logits, rule, rng=mg.Generator(1)) * [1.0, 2.0]).sum(axis=1))

    logits = np.array([[-50.0, 50.0]])
    _, gradient = mg.value_and_grad(loss(mg.estimators.StraightThrough()), logits)
    assert gradient.tolist() == [[1.0, 2.0]]
    with pytest.raises(ValueError, match="no second derivative"):
        mg.hessian(loss(mg.estimators.DisARM()), logits)


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: mg.value_and_grad(lambda x: x, X), ValueError, r"one entry, got shape \(3,\)"),
    (lambda: mg.hessian(lambda x: x, X), ValueError, r"one entry, got shape \(3,\)"),
    (lambda: mg.jacobian(lambda x: x.data, X), TypeError, "jacobian: expected a function that returns a Tensor, got"),
    (lambda: mg.jacobian(lambda x: x, np.arange(3)), TypeError, "floating inputs, got dtype int64 for input 0"),
    (lambda: mg.jacobian(lambda x: x, 1.0), TypeError, "jacobian: expected a Tensor, an array or a list"),
    (lambda: mg.jacobian(lambda x: x.detach(), X), ValueError, "do not depend differentiably on input 0"),
    (lambda: mg.value_and_grad(lambda x, y: x.sum(), [X, X]), ValueError, "do not depend differentiably on input 1"),
])
def test_what_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
