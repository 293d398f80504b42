"""Counter-based random bits in NumPy: Philox4x32-10, and the comparison that makes gates from them.

`cpu.philox` and `cuda.philox` have the same functions and give the same bits.

A counter-based generator is a function from (counter, key) to bits. It has no state. So every number can be drawn
separately, in any order, by any thread, on any device. Source: Salmon, Moraes,
Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

Here the counter is (unit // 4, sample, draw, stream), and the key is the seed. One evaluation gives four words, for
four neighbouring units.
"""

import numpy as np

M0, M1 = 0xD2511F53, 0xCD9E8D57  # multipliers
W0, W1 = 0x9E3779B9, 0xBB67AE85  # Weyl increments of the key: golden ratio, sqrt(3) - 1
_MASK = 0xFFFFFFFF
ROUNDS = 10

# exp(-a) for a >= 0: with a = n ln 2 + r and |r| <= ln(2)/2, and a Taylor polynomial of exp(-r) of degree 13.
# ln 2 is split in two parts. The first has so few bits that its product with n is exact.
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
INVERSE_LN2 = 1.44269504088896338700
TAYLOR = tuple(1.0 / float(f) for f in (
    6227020800, 479001600, 39916800, 3628800, 362880, 40320, 5040, 720, 120, 24, 6, 2, 1, 1))
FAR = 64.0  # exp(-64) is below every uniform number here, so larger logits give the same gates


def philox4x32(counter, key):
    """Philox4x32-10 in NumPy: a function from a counter and a key to four words of bits.

    counter : four arrays that broadcast, or ints below 2**32.
    key : two ints below 2**32.

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


def uniforms(seed, stream, draw, sample_offset, out):
    """Fill the array ``out`` (samples, units); see `draws.philox_uniforms`."""
    samples, units = out.shape
    groups = -(-units // 4)
    counter = (
        np.arange(groups)[None, :],
        (sample_offset + np.arange(samples))[:, None] & _MASK,
        draw,
        stream,
    )
    words = philox4x32(counter, (int(seed) & _MASK, int(seed) >> 32))
    bits = np.stack(np.broadcast_arrays(*words), axis=-1).reshape(samples, 4 * groups)[:, :units]
    if out.dtype == np.float64:
        out[...] = (bits + 0.5) * 2.0**-32
    else:
        out[...] = ((bits >> 9).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)


def bernoulli_gates(logits, u, out):
    """out = 1[u < sigmoid(logits)]; see `draws.bernoulli_gates`."""
    distance = np.minimum(np.abs(logits.astype(np.float64)), FAR)
    n = np.floor(distance * INVERSE_LN2 + 0.5)
    r = (n * LN2_HIGH - distance) + n * LN2_LOW
    e = np.full_like(r, TAYLOR[0])
    for coefficient in TAYLOR[1:]:
        e = e * r + coefficient
    e = np.ldexp(e, -n.astype(np.int32))
    out[...] = u * (1.0 + e) < np.where(logits < 0, e, 1.0)
