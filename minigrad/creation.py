"""Functions that make leaves from a shape or a range, as ``mg.tensor`` makes them from data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.tensor import tensor

if TYPE_CHECKING:
    from minigrad.aliases import DTypeLike, Shape
    from minigrad.tensor import Tensor

__all__ = ["arange", "eye", "ones", "zeros"]


def arange(start: float, stop: float | None = None, step: float = 1, *, requires_grad: bool = False,
           dtype: DTypeLike | None = None, device: str | None = None) -> Tensor:
    """Numbers from ``start`` to ``stop`` in steps of ``step``, without ``stop`` itself.

    ``arange(n)`` has the numbers from 0 to n - 1.  The other arguments are those of ``mg.tensor``.

    >>> arange(3), arange(1, 2, 0.5)
    (tensor([0, 1, 2], dtype=int64), tensor([1. , 1.5], dtype=float64))
    """
    args: tuple[Any, ...] = (0, start, step, dtype) if stop is None else (start, stop, step, dtype)
    return tensor(np.arange(*args), requires_grad=requires_grad, device=device)


def zeros(shape: int | Shape, *, requires_grad: bool = False, dtype: DTypeLike = np.float64,
          device: str | None = None) -> Tensor:
    """Zeros of ``shape``, an int or a tuple.

    >>> zeros(2, dtype="float32")
    tensor([0., 0.], dtype=float32)
    """
    return tensor(np.zeros(shape, dtype), requires_grad=requires_grad, device=device)


def ones(shape: int | Shape, *, requires_grad: bool = False, dtype: DTypeLike = np.float64,
         device: str | None = None) -> Tensor:
    """Ones of ``shape``, an int or a tuple.

    >>> ones((1, 2))
    tensor([[1., 1.]], dtype=float64)
    """
    return tensor(np.ones(shape, dtype), requires_grad=requires_grad, device=device)


def eye(n: int, m: int | None = None, *, requires_grad: bool = False, dtype: DTypeLike = np.float64,
        device: str | None = None) -> Tensor:
    """The matrix (n, m) with ones on its diagonal and zeros elsewhere; (n, n) without m.

    >>> eye(2)
    tensor([[1., 0.],
            [0., 1.]], dtype=float64)
    """
    return tensor(np.eye(n, m, dtype=dtype), requires_grad=requires_grad, device=device)
