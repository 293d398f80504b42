"""Memories of rules: when they learn, what they learn from, and how much they help after 300 steps."""

import copy
import pickle
import threading
import warnings

import numpy as np
import pytest

import minigrad as mg
from minigrad.estimators import baselines
from minigrad.estimators.nvil import LearnedBaseline
from minigrad.ops.primitives import Primitive

MAKE = {
    "Reinforce(baseline='mean')": lambda: mg.estimators.Reinforce("mean"),
    "Reinforce(baseline='optimal')": lambda: mg.estimators.Reinforce("optimal"),
    "Reinforce(baseline=LearnedBaseline())": lambda: mg.estimators.Reinforce(LearnedBaseline()),
    "Rebar, temperature": lambda: mg.estimators.Rebar(0.2, scale=1.0, rate=0.5),
    **{name: getattr(mg.estimators, name) for name in mg.estimators.__all__
       if getattr(mg.estimators, name)().state is not None},
}
ROWS = 32
WEIGHT = [[-0.5, 0.0, 1.0]]
KIND = np.tile([[1.0], [-1.0]], (ROWS // 2, 1))


def smooth(b):
    """Costs around 10, with products between the units."""
    return 10 + mg.exp(b @ np.array([1.0, -0.5, 0.3])) + 2 * b[:, 0] * b[:, 1]


def misleading(b):
    """Costs whose relaxation and slopes contain no information about their values at 0 and 1."""
    return (b + 10 * b * (1 - b)).sum(axis=1)


def loss_of(rule, w, rng, cost=smooth, rows=ROWS, context=None):
    return mg.expected(cost(mg.bernoulli(w + np.zeros((rows, 1)), rule, rng=rng, context=context)))


def leaf():
    return mg.tensor(WEIGHT, requires_grad=True)


def trained(rule, cost=smooth, steps=300, lr=1e-5, context=None):
    """The rule and the weight after some steps of an optimiser that only has the weight."""
    w, rng = leaf(), mg.Generator(1)
    optimiser = mg.optim.SGD([w], lr=lr)
    for _ in range(steps):
        optimiser.zero_grad()
        loss_of(rule, w, rng, cost, context=context).backward()
        optimiser.step()
    return w


def moments(rule, cost=smooth, context=None, repeats=400):
    """Mean and variance of the estimate of one row, summed over the units, by 12,800 rows of fixed noise."""
    context = None if context is None else np.tile(context, (repeats, 1))
    a = mg.tensor(np.tile(WEIGHT, (repeats * ROWS, 1)), requires_grad=True)
    with mg.testing.frozen_memories():
        b = mg.bernoulli(a, rule, rng=mg.Generator(2), context=context)
        costs = cost(b) if context is None else cost(b, context)
        mg.expected(costs).backward()
    rows = len(a.data) * a.grad
    return rows.mean(axis=0), rows.var(axis=0).sum()


# -- what rules gain -----------------------------------------------------------------------------------

@pytest.mark.parametrize(("name", "cost", "factor"), [
    ("Reinforce(baseline='mean')", smooth, 20),         # the size of the costs is subtracted
    ("Reinforce(baseline='optimal')", smooth, 20),
    ("Reinforce(baseline=LearnedBaseline())", smooth, 20),
    ("Nvil", smooth, 20),
    ("Relax", smooth, 20),
    ("Rebar", misleading, 5),                           # the scale of the control variate goes to 0
    ("DoubleControlVariate", misleading, 5),
    ("Rebar, temperature", smooth, 2),
    ("Rodeo", smooth, 1.2),
])
def test_after_300_steps_the_variance_has_fallen_and_the_mean_stays(name, cost, factor):
    rule = MAKE[name]()
    (before, start), _ = moments(rule, cost), trained(rule, cost)
    after, end = moments(rule, cost)
    assert end < start / factor
    w = leaf()
    exact = mg.testing.exact_gradient(lambda: loss_of(mg.estimators.Stop(), w, mg.Generator(0), cost, rows=1), w)
    for mean, variance in ((before, start), (after, end)):
        np.testing.assert_allclose(mean, exact[0], atol=6 * np.sqrt(variance / 12_800))


def test_after_300_steps_nvil_knows_the_cost_of_each_context():
    def cost(b, kind=KIND):
        return 20 * kind[:, 0] + smooth(b)

    rule, mean = mg.estimators.Nvil(rate=0.03), mg.estimators.Reinforce("mean")
    for x in (rule, mean):
        trained(x, cost, context=KIND)
    assert moments(rule, cost, KIND)[1] < moments(mean, cost, KIND)[1] / 10


def test_after_300_steps_a_learned_correction_is_less_biased_and_less_noisy_than_its_target():
    def cost(b):
        return mg.exp(b @ np.array([2.0, -1.0, 0.6]))

    rule, w = mg.estimators.LearnedCorrection(), leaf()
    exact = mg.testing.exact_gradient(lambda: loss_of(mg.estimators.Stop(), w, mg.Generator(0), cost, rows=1), w)[0]
    start = moments(rule, cost)[0]
    trained(rule, cost)
    end, variance = moments(rule, cost)
    assert np.abs(end - exact).sum() < np.abs(start - exact).sum() / 3
    assert variance < 0.8 * moments(mg.estimators.Reinforce(), cost)[1]


def test_after_300_steps_the_annealed_slope_is_steeper():
    rule = mg.estimators.StraightThroughAnnealed(growth=0.01)
    trained(rule)
    np.testing.assert_allclose(rule.state_dict()["slope"], 4.0)


def test_every_rule_with_a_memory_is_tested_above():
    names = {name.split("(")[0].split(",")[0] for name in MAKE}
    assert names == {"Reinforce", "Rebar", "DoubleControlVariate", "LearnedCorrection", "Nvil", "Relax", "Rodeo",
                     "StraightThroughAnnealed"}


def test_optimisers_know_nothing_of_rules():
    with pytest.raises(TypeError, match="rules"):
        mg.optim.SGD([leaf()], lr=0.1, rules=[])
    assert not hasattr(mg.optim.SGD([leaf()], lr=0.1), "rules")


@pytest.mark.parametrize("name", MAKE)
def test_huge_costs_leave_no_infinity_in_a_memory(name):
    """Their squares are beyond float32, but not beyond the float64 of memories."""
    rule, rng = MAKE[name](), mg.Generator(1)
    for _ in range(3):
        a = mg.tensor(np.tile(WEIGHT, (ROWS, 1)), requires_grad=True, dtype="float32")
        b = mg.bernoulli(a, rule, rng=rng, context=KIND.astype(np.float32))
        mg.expected(2.0**80 * ((b - 0.3) ** 2).sum(axis=1)).backward()
        assert np.isfinite(a.grad).all()
    assert all(np.isfinite(x).all() for x in rule.state_dict().values())


# -- when they learn -----------------------------------------------------------------------------------

def ones(rule, w, rows=4):
    """The loss of samples that are all 1, and cost 1."""
    return mg.expected(mg.bernoulli(w + np.full((rows, 1), 80.0), rule, rng=mg.Generator(1)).mean(axis=1))


def test_a_pass_proposes_and_the_next_draw_commits():
    rule, w = mg.estimators.Reinforce("mean"), leaf()
    loss = ones(rule, w)
    for _ in range(3):
        loss.backward()
        np.testing.assert_array_equal(rule.state["weight"], 0)
    np.testing.assert_allclose(rule.state_dict()["weighted_cost"], 0.1)     # what the next draw will see
    np.testing.assert_array_equal(rule.state["weight"], 0)
    ones(rule, w)
    np.testing.assert_allclose(rule.state["weighted_cost"], 0.1)
    ones(rule, w)                                                           # nothing new to commit
    np.testing.assert_allclose(rule.state["weighted_cost"], 0.1)
    ones(rule, w).backward()
    with mg.no_grad():
        ones(rule, w)
    np.testing.assert_allclose(rule.state["weighted_cost"], 0.19)
    ones(rule, w).backward()
    rule.update()
    rule.update()
    np.testing.assert_allclose(rule.state["weighted_cost"], 0.271)


def test_each_part_of_a_split_batch_teaches_the_rule():
    whole, split = mg.estimators.Reinforce("mean"), mg.estimators.Reinforce("mean")
    w = leaf()
    for _ in range(4):
        ones(whole, w).backward()
    for _ in range(2):
        for _ in range(2):
            ones(split, w).backward()
        mg.optim.SGD([w], lr=1e-9).step()
    np.testing.assert_equal(split.state_dict(), whole.state_dict())


@pytest.mark.parametrize("name", MAKE)
def test_a_pass_over_an_old_graph_repeats_itself_and_takes_nothing_back(name):
    rule, w, rng = MAKE[name](), leaf(), mg.Generator(3)
    trained(rule, steps=3)
    old = loss_of(rule, w, rng)

    def estimate(loss):
        return mg.grad(loss, w).numpy()

    first = estimate(old)
    np.testing.assert_array_equal(estimate(old), first)
    rule.update()
    np.testing.assert_array_equal(estimate(old), first)
    estimate(loss_of(rule, w, rng))
    newer = rule.state_dict()
    np.testing.assert_array_equal(estimate(old), first)
    np.testing.assert_equal(rule.state_dict(), newer)
    loss_of(rule, w, rng)
    np.testing.assert_equal(rule.state_dict(), newer)


@pytest.mark.parametrize("baseline", ["mean", "optimal"])
def test_the_own_cost_is_never_in_the_baseline(baseline):
    """With one unit and one row, of cost c at b and −c otherwise: it would be c or less instead of c + c'."""
    rule, w = mg.estimators.Reinforce(baseline), mg.tensor([[0.0]], requires_grad=True)
    loss = mg.expected((mg.bernoulli(w, rule, rng=mg.Generator(1)) * 0 + 4.0).sum(axis=1))
    first = mg.grad(loss, w).item()
    rule.update()
    assert mg.grad(loss, w).item() == first
    assert abs(first) == 2


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("shape", [(0, 3), (4, 0)])
def test_an_empty_batch_teaches_nothing(name, shape):
    rule = MAKE[name]()
    if shape[0] == 0:
        trained(rule, steps=3)
    before = rule.state_dict()
    a = mg.tensor(np.zeros(shape), requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (mg.bernoulli(a, rule, rng=mg.Generator(1)) * 2).sum().backward()
    assert a.grad.shape == shape
    np.testing.assert_equal(rule.state_dict(), before)


class Failing(mg.Estimator):
    def backward(self, node):
        raise RuntimeError("this rule fails")


@pytest.mark.parametrize("name", MAKE)
def test_a_failed_pass_teaches_nothing(name):
    rule, w = MAKE[name](), leaf()
    trained(rule, steps=3)
    before = rule.state_dict()              # with what the last pass proposed, which stays
    above = mg.bernoulli(w + np.zeros((4, 1)), Failing(), rng=mg.Generator(1))
    loss = mg.expected(smooth(mg.bernoulli(above - 0.5 + leaf(), rule, rng=mg.Generator(1))))
    with pytest.raises(RuntimeError, match="this rule fails"):
        loss.backward()
    np.testing.assert_equal(rule.state_dict(), before)

    broken = Primitive(lambda x: x)
    broken.vjps(lambda g, out, x: 1 / 0)
    broken.name = "broken"
    loss = mg.expected(smooth(mg.bernoulli(broken(w) + np.zeros((4, 1)), rule, rng=mg.Generator(1))))
    with pytest.raises(ZeroDivisionError):
        loss.backward()
    np.testing.assert_equal(rule.state_dict(), before)


def test_a_cost_that_fails_teaches_nothing():
    """The failure is in a replay: with the other sample, the cost is the logarithm of 0."""
    flip, rule, w = mg.estimators.DisARM(), mg.estimators.Reinforce("mean"), leaf()
    first = mg.bernoulli(np.full((1, 1), 0.5) * w[:, :1], flip, rng=mg.Generator(2))
    second = mg.bernoulli(w, rule, rng=mg.Generator(2))
    value = first.item()
    loss = mg.expected(mg.log((first - (1 - value)) ** 2).sum(axis=1) + second.sum(axis=1))
    with np.errstate(divide="ignore"), pytest.raises(ValueError, match="finite costs"):
        loss.backward()
    np.testing.assert_array_equal(rule.state_dict()["weight"], 0)


def test_one_instance_at_two_nodes_is_refused():
    rule, w = mg.estimators.Reinforce("mean"), leaf()
    first = mg.bernoulli(w, rule, name="first")
    second = mg.bernoulli(first - w, rule, name="second")
    with pytest.raises(ValueError, match=r"got one for two nodes of a graph .*Make an instance for each"):
        mg.expected(second.sum(axis=1)).backward()
    np.testing.assert_array_equal(rule.state_dict()["weight"], 0)


def test_a_block_with_frozen_memories_teaches_nothing_then_or_later():
    rule, w = mg.estimators.Reinforce("mean"), leaf()
    ones(rule, w).backward()
    state, merged = rule.state, rule.state_dict()
    with mg.testing.frozen_memories():
        loss = ones(rule, w)
        loss.backward()
    assert rule.state is state
    first = mg.grad(loss, w).numpy()
    rule.update()
    np.testing.assert_array_equal(mg.grad(loss, w).numpy(), first)
    np.testing.assert_equal(rule.state_dict(), merged)
    ones(rule, w)
    np.testing.assert_equal(rule.state_dict(), merged)


def test_the_harness_leaves_memories_as_they_are():
    rule, w = mg.estimators.Reinforce("mean"), mg.tensor([[0.3]], requires_grad=True)
    loss_of(rule, w, mg.Generator(1), lambda b: b.sum(axis=1), rows=4).backward()
    before = rule.state_dict()

    def fn(rng):
        return mg.expected((mg.bernoulli(w, rule, rng=rng) + 3).sum(axis=1))

    mg.testing.check_estimator(fn, w)
    mg.testing.exact_gradient(lambda: fn(mg.Generator(1)), w)
    mg.testing.check_rows(fn)
    mg.testing.examine(rule)
    np.testing.assert_equal(rule.state_dict(), before)


# -- where memories are kept ---------------------------------------------------------------------------

def run(rule, w, rng, steps):
    for _ in range(steps):
        w.grad = None
        loss_of(rule, w, rng).backward()
        w.data -= 0.01 * w.grad
    return w


@pytest.mark.parametrize("name", MAKE)
def test_a_resumed_run_is_the_uninterrupted_one(name):
    rule, w, rng = MAKE[name](), leaf(), mg.Generator(4)
    run(rule, w, rng, 3)
    saved, weight, numbers = rule.state_dict(), w.numpy().copy(), rng.state_dict()
    run(rule, w, rng, 3)

    resumed, again, other = MAKE[name](), leaf(), mg.Generator(0)
    resumed.load_state_dict(saved)
    again.data = weight
    other.load_state_dict(numbers)
    run(resumed, again, other, 3)
    np.testing.assert_array_equal(again.data, w.data)
    np.testing.assert_equal(resumed.state_dict(), rule.state_dict())


def test_saving_changes_nothing():
    """With two graphs, the state is saved before the backward pass of the first."""
    found = []
    for save in (False, True):
        rule, w = mg.estimators.Reinforce("mean"), leaf()
        first, second = (loss_of(rule, w, mg.Generator(seed)) for seed in (1, 2))
        second.backward()
        if save:
            rule.state_dict()
        first.backward()
        loss_of(rule, w, mg.Generator(3))
        found.append(rule.state_dict())
    np.testing.assert_equal(*found)


def test_loading_forgets_what_was_proposed():
    rule, w = mg.estimators.Reinforce("mean"), leaf()
    start = rule.state_dict()
    ones(rule, w).backward()
    rule.load_state_dict(start)
    np.testing.assert_equal(rule.state_dict(), start)


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("clone", [copy.deepcopy, lambda rule: pickle.loads(pickle.dumps(rule)), copy.copy])
def test_a_copy_knows_what_the_original_had_learnt_and_learns_by_itself(name, clone):
    rule, w = MAKE[name](), leaf()
    trained(rule, steps=3)
    other = clone(rule)
    np.testing.assert_equal(other.state_dict(), rule.state_dict())
    before = rule.state_dict()
    np.testing.assert_array_equal(*[mg.grad(loss_of(x, w, mg.Generator(1)), w).numpy() for x in (rule, other)])
    np.testing.assert_equal(other.state_dict(), rule.state_dict())
    loss_of(other, w, mg.Generator(2)).backward()
    loss_of(other, w, mg.Generator(2))
    assert any(np.any(other.state_dict()[name] != x) for name, x in rule.state_dict().items())
    assert any(np.any(rule.state_dict()[name] != x) for name, x in before.items())


class Counting(mg.Estimator):
    """Remembers the number of passes, twice."""

    needs = {"cost"}
    state = {}              # of the class, which commits leave alone

    def backward(self, node):
        first, second = node.memory.get("first", 0), node.memory.get("second", 0)
        assert first == second
        node.propose(first=first + 1)
        node.propose(second=second + 1)
        return node.cost * (node.value - node.probs)


def test_a_memory_given_as_a_class_attribute_is_not_shared():
    one, other, w = Counting(), Counting(), leaf()
    for _ in range(3):
        loss_of(one, w, mg.Generator(1)).backward()
    assert one.state_dict() == {"first": 3, "second": 3}
    assert other.state_dict() == Counting.state == {}


def test_threads_that_share_a_rule_leave_it_whole():
    rule, faults = Counting(), []

    def work():
        try:
            w, rng = leaf(), mg.Generator(1)
            for _ in range(100):
                loss_of(rule, w, rng, rows=2).backward()
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    state = rule.state_dict()
    assert state["first"] == state["second"] > 0


def test_freezing_is_for_one_thread():
    rule, w = mg.estimators.Reinforce("mean"), leaf()
    with mg.testing.frozen_memories():
        thread = threading.Thread(target=lambda: ones(rule, w).backward())
        thread.start()
        thread.join()
    np.testing.assert_allclose(rule.state_dict()["weighted_cost"], 0.1)


def test_a_baseline_of_ones_own_reads_the_memory_it_is_given():
    class Last(baselines.MeanCost):
        def start(self):
            return {"last": np.zeros(1)}

        def value(self, node, state):
            return state["last"]

        def learn(self, node, state):
            return {"last": node.cost.mean(axis=0)}

    rule, w = mg.estimators.Reinforce(Last()), leaf()
    ones(rule, w).backward()
    np.testing.assert_array_equal(mg.grad(ones(rule, w), w).numpy(), 0)
