"""Binary nodes: the values that a rule can use, their scale, and errors."""

from itertools import product

import numpy as np
import pytest
from enumeration import Chosen, cells, estimates, grid, moments, sigmoid, truth
from nodes import ARM, LocalExpectation, Probe, leaf, passed_back, per_row

import minigrad as mg
from minigrad.estimators import Reinforce, Stop, StraightThrough, StraightThroughSlope
from minigrad.testing import exact_expectation, exact_gradient

close = np.testing.assert_allclose
EXACT = {"rtol": 1e-10, "atol": 1e-13}


# -- the deciding test ------------------------------------------------------------------------------
# Three layers, one above the other, share the weight W; two expected terms, each with its weight, look
# at all of them; a batch of four.  The means are exact: one graph for each joint cell of the uniforms.

X = np.random.default_rng(2).normal(size=(4, 2))
HEAD = np.array([0.7, -1.2])
W = np.array([[0.9, -0.6], [0.4, 1.1]])


def layers(rules, weights, offsets, rngs=(None, None, None)):
    b1 = mg.bernoulli(X @ weights[0] + offsets[0], rules[0], rng=rngs[0])
    b2 = mg.bernoulli(b1 @ weights[1] + offsets[1], rules[1], rng=rngs[1])
    b3 = mg.bernoulli(b2 @ weights[2][:, :1] + offsets[2], rules[2], rng=rngs[2])
    return b1, b2, b3


def costs(b1, b2, b3, head):
    one = (b3[:, 0] + (b1 * head).sum(axis=1) - 0.3) ** 2
    two = mg.exp((b1 * b2).sum(axis=1) - b3[:, 0] * head.sum())
    return one, two


def weighted_loss(one, two):
    return 0.7 * mg.expected(one) - 2 * (mg.expected(two) / 5)


def exact_layers():
    """The exact gradients by W1, W2, W3, the offsets and head, with a different weight for each layer."""
    parameters = [leaf(W), leaf(W), leaf(W), leaf([0.2, -0.1]), leaf([0.1, 0.3]), leaf([-0.2]), leaf(HEAD)]

    def fn():
        return weighted_loss(*costs(*layers([Stop()] * 3, parameters[:3], parameters[3:6]), parameters[6]))
    return exact_gradient(fn, parameters)


def breaks(rule, p):
    """The values of u at which a sample changes.  ARM uses 1 − u as well."""
    return np.append(p, 1 - p) if isinstance(rule, ARM) else np.ravel(p)


def mean_of_layers(rules):
    """The exact mean of what backward adds to W, the three offsets and head."""
    parameters = w, *offsets, head = [leaf(W), leaf([0.2, -0.1]), leaf([0.1, 0.3]), leaf([-0.2]), leaf(HEAD)]
    pairs = np.array(list(product([0, 1], repeat=2)))
    p1 = sigmoid(X @ W + offsets[0].data)
    p2, p3 = sigmoid(pairs @ W + offsets[1].data), sigmoid(pairs @ W[:, :1] + offsets[2].data)
    # Cells of layer 1 differ by row, since its logits do; those of the others serve every row.
    first = [grid([cells(*breaks(rules[0], p)) for p in row]) for row in p1]
    u1, share1 = np.stack([u for u, _ in first]), np.stack([share for _, share in first])
    below = [grid([cells(*breaks(rule, p)) for p in layer.T]) for rule, layer in ((rules[1], p2), (rules[2], p3))]
    for k, (u2, share2), (u3, share3) in product(range(u1.shape[1]), *[zip(*b, strict=True) for b in below]):
        share = share1[:, k] * share2 * share3
        nodes = layers(rules, [w] * 3, offsets, [Chosen(u1[:, k]), Chosen(u2), Chosen(u3)])
        one, two = costs(*nodes, head)
        weighted_loss(share * one, share * two).backward()
    return [x.grad for x in parameters]


def mean_of_straight_through_in_the_middle():
    """E[dcost/db2], with layer 3 averaged exactly: what it adds to W and to its offset."""
    by_weight, by_offset = np.zeros_like(W), np.zeros(2)
    pairs = np.array(list(product([0.0, 1.0], repeat=2)))
    for s1, s2 in product(pairs, pairs):
        b1, b2 = np.tile(s1, (4, 1)), leaf(np.tile(s2, (4, 1)))
        p1, p2 = sigmoid(X @ W + [0.2, -0.1]), sigmoid(b1 @ W + [0.1, 0.3])
        share = np.prod(np.where(s1 == 1, p1, 1 - p1) * np.where(s2 == 1, p2, 1 - p2), axis=1)

        def fn(b1=b1, b2=b2, share=share):
            b3 = mg.bernoulli(b2 @ W[:, :1] + [-0.2], Stop())
            one, two = costs(mg.tensor(b1), b2, b3, mg.tensor(HEAD))
            return weighted_loss(share * one, share * two)
        gradient = exact_gradient(fn, b2)
        by_weight += b1.T @ gradient
        by_offset += gradient.sum(axis=0)
    return by_weight, by_offset


def test_a_rule_that_replays_above_straight_through_above_reinforce():
    by_w1, by_w2, by_w3, by_o1, by_o2, by_o3, by_head = exact_layers()
    st_w2, st_o2 = mean_of_straight_through_in_the_middle()
    got_w, got_o1, got_o2, got_o3, got_head = mean_of_layers([ARM(), StraightThrough(), Reinforce()])
    close(got_o1, by_o1, **EXACT)               # right whatever the rules below do
    close(got_o3, by_o3, **EXACT)
    close(got_head, by_head, **EXACT)
    close(got_o2, st_o2, **EXACT)               # biased as documented
    assert np.abs(st_o2 - by_o2).max() > 0.05
    close(got_w, by_w1 + st_w2 + by_w3, **EXACT)
    assert np.abs(got_w - (by_w1 + by_w2 + by_w3)).max() > 0.05


@pytest.mark.parametrize("rules", [(ARM, Reinforce, LocalExpectation), (LocalExpectation, Reinforce, ARM)])
def test_unbiased_rules_in_any_order_give_the_exact_gradient(rules):
    by_w1, by_w2, by_w3, *others = exact_layers()
    got_w, *got = mean_of_layers([rule() for rule in rules])
    close(got_w, by_w1 + by_w2 + by_w3, **EXACT)
    for x, y in zip(got, others, strict=True):
        close(x, y, **EXACT)


def test_a_tree_of_nodes_with_different_rules():
    """One parent and two children, each with its own rule and cost."""
    weight = np.array([[1.0, -2.0], [0.5, 1.5]])

    def loss(a, rules, rngs):
        root = mg.bernoulli(a, rules[0], rng=rngs[0])
        left = mg.bernoulli(root @ weight, rules[1], rng=rngs[1])
        right = mg.bernoulli((root @ weight)[:, :1] - 1, rules[2], rng=rngs[2])
        return mg.expected((left.sum(axis=1) - 0.4) ** 2) + 3 * mg.expected(right[:, 0] * root[:, 0])

    logits = np.array([0.3, -0.7])
    p, pairs = sigmoid(logits), np.array(list(product([0, 1], repeat=2)))
    below = sigmoid(pairs @ weight)
    u0, share0 = grid([cells(x, 1 - x) for x in p])
    mean = np.zeros(2)
    for (u1, share1), (u2, share2) in product(zip(*grid([cells(*x) for x in below.T]), strict=True),
                                              cells(*sigmoid(pairs @ weight[:, 0] - 1))):
        a = leaf(np.tile(logits, (len(u0), 1)))
        rngs = Chosen(u0), Chosen(u1), Chosen(np.array(u2))
        loss(a, (ARM(), StraightThrough(), Reinforce()), rngs).backward()
        mean += share1 * share2 * (share0 @ a.grad) * len(u0)
    one = leaf([logits])
    close(mean, exact_gradient(lambda: loss(one, [Stop()] * 3, [None] * 3), one)[0], **EXACT)


# -- what is refused --------------------------------------------------------------------------------

@pytest.mark.parametrize("estimator", [None, StraightThrough, "straight-through"])
def test_an_estimator_has_to_be_given(estimator):
    with pytest.raises(TypeError, match="expected an estimator"):
        mg.bernoulli(leaf([0.0]), estimator)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_have_to_be_finite(bad):
    with pytest.raises(ValueError, match="finite"):
        mg.bernoulli(leaf([0.0, bad]), Stop())


def test_logits_have_to_be_floating_and_to_have_the_axes_of_a_sample():
    with pytest.raises(TypeError, match="floating logits"):
        mg.bernoulli(np.array([0, 1]), Stop())
    for event_ndim in (3, -1):
        with pytest.raises(ValueError, match=r"event_ndim = (3|-1) of them, .*Use event_ndim=0"):
            mg.bernoulli(leaf(np.zeros((2, 2))), Stop(), event_ndim=event_ndim)
    with pytest.raises(ValueError, match=r"got logits of shape \(\). .*one unit as logits of shape \(1, 1\)"):
        mg.bernoulli(leaf(0.0), Stop())


@pytest.mark.parametrize(("need", "look"), [
    ("grad", lambda node: node.grad),
    ("cost", lambda node: node.cost),
    ("cost_at", lambda node: node.cost_at(node.value)),
    ("cost_and_grad_at", lambda node: node.cost_and_grad_at(node.value)),
])
def test_what_a_rule_asks_it_has_to_declare(need, look):
    passed_back(Probe(look, need), per_row)
    everything_else = {"grad", "cost", "cost_at", "cost_and_grad_at"} - {need}
    with pytest.raises(ValueError, match=f"asked for '{need}', which it has not declared"):
        passed_back(Probe(look, *everything_else), per_row)


def test_an_estimate_has_to_have_the_shape_and_dtype_of_its_node():
    class Short(mg.Estimator):
        def backward(self, node):
            return np.zeros(3)

    class Wide(mg.Estimator):
        def backward(self, node):
            return np.zeros(node.shape, np.float32)

    for rule in (Short(), Wide()):
        with pytest.raises(ValueError, match=r"expected an estimate of .*\(4, 3\) and dtype float64, got"):
            passed_back(rule, per_row)
    single = leaf(np.zeros((4, 3)), np.float32)
    with pytest.raises(ValueError, match=r"expected an estimate of .*and dtype float32 or float64, got \(3,\)"):
        mg.expected(mg.bernoulli(single, Short()).sum(axis=1)).backward()


def test_a_value_to_try_has_to_have_the_shape_and_dtype_of_the_node():
    for value in (np.zeros((3, 4)), np.zeros((4, 3), np.float32)):
        with pytest.raises(ValueError, match="expected a value of"):
            passed_back(Probe(lambda node, value=value: node.cost_at(value), "cost_at"), per_row)
    with pytest.raises(ValueError, match="'together' or 'one by one'"):
        passed_back(Probe(lambda node: node.cost_at(node.value, rows="both"), "cost_at"),
                    lambda b: (b * b).sum())


def test_a_gradient_that_no_path_leads_to():
    for rule in (StraightThrough(), Probe(lambda node: node.cost_and_grad_at(node.value), "cost_and_grad_at")):
        a = leaf(np.zeros((4, 3)))
        b = mg.bernoulli(a, rule)
        loss = mg.expected((b > 0).astype(float).sum(axis=1)) + a.sum()
        with pytest.raises(ValueError, match="no path with derivatives"):
            loss.backward()


def test_one_memory_cannot_serve_two_nodes():
    rule, a = Reinforce("mean"), leaf(np.zeros((4, 3)))
    b = mg.bernoulli(a, rule, name="first") * mg.bernoulli(a, rule, name="second")
    with pytest.raises(ValueError, match="got one for two nodes of a graph"):
        per_row(b).backward()
    for rule in (Reinforce(), Reinforce(2.0), StraightThrough()):
        per_row(mg.bernoulli(a, rule) * mg.bernoulli(a, rule)).backward()


def test_second_order_only_where_the_rule_defines_it():
    a = leaf(np.zeros((4, 3)))
    loss = per_row(mg.bernoulli(a, Reinforce()) * a)
    with pytest.raises(ValueError, match="no second derivative"):
        mg.grad(loss, a, create_graph=True)
    logit = leaf([[0.4]])
    b = mg.bernoulli(logit, StraightThroughSlope(), rng=Chosen(np.array(0.1)))
    slope = mg.grad(mg.expected((3 * b).sum(axis=1)), logit, create_graph=True)
    p = sigmoid(0.4)
    close(mg.grad(slope.sum(), logit).data, 3 * p * (1 - p) * (1 - 2 * p), **EXACT)


# -- samples, units and costs -----------------------------------------------------------------------

@pytest.mark.parametrize(("shape", "event_ndim", "view"), [
    ((4, 3), 1, (4, 3)), ((4, 3), 2, (1, 12)), ((4, 3), 0, (12, 1)), ((4, 2, 3), 1, (8, 3)),
    ((4, 2, 3), 2, (4, 6)), ((3,), 1, (1, 3)), ((), 0, (1, 1)),
])
def test_the_canonical_view_is_rows_and_units(shape, event_ndim, view):
    rule = Probe(lambda node: (node.shape, node.value.shape, node.probs.shape, node.noise.shape,
                               node.grad.shape, node.cost.shape), "grad", "cost")
    passed_back(rule, lambda b: (b * b).sum(), shape, event_ndim)
    assert rule.seen == (view, view, view, view, view, (view[0], 1))


def test_rows_one_by_one_where_rows_share_a_cost_and_together_where_they_do_not():
    def both(node):
        flipped = 1 - node.value
        return node.cost_at(flipped), node.cost_at(flipped, rows="one by one")

    rule = Probe(both, "cost_at")
    ones = Chosen(np.array(0.1))
    passed_back(rule, lambda b: b.sum() ** 2, rng=ones)
    together, apart = rule.seen
    close(together, np.zeros((4, 1)))
    close(apart, np.full((4, 1), 81.0))
    passed_back(rule, per_row)
    close(*rule.seen)


@pytest.mark.parametrize("rows", ["together", "one by one"])
def test_many_alternatives_are_tried_like_one(rows):
    """Where rows share a cost, and where they do not."""
    alternatives = (np.random.default_rng(1).random((5, 4, 3)) < 0.5).astype(float)
    rule = Probe(lambda node: (node.cost_at(alternatives, rows), [node.cost_at(x, rows) for x in alternatives]),
                 "cost_at")
    for cost in (lambda b: (b.sum() - 3) ** 2 * b[0, 0], per_row):
        passed_back(rule, cost)
        at_once, one_by_one = rule.seen
        assert at_once.shape == (5, 4, 1)
        close(at_once, np.stack(one_by_one), **EXACT)


def test_what_is_not_recorded_cannot_be_differentiated_again():
    rule = Probe(lambda node: node.cost, "cost")
    rule.differentiable = True
    a = leaf(np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"'cost' is not recorded, .*Set differentiable = False"):
        mg.grad(per_row(mg.bernoulli(a, rule)), a, create_graph=True)


def test_replays_are_counted_also_those_within_replays():
    a = leaf(np.zeros((4, 3)))
    top = mg.bernoulli(a, Probe(lambda node: node.cost_and_grad_at(node.value), "cost_and_grad_at"))
    below = mg.bernoulli(top - leaf(0.5), ARM())
    assert (top.primitive.replays, below.primitive.replays) == (0, 0)
    mg.expected(below.sum(axis=1)).backward()
    assert (top.primitive.replays, below.primitive.replays) == (1 + 2, 2)
    b = mg.bernoulli(a, LocalExpectation())
    (b.sum() ** 2).backward()
    assert b.primitive.replays == 2 * 3 * 4


# -- replay, purity and memory ----------------------------------------------------------------------

def test_a_replay_at_the_sample_itself_changes_nothing_below():
    """Nodes below draw again from their own uniforms."""
    rule = Probe(lambda node: (node.cost, node.cost_at(node.value), node.cost_at(1 - node.value)),
                 "cost", "cost_at")
    a = leaf(np.zeros((64, 3)))
    top = mg.bernoulli(a, rule, rng=mg.Generator(1))
    below = mg.bernoulli(4 * top - 2, Reinforce(), rng=mg.Generator(2))
    mg.expected(below @ np.array([1.0, 2.0, 4.0])).backward()
    cost, again, flipped = rule.seen
    np.testing.assert_array_equal(cost, again)
    u = below.primitive.noise
    expected = (u < sigmoid(2 - 4 * top.data)) @ np.array([1.0, 2.0, 4.0])
    close(flipped[:, 0], expected)


@pytest.mark.parametrize("name", mg.estimators.__all__)
def test_backward_twice_adds_the_same_again(name):
    a = leaf(np.linspace(-1, 1, 12).reshape(4, 3))
    rule = getattr(mg.estimators, name)()
    loss = mg.expected(((mg.bernoulli(a, rule, rng=mg.Generator(1)) - 0.3) ** 2).sum(axis=1))
    loss.backward()
    once = a.grad.copy()
    loss.backward()
    np.testing.assert_array_equal(a.grad, 2 * once)


def test_fresh_numbers_for_rules_differ_by_replay_and_by_sample_but_not_by_pass():
    draws = []
    rule = Probe(lambda node: draws.append(node.rng.uniform((2, 2))), "cost")
    a = leaf(np.zeros((2, 2)))
    rng = mg.Generator(9)
    outer = Probe(lambda node: [node.cost_and_grad_at(node.value) for _ in range(2)], "cost_and_grad_at")
    for _ in range(2):
        top = mg.bernoulli(a, outer, rng=rng)
        loss = mg.expected(mg.bernoulli(top - leaf(0.5), rule, rng=rng).sum(axis=1))
        loss.backward()
        loss.backward()
    main, replayed, again = draws[0:3]
    assert not np.array_equal(main, replayed)
    assert not np.array_equal(replayed, again)
    np.testing.assert_array_equal(draws[3:6], draws[0:3])
    assert not np.array_equal(draws[6], main)


def test_replays_propose_nothing():
    rule = Reinforce("mean")
    a = leaf(np.zeros((4, 1)))
    top = mg.bernoulli(a, Probe(lambda node: node.cost_and_grad_at(1 - node.value), "cost_and_grad_at"),
                       rng=Chosen(np.array(0.1)))
    below = mg.bernoulli(200 * top - leaf(100.0), rule)     # a copy of the sample
    mg.expected(below.sum(axis=1)).backward()
    close(rule.state_dict()["weighted_cost"], 0.1)          # of the sample's cost 1, not of its flip's 0


def test_a_split_batch_draws_what_the_whole_would():
    logits, cost = np.linspace(-2, 2, 18).reshape(6, 3), lambda b: (b @ np.array([1.0, -2.0, 0.5]) - 1) ** 2
    for name in mg.estimators.__all__:
        make = getattr(mg.estimators, name)
        whole = leaf(logits)
        mg.expected(cost(mg.bernoulli(whole, make(), rng=mg.Generator(3)))).backward()
        for part in (slice(0, 2), slice(2, 6)):
            a = leaf(logits[part])
            rng = mg.Generator(3, sample_offset=part.start)
            mg.expected(cost(mg.bernoulli(a, make(), rng=rng))).backward()
            close(a.grad * len(a), whole.grad[part] * 6, err_msg=name, **EXACT)


@pytest.mark.parametrize("name", mg.estimators.__all__)
def test_float32_stays_float32_and_finite_at_extreme_logits(name):
    a = leaf([[-80.0, -1.0, 80.0], [88.0, 0.0, -104.0]], np.float32)
    rule = getattr(mg.estimators, name)()
    for seed in range(3):
        b = mg.bernoulli(a, rule, rng=mg.Generator(seed))
        mg.expected(((b - np.float32(0.3)) ** 2).sum(axis=1)).backward()
    assert b.dtype == a.grad.dtype == np.float32
    assert np.isfinite(a.grad).all()


def test_context_reaches_the_rule_by_rows_and_gets_no_gradient():
    context = leaf(np.arange(16.0).reshape(4, 2, 2))
    rule = Probe(lambda node: node.context, "cost")
    a = leaf(np.zeros((4, 3)))
    b = mg.bernoulli(a, rule, context=context)
    per_row(b).backward()
    np.testing.assert_array_equal(rule.seen, np.arange(16.0).reshape(4, 4))
    assert context.grad is None
    with pytest.raises(ValueError, match="leading axes"):
        mg.bernoulli(a, rule, context=np.zeros((3, 2)))


def test_a_context_of_numpy_is_a_context():
    rule = Probe(lambda node: node.context)
    mg.expected(mg.bernoulli(leaf(np.zeros((4, 3))), rule, context=np.arange(8.0).reshape(4, 2)).sum(axis=1)).backward()
    np.testing.assert_array_equal(rule.seen, np.arange(8.0).reshape(4, 2))
    rule = Probe(lambda node: node.context)
    passed_back(rule, per_row)
    assert rule.seen is None


@pytest.mark.parametrize("rule", [lambda: Probe(lambda node: node.value), lambda: Reinforce("mean"), StraightThrough])
def test_a_node_without_units_asks_no_rule(rule):
    rule, a = rule(), leaf(np.zeros((4, 0)))
    before = rule.state_dict()
    mg.expected(mg.bernoulli(a, rule).sum(axis=1)).backward()
    assert a.grad.shape == (4, 0)
    assert not hasattr(rule, "seen")
    np.testing.assert_equal(rule.state_dict(), before)
    if rule.differentiable:
        found = mg.grad(mg.expected(mg.bernoulli(a, rule).sum(axis=1)), a, create_graph=True)
        assert isinstance(found, mg.Tensor)
        assert found.shape == (4, 0)


# -- exact enumeration, against which all of this is measured ---------------------------------------

def two_layer_loss(a, w, joint):
    b = mg.bernoulli(a, Stop())
    below = mg.bernoulli(b @ w, Stop())
    one = mg.expected(((b * below).sum(axis=1) - 0.3) ** 2)
    if joint:
        return one + 0.5 * (below.sum() - b.sum()) ** 2
    return mg.exp(0.3 * w.sum()) * one - 2 * mg.expected(mg.exp(below.sum(axis=1) * w[0, 0]))


@pytest.mark.parametrize("joint", [False, True])
def test_exact_gradient_against_differences_of_the_exact_expectation(joint):
    rng = np.random.default_rng(4)
    a, w = leaf(rng.normal(size=(2, 2))), leaf(rng.normal(size=(2, 2)))

    def fn():
        return two_layer_loss(a, w, joint)
    h = 1e-5
    for x, gradient in zip((a, w), exact_gradient(fn, [a, w]), strict=True):
        before = x.data.copy()
        for i in np.ndindex(x.shape):
            step = np.zeros(x.shape)
            step[i] = h
            values = []
            for moved in (before + step, before - step):
                x.data = moved
                values.append(exact_expectation(fn))
            close(gradient[i], (values[0] - values[1]) / (2 * h), rtol=1e-7, atol=1e-8)
        x.data = before


def test_rows_apart_and_rows_jointly_agree():
    """The same expectation, with rows declared as independent or not."""
    a = leaf(np.random.default_rng(5).normal(size=(3, 2)))

    def loss(average):
        b = mg.bernoulli(a, Stop())
        below = mg.bernoulli(b * 2 - 1, Stop())
        return average((b @ np.array([1.0, -2.0]) + below.sum(axis=1)) ** 2)
    close(exact_expectation(lambda: loss(mg.expected)), exact_expectation(lambda: loss(mg.mean)))
    close(exact_gradient(lambda: loss(mg.expected), a), exact_gradient(lambda: loss(mg.mean), a), **EXACT)


def test_too_many_states_are_refused_unless_rows_are_independent():
    a = leaf(np.zeros((11, 2)))
    with pytest.raises(ValueError, match=r"2\*\*22"):
        exact_expectation(lambda: mg.bernoulli(a, Stop()).sum())
    close(exact_expectation(lambda: mg.expected(mg.bernoulli(a, Stop()).sum(axis=1))), 1.0)
    with pytest.raises(ValueError, match="scalar loss"):
        exact_expectation(lambda: mg.bernoulli(a, Stop()))


def test_the_tests_own_rules_are_exact_on_one_sample():
    def cost(b):
        return mg.exp(b[:, 0] * 2 - b[:, 1] * b[:, 2])

    logits = np.array([0.4, -1.2, 2.0])
    for rule in (ARM(), LocalExpectation()):
        mean, _ = moments(rule, logits, cost, breaks=[lambda x: 1 - sigmoid(x)])
        close(mean, truth(logits, cost), **EXACT)
    assert not estimates(ARM(), logits, cost, np.full((5, 3), 0.5)).any()


@pytest.mark.parametrize("cost", [lambda b: (b.sum(axis=1) > 1).astype(float), lambda b: b.sum(axis=1).detach()])
def test_a_rule_that_only_observes_costs_needs_no_derivative_of_them(cost):
    logits = mg.tensor(np.zeros((4, 3)), requires_grad=True)
    mg.expected(cost(mg.bernoulli(logits, mg.estimators.Reinforce(), rng=mg.Generator(1)))).backward()
    assert logits.grad.any()


def test_a_loss_without_random_nodes_is_its_own_expectation():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    assert mg.testing.exact_expectation(lambda: (x * x).sum()) == 5.0
    np.testing.assert_array_equal(mg.testing.exact_gradient(lambda: (x * x).sum(), x), [2.0, 4.0])


def test_a_rules_own_noise_is_nobody_elses():
    rng = mg.Generator(3)
    seen = []

    class Draws(mg.Estimator):
        needs = {"cost"}

        def backward(self, node):
            seen.append(node.rng.uniform(node.shape))
            return 0 * node.value

    logits = mg.tensor(np.zeros((2, 2)), requires_grad=True)
    mg.expected(mg.bernoulli(logits, Draws(), rng=rng).sum(axis=1)).backward()
    for other in rng.fork(0), rng.fork(0, 0), mg.Generator(3):
        assert not (seen[0] == other.uniform((2, 2))).any()


@pytest.mark.parametrize("rng", [0, 42, np.random.default_rng(0)])
def test_a_generator_of_another_kind_is_refused(rng):
    with pytest.raises(TypeError, match="expected a Generator"):
        mg.bernoulli(np.zeros((1, 2)), mg.estimators.Reinforce(), rng=rng)


def test_a_refused_draw_leaves_the_generator_as_it_was():
    rng = mg.Generator(3)
    with pytest.raises(ValueError, match="finite logits"):
        mg.bernoulli(np.full((1, 2), np.nan), mg.estimators.Reinforce(), rng=rng)
    assert rng.draws == 0
