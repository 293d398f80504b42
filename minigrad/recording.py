"""Recording: computing a primitive on Tensors, and storing the call in the result.

The result of a primitive is a node of the graph.  It stores the primitive, its arguments and its options.  With these,
``graph`` can evaluate the node again or differentiate it.  A node refers to its arguments, but the arguments do not
refer to the node.  So a graph is freed as soon as its outputs are dropped.
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

#: The number of open ``no_grad`` blocks, in each thread and each asynchronous task.
paused = ContextVar("paused", default=0)
tick = count(1).__next__            # numbers the nodes in order of time


#: A function that ``no_grad`` decorates.
Function = TypeVar("Function", bound=Callable[..., Any])


class no_grad:
    """Compute without recording, in a ``with`` block or in a decorated function.

    Inside, operators such as ``w -= x`` change a leaf in place.  A value that is computed inside is a constant for
    every graph that uses it.  A replay raises an error if it would have to change this value.  To avoid the error, use
    ``.detach()`` in place of ``no_grad``.

    Raises
    ------
    TypeError
        The decorated function is a generator function or an ``async`` function.  Its body would run after the call.

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
                            "the call has returned. Write `with mg.no_grad():` inside its body, in blocks without "
                            "yield or await")

        @functools.wraps(function)
        def unrecorded(*args, **options):
            with no_grad():
                return function(*args, **options)
        return unrecorded  # type: ignore[return-value]


#: Types of operands that cannot be changed.
CONSTANT = {bool, int, float, slice, str, type(None), type(...)}


def record(primitive, args, options, tracked=False):
    """Compute ``primitive`` on Tensors, and record the call if recording is on.

    A call is recorded if its result can change in a replay: if an argument requires a gradient or was recorded, or if
    ``tracked`` is true.  (For example, a comparison with a random sample has no gradient, but a replay changes it.)
    """
    operands, parents, external = [], [], []    # external: the numbers of arguments that are arrays of the caller
    requires_grad, changes = False, 0
    tracked = tracked or primitive.stochastic
    common, mixed_dtypes = None, False          # the floating dtype of the arguments, and whether one has another
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
                    array = next(node.value for node in args if isinstance(node, Node))
                    return record(primitive, [devices.beside(array, x) if type(x) is list else x for x in args],
                                  options, tracked)
            if type(x) is np.ndarray and x.nbytes <= sharing.COPIED:
                x = x.copy("K")
            else:
                external.append(len(operands))
        operands.append(x)
        dtype = getattr(x, "dtype", None)
        if dtype is not common:
            if common is None and (dtype is FLOAT64 or dtype is FLOAT32):
                common = dtype
            elif not mixed_dtypes:
                mixed_dtypes = is_number(primitive, len(operands) - 1)
    if mixed_dtypes:
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
    recorded = tracked and not paused.get()
    value, owner = find_memory_owner(value, primitive, operands, parents, external, recorded)
    out = type(parents[0][1])(value)
    if owner is not None:
        sharing.link(out, owner)
    if recorded:
        if external:
            out.watched = sharing.watch(operands, external)
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
    """The result of a primitive that is not a NumPy array: a scalar becomes an array, anything unusable an error."""
    if isinstance(value, np.generic):
        return np.asarray(value)
    if not isinstance(value, (np.ndarray, Packed)) and not arrays.is_device(value):
        raise operand_error(primitive.name, operands) or missing_array_error(primitive.name, operands)
    if devices.of(value) != "cpu" and primitive is not ops.to_device and (error := device_error(primitive, operands)):
        raise error
    return value


def find_memory_owner(value, primitive, operands, parents, external, recorded):
    """The value of a node, and the Tensor that owns its memory; None for a value with its own memory.

    The value is copied if it shares memory with an array of the caller, or if ``detach`` computed it.
    """
    may_be_view = value.base is not None if type(value) is np.ndarray else arrays.is_device(value)
    owner = None
    for _, x, _ in parents:
        if ((may_be_view or value is x.value) and (x.primitive is None or x.is_view or not recorded)
                and sharing.overlap(value, x.value)):
            owner = x
    for i in external:
        if (may_be_view or value is operands[i]) and sharing.overlap(value, operands[i]):
            value = value.copy()
    if owner is not None and primitive is ops.stop_gradient:
        return value.copy(), None
    return value, owner


def explained_error(error, primitive, operands):
    """The error to raise for an ``error`` in a primitive.  Errors of NumPy get the name of the primitive."""
    if wrong_device := device_error(primitive, operands):
        return wrong_device
    if str(error).startswith(primitive.name):
        return error
    if unusable := operand_error(primitive.name, operands):
        return unusable
    if isinstance(error, AttributeError) or "NoneType" in str(error):
        return missing_array_error(primitive.name, operands)
    if any(isinstance(x, Packed) for x in operands) and "to_dense" not in str(error):
        return TypeError(f"{primitive.name}: expected ordinary arrays, got packed units. Use .to_dense()")
    if "broadcast" in str(error):
        shapes = ", ".join(str(x.shape) for x in operands if hasattr(x, "shape"))
        return ValueError(f"{primitive.name}: expected shapes that broadcast together, got {shapes}. "
                          "Shapes are aligned at the last axis; an axis of length 1 is repeated")
    kind = ValueError if isinstance(error, ValueError) else TypeError
    return kind(f"{primitive.name}: {error}")


def device_error(primitive, operands):
    """The error for arrays on different devices.  None if all are on one device."""
    names = [devices.of(x) for x in operands if arrays.is_array(x) or isinstance(x, Packed)]
    if len(set(names)) > 1:
        return TypeError(f"{primitive.name}: expected arguments on one device, got {', '.join(map(repr, names))}. "
                        "Move them to one device with .to(device) or mg.tensor(array, device=...)")
    return None


def to_floating(x, dtype, tracked):
    """An integer argument, converted to the floating dtype that a primitive computes with.

    The conversion of a Tensor is recorded if the result is recorded, so that a replay can change the integers.
    """
    if isinstance(x, Node):
        return record(ops.astype, (x,), {"dtype": dtype}, tracked)
    return x.astype(dtype)


def check_dtype(primitive, dtype):
    """Raise a TypeError for the dtype of a result that a Tensor cannot have."""
    if dtype not in FLOATS and dtype.kind not in "iub":
        raise TypeError(f"{primitive.name}: expected real numbers in float64, float32 or integers, got a result of "
                        f"dtype {dtype}. Convert with .astype(np.float64), or take real and imaginary parts first")


Node.record = staticmethod(record)
