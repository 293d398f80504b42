"""Tensor: a value that remembers how it was made.

A Tensor that the user made is a leaf: it has a value and, if it requires one, a gradient.  A Tensor
that a primitive made is a node of the graph as well: it keeps the primitive, its inputs and options,
which is all that ``graph`` needs to evaluate it again or to differentiate it.  A node holds its
inputs and nothing holds the node, so a graph is freed as soon as its outputs are dropped.
"""

import numpy as np

from minigrad import devices, graph, ops
from minigrad.graph import recording, tick
from minigrad.kernels import Packed, arrays
from minigrad.ops.primitive import recorders, table

FLOATS = (np.dtype("float64"), np.dtype("float32"))


class Tensor:
    """An array in a graph.  Make one with ``mg.tensor``.

    Attributes
    ----------
    data : the value, an array on ``device``.  Assigning to it (``w.data = x``, ``w.data -= lr * w.grad``) is how a
        leaf is changed in place; a graph recorded before then refuses backward and replay.
        (Writing into single entries of the array, ``w.data[0] = 1``, goes unnoticed: don't, between
        a forward computation and its backward.)
    requires_grad : whether backward leads to this Tensor.
    grad : an array like ``data`` that ``backward`` adds to, or None; leaves have one, and nodes
        after ``retain_grad()``.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    array([2., 4.])
    """

    requires_grad = False
    gradient = None         # what .grad shows; that of a gated weight stays factored until it is looked at
    version = 0             # how often .data was assigned to
    retains_grad = False
    # What a node remembers of the call that made it; leaves have none of it.
    primitive = None
    operands = ()           # the arguments as the primitive saw them: arrays, numbers, ...
    parents = ()            # (argnum, Tensor, product) for each argument that is a Tensor
    options = {}
    order = 0
    parents_version = 0

    def __init__(self, value, requires_grad=False):
        self.value = value
        self.requires_grad = requires_grad

    # -- the value ---------------------------------------------------------------------------------

    @property
    def data(self):
        return ops.dense(self.value)

    @data.setter
    def data(self, value):
        if self.primitive is not None:
            raise ValueError(
                f"data: expected a leaf, got the result of {self.primitive.name}, which is what its "
                "inputs make it. Change the leaves and compute it again, or make a leaf: mg.tensor(x.numpy())")
        value = value if arrays.is_device(value) else np.asanyarray(value)
        if value.shape != self.shape or value.dtype != self.dtype or devices.of(value) != self.device:
            raise ValueError(f"data: expected an array of shape {self.shape} and dtype {self.dtype} on "
                             f"{self.device!r}, got {value.shape} and {value.dtype} on {devices.of(value)!r}. "
                             "Make a new tensor to change these, or move a module with .to(device)")
        self.value = value if value is self.value else value.copy(order="K")
        self.version += 1

    @property
    def grad(self):
        self.gradient = ops.dense(self.gradient)
        return self.gradient

    @grad.setter
    def grad(self, gradient):
        gradient = None if gradient is None else cotangent_of(self, gradient, "grad")
        self.gradient = gradient.data if isinstance(gradient, Tensor) else gradient

    shape = property(lambda self: self.value.shape)
    ndim = property(lambda self: self.value.ndim)
    dtype = property(lambda self: self.value.dtype)
    size = property(lambda self: self.value.size)
    device = property(lambda self: devices.of(self.value))

    def numpy(self):
        """The value as a NumPy array.  What is computed from it is invisible to backward and replay.

        From a GPU it is a copy, for which the host waits.
        """
        return devices.put(self.data, "cpu")

    def item(self):
        """The single entry as a Python number, likewise invisible to backward and replay."""
        if self.size != 1:
            raise ValueError(f"item: expected a tensor with one entry, got shape {self.shape}. "
                             "Index it first, or use .numpy()")
        return self.numpy().item()

    def to_dense(self):
        """Packed units as an ordinary array, with zeros for closed blocks; recorded."""
        return ops.to_dense(self)

    def detach(self):
        """The same value, which passes no gradient back.  A replay still sees it change."""
        return ops.stop_gradient(self)

    def to(self, device):
        """This tensor on ``device``, "cpu" or "cuda"; recorded, so gradients find their way back.

        What is on its device already is returned as it is.  To move parameters, which are to stay
        leaves, use ``Module.to``.
        """
        return self if devices.usable(device) == self.device else ops.to_device(self, device=device)

    # -- the gradient ------------------------------------------------------------------------------

    def backward(self, gradient=None, create_graph=False):
        """Add the gradient of this scalar to ``.grad`` of every leaf it was made of.

        Parameters
        ----------
        gradient : cotangent of this tensor, an array of its shape; needed unless it has one entry.
        create_graph : record the backward pass too; gradients then have to be taken with
            ``mg.grad(..., create_graph=True)``, which returns them as Tensors.

        Raises
        ------
        ValueError
            Not a scalar and no ``gradient``; or nothing it was made of requires a gradient.
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
        for x, g in evaluation.backward().items():
            if x.gradient is not None:
                x.gradient = x.gradient + g
            else:
                x.gradient = g if isinstance(g, ops.Factored) else np.copy(ops.dense(g))

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
    def __neg__(self): return record(ops.negative, (self,), {})
    def __abs__(self): return record(ops.absolute, (self,), {})
    def __lt__(self, other): return record(ops.less, (self, other), {})
    def __le__(self, other): return record(ops.less_equal, (self, other), {})
    def __gt__(self, other): return record(ops.greater, (self, other), {})
    def __ge__(self, other): return record(ops.greater_equal, (self, other), {})
    def __eq__(self, other): return record(ops.equal, (self, other), {})
    def __ne__(self, other): return record(ops.not_equal, (self, other), {})
    __hash__ = object.__hash__

    def __getitem__(self, index):
        return ops.getitem(self, *(index if isinstance(index, tuple) else (index,)))

    # -- NumPy's method names ----------------------------------------------------------------------

    def sum(self, axis=None, keepdims=False): return ops.sum(self, axis=axis, keepdims=keepdims)
    def mean(self, axis=None, keepdims=False): return ops.mean(self, axis=axis, keepdims=keepdims)
    def var(self, axis=None, keepdims=False): return ops.var(self, axis=axis, keepdims=keepdims)
    def prod(self, axis=None, keepdims=False): return ops.prod(self, axis=axis, keepdims=keepdims)
    def max(self, axis=None, keepdims=False): return ops.max(self, axis=axis, keepdims=keepdims)
    def min(self, axis=None, keepdims=False): return ops.min(self, axis=axis, keepdims=keepdims)
    def cumsum(self, axis): return ops.cumsum(self, axis=axis)
    def clip(self, low, high): return ops.clip(self, low, high)
    def astype(self, dtype): return ops.astype(self, dtype=np.dtype(dtype))
    def squeeze(self, axis=None): return ops.squeeze(self, axis=axis)
    def swapaxes(self, a, b): return ops.swapaxes(self, a, b)
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

    def __repr__(self):
        text = np.array2string(self.numpy(), separator=", ", prefix="tensor(")
        made = f", by={self.primitive.name}" if self.primitive else ""
        place = "" if self.device == "cpu" else f", device={devices.describe(self.device)!r}"
        return f"tensor({text}, dtype={self.dtype}{place}{made}{', requires_grad=True' * self.requires_grad})"


def record(primitive, args, options):
    """Compute ``primitive`` on Tensors, and remember it where recording is on.

    A result is remembered if it can change: if an argument requires a gradient or was remembered
    itself.  (A comparison with a random sample has no gradient, but a replay must see it change.)
    """
    operands, parents = [], []
    tracked, requires_grad, version = primitive.stochastic, False, 0
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
            version += x.version
            parents.append((len(operands), x, product))
            operands.append(x.value)
        else:
            operands.append(beside(args, x) if type(x) is list else x)
    try:
        value = primitive.forward(*operands, **options)
    except (ValueError, TypeError) as error:
        raise explained(error, primitive, operands) from None
    if type(value) is not np.ndarray:
        if isinstance(value, np.generic):
            value = np.asarray(value)
        elif devices.of(value) != "cpu" and primitive is not ops.to_device and (error := mixed(primitive, operands)):
            raise error
    dtype = value.dtype
    for _, x, _ in parents:
        if x.value.dtype is not dtype:
            requires_grad &= dtype.kind == "f"
            check_dtypes(primitive, operands, dtype)
    out = Tensor(value)
    if tracked and recording.on:
        out.requires_grad = requires_grad
        out.primitive = primitive
        out.operands = operands
        out.parents = parents
        out.options = options
        out.order = tick()
        out.parents_version = version
    return out


def explained(error, primitive, operands):
    """A primitive's own error as it is; one of NumPy's in our words, with the primitive's name."""
    if found := mixed(primitive, operands):
        return found
    if str(error).startswith(primitive.name):
        return error
    strange = [x for x in operands if isinstance(x, (str, bytes, dict))]
    if strange:
        return TypeError(f"{primitive.name}: expected Tensors, arrays and numbers, got {strange[0]!r}. "
                         "Make an array of it first")
    if any(isinstance(x, Packed) for x in operands) and "to_dense" not in str(error):
        return TypeError(f"{primitive.name}: expected ordinary arrays, got packed units. Use .to_dense()")
    if "broadcast" in str(error):
        shapes = ", ".join(str(x.shape) for x in operands if hasattr(x, "shape"))
        return ValueError(f"{primitive.name}: expected shapes that broadcast together, got {shapes}. "
                          "Align them from the last axis; a length of 1 stretches")
    kind = ValueError if isinstance(error, ValueError) else TypeError
    return kind(f"{primitive.name}: {error}")


def beside(args, x):
    """A list of numbers as an array, on the device of the first Tensor among the arguments."""
    device = next(tensor.device for tensor in args if type(tensor) is Tensor)
    return devices.put(np.asarray(x), device)


def mixed(primitive, operands):
    """The error for arrays on different devices, since nothing is moved unasked; None where they are on one."""
    places = [devices.of(x) for x in operands if arrays.is_array(x) or isinstance(x, Packed)]
    if len(set(places)) > 1:
        return TypeError(f"{primitive.name}: expected arguments on one device, got {', '.join(map(repr, places))}. "
                        "Move them together with .to(device), or mg.tensor(array, device=...)")
    return None


def check_dtypes(primitive, operands, dtype):
    """Refuse a floating result whose floating operands had another dtype: no silent cast."""
    if dtype.kind not in "fiub":
        raise TypeError(f"{primitive.name}: expected real numbers, got a result of dtype {dtype}. "
                        "Take real and imaginary parts first")
    if primitive.casts or dtype.kind != "f":
        return
    given = [x.dtype for x in operands if hasattr(x, "dtype") and x.dtype.kind == "f"]
    if any(d != dtype for d in given):
        raise TypeError(f"{primitive.name}: expected floating arguments of one dtype, got "
                        f"{', '.join(map(str, given))}. Convert with .astype, or a number with float()")


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
        A dtype other than those; a gradient asked of integers or booleans; a Tensor as ``data``.
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
    if hasattr(data, "__cuda_array_interface__"):
        arrays.device_library()
    try:
        value = data.astype(dtype or data.dtype) if arrays.is_device(data) else np.array(data, dtype=dtype)
    except ValueError as error:
        raise ValueError(f"tensor: expected numbers in a rectangular array. NumPy says: {error}") from None
    if value.dtype not in FLOATS and value.dtype.kind not in "iub":
        raise TypeError(f"tensor: expected float64, float32, integer or boolean data, got dtype "
                        f"{value.dtype}. Pass dtype=")
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
