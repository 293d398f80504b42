"""A compiled network for one example gives the results of the network itself."""

import pickle
import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad.kernels.compiler import serving

pytestmark = pytest.mark.skipif(serving() != "numba", reason="compile_one needs Numba")
RTOL = {"float32": 1e-5, "float64": 1e-13}


def check(function, x, seeds=3):
    """Compile with one example, and compare with others."""
    fast = mg.compile_one(function, x + x.dtype.type(0.5))
    for seed in range(seeds):
        other = np.random.default_rng(seed).standard_normal(x.shape).astype(x.dtype)
        expected = function(mg.tensor(other, requires_grad=True))
        expected = (expected.to_dense() if hasattr(expected.value, "blocks") else expected).numpy()
        out = fast(other)
        assert out.shape == expected.shape
        assert out.dtype == x.dtype
        np.testing.assert_allclose(out, expected, rtol=RTOL[x.dtype.name], atol=RTOL[x.dtype.name])
    return fast


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


@pytest.mark.parametrize(("block", "count"), [(1, 30), (4, 9), (6, 5)])
@pytest.mark.parametrize("shape", [(1, 7), (7,)])
def test_a_gated_network(block, count, shape, dtype):
    rng = mg.Generator(0)
    below = mg.nn.Linear(7, 11, rng, dtype=dtype)
    gater = mg.nn.Sequential(mg.nn.Linear(7, 3, rng, dtype=dtype), mg.tanh, mg.nn.Linear(3, count, rng, dtype=dtype))
    layer = mg.nn.GatedLinear(11, count * block, rng, block=block, dtype=dtype)
    above = mg.nn.Linear(count * block, 5, rng, gated_inputs=True, dtype=dtype)

    def network(x):
        x = x.reshape(1, 7)
        p = mg.sigmoid(gater(x))
        h = layer(mg.relu(below(x)), mg.where(p > 0.5, p, 0.0))
        return mg.log_softmax(above(mg.relu(h)))

    check(network, np.zeros(shape, dtype))


def test_layers_that_are_gated_on_both_sides(dtype):
    rng = mg.Generator(1)
    first, second = (mg.nn.GatedLinear(n, m, rng, block=k, dtype=dtype) for n, m, k in ((6, 20, 4), (20, 9, 3)))
    gates = [mg.nn.Linear(6, n, rng, dtype=dtype) for n in (5, 3)]

    def network(x):
        h = mg.tanh(first(x, gates[0](x) > 0))
        h = h * h - 0.5 * h
        return -second(h, gates[1](x) > -0.3)

    check(network, np.zeros((1, 6), dtype))


def test_layers_with_the_same_gates():
    rng = mg.Generator(2)
    first, second = mg.nn.GatedLinear(4, 6, rng, block=2), mg.nn.GatedLinear(4, 6, rng, block=2)
    gater = mg.nn.Linear(4, 3, rng)

    def network(x):
        gates = gater(x) > 0
        return first(x, gates) * mg.tanh(second(x, gates)) * np.arange(6)

    check(network, np.zeros((1, 4), np.float32))


ELEMENTWISE = {
    **{name: getattr(mg, name) for name in ("relu", "sigmoid", "negative", "absolute", "square", "exp", "reciprocal",
                                            "sign", "tanh", "softplus", "silu", "logical_not", "softmax")},
    "sqrt": lambda x: mg.sqrt(mg.absolute(x)),
    "log": lambda x: mg.log(mg.absolute(x)),
    "add": lambda x: x + 1.0,
    "subtract": lambda x: 1.0 - x,
    "multiply": lambda x: x * np.arange(6),
    "divide": lambda x: x / (x * x + 1.0),
    "maximum": lambda x: mg.maximum(x, 0.1),
    "minimum": lambda x: mg.minimum(0.1, x),
    "compare": lambda x: (x < 0.1) + 2.0 * (x <= 0) + 4.0 * (x > 0.2) + 8.0 * (x >= 0),
    "equal": lambda x: mg.equal(mg.sign(x), 1.0) + 2.0 * mg.not_equal(mg.sign(x), 1.0),
    "logic": lambda x: mg.logical_and(x > 0, x < 1) + 2.0 * mg.logical_or(x < 0, x > 1),
    "mask": lambda x: mg.ops.mask(x, x > 0),
    "where": lambda x: mg.where(x > 0, x, 0.25 * x),
    "where, numbers": lambda x: mg.where(x > 0, 1.0, x.sum(axis=1, keepdims=True)),
    "sum": lambda x: x / mg.absolute(x).sum(axis=1, keepdims=True),
    "mean": lambda x: x - x.mean(),
    "max": lambda x: x - x.max(axis=-1, keepdims=True) + x.min(axis=1, keepdims=True),
    "shapes": lambda x: mg.squeeze(mg.expand_dims(x.reshape(-1), 0)) * 2.0,
    "a constant": lambda x: x * mg.exp(mg.tensor(np.arange(6.0), requires_grad=True) / 7),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_functions(name):
    check(ELEMENTWISE[name], np.zeros((1, 6)))


def test_special_values_are_those_of_numpy():
    x = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 800.0, -800.0])
    for function in (mg.relu, mg.sigmoid, mg.sign, mg.softplus, mg.tanh, lambda x: mg.maximum(x, 1.0),
                     lambda x: mg.minimum(x, 1.0), lambda x: x > 0, lambda x: x.max(), lambda x: x.min()):
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(mg.compile_one(function, x)(x), function(mg.tensor(x)).numpy())


def test_weights_of_inputs_that_are_zero_are_not_read():
    """0 · NaN would be NaN."""
    layer = mg.nn.Linear(4, 3, mg.Generator(0))
    layer.weight.data[:, [1, 3]] = np.nan
    fast = mg.compile_one(layer, np.zeros((1, 4), np.float32))
    x = np.array([[1, 0, 2, 0]], np.float32)
    np.testing.assert_allclose(fast(x), x[:, ::2] @ layer.weight.numpy()[:, ::2].T, rtol=1e-6)
    assert np.isnan(fast(np.ones_like(x))).all()


def test_weights_of_closed_blocks_are_not_read():
    layer = mg.nn.GatedLinear(4, 6, mg.Generator(0), block=2)
    above = mg.nn.Linear(6, 3, mg.Generator(1), gated_inputs=True)
    layer.weight.data[2:4] = np.nan
    above.weight.data[:, 2:4] = np.nan
    gates = mg.tensor(np.array([[1.0, 0, 1]], np.float32))
    fast = mg.compile_one(lambda x: above(layer(x, gates * (x.sum() > -100))), np.zeros((1, 4), np.float32))
    assert np.isfinite(fast(np.ones((1, 4), np.float32))).all()


def test_changed_weights_are_copied_again():
    layer = mg.nn.Linear(3, 2, mg.Generator(0), dtype=np.float64)
    scale = mg.tensor(2.0, requires_grad=True)
    fast = mg.compile_one(lambda x: layer(x) * mg.exp(scale), np.zeros((1, 3)))
    x = np.array([[1.0, 2, 3]])

    def expected():
        return (x @ layer.weight.numpy().T + layer.bias.numpy()) * np.exp(scale.numpy())

    np.testing.assert_allclose(fast(x), expected())
    (layer(x) * mg.exp(scale)).sum().backward()
    mg.optim.SGD([layer.weight, layer.bias, scale], lr=0.1).step()
    np.testing.assert_allclose(fast(x), expected())
    layer.load_state_dict(mg.nn.Linear(3, 2, mg.Generator(5), dtype=np.float64).state_dict())
    np.testing.assert_allclose(fast(x), expected())
    layer.weight.data[0] = 7
    fast.refresh()
    np.testing.assert_allclose(fast(x), expected())


def test_results_are_not_shared_and_threads_do_not_disturb_each_other():
    layer = mg.nn.Linear(50, 40, mg.Generator(0))
    fast = mg.compile_one(lambda x: mg.relu(layer(x)), np.zeros((1, 50), np.float32))
    inputs = np.random.default_rng(0).standard_normal((8, 1, 50)).astype(np.float32)
    right = [fast(x) for x in inputs]
    wrong = []

    def work(i):
        for _ in range(300):
            if not np.array_equal(fast(inputs[i]), right[i]):
                wrong.append(i)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []
    assert len({out.ctypes.data for out in right}) == 8


ROW = np.zeros((1, 4))
TWICE = mg.nn.GatedLinear(4, 8, mg.Generator(3), block=2, dtype=np.float64)
LAYER = mg.nn.Linear(4, 4, mg.Generator(0), dtype=np.float64)


@pytest.mark.parametrize(("function", "example", "error", "words"), [
    (LAYER, np.zeros((2, 4)), ValueError, r"one example of shape \(D,\) or \(1, D\), got shape \(2, 4\)"),
    (lambda x: x[:, :2], ROW, ValueError, "cannot compile getitem"),
    (lambda x: TWICE(x, x > 9) * TWICE(x, x > 99), ROW, ValueError, "units of layers with different gates"),
    (LAYER, np.zeros((1, 4), int), TypeError, "float32 or float64"),
    (lambda x: x.numpy(), ROW, TypeError, "returns one Tensor"),
    (lambda x: x, ROW, ValueError, "does not depend on it"),
    (lambda x: mg.tensor(1.0) * 2.0, ROW, ValueError, "does not depend on it"),
    (lambda x: mg.cumsum(x, axis=1), ROW, ValueError, "cannot compile cumsum"),
    (lambda x: mg.bernoulli(x, mg.estimators.Reinforce()), ROW, ValueError, "cannot compile bernoulli"),
    (lambda x: mg.leaky_relu(x, 0.2), ROW, ValueError, "cannot compile leaky_relu"),
    (lambda x: mg.linear(x, mg.reshape(x, (1, 4))), ROW, ValueError, "weights that are computed from the example"),
    (lambda x: x.reshape(4, 1) * x, ROW, ValueError, "shapes"),
    (lambda x: mg.softmax(x, axis=0), ROW, ValueError, "cannot compile softmax"),
    (lambda x: mg.sum(x.reshape(2, 2), axis=1), ROW, ValueError, "cannot compile sum"),
    (lambda x: x.astype(np.float32), ROW, ValueError, "results of float32"),
    (mg.no_grad()(lambda x: x * 2.0), ROW, ValueError, "no_grad"),
])
def test_what_cannot_be_compiled_is_named(function, example, error, words):
    with pytest.raises(error, match=words):
        mg.compile_one(function, example)


@pytest.mark.parametrize(("x", "error"), [
    (np.zeros(4), ValueError), (np.zeros((1, 5)), ValueError), (np.zeros((1, 4), np.float32), TypeError),
    ([[0.0] * 4], ValueError), (mg.tensor(np.zeros((1, 4))), TypeError),
])
def test_other_inputs_are_refused(x, error):
    with pytest.raises(error, match=r"expected an array of shape \(1, 4\) and dtype float64"):
        mg.compile_one(LAYER, ROW)(x)


def test_what_it_shows_and_that_it_is_not_pickled():
    fast = mg.compile_one(LAYER, ROW)
    assert repr(fast) == "<OneExample (1, 4) -> (1, 4), float64, 1 steps>"
    with pytest.raises(TypeError, match="Pickle the network"):
        pickle.dumps(fast)


def test_any_strides_are_taken():
    x = np.random.default_rng(0).standard_normal((1, 8))[:, ::2]
    np.testing.assert_allclose(mg.compile_one(LAYER, ROW)(x), LAYER(x).numpy())
