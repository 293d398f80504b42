"""The loss that a function computes, from noise that is given."""

from inspect import signature

from minigrad import random
from minigrad.arguments import described
from minigrad.rule import frozen_memories
from minigrad.tensor import Tensor


def compute(fn, rng=None):
    """The loss ``fn(rng)``, or ``fn()`` with ``rng`` as the default generator.

    Without ``rng`` the default generator stays, and goes to those functions that have to be given one.
    """
    if isinstance(fn, Tensor) or not callable(fn):
        raise TypeError(f"expected fn to be a function that computes the loss, got {described(fn)}. It is called for "
                        "every pass: put the lines from mg.bernoulli to mg.expected into def fn(rng)")
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
        raise TypeError(f"expected fn to return the loss, a Tensor, got {described(loss)}. Is a return missing, or "
                        ".item() too much?")
    return loss
