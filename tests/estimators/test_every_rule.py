"""Properties of every rule: defaults work, its claim holds, its memory can be saved, and dtypes do not change."""

import numpy as np
import pytest
from enumeration import (
    EXACT,
    LINE,
    LOGITS,
    QUARTERS,
    close,
    coupled,
    estimates,
    every_sample_equally_often,
    mirrored,
    mixed_cost,
    moments,
    truth,
)

import minigrad as mg
from minigrad.estimators.concrete import GumbelRao
from minigrad.estimators.control_variates import DoubleControlVariate, MuProp, Rebar
from minigrad.estimators.learned import LearnedCorrection
from minigrad.estimators.multi_sample import ARMS, LeaveOneOut
from minigrad.estimators.nvil import Nvil
from minigrad.estimators.pruned import PrunedFlip
from minigrad.estimators.relax import Relax
from minigrad.estimators.score_function import Reinforce
from minigrad.estimators.stop import Stop
from minigrad.stochastic import BinaryNode

RULES = [getattr(mg.estimators, name) for name in mg.estimators.__all__]

@pytest.mark.parametrize("rule", RULES)
def test_every_rule_can_be_made_without_arguments_and_says_what_it_is(rule):
    made = rule()
    assert isinstance(made, mg.Estimator)
    assert repr(made).startswith(rule.__name__)
    assert rule.__doc__


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_that_claims_to_be_unbiased_is_and_the_others_are_not(rule, monkeypatch):
    if not rule.needs <= {"grad", "cost", "cost_at"}:
        pytest.skip("its estimate is no polynomial of the uniforms")
    own_noise = property(lambda node: pytest.skip("its own noise is enumerated elsewhere"))
    monkeypatch.setattr(BinaryNode, "rng", own_noise)
    mean, _ = moments(rule(), QUARTERS, mixed_cost, [mirrored])
    assert rule.unbiased == np.allclose(mean, truth(QUARTERS, mixed_cost), **EXACT)


@pytest.mark.parametrize("name", mg.estimators.__all__)
def test_huge_costs_only_scale_the_estimate(name):
    """The factor is a power of two, which changes no rounding.  So all digits are equal, also in float32."""
    found = []
    for factor in (1.0, 2.0**30):
        a = mg.tensor(np.tile(LOGITS, (8, 1)), requires_grad=True, dtype="float32")
        b = mg.bernoulli(a, getattr(mg.estimators, name)(), rng=mg.Generator(3))
        mg.expected(factor * ((b * LINE.astype(np.float32)).sum(axis=1) - 0.3) ** 2).backward()
        found.append(a.grad / np.float32(factor))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("rule", RULES)
def test_float32_agrees_with_float64(rule):
    found = []
    for dtype in (np.float32, float):
        a = mg.tensor(LOGITS[None].repeat(6, axis=0), requires_grad=True, dtype=dtype)
        rng = mg.Generator(4)
        b = mg.bernoulli(a, rule(), rng=rng)
        mg.expected(((b * LINE.astype(dtype)).sum(axis=1) - dtype(0.3)) ** 2).backward()
        assert a.grad.dtype == dtype
        found.append(a.grad)
    close(found[0], found[1], rtol=2e-4, atol=1e-5)


def test_memory_of_a_rule_without_any_is_refused():
    with pytest.raises(ValueError, match="no memory"):
        Stop().load_state_dict(Reinforce("mean").state_dict())


@pytest.mark.parametrize("rule", [*RULES, lambda: Reinforce("mean"), lambda: Reinforce("optimal")])
def test_memory_is_saved_and_comes_back(rule):
    learned, fresh = rule(), rule()
    u = np.random.default_rng(3).uniform(size=(9, 3))
    for _ in range(3):
        estimates(learned, LOGITS, coupled, u, np.full(4, 0.6))
    fresh.load_state_dict(learned.state_dict())
    np.testing.assert_array_equal(*[estimates(x, LOGITS, coupled, u, np.full(4, 0.6)) for x in (learned, fresh)])


@pytest.mark.parametrize("rule", [lambda: Reinforce("mean"), lambda: Reinforce("optimal"), LearnedCorrection])
def test_memory_does_not_depend_on_how_often_a_batch_is_repeated(rule):
    u = every_sample_equally_often()
    once, thrice = rule(), rule()
    for _ in range(3):
        close(np.tile(estimates(once, QUARTERS, mixed_cost, u), (3, 1)),
              estimates(thrice, QUARTERS, mixed_cost, np.tile(u, (3, 1))), **EXACT)
    for name, x in once.state_dict().items():
        close(x, thrice.state_dict()[name], **EXACT)


def test_evaluations_are_as_many_as_stated():
    for rule, evaluations in ((LeaveOneOut(5), 4), (ARMS(4), 3), (PrunedFlip(), 1), (MuProp(), 1), (Rebar(), 1),
                              (DoubleControlVariate(3), 2), (Relax(), 0), (Nvil(), 0), (GumbelRao(), 0)):
        a = mg.tensor(np.zeros((4, 3)), requires_grad=True)
        b = mg.bernoulli(a, rule)
        mg.expected(coupled(b)).backward()
        assert b.primitive.replays == evaluations
