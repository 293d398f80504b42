"""Probabilities near 0 and 1, in both dtypes: samples, and the estimates of rules."""

import warnings

import numpy as np
import pytest
import tails
from enumeration import Chosen

import minigrad as mg
from minigrad import ops
from minigrad.kernels import bernoulli_gates, philox
from minigrad.kernels.cpu import philox as philox_cpu

DTYPES = [np.float32, np.float64]
RULES = [getattr(mg.estimators, name) for name in mg.estimators.__all__]

# Draws with an extreme word, which 2**27 words were searched for: (draw, sample, unit) of the generator of seed 0.
WORD_43, WORD_33_FROM_TOP = (457, 664, 205), (912, 182, 202)


@pytest.mark.parametrize("dtype", DTYPES)
def test_words_that_open_gates_in_numpy(dtype):
    logits, u = tails.LOGITS.astype(dtype), []

    def gates_at(words):
        u[:] = [(words + 0.5) * 2.0**-32]           # as ``philox.uniforms`` does
        gates = np.empty_like(logits)
        philox.bernoulli_gates(logits, u[0], gates)
        return gates

    tails.check(gates_at)


@pytest.mark.parametrize("dtype", DTYPES)
def test_words_that_open_compiled_gates(dtype):
    logits = tails.LOGITS.astype(dtype)
    tails.check(lambda words: bernoulli_gates(
        logits, np.array([philox_cpu.unit_interval(word, True) for word in words])))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("place", "logits", "samples"), [
    (WORD_43, [-18.6, -18.0], [0, 1]), (WORD_33_FROM_TOP, [18.0, 19.0], [0, 1]),
])
def test_a_node_sees_the_whole_word(dtype, place, logits, samples):
    draw, sample, unit = place
    for logit, expected in zip(logits, samples, strict=True):
        for rows in (1, 5):                         # with NumPy, or more rows and Numba
            rng = mg.Generator(0, sample_offset=sample)
            rng.draws = draw
            b = mg.bernoulli(np.full((rows, unit + 1), logit, dtype), mg.estimators.Stop(), rng=rng)
            assert b.dtype == dtype
            assert b.data[0, unit] == expected


def cost(b):
    return mg.exp((b * np.array([1.0, 0.5], b.dtype)).sum(axis=1))


@pytest.mark.parametrize("logits", [[[-15.0, 17.0]], [[18.0, -18.0]]], ids=str)
@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.unbiased], ids=lambda rule: rule.__name__)
def test_means_in_single_precision(rule, logits):
    """At every outcome of the noise, where it is finite: no digit of the small gradients is lost."""
    leaf = mg.tensor(logits, requires_grad=True, dtype=np.float32)
    report = mg.testing.check_estimator(lambda rng: mg.expected(cost(mg.bernoulli(leaf, rule(), rng=rng))), leaf,
                                        samples=200)
    if not report.exact:
        pytest.skip("its noise is continuous: see the test of estimates")
    np.testing.assert_allclose(report.mean, report.gradient, rtol=1e-5)


class Given(Chosen):
    """A node's uniforms, and even ones for its rule."""

    def fork(self, *path):
        return mg.Generator(3)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_estimates_in_single_precision_are_those_in_double(rule):
    """Row by row, over noise that includes its ends, for units that are nearly always 0 or 1."""
    ends = (np.array([0, 1, 20, 60, 200, 1000, 2**16, 2**24, 2**30, 2**31]) + 0.5) * 2.0**-32
    u = np.concatenate([ends, 1 - ends])
    u = np.stack([np.repeat(u, len(u)), np.tile(u, len(u))], axis=1)
    found = {}
    for dtype in DTYPES:
        for logits in ([-15.0, 16.0], [18.0, -18.0]):
            a = mg.tensor(np.broadcast_to(logits, u.shape), requires_grad=True, dtype=dtype)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                mg.expected(cost(mg.bernoulli(a, rule(), rng=Given(u)))).backward()
            assert a.grad.dtype == dtype
            found.setdefault(dtype, []).append(a.grad.astype(float) * len(u))
    p = ops.sigmoid(np.array([[-15.0, 16.0], [18.0, -18.0]]))[:, None]
    score = np.abs((u < p) - p)
    difference = np.abs(np.array(found[np.float32]) - found[np.float64])
    assert (difference <= 2e-4 * np.abs(found[np.float64]) + 5e-6 * score).all()
