"""The list of mutants, and how a class gets into it."""

from typing import NamedTuple

from minigrad.estimators import Reinforce
from minigrad.rule import Estimator


class Mutant(NamedTuple):
    """A wrong rule, the check that must reject it, words of its message, and the right rule."""

    rule: type
    check: str
    message: str
    right: Estimator


MUTANTS = []


def mutant(check, message, right=None):
    """Enter a class into ``MUTANTS``."""
    def enter(rule):
        MUTANTS.append(Mutant(rule, check, message, right or Reinforce()))
        return rule
    return enter
