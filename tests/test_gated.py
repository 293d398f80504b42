"""Gated layers in the graph: right derivatives, only those that are needed, and no work for closed blocks."""

import tracemalloc

import numpy as np
import pytest

import minigrad as mg
from minigrad import kernels
from minigrad.kernels import Packed
from minigrad.ops import Factored
from minigrad.testing import gradcheck

B, D, G, K, C = 5, 6, 4, 3, 2
rng = np.random.default_rng(0)
OPEN = rng.random((B, G)) < 0.5
OPEN[0], OPEN[1] = True, False


def arrays(gates="binary", dtype=float):
    values = {
        "x": rng.standard_normal((B, D)), "weight": rng.standard_normal((G * K, D)),
        "bias": rng.standard_normal(G * K), "gates": OPEN * (1.0 if gates == "binary" else rng.uniform(0.5, 2, (B, G))),
    }
    return [value.astype(dtype) for value in values.values()]


def dense_layer(x, weight, bias, gates, block=K):
    return mg.linear(x, weight, bias) * mg.repeat(gates, block, axis=1)


@pytest.mark.parametrize("gates", ["binary", "real"])
def test_output_and_all_derivatives_of_a_gated_layer(gates):
    inputs = arrays(gates)
    out = mg.gated_linear(*map(mg.tensor, inputs), block=K)
    assert isinstance(out.value, Packed)
    np.testing.assert_allclose(out.data, dense_layer(*map(mg.tensor, inputs)).data, rtol=1e-12)
    assert gradcheck(lambda *a: mg.gated_linear(*a, block=K).to_dense(), inputs)


def test_one_unit_per_gate_is_the_default():
    x, weight, bias, _ = arrays()
    gates = np.repeat(OPEN, K, axis=1).astype(float)
    assert gradcheck(lambda *a: mg.gated_linear(*a).to_dense(), [x, weight, bias, gates])


def test_second_derivatives_are_computed_densely():
    assert gradcheck(lambda *a: mg.tanh(mg.gated_linear(*a, block=K)).to_dense(), arrays("real"), order=2)


@pytest.mark.parametrize("function", [
    lambda h: mg.relu(h) * 2, mg.tanh, lambda h: -mg.sin(h), lambda h: h * h, lambda h: abs(h) / 3,
    lambda h: h * np.arange(G * K), lambda h: h + mg.tanh(h), lambda h: mg.expm1(h / 4), mg.silu, mg.gelu, mg.elu,
    mg.leaky_relu, mg.arcsinh, lambda h: mg.gelu(h, approximate="tanh"), lambda h: h * mg.round(h) + h,
])
def test_packed_units_pass_through_functions_that_keep_zero(function):
    x, weight, bias, gates = arrays()
    consumer = rng.standard_normal((C, G * K))

    def network(layer, x, weight, bias, consumer):
        return mg.linear(function(layer(x, weight, bias, mg.tensor(gates), block=K)), consumer, None)

    h = function(mg.gated_linear(*map(mg.tensor, (x, weight, bias, gates)), block=K))
    assert isinstance(h.value, Packed)
    assert gradcheck(lambda *a: network(mg.gated_linear, *a), [x, weight, bias, consumer])
    ours, theirs = (network(layer, *map(mg.tensor, (x, weight, bias, consumer)))
                    for layer in (mg.gated_linear, dense_layer))
    np.testing.assert_allclose(ours.data, theirs.data, rtol=1e-12)


@pytest.mark.parametrize("wants_all", [False, True])
def test_a_layer_gated_on_both_sides(wants_all):
    """Gradients equal the dense ones, with gate gradients at closed gates or without."""
    x, weight, bias, gates = arrays()
    second = rng.standard_normal((4, G * K)), rng.standard_normal(4), (rng.random((B, 2)) < 0.5).astype(float)

    def gradients(layer):
        leaves = [mg.tensor(a, requires_grad=wants_all or i != 3) for i, a in enumerate((x, weight, bias, gates))]
        leaves += [mg.tensor(a, requires_grad=True) for a in second]
        hidden = mg.tanh(layer(*leaves[:4], block=K))
        out = layer(hidden, *leaves[4:], block=2)
        (out * out).to_dense().sum().backward()
        return [t.grad for t in leaves if t.requires_grad]

    for ours, theirs in zip(gradients(mg.gated_linear), gradients(dense_layer), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


class Watch:
    """Records the calls of the kernels."""

    def __init__(self, monkeypatch, *names):
        self.calls = {}
        for name in names:
            monkeypatch.setattr(kernels, name, self.watched(name, getattr(kernels, name)))

    def watched(self, name, kernel):
        def spy(*args, **options):
            result = kernel(*args, **options)
            self.calls[name] = (args, result)
            return result
        return spy


class Closed(mg.Estimator):
    """A straight-through rule that does not use the gradients of closed gates."""
    needs = {"grad"}
    needs_closed_gates = False

    def backward(self, node):
        return node.grad


@pytest.mark.parametrize(("rule", "asked"), [
    (mg.estimators.StraightThrough(), "all"), (Closed(), "open"), (None, "nothing"),
])
def test_gate_gradients_are_computed_as_the_rule_needs_them(monkeypatch, rule, asked):
    class CostOnly(mg.Estimator):
        needs = {"cost"}

        def backward(self, node):
            return node.cost * (node.value - node.probs)

    watch = Watch(monkeypatch, "gated_linear_dgates", "packed_linear_dh")
    x, weight, bias, _ = arrays()
    logits = mg.tensor(rng.standard_normal((B, G)), requires_grad=True)
    gates = mg.bernoulli(logits, rule or CostOnly(), rng=mg.Generator(3))
    consumer = mg.tensor(rng.standard_normal((C, G * K)), requires_grad=True)
    h = mg.gated_linear(mg.tensor(x), mg.tensor(weight, requires_grad=True), mg.tensor(bias), gates, block=K)
    mg.expected(mg.linear(h, consumer, None).sum(axis=1)).backward()
    if asked == "nothing":
        assert "gated_linear_dgates" not in watch.calls
    else:
        assert watch.calls["gated_linear_dgates"][0][-1] == asked
    # Only who asks for closed gates makes the consumer compute a dense gradient.
    assert ("packed_linear_dh" in watch.calls) == (asked != "all")


def test_straight_through_over_skipped_blocks_equals_the_dense_gradient():
    x, weight, bias, _ = arrays()
    consumer = rng.standard_normal((C, G * K))
    gradients = []
    for layer in (mg.gated_linear, dense_layer):
        logits = mg.tensor(np.zeros((B, G)), requires_grad=True)
        gates = mg.bernoulli(logits, mg.estimators.StraightThrough(), rng=mg.Generator(3))
        h = layer(mg.tensor(x), mg.tensor(weight), mg.tensor(bias), gates, block=K)
        mg.expected(mg.linear(h, consumer, None).sum(axis=1)).backward()
        gradients.append(logits.grad)
    np.testing.assert_allclose(*gradients, rtol=1e-12)
    assert (gradients[0] != 0).all()


def test_the_weights_gradient_stays_factored_until_somebody_looks():
    x, weight, bias, gates = arrays()
    w = mg.tensor(weight, requires_grad=True)
    for _ in range(2):
        mg.gated_linear(mg.tensor(x), w, mg.tensor(bias), mg.tensor(gates), block=K).to_dense().sum().backward()
        if _ == 0:
            assert isinstance(w.gradient, Factored)
            once = mg.kernels.gated_linear_dw(np.ones((B, G * K)), x, gates, kernels.open_blocks(gates), K)
    np.testing.assert_allclose(w.grad, 2 * once, rtol=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_sgd_on_a_factored_gradient_equals_sgd_on_the_dense_one(momentum):
    x, weight, bias, gates = arrays()
    consumer = rng.standard_normal((C, G * K))
    results = []
    for layer in (mg.gated_linear, dense_layer):
        w, v = mg.tensor(weight, requires_grad=True), mg.tensor(consumer, requires_grad=True)
        optimiser = mg.optim.SGD([w, v], lr=0.1, momentum=momentum)
        for _ in range(3):
            optimiser.zero_grad()
            h = layer(mg.tensor(x), w, mg.tensor(bias), mg.tensor(gates), block=K)
            out = mg.linear(h, v, None)
            (out * out).mean().backward()
            optimiser.step()
        results.append((w.data, v.data))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)


def test_a_weight_that_is_computed_gets_an_ordinary_gradient():
    x, weight, bias, gates = arrays()
    assert gradcheck(lambda w: mg.gated_linear(x, w * 2, bias, mg.tensor(gates), block=K).to_dense(), [weight])


def test_adding_a_number_to_packed_units_is_refused_with_the_remedy():
    h = mg.gated_linear(*map(mg.tensor, arrays()), block=K)
    with pytest.raises(TypeError, match=r"to_dense\(\)"):
        h + 1
    assert (h.to_dense() + 1).shape == (B, G * K)


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"block": 5}, ValueError, "block"), ({"block": 0}, ValueError, "block"), ({"block": 1.5}, ValueError, "block"),
    ({"gates": np.ones((B, G + 1))}, ValueError, "gates"), ({"gates": np.full((B, G), np.nan)}, ValueError, "finite"),
    ({"x": np.ones((B, D + 1))}, ValueError, "expected"), ({"bias": np.ones(3)}, ValueError, "bias"),
    ({"gates": np.ones((B, G), np.float32)}, TypeError, "gated_linear: expected floating arguments of one dtype"),
    ({"x": np.ones((B, D), np.float32)}, TypeError, "float"),
])
def test_what_a_gated_layer_refuses(change, error, message):
    given = {**dict(zip(("x", "weight", "bias", "gates"), arrays(), strict=True)), "block": K} | change
    tensors = [mg.tensor(given[name]) for name in ("x", "weight", "bias", "gates")]
    with pytest.raises(error, match=message):
        mg.gated_linear(*tensors, block=given["block"])


@pytest.mark.parametrize("batch", [0, 1])
def test_an_empty_batch_and_a_single_example(batch):
    x, weight, bias, gates = arrays()
    out = mg.gated_linear(*map(mg.tensor, (x[:batch], weight, bias, gates[:batch])), block=K)
    np.testing.assert_allclose(out.data, dense_layer(*map(mg.tensor, (x[:batch], weight, bias, gates[:batch]))).data)


def test_packed_units_past_a_skip_where_gates_want_all():
    x, weight, bias, gates = arrays()
    consumer = rng.standard_normal((C, G * K))
    gradients = []
    for layer in (mg.gated_linear, dense_layer):
        w, z = mg.tensor(weight, requires_grad=True), mg.tensor(gates, requires_grad=True)
        h = layer(mg.tensor(x), w, mg.tensor(bias), z, block=K)
        k = mg.relu(h)
        (mg.linear(k + h, consumer, None).sum() + mg.linear(k, consumer, None).sum()).backward()
        gradients.append((w.grad, z.grad))
    for ours, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_packed_units_that_are_an_output_and_used_further():
    x, weight, bias, gates = arrays()
    consumer, seeds = rng.standard_normal((C, G * K)), (rng.standard_normal((B, G * K)), rng.standard_normal((B, C)))
    found = []
    for layer in (mg.gated_linear, dense_layer):
        w = mg.tensor(weight, requires_grad=True)
        h = layer(mg.tensor(x), w, mg.tensor(bias), mg.tensor(gates), block=K)
        found.append(mg.grad([h, mg.linear(h, consumer, None)], w, grad_outputs=list(seeds)).data)
    np.testing.assert_allclose(*found, rtol=1e-10, atol=1e-12)


def test_a_factored_gradient_does_not_see_what_is_overwritten_later():
    x, weight, bias, gates = arrays()
    w, buffer, seed = mg.tensor(weight, requires_grad=True), x.copy(), np.ones((B, G * K))
    mg.gated_linear(buffer, w, mg.tensor(bias), mg.tensor(gates), block=K).backward(seed)
    buffer[...], seed[...] = 0, 0
    expected = kernels.gated_linear_dw(np.ones((B, G * K)), x, gates, kernels.open_blocks(gates), K)
    np.testing.assert_allclose(w.grad, expected, rtol=1e-12)




REDUCTIONS = {
    "sum": lambda h: h.sum(), "sum of rows": lambda h: h.sum(axis=1), "mean of units": lambda h: h.mean(axis=0),
    "mean, kept": lambda h: h.mean(axis=1, keepdims=True), "var": lambda h: h.var(axis=1, ddof=1),
    "var of units": lambda h: h.var(axis=0), "var of all": lambda h: h.var(), "std": lambda h: h.std(axis=1),
    "max": lambda h: h.max(axis=1), "max of units": lambda h: h.max(axis=0, keepdims=True), "min": lambda h: h.min(),
    "prod": lambda h: (h * 3).prod(axis=1), "prod of units": lambda h: h.prod(axis=0), "norm": lambda h: h.norm(axis=1),
    "rows": lambda h: h[1:4].sum(axis=1), "rows twice": lambda h: h[[0, 3, 0, -1]].var(axis=1),
    "rows of a mask": lambda h: mg.linear(h[np.arange(B) % 2 == 0], np.ones((1, G * K))),
    "rows with functions": lambda h: mg.silu(mg.gelu(h)[::-1]).sum(axis=0) + mg.elu(mg.leaky_relu(h[2:3])).sum(),
    "gelu": lambda h: mg.gelu(h, approximate="tanh").sum(axis=1),
}


@pytest.mark.parametrize("reduction", REDUCTIONS.values(), ids=REDUCTIONS)
@pytest.mark.parametrize("gates_want", ["nothing", "all"])
def test_reductions_and_rows_of_packed_units(reduction, gates_want):
    """Values and gradients are the dense ones, with the gate gradients of closed gates or without; second order too."""
    x, weight, bias, gates = arrays()
    gates[3, 1:], gates[4, 2] = 0, 1            # a row with one closed gate, and others of every kind
    found = []
    for layer in (mg.gated_linear, dense_layer):
        leaves = [mg.tensor(a, requires_grad=gates_want == "all" or i < 3)
                  for i, a in enumerate((x, weight, bias, gates))]
        out = reduction(layer(*leaves, block=K))
        assert not isinstance(out.value, Packed)
        mg.square(out).sum().backward()
        found.append([out.data, *(a.grad for a in leaves if a.requires_grad)])
        slopes = mg.grad(mg.square(out).sum(), leaves[:3], create_graph=True)
        found[-1] += mg.grad(sum(mg.square(slope).sum() for slope in slopes), leaves[:3])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(getattr(ours, "data", ours), getattr(theirs, "data", theirs), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("function", [lambda h: mg.max(h, axis=1), lambda h: mg.min(h, axis=1), mg.max,
                                      lambda h: mg.max(h, axis=0)])
def test_zeros_of_closed_blocks_share_an_extreme_with_those_inside(function):
    values = np.array([[0.0, -1, 0, 0], [-1, 0, 0, 0], [-1, -2, -1, -1]])
    gates = np.array([[1.0, 0], [1, 1], [1, 1]])
    found = []
    for layer in (mg.gated_linear, dense_layer):
        weight, opened = mg.tensor(values, requires_grad=True), mg.tensor(gates, requires_grad=True)
        h = layer(mg.tensor(np.eye(3)), mg.transpose(weight), None, opened, block=2)
        function(h).sum().backward()
        found.append((weight.grad, opened.grad))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("opened", [1, 0.5])        # binary gates, and real ones
def test_a_step_through_a_reduction_touches_open_blocks_alone(dtype, opened):
    """Forward and backward, no kernel sees a closed block, and no array of all units is made.  Biases make none."""
    examples, blocks, block = 256, 64, 16
    gates = np.zeros((examples, blocks), dtype)
    gates[::4, ::8] = opened
    x, weight = (0.5 * rng.standard_normal((n, 8)).astype(dtype) for n in (examples, blocks * block))
    for reduction in (lambda h: h.sum(), lambda h: h.var(axis=1).sum(), lambda h: h.max(axis=0).sum(),
                      lambda h: h.prod(axis=1).sum(), lambda h: h[::4].sum(), lambda h: mg.relu(h).mean(),
                      lambda h: h.min(axis=1).sum(), lambda h: h.norm(axis=0).sum()):
        w, bias = mg.tensor(weight, requires_grad=True), mg.tensor(weight[:, 0], requires_grad=True)

        def step(w=w, bias=bias, reduction=reduction):
            reduction(mg.gated_linear(mg.tensor(x), w, bias, mg.tensor(gates), block=block)).backward()

        step()
        tracemalloc.start()
        with kernels.count_work() as work:
            step()
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert work.blocks <= 20 * np.count_nonzero(gates)
        assert held < examples * blocks * block * gates.itemsize / 2


@pytest.mark.parametrize("use", [lambda h: h[0], lambda h: h[:, 0], lambda h: list(h), lambda h: h.logsumexp(axis=1),
                                 lambda h: h.softmax(), lambda h: h.argmax(axis=1), lambda h: h.cumsum(axis=1)])
def test_what_is_not_kept_packed_names_to_dense(use):
    h = mg.gated_linear(*map(mg.tensor, arrays()), block=K)
    with pytest.raises(TypeError, match=r"to_dense\(\)"):
        use(h)
