"""The compiled functions of inner loops, compared with NumPy in double or extended precision."""

import numpy as np
import pytest

from minigrad.kernels.cpu import elementary
from minigrad.kernels.cpu.jit import kernel


@kernel
def exponentials(x, out):
    for i in range(len(x)):
        out[i] = elementary.exp(x[i])


@kernel
def maxima(rows, out):
    for i in range(len(rows)):
        out[i] = elementary.largest(rows[i])


def exp(x):
    out = np.empty_like(x)
    exponentials(x, out)
    return out


@pytest.mark.parametrize(("dtype", "low", "high"), [(np.float32, -86.9, 80), (np.float64, -707.9, 700)])
def test_exp_is_right_to_two_units_in_the_last_place(dtype, low, high):
    x = np.linspace(low, high, 100_003).astype(dtype)
    x = np.concatenate([x, -x[np.abs(x) < 1] / 1000, [0]]).astype(dtype)
    error = exp(x) / np.exp(x.astype(np.float64 if dtype == np.float32 else np.longdouble)) - 1
    assert np.abs(error).max() <= (2 if np.finfo(np.longdouble).eps < 1e-18 or dtype == np.float32 else 4) * np.finfo(
        dtype).eps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exp_of_special_numbers(dtype):
    x = np.array([0, -np.inf, np.nan, -1000, -0.0], dtype).repeat(20)      # in vectors, and in what is left over
    np.testing.assert_array_equal(exp(x), np.array([1, 0, np.nan, 0, 1], dtype).repeat(20))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 7, 100])
def test_the_maximum_of_numbers_of_every_sign_and_size(dtype, count):
    rng = np.random.default_rng(0)
    rows = (rng.standard_normal((200, count)) * 10.0 ** rng.integers(-30, 30, (200, 1))).astype(dtype)
    rows[::3] = -np.abs(rows[::3])
    rows[1] = -np.inf
    rows[2, 0] = np.inf
    rows[3] = -0.0
    out = np.empty(200, dtype)
    maxima(rows, out)
    np.testing.assert_array_equal(out, rows.max(axis=1))


@pytest.mark.parametrize("at", [0, 7, 40, None])
def test_one_number_that_is_not_0_is_found(at):
    row = np.zeros(41)
    row[3] = -0.0
    if at is not None:
        row[at] = np.nan if at == 7 else 1e-300
    assert elementary.any_not_zero(row) == (at is not None)
