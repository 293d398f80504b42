"""Sequential, Embedding, LayerNorm and Dropout: their formulas, gradients, states and errors."""

from types import SimpleNamespace

import numpy as np
import pytest

import minigrad as mg
from minigrad.kernels import Packed, tables
from minigrad.kernels.compiler import serving
from minigrad.nn import Dropout, Embedding, LayerNorm, Linear, Sequential
from minigrad.testing import check_rows, exact_expectation, exact_gradient, gradcheck, unbiased_nodes


def test_sequential_calls_its_layers_in_order_and_names_their_parameters():
    rng = mg.Generator(0)
    inner = Sequential(mg.tanh, Linear(3, 2, rng, dtype=float))
    network = Sequential(Linear(4, 3, rng, dtype=float), inner, lambda x: x * 2)
    assert (len(network), network[1], list(network[:2])) == (3, inner, [network[0], inner])
    x = np.arange(8.0).reshape(2, 4)
    first, second = network.layers[0], inner.layers[1]
    want = np.tanh(x @ first.weight.data.T) @ second.weight.data.T * 2
    np.testing.assert_allclose(network(x).data, want, rtol=1e-14)
    assert list(network.named_parameters()) == [
        "layers.0.weight", "layers.0.bias", "layers.1.layers.1.weight", "layers.1.layers.1.bias"]
    other = Sequential(Linear(4, 3, mg.Generator(5), dtype=float),
                       Sequential(mg.tanh, Linear(3, 2, mg.Generator(6), dtype=float)), lambda x: x * 2)
    other.load_state_dict(network.state_dict())
    np.testing.assert_array_equal(other(x).data, network(x).data)
    assert Sequential()(x) is x
    with pytest.raises(TypeError, match="expected modules and functions, got 3"):
        Sequential(mg.relu, 3)


def test_a_generator_reaches_the_layers_that_draw_and_no_others():
    network = Sequential(mg.relu, Sequential(Dropout(0.5), mg.tanh), Dropout(0.5))
    x = mg.tensor(np.ones((3, 50)))
    rng = mg.Generator(1)
    drawn = network(x, rng)
    assert rng.draws == 2
    assert 0 < (drawn.data == 0).mean() < 1
    np.testing.assert_array_equal(network(x).data, np.tanh(np.ones((3, 50))))
    np.testing.assert_array_equal(network(x, mg.Generator(1)).data, drawn.data)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_embedding_looks_rows_up_and_adds_their_cotangents(dtype):
    table = Embedding(5, 3, mg.Generator(2), dtype=dtype)
    indices = np.array([[0, 4], [4, 4]], np.int8)
    rows = table(indices)
    np.testing.assert_array_equal(rows.data, table.weight.data[indices])
    g = np.arange(12.0, dtype=dtype).reshape(2, 2, 3)
    rows.backward(g)
    want = np.zeros((5, 3), dtype)
    np.add.at(want, indices, g)
    np.testing.assert_array_equal(table.weight.grad, want)
    assert table.weight.grad.dtype == dtype
    np.testing.assert_array_equal(table(mg.tensor([2])).data, table.weight.data[[2]])
    assert table(np.zeros((0, 2), int)).shape == (0, 2, 3)
    np.testing.assert_array_equal(table.weight.data, mg.Generator(2).normal((5, 3)).astype(dtype))


def test_the_gradient_of_an_embedding_does_not_use_add_at_where_it_is_compiled(monkeypatch):
    if serving() != "numba":
        pytest.skip("no compiled kernels")
    table = Embedding(50, 3, mg.Generator(2))
    indices = np.random.default_rng(0).integers(0, 50, (60, 40))
    wanted = np.zeros((50, 3), np.float32)
    np.add.at(wanted, indices, np.float32(2))
    monkeypatch.setattr(tables, "np", SimpleNamespace(require=np.require, int64=np.int64, uint64=np.uint64))
    (2 * table(indices)).sum().backward()
    np.testing.assert_array_equal(table.weight.grad, wanted)


@pytest.mark.parametrize(("indices", "error", "words"), [
    (np.array([5]), ValueError, "indices from 0 to 4, got 5 to 5"), (np.array([-1, 2]), ValueError, "got -1 to 2"),
    (np.array([1.0]), TypeError, "array of integers, got float64"), ([1, 2], TypeError, "array of integers, got list"),
    (np.array([True]), TypeError, "array of integers, got bool"),
])
def test_what_an_embedding_refuses(indices, error, words):
    with pytest.raises(error, match=words):
        Embedding(5, 3, mg.Generator(2))(indices)


def test_layer_norm_is_its_formula():
    layer = LayerNorm(4, epsilon=0.1, dtype=float)
    layer.weight.data, layer.bias.data = np.array([1.0, 2, 3, 4]), np.array([0.5, 0, 0, -1])
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    want = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 0.1) * [1, 2, 3, 4] + [0.5, 0, 0, -1]
    np.testing.assert_allclose(layer(x).data, want, rtol=1e-13)
    assert gradcheck(layer, [x], order=2)
    # What PyTorch 2.13 gives for torch.nn.functional.layer_norm, epsilon 1e-5, and its gradient under [1, 0, 0].
    x = mg.tensor([[1.0, 2.0, 4.0]], requires_grad=True)
    out = LayerNorm(3, dtype=float)(x)
    (slope,) = mg.grad(out, [x], np.array([[1.0, 0.0, 0.0]]))
    np.testing.assert_allclose(out.data, [[-1.0690415314502977, -0.26726038286257453, 1.3363019143128718]], rtol=1e-13)
    want = [[0.22908229170096805, -0.3436200013686196, 0.11453770966765142]]
    np.testing.assert_allclose(slope.data, want, rtol=1e-12)
    # A row of equal numbers has no direction, and a finite gradient.
    x = mg.tensor(np.ones((1, 3), np.float32), requires_grad=True)
    LayerNorm(3)(x).sum().backward()
    np.testing.assert_allclose(x.grad, np.zeros((1, 3)), atol=1e-4)


def test_what_layer_norm_refuses():
    with pytest.raises(ValueError, match=r"expected x \(..., 3\), got \(2, 4\)"):
        LayerNorm(3)(np.ones((2, 4), np.float32))
    with pytest.raises(ValueError, match="epsilon > 0"):
        LayerNorm(3, epsilon=0)


def test_dropout_keeps_units_with_its_probability_and_scales_them():
    x = mg.tensor(np.full((40, 500), 3.0, np.float32), requires_grad=True)
    out = Dropout(0.25)(x, mg.Generator(0))
    assert out.dtype == np.float32
    np.testing.assert_allclose(np.unique(out.data), [0, 4], rtol=1e-6)
    # 20,000 entries: the share is within 0.0125 of .75, but for odds of 1 to 20,000.
    assert abs((out.data > 0).mean() - 0.75) < 0.0125
    out.sum().backward()
    np.testing.assert_allclose(x.grad, out.data / 3, rtol=1e-6)


def test_without_a_generator_or_a_rate_dropout_is_the_identity():
    x = mg.tensor([[1.0]])
    assert Dropout(0.5)(x) is x
    assert Dropout(0)(x, mg.Generator(0)) is x
    for rate in (1.0, -0.1):
        with pytest.raises(ValueError, match=r"rate in \[0, 1\)"):
            Dropout(rate)


def test_half_a_batch_sees_the_mask_of_the_whole():
    x = np.ones((4, 6))
    whole = Dropout(0.5)(mg.tensor(x), mg.Generator(3)).data
    np.testing.assert_array_equal(Dropout(0.5)(mg.tensor(x[2:]), mg.Generator(3, sample_offset=2)).data, whole[2:])


def dropped(w):
    return mg.expected(mg.square(Dropout(0.25)(w * [[1.0], [2.0]], mg.Generator(3))).sum(axis=1))


def test_exact_expectations_are_taken_over_all_masks():
    w = mg.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    want = (1 + 4) / 2 * (1 + 4 + 9) / 0.75         # E[mask² / .75²] = 1 / .75
    np.testing.assert_allclose(exact_expectation(lambda: dropped(w)), want, rtol=1e-12)
    np.testing.assert_allclose(exact_gradient(lambda: dropped(w), w), 5 * w.data / 0.75, rtol=1e-12)
    check_rows(lambda rng: dropped(w))


def test_a_rule_that_replays_sees_the_same_mask_and_claims_do_not_mention_it():
    logits = mg.tensor(np.linspace(-1, 1, 8)[None], requires_grad=True)

    class Look(mg.Estimator):
        needs = {"cost_at"}

        def backward(self, node):
            self.costs = [node.cost_at(np.full((1, 8), value)) for value in (1.0, 1.0, 2.0)]
            return 0 * node.value

    rule = Look()

    def loss(rng):
        bits = mg.bernoulli(logits, rule, rng=rng)
        return mg.expected(Dropout(0.5)(bits, rng).sum(axis=1))

    loss(mg.Generator(2)).backward()
    one, again, two = (cost.item() for cost in rule.costs)
    assert one == again == two / 2 > 0
    assert [claim.node.primitive.name for claim in unbiased_nodes(loss)] == ["bernoulli"]


def test_dropout_leaves_packed_units_packed():
    gates = np.array([[1.0, 0.0], [0.0, 1.0]])
    h = mg.gated_linear(mg.tensor(np.ones((2, 3))), mg.tensor(np.ones((8, 3))), None, mg.tensor(gates), block=4)
    out = Dropout(0.5)(h, mg.Generator(0))
    assert isinstance(out.value, Packed)
    np.testing.assert_array_equal(np.unique(out.data), [0, 6])
