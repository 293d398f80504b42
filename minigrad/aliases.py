"""Names for the types in signatures.  Only type checkers import this file, so it takes no time to load.

    from minigrad.aliases import Array, TensorLike
"""

from collections.abc import Callable
from os import PathLike
from typing import Any, TypeAlias

from numpy.typing import ArrayLike, DTypeLike, NDArray

from minigrad.tensor import Tensor

__all__ = [
    "Array", "ArrayLike", "DTypeLike", "Memory", "Operand", "Parameters", "Path", "Rate", "Result", "Settings", "Shape",
    "State", "TensorLike",
]

#: A NumPy array; on "cuda" an array of CuPy, which has the same methods.
Array: TypeAlias = NDArray[Any]

#: A Tensor, or an array that is used as a constant.
TensorLike: TypeAlias = Tensor | Array

#: An argument of a primitive: a Tensor, an array or a number.
Operand: TypeAlias = Any

#: The result of a primitive: a Tensor if an argument is a Tensor, otherwise an array.
Result: TypeAlias = Any

#: The lengths of the axes.
Shape: TypeAlias = tuple[int, ...]

#: What a rule has learnt: arrays and numbers by name.
Memory: TypeAlias = dict[str, Any]

#: What ``state_dict`` returns: names, with arrays, numbers and dicts of them.
State: TypeAlias = dict[str, Any]

#: The arguments of one run of a study: values that JSON can hold, by name.
Settings: TypeAlias = dict[str, Any]

#: The name of a file or folder.
Path: TypeAlias = str | PathLike[str]

#: A learning rate: a number, or a function from the number of steps done to a number.
Rate: TypeAlias = float | Callable[[int], float]

#: What an optimiser trains: a module, or a list of Tensors, modules and groups.
Parameters: TypeAlias = Any
