"""The engine: recording, the backward walk, replay, second order, and errors."""

import gc
import weakref

import numpy as np
import pytest

import minigrad as mg
from minigrad import graph
from minigrad.graph import Evaluation, ancestors
from minigrad.ops.primitives import Primitive


def leaf(value, **options):
    return mg.tensor(value, requires_grad=True, **options)


def test_a_value_used_twice_gets_both_cotangents_before_it_passes_them_on():
    a = leaf(3.0)
    b = a + a
    (b * b).backward()
    assert a.grad == 24.0


def test_backward_adds_to_grad_until_it_is_set_to_none():
    x = leaf([1.0, 2.0])
    for _ in range(2):
        (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [4.0, 8.0])
    x.grad = None
    (x * 3).sum().backward()
    np.testing.assert_array_equal(x.grad, [3.0, 3.0])


def test_backward_twice_over_one_graph_adds_the_same_again():
    x = leaf([1.0, 2.0])
    loss = (x * x * x).sum()
    loss.backward()
    once = x.grad.copy()
    loss.backward()
    np.testing.assert_array_equal(x.grad, 2 * once)


def test_only_leaves_and_retaining_nodes_keep_a_gradient():
    x = leaf(2.0)
    y = (x * x).retain_grad()
    z = y * 3
    z.backward()
    assert (x.grad, y.grad, z.grad) == (12.0, 3.0, None)


def test_a_node_that_retains_after_others_were_computed_from_it():
    x = leaf(2.0)
    y = x * x
    z = y * y
    y.retain_grad()
    z.backward()
    assert y.grad == 8.0


def test_gradient_of_a_leaf_itself():
    x = leaf(2.0)
    x.backward()
    assert x.grad == 1.0


def test_broadcasting_is_undone_in_every_position():
    x, y = leaf(np.ones((3, 1))), leaf(np.ones((2, 1, 4)))
    (x * y).sum().backward()
    np.testing.assert_array_equal(x.grad, np.full((3, 1), 8.0))
    np.testing.assert_array_equal(y.grad, np.full((2, 1, 4), 3.0))


def test_a_chain_of_100_000_operations():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + x
    y.backward()
    assert x.grad == 100_001.0


def test_graphs_are_freed_when_dropped_without_the_garbage_collector():
    x = leaf(np.ones(3))
    rule = mg.estimators.StraightThrough()
    gc.disable()
    try:
        hidden = mg.bernoulli(mg.tanh(x * 2), rule, event_ndim=1)
        loss = mg.expected(hidden.sum(keepdims=True))
        loss.backward()
        watched = [weakref.ref(node) for node in ancestors([loss])]
        del hidden, loss
        assert [w() for w in watched] == [None] * len(watched)
    finally:
        gc.enable()


def test_grad_returns_tensors_for_leaves_and_nodes_and_leaves_grad_alone():
    x, w = leaf(2.0), leaf(5.0)
    y = x * w
    dy, dx = mg.grad(y * y, [y, x])
    assert (dy.item(), dx.item()) == (20.0, 100.0)
    assert x.grad is None


def test_grad_of_several_outputs_with_cotangents():
    x = leaf([1.0, 2.0])
    g = mg.grad([x * x, x.sum()], x, grad_outputs=[np.array([1.0, 10.0]), np.array(100.0)])
    np.testing.assert_array_equal(g.data, [102.0, 140.0])


def test_second_and_third_order():
    x = leaf([0.3, -1.2])
    first = mg.grad(mg.tanh(x * x).sum(), x, create_graph=True)
    second = mg.grad(first.sum(), x, create_graph=True)
    third = mg.grad(second.sum(), x)
    step = 1e-5

    def second_at(value):
        t = leaf(value)
        return mg.grad(mg.grad(mg.tanh(t * t).sum(), t, create_graph=True).sum(), t).data
    numeric = (second_at(x.data + step) - second_at(x.data - step)) / (2 * step)
    np.testing.assert_allclose(third.data, numeric, rtol=1e-6)


def test_detach_stops_the_gradient_but_not_a_replay():
    x = leaf(2.0)
    y = x * x
    z = y.detach() * x
    z.backward()
    assert x.grad == 4.0
    assert mg.replay([z], {y: np.array(10.0)})[0] == 20.0


def test_replay_recomputes_what_lies_below_and_nothing_else():
    x = leaf([1.0, 2.0])
    y = mg.exp(x)
    above = x * 5
    z = (y * above).sum()
    values = mg.replay([z, above], {y: np.array([10.0, 100.0])})
    np.testing.assert_allclose(values[0], 1050.0)
    assert values[1] is above.value


def test_comparisons_are_seen_by_replays():
    x = leaf([1.0, -1.0])
    y = x * 1
    z = mg.where(y > 0, 10.0, 20.0).sum()
    assert z.item() == 30.0
    assert mg.replay([z], {y: np.array([1.0, 1.0])})[0] == 20.0


def test_indices_are_seen_by_replays():
    x = leaf([10.0, 20.0, 30.0])
    i = mg.tensor([0.0, 2.0], requires_grad=True) * 1
    picked = x[i.astype(int)].sum()
    assert picked.item() == 40.0
    assert mg.replay([picked], {i: np.array([1.0, 1.0])})[0] == 40.0
    assert mg.replay([picked], {i: np.array([1.0, 2.0])})[0] == 50.0


@pytest.mark.parametrize("use", [lambda z, y: z.backward(), lambda z, y: mg.replay([z], {y: y.data})])
def test_an_input_changed_in_place_since_recording_is_refused(use):
    x, w = leaf(2.0), leaf(3.0)
    y = x * 1
    z = y * w
    w.data += 1
    with pytest.raises(ValueError, match=r"multiply: .*changed in place"):
        use(z, y)


def test_replay_refuses_a_value_of_another_shape():
    x = leaf([1.0, 2.0])
    y = x * x
    with pytest.raises(ValueError, match=r"replay: expected .*\(2,\).*got \(3,\)"):
        mg.replay([y], {y: np.ones(3)})


def made(forward, *products):
    primitive = Primitive(forward)
    primitive.vjps(*products)
    return primitive


def triple(x):
    return 3 * x


@pytest.mark.parametrize(("products", "error", "message"), [
    ((), ValueError, "triple: expected a vector-Jacobian product for argument 0"),
    ((lambda g, out, x: g[:1],), ValueError, r"triple: .*argument 0 has shape \(1,\); expected \(2,\)"),
    ((lambda g, out, x: g.astype("float32"),), TypeError, "triple: .*argument 0 has dtype float32"),
])
def test_a_missing_or_misshapen_product_is_named(products, error, message):
    with pytest.raises(error, match=message):
        made(triple, *products)(leaf([1.0, 2.0])).sum().backward()


def test_backward_from_nothing_that_requires_a_gradient():
    with pytest.raises(ValueError, match="requires a gradient"):
        mg.tensor(1.0).backward()
    x = leaf(1.0)
    with pytest.raises(ValueError, match="requires a gradient"):
        (x > 0).backward()


def test_backward_from_a_vector_needs_its_cotangent():
    x = leaf([1.0, 2.0])
    with pytest.raises(ValueError, match=r"expected a scalar, got shape \(2,\)"):
        (x * x).backward()
    (x * x).backward(np.array([1.0, 10.0]))
    np.testing.assert_array_equal(x.grad, [2.0, 40.0])
    with pytest.raises(ValueError, match="cotangent of shape"):
        (x * x).backward(np.ones(3))


def test_grad_of_an_input_that_is_not_reached():
    x, y = leaf(1.0), leaf(2.0)
    with pytest.raises(ValueError, match="input 1"):
        mg.grad(x * x, [x, y])


def test_backward_with_create_graph_points_to_grad():
    with pytest.raises(ValueError, match=r"mg\.grad"):
        leaf(1.0).backward(create_graph=True)


def test_float32_stays_float32():
    x = leaf([1.0, 2.0], dtype="float32")
    (mg.tanh(x) * 0.5 + x / 3).mean().backward()
    assert x.grad.dtype == np.float32


def test_what_grad_returns_is_nobody_elses():
    x, y, seed = leaf([1.0, 2.0]), leaf([3.0, 4.0]), np.ones(2)
    first, second = mg.grad(x + y, [x, y], grad_outputs=seed)
    first.data *= 2
    np.testing.assert_array_equal(second.data, [1.0, 1.0])
    np.testing.assert_array_equal(seed, [1.0, 1.0])
    mg.grad(x.sum(), x).data *= 2                  # a broadcast array would be read-only


def test_cotangents_are_arrays_or_tensors():
    x = leaf([1.0, 2.0])
    for _ in range(2):
        (x * 3).backward(mg.tensor([1.0, 1.0]))
    np.testing.assert_array_equal(x.grad, [6.0, 6.0])
    with pytest.raises(TypeError, match="expected an array as cotangent"):
        (x * 3).sum().backward(1.0)
    with pytest.raises(ValueError, match="each of 2 outputs"):
        mg.grad([x.sum(), x.sum()], x, grad_outputs=[None])


def doubled(x):
    """A loss, a node in the middle of it, and a run of both."""
    middle = x * 2
    loss = (middle * middle).sum()
    return loss, middle, Evaluation([loss], [np.array(1.0)])


def test_replays_are_counted_by_alternative_and_anew_in_each_pass():
    _, middle, run = doubled(leaf([1.0, 2.0]))
    again = run.replay({middle: np.zeros(2)})
    assert run.shared.replays == 1
    again.replay({middle: np.ones(2)})
    assert run.shared.replays == 2          # those within replays included
    run.replay_each(middle, np.zeros((3, 2)), run.outputs)
    assert run.shared.replays == 5
    before = run.shared
    again.backward()                        # a pass over a replay is a part of the pass
    assert run.shared is again.shared is before
    run.backward()
    assert run.shared.replays == 0
    assert run.shared is not before


def test_replays_are_named_by_the_path_that_led_to_them():
    _, middle, run = doubled(leaf([1.0, 2.0]))
    first, second = (run.replay({middle: np.zeros(2)}) for _ in range(2))
    within = [second.replay({middle: np.ones(2)}) for _ in range(2)]
    assert [x.path for x in (run, first, second, *within)] == [(), (0,), (1,), (1, 0), (1, 1)]
    assert [x.rules_learn for x in (run, first, *within)] == [True, False, False, False]


def test_a_replay_may_be_of_other_outputs():
    loss, middle, run = doubled(leaf([1.0, 2.0]))
    again = run.replay({middle: np.array([3.0, 4.0])}, [loss.parents[0][1]])
    assert again.outputs == [loss.parents[0][1]]
    np.testing.assert_array_equal(again.value(again.outputs[0]), [9, 16])


@pytest.mark.parametrize("most", [1, 20, 10**6])
def test_many_alternatives_at_once_are_the_replays_one_by_one(monkeypatch, most):
    """Also if only a few alternatives are computed together."""
    monkeypatch.setattr(graph, "MOST_BYTES", most)
    loss, middle, run = doubled(leaf([1.0, 2.0]))
    alternatives = np.arange(10.0).reshape(5, 2)
    total, squares = run.replay_each(middle, alternatives, [loss, loss.parents[0][1]])
    np.testing.assert_array_equal(squares, alternatives**2)
    np.testing.assert_array_equal(total, (alternatives**2).sum(axis=1))


def test_a_rule_is_not_asked_where_its_logits_are_not_wanted():
    rule = mg.estimators.Reinforce("mean")
    logits, w = leaf(np.zeros((4, 3))), leaf(np.ones(3))
    loss = mg.expected((mg.bernoulli(logits, rule, rng=mg.Generator(1)) * w).sum(axis=1))
    before = rule.state_dict()
    mg.grad(loss, w)
    w_alone = mg.bernoulli(np.zeros((4, 3)), rule, rng=mg.Generator(1)) * w
    mg.expected(w_alone.sum(axis=1)).backward()         # logits that require no gradient
    np.testing.assert_equal(rule.state_dict(), before)
    loss.backward()
    assert rule.state_dict()["weight"] != before["weight"]


@pytest.mark.parametrize("size", [3, 10_000])
def test_a_numpy_operand_is_as_it_was(size):
    """A small array is copied. A large array is used without a copy, and a change of it is noticed."""
    x, w = leaf(np.ones(size)), np.full(size, 2.0)
    moved = x * 1
    loss = (moved * w).sum()
    loss.backward()
    np.testing.assert_array_equal(x.grad, 2)
    w += 3
    if size == 3:
        loss.backward()
        np.testing.assert_array_equal(x.grad, 4)
        assert mg.replay([loss], {moved: np.zeros(size)})[0] == 0
    else:
        with pytest.raises(ValueError, match="changed"):
            mg.replay([loss], {moved: np.zeros(size)})
        with pytest.raises(ValueError, match="changed"):
            loss.backward()


def test_a_part_that_leads_to_no_target_may_be_stale():
    x, y, other = leaf(2.0), leaf(3.0), leaf(5.0)
    loss = x * x + y.detach() * other.detach()
    with mg.no_grad():
        y += 1.0
    assert mg.grad(loss, x).item() == 4
