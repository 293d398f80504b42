"""The choice between compiled kernels and their substitutes on the CPU.

Numba is imported when a kernel is first needed, not before.
"""

import functools
import importlib
import sys

from .cpu.threads import on_worker


@functools.cache
def serving():
    """The kind of kernels that this process uses on the CPU: "numba", "python" or "numpy".

    numba   : kernels are compiled.
    python  : compilation is turned off (NUMBA_DISABLE_JIT=1). The loops of `cpu.plain` run as Python code. They are
              slow, but a debugger can step through them. Random numbers and the step of Adam are computed in NumPy.
    numpy   : Numba cannot be imported. `cpu.uncompiled` computes all blocks, open and closed. A message says so once.
    """
    try:
        numba = on_worker(importlib.import_module, "numba")       # Numba does not work after an interrupted import
    except (ImportError, OSError) as error:
        print(f"minigrad: Numba cannot be imported ({error}), so NumPy is used, and closed blocks are not skipped. "
              "For compiled kernels: python -m pip install --upgrade numba", file=sys.stderr)
        return "numpy"
    return "python" if numba.config.DISABLE_JIT else "numba"
