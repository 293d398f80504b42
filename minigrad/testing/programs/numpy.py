"""Check an estimator that is written in NumPy.

    from minigrad.testing.programs import numpy as programs

    programs.assert_unbiased(cost, params, estimate)

``cost(choices)`` and ``estimate(choices)`` are your own functions.  They sample with ``choices.bernoulli(p)`` and
``choices.categorical(p)``.
"""

import numpy as np

from minigrad.arguments import described, function
from minigrad.testing.programs.checking import Program, check
from minigrad.testing.programs.report import coordinates
from minigrad.testing.programs.script import number
from minigrad.testing.programs.session import Session
from minigrad.testing.statistics import ROUNDING

__all__ = ["Choices", "assert_unbiased", "check_estimator"]


class Choices:
    """The sampler of a program.  Each check makes its own, and passes it to the functions."""

    def __init__(self, run):
        self._run = run
        self._rng = None

    def bernoulli(self, p):
        """Samples of Bernoulli(p), as float64 numbers 0 and 1.

        Parameters
        ----------
        p : probabilities, an array of any shape, or a number.

        Returns
        -------
        Array of the shape of ``p``.

        Raises
        ------
        ValueError
            A probability that is not in [0, 1].
        """
        return self._run.script.bernoulli(p).astype(float)

    def categorical(self, p):
        """Samples from categories, as integers.

        Parameters
        ----------
        p : probabilities, an array whose last axis has one for each category and adds up to 1.

        Returns
        -------
        Array of the shape of ``p`` without its last axis.
        """
        p = np.asarray(p, float)
        if not p.ndim:
            raise ValueError(f"categorical: expected an array of probabilities, got {described(p)}. Use bernoulli(p) "
                             "for one of two outcomes")
        found = [self._run.script.choose(row) for row in p.reshape(-1, p.shape[-1])]
        return np.array(found, np.int64).reshape(p.shape[:-1])

    def uniform(self, shape=()):
        """Uniform numbers in [0, 1), drawn from fixed seeds: the report says "sampled"."""
        return self._noise("uniform numbers").uniform(size=shape)

    def normal(self, shape=()):
        """Normal numbers, drawn from fixed seeds: the report says "sampled"."""
        return self._noise("normal numbers").standard_normal(shape)

    def _noise(self, name):
        self._run.noise.add(name)
        if self._rng is None:
            self._rng = np.random.default_rng(self._run.seed)
        return self._rng


class Arrays(Session):
    """Arrays whose numbers change during a check."""

    def __init__(self, arrays):
        self.arrays = arrays
        self.before = [a.copy() for a in arrays]

    def restore(self):
        for a, before in zip(self.arrays, self.before, strict=True):
            a[...] = before


class NumpyProgram(Program):
    """Functions of Choices, and the arrays that they use."""

    def __init__(self, cost, params, estimate):
        self.compute_cost = function("check_estimator", "cost as a function of choices", cost, "Use def cost(choices)")
        self.compute_estimate = function("check_estimator", "estimate as a function of choices", estimate,
                                         "Use def estimate(choices)")
        arrays = params
        if isinstance(params, dict):
            arrays = list(params.values())
        elif not isinstance(params, (list, tuple)):
            arrays = [params]
        for a in arrays:
            if not isinstance(a, np.ndarray) or a.dtype not in (np.float64, np.float32) or not a.flags.writeable:
                raise TypeError("expected params to be a writable array of float64 or float32, or a list or dict of "
                                f"such arrays, got {described(a)}. Use np.array(x, float)")
        self.arrays = list(arrays)
        self.double = all(a.dtype == np.float64 for a in self.arrays)
        self.coordinates = coordinates(params, self.arrays, ROUNDING["float64" if self.double else "float32"])

    def session(self):
        return Arrays(self.arrays)

    def write(self, flat, wide):
        if wide and not self.double:
            raise TypeError("arrays of float32 cannot become float64")
        self.written = [part.astype(a.dtype) for a, part in zip(self.arrays, self.coordinates.split(flat), strict=True)]
        for a, part in zip(self.arrays, self.written, strict=True):
            a[...] = part

    def unmoved(self):
        return all(np.array_equal(a, part) for a, part in zip(self.arrays, self.written, strict=True))

    def cost(self, run):
        return number("cost(choices)", self.compute_cost(Choices(run)))

    def estimate(self, run):
        found = self.compute_estimate(Choices(run))
        if isinstance(found, dict):
            found = list(found.values())
        elif not isinstance(found, (list, tuple)):
            found = [found]
        shapes = [np.shape(x) for x in found]
        expected = [a.shape for a in self.arrays]
        if shapes != expected:
            raise ValueError(f"expected estimate(choices) to return an array for each of params, of shapes {expected}, "
                             f"got {shapes}. Return a list in the order of params")
        return np.concatenate([np.asarray(x, float).ravel() for x in found])


def check_estimator(cost, params, estimate, *, samples=50_000, significance=1e-6, seed=None, directions=None,
                    step=None):
    """Compare the mean of an estimate with the gradient of the expected cost, over all outcomes.

    The program runs once for every outcome of its samples.  The gradient is a central difference of the
    expected cost.  Both are exact up to rounding.  Continuous noise is drawn from fixed seeds, and the
    report says so.

    Parameters
    ----------
    cost : function of a ``Choices`` that returns the cost of one run, a scalar.
    params : array, list or dict of arrays, of float64 (or float32, for which the verdict is coarser).
        The functions must use these arrays, not copies.  The check changes them in place, and restores
        them at the end, bit for bit.
    estimate : function of a ``Choices`` that returns the estimated gradient of one run: one array, or a
        list in the order of ``params``.
    samples : the largest number of runs of the program.
    significance : probability of rejecting a right estimator if noise is sampled.
    seed : seed of the continuous noise and the directions; a new one by default.
    directions : compare this number of random directions, instead of all coordinates.  By default
        20 directions if there are more than 200 coordinates.
    step : step of the differences; by default 1e-3 (0.03 in float32, 0.05 if the noise of the cost is sampled).

    Returns
    -------
    ProgramReport, an EstimatorReport, which prints as a table.

    Raises
    ------
    AssertionError
        A cost or an estimate is not finite.
    ValueError
        The check needs more runs than ``samples``.  The program returns different results for the same
        samples, or no scalar.  The cost does not depend on the parameters.  The expected cost has a kink.

    >>> import numpy as np
    >>> logits = np.array([0.3, -0.5])
    >>> def run(choices):
    ...     p = 1 / (1 + np.exp(-logits))
    ...     bits = choices.bernoulli(p)
    ...     return (bits.sum() - 0.4) ** 2, bits - p
    >>> def cost(choices):
    ...     return run(choices)[0]
    >>> def reinforce(choices):
    ...     cost, score = run(choices)
    ...     return cost * score
    >>> report = check_estimator(cost, logits, reinforce)
    >>> report.unbiased, report.exact, report.runs
    (True, True, 4)
    """
    return check(NumpyProgram(cost, params, estimate), samples=samples, significance=significance, seed=seed,
                 directions=directions, step=step)


def assert_unbiased(cost, params, estimate, **options):
    """Raise unless the mean of an estimate is the gradient; the arguments are those of ``check_estimator``.

    >>> import numpy as np
    >>> logits = np.array([0.0])
    >>> def half(choices):
    ...     p = 1 / (1 + np.exp(-logits))
    ...     bits = choices.bernoulli(p)
    ...     return 0.5 * bits * (bits - p)
    >>> assert_unbiased(lambda choices: choices.bernoulli(1 / (1 + np.exp(-logits))), logits, half)
    Traceback (most recent call last):
    AssertionError: biased at gradient[0] by -0.125, exactly: expected 0.25, got mean 0.125. 1 of 1 coordinates \
are biased; the mean is 0.5 times the gradient throughout
    """
    report = check_estimator(cost, params, estimate, **options)
    if not report.unbiased:
        raise AssertionError(report.fault())
    return report
