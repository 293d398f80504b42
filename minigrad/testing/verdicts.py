"""The verdict of the certificate on a rule: all problems of the family, and the smallest one on which it fails.

A problem on which a rule fails is simplified, one property at a time, for as long as the rule still fails.
What is left names the property that brought the fault out.
"""

from dataclasses import dataclass, fields, replace

from minigrad.testing.problems import LAST_UPDATE, PROBLEMS, Circumstances, pairwise_cover
from minigrad.testing.trials import after_each_update, attempt, confirmed, method, refusal, remembers, work

#: For each property, values from the simplest on: what a failing problem is simplified to.
SIMPLEST = {
    "graphs": [1], "ties": [False], "equal": ["no", "at 0"], "live": [2], "samples": ["one"], "outside": [False],
    "costs": ["curved"], "rare": [False], "shared": [False],
    "above": ["nothing", "relaxed"],
    "below": ["nothing", "exact"], "offset": [0.0], "updates": [0, 1, 3, 12], "axes": [1], "weights": [False],
    "scale": [1.0, 100.0], "sign": ["positive", "negative"], "logit": [1.3, 6.0], "context": [False, True],
    "rows": [2, 1, 3, 5, 9], "units": [2, 1, 3, 5],
}

#: Other values than those of the simplest problem, to see whether a fault comes or goes with one of them.
ALTERNATIVES = [("context", True), ("rows", 1), ("rows", 3), ("rows", 9), ("units", 1), ("units", 3), ("units", 5),
                ("updates", 3), ("sign", "negative"), ("logit", 6.0), ("below", "exact")]
MOST_RUNS = 600         # of all problems with these values together
MOST_LIVE = 10          # bits of a simplified problem
MOST_WORK = 20_000      # evaluations of costs, from which on a problem is not simplified any more


@dataclass
class Finding:
    """A fault of a rule: what it is, where it shows, and on which smallest problem."""

    fault: str
    where: str
    circumstances: Circumstances

    def __str__(self):
        return f"{self.fault}. {self.where}. Smallest problem that shows it: {self.circumstances}"


@dataclass
class Verdict:
    """What became of all problems.

    Attributes
    ----------
    how : how means were found, by the number of problems: "enumerated", "integrated" or "sampled".
    finding : the first fault, or None.
    covered : the circumstances of all problems that the rule passed.
    refused : what the rule said where it refused a problem by name.
    power : for each way in which means were found, the largest bias that may have been missed, relative to the costs.
    too_long : how many problems take too many evaluations of the cost to be enumerated, and were sampled.
    updates : the largest bias that may have been missed after some number of updates up to LAST_UPDATE; None for a
        rule without memory.
    """

    how: dict
    finding: Finding | None
    covered: list
    refused: list
    power: dict
    updates: float | None = None
    too_long: int = 0

    def __str__(self):
        if self.finding is not None:
            return str(self.finding)
        c = self.covered
        span = {name: sorted({getattr(x, name) for x in c}) for name in ("units", "rows", "updates", "scale", "logit")}
        counts = ", ".join(f"{count} {how}" for how, count in self.how.items())
        tried = {name: listed(values) for name, values in span.items()}
        text = (f"passes {len(c)} problems ({counts}): {tried['units']} units, {tried['rows']} rows, "
                f"{tried['updates']} updates of a memory, costs of scale {tried['scale']}, live logits up to "
                f"{span['logit'][-1]:g}; nothing is said beyond them. ")
        text += self.stated_power()
        if self.too_long:
            text += (f". Not decided exactly: {self.too_long} problem{'s' * (self.too_long > 1)} would take too many "
                     "evaluations of the cost, and samples were drawn instead")
        if self.updates is not None:
            text += (f". One problem was tried after each number of updates up to {LAST_UPDATE}: a bias of "
                     f"{self.updates:.1g} of the size of the costs would have been found")
        for words in self.refused:
            text += f". It refuses: {words}"
        return text

    def stated_power(self):
        """Which bias would have been found, in words."""
        (how, power), *others = self.power.items()
        text = f"A bias of {power:.1g} of the size of the costs would have been found"
        if others:
            text += f" where means are {how}"
            text += "".join(f", and one of {power:.1g} where they are {how}" for how, power in others)
        return text + ", with probability 0.99 where samples were drawn" * ("sampled" in self.power)


def listed(values):
    """Numbers in words: 1, 2 or 17."""
    words = [f"{x:g}" for x in values]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


def verdict(rule, thorough=False):
    """Try a rule, which claims to be unbiased, on all problems; stop at the first fault."""
    how = method(rule)
    covered, counts, refused, power, updates, too_long = [], {}, [], {}, None, 0
    finding = None
    for c in pairwise_cover() if thorough else PROBLEMS:
        try:
            found = attempt(rule, c, how)
            found = found and confirmed(rule, found)
        except Exception as error:
            if refusal(rule, error):
                refused.append(str(error))
                continue
            finding = raised(error, c)
            break
        if found is None or found.circumstances in covered:
            continue
        if found.fault():
            finding = simplified(rule, found, how)
            break
        covered.append(found.circumstances)
        counts[found.how] = counts.get(found.how, 0) + 1
        too_long += found.too_long
        power[found.how] = max(power.get(found.how, 0.0), float(found.detectable.max()))
    if finding is None and covered and remembers(rule):
        for found in after_each_update(rule, how):
            if found.fault():
                finding = simplified(rule, found, how)
                break
            updates = max(updates or 0.0, float(found.detectable.max()))
    if finding is None and not covered:
        finding = Finding(f"refuses all problems: {refused[0]}", "Nothing is known about it", PROBLEMS[0])
    return Verdict(counts, finding, covered, list(dict.fromkeys(refused)), power, updates, too_long)


def raised(error, c):
    """The finding that a rule does not work at all somewhere."""
    return Finding(f"raises {type(error).__name__}: {error}", "This is no refusal in the rule's own name", c)


def tried(rule, c, how):
    """The outcome of a problem; None if a rule cannot be tried on it, it is too large, or too much was tried.

    An error is no verdict.
    """
    if work.done > work.limit or too_large(c):
        return None
    try:
        return attempt(rule, c, how)
    except Exception:
        return None


def too_large(c):
    """Whether a problem has too many live bits to be tried where a fault is simplified."""
    return c.all_live and c.units * c.rows > MOST_LIVE


def fails(rule, c, how):
    """The outcome if the rule fails, else None."""
    found = tried(rule, c, how)
    return found if found is not None and found.wrong.any() else None


def simplified(rule, found, how):
    """The finding on the smallest problem on which a rule still fails."""
    work.limit = work.done + MOST_WORK
    try:
        finding = simplest_finding(rule, found, how)
        if work.done > work.limit:
            finding.where += ". It takes too many evaluations of the cost to try all simpler problems"
    finally:
        work.limit = float("inf")
    return finding


def simplest_finding(rule, found, how):
    found = one_property(rule, found, how) or shrunk(rule, found, how)
    names = unlike_the_simplest(found.circumstances)
    if len(names) > 1:
        for name, value in ALTERNATIVES:        # one property in place of several
            other = fails(rule, replace(Circumstances(), **{name: value}), how)
            if other is not None:
                found, names = other, [name]
                break
    c = found.circumstances
    if names:
        where = "Wrong only where " + " and ".join(c.phrase(name) for name in names)
    else:
        right = " or ".join(properties_that_heal(rule, found, how))
        where = "Wrong in the simplest problem already" + (f", but not where {right}" if right else "")
    return Finding(found.fault(), where, c)


def unlike_the_simplest(c):
    """The names of properties that are not those of the simplest problem."""
    names = [f.name for f in fields(c) if getattr(c, f.name) != f.default]
    if too_large(replace(c, rows=Circumstances.rows)):      # so whether the fault needs one row is not known
        names = [name for name in names if name != "rows"]
    return [name for name in names if name != "live" or c.live > 1]     # one live bit is a matter of the method


def one_property(rule, found, how):
    """The outcome on the simplest problem, or with one property of a failing problem, if a rule fails there."""
    simplest = Circumstances()
    simpler = fails(rule, simplest, how)
    for name in unlike_the_simplest(found.circumstances):
        value = getattr(found.circumstances, name)
        if simpler is None:
            values = SIMPLEST[name]
            less = values[:values.index(value)] if value in values else values
            for some in [*less, value]:
                if some != getattr(simplest, name):
                    simpler = simpler or fails(rule, replace(simplest, **{name: some}), how)
    return simpler


def properties_that_heal(rule, found, how):
    """Properties, in words, each of which makes a rule right that fails on the simplest problem."""
    words, runs = [], 0
    for name, value in ALTERNATIVES:
        if runs < MOST_RUNS:        # those of rules with much noise take too long
            c = replace(found.circumstances, **{name: value})
            other = tried(rule, c, how)
            runs += other.runs if other is not None else MOST_RUNS
            if other is not None and not other.wrong.any():
                words.append(c.phrase(name))
    return words


def shrunk(rule, found, how):
    """The outcome on a problem none of whose properties can be made simpler without the rule passing."""
    changed = True
    while changed:
        changed = False
        for name, values in SIMPLEST.items():
            for value in values:
                if value == getattr(found.circumstances, name):
                    break
                simpler = fails(rule, replace(found.circumstances, **{name: value}), how)
                if simpler is not None and simpler.circumstances != found.circumstances:
                    found, changed = simpler, True
                    break
    return found
