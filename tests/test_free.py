"""backward(free=True) gives the same gradients with less memory, and deletes the whole graph."""

import tracemalloc
import weakref

import numpy as np
import pytest

import minigrad as mg
from minigrad.graph import ancestors

SIZE = 100_000          # entries of one value: 800 kB, so that little else matters


def leaf(value):
    return mg.tensor(value, requires_grad=True)


def chain(x, length=20):
    """A graph of ``length`` values of the size of x, all of which its products need."""
    for _ in range(length):
        x = mg.tanh(x)
    return x.sum()


def test_the_graph_is_gone_and_the_values_that_you_hold_are_not():
    x = leaf([1.0, 2.0])
    y = mg.exp(x)
    z = y * y
    mask = z > 3.0                          # has no gradient, and would hold z
    s = mg.sin(z)
    arrays = [weakref.ref(z.value), weakref.ref(s.value)]
    loss = (mg.where(mask, z, 0.0) * s).sum()
    del z, s
    again = mg.grad(loss, x)
    loss.backward(free=True)
    np.testing.assert_array_equal(x.grad, again.data)
    assert [array() for array in arrays] == [None, None]
    np.testing.assert_array_equal(y.data, np.exp([1.0, 2.0]))
    assert np.isfinite(loss.item())
    assert mask.data.all()


@pytest.mark.parametrize("use", [
    lambda loss, y, mask: loss.backward(), lambda loss, y, mask: loss.backward(free=True),
    lambda loss, y, mask: (y * 2).sum().backward(), lambda loss, y, mask: mg.replay([loss], {y: np.ones(2)}),
    lambda loss, y, mask: mg.replay([mask], {y: np.ones(2)}), lambda loss, y, mask: mg.grad(loss, y),
    lambda loss, y, mask: mg.draw(loss),
])
def test_a_freed_graph_says_so(use):
    x = leaf([1.0, 2.0])
    y = mg.exp(x)
    mask = y > 3.0
    loss = (y * mask).sum()
    loss.backward(free=True)
    before = x.grad.copy()
    with pytest.raises(ValueError, match=r"backward\(free=True\) has freed it\. Use free=True in the last pass only"):
        use(loss, y, mask)
    np.testing.assert_array_equal(x.grad, before)


def test_leaves_that_are_outputs_and_nodes_that_retain_their_gradient():
    x = leaf([1.0, 2.0])
    y = (x * x).retain_grad()
    (y * 3).sum().backward(free=True)
    x.backward(np.ones(2), free=True)
    np.testing.assert_array_equal(y.grad, [3.0, 3.0])
    np.testing.assert_array_equal(x.grad, [7.0, 13.0])


def test_a_step_that_fails_before_the_walk_frees_nothing():
    x = leaf([1.0, 2.0])
    y = x * x
    with pytest.raises(ValueError, match="expected a scalar"):
        y.backward(free=True)
    y.sum().backward()


def peak(function):
    """The largest memory in use while ``function`` ran, and the memory in use afterwards, in bytes."""
    tracemalloc.start()
    try:
        function()
        held, most = tracemalloc.get_traced_memory()
        return most, held
    finally:
        tracemalloc.stop()


def test_a_training_loop_holds_one_graph_and_not_two():
    def loop(free):
        x = leaf(np.ones(SIZE))
        for _ in range(3):
            loss = chain(x)
            loss.backward(free=free)
            x.grad = None

    one_graph = 20 * SIZE * 8
    most, held = zip(*(peak(lambda free=free: loop(free)) for free in (False, True)), strict=True)
    assert most[0] > 1.9 * one_graph
    assert most[1] < 1.3 * one_graph
    assert held[1] < 0.1 * one_graph


def test_values_go_while_the_pass_is_on_its_way():
    """During a slow gradient, the memory of later nodes is already free."""
    seen = []

    @mg.ops.Primitive
    def first(x):
        return x * 1.0

    first.vjps(lambda g, out, x: seen.append(tracemalloc.get_traced_memory()[0]) or g)
    x = leaf(np.ones(SIZE))
    for free in (False, True):
        peak(lambda free=free: chain(first(x)).backward(free=free))
        x.grad = None
    assert seen[1] < 0.3 * seen[0]


RULES = {
    "REINFORCE": mg.estimators.Reinforce, "DisARM": mg.estimators.DisARM, "MuProp": mg.estimators.MuProp,
    "straight-through": mg.estimators.StraightThrough, "flips": mg.estimators.BitFlip,
    "leave-one-out": mg.estimators.LeaveOneOut,
}


def layered(rule, layers):
    """A loss through some layers of binary nodes, with a part before the first and after the last one."""
    rng = mg.Generator(3)
    weights = [leaf(rng.uniform((4, 4), np.float64) - 0.5) for _ in range(layers + 2)]
    h = mg.tanh(mg.tensor(rng.uniform((6, 4), np.float64)) @ weights[0])
    for weight in weights[1:-1]:
        h = mg.bernoulli(h @ weight, rule(), rng=rng)
    costs = ((h @ weights[-1] - 1.0) ** 2).sum(axis=1)
    return mg.expected(costs) + 0.1 * (weights[0] ** 2).sum(), weights, h


@pytest.mark.filterwarnings("ignore:.*unbiased only if")
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_rules_that_replay_the_graph_get_the_same(rule, layers):
    loss, weights, _ = layered(rule, layers)
    loss.backward()
    wanted = [w.grad for w in weights]
    loss, weights, bits = layered(rule, layers)
    nodes = [weakref.ref(x) for x in ancestors([loss]) if x is not loss and x is not bits]
    loss.backward(free=True)
    for w, g in zip(weights, wanted, strict=True):
        np.testing.assert_array_equal(w.grad, g)
    assert [x() for x in nodes if x() is not None] == []
    with pytest.raises(ValueError, match="has freed it"):
        loss.backward()
    assert set(np.unique(bits.data)) <= {0.0, 1.0}
