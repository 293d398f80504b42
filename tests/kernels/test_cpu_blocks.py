"""OpenBlocks on the CPU: the lists by block are made when they are needed, and only then."""

import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels import specification
from minigrad.kernels.cpu import dispatch


def test_lists_by_block_are_made_once_and_counted():
    gates = np.random.default_rng(0).random((6, 5)) < 0.5
    with kernels.count_work() as work:
        blocks = kernels.open_blocks(gates)
        assert work.bytes == blocks.nbytes == 4 * (7 + 6 + gates.sum())
        examples = blocks.examples
        assert blocks.examples is examples
        assert work.bytes == blocks.nbytes == 4 * (7 + 6 + 3 * gates.sum())
    np.testing.assert_array_equal([blocks.examples, blocks.positions], specification.open_blocks(gates)[3:])


@pytest.mark.parametrize("density", [0.9, 1.0])
def test_products_of_blas_need_no_lists_by_block(density, monkeypatch):
    monkeypatch.setattr(dispatch, "dense_is_faster", lambda *case: True)
    rng = np.random.default_rng(1)
    gates = (rng.random((16, 8)) < density).astype(float)
    x, weight, bias = rng.standard_normal((16, 5)), rng.standard_normal((16, 5)), rng.standard_normal(16)
    out = kernels.gated_linear(x, weight, bias, gates, 2)
    g = out.with_values(rng.standard_normal(out.values.shape))
    kernels.gated_linear_dx(g, weight, gates, out.blocks, 2)
    kernels.gated_linear_dw(g, x, gates, out.blocks, 2)
    kernels.gated_linear_db(g, gates, out.blocks, 2)
    kernels.gated_linear_sgd(g, x, gates, out.blocks, weight, bias, 0.1)
    assert out.blocks.nbytes == 4 * (17 + 9 + np.count_nonzero(gates))


@pytest.mark.parametrize("density", [0.7, 1.0])
@pytest.mark.parametrize("bias", [None, 1])
def test_a_dense_step_is_the_step_of_the_specification(density, bias, monkeypatch):
    rng = np.random.default_rng(2)
    gates = (rng.random((40, 8)) < density).astype(float)
    x, weight = rng.standard_normal((40, 70)), rng.standard_normal((24, 70))
    bias = None if bias is None else rng.standard_normal(24)
    g = rng.standard_normal((40, 24))
    per_unit = np.repeat(gates, 3, axis=1)
    expected = weight - 0.1 * (per_unit * g).T @ x
    expected_bias = None if bias is None else bias - 0.1 * (per_unit * g).sum(axis=0)
    monkeypatch.setattr(dispatch, "dense_is_faster", lambda *case: True)
    monkeypatch.setattr(dispatch, "cache_bytes", lambda level: 8 * 32 * 70 * 8)     # rows go by in parts of 32, then 8
    monkeypatch.setattr(dispatch, "_dense_step", counted(dispatch._dense_step, calls := []))
    kernels.gated_linear_sgd(g, x, gates, kernels.open_blocks(gates), weight, bias, 0.1)
    assert calls
    np.testing.assert_allclose(weight, expected, rtol=1e-12)
    if bias is not None:
        np.testing.assert_allclose(bias, expected_bias, rtol=1e-12)


def test_a_block_that_no_example_opens_keeps_its_weight(monkeypatch):
    """Also where the product would be 0 · inf."""
    monkeypatch.setattr(dispatch, "dense_is_faster", lambda *case: True)
    gates = np.ones((20, 3))
    gates[:, 1] = 0
    x = np.full((20, 4), np.inf)
    weight = np.ones((3, 4))
    kernels.gated_linear_sgd(np.ones((20, 3)), x, gates, kernels.open_blocks(gates), weight, None, 0.1)
    np.testing.assert_array_equal(weight, [[-np.inf] * 4, [1] * 4, [-np.inf] * 4])


def test_results_where_all_blocks_are_open_are_not_shared(monkeypatch):
    """Packing and unpacking by a user returns a copy, even if nothing has to be moved."""
    gates, dense = np.ones((3, 2)), np.arange(12.0).reshape(3, 4)
    packed = kernels.Packed.gather(dense, kernels.open_blocks(gates), 2)
    assert not np.shares_memory(packed.values, dense)
    assert not np.shares_memory(packed.to_dense(), packed.values)


def counted(function, calls):
    def call(*arguments):
        calls.append(arguments)
        return function(*arguments)

    return call
