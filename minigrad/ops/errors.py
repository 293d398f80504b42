"""One wording for arguments that do not fit a function: what it expected, what it got, a remedy."""

import functools
from numbers import Number
from typing import Any

import numpy as np

from minigrad.arguments import described

#: What other libraries call some arguments: the name here, and how the value is written.
WORDS = {
    "dim": ("axis", repr),
    "keepdim": ("keepdims", repr),
    "unbiased": ("ddof", lambda unbiased: str(int(bool(unbiased)))),
    "correction": ("ddof", repr),
    "a_min": ("min", repr),
    "a_max": ("max", repr),
}
FOREIGN = frozenset(WORDS)


def check_words(name, parameters, options):
    """Refuse other libraries' words for the ``parameters`` of a function, and name the right ones."""
    for theirs, (ours, written) in WORDS.items():
        if theirs in options and ours in parameters:
            raise TypeError(f"{name}: expected {ours}, got {theirs}, which is another library's word for it. "
                            f"Write {ours}={written(options[theirs])}")


def with_words_checked(function):
    """``function``, which refuses other libraries' words for its arguments by name."""
    parameters = function.__code__.co_varnames[:function.__code__.co_argcount]

    @functools.wraps(function)
    def checked(*args, **options):
        if options and not FOREIGN.isdisjoint(options):
            check_words(function.__name__, parameters, options)
        return function(*args, **options)

    return checked


def foreign(name: str, operands: Any) -> Any:
    """A TypeError for the first operand that no primitive can compute with; None if there is none."""
    for x in operands:
        library = type(x).__module__.partition(".")[0]
        if library == "minigrad":
            continue
        if library == "torch":
            remedy = "Use x.numpy(), after detach() and cpu() where it needs them"
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


def no_array(name: str, operands: Any) -> TypeError:
    """A TypeError for the operands of a primitive that needs arrays, where one is a number or None."""
    got = [described(x) for x in operands if not hasattr(x, "shape")]
    return TypeError(f"{name}: expected Tensors or arrays, got {' and '.join(got)}. Use mg.tensor(x) or np.array(x)")


def misfit(name, expected, remedy, **arguments):
    """A ValueError for primitive ``name`` whose array ``arguments`` have shapes that do not fit.

    >>> import numpy as np
    >>> misfit("matmul", "as many columns as rows", "Transpose one.", x=np.ones((2, 3)), y=np.ones(4))
    ValueError('matmul: expected as many columns as rows, got x (2, 3), y (4,). Transpose one.')
    """
    got = ", ".join(f"{argument} {getattr(x, 'shape', x)}" for argument, x in arguments.items())
    return ValueError(f"{name}: expected {expected}, got {got}. {remedy}")
