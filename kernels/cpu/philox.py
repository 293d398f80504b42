"""Philox and the gate comparison as scalar functions, compiled for the CPU.

Kernels for a GPU (`cuda.philox`) call `four_words`, `unit_interval` and `gate` as well: Numba compiles the same source
for both.
"""

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..philox import FAR, INVERSE_LN2, LN2_HIGH, LN2_LOW, M0, M1, ROUNDS, TAYLOR, W0, W1
from .jit import exact

_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(M0), np.uint64(M1)
_KEY_STEP_0, _KEY_STEP_1 = np.uint32(W0), np.uint32(W1)
_HALF_WORD = np.uint64(32)
_HALVES = 0.5 ** np.arange(math.ceil(FAR * INVERSE_LN2) + 1)


@exact
def four_words(c0, c1, c2, c3, k0, k1):
    """Philox4x32-10 of one counter and key, all uint32."""
    for _ in range(ROUNDS):
        p0 = np.uint64(c0) * _MULTIPLIER_0
        p1 = np.uint64(c2) * _MULTIPLIER_1
        c0 = np.uint32(np.uint32(p1 >> _HALF_WORD) ^ c1 ^ k0)
        c1 = np.uint32(p1)
        c2 = np.uint32(np.uint32(p0 >> _HALF_WORD) ^ c3 ^ k1)
        c3 = np.uint32(p0)
        k0 = np.uint32(k0 + _KEY_STEP_0)
        k1 = np.uint32(k1 + _KEY_STEP_1)
    return c0, c1, c2, c3


@exact
def unit_interval(bits, double):
    """A word as a number in (0, 1): 32 bits of it in double precision, 23 in single."""
    if double:
        return (np.float64(bits) + 0.5) * 2.0**-32
    return (np.float64(bits >> np.uint32(9)) + 0.5) * 2.0**-23


@exact
def uniforms(seed, stream, draw, sample_offset, out):
    """Fill out (samples, units); see `draws.philox_uniforms`."""
    k0 = np.uint32(seed)
    k1 = np.uint32(seed >> _HALF_WORD)
    draw, stream = np.uint32(draw), np.uint32(stream)
    double = out.itemsize == 8
    samples, units = out.shape
    for s in range(samples):
        sample = np.uint32(sample_offset + s)
        row = out[s]
        for group in range(units // 4):
            words = four_words(np.uint32(group), sample, draw, stream, k0, k1)
            row[4 * group] = unit_interval(words[0], double)
            row[4 * group + 1] = unit_interval(words[1], double)
            row[4 * group + 2] = unit_interval(words[2], double)
            row[4 * group + 3] = unit_interval(words[3], double)
        rest = units % 4
        if rest:
            words = four_words(np.uint32(units // 4), sample, draw, stream, k0, k1)
            for w in range(rest):
                row[units - rest + w] = unit_interval(words[w], double)


@intrinsic
def product(typingctx, a, b):
    """a · b in double precision, rounded before anything is added to it, as NumPy does.

    The compiler for GPUs would fuse it with the addition and round once.
    """
    def write(context, builder, signature, arguments):
        if "nvptx" not in builder.module.triple:
            return builder.fmul(*arguments)
        double = ir.DoubleType()
        rounded = builder.module.declare_intrinsic("llvm.nvvm.mul.rn.d", (), ir.FunctionType(double, [double, double]))
        return builder.call(rounded, arguments)

    return types.float64(types.float64, types.float64), write


@exact
def gate(logit, u):
    """u < sigmoid(logit) for a finite logit, in double precision; see `draws.bernoulli_gates`."""
    distance = np.float64(-logit if logit < 0 else logit)
    if distance > FAR:
        distance = FAR
    n = int(product(distance, INVERSE_LN2) + 0.5)
    r = (product(n, LN2_HIGH) - distance) + product(n, LN2_LOW)
    e = TAYLOR[0]
    for t in range(1, len(TAYLOR)):
        e = product(e, r) + TAYLOR[t]
    e *= _HALVES[n]
    return product(u, 1.0 + e) < (e if logit < 0 else 1.0)


@exact
def bernoulli_gates(logits, u, out):
    """out = 1 where `gate` is true, else 0; one-dimensional arrays."""
    for i in range(len(out)):
        out[i] = gate(logits[i], u[i])
