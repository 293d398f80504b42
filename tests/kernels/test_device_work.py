"""Counts of memory and of blocks."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import kernels
from minigrad.kernels.device import work


def step_of_two_gated_layers(density):
    """Forward and backward of two gated layers with elementwise functions.  Returns the counted work."""
    rng = np.random.default_rng(2)
    examples, inputs, count, block = 50, 16, 40, 16
    width = count * block

    def gates():
        flat = np.zeros(examples * count, np.float32)
        flat[:int(density * flat.size)] = 1
        return rng.permutation(flat).reshape(examples, count)

    x = rng.standard_normal((examples, inputs)).astype(np.float32)
    first = rng.standard_normal((width, inputs)).astype(np.float32)
    second = rng.standard_normal((width, width)).astype(np.float32)
    gates_1, gates_2 = gates(), gates()
    with kernels.count_work() as work:
        blocks_1, blocks_2 = kernels.open_blocks(gates_1), kernels.open_blocks(gates_2)
    lists = work.bytes
    with kernels.count_work() as work:
        a = kernels.gated_linear(x, first, None, gates_1, block, blocks_1)
        h = np.maximum(a, 0)
        b = kernels.gated_linear(h, second, None, gates_2, block, blocks_2)
        y = np.tanh(b)
        db = y * (1 - density) - y * y * y
        kernels.gated_linear_sgd(db, h, gates_2, blocks_2, second, None, 0.1)
        dh = kernels.gated_linear_dx(db, second, gates_2, blocks_2, block, x_blocks=blocks_1)
        da = dh * (a > 0)
        kernels.gated_linear_sgd(da, x, gates_1, blocks_1, first, None, 0.1)
    return lists, work.bytes, work.blocks


def test_work_follows_density():
    lists_1, bytes_1, blocks_1 = step_of_two_gated_layers(0.05)
    lists_2, bytes_2, blocks_2 = step_of_two_gated_layers(0.1)
    # Lists have a part per example and block that does not depend on the gates.
    assert lists_2 < 2 * lists_1
    assert bytes_2 == 2 * bytes_1
    assert blocks_1 > 0
    # Pairs of open blocks grow with both densities, the rest with one.
    assert 2 <= blocks_2 / blocks_1 <= 4
    assert bytes_1 < 14 * 0.06 * 50 * 640 * 4  # fourteen packed arrays at most, none dense


@pytest.mark.parametrize("shape", [(3,), (1 << 15,), (300, 301)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_are_counted_and_large_ones_start_at_multiples_of_64_bytes(shape, dtype):
    with kernels.count_work() as counted:
        arrays = [make(shape, np.dtype(dtype)) for make in (work.empty, work.zeros)]
    assert counted.bytes == sum(array.nbytes for array in arrays)
    assert all((array.shape, array.dtype) == (shape, dtype) for array in arrays)
    assert not arrays[1].any()
    if arrays[0].nbytes >= 1 << 16:
        assert arrays[0].ctypes.data % 64 == 0


def test_blocks_that_are_known_later_are_asked_for_once():
    asked = []
    with kernels.count_work() as counted:
        work.touched(2)
        work.touched(lambda: asked.append(1) or 3)
        work.transferred()
    assert asked == []
    assert (counted.blocks, counted.blocks, counted.transfers, asked) == (5, 5, 1, [1])


@pytest.mark.parametrize("order", ["C", "F"])
def test_large_arrays_of_the_library_start_where_wide_vectors_are_loaded_fastest(order):
    room = np.zeros(300 * 101 + 1)
    for start in (0, 1):        # one of them does not start at a multiple of 64 bytes
        array = room[start:start + 300 * 101].reshape((300, 101), order=order)
        array[...] = np.random.default_rng(0).standard_normal((300, 101))
        made = [work.aligned(array), work.aligned_copy(array), mg.tensor(array).data,
                mg.tensor(array, requires_grad=True).data]
        for result in made:
            assert result.ctypes.data % 64 == 0
            assert result.strides == array.strides
            np.testing.assert_array_equal(result, array)
        assert not np.shares_memory(made[1], array)
        assert work.aligned(made[0]) is made[0]
    for layer in (mg.nn.Linear(300, 101, mg.Generator(0), gated_inputs=order == "F"),
                  mg.nn.GatedLinear(300, 101, mg.Generator(0))):
        assert layer.weight.data.ctypes.data % 64 == 0


def test_small_arrays_are_left_where_they_are():
    array = np.zeros(9)[1:]
    assert work.aligned(array) is array
    assert not np.shares_memory(work.aligned_copy(array), array)
