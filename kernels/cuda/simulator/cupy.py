"""A strict simulation of CuPy, for Numba's CUDA simulator.

Its arrays are in ordinary memory, but they raise the errors of CuPy's arrays.  They do not become NumPy arrays
implicitly, they cannot be combined with NumPy arrays, and functions and keywords that CuPy does not have are errors.
If CuPy differs from NumPy, this module follows CuPy: reductions and single entries are arrays without axes, whose
value is on the device, and an index out of range wraps round.  Every copy between host and device is counted
(``device.work``), also the copies that CuPy makes by itself, as for ``float(x)`` or an index that is a NumPy array.

It was written from the documentation and behaviour of CuPy 14.  If CuPy is installed, a test compares the names
below with CuPy's.  The module only has the functions that this project uses.
"""

from types import SimpleNamespace

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from ...device import work

#: The ufuncs that CuPy has.
UFUNCS = """
    abs absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_or bitwise_xor ceil cos
    cosh divide equal exp expm1 fabs floor floor_divide greater greater_equal hypot invert isfinite isinf isnan ldexp
    left_shift less less_equal log log10 log1p log2 logaddexp logical_and logical_not logical_or logical_xor matmul
    maximum minimum multiply negative not_equal positive power reciprocal remainder right_shift rint sign sin sinh sqrt
    square subtract tan tanh true_divide trunc
    """
UFUNCS = frozenset(UFUNCS.split())

#: The other functions, with the names of their parameters in order.
FUNCTIONS = {name: tuple(parameters.split()) for name, parameters in {
    "all": "a axis out keepdims",
    "amax": "a axis out keepdims",
    "amin": "a axis out keepdims",
    "any": "a axis out keepdims",
    "arange": "start stop step dtype",
    "argmax": "a axis dtype out keepdims",
    "argmin": "a axis dtype out keepdims",
    "argsort": "a axis kind",
    "around": "a decimals out",
    "array": "obj dtype copy order subok ndmin",
    "array_equal": "a1 a2 equal_nan",
    "asarray": "a dtype order",
    "ascontiguousarray": "a dtype",
    "broadcast_to": "array shape",
    "clip": "a a_min a_max out",
    "concatenate": "tup axis out",
    "copy": "a order",
    "cumsum": "a axis dtype out",
    "empty": "shape dtype order",
    "empty_like": "prototype dtype order subok shape",
    "expand_dims": "a axis",
    "flip": "a axis",
    "full_like": "a fill_value dtype order subok shape",
    "max": "a axis out keepdims",
    "may_share_memory": "a b max_work",
    "mean": "a axis dtype out keepdims",
    "min": "a axis out keepdims",
    "moveaxis": "a source destination",
    "ndim": "a",
    "nonzero": "a",
    "ones": "shape dtype order",
    "ones_like": "a dtype order subok shape",
    "prod": "a axis dtype out keepdims",
    "put_along_axis": "arr indices values axis",
    "ravel": "a order",
    "repeat": "a repeats axis",
    "reshape": "a newshape order",
    "roll": "a shift axis",
    "shape": "a",
    "squeeze": "a axis",
    "stack": "tup axis out",
    "std": "a axis dtype out ddof keepdims",
    "sum": "a axis dtype out keepdims",
    "swapaxes": "a axis1 axis2",
    "take_along_axis": "a indices axis",
    "transpose": "a axes",
    "tril": "m k",
    "triu": "m k",
    "var": "a axis dtype out ddof keepdims",
    "vdot": "a b",
    "where": "condition x y",
    "zeros": "shape dtype order",
    "zeros_like": "a dtype order subok shape",
}.items()}
# These take any number of arguments, or their signature is unknown.
FUNCTIONS |= dict.fromkeys(["broadcast_arrays", "einsum", "pad", "result_type", "size"])


class ndarray(NDArrayOperatorsMixin):
    """An array "on the device".  Only kernels of the simulator may use ``memory``, a NumPy array."""

    __slots__ = ("__weakref__", "memory")
    __array_priority__ = 100
    __hash__ = None

    def __init__(self, memory):
        self.memory = memory

    shape = property(lambda self: self.memory.shape)
    strides = property(lambda self: self.memory.strides)
    dtype = property(lambda self: self.memory.dtype)
    ndim = property(lambda self: self.memory.ndim)
    size = property(lambda self: self.memory.size)
    nbytes = property(lambda self: self.memory.nbytes)
    itemsize = property(lambda self: self.memory.itemsize)
    T = property(lambda self: ndarray(self.memory.T))

    @property
    def flags(self):
        """The three flags that CuPy's arrays have."""
        flags = self.memory.flags
        return SimpleNamespace(c_contiguous=flags.c_contiguous, f_contiguous=flags.f_contiguous,
                               owndata=flags.owndata)

    # -- NumPy's protocols -------------------------------------------------------------------------

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct "
                        "a NumPy array explicitly.")

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        name, out = ufunc.__name__, options.pop("out", ())
        if name not in UFUNCS or method not in ("__call__", "at", "outer"):
            return NotImplemented
        for x in (*inputs, *out):
            if not isinstance(x, (ndarray, np.ndarray, np.generic, bool, int, float, complex, slice, tuple, list)):
                return NotImplemented
        checked(name, ("dtype", "casting", "where"), (), options)
        if method == "at":
            target, index, *values = inputs
            return ufunc.at(target.memory, at_places(index, target.shape), *map(to_memory, values))
        if name in COMPARISONS:
            inputs = [x.item() if isinstance(x, np.ndarray) and x.ndim == 0 else x for x in inputs]
        options = {key: to_memory(x) for key, x in options.items()}
        if out:
            options["out"] = to_memory(out)
        result = getattr(ufunc, method)(*map(to_memory, inputs), **options)
        return out[0] if out else to_array(result)

    def __array_function__(self, function, types, args, options):
        if function.__name__ not in FUNCTIONS or not all(issubclass(t, (ndarray, np.ndarray)) for t in types):
            return NotImplemented
        return call(function.__name__, args, options)

    # -- copies to the host, counted ---------------------------------------------------------------

    def get(self, order="C"):
        work.transferred()
        return self.memory.copy(order=order)

    def set(self, array):
        if not isinstance(array, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if array.dtype != self.dtype or array.shape != self.shape:
            raise ValueError(f"Shape or dtype mismatch: {array.shape} {array.dtype}, not {self.shape} {self.dtype}")
        work.transferred()
        self.memory[...] = array

    def item(self):
        return self.get().item()

    def tolist(self):
        return self.get().tolist()

    def __bool__(self):
        return bool(self.get())

    def __int__(self):
        return int(self.get())

    def __float__(self):
        return float(self.get())

    def __repr__(self):
        return repr(self.get())

    def __str__(self):
        return str(self.get())

    def __format__(self, spec):
        return format(self.get(), spec)

    # -- entries -----------------------------------------------------------------------------------

    def __len__(self):
        if self.ndim == 0:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self):
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index):
        index = at_places(index, self.shape)
        if any(isinstance(i, np.ndarray) for i in index):
            return to_array(self.memory[index])
        return ndarray(self.memory[index if Ellipsis in index else (*index, Ellipsis)])      # a view, also of one entry

    def __setitem__(self, index, value):
        if isinstance(value, (list, tuple)):
            raise TypeError(f"Unsupported type {type(value)}")
        self.memory[at_places(index, self.shape)] = to_memory(value)

    # -- methods -----------------------------------------------------------------------------------

    def astype(self, dtype, order="K", copy=True):
        return ndarray(self.memory.astype(dtype, order=order, copy=copy))

    def copy(self, order="C"):
        return ndarray(self.memory.copy(order=order))

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    def view(self, dtype=None):
        return ndarray(self.memory.view(self.dtype if dtype is None else dtype))

    def fill(self, value):
        self.memory.fill(value)

    def flatten(self, order="C"):
        return ndarray(self.memory.flatten(order))

    def reshape(self, *shape, order="C"):
        return ndarray(self.memory.reshape(*shape, order=order))

    def transpose(self, *axes):
        return ndarray(self.memory.transpose(*axes))


COMPARISONS = ("equal", "greater", "greater_equal", "less", "less_equal", "not_equal")


def method(name):
    """The method of CuPy's arrays with the name and the parameters of the function."""

    def of_array(self, *args, **options):
        return call(name, (self, *args), options)

    return of_array


for name in ("all", "any", "argmax", "argmin", "clip", "cumsum", "max", "mean", "min", "nonzero", "prod", "ravel",
             "repeat", "squeeze", "std", "sum", "swapaxes", "var"):
    setattr(ndarray, name, method(name))


def call(name, args, options):
    """Call NumPy's function on the memory of arrays, if CuPy accepts these arguments."""
    if FUNCTIONS[name]:
        checked(name, FUNCTIONS[name], args, options)
    if name in ("array", "asarray", "ascontiguousarray", "may_share_memory", "take_along_axis", "where"):
        return globals()[name](*args, **options)
    return to_array(getattr(np, name)(*map(to_memory, args), **{key: to_memory(x) for key, x in options.items()}))


def checked(name, parameters, args, options):
    """Raise a TypeError for arguments for which CuPy's function has no parameters."""
    if len(args) > len(parameters):
        raise TypeError(f"{name}() takes {len(parameters)} positional arguments but {len(args)} were given")
    for key in options:
        if key not in parameters:
            raise TypeError(f"{name}() got an unexpected keyword argument '{key}'")


def to_memory(x):
    """The memory of an array, also inside lists.  Raises for an array of NumPy, which is not on this device."""
    if isinstance(x, ndarray):
        return x.memory
    if isinstance(x, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(x, (list, tuple)):
        return type(x)(map(to_memory, x))
    return x


def to_array(x):
    """A result of NumPy in the form of CuPy: arrays, and arrays without axes instead of scalars."""
    if isinstance(x, (np.ndarray, np.generic)):
        return ndarray(np.asarray(x))
    if isinstance(x, (list, tuple)):
        return type(x)(map(to_array, x))
    return ndarray(np.asarray(x)) if isinstance(x, bool) else x


def at_places(index, shape):
    """An index in the form of NumPy: arrays of integers wrap round, and arrays of the host are copied (and counted)."""
    index = index if isinstance(index, tuple) else (index,)
    places, axis = [], 0
    entries = sum(i is not None and i is not Ellipsis for i in index)
    for i in index:
        if isinstance(i, (list, np.ndarray)):
            work.transferred()
            i = np.asarray(i, dtype=int) if isinstance(i, list) and not i else np.asarray(i)
        elif isinstance(i, ndarray):
            i = i.memory
        if i is Ellipsis:
            axis += len(shape) - entries
        elif i is not None:
            if isinstance(i, np.ndarray) and i.dtype.kind in "iu" and shape[axis]:
                i = i % shape[axis]
            axis += i.ndim if isinstance(i, np.ndarray) and i.dtype == bool else 1
        places.append(i)
    return tuple(places)


def may_share_memory(a, b, max_work=None):
    return np.may_share_memory(to_memory(a), to_memory(b))      # known to the host, without a transfer


def take_along_axis(a, indices, axis):
    return to_array(np.take_along_axis(a.memory, to_memory(indices) % a.shape[axis], axis))


def where(condition, x, y):
    if not isinstance(condition, ndarray):
        raise TypeError(f"Unsupported type {type(condition)} as the condition")
    return to_array(np.where(condition.memory, to_memory(x), to_memory(y)))


# -- making arrays -------------------------------------------------------------------------------------

def array(obj, dtype=None, copy=True, order="K", ndmin=0):
    """A new array on the device from numbers, an array of the host, or one of the device."""
    if isinstance(obj, ndarray):
        return ndarray(np.array(obj.memory, dtype, copy=copy or None, order=order, ndmin=ndmin))
    work.transferred()
    return ndarray(np.array(obj, dtype, order=order, ndmin=ndmin))


def asarray(a, dtype=None, order=None):
    return array(a, dtype, copy=False, order=order or "K")


def ascontiguousarray(a, dtype=None):
    return array(a, dtype, copy=False, order="C", ndmin=1)


def empty(shape, dtype=float, order="C"):
    """An array full of NaN or of a large number, as memory of a device may be, so that no code relies on zeros."""
    memory = np.empty(shape, dtype, order)
    if memory.dtype.kind in "fiu":
        memory[...] = np.nan if memory.dtype.kind == "f" else np.iinfo(memory.dtype).max
    return ndarray(memory)


def zeros(shape, dtype=float, order="C"):
    return ndarray(np.zeros(shape, dtype, order))


def arange(start, stop=None, step=1, dtype=None):
    return ndarray(np.arange(start, stop, step, dtype) if stop is not None else np.arange(0, start, step, dtype))
