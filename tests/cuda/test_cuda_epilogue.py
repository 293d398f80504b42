"""The short kernels on the device give dense NumPy's results, for any number of threads, on gates that are not bits."""

import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels.cuda import epilogue, grid
from minigrad.kernels.device.transfer import to_device, to_host
from minigrad.kernels.specification import per_unit

BLOCK = 3
GATES = np.array([[0.5, 0, -2, 0], [0, 0, 0, 0], [3, 0, 0.25, 1]])     # an empty row and an empty column
OPEN = np.count_nonzero(GATES)


class Problem:
    """Dense arrays of whole numbers, zero at closed blocks, and the lists that kernels take."""

    def __init__(self, block=BLOCK):
        self.block = block
        self.values, self.g = np.random.default_rng(0).integers(1, 9, (2, 3, 4 * block)) * per_unit(GATES != 0, block)
        lists = kernels.open_blocks(to_device(GATES)).lists
        self.lists = lists, 3, 4

    def packed(self, dense):
        """The open blocks, then rows of 99, which no kernel may change."""
        values = np.full((GATES.size, self.block), 99.0)
        values[:OPEN] = dense.reshape(3, 4, self.block)[GATES != 0]
        return values


def launched(kernel, threads, *arguments):
    grid.launch(kernel, 2, threads, *arguments)


@pytest.mark.parametrize("threads", [1, 5])
def test_add_bias(threads):
    problem, bias = Problem(), np.arange(12.0)
    values = to_device(problem.packed(problem.values))
    launched(epilogue.add_bias, threads, *problem.lists, to_device(bias), values)
    np.testing.assert_array_equal(to_host(values), problem.packed(problem.values + bias))


@pytest.mark.parametrize("threads", [1, 5])
def test_scale(threads):
    problem = Problem()
    out = to_device(np.full((12, BLOCK), 99.0))
    launched(epilogue.scale, threads, *problem.lists, to_device(GATES), to_device(problem.packed(problem.values)), out)
    np.testing.assert_array_equal(to_host(out), problem.packed(problem.values * per_unit(GATES, BLOCK)))


@pytest.mark.parametrize("threads", [1, 5])
def test_gate_products(threads):
    problem, out = Problem(), to_device(np.full((3, 4), 7.0))
    launched(epilogue.gate_products, threads, *problem.lists, to_device(problem.packed(problem.g)),
             to_device(problem.packed(problem.values)), to_device(GATES), out)
    sums = (problem.g * problem.values).reshape(3, 4, BLOCK).sum(axis=2)
    np.testing.assert_array_equal(to_host(out), np.where(GATES == 0, 7, sums / np.where(GATES == 0, 1, GATES)))


@pytest.mark.parametrize("block", [1, 3, 7])
@pytest.mark.parametrize("threads", [1, 2, 4, 7])
def test_sum_examples(threads, block):
    """Fewer threads than units, or several threads per unit. With three threads, one sum has no pair."""
    problem, out = Problem(block), to_device(np.full(4 * block, 7.0))
    launched(epilogue.sum_examples, threads, *problem.lists, to_device(problem.packed(problem.values)), out, -0.5)
    np.testing.assert_array_equal(to_host(out), 7 - 0.5 * problem.values.sum(axis=0))


@pytest.mark.parametrize("examples", [1, 3, 5, 6])
def test_sums_of_lanes_are_added_in_pairs_whatever_their_number(examples):
    """There are two units, so six threads make three lanes, and five threads make two."""
    values = np.arange(2.0 * examples).reshape(examples, 2) ** 2
    lists = kernels.open_blocks(to_device(np.ones((examples, 1)))).lists
    for threads in (5, 6, 11):
        out = to_device(np.zeros(2))
        launched(epilogue.sum_examples, threads, lists, examples, 1, to_device(values), out, 1.0)
        np.testing.assert_array_equal(to_host(out), values.sum(axis=0))


@pytest.mark.parametrize("threads", [1, 5])
def test_gather_and_scatter(threads):
    problem, dense = Problem(), np.random.default_rng(1).integers(1, 9, (3, 12)).astype(float)
    values, back = to_device(np.full((12, BLOCK), 99.0)), to_device(np.full((3, 12), -1.0))
    launched(epilogue.gather, threads, *problem.lists, to_device(dense), values)
    np.testing.assert_array_equal(to_host(values), problem.packed(dense))
    launched(epilogue.scatter, threads, *problem.lists, values, back)
    np.testing.assert_array_equal(to_host(back), np.where(per_unit(GATES, BLOCK) != 0, dense, -1))
