"""Mean and variance of a gradient estimate: exact if its noise can be enumerated, otherwise from samples."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import prod
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import devices, ops, random
from minigrad.arguments import described
from minigrad.claims import claims_of, is_relaxed
from minigrad.graph import Evaluation
from minigrad.tensor import Tensor
from minigrad.testing.exact import Enumeration, check_used
from minigrad.testing.loss import compute
from minigrad.testing.outcomes import Choices, Continuous, Noise, Tape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from minigrad.aliases import Array

STATES = 6      # number of states of the noise for which an estimate is computed twice
# An enumeration stops after HOPELESS runs if it has covered SLACK times too little of the probability.
HOPELESS, SLACK = 400, 4


@dataclass
class Moments:
    """Mean and variance of one estimate, as arrays with one entry for each coordinate.

    ``runs`` is the number of backward passes, and ``evaluations`` the number of evaluations of the cost for one
    estimate.  ``fourth`` has the fourth central moments, which give the standard error of a sampled variance.

    ``exact`` is true if every outcome of the noise was enumerated.  If ``rows`` is above 1, the outcomes of each of
    ``rows`` groups of rows were enumerated separately.  Then the groups were tested for independence in ``states``
    states of the other rows, with a new state for every outcome.
    """

    mean: Array
    variance: Array
    fourth: Array
    evaluations: float
    runs: int
    exact: bool
    rows: int = 1
    states: int = 0

    @property
    def stderr(self) -> Array:
        """Standard error of the mean."""
        return np.zeros_like(self.mean) if self.exact else np.sqrt(self.variance / self.runs)

    @property
    def variance_stderr(self) -> Array:
        """Standard error of the variance."""
        if self.exact:
            return np.zeros_like(self.mean)
        return np.sqrt(np.maximum(self.fourth - self.variance**2, 0) / self.runs)


class Problem:
    """A loss with binary nodes, and the parameters whose gradient is estimated.

    Parameters
    ----------
    fn : function that returns a scalar loss: ``fn(rng)``, which draws from the Generator ``rng``, or ``fn()``, which
        draws from the default generator.
    params : Tensor, list of Tensors or dict of Tensors.

    Raises
    ------
    TypeError
        ``params`` has another form, or one of its Tensors does not require a gradient.
    """

    states = STATES
    most_evaluations = float("inf")     # of the cost, for exact moments
    given_up = False                    # whether exact moments would take more

    def __init__(self, fn: Callable[..., Tensor], params: Any) -> None:
        self.fn, self.params = fn, params
        if isinstance(params, Tensor):
            params = {"gradient": params}
        elif isinstance(params, (list, tuple)):
            params = {f"params[{i}]": p for i, p in enumerate(params)}
        items = params.values() if isinstance(params, dict) else [params]
        if not items or not all(isinstance(p, Tensor) and p.requires_grad for p in items):
            raise TypeError("expected params that are Tensors with requires_grad=True, one, a list or a dict of them, "
                            f"got {', '.join(map(described, items)) or 'none'}. Use mg.tensor(x, requires_grad=True)")
        self.names, self.leaves = params.keys(), list(params.values())
        self.scale = 0.0
        self.broken_claims: list[str] = []
        self.relaxed: list[str] = []
        self.times: deque[float] = deque(maxlen=1000)     # the times of the latest estimates, in seconds
        self.coordinates = [name + (str(list(index)) if index else "")
                            for name, p in params.items() for index in np.ndindex(p.shape)]

    def __getstate__(self) -> dict[str, Any]:
        """All attributes except the function, since a local function cannot be pickled."""
        return {name: value for name, value in vars(self).items() if name not in ("fn", "names")}

    def flat(self, gradients: Iterable[Any]) -> Array:
        """Gradients of all parameters as one vector, over all coordinates."""
        return np.concatenate([np.asarray(ops.dense(g), float).ravel() for g in gradients])

    def shaped(self, flat: Array) -> Any:
        """A vector over all coordinates, as arrays in the form of ``params``."""
        ends = np.cumsum([p.size for p in self.leaves])[:-1]
        arrays = [part.reshape(p.shape) for part, p in zip(np.split(flat, ends), self.leaves, strict=True)]
        if isinstance(self.params, Tensor):
            return arrays[0]
        return dict(zip(self.params, arrays, strict=True)) if isinstance(self.params, dict) else arrays

    def estimate(self, rng: random.Generator) -> tuple[Array, int]:
        """One estimate as a vector over all coordinates, and the number of evaluations of the cost."""
        started = perf_counter()
        loss = compute(self.fn, rng)
        devices.check_cpu("check_estimator", loss)
        evaluation = Evaluation([loss], [np.ones(loss.shape, loss.dtype)])
        gradients = evaluation.backward(self.leaves)
        gradient = self.flat([gradients.get(p, np.zeros(p.shape)) for p in self.leaves])
        if not np.isfinite(gradient).all():
            where = self.coordinates[int(np.argmin(np.isfinite(gradient)))]
            raise AssertionError(f"not finite: the estimate is {gradient[~np.isfinite(gradient)][0]} at {where}")
        self.times.append(perf_counter() - started)
        return gradient, 1 + evaluation.shared.replays

    def exact(self, seed: int) -> tuple[Array, int]:
        """The exact gradient, and the number of groups of rows that ``expected`` declares independent."""
        rng = random.Generator(seed)
        loss = compute(self.fn, rng)
        check_used(loss, self.leaves, list(self.names))
        enumeration = Enumeration(loss, relaxed=True)
        if rng.draws != len(enumeration.nodes):
            raise ValueError(
                f"expected fn to draw once for each of the {len(enumeration.nodes)} binary nodes of its loss, "
                f"got {rng.draws} draws from its generator. Write fn(rng), pass rng to every bernoulli, and draw data "
                "and other noise outside fn")
        claims = [(claim.node.primitive, claim) for claim in claims_of(enumeration.objective).values()]
        self.broken_claims = [f"{primitive.rule!r} at node {primitive.name!r}: {claim.why}"
                              for primitive, claim in claims if primitive.rule.unbiased and not claim.unbiased]
        self.relaxed = [node.primitive.name for node in enumeration.nodes if is_relaxed(node)]
        gradient = self.flat(enumeration.run(self.leaves)[1])
        self.scale = enumeration.scale
        return gradient, prod(enumeration.axes)

    def moments(self, groups: int, samples: int, seed: int) -> Moments:
        """Exact moments if at most ``samples`` backward passes give them, otherwise sampled moments."""
        if self.undetermined(seed) is not None:
            return self.sampled_moments(samples, seed)
        try:
            return self.exact_moments(groups, samples, seed)
        except AssertionError:
            raise
        except Exception:
            # The noise cannot be enumerated, or has too many outcomes.  Any code that uses it may raise any error.
            # If the error comes from a fault of the rule, it is raised again when its noise is sampled.
            return self.sampled_moments(samples, seed)

    def exact_moments(self, groups: int, samples: int, seed: int) -> Moments:
        """Sums over all joint outcomes.  If there are too many, over the outcomes of each group of rows."""
        try:
            jointly = groups == 1 or self.outcomes_of_first(groups, samples, seed) ** groups <= samples
        except Continuous:      # also raised by a draw that all rows share, so that no group has its own outcomes
            jointly = True
        if jointly:
            return self.joint_moments(samples, seed)
        return self.moments_by_group(groups, samples, seed)

    def outcomes_of_first(self, groups: int, samples: int, seed: int) -> int:
        """The number of outcomes of the first group of rows, while all other noise is constant."""
        tape, count = Tape(), 0
        while tape.rewind():
            _, made = self.estimate(Choices(Noise(tape, 0, groups), seed))
            count += 1
            self.given_up = 3 * groups * count * made > self.most_evaluations       # in all groups together
            if count > samples or self.given_up:
                raise OverflowError("more outcomes than samples")
        return count

    def joint_moments(self, samples: int, seed: int) -> Moments:
        """Moments from sums over all joint outcomes."""
        start, _ = self.estimate(Choices(Noise(0), seed))
        first: Any = 0.0
        second: Any = 0.0
        done, evaluations, runs, tape = 0.0, 0.0, 0, Tape()
        while tape.rewind():
            estimate, count = self.estimate(Choices(Noise(tape), seed))
            first = first + tape.probability * (estimate - start)
            second = second + tape.probability * (estimate - start)**2
            done += tape.probability
            evaluations += tape.probability * count
            runs += 1
            if runs > samples or (runs > HOPELESS and runs > SLACK * samples * done):
                raise OverflowError("more outcomes than samples")
        variance = np.maximum(second - first**2, 0)
        return Moments(start + first, variance, np.full(start.shape, np.nan), evaluations, runs, exact=True)

    def moments_by_group(self, groups: int, samples: int, seed: int) -> Moments:
        """Moments as sums of the moments of each group of rows.  The groups have to be independent.

        Independent means: if the outcome of a group changes, the change of the estimate does not depend on the state of
        the other rows.  This is tested for every outcome, with a new state of the other rows.
        """
        start, _ = self.estimate(Choices(Noise(0), seed))
        mean, evaluations, runs, states = start.copy(), 0.0, 0, 0
        variance: Any = 0.0
        for group in range(groups):
            first: Any = 0.0
            second: Any = 0.0
            tape = Tape()
            while tape.rewind():
                estimate, count = self.estimate(Choices(Noise(tape, group, groups), seed))
                change = estimate - start
                states += 1
                elsewhere, _ = self.estimate(Choices(Noise(tape.again(), group, groups, states), seed))
                base, _ = self.estimate(Choices(Noise(0, group, groups, states), seed))
                size = np.abs(estimate) + np.abs(start) + np.abs(elsewhere) + np.abs(base)
                if (np.abs(change - (elsewhere - base)) > 1e-9 * (size + size.max())).any():
                    raise ValueError("the estimate of a row depends on other rows")
                first = first + tape.probability * change
                second = second + tape.probability * change**2
                evaluations += tape.probability * count / groups
                runs += 3
                if runs > 3 * samples:
                    raise OverflowError("more outcomes than samples")
            mean += first
            variance = variance + np.maximum(second - first**2, 0)
        return Moments(mean, variance, np.full(mean.shape, np.nan), evaluations, runs // 3, exact=True, rows=groups,
                       states=states)

    def undetermined(self, seed: int) -> str | None:
        """The name of a coordinate at which two estimates from the same noise differ, or None."""
        rng = random.Generator(seed)
        for i in range(self.states):
            first, second = (self.estimate(rng.fork(2, i))[0] for _ in range(2))
            if (first != second).any():
                return self.coordinates[int(np.argmax(first != second))]
        return None

    def independent(self, groups: int, seed: int) -> bool:
        """Whether the estimate is a sum over groups of rows, tested in some states of the noise.

        If it is, many copies of the rows can be sampled at once.
        """
        try:
            start, _ = self.estimate(Choices(Noise(0), seed))
            for state in range(1, self.states + 1):
                parts = [self.estimate(Choices(Noise(state, group, groups), seed))[0] for group in range(groups)]
                whole, _ = self.estimate(Choices(Noise(state), seed))
                scale = np.abs(parts).max(axis=0) + np.abs(start) + np.abs(whole)
                if (np.abs(whole - start - np.sum(np.array(parts) - start, axis=0)) > 1e-9 * scale).any():
                    return False
        except Continuous:      # the rule uses one seed, or one draw, for all rows
            return False
        return True

    def sampled_moments(self, samples: int, seed: int) -> Moments:
        """Moments of ``samples`` estimates."""
        rng = random.Generator(seed)
        estimates = np.empty((samples, len(self.coordinates)))
        total = 0
        for i in range(samples):
            estimates[i], evaluations = self.estimate(rng.fork(1, i))
            total += evaluations
        return moments_of(estimates, total / samples)


def moments_of(estimates: Array, evaluations: float) -> Moments:
    """Moments of an array (samples, coordinates) of estimates."""
    mean = estimates.mean(axis=0)
    deviations = estimates - mean
    return Moments(mean, estimates.var(axis=0, ddof=1), (deviations**4).mean(axis=0), evaluations,
                   len(estimates), exact=False)
