"""What computes on the CPU: kernels that Numba compiles, or what takes their place where it cannot.

Numba is imported when a kernel is first needed, not before.
"""

import functools
import importlib
import sys

from .cpu.threads import on_worker


@functools.cache
def serving():
    """What serves in this process: "numba", "python" or "numpy".

    numba   : kernels are compiled.
    python  : Numba was told not to compile (NUMBA_DISABLE_JIT=1). The loops of `cpu.plain` run as Python code, slowly,
              and a debugger can step through them. Random numbers and Adam's step are computed in NumPy.
    numpy   : Numba cannot be imported. `cpu.uncompiled` computes every block, open or closed. A message says so once.
    """
    try:
        numba = on_worker(importlib.import_module, "numba")       # an import that is interrupted breaks Numba
    except (ImportError, OSError) as error:
        print(f"minigrad: Numba cannot be imported ({error}), so NumPy computes, and skips no closed blocks. "
              "For compiled kernels: python -m pip install --upgrade numba", file=sys.stderr)
        return "numpy"
    return "python" if numba.config.DISABLE_JIT else "numba"
