"""The certificate that every rule gets, ours and yours.

    @mg.testing.parametrize_with_checks([MyRule()])
    def test_my_rule(rule, check):
        check(rule)

Each check is a function of a rule.  It says nothing where the rule passes, and raises an
AssertionError that tells what is wrong where it does not.  The rule itself is left as it is: checks
work with copies, one for each node, whose memories they let fill with a few updates and then freeze.

``check_mean`` tries a family of problems (``problems``); the other checks look at two layers (``layers``) and
at some problems of the family.
"""

from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np

from minigrad import random
from minigrad.ops.primitives import Primitive
from minigrad.rule import Estimator, checked_rule
from minigrad.testing.layers import Certificate, Layers
from minigrad.testing.models import truth
from minigrad.testing.problems import PROBLEMS
from minigrad.testing.statistics import EstimatorReport
from minigrad.testing.trials import Trial, quiet, refusal, suits
from minigrad.testing.verdicts import Verdict, verdict

RUNS = 2_500        # passes that an enumeration of the two layers may take
SEEDS = 10          # at which noise from elsewhere has a chance to show
SIGNIFICANCE = 1e-7
UPDATES = 3, 12     # of memories, before a check looks at what they do
COPIES = 9          # of a batch, one after the other: each should be estimated as if it were alone
DTYPES = np.float32, np.float64
ROUNDINGS = 32      # of float32, relative to the costs: how far an estimate may be from that in float64


@dataclass(repr=False)
class Examination(EstimatorReport):
    """An EstimatorReport on the two layers, together with the verdict on the family of problems.

    Attributes
    ----------
    verdict : a Verdict, or None for a rule that does not claim to be unbiased.
    unbiased : whether neither has found a bias.
    """

    verdict: Verdict | None = None

    @property
    def unbiased(self):
        return super().unbiased and (self.verdict is None or self.verdict.finding is None)

    def fault(self):
        """What is wrong, in a few sentences; None if nothing is."""
        if self.verdict is not None and self.verdict.finding is not None:
            return str(self.verdict.finding)
        return super().fault()

    def parts(self):
        before, header, rows, after = super().parts()
        if self.verdict is not None and self.verdict.finding is None:
            after.append(str(self.verdict))
        return before, header, rows, after


def examine(rule, seed=0, *, thorough=False):
    """What a rule does on two layers of bits, as a table, and whether it is right on the family of problems.

    Parameters
    ----------
    rule : an Estimator.
    seed : of the noise, where the two layers cannot be enumerated.
    thorough : try the problems in which each two values of two properties meet, as well as the default ones.
        It takes several times as long.

    Returns
    -------
    Examination: an ``EstimatorReport`` on the two layers, with the attribute ``verdict``.  If the rule claims to be
    unbiased, its ``unbiased`` and its ``fault()`` are about all problems.  A fault comes with the property that
    brought it out, and with the smallest problem that shows it.

    Raises
    ------
    TypeError
        ``rule`` is no rule: a class, say, in place of an instance.

    >>> import minigrad as mg
    >>> examine(mg.estimators.StraightThroughSlope()).unbiased
    False
    >>> class OneRow(mg.estimators.Reinforce):
    ...     def backward(self, node):
    ...         return super().backward(node) * (1 if len(node.value) > 1 else 2)
    >>> print(examine(OneRow()).fault())                                    # doctest: +ELLIPSIS
    biased at logits[0, 1] by ... the mean is 2 times the gradient throughout. Wrong only where the batch has one \
row. Smallest problem that shows it: 2 units; 1 row; positive costs of scale 1; live logits up to 1.3
    """
    problem = Certificate(checked_rule(rule, "examine"))
    gradient, groups = problem.exact(seed)
    report = Examination(problem, gradient, problem.moments(groups, RUNS, seed), SIGNIFICANCE)
    if rule.unbiased:
        report.verdict = verdict(rule, thorough)
    return report


def check_mean(rule, thorough=False):
    """The mean over all noise is the exact gradient, at every coordinate, if the rule claims so.

    A family of problems is tried, which differ in what a wrong rule could hide behind.  The mean is exact where the
    noise is finite or can be integrated.  Otherwise it is sampled, with false alarms in one of 10⁸ problems.  A rule
    that is biased by its own account need only be finite; its bias is printed.
    """
    if rule.unbiased:
        finding = verdict(rule, thorough).finding
        if finding is not None:
            raise AssertionError(f"{name_of(rule)} claims to be unbiased, but: {finding}")
        return
    for c in PROBLEMS:
        if suits(rule, c):
            estimate_of(rule, c)
    print(f"{rule!r}, which does not claim to be unbiased:\n{examine(rule)!r}")


def estimate_of(rule, c, seed=3, memory=None, **options):
    """One estimate of a rule on a problem of the family, if it does not refuse that: finite, or it raises."""
    try:
        with quiet():
            trial = Trial(rule, c, **options)
            if memory is not None:
                trial.rules[0].load_state_dict(memory)
            found = trial.estimate(random.Generator(seed))
    except ValueError as error:
        if refusal(rule, error):
            return None, None
        raise
    if not np.isfinite(found).all():
        raise AssertionError(f"not finite: an estimate is {found[~np.isfinite(found)][0]} where there are {c}")
    return trial, found


def check_single_precision(rule):
    """float32 gives float32 estimates, equal to those in float64 to within its rounding."""
    single, double = Layers(rule, np.float32), Layers(rule)
    pairs = [layers.gradients(layers.loss(random.Generator(3))) for layers in (single, double)]
    for name, a, b in zip(single.params, *pairs, strict=True):
        close(a, b, "float32 and float64 differ", name, tolerance=1e-3)
    for c in PROBLEMS:
        if suits(rule, c) and not c.offset:
            trial, _ = estimate_of(rule, c)
            if trial is None:
                continue
            memory = trial.rules[0].state_dict()
            once = [estimate_of(rule, replace(c, updates=0), memory=memory, dtype=dtype)[0] for dtype in DTYPES]
            for seed in (3, 4):
                with quiet():
                    single, double = (trial.estimate(random.Generator(seed)) for trial in once)
                units = np.abs(single - double).max() / (np.finfo(np.float32).eps * truth(c).size)
                if not units <= ROUNDINGS:
                    raise AssertionError(
                        f"float32 and float64 differ by {units:.0f} roundings of the costs, expected at most "
                        f"{ROUNDINGS}, where there are {c}. Compute in float64, or with the dtype of node.value")


def check_extreme_logits(rule):
    """At logits ±80 and ±800, where σ(logit) is 0 or 1 to all digits, estimates are finite, in both dtypes."""
    for size in (80, 800):
        for dtype in (np.float32, np.float64):
            layers = Layers(rule, dtype, extreme=size)
            with np.errstate(all="ignore"):
                for name, g in zip(layers.params, layers.gradients(layers.loss(random.Generator(3))), strict=True):
                    if not np.isfinite(g).all():
                        raise AssertionError(f"not finite at logits ±{size}: the estimate of {name} is "
                                             f"{g[~np.isfinite(g)][0]} in {np.dtype(dtype)}")


def check_determinism(rule):
    """The same seed gives the same estimate: all noise comes from the node, none from elsewhere."""
    layers = Layers(rule).warm()
    for seed in range(SEEDS):
        first, second = (layers.gradients(layers.loss(random.Generator(seed))) for _ in range(2))
        for name, a, b in zip(layers.params, first, second, strict=True):
            close(a, b, "not deterministic under a seed: two passes differ", name)


def check_batch_split(rule):
    """The gradient of a batch is the mean of those of its halves, drawn with the same noise.

    Nor does it matter how long the batch is: the first rows of nine copies of it are estimated as if they were
    alone.  A rule with ``needs_independent_rows`` looks at the whole batch; this check is not for it.
    """
    if rule.needs_independent_rows:
        return
    complaint = "depends on the batch split: whole and halves differ"
    layers = Layers(rule).warm()
    whole = layers.gradients(layers.loss(random.Generator(3)))
    halves = [layers.gradients(layers.loss(random.Generator(3, start), slice(start, start + 2))) for start in (0, 2)]
    if any(getattr(r, "seeded", False) for r in layers.rules):
        complaint += " (it asked for rng.seed; take its noise from rng.uniform, which depends on the row alone)"
    for name, a, b, c in zip(layers.params, whole, *halves, strict=True):
        close(a, (b + c) / 2, complaint, name)
    for c in PROBLEMS:
        if not c.coupled and c.graphs == 1 and c.rows < 10 and suits(rule, c):
            trial, _ = estimate_of(rule, c)
            with quiet():
                alone, first = trial.beside_copies(COPIES)
            if (np.abs(alone - first) > 1e-9 * (truth(c).size + c.offset)).any():
                raise AssertionError(f"{complaint.split(':')[0]}: {COPIES} copies of a batch are not estimated as one "
                                     f"is alone, where there are {c}")


def check_purity(rule):
    """A second backward pass gives the same again, and neither touches what the rule remembers.

    Nor does a third, after what the first ones taught has been committed.
    """
    for updates in UPDATES:
        layers = Layers(rule).warm(updates)
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
    """The rule asks for everything that it declares in ``needs``, and for nothing else.

    It is enough if it asks under some circumstances of the family.
    """
    for need in rule.needs:
        if not asks_for(rule, need):
            raise AssertionError(f"{name_of(rule)} declares that it needs {need!r} and never asks for it, so it "
                                 "would be computed for nothing. Take it out of needs")


def asks_for(rule, need):
    """Whether a rule asks for one of its needs: without having declared it, it is refused."""
    layers = Layers(rule).warm()
    for r in layers.rules:
        r.needs = frozenset(r.needs) - {need}
    try:
        layers.gradients(layers.loss(random.Generator(3)))
    except ValueError:
        return True
    for c in PROBLEMS:
        if suits(rule, c):
            trial, _ = estimate_of(rule, c)
            if trial is not None:
                trial.rules[0].needs = frozenset(rule.needs) - {need}
                try:
                    with quiet():
                        trial.estimate(random.Generator(3))
                except ValueError:
                    return True
    return False


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
    for updates in UPDATES:
        layers, restored = Layers(rule).warm(updates), Layers(rule)
        for r, saved in zip(restored.rules, layers.rules, strict=True):
            r.load_state_dict(saved.state_dict())
        pairs = [x.gradients(x.loss(random.Generator(3))) for x in (layers, restored)]
        for name, a, b in zip(layers.params, *pairs, strict=True):
            close(a, b, "state_dict does not hold all that the rule remembers: estimates differ", name)


CHECKS = [check_mean, check_single_precision, check_extreme_logits, check_determinism, check_batch_split, check_purity,
          check_needs, check_closed_gates, check_state_dict]


def check_thoroughly(rule):
    """``check_mean`` on many more problems, in which each two values of two properties meet."""
    check_mean(rule, thorough=True)


def parametrize_with_checks(rules, *, thorough=False):
    """A pytest decorator: the test it decorates runs once for each pair of ``rule`` and ``check``.

    Parameters
    ----------
    rules : list of Estimators.
    thorough : try means on many more problems, those in which each two values of two properties meet.

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
             for rule in rules for check in ([check_thoroughly, *CHECKS[1:]] if thorough else CHECKS)]
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
