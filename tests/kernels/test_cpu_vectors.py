"""The vector tile with narrower vectors than those of this processor."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minigrad.kernels.cpu.vectors import VECTOR_BYTES

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
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
