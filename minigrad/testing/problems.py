"""The problems of the certificate: a family that differ in what a wrong rule could hide behind.

A rule can be right for two units and wrong for three, right for positive costs and wrong for negative ones.
So there is not one problem but a family of them, each under other ``Circumstances``; ``models`` makes losses of
them.  ``PROBLEMS`` is the default set.  In ``pairwise_cover()`` each two values of two properties meet.
"""

from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class Circumstances:
    """What sets one problem apart from the others.  The defaults are the simplest problem.

    Attributes
    ----------
    units, rows : of the node under test.
    scale, sign : of the costs: "positive", "negative" or "mixed".
    offset : is added to all costs.
    costs : "curved"; "sometimes 0", namely where a live bit of the row is 0; "rarely large", namely LARGE times as
        large where the last live bit is 1, which is rare only together with ``rare``.
    logit : the largest live one.
    rare : the last live logit is -logit, so this bit is rarely 1, and the others are small.
    equal : "no"; "at 0", all logits are 0; "of either sign", all bits are live and logits are the same, up to sign.
    context : whether the node has one.
    shared : whether rows share a context, two by two.
    weights : whether examples and terms have weights of either sign, or all the same.
    outside : whether a term stands outside ``expected``, which couples the rows.
    samples : for each example: "one"; "two with one cost"; "two with log-weights".
    above, below : the rule of a node above or below, a key of NEIGHBOURS, "itself" or "nothing".
    axes : event axes of the node.
    updates : of the rule's memory, before it is examined.
    graphs : how many are alive; the gradient is that of the first.
    ties : two equal rows, all units live, one logit exactly 0.
    live : how many bits of the node are not certain: 1, 2, or (as 3) all.
    """

    units: int = 2
    rows: int = 2
    scale: float = 1.0
    sign: str = "positive"
    offset: float = 0.0
    costs: str = "curved"
    logit: float = 1.3
    rare: bool = False
    equal: str = "no"
    context: bool = False
    shared: bool = False
    weights: bool = False
    outside: bool = False
    samples: str = "one"
    above: str = "nothing"
    below: str = "nothing"
    axes: int = 1
    updates: int = 0
    graphs: int = 1
    ties: bool = False
    live: int = 2

    @property
    def coupled(self):
        """Whether several rows of the node share a cost."""
        return self.outside or self.samples != "one" or (self.axes == 0 and self.units > 1)

    @property
    def all_live(self):
        """Whether all bits of the node are uncertain, and the problem is about several of them."""
        return self.ties or self.live > 2 or self.equal != "no"

    def phrase(self, name):
        """One property in words, to stand after "where"."""
        value = getattr(self, name)
        if name in WORDS:
            return WORDS[name].get(value) or WORDS[name][None].format(value)
        return f"{name} is {value}"

    def __str__(self):
        """All properties, in words."""
        parts = [f"{self.units} unit{'s' * (self.units > 1)}", f"{self.rows} row{'s' * (self.rows > 1)}",
                 f"{self.sign} costs of scale {self.scale:g}", f"live logits up to {self.logit:g}"]
        parts += [self.phrase(f.name) for f in fields(self)
                  if f.name in WORDS and f.name not in STATED and getattr(self, f.name) != f.default]
        return "; ".join(parts)


STATED = {"units", "rows", "scale", "sign", "logit"}

WORDS = {
    "units": {1: "a sample has one unit", None: "a sample has {} units"},
    "rows": {1: "the batch has one row", None: "the batch has {} rows"},
    "scale": {None: "costs are of scale {:g}"},
    "sign": {None: "costs are of {} sign", "positive": "costs are positive", "negative": "costs are negative"},
    "offset": {0.0: "costs have no offset", None: "costs have an offset of {:g}"},
    "costs": {"curved": "costs are rarely 0", "sometimes 0": "some costs are exactly 0",
              "rarely large": "one bit makes a cost much larger"},
    "rare": {True: "one bit is very rarely 1", False: "no live bit is rarely 1"},
    "equal": {"no": "logits of a sample differ", "at 0": "all logits are 0",
              "of either sign": "logits of a sample are equal, up to their sign"},
    "shared": {True: "rows share a context", False: "no rows share a context"},
    "logit": {None: "logits are as large as {:g}"},
    "context": {True: "the node has a context", False: "the node has no context"},
    "weights": {True: "weights are of either sign", False: "all weights are positive"},
    "outside": {True: "a term stands outside expected, so rows are coupled", False: "all terms are inside expected"},
    "samples": {"one": "an example has one sample",
                "two with one cost": "an example has two samples with one cost, so rows are coupled",
                "two with log-weights": "an example has two samples with log-weights, so rows are coupled"},
    "above": {"nothing": "no node is above", "mid-point": "a rule above runs this one again, at another value",
              None: "a node is above, whose rule is {}"},
    "below": {"nothing": "no node is below", "itself": "a node with the same rule is below",
              None: "a node is below, whose rule is {}"},
    "axes": {0: "event_ndim = 0, so a sample has one unit and rows share a cost", None: "event_ndim = {}"},
    "updates": {0: "the memory is as at the start", 1: "the memory had one update", None: "the memory had {} updates"},
    "graphs": {1: "one graph is alive", None: "another graph was drawn before backward"},
    "ties": {True: "two rows are equal and a logit is exactly 0", False: "no rows are equal"},
    "live": {1: "one bit is uncertain", 2: "two bits are uncertain", 3: "all bits are uncertain"},
}



def cases(*rows):
    """Circumstances from positional values, in the order of the table."""
    names = ("units", "rows", "scale", "sign", "logit", "context", "weights", "outside", "above", "below", "axes",
             "updates")
    return [Circumstances(**dict(zip(names, row, strict=True))) for row in rows]


NONE, ST = "nothing", "straight-through"

LARGE = 100.0       # what a bit adds to a cost where costs are "rarely large", in units of ``scale``

#: The default set: the simplest problem, special ones, ten that differ from each other in everything, and those in
#: which something is exact or rare: costs of 0, equal logits, shared contexts, rare bits, many live ones.
PROBLEMS = [
    Circumstances(),
    *cases(
        (3, 2, 0.01, "negative", 6.0, False, False, False, NONE, NONE, 1, 12),
        (1, 1, 100.0, "negative", 6.0, True, False, False, NONE, "itself", 0, 3),
        (1, 5, 0.01, "positive", 1.3, True, False, True, ST, NONE, 1, 0),
        (3, 5, 100.0, "negative", 1.3, False, False, False, NONE, ST, 2, 0),
    ),
    Circumstances(rows=1, sign="negative", updates=12, scale=100.0),
    Circumstances(units=3, rows=5, logit=12.0, scale=100.0, sign="mixed", updates=40, context=True, weights=True),
    Circumstances(graphs=2, sign="mixed", updates=3, context=True),
    Circumstances(samples="two with one cost", sign="mixed", updates=3),
    Circumstances(rows=3, samples="two with log-weights", sign="mixed", context=True),
    Circumstances(ties=True, sign="mixed", updates=3),
    Circumstances(units=3, rows=1, live=3, sign="mixed"),
    Circumstances(units=3, rows=3, offset=1e9, updates=3),
    Circumstances(units=17, rows=33, sign="mixed", logit=2.0, weights=True, updates=1),
    Circumstances(costs="sometimes 0", updates=12),
    Circumstances(rows=1, costs="sometimes 0", updates=3),
    Circumstances(rows=1, equal="at 0"),
    Circumstances(units=3, rows=1, equal="of either sign"),
    Circumstances(rows=5, shared=True, updates=3),
    Circumstances(rows=3, shared=True, outside=True),
    Circumstances(rows=1, live=3, rare=True, logit=12.0),
    Circumstances(rows=1, rare=True, logit=12.0, costs="rarely large", updates=12),
    Circumstances(rare=True, logit=6.0, costs="rarely large", updates=40),
    *cases(
        (2, 9, 100.0, "mixed", 6.0, True, True, True, NONE, "relaxed", 2, 12),
        (5, 1, 0.01, "mixed", 6.0, False, True, False, ST, ST, 0, 1),
        (5, 2, 1.0, "positive", 6.0, True, True, True, NONE, "exact", 2, 40),
        (1, 2, 1.0, "mixed", 1.3, True, False, False, "mid-point", ST, 1, 3),
        (2, 2, 1.0, "negative", 1.3, False, False, False, "relaxed", "exact", 0, 40),
        (3, 9, 1.0, "positive", 1.3, False, True, True, "relaxed", "itself", 1, 3),
    ),
    Circumstances(units=8, rows=1, live=3),
]

#: For rules with a memory: the first of these problems that a rule does not refuse, after 0, 1, … LAST_UPDATE updates.
BY_UPDATES = [Circumstances(live=1), Circumstances(live=1, context=True), Circumstances(live=1, units=1, rows=1)]
LAST_UPDATE = 40


# ---- every pair of properties --------------------------------------------------------------------------------

LEVELS = {
    "units": (1, 2, 3, 5), "rows": (1, 2, 5, 9), "scale": (0.01, 1.0, 100.0), "sign": ("positive", "negative", "mixed"),
    "costs": ("curved", "sometimes 0", "rarely large"), "logit": (1.3, 6.0), "rare": (False, True),
    "context": (False, True), "shared": (False, True), "weights": (False, True), "outside": (False, True),
    "samples": ("one", "two with one cost", "two with log-weights"),
    "above": ("nothing", "relaxed", "straight-through", "mid-point"),
    "below": ("nothing", "exact", "relaxed", "straight-through", "itself"),
    "axes": (0, 1, 2), "updates": (0, 1, 3, 12, 40), "graphs": (1, 2),
}


@lru_cache(1)
def pairwise_cover():
    """Problems in which each two values of two different properties meet: the thorough set, with the default one."""
    names = list(LEVELS)
    missing = {((a, x), (b, y)) for i, a in enumerate(names) for b in names[i + 1:]
               for x in LEVELS[a] for y in LEVELS[b]}
    missing = sorted(missing, key=str)
    numbers, found = np.random.default_rng(0), list(PROBLEMS)
    while missing:
        best, covered = None, -1
        for _ in range(20):         # of random problems that have the first missing pair, the one with most others
            chosen = {name: LEVELS[name][numbers.integers(len(LEVELS[name]))] for name in names} | dict(missing[0])
            met = sum(chosen[a] == x and chosen[b] == y for (a, x), (b, y) in missing)
            if met > covered:
                best, covered = chosen, met
        found.append(Circumstances(**best))
        missing = [pair for pair in missing if any(best[name] != value for name, value in pair)]
    return found
