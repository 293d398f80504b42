"""Verification: finite differences, exact expectations by enumeration, and rules held to them."""

from minigrad.testing.adapter import from_function
from minigrad.testing.certificate import examine, parametrize_with_checks
from minigrad.testing.exact import exact_expectation, exact_gradient
from minigrad.testing.gradcheck import gradcheck
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
    "exact_expectation", "exact_gradient", "examine", "from_function", "gradcheck", "parametrize_with_checks",
    "unbiased_nodes",
]
