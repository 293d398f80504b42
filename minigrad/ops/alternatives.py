"""Many alternatives in one replay: what a function gives, had its arguments been otherwise, K times over.

A rule that asks "what would the cost have been with this bit flipped?" asks it of every bit.  Each
answer is a replay of the graph below, and a loop over them would spend its time in Python.  So all of
them are made at once: the values that differ get a leading axis, one entry for each of K alternatives,
and run through the graph together.  What does not differ keeps its shape, and broadcasting does the rest.

A primitive says how it carries that axis, beside its products: ``multiply.carries = elementwise``.  Such
a function computes the primitive at all alternatives, from its function on arrays, the output ``out`` and
the ``operands`` of the run that they differ from, the ``lifted`` arguments (a dict from argument to
alternatives), and the options.  Where it does not apply it returns None.  Then, and for primitives that
say nothing, ``evaluate`` loops over the alternatives, for this primitive alone.

Alternatives are an array with the leading axis; ``Flips``, where one unit of a row differs and only that
one is stored; or a list, of values that do not stack.

An alternative that differs in one unit moves the pre-activations of the next layer by one column of its
weight: out + (flipped − unit) · column, a change of rank one, instead of a matrix product.
"""

from inspect import signature
from string import ascii_letters

import numpy as np

from minigrad.kernels import Packed
from minigrad.kernels.device import arrays

#: Alternatives go through a graph so many at a time that none of its values takes more than this: what one
#: primitive writes is then still in the processor's cache when the next one reads it.
MOST_BYTES = 2**18


class Flips:
    """Alternatives of ``base`` (rows, units) with one unit changed in each row.

    Alternative k is ``flipped[k, r]`` at unit ``units[k, r]`` of row r, and ``base`` elsewhere.  ``units`` of
    (K, 1) names the same unit in every row.

    >>> stack(Flips(np.zeros((1, 2)), np.ones((2, 1)), np.array([[0], [1]])))
    array([[[1., 0.]],
    <BLANKLINE>
           [[0., 1.]]])
    """

    def __init__(self, base, flipped, units):
        self.base, self.flipped, self.units = base, flipped, units
        self.shape = (len(units), *base.shape)

    def __len__(self):
        return len(self.units)

    def __getitem__(self, some):
        """Some of the alternatives, a slice."""
        return Flips(self.base, self.flipped[some], self.units[some])

    def at_units(self, x):
        """The entries of x, which broadcasts to ``base``, at the units that differ, (K, rows)."""
        if not np.ndim(x):
            return x
        return np.broadcast_to(x, self.base.shape)[np.arange(len(self.base), like=self.base), self.units]


def stack(x):
    """Alternatives as one array with a leading axis."""
    if isinstance(x, Flips):
        out = np.repeat(x.base[None], len(x), axis=0)
        np.put_along_axis(out, np.broadcast_to(x.units, out.shape[:2])[..., None], x.flipped[..., None], axis=2)
        return out
    return np.stack(x) if isinstance(x, list) else x


def of_shape(x, shape):
    """Alternatives of values of ``shape``, the same entries as those of x."""
    return x if x.shape[1:] == shape else stack(x).reshape(len(x), *shape)


def evaluate(primitive, out, operands, lifted, options):
    """A primitive at all alternatives: in one call if it carries them, else one after the other.

    Packed units and arrays given by name are left to the loop.
    """
    special = any(isinstance(x, (Packed, list)) for x in [*operands, *lifted.values()])
    by_name = any(arrays.is_array(x) for x in options.values())
    if primitive.carries and not special and not by_name:
        found = primitive.carries(primitive.forward, out, operands, lifted, options)
        if found is not None:
            return found
    lifted = {i: x if isinstance(x, list) else stack(x) for i, x in lifted.items()}
    found = [primitive.forward(*(lifted[i][k] if i in lifted else x for i, x in enumerate(operands)), **options)
             for k in range(len(next(iter(lifted.values()))))]
    return found if any(isinstance(x, Packed) or np.shape(x) != out.shape for x in found) else np.stack(found)


# -- how primitives carry alternatives ----------------------------------------------------------------

def elementwise(function, out, operands, lifted, options):
    """A function of single entries.

    Flips stay flips, if all arguments have theirs at the same units.  Elsewhere new axes after the
    leading one keep shapes aligned from the right, as broadcasting wants them.
    """
    first, *others = lifted.values()
    if all(isinstance(x, Flips) and x.units is first.units and x.base.shape == out.shape for x in (first, *others)):
        at_units = [lifted[i].flipped if i in lifted else first.at_units(x) for i, x in enumerate(operands)]
        return Flips(out, function(*at_units, **options), first.units)
    aligned = list(operands)
    for i, x in lifted.items():
        x = stack(x)
        aligned[i] = x.reshape(len(x), *(1,) * (out.ndim + 1 - x.ndim), *x.shape[1:])
    return function(*aligned, **options)


def over_axes(function, out, operands, lifted, options):
    """A function of x over ``axis``, which moves up by one; None, for all axes, is all but the first."""
    call = signature(function).bind(*operands, **options)
    call.apply_defaults()
    x, axis = stack(lifted[0]), call.arguments["axis"]
    if axis is None:
        axis = tuple(range(1, x.ndim))
    elif isinstance(axis, tuple):
        axis = tuple(a + (a >= 0) for a in axis)
    else:
        axis = axis + (axis >= 0)
    call.arguments.update(x=x, axis=axis)
    return function(*call.args, **call.kwargs)


def same_entries(function, out, operands, lifted, options):
    """A new shape for the same entries in the same order."""
    return of_shape(stack(lifted[0]), out.shape)


def last_axes(function, out, operands, lifted, options):
    """A function of x that works on its last axes, whatever stands before them."""
    return function(stack(lifted[0]), *operands[1:], **options)


def contracted(function, out, operands, lifted, options):
    """A sum of products over named axes: the leading axis gets a name of its own."""
    inputs, result = options["subscripts"].split("->")
    name = next(name for name in ascii_letters if name not in inputs)
    letters = [name * (i in lifted) + part for i, part in enumerate(inputs.split(","))]
    return function(*(stack(lifted[i]) if i in lifted else x for i, x in enumerate(operands)),
                    subscripts=f"{','.join(letters)}->{name}{result}")


def by_example(function, out, operands, lifted, options):
    """A function whose leading axes are examples: what does not differ is repeated."""
    count = len(next(iter(lifted.values())))
    return function(*(stack(lifted[i]) if i in lifted else np.broadcast_to(x, (count, *x.shape))
                      for i, x in enumerate(operands)), **options)


def matrix_product(function, out, operands, lifted, options):
    """x @ y for a vector or matrix y that does not differ: all rows at once, or a change of rank one."""
    y = operands[1]
    if set(lifted) != {0} or y.ndim > 2:
        return None
    return changed_product(lambda x: function(x, y), out, y, lifted[0])


def linear_layer(function, out, operands, lifted, options):
    """x @ weight.T + bias, likewise."""
    if set(lifted) != {0}:
        return None
    _, weight, *bias = operands
    return changed_product(lambda x: function(x, weight, *bias, **options), out, weight.T, lifted[0])


def changed_product(product, out, y, x):
    """``product`` of x, which is x @ y and perhaps a constant, and is ``out`` where x does not differ."""
    if isinstance(x, Flips) and x.base.dtype.kind == "f":
        change = x.flipped - x.at_units(x.base)
        return out + change.reshape(*change.shape, *(1,) * (y.ndim - 1)) * y[x.units]
    x = stack(x)
    return product(x.reshape(-1, x.shape[-1])).reshape(len(x), *out.shape)
