"""The functions that `layers` calls on the CPU: they take arrays of any strides, and gates of any dtype."""

import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels import specification
from minigrad.kernels.compiler import serving
from minigrad.kernels.cpu import driver

pytestmark = pytest.mark.skipif(serving() != "numba", reason="Numba compiles nothing here")

LISTS = "indptr", "indices", "block_indptr", "examples", "positions"


def test_contiguous_copies_only_what_loops_cannot_walk():
    array = np.arange(6.0).reshape(2, 3)
    assert driver.contiguous(array) is array
    for awkward in (array.T, array[:, ::2], np.frombuffer(b"?" + array.tobytes(), np.float64, offset=1)):
        copy = driver.contiguous(awkward)
        assert copy.flags.c_contiguous
        assert copy.flags.aligned
        np.testing.assert_array_equal(copy, awkward)


def awkward(gates):
    """The same gates as they come, transposed, in every other column, and read-only."""
    wide = np.full((len(gates), 2 * gates.shape[1]), 9, gates.dtype)
    wide[:, ::2] = gates
    locked = gates.copy()
    locked.flags.writeable = False
    return gates, np.asfortranarray(gates), wide[:, ::2], locked


def unaligned(gates):
    """The same gates, beginning one byte after a place where a number may begin."""
    return np.frombuffer(b"?" + gates.tobytes(), gates.dtype, offset=1).reshape(gates.shape)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.bool_])
def test_lists_of_gates_of_any_dtype_and_layout(dtype):
    gates = (np.random.default_rng(0).random((5, 7)) < 0.4).astype(dtype)
    for given in (*awkward(gates), unaligned(gates)):
        with kernels.count_work() as work:
            blocks = driver.open_blocks(given)
        assert work.bytes == blocks.nbytes
        for name, wanted in zip(LISTS, specification.open_blocks(gates), strict=True):
            np.testing.assert_array_equal(getattr(blocks, name), wanted)
        assert blocks.binary


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.bool_])
def test_the_lists_are_compiled_once_for_all_layouts(monkeypatch, dtype):
    """Numba compiles a kernel again for another layout, which takes seconds; a copy takes none."""
    gates, seen = np.eye(3, dtype=dtype), []
    count_open = driver.lists.count_open

    def noted(gates, counts):
        seen.append(gates)
        return count_open(gates, counts)

    monkeypatch.setattr(driver.lists, "count_open", noted)
    writeable_between = np.zeros(gates.nbytes + 1, np.uint8)[1:].view(dtype).reshape(3, 3)
    for given in (*awkward(gates), unaligned(gates), writeable_between):
        driver.open_blocks(given)
        flags = seen[-1].flags
        assert (flags.c_contiguous, flags.aligned, flags.writeable) == (True, True, True)
        assert seen[-1].dtype == (np.uint8 if dtype == np.bool_ else dtype)
    assert np.shares_memory(seen[0], gates)         # an ordinary array is used as it lies


def test_gates_are_binary_only_if_each_is_0_or_1():
    assert driver.open_blocks(np.array([[0.0, 1.0]])).binary
    assert not driver.open_blocks(np.array([[0.0, 1 - 1e-9]])).binary
    assert not driver.open_blocks(np.array([[-1.0, 1.0]])).binary


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_gates_have_to_be_finite(bad):
    with pytest.raises(ValueError, match="gates: expected finite"):
        driver.open_blocks(np.array([[1.0, bad]]))
    with pytest.raises(ValueError, match="gates: expected finite"):
        driver.values_and_blocks(np.ones((1, 2)), np.ones((2, 2)), None, np.array([[1.0, bad]]), 1)


def test_a_huge_gate_is_finite():
    """Its square overflows, so the quick test is not enough."""
    assert driver.open_blocks(np.array([[1e200, 0.0]])).n_open == 1


@pytest.mark.parametrize("bias", [None, np.array([1.0, -1.0, 2.0, 0.5, 0.0, 3.0])])
@pytest.mark.parametrize("gates", [[[1.0, 0, 1]], [[0.5, 0, -2]], [[0.0, 0, 0]]])
def test_one_example(gates, bias):
    gates, x = np.array(gates), np.array([[1.0, 2, -1]])
    weight = np.arange(18.0).reshape(6, 3)
    with kernels.count_work() as work:
        values, blocks = driver.values_and_blocks(x, weight, bias, gates, 2)
    assert work.bytes == values.nbytes + blocks.nbytes
    assert work.blocks == blocks.n_open
    assert len(values) == blocks.n_open == np.count_nonzero(gates)
    np.testing.assert_array_equal(blocks.scatter(values), specification.gated_linear(x, weight, bias, gates, 2))


def problem():
    gates = np.array([[0.5, 0, -2], [0, 0, 4]])
    values = np.arange(1.0, 7).reshape(3, 2)
    return gates, values, driver.open_blocks(gates)


def test_bias_and_gates_of_any_strides():
    gates, values, blocks = problem()
    bias = np.arange(12.0)[::2]
    added = values.copy()
    driver.add_bias(added, bias, blocks)
    np.testing.assert_array_equal(blocks.scatter(added - values), specification.per_unit(gates != 0, 2) * bias)
    scaled = np.empty_like(values)
    driver.scale(values, np.asfortranarray(gates), blocks, scaled)
    np.testing.assert_array_equal(scaled, values * [[0.5], [-2], [4]])


def test_sums_are_added_to_a_target_of_any_strides():
    _, values, blocks = problem()
    wide = np.full(12, 7.0)
    driver.sum_examples(values, blocks, wide[::2], -0.5)
    np.testing.assert_array_equal(wide[::2], 7 - 0.5 * np.array([1, 2, 0, 0, 3 + 5, 4 + 6]))
    assert (wide[1::2] == 7).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gate_products_are_computed_in_the_dtype_of_the_cotangent(dtype):
    gates, values, blocks = problem()
    out = np.zeros((2, 3), dtype)
    driver.gate_products(np.ones_like(values, dtype), values.astype(dtype), gates, blocks, out)
    np.testing.assert_array_equal(out, [[3 / 0.5, 0, 7 / -2], [0, 0, 11 / 4]])
