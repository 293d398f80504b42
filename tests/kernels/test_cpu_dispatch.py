"""How products are divided among threads, and the choice of the way to compute them."""

import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels.cpu import dispatch, plain, threads
from minigrad.kernels.cpu.vectors import VECTOR_BYTES


@pytest.fixture
def keep_thread_count():
    before = kernels.get_num_threads()
    yield
    kernels.set_num_threads(before)


def everything(x, weight, gates, g, block):
    """The results of every kernel that is divided among threads."""
    out = kernels.gated_linear(x, weight, None, gates, block)
    blocks = out.blocks
    stepped = weight.copy()
    kernels.gated_linear_sgd(g, x, gates, blocks, stepped, None, 0.1)
    above = kernels.gated_linear(out, weight[:6, :1] @ np.ones((1, out.shape[1]), x.dtype), None,
                                 gates[:, :2], 3)
    wide = np.ones((6, out.shape[1]), x.dtype)
    return [out.values, kernels.gated_linear_dx(g, weight, gates, blocks, block),
            kernels.gated_linear_dw(g, x, gates, blocks, block), stepped, above.values,
            kernels.gated_linear_dx(above, wide, gates[:, :2], above.blocks, 3, blocks).values,
            kernels.gated_linear_dw(above, out, gates[:, :2], above.blocks, 3)]


@pytest.mark.parametrize("tile", ["plain", "vector"])
@pytest.mark.parametrize("block", [1, 4])
def test_same_bits_for_any_number_of_threads(tile, block, monkeypatch, keep_thread_count):
    if tile == "plain":
        monkeypatch.setattr(dispatch, "tile", plain)
    elif not VECTOR_BYTES:
        pytest.skip("this processor has no wide vectors")
    monkeypatch.setattr(threads, "_WORTH_SHARING", 0)
    monkeypatch.setattr(dispatch, "dense_is_faster", lambda *case: False)
    rng = np.random.default_rng(0)
    examples, inputs, count = 41, 700, 20
    x = rng.standard_normal((examples, inputs)).astype(np.float32)
    weight = rng.standard_normal((count * block, inputs)).astype(np.float32)
    weight = np.concatenate([weight, weight[:6]])[:count * block]
    g = rng.standard_normal((examples, count * block)).astype(np.float32)
    gates = rng.random((examples, count)).astype(np.float32) * (rng.random((examples, count)) < 0.4)
    kernels.set_num_threads(1)
    alone = everything(x, weight, gates, g, block)
    for count_of_threads in (2, 3, 7):
        kernels.set_num_threads(count_of_threads)
        for one, many in zip(alone, everything(x, weight, gates, g, block), strict=True):
            np.testing.assert_array_equal(one, many)


def blocks_of_density(density, examples=128, count=64):
    return kernels.open_blocks(np.random.default_rng(0).random((examples, count)) < density)


@pytest.mark.parametrize("block", [1, 4])
def test_both_ways_compute_the_same(block, monkeypatch):
    rng = np.random.default_rng(3)
    x, weight = rng.standard_normal((70, 90)), rng.standard_normal((64 * block, 90))
    blocks = blocks_of_density(0.9, examples=70)
    results = []
    for dense in (True, False):
        monkeypatch.setattr(dispatch, "dense_is_faster", lambda *case, dense=dense: dense)
        values = dispatch.sdd(x, weight, blocks, block)
        out = dispatch.dsd(values, weight, blocks, np.ones((70, 90)))
        gradient = np.ones_like(weight)
        dispatch.dw(values, x, blocks, gradient, 0, 1)
        results.append((values, out, gradient))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11)


def test_an_example_does_not_depend_on_its_neighbours():
    rng = np.random.default_rng(1)
    x, weight = rng.standard_normal((30, 50)), rng.standard_normal((24, 50))
    gates = (rng.random((30, 6)) < 0.5).astype(float)
    whole = kernels.gated_linear(x, weight, None, gates, 4).to_dense()
    for low, high in ((0, 1), (1, 9), (9, 30)):
        part = kernels.gated_linear(x[low:high], weight, None, gates[low:high], 4).to_dense()
        np.testing.assert_allclose(part, whole[low:high], rtol=1e-15 if VECTOR_BYTES else 1e-12)
