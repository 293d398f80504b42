"""Which entries of a gate's cotangent are read: closed blocks are skipped for any expression of the gate."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import kernels
from minigrad.ops.masks import LONGEST

EXAMPLES, GATES, BLOCK, INPUTS = 12, 10, 4, 5
RULE = mg.estimators.Reinforce


def bits(logits):
    return mg.bernoulli(logits, RULE(), rng=mg.Generator(3))


def top(a, k=2):
    return (a.numpy() >= np.sort(a.numpy(), axis=1)[:, [-k]]).astype(float)


# Each is a function of pre-activations a, which require a gradient.
WAYS = {
    "bit * p": lambda a: bits(a) * mg.sigmoid(a),
    "p * bit": lambda a: mg.sigmoid(a) * bits(a),
    "where(bit, p, 0)": lambda a: mg.where(bits(a), mg.sigmoid(a), 0.0),
    "where(bit == 0, 0, p)": lambda a: mg.where(bits(a) == 0, 0.0, mg.sigmoid(a)),
    "relu(a) * p": lambda a: mg.relu(a) * mg.sigmoid(a),
    "bit * (p / p.detach())": lambda a: bits(a) * (mg.sigmoid(a) / mg.sigmoid(a).detach()),
    "bit * p / sum": lambda a: bits(a) * mg.sigmoid(a) / mg.sigmoid(a).sum(axis=1, keepdims=True),
    "(bit * p) / p": lambda a: (bits(a) * mg.sigmoid(a)) / mg.sigmoid(a),
    "(a > c) * a": lambda a: (a > 0.5) * a,
    "-(a > c) * a": lambda a: -((a > 0.5) * a),
    "top-k * a": lambda a: top(a) * a,
    "top-k * softmax": lambda a: top(a) * mg.softmax(a, axis=1),
    "softmax * top-k * noise": lambda a: mg.softmax(a, axis=1) * top(a) * mg.exp(a),
    "bit * p, reshaped": lambda a: (bits(a) * mg.sigmoid(a)).reshape(-1).reshape(EXAMPLES, GATES),
    "bit * p, transposed": lambda a: mg.transpose(mg.transpose(bits(a) * mg.sigmoid(a))),
    "bit * p, swapped": lambda a: mg.swapaxes(mg.moveaxis(bits(a) * mg.sigmoid(a), 0, 1), 0, 1),
    "bit * p, rolled": lambda a: mg.flip(mg.roll(bits(a) * mg.sigmoid(a), 2, 1), 0),
    "bit * p, picked": lambda a: (bits(a) * mg.sigmoid(a))[::-1, np.arange(GATES)[::-1]],
    "bit * p, joined": lambda a: mg.concatenate([bits(a)[:, :4] * mg.sigmoid(a[:, :4]),
                                                 mg.relu(a[:, 4:]) * mg.exp(a[:, 4:])], axis=1),
    "bit * p per column": lambda a: bits(a[:, :1]) * mg.sigmoid(a),
    "bit * p, copied": lambda a: mg.squeeze(mg.expand_dims(mg.broadcast_to(bits(a) * mg.sigmoid(a),
                                                                           (EXAMPLES, GATES)), 1), 1),
    "bit * scale": lambda a: bits(a) * mg.tensor(1.5, requires_grad=True),
}


def problem(seed=0):
    rng = np.random.default_rng(seed)
    shapes = (EXAMPLES, GATES), (EXAMPLES, INPUTS), (GATES * BLOCK, INPUTS), (GATES * BLOCK,), (3, GATES * BLOCK)
    return [mg.tensor(rng.standard_normal(shape), requires_grad=True) for shape in shapes]


def gradients(way, gated=True, given=False):
    """(gradients, open gates, blocks touched in the backward pass) of a loss of a gated layer."""
    a, x, weight, bias, consumer = leaves = problem()
    gates = way(a)
    if given:
        gates = gates.numpy().copy()
    if gated:
        h = mg.gated_linear(x, weight, bias, gates, block=BLOCK)
    else:
        h = mg.repeat(gates, BLOCK, axis=1) * mg.linear(x, weight, bias)
    costs = mg.square(mg.linear(mg.tanh(h), consumer)).sum(axis=1)
    loss = mg.expected(costs)
    with kernels.count_work() as work:
        grads = [g.numpy() for g in mg.grad(loss, leaves[1:] if given else leaves)]
    n_open = np.count_nonzero(gates if given else gates.numpy())
    return grads, n_open, work.blocks


@pytest.mark.parametrize("name", WAYS)
def test_closed_blocks_are_skipped_in_whatever_way_a_gate_is_written(name):
    grads, n_open, blocks = gradients(WAYS[name])
    _, given_open, given_blocks = gradients(WAYS[name], given=True)
    assert n_open == given_open < EXAMPLES * GATES
    assert blocks <= given_blocks + n_open      # one more pass over the open blocks: the gradient of the gates
    for ours, dense in zip(grads, gradients(WAYS[name], gated=False)[0], strict=True):
        np.testing.assert_allclose(ours, dense, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("function", [mg.relu, lambda h: mg.relu(h) * mg.relu(-h), lambda h: mg.tanh(mg.relu(h)),
                                      lambda h: mg.relu(h)[::-1], lambda h: mg.relu(h[2:]) * 2.0], ids=range(5))
@pytest.mark.parametrize("rule", [mg.estimators.StraightThrough, mg.estimators.ReinMax])
def test_closed_blocks_are_skipped_below_a_rectifier_by_rules_that_read_closed_gates(rule, function, monkeypatch):
    """The derivative of relu at a closed unit is 0, so the gradient at closed gates is 0 without computing it."""
    results, asked = [], []

    def noted(*arguments, original=kernels.gated_linear_dgates):
        asked.append(arguments[-1])
        return original(*arguments)

    monkeypatch.setattr(kernels, "gated_linear_dgates", noted)
    for gated in (True, False):
        a, x, weight, bias, consumer = leaves = problem()
        gates = mg.bernoulli(a, rule(), rng=mg.Generator(3))
        z = mg.linear(x, weight, bias)
        h = mg.gated_linear(x, weight, bias, gates, block=BLOCK) if gated else mg.repeat(gates, BLOCK, axis=1) * z
        loss = mg.square(mg.linear(function(h), consumer)).sum()
        results.append([g.numpy() for g in mg.grad(loss, leaves)])
    assert asked == ["open"]
    for ours, dense in zip(*results, strict=True):
        np.testing.assert_allclose(ours, dense, rtol=1e-9, atol=1e-12)


def test_packed_and_dense_cotangents_of_one_layer_are_added():
    results = []
    for gated in (True, False):
        a, x, weight, bias, consumer = leaves = problem()
        gates = mg.bernoulli(a, mg.estimators.StraightThrough(), rng=mg.Generator(3))
        z = mg.linear(x, weight, bias)
        h = mg.gated_linear(x, weight, bias, gates, block=BLOCK) if gated else mg.repeat(gates, BLOCK, axis=1) * z
        loss = mg.square(mg.linear(mg.relu(h), consumer)).sum() + mg.sin(mg.linear(h, consumer)).sum()
        results.append([g.numpy() for g in mg.grad(loss, [*leaves, h])])
    for ours, dense in zip(*results, strict=True):
        np.testing.assert_allclose(ours, dense, rtol=1e-9, atol=1e-12)


READ_WHERE_CLOSED = {
    "a rule that reads it": lambda a: mg.bernoulli(a, mg.estimators.StraightThrough(), rng=mg.Generator(3)),
    "a product with such a bit":
        lambda a: mg.bernoulli(a, mg.estimators.StraightThrough(), rng=mg.Generator(3)) * mg.sigmoid(a),
    "zero by chance": lambda a: a * top(a) * (a - a.numpy().max()),
    "a sum": lambda a: bits(a) * mg.sigmoid(a) + mg.relu(a) - mg.relu(a).detach(),
    "the other side of where": lambda a: mg.where(bits(a), mg.sigmoid(a), a - a.detach()),
    "a product of zeros": lambda a: (a - a.detach()) * mg.sigmoid(a),
    "a quotient of zeros": lambda a: (a - a.detach()) / mg.exp(a),
    "one of two parts": lambda a: mg.concatenate([bits(a)[:, :4] * 2.0, (a - a.detach())[:, 4:]], axis=1),
    "an unknown function": lambda a: mg.cumsum(bits(a) * mg.sigmoid(a), axis=1),
}


@pytest.mark.parametrize("name", READ_WHERE_CLOSED)
def test_gradients_at_closed_gates_are_right_where_they_are_read(name):
    way = READ_WHERE_CLOSED[name]
    for ours, dense in zip(gradients(way)[0], gradients(way, gated=False)[0], strict=True):
        np.testing.assert_allclose(ours, dense, rtol=1e-9, atol=1e-12)


def test_a_target_is_read_everywhere():
    """The user asks for the gradient of the gates themselves, so it is computed at closed gates too."""
    a, x, weight, bias, _ = problem()
    gates = bits(a) * mg.sigmoid(a)
    cost = mg.gated_linear(x, weight, bias, gates, block=BLOCK).sum()
    (ours,) = mg.grad(cost, [gates])
    expected = (x.numpy() @ weight.numpy().T + bias.numpy()).reshape(EXAMPLES, GATES, BLOCK).sum(axis=2)
    np.testing.assert_allclose(ours.numpy(), expected)
    gates.retain_grad()
    cost.backward()
    np.testing.assert_allclose(gates.grad, expected)


@pytest.mark.parametrize("length", [LONGEST - 3, LONGEST, 3000])
def test_a_long_chain_is_right(length):
    """A chain that is too long is not followed: all entries count as read.  So the recursion stays short."""
    def way(a):
        gates = bits(a) * mg.sigmoid(a)
        for _ in range(length):
            gates = gates * 1.0
        return gates

    for ours, dense in zip(gradients(way)[0], gradients(way, gated=False)[0], strict=True):
        np.testing.assert_allclose(ours, dense, rtol=1e-9, atol=1e-12)


def test_a_replay_has_masks_of_its_own():
    """REBAR replays with relaxed bits: a gate that is closed in the recording is open there."""
    a, x, weight, bias, consumer = problem()
    below = mg.bernoulli(a, mg.estimators.Rebar(), rng=mg.Generator(5))
    gates = below * mg.sigmoid(a)
    h = mg.gated_linear(x, weight, bias, gates, block=BLOCK)
    dense = mg.repeat(gates, BLOCK, axis=1) * mg.linear(x, weight, bias)
    results = []
    for units in (h, dense):
        loss = mg.expected(mg.square(mg.linear(units, consumer)).sum(axis=1))
        results.append(mg.grad(loss, [a])[0].numpy())
    np.testing.assert_allclose(*results, rtol=1e-9)
