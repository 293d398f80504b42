"""The certificate that every rule gets, ours and yours.

    @mg.testing.parametrize_with_checks([MyRule()])
    def test_my_rule(rule, check):
        check(rule)

Each check is a function of a rule.  It says nothing where the rule passes, and raises an
AssertionError that tells what is wrong where it does not.  The rule itself is left as it is: checks
work with copies, one for each node, whose memories they let fill with a few updates and then freeze.
"""

from copy import deepcopy

import numpy as np

from minigrad import ops, random
from minigrad.graph import Evaluation
from minigrad.objective import expected
from minigrad.ops.primitives import Primitive
from minigrad.rule import Estimator, checked_rule, frozen_memories
from minigrad.stochastic import bernoulli
from minigrad.tensor import tensor
from minigrad.testing.moments import Problem, moments_of
from minigrad.testing.statistics import EstimatorReport

ROWS, UNITS = 4, 2
RUNS = 2_500        # passes that an enumeration may take
COPIES = 25_000     # of the batch, as the samples where noise is not finite
SEEDS = 10          # at which noise from elsewhere has a chance to show
WARM_UP = 3         # updates before memories are frozen
SIGNIFICANCE = 1e-7


class Layers:
    """Two layers of binary units, the second fed by the first, and weighted costs that look at both.

    Parameters
    ----------
    rule : copied for each layer.
    extreme : logits of ±80 in both layers, one sign or both in a row.
    copies : of the batch of four, one after the other; parameters are copied along with their row, so
        each copy of the batch gives an estimate of its own.
    """

    def __init__(self, rule, dtype=np.float64, copies=1, extreme=False):
        numbers = np.random.default_rng(8)
        self.rules = [deepcopy(rule), deepcopy(rule)]
        logits = numbers.normal(size=(ROWS, UNITS))
        weight = numbers.normal(size=(ROWS, UNITS, UNITS))
        if extreme:
            logits = np.array([[80, 80], [-80, -80], [80, -80], [-80, 80]])
            weight = np.array([[[40, 40], [40, 40]], 2 * [[0, 0]], 2 * [[80, -80]], 2 * [[-80, -80]]])
        self.params = {name: tensor(np.tile(x, (copies,) + (1,) * (x.ndim - 1)), requires_grad=True, dtype=dtype)
                       for name, x in [("logits", logits), ("weight", weight)]}
        share = np.tile([0.5, 1.0, 2.0, 0.25], copies)
        self.share = share.astype(dtype)

    def loss(self, rng, rows=slice(None), between=lambda b: b):
        """The loss of some of the rows, whose samples pass through ``between``; no rule learns from it."""
        with frozen_memories():
            return self.lesson(rng, rows, between)

    def lesson(self, rng, rows=slice(None), between=lambda b: b):
        """The same, for rules to learn from."""
        logits, weight = (p[rows] for p in self.params.values())
        share = self.share[rows]
        first = between(bernoulli(logits, self.rules[0], rng=rng, name="first", context=share[:, None]))
        activation = (first.reshape(len(share), UNITS, 1) * weight).sum(axis=1) - 0.25
        second = between(bernoulli(activation, self.rules[1], rng=rng, name="second", context=share[:, None]))
        # Curved in each unit, with products between units and layers: no estimator is exact by luck.
        errors = ops.exp(0.5 * second[:, 0] + second[:, 1] * first[:, 0]) + (second[:, 1] - 0.3) ** 2
        return 0.75 * expected(errors * share) + 0.5 * expected(first[:, 1] * second[:, 0] - (first[:, 0] - 0.4) ** 2)

    def warm(self):
        """Fill the memories of the rules with a few updates."""
        for step in range(WARM_UP):
            self.gradients(self.lesson(random.Generator(100 + step)))
            for rule in self.rules:
                rule.update()
        return self

    def gradients(self, loss):
        """A gradient for each parameter."""
        evaluation = Evaluation([loss], [np.ones(loss.shape, loss.dtype)])
        found = evaluation.backward(list(self.params.values()))
        self.evaluations = 1 + evaluation.shared.replays
        return [found.get(p, np.zeros(p.shape, p.dtype)) for p in self.params.values()]


class Certificate(Problem):
    """The layers as a problem whose samples are drawn all at once, as copies of the batch."""

    def __init__(self, rule):
        self.layers = Layers(rule).warm()
        super().__init__(self.layers.loss, self.layers.params)

    def sampled_moments(self, samples, seed):
        if not self.independent(ROWS, seed):
            return super().sampled_moments(samples, seed)       # copies would get in each other's way
        many = Layers(self.layers.rules[0], copies=COPIES)
        many.rules = self.layers.rules
        gradients = many.gradients(many.loss(random.Generator(seed)))
        estimates = np.concatenate([g.reshape(COPIES, -1) for g in gradients], axis=1) * COPIES
        if not np.isfinite(estimates).all():
            raise AssertionError("not finite: an estimate of the certificate is NaN or infinite")
        return moments_of(estimates, many.evaluations)


def examine(rule, seed=0):
    """The EstimatorReport of a rule on the two layers of the certificate.

    >>> import minigrad as mg
    >>> examine(mg.estimators.StraightThroughSlope()).unbiased
    False
    """
    problem = Certificate(checked_rule(rule, "examine"))
    gradient, groups = problem.exact(seed)
    return EstimatorReport(problem, gradient, problem.moments(groups, RUNS, seed), SIGNIFICANCE)


def check_mean(rule):
    """The mean over all noise is the exact gradient, at every coordinate, if the rule claims so.

    Two dependent layers, a batch of four, weighted costs in two terms.  The mean is exact where the
    noise is finite, and from 25,000 samples, with a false alarm in 10⁷ tests, where not.  A rule that
    is biased by its own account need only be finite; its bias is printed.
    """
    report = examine(rule)
    if not rule.unbiased:
        print(f"{rule!r}, which does not claim to be unbiased:\n{report!r}")
    elif not report.unbiased:
        raise AssertionError(f"{type(rule).__name__} claims to be unbiased, but is {report.fault()}")


def check_single_precision(rule):
    """float32 gives float32 estimates, equal to those in float64 to 1e-3."""
    single, double = Layers(rule, np.float32), Layers(rule)
    pairs = [layers.gradients(layers.loss(random.Generator(3))) for layers in (single, double)]
    for name, a, b in zip(single.params, *pairs, strict=True):
        close(a, b, "float32 and float64 differ", name, tolerance=1e-3)


def check_extreme_logits(rule):
    """At logits ±80, where σ(logit) is 0 or 1 to all digits, estimates are finite, in both dtypes."""
    for dtype in (np.float32, np.float64):
        layers = Layers(rule, dtype, extreme=True)
        with np.errstate(all="ignore"):
            for name, g in zip(layers.params, layers.gradients(layers.loss(random.Generator(3))), strict=True):
                if not np.isfinite(g).all():
                    raise AssertionError(f"not finite at logits ±80: the estimate of {name} is "
                                         f"{g[~np.isfinite(g)][0]} in {np.dtype(dtype)}")


def check_determinism(rule):
    """The same seed gives the same estimate: all noise comes from the node, none from elsewhere."""
    layers = Layers(rule).warm()
    for seed in range(SEEDS):
        first, second = (layers.gradients(layers.loss(random.Generator(seed))) for _ in range(2))
        for name, a, b in zip(layers.params, first, second, strict=True):
            close(a, b, "not deterministic under a seed: two passes differ", name)


def check_batch_split(rule):
    """The gradient of a batch is the mean of those of its halves, drawn with the same noise."""
    layers = Layers(rule).warm()
    whole = layers.gradients(layers.loss(random.Generator(3)))
    halves = [layers.gradients(layers.loss(random.Generator(3, start), slice(start, start + 2))) for start in (0, 2)]
    complaint = "depends on the batch split: whole and halves differ"
    if any(getattr(r, "seeded", False) for r in layers.rules):
        complaint += " (it asked for rng.seed; take its noise from rng.uniform, which depends on the row alone)"
    for name, a, b, c in zip(layers.params, whole, *halves, strict=True):
        close(a, (b + c) / 2, complaint, name)


def check_purity(rule):
    """A second backward pass gives the same again, and neither touches what the rule remembers.

    Nor does a third, after what the first ones taught has been committed.
    """
    layers = Layers(rule).warm()
    loss = layers.lesson(random.Generator(3))
    before = deepcopy([memory(r) for r in layers.rules])
    first, second = layers.gradients(loss), layers.gradients(loss)
    for name, a, b in zip(layers.params, first, second, strict=True):
        close(a, b, "not pure: a second backward pass over one graph differs", name)
    after = [memory(r) for r in layers.rules]
    for r in layers.rules:
        r.update()
    for name, a, b in zip(layers.params, first, layers.gradients(loss), strict=True):
        close(a, b, "not pure: a pass over an old graph uses what was learned since (read node.memory)", name)
    for r, found, kept in zip(layers.rules, after, before, strict=True):
        for name in found.keys() | kept.keys():
            try:
                np.testing.assert_equal(found.get(name), kept.get(name))
            except AssertionError:
                raise AssertionError(
                    f"not pure: backward changed {name!r} of {r!r}. Hand new values to node.propose(...), "
                    "which leaves it to the next draw to commit them") from None


def check_needs(rule):
    """The rule asks for everything that it declares in ``needs``, and for nothing else."""
    for need in rule.needs:
        layers = Layers(rule).warm()
        for r in layers.rules:
            r.needs = frozenset(r.needs) - {need}
        try:
            layers.gradients(layers.loss(random.Generator(3)))
        except ValueError:
            continue
        raise AssertionError(f"{name_of(rule)} declares that it needs {need!r} and never asks for it, so it "
                             "would be computed for nothing. Take it out of needs")


def check_closed_gates(rule):
    """A rule with needs_closed_gates = False ignores the gradient at units whose sample is 0."""
    if "grad" in rule.needs and not rule.needs_closed_gates:
        layers = Layers(rule)
        mark = Primitive(np.copy)
        mark.vjps(lambda g, out, b: np.where(out == 0, np.nan, g))
        gradients = layers.gradients(layers.loss(random.Generator(3), between=mark))
        for name, g in zip(layers.params, gradients, strict=True):
            if not np.isfinite(g).all():
                raise AssertionError(
                    f"{name_of(rule)} says needs_closed_gates = False, but its estimate of {name} uses the "
                    "gradient at units whose sample is 0. Layers below skip computing it")


def check_state_dict(rule):
    """What is saved and loaded again gives the same estimate."""
    layers, restored = Layers(rule).warm(), Layers(rule)
    for r, saved in zip(restored.rules, layers.rules, strict=True):
        r.load_state_dict(saved.state_dict())
    pairs = [x.gradients(x.loss(random.Generator(3))) for x in (layers, restored)]
    for name, a, b in zip(layers.params, *pairs, strict=True):
        close(a, b, "state_dict does not hold all that the rule remembers: estimates differ", name)


CHECKS = [check_mean, check_single_precision, check_extreme_logits, check_determinism, check_batch_split, check_purity,
          check_needs, check_closed_gates, check_state_dict]


def parametrize_with_checks(rules):
    """A pytest decorator: the test it decorates runs once for each pair of ``rule`` and ``check``.

    Parameters
    ----------
    rules : list of Estimators.

    Raises
    ------
    TypeError
        Something in the list is not a rule: a class, say, in place of an instance.

    >>> @parametrize_with_checks([])
    ... def test_my_rules(rule, check):
    ...     check(rule)
    """
    import pytest

    if isinstance(rules, Estimator):
        raise TypeError(f"parametrize_with_checks: expected a list of rules, got the rule {rules!r}. Write [{rules!r}]")
    rules = [checked_rule(rule, "parametrize_with_checks") for rule in rules]
    pairs = [pytest.param(rule, check, id=f"{name_of(rule)}-{check.__name__.removeprefix('check_')}")
             for rule in rules for check in CHECKS]
    return pytest.mark.parametrize(("rule", "check"), pairs)


def name_of(rule):
    """The name of a rule's class, or of the function that it was made from."""
    return getattr(rule, "name", type(rule).__name__)


def memory(rule):
    """All attributes of a rule but what it has proposed to remember."""
    return {name: value for name, value in vars(rule).items() if name != "proposed"}


def close(a, b, complaint, name, tolerance=1e-9):
    """Raise where two estimates of a parameter differ."""
    off = np.abs(np.asarray(a, float) - b) - tolerance * (1 + np.abs(b))
    if not (off <= 0).all():
        index = np.unravel_index(int(np.argmax(np.where(np.isnan(off), np.inf, off))), off.shape)
        raise AssertionError(f"{complaint} at {name}{list(map(int, index))}: {a[index]:.6g} and {b[index]:.6g}")
