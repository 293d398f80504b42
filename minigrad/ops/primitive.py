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
"""

# How much of a value's cotangent anybody wants.  OPEN is what skipping kernels live from: only the
# entries at which the value itself is not zero (the open blocks of a gated layer).
NOTHING, OPEN, ALL = 0, 1, 2

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
    carries : how it computes many alternatives in one call (``ops.alternatives``); None if it does not.
    """

    stochastic = False

    def __init__(self, forward):
        self.forward = forward
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
        for x in (*args, *options.values()):
            if type(x) in recorders:
                return recorders[type(x)](self, *self.bound(args, options))
        return self.forward(*args, **options)

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


def primitive(forward):
    """Enter ``forward`` into the table as a primitive; its products follow with ``.vjps``."""
    made = Primitive(forward)
    table[made.name] = made
    return made
