"""Sums of products over named axes: einsum, and the products that are special cases of it."""

from __future__ import annotations

from string import ascii_letters
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.ops.alternatives import contracted
from minigrad.ops.arithmetic import astype, multiply
from minigrad.ops.diagonals import diagonal
from minigrad.ops.errors import shape_error
from minigrad.ops.primitives import primitive
from minigrad.ops.reductions import sum
from minigrad.ops.shaping import axes_of, reshape

if TYPE_CHECKING:
    from minigrad.aliases import Operand, Result

__all__ = ["dot", "einsum", "inner", "outer", "tensordot"]


@primitive(integers=True, batching=contracted, name="einsum")
def contract(*arrays, subscripts):
    """The primitive behind ``einsum``.

    In each argument every letter occurs once.  Each of these letters also occurs in another argument or in the
    result.  Then the cotangent of every argument is an einsum of the same kind.
    """
    return np.einsum(subscripts, *arrays, optimize=len(arrays) > 1)


def contract_vjp(g, out, argnum, *arrays, subscripts):
    """The einsum in which the argument and the result have changed places."""
    inputs, result = subscripts.split("->")
    letters = inputs.split(",")
    of_argument, letters[argnum] = letters[argnum], result
    return contract(*arrays[:argnum], g, *arrays[argnum + 1:], subscripts=f"{','.join(letters)}->{of_argument}")


contract.vjp_of_each(contract_vjp)


def einsum(subscripts: str, *arrays: Operand) -> Result:
    """Sum of products over named axes, in NumPy's notation: ``einsum("ij,jk->ik", x, y)`` is x @ y.

    Parameters
    ----------
    subscripts : letters for the axes of each array, with commas between arrays.  The letters after "->" are the
        axes of the result.  All other axes are summed over.  Without "->" the result has the letters that occur
        once, in alphabetical order.  "..." stands for axes that broadcast.  A letter that occurs twice in one
        array selects its diagonal.
    arrays : one array for each group of letters.  Axes of length 1 broadcast.

    Raises
    ------
    TypeError
        ``subscripts`` is not a string.
    ValueError
        The letters do not fit the arrays, or the lengths of an axis differ.

    >>> x, y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 10.0])
    >>> einsum("ij,j->i", x, y), einsum("ii", x), einsum("...i->...", x)
    (array([21., 43.]), np.float64(5.0), array([3., 7.]))
    """
    letters, result = parse(subscripts, arrays)
    operands = [x if hasattr(x, "shape") else np.asarray(x) for x in arrays]
    common = np.result_type(*(x.dtype for x in operands))
    dtype = common if common.kind in "iub" else None    # as in NumPy: integers may overflow, booleans stay so
    for i, x in enumerate(operands):
        operands[i], letters[i] = without_repeats(x, letters[i])
    longest = {}
    for x, names in zip(operands, letters, strict=True):
        for name, length in zip(names, x.shape, strict=True):
            if length != 1 and longest.setdefault(name, length) != length:
                raise shape_error(f"einsum({subscripts!r})", f"one length for axis {name!r}",
                                  "Transpose or reshape.", **named(operands))
    for i, x in enumerate(operands):      # axes of length 1 are dropped, since they broadcast
        names = [name for name, length in zip(letters[i], x.shape, strict=True) if length == 1]
        operands[i], letters[i] = sum_over(x, letters[i], names, dtype)
    for i, x in enumerate(operands):      # axes that occur in one array only are summed over first
        names = set(letters[i]) - set(result).union(*letters[:i], *letters[i + 1:])
        operands[i], letters[i] = sum_over(x, letters[i], names, dtype)
    remaining = "".join(name for name in result if name in "".join(letters))
    out = contract(*operands, subscripts=f"{','.join(letters)}->{remaining}")
    return out if remaining == result else reshape(out, shape=tuple(longest.get(name, 1) for name in result))


def parse(subscripts, arrays):
    """A list with the letters of each array, and the letters of the result.  Letters replace "..."."""
    if not isinstance(subscripts, str):
        raise TypeError(f"einsum: expected the letters first, as in einsum('ij,jk->ik', x, y), got {subscripts!r}")
    inputs, arrow, result = subscripts.replace(" ", "").partition("->")
    letters = inputs.split(",")
    unused = [name for name in ascii_letters if name not in subscripts]
    explicit = [part.replace("...", "", 1) for part in (*letters, result)]
    ranks = [np.ndim(getattr(x, "value", x)) for x in arrays]
    if len(letters) != len(arrays) or not all(name in ascii_letters for part in explicit for name in part):
        raise shape_error(f"einsum({subscripts!r})", "one group of letters for each array, with commas between",
                          "Write, for example, 'ij,jk->ik'.", **named(arrays))
    unnamed = [rank - len(names) for rank, names in zip(ranks, explicit, strict=False)]     # axes that "..." stands for
    if any(n < 0 or (n and "..." not in part) for n, part in zip(unnamed, letters, strict=True)):
        raise shape_error(f"einsum({subscripts!r})", "one letter for each axis",
                          "Use '...' for axes without a letter.", **named(arrays))
    shared = "".join(unused[:max(unnamed, default=0)])
    every = "".join(explicit[:-1])
    if not arrow:
        result = ("..." if shared else "") + "".join(sorted(name for name in set(every) if every.count(name) == 1))
    letters = [part.replace("...", shared[len(shared) - n:]) for part, n in zip(letters, unnamed, strict=True)]
    result = result.replace("...", shared)
    if len(set(result)) < len(result) or not set(result) <= set("".join(letters)) or not set(shared) <= set(result):
        raise shape_error(f"einsum({subscripts!r})", "letters of the arrays in the result, each once, and '...' if the "
                          "arrays have it", "To sum over an axis, leave its letter out of the result.",
                          **named(arrays))
    return letters, result


def named(arrays):
    """The arrays with their names in messages."""
    return {f"arrays[{i}]": x for i, x in enumerate(arrays)}


def without_repeats(x, letters):
    """x and its letters, each once: axes with the same letter are replaced by their diagonal."""
    for name in dict.fromkeys(letters):
        while letters.count(name) > 1:
            first, second = letters.index(name), letters.rindex(name)
            if x.shape[first] != x.shape[second]:
                raise shape_error("einsum", f"one length for axis {name!r}", "Transpose or reshape.", x=x)
            x = diagonal(x, axis1=first, axis2=second)
            letters = letters[:first] + letters[first + 1:second] + letters[second + 1:] + name
    return x, letters


def sum_over(x, letters, names, dtype):
    """x summed over the axes with these names, and the letters of its other axes.  dtype None keeps the dtype."""
    if not names:
        return x, letters
    out = sum(x, axis=tuple(a for a, name in enumerate(letters) if name in names))
    return out if dtype is None else astype(out, dtype), "".join(name for name in letters if name not in names)


def tensordot(x: Operand, y: Operand, axes: Any = 2) -> Result:
    """Sum of products of x and y over pairs of axes.

    Parameters
    ----------
    x, y : arrays.
    axes : an int n pairs the last n axes of x with the first n axes of y, in order.  A pair (axes of x, axes of y)
        names them, each as an int or a sequence.

    Returns
    -------
    An array with the remaining axes of x, followed by those of y.

    >>> tensordot(np.ones((2, 3, 4)), np.ones((4, 3)), axes=([1, 2], [1, 0])).tolist()
    [12.0, 12.0]
    """
    if isinstance(axes, (int, np.integer)):
        axes = range(x.ndim - axes, x.ndim), range(axes)
    left, right = (axes_of(tuple(a) if hasattr(a, "__iter__") else a, part.ndim)
                   for a, part in zip(axes, (x, y), strict=True))
    if len(left) != len(right) or any(x.shape[a] != y.shape[b] for a, b in zip(left, right, strict=True)):
        raise shape_error("tensordot", f"pairs of axes of equal lengths, as axes {left} of x and {right} of y",
                          "Give one list of axes for each array.", x=x, y=y)
    first = ascii_letters[:x.ndim]
    second = list(ascii_letters[x.ndim:x.ndim + y.ndim])
    for a, b in zip(left, right, strict=True):
        second[b] = first[a]
    rest = [name for name in (*first, *second) if (name in first) != (name in second)]
    return einsum(f"{first},{''.join(second)}->{''.join(rest)}", x, y)


def dot(x: Operand, y: Operand) -> Result:
    """NumPy's dot: sums of products over the last axis of x and the second-to-last axis of y.

    A vector y has one axis, and this axis is used.  So dot is the inner product of two vectors, and x @ y for two
    matrices.  If x or y is a number, dot is x · y.
    """
    if not (getattr(x, "ndim", 0) and getattr(y, "ndim", 0)):
        return multiply(x, y)
    return tensordot(x, y, axes=(-1, max(-2, -y.ndim)))


def inner(x: Operand, y: Operand) -> Result:
    """Sums of products over the last axes of x and y, for every pair of their other axes."""
    if not (getattr(x, "ndim", 0) and getattr(y, "ndim", 0)):
        return multiply(x, y)
    return tensordot(x, y, axes=(-1, -1))


def outer(x: Operand, y: Operand) -> Result:
    """The product of each entry of x with each entry of y, an array (x.size, y.size).

    >>> outer(np.array([1.0, 2.0]), np.array([1.0, 10.0]))
    array([[ 1., 10.],
           [ 2., 20.]])
    """
    return multiply(reshape(x, shape=(-1, 1)), reshape(y, shape=(1, -1)))
