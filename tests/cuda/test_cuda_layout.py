"""The positions of bits and lists in their buffers."""

import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels.cuda import layout
from minigrad.kernels.device.transfer import to_device, to_host


def random_gates(shape, density=0.4, dtype=np.float32):
    return (np.random.default_rng(sum(shape)).random(shape) < density).astype(dtype)


def test_bits_tell_whether_and_where_an_entry_is():
    gates = random_gates((35, 40))
    blocks = kernels.open_blocks(to_device(gates))
    masks = layout.bits.py_func(to_host(blocks.masks), *gates.shape)[0]
    starts = layout.starts.py_func(to_host(blocks.lists), *gates.shape)[0]
    positions = np.cumsum(gates.ravel()) - 1
    for (i, j), gate in np.ndenumerate(gates):
        word, bit = masks[j // 32 * 35 + i], np.uint32(j % 32)
        assert (word >> bit) & np.uint32(1) == gate
        if gate:
            below = int(word) & ((1 << int(bit)) - 1)
            assert starts[j // 32 * 35 + i] + below.bit_count() == positions[i * 40 + j]


@pytest.mark.parametrize("word", [0, 1, 0b1011, 0x80000001, 0xFFFFFFFF])
def test_ones_and_ones_below(word):
    """This runs their source in Python. The simulator and GPUs run the same source in every kernel."""
    assert layout.ones.py_func(np.uint32(word)) == word.bit_count()
    for bit in (0, 1, 3, 31):
        assert layout.ones_below.py_func(np.uint32(word), bit) == (word & ((1 << bit) - 1)).bit_count()
