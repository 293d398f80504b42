"""Integers and booleans of every width, for every argument of every primitive, give the results of floats."""

import warnings
from functools import partial

import numpy as np
import pytest
from cases import cases

import minigrad as mg
from minigrad import ops
from minigrad.tensor import Tensor

SMALL = [np.dtype(name) for name in ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")]
FLOATS = [np.dtype("float64"), np.dtype("float32")]

#: Functions that refuse a constant which the dtype does not hold, where NumPy wraps or truncates it.
STRICT = {"full_like", "pad"}

#: Primitives that give floats for integers, although NumPy's function of that name gives integers.
FLOATING = {"reciprocal", "gated_linear"}


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def floating(x):
    """Whether an input of a row is a floating array, or a list of them."""
    return getattr(x[0] if isinstance(x, list) else x, "dtype", np.dtype(object)).kind == "f"


def changed(x, change):
    return [change(part) for part in x] if isinstance(x, list) else change(x)


def whole(values):
    """A change of an array to integers of its shape."""
    return lambda x: np.resize(values, x.shape)


def value_of(call, *inputs):
    """What a call gives, as an array; or the type of its error."""
    try:
        out = ops.dense(call(*inputs))
    except (TypeError, ValueError) as error:
        return TypeError if isinstance(error, TypeError) else ValueError
    return out.data if isinstance(out, Tensor) else np.asarray(out)


def slopes_of(case, inputs):
    """Value, first and second derivatives of a row at its inputs, of which the floating ones are leaves."""
    leaves = [x for part in inputs for x in (part if isinstance(part, list) else [part])
              if isinstance(x, Tensor) and x.requires_grad]
    out = case.call(*inputs)
    found = [ops.dense(out.value)]
    if out.requires_grad:
        g = Tensor(np.linspace(1, 2, out.size).reshape(out.shape).astype(out.dtype))
        slopes = mg.grad(out, leaves, g, create_graph=case.order > 1)
        found += [ops.dense(x.value) for x in slopes]
        total = sum((x.to_dense() * x.to_dense()).sum() for x in slopes)
        if total.requires_grad:
            total.backward()
            found += [x.grad for x in leaves if x.grad is not None]
    return found


def fitting(case, positions):
    """Integers for some inputs of a row, small ones where it takes no others, as a change of its float64 arrays."""
    for values in ([3, 1, 20, 0, 2], [1, 0, 1]):
        inputs = [changed(x, whole(values)) if i in positions else x for i, x in enumerate(case.inputs)]
        floats = [changed(x, as_types(np.float64)) if i in positions else x for i, x in enumerate(inputs)]
        if value_of(case.call, *floats) is not ValueError:
            return inputs
    raise AssertionError(f"no integers fit {case}")


def rows(least):
    """Rows with at least so many floating inputs, and the numbers of these."""
    for case in cases:
        positions = [i for i, x in enumerate(case.inputs) if floating(x)]
        if len(positions) >= least:
            yield pytest.param(case, positions, id=str(case))


def as_types(*dtypes):
    """A change of an array to one dtype after the other."""
    def change(x):
        for dtype in dtypes:
            x = x.astype(dtype)
        return x
    return change


def as_leaves(dtype):
    return lambda x: mg.tensor(x, dtype=dtype, requires_grad=True)


def inputs_with(case, inputs, positions, here, elsewhere):
    """Inputs of a row: one change at ``positions``, another at the other floating ones."""
    return [changed(x, here) if i in positions else changed(x, elsewhere) if floating(case.inputs[i]) else x
            for i, x in enumerate(inputs)]


@pytest.mark.parametrize(("case", "positions"), list(rows(least=2)))
def test_beside_floats_integers_are_such_floats(case, positions):
    for position in positions:
        inputs = fitting(case, [position])
        for dtype in FLOATS:
            leaves = as_leaves(dtype)
            for small in SMALL:
                arrays = inputs_with(case, inputs, [position], as_types(small), leaves)
                tensors = inputs_with(case, inputs, [position], partial(mg.tensor, dtype=small), leaves)
                right = slopes_of(case, inputs_with(case, inputs, [position], as_types(small, dtype), leaves))
                for found in (slopes_of(case, arrays), slopes_of(case, tensors)):
                    assert [x.dtype for x in found] == [x.dtype for x in right], (position, small)
                    for a, b in zip(found, right, strict=True):
                        np.testing.assert_array_equal(a, b, err_msg=f"argument {position} of {small}")
                floats = as_types(dtype)
                plain = value_of(case.call, *inputs_with(case, inputs, [position], as_types(small), floats))
                right = value_of(case.call, *inputs_with(case, inputs, [position], as_types(small, dtype), floats))
                assert plain.dtype == right.dtype
                np.testing.assert_array_equal(plain, right)


@pytest.mark.parametrize(("case", "positions"), list(rows(least=1)))
def test_integers_alone_give_integers_as_in_numpy_or_float64(case, positions):
    made = ops.table.get(case.name)
    inputs = fitting(case, positions)
    for small in SMALL:
        integers = inputs_with(case, inputs, positions, as_types(small), None)
        floats = inputs_with(case, inputs, positions, as_types(small, np.float64), None)
        tensors = inputs_with(case, integers, positions, mg.tensor, None)
        plain, recorded = value_of(case.call, *integers), value_of(case.call, *tensors)
        if plain is TypeError or plain is ValueError:       # NumPy subtracts and negates no booleans
            assert plain is recorded, small
            assert plain is value_of(case.expected, *integers) or case.name in STRICT, small
            continue
        assert plain.dtype == recorded.dtype
        np.testing.assert_array_equal(plain, recorded)
        numpys = value_of(case.expected, *integers)
        if plain.dtype.kind == "f":
            assert plain.dtype == np.float64
            np.testing.assert_array_equal(plain, value_of(case.call, *floats))
            assert case.name in FLOATING or numpys is TypeError or numpys.dtype.kind == "f" or case.name == "astype", (
                f"{case.name} of integers gives integers in NumPy: declare it with @primitive(integers=True)")
        else:
            np.testing.assert_array_equal(plain, numpys)
            assert made is None or made.integers or made.products[positions[0]] is None


@pytest.mark.parametrize("number", [3, True, *(small.type(3) for small in SMALL)], ids=repr)
def test_numbers_are_as_arrays_of_them(number):
    for name in ("sigmoid", "exp", "tanh", "reciprocal", "softplus", "gammaln", "sqrt", "log1p"):
        want = ops.table[name](np.float64(number))
        for got in (ops.table[name](number), ops.table[name](mg.tensor(number)).data):
            assert (got.dtype, got) == (np.float64, want)
    for dtype in FLOATS:
        x = mg.tensor([1.5, 2.0], dtype=dtype, requires_grad=True)
        for call in (lambda x, n: x - n, lambda x, n: n - x, lambda x, n: x / n, lambda x, n: n / x,
                     lambda x, n: x ** n, lambda x, n: n ** x, ops.maximum, lambda x, n: mg.where(True, n, x),
                     lambda x, n: mg.xlogy(n, x), lambda x, n: mg.binary_cross_entropy(x, n > 2)):
            got, want = call(x, number), call(x, float(number))
            assert got.dtype == dtype
            np.testing.assert_allclose(got.data, want.data, rtol=1e-6)
            (slope,), (right,) = mg.grad(got.sum(), [x]), mg.grad(want.sum(), [x])
            assert slope.dtype == dtype
            np.testing.assert_allclose(slope.data, right.data, rtol=1e-6)


def test_reported_values():
    """Cases that failed in the past: they were computed in float16, or small integers overflowed."""
    assert ops.sigmoid(np.uint8(3)) == pytest.approx(0.9525741268)
    assert ops.exp(np.uint8(20)) == pytest.approx(4.851651954e8)
    x = mg.tensor(2.0, requires_grad=True)
    y = np.uint8(3) ** x
    y.backward()
    assert (y.dtype, y.item(), x.grad) == (np.float64, 9, pytest.approx(9 * np.log(3)))
    zero = mg.tensor(np.array([0, 1], np.uint8))
    x = mg.tensor([2.0, 2.0], dtype="float32", requires_grad=True)
    y = zero - x * zero - zero * np.float32(300)
    y.sum().backward()
    np.testing.assert_array_equal(y.data, [0, -301])
    np.testing.assert_array_equal(x.grad, [0, -1])
    np.testing.assert_array_equal(mg.tensor([3, 4]).mean().data, 3.5)
    assert mg.expected(mg.tensor(np.array([250, 250], np.uint8))).item() == 250


@pytest.mark.parametrize("small", SMALL, ids=str)
def test_products_of_small_integers_are_as_wide_as_in_numpy(small):
    x = np.array([[100, 100], [3, 100]]).astype(small)
    for got, want in ((mg.prod(mg.tensor(x), axis=1).data, np.prod(x, axis=1)), (mg.prod(x), np.prod(x)),
                      (mg.cumprod(mg.tensor(x), axis=0).data, np.cumprod(x, axis=0)),
                      (mg.cumsum(x, axis=1), np.cumsum(x, axis=1)), (mg.sum(x), np.sum(x)),
                      (mg.einsum("ij,ij->i", x, x), np.einsum("ij,ij->i", x, x)),
                      (mg.einsum("ij->", x), np.einsum("ij->", x))):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)
    y = x[::-1].copy()
    assert mg.mse(x, y) == np.mean((x.astype(float) - y.astype(float))**2)


@pytest.mark.parametrize("scalar", [np.int64, np.uint8, np.float64], ids=lambda kind: kind.__name__)
def test_numpy_scalars_as_settings_do_not_widen(scalar):
    x = mg.tensor([[-1.5, 2.0, 4.0]], dtype="float32", requires_grad=True)
    for call in (lambda x, n: mg.var(x, ddof=n), lambda x, n: mg.std(x, axis=1, ddof=n), mg.leaky_relu, mg.elu):
        got, want = call(x, scalar(1)), call(x, 1)
        assert got.dtype == call(x.data, scalar(1)).dtype == np.float32
        np.testing.assert_array_equal(got.data, want.data)
        (slope,), (right,) = mg.grad(got.sum(), [x]), mg.grad(want.sum(), [x])
        assert slope.dtype == np.float32
        np.testing.assert_array_equal(slope.data, right.data)
    np.testing.assert_array_equal(mg.tril(x, np.uint8(1)).data, mg.tril(x, 1).data)
    for left, right in ((x, np.array([[2, 2, 2]])), (np.array([[2, 2, 2]]), x)):
        assert (left // right).dtype == (left % right).dtype == np.float32


@pytest.mark.parametrize("dtype", ["float16", "longdouble", "complex64", "object", ">f8"])
def test_other_dtypes_are_refused(dtype):
    odd = np.ones(2).astype(dtype)
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    for call in (lambda: x * odd, lambda: odd + x, lambda: mg.maximum(x, odd), lambda: ops.exp(odd),
                 lambda: ops.add(odd, 1), lambda: ops.matmul(x, odd), lambda: mg.concatenate([x, odd])):
        with pytest.raises(TypeError, match=r"^\w+: expected (real )?numbers.* got (an array of )?dtype"):
            call()
    with pytest.raises(TypeError, match="tensor: expected float64, float32"):
        mg.tensor(odd)


@pytest.mark.parametrize("dtype", ["float16", "complex128", "longdouble"])
def test_nothing_is_converted_to_another_dtype(dtype):
    for x in (mg.tensor([1.0]), np.ones(1)):
        with pytest.raises(TypeError, match="astype: expected float64, float32"):
            ops.astype(x, dtype=dtype)
    with pytest.raises(TypeError, match=r"one_hot: .*expected float64, float32"):
        mg.one_hot(mg.tensor([1]), 2, dtype=dtype)


def test_float64_beside_float32_is_refused_wherever_they_stand():
    wide, narrow = np.ones(2), np.ones(2, np.float32)
    for x, y in ((mg.tensor(wide), mg.tensor(narrow)), (mg.tensor(wide), narrow), (wide, mg.tensor(narrow)),
                 (mg.tensor(narrow), [0.5, 1.5]), (mg.tensor(narrow), np.float64(0.5))):
        for call in (ops.add, ops.power, ops.maximum, lambda x, y: ops.where(True, x, y)):
            with pytest.raises(TypeError, match="expected floating arguments of one dtype, got float"):
                call(x, y)
            with pytest.raises(TypeError, match="expected floating arguments of one dtype, got float"):
                call(y, x)


def test_a_replay_sees_other_integers():
    n = mg.tensor(np.array([1, 2], np.uint8))
    w = mg.tensor([2.0, 3.0], dtype="float32", requires_grad=True)
    out = (n * w).sum()
    with pytest.raises(ValueError, match=r"leaves that require a gradient, .* Make a floating leaf"):
        mg.replay([out], {n: np.array([200, 100], np.uint8)})
    open_ = (w > 2.5) * w
    (again,) = mg.replay([open_], {w: np.array([3.0, 2.0], np.float32)})
    np.testing.assert_array_equal(again, [3, 0])


def test_every_alternative_sees_its_own_comparison():
    logits = mg.tensor([[0.0, 0.0]], requires_grad=True)
    for rule in (mg.estimators.LocalExpectation(), mg.estimators.Enumerate()):
        b = mg.bernoulli(logits, rule, rng=mg.Generator(1))
        logits.grad = None
        mg.expected((mg.equal(b, 1) * np.array([[1.0, 2.0]]) + b.astype("uint8") * 3.0).sum(axis=1)).backward()
        np.testing.assert_allclose(logits.grad, [[1.0, 1.25]])
