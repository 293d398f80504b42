"""Every kernel for CUDA compiles to the intended code, for compute capabilities 8.0 and 9.0.  No GPU is needed."""

import json
import subprocess
import sys

import numba
import pytest

from tests import cuda_ptx

PTXAS, MISSING = cuda_ptx.toolkit()
pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(MISSING is not None, reason=f"cannot compile kernels for CUDA: {MISSING}")]

#: The kernels that are there for speed, all with a maker, and so with a tile.
FAST = {"tile.sdd", "pairs.sdd", "masked.product", "tile.dw"}

#: The files of the kernels for random numbers.
RANDOM = "philox.", "noise."


@pytest.fixture(scope="module")
def rows():
    told = subprocess.run([sys.executable, "-m", "tests.cuda_ptx", "--json"], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    return [json.loads(line) for line in told.stdout.splitlines()]


def offenders(rows, wrong):
    return [(row["kernel"], row["dtype"], row["capability"], row["tile"]) for row in rows if wrong(row)]


def test_the_fast_kernels_are_compiled_for_both_capabilities_and_dtypes(rows):
    found = {(row["kernel"], row["capability"], row["dtype"]) for row in rows}
    assert {(kernel, capability, dtype) for kernel in FAST for capability in ("sm_80", "sm_90")
            for dtype in ("float32", "float64")} <= found


def test_nothing_is_spilled(rows):
    assert not offenders(rows, lambda row: row["spilled"] or row["stack"])


def test_what_is_launched_fits_a_multiprocessor(rows):
    """Registers come in eights for each thread; of 65,536 the fast kernels leave room for another block."""
    def blocks(row):
        return 65536 // (-(-row["registers"] // 8) * 8 * row["threads"])

    assert not offenders(rows, lambda row: row["threads"] > 1024 or row["threads"] % 32)
    assert not offenders(rows, lambda row: row["registers"] > 255 or row["shared"] > 48 * 1024 or blocks(row) < 1)
    assert not offenders(rows, lambda row: row["kernel"] in FAST and row["dtype"] == "float32" and blocks(row) < 2)


def test_numbers_are_loaded_by_fours_where_rows_allow_it(rows):
    fast = [row for row in rows if row["kernel"] in FAST and row["dtype"] == "float32"]
    if numba.version_info.short < (0, 65) and not any(row["wide global loads"] for row in fast):
        pytest.skip(f"Numba {numba.__version__} makes no wide loads of global memory in any kernel")
    assert not offenders(fast, lambda row: row["tile"]["VECTOR"] != bool(row["wide global loads"]))
    assert not offenders(fast, lambda row: not row["wide shared loads"])
    assert {row["tile"]["VECTOR"] for row in fast} == {True, False}


def test_shared_arrays_end_where_fours_begin(rows):
    """Shared arrays follow one another in memory, and are read 16 bytes at a time."""
    assert not offenders(rows, lambda row: row["kernel"] in FAST and any(size % 16 for size in row["shared arrays"]))


def test_single_precision_is_single_throughout(rows):
    """Only random numbers and gates are in double precision for every dtype, so that all devices agree."""
    assert not offenders(rows, lambda row: row["dtype"] == "float32" and row["doubles"]
                         and not row["kernel"].startswith(RANDOM))


def test_sums_are_never_atomic(rows):
    assert not offenders(rows, lambda row: row["atomics on floats"])


def test_random_bits_are_those_of_the_cpu(rows):
    """A multiply and an add that are fused round once instead of twice, and decide other gates.

    Divisions and square roots are those that are rounded correctly, in double precision.
    """
    assert not offenders(rows, lambda row: row["kernel"].startswith(RANDOM) and (row["fused"] or row["approximate"]))
