"""Optimisers follow their formulas, which are computed here for one number at a time; errors; resuming."""

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad import sharing
from minigrad.kernels import count_work
from minigrad.kernels.specification import adam_step as specified_adam
from minigrad.ops.packed import Factored
from minigrad.optim import SGD, Adam, AdamW

GRADIENTS = [[0.5, -2.0], [-1.5, 0.25], [3.0, 0.0], [1e-3, 4.0]]

# What PyTorch 2.13 makes of these gradients in float64.
NESTEROV = [[0.905, -0.62], [1.1495, -0.5055], [0.66455, -0.37994999999999995], [0.497905, -1.026955]]
ADAMW = [[0.8701996007984032, -0.8700499750124937],
 [0.8981530586996912, -0.790696484420729],
 [0.827698131757934, -0.7279842677540078],
 [0.769186582317699, -0.7524776498435268]]


def trajectory(optimiser, x, gradients=GRADIENTS):
    """The values of x after each step with these gradients."""
    values = []
    for gradient in gradients:
        x.grad = np.array(gradient, x.dtype)
        optimiser.step()
        values.append(x.numpy().tolist())
    return values


def parameter(value=(1.0, -1.0), dtype=np.float64):
    return mg.tensor(np.array(value, dtype), requires_grad=True)


def test_sgd_goes_down_the_gradient():
    x = parameter()
    assert trajectory(SGD([x], lr=0.5), x, GRADIENTS[:2]) == [[0.75, 0.0], [1.5, -0.125]]


def test_sgd_with_momentum_and_a_falling_rate():
    x = parameter()
    found = trajectory(SGD([x], lr=lambda step: 0.1 / (step + 1), momentum=0.9), x)
    for i, start in enumerate([1.0, -1.0]):
        value, velocity = start, 0.0
        for step, gradient in enumerate(GRADIENTS):
            velocity = 0.9 * velocity - 0.1 / (step + 1) * gradient[i]
            value += velocity
            assert found[step][i] == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [2, 5000])         # 5000: in Numba's kernel
def test_nesterov_and_adamw_are_their_formulas_bit_for_bit(dtype, size):
    rng = np.random.default_rng(0)
    start, gradients = rng.standard_normal(size).astype(dtype), rng.standard_normal((4, size)).astype(dtype)
    x, y = parameter(start, dtype), parameter(start, dtype)
    sgd, adamw = SGD([x], 0.1, momentum=0.9, nesterov=True), AdamW([y], 0.1, weight_decay=0.3)
    a, velocity = start.copy(), np.zeros_like(start)
    b, mean, square = start.copy(), np.zeros_like(start), np.zeros_like(start)
    for t, g in enumerate(gradients, 1):
        x.grad, y.grad = g, g
        sgd.step()
        adamw.step()
        velocity = 0.9 * velocity - 0.1 * g
        a = a + (0.9 * velocity - 0.1 * g)
        b = b * (1 - 0.1 * 0.3)
        specified_adam(b, g, mean, square, 0.1 / (1 - 0.9**t), (0.9, 0.999), (1 - 0.999**t) ** 0.5, 1e-8)
        np.testing.assert_array_equal(x.data, a)
        np.testing.assert_array_equal(y.data, b)


@pytest.mark.parametrize(("make", "values"), [
    (lambda x: SGD([x], 0.1, momentum=0.9, nesterov=True), NESTEROV),
    (lambda x: AdamW([x], 0.1, betas=(0.8, 0.95), epsilon=1e-3, weight_decay=0.3), ADAMW),
])
def test_pytorchs_values(make, values):
    x = parameter()
    np.testing.assert_allclose(trajectory(make(x), x), values, rtol=1e-14)


def test_no_decay_is_adam():
    x, y = parameter(), parameter()
    assert trajectory(AdamW([x], 0.1, weight_decay=0), x) == trajectory(Adam([y], 0.1), y)


def test_adam_is_algorithm_1():
    x = parameter()
    found = trajectory(Adam([x], lr=0.1, betas=(0.8, 0.95), epsilon=1e-3), x)
    for i, start in enumerate([1.0, -1.0]):
        value, m, v = start, 0.0, 0.0
        for t, gradient in enumerate(GRADIENTS, 1):
            m = 0.8 * m + 0.2 * gradient[i]
            v = 0.95 * v + 0.05 * gradient[i] ** 2
            value -= 0.1 * (m / (1 - 0.8**t)) / (math.sqrt(v / (1 - 0.95**t)) + 1e-3)
            assert found[t - 1][i] == pytest.approx(value, rel=1e-13)


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("orders", ["CC", "CF", "FC", "FF"])
def test_adam_moves_each_entry_by_its_own_gradient_in_any_order_of_memory(shape, orders):
    rng = np.random.default_rng(0)
    start, gradient = (np.array(rng.standard_normal(shape), np.float32) for _ in range(2))
    x = mg.tensor(np.asarray(start, order=orders[0]), requires_grad=True)
    optimiser = Adam([x], lr=0.5, epsilon=1.0)
    for share in 0.25, 0.75:
        (x * np.asarray(share * gradient, order=orders[1])).sum().backward()
    optimiser.step()
    # The first step corrects mean and root to g and |g|.
    assert x.dtype == np.float32
    np.testing.assert_allclose(x.numpy(), start - 0.5 * gradient / (np.abs(gradient) + 1), rtol=1e-6, atol=1e-7)


def test_the_norm_of_what_enters_a_unit_is_limited():
    weight = parameter([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    bias = parameter([30.0, 40.0])
    weight.grad, bias.grad = np.zeros((3, 2)), np.zeros(2)
    SGD([weight, bias], lr=1.0, max_norm=2.0).step()
    np.testing.assert_allclose(weight.data, [[1.2, 1.6], [0.3, 0.4], [0, 0]], rtol=1e-15)
    assert bias.data.tolist() == [30, 40]


def test_the_norm_is_limited_after_the_step():
    weight = parameter([[0.0, 0.0]])
    weight.grad = np.array([[-6.0, 8.0]])
    SGD([weight], lr=1.0, max_norm=5.0).step()
    np.testing.assert_allclose(weight.data, [[3.0, -4.0]], rtol=1e-15)


def test_groups_have_rates_of_their_own():
    slow, fast = parameter([1.0]), parameter([1.0])
    optimiser = SGD([{"parameters": [slow], "lr": 0.001}, {"parameters": [fast]}], lr=0.1)
    slow.grad = fast.grad = np.array([1.0])
    optimiser.step()
    assert (slow.item(), fast.item()) == (0.999, 0.9)


@pytest.mark.parametrize("make", [lambda x: SGD(x, 0.1), lambda x: SGD(x, 0.1, momentum=0.9), lambda x: Adam(x)])
@pytest.mark.parametrize(("gradient", "complaint"), [(None, "1.weight has none"), (np.nan, "1.weight has NaN"),
                                                     (np.inf, "1.weight has NaN or infinity")])
def test_a_step_is_refused_before_anything_changes(make, gradient, complaint):
    layers = [mg.nn.Linear(2, 2, mg.Generator(0)), mg.nn.Linear(2, 2, mg.Generator(1))]
    optimiser = make(layers)
    parameters = [x for layer in layers for x in layer.parameters()]
    for x in parameters:
        x.grad = np.ones(x.shape, np.float32)
    if gradient is None:
        layers[1].weight.grad = None
    else:
        layers[1].weight.grad[0, 1] = gradient
    before, state = [x.numpy().copy() for x in parameters], optimiser.state_dict()
    with pytest.raises(ValueError, match="Nothing was changed") as raised:
        optimiser.step()
    assert complaint in str(raised.value)
    assert "bias" not in str(raised.value)
    for x, value in zip(parameters, before, strict=True):
        np.testing.assert_array_equal(x.data, value)
    np.testing.assert_equal(optimiser.state_dict(), state)


def test_a_graph_from_before_a_step_is_stale():
    x = parameter()
    loss = (x * x).sum()
    loss.backward()
    SGD([x], lr=0.1).step()
    with pytest.raises(ValueError, match="changed in place"):
        loss.backward()


def test_zero_grad_forgets():
    x = parameter()
    (x * x).sum().backward()
    SGD([x], lr=0.1).zero_grad()
    assert x.grad is None


@pytest.mark.parametrize("momentum", [0, 0.5])
@pytest.mark.parametrize("block", [1, 4])
def test_a_factored_gradient_moves_a_gated_weight_as_the_dense_one_does(block, momentum):
    def trained(look):
        layer = mg.nn.GatedLinear(6, 8, mg.Generator(1), block=block, dtype=np.float64)
        optimiser = SGD(layer, lr=0.1, momentum=momentum)
        gates = (mg.Generator(2).uniform((5, 8 // block)) < 0.4).astype(float)
        for _ in range(3):
            optimiser.zero_grad()
            layer(mg.Generator(3).normal((5, 6)), gates).to_dense().sum().backward()
            if look:
                assert layer.weight.grad.shape == (8, 6)        # looking at it multiplies it out
            optimiser.step()
        assert look or momentum or isinstance(layer.weight.gradient, Factored)      # it was not multiplied out
        return layer.weight.numpy()

    np.testing.assert_allclose(trained(look=False), trained(look=True), rtol=1e-12)


LAZY = {"adam": lambda x, lazy: Adam(x, 0.01, lazy=lazy), "momentum": lambda x, lazy: SGD(x, 0.1, 0.9, lazy=lazy),
        "nesterov": lambda x, lazy: SGD(x, 0.1, 0.9, nesterov=True, lazy=lazy)}


class Words(mg.nn.Module):
    """A table of 20 words and a gated layer of 10 blocks.  A batch uses some words, and some of the blocks."""

    def __init__(self, features, block):
        rng = mg.Generator(0)
        self.table = mg.nn.Embedding(20, features, rng)
        self.hidden = mg.nn.GatedLinear(features, 10 * block, rng, block=block)
        self.output = mg.nn.Linear(10 * block, 3, rng, gated_inputs=True)

    def backward(self, words, blocks, batch=16):
        """Add the gradients of a batch with these words, and gates that are open at random among these blocks."""
        rng = np.random.default_rng(len(words))
        gates = np.zeros((batch, 10), np.float32)
        gates[:, blocks] = rng.random((batch, len(blocks))) + 0.1       # real numbers, not binary
        gates *= rng.random((batch, 10)) < 0.5
        gates[0, blocks] = 1
        h = self.hidden(self.table(np.resize(words, batch)), gates)
        mg.expected(mg.cross_entropy(self.output(h), rng.integers(0, 3, batch))).backward()


def changed_rows(now, before):
    return np.flatnonzero((np.reshape(now, (len(now), -1)) != np.reshape(before, (len(now), -1))).any(axis=1)).tolist()


@pytest.mark.parametrize("kind", LAZY)
@pytest.mark.parametrize("look", [False, True])                          # looking at a gradient multiplies it out
@pytest.mark.parametrize(("features", "block"), [(3, 2), (300, 16)])     # in NumPy, and compiled
def test_a_lazy_step_changes_the_rows_that_have_a_gradient(kind, look, features, block):
    network = Words(features, block)
    optimiser = LAZY[kind](network, True)
    network.backward(range(20), range(10))
    optimiser.step()                    # now no row of the memory is 0
    optimiser.zero_grad()
    network.backward([3, 17], [2, 5])
    if look:
        assert all(x.grad is not None for x in network.parameters())
    values = {name: x.numpy().copy() for name, x in optimiser.parameters.items()}
    memories = {name: {key: value.copy() for key, value in memory.items()}
                for name, memory in optimiser.memories.items()}
    optimiser.step()
    units = [2 * block + i for i in range(block)] + [5 * block + i for i in range(block)]
    expected = {"table.weight": [3, 17], "hidden.weight": units, "hidden.bias": units, "output.weight": units,
                "output.bias": [0, 1, 2]}
    for name, x in optimiser.parameters.items():
        turn = np.transpose if name == "output.weight" else np.asarray
        assert changed_rows(turn(x.numpy()), turn(values[name])) == expected[name], name
        for key, value in optimiser.memories[name].items():
            assert changed_rows(turn(value), turn(memories[name][key])) == expected[name], (name, key)


@pytest.mark.parametrize("kind", LAZY)
@pytest.mark.parametrize(("features", "block"), [(3, 2), (300, 16)])
def test_lazy_steps_that_touch_every_row_are_ordinary_bit_for_bit(kind, features, block):
    def trained(lazy):
        network = Words(features, block)
        optimiser = LAZY[kind](network, lazy)
        for _ in range(4):
            optimiser.zero_grad()
            network.backward(range(20), range(10), batch=40)
            assert all((x.grad != 0).any(axis=1).all() for x in network.parameters() if x.ndim == 2)
            optimiser.zero_grad()
            network.backward(range(20), range(10), batch=40)
            optimiser.step()
        return optimiser

    ours, wanted = trained(True), trained(False)
    for name, x in wanted.parameters.items():
        np.testing.assert_array_equal(ours.parameters[name].numpy(), x.numpy())
        for key, value in wanted.memories[name].items():
            np.testing.assert_array_equal(ours.memories[name][key], value)


@pytest.mark.parametrize("kind", LAZY)
@pytest.mark.parametrize("other_order", [False, True])
def test_a_lazy_step_does_not_depend_on_how_the_gradient_is_stored(kind, other_order):
    def trained(look):
        network = Words(300, 16)
        if other_order:         # then the rows are not the units of the factors
            network.hidden.weight.data = np.asfortranarray(network.hidden.weight.numpy())
            network.output.weight.data = np.ascontiguousarray(network.output.weight.numpy())
        optimiser = LAZY[kind](network, True)
        for words, blocks in ((range(20), range(10)), ([3, 17], [2, 5]), ([4], [9, 0])):
            optimiser.zero_grad()
            network.backward(words, blocks)
            if look:
                assert all(x.grad is not None for x in network.parameters())
            optimiser.step()
        return optimiser.parameters

    wanted = trained(True)
    for name, x in trained(False).items():
        np.testing.assert_allclose(x.numpy(), wanted[name].numpy(), rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_lazy_step_allocates_no_rows_without_a_gradient():
    network = Words(300, 160)
    optimiser = Adam(network, 0.01, lazy=True)
    network.backward([3], [2])
    with count_work() as work:
        optimiser.step()
    rows = 160 * (300 + 3) * 4              # one of ten blocks, in two weights
    assert rows <= work.bytes < 1.5 * rows


def test_a_table_that_is_larger_than_its_gradient_takes_plain_steps_as_any_other():
    count = 2 * sharing.COPIED
    table = mg.nn.Embedding(count, 3, mg.Generator(1))
    before, words = table.weight.numpy().copy(), np.arange(count // 2)
    words[:4] = 3, 7, 3, count - 1
    optimiser = SGD(table, 0.1)
    (table(words) * np.arange(3 * len(words), dtype=np.float32).reshape(-1, 3)).sum().backward()
    words[...] = 0                          # the caller may use the array again
    optimiser.step()
    gradient = np.zeros((count, 3), np.float32)
    gradient[4:len(words)] = np.arange(12, 3 * len(words)).reshape(-1, 3)
    gradient[3], gradient[count - 1] = [6, 8, 10], [9, 10, 11]
    gradient[7] += [3, 4, 5]
    np.testing.assert_array_equal(table.weight.numpy(), before - np.float32(0.1) * gradient)
    np.testing.assert_array_equal(table.weight.grad, gradient)


@pytest.mark.parametrize("make", [lambda x: SGD(x, 0.1, momentum=0.9, max_norm=1.0), lambda x: Adam(x, 0.01),
                                  lambda x: SGD(x, 0.1, momentum=0.9, nesterov=True), lambda x: AdamW(x, 0.01),
                                  lambda x: Adam(x, lambda step: 0.01 / (step + 1)),
                                  lambda x: Adam(x, 0.01, lazy=True), lambda x: SGD(x, 0.1, momentum=0.9, lazy=True)])
def test_resuming_is_the_same_bit_for_bit(make, tmp_path):
    x, y = mg.Generator(1).normal((32, 5), np.float32), mg.Generator(2).integers(3, (32,), event_ndim=0)

    def start():
        rng = mg.Generator(0)
        layers = [mg.nn.GatedLinear(5, 8, rng, block=2), mg.nn.Linear(8, 3, rng, gated_inputs=True)]
        return layers, make(layers), rng

    def steps(layers, optimiser, rng, count):
        for _ in range(count):
            gates = (rng.uniform((32, 4), np.float32) < 0.5).astype(np.float32)
            optimiser.zero_grad()
            mg.expected(mg.cross_entropy(layers[1](layers[0](x, gates)), y)).backward()
            optimiser.step()

    whole = start()
    steps(*whole, 7)
    before, after = start(), start()
    steps(*before, 3)
    mg.checkpoint.save(tmp_path / "run.npz", [part.state_dict() for part in (*before[0], *before[1:])])
    for part, state in zip((*after[0], *after[1:]), mg.checkpoint.load(tmp_path / "run.npz"), strict=True):
        part.load_state_dict(state)
    steps(*after, 4)
    for one, other in zip(whole[0], after[0], strict=True):
        assert one.weight.data.tobytes() == other.weight.data.tobytes()
        assert one.bias.data.tobytes() == other.bias.data.tobytes()


def test_a_state_of_another_optimiser_is_refused_before_anything_changes():
    x, y = parameter(), parameter([1.0, 2.0, 3.0])
    adam = Adam([x])
    trajectory(adam, x)
    before = adam.state_dict()
    for other in (SGD([x], 0.1, momentum=0.9), Adam([x, y]), Adam([y])):
        with pytest.raises(ValueError, match=r"(0|1) mean"):
            adam.load_state_dict(other.state_dict())
    np.testing.assert_equal(adam.state_dict(), before)
    with pytest.raises(ValueError, match=r"unexpected, or of another shape or dtype: 1 mean, 1 square\."):
        adam.load_state_dict(Adam([x, y]).state_dict())         # those of 0 are as expected


@pytest.mark.parametrize(("make", "complaint"), [
    (lambda x: SGD([x]), "learning rate above 0, got lr=None"),
    (lambda x: SGD([x], -0.1), "learning rate above 0, got lr=-0.1"),
    (lambda x: SGD([x], 0.1, momentum=1.0), r"momentum in \[0, 1\)"),
    (lambda x: SGD([x], 0.1, momentum="0.5"), r"momentum in \[0, 1\)"),
    (lambda x: SGD([x], 0.1, max_norm=0.0), "max_norm > 0"),
    (lambda x: SGD([x.detach()], 0.1), "requires_grad=True"),
    (lambda x: SGD([{"parameters": [x]}, {"parameters": [x]}], 0.1), "found one in two"),
    (lambda x: Adam([x], betas=(0.9, 1.0)), "betas in"),
    (lambda x: Adam([x], epsilon=0.0), "epsilon > 0"),
    (lambda x: Adam([x], betas={0.9: 1, 0.99: 2}), r"betas in \[0, 1\)"),
    (lambda x: Adam([x], betas=(0.9,)), r"betas in \[0, 1\)"),
    (lambda x: Adam([x], betas=0.9), r"betas in \[0, 1\)"),
    (lambda x: AdamW([x], weight_decay=-0.1), "weight_decay of at least 0"),
    (lambda x: AdamW([x], weight_decay=np.inf), "weight_decay of at least 0"),
    (lambda x: AdamW([x], weight_decay="0.1"), "weight_decay of at least 0, got '0.1'"),
    (lambda x: SGD([x], 0.1, nesterov=True), "momentum above 0 with nesterov"),
])
def test_bad_arguments_are_named(make, complaint):
    with pytest.raises(ValueError, match=complaint):
        make(parameter())


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_lazy_is_a_bool(kind):
    with pytest.raises(TypeError, match="expected lazy=True or lazy=False, got 1"):
        kind([parameter()], 0.1, lazy=1)


@pytest.mark.parametrize("junk", [np.ones(2), "weight", None, mg.tensor([1.0]), parameter() * 2])
def test_what_cannot_be_trained_is_not_ignored(junk):
    with pytest.raises(ValueError, match="expected modules and leaves"):
        SGD([parameter(), junk], 0.1)
    x = parameter()
    with pytest.raises(ValueError, match="found one twice"):
        SGD([x, x], 0.1)


@pytest.mark.parametrize("rate", [np.nan, np.inf, -np.inf, -0.1])
def test_a_rate_that_is_no_number_changes_nothing(rate):
    x, y = parameter(), parameter()
    optimiser = SGD([{"parameters": [x], "lr": 0.1}, {"parameters": [y], "lr": lambda step: rate}])
    before = x.data.copy()
    (x * y).sum().backward()
    with pytest.raises(ValueError, match="Nothing was changed"):
        optimiser.step()
    np.testing.assert_array_equal(x.data, before)
    assert optimiser.steps == 0


def test_a_rate_of_0_stands_still():
    x = parameter()
    np.testing.assert_array_equal(trajectory(SGD([x], lambda step: 0), x)[-1], (1.0, -1.0))


def test_betas_of_0_forget_at_once():
    """Then each step has the size of the rate, and the sign of the present gradient."""
    x = parameter((1.0, -1.0))
    optimiser = Adam([x], lr=0.25, betas=(0.0, 0.0), epsilon=1e-12)
    for gradient, wanted in (((3.0, -2.0), (0.75, -0.75)), ((-9.0, -1.0), (1.0, -0.5))):
        x.grad = np.array(gradient)
        optimiser.step()
        np.testing.assert_allclose(x.data, wanted, rtol=1e-9)


def test_an_optimiser_says_what_it_is():
    x, y = parameter(), parameter((1.0, 2.0, 3.0))
    assert repr(SGD([x], 0.1)) == "SGD(lr=0.1, momentum=0.0, steps=0; 1 parameter, 2 numbers)"
    assert repr(SGD([x, y], 0.1, 0.9, max_norm=2.0, nesterov=True)) == (
        "SGD(lr=0.1, momentum=0.9, nesterov=True, max_norm=2.0, steps=0; 2 parameters, 5 numbers)")

    def falling(step):
        return 0.1

    assert repr(AdamW([x])) == "AdamW(lr=0.001, weight_decay=0.01, betas=(0.9, 0.999), epsilon=1e-08, steps=0; 1 " \
                               "parameter, 2 numbers)"
    groups = [{"parameters": [x], "lr": falling}, {"parameters": [y]}]
    assert repr(Adam(groups)) == "Adam(lr=falling, 0.001, betas=(0.9, 0.999), epsilon=1e-08, steps=0; 2 parameters, " \
                                 "5 numbers)"


def test_only_what_is_used_is_kept():
    """Plain steps have no velocity.  So they need no memory, and can use a gradient that is a product of factors."""
    x = parameter()
    assert SGD([x], 0.1).state_dict() == {"steps": 0, "memories": {"0": {}}}
    assert list(SGD([x], 0.1, momentum=0.5).state_dict()["memories"]["0"]) == ["velocity"]
    assert list(Adam([x]).state_dict()["memories"]["0"]) == ["mean", "square"]


@pytest.mark.parametrize("state", [None, [1], {}, {"steps": 1}, {"steps": 1, "memories": {}, "more": 0}])
def test_what_is_no_state_is_refused(state):
    x = parameter()
    optimiser = SGD([x], 0.1, momentum=0.9)
    trajectory(optimiser, x)
    before = optimiser.state_dict()
    with pytest.raises(ValueError, match=r"SGD: expected a state with memories and steps, got .*Pass what state_dict"):
        optimiser.load_state_dict(state)
    np.testing.assert_equal(optimiser.state_dict(), before)


def test_parameters_may_come_from_an_iterator():
    x, y = parameter(), parameter()
    assert list(SGD(iter([x, y]), 0.1).parameters) == ["0", "1"]
    assert list(SGD([{"parameters": iter([x])}, {"parameters": [y]}], 0.1).parameters) == ["group 0: 0", "group 1: 0"]


def test_an_optimiser_without_an_update_says_what_is_missing():
    x = parameter()
    x.grad = np.ones(2)
    with pytest.raises(TypeError, match=r"Lazy: expected a method update\(self, x, lr, \*\*memory\)"):
        type("Lazy", (mg.optim.Optimiser,), {})([x], 0.1).step()
