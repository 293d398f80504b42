"""The learned control variate of RODEO, by its definition."""

import numpy as np
import pytest
from enumeration import EXACT, LOGITS, P, close, coupled, enumerated, estimates, truth

import minigrad as mg
from minigrad.estimators import rodeo
from minigrad.estimators.multi_sample import LeaveOneOut
from minigrad.estimators.rodeo import Rodeo


def trained_on_samples(rule, draws, steps=300):
    rng = np.random.default_rng(8)
    for _ in range(steps):
        own = [rng.uniform(size=(64, 3)) for _ in range(draws)]
        estimates(rule, LOGITS, coupled, rng.uniform(size=(64, 3)), own)
    return rule


@pytest.mark.parametrize("samples", [2, 3])
def test_rodeo_starts_as_leave_one_out_and_learns_a_control_variate(samples):
    rule = Rodeo(samples, rate=0.02)
    start, plain = (enumerated(x, LOGITS, coupled, samples - 1) for x in (rule, LeaveOneOut(samples)))
    close(start, plain, **EXACT)
    mean, variance = enumerated(trained_on_samples(rule, samples - 1), LOGITS, coupled, samples - 1)
    close(mean, truth(LOGITS, coupled), **EXACT)
    assert variance.sum() < plain[1].sum() / 2


def test_rodeo_by_definition():
    """The control variates as the Stein operator of h and of h · (b − p), each bit flipped in turn."""
    rule, rng = trained_on_samples(Rodeo(2, rate=0.05), 1, steps=20), np.random.default_rng(9)
    u, other = rng.uniform(size=(2, 5, 3))
    memory = rule.state_dict()
    found = estimates(rule, LOGITS, coupled, u, [other])
    mean, deviation = rule.network.scale(memory)
    bits = (np.stack([u, other]) < P).astype(float)
    x = mg.tensor(bits, requires_grad=True)
    costs = coupled(x)
    slope = mg.grad(costs.sum(), x).data / deviation
    f = (costs.data - mean) / deviation

    def h(b, k, row):
        j = 1 - k
        x = np.array([[f[j, row], slope[j, row] @ (b - bits[j, row])]])
        return rule.network.output(memory, x).item()

    def stein(function, b):
        return sum(abs(b[i] - P[i]) * (function(np.where(np.arange(3) == i, 1 - b, b)) - function(b)) for i in range(3))

    for row in range(5):
        b = bits[:, row]
        extended = [f[k, row] + stein(lambda x, k=k, row=row: h(x, k, row), b[k]) for k in range(2)]
        estimate = sum((f[k, row] - extended[1 - k]) * (b[k] - P)
                       + stein(lambda x, k=k, row=row: h(x, k, row) * (x - P), b[k]) for k in range(2)) / 2
        close(found[row], deviation * estimate, rtol=1e-9, atol=1e-12)


def test_rodeo_must_not_know_its_sample(monkeypatch):
    """h_k made of sample k itself: the wrong one of two is left out."""
    rule = trained_on_samples(Rodeo(2, rate=0.05), 1, steps=20)
    monkeypatch.setattr(rodeo, "identity", lambda n, like: np.ones((n, n)) - np.diag(np.ones(n)))
    assert np.abs(enumerated(rule, LOGITS, coupled, 1)[0] - truth(LOGITS, coupled)).max() > 0.01
