"""The functions that `layers` calls for arrays on the device. They are those of `cpu.driver`.

Every function takes checked arrays. It puts its work into the queue of the device and returns before the work is done.
A result with one row per open block has rows for all blocks; those after the open blocks are 0.
"""

import numpy as np

from ..device import arrays, transfer, work
from . import dispatch, epilogue, lists, noise, philox
from .blocks import DeviceBlocks, zeros
from .errors import marks
from .grid import THREADS, for_each, launch, resident
from .views import contiguous

__all__ = ["add_bias", "bernoulli_gates", "contiguous", "dsd", "dsd_both", "dw", "dw_both", "empty", "gate_products",
           "in_one_call", "open_blocks", "scale", "sdd", "sdd_both", "sum_examples", "uniforms", "zeros"]


def empty(shape, dtype):
    """An uninitialised array on the device; its memory is counted."""
    array = arrays.device_library().empty(shape, dtype)
    work.allocated(array.nbytes)
    return array


def open_blocks(gates):
    """The DeviceBlocks of gates (B, G)."""
    binary = gates.dtype == np.bool_
    blocks = DeviceBlocks(gates.shape, *lists.listed(contiguous(gates.view(np.uint8) if binary else gates)), binary)
    work.allocated(blocks.nbytes)
    return blocks


def in_one_call(x, weight, bias, gates):
    """False: on a device, one example is computed in the same way as many."""
    return False


def sdd(x, weight, blocks, block):
    """values (B·G, block) = x weightᵀ at the open blocks."""
    values = blocks.empty(block, x.dtype)
    blocks.touch()
    dispatch.sdd(contiguous(x), contiguous(weight), blocks, values)
    return values


def sdd_both(x, weight, blocks, block):
    """The same for a packed x."""
    values = blocks.empty(block, x.dtype)
    work.touched(lambda: _pairs(blocks, x.blocks))
    dispatch.sdd_both(contiguous(x.values), contiguous(weight), blocks, x.blocks, values)
    return values


def dsd(values, weight, blocks, out):
    """out (B, D), contiguous, += packed values times weight; returns out."""
    blocks.touch()
    dispatch.dsd(values, contiguous(weight), blocks, out)
    return out


def dsd_both(values, weight, blocks, x_blocks, x_block):
    """The same at the open blocks of a packed x: values (x_blocks.capacity, x_block)."""
    out = zeros((x_blocks.capacity, x_block), values.dtype)
    work.touched(lambda: _pairs(blocks, x_blocks))
    dispatch.dsd_both(values, contiguous(weight), blocks, x_blocks, out)
    return out


def dw(values, x, blocks, out, keep, rate):
    """out (H, D) = keep · out + rate · valuesᵀ x, for (keep, rate) = (0, 1) or (1, -lr)."""
    blocks.touch()
    target = contiguous(out)
    dispatch.dw(values, contiguous(x), blocks, target, keep, rate)
    if target is not out:
        out[...] = target


def dw_both(values, x, blocks, out, rate):
    """out (H, D) += rate · valuesᵀ x for a packed x."""
    work.touched(lambda: _pairs(blocks, x.blocks))
    target = contiguous(out)
    dispatch.dw_both(values, contiguous(x.values), blocks, x.blocks, target, rate)
    if target is not out:
        out[...] = target


def add_bias(values, bias, blocks):
    """values += bias of each open block."""
    for_each(epilogue.add_bias, values.size, blocks.lists, *blocks.shape, contiguous(bias), values)


def scale(values, gates, blocks, out):
    """out = gate · values at each open block."""
    for_each(epilogue.scale, values.size, blocks.lists, *blocks.shape, contiguous(gates), values, out)


def sum_examples(values, blocks, out, rate):
    """out (H,) += rate · the sum of values over examples."""
    target = contiguous(out)
    grid = max(1, min(blocks.shape[1], resident()))
    launch(epilogue.sum_examples, grid, THREADS, blocks.lists, *blocks.shape, values, target, values.dtype.type(rate))
    if target is not out:
        out[...] = target


def gate_products(g, values, gates, blocks, out):
    """out (B, G) at open gates = g · values / gate, summed over the block."""
    gates = contiguous(gates.astype(g.dtype, copy=False))
    for_each(epilogue.gate_products, out.size, blocks.lists, *blocks.shape, g, contiguous(values), gates, out)


def uniforms(seed, stream, draw, sample_offset, shape, dtype):
    """Uniform numbers (samples, units); see `draws.philox_uniforms`."""
    return _drawn(philox.uniforms, seed, stream, draw, sample_offset, shape, dtype)


def normals(seed, stream, draw, sample_offset, shape, dtype):
    """Normal numbers (samples, units); see `draws.philox_normals`."""
    return _drawn(noise.normals, seed, stream, draw, sample_offset, shape, dtype)


def logistics(seed, stream, draw, sample_offset, shape, dtype):
    """Logistic numbers (samples, units); see `draws.philox_logistics`."""
    return _drawn(noise.logistics, seed, stream, draw, sample_offset, shape, dtype)


def bernoulli_gates(logits, u):
    """1[u < sigmoid(logits)] in the shape and dtype of the logits."""
    out = empty(logits.shape, logits.dtype)
    flat = (contiguous(array).reshape(-1) for array in (logits, u, out))
    for_each(philox.bernoulli_gates, out.size, *flat, marks())
    return out


def _drawn(kernel, seed, stream, draw, sample_offset, shape, dtype):
    """A new array, filled by the kernel. The seed becomes the two words of the key."""
    out = empty(shape, dtype)
    for_each(kernel, out.size, seed & 0xFFFFFFFF, seed >> 32, stream, draw, sample_offset, out)
    return out


def _pairs(blocks, x_blocks):
    """The number of (open output block, open input block) pairs, read from the device."""
    counts = (np.diff(transfer.to_host(side.indptr)).astype(np.int64) for side in (blocks, x_blocks))
    return int(np.dot(*counts))
