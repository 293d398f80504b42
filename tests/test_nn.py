"""Layers: the parameters that a module finds, initial weights, and the formula of the conditional network."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import ConditionalNetwork, GatedLinear, Linear, Module
from minigrad.testing import gradcheck


class Everything(Module):
    """A parameter, a constant, a result, a rule with memory, lists of modules, and a weight in two places."""

    def __init__(self, seed=0):
        rng = mg.Generator(seed)
        self.scale = mg.tensor([1.0, 2.0], requires_grad=True)
        self.constant = mg.tensor([5.0])
        self.last_result = self.scale * 2
        self.layers = [Linear(2, 3, rng), (Linear(3, 2, rng, gated_inputs=True), None)]
        self.rule = mg.estimators.Reinforce(baseline="mean")
        self.tied = self.layers[0].weight
        self.width = 3


def test_a_module_finds_its_parameters_and_rules_once_and_in_order():
    module = Everything()
    assert list(module.named_parameters()) == [
        "scale", "layers.0.weight", "layers.0.bias", "layers.1.0.weight", "layers.1.0.bias"]
    assert module.named_rules() == {"rule": module.rule}
    assert module.parameters()[1] is module.tied
    assert module.rules() == [module.rule]


def test_state_goes_round_with_the_memory_of_rules_and_the_physical_order():
    module, other = Everything(seed=0), Everything(seed=1)
    module.rule.state["weight"] = np.array([0.25])
    state = module.state_dict()
    other.load_state_dict({name: state[name] for name in reversed(state)})
    for name, x in other.named_parameters().items():
        assert x.data.tobytes() == module.named_parameters()[name].data.tobytes()
    assert other.rule.state["weight"] == 0.25
    assert other.layers[1][0].weight.data.T.flags.c_contiguous
    module.scale.data += 1
    assert state["scale"].tolist() == other.scale.data.tolist() == [1, 2]      # copies, both ways


def test_loading_names_all_faults_and_changes_nothing():
    module = Everything()
    before = module.state_dict()
    state = Everything(seed=1).state_dict()
    del state["layers.0.bias"]
    state |= {"scale": np.ones(3), "layers.1.0.bias": np.zeros(2), "bias": np.zeros(1)}
    with pytest.raises(ValueError, match="load_state_dict") as raised:
        module.load_state_dict(state)
    for fault in ("layers.0.bias is missing", "bias is unexpected", "scale is float64 (3,), not float64 (2,)",
                  "layers.1.0.bias is float64 (2,), not float32 (2,)"):
        assert fault in str(raised.value)
    for name, value in module.state_dict().items():
        np.testing.assert_equal(value, before[name])


def test_loading_refuses_a_memory_for_a_rule_that_has_none():
    module = Everything()
    state = module.state_dict()
    module.rule = mg.estimators.Reinforce()
    with pytest.raises(ValueError, match="rule: expected no state, since this rule has no memory"):
        module.load_state_dict(state)


@pytest.mark.parametrize("gain", [1.0, 4.0])
def test_initial_weights_are_uniform_in_the_papers_range(gain):
    layer = Linear(300, 500, mg.Generator(3), gain=gain)
    bound = gain * (6 / 800) ** 0.5
    weight = layer.weight.data / bound
    assert layer.weight.dtype == np.float32
    assert np.abs(weight).max() <= 1
    # 150,000 entries: the empirical distribution is within 0.006 of the true one, but for odds of 1 to 20,000.
    ordered = np.sort(weight.ravel())
    assert np.abs((ordered + 1) / 2 - np.linspace(0, 1, ordered.size)).max() < 0.006
    assert not layer.bias.data.any()


def test_the_physical_order_changes_no_value():
    plain, physical = (Linear(40, 5, mg.Generator(3), gated_inputs=g) for g in (False, True))
    assert plain.weight.data.flags.c_contiguous
    assert physical.weight.data.T.flags.c_contiguous
    np.testing.assert_array_equal(plain.weight.data, physical.weight.data)


@pytest.mark.parametrize("block", [0, 3])
def test_a_block_must_divide_the_units(block):
    with pytest.raises(ValueError, match=f"divides 8 units, got {block}"):
        GatedLinear(4, 8, mg.Generator(1), block=block)


def dense_scores(network, x, gates, block):
    """The network's formula in NumPy, with every unit computed."""
    experts, output = network.experts, network.output
    units = np.repeat(gates, block, axis=1) * (x @ experts.weight.data.T + experts.bias.data)
    return units @ output.weight.data.T + output.bias.data


def small_network(block, seed=0):
    network = ConditionalNetwork(
        mg.Generator(seed), inputs=6, hidden=5, units=64, outputs=3, block=block, dtype=np.float64)
    shift = mg.Generator(seed + 1)
    for x in network.parameters():
        x.data += 0.1 * shift.normal(x.shape)           # biases are 0 otherwise
    return network


@pytest.mark.parametrize("block", [1, 16])
@pytest.mark.parametrize("kind", ["binary", "real", "all open", "all closed"])
def test_the_conditional_network_computes_its_formula(block, kind):
    network = small_network(block)
    x = mg.Generator(2).normal((7, 6))
    draw = mg.Generator(3).uniform((7, 64 // block))
    gates = {"binary": (draw < 0.3).astype(float), "real": np.maximum(draw - 0.7, 0),
             "all open": np.ones_like(draw), "all closed": np.zeros_like(draw)}[kind]
    hidden, last = network.gater
    logits = np.tanh(x @ hidden.weight.data.T + hidden.bias.data) @ last.weight.data.T + last.bias.data
    np.testing.assert_allclose(network.logits(x).numpy(), logits, rtol=1e-12)
    scores = network(x, lambda logits: gates)
    np.testing.assert_allclose(scores.numpy(), dense_scores(network, x, gates, block), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("block", [1, 16])
def test_gradients_of_the_conditional_network_with_smooth_gates(block):
    network = small_network(block)
    labels = np.array([0, 2, 1])
    layers = [network.experts, *network.gater, network.output]

    def loss(x, *parameters):
        for layer, weight, bias in zip(layers, parameters[::2], parameters[1::2], strict=True):
            layer.weight, layer.bias = weight, bias
        return mg.expected(mg.cross_entropy(network(x, mg.sigmoid), labels))

    parameters = [x for layer in layers for x in (layer.weight, layer.bias)]
    assert gradcheck(loss, [mg.Generator(2).normal((3, 6)), *parameters])


@pytest.mark.parametrize("block", [1, 16])
def test_straight_through_reaches_closed_gates_too(block):
    network, rule = small_network(block), mg.estimators.StraightThrough()
    x, labels = mg.Generator(2).normal((5, 6)), np.array([0, 2, 1, 1, 0])
    logits = network.logits(x).retain_grad()
    gates = mg.bernoulli(logits, rule, rng=mg.Generator(4))
    scores = network.scores(x, gates)
    mg.expected(mg.cross_entropy(scores, labels)).backward()
    slope = np.exp(scores.numpy()) / np.exp(scores.numpy()).sum(axis=1, keepdims=True)
    slope[np.arange(5), labels] -= 1
    experts = x @ network.experts.weight.data.T + network.experts.bias.data
    expected = (slope @ network.output.weight.data / 5 * experts).reshape(5, -1, block).sum(axis=2)
    assert (gates.numpy() == 0).any()
    np.testing.assert_allclose(logits.grad, expected, rtol=1e-10)
