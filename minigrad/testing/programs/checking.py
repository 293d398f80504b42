"""The check of a program that samples: enumerate its outcomes, and compare its estimate with finite differences.

    E[cost](θ) = Σ_s P(s; θ) cost(s, θ)

One run of the program for every script s gives all terms of this sum.  The gradient is

    (4 D(h) − D(2h)) / 3,       D(h) = (E[cost](θ + h) − E[cost](θ − h)) / 2h,

whose error is of fourth order in h.  The difference D(2h) − D(h) is of second order.  A thousandth of it is the
bound for the error.  The true error is smaller if the cost varies over ten steps or more.  The framework of the
program computes no derivative except for the estimate that is tested.

Noise that cannot be enumerated is drawn from fixed seeds.  For each seed everything else is enumerated.  The
difference between the mean estimate and the gradient, both for the same noise, is one sample.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from minigrad.arguments import described, is_real, is_whole
from minigrad.testing.moments import HOPELESS, SLACK
from minigrad.testing.programs.report import ProgramMoments, ProgramReport, outcomes
from minigrad.testing.programs.script import ADVICE, Script
from minigrad.testing.programs.session import within
from minigrad.testing.statistics import checked_seed, critical

MOST_COORDINATES = 200      # up to this number, every coordinate is compared
DIRECTIONS = 20             # number of random directions if there are more coordinates
LEAST_SEEDS = 30            # smallest number of seeds of continuous noise
STEP, NARROW_STEP = 1e-3, 3e-2          # steps of the differences, in float64 and float32
SAMPLED_STEP = 5e-2                     # for sampled noise: a cost may jump, and a small step makes the jump large
SHARE, SAMPLED_SHARE = 1e-3, 2e-2       # error of the gradient / difference between its values with two steps
SMOOTH = {True: 1e-6, False: 1e-3}      # a larger difference between two steps, relative to the cost, is tested
EPS = {True: np.finfo(np.float64).eps, False: np.finfo(np.float32).eps}


@dataclass
class Run:
    """The script and the seed of one run of a program, and the samplers that drew continuous noise in it.

    A ``probe`` is a run that tests whether there is such noise.  Other runs do not test this.
    """

    script: Script
    seed: int
    noise: set
    probe: bool = False


class Program(ABC):
    """A program to be checked.  Each framework has its own subclass.

    Attributes
    ----------
    coordinates : Coordinates of its parameters.
    double : whether the parameters are float64.
    """

    @abstractmethod
    def session(self):
        """The Session in which the program runs."""

    @abstractmethod
    def write(self, flat, wide):
        """Set the parameters to these values, in float64 if ``wide``, else in their own dtype."""

    @abstractmethod
    def unmoved(self):
        """Whether the parameters still have the values that were written last."""

    @abstractmethod
    def cost(self, run):
        """The cost of one run, a float."""

    @abstractmethod
    def estimate(self, run):
        """The estimated gradient of one run, an array over all coordinates."""


def check(program, *, samples, significance, seed, directions, step):
    """The ProgramReport on a program."""
    count = len(program.coordinates.coordinates)
    if not count:
        raise ValueError("expected parameters with at least one number in them, got none")
    if directions is not None and not is_whole(directions, 1):
        raise ValueError(f"expected directions to be an int of at least 1 or None, got {described(directions)}")
    if step is not None and (not is_real(step) or not step > 0):
        raise ValueError(f"expected step to be a number above 0 or None, got {described(step)}")
    critical(significance, count)
    seed = checked_seed(samples, seed)
    return within(program.session(), Check(program, samples, significance, seed, directions, step).report)


class Check:
    """One check, and how many runs it has made."""

    def __init__(self, program, samples, significance, seed, directions, step):
        self.program, self.samples, self.significance, self.seed = program, samples, significance, seed
        self.coordinates, self.step = program.coordinates, step
        size = self.coordinates.origin.size
        if directions is not None or size > MOST_COORDINATES:
            axes = np.random.default_rng(seed).standard_normal((directions or DIRECTIONS, size))
            self.coordinates = self.coordinates.along(axes / np.linalg.norm(axes, axis=1, keepdims=True))
        self.axes = np.eye(size) if self.coordinates.axes is None else self.coordinates.axes

    # -- runs --------------------------------------------------------------------------------------

    def outcomes(self, function, noise_seed, probe=False):
        """Every outcome of ``function(run)``, as (probability, value, run)."""
        script, runs, done = Script(), 0, 0.0
        while script.rewind():
            run = Run(script, noise_seed, set(), probe)
            value = function(run)
            script.close()
            runs += 1
            done += script.probability
            if runs > self.samples or (runs > HOPELESS and runs > SLACK * self.samples * done):
                raise ValueError(
                    f"expected at most samples = {self.samples} outcomes of what the program samples, got more: "
                    f"{runs} runs had a probability of {done:.2g} together. If all runs are like the last one, with "
                    f"{len(script.taken)} choices, there are {float(script.alike):.3g} outcomes. Check a smaller case: "
                    "fewer units, examples or steps. Or raise samples")
            yield script.probability, value, run

    def at(self, moved, wide):
        """Move the parameters by an array over all coordinates."""
        self.program.write(self.coordinates.origin + moved, wide)

    def settle(self, function, what, noise_seed):
        """The outcomes of a function.  Raises if it changes the parameters, or if a second run gives another result."""
        found, first = [], None
        for probability, value, run in self.outcomes(function, noise_seed, probe=True):
            if not self.program.unmoved():
                raise ValueError(f"expected {what} not to change the parameters, got other values after a run of it. "
                                 "Remove the optimiser's step")
            if first is None:
                first = value
                run.script.again()
                self.compare(what, first, function(run))
                run.script.close()
            found.append((probability, value, run.noise))
        run = Run(Script(), noise_seed, set())
        run.script.rewind()
        self.compare(what, first, function(run))
        return found

    @staticmethod
    def compare(what, first, second):
        if not np.array_equal(first, second):
            raise ValueError(f"expected {what} to give the same for the same samples, got two results that differ by "
                             f"{np.max(np.abs(np.subtract(first, second))):.3g}. {ADVICE}")

    # -- the estimate ------------------------------------------------------------------------------

    def estimate(self, run):
        found = self.program.estimate(run)
        if not np.isfinite(found).all():
            where = self.program.coordinates.coordinates[int(np.argmin(np.isfinite(found)))]
            raise AssertionError(f"not finite: the estimate is {found[~np.isfinite(found)][0]} at {where}")
        return self.coordinates.project(found)

    def cost(self, run):
        found = self.program.cost(run)
        if not np.isfinite(found):
            raise AssertionError(f"not finite: the cost is {found}")
        return found

    @staticmethod
    def moments(found):
        """Mean and mean square of estimates with their probabilities, about the first estimate."""
        probabilities = np.array([probability for probability, *_ in found])
        values = np.array([value for _, value, _ in found])
        mean = values[0] + probabilities @ (values - values[0])
        return mean, probabilities @ (values - mean)**2

    # -- the gradient ------------------------------------------------------------------------------

    def expected_cost(self, noise_seed):
        """The expected cost at the present parameters, and its typical size."""
        total = size = 0.0
        for probability, value, _ in self.outcomes(self.cost, noise_seed):
            total += probability * value
            size += probability * abs(value)
        return total, size

    def gradient(self, noise_seed, wide, smooth=True):
        """The gradient along every axis, and its error, by differences."""
        step, share = (STEP if wide else NARROW_STEP), SHARE
        if not smooth:
            step, share = SAMPLED_STEP, SAMPLED_SHARE
        found, errors = np.empty((2, len(self.axes)))
        self.at(0.0, wide)
        centre, size = self.expected_cost(noise_seed)
        for i in range(len(self.axes)):
            h = self.step or step
            if self.coordinates.axes is None:
                h *= max(1.0, abs(self.coordinates.origin[i]))
            near, far = (self.pair(i, k * h, noise_seed, wide, centre) for k in (1, 2))
            suspect = np.abs(far - near) * [1, h] > SMOOTH[wide] * (abs(near[0]) + size)
            if smooth and suspect.any():
                self.refuse_kinks(i, suspect, far, near, self.pair(i, h / 2, noise_seed, wide, centre))
            found[i] = (4 * near[0] - far[0]) / 3
            errors[i] = share * abs(far[0] - near[0]) + 16 * EPS[wide] * size / h
        return found, errors

    def pair(self, i, h, noise_seed, wide, centre):
        """The central differences of first and second order along axis number i."""
        values = []
        for signed in (-h, h):
            try:
                self.at(signed * self.axes[i], wide)
                values.append(self.expected_cost(noise_seed)[0])
            except Exception as error:
                raise ValueError(
                    f"expected a cost also near the parameters, got {type(error).__name__} with "
                    f"{self.coordinates.coordinates[i]} moved by {signed:.3g}: {error}\nMove the parameters away from "
                    "the edge of their range, or pass a smaller step") from error
        below, above = values
        return np.array([(above - below) / (2 * h), (above - 2 * centre + below) / h**2])

    def refuse_kinks(self, i, suspect, far, near, nearest):
        """Raise unless halved steps reduce the changes of the difference as they do for a smooth function."""
        closer = np.abs(near - nearest)[suspect] / np.abs(far - near)[suspect]
        if ((closer < 0.15) | (closer > 0.35)).any():
            name = self.coordinates.coordinates[i]
            raise ValueError(f"expected a smooth expected cost, got differences along {name} that do not converge when "
                             f"the step is halved: {far[0]:.6g}, {near[0]:.6g} and {nearest[0]:.6g}; of second order "
                             f"{far[1]:.3g}, {near[1]:.3g} and {nearest[1]:.3g}. Is there a kink, such "
                             "as a rectifier at 0? Move the parameters away from it, or pass a smaller step")

    def is_wide(self, noise_seed):
        """Whether the cost can be computed with parameters in float64."""
        if self.program.double:
            return True
        run = Run(Script(), noise_seed, set())
        run.script.rewind()
        try:
            self.at(0.0, True)
            return bool(np.isfinite(self.program.cost(run)))
        except Exception:       # some part of the program needs float32
            return False

    # -- the report --------------------------------------------------------------------------------

    def report(self):
        self.at(0.0, False)
        costs = self.settle(self.cost, "the cost", self.seed)
        estimates = self.settle(self.estimate, "the estimate", self.seed)
        noise = set().union(*(names for *_, names in estimates + costs))
        noisy_cost = any(names for *_, names in costs)
        wide = self.is_wide(self.seed)
        once = 4 * len(costs) * len(self.axes)
        if noise:
            each = len(estimates) + (once if noisy_cost else 0)
            fixed = 0 if noisy_cost else once
            self.afford(LEAST_SEEDS * each + fixed, estimates, costs, LEAST_SEEDS)
            report = self.repeated((self.samples - fixed) // each, noise, noisy_cost, wide, len(estimates))
        else:
            self.afford(len(costs) + len(estimates) + once, estimates, costs)
            truth, error = self.gradient(self.seed, wide)
            mean, variance = self.moments(estimates)
            moments = ProgramMoments(mean, variance, np.full(mean.shape, np.nan), 1.0, len(estimates), True,
                                     outcomes=len(estimates))
            report = ProgramReport(self.coordinates, truth, moments, self.significance, uncertainty=error)
        self.refuse_idle(report)
        return report

    def repeated(self, count, *arguments):
        """The report from samples.  If it finds a bias, a second report from new samples must confirm it."""
        report = self.sampled(1, count, *arguments)
        if report.unbiased:
            return report
        again = self.sampled(2, count, *arguments)
        confirmed = report.biased & again.biased & (np.sign(again.difference) == np.sign(report.difference))
        return ProgramReport(self.coordinates, again.truth, again.moments, self.significance, confirmed,
                             uncertainty=again.uncertainty)

    def sampled(self, batch, count, noise, noisy_cost, wide, outcomes):
        """The report from ``count`` seeds of continuous noise."""
        means, squares, truths, errors = np.empty((4, count, len(self.axes)))
        if not noisy_cost:
            truths[:], errors[:] = self.gradient(self.seed, wide)
        for i in range(count):
            noise_seed = (self.seed * 1_000_003 + batch * 500_009 + i) % 2**32
            if noisy_cost:
                # In float64, samplers would draw different numbers than for the estimate.
                truths[i], errors[i] = self.gradient(noise_seed, self.program.double, smooth=False)
            self.at(0.0, False)
            means[i], variance = self.moments(list(self.outcomes(self.estimate, noise_seed)))
            squares[i] = variance + means[i]**2
        mean = means.mean(axis=0)
        variance = np.maximum(squares.mean(axis=0) - mean**2, 0)
        error = (means - truths).std(axis=0, ddof=1) / np.sqrt(count)
        moments = ProgramMoments(mean, variance, np.full(mean.shape, np.nan), 1.0, count, False, error=error,
                                 outcomes=outcomes, noise=tuple(sorted(noise)))
        return ProgramReport(self.coordinates, truths.mean(axis=0), moments, self.significance,
                             uncertainty=errors.mean(axis=0))

    def afford(self, needed, estimates, costs, seeds=1):
        """Raise if the check needs more runs than ``samples`` allows."""
        if needed <= self.samples:
            return
        lines = "coordinates" if self.coordinates.axes is None else "directions"
        often = f", for {seeds} seeds of the continuous noise" if seeds > 1 else ""
        remedy = " Or pass directions=20." if len(self.axes) > DIRECTIONS else ""
        raise ValueError(f"expected a check of at most samples = {self.samples} runs, got one that needs {needed}: "
                         f"{outcomes(len(estimates))} of the estimate, and {len(costs)} of the cost at 4 points "
                         f"for each of {len(self.axes)} {lines}{often}. Check a smaller case, or pass "
                         f"samples={needed}.{remedy}")

    def refuse_idle(self, report):
        """Raise if neither the cost nor the estimate depends on the parameters."""
        m = report.moments
        if not m.mean.any() and not m.variance.any() and (np.abs(report.truth) <= report.tolerance()).all():
            raise ValueError("expected a cost that depends on the parameters, got an expected cost that is the same "
                             "for all values near these, and an estimate that is 0 in every outcome. Are params the "
                             "arrays that the program uses, and not copies of them?")
