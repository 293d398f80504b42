"""A comparison of rules on one problem: bias, variance, price and efficiency."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad import output
from minigrad.arguments import function
from minigrad.estimators.score_function import Reinforce
from minigrad.random import Generator
from minigrad.rule import Estimator, checked_rule
from minigrad.tensor import Tensor
from minigrad.testing.statistics import EstimatorReport, check_estimator

WARM_UP = 30        # passes in which rules with a memory learn before they are compared


@dataclass(repr=False)
class Row:
    """One rule of a comparison.

    Attributes
    ----------
    rule : the rule.
    report : its EstimatorReport.
    variance : the sum of the variances of all coordinates.
    price : number of evaluations of the cost for one estimate, with the forward pass.
    seconds : time for one estimate, measured on this machine.
    efficiency : variance × price of REINFORCE with a mean baseline, divided by variance × price of this rule.  A rule
        with an efficiency above 1 is better than REINFORCE.  Infinite if this rule has no variance, NaN if both have
        none.
    """

    rule: Estimator
    report: EstimatorReport
    variance: float
    price: float
    seconds: float
    efficiency: float = float("nan")


@dataclass(repr=False)
class Comparison:
    """The result of ``compare``.  It prints as a table, with the cheapest rule first.  ``draw`` saves a picture.

    Attributes
    ----------
    rows : list of Row.
    """

    rows: list[Row]

    def frontier(self) -> list[Row]:
        """The unbiased rules with less variance than all unbiased rules of the same or a lower price."""
        right = sorted((row for row in self.rows if row.report.unbiased), key=lambda row: (row.price, row.variance))
        best: list[Row] = []
        for row in right:
            if not best or row.variance < best[-1].variance:
                best.append(row)
        return best

    def __repr__(self) -> str:
        best = {id(row) for row in self.frontier()}
        width = max(len(repr(row.rule)) for row in self.rows)
        lines = [f"{'':{width}}  {'bias':>10} {'variance':>10} {'evaluations':>11} {'ms':>8} {'efficiency':>10}"]
        for row in sorted(self.rows, key=lambda row: (row.price, row.variance)):
            bias = np.abs(row.report.difference).max()
            biased = f"{bias:10.3g}" if not row.report.unbiased else f"{'none':>10}"
            lines.append(f"{row.rule!r:{width}}  {biased} {row.variance:10.4g} {row.price:11.3g} "
                         f"{1e3 * row.seconds:8.3g} {row.efficiency:10.3g}{' *' * (id(row) in best)}")
        lines.append("* no other unbiased rule has less variance for as few evaluations")
        if not all(row.report.exact for row in self.rows):
            lines.append("some rules were sampled: 'none' means that the samples show no bias")
        return output.shown("\n".join(lines))

    def draw(self, path: Any) -> None:
        """Save a picture of variance against price in ``path``, with the frontier as a line.  Needs matplotlib."""
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7, 4.5))
        floor = min((row.variance for row in self.rows if row.variance > 0), default=1.0) / 10
        for row in self.rows:
            right = row.report.unbiased
            axes.plot(row.price, max(row.variance, floor), "o" if right else "x",
                      color="tab:blue" if right else "tab:red")
            axes.annotate(type(row.rule).__name__, (row.price, max(row.variance, floor)), xytext=(4, 3),
                          textcoords="offset points", fontsize=8)
        best = self.frontier()
        axes.plot([row.price for row in best], [max(row.variance, floor) for row in best], "-", color="tab:blue",
                  alpha=0.4)
        axes.set(xscale="log", yscale="log", xlabel="evaluations of the cost for one estimate",
                 ylabel="variance, summed over coordinates", title="circles: unbiased; crosses: biased")
        figure.savefig(path, dpi=150, bbox_inches="tight")
        plt.close(figure)


def compare(fn: Callable[[Estimator, Generator], Tensor], params: Any, rules: Iterable[Estimator], *,
            samples: int = 2_000, seed: int = 0) -> Comparison:
    """Compare rules on one problem: bias, variance, price and efficiency of each.

    Parameters
    ----------
    fn : function ``fn(rule, rng)`` that returns a scalar loss, in which binary nodes use ``rule``, and draw from
        ``rng``.  If there are several nodes, give each a copy: ``copy.deepcopy(rule)``.
    params : Tensor, list or dict of Tensors, leaves that ``fn`` uses.
    rules : the rules.  Each is copied.  Rules with a memory first learn in 30 passes.
    samples : the largest number of backward passes for each rule, as for ``check_estimator``.
    seed : seed of the samples.

    Returns
    -------
    Comparison

    Raises
    ------
    TypeError
        ``fn`` is not a function, or one of ``rules`` is not a rule.
    ValueError
        There are no rules, or an error of ``check_estimator``.

    >>> import minigrad as mg
    >>> logits = mg.tensor([[0.5], [-1.0]], requires_grad=True)
    >>> def fn(rule, rng):
    ...     return mg.expected((mg.bernoulli(logits, rule, rng=rng).sum(axis=1) - 0.3) ** 2)
    >>> comparison = compare(fn, logits, [mg.estimators.Reinforce(), mg.estimators.LocalExpectation()])
    >>> [(row.price, row.variance < 0.05, row.report.unbiased) for row in comparison.rows]
    [(1.0, True, True), (2.0, True, True)]
    """
    function("compare", "a function of a rule and a generator", fn, "Use def fn(rule, rng): ...")
    rules = [checked_rule(rule, "compare") for rule in rules]
    if not rules:
        raise ValueError("compare: expected at least one rule, got none. Use [mg.estimators.Reinforce()]")
    rows = [measure(fn, params, rule, samples, seed) for rule in rules]
    base = measure(fn, params, Reinforce("mean"), samples, seed)
    for row in rows:
        with np.errstate(divide="ignore", invalid="ignore"):
            row.efficiency = float(np.float64(base.variance * base.price) / np.float64(row.variance * row.price))
    return Comparison(rows)


def measure(fn: Callable[[Estimator, Generator], Tensor], params: Any, rule: Estimator, samples: int, seed: int) -> Row:
    """The Row of a rule, without its efficiency."""
    rule_copy = deepcopy(rule)
    if rule_copy.state is not None:
        rng = Generator(seed).fork(1)
        gradients = [(p, p.gradient) for p in leaves_of(params)]
        for i in range(WARM_UP):
            fn(rule_copy, rng.fork(i)).backward()
            rule_copy.update()
        for p, gradient in gradients:
            p.gradient = gradient
    report = check_estimator(lambda rng: fn(rule_copy, rng), params, samples=samples, seed=seed)
    variance = float(np.sum(report.moments.variance))
    if report.exact and variance <= 1e-18 * (1 + float(np.sum(report.truth**2))):
        variance = 0.0      # the rest is rounding
    return Row(rule, report, variance, float(report.evaluations), report.seconds)


def leaves_of(params: Any) -> list[Tensor]:
    """The Tensors in ``params``, as a list."""
    if isinstance(params, Tensor):
        return [params]
    return list(params.values()) if isinstance(params, dict) else list(params)
