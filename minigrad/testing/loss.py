"""Computing the loss of a function with a given generator."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING

from minigrad import random
from minigrad.arguments import described
from minigrad.rule import frozen_memories
from minigrad.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable


def compute(fn: Callable[..., Tensor], rng: random.Generator | None = None) -> Tensor:
    """The loss ``fn(rng)``, or ``fn()`` with ``rng`` as the default generator.

    If ``rng`` is None, the default generator is used.  A function that needs an argument gets it.

    Raises
    ------
    TypeError
        ``fn`` is not a function, or it does not return a Tensor.
    """
    if isinstance(fn, Tensor) or not callable(fn):
        raise TypeError(f"expected fn to be a function that computes the loss, got {described(fn)}. It is called for "
                        "every pass. Put the lines from mg.bernoulli to mg.expected into def fn(rng)")
    parameters = signature(fn).parameters.values()
    if rng is None:
        rng, parameters = random.current(), [p for p in parameters if p.default is p.empty]
    with frozen_memories():
        if parameters:
            loss = fn(rng)
        else:
            with random.default_generator(rng):
                loss = fn()
    if not isinstance(loss, Tensor):
        raise TypeError(f"expected fn to return the loss, a Tensor, got {described(loss)}. Add a return "
                        "statement, or remove .item()")
    return loss
