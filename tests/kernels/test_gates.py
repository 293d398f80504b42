"""From gate arrays to lists of open blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from minigrad.kernels import open_blocks, specification

LISTS = ("indptr", "indices", "block_indptr", "examples", "positions")


@settings(deadline=None)  # the first example compiles
@given(arrays.arrays(st.sampled_from([np.float32, np.float64, np.bool_]),
                     st.tuples(st.integers(0, 9), st.integers(0, 9)), elements=st.sampled_from([0, 1])))
def test_lists_agree_with_the_specification(gates):
    blocks = open_blocks(gates)
    for name, wanted in zip(LISTS, specification.open_blocks(gates), strict=False):
        got = getattr(blocks, name)
        assert got.dtype == np.int32
        np.testing.assert_array_equal(got, wanted, err_msg=name)
    assert blocks.binary
    assert blocks.n_open == np.count_nonzero(gates)


def test_lists_of_views():
    gates = np.random.default_rng(0).random((6, 8)) < 0.5
    for view in (gates[::2, 1:], gates.T, np.broadcast_to(gates[0], (4, 8))):
        for name, wanted in zip(LISTS, specification.open_blocks(view), strict=False):
            np.testing.assert_array_equal(getattr(open_blocks(view), name), wanted)


def test_real_gates_are_not_binary():
    assert not open_blocks(np.array([[0.0, 0.5]])).binary
    assert not open_blocks(np.array([[-1.0]])).binary


@pytest.mark.parametrize(("gates", "error", "words"), [
    ([[1.0]], TypeError, "asarray"),
    (np.ones((2, 2), np.float16), TypeError, "float16"),
    (np.ones(3), ValueError, "reshape"),
    (np.array([[1.0, np.inf]]), ValueError, r"inf at \(0, 1\)"),
    (np.broadcast_to(np.True_, (2**16, 2**15)), ValueError, "split the batch"),
])
def test_bad_gates(gates, error, words):
    with pytest.raises(error, match=words):
        open_blocks(gates)
