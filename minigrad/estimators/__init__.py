"""Gradient estimators: the rules of binary nodes, one file per family."""

from minigrad.estimators.straight_through import StraightThrough, StraightThroughSlope

__all__ = ["StraightThrough", "StraightThroughSlope"]
