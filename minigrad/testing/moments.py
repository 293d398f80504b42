"""Mean and variance of a gradient estimate: exact where its noise is finite, sampled elsewhere."""

from collections import deque
from dataclasses import dataclass
from math import prod
from time import perf_counter

import numpy as np

from minigrad import devices, ops, random
from minigrad.arguments import described
from minigrad.claims import claims_of, is_relaxed
from minigrad.graph import Evaluation
from minigrad.tensor import Tensor
from minigrad.testing.exact import Enumeration, check_used
from minigrad.testing.loss import compute
from minigrad.testing.outcomes import Choices, Continuous, Noise, Tape

STATES = 6      # of all noise, at which estimates are tested for repeating
# An enumeration is given up when, after this many runs, its share of the probability is this many times too small.
HOPELESS, SLACK = 400, 4


@dataclass
class Moments:
    """Mean and variance of one estimate, an array each over all coordinates, end to end.

    ``runs`` counts backward passes made to find them, ``evaluations`` those of the cost that one
    estimate takes.  Fourth central moments tell how well a sampled variance is known.

    ``exact`` says that every outcome of the noise was enumerated.  If ``rows`` is above 1, the outcomes of each of
    so many groups of rows were enumerated by themselves, and that rows are independent was tested in ``states``
    states of the others, new ones for every outcome.
    """

    mean: np.ndarray
    variance: np.ndarray
    fourth: np.ndarray
    evaluations: float
    runs: int
    exact: bool
    rows: int = 1
    states: int = 0

    @property
    def stderr(self):
        """Standard error of the mean."""
        return np.zeros_like(self.mean) if self.exact else np.sqrt(self.variance / self.runs)

    @property
    def variance_stderr(self):
        """Standard error of the variance."""
        if self.exact:
            return np.zeros_like(self.mean)
        return np.sqrt(np.maximum(self.fourth - self.variance**2, 0) / self.runs)


class Problem:
    """A loss with binary nodes, and the parameters whose gradient is estimated.

    Parameters
    ----------
    fn : function that computes a scalar loss from noise, as ``fn(rng)`` with the Generator to draw
        from, or as ``fn()``, which draws from the default one.
    params : Tensor, list of Tensors or dict of Tensors.
    """

    states = STATES
    most_evaluations = float("inf")     # of the cost, for exact moments
    given_up = False                    # whether exact moments would take more

    def __init__(self, fn, params):
        self.fn, self.params = fn, params
        if isinstance(params, Tensor):
            params = {"gradient": params}
        elif isinstance(params, (list, tuple)):
            params = {f"params[{i}]": p for i, p in enumerate(params)}
        found = params.values() if isinstance(params, dict) else [params]
        if not found or not all(isinstance(p, Tensor) and p.requires_grad for p in found):
            raise TypeError("expected params that are Tensors with requires_grad=True, one, a list or a dict of them, "
                            f"got {', '.join(map(described, found)) or 'none'}. Use mg.tensor(x, requires_grad=True)")
        self.names, self.leaves = params.keys(), list(params.values())
        self.scale, self.broken_claims, self.relaxed = 0.0, [], []
        self.times = deque(maxlen=1000)     # of the latest estimates, in seconds
        self.coordinates = [name + (str(list(index)) if index else "")
                            for name, p in params.items() for index in np.ndindex(p.shape)]

    def __getstate__(self):
        """What a report needs: without the function, which may be a local one that cannot be pickled."""
        return {name: value for name, value in vars(self).items() if name not in ("fn", "names")}

    def flat(self, gradients):
        return np.concatenate([np.asarray(ops.dense(g), float).ravel() for g in gradients])

    def shaped(self, flat):
        """An array over all coordinates, in the form of ``params``."""
        ends = np.cumsum([p.size for p in self.leaves])[:-1]
        arrays = [part.reshape(p.shape) for part, p in zip(np.split(flat, ends), self.leaves, strict=True)]
        if isinstance(self.params, Tensor):
            return arrays[0]
        return dict(zip(self.params, arrays, strict=True)) if isinstance(self.params, dict) else arrays

    def estimate(self, rng):
        """One estimate, over all coordinates, and how many evaluations of the cost it took."""
        started = perf_counter()
        loss = compute(self.fn, rng)
        devices.check_cpu("check_estimator", loss)
        evaluation = Evaluation([loss], [np.ones(loss.shape, loss.dtype)])
        found = evaluation.backward(self.leaves)
        gradient = self.flat([found.get(p, np.zeros(p.shape)) for p in self.leaves])
        if not np.isfinite(gradient).all():
            where = self.coordinates[int(np.argmin(np.isfinite(gradient)))]
            raise AssertionError(f"not finite: the estimate is {gradient[~np.isfinite(gradient)][0]} at {where}")
        self.times.append(perf_counter() - started)
        return gradient, 1 + evaluation.shared.replays

    def exact(self, seed):
        """The exact gradient, and the number of groups of rows that ``expected`` says are independent."""
        rng = random.Generator(seed)
        loss = compute(self.fn, rng)
        check_used(loss, self.leaves, list(self.names))
        enumeration = Enumeration(loss, relaxed=True)
        if rng.draws != len(enumeration.nodes):
            raise ValueError(
                f"expected fn to draw once for each of the {len(enumeration.nodes)} binary nodes below its loss, "
                f"got {rng.draws} draws from the generator it was given. Take fn(rng), hand rng to every "
                "bernoulli, and draw data and other noise beforehand")
        claims = [(claim.node.primitive, claim) for claim in claims_of(enumeration.objective).values()]
        self.broken_claims = [f"{primitive.rule!r} at node {primitive.name!r}: {claim.why}"
                              for primitive, claim in claims if primitive.rule.unbiased and not claim.unbiased]
        self.relaxed = [node.primitive.name for node in enumeration.nodes if is_relaxed(node)]
        gradient = self.flat(enumeration.run(self.leaves)[1])
        self.scale = enumeration.scale
        return gradient, prod(enumeration.axes)

    def moments(self, groups, samples, seed):
        """Exact moments if that takes at most ``samples`` backward passes, else sampled ones."""
        if self.undetermined(seed) is not None:
            return self.sampled_moments(samples, seed)
        try:
            return self.exact_moments(groups, samples, seed)
        except AssertionError:
            raise
        except Exception:
            # Noise that is not finite, or too much of it, met by whatever code does not know what to
            # do with it.  A fault of the rule itself shows again where its noise is sampled.
            return self.sampled_moments(samples, seed)

    def exact_moments(self, groups, samples, seed):
        """Sums over every joint outcome; if these are too many, over those of each group of rows by itself."""
        if groups == 1 or self.outcomes_of_first(groups, samples, seed) ** groups <= samples:
            return self.joint_moments(samples, seed)
        return self.moments_by_group(groups, samples, seed)

    def outcomes_of_first(self, groups, samples, seed):
        """The number of outcomes of the first group of rows, while all other noise stays."""
        tape, count = Tape(), 0
        while tape.rewind():
            _, made = self.estimate(Choices(Noise(tape, 0, groups), seed))
            count += 1
            self.given_up = 3 * groups * count * made > self.most_evaluations       # in all groups together
            if count > samples or self.given_up:
                raise OverflowError("more outcomes than samples")
        return count

    def joint_moments(self, samples, seed):
        start, _ = self.estimate(Choices(Noise(0), seed))
        first, second, done, evaluations, runs, tape = 0.0, 0.0, 0.0, 0.0, 0, Tape()
        while tape.rewind():
            estimate, made = self.estimate(Choices(Noise(tape), seed))
            first = first + tape.probability * (estimate - start)
            second = second + tape.probability * (estimate - start)**2
            done += tape.probability
            evaluations += tape.probability * made
            runs += 1
            if runs > samples or (runs > HOPELESS and runs > SLACK * samples * done):
                raise OverflowError("more outcomes than samples")
        variance = np.maximum(second - first**2, 0)
        return Moments(start + first, variance, np.full(start.shape, np.nan), evaluations, runs, exact=True)

    def moments_by_group(self, groups, samples, seed):
        """Moments of a sum over independent groups of rows add.

        Independent means: the difference that an outcome of a group makes is the same in another state of all other
        rows.  That is tested for every outcome, with a new state each time.
        """
        start, _ = self.estimate(Choices(Noise(0), seed))
        mean, variance, evaluations, runs, states = start.copy(), 0.0, 0.0, 0, 0
        for group in range(groups):
            first, second, tape = 0.0, 0.0, Tape()
            while tape.rewind():
                estimate, made = self.estimate(Choices(Noise(tape, group, groups), seed))
                change = estimate - start
                states += 1
                elsewhere, _ = self.estimate(Choices(Noise(tape.again(), group, groups, states), seed))
                base, _ = self.estimate(Choices(Noise(0, group, groups, states), seed))
                size = np.abs(estimate) + np.abs(start) + np.abs(elsewhere) + np.abs(base)
                if (np.abs(change - (elsewhere - base)) > 1e-9 * (size + size.max())).any():
                    raise ValueError("the estimate of a row depends on other rows")
                first = first + tape.probability * change
                second = second + tape.probability * change**2
                evaluations += tape.probability * made / groups
                runs += 3
                if runs > 3 * samples:
                    raise OverflowError("more outcomes than samples")
            mean += first
            variance = variance + np.maximum(second - first**2, 0)
        return Moments(mean, variance, np.full(mean.shape, np.nan), evaluations, runs // 3, exact=True, rows=groups,
                       states=states)

    def undetermined(self, seed):
        """A coordinate at which two estimates from the same noise differ, or None."""
        rng = random.Generator(seed)
        for i in range(self.states):
            first, second = (self.estimate(rng.fork(2, i))[0] for _ in range(2))
            if (first != second).any():
                return self.coordinates[int(np.argmax(first != second))]
        return None

    def independent(self, groups, seed):
        """Whether the estimate is a sum over groups of rows in some states of all noise, so that it may be sampled
        for many copies of the rows at once."""
        try:
            start, _ = self.estimate(Choices(Noise(0), seed))
        except Continuous:      # one seed for all rows
            return False
        for state in range(1, self.states + 1):
            parts = [self.estimate(Choices(Noise(state, group, groups), seed))[0] for group in range(groups)]
            whole, _ = self.estimate(Choices(Noise(state), seed))
            scale = np.abs(parts).max(axis=0) + np.abs(start) + np.abs(whole)
            if (np.abs(whole - start - np.sum(np.array(parts) - start, axis=0)) > 1e-9 * scale).any():
                return False
        return True

    def sampled_moments(self, samples, seed):
        rng = random.Generator(seed)
        estimates = np.empty((samples, len(self.coordinates)))
        made = 0
        for i in range(samples):
            estimates[i], evaluations = self.estimate(rng.fork(1, i))
            made += evaluations
        return moments_of(estimates, made / samples)


def moments_of(estimates, evaluations):
    """Moments of an array (samples, coordinates) of estimates."""
    mean = estimates.mean(axis=0)
    deviations = estimates - mean
    return Moments(mean, estimates.var(axis=0, ddof=1), (deviations**4).mean(axis=0), evaluations,
                   len(estimates), exact=False)
