"""Packed activations: only the open blocks of an array (B, G·block) are stored."""

from functools import partial
from typing import Any

import numpy as np

from . import packed_axes
from .device import work
from .device.arrays import check_device, on_device


class Packed(np.lib.mixins.NDArrayOperatorsMixin):
    """An array (B, G·block) that is zero outside its open blocks, and stores only these.

    Elementwise functions and operators of NumPy work on it if they map zero to zero, so that the result is zero outside
    the open blocks too. All other functions raise a TypeError. Reductions (`sum mean var std max min prod any all`)
    read only the open blocks. An index of rows (`h[2:5]`, `h[[0, 3]]`, `h[mask]`) gives packed rows. `to_dense()`
    converts it to a dense array.

    Parameters
    ----------
    values : array (n_open, block)
        The open blocks in the order of ``blocks.indices``. On a GPU the shape is (B·G, block), with the open blocks
        first and then zeros, since the CPU does not know the number of open blocks.
    blocks : OpenBlocks
    block : int
        Units per block.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad.kernels import Packed, open_blocks
    >>> blocks = open_blocks(np.array([[True, False], [False, True]]))
    >>> h = Packed(np.array([[1., -2.], [3., -4.]]), blocks, block=2)
    >>> np.maximum(h, 0).to_dense()
    array([[1., 0., 0., 0.],
           [0., 0., 3., 0.]])
    >>> h + 1
    Traceback (most recent call last):
        ...
    TypeError: add on a Packed array would fill its closed blocks; use .to_dense() first
    """

    __slots__ = ("block", "blocks", "product", "values")

    def __init__(self, values, blocks, block):
        check_device("values", values, blocks)
        if values.shape != (blocks.capacity, block):
            raise ValueError(
                f"values: expected shape (open blocks, block) = {(blocks.capacity, block)}, "
                f"got {values.shape}; pack with Packed.gather"
            )
        self.values = values
        self.blocks = blocks
        self.block = block
        self.product: Any = None     # a product that several functions need (``ops.gated``)

    @classmethod
    def gather(cls, dense, blocks, block):
        """A copy of the open blocks of a dense array (B, G·block) with any strides."""
        examples, count = blocks.shape
        if dense.shape != (examples, count * block):
            raise ValueError(
                f"dense: expected shape {(examples, count * block)}, got {dense.shape}; "
                "give one column per unit"
            )
        check_device("dense", dense, blocks)
        return cls(blocks.gather(dense, block), blocks, block)

    @property
    def shape(self):
        return self.blocks.shape[0], self.blocks.shape[1] * self.block

    @property
    def dtype(self):
        return self.values.dtype

    ndim = 2

    @property
    def on_device(self):
        return self.blocks.on_device

    @property
    def size(self):
        """The number of units of the dense array, open and closed."""
        return self.shape[0] * self.shape[1]

    @property
    def nbytes(self):
        """Bytes of the stored values, without the index lists."""
        return self.values.nbytes

    def __len__(self):
        return self.shape[0]

    def to_dense(self):
        """This array as a dense array (B, G·block)."""
        return self.blocks.scatter(self.values)

    def with_values(self, values):
        """A Packed with other values on the same open blocks."""
        return Packed(values, self.blocks, self.block)

    def astype(self, dtype):
        return self.with_values(self.values.astype(dtype))

    def copy(self):
        return self.with_values(self.values.copy())

    def map(self, function):
        """Apply an elementwise function that maps zero to zero."""
        values = function(self.values)
        work.allocated(values.nbytes)
        self.blocks.touch()
        return self.with_values(values)

    def __getitem__(self, index):
        return packed_axes.take_rows(self, index if isinstance(index, tuple) else (index,))

    def __iter__(self):
        raise TypeError("the rows of a Packed array are not packed; use .to_dense() first")

    def __repr__(self):
        return f"Packed(shape={self.shape}, dtype={self.dtype}, block={self.block}, {self.blocks!r})"

    def __array__(self, dtype=None, copy=None):
        raise TypeError("a Packed array is not converted to a dense array silently; use .to_dense()")

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        if method != "__call__" or ufunc.nout != 1 or "where" in options:
            raise TypeError(
                f"{ufunc.__name__}.{method} is not defined on Packed arrays; use .to_dense() first"
            )
        operands, zeros = zip(*(self._operand(ufunc, item) for item in inputs), strict=False)
        with np.errstate(all="ignore"):
            keeps_zero = ufunc(*zeros, **options) == 0
        if not keeps_zero:
            raise TypeError(
                f"{ufunc.__name__} on a Packed array would fill its closed blocks; use .to_dense() first"
            )
        if out is None:
            return self.map(lambda _: ufunc(*operands, **options))
        (target,) = out
        if not isinstance(target, Packed):
            raise TypeError(f"out: expected a Packed array, got {type(target).__name__}; omit out=")
        ufunc(*operands, out=self._operand(ufunc, target)[0], **options)
        self.blocks.touch()
        return target

    def _operand(self, ufunc, item):
        """(the operand at the open blocks, the operand at a closed block)."""
        if isinstance(item, Packed):
            if self.block != item.block or not self.blocks.same_as(item.blocks):
                raise TypeError(
                    f"{ufunc.__name__}: expected Packed arrays on the same open blocks, got {self!r} and "
                    f"{item!r}; use .to_dense() first"
                )
            return item.values, item.dtype.type(0)
        if np.ndim(item) == 0 and not on_device(item):
            return item, item
        # A closed block is 0, and 0 times a finite number is 0. So a product with a dense array stays packed, and so
        # does a product with a scalar on a GPU, whose value the CPU does not know. Other functions may not.
        if ufunc is not np.multiply:
            raise TypeError(
                f"{ufunc.__name__} of a Packed and a dense array would fill closed blocks; "
                "use .to_dense() first"
            )
        if np.ndim(item) == 0:
            return item, item.dtype.type(0)
        dense = np.broadcast_to(item, self.shape)
        return Packed.gather(dense, self.blocks, self.block).values, dense.dtype.type(0)


def _reduction(name, of_open_blocks):
    """The method ``name`` of Packed. NumPy's function of the same name calls it."""

    def method(self, axis=None, dtype=None, out=None, keepdims=False, **options):
        if dtype is not None or out is not None:
            raise TypeError(f"{name} of a Packed array: expected neither dtype= nor out=; use .to_dense() first")
        if self.on_device:
            return getattr(np, name)(self.to_dense(), axis=axis, keepdims=keepdims, **options)
        return of_open_blocks(self, axis=axis, keepdims=keepdims, **options)

    return method


for _name, _ufunc in {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum,
                      "any": np.logical_or, "all": np.logical_and}.items():
    setattr(Packed, _name, _reduction(_name, partial(packed_axes.reduce, ufunc=_ufunc)))
for _function in (packed_axes.mean, packed_axes.var, packed_axes.std):
    setattr(Packed, _function.__name__, _reduction(_function.__name__, _function))
