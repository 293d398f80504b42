"""OpenBlocks on the device: the numbers that the host can read, and when it waits for the device."""

import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels import specification
from minigrad.kernels.device.transfer import to_device, to_host


def random_gates(shape, density=0.4, dtype=np.float32):
    return (np.random.default_rng(sum(shape)).random(shape) < density).astype(dtype)


def test_only_questions_take_transfers():
    gates = to_device(random_gates((6, 5)))
    with kernels.count_work() as work:
        blocks = kernels.open_blocks(gates)
        blocks.tiles(4)
        assert work.transfers == 0
        assert work.bytes == blocks.nbytes + blocks.tiles(4).nbytes + 4 * (5 + 1)
        n_open = blocks.n_open
        assert work.transfers == 1
        assert "density" in repr(blocks)
        assert blocks.density == n_open / 30
        assert work.transfers == 1
        assert blocks.same_as(blocks)
        assert work.transfers == 1
        assert blocks.same_as(kernels.open_blocks(gates))
        assert not blocks.same_as(kernels.open_blocks(gates * 0))
        assert work.transfers == 5
    assert not blocks.same_as(kernels.open_blocks(to_host(gates)))


@pytest.mark.parametrize("block", [1, 3])
def test_gather_and_scatter_are_those_of_the_host_without_a_transfer(block):
    gates = random_gates((6, 5))
    dense = np.random.default_rng(0).standard_normal((6, 5 * block))
    blocks, there = kernels.open_blocks(to_device(gates)), to_device(dense)
    with kernels.count_work() as work:
        values = blocks.gather(there, block)
        back = blocks.scatter(values)
    assert work.transfers == 0
    assert work.bytes == values.nbytes + back.nbytes
    n_open = np.count_nonzero(gates)
    assert work.blocks == n_open
    expected = kernels.open_blocks(gates).gather(dense, block)
    np.testing.assert_array_equal(to_host(values)[:n_open], expected)
    assert not to_host(values)[n_open:].any()
    np.testing.assert_array_equal(to_host(back), dense * specification.per_unit(gates, block))
