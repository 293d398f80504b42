"""Tensors that are made of numbers alone: leaves, like those of ``mg.tensor``."""

import numpy as np

from minigrad.tensor import tensor

__all__ = ["arange", "eye", "ones", "zeros"]


def arange(start, stop=None, step=1, *, requires_grad=False, dtype=None, device=None):
    """Numbers from ``start`` up to but without ``stop``, ``step`` apart; with one number, from 0 up to it.

    dtype, device, requires_grad : as for ``mg.tensor``.

    >>> arange(3), arange(1, 2, 0.5)
    (tensor([0, 1, 2], dtype=int64), tensor([1. , 1.5], dtype=float64))
    """
    start, stop = (0, start) if stop is None else (start, stop)
    return tensor(np.arange(start, stop, step, dtype), requires_grad=requires_grad, device=device)


def zeros(shape, *, requires_grad=False, dtype=np.float64, device=None):
    """Zeros of ``shape``, an int or a tuple.

    >>> zeros(2, dtype="float32")
    tensor([0., 0.], dtype=float32)
    """
    return tensor(np.zeros(shape, dtype), requires_grad=requires_grad, device=device)


def ones(shape, *, requires_grad=False, dtype=np.float64, device=None):
    """Ones of ``shape``, an int or a tuple.

    >>> ones((1, 2))
    tensor([[1., 1.]], dtype=float64)
    """
    return tensor(np.ones(shape, dtype), requires_grad=requires_grad, device=device)


def eye(n, m=None, *, requires_grad=False, dtype=np.float64, device=None):
    """The matrix (n, m) with ones on its diagonal and zeros elsewhere; square unless m is given.

    >>> eye(2)
    tensor([[1., 0.],
            [0., 1.]], dtype=float64)
    """
    return tensor(np.eye(n, m, dtype=dtype), requires_grad=requires_grad, device=device)
