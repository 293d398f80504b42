"""The primitives: every function that the engine can differentiate, with its derivatives."""
# ruff: noqa: F401, F403 (each file lists what it exports)

from minigrad.ops import (
    activations,
    arithmetic,
    bitwise,
    constants,
    contraction,
    diagonals,
    gated,
    indexing,
    joining,
    linear_algebra,
    logic,
    padding,
    reductions,
    rounding,
    shaping,
    sorting,
    special,
    transfer,
    trigonometry,
)
from minigrad.ops.activations import *
from minigrad.ops.arithmetic import *
from minigrad.ops.bitwise import *
from minigrad.ops.constants import *
from minigrad.ops.contraction import *
from minigrad.ops.diagonals import *
from minigrad.ops.errors import with_names_checked
from minigrad.ops.gated import *
from minigrad.ops.indexing import *
from minigrad.ops.joining import *
from minigrad.ops.linear_algebra import *
from minigrad.ops.logic import *
from minigrad.ops.packed import Factored, dense
from minigrad.ops.padding import *
from minigrad.ops.primitives import Primitive, table
from minigrad.ops.reductions import *
from minigrad.ops.rounding import *
from minigrad.ops.shaping import *
from minigrad.ops.sorting import *
from minigrad.ops.special import *
from minigrad.ops.transfer import *
from minigrad.ops.trigonometry import *

MODULES = (activations, arithmetic, bitwise, constants, contraction, diagonals, gated, indexing, joining,
           linear_algebra, logic, padding, reductions, rounding, shaping, sorting, special, transfer, trigonometry)

#: The functions on Tensors.  ``minigrad`` exports all of them too.
__all__ = sorted(name for module in MODULES for name in module.__all__)

# A primitive refuses argument names of other libraries (dim, keepdim).  Functions made of primitives do the same.
for name in __all__:
    if name not in table and not {"axis", "min"}.isdisjoint(globals()[name].__code__.co_varnames):
        globals()[name] = with_names_checked(globals()[name])
