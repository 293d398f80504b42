"""Importance-weighted bounds: Vimco on every joint state, and by its definition."""

from itertools import product

import numpy as np
import pytest
from enumeration import EXACT, Chosen, close, sigmoid

import minigrad as mg
from minigrad import ops
from minigrad.estimators.score_function import Reinforce
from minigrad.estimators.stop import Stop
from minigrad.estimators.vimco import Vimco


def bound(a, rule, rng=None, weight=1.3):
    """Two examples with three samples each.  A second term of the loss uses single samples."""
    b = mg.bernoulli(a, rule, rng=rng)
    log_weights = (b * np.array([0.9, -1.4])).sum(axis=-1) + 0.5 * b[:, :, 0] * b[:, :, 1] * EXAMPLE
    return -weight * mg.expected(log_weights, over=1) + 0.5 * mg.expected((b.sum(axis=-1) - 0.3) ** 2)

EXAMPLE = np.array([[1.0], [-2.0]])


class BaselineOfAll(Vimco):
    """The mean that replaces a log-weight contains this log-weight."""

    def backward(self, node):
        (weight, log_weights), = node.inner
        replaced = np.where(np.eye(3, dtype=bool), log_weights.mean(axis=1)[:, None, None], log_weights[:, None, :])
        baseline = weight * ops.logmeanexp(replaced, axis=2).reshape(-1, 1)
        return (node.cost - baseline) * (node.value - node.probs)


@pytest.mark.parametrize(("rule", "biased"), [(Vimco(), False), (Reinforce(), False), (BaselineOfAll(), True)])
def test_vimco_on_every_joint_state(rule, biased):
    logits = np.random.default_rng(6).normal(size=(2, 3, 2))
    a, p = mg.tensor(logits, requires_grad=True), sigmoid(logits)
    exact = mg.testing.exact_gradient(lambda: bound(a, Stop()), a)
    mean = 0
    for bits in product([0, 1], repeat=6):
        b = np.broadcast_to(np.reshape(bits, (3, 2)), p.shape)
        share = np.where(b == 1, p, 1 - p).prod(axis=(1, 2), keepdims=True)
        a.grad = None
        bound(a, rule, Chosen(np.where(b == 1, p / 2, (1 + p) / 2))).backward()
        mean += share * a.grad
    assert np.allclose(mean, exact, **EXACT) is not biased


def test_vimco_by_definition():
    a = mg.tensor(np.random.default_rng(6).normal(size=(2, 3, 2)), requires_grad=True)
    b = mg.bernoulli(a, Vimco(), rng=mg.Generator(2))
    log_weights = (b @ np.array([0.9, -1.4])) * EXAMPLE
    mg.expected(log_weights, over=1).backward()
    ell, score = log_weights.data, b.data - sigmoid(a.data)
    for i, k in product(range(2), range(3)):
        other = np.delete(ell[i], k)
        baseline = np.log(np.mean([*np.exp(other), np.exp(other.mean())]))
        close(a.grad[i, k] * 2, (np.log(np.exp(ell[i]).mean()) - baseline) * score[i, k], **EXACT)


def masked(b, least):
    """Log-weights of (2, K) samples, of which all but the first are impossible where their first bit is 1."""
    possible = np.arange(b.shape[1]) == 0
    return mg.where(b[:, :, 0] <= possible.astype(b.dtype), (b * np.array([0.9, -1.4], b.dtype)).sum(axis=-1),
                    b.dtype.type(least))


@pytest.mark.parametrize("samples", [2, 3])
@pytest.mark.parametrize("least", [-1e3, -1e9, -np.inf])
def test_vimco_with_samples_of_no_weight_on_every_joint_state(samples, least):
    a = mg.tensor(np.random.default_rng(6).normal(size=(2, samples, 2)), requires_grad=True)
    p, mean = sigmoid(a.data), 0
    for bits in product([0, 1], repeat=2 * samples):
        b = np.broadcast_to(np.reshape(bits, (samples, 2)), p.shape)
        share = np.where(b == 1, p, 1 - p).prod(axis=(1, 2), keepdims=True)
        a.grad = None
        rng = Chosen(np.where(b == 1, p / 2, (1 + p) / 2))
        mg.expected(masked(mg.bernoulli(a, Vimco(), rng=rng), least), over=1).backward()
        mean += share * a.grad
    exact = mg.testing.exact_gradient(lambda: mg.expected(masked(mg.bernoulli(a, Stop()), least), over=1), a)
    close(mean, exact, rtol=1e-9, atol=1e-6 if least == -1e9 else 1e-12)     # 1e9 · (b − p), which cancel


@pytest.mark.parametrize("dtype", [np.float32, float])
@pytest.mark.parametrize("least", [-1e9, -np.inf])
def test_vimco_with_samples_of_no_weight_by_definition(dtype, least):
    a = mg.tensor(np.zeros((2, 3, 2)), requires_grad=True, dtype=dtype)
    bits = np.array([[[0, 1], [1, 0], [0, 0]], [[1, 1], [0, 1], [1, 1]]])
    b = mg.bernoulli(a, Vimco(), rng=Chosen(np.where(bits == 1, 0.25, 0.75)))
    log_weights = masked(b, least)
    mg.expected(log_weights, over=1).backward()
    ell = log_weights.numpy().astype(float)
    for i, k in product(range(2), range(3)):
        other = np.delete(ell[i], k)
        baseline = np.log(np.mean([*np.exp(other), np.exp(other.mean())]))
        close(a.grad[i, k] * 2, (np.log(np.exp(ell[i]).mean()) - baseline) * (bits[i, k] - 0.5), rtol=1e-5)


def test_the_bound_passes_its_weights_to_the_log_weights():
    ell = mg.tensor(np.random.default_rng(7).normal(size=(4, 3)), requires_grad=True)
    value = mg.expected(ell, over=1)
    value.backward()
    weights = np.exp(ell.data)
    close(value.data, np.log(weights.mean(axis=1)).mean())
    close(ell.grad, weights / weights.sum(axis=1, keepdims=True) / 4)
