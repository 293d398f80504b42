"""One rule on the problems of the certificate: the mean of its estimate against the true gradient.

Where the noise is finite, the mean is a sum over all joint outcomes of everything random.  A rule that computes
with its uniform numbers is integrated by Gauss's rule, with one live bit.  What neither of them can do is sampled.

A rule may evaluate the cost many times in one estimate.  ``work`` counts evaluations, so that such a rule is given up
or gets fewer samples after a certain amount of work, the same on every machine.
"""

import threading
import warnings
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np

from minigrad import random
from minigrad.graph import Evaluation
from minigrad.rule import Estimator, frozen_memories
from minigrad.tensor import tensor
from minigrad.testing.live import WIDTH, LiveNoise, Points, points_for, share_done
from minigrad.testing.models import BIASED, CERTAIN, NEIGHBOURS, Model, truth
from minigrad.testing.outcomes import Choices, Tape
from minigrad.testing.problems import BY_UPDATES, LAST_UPDATE, Circumstances
from minigrad.testing.statistics import critical

MOST_RUNS = 160         # joint outcomes with two live bits, before one of them is made certain
MOST_OF_ALL = 260       # joint outcomes where all bits are live, before they are sampled
ENOUGH, SLACK = 24, 2   # after so many runs, an estimate of their number that is so many times too large is believed
FINE = 1e-11            # what is allowed of an enumerated mean, relative to the size of the costs
COARSE = 1e-5           # the same, of an integrated one
ROUNDING = 4e-15        # the same, relative to the offset of the costs
SAMPLED_ROWS = 40_000   # drawn at once for a sampled mean
PASSES = 1_000          # drawn one by one, where rows of the estimate depend on each other
MOST_WORK = 6_000       # evaluations that an enumeration, or a set of samples, may take
ROWS_OF_WORK = 500      # an evaluation of so many rows takes twice the time of one of few rows
LEAST_PASSES = 100      # however long they take
HALF, FEWER = 2, 10     # times fewer of both: where other problems are integrated; after each number of updates
SIGNIFICANCE = 1e-8     # of one sampled problem
FINER = 4               # times smaller cells confirm what was integrated
POWER = 2.33            # standard errors: a bias that is this far beyond the critical one is found in 99 of 100


class TooMany(OverflowError):
    """More joint outcomes than may be tried."""


class TooLong(TooMany):
    """More evaluations than may be made."""


class Work(threading.local):
    """How many evaluations of costs were made, weighted by their rows.  Each thread has its own count."""

    done: float = 0.0
    limit: float = float("inf")     # beyond which a fault is not simplified


work = Work()


# ---- trials --------------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What came out of one problem, by coordinate: ``how`` is "enumerated", "integrated" or "sampled"."""

    circumstances: Circumstances
    coordinates: list
    gradient: np.ndarray
    mean: np.ndarray
    allowed: np.ndarray
    how: str
    runs: int
    moved: bool = True      # whether any estimate was other than 0
    stderr: np.ndarray = None
    too_long: bool = False  # whether it was sampled because an enumeration takes too many evaluations of the cost

    @property
    def detectable(self):
        """The bias that would have been found, by coordinate, relative to the costs; if sampled, 99 times in 100."""
        more = 0.0 if self.stderr is None else POWER * self.stderr
        return (self.allowed + more) / (truth(self.circumstances).size + self.circumstances.offset)

    @property
    def wrong(self):
        """The coordinates whose mean is not the gradient."""
        return ~(np.abs(self.mean - self.gradient) <= self.allowed)

    def fault(self):
        """What is wrong, in a sentence or two; None where nothing is."""
        wrong = self.wrong
        if not wrong.any():
            return None
        difference = self.mean - self.gradient
        worst = int(np.argmax(np.where(wrong, np.nan_to_num(np.abs(difference), nan=np.inf), -1.0)))
        name, true = self.coordinates[worst], self.gradient[worst]
        if not np.isfinite(self.mean[worst]):
            return f"not finite: the estimate is {self.mean[worst]} at {name}"
        if not self.moved:
            return (f"silent zero: expected {true:.4g} at {name}, got 0 in every outcome. No gradient comes back "
                    "through the samples")
        size = f"{difference[worst]:.4g}"
        size += {"enumerated": ", exactly", "integrated": ", by integration"}.get(self.how, "")
        if self.stderr is not None:
            size += f" ± {self.stderr[worst]:.2g}"
        text = (f"biased at {name} by {size}: expected {true:.6g}, got mean {self.mean[worst]:.6g}. "
                f"{wrong.sum()} of {len(wrong)} coordinates are biased")
        return text + self.pattern()

    def pattern(self):
        """A regularity of the bias that tells where to look."""
        mean, true = self.mean, self.gradient
        square = true @ true
        factor = mean @ true / square if square > 0 else 0.0
        if square > 0 and (np.abs(mean - factor * true) <= self.allowed).all():
            return f"; the mean is {factor:.4g} times the gradient throughout"
        dead = (mean == 0) & self.wrong
        if dead.any():
            return f"; silent zero at {self.coordinates[int(np.argmax(dead))]}, which never gets a gradient"
        return ""


class Trial:
    """A rule under some circumstances, with the memory that it has after so many updates."""

    def __init__(self, rule, circumstances, copies=1, dtype=np.float64):
        self.circumstances = c = circumstances
        self.model = Model(c, copies, dtype)
        self.rules = [deepcopy(rule), *(self.neighbour(rule, name) for name in (c.above, c.below))]
        self.params = self.model.leaves(dtype)
        self.learn()

    def learn(self):
        """Let the rules learn from passes in which live logits were others than they are when rules are examined."""
        self.learn_from(range(self.circumstances.updates))

    def learn_from(self, steps):
        """Let the rules learn from some passes, each with noise of its own number."""
        before = self.params
        self.params = {name: tensor(np.where(np.abs(p.data) < CERTAIN, 0.8 * p.data + 0.1, p.data), requires_grad=True)
                       for name, p in before.items()}
        for step in steps:
            self.gradients(self.model.loss(self.rules, self.params, random.Generator(100 + step)))
            for r in self.rules:
                r.update()
        self.params = before

    @staticmethod
    def neighbour(rule, name):
        if name == "itself":
            return deepcopy(rule)
        return NEIGHBOURS[name]() if name in NEIGHBOURS else NEIGHBOURS["straight-through"]()

    def gradients(self, loss):
        evaluation = Evaluation([loss], [np.ones(loss.shape, loss.dtype)])
        found = evaluation.backward(list(self.params.values()))
        shared, rows = evaluation.shared, len(self.model.is_live)
        self.calls, self.evaluations = 1 + shared.calls, 1 + shared.replays
        work.done += self.calls + self.evaluations * rows / ROWS_OF_WORK
        return {name: found.get(p, np.zeros(p.shape, p.dtype)) for name, p in self.params.items()}

    def estimate(self, rng):
        """One estimate of every judged coordinate; no rule learns from it."""
        with frozen_memories():
            loss = self.model.loss(self.rules, self.params, rng)
            for i in range(1, self.circumstances.graphs):
                self.model.loss(self.rules, self.params, random.Generator(7, i))
        found = self.gradients(loss)
        return np.concatenate([np.asarray(found[name], float).ravel() for name in self.model.judged])

    # -- means -----------------------------------------------------------------------------------------

    def over(self, generator, most):
        """The mean over all runs of a tape, the number of runs, and whether any estimate was other than 0."""
        tape, mean, runs, moved, until = Tape(), 0.0, 0, False, work.done + MOST_WORK
        while tape.rewind():
            estimate = self.estimate(generator(tape))
            mean = mean + tape.probability * estimate
            moved = moved or bool(estimate.any())
            runs += 1
            if runs >= ENOUGH and runs > share_done(tape) * most * SLACK:
                raise TooMany(f"more than {most} joint outcomes")
            if work.done > until:
                raise TooLong(f"more than {MOST_WORK} evaluations")
            if not np.isfinite(estimate).all():
                break
        return mean, runs, moved

    def enumerated(self):
        most = MOST_OF_ALL if self.circumstances.all_live else MOST_RUNS
        mean, runs, moved = self.over(lambda tape: Choices(LiveNoise(tape, self.model), 3), most)
        return self.outcome(mean, FINE, "enumerated", runs, moved)

    def integrated(self, finer=1):
        """By Gauss's rule, in cells that are so many times smaller than usual."""
        live = [self.model.start["logits"][place] for place in self.model.live]
        self.model.points = points_for(live, WIDTH / finer)
        mean, runs, moved = self.over(lambda tape: Points(tape, self.model, random.Generator(3)), MOST_RUNS * finer)
        return self.outcome(mean, COARSE, "integrated", runs, moved)

    def sampled(self, fewer=1):
        """From many copies of the batch at once, or pass by pass where rows of the estimate are not independent."""
        c = self.circumstances
        alone = self.rows_by_themselves()
        most = ROWS_OF_WORK * max((MOST_WORK - self.calls) / self.evaluations, 1)
        copies = max(int(min(SAMPLED_ROWS / fewer, most)) // (c.rows * self.model.group), 2)
        passes = int(np.clip(MOST_WORK / self.calls, LEAST_PASSES, PASSES // fewer))
        if alone:
            estimates = self.several(copies).estimate(random.Generator(5))
            estimates = np.concatenate(self.by_copy(estimates, copies), axis=1)
        else:
            estimates = np.array([self.estimate(random.Generator(5).fork(i)) for i in range(passes)])
        error = estimates.std(axis=0, ddof=1) / np.sqrt(len(estimates))
        found = self.outcome(estimates.mean(axis=0), FINE, "sampled", len(estimates), bool(estimates.any()))
        found.allowed = found.allowed + critical(SIGNIFICANCE, error.size) * error
        found.stderr = error
        return found

    def rows_by_themselves(self):
        """Whether a batch is estimated as if its rows were alone: copies of it give the same estimates."""
        c = self.circumstances
        if c.coupled or c.graphs > 1:
            self.estimate(random.Generator(6))
            return False
        alone, first = self.beside_copies(3)
        return bool((np.abs(first - alone) <= 1e-9 * truth(c).size).all())

    def beside_copies(self, copies):
        """One estimate of the batch alone, and one, from the same noise, where copies of it follow."""
        many = self.several(copies)
        whole, alone = many.estimate(random.Generator(6)), self.estimate(random.Generator(6))
        return alone, np.concatenate([x[0] for x in self.by_copy(whole, copies)])

    def several(self, copies):
        """A trial with the same rules, and copies of the batch one after the other."""
        many = Trial.__new__(Trial)
        many.circumstances, many.rules = self.circumstances, self.rules
        many.model = Model(self.circumstances, copies)
        many.params = many.model.leaves()
        return many

    def by_copy(self, estimates, copies):
        """For each judged parameter, the estimates that each copy gives, (copies, coordinates)."""
        sizes = [copies * truth(self.circumstances).gradient[name].size for name in self.model.judged]
        return [x.reshape(copies, -1) * copies for x in np.split(estimates, np.cumsum(sizes)[:-1])]

    def outcome(self, mean, tolerance, how, runs, moved):
        known = truth(self.circumstances)
        true = np.concatenate([known.gradient[name].ravel() for name in self.model.judged])
        names = [f"{name}[{', '.join(map(str, place))}]" for name in self.model.judged
                 for place in np.ndindex(known.gradient[name].shape)]
        allowed = tolerance * known.size + ROUNDING * self.circumstances.offset
        return Outcome(self.circumstances, names, true, mean, np.full(true.shape, allowed), how, runs, moved)


def suits(rule, c):
    """Whether a rule's claim covers the circumstances."""
    if rule.needs_independent_rows and c.coupled:
        return False
    wants_gradient = bool({"grad", "cost_and_grad_at"} & set(rule.needs))
    return not (wants_gradient and rule.needs_unbiased_below and c.below in BIASED)


def one_bit(c):
    """The circumstances with one live bit, for noise with many outcomes."""
    return replace(c, live=1, ties=False, equal="no")


def smooth(c):
    """The circumstances as they can be integrated: one live bit, and no kinks from other nodes."""
    wrong = "smooth, with a wrong slope"
    below = {"nothing": "nothing", "straight-through": wrong, wrong: wrong}.get(c.below, "smooth")
    return replace(one_bit(c), above="nothing", below=below, offset=0.0,
                   logit=min(c.logit, 6.0))


def alone(c):
    """The circumstances as they can be sampled in many copies at once."""
    return replace(c, outside=False, samples="one", above="nothing", graphs=1, axes=c.axes or 1,
                   below="itself" if c.below == "itself" else "nothing", rows=min(c.rows, 5),
                   units=c.units if c.all_live else min(c.units, 5), logit=min(c.logit, 3.0))


METHODS = ("enumerated", "integrated", "sampled")


def attempt(rule, c, how):
    """The outcome of one problem by one method; None if the rule's claim does not cover it."""
    if how == "integrated" and c.all_live:      # Gauss's rule is for one live bit
        with quiet():
            return Trial(rule, alone(c)).sampled(HALF) if suits(rule, alone(c)) else None
    c = {"enumerated": lambda c: c, "integrated": smooth, "sampled": alone}[how](c)
    if not suits(rule, c):
        return None
    with quiet():
        try:
            return getattr(Trial(rule, c), how)()
        except TooLong:
            return replace(Trial(rule, alone(c)).sampled(), too_long=True)
        except TooMany:
            if how != "enumerated":
                raise
        try:
            if not c.all_live:
                return Trial(rule, one_bit(c)).enumerated()
        except TooMany:
            pass
        return Trial(rule, alone(c)).sampled()


def remembers(rule):
    """Whether a rule may be another after an update."""
    return rule.state is not None or type(rule).update is not Estimator.update


def after_each_update(rule, how):
    """The outcome on one small problem after 0, 1, … LAST_UPDATE updates of the rule's memory, one by one.

    Only means that cannot be enumerated are sampled, from fewer rows than elsewhere.
    """
    for c in BY_UPDATES:
        try:
            with quiet():
                trial = Trial(rule, c)
                for updates in range(LAST_UPDATE + 1):
                    trial.circumstances = replace(c, updates=updates)
                    if how == "enumerated":
                        try:
                            found = trial.enumerated()
                        except TooMany:
                            how = "sampled"
                    if how != "enumerated":
                        found = trial.sampled(FEWER)
                    yield found
                    trial.learn_from([updates])
            return
        except ValueError as error:
            if not refusal(rule, error):
                raise


def confirmed(rule, found):
    """An outcome as it is, but for an integrated one that is wrong: smaller cells have to give the same.

    Where they do not, the estimate has steps or spikes, and its mean is sampled.
    """
    if found.how != "integrated" or not found.wrong.any():
        return found
    with quiet():
        try:
            again = Trial(rule, found.circumstances).integrated(FINER)
        except TooLong:
            return replace(Trial(rule, alone(found.circumstances)).sampled(), too_long=True)
        if (np.abs(again.mean - found.mean) <= found.allowed).all() or not again.wrong.any():
            return again
        return Trial(rule, alone(found.circumstances)).sampled()


@contextmanager
def quiet():
    """No warnings: the circumstances are meant to be as they are."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def refusal(rule, error):
    """Whether a rule said by itself, in its own name, that it does not do this."""
    names = {type(rule).__name__, getattr(rule, "name", "")} - {""}
    return isinstance(error, ValueError) and any(str(error).startswith(f"{name}: ") for name in names)


#: To find out how a rule uses its noise: the first that it does not refuse.
SIMPLE = [Circumstances(updates=1), Circumstances(updates=1, context=True), Circumstances(units=1, rows=1)]


def method(rule):
    """How the mean of a rule can be found: the first of METHODS that works on a simple problem."""
    for how in METHODS[:-1]:
        for c in SIMPLE:
            try:
                attempt(rule, c, how)
            except Exception as error:
                # Noise that is used in other ways, met by whatever code does not know what to do with it.  A fault
                # of the rule itself shows again with the last method, which only draws numbers.
                if not refusal(rule, error):
                    break
            else:
                return how
    return METHODS[-1]
