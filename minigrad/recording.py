"""Recording: computing a primitive on Tensors, and remembering the call.

A Tensor that a primitive computed is a node of the graph: it keeps the primitive, its arguments and options, which is
all that ``graph`` needs to evaluate it again or to differentiate it.  A node holds its arguments and nothing holds
the node, so a graph is freed as soon as its outputs are dropped.
"""

import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from itertools import count
from typing import Any, TypeVar

import numpy as np

from minigrad import devices, ops, sharing
from minigrad.kernels import Packed
from minigrad.kernels.device import arrays
from minigrad.ops.errors import missing_array_error, operand_error
from minigrad.ops.node import Node
from minigrad.ops.primitives import FLOAT32, FLOAT64, FLOATS, converted, integers_among, is_number

#: How many ``no_grad`` blocks are open, in each thread and each asynchronous task.
paused = ContextVar("paused", default=0)
tick = count(1).__next__            # the clock that orders the nodes


#: A function that ``no_grad`` decorates.
Function = TypeVar("Function", bound=Callable[..., Any])


class no_grad:
    """Compute without recording, in a ``with`` block or in a decorated function.

    Inside, ``w -= x`` and the like change a leaf in place.  What is computed inside is a constant for every graph
    that uses it.  A replay that would have to change it raises an error; where that matters use ``.detach()``
    in place of ``no_grad``.

    Raises
    ------
    TypeError
        A decorated generator function or ``async`` function.  It would run when the decorator's work is done.

    >>> import minigrad as mg
    >>> w = mg.tensor(3.0, requires_grad=True)
    >>> (w * w).backward()
    >>> with mg.no_grad():
    ...     w -= 0.5 * w.grad
    >>> w
    tensor(0., dtype=float64, requires_grad=True)
    >>> @mg.no_grad()
    ... def square(x):
    ...     return x * x
    >>> square(w).requires_grad
    False
    """

    def __init__(self, *arguments: object) -> None:
        if arguments:
            raise TypeError("no_grad: expected no argument. Write @mg.no_grad(), with parentheses")

    def __enter__(self) -> None:
        paused.set(paused.get() + 1)

    def __exit__(self, *error: object) -> None:
        paused.set(paused.get() - 1)

    def __call__(self, function: Function) -> Function:
        inner = getattr(function, "__func__", function)         # of a staticmethod
        if any(kind(body) for body in (inner, type(inner).__call__) for kind in (
                inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction)):
            raise TypeError(f"no_grad: expected an ordinary function, got {function!r}, whose body runs after "
                            "the call has returned. Write `with mg.no_grad():` in its body, around what is computed "
                            "between one yield or await and the next")

        @functools.wraps(function)
        def unrecorded(*args, **options):
            with no_grad():
                return function(*args, **options)
        return unrecorded  # type: ignore[return-value]


#: Types of operands that nobody can change.
CONSTANT = {bool, int, float, slice, str, type(None), type(...)}


def record(primitive, args, options, tracked=False):
    """Compute ``primitive`` on Tensors, and remember it where recording is on.

    A result is remembered if it can change: if an argument requires a gradient or was remembered
    itself, or if ``tracked`` says so.  (A comparison with a random sample has no gradient, but a replay must see
    it change.)
    """
    operands, parents, given = [], [], []
    requires_grad, changes = False, 0
    tracked = tracked or primitive.stochastic
    common, odd = None, False           # the floating dtype of the arguments, and whether one has another
    for x in args:
        if isinstance(x, Node):
            product = None
            if x.requires_grad:
                tracked = True
                try:
                    product = primitive.products[len(operands)]
                except IndexError:
                    raise primitive.missing(len(operands)) from None
                requires_grad = requires_grad or product is not None
            elif x.primitive is not None:
                tracked = True
            if x.changes[0]:
                sharing.check_fresh(x)
                changes += x.changes[0]
            parents.append((len(operands), x, product))
            x = x.value
        elif type(x) in CONSTANT:
            operands.append(x)
            continue
        else:
            if type(x) is not np.ndarray:
                x = primitive.ordinary(len(operands), x)
                if type(x) is list:
                    place = next(beside.value for beside in args if isinstance(beside, Node))
                    return record(primitive, [devices.beside(place, x) if type(x) is list else x for x in args],
                                  options, tracked)
            if type(x) is np.ndarray and x.nbytes <= sharing.COPIED:
                x = x.copy("K")
            else:
                given.append(len(operands))
        operands.append(x)
        dtype = getattr(x, "dtype", None)
        if dtype is not common:
            if common is None and (dtype is FLOAT64 or dtype is FLOAT32):
                common = dtype
            elif not odd:
                odd = is_number(primitive, len(operands) - 1)
    if odd:
        integers, dtype = integers_among(primitive, operands)
        if integers:
            return record(primitive, converted(args, integers, dtype, partial(to_floating, tracked=tracked)), options)
    try:
        value = primitive.forward(*operands, **options)
    except (ValueError, TypeError, AttributeError) as error:
        raise explained_error(error, primitive, operands) from (error if isinstance(error, AttributeError) else None)
    if type(value) is not np.ndarray:
        value = checked_result(value, primitive, operands)
    if value.dtype is not common:
        requires_grad &= value.dtype.kind == "f"
        check_dtype(primitive, value.dtype)
    remember = tracked and not paused.get()
    value, owner = find_memory_owner(value, primitive, operands, parents, given, remember)
    out = type(parents[0][1])(value)
    if owner is not None:
        sharing.link(out, owner)
    if remember:
        if given:
            out.watched = sharing.watch(operands, given)
        if options and np.ndarray in map(type, options.values()):
            out.watched += sharing.watch(options, options)
        out.requires_grad = requires_grad
        out.primitive = primitive
        out.operands = operands
        out.parents = parents
        out.options = options
        out.order = tick()
        out.changes_before = changes
    else:
        for _, x, _ in parents:
            newest = x.unrecorded_order if x.primitive is None and not x.requires_grad else 1 + x.order
            if newest > out.unrecorded_order:
                out.unrecorded_order = newest
    return out


def checked_result(value, primitive, operands):
    """The result of a primitive that is not an ordinary array: a scalar as an array, or an error."""
    if isinstance(value, np.generic):
        return np.asarray(value)
    if not isinstance(value, (np.ndarray, Packed)) and not arrays.is_device(value):
        raise operand_error(primitive.name, operands) or missing_array_error(primitive.name, operands)
    if devices.of(value) != "cpu" and primitive is not ops.to_device and (error := device_error(primitive, operands)):
        raise error
    return value


def find_memory_owner(value, primitive, operands, parents, given, remember):
    """The value of a node, and the Tensor in whose memory it lies, or None.

    A value in the memory of an array that was ``given``, or of a ``detach``, is copied.
    """
    may_be_view = value.base is not None if type(value) is np.ndarray else arrays.is_device(value)
    owner = None
    for _, x, _ in parents:
        if ((may_be_view or value is x.value) and (x.primitive is None or x.is_view or not remember)
                and sharing.overlap(value, x.value)):
            owner = x
    for i in given:
        if (may_be_view or value is operands[i]) and sharing.overlap(value, operands[i]):
            value = value.copy()
    if owner is not None and primitive is ops.stop_gradient:
        return value.copy(), None
    return value, owner


def explained_error(error, primitive, operands):
    """A primitive's own error as it is; one of NumPy's in our words, with the primitive's name."""
    if found := device_error(primitive, operands):
        return found
    if str(error).startswith(primitive.name):
        return error
    if found := operand_error(primitive.name, operands):
        return found
    if isinstance(error, AttributeError) or "NoneType" in str(error):
        return missing_array_error(primitive.name, operands)
    if any(isinstance(x, Packed) for x in operands) and "to_dense" not in str(error):
        return TypeError(f"{primitive.name}: expected ordinary arrays, got packed units. Use .to_dense()")
    if "broadcast" in str(error):
        shapes = ", ".join(str(x.shape) for x in operands if hasattr(x, "shape"))
        return ValueError(f"{primitive.name}: expected shapes that broadcast together, got {shapes}. "
                          "Align them from the last axis; a length of 1 stretches")
    kind = ValueError if isinstance(error, ValueError) else TypeError
    return kind(f"{primitive.name}: {error}")


def device_error(primitive, operands):
    """The error for arrays on different devices, since nothing is moved unasked; None where they are on one."""
    places = [devices.of(x) for x in operands if arrays.is_array(x) or isinstance(x, Packed)]
    if len(set(places)) > 1:
        return TypeError(f"{primitive.name}: expected arguments on one device, got {', '.join(map(repr, places))}. "
                        "Move them together with .to(device), or mg.tensor(array, device=...)")
    return None


def to_floating(x, dtype, tracked):
    """An integer argument, a Tensor or an array, in the floating dtype that a primitive computes with.

    Of a Tensor the conversion is recorded if the result will be, so that a replay sees other integers.
    """
    if isinstance(x, Node):
        return record(ops.astype, (x,), {"dtype": dtype}, tracked)
    return x.astype(dtype)


def check_dtype(primitive, dtype):
    """Refuse a result that no Tensor holds."""
    if dtype not in FLOATS and dtype.kind not in "iub":
        raise TypeError(f"{primitive.name}: expected real numbers in float64, float32 or integers, got a result of "
                        f"dtype {dtype}. Convert with .astype(np.float64), or take real and imaginary parts first")


Node.record = staticmethod(record)
