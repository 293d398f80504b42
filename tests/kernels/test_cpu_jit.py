"""Compilation: it is announced once, its result is kept on disk, and division follows NumPy."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numba
import numpy as np
import pytest

from minigrad.kernels.cpu import jit

ROOT = Path(__file__).resolve().parents[2]


def run(code, **environment):
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **environment},
                          capture_output=True, text=True, check=True)


@pytest.mark.slow
def test_compiling_is_announced_once_and_kept(tmp_path):
    code = "import numpy, minigrad.kernels as k; print(k.open_blocks(numpy.eye(3)).n_open)"
    cold = run(code, NUMBA_CACHE_DIR=str(tmp_path))
    warm = run(code, NUMBA_CACHE_DIR=str(tmp_path))
    assert cold.stdout == warm.stdout == "3\n"
    assert cold.stderr.count("compiling") == 1
    assert warm.stderr == ""


def test_no_folder_for_the_cache(monkeypatch):
    real = numba.njit

    def refusing(cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    # In this module alone: Numba itself imports parts of it, with njit, at the first compilation.
    monkeypatch.setattr(jit, "numba", SimpleNamespace(njit=refusing, config=numba.config))

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
