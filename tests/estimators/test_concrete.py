"""Rules with relaxed noise, compared with quadrature over the uniforms."""

from itertools import pairwise

import numpy as np
import pytest
from enumeration import EXACT, LOGITS, P, cells, close, coupled, estimates, grid, integrated, ramp, sigmoid

import minigrad as mg
from minigrad.estimators.concrete import GumbelRao, GumbelSigmoid, GumbelStraightThrough
from minigrad.estimators.control_variates import Rebar
from minigrad.estimators.second_order import Darn


@pytest.mark.parametrize("temperature", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("logit", [-1.3, 0.0, 2.0])
def test_concrete_rules_against_quadrature(logit, temperature):
    """One unit with cost exp(b): their means are integrals over the uniform."""
    def cost(b):
        return mg.exp(b).sum(axis=-1)

    u, weight = np.array(cells(sigmoid(logit), nodes=80)).T
    b = (u < sigmoid(logit)).astype(float)
    y, slope = ramp(logit, u, temperature)
    mean, variance = integrated(GumbelSigmoid(temperature), [logit], cost, nodes=50)
    close(mean, weight @ (np.exp(y) * slope), rtol=1e-7)
    close(variance, weight @ (np.exp(y) * slope) ** 2 - mean**2, rtol=1e-6)
    above, below = (weight @ np.exp(ramp(logit + step, u, temperature)[0]) for step in (1e-5, -1e-5))
    close(mean, (above - below) / 2e-5, rtol=1e-6)          # exact for the relaxed model
    mean, variance = integrated(GumbelStraightThrough(temperature), [logit], cost, nodes=50)
    close(mean, weight @ (np.exp(b) * slope), rtol=1e-7)
    close(variance, weight @ (np.exp(b) * slope) ** 2 - mean**2, rtol=1e-6)
    # Gumbel-Rao draws the noise again, given b: the same mean, and the variance of its average.
    v, share = np.array(cells(nodes=80)).T
    for sample, probability in ((1, sigmoid(logit)), (0, 1 - sigmoid(logit))):
        row = np.array([[0.0 if sample else 1.0]]) + (1e-9 if sample else -1e-9)
        found = [estimates(GumbelRao(temperature, 1), [logit], cost, row, [x])[0, 0] for x in v]
        close(share @ found, weight @ (np.exp(b) * slope * (b == sample)) / probability, rtol=1e-6)
        close(share @ np.square(found), weight @ ((np.exp(b) * slope) ** 2 * (b == sample)) / probability, rtol=1e-6)


def rao(temperature, u, samples=20000):
    """Gumbel-Rao with evenly spaced noise instead of random draws."""
    v = ((np.arange(samples) + 0.5) / samples)[None, :, None]
    return estimates(GumbelRao(temperature, samples), LOGITS, coupled, u, [v])


def test_gumbel_rao_tends_to_darn_as_the_temperature_falls():
    u = grid([cells(x) for x in P])[0]
    darn = estimates(Darn(), LOGITS, coupled, u)
    apart = [rao(temperature, u) - darn for temperature in (0.08, 0.04, 0.02)]
    for more, less in pairwise(apart):                       # in proportion to the temperature
        assert 1.8 < np.abs(more).max() / np.abs(less).max() < 2.2
    close(2 * apart[2] - apart[1], 0, atol=1e-3)
    assert np.abs(estimates(GumbelStraightThrough(0.02), LOGITS, coupled, u) - darn).max() > 0.1     # not averaged


def test_gumbel_rao_averages_over_its_draws():
    u, v = np.full((1, 3), 0.3), np.array([0.2, 0.7])
    apart = [estimates(GumbelRao(0.5, 1), LOGITS, coupled, u, [x]) for x in v]
    close(estimates(GumbelRao(0.5, 2), LOGITS, coupled, u, [v[None, :, None]]), sum(apart) / 2, **EXACT)


@pytest.mark.parametrize("rule", [GumbelSigmoid, GumbelStraightThrough, GumbelRao, Rebar])
def test_temperatures_are_positive(rule):
    for bad in (0, -1.0, np.nan):
        with pytest.raises(ValueError, match="temperature > 0"):
            rule(bad)
