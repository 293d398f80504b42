"""Tensor: a value that remembers how it was made.

A Tensor that the user made is a leaf: it has a value and, if it requires one, a gradient.  A Tensor
that a primitive made is a node of the graph as well: it keeps the primitive, its inputs and options,
which is all that ``graph`` needs to evaluate it again or to differentiate it.  A node holds its
inputs and nothing holds the node, so a graph is freed as soon as its outputs are dropped.
"""

import operator
from collections import deque
from copy import deepcopy
from functools import partial, wraps
from inspect import signature
from itertools import repeat

import numpy as np

from minigrad import devices, graph, ops, sharing
from minigrad.arguments import described
from minigrad.graph import paused, tick
from minigrad.kernels import Packed
from minigrad.kernels.device import arrays
from minigrad.ops.errors import foreign, no_array
from minigrad.ops.primitive import FLOAT32, FLOAT64, FLOATS, converted, integers_among, is_number, recorders, table


class Tensor:
    """An array in a graph.  Make one with ``mg.tensor``.

    Attributes
    ----------
    data : the value, an array on ``device``; of a view of a leaf (``w.T``, ``w[0]``) a copy.  Assigning to it
        (``w.data = x``, ``w.data -= lr * w.grad``) changes a leaf in place.
    requires_grad : whether backward leads to this Tensor.
    grad : an array like ``data`` that ``backward`` adds to, or None; leaves have one, and nodes
        after ``retain_grad()``.

    Notes
    -----
    What may change, and what happens then:

    - A leaf may be changed with ``w.data = x``, ``w.data -= x``, an optimiser's step, or under ``no_grad`` with
      ``w -= x``.  Graphs recorded before then refuse backward and replay, and views of the leaf can no longer
      be used.  Writing to entries of the array, ``w.data[0] = 1``, goes unnoticed: don't, between a forward
      computation and its backward.
    - A NumPy array that was passed to a function may be changed once backward has run.  If it is changed
      before, backward and replay raise an error.  Arrays of at most 1024 bytes are copied, so changes do
      not matter.  Of larger ones 32 entries are compared: a buffer that was filled again is noticed,
      and one changed entry is, in general, not.
    - The result of a computation cannot be changed.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    array([2., 4.])
    """

    requires_grad = False
    gradient = None         # what .grad shows; that of a gated weight stays factored until it is looked at
    retains_grad = False
    # Whose memory the value lies in (``sharing``).
    changes = (0,)          # how often that memory was changed: a list which a leaf and its views share
    born = 0                # how often it had been when the value was made
    is_view = False
    hidden = 0              # for a value computed without recording: 1 + the order of the newest node in it
    # What a node remembers of the call that made it; leaves have none of it.
    primitive = None
    operands = ()           # the arguments as the primitive saw them: arrays, numbers, ...
    parents = ()            # (argnum, Tensor, product) for each argument that is a Tensor
    options = {}
    order = 0
    changes_before = 0      # the sum of the parents' changes at the call
    watched = ()            # large NumPy operands, with some of their entries

    def __init__(self, value, requires_grad=False):
        self.value = value
        self.requires_grad = requires_grad

    # -- the value ---------------------------------------------------------------------------------

    @property
    def data(self):
        if self.is_view:
            sharing.check_fresh(self)
            return self.value.copy()
        return ops.dense(self.value)

    @data.setter
    def data(self, value):
        self.check_leaf("data")
        value = value if arrays.is_device(value) else np.asarray(sharing.plain(value, "data"))
        self.check_like(value, "data")
        self.value = value if value is self.value else value.copy(order="K")
        self.changed()

    def check_leaf(self, caller):
        """Refuse to change what has no memory of its own."""
        if self.primitive is not None:
            raise ValueError(
                f"{caller}: expected a leaf, got the result of {self.primitive.name}, which is what its "
                "inputs make it. Change the leaves and compute it again, or make a leaf: mg.tensor(x.numpy())")
        if self.is_view:
            raise ValueError(f"{caller}: expected a leaf, got a view, such as w.T or w[0], of another tensor's memory. "
                             "Assign to .data of that tensor, or make a leaf: mg.tensor(x.numpy())")

    def check_like(self, value, caller):
        """Refuse a new value of another shape, dtype or device."""
        if value.shape != self.shape or value.dtype != self.dtype or devices.of(value) != self.device:
            raise ValueError(f"{caller}: expected an array of shape {self.shape} and dtype {self.dtype} on "
                             f"{self.device!r}, got {value.shape} and {value.dtype} on {devices.of(value)!r}. "
                             "Make a new tensor to change these, or move a module with .to(device)")

    def changed(self):
        """Count a change of the value: graphs recorded before refuse backward, and views can no longer be used."""
        if self.is_view or type(self.changes) is tuple:     # it has had no count of its own so far
            self.changes, self.is_view = [self.changes[0]], False
        self.changes[0] += 1
        self.born = self.changes[0]

    @property
    def grad(self):
        self.gradient = ops.dense(self.gradient)
        return self.gradient

    @grad.setter
    def grad(self, gradient):
        gradient = None if gradient is None else cotangent_of(self, gradient, "grad")
        self.gradient = np.copy(gradient.data) if isinstance(gradient, Tensor) else gradient

    shape = property(lambda self: self.value.shape)
    ndim = property(lambda self: self.value.ndim)
    dtype = property(lambda self: self.value.dtype)
    size = property(lambda self: self.value.size)
    device = property(lambda self: devices.of(self.value))

    def numpy(self):
        """The value as a NumPy array that cannot be written to, on every device.

        Of a leaf it is a copy, so that it stays as it is when the leaf is changed.  Of the result of a
        computation, which nobody changes, it is the value itself.  From a GPU it is a copy, for which
        the host waits.  What is computed from it is invisible to backward and replay.  To get an array
        that can be written to, use ``np.array(x.numpy())``.

        >>> import minigrad as mg
        >>> w = mg.tensor([1.0, 2.0])
        >>> before = w.numpy()
        >>> w.data += 1.0
        >>> before, w.numpy()
        (array([1., 2.]), array([2., 3.]))
        """
        array = devices.put(self.data, "cpu")
        if array is self.value:
            array = array.copy(order="K") if self.primitive is None else array.view()
        array.setflags(write=False)
        return array

    def item(self):
        """The single entry as a Python number, likewise invisible to backward and replay."""
        if self.size != 1:
            raise ValueError(f"item: expected a tensor with one entry, got shape {self.shape}. "
                             "Index it first, or use .numpy()")
        return devices.put(self.data, "cpu").item()

    def tolist(self):
        """The value as nested lists of Python numbers, likewise invisible to backward and replay."""
        return self.numpy().tolist()

    def to_dense(self):
        """Packed units as an ordinary array, with zeros for closed blocks; recorded."""
        return ops.to_dense(self)

    def detach(self):
        """The same value, which passes no gradient back.  A replay still sees it change.

        Of a leaf it is a copy, so that it keeps its value when the leaf is changed.

        >>> import minigrad as mg
        >>> w = mg.tensor([1.0, 2.0], requires_grad=True)
        >>> before = w.detach()
        >>> w.data += 1.0
        >>> (w * before).sum().backward()
        >>> w.grad
        array([1., 2.])
        """
        return ops.stop_gradient(self)

    def to(self, device):
        """This tensor on ``device``, "cpu" or "cuda"; recorded, so gradients find their way back.

        What is on its device already is returned as it is.  To move parameters, which are to stay
        leaves, use ``Module.to``.
        """
        return self if devices.usable(device) == self.device else ops.to_device(self, device=device)

    # -- the gradient ------------------------------------------------------------------------------

    def backward(self, gradient=None, create_graph=False, free=False):
        """Add the gradient of this scalar to ``.grad`` of every leaf it was made of.

        It changes nothing else, so it can run again.  A graph keeps the values of all its nodes until the last
        output is dropped.  In a loop of ``loss = f()`` and ``loss.backward()`` the name ``loss`` is bound to
        the old graph until the new one is complete, so memory holds two graphs.  With ``free=True`` it holds one.

        Parameters
        ----------
        gradient : cotangent of this tensor, an array of its shape; needed unless it has one entry.
        create_graph : record the backward pass too; gradients then have to be taken with
            ``mg.grad(..., create_graph=True)``, which returns them as Tensors.
        free : drop what each node remembers as soon as no later step of this pass needs it.  Tensors that you
            hold keep their values (``loss.item()`` works), but another backward or replay through them
            raises an error.  The rules of random nodes may evaluate the graph below them again; what comes
            after the first random node is therefore dropped when the last rule has run.

        Raises
        ------
        ValueError
            Not a scalar and no ``gradient``; nothing it was made of requires a gradient; a leaf or a NumPy
            operand was changed since the forward computation; or an earlier pass has freed the graph.
        KeyboardInterrupt
            After Ctrl-C: the gradients of all leaves are then as before, or all have been added to.

        >>> import minigrad as mg
        >>> w = mg.tensor([1.0, 2.0], requires_grad=True)
        >>> loss = mg.exp(w).sum()
        >>> loss.backward(free=True)
        >>> round(loss.item(), 3)
        10.107
        """
        if create_graph:
            raise ValueError("backward: .grad is an array and cannot be differentiated again. "
                             "Use mg.grad(outputs, inputs, create_graph=True)")
        seed = cotangent_of(self, gradient, "backward")
        evaluation = graph.Evaluation([self], [seed.data if isinstance(seed, Tensor) else seed])
        if not self.requires_grad and not any(node.primitive.stochastic and node.requires_grad
                                              for node in evaluation.nodes()):
            raise ValueError("backward: expected a tensor computed from one that requires a gradient; "
                             "nothing here does. Make a leaf with requires_grad=True, outside no_grad()")
        found = evaluation.backward(free=free)
        gradients = [added(x.gradient, g) for x, g in found.items()]
        # One call of a C function, which an interrupt cannot break: no gradient is set, or all are.
        deque(map(setattr, found, repeat("gradient"), gradients), maxlen=0)

    def retain_grad(self):
        """Have ``backward`` keep this node's cotangent in ``.grad``.  Returns the tensor."""
        if not self.requires_grad:
            raise ValueError("retain_grad: expected a tensor that requires a gradient, got one that does not")
        self.retains_grad = True
        return self

    # -- operators ---------------------------------------------------------------------------------

    def __add__(self, other): return record(ops.add, (self, other), {})
    def __radd__(self, other): return record(ops.add, (other, self), {})
    def __sub__(self, other): return record(ops.subtract, (self, other), {})
    def __rsub__(self, other): return record(ops.subtract, (other, self), {})
    def __mul__(self, other): return record(ops.multiply, (self, other), {})
    def __rmul__(self, other): return record(ops.multiply, (other, self), {})
    def __truediv__(self, other): return record(ops.divide, (self, other), {})
    def __rtruediv__(self, other): return record(ops.divide, (other, self), {})
    def __pow__(self, other): return record(ops.power, (self, other), {})
    def __rpow__(self, other): return record(ops.power, (other, self), {})
    def __matmul__(self, other): return record(ops.matmul, (self, other), {})
    def __rmatmul__(self, other): return record(ops.matmul, (other, self), {})
    def __mod__(self, other): return record(ops.remainder, (self, other), {})
    def __rmod__(self, other): return record(ops.remainder, (other, self), {})
    def __floordiv__(self, other): return record(ops.floor_divide, (self, other), {})
    def __rfloordiv__(self, other): return record(ops.floor_divide, (other, self), {})
    def __divmod__(self, other): return self // other, self % other
    def __rdivmod__(self, other): return other // self, other % self
    def __and__(self, other): return record(ops.bitwise_and, (self, other), {})
    def __rand__(self, other): return record(ops.bitwise_and, (other, self), {})
    def __or__(self, other): return record(ops.bitwise_or, (self, other), {})
    def __ror__(self, other): return record(ops.bitwise_or, (other, self), {})
    def __xor__(self, other): return record(ops.bitwise_xor, (self, other), {})
    def __rxor__(self, other): return record(ops.bitwise_xor, (other, self), {})
    def __invert__(self): return record(ops.invert, (self,), {})
    def __neg__(self): return record(ops.negative, (self,), {})
    def __abs__(self): return record(ops.absolute, (self,), {})
    def __round__(self, decimals=None): return ops.round(self, decimals=decimals or 0)
    def __lt__(self, other): return record(ops.less, (self, other), {})
    def __le__(self, other): return record(ops.less_equal, (self, other), {})
    def __gt__(self, other): return record(ops.greater, (self, other), {})
    def __ge__(self, other): return record(ops.greater_equal, (self, other), {})
    def __eq__(self, other): return record(ops.equal, (self, other), {})
    def __ne__(self, other): return record(ops.not_equal, (self, other), {})
    __hash__ = object.__hash__

    def __getitem__(self, index):
        if isinstance(index, tuple):
            return ops.getitem(self, *(list(i) if isinstance(i, (tuple, range)) else i for i in index))
        return ops.getitem(self, list(index) if isinstance(index, range) else index)

    # -- NumPy's method names: these, and those of METHODS below ------------------------------------

    def abs(self): return ops.absolute(self)
    def astype(self, dtype): return ops.astype(self, dtype=dtype)
    def flatten(self): return ops.reshape(self, shape=(-1,))
    def ravel(self): return ops.reshape(self, shape=(-1,))
    T = property(lambda self: ops.transpose(self))

    def reshape(self, *shape):
        return ops.reshape(self, shape=tuple(shape[0]) if isinstance(shape[0], (tuple, list)) else shape)

    def transpose(self, *axes):
        axes = axes[0] if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes
        return ops.transpose(self, axes=tuple(axes) or None)

    def __len__(self):
        if self.ndim == 0:
            raise TypeError("len: expected a tensor with at least one axis, got a scalar tensor")
        return self.shape[0]

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    # -- what a Tensor is not ----------------------------------------------------------------------

    def __reduce_ex__(self, protocol):
        if self.primitive is not None:      # a copy would take the whole graph along
            raise TypeError(f"expected a leaf to copy or to pickle, got the result of {self.primitive.name}, which "
                            "holds the graph that it was computed by. Take its value, .numpy(), or a leaf of that "
                            "value, mg.tensor(x.numpy())")
        return super().__reduce_ex__(protocol)

    def __copy__(self):
        return deepcopy(self)       # two leaves in one memory would each count its own changes only

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if method == "__call__" and not options and ufunc.__name__ in table:
            return table[ufunc.__name__](*inputs)
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        raise TypeError(f"np.{name}: minigrad has no primitive of that name for a Tensor. "
                        "Use one of mg.ops, or .numpy() for the bare array")

    def __array_function__(self, function, types, args, options):
        raise TypeError(f"np.{function.__name__}: NumPy's function would leave the graph. Use mg.{function.__name__} "
                        "where there is one, a method of the Tensor, or .numpy() for the bare array")

    def __array__(self, dtype=None, copy=None):
        raise TypeError("expected an array, got a Tensor, which would silently leave the graph. "
                        "Use .numpy() to leave it, or a primitive of mg.ops to stay")

    def __float__(self):
        raise TypeError("expected a number, got a Tensor, which would silently leave the graph. "
                        "Use .item()")

    __int__ = __index__ = __float__

    def __bool__(self):
        raise TypeError("the truth of a Tensor would leave the graph, and a replay could not see the "
                        "branch. Use mg.where to stay in it, or .item() to leave it")

    def __setitem__(self, index, value):
        raise TypeError("a Tensor's entries cannot be assigned. Use mg.where or mg.concatenate, or "
                        "assign a whole new array to .data of a leaf")

    def __format__(self, spec):
        if spec and self.size != 1:
            raise TypeError(f"format: expected a tensor with one entry for {spec!r}, got shape {self.shape}. Format "
                            "its entries, or use np.array2string(x.numpy(), precision=...)")
        return format(self.item(), spec) if spec else str(self)

    def __repr__(self):
        if self.changes[0] != self.born:
            return f"tensor(view of a leaf that was changed since, shape={self.shape}, dtype={self.dtype})"
        text = np.array2string(devices.put(self.data, "cpu"), separator=", ", prefix="tensor(")
        made = f", by={self.primitive.name}" if self.primitive else ""
        place = "" if self.device == "cpu" else f", device={devices.describe(self.device)!r}"
        return f"tensor({text}, dtype={self.dtype}{place}{made}{', requires_grad=True' * self.requires_grad})"


#: Functions that are methods as well: x.sum(axis=0) is mg.sum(x, axis=0).
METHODS = (
    "all", "any", "argmax", "argmin", "argsort", "clip", "cos", "cumprod", "cumsum", "diagonal", "dot", "exp", "log",
    "log_softmax", "logsumexp", "max", "mean", "min", "norm", "prod", "relu", "repeat", "round", "sigmoid", "sin",
    "softmax", "sort", "sqrt", "square", "squeeze", "std", "sum", "swapaxes", "tanh", "trace", "var",
)


def method(function):
    """``function`` as a method, with all arguments but the first by name, as drawings and replays have them."""
    _, *names = signature(function).parameters

    @wraps(function, updated=())
    def call(self, *args, **options):
        if args:
            if len(args) > len(names):
                raise TypeError(f"{function.__name__}: expected {' and '.join(names) or 'no arguments'}, got {args}")
            for name, x in zip(names, args, strict=False):
                if name in options:
                    raise TypeError(f"{function.__name__}: expected {name} once, got it twice")
                options[name] = x
        return function(self, **options)

    return call


for name in METHODS:
    setattr(Tensor, name, method(getattr(ops, name)))


def in_place(symbol, compute):
    """The method behind an operator such as ``+=``: it changes a leaf under ``no_grad``, and nothing else."""
    def update(self, other):
        if not paused.get():
            raise TypeError(f"{symbol}: where recording is on, a Tensor cannot be changed in place. Write "
                            f"x = x {symbol[:-1]} y for a new Tensor. To change a leaf, assign to x.data, or use "
                            f"{symbol} under mg.no_grad()")
        self.check_leaf(symbol)
        found = compute(self, other)
        self.check_like(found, symbol)
        self.value[...] = ops.dense(found.value)
        self.changed()
        return self
    return update


for symbol, name in {"+=": "add", "-=": "sub", "*=": "mul", "/=": "truediv", "//=": "floordiv", "%=": "mod",
                     "**=": "pow", "@=": "matmul", "&=": "and", "|=": "or", "^=": "xor",
                     "<<=": "lshift", ">>=": "rshift"}.items():
    setattr(Tensor, f"__i{name}__", in_place(symbol, getattr(operator, f"__{name}__")))


#: Types of operands that nobody can change.
CONSTANT = {bool, int, float, slice, str, type(None), type(...)}


def added(gradient, cotangent):
    """What ``.grad`` becomes where backward finds a cotangent; an array that nobody else has."""
    if gradient is not None:
        return gradient + cotangent
    return cotangent if isinstance(cotangent, ops.Factored) else np.copy(ops.dense(cotangent))


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
        if type(x) is Tensor:
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
                x = sharing.plain(x, primitive.name)
                if type(x) is list:
                    place = next(beside.value for beside in args if type(beside) is Tensor)
                    return record(primitive, [devices.beside(place, x) if type(x) is list else x for x in args],
                                  options, tracked)
                if type(x).__module__.startswith("torch"):
                    raise foreign(primitive.name, (x,))
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
            return record(primitive, converted(args, integers, dtype, partial(floated, tracked=tracked)), options)
    try:
        value = primitive.forward(*operands, **options)
    except (ValueError, TypeError, AttributeError) as error:
        raise explained(error, primitive, operands) from (error if isinstance(error, AttributeError) else None)
    if type(value) is not np.ndarray:
        value = checked_result(value, primitive, operands)
    if value.dtype is not common:
        requires_grad &= value.dtype.kind == "f"
        check_dtype(primitive, value.dtype)
    remember = tracked and not paused.get()
    value, lender = in_whose_memory(value, primitive, operands, parents, given, remember)
    out = Tensor(value)
    if lender is not None:
        sharing.link(out, lender)
    if remember:
        if given:
            out.watched = sharing.keep(operands, given)
        if options and np.ndarray in map(type, options.values()):
            out.watched += sharing.keep(options, options)
        out.requires_grad = requires_grad
        out.primitive = primitive
        out.operands = operands
        out.parents = parents
        out.options = options
        out.order = tick()
        out.changes_before = changes
    else:
        for _, x, _ in parents:
            newest = x.hidden if x.primitive is None and not x.requires_grad else 1 + x.order
            if newest > out.hidden:
                out.hidden = newest
    return out


def checked_result(value, primitive, operands):
    """The result of a primitive that is not an ordinary array: a scalar as an array, or an error."""
    if isinstance(value, np.generic):
        return np.asarray(value)
    if not isinstance(value, (np.ndarray, Packed)) and not arrays.is_device(value):
        raise foreign(primitive.name, operands) or no_array(primitive.name, operands)
    if devices.of(value) != "cpu" and primitive is not ops.to_device and (error := mixed(primitive, operands)):
        raise error
    return value


def in_whose_memory(value, primitive, operands, parents, given, remember):
    """The value of a node, and the Tensor in whose memory it lies, or None.

    A value in the memory of an array that was ``given``, or of a ``detach``, is copied.
    """
    may_be_view = value.base is not None if type(value) is np.ndarray else arrays.is_device(value)
    lender = None
    for _, x, _ in parents:
        if ((may_be_view or value is x.value) and (x.primitive is None or x.is_view or not remember)
                and sharing.overlap(value, x.value)):
            lender = x
    for i in given:
        if (may_be_view or value is operands[i]) and sharing.overlap(value, operands[i]):
            value = value.copy()
    if lender is not None and primitive is ops.stop_gradient:
        return value.copy(), None
    return value, lender


def explained(error, primitive, operands):
    """A primitive's own error as it is; one of NumPy's in our words, with the primitive's name."""
    if found := mixed(primitive, operands):
        return found
    if str(error).startswith(primitive.name):
        return error
    if found := foreign(primitive.name, operands):
        return found
    if isinstance(error, AttributeError) or "NoneType" in str(error):
        return no_array(primitive.name, operands)
    if any(isinstance(x, Packed) for x in operands) and "to_dense" not in str(error):
        return TypeError(f"{primitive.name}: expected ordinary arrays, got packed units. Use .to_dense()")
    if "broadcast" in str(error):
        shapes = ", ".join(str(x.shape) for x in operands if hasattr(x, "shape"))
        return ValueError(f"{primitive.name}: expected shapes that broadcast together, got {shapes}. "
                          "Align them from the last axis; a length of 1 stretches")
    kind = ValueError if isinstance(error, ValueError) else TypeError
    return kind(f"{primitive.name}: {error}")


def mixed(primitive, operands):
    """The error for arrays on different devices, since nothing is moved unasked; None where they are on one."""
    places = [devices.of(x) for x in operands if arrays.is_array(x) or isinstance(x, Packed)]
    if len(set(places)) > 1:
        return TypeError(f"{primitive.name}: expected arguments on one device, got {', '.join(map(repr, places))}. "
                        "Move them together with .to(device), or mg.tensor(array, device=...)")
    return None


def floated(x, dtype, tracked):
    """An integer argument, a Tensor or an array, in the floating dtype that a primitive computes with.

    Of a Tensor the conversion is recorded if the result will be, so that a replay sees other integers.
    """
    if isinstance(x, Tensor):
        return record(ops.astype, (x,), {"dtype": dtype}, tracked)
    return x.astype(dtype)


def check_dtype(primitive, dtype):
    """Refuse a result that no Tensor holds."""
    if dtype not in FLOATS and dtype.kind not in "iub":
        raise TypeError(f"{primitive.name}: expected real numbers in float64, float32 or integers, got a result of "
                        f"dtype {dtype}. Convert with .astype(np.float64), or take real and imaginary parts first")


recorders[Tensor] = record


def tensor(data, requires_grad=False, dtype=None, device=None):
    """A leaf Tensor holding a copy of ``data``.

    Parameters
    ----------
    data : array, number or nested sequence of numbers.
    requires_grad : whether ``backward`` leads here; floating dtypes only.
    dtype : float64, float32, an integer or a boolean dtype; by default NumPy's choice for ``data``.
    device : "cpu" or "cuda"; by default where ``data`` is.

    Raises
    ------
    TypeError
        A dtype other than those; a gradient asked of integers or booleans; a Tensor, a masked array or a
        matrix as ``data``.
    ValueError
        An unknown device, or sequences of unequal length.
    RuntimeError
        No GPU that can be used (``minigrad.devices``).

    >>> import minigrad as mg
    >>> mg.tensor([1.0, 2.0])
    tensor([1., 2.], dtype=float64)
    """
    if isinstance(data, Tensor):
        raise TypeError("tensor: expected an array or numbers, got a Tensor. Use .detach() for a "
                        "Tensor without gradient, or .numpy() for its array")
    data = sharing.plain(data, "tensor")
    if hasattr(data, "__cuda_array_interface__"):
        arrays.device_library()
    try:
        dtype = None if dtype is None else np.dtype(dtype)
    except (TypeError, ValueError):
        raise TypeError(f"tensor: expected dtype float64, float32, an integer dtype or bool, got {described(dtype)}. "
                        "Use np.float32, say, or its name") from None
    try:
        value = data.astype(dtype or data.dtype) if arrays.is_device(data) else np.array(data, dtype=dtype)
    except ValueError as error:
        raise ValueError(f"tensor: expected numbers in a rectangular array. NumPy says: {error}") from None
    except TypeError:
        raise TypeError(f"tensor: expected numbers, got {described(data)}. Use lists of numbers or an array") from None
    if value.dtype not in FLOATS and value.dtype.kind not in "iub":
        got = described(data) if value.dtype == object else f"dtype {value.dtype}"
        raise TypeError(f"tensor: expected float64, float32, integer or boolean data, got {got}. Pass dtype=")
    if requires_grad and value.dtype.kind != "f":
        raise TypeError(f"tensor: expected a floating dtype with requires_grad=True, got {value.dtype}, "
                        "which carries no gradient. Pass dtype=float")
    return Tensor(value if device is None else devices.put(value, device), requires_grad)


def cotangent_of(output, gradient, caller):
    """The cotangent to start from at ``output``: ``gradient``, or 1 for a scalar."""
    if gradient is None:
        if output.size != 1:
            raise ValueError(f"{caller}: expected a scalar, got shape {output.shape}. Sum or average it, "
                             "or pass its cotangent")
        return np.ones_like(ops.dense(output.value))
    if not isinstance(gradient, Tensor) and not arrays.is_array(gradient):
        raise TypeError(f"{caller}: expected an array as cotangent, got {gradient!r}. Use np.array(...)")
    gradient = sharing.plain(gradient, caller)
    device = gradient.device if isinstance(gradient, Tensor) else devices.of(gradient)
    if gradient.shape != output.shape or gradient.dtype != output.dtype or device != output.device:
        raise ValueError(f"{caller}: expected a cotangent of shape {output.shape} and dtype {output.dtype} on "
                         f"{output.device!r}, got {gradient.shape} and {gradient.dtype} on {device!r}")
    return gradient if isinstance(gradient, Tensor) else np.copy(gradient)


def grad(outputs, inputs, grad_outputs=None, create_graph=False):
    """Gradients of ``outputs`` with respect to ``inputs``, as Tensors, leaving ``.grad`` alone.

    Parameters
    ----------
    outputs : Tensor or list of Tensors; their gradients are added up.
    inputs : Tensor or list of Tensors, leaves or nodes.
    grad_outputs : cotangents of the outputs, arrays or Tensors; 1 for scalars by default.
    create_graph : record the computation of the gradients, so that they can be differentiated.

    Returns
    -------
    Tensor, or list of Tensors where ``inputs`` is a list.

    Raises
    ------
    ValueError
        An output is not a scalar and has no cotangent, or does not depend on one of the inputs.

    >>> import minigrad as mg
    >>> x = mg.tensor(2.0, requires_grad=True)
    >>> slope = mg.grad(x ** 3, x, create_graph=True)
    >>> mg.grad(slope, x)
    tensor(12., dtype=float64)
    """
    single = isinstance(inputs, Tensor)
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    inputs = [inputs] if single else list(inputs)
    given = grad_outputs if isinstance(grad_outputs, (list, tuple)) else [grad_outputs] * len(outputs)
    if len(given) != len(outputs):
        raise ValueError(f"grad: expected a cotangent for each of {len(outputs)} outputs, got {len(given)}")
    for x in (*outputs, *inputs):
        if not isinstance(x, Tensor):
            raise TypeError(f"grad: expected Tensors as outputs and inputs, got {type(x).__name__}")
    seeds = [cotangent_of(output, g, "grad") for output, g in zip(outputs, given, strict=True)]
    if create_graph:
        seeds = [g if isinstance(g, Tensor) else Tensor(g) for g in seeds]
    else:
        seeds = [g.value if isinstance(g, Tensor) else g for g in seeds]
    found = graph.Evaluation(outputs, seeds).backward(inputs, create_graph)
    for i, x in enumerate(inputs):
        if x not in found:
            raise ValueError(f"grad: the outputs do not depend differentiably on input {i} of shape {x.shape}. "
                             "Check requires_grad, detach() and no_grad(), or leave that input out")
    gradients = [g if isinstance(g, Tensor) else Tensor(np.copy(ops.dense(g)))
                 for g in (found[x] for x in inputs)]
    return gradients[0] if single else gradients
