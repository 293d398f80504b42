"""All outcomes of a random computation, with their probabilities.

A computation with a finite number of random choices is a tree.  A *tape* enumerates its branches.  It runs the
computation several times, answers each choice, and stores the answers.  In the next run it changes the last answer that
has another alternative.

Uniform numbers can be enumerated too, if they are only compared.  For b = 1[u < p] it only matters whether u is below
p.  This is a choice with probability p.  After it, u is known to be in (0, p) or in [p, 1).  A later comparison
1[1 − u < q] splits this interval, or needs no choice.  So the noise of REINFORCE, DisARM, SPSA or a random flip has
finitely many outcomes.  The rules need not declare this.  A rule that uses u in a formula, such as log u, raises
``Continuous``.
"""

from __future__ import annotations

from copy import copy
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import ops, random
from minigrad.rule import gates_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from minigrad.aliases import Array, DTypeLike, Shape

SAME = 4 * np.finfo(float).eps      # thresholds whose difference is smaller count as equal
MOST_INTEGERS = 1024                # the largest range of random integers that is enumerated


class Continuous(TypeError):
    """Noise cannot be enumerated: it was used in another way than in a comparison, or came from another generator."""


class Tape:
    """The choices of one run, and the step to the next run.

    >>> tape, words = Tape(), {}
    >>> while tape.rewind():
    ...     first = tape.choose([0.25, 0.75])
    ...     second = tape.choose([0.5, 0.5]) if first == 1 else None
    ...     words[first, second] = tape.probability
    >>> words
    {(0, None): 0.25, (1, 0): 0.375, (1, 1): 0.375}
    """

    def __init__(self) -> None:
        self.started = False
        self.taken: list[list[int]] = []        # [index, number of alternatives] of each choice
        self.position, self.probability = 0, 1.0

    def choose(self, probabilities: Sequence[float] | Array) -> int:
        """The index of one alternative."""
        if self.position == len(self.taken):
            self.taken.append([0, len(probabilities)])
        index, _ = self.taken[self.position]
        self.position += 1
        self.probability *= float(probabilities[index])
        return index

    def again(self) -> Repeated:
        """A tape that repeats the answers of this run.  It raises an error for a choice that is not the same."""
        return Repeated(self.taken)

    def rewind(self) -> bool:
        """Prepare the next run.  False if there is none."""
        self.position, self.probability = 0, 1.0
        if not self.started:
            self.started = True
            return True
        while self.taken and self.taken[-1][0] + 1 == self.taken[-1][1]:
            self.taken.pop()
        if not self.taken:
            return False
        self.taken[-1][0] += 1
        return True


class Repeated:
    """The answers of one run of a tape."""

    def __init__(self, taken: list[list[int]]) -> None:
        self.taken, self.position = taken, 0

    def choose(self, probabilities: Sequence[float] | Array) -> int:
        """The same index as in the run that is repeated."""
        if self.position == len(self.taken) or self.taken[self.position][1] != len(probabilities):
            raise ValueError("the choices of a row depend on other rows")
        index, _ = self.taken[self.position]
        self.position += 1
        return index


class Noise:
    """The noise of one run.  The noise of one group of rows varies between runs, and the rest is constant.

    Parameters
    ----------
    tape : a ``Tape`` that enumerates the noise of the group, or an integer that selects one state of it.
    group : the number of the group of rows that varies; None for all groups.
    groups : the number of groups.  The samples of every draw are divided among them, in order.
    state : an integer that selects the state of the noise of all other groups.
    """

    def __init__(self, tape: Any, group: int | None = None, groups: int = 1, state: int = 0) -> None:
        self.tape, self.group, self.groups, self.state = tape, group, groups, state
        self.drawn: dict[tuple[int, int], Any] = {}

    def varies(self, shape: Shape, event_ndim: int) -> Array:
        """A boolean array of ``shape``: which entries of a draw belong to the group."""
        if self.group is None:
            return np.ones(shape, bool)
        lead = shape[:len(shape) - event_ndim]
        if prod(lead) % self.groups:
            raise Continuous(f"a draw of shape {shape} is shared by the {self.groups} groups of rows")
        member = np.arange(prod(lead)) * self.groups // max(prod(lead), 1)
        return np.broadcast_to((member == self.group).reshape(lead + (1,) * event_ndim), shape).copy()


class Choices(random.Generator):
    """A Generator whose draws have another outcome in each run of a tape, until all outcomes have occurred."""

    def __init__(self, noise: Noise, seed: int = 0, sample_offset: int = 0) -> None:
        self.noise = noise
        self.plain = random.Generator(seed, sample_offset)
        self.sample_offset = sample_offset
        self.draws = 0

    @property
    def seed(self):
        raise Continuous("the seed was read, to seed another generator")

    def __copy__(self) -> Choices:
        return self.at(self.plain)

    def name(self):
        return self.plain.seed, self.sample_offset, self.draws

    def at(self, plain: random.Generator) -> Choices:
        """The same noise, for another generator."""
        other = Choices(self.noise, plain.seed, plain.sample_offset)
        other.draws = self.draws
        return other

    def fork(self, *path: int) -> Choices:
        other = self.at(forked(self.plain.seed, self.sample_offset, path))
        other.draws = 0
        return other

    def once(self, make: Callable[[Array, Array], Any], shape: Shape, event_ndim: int) -> Any:
        """The result of ``make`` for the next draw.  The same draw gives the same result within a run."""
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

    def number(self, state: int, shape: Shape, event_ndim: int) -> Array:
        """This draw as an array of numbers, which depend on the integer ``state``."""
        return numbers(self.plain.seed, self.sample_offset, self.draws - 1, state, shape, event_ndim)

    def uniform(self, shape: Shape, dtype: DTypeLike = np.float64, event_ndim: int = 1) -> Any:
        cells = self.once(lambda fixed, varies: Cells(self.noise.tape, fixed, varies), shape, event_ndim)
        if isinstance(self.noise.tape, int):
            return cells.low.reshape(shape).astype(dtype)
        return Uniforms(cells, np.arange(prod(shape)).reshape(shape), dtype)

    def integers(self, high: int, shape: Shape, event_ndim: int = 1) -> Any:
        if high > MOST_INTEGERS:
            raise Continuous(f"an integer below {high} was drawn")

        def make(fixed, varies):
            numbers = np.floor(fixed * high).astype(np.int64)
            for i in np.flatnonzero(varies):
                numbers.flat[i] = self.noise.tape.choose(np.full(high, 1 / high))
            return numbers
        return self.once(make, shape, event_ndim).copy()


@lru_cache(4096)
def numbers(seed: int, sample_offset: int, draw: int, state: int, shape: Shape, event_ndim: int) -> Array:
    """One draw in a state of the noise, as a read-only array.  Cached, since every run needs the same arrays."""
    plain = random.Generator(seed, sample_offset).fork(state)
    plain.draws = draw
    uniforms = plain.uniform(shape, float, event_ndim)
    uniforms.flags.writeable = False
    return uniforms


@lru_cache(4096)
def forked(seed: int, sample_offset: int, path: tuple[int, ...]) -> random.Generator:
    """A fork of a generator.  Cached, and never used to draw."""
    return random.Generator(seed, sample_offset).fork(*path)


class Cells:
    """The numbers of one draw, as intervals: each number is known to be in [low, high)."""

    def __init__(self, tape: Any, fixed: Array, varies: Array) -> None:
        self.tape = tape
        self.low = np.where(varies, 0.0, fixed).ravel()
        self.high = np.where(varies, 1.0, fixed).ravel()

    def below(self, index: int, threshold: float) -> bool:
        """Whether number ``index`` is below the threshold.  If this is not known, the tape chooses it."""
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
    """An array of ``shift + scale · u``, with u from ``Cells``.  It can only be compared."""

    def __init__(self, cells: Cells, indices: Array, dtype: DTypeLike, shift: float = 0.0, scale: float = 1.0) -> None:
        self.cells, self.indices, self.dtype = cells, indices, np.dtype(dtype)
        self.shift, self.scale = shift, scale

    shape = property(lambda self: self.indices.shape)
    ndim = property(lambda self: self.indices.ndim)
    size = property(lambda self: self.indices.size)

    def view(self, indices: Array) -> Uniforms:
        return Uniforms(self.cells, indices, self.dtype, self.shift, self.scale)

    def affine(self, shift: float, scale: float) -> Uniforms:
        """shift + scale · self."""
        return Uniforms(self.cells, self.indices, self.dtype, shift + scale * self.shift, scale * self.scale)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, key: Any) -> Uniforms:
        return self.view(self.indices[key])

    def reshape(self, *shape: Any) -> Uniforms:
        return self.view(self.indices.reshape(*shape))

    def astype(self, dtype: DTypeLike) -> Uniforms:
        return Uniforms(self.cells, self.indices, dtype, self.shift, self.scale)

    def copy(self) -> Uniforms:
        return copy(self)

    def below(self, thresholds: Any) -> Array:
        """A boolean array: whether each number is below its threshold."""
        cuts = (np.asarray(thresholds, float) - self.shift) / self.scale
        indices, cuts = np.broadcast_arrays(self.indices, cuts)
        below = np.fromiter(map(self.cells.below, indices.flat, cuts.flat), bool, indices.size)
        below = below.reshape(indices.shape)
        return below if self.scale > 0 else ~below

    def __lt__(self, other): return self.below(other)
    def __le__(self, other): return self.below(other)
    def __gt__(self, other): return ~self.below(other)
    def __ge__(self, other): return ~self.below(other)
    def __neg__(self): return self.affine(0.0, -1.0)
    def __add__(self, other): return self.affine(self.number(other), 1.0)
    def __radd__(self, other): return self.affine(self.number(other), 1.0)
    def __sub__(self, other): return self.affine(-self.number(other), 1.0)
    def __rsub__(self, other): return self.affine(self.number(other), -1.0)

    def number(self, other: Any) -> float:
        """``other``, if it is a number."""
        if np.ndim(other):
            raise Continuous("noise was added to an array")
        return float(other)

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        """Comparisons and shifts by functions of NumPy, on either side."""
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
