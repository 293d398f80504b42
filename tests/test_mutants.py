"""Wrong rules are rejected, each with a message that names the error, and right rules pass."""

import re

import numpy as np
import pytest

import minigrad as mg
from minigrad.ops.primitives import Primitive
from minigrad.testing import mutants
from minigrad.testing.mutants import MUTANTS, RIGHT, checks_of, table, verdicts
from minigrad.testing.mutants.table import main

#: The blind spots that were found when the certificate was one problem of four rows, and a wrong rule for each.
BLIND_SPOTS = {
    "costs are never negative": ["AbsoluteCost", "PositivePart"],
    "costs are small": ["CostsClipped", "ClippedFar"],
    "logits are small": ["ProbsClamped", "ClampedButAtTheEnds", "SilentBeyondFour"],
    "two units, always": ["FlipOfTwo", "FirstTwoUnits", "NotForOneUnit"],
    "four rows, never one, never more": ["MeanAboveEight", "WrongForOneRow", "NeighboursAboveFive"],
    "rows are never coupled": ["FlipsAllRows", "FlipsEachInAllRows", "OwnRowIncluded", "UndeclaredOtherRows"],
    "memories with three updates": ["LateOwnCost"],
    "always a context": ["NeedsContext"],
    "float32 at 1e-3": ["HalfPrecisionInside"],
    "never below a replaying rule": ["WrongWhenNested", "MindsWhatIsBelow"],
    "exact for what was not enumerated": ["SkipsExpensiveBatches"],
    "costs are never 0": ["ZeroCostIsPadding", "ZeroCostIsMissing", "NothingToLearn"],
    "costs are never rarely large": ["OutliersClipped", "FarOutliersDropped", "TimesTheSizeClipped"],
    "three live units at most": ["SixMostUncertain", "SevenMostUncertain", "TooManyUndecided"],
    "logits of a sample differ": ["MostUncertainTogether", "UndecidedTogether", "OppositeTogether",
                                  "EqualLogitsAveraged", "EqualLogitsOnce", "SortedBySize"],
    "rows have contexts of their own": ["OwnRowInContext", "FirstOfContext", "UndeclaredContexts"],
    "five numbers of updates": ["EveryTenthPass", "EverySeventhPass", "OneLatePass"],
    "live units of a sample are of one size": ["DivisorFloored", "DivisorFlooredLow", "RareUnitsForgotten"],
}


@mg.testing.parametrize_with_checks(RIGHT)
def test_the_right_rules_pass(rule, check):
    check(rule)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.rule.__name__)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:overflow:RuntimeWarning")
def test_wrong_rules_are_rejected_in_the_right_words(mutant):
    with pytest.raises((AssertionError, ValueError), match=re.escape(mutant.message)):
        checks_of(mutant)[mutant.check](rule=mutant.rule())


@pytest.mark.parametrize("spot", BLIND_SPOTS)
def test_every_blind_spot_has_a_mutant(spot):
    assert set(BLIND_SPOTS[spot]) <= {mutant.rule.__name__ for mutant in MUTANTS}


def test_there_is_a_mutant_for_every_check():
    assert {mutant.check for mutant in MUTANTS} == set(checks_of(MUTANTS[0]))


def test_mutants_are_found_by_name():
    assert mutants.AbsoluteCost is mutants.scores.AbsoluteCost
    with pytest.raises(AttributeError, match="no attribute 'Sound'"):
        mutants.Sound  # noqa: B018


def test_every_mutant_says_what_is_wrong_with_it():
    assert all(mutant.rule.__doc__ and mutant.rule.__doc__ != mutant.rule.__mro__[1].__doc__ for mutant in MUTANTS)


def test_a_mean_over_coordinates_would_hide_some():
    """One sign is wrong and another unit compensates for it, so the sum over a row's logits is right."""
    mutant = next(m for m in MUTANTS if m.rule.__name__ == "OneSignFlipped")
    report = mg.testing.examine(mutant.rule())
    np.testing.assert_allclose(report.bias["logits"].sum(axis=1), 0, atol=1e-12)
    assert np.abs(report.z["logits"]).min() == np.inf


def test_some_are_caught_by_the_variance_alone():
    mutant = next(m for m in MUTANTS if m.rule.__name__ == "BaselineAdded")
    said = verdicts(mutant)
    assert [name for name in said if said[name]] == ["variance"]


def test_the_table_has_a_cross_where_a_check_rejects():
    lines = table([m for m in MUTANTS if m.rule.__name__ in ("Uncentred", "AsksTooMuch")]).splitlines()
    names = list(checks_of(MUTANTS[0]))
    assert [line.split()[1] for line in lines[:len(names)]] == names
    crosses = {row[0]: [name for name, cell in zip(names, row[1:], strict=True) if cell == "×"]
               for row in map(str.split, lines[len(names) + 2:])}
    assert crosses == {"Uncentred": ["mean"], "AsksTooMuch": ["needs"]}


def test_the_command_shows_progress_and_takes_names(capsys):
    assert main(["Overflowing", "--messages"]) == 0
    printed = capsys.readouterr()
    assert "1 of 1: Overflowing" in printed.err
    assert "Overflowing: not finite at logits ±80" in printed.out
    with pytest.raises(SystemExit) as left:
        main(["Sound"])
    assert left.value.code == 2
    assert "expected names of mutants, got Sound" in capsys.readouterr().err
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    assert "python -m minigrad.testing.mutants" in capsys.readouterr().out


def test_one_entry_of_a_thousand_wrong_by_a_hundredth():
    """For gradcheck: along one random direction at rtol 1e-3 this passes four times out of five."""
    weight = np.random.default_rng(0).normal(size=(40, 25))
    wrong = weight.copy()
    wrong[7, 3] *= 1.01
    product = Primitive(lambda x: weight @ x)
    product.vjps(lambda g, out, x: wrong.T @ g)
    with pytest.raises(AssertionError, match="wrong"):
        mg.testing.gradcheck(product, [np.ones(25)])
