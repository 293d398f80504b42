"""Error messages for unsuitable arguments.  Each one says what was expected, what arrived, and what to do."""

import functools
from collections.abc import Collection, Iterable
from numbers import Number
from typing import Any

import numpy as np

from minigrad.arguments import described

#: Argument names of other libraries.  Each with the name here, and a function that writes the value in a message.
TRANSLATIONS = {
    "dim": ("axis", repr),
    "keepdim": ("keepdims", repr),
    "unbiased": ("ddof", lambda unbiased: str(int(bool(unbiased)))),
    "correction": ("ddof", repr),
    "a_min": ("min", repr),
    "a_max": ("max", repr),
}
OTHER_NAMES = frozenset(TRANSLATIONS)


def check_names(name: str, parameters: Collection[str], options: dict[str, Any]) -> None:
    """Raise a TypeError if ``options`` has an argument name of another library.  ``parameters`` are the right names."""
    for theirs, (ours, written) in TRANSLATIONS.items():
        if theirs in options and ours in parameters:
            raise TypeError(f"{name}: expected {ours}, got {theirs}, which is the name in another library. "
                            f"Write {ours}={written(options[theirs])}")


def with_names_checked(function: Any) -> Any:
    """``function`` with a check of its argument names (``check_names``)."""
    parameters = function.__code__.co_varnames[:function.__code__.co_argcount]

    @functools.wraps(function)
    def checked(*args, **options):
        if options and not OTHER_NAMES.isdisjoint(options):
            check_names(function.__name__, parameters, options)
        return function(*args, **options)

    return checked


def operand_error(name: str, operands: Iterable[Any]) -> Any:
    """A TypeError for the first operand that no primitive can use.  None if all operands can be used."""
    for x in operands:
        library = type(x).__module__.partition(".")[0]
        if library == "minigrad":
            continue
        if library == "torch":
            remedy = "Use x.detach().cpu().numpy()"
        elif isinstance(x, np.ndarray) and x.dtype.kind not in "biufc":
            return TypeError(f"{name}: expected numbers, got an array of dtype {x.dtype}. Use np.array(x, dtype=float)")
        elif isinstance(x, list):
            remedy = "Use np.array(x)"
        elif isinstance(x, (str, bytes, dict, set, type)) or callable(x) or not (
                x is None or isinstance(x, (Number, slice, tuple, range)) or x is Ellipsis or hasattr(x, "dtype")):
            remedy = "Use np.asarray(x) if it holds numbers"
        else:
            continue
        return TypeError(f"{name}: expected Tensors, arrays and numbers, got {described(x)}. {remedy}")
    return None


def missing_array_error(name: str, operands: Iterable[Any]) -> TypeError:
    """A TypeError for a primitive that needs arrays and got a number or None."""
    got = [described(x) for x in operands if not hasattr(x, "shape")]
    return TypeError(f"{name}: expected Tensors or arrays, got {' and '.join(got)}. Use mg.tensor(x) or np.array(x)")


def shape_error(name: str, expected: str, remedy: str, **arguments: Any) -> ValueError:
    """A ValueError for arrays whose shapes do not fit together.  ``name`` is the primitive.

    >>> import numpy as np
    >>> shape_error("matmul", "as many columns as rows", "Transpose one.", x=np.ones((2, 3)), y=np.ones(4))
    ValueError('matmul: expected as many columns as rows, got x (2, 3), y (4,). Transpose one.')
    """
    got = ", ".join(f"{argument} {getattr(x, 'shape', x)}" for argument, x in arguments.items())
    return ValueError(f"{name}: expected {expected}, got {got}. {remedy}")
