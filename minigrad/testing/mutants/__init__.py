"""Wrong rules, which a harness must reject.

    python -m minigrad.testing.mutants        which check catches which

Each is a fault that has been seen in public code, or could be: it runs, trains a little, and passes a
test with a lax tolerance or one that averages over coordinates.  ``MUTANTS`` lists them with the check
that is expected to catch them and the words it should find; two more checks compare a rule with the
right one it was made from, for faults that a mean and a claim do not show.

    right           the right rules that wrong ones are made from, in ``RIGHT``
    scores          scores and costs
    batches         rows that are mixed up
    memories        baselines, and what rules remember
    evaluations     several evaluations of the cost
    relaxations     relaxed samples
    coincidences    costs of 0, equal logits, equal contexts
    rarities        rare large costs, rare bits, many live units, long memories
    declarations    declarations, claims and dtypes
    table           which check rejects which
"""

from minigrad.testing.mutants import (
    batches,
    coincidences,
    declarations,
    evaluations,
    memories,
    rarities,
    relaxations,
    scores,
)
from minigrad.testing.mutants.entering import MUTANTS, Mutant, mutant
from minigrad.testing.mutants.right import (
    RIGHT,
    AgainstOtherRows,
    AgainstOthers,
    AgainstSameContext,
    Antithetic,
    Flip,
    FlipByChance,
    FlipEach,
    MeanField,
    OfLogWeights,
    OfSeveral,
    Relaxed,
    Remembering,
)
from minigrad.testing.mutants.table import check_against, checks_of, table, verdicts

__all__ = [
    "MUTANTS", "RIGHT", "AgainstOtherRows", "AgainstOthers", "AgainstSameContext", "Antithetic", "Flip",
    "FlipByChance", "FlipEach", "MeanField", "Mutant", "OfLogWeights", "OfSeveral", "Relaxed", "Remembering", "batches",
    "check_against", "checks_of", "coincidences", "declarations", "evaluations", "memories", "mutant", "rarities",
    "relaxations", "scores", "table", "verdicts",
]


def __getattr__(name):
    """A wrong rule by its name."""
    for entry in MUTANTS:
        if entry.rule.__name__ == name:
            return entry.rule
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
