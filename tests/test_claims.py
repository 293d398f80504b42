"""Which gradients of a graph are unbiased: by the claims of the rules and the graph, and by measurement."""

import warnings

import pytest
from nodes import binary_network, leaf

import minigrad as mg
from minigrad.testing.moments import Problem
from minigrad.testing.mutants import Relaxed

ESTIMATORS = mg.estimators


def claims_and_warnings(fn, *leaves):
    """The result of unbiased_nodes, by name.  Also checks that backward warns of the same nodes."""
    claims = {claim.node.primitive.name: claim for claim in mg.testing.unbiased_nodes(fn)}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fn(mg.Generator(0)).backward()
    said = {name for name in claims if any(f"at node {name!r} claims to be unbiased" in str(w.message) for w in caught)}
    assert said == {name for name, claim in claims.items() if claim.node.primitive.rule.unbiased and not claim.unbiased}
    problem = Problem(fn, list(leaves))
    problem.exact(0)
    assert len(problem.broken_claims) == len(said)
    return {name: claim.unbiased for name, claim in claims.items()}


BREAKS = {
    "smooth": (lambda b: (b - 0.3)**2, True),
    "a step": (lambda b: (b > 0.5) * 1.0, False),
    "a step beside a smooth cost": (lambda b: b**2 + mg.floor(b + 0.5), False),
    "detach": (lambda b: b * b.detach(), False),
    "detach times 0": (lambda b: b**2 + 0 * b.detach(), True),
    "a stable logsumexp": (lambda b: stable_logsumexp(b), True),
    "the shape alone": (lambda b: b * mg.ones_like(b), True),
}


def stable_logsumexp(b):
    h = mg.concatenate([b, 1 - b], axis=1)
    top = h.max(axis=1, keepdims=True).detach()
    return mg.log(mg.exp(h - top).sum(axis=1, keepdims=True)) + top


@pytest.mark.parametrize(("cost", "unbiased"), BREAKS.values(), ids=BREAKS.keys())
def test_rebar_needs_costs_that_are_continuous_in_the_sample(cost, unbiased):
    logits = leaf([[0.5], [-0.5]])

    def fn(rng):
        bits = mg.bernoulli(logits, ESTIMATORS.Rebar(), rng=rng, name="rebar")
        return mg.expected(cost(bits).sum(axis=1) + bits.sum(axis=1))
    assert claims_and_warnings(fn, logits) == {"rebar": unbiased}


@pytest.mark.parametrize(("rules", "unbiased"), [
    ([ESTIMATORS.Rebar(), ESTIMATORS.Rebar(), ESTIMATORS.StraightThrough()], [False, False, False]),
    ([ESTIMATORS.Rebar(), ESTIMATORS.Reinforce(), ESTIMATORS.StraightThrough()], [True, True, False]),
    ([ESTIMATORS.Rebar(), ESTIMATORS.MuProp(), ESTIMATORS.Reinforce()], [True, True, True]),
    ([ESTIMATORS.MuProp(), ESTIMATORS.Rebar(), ESTIMATORS.StraightThrough()], None),
    ([ESTIMATORS.Reinforce(), ESTIMATORS.GumbelSigmoid()], [False, False]),
    ([ESTIMATORS.Reinforce(), ESTIMATORS.Reinforce()], [True, True]),
])
def test_claims_at_any_depth(rules, unbiased):
    logits = leaf([[0.5], [-0.5]])

    def fn(rng):
        x = logits
        for i, rule in enumerate(rules):
            x = mg.bernoulli(2 * x - 0.5, rule, rng=rng, name=f"layer {i}")
        return mg.expected((x.sum(axis=1) - 0.3)**2)
    found = list(claims_and_warnings(fn, logits).values())
    if unbiased is None:
        unbiased = [not rules[0].needs_unbiased_below, False, False]
    assert found == unbiased


@pytest.mark.filterwarnings("ignore:Relaxed.. at node 'layer 0' claims to be unbiased:UserWarning")
@pytest.mark.parametrize(("below", "unbiased"), [(ESTIMATORS.Reinforce(), True), (ESTIMATORS.StraightThrough(), False)])
def test_unbiasedness_does_not_compose_by_itself(below, unbiased):
    """REBAR above REINFORCE is unbiased.  REBAR above straight-through is biased.  Claims and measurement agree."""
    fn, params = binary_network([Relaxed(), below])
    above, second = mg.testing.unbiased_nodes(fn)
    assert (above.unbiased, second.unbiased) == (unbiased, unbiased)
    assert "Relaxed" in above.why
    report = mg.testing.check_estimator(fn, params["logits"], samples=600, seed=5)
    assert report.unbiased is unbiased


def test_a_rule_that_asks_for_no_gradient_does_not_mind_what_is_below():
    fn, params = binary_network([ESTIMATORS.Reinforce(), ESTIMATORS.StraightThrough()])
    assert [c.unbiased for c in mg.testing.unbiased_nodes(fn)] == [True, False]
    report = mg.testing.check_estimator(fn, params)
    assert (report.bias["logits"].round(12) == 0).all()
    assert (report.bias["weight 1"].round(12) != 0).any()


def test_a_pass_warns_once_of_each_node_however_many_there_are():
    fn, _ = binary_network([ESTIMATORS.Rebar(), ESTIMATORS.Rebar(), ESTIMATORS.StraightThrough()])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fn(mg.Generator(0)).backward()
    assert sorted(str(w.message).split("'")[1] for w in caught) == ["layer 0", "layer 1"]
