"""Everything can be copied and pickled except the nodes of a graph.  Their error says what to pickle instead."""

import copy
import inspect
import pickle
import re

import numpy as np
import pytest

import minigrad as mg
from minigrad.ops.packed import Factored
from minigrad.ops.primitives import table


def pickled(x):
    return pickle.loads(pickle.dumps(x))


COPIES = pytest.mark.parametrize("copied", [pickled, copy.deepcopy])
COPIES_OF_LEAVES = pytest.mark.parametrize("copied", [pickled, copy.deepcopy, copy.copy])


class Network(mg.nn.Module):
    """Gated layers, dense and packed inputs, a rule with a memory, and a primitive as an attribute."""

    def __init__(self, dtype="float64"):
        rng = mg.Generator(1)
        self.first = mg.nn.GatedLinear(4, 6, rng, block=2, dtype=dtype)
        self.net = mg.nn.ConditionalNetwork(rng, inputs=6, hidden=3, units=8, outputs=2, block=2, dtype=dtype)
        self.rule = mg.estimators.Reinforce("mean")
        self.activation = mg.tanh
        self.rng = rng

    def loss(self):
        x = mg.tensor(np.linspace(-1, 1, 12).reshape(3, 4))
        h = self.activation(self.first(x, mg.tensor([[1.0, 0.0, 2.0]] * 3)))
        logits = self.net.logits(h.to_dense())
        scores = self.net.scores(h, mg.bernoulli(logits, self.rule, rng=self.rng))
        return mg.expected(mg.cross_entropy(scores, np.array([0, 1, 1])))


@COPIES
def test_a_module_after_a_gated_backward_trains_on_like_its_copy(copied):
    network = Network()
    network.loss().backward()
    assert any(isinstance(x.gradient, Factored) for x in network.parameters())
    other = copied(network)
    assert other.activation is mg.tanh
    for x, y in zip(network.parameters(), other.parameters(), strict=True):
        assert y is not x
        assert y.requires_grad
        assert y.changes[0] == x.changes[0]
        np.testing.assert_array_equal(y.grad, x.grad)
        assert y.value.flags.f_contiguous == x.value.flags.f_contiguous
        assert not np.shares_memory(x.value, y.value)
    for one in (network, other):
        optimiser = mg.optim.SGD(one, lr=0.1)
        for _ in range(2):
            optimiser.step()
            optimiser.zero_grad()
            one.loss().backward()
    for x, y in zip(network.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(y.numpy(), x.numpy())
        np.testing.assert_array_equal(y.grad, x.grad)


@COPIES_OF_LEAVES
def test_a_leaf_keeps_its_value_gradient_and_count_of_changes(copied):
    x = mg.tensor([1.0, 2.0], requires_grad=True, dtype="float32")
    x.data = x.data * 2
    (x * x).sum().backward()
    y = copied(x)
    assert (y.requires_grad, y.dtype, y.changes[0], y.primitive) == (True, x.dtype, 1, None)
    np.testing.assert_array_equal(y.grad, [4, 8])
    graph = (y * y).sum()
    y.data = y.data + 1
    with pytest.raises(ValueError, match="changed in place"):
        graph.backward()
    np.testing.assert_array_equal(x.numpy(), [2, 4])


@pytest.mark.parametrize("copied", [pickled, copy.deepcopy, copy.copy])
@pytest.mark.parametrize("depth", [1, 20_000])
def test_a_node_refuses_however_deep_its_graph_is(copied, depth):
    x = mg.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(depth):
        y = mg.sin(y)
    with pytest.raises(TypeError, match=r"expected a leaf to copy or to pickle, got the result of sin.*\.numpy\(\)"):
        copied(y)
    bits = mg.bernoulli(mg.tensor([[0.0]], requires_grad=True), mg.estimators.Stop())
    with pytest.raises(TypeError, match="the result of bernoulli"):
        copied(bits)


@COPIES
def test_an_optimiser_goes_on_with_its_parameters(copied):
    for kind, options in ((mg.optim.SGD, {"momentum": 0.5}), (mg.optim.Adam, {})):
        network = Network()
        optimiser = kind(network, lr=0.1, **options)
        pair = network, optimiser
        for part in range(2):
            network, optimiser = pair
            optimiser.zero_grad()
            network.loss().backward()
            optimiser.step()
            if part == 0:
                pair = copied(pair)
                first = [x.numpy().copy() for x in network.parameters()]
        assert any((x.numpy() != before).any() for x, before in zip(network.parameters(), first, strict=True))


def public_rules():
    """Every public rule with its default arguments; one that has to be given some is left to its own tests."""
    for name in mg.estimators.__all__:
        kind = getattr(mg.estimators, name)
        if issubclass(kind, mg.Estimator):
            needed = [p for p in inspect.signature(kind).parameters.values()
                      if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
            yield pytest.param(kind, [2] * len(needed), id=name)


@COPIES
@pytest.mark.parametrize(("kind", "arguments"), list(public_rules()))
def test_a_rule_estimates_the_same_as_its_copy(kind, arguments, copied):
    rule = kind(*arguments)
    other = copied(rule)
    assert repr(other) == repr(rule)
    if "inner" in rule.needs:
        return
    estimates = []
    for one in (rule, other):
        logits = mg.tensor([[0.3, -0.4], [0.1, 0.2]], requires_grad=True)
        with np.errstate(all="ignore"):
            mg.expected(mg.exp(mg.bernoulli(logits, one, rng=mg.Generator(5)).sum(axis=1))).backward()
        estimates.append(logits.grad)
        one.update()
    np.testing.assert_array_equal(*estimates)
    assert repr(copied(rule).state_dict()) == repr(rule.state_dict())


def logits():
    return mg.tensor([[0.5, -0.5]], requires_grad=True)


def report():
    a = logits()
    return mg.testing.check_estimator(lambda rng: mg.expected(
        mg.bernoulli(a, mg.estimators.StraightThrough(), rng=rng).sum(axis=1)), a, seed=0)


OBJECTS = {
    "generator": lambda: mg.Generator(3, sample_offset=2).fork(1),
    "splits": lambda: mg.data.DigitSplits(*[np.zeros((2, 3), np.float32)] * 6, source="nowhere"),
    "outcome": lambda: mg.study.Outcome({"a": 1}, {}),
    "report": report,
    "examined": lambda: mg.testing.examine(mg.estimators.StraightThrough()),
    "packed": lambda: mg.kernels.gated_linear(np.ones((2, 3)), np.ones((4, 3)), None, np.eye(2), 2),
    "open blocks": lambda: mg.kernels.open_blocks(np.eye(3)),
    "baseline": lambda: mg.estimators.Reinforce("optimal").baseline,
}


@COPIES
@pytest.mark.parametrize("name", OBJECTS)
def test_public_objects_are_copied_and_pickled(name, copied):
    x = OBJECTS[name]()
    other = copied(x)
    assert type(other) is type(x)
    assert repr(other) == repr(x)
    for attribute, value in getattr(x, "__dict__", {}).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(other, attribute), value)
    if name == "packed":
        np.testing.assert_array_equal(other.to_dense(), x.to_dense())
    if name == "generator":
        np.testing.assert_array_equal(other.uniform((3,)), x.uniform((3,)))
    if name in ("report", "examined"):
        assert re.search("biased|unbiased", repr(other))
        np.testing.assert_equal(other.bias, x.bias)


@COPIES
def test_primitives_are_copied_and_pickled_by_name(copied):
    for function in table.values():
        assert copied(function) is function
