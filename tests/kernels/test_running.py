"""Threads, counters, first use: how kernels run, apart from what they compute."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels.cpu import dispatch, jit, plain, threads
from minigrad.kernels.cpu.vectors import VECTOR_BYTES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def keep_thread_count():
    before = kernels.get_num_threads()
    yield
    kernels.set_num_threads(before)


def everything(x, weight, gates, g, block):
    """The results of every kernel that is cut for threads."""
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


@pytest.mark.parametrize("bias", [None, np.linspace(-1, 1, 24)])
def test_one_example_in_one_call_gives_the_same_bits(bias):
    rng = np.random.default_rng(4)
    x, weight = rng.standard_normal((1, 50)), rng.standard_normal((24, 50))
    gates = rng.random((1, 6)) * (rng.random((1, 6)) < 0.5)
    one = kernels.gated_linear(x, weight, bias, gates, 4)
    steps = kernels.gated_linear(x, weight, bias, gates, 4, kernels.open_blocks(gates))
    assert one.blocks.same_as(steps.blocks)
    np.testing.assert_array_equal(one.values, steps.values)


def test_an_example_does_not_depend_on_its_neighbours():
    rng = np.random.default_rng(1)
    x, weight = rng.standard_normal((30, 50)), rng.standard_normal((24, 50))
    gates = (rng.random((30, 6)) < 0.5).astype(float)
    whole = kernels.gated_linear(x, weight, None, gates, 4).to_dense()
    for low, high in ((0, 1), (1, 9), (9, 30)):
        part = kernels.gated_linear(x[low:high], weight, None, gates[low:high], 4).to_dense()
        np.testing.assert_allclose(part, whole[low:high], rtol=1e-15 if VECTOR_BYTES else 1e-12)


@pytest.mark.parametrize(("count", "error"), [(0, ValueError), (-1, ValueError), (1.0, TypeError), (True, TypeError)])
def test_bad_thread_counts(count, error):
    with pytest.raises(error):
        kernels.set_num_threads(count)


def test_an_error_in_a_thread_is_raised(monkeypatch, keep_thread_count):
    kernels.set_num_threads(2)

    def fails_early(start, stop):
        if start == 0:
            raise RuntimeError("in a thread")

    with pytest.raises(RuntimeError, match="in a thread"):
        threads.run(fails_early, [(0, 1), (1, 2)])


def step_of_two_gated_layers(density):
    """Forward and backward of two gated layers with elementwise functions; the work they took."""
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


def run(code, **environment):
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **environment},
                          capture_output=True, text=True, check=True)


def test_importing_loads_numpy_only():
    code = ("import sys, minigrad.kernels as k; u = k.philox_uniforms(0, 0, 0, 0, (4, 4)); "
            "k.bernoulli_gates(u, u); print('numba' in sys.modules or 'scipy' in sys.modules)")
    assert run(code).stdout == "False\n"


def test_compiling_is_announced_once_and_kept(tmp_path):
    code = "import numpy, minigrad.kernels as k; print(k.open_blocks(numpy.eye(3)).n_open)"
    cold = run(code, NUMBA_CACHE_DIR=str(tmp_path))
    warm = run(code, NUMBA_CACHE_DIR=str(tmp_path))
    assert cold.stdout == warm.stdout == "3\n"
    assert cold.stderr.count("compiling") == 1
    assert warm.stderr == ""


@pytest.mark.skipif(VECTOR_BYTES < 32, reason="this processor has no vectors of 32 bytes")
def test_vector_tile_on_narrower_vectors(tmp_path):
    """The tile for AVX2, which processors with AVX-512 can run too."""
    features = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,+bmi,+bmi2,+sse4.2"}
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/kernels/test_layers.py",
         "-k", "vector and float32 and real"],
        cwd=ROOT, env={**os.environ, **features, "NUMBA_CACHE_DIR": str(tmp_path)}, capture_output=True,
        text=True, check=False)
    assert tests.returncode == 0, tests.stdout + tests.stderr


def test_no_folder_for_the_cache(monkeypatch):
    real = numba.njit

    def refusing(cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    monkeypatch.setattr(numba, "njit", refusing)

    @jit.kernel
    def double(x):
        return 2 * x

    assert double(3) == 6


def test_division_by_0_is_numpys():
    @jit.kernel
    def ratio(x, y):
        return x / y

    assert ratio(1.0, 0.0) == np.inf
    assert np.isnan(ratio(0.0, 0.0))


def test_warmup_covers_both_dtypes_and_refuses_others():
    kernels.warmup(np.float32)
    kernels.warmup(np.float64)
    with pytest.raises(TypeError, match="float16"):
        kernels.warmup(np.float16)


def test_the_folder_is_not_a_package_of_its_own():
    failed = subprocess.run([sys.executable, "-c", "import kernels"], cwd=ROOT, capture_output=True, text=True,
                            check=False)
    assert "import minigrad.kernels" in failed.stderr
