"""gradcheck finds small errors, reports their kind and place, and accepts right gradients."""

import re

import numpy as np
import pytest

import minigrad as mg
from minigrad import ops
from minigrad.ops.primitives import Primitive
from minigrad.tensor import tensor
from minigrad.testing import gradcheck

rng = np.random.default_rng(3)


def made(forward, *products):
    """A primitive that a test makes, which is not in the table."""
    primitive = Primitive(forward)
    primitive.vjps(*products)
    return primitive


def verdict(fn, inputs, **options):
    with pytest.raises(AssertionError) as raised:
        gradcheck(fn, inputs, **options)
    return str(raised.value)


def test_nan_is_no_gradient():
    assert ": wrong" in verdict(made(np.copy, lambda g, out, x: g * np.nan), [np.ones(2)])


def test_right_gradients_pass():
    x, y = rng.standard_normal((3, 4)), rng.standard_normal((4, 2))
    assert gradcheck(lambda x, y: ops.softmax(ops.tanh(x) @ y), [tensor(x), y], order=2)
    assert gradcheck(lambda x, i: x[i], [x, np.array([2, 0, 0])], order=2)
    assert gradcheck(ops.sum, [np.zeros((0, 3))])


def test_float32_inputs_are_checked_in_float64():
    assert gradcheck(ops.exp, [rng.standard_normal(5).astype(np.float32)])


@pytest.mark.parametrize("size", [1e-30, 1e-3, 1e3, 1e9])
def test_inputs_and_values_of_any_size_pass(size):
    assert gradcheck(lambda x: x * x, [size * rng.standard_normal(5)], order=2)
    assert gradcheck(lambda x: x * size, [rng.standard_normal(5)], order=2)


def test_one_entry_in_a_thousand_off_by_one_percent_is_found():
    weight = rng.uniform(0.5, 1.5, (20, 50))
    off = np.ones((20, 50))
    off[13, 37] = 1.01
    product = made(lambda x: weight @ x, lambda g, out, x: g @ (weight * off))
    message = verdict(product, [rng.standard_normal(50)])
    assert re.search(r"argument 0 at index \(37,\), output \(13,\): wrong", message)
    expected, got = re.search(r"Expected (\S+) .*, got (\S+) \(vector", message).groups()
    np.testing.assert_allclose([float(expected), float(got)], weight[13, 37] * np.array([1, 1.01]), rtol=1e-8)
    assert message.endswith("seed 0")


def test_in_a_large_jacobian_the_entry_is_found_along_random_directions():
    off = np.ones(300)
    off[123] = 1.01
    double = made(lambda x: 2 * x, lambda g, out, x: 2 * g * off)
    message = verdict(lambda x: ops.tanh(double(x)), [rng.standard_normal(300)], seed=7)
    assert "argument 0 at index (123,), random cotangent: wrong" in message
    assert message.endswith("seed 7")


def test_the_primitive_at_fault_is_named_in_a_longer_function():
    cube = made(lambda x: x ** 3, lambda g, out, x: 2 * g * x * x)
    cube.name = "cube"
    message = verdict(lambda x, y: ops.exp(ops.sin(x) * cube(y) + y).sum(), [rng.uniform(1, 2, 3)] * 2)
    assert "primitive cube, argument 0 at index" in message
    assert ": wrong." in message


def test_a_value_that_leaves_the_graph_is_laid_to_no_primitive():
    message = verdict(lambda x: x * x.detach(), [np.array([2.0])])
    assert "does a value leave the graph?" in message
    assert "Expected 4 (central difference), got 2 (vector-Jacobian product)" in message


def test_a_product_that_is_not_linear_in_the_cotangent_is_found():
    assert "random cotangent: wrong" in verdict(made(np.copy, lambda g, out, x: g * g), [np.ones(2)])


@pytest.mark.parametrize(("fn", "x"), [
    (ops.relu, 0.0), (lambda x: x * (x > 1), 1.0),
    (made(lambda x: np.maximum(x, 0), lambda g, out, x: 0 * g), 2e-6),
])
def test_a_kink_or_jump_within_the_step_is_called_a_kink(fn, x):
    assert ": kink." in verdict(fn, [np.array([x])])


@pytest.mark.parametrize(("fn", "x"), [
    (ops.relu, 4e-6), (ops.relu, 2e-6), (ops.relu, -3e-6), (lambda x: ops.maximum(x, 2), 2 + 1e-6),
    (lambda x: ops.sin(5e4 * x), 0.3), (lambda x: ops.sin(5e4 * x), 1.9), (ops.sin, 1e6), (ops.sin, 2e6),
    (ops.log, 1e-7), (ops.log, 1e-12), (ops.reciprocal, 1e-5),
])
def test_a_function_that_varies_within_the_step_is_compared_with_finer_steps(fn, x):
    assert gradcheck(fn, [np.array([x])])

    def slope(x):
        leaf = mg.tensor(x, requires_grad=True)
        return mg.grad(fn(leaf), leaf).data
    wrong = made(lambda x: fn(x), lambda g, out, x: g * (1.001 * slope(x) + 1e-3))
    with pytest.raises(AssertionError, match=r"wrong|kink|step too coarse"):
        gradcheck(wrong, [np.array([x])])


@pytest.mark.parametrize("slope", [1e-3, 0.0])
def test_an_offset_that_hides_the_slopes_is_said(slope):
    offset = made(lambda x: 1e7 + 1e-3 * x, lambda g, out, x: slope * g)
    with pytest.raises(AssertionError, match=r"cannot tell\. .* hide slopes below 0\.0015"):
        gradcheck(offset, [np.array([0.7])])
    constant = made(lambda x: 1e3 + 0 * x, lambda g, out, x: 0 * g)
    assert gradcheck(constant, [np.array([0.7])])


def test_a_step_of_ones_own():
    sine = made(np.sin, lambda g, out, x: g * np.cos(x) * (1 + 1e-5))
    assert "wrong" in verdict(sine, [np.array([0.7])])
    assert gradcheck(ops.sin, np.array([0.7]), step=1e-4, rtol=1e-5)
    for bad in (0, -1e-3, "1"):
        with pytest.raises(ValueError, match="expected a step above 0"):
            gradcheck(ops.sin, [np.array([0.7])], step=bad)


def test_random_bits_are_refused_with_what_helps():
    def fn(x):
        return mg.expected(mg.bernoulli(x, mg.estimators.ARM(), rng=mg.Generator(0), name="gate").sum(axis=1))
    with pytest.raises(ValueError, match=r"without random bits, got node 'gate' .*exact_gradient .*assert_unbiased"):
        gradcheck(fn, [np.zeros((2, 1))])
    dropout = mg.nn.Dropout(0.5)
    assert gradcheck(lambda x: dropout(x, mg.Generator(1)), [np.ones((2, 3))])
    with pytest.raises(ValueError, match=r"same value each time, .*rng=mg.Generator\(0\)"):
        gradcheck(lambda x: dropout(x, mg.random.current()), [np.ones((20, 30))])


def test_second_derivatives_are_checked_on_their_own():
    # The product is right, but hides its dependence on x from a second differentiation.
    square = made(np.square, lambda g, out, x: 2 * g * ops.stop_gradient(x))
    assert gradcheck(square, [np.ones(2)])
    assert "second derivative, " in verdict(square, [np.ones(2)], order=2)


def test_the_same_seed_gives_the_same_message():
    wrong = made(np.square, lambda g, out, x: g * x)
    x = rng.standard_normal(200)
    assert verdict(wrong, [x], seed=1) == verdict(wrong, [x], seed=1)
    assert verdict(wrong, [x], seed=1) != verdict(wrong, [x], seed=2)


def test_integers_alone_cannot_be_checked():
    with pytest.raises(ValueError, match="expected floating Tensors or arrays"):
        gradcheck(lambda x: x * 2.0, [np.arange(3)])


@pytest.mark.parametrize(("fn", "options", "error", "words"), [
    (lambda x: 3.0, {}, TypeError, "returns a float64 Tensor, got float"),
    (lambda x: x > 0, {}, TypeError, "got a Tensor of bool"),
    (lambda x: ops.astype(x, dtype=np.float32), {}, TypeError, "got a Tensor of float32"),
    (lambda x: x * rng.standard_normal(), {}, ValueError, "same value each time"),
    (lambda x: x, {"order": 3}, ValueError, "order 1 or 2, got 3"),
])
def test_what_cannot_be_checked_is_refused(fn, options, error, words):
    with pytest.raises(error, match=words):
        gradcheck(fn, [np.ones(2)], **options)
