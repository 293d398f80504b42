"""Verification, for this project's tests and for yours.

    gradcheck                                       derivatives of primitives, against finite differences
    exact_expectation, exact_gradient               exact values for a loss with random bits, by enumeration
    check_estimator                                 bias and variance of the gradient estimate, as a report
    assert_unbiased, assert_mean, assert_variance   the same as assertions for tests
    parametrize_with_checks                         all checks that a rule of your own should pass, for pytest
    examine                                         a report on one rule, on the problems of these checks
    compare                                         a table that compares rules on your problem
    from_function                                   a rule from a function in NumPy, PyTorch or JAX
    check_rows, unbiased_nodes                      properties of a graph: independent rows, unbiased gradients
    frozen_memories                                 a block in which rules do not learn

The functions of this module do not change the memories of rules.

``minigrad.testing.mutants`` has wrong rules.  The checks must reject all of them.
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
