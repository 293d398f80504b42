"""A primitive: a plain function on arrays, and beside it one vector-Jacobian product per argument.

    @primitive
    def multiply(x, y):
        return np.multiply(x, y)

    multiply.vjps(lambda g, out, x, y: g * y,
                  lambda g, out, x, y: g * x)

A product receives the cotangent ``g`` of the output, the output, the arguments and the options, and
returns the cotangent of its own argument.  Summing over broadcast axes is not its business: the
engine does that once, for all of them (``graph.fit``).  Products that are written with primitives
and operators can be differentiated again, because a primitive computes when it is given arrays and
records when it is given Tensors.

Integers and booleans are converted before the function and its products see them (``integers_among``). Beside a
floating argument they take its dtype. Alone they become float64, unless the primitive gives integers for
integers, as ``add`` does: then it says ``@primitive(integers=True)``. An argument without a derivative is no
number to compute with, but an index, a label or a condition, and stays as it is.
"""

from functools import partial

import numpy as np

from minigrad.kernels.device import arrays
from minigrad.ops.errors import FOREIGN, check_words, foreign, no_array

# How much of a value's cotangent anybody wants.  OPEN is what skipping kernels live from: only the
# entries at which the value itself is not zero (the open blocks of a gated layer).
NOTHING, OPEN, ALL = 0, 1, 2

FLOAT64, FLOAT32 = FLOATS = np.dtype("float64"), np.dtype("float32")

#: Python's numbers.
PYTHON = (bool, int, float, complex)

#: Every primitive by name.  It can be listed, tested row by row and drawn.
table = {}

#: Types that record: type -> function(primitive, args, options).  ``tensor.py`` enters Tensor here.
recorders = {}


def as_the_argument(levels):
    """Demand of an elementwise function that is zero exactly where its argument is (tanh)."""
    return max(levels.values())


def where_not_zero(levels):
    """Demand of a function whose derivative vanishes wherever its value is zero (relu)."""
    return OPEN


class Primitive:
    """A function on arrays that knows its vector-Jacobian products.

    Attributes
    ----------
    forward : the function itself, arrays in and array out.
    products : its vector-Jacobian products by argument; None marks an argument with no derivative.
    demand : how much of the output's cotangent the products read, as a function of a dict from
        argument to the level wanted of its cotangent; None, as for most, if they read it all.
    graded : whether the products take a keyword ``wanted``, the level asked of their argument.
    casts : whether floating arguments may differ in dtype from the result.
    integers : whether integers alone give integers, as in NumPy; otherwise they are converted to float64.
    conditions : the numbers of arguments whose booleans stay booleans, though they have a product.
    carries : how it computes many alternatives in one call (``ops.alternatives``); None if it does not.
    """

    stochastic = False

    def __init__(self, forward, integers=False):
        self.forward = forward
        self.integers = integers
        self.conditions = ()
        self.name = self.__name__ = forward.__name__
        self.__doc__ = forward.__doc__
        self.__module__ = forward.__module__
        self.__wrapped__ = forward      # for help() and doctest
        self.products = ()
        self.demand = None
        self.graded = False
        self.casts = False
        self.carries = None

    def __call__(self, *args, **options):
        if options and not FOREIGN.isdisjoint(options):
            check_words(self.name, self.forward.__code__.co_varnames, options)
        for x in (*args, *options.values()):
            if type(x) in recorders:
                return recorders[type(x)](self, *self.bound(args, options))
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
            if type(x) in recorders:
                raise TypeError(f"{self.name}: expected an ordinary value as {name}, got a Tensor, whose derivative "
                                "and changes would be missed. Use .item() or .numpy()")
        return args, options

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


def primitive(forward=None, *, integers=False):
    """Enter ``forward`` into the table as a primitive; its products follow with ``.vjps``.

    ``@primitive(integers=True)`` is for a function that gives integers for integers.
    """
    if forward is None:
        return partial(primitive, integers=integers)
    made = Primitive(forward, integers)
    table[made.name] = made
    return made
