"""Random numbers: keys, streams and draws.  The bits themselves come from ``kernels.philox``.

A Generator counts its draws and holds no other state: draw number ``n`` of unit ``j`` in sample
``i`` is a pure function of (seed, n, i, j).  So a replay, another number of threads, or a batch that
is split in two sees the same numbers.
"""

if __name__ == "random":
    raise ImportError(
        "this file is minigrad.random, but Python was started in its folder, where it hides Python's own module "
        "random; start Python in another folder, such as the one above"
    )

import os
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod

import numpy as np

from minigrad import devices
from minigrad.arguments import described, floating, is_whole
from minigrad.kernels import philox_uniforms
from minigrad.kernels.philox import philox4x32
from minigrad.ops import special

_WORD = 0xFFFFFFFF
_FORKS = _WORD              # the stream whose bits name the keys of forks; draws use stream 0

#: The first step of the forks that rules draw from, kept apart from anybody else's.
RULES = 2**64 - 1

# Held while a generator counts a draw.  One lock for all, since generators are copied and pickled.
_counting = threading.Lock()


def _after_fork():
    global _counting
    _counting = threading.Lock()    # another thread of the parent may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Generator:
    """A stream of random draws that can be named, split, saved and repeated.

    Two generators with the same seed draw the same numbers.  So give one generator to all layers of a
    network, or each layer a fork: ``rng.fork(0)``, ``rng.fork(1)``.

    Threads may share a generator: each draw gets a number of its own.  Processes cannot: a process that is made
    with ``os.fork`` has copies of its parent's generators, the default one included, and draws the same numbers
    as its parent.  Give each process a seed of its own, or ``rng.fork(i)``.

    Parameters
    ----------
    seed : int in [0, 2**64)
    sample_offset : number of the first sample (the row) of each draw; the second half of a batch of
        ten, with offset 5 and a generator of the same state, draws what the whole would have.
    device : where draws are made, "cpu" or "cuda", if the draw does not say: the same bits on both.

    >>> import minigrad as mg
    >>> whole = mg.Generator(7).uniform((4, 3))
    >>> half = mg.Generator(7, sample_offset=2).uniform((2, 3))
    >>> bool((whole[2:] == half).all())
    True
    """

    device = "cpu"

    def __init__(self, seed, sample_offset=0, device="cpu"):
        if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or not 0 <= seed < 2**64:
            raise ValueError(f"Generator: expected an integer seed in [0, 2**64), got {seed!r}")
        self.seed = int(seed)
        self.sample_offset = sample_offset
        self.device = devices.usable(device)
        self.draws = 0

    def take(self):
        """Count a draw and return its number, which no other draw of this generator gets, in any thread.

        >>> import minigrad as mg
        >>> rng = mg.Generator(7)
        >>> rng.take(), rng.take(), rng.draws
        (0, 1, 2)
        """
        with _counting:
            number = self.draws
            self.draws = number + 1
        return number

    def name(self):
        """What the next draw is a function of, apart from its shape."""
        return self.seed, self.sample_offset, self.draws

    def uniform(self, shape, dtype=np.float64, event_ndim=1, device=None):
        """The next draw: uniform in the open interval (0, 1), an array on ``device``.

        The last ``event_ndim`` axes of ``shape`` are the units of a sample, the others its samples.
        Numbers have 32 random bits in float64 and 23 in float32: compare float64 ones with probabilities
        below 1e-5 or above 1 - 1e-5.
        """
        if not isinstance(shape, (tuple, list)) or not all(map(is_whole, shape)):
            raise TypeError(f"uniform: expected a shape, a tuple of ints of at least 0, got {described(shape)}. "
                            "Use (rows, units)")
        if not is_whole(event_ndim) or event_ndim > len(shape):
            raise ValueError(f"uniform: expected event_ndim from 0 to {len(shape)}, the axes of {tuple(shape)}, "
                             f"got {described(event_ndim)}")
        dtype = floating("uniform", dtype)
        lead = len(shape) - event_ndim
        rows = (prod(shape[:lead]), prod(shape[lead:]))
        on_device = devices.usable(device or self.device) != "cpu"
        numbers = philox_uniforms(self.seed, 0, self.take(), self.sample_offset, rows, dtype, device=on_device)
        return numbers.reshape(shape)

    def normal(self, shape, dtype=np.float64, event_ndim=1, device=None):
        """The next draw as standard normal numbers, by the inverse distribution function."""
        return special.ndtri(self.uniform(shape, float, event_ndim, **self.elsewhere(device))).astype(
            floating("normal", dtype), copy=False)

    def logistic(self, shape, dtype=np.float64, event_ndim=1, device=None):
        """The next draw as standard logistic numbers, log(u / (1 − u))."""
        u = self.uniform(shape, float, event_ndim, **self.elsewhere(device))
        return (np.log(u) - np.log1p(-u)).astype(floating("logistic", dtype), copy=False)

    def integers(self, high, shape, event_ndim=1):
        """The next draw as integers from 0 to ``high`` − 1, at most 2**32, uniform to within high / 2**32."""
        if not is_whole(high, 1) or high > 2**32:
            raise ValueError(f"integers: expected high from 1 to 2**32, got {described(high)}")
        return np.floor(self.uniform(shape, np.float64, event_ndim) * high).astype(np.int64)

    def elsewhere(self, device):
        """The option of a draw on ``device``, where draws are not made there anyway."""
        return {} if device in (None, self.device) else {"device": device}

    def fork(self, *path):
        """An independent generator, named by one or more integers in [0, 2**64): the same path gives
        the same one, whatever has been drawn."""
        if not path or any(not isinstance(step, (int, np.integer)) or not 0 <= step < 2**64 for step in path):
            raise ValueError(f"fork: expected one or more integers in [0, 2**64), got {path}")
        seed = self.seed
        for step in path:
            words = philox4x32((step & _WORD, step >> 32, 0, _FORKS), (seed & _WORD, seed >> 32))
            seed = int(words[0]) | int(words[1]) << 32
        return Generator(seed, self.sample_offset, self.device)

    def state_dict(self):
        """Seed, sample offset and number of draws: all there is to it, wherever the draws are made."""
        return {"seed": self.seed, "sample_offset": self.sample_offset, "draws": self.draws}

    def load_state_dict(self, state):
        """Put back what ``state_dict`` gave."""
        if not isinstance(state, dict) or state.keys() != self.state_dict().keys():
            raise ValueError(f"Generator: expected a state with {sorted(self.state_dict())}, got "
                             f"{list(state) if isinstance(state, dict) else described(state)}. "
                             "Use what state_dict() gave")
        self.seed, self.sample_offset, self.draws = state["seed"], state["sample_offset"], state["draws"]

    def __repr__(self):
        return f"Generator(seed={self.seed}, draws={self.draws})"


#: Drawn from wherever no generator is given, unless ``default_generator`` names another.
default = Generator(0)
_named = ContextVar("default generator", default=None)


def current():
    """The default generator: what is drawn from wherever no generator is given."""
    named = _named.get()
    return default if named is None else named


@contextmanager
def default_generator(rng):
    """Make ``rng`` the default generator inside this block, in this thread or asynchronous task alone."""
    token = _named.set(rng)
    try:
        yield
    finally:
        _named.reset(token)


def checked(caller, rng):
    """``rng``, if it is a Generator of ours."""
    if not isinstance(rng, Generator):
        raise TypeError(f"{caller}: expected a Generator of minigrad as rng, got {described(rng)}. "
                        "Use mg.Generator(seed)")
    return rng


def manual_seed(seed):
    """Start the default generator again from ``seed``."""
    current().load_state_dict(Generator(seed).state_dict())
