"""Tensor: its constructor, its operators and its errors."""

import inspect

import numpy as np
import pytest

import minigrad as mg


def test_tensor_copies_its_data():
    array = np.ones(2)
    x = mg.tensor(array)
    array[0] = 5
    np.testing.assert_array_equal(x.data, [1.0, 1.0])


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bool"])
def test_dtypes(dtype):
    assert mg.tensor([0, 1], dtype=dtype).dtype == dtype


@pytest.mark.parametrize(("data", "options", "error", "message"), [
    ([1, 2], {"requires_grad": True}, TypeError, "floating dtype"),
    ([1j], {}, TypeError, "complex128"),
    (np.float16([1]), {}, TypeError, "float16"),
    (["a"], {}, TypeError, "dtype"),
    ([[1], [1, 2]], {}, ValueError, "rectangular"),
    ([1.0], {"device": "tpu"}, ValueError, "one of 'cpu', 'cuda', got 'tpu'"),
])
def test_what_tensor_refuses(data, options, error, message):
    with pytest.raises(error, match=message):
        mg.tensor(data, **options)


def test_a_tensor_of_a_tensor():
    with pytest.raises(TypeError, match="detach"):
        mg.tensor(mg.tensor(1.0))


OPERATORS = {
    "x + y": lambda x, y: x + y, "x - y": lambda x, y: x - y, "x * y": lambda x, y: x * y,
    "x / y": lambda x, y: x / y, "x ** y": lambda x, y: x ** y, "-x": lambda x, y: -x,
    "abs": lambda x, y: abs(x), "x < y": lambda x, y: x < y, "x <= y": lambda x, y: x <= y,
    "x > y": lambda x, y: x > y, "x >= y": lambda x, y: x >= y, "x == y": lambda x, y: x == y,
    "x != y": lambda x, y: x != y, "x @ y": lambda x, y: x @ y, "index": lambda x, y: x[0, ::2],
    "mask": lambda x, y: x[y > 1], "sum": lambda x, y: x.sum(axis=0), "mean": lambda x, y: x.mean(),
    "var": lambda x, y: x.var(axis=1), "max": lambda x, y: x.max(axis=1, keepdims=True),
    "min": lambda x, y: x.min(), "prod": lambda x, y: x.prod(axis=0), "T": lambda x, y: x.T,
    "reshape": lambda x, y: x.reshape(-1), "reshape tuple": lambda x, y: x.reshape((9, 1)),
    "ravel": lambda x, y: x.ravel(), "transpose": lambda x, y: x.transpose(1, 0),
    "swapaxes": lambda x, y: x.swapaxes(0, 1), "cumsum": lambda x, y: x.cumsum(axis=1),
    "clip": lambda x, y: x.clip(0.5, 2), "squeeze": lambda x, y: x[:1].squeeze(axis=0),
    "astype": lambda x, y: x.astype("float32"), "number first": lambda x, y: 2 - x / (1 / x + 3),
    "x % y": lambda x, y: x % y, "-x // y": lambda x, y: -x // y, "7 % x": lambda x, y: 7 % x,
    "7 // x": lambda x, y: 7 // x,
    "divmod": lambda x, y: divmod(x, y)[0] * divmod(5, y)[1], "x & y": lambda x, y: (x > 1) & (y > 1) & True,
    "x | y": lambda x, y: (x > 2) | (y > 2), "x ^ y": lambda x, y: (x > 1) ^ (y > 1) ^ True, "~": lambda x, y: ~(x > 1),
    "bits": lambda x, y: ~((6 & x.astype(int)) | (8 ^ y.astype(int))), "mod int": lambda x, y: -x.astype(int) % 2,
    "sum by position": lambda x, y: x.sum(0, keepdims=True), "var with ddof": lambda x, y: x.var(0, ddof=1),
    "std": lambda x, y: x.std(axis=1, ddof=1), "argmax": lambda x, y: x.argmax(axis=0),
    "argmin": lambda x, y: y.argmin(), "clip low": lambda x, y: x.clip(1),
    "clip below": lambda x, y: x.clip(min=1), "clip above": lambda x, y: x.clip(max=1),
    "flatten": lambda x, y: x.flatten(), "round": lambda x, y: x.round(1), "any": lambda x, y: (x > 2.9).any(axis=0),
    "all": lambda x, y: (x > 1).all(axis=1), "argsort": lambda x, y: y.argsort(axis=0), "dot": lambda x, y: x.dot(y),
    "trace": lambda x, y: x.trace(), "diagonal": lambda x, y: x.diagonal(1), "repeat": lambda x, y: x.repeat(2, axis=1),
}


@pytest.mark.parametrize("expression", OPERATORS.values(), ids=OPERATORS)
def test_operators_and_methods_compute_what_numpy_computes(expression):
    x, y = np.linspace(0.5, 3, 9).reshape(3, 3), np.linspace(2, 0.4, 9).reshape(3, 3)
    ours, theirs = expression(mg.tensor(x), mg.tensor(y)), expression(x, y)
    np.testing.assert_allclose(ours.data, theirs, rtol=1e-14)
    assert ours.dtype == np.asarray(theirs).dtype


@pytest.mark.parametrize("name", [
    "relu", "exp", "log", "sqrt", "tanh", "sigmoid", "softmax", "log_softmax", "abs", "square", "sin", "cos", "sort",
    "logsumexp", "norm",
])
def test_methods_are_the_functions_of_their_name(name):
    x = mg.tensor([[0.5, 2.0], [1.5, 1.0]])
    np.testing.assert_array_equal(getattr(x, name)().data, getattr(mg, "absolute" if name == "abs" else name)(x).data)
    assert getattr(mg.Tensor, name).__doc__ or name == "abs"


def test_methods_take_the_arguments_of_their_function_and_no_others():
    x = mg.tensor([[1.0, 2.0]], requires_grad=True)
    assert x.sum(1).options == x.sum(axis=1).options == {"axis": 1}
    with pytest.raises(TypeError, match="sum: expected axis and keepdims, got"):
        x.sum(0, True, 3)
    with pytest.raises(TypeError, match="sum: expected axis once"):
        x.sum(0, axis=0)
    with pytest.raises(TypeError, match="exp: expected no arguments"):
        x.exp(1)


def with_parameter(name):
    """Everything that takes a parameter of this name: functions of minigrad, and methods of Tensors."""
    places = [*((f"mg.{each}", getattr(mg, each)) for each in mg.ops.__all__),
              *((f"Tensor.{each}", x) for each, x in vars(mg.Tensor).items() if callable(x))]
    return [pytest.param(x, id=place) for place, x in places if name in inspect.signature(x).parameters]


@pytest.mark.parametrize("made", [np.array, mg.tensor])
@pytest.mark.parametrize("function", with_parameter("axis"))
def test_pytorchs_dim_is_refused_and_axis_named(function, made):
    with pytest.raises(TypeError, match=r"expected axis, got dim, .*Write axis=0"):
        function(made([[1.0, 2.0]]), dim=0)


@pytest.mark.parametrize("function", with_parameter("keepdims"))
def test_pytorchs_keepdim_is_refused_and_keepdims_named(function):
    with pytest.raises(TypeError, match=r"expected keepdims, got keepdim, .*Write keepdims=True"):
        function(mg.tensor([[1.0, 2.0]]), keepdim=True)


def test_dim_means_nothing_to_a_function_without_axes():
    with pytest.raises(TypeError, match="unexpected keyword argument 'dim'"):
        mg.exp(mg.tensor(1.0), dim=0)


def test_formatting():
    assert f"{mg.tensor([[2.5]]):.3f} {mg.tensor(7):03d}" == "2.500 007"
    assert f"{mg.tensor([1.0, 2.0])}" == "tensor([1., 2.], dtype=float64)"
    with pytest.raises(TypeError, match=r"format: expected a tensor with one entry for '.3f', got shape \(2,\)"):
        f"{mg.tensor([1.0, 2.0]):.3f}"


def test_rounding_and_lists():
    x = mg.tensor([[1.25, -2.5]])
    assert round(x).tolist() == [[1.0, -2.0]]
    assert round(x, 1).tolist() == [[1.2, -2.5]]
    assert mg.tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("use", [lambda x: x & 1.0, lambda x: 1 | x, lambda x: x ^ x, lambda x: ~x])
def test_bits_of_floats_are_refused(use):
    with pytest.raises(TypeError, match=r"expected booleans or integers, got float64. Compare first"):
        use(mg.tensor([1.0]))


@pytest.mark.parametrize("name", [
    "floor", "ceil", "trunc", "isnan", "isfinite", "log2", "log10", "arcsin", "arccosh", "arctan2", "hypot",
    "logaddexp", "remainder", "floor_divide", "log1p",
])
def test_numpys_ufuncs_of_a_tensor_are_recorded(name):
    x = mg.tensor([1.0, 1.0], requires_grad=True)
    ufunc = getattr(np, name)
    with np.errstate(all="ignore"):
        out = ufunc(*[x] * ufunc.nin)
        np.testing.assert_array_equal(out.data, ufunc(*[x.data] * ufunc.nin))
    assert out.primitive is mg.ops.table[name]


def test_an_array_on_the_left_keeps_the_graph():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = np.array([3.0, 4.0]) * x
    assert isinstance(y, mg.Tensor)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [3.0, 4.0])


def test_numpy_functions_of_the_same_name_are_recorded():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    np.exp(x).sum().backward()
    np.testing.assert_array_equal(x.grad, np.exp([1.0, 2.0]))
    with pytest.raises(TypeError, match=r"np\.add\.reduce"):
        np.add.reduce(x)


@pytest.mark.parametrize(("use", "message"), [
    (float, r"\.item\(\)"), (int, r"\.item\(\)"), (bool, r"mg\.where"),
    (np.asarray, r"\.numpy\(\)"), (lambda x: x.__setitem__(0, 1.0), r"\.data"),
    (lambda x: x + "one", "add: expected Tensors"),
])
def test_leaving_the_graph_by_accident_is_refused_with_a_remedy(use, message):
    with pytest.raises(TypeError, match=message):
        use(mg.tensor([1.0]))


def test_item():
    assert mg.tensor([[2.5]]).item() == 2.5
    with pytest.raises(ValueError, match=r"one entry, got shape \(2,\)"):
        mg.tensor([1.0, 2.0]).item()


def test_floating_dtypes_do_not_mix_silently():
    x = mg.tensor([1.0], dtype="float32", requires_grad=True)
    with pytest.raises(TypeError, match=r"multiply: .*float32 and float64.*astype"):
        x * np.ones(1)
    assert (x * 2.0).dtype == np.float32
    (x.astype(float) * np.ones(1)).sum().backward()
    assert x.grad.dtype == np.float32


def test_data_is_assigned_only_to_leaves_and_only_alike():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match=r"expected an array of shape \(2,\)"):
        x.data = np.ones(3)
    with pytest.raises(ValueError, match="multiply"):
        (x * 2).data = np.ones(2)
    x.data = np.array([5.0, 6.0])
    np.testing.assert_array_equal(x.data, [5.0, 6.0])


def test_printing():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    assert repr(x) == "tensor([1., 2.], dtype=float64, requires_grad=True)"
    assert "by=multiply" in repr(x * 2)


def test_length_and_iteration():
    x = mg.tensor([[1.0], [2.0]])
    assert len(x) == 2
    assert [row.item() for row in x] == [1.0, 2.0]
    with pytest.raises(TypeError, match="scalar"):
        len(mg.tensor(1.0))
