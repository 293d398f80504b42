"""The stochastic units of Bengio, Léonard & Courville (2013) as functions of the pre-activation.

    unit                      output h                      backward to a
    noisy_rectifier           max(0, a + z)                 1[a + z > 0] · dL/dh
    noisy_sigmoid             σ(a + z)                      σ'(a + z) · dL/dh
    stochastic_times_smooth   b √p, b ~ Bernoulli(√p)       b · d√p/da · dL/dh
    stochastic_binary         1[u < p]                      (h − p)(L − L̄)
    straight_through          1[u < p]                      dL/dh, or p(1 − p) · dL/dh
    multiplicative_noise      any h, times noise            noise · dL/dh

p = σ(a) throughout.  Noise z is drawn once when the unit is computed, from ``rng`` or the default
generator, and a replay of the graph sees the same.  None of the functions knows of training and
testing: each says what the paper puts in its place at test time.
"""

from minigrad import ops, random
from minigrad.arguments import described, is_real
from minigrad.estimators import Reinforce, Stop, StraightThrough, StraightThroughSlope
from minigrad.kernels.device.arrays import is_array
from minigrad.stochastic import bernoulli
from minigrad.tensor import Tensor, tensor

__all__ = [
    "multiplicative_noise", "noisy_rectifier", "noisy_sigmoid", "stochastic_binary",
    "stochastic_times_smooth", "straight_through",
]


def noisy_rectifier(a, noise="gaussian", scale=1.0, *, rng=None):
    """h = max(0, a + z), with noise z of the given scale s (§2.1).

    Zeros are exact, so units below can skip them; the gradient is that of the rectifier.

        logistic    P(h > 0) = σ(a/s)    E[h] = s log(1 + exp(a/s))
        gaussian    P(h > 0) = Φ(a/s)    E[h] = a Φ(a/s) + s φ(a/s)

    The mean of dh/da is P(h > 0), which is exactly the derivative of E[h].  The paper derives the
    logistic case and trains with the Gaussian one.  At test time: ``relu(a)``, the noise left out.

    Parameters
    ----------
    a : Tensor, the pre-activation; its last axis is the units of one sample.
    noise : "gaussian" or "logistic".
    scale : s, the standard deviation of Gaussian noise; logistic noise has one of 1.81 s.

    >>> import minigrad as mg
    >>> a = mg.tensor([[-100.0, 100.0]])
    >>> mg.neurons.noisy_rectifier(a, scale=0.01, rng=mg.Generator(1)).numpy().round(-1)
    array([[  0., 100.]])
    """
    if noise not in ("gaussian", "logistic"):
        raise ValueError(f"noisy_rectifier: expected noise 'gaussian' or 'logistic', got {noise!r}")
    a, rng = floats("noisy_rectifier", a), given("noisy_rectifier", rng)
    draw = rng.normal if noise == "gaussian" else rng.logistic
    z = draw(a.shape, a.dtype, **rng.elsewhere(a.device))
    return ops.relu(a + non_negative(scale, "noisy_rectifier") * z)


def noisy_sigmoid(a, scale=1.0, *, rng=None):
    """h = σ(a + z), with Gaussian noise z of standard deviation ``scale`` before the non-linearity.

    Noise drives the unit into saturation, so that it learns to send bits that survive it (§4, the
    paper's smooth baseline).  P(h > ½) = Φ(a / scale).  At test time: ``sigmoid(a)``.
    """
    a, rng = floats("noisy_sigmoid", a), given("noisy_sigmoid", rng)
    z = rng.normal(a.shape, a.dtype, **rng.elsewhere(a.device))
    return ops.sigmoid(a + non_negative(scale, "noisy_sigmoid") * z)


def stochastic_times_smooth(a, *, rng=None):
    """h = b √p with b ~ Bernoulli(√p): a smooth unit that is exactly 0 most of the time (Eq 2).

    E[h] = p and P(h > 0) = √p; E f(h) = f(p) + o(√p) as p → 0 for smooth f, the remainder being
    ½ p^{3/2} f''(0) + O(p²).  Backward holds b constant, which for a linear f gives half of the true
    gradient on average: the other half is how often b fires.  Closed units need no gradient.
    At test time, for gates that open above a threshold θ: ``where(root > θ, root, 0)`` of root = √p.

    >>> import minigrad as mg
    >>> a = mg.tensor([[-80.0, 0.0, 80.0]])
    >>> mg.neurons.stochastic_times_smooth(a, rng=mg.Generator(2)).numpy().round(4)
    array([[0.    , 0.7071, 1.    ]])
    """
    a = floats("stochastic_times_smooth", a)
    # 1 − √p = (1 − p) / (1 + √p), and everything in logarithms: exact far out in both tails.
    log_root = ops.log_sigmoid(a) / 2
    root = ops.exp(log_root)
    logit_of_root = log_root - ops.log_sigmoid(-a) + ops.log1p(root)
    b = bernoulli(logit_of_root, Stop(), rng=rng, name="stochastic_times_smooth")
    return ops.mask(root, b)


def stochastic_binary(a, estimator=None, *, rng=None):
    """h = 1[u < p], u uniform: the stochastic binary neuron, trained by its correlation with the
    cost, (h − p)(L − L̄) (Eq 3, whose inequality is printed the wrong way round; Theorem 1).

    E[h] = P(h > 0) = p.  At test time: 1[p > θ], where the paper sets θ for 10% of the gates to open.

    Parameters
    ----------
    estimator : a ``Reinforce``; by default one without baseline.  One with a moving baseline has a
        memory: make it once, beside the parameters, and pass it at every step.
    """
    return bernoulli(a, estimator or Reinforce(), rng=rng, name="stochastic_binary")


def straight_through(a, slope=False, *, rng=None):
    """h = 1[u < p], u uniform, with the gradient passed straight through (Eq 13).

    E[h] = P(h > 0) = p.  At test time: 1[p > θ], as for ``stochastic_binary``.

    Parameters
    ----------
    slope : whether the gradient is multiplied by p(1 − p), the derivative of the mean.
    """
    rule = StraightThroughSlope() if slope else StraightThrough()
    return bernoulli(a, rule, rng=rng, name="straight_through")


def multiplicative_noise(h, rate=0.5, noise="bernoulli", *, rng=None):
    """h · m with noise m of mean 1 and variance rate / (1 − rate), after the non-linearity (§1).

        bernoulli    m = 1[u < 1 − rate] / (1 − rate): dropout
        gaussian     m = 1 + √(rate / (1 − rate)) z

    E[h m] = h, so nothing takes its place at test time.  The noise has no parameters to learn, and
    the gradient is the ordinary one.

    Parameters
    ----------
    h : Tensor; its last axis is the units of one sample.
    rate : share of the units that dropout sets to 0, in [0, 1).
    noise : "bernoulli" or "gaussian".

    >>> import minigrad as mg
    >>> mg.neurons.multiplicative_noise(mg.tensor([1.0, 2.0, 3.0]), rng=mg.Generator(2))
    tensor([2., 4., 0.], dtype=float64)
    """
    if not is_real(rate) or not 0 <= rate < 1:
        raise ValueError(f"multiplicative_noise: expected a rate in [0, 1), got {described(rate)}")
    if noise not in ("bernoulli", "gaussian"):
        raise ValueError(f"multiplicative_noise: expected noise 'bernoulli' or 'gaussian', got {noise!r}")
    h, rng = floats("multiplicative_noise", h), given("multiplicative_noise", rng)
    place, rate = rng.elsewhere(h.device), float(rate)
    if noise == "gaussian":
        m = 1 + (rate / (1 - rate)) ** 0.5 * rng.normal(h.shape, h.dtype, **place)
    else:
        m = (rng.uniform(h.shape, h.dtype, **place) < 1 - rate).astype(h.dtype) / (1 - rate)
    return h * m


def non_negative(scale, name):
    if not is_real(scale) or not scale >= 0:
        raise ValueError(f"{name}: expected a scale of 0 or more, got {described(scale)}")
    return float(scale)


def floats(name, x):
    """x itself, a Tensor or array of floats; numbers as a Tensor."""
    x = x if isinstance(x, Tensor) or is_array(x) else tensor(x)
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: expected floats, got dtype {x.dtype}. Use .astype(float)")
    return x


def given(name, rng):
    return random.current() if rng is None else random.checked(name, rng)
