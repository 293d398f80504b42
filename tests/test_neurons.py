"""The paper's units: values, gradients, noise, and very large and very small arguments.

test_paper.py proves the formulas for their means.
"""

import numpy as np
import pytest
from enumeration import Chosen, cells, grid, sigmoid
from scipy import stats

import minigrad as mg
from minigrad import neurons

close = np.testing.assert_allclose

UNITS = [
    neurons.noisy_rectifier, neurons.noisy_sigmoid, neurons.stochastic_binary, neurons.stochastic_times_smooth,
    neurons.straight_through, neurons.multiplicative_noise,
]


def unit_and_gradient(unit, a, u, dtype=float, **options):
    """h and dh/da, of the unit computed with uniforms u."""
    a = mg.tensor(np.asarray(a, dtype), requires_grad=True)
    h = unit(a, rng=Chosen(np.asarray(u)), **options)
    mg.expected(h.sum(axis=1)).backward()
    return h.data, a.grad * len(a.data)


def test_noisy_rectifier_is_the_rectifier_of_the_noisy_pre_activation():
    a, u = np.array([[-1.0, 0.2, 3.0]]), np.array([[0.9, 0.3, 0.6]])
    for noise, law in (("gaussian", stats.norm), ("logistic", stats.logistic)):
        h, slope = unit_and_gradient(neurons.noisy_rectifier, a, u, noise=noise, scale=0.7)
        close(h, np.maximum(0, a + 0.7 * law.ppf(u)), rtol=1e-12)
        np.testing.assert_array_equal(slope, h > 0)


def test_noisy_sigmoid_has_its_noise_before_the_non_linearity():
    a, u = np.array([[-1.0, 0.2, 3.0]]), np.array([[0.9, 0.3, 0.6]])
    h, slope = unit_and_gradient(neurons.noisy_sigmoid, a, u, scale=0.7)
    close(h, sigmoid(a + 0.7 * stats.norm.ppf(u)), rtol=1e-12)
    close(slope, h * (1 - h), rtol=1e-12)
    close(unit_and_gradient(neurons.noisy_sigmoid, a, u, scale=0)[0], sigmoid(a))


@pytest.mark.parametrize("p", [0.2, 0.9])
def test_stochastic_times_smooth_differentiates_the_root_and_holds_the_bit(p):
    a, root = np.log(p / (1 - p)), np.sqrt(p)
    h, slope = unit_and_gradient(neurons.stochastic_times_smooth, [[a, a]], [[root - 1e-6, root + 1e-6]])
    close(h, [[root, 0]], rtol=1e-12)
    close(slope, [[root * (1 - p) / 2, 0]], rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_stochastic_times_smooth_far_out(dtype):
    """The probability of the bit's logit is √p to rounding, where p itself rounds to 0 or 1."""
    far = np.array([[-1000, -200, -80, -30, -1, 0, 1, 30, 80, 200, 1000]], dtype)
    a = mg.tensor(far, requires_grad=True)
    h = neurons.stochastic_times_smooth(a, rng=mg.Generator(1))
    node = h.parents[1][1]
    logit = node.parents[0][1].data
    assert h.dtype == logit.dtype == dtype
    x = far.astype(float)
    log_root = -np.logaddexp(0, -x) / 2
    log_rest = -np.logaddexp(0, x) - np.log1p(np.exp(log_root))
    close(logit, log_root - log_rest, rtol=8 * np.finfo(dtype).eps)
    mg.expected(h.sum(axis=1)).backward()
    assert np.isfinite(h.data).all()
    assert np.isfinite(a.grad).all()
    exact = mg.testing.exact_gradient(
        lambda: mg.expected(neurons.stochastic_times_smooth(a).sum(axis=1)), a)
    close(exact, np.exp(-np.logaddexp(0, -x) - np.logaddexp(0, x)),
          rtol=1e-5, atol=1e-12 if dtype is np.float32 else 1e-30)


def test_stochastic_times_smooth_asks_for_no_gradient_at_closed_gates():
    """A gated layer below it does as little work as for units that have no gradient at their zeros."""
    rng = np.random.default_rng(0)
    x, weight = mg.tensor(rng.normal(size=(4, 3))), mg.tensor(rng.normal(size=(6, 3)), requires_grad=True)
    a = mg.tensor(rng.normal(size=(4, 6)), requires_grad=True)
    gates = neurons.stochastic_times_smooth(a, rng=mg.Generator(2))
    mg.expected(mg.to_dense(mg.gated_linear(x, weight, None, gates, block=1)).sum(axis=1)).backward()
    got = a.grad.copy()
    gates.grad = a.grad = None
    dense = gates * (x @ weight.T)
    mg.expected(dense.sum(axis=1)).backward()
    close(got, a.grad, rtol=1e-12)
    assert not got[gates.data == 0].any()


def test_binary_units_are_bits_with_the_rule_of_their_name():
    a, u = [[-1.0, 0.5, 2.0]], [[0.2, 0.7, 0.3]]
    p, bits = sigmoid(a), np.array([[1.0, 0.0, 1.0]])
    cost = bits.sum()
    for unit, options, gradient in (
        (neurons.stochastic_binary, {}, (bits - p) * cost),
        (neurons.stochastic_binary, {"estimator": mg.estimators.Reinforce(0.5)}, (bits - p) * (cost - 0.5)),
        (neurons.straight_through, {}, np.ones((1, 3))),
        (neurons.straight_through, {"slope": True}, p * (1 - p)),
    ):
        h, slope = unit_and_gradient(unit, a, u, **options)
        np.testing.assert_array_equal(h, bits)
        close(slope, gradient, rtol=1e-12)


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.75])
@pytest.mark.parametrize("noise", ["bernoulli", "gaussian"])
def test_multiplicative_noise_has_mean_1_and_the_variance_of_dropout(noise, rate):
    if noise == "bernoulli":
        u, probability = grid([cells(1 - rate)])
    else:
        z, weight = np.polynomial.hermite_e.hermegauss(20)
        u, probability = stats.norm.cdf(z)[:, None], weight / weight.sum()
    m, slope = unit_and_gradient(neurons.multiplicative_noise, np.ones(u.shape), u, rate=rate, noise=noise)
    close(slope, m, rtol=1e-14)
    close(probability @ m, 1, rtol=1e-12)
    close(probability @ (m - 1) ** 2, rate / (1 - rate), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("unit", UNITS)
def test_units_keep_the_dtype_draw_from_the_default_generator_and_survive_both_ends(unit):
    assert {u.__name__ for u in UNITS} == set(neurons.__all__)
    for dtype in (np.float32, np.float64):
        found = []
        for _ in range(2):
            mg.manual_seed(11)
            a = mg.tensor(np.array([[-80, -1, 0, 1, 80]], dtype), requires_grad=True)
            h = unit(a)
            mg.expected(h.sum(axis=1)).backward()
            assert h.dtype == a.grad.dtype == dtype
            assert np.isfinite(h.data).all()
            assert np.isfinite(a.grad).all()
            found.append(h.data)
        np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(("call", "message"), [
    (lambda a: neurons.noisy_rectifier(a, "uniform"), "expected noise 'gaussian' or 'logistic', got 'uniform'"),
    (lambda a: neurons.noisy_rectifier(a, scale=-1.0), "scale of 0 or more, got -1.0"),
    (lambda a: neurons.noisy_sigmoid(a, scale=np.nan), "scale of 0 or more, got nan"),
    (lambda a: neurons.multiplicative_noise(a, 1.0), r"rate in \[0, 1\), got 1.0"),
    (lambda a: neurons.multiplicative_noise(a, noise="uniform"), "'bernoulli' or 'gaussian', got 'uniform'"),
])
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(mg.tensor([[0.0]]))
