"""Counter-based random bits: Philox4x32-10, and the comparison that turns them into gates.

A counter-based generator is a function from (counter, key) to bits, without state: any number of
any sample can be drawn alone, in any order, by any thread, on any device. Source: Salmon, Moraes,
Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

Here the counter is (unit // 4, sample, draw, stream) and the key is the seed; one evaluation gives
four words, one each for four neighbouring units.
"""

import sys

import numpy as np

from . import work

M0, M1 = 0xD2511F53, 0xCD9E8D57  # multipliers
W0, W1 = 0x9E3779B9, 0xBB67AE85  # Weyl increments of the key: golden ratio, sqrt(3) - 1
_MASK = 0xFFFFFFFF
ROUNDS = 10

# exp(-a) for a >= 0, by a = n ln 2 + r, |r| <= ln(2)/2, and a Taylor sum of exp(-r) to degree 13.
# ln 2 in two parts, the first short enough for n times it to be exact.
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
INVERSE_LN2 = 1.44269504088896338700
TAYLOR = tuple(1.0 / float(f) for f in (
    6227020800, 479001600, 39916800, 3628800, 362880, 40320, 5040, 720, 120, 24, 6, 2, 1, 1))
FAR = 64.0  # exp(-64) is below every uniform number drawn here, so larger logits decide the same

# Loading Numba takes longer than drawing this many numbers with NumPy does.
_SMALL = 4096


def philox4x32(counter, key):
    """Philox4x32-10 in NumPy: four words of counter and two of key to four words of bits.

    counter : four, and key : two, broadcastable arrays or ints below 2**32.

    >>> from minigrad.kernels.philox import philox4x32
    >>> [hex(int(word)) for word in philox4x32((0, 0, 0, 0), (0, 0))]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    c0, c1, c2, c3 = (np.asarray(word, np.uint64) for word in counter)
    k0, k1 = (int(word) for word in key)
    for _ in range(ROUNDS):
        p0, p1 = c0 * np.uint64(M0), c2 * np.uint64(M1)
        c0, c1, c2, c3 = (
            (p1 >> np.uint64(32)) ^ c1 ^ np.uint64(k0),
            p1 & np.uint64(_MASK),
            (p0 >> np.uint64(32)) ^ c3 ^ np.uint64(k1),
            p0 & np.uint64(_MASK),
        )
        k0, k1 = (k0 + W0) & _MASK, (k1 + W1) & _MASK
    return tuple(word.astype(np.uint32) for word in (c0, c1, c2, c3))


def uniforms_numpy(seed, stream, draw, sample_offset, out):
    """The NumPy version of `philox_cpu.uniforms`, bit for bit."""
    samples, units = out.shape
    groups = -(-units // 4)
    counter = (
        np.arange(groups)[None, :],
        (sample_offset + np.arange(samples))[:, None] & _MASK,
        draw,
        stream,
    )
    words = philox4x32(counter, (seed & _MASK, seed >> 32))
    bits = np.stack(np.broadcast_arrays(*words), axis=-1).reshape(samples, 4 * groups)[:, :units]
    if out.dtype == np.float64:
        out[...] = (bits + 0.5) * 2.0**-32
    else:
        out[...] = ((bits >> 9).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)


def gates_numpy(logits, u, out):
    """The NumPy version of `philox_cpu.gates`, bit for bit."""
    distance = np.minimum(np.abs(logits.astype(np.float64)), FAR)
    n = np.floor(distance * INVERSE_LN2 + 0.5)
    r = (n * LN2_HIGH - distance) + n * LN2_LOW
    e = np.full_like(r, TAYLOR[0])
    for coefficient in TAYLOR[1:]:
        e = e * r + coefficient
    e = np.ldexp(e, -n.astype(np.int32))
    out[...] = u * (1.0 + e) < np.where(logits < 0, e, 1.0)


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
