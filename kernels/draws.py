"""Drawing uniforms and gates: arguments checked, then Philox compiled, or in NumPy where that is faster."""

import sys

import numpy as np

from . import work
from .philox import gates_numpy, uniforms_numpy

# Loading Numba takes longer than drawing this many numbers with NumPy does.
_SMALL = 4096


def _use_numba(size):
    return size >= _SMALL or f"{__package__}.philox_cpu" in sys.modules


def philox_uniforms(seed, stream, draw, sample_offset, shape, dtype=np.float64):
    """Uniform random numbers in the open interval (0, 1), a pure function of the arguments.

    Unit ``u`` of sample ``s`` is word ``u % 4`` of Philox4x32-10 at counter
    ``(u // 4, sample_offset + s, draw, stream)`` under the key ``seed``: every unit takes one word
    of 32 bits, whatever the dtype, the batch split or the number of threads.

    float64: (bits + 0.5) 2⁻³².  float32: (bits // 2⁹ + 0.5) 2⁻²³, since 24 bits and a half would
    round to 1.

    Parameters
    ----------
    seed : int in [0, 2**64)
    stream, draw, sample_offset : int in [0, 2**32)
    shape : (samples, units)
    dtype : float32 or float64

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
    for name, value, bits in (
        ("seed", seed, 64), ("stream", stream, 32), ("draw", draw, 32), ("sample_offset", sample_offset, 32)
    ):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"{name}: expected an int, got {type(value).__name__}; convert it with int()")
        if not 0 <= value < 2**bits:
            raise ValueError(f"{name}: expected 0 <= {name} < 2**{bits}, got {value}; choose a smaller one")
    samples, units = shape
    if samples < 0 or units < 0:
        raise ValueError(f"shape: expected (samples, units), both at least 0, got {shape}")
    if sample_offset + samples > 2**32:
        raise ValueError(
            f"sample_offset: expected samples up to 2**32, got {sample_offset} + {samples}; "
            "use another stream"
        )
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype: expected float32 or float64, got {np.dtype(dtype)}; draw one of these")
    out = np.empty((samples, units), dtype)
    work.allocated(out.nbytes)
    if _use_numba(out.size):
        from .philox_cpu import uniforms

        uniforms(np.uint64(seed), stream, draw, sample_offset, out)
    else:
        uniforms_numpy(int(seed), stream, draw, sample_offset, out)
    return out


def bernoulli_gates(logits, u):
    """Samples 1[u < sigmoid(logits)], 0 or 1 in the dtype of the logits.

    sigmoid(l) is 1 / (1 + e) for l >= 0 and e / (1 + e) below, with e = exp(-|l|), so that nothing
    overflows; multiplied out, the test is ``u (1 + e) < 1`` or ``u (1 + e) < e``. It is evaluated
    in float64 for both dtypes, with an exponential made of additions and multiplications only, in a
    fixed order: NumPy and Numba give the same bits on every processor, and a device that fuses
    multiply-adds can differ only where u and the sigmoid agree to about 15 digits, which for
    32-bit draws happens to less than one in 10**14 of them.

    Parameters
    ----------
    logits, u : arrays of one shape and dtype, float32 or float64; u from `philox_uniforms`

    Raises
    ------
    ValueError
        Shapes differ, or a logit is not finite.
    TypeError
        Dtypes differ or are not floating.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad.kernels import bernoulli_gates
    >>> bernoulli_gates(np.array([-80., 0., 0., 80.]), np.array([.01, .4, .6, .99]))
    array([0., 1., 0., 1.])
    """
    if logits.dtype not in (np.float32, np.float64) or u.dtype != logits.dtype:
        raise TypeError(
            f"logits and u: expected one dtype, float32 or float64, got {logits.dtype} and {u.dtype}; "
            "draw u in the dtype of the logits"
        )
    if logits.shape != u.shape:
        raise ValueError(
            f"u: expected the shape of the logits {logits.shape}, got {u.shape}; draw one number per logit"
        )
    if not np.isfinite(logits).all():
        raise ValueError("logits: expected finite values, got NaN or infinity; look for an overflow above")
    out = np.empty(logits.shape, logits.dtype)
    work.allocated(out.nbytes)
    if _use_numba(out.size):
        from .philox_cpu import gates

        gates(np.require(logits, requirements="CA").reshape(-1), np.require(u, requirements="CA").reshape(-1),
              out.reshape(-1))
    else:
        gates_numpy(logits, u, out)
    return out
