"""Every primitive of the table: values, derivatives, dtypes, replays; then extremes, ties and errors."""

import subprocess
import sys

import numpy as np
import pytest
from cases import cases

from minigrad import ops
from minigrad.functional import grad, replay
from minigrad.ops.packed import as_the_argument
from minigrad.tensor import Tensor, tensor
from minigrad.testing import gradcheck

each = pytest.mark.parametrize("case", cases, ids=str)


def arrays(case, change=lambda x: x):
    """The inputs of a row with ``change`` made to its floating arrays, in lists as well."""
    def one(x):
        if isinstance(x, list):
            return [one(part) for part in x]
        return change(x) if getattr(x, "dtype", np.dtype(object)).kind == "f" else x
    return [one(x) for x in case.inputs]


def leaves_of(inputs):
    flat = [part for x in inputs for part in (x if isinstance(x, list) else [x])]
    return [x for x in flat if isinstance(x, Tensor)]


def leaf(x):
    return tensor(x, requires_grad=True)


def test_every_primitive_has_a_row():
    missing = set(ops.table) - {case.name for case in cases}
    assert not missing, f"add rows to tests/cases.py for {sorted(missing)}"


@each
def test_value(case):
    want = case.expected(*case.inputs)
    for got in (ops.dense(case.call(*case.inputs)), ops.dense(case.call(*arrays(case, leaf)))):
        got = got.data if isinstance(got, Tensor) else got
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)


@each
def test_derivatives(case):
    if case.order == 0:
        assert not getattr(case.call(*arrays(case, leaf)), "requires_grad", False)
    elif not isinstance(case.inputs[0], list):
        assert gradcheck(case.call, case.inputs, order=case.order)
    else:
        assert gradcheck(lambda *parts: case.call(parts), case.inputs[0], order=case.order)


@each
def test_float32_stays_float32(case):
    inputs = arrays(case, lambda x: leaf(x.astype(np.float32)))
    out = case.call(*inputs)
    if case.order == 0 or case.name == "astype":
        return
    assert out.dtype == np.float32
    np.testing.assert_allclose(out.data, case.expected(*case.inputs), rtol=2e-5, atol=1e-5)
    out.backward(np.ones(out.shape, np.float32))
    assert all(x.grad.dtype == np.float32 for x in leaves_of(inputs))


@each
def test_replay_sees_other_inputs(case):
    inputs = arrays(case, leaf)
    leaves = leaves_of(inputs)
    if leaves:
        out = case.call(*inputs)
        (again,) = replay([out], {x: x.data * 1.01 for x in leaves})
        want = case.call(*arrays(case, lambda x: x * 1.01))
        np.testing.assert_array_equal(ops.dense(again), ops.dense(want))


def test_replay_sees_another_index():
    index = tensor(np.array([0, 1, 2])) + leaf([1.0]).astype(int)
    x = leaf([1.0, 2.0, 3.0, 4.0])
    (again,) = replay([x[index]], {index: np.array([3, 3, 0])})
    np.testing.assert_array_equal(again, [4, 4, 1])


@pytest.mark.parametrize("name", [name for name, made in ops.table.items() if made.demand is as_the_argument])
def test_what_leaves_closed_units_closed_opens_no_other(name):
    x = np.array([0.0, 1e-300, 0.5, 3.0])
    np.testing.assert_array_equal(ops.table[name](x) == 0, x == 0)


# -- extremes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("function", "x", "value", "slope"), [
    (ops.sigmoid, [-1000, 1000], [0, 1], [0, 0]),
    (ops.softplus, [-1000, 1000], [0, 1000], [0, 1]),
    (ops.log_sigmoid, [-1000, 1000], [-1000, 0], [1, 0]),
    (ops.tanh, [-1000, 1000], [-1, 1], [0, 0]),
    (ops.softmax, [-1000, 1000], [0, 1], [0, 0]),
    (ops.log_softmax, [-1000, 1000], [-2000, 0], [1, -1]),
    (ops.logsumexp, [-1000, 1000], 1000, [0, 1]),
    (ops.logsumexp, [-np.inf, 0], 0, [0, 1]),
    (ops.logsumexp, [-np.inf, -np.inf], -np.inf, [0, 0]),
    (ops.logmeanexp, [1000, 1000], 1000, [0.5, 0.5]),
    (lambda x: ops.cross_entropy(x, np.array(0)), [-1000, 1000], 2000, [-1, 1]),
    (lambda x: ops.cross_entropy(x, np.array(1)), [-1000, 1000], 0, [0, 0]),
    (lambda x: ops.binary_cross_entropy(x, 1), [-1000, 1000], [1000, 0], [-1, 0]),
    (lambda x: ops.binary_cross_entropy(x, 0), [-1000, 1000], [0, 1000], [0, 1]),
    (ops.erfc, [-1000, 1000], [2, 0], [0, 0]),
    (lambda x: ops.power(x, 2), [0.0], [0], [0]),
    (lambda x: ops.power(x, 0), [0.0], [1], [0]),
    (lambda x: ops.power(x, 1), [0.0], [0], [1]),
    (lambda x: ops.power(0.0, x), [2.0], [0], [0]),
    (lambda x: ops.xlogy(0, x), [0.0], [0], [0]),
    (lambda x: ops.prod(x), [0.0, 3.0], 0, [3, 0]),
])
def test_no_overflow_and_no_nan(function, x, value, slope, dtype):
    x = tensor(x, dtype=dtype, requires_grad=True)
    with np.errstate(all="raise", under="ignore"):
        out = function(x)
        out.backward(np.ones(out.shape, dtype))
    np.testing.assert_allclose(out.data, value, rtol=1e-6)
    np.testing.assert_allclose(x.grad, slope, rtol=1e-6 if dtype == np.float64 else 1e-4, atol=1e-30)
    assert out.dtype == x.grad.dtype == dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_ndtr_has_a_slope_in_the_far_tail(dtype):
    x = tensor([-1000.0, 0.0, 1000.0], dtype=dtype, requires_grad=True)
    ops.log_ndtr(x).sum().backward()
    np.testing.assert_allclose(x.grad, [1000.000999998, np.sqrt(2 / np.pi), 0], rtol=1e-6)


def test_cross_entropy_of_a_sure_and_wrong_answer_keeps_its_digits():
    assert ops.binary_cross_entropy(np.array(50.0), 1) == np.exp(-50.0)


# -- conventions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("function", "x", "slope"), [
    (ops.max, [2.0, 1, 2, 2], [1 / 3, 0, 1 / 3, 1 / 3]),
    (ops.min, [2.0, 1, 1, 2], [0, 0.5, 0.5, 0]),
    (lambda x: ops.maximum(x, 1), [0.0, 1, 2], [0, 0.5, 1]),
    (lambda x: ops.minimum(1, x), [0.0, 1, 2], [1, 0.5, 0]),
    (lambda x: ops.clip(x, 0, 1), [0.0, 0.5, 1, 2], [0.5, 1, 0.5, 0]),
    (ops.relu, [-1.0, 0, 1], [0, 0, 1]),
    (ops.absolute, [-1.0, 0, 1], [-1, 0, 1]),
])
def test_ties_share_and_kinks_are_flat(function, x, slope):
    x = leaf(x)
    function(x).sum().backward()
    np.testing.assert_allclose(x.grad, slope)


def test_mask_closes_whatever_is_there():
    x = leaf([np.nan, np.inf, 2.0])
    out = ops.mask(x, tensor([0.0, 0.0, 0.5]))
    out.backward(np.array([np.nan, np.nan, 3.0]))
    np.testing.assert_array_equal(out.data, [0, 0, 2])
    np.testing.assert_array_equal(x.grad, [0, 0, 3])


@pytest.mark.parametrize(("call", "shape"), [
    (ops.sum, (0, 3)), (lambda x: ops.sum(x, axis=1), (0, 3)), (lambda x: ops.prod(x, axis=0), (0, 3)),
    (lambda x: ops.logsumexp(x, axis=0), (0, 2)), (ops.softmax, (0, 3)), (ops.softmax, (3, 0)),
    (lambda x: ops.max(x, axis=1), (0, 3)), (lambda x: ops.cross_entropy(x, np.zeros(0, int)), (0, 3)),
    (lambda x: x @ np.ones((3, 2)), (0, 3)), (lambda x: np.ones((2, 0)) @ x, (0, 3)),
    (lambda x: ops.linear(x, np.ones((2, 3))), (0, 3)), (lambda x: ops.mean(x, axis=1), (0, 3)),
    (lambda x: x[1:], (1, 3)), (lambda x: ops.concatenate([x, x]), (0, 3)), (ops.relu, (0,)),
])
def test_empty_arrays(call, shape):
    x = leaf(np.zeros(shape))
    out = call(x)
    out.backward(np.ones(out.shape))
    np.testing.assert_array_equal(out.data, call(x.data))
    assert x.grad.shape == shape


def test_split_is_undone_by_concatenate():
    x = leaf(np.arange(12.0).reshape(2, 6))
    for sections in (3, (1, 4)):
        parts = ops.split(x, sections, axis=1)
        want = np.split(x.data, sections, axis=1)
        assert all(np.array_equal(a.data, b) for a, b in zip(parts, want, strict=True))
        (slope,) = grad(ops.concatenate(parts, axis=1), [x], [np.full((2, 6), 2.0)])
        np.testing.assert_array_equal(slope.data, np.full((2, 6), 2.0))


def test_scipy_waits_for_a_special_function():
    code = "import sys, minigrad, minigrad.ops; assert not any(m.startswith('scipy') for m in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# -- errors ----------------------------------------------------------------------------------------


a23, a45 = np.ones((2, 3)), np.ones((4, 5))


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: ops.matmul(a23, a45), ValueError, r"matmul: expected .*got x \(2, 3\), y \(4, 5\)\. Transpose"),
    (lambda: ops.matmul(a23, np.array(1.0)), ValueError, r"matmul: expected .* y \(\)"),
    (lambda: ops.linear(a23, a45), ValueError, r"linear: expected .*\(2, 3\)"),
    (lambda: ops.where(tensor(a23 > 0), a45, 0), ValueError, r"where: expected .*\(2, 3\), \(4, 5\)"),
    (lambda: ops.mask(tensor(a23), a45), ValueError, r"mask: expected .*\(2, 3\), \(4, 5\)"),
    (lambda: ops.maximum(tensor(a23), a45), ValueError, r"maximum: expected .*\(2, 3\), \(4, 5\)"),
    (lambda: ops.concatenate([a23, a45]), ValueError, r"concatenate: expected .*\[0\] \(2, 3\)"),
    (lambda: ops.concatenate([]), ValueError, "concatenate: expected"),
    (lambda: ops.stack([a23, a45]), ValueError, r"stack: expected .*\[1\] \(4, 5\)"),
    (lambda: ops.split(a23, 2, axis=1), ValueError,
     r"split: expected a length along axis 1 that 2 divides, got.*\(2, 3\)"),
    (lambda: ops.prod(a23, axis=2), ValueError, "axis: expected axes from -2 to 1 .*, got 2"),
    (lambda: ops.repeat(a23, 2, axis=-3), ValueError, "axis: expected axes from -2 to 1 .*, got -3"),
    (lambda: ops.split(a23, 2, axis=2), ValueError, "axis: expected axes from -2 to 1 .*, got 2"),
    (lambda: ops.getitem(a23, 2), IndexError, r"getitem: expected an index into shape \(2, 3\), got 2"),
    (lambda: ops.take_along_axis(a23, np.array([[3]]), 1), ValueError, "take_along_axis: expected"),
    (lambda: ops.cross_entropy(a23, np.array([0, 3])), ValueError, "labels from 0 to 2, got 0 to 3"),
    (lambda: ops.cross_entropy(a23, np.array([0, -1])), ValueError, "labels from 0 to 2, got -1 to 0"),
    (lambda: ops.cross_entropy(a23, np.array([0])), ValueError, r"scores \(2, 3\), labels \(1,\)"),
    (lambda: ops.cross_entropy(a23, np.array([0.0, 1.0])), TypeError, "array of integers, got float64"),
    (lambda: ops.cross_entropy(a23, [0, 1]), TypeError, "array of integers, got a list"),
    (lambda: ops.softmax(np.float16(3)), TypeError, "softmax: expected real numbers .* got dtype float16"),
    (lambda: ops.binary_cross_entropy(a23, 255), ValueError, r"targets in \[0, 1\], got 255"),
    (lambda: ops.binary_cross_entropy(tensor(a23), 0 * a45), ValueError, r"binary_cross_entropy: .*\(4, 5\)"),
    (lambda: ops.logmeanexp(np.ones((0, 2)), axis=0), ValueError, "logmeanexp: expected at least one entry"),
])
def test_errors_say_what_was_expected(call, error, words):
    with pytest.raises(error, match=words):
        call()


# -- wrong products --------------------------------------------------------------------------------


def times(product):
    """multiply with another product for its second argument."""
    return (ops.multiply.products[0], product)


@pytest.mark.parametrize(("product", "error", "words"), [
    (lambda g, out, x, y: (g * x)[:1, :2], ValueError, r"multiply: .*argument 1 has shape \(1, 2\)"),
    (lambda g, out, x, y: (g * x).astype(np.float32), TypeError, "multiply: .*argument 1 has dtype float32"),
])
def test_a_product_of_the_wrong_shape_or_dtype_is_named(monkeypatch, product, error, words):
    monkeypatch.setattr(ops.multiply, "products", times(product))
    with pytest.raises(error, match=words):
        (leaf(a23) * leaf(a23)).sum().backward()


def test_a_missing_product_is_named(monkeypatch):
    monkeypatch.setattr(ops.multiply, "products", ops.multiply.products[:1])
    with pytest.raises(ValueError, match="multiply: expected a vector-Jacobian product for argument 1"):
        leaf(a23) * leaf(a23)


@pytest.mark.parametrize("product", [
    lambda g, out, x, y: g * x * 1.01,
    lambda g, out, x, y: g * y,
    lambda g, out, x, y: -(g * x),
    lambda g, out, x, y: g * g * x,
    lambda g, out, x, y: 0 * g,
])
def test_rows_catch_a_wrong_product(monkeypatch, product):
    monkeypatch.setattr(ops.multiply, "products", times(product))
    case = next(case for case in cases if case.name == "multiply")
    with pytest.raises(AssertionError, match=r"primitive multiply, argument 1 at index .*: wrong\. Expected"):
        gradcheck(case.call, case.inputs)


DIFFERENTIABLE = [(name, argnum) for name, made in ops.table.items() if isinstance(made.products, tuple)
                  for argnum, product in enumerate(made.products) if product is not None]


@pytest.mark.parametrize(("name", "argnum"), DIFFERENTIABLE)
def test_some_row_catches_an_error_of_one_percent(monkeypatch, name, argnum):
    primitive = ops.table[name]
    products = list(primitive.products)
    right = products[argnum]
    products[argnum] = lambda *args, **options: ops.dense(right(*args, **options)) * 1.01
    monkeypatch.setattr(primitive, "products", tuple(products))
    rows = [case for case in cases if case.name == name]
    assert any(is_caught(case) for case in rows), f"add a row for argument {argnum} of {name}"


def is_caught(case):
    try:
        return not gradcheck(case.call, case.inputs)
    except AssertionError as error:
        return "wrong" in str(error)


# -- the functions that are made of others -----------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("function", "x", "value", "slope", "second"), [
    (ops.norm, [0.0, 0], 0, [0, 0], [0, 0]),
    (ops.std, [2.0, 2], 0, [0, 0], [0, 0]),
    (lambda x: ops.hypot(x, 0.0), [0.0], [0], [0], [0]),
    (lambda x: ops.hypot(x, 0.0), [-2.0], [2], [-1], [0]),
    (lambda x: ops.arctan2(x, 0.0), [0.0, 2], [0, np.pi / 2], [0, 0], [0, 0]),
    (lambda x: ops.arctan2(0.0, x), [-2.0, 2], [np.pi, 0], [0, 0], [0.0, 0.0]),
    (lambda x: ops.arctan2(x, 1e25), [1e25], [np.pi / 4], [5e-26], [0]),        # (1e25)² is inf in float32
    (lambda x: ops.logaddexp(x, -np.inf), [-np.inf, 0], [-np.inf, 0], [0, 1], [0, 0]),
    (lambda x: ops.logaddexp(0.0, x), [-1000.0, 0, 1000], [0, np.log(2), 1000], [0, 0.5, 1], [0, 0.25, 0]),
    (ops.silu, [-1000.0, 0, 1000], [0, 0, 1000], [0, 0.5, 1], [0, 0.5, 0]),
    (ops.gelu, [-1000.0, 0, 1000], [0, 0, 1000], [0, 0.5, 1], [0, (2 / np.pi) ** 0.5, 0]),
    (lambda x: ops.gelu(x, approximate="tanh"), [-100.0, 0, 100], [0, 0, 100], [0, 0.5, 1], [0, (2 / np.pi) ** 0.5, 0]),
    (ops.elu, [-1000.0, 0, 1000], [-1, 0, 1000], [0, 1, 1], [0, 1, 0]),
    (ops.leaky_relu, [-1000.0, 0, 1000], [-10, 0, 1000], [0.01, 0.01, 1], [0, 0, 0]),
    (lambda x: ops.cumprod(x, axis=0), [0.0, 2, 0], [0, 0, 0], [3, 0, 0], [3, 1, 2]),
    (ops.arcsinh, [0.0, 1e30], [0, np.arcsinh(1e30)], [1, 1e-30], [0, 0]),
    (lambda x: x % 2.0, [2.0, -1.0], [0, 1], [1, 1], [0, 0]),
    (lambda x: 3.0 % x, [3.0, -2.0], [0, -1], [-1, 2], [0, 0]),
])
def test_values_slopes_and_second_derivatives_at_edges(function, x, value, slope, second, dtype):
    """Of the sum of a function's entries, and of the sum of its slopes."""
    x = tensor(x, dtype=dtype, requires_grad=True)
    with np.errstate(all="raise", under="ignore"):
        out = function(x)
        slopes = grad(out.sum(), x, create_graph=True)
        seconds = grad(slopes.sum(), x) if slopes.requires_grad else ops.zeros_like(x)
    precision = {"rtol": 1e-12 if dtype == np.float64 else 1e-5, "atol": 1e-30}
    np.testing.assert_allclose(out.data, value, **precision)
    np.testing.assert_allclose(slopes.data, slope, **precision)
    np.testing.assert_allclose(seconds.data, second, **precision)
    assert out.dtype == slopes.dtype == seconds.dtype == dtype


def test_equal_entries_keep_their_order_and_their_cotangents():
    many = np.arange(300.0) % 3
    np.testing.assert_array_equal(ops.argsort(many), np.argsort(many, kind="stable"))
    x = leaf([[1.0, 0], [1, 0], [0, np.nan], [np.inf, -np.inf]])
    np.testing.assert_array_equal(ops.argsort(x, axis=0).data, np.argsort(x.data, axis=0, kind="stable"))
    for largest, order in ((True, [[3, 2], [0, 0], [1, 1]]), (False, [[2, 3], [0, 0], [1, 1]])):
        values, positions = ops.topk(x, 3, axis=0, largest=largest)
        np.testing.assert_array_equal(positions.data, order)
        np.testing.assert_array_equal(values.data, np.take_along_axis(x.data, np.array(order), axis=0))
        (slope,) = grad(values, [x], np.array([[1.0, 2], [3, 4], [5, 6]]))
        want = np.zeros((4, 2))
        np.put_along_axis(want, np.array(order), np.array([[1.0, 2], [3, 4], [5, 6]]), axis=0)
        np.testing.assert_array_equal(slope.data, want)


def test_positions_move_in_a_replay():
    x = leaf([3.0, 1.0, 2.0]) * 1
    values, positions = ops.topk(x, 2)
    found = replay([ops.sort(x), values, positions, ops.argmax(x)], {x: np.array([1.0, 2.0, 9.0])})
    for got, want in zip(found, [[1, 2, 9], [9, 2], [2, 1], 2], strict=True):
        np.testing.assert_array_equal(got, want)


def test_integers_and_booleans_keep_their_kind():
    x = tensor([[3, 1], [2, 2]])
    assert ops.cumprod(x, axis=1).tolist() == [[3, 3], [2, 4]]
    assert ops.topk(tensor(np.array([1, 3, 2], np.uint8)), 2)[0].tolist() == [3, 2]
    assert ops.einsum("ij->j", x).tolist() == [5, 3]
    assert ops.pad(x > 1, 1).dtype == bool
    assert ops.trace(x).item() == 5
    assert ops.zeros_like(x).dtype == x.dtype
    assert ops.ones_like(x, dtype=np.float32).dtype == np.float32
    assert (x.sum() % 3).item() == 2


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: ops.einsum(a23, "ij"), TypeError, "einsum: expected the letters first"),
    (lambda: ops.einsum("ij,jk", a23), ValueError, "one group of letters for each array"),
    (lambda: ops.einsum("i1", a23), ValueError, "one group of letters for each array"),
    (lambda: ops.einsum("i", a23), ValueError, r"one letter for each axis, got arrays\[0\] \(2, 3\)"),
    (lambda: ops.einsum("ijk", a23), ValueError, "one letter for each axis"),
    (lambda: ops.einsum("ij->ik", a23), ValueError, "letters of the arrays in the result"),
    (lambda: ops.einsum("ij->ii", a23), ValueError, "letters of the arrays in the result, each once"),
    (lambda: ops.einsum("i...->i", a23), ValueError, r"and '\.\.\.' if the arrays have it"),
    (lambda: ops.einsum("ii", a23), ValueError, "one length for axis 'i'"),
    (lambda: ops.einsum("ij,jk", a23, a45), ValueError, r"one length for axis 'j', got arrays\[0\] \(2, 3\)"),
    (lambda: ops.tensordot(a23, a45, 1), ValueError, "pairs of axes of equal lengths"),
    (lambda: ops.tensordot(a23, a23, ([0, 1], [0])), ValueError, "pairs of axes of equal lengths"),
    (lambda: ops.dot(a23, a23), ValueError, "tensordot: expected"),
    (lambda: ops.tril(np.ones(3)), ValueError, "tril: expected a matrix"),
    (lambda: ops.diagonal(a23, axis1=1, axis2=-1), ValueError, "two different axes"),
    (lambda: ops.diag(np.ones((1, 1, 1))), ValueError, "diag: expected a vector or a matrix"),
    (lambda: ops.pad(a23, -1), ValueError, "widths of at least 0"),
    (lambda: ops.pad(a23, (1, 2, 3)), ValueError, "widths of at least 0"),
    (lambda: ops.pad(a23, 1, mode="mean"), ValueError, "expected mode to be one of 'constant'"),
    (lambda: ops.pad(np.ones(0), 1, mode="edge"), ValueError, "entries to copy along axis 0"),
    (lambda: ops.pad(np.arange(3), 1, constant_values=0.5), TypeError, "that dtype int64 can hold, got 0.5"),
    (lambda: ops.full_like(np.arange(3), 0.5), TypeError, "that dtype int64 can hold, got 0.5"),
    (lambda: ops.topk(a23, 4), ValueError, "topk: expected k as an int from 0 to 3, the length of axis 1"),
    (lambda: ops.topk(a23, 1.0), ValueError, "topk: expected k as an int from 0 to 3"),
    (lambda: ops.topk(a23, 1, axis=2), ValueError, "axis: expected axes from -2 to 1"),
    (lambda: ops.gather(a23, 0, np.array([0])), ValueError, "gather: expected indices with as many axes as x"),
    (lambda: ops.gather(a23, 0, np.array([[2]])), ValueError, "take_along_axis: expected"),
    (lambda: ops.mse(np.ones((3, 1)), np.ones(3)), ValueError, r"one shape, got x \(3, 1\), targets \(3,\)"),
    (lambda: ops.gelu(a23, approximate="erf"), ValueError, "approximate='none' or 'tanh', got 'erf'"),
    (lambda: ops.bitwise_and(a23, True), TypeError, "booleans or integers, got float64"),
])
def test_errors_of_functions_made_of_others(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("function", [ops.softmax, ops.cross_entropy, lambda x: ops.softmax(x.T, axis=0).T])
def test_large_scores_have_the_values_and_derivatives_of_small_ones(function):
    """Large arrays are computed in compiled code.  Their parts are small enough for NumPy."""
    rng = np.random.default_rng(0)
    scores, labels, g = rng.standard_normal((600, 10)), rng.integers(0, 10, 600), rng.standard_normal((600, 10))

    def results(rows):
        x = tensor(scores[rows], requires_grad=True)
        costs = function is ops.cross_entropy
        out, seed = function(x, *[labels[rows]] * costs), g[rows, 0] if costs else g[rows]
        recorded = grad(out, x, grad_outputs=seed, create_graph=True)
        return [y.numpy() for y in (out, grad(out, x, grad_outputs=seed), recorded, grad((recorded ** 2).sum(), x))]

    parts = zip(*(results(slice(i, i + 20)) for i in range(0, 600, 20)), strict=True)
    for found, wanted in zip(results(slice(None)), map(np.concatenate, parts), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-15)
