"""Generators for problems in which most bits are certain: only the noise of live rows varies.

``LiveNoise`` enumerates this noise with a tape, if rules only compare it with other numbers.  ``Points`` replaces it by
Gauss points, for rules that compute with it.
"""

from itertools import pairwise
from math import prod

import numpy as np

from minigrad import random
from minigrad.testing.outcomes import Continuous, Noise

POINTS = 6                      # Gauss points in each cell
WIDTH, TAIL = 3.0, 14.0         # width of the cells in logit(u), and their reach beyond the logit


class LiveNoise(Noise):
    """Noise that varies in the live rows only.

    The noise of rows whose bits are certain is fixed.  So the mean is a conditional mean, given the fixed noise.
    """

    def __init__(self, tape, model):
        super().__init__(tape)
        self.model = model

    def varies(self, shape, event_ndim):
        return varying(self.model, shape, event_ndim)


def varying(model, shape, event_ndim):
    """Which entries of a draw belong to live rows, as an array of ``shape``.

    If the draw has another number of rows, all entries do.  If event_ndim is 0, each unit is a row.
    """
    lead = shape[:len(shape) - event_ndim]
    rows = model.is_live.ravel() == 1 if model.circumstances.axes == 0 else model.live_rows
    for live in (rows, model.live_rows):
        if prod(lead) == len(live):
            return np.broadcast_to(live.reshape(lead + (1,) * event_ndim), shape).copy()
    return np.ones(shape, bool)


class Points(random.Generator):
    """A generator whose live numbers are Gauss points.  Each run of a tape uses one combination of points."""

    def __init__(self, tape, model, plain, drawn=None, root=None):
        self.tape, self.model, self.plain = tape, model, plain
        self.root = plain.seed if root is None else root
        self.sample_offset, self.draws, self.drawn = 0, 0, {} if drawn is None else drawn

    @property
    def seed(self):
        raise Continuous("the seed was read, to start another generator")

    def __copy__(self):
        other = Points(self.tape, self.model, self.plain, self.drawn, self.root)
        other.draws = self.draws
        return other

    def name(self):
        return self.plain.seed, 0, self.draws

    def fork(self, *path):
        return Points(self.tape, self.model, self.plain.fork(*path), self.drawn, self.root)

    def uniform(self, shape, dtype=np.float64, event_ndim=1, device=None):
        name = (self.plain.seed, self.draws)
        plain = random.Generator(self.plain.seed)
        plain.draws = self.draws
        self.draws += 1
        if name not in self.drawn:
            u = plain.uniform(shape, float, event_ndim)
            mask = varying(self.model, shape, event_ndim)
            if self.plain.seed == self.root and name[1] > 0:        # the draw of a smooth neighbour, which ignores it
                mask[:] = False
            if mask.size == self.model.is_live.size:        # one number per unit: numbers of certain bits are fixed
                mask &= self.model.is_live.reshape(shape) == 1
            points, weights = self.model.points
            for i in np.flatnonzero(mask):
                u.flat[i] = points[self.tape.choose(weights)]
            self.drawn[name] = u
        return self.drawn[name].astype(dtype)


def points_for(logits, width=WIDTH):
    """Gauss points in u, and their weights: cells in x = logit(u) that end at ± the logits, with du = σ'(x) dx."""
    edges = {0.0, *np.abs(logits), *-np.abs(logits)}
    far = max(edges) + TAIL
    edges = sorted({*edges, -far, far})
    x, w = np.polynomial.legendre.leggauss(POINTS)
    points, weights = [], []
    for low, high in pairwise(edges):
        parts = np.linspace(low, high, int(np.ceil((high - low) / width)) + 1)
        for a, b in pairwise(parts):
            points.append(a + (b - a) * (1 + x) / 2)
            weights.append((b - a) / 2 * w)
    points, weights = np.concatenate(points), np.concatenate(weights)
    u = 1 / (1 + np.exp(-points))
    return u, weights * u / (1 + np.exp(points))


def share_done(tape):
    """The finished fraction of all outcomes, on the assumption that each choice leads to equally many."""
    share, width = 0.0, 1.0
    for index, count in tape.taken:
        width /= count
        share += width * index
    return share + width
