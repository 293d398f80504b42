"""The stochastic units of Bengio, Léonard & Courville (2013) as functions of the pre-activation.

    unit                      output h                      backward to a
    noisy_rectifier           max(0, a + z)                 1[a + z > 0] · dL/dh
    noisy_sigmoid             σ(a + z)                      σ'(a + z) · dL/dh
    stochastic_times_smooth   b √p, b ~ Bernoulli(√p)       b · d√p/da · dL/dh
    stochastic_binary         1[u < p]                      (h − p)(L − L̄)
    straight_through          1[u < p]                      dL/dh, or p(1 − p) · dL/dh
    multiplicative_noise      any h, times noise            noise · dL/dh

p is σ(a) everywhere.  Noise z is drawn once, when the unit is computed, from ``rng`` or the default generator.  A
replay of the graph sees the same noise.  The functions have no training mode.  Each docstring says what the paper
uses instead at test time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minigrad import ops, random
from minigrad.arguments import described, is_real
from minigrad.estimators import Reinforce, Stop, StraightThrough, StraightThroughSlope
from minigrad.kernels.device.arrays import is_array
from minigrad.stochastic import bernoulli
from minigrad.tensor import Tensor, tensor

if TYPE_CHECKING:
    from minigrad.aliases import TensorLike
    from minigrad.random import Generator
    from minigrad.rule import Estimator

__all__ = [
    "multiplicative_noise", "noisy_rectifier", "noisy_sigmoid", "stochastic_binary",
    "stochastic_times_smooth", "straight_through",
]


def noisy_rectifier(a: TensorLike, noise: str = "gaussian", scale: float = 1.0, *,
                    rng: Generator | None = None) -> Tensor:
    """h = max(0, a + z), with noise z of scale s (§2.1).

    Zeros are exact, so the layer below can skip these units.  The gradient is that of the rectifier.

        logistic    P(h > 0) = σ(a/s)    E[h] = s log(1 + exp(a/s))
        gaussian    P(h > 0) = Φ(a/s)    E[h] = a Φ(a/s) + s φ(a/s)

    The mean of dh/da is P(h > 0), which is exactly the derivative of E[h].  The paper derives the
    logistic case and trains with the Gaussian one.  At test time: ``relu(a)``, without noise.

    Parameters
    ----------
    a : Tensor, the pre-activation, floating.  Its last axis is the units of one sample.
    noise : "gaussian" or "logistic".
    scale : s, at least 0: the standard deviation of Gaussian noise.  That of logistic noise is 1.81 s.
    rng : Generator; by default the one that ``mg.manual_seed`` restarts.

    Raises
    ------
    TypeError
        ``a`` is not floating.
    ValueError
        Another ``noise``, or a scale below 0.

    >>> import minigrad as mg
    >>> a = mg.tensor([[-100.0, 100.0]])
    >>> mg.neurons.noisy_rectifier(a, scale=0.01, rng=mg.Generator(1)).numpy().round(-1)
    array([[  0., 100.]])
    """
    if noise not in ("gaussian", "logistic"):
        raise ValueError(f"noisy_rectifier: expected noise 'gaussian' or 'logistic', got {noise!r}")
    a, rng = floats("noisy_rectifier", a), generator("noisy_rectifier", rng)
    draw = rng.normal if noise == "gaussian" else rng.logistic
    z = draw(a.shape, a.dtype, **rng.elsewhere(a.device))
    return ops.relu(a + non_negative(scale, "noisy_rectifier") * z)


def noisy_sigmoid(a: TensorLike, scale: float = 1.0, *, rng: Generator | None = None) -> Tensor:
    """h = σ(a + z), with Gaussian noise z of standard deviation ``scale`` before the non-linearity.

    Noise changes h little where |a| is large.  So units learn large |a|, and h is close to 0 or 1 (§4, the smooth
    baseline of the paper).  P(h > ½) = Φ(a / scale).  At test time: ``sigmoid(a)``.

    Parameters and errors are those of ``noisy_rectifier``.

    >>> import minigrad as mg
    >>> mg.neurons.noisy_sigmoid(mg.tensor([[-100.0, 100.0]]), rng=mg.Generator(1)).numpy().round(4)
    array([[0., 1.]])
    """
    a, rng = floats("noisy_sigmoid", a), generator("noisy_sigmoid", rng)
    z = rng.normal(a.shape, a.dtype, **rng.elsewhere(a.device))
    return ops.sigmoid(a + non_negative(scale, "noisy_sigmoid") * z)


def stochastic_times_smooth(a: TensorLike, *, rng: Generator | None = None) -> Tensor:
    """h = b √p with b ~ Bernoulli(√p): a smooth unit that is exactly 0 where b is 0 (Eq 2).

    E[h] = p and P(h > 0) = √p.  For smooth f, E f(h) = f(p) + ½ p^{3/2} f''(0) + O(p²) as p → 0.  Backward treats
    b as a constant.  For a linear f this gives, in the mean, half of the true gradient; the other half comes from
    the change of P(b = 1).  Units with b = 0 need no gradient.
    At test time, for gates that open above a threshold θ: ``where(root > θ, root, 0)`` with root = √p.

    Parameters and errors are those of ``noisy_rectifier``.

    >>> import minigrad as mg
    >>> a = mg.tensor([[-80.0, 0.0, 80.0]])
    >>> mg.neurons.stochastic_times_smooth(a, rng=mg.Generator(2)).numpy().round(4)
    array([[0.    , 0.7071, 1.    ]])
    """
    a = floats("stochastic_times_smooth", a)
    # 1 − √p = (1 − p) / (1 + √p).  In logarithms this is accurate for very small and very large a.
    log_root = ops.log_sigmoid(a) / 2
    root = ops.exp(log_root)
    logit_of_root = log_root - ops.log_sigmoid(-a) + ops.log1p(root)
    b = bernoulli(logit_of_root, Stop(), rng=rng, name="stochastic_times_smooth")
    h: Any = ops.mask(root, b)
    return h


def stochastic_binary(a: TensorLike, estimator: Estimator | None = None, *, rng: Generator | None = None) -> Tensor:
    """h = 1[u < p], u uniform: the stochastic binary neuron.

    It is trained by its correlation with the cost, (h − p)(L − L̄) (Theorem 1, and Eq 3, whose inequality is
    printed in the wrong direction).  E[h] = P(h > 0) = p.  At test time: 1[p > θ]; the paper chooses θ so that 10%
    of the gates open.

    Parameters
    ----------
    a : Tensor, the pre-activation, floating.  Its last axis is the units of one sample.
    estimator : the rule; by default ``Reinforce`` without a baseline.  One with a moving baseline has a
        memory.  Make such a rule once, together with the parameters, and pass it at every step.
    rng : Generator; by default the one that ``mg.manual_seed`` restarts.

    >>> import minigrad as mg
    >>> mg.neurons.stochastic_binary(mg.tensor([[-100.0, 100.0]]), rng=mg.Generator(1)).numpy()
    array([[0., 1.]])
    """
    return bernoulli(a, estimator or Reinforce(), rng=rng, name="stochastic_binary")


def straight_through(a: TensorLike, slope: bool = False, *, rng: Generator | None = None) -> Tensor:
    """h = 1[u < p], u uniform.  The gradient of the cost by a is taken to be the gradient by h (Eq 13).

    E[h] = P(h > 0) = p.  At test time: 1[p > θ], as for ``stochastic_binary``.

    Parameters
    ----------
    a : Tensor, the pre-activation, floating.  Its last axis is the units of one sample.
    slope : whether the gradient is multiplied by p(1 − p), the derivative of the mean.
    rng : Generator; by default the one that ``mg.manual_seed`` restarts.

    >>> import minigrad as mg
    >>> mg.neurons.straight_through(mg.tensor([[-100.0, 100.0]]), rng=mg.Generator(1)).numpy()
    array([[0., 1.]])
    """
    rule = StraightThroughSlope() if slope else StraightThrough()
    return bernoulli(a, rule, rng=rng, name="straight_through")


def multiplicative_noise(h: TensorLike, rate: float = 0.5, noise: str = "bernoulli", *,
                         rng: Generator | None = None) -> Tensor:
    """h · m with noise m of mean 1 and variance rate / (1 − rate), after the non-linearity (§1).

        bernoulli    m = 1[u < 1 − rate] / (1 − rate): dropout
        gaussian     m = 1 + √(rate / (1 − rate)) z

    E[h m] = h, so at test time h is used as it is.  The noise has no parameters, and the gradient is the ordinary
    one.

    Parameters
    ----------
    h : Tensor, floating.  Its last axis is the units of one sample.
    rate : the probability with which dropout sets a unit to 0, in [0, 1).
    noise : "bernoulli" or "gaussian".
    rng : Generator; by default the one that ``mg.manual_seed`` restarts.

    Raises
    ------
    TypeError
        ``h`` is not floating.
    ValueError
        Another ``noise``, or a rate outside [0, 1).

    >>> import minigrad as mg
    >>> mg.neurons.multiplicative_noise(mg.tensor([1.0, 2.0, 3.0]), rng=mg.Generator(2))
    tensor([2., 4., 0.], dtype=float64)
    """
    if not is_real(rate) or not 0 <= rate < 1:
        raise ValueError(f"multiplicative_noise: expected a rate in [0, 1), got {described(rate)}")
    if noise not in ("bernoulli", "gaussian"):
        raise ValueError(f"multiplicative_noise: expected noise 'bernoulli' or 'gaussian', got {noise!r}")
    h, rng = floats("multiplicative_noise", h), generator("multiplicative_noise", rng)
    place, rate = rng.elsewhere(h.device), float(rate)
    if noise == "gaussian":
        m = 1 + (rate / (1 - rate)) ** 0.5 * rng.normal(h.shape, h.dtype, **place)
    else:
        m = (rng.uniform(h.shape, h.dtype, **place) < 1 - rate).astype(h.dtype) / (1 - rate)
    return h * m


def non_negative(scale: float, name: str) -> float:
    """``scale``, if it is a number of at least 0."""
    if not is_real(scale) or not scale >= 0:
        raise ValueError(f"{name}: expected a scale of 0 or more, got {described(scale)}")
    return float(scale)


def floats(name: str, x: Any) -> Tensor:
    """x, if it is a Tensor or array of floats; lists and numbers as a Tensor."""
    x = x if isinstance(x, Tensor) or is_array(x) else tensor(x)
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: expected floats, got dtype {x.dtype}. Use .astype(float)")
    return x


def generator(name: str, rng: Generator | None) -> Generator:
    """``rng``, or the default generator if it is None."""
    return random.current() if rng is None else random.checked(name, rng)
