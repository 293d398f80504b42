"""A primitive: a function on arrays, with one vector-Jacobian product per argument.

    @elementwise(integers=True)
    def multiply(x, y):
        return np.multiply(x, y)

    multiply.vjps(lambda g, out, x, y: g * y,
                  lambda g, out, x, y: g * x)

A vector-Jacobian product ("product" in this file) takes the cotangent ``g`` of the output, the output, the arguments
and the options.  It returns the cotangent of its argument.  It need not sum over broadcast axes, since
``Primitive.fit_cotangent`` does this for all products.  A product that is written with primitives and operators can
be differentiated again: with arrays a primitive computes, and with Tensors it also records.

There are three decorators: ``elementwise``, ``along_axes``, and ``primitive`` for all other functions.

Integers and booleans are converted before the function and its products get them (``integers_among``).  If another
argument is floating, they take its dtype.  Otherwise they become float64, unless the primitive has ``integers=True``.
Such a primitive returns integers for integers, as ``multiply`` does.  An argument without a derivative is an index, a
label or a condition.  It is not converted.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minigrad import sharing
from minigrad.kernels import Packed
from minigrad.kernels.device import arrays
from minigrad.ops import alternatives, masks
from minigrad.ops.errors import OTHER_NAMES, check_names, missing_array_error, operand_error
from minigrad.ops.node import Node
from minigrad.ops.packed import ALL, COMPACT, OPEN, as_wanted, dense, level_of_elementwise, on_open_blocks

FLOAT64, FLOAT32 = FLOATS = np.dtype("float64"), np.dtype("float32")

#: Types of arguments that need no conversion.
ORDINARY = {np.ndarray, bool, int, float, type(None), slice, tuple, str, type(...), Packed}

#: Every primitive by name.
table: dict[str, Any] = {}


class Primitive:
    """A function on arrays, with its vector-Jacobian products.

    Attributes
    ----------
    forward : the function.  It takes arrays and returns an array.
    name : the name in messages and drawings; by default the name of the function.
    products : the vector-Jacobian products by argument.  None marks an argument without a derivative.
    integers : whether the result for integers is an integer, as in NumPy.  If not, integers are converted to float64.
    casts : whether floating arguments may have another dtype than the result.
    conditions : the numbers of arguments that have a product, and whose booleans are not converted.
    linear : tuples of argument numbers.  The function is linear in these arguments if the others are constants.
    batching : the function that computes many alternatives in one call (``ops.alternatives``), or None.
    demand : a function from a dict of levels to a level (``ops.packed``).  The dict has the level wanted of the
        cotangent of each argument.  The result is the level that the products read of the output's cotangent.
        None means ALL.
    selective : the numbers of arguments that cost less if their cotangent is read only where they are not 0.
    reads : a function that returns the entries of the output's cotangent that the products read (``ops.masks``), or
        None if they read all.
    takes_wanted : whether the products have a keyword ``wanted``, the level wanted of the cotangent they compute.
    """

    stochastic = False
    products: Any = ()
    integers = casts = takes_wanted = False
    conditions: tuple[int, ...] = ()
    linear: tuple[tuple[int, ...], ...] = ()
    batching: Any = None
    demand: Any = None
    selective: tuple[int, ...] = ()
    reads: Any = None

    def __init__(self, forward: Callable[..., Any], **attributes: Any) -> None:
        self.forward = forward
        self.name = self.__name__ = forward.__name__
        self.__doc__ = forward.__doc__
        self.__module__ = getattr(forward, "__module__", __name__)     # ufuncs of old versions of NumPy have none
        self.__wrapped__ = forward      # for help() and doctest
        for name, value in attributes.items():
            setattr(self, name, value)

    def __call__(self, *args: Any, **options: Any) -> Any:
        if options and not OTHER_NAMES.isdisjoint(options):
            check_names(self.name, self.forward.__code__.co_varnames, options)
        for x in (*args, *options.values()):
            if isinstance(x, Node):
                return Node.record(self, *self.bind(args, options))
        if not all(type(x) in ORDINARY for x in args):
            args = tuple(self.ordinary(i, x) for i, x in enumerate(args))
        if options and any(isinstance(x, np.generic) or arrays.is_array(x) for x in options.values()):
            args, options = self.bind(args, options)
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
            if unusable := operand_error(self.name, args):
                raise unusable from None
            if isinstance(error, AttributeError) or "NoneType" in str(error):
                raise missing_array_error(self.name, args) from error
            raise

    def bind(self, args, options):
        """The arguments and options of a call, with all arguments that have a product by position."""
        if not options:
            return args, options
        code, defaults = self.forward.__code__, self.forward.__defaults__ or ()
        names = code.co_varnames[:code.co_argcount]
        default = dict(zip(names[len(names) - len(defaults):], defaults, strict=True))
        differentiable = [] if isinstance(self.products, OneForEach) else names[:len(self.products)]
        while any(name in options for name in differentiable[len(args):]):
            name = names[len(args)]
            args = (*args, options[name] if name in options else default.get(name))
            options = {other: x for other, x in options.items() if other != name}
        for name, x in options.items():
            if isinstance(x, Node):
                raise TypeError(f"{self.name}: expected a number or an array as {name}, got a Tensor. No gradient "
                                f"flows to {name}, and a replay would not see it change. Use .item() or .numpy()")
        return args, {name: self.ordinary(None, x) for name, x in options.items()}

    def ordinary(self, argnum, x):
        """An argument or an option (argnum None) as an ordinary array or number.

        A NumPy scalar without a derivative becomes a Python number, since a float64 scalar would turn float32 arrays
        into float64.
        """
        if isinstance(x, np.generic) and self.differentiable and (argnum is None or not is_number(self, argnum)):
            return x.item()
        if type(x).__module__.partition(".")[0] == "torch":
            raise operand_error(self.name, (x,))
        return sharing.plain(x, self.name)

    @property
    def differentiable(self) -> bool:
        """Whether any argument has a product."""
        return isinstance(self.products, OneForEach) or any(product is not None for product in self.products)

    def vjps(self, *products: Callable[..., Any] | None) -> None:
        """Register one vector-Jacobian product ``f(g, out, *args, **options)`` per argument."""
        self.products = products

    def vjp_of_each(self, product: Callable[..., Any]) -> None:
        """Register one product ``f(g, out, argnum, *args, **options)`` for any number of arguments."""
        self.products = OneForEach(product)

    def missing(self, argnum):
        """The error for an argument that has no entry in ``products``."""
        return ValueError(
            f"{self.name}: expected a vector-Jacobian product for argument {argnum}, found "
            f"{len(self.products)} products. "
            f"Add it with {self.name}.vjps(...), or None if the argument has no derivative")

    # -- backward ----------------------------------------------------------------------------------

    def level(self, node, wanted_parents, wanted, masks):
        """How much of the cotangent of ``node`` is read to compute those of its arguments in ``wanted_parents``.

        For selective arguments, the level in ``wanted`` is lowered from ALL to OPEN if the ``masks`` show that no more
        is read.
        """
        for i, x, _ in wanted_parents if self.selective else ():
            if i in self.selective and masks.only_open(x):
                wanted[x] = OPEN
        if self.demand is not None:
            return self.demand({i: wanted[x] for i, x, _ in wanted_parents})
        return level_of_elementwise(wanted_parents, wanted) if type(node.value) is Packed else ALL

    def pull_back(self, node, g, wanted_parents, wanted, run, create_graph):
        """The cotangents of arguments of ``node``, computed from its cotangent ``g``.

        Parameters
        ----------
        wanted_parents : the entries of ``node.parents`` whose cotangent is wanted.
        wanted : dict from Node to the level wanted of its cotangent.
        run : the ``graph.Evaluation`` with the values of the nodes.
        create_graph : whether the products get Tensors.  They are then recorded.

        Returns
        -------
        list of (argument, cotangent)
        """
        options = node.options
        if create_graph:        # second derivatives use dense arrays
            out, args = as_dense_tensor(node), list(node.operands)
            for i, x, _ in node.parents:
                args[i] = as_dense_tensor(x)
        elif run.values:
            out, args = run.value(node), run.operands(node)
        else:
            out, args = node.value, node.operands
        values, compact = args, type(out) is Packed and not self.takes_wanted
        if compact and wanted[node] == ALL and not isinstance(g, Packed):
            out, values, compact = dense(out), [dense(x) for x in args], False
        grads = []
        for i, x, product in wanted_parents:
            if compact:
                grad = on_open_blocks(product, g, out, values, options)
            elif self.takes_wanted:
                grad = product(g, out, *values, **options, wanted=wanted[x])
            else:
                grad = product(g, out, *values, **options)
            arg = args[i]
            if (type(arg) is Packed or type(grad) in COMPACT
                    or grad.shape != arg.shape or grad.dtype is not arg.dtype):
                grad = self.fit_cotangent(grad, i, arg, x, wanted[x])
            grads.append((x, grad))
        return grads

    def fit_cotangent(self, grad, argnum, arg, x, wanted):
        """The result ``grad`` of a product as the cotangent of argument ``x``.  ``arg`` is the value of x, or x.

        It is summed over the axes along which x was broadcast.  For a leaf it may stay factored.

        Raises
        ------
        ValueError, TypeError
            The shape or dtype is not that of x.  The message names the primitive and the argument.
        """
        if isinstance(arg, Packed):
            grad = as_wanted(grad, arg, wanted)
        elif isinstance(grad, Packed) or x.primitive is not None:
            grad = dense(grad)
        if grad.shape != arg.shape:
            summed = sum_to(grad, arg.shape)
            if summed is None:
                raise ValueError(f"{self.name}: the vector-Jacobian product for argument {argnum} has shape "
                                 f"{grad.shape}; expected {arg.shape}, or a shape to which {arg.shape} broadcasts")
            grad = summed
        if grad.dtype != arg.dtype:
            raise TypeError(f"{self.name}: the vector-Jacobian product for argument {argnum} has dtype "
                            f"{grad.dtype}; expected {arg.dtype}, the dtype of the argument")
        return grad

    def __reduce__(self):
        return self.__name__        # pickled by name, as functions are

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


class OneForEach:
    """The products of a function with any number of arguments: one function, which also takes the argument's number."""

    def __init__(self, product):
        self.product = product

    def __getitem__(self, argnum):
        def product(g, out, *args, **options):
            return self.product(g, out, argnum, *args, **options)
        return product


def is_number(primitive, argnum):
    """Whether an argument has a derivative.  Other arguments are indices, labels or conditions."""
    products = primitive.products
    return type(products) is OneForEach or (argnum < len(products) and products[argnum] is not None)


def converted(args, integers, dtype, astype=lambda x, dtype: x.astype(dtype)):
    """The arguments of a call, with those whose numbers are in ``integers`` converted to ``dtype``."""
    return tuple(x if i not in integers else astype(x, dtype) if hasattr(x, "dtype") else float(x)
                 for i, x in enumerate(args)) if integers else args


def integers_among(primitive, args):
    """The numbers of the arguments that have to be converted to a floating dtype, and this dtype.

    The arguments are arrays and numbers.  Those without a derivative are skipped.

    >>> integers_among(table["multiply"], (np.ones(2, "float32"), np.array([3, 4])))
    ([1], dtype('float32'))
    >>> integers_among(table["multiply"], (2, np.array([3, 4])))
    ([], None)

    Raises
    ------
    TypeError
        The floating arguments have two dtypes, or a dtype is not float64, float32, integer or boolean.
    """
    common, floating, integers = None, not primitive.integers, []
    for i, x in enumerate(args):
        if not is_number(primitive, i):
            continue
        dtype = getattr(x, "dtype", None)
        if not isinstance(dtype, (np.dtype, type(None))):
            raise operand_error(primitive.name, args)
        if dtype is not None and dtype in FLOATS:
            if common is not None and dtype != common and not primitive.casts:
                raise TypeError(f"{primitive.name}: expected floating arguments of one dtype, got {common} and "
                                f"{dtype}. Convert with .astype, or a number with float()")
            common = dtype
        elif type(x) is float:
            floating = True             # as in NumPy, a Python number takes the dtype of the arrays
        elif type(x) is int or type(x) is bool or (
                dtype is not None and dtype.kind in "iub" and not (dtype.kind == "b" and i in primitive.conditions)):
            integers.append(i)
        elif (dtype is not None and dtype.kind != "b" and not primitive.casts) or type(x) is complex:
            raise operand_error(primitive.name, args) or TypeError(
                f"{primitive.name}: expected real numbers in float64, float32, integers or booleans, got dtype "
                f"{dtype or 'complex'}. Convert with .astype(np.float64), or take real and imaginary parts")
    if not integers or (common is None and not floating):
        return [], None
    if common is not None:
        integers = [i for i in integers if type(args[i]) is not int]
    return integers, common or FLOAT64


def as_dense_tensor(x):
    """x, or if it is packed, x as a dense Tensor."""
    return x.to_dense() if isinstance(x.value, Packed) else x


def sum_to(x, shape):
    """Sum x over the axes along which ``shape`` broadcasts to the shape of x.  None if it does not broadcast."""
    extra = x.ndim - len(shape)
    if extra < 0 or any(n not in (1, m) for n, m in zip(shape, x.shape[extra:], strict=True)):
        return None
    if extra:
        x = x.sum(axis=tuple(range(extra)))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 and x.shape[i] != 1)
    return x.sum(axis=stretched, keepdims=True) if stretched else x


def primitive(forward: Any = None, **attributes: Any) -> Any:
    """Make ``forward`` a primitive and add it to ``table``.  Its products are set with ``.vjps``.

    ``@primitive(integers=True)`` also sets attributes of ``Primitive``.
    """
    if forward is None:
        return partial(primitive, **attributes)
    result = table[forward.__name__] = Primitive(forward, **attributes)
    return result


#: Decorators for functions of single entries, and for functions with an argument ``axis``.
elementwise: Any = partial(primitive, batching=alternatives.elementwise, reads=masks.union)
along_axes: Any = partial(primitive, batching=alternatives.over_axes)
