"""The network inside rules: its output, its standardised costs and its step of learning, by their formulas."""

import numpy as np
import pytest
from enumeration import close

import minigrad as mg
from minigrad.estimators.networks import Network


def moved(network, state, gradients, costs=(1.0, 3.0)):
    return network.learn(state, gradients, np.array(costs))


def test_only_the_first_weights_start_away_from_0_and_of_the_scale_of_their_inputs():
    network = Network(hidden=200, seed=3)
    state = network.start(25)
    assert state["W"].shape == (25, 200)
    np.testing.assert_array_equal(state["W"], mg.Generator(3).normal((25, 200)) / 5)
    assert all(not np.any(x) for name, x in state.items() if name != "W")
    assert {name: state[name].shape for name in "avc"} == {"a": (200,), "v": (200, 1), "c": (1,)}
    assert Network(hidden=2).start(0)["W"].shape == (0, 2)      # a baseline without context


def test_output():
    state = {"W": np.array([[1.0, -2.0]]), "a": np.array([0.5, 0.0]), "v": np.array([[3.0], [1.0]]),
             "c": np.array([0.25])}
    wanted = 3 * np.tanh(0.2 + 0.5) + np.tanh(-0.4) + 0.25
    close(Network(hidden=2).output(state, np.array([[0.2]])), [[wanted]])
    leaves = Network(hidden=2).parameters(state)
    out = Network(hidden=2).output(leaves, np.array([[0.2]]))
    out.sum().backward()
    close(leaves["c"].grad, [1.0])
    close(leaves["v"].grad, [[np.tanh(0.7)], [np.tanh(-0.4)]])


def test_costs_are_standardised_by_moving_averages_without_bias():
    network = Network(hidden=1)
    state = network.start(1)
    assert network.scale(state) == (0, 1)
    seen = [np.array([2.0, 4.0]), np.array([10.0, 0.0]), np.array([1.0, 1.0])]
    for costs in seen:
        state = network.learn(state, {}, costs) | {name: state[name] for name in "Wavc"}
    weights = np.array([0.99**2, 0.99, 1.0]) * 0.01 / (1 - 0.99**3)
    mean, square = weights @ [x.mean() for x in seen], weights @ [(x**2).mean() for x in seen]
    close(network.scale(state), (mean, np.sqrt(square - mean**2)))


def test_equal_costs_have_deviation_1():
    network = Network(hidden=1)
    state = network.learn(network.start(1), {}, np.full(5, 7.0))
    close(network.scale(state), (7, 1))


def test_learning_is_adam_and_changes_nothing_in_place():
    network = Network(hidden=2, rate=0.1)
    state = before = network.start(1)
    kept = {name: np.copy(x) for name, x in before.items()}
    first, second = np.array([1.0, -3.0]), np.array([0.5, 2.0])
    state = moved(network, state, {"a": first}, (0.0,)) | {}
    close(state["a"], -0.1 * np.sign(first), rtol=1e-6)         # the first step of Adam has the size of its rate
    state = moved(network, before | state, {"a": second})
    mean = (0.9 * 0.1 * first + 0.1 * second) / (1 - 0.9**2)
    square = (0.999 * 0.001 * first**2 + 0.001 * second**2) / (1 - 0.999**2)
    close(state["a"], -0.1 * first / (abs(first) + 1e-8) - 0.1 * mean / (np.sqrt(square) + 1e-8), rtol=1e-12)
    assert state["steps"] == 2
    for name, x in kept.items():
        np.testing.assert_array_equal(before[name], x)


@pytest.mark.parametrize("bad", [{"hidden": 0}, {"hidden": 1.5}, {"rate": 0}, {"rate": -1.0}, {"rate": "much"}])
def test_what_is_refused(bad):
    with pytest.raises(ValueError, match="Network: expected hidden >= 1 and a rate > 0"):
        Network(**bad)
