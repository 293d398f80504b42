"""Every outcome of a random computation, each once, with its probability.

A computation that draws finitely many things is a tree, and a *tape* walks it: it answers each choice
as it comes up, remembers the answers, and on the next run changes the last one that has another.

Uniform numbers fit in as well, as long as they are only compared.  b = 1[u < p] needs to know whether
u lies below p, and no more: that is a choice, with probability p, after which u is known to lie in
(0, p) or in [p, 1).  A later 1[1 − u < q] cuts that interval again, or needs no choice at all.  So the
noise of REINFORCE, DisARM, SPSA or a flipped bit is finite, whatever thresholds it meets on its way,
and the rules declare nothing.  A rule that computes with u itself (log u, say) raises ``Continuous``.
"""

from copy import copy
from functools import lru_cache
from math import prod

import numpy as np

from minigrad import ops, random
from minigrad.rule import gates_of

SAME = 4 * np.finfo(float).eps      # thresholds this close are one
MOST_INTEGERS = 1024                # of one draw, before it counts as continuous


class Continuous(TypeError):
    """Noise was used in another way than by comparing it, or was never drawn from this generator."""


class Tape:
    """The choices of one run, and the way to the next.

    >>> tape, words = Tape(), {}
    >>> while tape.rewind():
    ...     first = tape.choose([0.25, 0.75])
    ...     second = tape.choose([0.5, 0.5]) if first == 1 else None
    ...     words[first, second] = tape.probability
    >>> words
    {(0, None): 0.25, (1, 0): 0.375, (1, 1): 0.375}
    """

    def __init__(self):
        self.taken = None       # [index, number of alternatives] of each choice; None before the first run

    def choose(self, probabilities):
        """The index of one alternative."""
        if self.position == len(self.taken):
            self.taken.append([0, len(probabilities)])
        index, _ = self.taken[self.position]
        self.position += 1
        self.probability *= float(probabilities[index])
        return index

    def again(self):
        """A tape that gives the answers of this run once more; a choice that did not come up then is an error."""
        return Repeated(self.taken)

    def rewind(self):
        """Get ready for the next run; False once there is none."""
        self.position, self.probability = 0, 1.0
        if self.taken is None:
            self.taken = []
            return True
        while self.taken and self.taken[-1][0] + 1 == self.taken[-1][1]:
            self.taken.pop()
        if not self.taken:
            return False
        self.taken[-1][0] += 1
        return True


class Repeated:
    """The answers of one run of a tape."""

    def __init__(self, taken):
        self.taken, self.position = taken, 0

    def choose(self, probabilities):
        if self.position == len(self.taken) or self.taken[self.position][1] != len(probabilities):
            raise ValueError("the choices of a row depend on other rows")
        index, _ = self.taken[self.position]
        self.position += 1
        return index


class Noise:
    """What one run draws: the noise of one group of rows varies, that of the others stays.

    Parameters
    ----------
    tape : enumerates the noise of the group; an integer instead names one state of it.
    group : number of the group of rows that varies; None for all of them.
    groups : how many there are; the samples of every draw are shared out among them in order.
    state : of the noise of all other groups, an integer.
    """

    def __init__(self, tape, group=None, groups=1, state=0):
        self.tape, self.group, self.groups, self.state = tape, group, groups, state
        self.drawn = {}

    def varies(self, shape, event_ndim):
        """Which entries of a draw belong to the group, as an array of ``shape``."""
        if self.group is None:
            return np.ones(shape, bool)
        lead = shape[:len(shape) - event_ndim]
        if prod(lead) % self.groups:
            raise Continuous(f"a draw of shape {shape} is shared by the {self.groups} groups of rows")
        member = np.arange(prod(lead)) * self.groups // max(prod(lead), 1)
        return np.broadcast_to((member == self.group).reshape(lead + (1,) * event_ndim), shape).copy()


class Choices(random.Generator):
    """A Generator whose draws stand for all their outcomes, one in each run of a tape."""

    def __init__(self, noise, seed=0, sample_offset=0):
        self.noise = noise
        self.plain = random.Generator(seed, sample_offset)
        self.sample_offset = sample_offset
        self.draws = 0

    @property
    def seed(self):
        raise Continuous("the seed was asked for, to start another generator")

    def __copy__(self):
        return self.at(self.plain)

    def name(self):
        return self.plain.seed, self.sample_offset, self.draws

    def at(self, plain):
        other = Choices(self.noise, plain.seed, plain.sample_offset)
        other.draws = self.draws
        return other

    def fork(self, *path):
        other = self.at(forked(self.plain.seed, self.sample_offset, path))
        other.draws = 0
        return other

    def once(self, make, shape, event_ndim):
        """What ``make`` makes of draw number ``draws``; the same whenever it is drawn within a run."""
        name = (self.plain.seed, self.draws)
        self.draws += 1
        if name not in self.noise.drawn:
            varies = self.noise.varies(shape, event_ndim)
            fixed = self.number(self.noise.state, shape, event_ndim)
            if isinstance(self.noise.tape, int):
                fixed = np.where(varies, self.number(self.noise.tape, shape, event_ndim), fixed)
                varies = np.zeros(shape, bool)
            self.noise.drawn[name] = make(fixed, varies)
        return self.noise.drawn[name]

    def number(self, state, shape, event_ndim):
        """This draw as plain numbers, of which every integer names another set."""
        return numbers(self.plain.seed, self.sample_offset, self.draws - 1, state, shape, event_ndim)

    def uniform(self, shape, dtype=np.float64, event_ndim=1):
        cells = self.once(lambda fixed, varies: Cells(self.noise.tape, fixed, varies), shape, event_ndim)
        if isinstance(self.noise.tape, int):
            return cells.low.reshape(shape).astype(dtype)
        return Uniforms(cells, np.arange(prod(shape)).reshape(shape), dtype)

    def integers(self, high, shape, event_ndim=1):
        if high > MOST_INTEGERS:
            raise Continuous(f"an integer below {high} was drawn")

        def make(fixed, varies):
            numbers = np.floor(fixed * high).astype(np.int64)
            for i in np.flatnonzero(varies):
                numbers.flat[i] = self.noise.tape.choose(np.full(high, 1 / high))
            return numbers
        return self.once(make, shape, event_ndim).copy()


@lru_cache(4096)
def numbers(seed, sample_offset, draw, state, shape, event_ndim):
    """One draw of a state, as an array that nobody may write to: every run asks for the same ones."""
    plain = random.Generator(seed, sample_offset).fork(state)
    plain.draws = draw
    found = plain.uniform(shape, float, event_ndim)
    found.flags.writeable = False
    return found


@lru_cache(4096)
def forked(seed, sample_offset, path):
    """A fork of a generator, which is not drawn from."""
    return random.Generator(seed, sample_offset).fork(*path)


class Cells:
    """What is known about the numbers of one draw: each lies in [low, high)."""

    def __init__(self, tape, fixed, varies):
        self.tape = tape
        self.low = np.where(varies, 0.0, fixed).ravel()
        self.high = np.where(varies, 1.0, fixed).ravel()

    def below(self, index, threshold):
        """Whether number ``index`` lies below the threshold: known, or chosen now."""
        low, high = self.low[index], self.high[index]
        if threshold <= low + SAME:
            return low < threshold and low == high
        if threshold >= high - SAME:
            return True
        share = (threshold - low) / (high - low)
        if self.tape.choose([share, 1 - share]) == 0:
            self.high[index] = threshold
            return True
        self.low[index] = threshold
        return False


class Uniforms:
    """An array of ``shift + scale · u``, with u from ``Cells``: it can be compared, and no more."""

    def __init__(self, cells, indices, dtype, shift=0.0, scale=1.0):
        self.cells, self.indices, self.dtype = cells, indices, np.dtype(dtype)
        self.shift, self.scale = shift, scale

    shape = property(lambda self: self.indices.shape)
    ndim = property(lambda self: self.indices.ndim)
    size = property(lambda self: self.indices.size)

    def view(self, indices):
        return Uniforms(self.cells, indices, self.dtype, self.shift, self.scale)

    def affine(self, shift, scale):
        return Uniforms(self.cells, self.indices, self.dtype, shift + scale * self.shift, scale * self.scale)

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, key):
        return self.view(self.indices[key])

    def reshape(self, *shape):
        return self.view(self.indices.reshape(*shape))

    def astype(self, dtype):
        return Uniforms(self.cells, self.indices, dtype, self.shift, self.scale)

    def copy(self):
        return copy(self)

    def below(self, thresholds):
        """Whether each number lies below its threshold, as a boolean array."""
        cuts = (np.asarray(thresholds, float) - self.shift) / self.scale
        indices, cuts = np.broadcast_arrays(self.indices, cuts)
        found = np.fromiter(map(self.cells.below, indices.flat, cuts.flat), bool, indices.size)
        found = found.reshape(indices.shape)
        return found if self.scale > 0 else ~found

    def __lt__(self, other): return self.below(other)
    def __le__(self, other): return self.below(other)
    def __gt__(self, other): return ~self.below(other)
    def __ge__(self, other): return ~self.below(other)
    def __neg__(self): return self.affine(0.0, -1.0)
    def __add__(self, other): return self.affine(self.number(other), 1.0)
    def __radd__(self, other): return self.affine(self.number(other), 1.0)
    def __sub__(self, other): return self.affine(-self.number(other), 1.0)
    def __rsub__(self, other): return self.affine(self.number(other), -1.0)

    def number(self, other):
        if np.ndim(other):
            raise Continuous("noise was added to an array")
        return float(other)

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        """NumPy's functions: comparisons and shifts, from either side."""
        mirrored = {"less": "greater", "less_equal": "greater", "greater": "less", "greater_equal": "less"}
        names = {"less": "__lt__", "less_equal": "__lt__", "greater": "__gt__", "greater_equal": "__gt__",
                 "add": "__add__", "subtract": "__sub__", "negative": "__neg__"}
        name = ufunc.__name__
        if method != "__call__" or options or name not in names:
            raise Continuous(f"np.{name} was applied to noise")
        first, *rest = inputs
        if isinstance(first, Uniforms):
            return getattr(first, names[name])(*rest)
        if name in mirrored:
            return getattr(rest[0], names[mirrored[name]])(first)
        return rest[0].__radd__(first) if name == "add" else rest[0].__rsub__(first)

    def __array__(self, dtype=None, copy=None):
        raise Continuous("noise was used as a number")


@gates_of.register
def gates_of_uniforms(u: Uniforms, logits):
    """Samples 1[u < σ(logits)] in the dtype of the logits."""
    return u.below(ops.sigmoid(np.asarray(logits, float))).astype(logits.dtype)
