"""Uniform random numbers and gates: arguments checked, then Philox in NumPy, compiled, or on the device.

Numba takes a while to load. So few numbers are drawn in NumPy, unless the compiled version is loaded already. All
three versions give the same bits.
"""

import sys

import numpy as np

from . import philox
from .backend import device_kernels, loaded
from .compiler import serving
from .device import work
from .device.arrays import check_device, on_device

# Loading Numba takes longer than drawing this many numbers with NumPy does.
_SMALL = 4096


def _use_numba(size):
    return (size >= _SMALL or f"{__package__}.cpu.philox" in sys.modules) and serving() == "numba"


def philox_uniforms(seed, stream, draw, sample_offset, shape, dtype=np.float64, device=False):
    """Uniform random numbers in the open interval (0, 1), a pure function of the arguments.

    Unit ``u`` of sample ``s`` is word ``u % 4`` of Philox4x32-10 at counter
    ``(u // 4, sample_offset + s, draw, stream)`` under the key ``seed``: every unit takes one word
    of 32 bits, whatever the dtype, the batch split or the number of threads.

    float64: (bits + 0.5) 2⁻³².  float32: (bits // 2⁹ + 0.5) 2⁻²³, since 24 bits and a half would
    round to 1.  Gates are compared with float64 numbers, whatever the dtype of their logits.

    Parameters
    ----------
    seed : int in [0, 2**64)
    stream, draw, sample_offset : int in [0, 2**32)
    shape : (samples, units)
    dtype : float32 or float64
    device : bool
        Whether to draw the numbers on the device, as an array there. The numbers are the same.

    Raises
    ------
    ValueError, TypeError
        An argument outside these ranges.

    Examples
    --------
    >>> from minigrad.kernels import philox_uniforms
    >>> whole = philox_uniforms(7, 0, 0, 0, (4, 3))
    >>> half = philox_uniforms(7, 0, 0, 2, (2, 3))
    >>> bool((whole[2:] == half).all())
    True
    """
    seed, stream, draw, sample_offset = _checked(seed=seed, stream=stream, draw=draw, sample_offset=sample_offset)
    samples, units = shape
    if samples < 0 or units < 0:
        raise ValueError(f"shape: expected (samples, units), both at least 0, got {shape}")
    _check_samples(sample_offset, samples)
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype: expected float32 or float64, got {np.dtype(dtype)}; draw one of these")
    if device:
        return device_kernels().uniforms(seed, stream, draw, sample_offset, shape, np.dtype(dtype))
    out = np.empty((samples, units), dtype)
    work.allocated(out.nbytes)
    if _use_numba(out.size):
        loaded("cpu.philox").uniforms(np.uint64(seed), stream, draw, sample_offset, out)
    else:
        philox.uniforms(seed, stream, draw, sample_offset, out)
    return out


def bernoulli_gates(logits, u):
    """Samples 1[u < sigmoid(logits)], 0 or 1 in the dtype of the logits.

    A word of 32 bits is below sigmoid(l) with a probability that is a multiple of 2⁻³².  So P(gate = 1)
    is sigmoid(l) to 1 % for every l >= -18, in both dtypes.  Below, it is the multiple of 2⁻³²
    nearest to sigmoid(l), and 0 for l < -22.9.  P(gate = 0) is likewise sigmoid(-l).

    sigmoid(l) is 1 / (1 + e) for l >= 0 and e / (1 + e) below, with e = exp(-|l|), so that nothing
    overflows; multiplied out, the test is ``u (1 + e) < 1`` or ``u (1 + e) < e``. It is evaluated
    in float64 for both dtypes, with an exponential made of additions and multiplications only, in a
    fixed order, every product rounded before it is added to: NumPy and Numba give the same bits on every
    processor and every device.

    Parameters
    ----------
    logits : array, float32 or float64
    u : array of the same shape, float64; from `philox_uniforms`

    Raises
    ------
    ValueError
        Shapes differ, or a logit is not finite. Logits on a device are looked at there: the next transfer to
        the host raises if one of them is not finite.
    TypeError
        Logits of another dtype, or u that is not float64: float32 has 23 bits, too few for the tails.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad.kernels import bernoulli_gates
    >>> bernoulli_gates(np.array([-80., 0., 0., 80.]), np.array([.01, .4, .6, .99]))
    array([0., 1., 0., 1.])
    """
    check_device("u", u, logits)
    if logits.dtype not in (np.float32, np.float64):
        raise TypeError(f"logits: expected dtype float32 or float64, got {logits.dtype}; use logits.astype(...)")
    if u.dtype != np.float64:
        raise TypeError(f"u: expected float64, whatever the dtype of the logits, got {u.dtype}; draw it in float64, "
                        "since float32 has too few bits for probabilities near 0 and 1")
    if logits.shape != u.shape:
        raise ValueError(
            f"u: expected the shape of the logits {logits.shape}, got {u.shape}; draw one number per logit"
        )
    if on_device(logits):
        return device_kernels().bernoulli_gates(logits, u)
    if not np.isfinite(logits).all():
        raise ValueError("logits: expected finite values, got NaN or infinity; look for an overflow above")
    out = np.empty(logits.shape, logits.dtype)
    work.allocated(out.nbytes)
    if _use_numba(out.size):
        flat = (np.require(array, requirements="CA").reshape(-1) for array in (logits, u))
        loaded("cpu.philox").bernoulli_gates(*flat, out.reshape(-1))
    else:
        philox.bernoulli_gates(logits, u, out)
    return out


def _checked(**counter):
    """The seed, of 64 bits, and the words of the counter, of 32, as ints."""
    for name, value in counter.items():
        bits = 64 if name == "seed" else 32
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"{name}: expected an int, got {type(value).__name__}; convert it with int()")
        if not 0 <= value < 2**bits:
            raise ValueError(f"{name}: expected 0 <= {name} < 2**{bits}, got {value}; choose a smaller one")
    return map(int, counter.values())


def _check_samples(sample_offset, samples):
    if sample_offset + samples > 2**32:
        raise ValueError(
            f"sample_offset: expected samples up to 2**32, got {sample_offset} + {samples}; "
            "use another stream"
        )
