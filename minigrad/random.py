"""Random numbers: seeds, forks and draws.  The bits themselves come from ``kernels.philox``.

A Generator counts its draws and has no other state.  The number for draw ``n``, sample ``i`` and unit ``j`` is a
pure function of (seed, n, i, j).  So a replay uses the same numbers.  The numbers do not depend on the number of
threads, and they stay the same if a batch is split in two.
"""

from __future__ import annotations

if __name__ == "random":
    raise ImportError(
        "this file is minigrad.random, but Python was started in its folder, where it hides Python's own module "
        "random; start Python in another folder, such as the one above"
    )

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import devices
from minigrad.arguments import described, floating, is_whole
from minigrad.kernels import philox_logistics, philox_normals, philox_uniforms
from minigrad.kernels.philox import philox4x32
from minigrad.ops import special

if TYPE_CHECKING:
    from minigrad.aliases import Array, DTypeLike, Shape, State

_WORD = 0xFFFFFFFF
_FORKS = _WORD              # the stream from which the seeds of forks are taken; draws use stream 0

#: Rules draw from forks whose path begins with this number, so that they differ from the forks of users.
RULES = 2**64 - 1

# The lock for counting a draw.  There is one lock for all generators, because generators are copied and pickled.
_counting = threading.Lock()


def _after_fork() -> None:
    global _counting
    _counting = threading.Lock()    # in the parent, another thread may have taken the old lock


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Generator:
    """A sequence of random draws that can be split, saved and repeated.

    Two generators with the same seed draw the same numbers.  So use one generator for all layers of a
    network, or a fork for each layer: ``rng.fork(0)``, ``rng.fork(1)``.

    Threads may share a generator: each draw gets its own number.  Processes cannot share one.  A process that is
    started with ``os.fork`` has copies of its parent's generators, including the default one, and draws the same
    numbers as its parent.  Give each process another seed, or ``rng.fork(i)``.

    Parameters
    ----------
    seed : int in [0, 2**64)
    sample_offset : the number of the first sample (row) of each draw.  Example: with offset 5, a draw of five rows
        has the last five rows of a draw of ten rows with offset 0.
    device : "cpu" or "cuda": where draws are computed, unless a draw names another device.  The bits are the same.

    Attributes
    ----------
    seed, sample_offset, device : as above.
    draws : the number of draws so far.

    Raises
    ------
    ValueError
        ``seed`` is not an integer in [0, 2**64), or the device is unknown.
    RuntimeError
        There is no GPU that can be used.

    >>> import minigrad as mg
    >>> whole = mg.Generator(7).uniform((4, 3))
    >>> half = mg.Generator(7, sample_offset=2).uniform((2, 3))
    >>> bool((whole[2:] == half).all())
    True
    """

    device: str = "cpu"

    def __init__(self, seed: int, sample_offset: int = 0, device: str = "cpu") -> None:
        if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or not 0 <= seed < 2**64:
            raise ValueError(f"Generator: expected an integer seed in [0, 2**64), got {seed!r}")
        self.seed = int(seed)
        self.sample_offset = sample_offset
        self.device = devices.usable(device)
        self.draws = 0

    def take(self) -> int:
        """Count a draw and return its number.  No other draw of this generator gets it, in any thread.

        >>> import minigrad as mg
        >>> rng = mg.Generator(7)
        >>> rng.take(), rng.take(), rng.draws
        (0, 1, 2)
        """
        with _counting:
            number = self.draws
            self.draws = number + 1
        return number

    def name(self) -> tuple[int, int, int]:
        """Seed, sample offset and number of draws.  Together with the shape, they determine the next draw."""
        return self.seed, self.sample_offset, self.draws

    def uniform(self, shape: Shape | list[int], dtype: DTypeLike = np.float64, event_ndim: int = 1,
                device: str | None = None) -> Array:
        """The next draw: numbers that are uniform in the open interval (0, 1), an array on ``device``.

        The last ``event_ndim`` axes of ``shape`` are the units of a sample; the axes before them are samples.
        Numbers have 32 random bits in float64 and 23 in float32.  Use float64 to compare them with probabilities
        below 1e-5 or above 1 - 1e-5.

        Raises
        ------
        TypeError
            ``shape`` is not a tuple or list of ints, or ``dtype`` is neither float64 nor float32.
        ValueError
            ``event_ndim`` is not between 0 and the number of axes.
        """
        return self._next("uniform", philox_uniforms, shape, dtype, event_ndim, device)

    def normal(self, shape: Shape | list[int], dtype: DTypeLike = np.float64, event_ndim: int = 1,
               device: str | None = None) -> Array:
        """The next draw as standard normal numbers: the normal quantiles of its uniform numbers.

        The bits are the same on all devices.  Parameters and errors are those of ``uniform``.

        >>> import minigrad as mg
        >>> mg.Generator(7).normal((1, 3)).round(4)
        array([[ 1.6912,  0.675 , -1.2046]])
        """
        if self._draws_its_own():
            return special.ndtri(self.uniform(shape, float, event_ndim, **self.elsewhere(device))).astype(
                floating("normal", dtype), copy=False)
        return self._next("normal", philox_normals, shape, dtype, event_ndim, device)

    def logistic(self, shape: Shape | list[int], dtype: DTypeLike = np.float64, event_ndim: int = 1,
                 device: str | None = None) -> Array:
        """The next draw as standard logistic numbers: log(u / (1 − u)) of its uniform numbers u.

        The bits are the same on all devices.  Parameters and errors are those of ``uniform``.
        """
        if self._draws_its_own():
            u = self.uniform(shape, float, event_ndim, **self.elsewhere(device))
            return (np.log(u) - np.log1p(-u)).astype(floating("logistic", dtype), copy=False)
        return self._next("logistic", philox_logistics, shape, dtype, event_ndim, device)

    def _next(self, caller: str, numbers: Callable[..., Any], shape: Shape | list[int], dtype: DTypeLike,
              event_ndim: int, device: str | None) -> Array:
        """The next draw, from a function of ``kernels.draws``.  It is counted after the arguments were checked."""
        if not isinstance(shape, (tuple, list)) or not all(map(is_whole, shape)):
            raise TypeError(f"{caller}: expected a shape, a tuple of ints of at least 0, got {described(shape)}. "
                            "Use (rows, units)")
        if not is_whole(event_ndim) or event_ndim > len(shape):
            raise ValueError(f"{caller}: expected event_ndim from 0 to {len(shape)}, the axes of {tuple(shape)}, "
                             f"got {described(event_ndim)}")
        kind: Any = floating(caller, dtype)
        lead = len(shape) - event_ndim
        rows = (prod(shape[:lead]), prod(shape[lead:]))
        on_device = devices.usable(device or self.device) != "cpu"
        return numbers(self.seed, 0, self.take(), self.sample_offset, rows, kind, device=on_device).reshape(shape)

    def _draws_its_own(self) -> bool:
        """Whether a subclass defines its own uniform numbers.  Then its other numbers are computed from them."""
        return type(self).uniform is not Generator.uniform

    def integers(self, high: int, shape: Shape | list[int], event_ndim: int = 1) -> Array:
        """The next draw as int64 numbers from 0 to ``high`` − 1, for ``high`` up to 2**32.

        The relative error of their probabilities is at most high / 2**32.
        """
        if not is_whole(high, 1) or high > 2**32:
            raise ValueError(f"integers: expected high from 1 to 2**32, got {described(high)}")
        return np.floor(self.uniform(shape, np.float64, event_ndim) * high).astype(np.int64)

    def elsewhere(self, device: str | None) -> dict[str, Any]:
        """The options of a draw on ``device``: empty if the generator draws there anyway."""
        return {} if device in (None, self.device) else {"device": device}

    def fork(self, *path: int) -> Generator:
        """An independent generator, named by one or more integers in [0, 2**64).

        The same path gives the same generator, however many draws were made before.
        """
        if not path or any(not isinstance(step, (int, np.integer)) or not 0 <= step < 2**64 for step in path):
            raise ValueError(f"fork: expected one or more integers in [0, 2**64), got {path}")
        seed = self.seed
        for step in path:
            words = philox4x32((step & _WORD, step >> 32, 0, _FORKS), (seed & _WORD, seed >> 32))
            seed = int(words[0]) | int(words[1]) << 32
        return Generator(seed, self.sample_offset, self.device)

    def state_dict(self) -> State:
        """Seed, sample offset and number of draws: the whole state, which does not depend on the device."""
        return {"seed": self.seed, "sample_offset": self.sample_offset, "draws": self.draws}

    def load_state_dict(self, state: State) -> None:
        """Restore what ``state_dict`` returned.

        Raises
        ------
        ValueError
            ``state`` is not such a dict.  Nothing has been changed.
        """
        if not isinstance(state, dict) or state.keys() != self.state_dict().keys():
            raise ValueError(f"Generator: expected a state with {sorted(self.state_dict())}, got "
                             f"{list(state) if isinstance(state, dict) else described(state)}. "
                             "Pass what state_dict() returned")
        self.seed, self.sample_offset, self.draws = state["seed"], state["sample_offset"], state["draws"]

    def __repr__(self) -> str:
        return f"Generator(seed={self.seed}, draws={self.draws})"


#: A function uses this generator if you pass none, and if no ``default_generator`` block names another.
default: Generator = Generator(0)
_named: ContextVar[Generator | None] = ContextVar("default generator", default=None)


def current() -> Generator:
    """The default generator.  A function uses it if you pass no generator."""
    named = _named.get()
    return default if named is None else named


@contextmanager
def default_generator(rng: Generator) -> Iterator[None]:
    """Make ``rng`` the default generator inside this block.  Other threads and asynchronous tasks are not affected."""
    token = _named.set(rng)
    try:
        yield
    finally:
        _named.reset(token)


def checked(caller: str, rng: Any) -> Generator:
    """``rng``, if it is a Generator of minigrad; otherwise a TypeError."""
    if not isinstance(rng, Generator):
        raise TypeError(f"{caller}: expected a Generator of minigrad as rng, got {described(rng)}. "
                        "Use mg.Generator(seed)")
    return rng


def manual_seed(seed: int) -> None:
    """Restart the default generator from ``seed``."""
    current().load_state_dict(Generator(seed).state_dict())
