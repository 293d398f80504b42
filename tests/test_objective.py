"""The terms of a loss: which costs depend on a sample, with which weight, and which axes they may have."""

from itertools import product

import numpy as np
import pytest
from enumeration import Chosen, cells, grid, sigmoid
from nodes import LocalExpectation, Probe, leaf, passed_back

import minigrad as mg
from minigrad.estimators import Reinforce, Stop
from minigrad.graph import Evaluation
from minigrad.objective import Objective
from minigrad.testing import exact_expectation, exact_gradient

close = np.testing.assert_allclose
EXACT = {"rtol": 1e-10, "atol": 1e-13}


def test_costs_that_are_not_finite_are_refused_where_they_arise():
    with pytest.raises(ValueError, match="finite costs"):
        mg.expected(mg.tensor([1.0, np.nan]))
    with pytest.raises(ValueError, match="at least one sample"):
        mg.expected(mg.tensor(np.zeros(0)))


@pytest.mark.parametrize("shape", [(3,), (2, 3), (4, 3, 5)])
def test_costs_have_to_fit_the_samples_of_a_node(shape):
    def cost(b):
        return mg.expected(b.sum() * np.ones(shape))

    with pytest.raises(ValueError, match=r"do not fit node|axis 2, which no binary node above"):
        passed_back(Reinforce(), cost, (4, 2, 3))


def test_the_scale_is_that_of_one_sample():
    """Each row sees 3 times its own cost, and the gradient of that, whatever the batch."""
    for batch in (1, 4, 10):
        rule = Probe(lambda node: (node.cost, node.grad, node.value, node.cost_at(1 - node.value)),
                     "cost", "grad", "cost_at")
        passed_back(rule, lambda b: 3 * mg.expected((b * np.array([1.0, 2.0, 4.0])).sum(axis=1)), (batch, 3))
        cost, grad, value, flipped = rule.seen
        close(cost[:, 0], 3 * value @ [1, 2, 4])
        close(grad, np.tile([3.0, 6.0, 12.0], (batch, 1)))
        close(flipped, 21 - cost)


@pytest.mark.parametrize(("samples", "cost_axes"), [
    ((4,), (4,)), ((3, 2), (3, 2)), ((3, 2), (3,)), ((3,), (3, 2)), ((), (4,)), ((), (3, 2)), ((2, 2), ()),
])
def test_leading_axes_of_nodes_and_costs(samples, cost_axes):
    """The axes of one must begin with those of the other.  Averages over all states are exact."""
    units = 2
    scale = np.arange(1.0, 1 + np.prod(cost_axes)).reshape(cost_axes) / 3

    def cost(b):
        total = b.sum(axis=-1)
        if len(cost_axes) < len(samples):
            total = total.sum(axis=tuple(range(len(cost_axes), len(samples))))
        total = mg.reshape(total, (*total.shape, *[1] * (len(cost_axes) - total.ndim)))
        costs = (total * scale - 0.7) ** 2
        if len(cost_axes) > len(samples):
            costs = costs.mean(axis=tuple(range(len(samples), len(cost_axes))))
        return mg.expected(costs) if cost_axes else costs

    rng = np.random.default_rng(0)
    a = leaf(rng.normal(size=(*samples, units)))
    exact = exact_gradient(lambda: cost(mg.bernoulli(a, Stop())), a)
    assert np.abs(exact).min() > 1e-4
    p = sigmoid(a.data)
    groups = min(int(np.prod(samples)), int(np.prod(cost_axes)))
    shared = a.size // groups
    for rule in (LocalExpectation(), Reinforce()):
        mean = np.zeros((groups, shared))
        for state in product([0.0, 1.0], repeat=shared):
            b = np.tile(np.array(state), groups).reshape(a.shape)
            share = np.where(b == 1, p, 1 - p).reshape(groups, shared).prod(axis=1, keepdims=True)
            a.grad = None
            cost(mg.bernoulli(a, rule, rng=Chosen(np.where(b == 1, p / 2, (1 + p) / 2)))).backward()
            mean += share * a.grad.reshape(groups, shared)
        close(mean.reshape(a.shape), exact, **EXACT)


@pytest.mark.parametrize("outside", [0.0, 0.5])
@pytest.mark.parametrize("rule", [Reinforce, LocalExpectation])
def test_terms_with_different_axes_in_one_loss(rule, outside):
    """Costs of an example, of each of its samples, and of the whole batch, below the same node."""
    a = leaf(np.random.default_rng(6).normal(size=(2, 2, 1)))

    def loss(rule, rng=None):
        b = mg.bernoulli(a, rule, rng=rng)
        by_example, by_sample = b.sum(axis=(1, 2)) ** 2 * np.array([1.0, 2.0]), mg.exp(b.sum(axis=2) * 1.5)
        total = mg.expected(by_example) + 3 * mg.expected(by_sample)
        return total + outside * (b.sum() - 1) ** 2 if outside else total

    exact = exact_gradient(lambda: loss(Stop()), a)
    u, probability = grid([cells(p) for p in sigmoid(a.data).ravel()])
    for row, share in zip(u, probability, strict=True):
        loss(rule(), Chosen(row.reshape(a.shape))).backward(np.array(share))
    close(a.grad, exact, **EXACT)


def test_a_term_outside_expected_counts_whole_for_every_row():
    rule = Probe(lambda node: (node.cost, node.samples, node.coupled), "cost")
    passed_back(rule, lambda b: 2 * (b.sum() ** 2) + mg.expected(b.sum(axis=1)))
    cost, samples, coupled = rule.seen
    assert (samples, coupled) == (1, True)
    assert np.ptp(cost[:, 0] - cost[0]) < 3      # the shared part is the same, the rows' own is not
    rule = Probe(lambda node: (node.cost, node.samples), "cost")
    passed_back(rule, lambda b: b.sum() ** 2, rng=Chosen(np.array(0.1)))
    close(rule.seen[0], np.full((4, 1), 144.0))


def test_expected_that_enters_otherwise_than_linearly_counts_as_outside():
    for inside, cost in ((True, lambda b: -mg.expected(b.sum(axis=1)) / 4 + 1),
                         (True, lambda b: 2 * (mg.expected(b.sum(axis=1)) - 3) - mg.tensor(4.0)),
                         (False, lambda b: mg.expected(b.sum(axis=1)) ** 2),
                         (False, lambda b: mg.exp(mg.expected(b.sum(axis=1)))),
                         (False, lambda b: 1 / mg.expected(b.sum(axis=1) + 1))):
        rule = Probe(lambda node: node.coupled)
        passed_back(rule, cost)
        assert rule.seen is not inside


def test_a_weight_that_depends_on_a_binary_node_puts_a_term_outside():
    rng = np.random.default_rng(3)
    a, c = leaf(rng.normal(size=(2, 1))), leaf(rng.normal(size=1))

    def loss(rule_a, rule_c, rngs=(None, None)):
        weight = mg.bernoulli(c, rule_c, rng=rngs[1])
        return (2 * weight.sum() - 1) * mg.expected(mg.bernoulli(a, rule_a, rng=rngs[0]).sum(axis=1) ** 2)

    probe = Probe(lambda node: node.coupled)
    loss(probe, Stop()).backward()
    assert probe.seen
    exact = exact_gradient(lambda: loss(Stop(), Stop()), [a, c])
    p, q = sigmoid(a.data), sigmoid(c.data)
    mean = [np.zeros((2, 1)), np.zeros(1)]
    for *s, t in product([0.1, 0.9], repeat=3):
        u = np.where(np.array(s)[:, None] < 0.5, p / 2, (1 + p) / 2)
        v = q / 2 if t < 0.5 else (1 + q) / 2
        share = np.where(u < p, p, 1 - p).prod() * np.where(v < q, q, 1 - q).prod()
        a.grad = c.grad = None
        loss(Reinforce(), Reinforce(), (Chosen(u), Chosen(v))).backward()
        mean[0] += share * a.grad
        mean[1] += share * c.grad
    for x, y in zip(mean, exact, strict=True):
        close(x, y, **EXACT)


def test_a_loss_that_uses_a_term_over_and_over_is_taken_apart_once():
    """Sixty halved sums of a term with itself: 2**60 paths, one term, weight 1."""
    logits = mg.tensor(np.zeros((2, 3)), requires_grad=True)
    rule = mg.estimators.Reinforce()
    gradients = []
    for times in (0, 60):
        loss = mg.expected(mg.bernoulli(logits, rule, rng=mg.Generator(1)).sum(axis=1))
        for _ in range(times):
            loss = (loss + loss) / 2
        gradients.append(mg.grad(loss.reshape(1).sum(), logits).data)
    np.testing.assert_allclose(*gradients, rtol=1e-12)


def node_of(shape, name="bernoulli", event_ndim=1):
    return mg.bernoulli(leaf(np.zeros(shape)), Reinforce(), rng=mg.Generator(1), name=name, event_ndim=event_ndim)


@pytest.mark.parametrize(("costs", "words"), [
    # (n, 1) − (n,) is (n, n), whose mean is another number
    (lambda: node_of((4, 1)) - np.arange(4.0),
     r"costs of shape \(4, 4\) have axis 1, .*'bernoulli' has samples \(4,\)"),
    (lambda: node_of((4, 3)) * 2.0, r"axis 1, .*mg.mean\(costs, axis=1\)"),                 # that of the units
    (lambda: node_of((4, 3)).sum(axis=1) * np.ones((4, 4)), "axis 1,"),
    (lambda: node_of((4, 3), event_ndim=2).sum(axis=1), r"costs of shape \(4,\) have axis 0, .* samples \(\)"),
    (lambda: mg.expand_dims(node_of((4, 5, 3)).sum(axis=2), 2) * np.ones(6), r"axis 2, .* has samples \(4, 5\)"),
])
def test_an_axis_of_the_costs_that_no_node_has_is_refused(costs, words):
    with pytest.raises(ValueError, match=words):
        mg.expected(costs()).backward()
    with pytest.raises(ValueError, match=words):
        exact_expectation(lambda: mg.expected(costs()))


def test_an_axis_of_the_costs_has_to_be_one_of_some_node_above_and_not_of_each():
    few, many = node_of((4, 2), "few"), node_of((4, 5, 2), "many")
    mg.expected(many.sum(axis=2) * few[:, :1]).backward()
    with pytest.raises(ValueError, match="Node 'few' has samples"):
        mg.expected(few[:, :1] * np.ones(5)).backward()


def test_axes_of_length_1_and_costs_of_no_node_may_stay():
    mg.expected(node_of((4, 3)).sum(axis=1, keepdims=True)).backward()
    x = leaf(np.arange(12.0).reshape(3, 4))
    mg.expected(x).backward()
    np.testing.assert_array_equal(x.grad, 1 / 12)
    (mg.expected(x) + mg.expected(node_of((4, 3)).sum(axis=1))).backward()


def test_log_weights_have_the_axes_of_samples_as_well():
    mg.expected(node_of((4, 5, 2)).sum(axis=2), over=-1).backward()
    words = r"log-weights of shape \(4, 5\) have axis 1, .*mg.logmeanexp\(log_weights, axis=1\)"
    with pytest.raises(ValueError, match=words):
        mg.expected(node_of((4, 2))[:, :1] * np.ones(5), over=1).backward()
    for over in (0, -2, 2, 1.5):
        with pytest.raises(ValueError, match="expected over to be the last axis"):
            mg.expected(node_of((4, 4, 4)).sum(axis=2), over=over)


def test_several_outputs_with_cotangents_are_one_sum_of_terms():
    """A vector with a cotangent is a term outside: every row counts it whole."""
    g = np.array([1.0, -2.0, 0.5, 3.0])

    def vector(b):
        return (b.sum(axis=1) - 0.4) ** 2

    def seen(backward):
        rule = Probe(lambda node: (node.cost, node.cost_at(1 - node.value), node.samples), "cost", "cost_at")
        backward(mg.bernoulli(leaf(np.zeros((4, 3))), rule, rng=mg.Generator(5)))
        return rule.seen

    cost, flipped, samples = seen(lambda b: vector(b).backward(g))
    b = (mg.Generator(5).uniform((4, 3)) < 0.5).astype(float)
    close(cost, np.full((4, 1), g @ (b.sum(axis=1) - 0.4) ** 2))
    close(flipped, np.full((4, 1), g @ ((1 - b).sum(axis=1) - 0.4) ** 2))
    assert samples == 1
    for one, other in zip(seen(lambda b: vector(b).backward(g)), seen(lambda b: (vector(b) * g).sum().backward()),
                          strict=True):
        close(one, other)


def test_the_axes_of_samples_are_counted_without_those_of_units():
    """A node with two axes of samples beside one with two axes of units."""
    many, matrix = node_of((4, 5, 2), "many"), node_of((4, 3, 3), "matrix", event_ndim=2)
    mg.expected(many.sum(axis=2) * mg.expand_dims(matrix.sum(axis=(1, 2)), 1)).backward()


def test_a_pass_and_its_replays_share_one_objective():
    b = mg.bernoulli(leaf(np.zeros((4, 3))), Reinforce(), rng=mg.Generator(5))
    loss = mg.expected(b.sum(axis=1))
    run = Evaluation([loss], [np.array(1.0)])
    objective = Objective.of(run)
    assert Objective.of(run) is objective
    assert Objective.of(run.replay({b: 1 - b.numpy()})) is objective
    assert Objective.of(Evaluation([loss], [np.array(1.0)])) is not objective
    assert objective.binary == [b]
    assert objective.random == {b, loss.parents[0][1], loss}


def test_a_weight_may_be_a_parameter():
    """A value that depends on no sample counts as a constant here, even if it has a gradient."""
    w = leaf([2.0, 3.0])
    rule = Probe(lambda node: (node.cost, node.coupled), "cost")
    b = mg.bernoulli(leaf(np.zeros((4, 3))), rule, rng=mg.Generator(5))
    (mg.expected(b.sum(axis=1)) * w.sum() / w[0]).backward()
    cost, coupled = rule.seen
    assert not coupled
    close(cost[:, 0], 2.5 * b.numpy().sum(axis=1))
    close(w.grad, b.numpy().sum() / 4 * np.array([1 / 2 - 5 / 4, 1 / 2]))


def test_what_is_below_a_node():
    """The first samples on the paths that have a derivative, and whether rows share a cost."""
    top = node_of((4, 2), "top")
    left, right = (mg.bernoulli(top * scale, Reinforce(), rng=mg.Generator(seed)) for scale, seed in ((2, 3), (3, 4)))
    last = mg.bernoulli(left - right, Reinforce(), rng=mg.Generator(6))
    hidden = mg.bernoulli((top > 0.5).astype(float), Reinforce(), rng=mg.Generator(7))
    costs = last.sum(axis=1) + hidden.sum(axis=1)
    objective = Objective(Evaluation([mg.expected(costs)], [np.array(1.0)]))
    assert objective.next_below(top) == [left, right]
    assert objective.next_below(left) == objective.next_below(right) == [last]
    assert objective.next_below(last) == objective.next_below(hidden) == []
    assert not any(objective.is_coupled(node) for node in (top, left, right, last, hidden))
    assert Objective(Evaluation([costs.sum()], [np.array(1.0)])).is_coupled(last)
