"""The short loops over packed values give the results of dense NumPy, for gates that are not bits."""

import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels.cpu import epilogue
from minigrad.kernels.specification import per_unit

BLOCK = 3
GATES = np.array([[0.5, 0, -2, 0], [0, 0, 0, 0], [3, 0, 0.25, 1]])     # an empty row and an empty column


@pytest.fixture(params=[np.float32, np.float64])
def problem(request):
    """Gates, their lists, and two dense arrays with zeros at closed blocks; every number is exact in float32."""
    gates = GATES.astype(request.param)
    values, g = np.random.default_rng(0).integers(1, 9, (2, 3, 4 * BLOCK)).astype(request.param)
    return gates, kernels.open_blocks(gates), *(x * per_unit(gates != 0, BLOCK) for x in (values, g))


def test_add_bias(problem):
    gates, blocks, values, _ = problem
    bias, packed = np.arange(4.0 * BLOCK).astype(values.dtype), blocks.gather(values, BLOCK)
    epilogue.add_bias(blocks.indices, bias, packed)
    np.testing.assert_array_equal(blocks.scatter(packed), values + bias * per_unit(gates != 0, BLOCK))


def test_scale(problem):
    gates, blocks, values, _ = problem
    packed = blocks.gather(values, BLOCK)
    out = np.full_like(packed, np.nan)
    epilogue.scale(blocks.indptr, blocks.indices, gates, packed, out)
    np.testing.assert_array_equal(blocks.scatter(out), per_unit(gates, BLOCK) * values)
    np.testing.assert_array_equal(packed, blocks.gather(values, BLOCK))
    epilogue.scale(blocks.indptr, blocks.indices, gates, packed, packed)        # in place, too
    np.testing.assert_array_equal(packed, out)


def test_sum_examples(problem):
    _, blocks, values, _ = problem
    out = np.full(4 * BLOCK, 7, values.dtype)
    epilogue.sum_examples(blocks.indptr, blocks.indices, blocks.gather(values, BLOCK), out,
                          values.dtype.type(-0.5))
    np.testing.assert_array_equal(out, 7 - 0.5 * values.sum(axis=0))


def test_gate_products(problem):
    gates, blocks, values, g = problem
    out = np.full_like(gates, 7)
    epilogue.gate_products(blocks.indptr, blocks.indices, gates, blocks.gather(g, BLOCK), blocks.gather(values, BLOCK),
                           out)
    sums = (g * values).reshape(3, 4, BLOCK).sum(axis=2)
    expected = np.where(gates == 0, 7, sums / np.where(gates == 0, 1, gates))      # closed entries are left alone
    np.testing.assert_array_equal(out, expected.astype(gates.dtype))


def test_a_part_of_the_lists_is_a_part_of_the_work(problem):
    """With the lists of the first example only, the numbers of the other examples do not change."""
    gates, blocks, values, _ = problem
    packed = blocks.gather(values, BLOCK)
    scaled, products, first = np.full_like(packed, 7), np.full_like(gates, 7), blocks.indptr[:2]
    epilogue.scale(first, blocks.indices, gates, packed, scaled)
    epilogue.gate_products(first, blocks.indices, gates, packed, packed, products)
    assert (scaled[:2] != 7).all()
    assert (scaled[2:] == 7).all()
    assert (products[1:] == 7).all()
    sums = np.full(4 * BLOCK, 7, values.dtype)
    epilogue.sum_examples(first, blocks.indices, packed, sums, values.dtype.type(1))
    np.testing.assert_array_equal(sums, 7 + values[0] * np.repeat(gates[0] != 0, BLOCK))
