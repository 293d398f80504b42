"""Verification, for this project's tests and for yours.

    gradcheck                                       derivatives of primitives, against finite differences
    exact_expectation, exact_gradient               the truth about a loss with random bits, by enumeration
    check_estimator                                 what rules make of it: bias, variance, error, as a report
    assert_unbiased, assert_mean, assert_variance   the same as one line of a test
    parametrize_with_checks                         all that a rule of your own should pass, for pytest
    examine                                         the report on one rule, on the problem of those checks
    compare                                         rules side by side on your problem, and what is best for the price
    from_function                                   a rule from a function in NumPy, PyTorch or JAX
    check_rows, unbiased_nodes                      what holds for a graph: independent rows, unbiased gradients
    frozen_memories                                 a block in which rules do not learn from what is drawn

What a function of this module draws leaves the memories of rules as they are.

``minigrad.testing.mutants`` has wrong rules, which all of this must reject.
"""

from minigrad.rule import frozen_memories
from minigrad.testing.adapter import from_function
from minigrad.testing.certificate import examine, parametrize_with_checks
from minigrad.testing.comparison import compare
from minigrad.testing.exact import exact_expectation, exact_gradient
from minigrad.testing.finite_differences import gradcheck
from minigrad.testing.graphs import check_rows, unbiased_nodes
from minigrad.testing.statistics import (
    EstimatorReport,
    assert_mean,
    assert_unbiased,
    assert_variance,
    check_estimator,
)

__all__ = [
    "EstimatorReport", "assert_mean", "assert_unbiased", "assert_variance", "check_estimator", "check_rows",
    "compare", "exact_expectation", "exact_gradient", "examine", "from_function", "frozen_memories", "gradcheck",
    "parametrize_with_checks", "unbiased_nodes",
]
