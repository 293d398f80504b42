"""The learned control variate of RELAX."""

import numpy as np
from enumeration import EXACT, LOGITS, P, close, coupled, enumerated, estimates, integrated, truth

from minigrad.estimators import relax
from minigrad.estimators.concrete import logistic
from minigrad.estimators.relax import Relax
from minigrad.estimators.score_function import Reinforce


def test_relax_starts_as_reinforce_and_learns_a_control_variate():
    rule, rng = Relax(hidden=8, rate=0.02), np.random.default_rng(0)
    first = rng.uniform(size=(5, 3))
    close(estimates(rule, LOGITS, coupled, first), estimates(Reinforce(), LOGITS, coupled, first), **EXACT)
    for _ in range(400):
        estimates(rule, LOGITS, coupled, rng.uniform(size=(64, 3)))
    mean, variance = integrated(rule, LOGITS, coupled, nodes=12)
    close(mean, truth(LOGITS, coupled), atol=2e-5)
    plain = enumerated(Reinforce(), LOGITS, coupled)[1]
    assert variance.sum() < plain.sum() / 3
    baseline = rule.network.scale(rule.state_dict())[0]
    assert variance.sum() < 0.8 * enumerated(Reinforce(baseline), LOGITS, coupled)[1].sum()


def test_the_network_of_relax_descends_the_variance():
    """It learns by the gradient of the mean square of the estimate.  Finite differences give the same gradient."""
    rule, u = Relax(hidden=3), np.random.default_rng(1).uniform(size=(20, 3))
    seen = {}
    learn = rule.network.learn
    rule.network.learn = lambda state, gradients, costs: seen.update(gradients) or learn(state, gradients, costs)
    for _ in range(3):
        estimates(rule, LOGITS, coupled, u)
    state = rule.state_dict()
    _, deviation = rule.network.scale(state)
    estimates(rule, LOGITS, coupled, u)
    gradients = dict(seen)
    for name, index in (("W", (1, 2)), ("a", (0,)), ("v", (1, 0)), ("c", (0,))):
        squares = []
        for step in (1e-5, -1e-5):
            moved = {key: x.copy() for key, x in state.items()}
            moved[name][index] += step
            rule.load_state_dict(moved)
            squares.append((estimates(rule, LOGITS, coupled, u) ** 2).sum(axis=1).mean() / deviation**2)
        close(gradients[name][index], (squares[0] - squares[1]) / 2e-5, rtol=1e-6, atol=1e-9)


def test_a_relaxed_sample_centred_at_the_probability_shows_in_the_variance_alone(monkeypatch):
    rule, rng = Relax(hidden=8, rate=0.02), np.random.default_rng(0)
    for _ in range(300):
        estimates(rule, LOGITS, coupled, rng.uniform(size=(64, 3)))
    mean, variance = integrated(rule, LOGITS, coupled, nodes=12)
    monkeypatch.setattr(relax, "logistic", lambda u: logistic(u) + P - LOGITS)      # z = p + L
    wrong_mean, wrong_variance = integrated(rule, LOGITS, coupled, nodes=12)
    close(wrong_mean, mean, atol=2e-5)
    assert wrong_variance.sum() > 1.1 * variance.sum()
