"""The functions that `layers` calls for device arrays: any strides, and zeros in the rows after the open blocks."""

import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels import Packed, specification
from minigrad.kernels.cuda import driver
from minigrad.kernels.device.transfer import to_device, to_host
from tests.cuda.product_checks import packed

GATES = np.array([[1.0, 0, 1], [0, 0, 1]])
WEIGHT, X = np.arange(24.0).reshape(6, 4), np.array([[1.0, -2, 0, 3], [2, 1, -1, 0]])
G = np.arange(12.0).reshape(2, 6) * specification.per_unit(GATES, 2)


def across(array):
    """The same numbers on the device, in every second column of an array, so that rows have gaps."""
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    return to_device(wide)[..., ::2]


@pytest.fixture(params=[to_device, across], ids=["contiguous", "with gaps"])
def there(request):
    return request.param


def open_blocks(gates=GATES):
    return driver.open_blocks(to_device(gates))


def test_lists_and_what_is_known_of_them(there):
    for gates in (GATES, GATES.astype(np.float32), GATES != 0):
        given = there(gates)
        with kernels.count_work() as work:
            blocks = driver.open_blocks(given)
        assert work.bytes == blocks.nbytes
        assert work.transfers == 0
        assert blocks.binary == (gates.dtype == np.bool_)
        np.testing.assert_array_equal(to_host(blocks.indices)[:3], [0, 2, 2])


def test_an_empty_array_is_counted():
    with kernels.count_work() as work:
        array = driver.empty((3, 2), np.float32)
    assert (array.shape, array.dtype, work.bytes) == ((3, 2), np.float32, 24)


def test_no_call_is_special_for_one_example():
    assert driver.in_one_call(to_device(X[:1]), to_device(WEIGHT), None, to_device(GATES[:1])) is False


def test_products(there):
    blocks, x, weight, g = open_blocks(), there(X), there(WEIGHT), to_device(packed(G, GATES, 2))
    out, gradient, step = to_device(np.ones((2, 4))), there(np.full((6, 4), 9.0)), there(np.ones((6, 4)))
    with kernels.count_work() as work:
        values = driver.sdd(x, weight, blocks, 2)
        assert driver.dsd(g, weight, blocks, out) is out
        driver.dw(g, x, blocks, gradient, 0, 1)
        driver.dw(g, x, blocks, step, 1, -0.5)
    assert work.transfers == 0
    assert work.blocks == 4 * 3
    np.testing.assert_array_equal(to_host(values), packed(specification.sdd(X, WEIGHT, GATES, 2), GATES, 2))
    np.testing.assert_array_equal(to_host(out), 1 + G @ WEIGHT)
    np.testing.assert_array_equal(to_host(gradient), G.T @ X)
    np.testing.assert_array_equal(to_host(step), 1 - 0.5 * G.T @ X)


def test_products_of_packed_inputs(there):
    x_gates = np.array([[1.0, 0], [1, 1]])
    x = X * specification.per_unit(x_gates, 2)
    blocks, x_blocks = open_blocks(), open_blocks(x_gates)
    units = Packed(to_device(packed(x, x_gates, 2)), x_blocks, 2)
    with kernels.count_work() as work:
        values = driver.sdd_both(units, there(WEIGHT), blocks, 2)
        back = driver.dsd_both(to_device(packed(G, GATES, 2)), there(WEIGHT), blocks, x_blocks, 2)
        out = there(np.ones((6, 4)))
        driver.dw_both(to_device(packed(G, GATES, 2)), units, blocks, out, -0.5)
    assert work.blocks == 3 * (2 * 1 + 1 * 2)       # pairs of open blocks, example by example
    np.testing.assert_array_equal(to_host(values), packed(specification.sdd(x, WEIGHT, GATES, 2), GATES, 2))
    np.testing.assert_array_equal(to_host(back), packed(specification.dsd(G, WEIGHT), x_gates, 2))
    np.testing.assert_array_equal(to_host(out), 1 - 0.5 * G.T @ x)


def test_bias_gates_and_their_sums(there):
    gates = GATES * [[0.5, 1, -2], [1, 1, 4]]
    blocks, values = open_blocks(gates), packed(G + specification.per_unit(GATES, 2), GATES, 2)
    bias = np.arange(6.0)
    added, scaled = to_device(values), driver.zeros(values.shape, float)
    driver.add_bias(added, there(bias), blocks)
    wanted = values.copy()
    wanted[:3] += [[0, 1], [4, 5], [4, 5]]
    np.testing.assert_array_equal(to_host(added), wanted)
    driver.scale(to_device(values), there(gates), blocks, scaled)
    np.testing.assert_array_equal(to_host(scaled)[:3], values[:3] * [[0.5], [-2], [4]])
    sums = there(np.full(6, 7.0))
    driver.sum_examples(to_device(values), blocks, sums, -0.5)
    np.testing.assert_array_equal(to_host(sums), 7 - 0.5 * (G + specification.per_unit(GATES, 2)).sum(axis=0))
    for dtype in (np.float32, np.float64):
        found = driver.zeros((2, 3), dtype)
        driver.gate_products(to_device(np.ones_like(values, dtype)), to_device(values.astype(dtype)), there(gates),
                             blocks, found)
        per_block = (G + specification.per_unit(GATES, 2)).reshape(2, 3, 2).sum(axis=2)
        np.testing.assert_array_equal(to_host(found), per_block / np.where(gates == 0, 1, gates))


@pytest.mark.parametrize("seed", [3, 3 << 32, (5 << 32) + 3])
def test_a_seed_has_two_words(seed):
    found = driver.uniforms(seed, 1, 2, 3, (2, 5), np.float64)
    np.testing.assert_array_equal(to_host(found), kernels.philox_uniforms(seed, 1, 2, 3, (2, 5)))


def test_gates_of_any_strides(there):
    logits, u = np.array([[0.0, 2, -2], [1, -1, 0]]), np.array([[0.4, 0.9, 0.1], [0.7, 0.3, 0.6]])
    found = driver.bernoulli_gates(there(logits), there(u))
    np.testing.assert_array_equal(to_host(found), u < 1 / (1 + np.exp(-logits)))
