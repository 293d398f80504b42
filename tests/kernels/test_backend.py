"""Which kernels are used for which arrays, and when modules are loaded."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels import backend
from minigrad.kernels.compiler import serving

ROOT = Path(__file__).resolve().parents[2]


def run(code, **environment):
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **environment},
                          capture_output=True, text=True, check=True)


def test_importing_loads_numpy_only():
    code = ("import sys, minigrad.kernels as k; u = k.philox_uniforms(0, 0, 0, 0, (4, 4)); "
            "k.bernoulli_gates(u, u); print('numba' in sys.modules or 'scipy' in sys.modules)")
    assert run(code).stdout == "False\n"


def test_arrays_of_the_host_are_served_by_the_cpu():
    blocks = kernels.open_blocks(np.eye(2))
    packed = kernels.Packed.gather(np.eye(2), blocks, 1)
    module = "minigrad.kernels.cpu." + ("uncompiled" if serving() == "numpy" else "driver")
    for x in (np.ones(1), blocks, packed):
        assert backend.kernels_for(x).__name__ == module


@pytest.mark.parametrize("other", ["cuda.driver", "cpu.uncompiled"])
def test_all_backends_offer_the_same_functions(other):
    """`layers` and `gates` call these functions. Their names are read from the source, because the CUDA modules need a
    toolkit or the simulator.
    """
    def names(module):
        tree = ast.parse((ROOT / "kernels" / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8"))
        (listed,) = (ast.literal_eval(node.value) for node in tree.body
                     if isinstance(node, ast.Assign) and node.targets[0].id == "__all__")
        return set(listed)

    special = {"values_and_blocks", "uniforms", "bernoulli_gates"}
    assert names(other) - special == names("cpu.driver") - special
