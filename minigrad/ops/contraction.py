"""Sums of products over named axes: einsum, and the products that are cases of it."""

from string import ascii_letters

import numpy as np

from minigrad.ops.alternatives import contracted
from minigrad.ops.arithmetic import astype, multiply
from minigrad.ops.diagonals import diagonal
from minigrad.ops.errors import misfit
from minigrad.ops.primitives import primitive
from minigrad.ops.reductions import sum
from minigrad.ops.shaping import axes_of, reshape

__all__ = ["dot", "einsum", "inner", "outer", "tensordot"]


@primitive(integers=True, carries=contracted, name="einsum")
def contract(*arrays, subscripts):
    """The primitive behind ``einsum``.

    No letter stands twice in one argument, and each stands in another argument or in the result as well.
    Then the cotangent of every argument is a sum of the same kind.
    """
    return np.einsum(subscripts, *arrays, optimize=len(arrays) > 1)


def slope_of_contraction(g, out, argnum, *arrays, subscripts):
    """The argument and the result change places."""
    inputs, result = subscripts.split("->")
    letters = inputs.split(",")
    mine, letters[argnum] = letters[argnum], result
    return contract(*arrays[:argnum], g, *arrays[argnum + 1:], subscripts=f"{','.join(letters)}->{mine}")


contract.vjp_of_each(slope_of_contraction)


def einsum(subscripts, *arrays):
    """Sum of products over named axes, in NumPy's notation: ``einsum("ij,jk->ik", x, y)`` is x @ y.

    Parameters
    ----------
    subscripts : letters for the axes of each array, with commas between arrays.  What follows "->" are the
        axes of the result; all others are summed over.  Without "->" the result has the letters that occur
        once, in alphabetical order.  "..." stands for axes that broadcast.  A letter that stands twice in
        one array means its diagonal.
    arrays : one for each group of letters.  Axes of length 1 broadcast.

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
    arrays = [x if hasattr(x, "shape") else np.asarray(x) for x in arrays]
    common = np.result_type(*(x.dtype for x in arrays))
    dtype = common if common.kind in "iub" else None    # as in NumPy: integers wrap, and booleans stay booleans
    for i, x in enumerate(arrays):
        arrays[i], letters[i] = without_repeats(x, letters[i])
    longest = {}
    for x, names in zip(arrays, letters, strict=True):
        for name, length in zip(names, x.shape, strict=True):
            if length != 1 and longest.setdefault(name, length) != length:
                raise misfit(f"einsum({subscripts!r})", f"one length for axis {name!r}",
                             "Transpose or reshape.", **named(arrays))
    for i, x in enumerate(arrays):      # axes of length 1 broadcast: they are left out
        names = [name for name, length in zip(letters[i], x.shape, strict=True) if length == 1]
        arrays[i], letters[i] = summed(x, letters[i], names, dtype)
    for i, x in enumerate(arrays):      # axes that nothing else has are summed over first
        names = set(letters[i]) - set(result).union(*letters[:i], *letters[i + 1:])
        arrays[i], letters[i] = summed(x, letters[i], names, dtype)
    made = "".join(name for name in result if name in "".join(letters))
    out = contract(*arrays, subscripts=f"{','.join(letters)}->{made}")
    return out if made == result else reshape(out, shape=tuple(longest.get(name, 1) for name in result))


def parse(subscripts, arrays):
    """The letters of every array, in a list, and those of the result, with letters in place of "..."."""
    if not isinstance(subscripts, str):
        raise TypeError(f"einsum: expected the letters first, as in einsum('ij,jk->ik', x, y), got {subscripts!r}")
    inputs, arrow, result = subscripts.replace(" ", "").partition("->")
    letters = inputs.split(",")
    spare = [name for name in ascii_letters if name not in subscripts]
    plain = [part.replace("...", "", 1) for part in (*letters, result)]
    ranks = [np.ndim(getattr(x, "value", x)) for x in arrays]
    if len(letters) != len(arrays) or not all(name in ascii_letters for part in plain for name in part):
        raise misfit(f"einsum({subscripts!r})", "one group of letters for each array, with commas between",
                     "Write, say, 'ij,jk->ik'.", **named(arrays))
    rest = [rank - len(names) for rank, names in zip(ranks, plain, strict=False)]
    if any(n < 0 or (n and "..." not in part) for n, part in zip(rest, letters, strict=True)):
        raise misfit(f"einsum({subscripts!r})", "one letter for each axis", "Use '...' for axes without a letter.",
                     **named(arrays))
    shared = "".join(spare[:max(rest, default=0)])
    counted = "".join(plain[:-1])
    if not arrow:
        result = ("..." if shared else "") + "".join(sorted(name for name in set(counted) if counted.count(name) == 1))
    letters = [part.replace("...", shared[len(shared) - n:]) for part, n in zip(letters, rest, strict=True)]
    result = result.replace("...", shared)
    if len(set(result)) < len(result) or not set(result) <= set("".join(letters)) or not set(shared) <= set(result):
        raise misfit(f"einsum({subscripts!r})", "letters of the arrays in the result, each once, and '...' if they "
                     "have it", "Sum over the other axes by leaving their letters out.", **named(arrays))
    return letters, result


def named(arrays):
    return {f"arrays[{i}]": x for i, x in enumerate(arrays)}


def without_repeats(x, letters):
    """x with one axis for each letter: the diagonal of axes that share one."""
    for name in dict.fromkeys(letters):
        while letters.count(name) > 1:
            first, second = letters.index(name), letters.rindex(name)
            if x.shape[first] != x.shape[second]:
                raise misfit("einsum", f"one length for axis {name!r}", "Transpose or reshape.", x=x)
            x = diagonal(x, axis1=first, axis2=second)
            letters = letters[:first] + letters[first + 1:second] + letters[second + 1:] + name
    return x, letters


def summed(x, letters, names, dtype):
    """x summed over the axes with these names, as ``dtype`` unless that is None; and the letters of the others."""
    if not names:
        return x, letters
    out = sum(x, axis=tuple(a for a, name in enumerate(letters) if name in names))
    return out if dtype is None else astype(out, dtype), "".join(name for name in letters if name not in names)


def tensordot(x, y, axes=2):
    """Sum of products of x and y over pairs of axes.

    Parameters
    ----------
    x, y : arrays.
    axes : how many of the last axes of x are paired with as many of the first of y, in order; or (axes of x,
        axes of y), each an int or a sequence.

    Returns
    -------
    The remaining axes of x, then those of y.

    >>> tensordot(np.ones((2, 3, 4)), np.ones((4, 3)), axes=([1, 2], [1, 0])).tolist()
    [12.0, 12.0]
    """
    if isinstance(axes, (int, np.integer)):
        axes = range(x.ndim - axes, x.ndim), range(axes)
    left, right = (axes_of(tuple(a) if hasattr(a, "__iter__") else a, part.ndim)
                   for a, part in zip(axes, (x, y), strict=True))
    if len(left) != len(right) or any(x.shape[a] != y.shape[b] for a, b in zip(left, right, strict=True)):
        raise misfit("tensordot", f"pairs of axes of equal lengths, as axes {left} of x and {right} of y",
                     "Give one list of axes for each array.", x=x, y=y)
    first = ascii_letters[:x.ndim]
    second = list(ascii_letters[x.ndim:x.ndim + y.ndim])
    for a, b in zip(left, right, strict=True):
        second[b] = first[a]
    rest = [name for name in (*first, *second) if (name in first) != (name in second)]
    return einsum(f"{first},{''.join(second)}->{''.join(rest)}", x, y)


def dot(x, y):
    """NumPy's dot: the sum of products over the last axis of x and the last but one of y, or its only one.

    For vectors it is their inner product, for matrices x @ y, and with a number x · y.
    """
    if not (getattr(x, "ndim", 0) and getattr(y, "ndim", 0)):
        return multiply(x, y)
    return tensordot(x, y, axes=(-1, max(-2, -y.ndim)))


def inner(x, y):
    """Sums of products over the last axes of x and y, for every pair of their other axes."""
    if not (getattr(x, "ndim", 0) and getattr(y, "ndim", 0)):
        return multiply(x, y)
    return tensordot(x, y, axes=(-1, -1))


def outer(x, y):
    """All products of an entry of x and one of y, (entries of x, entries of y).

    >>> outer(np.array([1.0, 2.0]), np.array([1.0, 10.0]))
    array([[ 1., 10.],
           [ 2., 20.]])
    """
    return multiply(reshape(x, shape=(-1, 1)), reshape(y, shape=(1, -1)))
