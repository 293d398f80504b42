"""What computes on the CPU.  It depends on the installed packages and on Numba's settings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAYS = "from minigrad.kernels import compiler; print(compiler.serving(), compiler.serving())"


@pytest.mark.parametrize(("before", "environment", "serving", "messages"), [
    ("", {}, "numba", 0),
    ("", {"NUMBA_DISABLE_JIT": "1"}, "python", 0),
    ("import sys; sys.modules['numba'] = None; ", {}, "numpy", 1),
])
def test_what_serves(before, environment, serving, messages):
    done = subprocess.run([sys.executable, "-c", before + SAYS], cwd=ROOT, env={**os.environ, **environment},
                          capture_output=True, text=True, check=True)
    assert done.stdout == f"{serving} {serving}\n"
    assert done.stderr.count("Numba cannot be imported") == messages
