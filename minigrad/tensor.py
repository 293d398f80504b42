"""Tensor: an array in a graph, with its operators, its methods and ``backward``.

A Tensor that the user made is a leaf.  It has a value, and a gradient if it requires one.  A Tensor that a primitive
computed is a node of the graph (``recording``).
"""

from __future__ import annotations

import operator
from collections import deque
from copy import deepcopy
from functools import wraps
from inspect import signature
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import devices, graph, ops, sharing
from minigrad.arguments import described
from minigrad.kernels.device import arrays
from minigrad.kernels.device.work import aligned
from minigrad.ops.errors import operand_error
from minigrad.ops.node import Node
from minigrad.ops.primitives import FLOATS, table
from minigrad.recording import paused, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from minigrad.aliases import Array, DTypeLike, Shape, TensorLike


class Tensor(Node):
    """An array in a graph.  Make one with ``mg.tensor``.

    Attributes
    ----------
    data : the value, an array on ``device``.  For a view of a leaf (``w.T``, ``w[0]``) it is a copy.  Assigning to it
        (``w.data = x``, ``w.data -= lr * w.grad``) changes a leaf in place.
    requires_grad : whether ``backward`` computes a gradient for this Tensor.
    grad : the gradient, an array like ``data``, or None.  ``backward`` adds to it.  Leaves have it, and nodes after
        ``retain_grad()``.

    Notes
    -----
    What you may change:

    - A leaf may be changed with ``w.data = x``, ``w.data -= x``, an optimiser's step, or under ``no_grad`` with
      ``w -= x``.  After that, backward and replay raise an error for graphs that were recorded before, and views of
      the leaf raise an error when they are used.  Writing to entries of the array, as in ``w.data[0] = 1``, is not
      detected.  Do not do it between a forward pass and its backward pass.
    - A NumPy array that was passed to a function may be changed after backward.  If it is changed before, backward
      and replay raise an error.  Arrays of at most 1024 bytes are copied, so they may be changed at any time.  For
      larger arrays 32 entries are compared.  So a change is detected if many entries differ.  It may be missed if
      only one entry differs, or if both arrays are nearly all zeros.
    - The result of a computation cannot be changed.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    array([2., 4.])
    """

    # -- the value ---------------------------------------------------------------------------------

    @property
    def data(self) -> Array:
        if self.is_view:
            sharing.check_fresh(self)
            return self.value.copy()
        return ops.dense(self.value)

    @data.setter
    def data(self, value: Any) -> None:
        self.check_leaf("data")
        value = value if arrays.is_device(value) else np.asarray(sharing.plain(value, "data"))
        self.check_like(value, "data")
        value = value if value is self.value else value.copy(order="K")
        self.changed()
        self.value = value

    def check_leaf(self, caller):
        """Raise a ValueError if this Tensor may not be changed: if it is not a leaf, or a view."""
        if self.primitive is not None:
            raise ValueError(
                f"{caller}: expected a leaf, got the result of {self.primitive.name}, which cannot be changed. "
                "Change the leaves and compute it again, or make a leaf: mg.tensor(x.numpy())")
        if self.is_view:
            raise ValueError(f"{caller}: expected a leaf, got a view of another tensor, such as w.T or w[0]. "
                             "Assign to .data of that tensor, or make a leaf: mg.tensor(x.numpy())")

    def check_like(self, value, caller):
        """Raise a ValueError if a new value has another shape, dtype or device."""
        if value.shape != self.shape or value.dtype != self.dtype or devices.of(value) != self.device:
            raise ValueError(f"{caller}: expected an array of shape {self.shape} and dtype {self.dtype} on "
                             f"{self.device!r}, got {value.shape} and {value.dtype} on {devices.of(value)!r}. "
                             "Make a new tensor to change these, or move a module with .to(device)")

    def changed(self):
        """Count a change of the value.  Graphs and views that are older than the change raise an error when used."""
        if self.is_view or type(self.changes) is tuple:     # it has no count of its own yet
            self.changes, self.is_view = [self.changes[0]], False
        self.changes[0] += 1
        self.changes_at_creation = self.changes[0]

    @property
    def grad(self) -> Array | None:
        self.gradient = ops.dense(self.gradient)
        return self.gradient

    @grad.setter
    def grad(self, gradient: TensorLike | None) -> None:
        gradient = None if gradient is None else cotangent_of(self, gradient, "grad")
        self.gradient = np.copy(gradient.data) if isinstance(gradient, Tensor) else gradient

    @property
    def shape(self) -> Shape:
        return self.value.shape

    @property
    def ndim(self) -> int:
        return self.value.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.value.dtype

    @property
    def size(self) -> int:
        return self.value.size

    @property
    def device(self) -> str:
        return devices.of(self.value)

    def numpy(self) -> Array:
        """The value as a read-only NumPy array.

        For a leaf it is a copy, which does not change when the leaf is changed.  For the result of a computation it
        is the value itself.  From a GPU it is a copy, and the call waits for the GPU.  No gradient flows through the
        array, and a replay does not see it change.  For an array that you can write to, use ``np.array(x.numpy())``.

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

    def item(self) -> Any:
        """The only entry as a Python number.  Like ``numpy()``, it leaves the graph."""
        if self.size != 1:
            raise ValueError(f"item: expected a tensor with one entry, got shape {self.shape}. "
                             "Index it first, or use .numpy()")
        return devices.put(self.data, "cpu").item()

    def tolist(self) -> Any:
        """The value as nested lists of Python numbers.  Like ``numpy()``, it leaves the graph."""
        return self.numpy().tolist()

    def to_dense(self) -> Tensor:
        """This Tensor with an ordinary array in place of packed units.  Closed blocks are zeros.  Recorded."""
        return ops.to_dense(self)

    def detach(self) -> Tensor:
        """A Tensor with the same value, through which no gradient flows.  A replay still computes it again.

        For a leaf it is a copy, which does not change when the leaf is changed.

        >>> import minigrad as mg
        >>> w = mg.tensor([1.0, 2.0], requires_grad=True)
        >>> before = w.detach()
        >>> w.data += 1.0
        >>> (w * before).sum().backward()
        >>> w.grad
        array([1., 2.])
        """
        return ops.stop_gradient(self)

    def to(self, device: str) -> Tensor:
        """This tensor on ``device``, "cpu" or "cuda".  It is recorded, so gradients flow back to this tensor.

        A tensor that is on the device already is returned unchanged.  To move parameters, use ``Module.to``, since
        the result of ``to`` is not a leaf.
        """
        return self if devices.usable(device) == self.device else ops.to_device(self, device=device)

    # -- the gradient ------------------------------------------------------------------------------

    def backward(self, gradient: TensorLike | None = None, create_graph: bool = False, free: bool = False) -> None:
        """Add the gradient of this scalar to ``.grad`` of every leaf that it was computed from.

        It changes nothing else, so you can call it again.  A graph keeps the values of all its nodes as long as one
        of its outputs exists.  In a loop of ``loss = f()`` and ``loss.backward()``, the variable ``loss`` holds the
        old graph until the new graph is complete.  So there are two graphs in memory, or one with ``free=True``.

        Parameters
        ----------
        gradient : cotangent of this tensor, an array of its shape.  It is needed unless this tensor has one entry.
        create_graph : not supported; True raises an error.  Use ``mg.grad(..., create_graph=True)``, which returns
            gradients as Tensors.
        free : release the arguments of each node as soon as no later step of this pass needs them.  Tensors that you
            hold keep their values (``loss.item()`` works), but another backward or replay through them raises an
            error.  The rules of random nodes may evaluate the graph below these nodes again.  So the part of the
            graph after the first random node is released when the last rule has run.

        Raises
        ------
        ValueError
            This tensor is not a scalar and there is no ``gradient``.  Or it was computed from nothing that requires a
            gradient.  Or a leaf or a NumPy operand was changed since the forward pass.  Or an earlier pass has freed
            the graph.
        KeyboardInterrupt
            After Ctrl-C.  Then the gradients of all leaves have been added, or none.

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
            raise ValueError("backward: expected a tensor computed from one that requires a gradient, got one that "
                             "was not. Make a leaf with requires_grad=True, outside no_grad()")
        cotangents = evaluation.backward(free=free)
        gradients = [accumulated(x.gradient, g) for x, g in cotangents.items()]
        # One call of a C function cannot be interrupted.  So all gradients are set, or none.
        deque(map(setattr, cotangents, repeat("gradient"), gradients), maxlen=0)

    def retain_grad(self) -> Tensor:
        """Make ``backward`` store the gradient of this node in ``.grad``.  Returns the tensor."""
        if not self.requires_grad:
            raise ValueError("retain_grad: expected a tensor that requires a gradient, got one that does not")
        self.retains_grad = True
        return self

    # -- operators ---------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Tensor: return record(ops.add, (self, other), {})
    def __radd__(self, other: Any) -> Tensor: return record(ops.add, (other, self), {})
    def __sub__(self, other: Any) -> Tensor: return record(ops.subtract, (self, other), {})
    def __rsub__(self, other: Any) -> Tensor: return record(ops.subtract, (other, self), {})
    def __mul__(self, other: Any) -> Tensor: return record(ops.multiply, (self, other), {})
    def __rmul__(self, other: Any) -> Tensor: return record(ops.multiply, (other, self), {})
    def __truediv__(self, other: Any) -> Tensor: return record(ops.divide, (self, other), {})
    def __rtruediv__(self, other: Any) -> Tensor: return record(ops.divide, (other, self), {})
    def __pow__(self, other: Any) -> Tensor: return record(ops.power, (self, other), {})
    def __rpow__(self, other: Any) -> Tensor: return record(ops.power, (other, self), {})
    def __matmul__(self, other: Any) -> Tensor: return record(ops.matmul, (self, other), {})
    def __rmatmul__(self, other: Any) -> Tensor: return record(ops.matmul, (other, self), {})
    def __mod__(self, other: Any) -> Tensor: return record(ops.remainder, (self, other), {})
    def __rmod__(self, other: Any) -> Tensor: return record(ops.remainder, (other, self), {})
    def __floordiv__(self, other: Any) -> Tensor: return record(ops.floor_divide, (self, other), {})
    def __rfloordiv__(self, other: Any) -> Tensor: return record(ops.floor_divide, (other, self), {})
    def __divmod__(self, other: Any) -> tuple[Tensor, Tensor]: return self // other, self % other
    def __rdivmod__(self, other: Any) -> tuple[Tensor, Tensor]: return other // self, other % self
    def __and__(self, other: Any) -> Tensor: return record(ops.bitwise_and, (self, other), {})
    def __rand__(self, other: Any) -> Tensor: return record(ops.bitwise_and, (other, self), {})
    def __or__(self, other: Any) -> Tensor: return record(ops.bitwise_or, (self, other), {})
    def __ror__(self, other: Any) -> Tensor: return record(ops.bitwise_or, (other, self), {})
    def __xor__(self, other: Any) -> Tensor: return record(ops.bitwise_xor, (self, other), {})
    def __rxor__(self, other: Any) -> Tensor: return record(ops.bitwise_xor, (other, self), {})
    def __invert__(self) -> Tensor: return record(ops.invert, (self,), {})
    def __neg__(self) -> Tensor: return record(ops.negative, (self,), {})
    def __abs__(self) -> Tensor: return record(ops.absolute, (self,), {})
    def __round__(self, decimals: int | None = None) -> Tensor: return ops.round(self, decimals=decimals or 0)
    def __lt__(self, other: Any) -> Tensor: return record(ops.less, (self, other), {})
    def __le__(self, other: Any) -> Tensor: return record(ops.less_equal, (self, other), {})
    def __gt__(self, other: Any) -> Tensor: return record(ops.greater, (self, other), {})
    def __ge__(self, other: Any) -> Tensor: return record(ops.greater_equal, (self, other), {})
    def __eq__(self, other: Any) -> Any: return record(ops.equal, (self, other), {})
    def __ne__(self, other: Any) -> Any: return record(ops.not_equal, (self, other), {})
    __hash__ = object.__hash__

    def __getitem__(self, index: Any) -> Tensor:
        if isinstance(index, tuple):
            return ops.getitem(self, *(list(i) if isinstance(i, (tuple, range)) else i for i in index))
        return ops.getitem(self, list(index) if isinstance(index, range) else index)

    # -- methods with the names that NumPy uses: these, and the METHODS below ------------------------

    if TYPE_CHECKING:       # the METHODS
        all: Callable[..., Tensor]
        any: Callable[..., Tensor]
        argmax: Callable[..., Tensor]
        argmin: Callable[..., Tensor]
        argsort: Callable[..., Tensor]
        clip: Callable[..., Tensor]
        cos: Callable[..., Tensor]
        cumprod: Callable[..., Tensor]
        cumsum: Callable[..., Tensor]
        diagonal: Callable[..., Tensor]
        dot: Callable[..., Tensor]
        exp: Callable[..., Tensor]
        log: Callable[..., Tensor]
        log_softmax: Callable[..., Tensor]
        logsumexp: Callable[..., Tensor]
        max: Callable[..., Tensor]
        mean: Callable[..., Tensor]
        min: Callable[..., Tensor]
        norm: Callable[..., Tensor]
        prod: Callable[..., Tensor]
        relu: Callable[..., Tensor]
        repeat: Callable[..., Tensor]
        round: Callable[..., Tensor]
        sigmoid: Callable[..., Tensor]
        sin: Callable[..., Tensor]
        softmax: Callable[..., Tensor]
        sort: Callable[..., Tensor]
        sqrt: Callable[..., Tensor]
        square: Callable[..., Tensor]
        squeeze: Callable[..., Tensor]
        std: Callable[..., Tensor]
        sum: Callable[..., Tensor]
        swapaxes: Callable[..., Tensor]
        tanh: Callable[..., Tensor]
        trace: Callable[..., Tensor]
        var: Callable[..., Tensor]

    def abs(self) -> Tensor: return ops.absolute(self)
    def astype(self, dtype: DTypeLike) -> Tensor: return ops.astype(self, dtype=dtype)
    def flatten(self) -> Tensor: return ops.reshape(self, shape=(-1,))
    def ravel(self) -> Tensor: return ops.reshape(self, shape=(-1,))

    @property
    def T(self) -> Tensor:
        return ops.transpose(self)

    def reshape(self, *shape: Any) -> Tensor:
        if not shape:
            raise TypeError("reshape: expected a shape, got none. Use x.reshape(()) for a scalar, x.reshape(-1) for "
                            "one axis")
        return ops.reshape(self, shape=tuple(shape[0]) if isinstance(shape[0], (tuple, list)) else shape)

    def transpose(self, *axes: Any) -> Tensor:
        order = axes[0] if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes
        return ops.transpose(self, axes=tuple(order) or None)

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len: expected a tensor with at least one axis, got a scalar tensor")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    # -- what a Tensor refuses ---------------------------------------------------------------------

    def __reduce_ex__(self, protocol):
        if self.primitive is not None:      # a copy would contain the whole graph
            raise TypeError(f"expected a leaf to copy or to pickle, got the result of {self.primitive.name}, which "
                            "holds a graph. Use its value, x.numpy(), or a leaf with this value, "
                            "mg.tensor(x.numpy())")
        return super().__reduce_ex__(protocol)

    def __copy__(self):
        return deepcopy(self)       # two leaves that share memory would not see each other's changes

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if method == "__call__" and not options and ufunc.__name__ in table:
            return table[ufunc.__name__](*inputs)
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        raise TypeError(f"np.{name}: minigrad has no primitive of that name for a Tensor. "
                        "Use a function of mg.ops, or .numpy() for the array")

    def __array_function__(self, function, types, args, options):
        raise TypeError(f"np.{function.__name__}: NumPy's function does not work on a Tensor, since no gradient would "
                        f"flow through it. Use mg.{function.__name__} if it exists, a method of the Tensor, or "
                        ".numpy() for the array")

    def __array__(self, dtype=None, copy=None):
        raise TypeError("expected an array, got a Tensor. A conversion would silently leave the graph. "
                        "Use .numpy() to leave the graph, or a function of mg.ops to stay in it")

    def __float__(self):
        raise TypeError("expected a number, got a Tensor. A conversion would silently leave the graph. "
                        "Use .item()")

    __int__ = __index__ = __float__

    def __bool__(self):
        raise TypeError("expected a bool, got a Tensor. A branch on a Tensor is not recorded, so a replay could not "
                        "take the other branch. Use mg.where, or .item() to leave the graph")

    def __setitem__(self, index, value):
        raise TypeError("the entries of a Tensor cannot be assigned. Use mg.where or mg.concatenate, or "
                        "assign a new array to .data of a leaf")

    def __format__(self, spec):
        if spec and self.size != 1:
            raise TypeError(f"format: expected a tensor with one entry for {spec!r}, got shape {self.shape}. Format "
                            "its entries, or use np.array2string(x.numpy(), precision=...)")
        return format(self.item(), spec) if spec else str(self)

    def __repr__(self) -> str:
        if self.changes[0] != self.changes_at_creation:
            return f"tensor(view of a leaf that has changed, shape={self.shape}, dtype={self.dtype})"
        text = np.array2string(devices.put(self.data, "cpu"), separator=", ", prefix="tensor(")
        by = f", by={self.primitive.name}" if self.primitive else ""
        place = "" if self.device == "cpu" else f", device={devices.describe(self.device)!r}"
        return f"tensor({text}, dtype={self.dtype}{place}{by}{', requires_grad=True' * self.requires_grad})"


#: Functions that are methods as well: x.sum(axis=0) is mg.sum(x, axis=0).
METHODS = (
    "all", "any", "argmax", "argmin", "argsort", "clip", "cos", "cumprod", "cumsum", "diagonal", "dot", "exp", "log",
    "log_softmax", "logsumexp", "max", "mean", "min", "norm", "prod", "relu", "repeat", "round", "sigmoid", "sin",
    "softmax", "sort", "sqrt", "square", "squeeze", "std", "sum", "swapaxes", "tanh", "trace", "var",
)


def method(function):
    """``function`` as a method.  It passes all arguments but the first by name."""
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
    """The method for an operator such as ``+=``.  It changes a leaf under ``no_grad``, and refuses anything else."""
    def update(self, other):
        if not paused.get():
            raise TypeError(f"{symbol}: a Tensor cannot be changed in place while recording is on. Write "
                            f"x = x {symbol[:-1]} y for a new Tensor. To change a leaf, assign to x.data, or use "
                            f"{symbol} under mg.no_grad()")
        self.check_leaf(symbol)
        result = compute(self, other)
        self.check_like(result, symbol)
        value = ops.dense(result.value)
        self.changed()          # first, so that an interrupt between the two lines leaves no change uncounted
        self.value[...] = value
        return self
    return update


for symbol, name in {"+=": "add", "-=": "sub", "*=": "mul", "/=": "truediv", "//=": "floordiv", "%=": "mod",
                     "**=": "pow", "@=": "matmul", "&=": "and", "|=": "or", "^=": "xor",
                     "<<=": "lshift", ">>=": "rshift"}.items():
    setattr(Tensor, f"__i{name}__", in_place(symbol, getattr(operator, f"__{name}__")))


def accumulated(gradient, cotangent):
    """The new value of ``.grad``: ``gradient`` plus ``cotangent``, as an array that is not used elsewhere."""
    if gradient is not None:
        return gradient + cotangent
    return cotangent if isinstance(cotangent, ops.Factored) else np.copy(ops.dense(cotangent))


def tensor(data: Any, requires_grad: bool = False, dtype: DTypeLike | None = None,
           device: str | None = None) -> Tensor:
    """A leaf Tensor holding a copy of ``data``.

    Parameters
    ----------
    data : array, number or nested sequence of numbers.
    requires_grad : whether ``backward`` computes its gradient.  Only for floating dtypes.
    dtype : float64, float32, an integer or a boolean dtype.  By default NumPy chooses it.
    device : "cpu" or "cuda".  By default the device of ``data``.

    Raises
    ------
    TypeError
        The dtype is another one, ``requires_grad`` is true for integers or booleans, or ``data`` is a Tensor, a masked
        array or a matrix.
    ValueError
        The device is unknown, or the sequences have unequal lengths.
    RuntimeError
        No GPU can be used (``minigrad.devices``).

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
                        "Use np.float32 or 'float32', for example") from None
    try:
        value = data.astype(dtype or data.dtype) if arrays.is_device(data) else aligned(np.array(data, dtype=dtype))
    except ValueError as error:
        raise ValueError(f"tensor: expected numbers in a rectangular array. NumPy says: {error}") from None
    except RuntimeError:        # a PyTorch tensor that requires a gradient
        raise operand_error("tensor", (data,)) from None
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
    """The cotangent of ``output`` from which backward starts: ``gradient``, or 1 for a scalar."""
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
