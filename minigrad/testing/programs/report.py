"""The report of a check of a program."""

from copy import copy
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist

import numpy as np

from minigrad.testing.moments import Moments
from minigrad.testing.statistics import POWER, EstimatorReport


class Coordinates:
    """The single numbers of a program's parameters, or random directions in their space.

    Parameters
    ----------
    names : one for each parameter.
    values : the parameters, as arrays.
    rebuild : function from a list of arrays to the form that reports show: one array, a list, a dict or a tree.
    rounding : error of a sum of estimates, relative to its terms.
    """

    def __init__(self, names, values, rebuild, rounding):
        self.values = [np.array(v, np.float64) for v in values]
        self.coordinates = [name + (str(list(map(int, index))) if index else "")
                            for name, v in zip(names, self.values, strict=True) for index in np.ndindex(v.shape)]
        self.rebuild, self.rounding = rebuild, rounding
        self.origin = np.concatenate([np.zeros(0), *(v.ravel() for v in self.values)])
        self.axes = None        # unit vectors, if there are directions instead of coordinates

    def along(self, axes):
        """The same parameters with directions, the rows of ``axes``, instead of coordinates."""
        other = copy(self)
        other.axes = axes
        other.coordinates = [f"direction {i}" for i in range(len(axes))]
        return other

    def split(self, flat):
        """An array over all coordinates as a list with the shapes of the parameters."""
        ends = np.cumsum([v.size for v in self.values])[:-1]
        return [part.reshape(v.shape) for part, v in zip(np.split(flat, ends), self.values, strict=True)]

    def shaped(self, flat):
        """An array over all coordinates in the form of the parameters.  An array over directions does not change."""
        return flat if self.axes is not None else self.rebuild(self.split(flat))

    def project(self, estimate):
        """An estimate in these coordinates."""
        return estimate if self.axes is None else self.axes @ estimate


def outcomes(count):
    return f"{count} outcome" + "s" * (count != 1)


def one(arrays):
    return arrays[0]


def named(names, arrays):
    return dict(zip(names, arrays, strict=True))


def coordinates(params, arrays, rounding):
    """Coordinates of ``params`` (one parameter, or a list or dict of them), whose values are ``arrays``."""
    if isinstance(params, dict):
        return Coordinates(map(str, params), arrays, partial(named, list(params)), rounding)
    if isinstance(params, (list, tuple)):
        return Coordinates([f"params[{i}]" for i in range(len(arrays))], arrays, list, rounding)
    return Coordinates(["gradient"], arrays, one, rounding)


@dataclass
class ProgramMoments(Moments):
    """Moments of an estimate.  For each sample of continuous noise, all discrete noise is enumerated.

    ``error`` is the standard error of the mean minus the gradient, from the difference in each sample.
    """

    error: np.ndarray = None
    outcomes: int = 0
    noise: tuple = ()

    @property
    def stderr(self):
        return np.zeros_like(self.mean) if self.exact else self.error


@dataclass(repr=False)
class ProgramReport(EstimatorReport):
    """The result of ``check_estimator`` of ``minigrad.testing.programs``; an ``EstimatorReport``.

    The gradient is a difference of enumerated expected costs.  ``uncertainty`` is its error for each coordinate,
    without the error of sampling.  If there are many parameters, the arrays are over random directions.  Then a bias
    along other directions can be missed.  ``missed`` is the size of the bias (its root mean square over all
    coordinates) that is missed with a probability of 0.01.

    Attributes
    ----------
    noise : names of the samplers whose noise was drawn, not enumerated.
    """

    uncertainty: np.ndarray = None

    def __post_init__(self):
        super().__post_init__()
        self.biased &= np.abs(self.difference) > self.tolerance()

    def tolerance(self):
        rounding = self.problem.rounding
        return (rounding * (np.abs(self.truth) + np.sqrt(self.moments.variance) + np.abs(self.truth).max())
                + self.uncertainty)

    def notes(self):
        return []       # the graph is unknown

    @property
    def critical(self):
        """The largest |z| that passes.  For samples it is a quantile of Student's t, because there may be few."""
        if self.exact:
            return super().critical
        from scipy.stats import t  # slow to import

        return float(t.isf(self.significance / (2 * len(self.truth)), self.moments.runs - 1))

    noise = property(lambda self: self.moments.noise)

    @property
    def smallest(self):
        """The bias that would have been found, as an array over coordinates or directions."""
        if self.exact:
            return self.tolerance()
        return self.tolerance() + (self.critical + NormalDist().inv_cdf(POWER)) * self.moments.stderr

    @property
    def detectable(self):
        return self.problem.shaped(self.smallest)

    @property
    def missed(self):
        if self.problem.axes is None:
            return 0.0
        # Along a random unit vector, the component of a bias b is nearly N(0, |b|²/n).  A bias is missed if all
        # components are small.
        size = NormalDist().inv_cdf((1 + (1 - POWER) ** (1 / len(self.truth))) / 2)
        return float(np.max(self.smallest) / size)

    def summary(self):
        m = self.moments
        if m.exact:
            how = f"{outcomes(m.outcomes)} enumerated: exact"
        else:
            how = f"{m.runs} draws of {' and '.join(m.noise)}, {outcomes(m.outcomes)} enumerated for each: sampled"
        if self.problem.axes is not None:
            how += f"; {len(self.truth)} random directions in {self.problem.origin.size} coordinates"
        return f"{how}; cosine {self.cosine:.4f}"

    def passed(self):
        if self.problem.axes is None:
            return super().passed()
        return (f"unbiased along these directions; a bias with root mean square {self.missed:.2g} over all coordinates "
                f"would have been found with probability {POWER}")

    def fault(self):
        text = super().fault()
        if text is None or self.exact:
            return text
        return text + f". The noise of {' and '.join(self.noise)} was sampled"
