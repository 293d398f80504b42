"""Block-gated kernels on NumPy and Numba, imported as ``minigrad.kernels``.

A gated layer computes only the blocks of units whose gate is not 0. This package makes lists of the open blocks from
the gates, and stores activations packed (open blocks only) between layers. It has the kernels of the forward and the
backward pass, the counter-based random bits for the gates, and the step of Adam. It works on arrays and does not use
graphs.

``specification`` has all functions in plain NumPy. The kernels are tested against it. ``layers`` checks arguments and
calls the kernels: those in ``cpu`` for NumPy arrays, and those in ``cuda`` for arrays on a GPU. Files about the same
subject have the same name in both folders. ``device`` has the code that both use.

Importing this package loads NumPy only. Numba loads, and kernels compile, at the first call that needs them.
"""

if __name__ == "kernels":
    raise ImportError(
        "this folder is the package minigrad.kernels; expected `import minigrad.kernels`, "
        "got `import kernels`"
    )

from .blocks import OpenBlocks
from .cpu.threads import get_num_threads, set_num_threads
from .device.work import count_work
from .draws import bernoulli_gates, philox_logistics, philox_normals, philox_uniforms
from .gates import open_blocks
from .layers import (
    gated_linear,
    gated_linear_db,
    gated_linear_dgates,
    gated_linear_dw,
    gated_linear_dx,
    gated_linear_sgd,
    packed_linear,
    packed_linear_db,
    packed_linear_dh,
    packed_linear_dw,
    packed_linear_sgd,
)
from .packed import Packed
from .warm import warmup

__all__ = [
    "OpenBlocks",
    "Packed",
    "bernoulli_gates",
    "count_work",
    "gated_linear",
    "gated_linear_db",
    "gated_linear_dgates",
    "gated_linear_dw",
    "gated_linear_dx",
    "gated_linear_sgd",
    "get_num_threads",
    "open_blocks",
    "packed_linear",
    "packed_linear_db",
    "packed_linear_dh",
    "packed_linear_dw",
    "packed_linear_sgd",
    "philox_logistics",
    "philox_normals",
    "philox_uniforms",
    "set_num_threads",
    "warmup",
]
