"""Verification: finite differences, and exact expectations by enumeration."""

from minigrad.testing.exact import exact_expectation, exact_gradient
from minigrad.testing.gradcheck import gradcheck

__all__ = ["exact_expectation", "exact_gradient", "gradcheck"]
