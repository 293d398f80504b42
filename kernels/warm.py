"""Compiling or loading every kernel before the first step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import gates, layers
from .backend import loaded
from .compiler import serving

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


def warmup(dtype: DTypeLike = np.float32) -> None:
    """Run every kernel once on tiny arrays of `dtype` (float32 or float64).

    In the first process on a machine this takes some seconds, since the kernels are compiled and stored. Later it takes
    less than a second. These are the kernels of the CPU. The kernels that a GPU needs depend on the sizes of the
    layers, so the first training step compiles them.

    Raises
    ------
    TypeError
        `dtype` is another dtype.

    >>> from minigrad.kernels import warmup
    >>> warmup()
    """
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype: expected float32 or float64, got {np.dtype(dtype)}; kernels exist for these")
    if serving() != "numba":
        return  # nothing is compiled
    x = np.ones((1, 2), dtype)
    weight = np.ones((2, 2), dtype)
    bias = np.ones(2, dtype)
    real = np.full((1, 2), 0.5, dtype)
    layers.gated_linear(x, weight, bias, real, 1)
    blocks = gates.open_blocks(real)
    h = layers.gated_linear(x, weight, bias, real, 1, blocks)
    h = h.with_values(blocks.gather(blocks.scatter(h.values), 1))
    layers.gated_linear_dx(h, weight, real, blocks, 1)
    layers.gated_linear_dw(h, x, real, blocks, 1)
    layers.gated_linear_sgd(h, x, real, blocks, weight, bias, 0.0)
    layers.gated_linear_dgates(h, x, weight, bias, real, h, "open")
    layers.packed_linear(h, weight.T, bias)
    layers.gated_linear(h, weight, bias, real, 1, blocks)
    layers.gated_linear_dx(h, weight, real, blocks, 1, x_blocks=blocks)
    layers.gated_linear_dw(h, h, real, blocks, 1)
    philox = loaded("cpu.philox")
    noise = loaded("cpu.noise")
    uniforms = np.empty((1, 2))
    for fill in (philox.uniforms, noise.normals, noise.logistics):
        fill(np.uint64(0), 0, 0, 0, np.empty((1, 2), dtype))
    philox.uniforms(np.uint64(0), 0, 0, 0, uniforms)
    philox.bernoulli_gates(bias, uniforms[0], np.empty(2, dtype))
    loaded("cpu.adam").adam_step(*[np.ones(1, dtype) for _ in range(4)], *np.ones(7, dtype))
    loaded("cpu.tables").add_at(np.ones((1, 2), dtype), np.zeros(1, np.int64), np.ones((1, 2), dtype))
    probabilities, labels = loaded("cpu.probabilities"), np.zeros(1, np.int64)
    probabilities.softmax(x, x.copy())
    probabilities.softmax_gradient(x, x, x.copy())
    probabilities.cross_entropy(x, labels, x[:, 0].copy())
    probabilities.cross_entropy_gradient(x[:, 0].copy(), x, labels, x.copy())
