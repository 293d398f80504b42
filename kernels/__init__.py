"""Block-gated kernels on NumPy and Numba, imported as ``minigrad.kernels``.

A gated layer computes only the blocks of units whose gate is not 0. This package turns gates into
lists of open blocks, keeps activations packed (open blocks only) between layers, and holds the
forward and backward kernels, plus the counter-based random bits behind the gates, and Adam's step.
It knows arrays, not graphs: ``reference`` is the specification in plain NumPy, and every function
here is tested against it. Arrays are NumPy's, or of a GPU (``arrays``), whose kernels are in
``cuda``.

Only NumPy is imported here; Numba loads, and kernels compile, at the first call that needs them.
"""

if __name__ == "kernels":
    raise ImportError(
        "this folder is the package minigrad.kernels; expected `import minigrad.kernels`, "
        "got `import kernels`"
    )

from .cpu.threads import get_num_threads, set_num_threads
from .device.work import count_work
from .draws import bernoulli_gates, philox_uniforms, sampled_gates
from .gates import OpenBlocks, open_blocks
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
    "philox_uniforms",
    "sampled_gates",
    "set_num_threads",
    "warmup",
]
