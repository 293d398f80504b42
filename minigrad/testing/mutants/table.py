"""Which check rejects which mutant."""

import argparse
import sys
import warnings
from contextlib import redirect_stdout
from functools import partial
from io import StringIO

from minigrad import output
from minigrad.testing.certificate import CHECKS, RUNS
from minigrad.testing.layers import Certificate
from minigrad.testing.mutants.entering import MUTANTS
from minigrad.testing.statistics import compare_moments

AGAINST = ("documented_mean", "variance")


def check_against(what, rule, right, samples=RUNS):
    """Compare a moment of a rule, "mean" or "variance", with that of the right one."""
    compare_moments(what, Certificate(rule), Certificate(right), samples=samples, significance=1e-7, seed=0)


def checks_of(mutant):
    """All checks of a mutant, as a dict from the name to a function of the rule."""
    found = {check.__name__.removeprefix("check_"): check for check in CHECKS}
    for name in AGAINST:
        found[name] = partial(check_against, name.removeprefix("documented_"), right=mutant.right)
    return found


def verdicts(mutant):
    """What each check says of a mutant: a dict from its name to its message, or to None if it passes.

    The comparisons with the right rule are made only where no other check rejects the mutant.
    """
    checks = checks_of(mutant)
    found = dict.fromkeys(checks)
    for name, check in checks.items():
        if name in AGAINST and any(found[other] for other in found if other not in AGAINST):
            continue
        try:
            with redirect_stdout(StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                check(rule=mutant.rule())
        except Exception as error:      # a check that breaks, on a rule that breaks, rejects it as well
            found[name] = str(error)
    return found


def table(mutants=MUTANTS, progress=None):
    """Mutants × checks as text: an × for each rejection.  ``progress`` is called with a line for each mutant."""
    found = {}
    for number, m in enumerate(mutants, 1):
        if progress is not None:
            progress(f"{number} of {len(mutants)}: {m.rule.__name__}")
        found[m.rule.__name__] = verdicts(m)
    names = list(next(iter(found.values())))
    width = max(map(len, found))
    lines = [f"{number:2}  {name}" for number, name in enumerate(names, 1)]
    lines += ["", " " * width + "".join(f"{number:4}" for number in range(1, len(names) + 1))]
    lines += [f"{rule:{width}}" + "".join("   ×" if said[name] else "   ·" for name in names)
              for rule, said in found.items()]
    return "\n".join(lines)


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m minigrad.testing.mutants",
        description="Try each check of the certificate on each wrong rule, and print which of them reject it. The "
        "last two, comparisons with the right rule, are made only where no other check rejects the wrong one.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="wrong rules to try, by name; all by default")
    parser.add_argument("--messages", action="store_true", help="print what the expected check says, too")
    given = parser.parse_args(argv)
    known = {m.rule.__name__: m for m in MUTANTS}
    unknown = [name for name in given.names if name not in known]
    if unknown:
        parser.error(f"expected names of mutants, got {', '.join(unknown)}. There are {', '.join(known)}")
    chosen = [known[name] for name in given.names] or MUTANTS
    print(table(chosen, show_progress))
    if given.messages:
        for m in chosen:
            print(f"\n{m.rule.__name__}: {verdicts(m)[m.check]}")
    return 0


def show_progress(line):
    """On a terminal each line takes the place of the one before."""
    end = "\r" if sys.stderr.isatty() else "\n"
    print(f"{line:60}", end=end, file=sys.stderr, flush=True)


def run():
    warnings.simplefilter("ignore")
    output.adapt()
    return main()
