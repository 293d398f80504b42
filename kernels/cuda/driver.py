"""The functions of `cpu`, for arrays on the device: the products of gated layers, queued there.

Every function takes checked arrays and returns before the device has done its work. Results sized by the number
of open blocks have room for all blocks, with zeros behind the open ones.
"""

import numpy as np

from ..device import arrays, work
from . import dispatch, epilogue, layout, lists, philox
from .errors import marks
from .launch import THREADS, launch, resident, spread
from .views import contiguous


def empty(shape, dtype):
    """An array of the device, not initialised, counted."""
    array = arrays.device_library().empty(shape, dtype)
    work.allocated(array.nbytes)
    return array


def zeros(shape, dtype):
    """An array of zeros on the device, counted."""
    array = arrays.device_library().zeros(shape, dtype)
    work.allocated(array.nbytes)
    return array


def packed_values(blocks, block, dtype):
    """Room for the values of a Packed array."""
    return zeros((blocks.capacity, block), dtype)


def open_blocks(gates):
    """The DeviceBlocks of gates (B, G)."""
    binary = gates.dtype == np.bool_
    gates = contiguous(gates.view(np.uint8) if binary else gates)
    buffers = lists.buffers(gates.shape)
    if gates.size:
        launch(lists.mask_gates, lists.tiles_of(gates.shape), layout.WORD, gates, buffers[1], marks())
    return lists.from_masks(gates.shape, *buffers, binary)


def sdd(x, weight, blocks, block):
    """values (B·G, block) = x weightᵀ at the open blocks."""
    values = packed_values(blocks, block, x.dtype)
    work.touched(lambda: blocks.n_open)
    dispatch.sdd(contiguous(x), contiguous(weight), blocks, values)
    return values


def sdd_both(x, weight, blocks, block):
    """The same for a packed x."""
    values = packed_values(blocks, block, x.dtype)
    work.touched(lambda: _pairs(blocks, x.blocks))
    dispatch.sdd_both(contiguous(x.values), contiguous(weight), blocks, x.blocks, values)
    return values


def dsd(values, weight, blocks, out):
    """out (B, D), contiguous, += packed values times weight; returns out."""
    work.touched(lambda: blocks.n_open)
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
    work.touched(lambda: blocks.n_open)
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
    spread(epilogue.add_bias, values.size, blocks.lists, *blocks.shape, contiguous(bias), values)


def scale(values, gates, blocks, out):
    """out = gate · values at each open block."""
    spread(epilogue.scale, values.size, blocks.lists, *blocks.shape, contiguous(gates), values, out)


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
    spread(epilogue.gate_products, out.size, blocks.lists, *blocks.shape, g, contiguous(values), gates, out)


def sample(dense, blocks, block):
    """values (B·G, block) of a dense array (B, G·block), any strides, at its open blocks."""
    values = packed_values(blocks, block, dense.dtype)
    work.touched(lambda: blocks.n_open)
    spread(epilogue.sample, values.size, blocks.lists, *blocks.shape, contiguous(dense), values)
    return values


def to_dense(values, blocks):
    """The dense array (B, G·block) of packed values."""
    examples, count = blocks.shape
    dense = zeros((examples, count * values.shape[1]), values.dtype)
    spread(epilogue.spread_out, values.size, blocks.lists, *blocks.shape, contiguous(values), dense)
    return dense


def uniforms(seed, stream, draw, sample_offset, shape, dtype):
    """Uniform numbers (samples, units); see `draws.philox_uniforms`."""
    out = empty(shape, dtype)
    spread(philox.uniforms, out.size, *_halves(seed), stream, draw, sample_offset, out)
    return out


def gates(logits, u):
    """1[u < sigmoid(logits)] in the shape and dtype of the logits."""
    out = empty(logits.shape, logits.dtype)
    flat = (contiguous(array).reshape(-1) for array in (logits, u, out))
    spread(philox.gates, out.size, *flat, marks())
    return out


def sampled_gates(logits, seed, stream, draw, sample_offset):
    """(gates, their DeviceBlocks), drawn, compared and listed without writing the uniforms."""
    out = empty(logits.shape, logits.dtype)
    buffers = lists.buffers(logits.shape)
    if out.size:
        launch(philox.masked_gates, lists.tiles_of(out.shape), layout.WORD, *_halves(seed), stream, draw, sample_offset,
               contiguous(logits), out, buffers[1], marks())
    return out, lists.from_masks(out.shape, *buffers, binary=True)


def _halves(seed):
    """The two words of the key."""
    return seed & 0xFFFFFFFF, seed >> 32


def _pairs(blocks, x_blocks):
    """The number of (open output block, open input block) pairs; asks the device."""
    counts = (np.diff(arrays.to_host(side.indptr)).astype(np.int64) for side in (blocks, x_blocks))
    return int(np.dot(*counts))
