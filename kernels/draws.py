"""Random numbers and gates: checks of the arguments, and the choice of NumPy, compiled code or the GPU.

Numba takes a while to load. So small numbers of draws are computed in NumPy, unless the compiled code is already
loaded. All three versions give the same bits.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from . import noise, philox
from .backend import device_kernels, loaded
from .compiler import serving
from .device import work
from .device.arrays import check_device, on_device

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

# For this number of draws, loading Numba takes longer than NumPy.
_SMALL = 4096


def _module(name, size):
    """The module that draws: `philox` or `noise`, compiled or in NumPy."""
    if (size >= _SMALL or f"{__package__}.cpu.{name}" in sys.modules) and serving() == "numba":
        return loaded("cpu.philox") if name == "philox" else loaded("cpu.noise")
    return philox if name == "philox" else noise


def philox_uniforms(seed: int, stream: int, draw: int, sample_offset: int, shape: tuple[int, int],
                    dtype: DTypeLike = np.float64, device: bool = False) -> NDArray:
    """Uniform random numbers in the open interval (0, 1).  They depend only on the arguments.

    Unit ``u`` of sample ``s`` is word ``u % 4`` of Philox4x32-10 with the counter
    ``(u // 4, sample_offset + s, draw, stream)`` and the key ``seed``.  Every unit uses one word of 32 bits.  This does
    not depend on the dtype, on the number of threads, or on how a batch is split.

    float64: (bits + 0.5) 2⁻³².  float32: (bits // 2⁹ + 0.5) 2⁻²³, since with more bits the largest number would be
    rounded to 1.  Gates use float64 numbers, also if their logits are float32.

    Parameters
    ----------
    seed : int in [0, 2**64)
    stream, draw, sample_offset : int in [0, 2**32)
    shape : (samples, units)
    dtype : float32 or float64
    device : bool
        Whether to draw on the GPU. The result is then an array on the GPU, with the same numbers.

    Raises
    ------
    ValueError, TypeError
        An argument is outside its range, or of another type.

    Examples
    --------
    >>> from minigrad.kernels import philox_uniforms
    >>> whole = philox_uniforms(7, 0, 0, 0, (4, 3))
    >>> half = philox_uniforms(7, 0, 0, 2, (2, 3))
    >>> bool((whole[2:] == half).all())
    True
    """
    return _drawn("philox", "uniforms", seed, stream, draw, sample_offset, shape, dtype, device)


def philox_normals(seed: int, stream: int, draw: int, sample_offset: int, shape: tuple[int, int],
                   dtype: DTypeLike = np.float64, device: bool = False) -> NDArray:
    """Standard normal random numbers.  They depend only on the arguments.

    Each number is the quantile z with Φ(z) = u, where u is the float64 number that `philox_uniforms` has in its place.
    So the largest is 6.34, which a normal number exceeds with a probability of 2⁻³³.  The error is at most five units
    in the last place of float64.  All devices give the same bits; `kernels.noise` says how.  float32 numbers are
    rounded from float64.

    Parameters and errors are those of `philox_uniforms`.

    Examples
    --------
    >>> from minigrad.kernels import philox_normals
    >>> philox_normals(7, 0, 0, 0, (1, 3)).round(4)
    array([[ 1.6912,  0.675 , -1.2046]])
    """
    return _drawn("noise", "normals", seed, stream, draw, sample_offset, shape, dtype, device)


def philox_logistics(seed: int, stream: int, draw: int, sample_offset: int, shape: tuple[int, int],
                     dtype: DTypeLike = np.float64, device: bool = False) -> NDArray:
    """Standard logistic random numbers, log(u / (1 − u)).  They depend only on the arguments.

    u is the float64 number that `philox_uniforms` has in its place.  So all numbers are between −22.9 and 22.9.  The
    error is at most two units in the last place of float64, plus 1.2e-16.  All devices give the same bits.  float32
    numbers are rounded from float64.

    Parameters and errors are those of `philox_uniforms`.

    Examples
    --------
    >>> from minigrad.kernels import philox_logistics
    >>> philox_logistics(7, 0, 0, 0, (1, 3)).round(4)
    array([[ 3.0457,  1.0994, -2.0488]])
    """
    return _drawn("noise", "logistics", seed, stream, draw, sample_offset, shape, dtype, device)


def bernoulli_gates(logits: NDArray, u: NDArray) -> NDArray:
    """Samples 1[u < sigmoid(logits)], 0 or 1 in the dtype of the logits.

    u has 32 bits, so P(gate = 1) is a multiple of 2⁻³².  It equals sigmoid(l) with an error of at most 1 % for every
    l >= -18, in both dtypes.  For smaller l it is the multiple of 2⁻³² nearest to sigmoid(l), and 0 for l < -22.9.  The
    same holds for P(gate = 0) and sigmoid(-l).

    With e = exp(-|l|), sigmoid(l) is 1 / (1 + e) for l >= 0 and e / (1 + e) for l < 0, so nothing overflows.  The test
    is therefore ``u (1 + e) < 1`` or ``u (1 + e) < e``. It is computed in float64 for both dtypes. The exponential uses
    only additions and multiplications, in a fixed order, and every product is rounded before it is added. So NumPy and
    Numba give the same bits on every processor and every GPU.

    Parameters
    ----------
    logits : array, float32 or float64
    u : array of the same shape, float64; from `philox_uniforms`

    Raises
    ------
    ValueError
        The shapes differ, or a logit is not finite. Logits on a GPU are checked there. The error is then raised at the
        next transfer to the CPU.
    TypeError
        The logits have another dtype, or u is not float64. (float32 has 23 bits, too few for the tails.)

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
        raise TypeError(f"u: expected float64 for logits of any dtype, got {u.dtype}; draw it in float64, "
                        "since float32 has too few bits for probabilities near 0 and 1")
    if logits.shape != u.shape:
        raise ValueError(
            f"u: expected the shape of the logits {logits.shape}, got {u.shape}; draw one number per logit"
        )
    if on_device(logits):
        return device_kernels().bernoulli_gates(logits, u)
    if not np.isfinite(logits).all():
        raise ValueError("logits: expected finite values, got NaN or infinity; look for an overflow in their "
                         "computation")
    out = np.empty(logits.shape, logits.dtype)
    work.allocated(out.nbytes)
    flat = (np.require(array, requirements="CA").reshape(-1) for array in (logits, u))
    _module("philox", out.size).bernoulli_gates(*flat, out.reshape(-1))
    return out


def _drawn(module, name, seed, stream, draw, sample_offset, shape, dtype, device):
    """The array that the function `name` of this module fills."""
    seed, stream, draw, sample_offset = _checked(seed=seed, stream=stream, draw=draw, sample_offset=sample_offset)
    samples, units = shape
    if samples < 0 or units < 0:
        raise ValueError(f"shape: expected (samples, units), both at least 0, got {shape}")
    _check_samples(sample_offset, samples)
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype: expected float32 or float64, got {np.dtype(dtype)}; draw one of these")
    if device:
        return getattr(device_kernels(), name)(seed, stream, draw, sample_offset, shape, np.dtype(dtype))
    out = np.empty((samples, units), dtype)
    work.allocated(out.nbytes)
    fill = getattr(_module(module, out.size), name)
    fill(np.uint64(seed), stream, draw, sample_offset, out)
    return out


def _checked(**counter):
    """The seed (64 bits) and the words of the counter (32 bits each), as ints."""
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
