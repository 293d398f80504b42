"""Philox and the comparison that makes gates, compiled for the CPU.

Kernels for a GPU (`cuda.philox`) call the scalar functions `four_words`, `unit_interval` and `gate` as well: Numba
compiles the same source for both.

The compiler makes vectors of a loop over numbers that do not depend on each other. So `fill` computes 64 counters at a
time, and `bernoulli_gates` 512 gates, step by step.
"""

import numpy as np

from ..philox import FAR, INVERSE_LN2, LN2_HIGH, LN2_LOW, M0, M1, ROUNDS, TAYLOR, W0, W1
from .arithmetic import from_bits, polynomial, product
from .jit import exact, inlined

#: Counters that are computed at a time. Each gives four numbers.
LANES = 64
#: Gates that are computed at a time.
GATES = 512

_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(M0), np.uint64(M1)
_KEY_STEP_0, _KEY_STEP_1 = np.uint32(W0), np.uint32(W1)
_HALF_WORD = np.uint64(32)


@exact
def one_round(c0, c1, c2, c3, k0, k1):
    """One round of Philox4x32 on four words, all uint32."""
    p0 = np.uint64(c0) * _MULTIPLIER_0
    p1 = np.uint64(c2) * _MULTIPLIER_1
    return (np.uint32(np.uint32(p1 >> _HALF_WORD) ^ c1 ^ k0), np.uint32(p1),
            np.uint32(np.uint32(p0 >> _HALF_WORD) ^ c3 ^ k1), np.uint32(p0))


@exact
def four_words(c0, c1, c2, c3, k0, k1):
    """Philox4x32-10 of one counter and key, all uint32."""
    for _ in range(ROUNDS):
        c0, c1, c2, c3 = one_round(c0, c1, c2, c3, k0, k1)
        k0 = np.uint32(k0 + _KEY_STEP_0)
        k1 = np.uint32(k1 + _KEY_STEP_1)
    return c0, c1, c2, c3


@exact
def unit_interval(bits, double):
    """A word as a number in (0, 1): 32 bits of it in double precision, 23 in single."""
    if double:
        return (np.float64(bits) + 0.5) * 2.0**-32
    return (np.float64(bits >> np.uint32(9)) + 0.5) * 2.0**-23


@inlined
def fill(seed, stream, draw, sample_offset, first, groups, double, words, out):
    """Uniform numbers in out (4 LANES,), by LANES counters. words (4, LANES), uint32, is room for the words.

    Counter i belongs to group i % groups of sample i // groups. The counters are first, first + 1, and so on.
    """
    c0, c1, c2, c3 = words[0], words[1], words[2], words[3]
    sample, group = first // groups, first % groups
    for i in range(LANES):
        c0[i], c1[i], c2[i], c3[i] = group, sample_offset + sample, draw, stream
        group += 1
        if group == groups:
            sample, group = sample + 1, 0
    k0, k1 = np.uint32(seed), np.uint32(seed >> _HALF_WORD)
    for _ in range(ROUNDS):
        for i in range(LANES):
            c0[i], c1[i], c2[i], c3[i] = one_round(c0[i], c1[i], c2[i], c3[i], k0, k1)
        k0, k1 = np.uint32(k0 + _KEY_STEP_0), np.uint32(k1 + _KEY_STEP_1)
    for i in range(LANES):
        out[4 * i] = unit_interval(c0[i], double)
        out[4 * i + 1] = unit_interval(c1[i], double)
        out[4 * i + 2] = unit_interval(c2[i], double)
        out[4 * i + 3] = unit_interval(c3[i], double)


@exact
def store(numbers, first, groups, out):
    """Copy the numbers of the counters from `first` on to out (samples, units).

    The last group of a sample may have more numbers than units. The counters may go on behind the last sample.
    """
    samples = out.shape[0]
    sample, unit, k = first // groups, 4 * (first % groups), 0
    while k < len(numbers) and sample < samples:
        row = out[sample, unit:]
        part = numbers[k:k + len(row)]
        for i in range(len(part)):
            row[i] = part[i]
        k += 4 * groups - unit
        sample, unit = sample + 1, 0


@exact
def uniforms(seed, stream, draw, sample_offset, out):
    """Fill the array ``out`` (samples, units); see `draws.philox_uniforms`."""
    groups = (out.shape[1] + 3) // 4
    words, numbers = np.empty((4, LANES), np.uint32), np.empty(4 * LANES)
    for first in range(0, len(out) * groups, LANES):
        fill(seed, stream, draw, sample_offset, first, groups, out.itemsize == 8, words, numbers)
        store(numbers, first, groups, out)


@exact
def power_and_rest(logit):
    """(2⁻ⁿ, r) with exp(-|logit|) = 2⁻ⁿ exp(r), both in double precision."""
    distance = abs(np.float64(logit))
    distance = FAR if distance > FAR else distance
    n = np.int64(product(distance, INVERSE_LN2) + 0.5)
    r = (product(n, LN2_HIGH) - distance) + product(n, LN2_LOW)
    return from_bits((np.int64(1023) - n) << np.int64(52)), r


@exact
def is_open(logit, u, e):
    """u < sigmoid(logit), where e = exp(-|logit|)."""
    return product(u, 1.0 + e) < (e if logit < 0 else 1.0)


@exact
def gate(logit, u):
    """u < sigmoid(logit) for a finite logit, in double precision; see `draws.bernoulli_gates`."""
    power, r = power_and_rest(logit)
    return is_open(logit, u, polynomial(r, TAYLOR) * power)


@exact
def bernoulli_gates(logits, u, out):
    """out = 1 where `gate` is true, else 0; one-dimensional arrays."""
    powers, rests, e = np.empty(GATES), np.zeros(GATES), np.empty(GATES)
    for first in range(0, len(out), GATES):
        last = first + GATES
        _some_gates(logits[first:last], u[first:last], out[first:last], powers, rests, e)


@exact
def _some_gates(logits, u, out, powers, rests, e):
    """The same for at most GATES gates. The three last arrays are room for parts of the exponential."""
    for i in range(len(out)):
        powers[i], rests[i] = power_and_rest(logits[i])
    for i in range(GATES):
        e[i] = polynomial(rests[i], TAYLOR)
    for i in range(len(out)):
        out[i] = is_open(logits[i], u[i], e[i] * powers[i])
