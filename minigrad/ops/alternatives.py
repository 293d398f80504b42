"""Many replays at once: the outputs of a function for K other values of its arguments.

A rule may ask for the cost with each bit flipped in turn.  Each answer is a replay of the graph below the node, and
a Python loop over these replays would be slow.  So all K replays run at once.  The values that differ get a leading
axis, with one entry for each of K alternatives.  Values that do not differ keep their shape, and are broadcast.

Each primitive can have a batching function, such as ``multiply.batching = elementwise``.  A batching function
computes the primitive at all alternatives.  Its arguments are

    function    the function on arrays of the primitive
    out         the output in the original run
    operands    the arguments in the original run
    batched     a dict from argument number to alternatives
    options     the options of the call

It returns None if it cannot handle a call.  In this case, and for primitives without a batching function,
``evaluate`` loops over the alternatives.  It does so for this one primitive only.

Alternatives are stored in one of three ways:

    array       with the leading axis
    Flips       only one unit of each row differs, and only the values of these units are stored
    list        the values cannot be stacked in an array

If an alternative differs in one unit, the output of the next linear layer changes by a multiple of one column of
the weight: out + (flipped − unit) · column.  This takes much less time than a matrix product.
"""

from inspect import signature
from string import ascii_letters
from typing import Any

import numpy as np

from minigrad.kernels import Packed
from minigrad.kernels.device import arrays

#: The largest size of a value when alternatives are evaluated in chunks.  With this size the output of one primitive
#: is still in the cache of the processor when the next primitive reads it.
MOST_BYTES = 2**18


class Flips:
    """Alternatives of ``base`` (rows, units) in which one unit of each row is changed.

    Alternative k equals ``base``, except for unit ``units[k, r]`` of row r, which is ``flipped[k, r]``.  If ``units``
    has the shape (K, 1), the same unit is changed in every row.

    >>> stack(Flips(np.zeros((1, 2)), np.ones((2, 1)), np.array([[0], [1]])))
    array([[[1., 0.]],
    <BLANKLINE>
           [[0., 1.]]])
    """

    def __init__(self, base: Any, flipped: Any, units: Any) -> None:
        self.base, self.flipped, self.units = base, flipped, units
        self.shape = (len(units), *base.shape)

    def __len__(self) -> int:
        return len(self.units)

    def __getitem__(self, chunk: slice) -> "Flips":
        """The alternatives in a slice."""
        return Flips(self.base, self.flipped[chunk], self.units[chunk])

    def at_units(self, x: Any) -> Any:
        """The entries of x at the units that differ, (K, rows).  x broadcasts to the shape of ``base``."""
        if not np.ndim(x):
            return x
        return np.broadcast_to(x, self.base.shape)[np.arange(len(self.base), like=self.base), self.units]


def stack(x: Any) -> Any:
    """Alternatives as one array with a leading axis."""
    if isinstance(x, Flips):
        out = np.repeat(x.base[None], len(x), axis=0)
        np.put_along_axis(out, np.broadcast_to(x.units, out.shape[:2])[..., None], x.flipped[..., None], axis=2)
        return out
    return np.stack(x) if isinstance(x, list) else x


def of_shape(x: Any, shape: tuple[int, ...]) -> Any:
    """The alternatives x, reshaped so that each of them has ``shape``."""
    return x if x.shape[1:] == shape else stack(x).reshape(len(x), *shape)


def evaluate(primitive: Any, out: Any, operands: list[Any], batched: dict[int, Any], options: dict[str, Any]) -> Any:
    """A primitive at all alternatives: in one call if it has a batching function, otherwise in a loop.

    The loop also handles packed units, and arrays among the options.
    """
    special = any(isinstance(x, (Packed, list)) for x in [*operands, *batched.values()])
    array_options = any(arrays.is_array(x) for x in options.values())
    if primitive.batching and not special and not array_options:
        result = primitive.batching(primitive.forward, out, operands, batched, options)
        if result is not None:
            return result
    batched = {i: x if isinstance(x, list) else stack(x) for i, x in batched.items()}
    results = [primitive.forward(*(batched[i][k] if i in batched else x for i, x in enumerate(operands)), **options)
               for k in range(len(next(iter(batched.values()))))]
    return results if any(isinstance(x, Packed) or np.shape(x) != out.shape for x in results) else np.stack(results)


# -- batching functions -------------------------------------------------------------------------------

def elementwise(function, out, operands, batched, options):
    """For a function of single entries.

    If all batched arguments are Flips of the same units, the result is Flips too.  Otherwise new axes are inserted
    after the leading axis.  Then the other axes broadcast as before, since broadcasting aligns shapes from the right.
    """
    first, *others = batched.values()
    if all(isinstance(x, Flips) and x.units is first.units and x.base.shape == out.shape for x in (first, *others)):
        at_units = [batched[i].flipped if i in batched else first.at_units(x) for i, x in enumerate(operands)]
        return Flips(out, function(*at_units, **options), first.units)
    aligned = list(operands)
    for i, x in batched.items():
        x = stack(x)
        aligned[i] = x.reshape(len(x), *(1,) * (out.ndim + 1 - x.ndim), *x.shape[1:])
    return function(*aligned, **options)


def over_axes(function, out, operands, batched, options):
    """For a function of x over ``axis``.  The axes are shifted by one.  None becomes all axes but the leading one."""
    call = signature(function).bind(*operands, **options)
    call.apply_defaults()
    x, axis = stack(batched[0]), call.arguments["axis"]
    if axis is None:
        axis = tuple(range(1, x.ndim))
    elif isinstance(axis, tuple):
        axis = tuple(a + (a >= 0) for a in axis)
    else:
        axis = axis + (axis >= 0)
    call.arguments.update(x=x, axis=axis)
    return function(*call.args, **call.kwargs)


def same_entries(function, out, operands, batched, options):
    """For a function that gives the same entries another shape."""
    return of_shape(stack(batched[0]), out.shape)


def last_axes(function, out, operands, batched, options):
    """For a function of the last axes of x, with any number of axes before them."""
    return function(stack(batched[0]), *operands[1:], **options)


def contracted(function, out, operands, batched, options):
    """For a sum of products over named axes.  The leading axis gets a new name."""
    inputs, result = options["subscripts"].split("->")
    name = next(name for name in ascii_letters if name not in inputs)
    letters = [name * (i in batched) + part for i, part in enumerate(inputs.split(","))]
    return function(*(stack(batched[i]) if i in batched else x for i, x in enumerate(operands)),
                    subscripts=f"{','.join(letters)}->{name}{result}")


def by_example(function, out, operands, batched, options):
    """For a function whose leading axes are examples.  Arguments that are not batched are repeated."""
    count = len(next(iter(batched.values())))
    return function(*(stack(batched[i]) if i in batched else np.broadcast_to(x, (count, *x.shape))
                      for i, x in enumerate(operands)), **options)


def matrix_product(function, out, operands, batched, options):
    """For x @ y, if only x is batched and y is a vector or a matrix."""
    y = operands[1]
    if set(batched) != {0} or y.ndim > 2:
        return None
    return changed_product(lambda x: function(x, y), out, y, batched[0])


def linear_layer(function, out, operands, batched, options):
    """For x @ weight.T + bias, if only x is batched."""
    if set(batched) != {0}:
        return None
    _, weight, *bias = operands
    return changed_product(lambda x: function(x, weight, *bias, **options), out, weight.T, batched[0])


def changed_product(product, out, y, x):
    """product(x) = x @ y + constant at the alternatives x, from its value ``out`` in the original run."""
    if isinstance(x, Flips) and x.base.dtype.kind == "f":
        change = x.flipped - x.at_units(x.base)
        return out + change.reshape(*change.shape, *(1,) * (y.ndim - 1)) * y[x.units]
    x = stack(x)
    return product(x.reshape(-1, x.shape[-1])).reshape(len(x), *out.shape)
