"""Checks of the kernels of a module for the CPU (`plain` or `tile`), called as `cpu.dispatch` calls them."""

import numpy as np

from minigrad import kernels
from minigrad.kernels import specification

SHAPES = [(1, 1, 1, 1), (7, 67, 3, 1), (13, 64, 4, 16), (31, 130, 5, 7)]      # examples, inputs, blocks, block


def check_products(module, shape, dtype):
    """sdd, dsd and dw over all blocks, divided into arbitrary ranges."""
    examples, inputs, count, block = shape
    rng = np.random.default_rng(sum(shape))
    gates = (rng.random((examples, count)) < 0.5).astype(dtype)
    x, weight, g = (rng.standard_normal(size).astype(dtype) for size in (
        (examples, inputs), (count * block, inputs), (examples, count * block)))
    g *= specification.per_unit(gates, block)
    blocks = kernels.open_blocks(gates)
    lists = blocks.block_indptr, blocks.examples, blocks.positions
    tolerance = {"rtol": 0, "atol": 300 * np.finfo(dtype).eps * inputs**0.5}

    values = np.full((blocks.n_open, block), np.nan, dtype)
    for start in range(count):
        module.sdd(start, start + 1, *lists, module.operand(x), module.operand(weight), values)
    np.testing.assert_allclose(blocks.scatter(values), specification.sdd(x, weight, gates, block), **tolerance)

    packed, out, panel = blocks.gather(g, block), np.ones((examples, inputs), dtype), 32
    for start in range(-(-inputs // panel)):
        module.dsd(start, start + 1, panel, *lists, packed, module.operand(weight), out)
    np.testing.assert_allclose(out, 1 + specification.dsd(g, weight), **tolerance)

    for keep, rate in ((0, 1), (1, -0.5)):
        out = np.ones((count * block, inputs), dtype)
        for start in range(count):
            module.dw(start, start + 1, panel, *lists, packed, module.operand(x), module.operand(out), keep,
                      dtype(rate))
        np.testing.assert_allclose(out, keep + rate * specification.dw(g, x), **tolerance)


def check_a_range_touches_its_blocks_alone(module):
    """Threads need this: two ranges write different numbers."""
    gates, x, weight = np.ones((3, 4)), np.ones((3, 5)), np.ones((8, 5))
    blocks = kernels.open_blocks(gates)
    lists = blocks.block_indptr, blocks.examples, blocks.positions
    values = np.full((12, 2), 7.0)
    module.sdd(1, 3, *lists, module.operand(x), module.operand(weight), values)
    dense = blocks.scatter(values)
    assert (dense[:, 2:6] == 5).all()
    assert (dense[:, :2] == 7).all()
    assert (dense[:, 6:] == 7).all()
    out = np.full((8, 5), 7.0)
    module.dw(1, 3, 32, *lists, np.ones((12, 2)), module.operand(x), module.operand(out), 0, 1.0)
    assert (out[2:6] == 3).all()
    assert (out[:2] == 7).all()
    assert (out[6:] == 7).all()
