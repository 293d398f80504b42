"""A primitive: a plain function on arrays, and beside it one vector-Jacobian product per argument.

    @elementwise(integers=True)
    def multiply(x, y):
        return np.multiply(x, y)

    multiply.vjps(lambda g, out, x, y: g * y,
                  lambda g, out, x, y: g * x)

A product receives the cotangent ``g`` of the output, the output, the arguments and the options, and returns the
cotangent of its own argument.  It need not sum over broadcast axes: ``Primitive.pull_back`` does that for all
products (``fitted``).  Products that are written with primitives and operators can be differentiated again, because
a primitive computes when it is given arrays and records when it is given Tensors.

The decorator says of which kind a function is: ``elementwise``, ``along_axes``, or ``primitive`` for any other.

Integers and booleans are converted before the function and its products see them (``integers_among``). Beside a
floating argument they take its dtype. Alone they become float64, unless the primitive gives integers for
integers, as ``multiply`` does: then it says ``integers=True``. An argument without a derivative is no number to
compute with, but an index, a label or a condition, and stays as it is.
"""

from functools import partial
from typing import Any

import numpy as np

from minigrad import sharing
from minigrad.kernels import Packed
from minigrad.kernels.device import arrays
from minigrad.ops import alternatives
from minigrad.ops.errors import FOREIGN, check_words, foreign, no_array
from minigrad.ops.node import Node
from minigrad.ops.packed import ALL, COMPACT, as_wanted, dense, level_of_elementwise, on_open_blocks

FLOAT64, FLOAT32 = FLOATS = np.dtype("float64"), np.dtype("float32")

#: Types of arguments that are taken as they are.
ORDINARY = {np.ndarray, bool, int, float, type(None), slice, tuple, str, type(...), Packed}

#: Every primitive by name.  It can be listed, tested row by row and drawn.
table = {}


class Primitive:
    """A function on arrays that knows its vector-Jacobian products.

    Attributes
    ----------
    forward : the function itself, arrays in and array out.
    name : in messages and drawings; by default that of the function.
    products : its vector-Jacobian products by argument; None marks an argument with no derivative.
    integers : whether integers alone give integers, as in NumPy; otherwise they are converted to float64.
    casts : whether floating arguments may differ in dtype from the result.
    conditions : the numbers of arguments whose booleans stay booleans, though they have a product.
    linear : sets of arguments in which the function is linear as long as the others are constants.
    carries : how it computes many alternatives in one call (``ops.alternatives``); None if it does not.
    demand : how much of the output's cotangent the products read (``ops.packed``), as a function of a dict from
        argument to the level wanted of its cotangent; None, as for most, if they read it all.
    graded : whether the products take a keyword ``wanted``, the level wanted of their argument.
    """

    stochastic = False
    products = ()
    integers = casts = graded = False
    conditions = linear = ()
    carries = demand = None

    def __init__(self, forward, **traits):
        self.forward = forward
        self.name = self.__name__ = forward.__name__
        self.__doc__ = forward.__doc__
        self.__module__ = getattr(forward, "__module__", __name__)     # ufuncs of older NumPys have none
        self.__wrapped__ = forward      # for help() and doctest
        for name, value in traits.items():
            setattr(self, name, value)

    def __call__(self, *args: Any, **options: Any) -> Any:
        if options and not FOREIGN.isdisjoint(options):
            check_words(self.name, self.forward.__code__.co_varnames, options)
        for x in (*args, *options.values()):
            if isinstance(x, Node):
                return Node.record(self, *self.bound(args, options))
        if not all(type(x) in ORDINARY for x in args):
            args = tuple(self.ordinary(i, x) for i, x in enumerate(args))
        if options and any(isinstance(x, np.generic) or arrays.is_array(x) for x in options.values()):
            args, options = self.bound(args, options)
        for i, x in enumerate(args):
            dtype = getattr(x, "dtype", None)
            if (dtype is not FLOAT64 and dtype is not FLOAT32 and (dtype is not None or not self.integers)
                    and is_number(self, i)):
                args = converted(args, *integers_among(self, args))
                break
        try:
            return self.forward(*args, **options)
        except (ValueError, TypeError, AttributeError) as error:
            if str(error).startswith(self.name):
                raise
            if found := foreign(self.name, args):
                raise found from None
            if isinstance(error, AttributeError) or "NoneType" in str(error):
                raise no_array(self.name, args) from error
            raise

    def bound(self, args, options):
        """The call with those arguments by position that have a product, whichever way they were given."""
        if not options:
            return args, options
        code, defaults = self.forward.__code__, self.forward.__defaults__ or ()
        names = code.co_varnames[:code.co_argcount]
        missing = dict(zip(names[len(names) - len(defaults):], defaults, strict=True))
        differentiable = [] if isinstance(self.products, OneForEach) else names[:len(self.products)]
        while any(name in options for name in differentiable[len(args):]):
            name = names[len(args)]
            args = (*args, options[name] if name in options else missing.get(name))
            options = {other: x for other, x in options.items() if other != name}
        for name, x in options.items():
            if isinstance(x, Node):
                raise TypeError(f"{self.name}: expected an ordinary value as {name}, got a Tensor, whose derivative "
                                "and changes would be missed. Use .item() or .numpy()")
        return args, {name: self.ordinary(None, x) for name, x in options.items()}

    def ordinary(self, argnum, x):
        """An argument or an option (argnum None) as an ordinary array or number.

        A scalar of NumPy's that is a setting, and no number to differentiate by, becomes a Python number: it
        would widen float32.
        """
        if isinstance(x, np.generic) and self.differentiable and (argnum is None or not is_number(self, argnum)):
            return x.item()
        if type(x).__module__.partition(".")[0] == "torch":
            raise foreign(self.name, (x,))
        return sharing.plain(x, self.name)

    @property
    def differentiable(self):
        """Whether any argument has a product."""
        return isinstance(self.products, OneForEach) or any(product is not None for product in self.products)

    def vjps(self, *products):
        """Register one vector-Jacobian product ``f(g, out, *args, **options)`` per argument."""
        self.products = products

    def vjp_of_each(self, product):
        """Register one product ``f(g, out, argnum, *args, **options)`` for any number of arguments."""
        self.products = OneForEach(product)

    def missing(self, argnum):
        """The error for an argument without an entry among the products."""
        return ValueError(
            f"{self.name}: no vector-Jacobian product for argument {argnum}; {len(self.products)} registered. "
            f"Add it with {self.name}.vjps(...), or None if the argument has no derivative")

    # -- backward ----------------------------------------------------------------------------------

    def level(self, node, sought, wanted):
        """How much of the cotangent of ``node`` is read for its arguments in ``sought``."""
        if self.demand is not None:
            return self.demand({i: wanted[x] for i, x, _ in sought})
        return level_of_elementwise(sought, wanted) if type(node.value) is Packed else ALL

    def pull_back(self, node, g, sought, wanted, run, create_graph):
        """Cotangents of arguments of ``node`` from its own cotangent ``g``.

        Parameters
        ----------
        sought : the entries of ``node.parents`` whose cotangent is wanted.
        wanted : dict from Node to the level that is wanted of its cotangent.
        run : the ``graph.Evaluation`` that the values come from.
        create_graph : whether the products get Tensors, so that they are recorded.

        Returns
        -------
        list of (argument, cotangent)
        """
        options = node.options
        if create_graph:        # derivatives of derivatives are computed densely
            out, args = undone(node), list(node.operands)
            for i, x, _ in node.parents:
                args[i] = undone(x)
        elif run.values:
            out, args = run.value(node), run.operands(node)
        else:
            out, args = node.value, node.operands
        values, compact = args, type(out) is Packed and not self.graded
        if compact and wanted[node] == ALL:
            out, values, compact = dense(out), [dense(x) for x in args], False
        grads = []
        for i, x, product in sought:
            if compact:
                grad = on_open_blocks(product, g, out, values, options)
            elif self.graded:
                grad = product(g, out, *values, **options, wanted=wanted[x])
            else:
                grad = product(g, out, *values, **options)
            arg = args[i]
            if (type(arg) is Packed or type(grad) in COMPACT
                    or grad.shape != arg.shape or grad.dtype is not arg.dtype):
                grad = self.fitted(grad, i, arg, x, wanted[x])
            grads.append((x, grad))
        return grads

    def fitted(self, grad, argnum, arg, x, wanted):
        """What a product returned, as a cotangent of argument ``x``, whose value or Tensor is ``arg``.

        It is summed over the axes along which x was broadcast.  For a leaf it may stay factored.

        Raises
        ------
        ValueError, TypeError
            Shape or dtype is not that of x; the primitive and the argument are named.
        """
        if isinstance(arg, Packed):
            grad = as_wanted(grad, arg, wanted)
        elif isinstance(grad, Packed) or x.primitive is not None:
            grad = dense(grad)
        if grad.shape != arg.shape:
            summed = sum_to(grad, arg.shape)
            if summed is None:
                raise ValueError(f"{self.name}: the vector-Jacobian product for argument {argnum} has shape "
                                 f"{grad.shape}; expected {arg.shape}, or a shape that broadcasts from it")
            grad = summed
        if grad.dtype != arg.dtype:
            raise TypeError(f"{self.name}: the vector-Jacobian product for argument {argnum} has dtype "
                            f"{grad.dtype}; expected {arg.dtype}, the argument's own")
        return grad

    def __reduce__(self):
        return self.__name__        # by name, as functions are copied and pickled

    def __repr__(self):
        return f"<primitive {self.name}>"


class OneForEach:
    """Products of a function of any number of arguments, all alike but for the argument's number."""

    def __init__(self, product):
        self.product = product

    def __getitem__(self, argnum):
        def product(g, out, *args, **options):
            return self.product(g, out, argnum, *args, **options)
        return product


def is_number(primitive, argnum):
    """Whether an argument is a number to compute with: one that has a derivative, and no index, say."""
    products = primitive.products
    return type(products) is OneForEach or (argnum < len(products) and products[argnum] is not None)


def converted(args, integers, dtype, astype=lambda x, dtype: x.astype(dtype)):
    """The arguments of a call where those of the numbers in ``integers`` have another dtype."""
    return tuple(x if i not in integers else astype(x, dtype) if hasattr(x, "dtype") else float(x)
                 for i, x in enumerate(args)) if integers else args


def integers_among(primitive, args):
    """The arguments of a call that have to be made floating: their numbers, and the dtype to convert them to.

    Arguments are arrays and numbers. Those without a derivative are left out: they are indices, say.

    >>> integers_among(table["multiply"], (np.ones(2, "float32"), np.array([3, 4])))
    ([1], dtype('float32'))
    >>> integers_among(table["multiply"], (2, np.array([3, 4])))
    ([], None)

    Raises
    ------
    TypeError
        Floating arguments of two dtypes, or numbers other than integers, float64 and float32.
    """
    common, floating, integers = None, not primitive.integers, []
    for i, x in enumerate(args):
        if not is_number(primitive, i):
            continue
        dtype = getattr(x, "dtype", None)
        if not isinstance(dtype, (np.dtype, type(None))):
            raise foreign(primitive.name, args)
        if dtype is not None and dtype in FLOATS:
            if common is not None and dtype != common and not primitive.casts:
                raise TypeError(f"{primitive.name}: expected floating arguments of one dtype, got {common} and "
                                f"{dtype}. Convert with .astype, or a number with float()")
            common = dtype
        elif type(x) is float:
            floating = True             # as in NumPy, a Python number takes the dtype of the arrays that it meets
        elif type(x) is int or type(x) is bool or (
                dtype is not None and dtype.kind in "iub" and not (dtype.kind == "b" and i in primitive.conditions)):
            integers.append(i)
        elif (dtype is not None and dtype.kind != "b" and not primitive.casts) or type(x) is complex:
            raise foreign(primitive.name, args) or TypeError(
                f"{primitive.name}: expected real numbers in float64, float32, integers or booleans, got dtype "
                f"{dtype or 'complex'}. Convert with .astype(np.float64), or take real and imaginary parts")
    if not integers or (common is None and not floating):
        return [], None
    if common is not None:
        integers = [i for i in integers if type(args[i]) is not int]
    return integers, common or FLOAT64


def undone(x):
    """x as a Tensor without packed units."""
    return x.to_dense() if isinstance(x.value, Packed) else x


def sum_to(x, shape):
    """Sum x over the axes along which ``shape`` was broadcast to x's; None if it was not."""
    extra = x.ndim - len(shape)
    if extra < 0 or any(n not in (1, m) for n, m in zip(shape, x.shape[extra:], strict=True)):
        return None
    if extra:
        x = x.sum(axis=tuple(range(extra)))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 and x.shape[i] != 1)
    return x.sum(axis=stretched, keepdims=True) if stretched else x


def primitive(forward: Any = None, **traits: Any) -> Any:
    """Enter ``forward`` into the table as a primitive; its products follow with ``.vjps``.

    ``@primitive(integers=True)`` sets attributes of ``Primitive`` as well.
    """
    if forward is None:
        return partial(primitive, **traits)
    made = table[forward.__name__] = Primitive(forward, **traits)
    return made


#: Decorators for a function of single entries, and for a function over ``axis``.
elementwise: Any = partial(primitive, carries=alternatives.elementwise)
along_axes: Any = partial(primitive, carries=alternatives.over_axes)
