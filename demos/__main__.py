"""The course, one idea in each lesson and a picture for each; then the longer demos.

    python -m demos                 lists them
    python -m demos NAME ...        runs one, as python -m demos.NAME ... does

A lesson is a file of a screen or two that runs alone, within a minute and on a CPU: it prints a table, saves a
picture in out/, and ends with what to change and try.  Each rests on those before it.
"""

import ast
import runpy
import shutil
import sys
import textwrap
from pathlib import Path

COURSE = ("reverse_mode", "score_function", "baselines", "straight_through", "smooth_parts", "antithetic_pairs",
          "relaxations", "one_rule_four_names", "write_your_own_rule", "depth", "gates_that_skip",
          "kernel_step_by_step", "boltzmann_machine")
LONGER = ("conditional_mnist", "paper_table", "compare_estimators", "explorer", "toy_problem", "bernoulli_vae")


def docstring(path):
    """The docstring of a file, from its text: under ``python -OO`` modules have none."""
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def question(name):
    """What a demo is about: the first line of the docstring that says how to run it; nothing is imported."""
    for file in (f"{name}.py", f"{name}/__init__.py", f"{name}/__main__.py"):
        path = Path(__file__).parent / file
        about = docstring(path) if path.exists() else ""
        if f"python -m demos.{name}" in about:
            return about.splitlines()[0]
    raise ValueError(f"demos.{name}: expected a docstring that says python -m demos.{name}, found none")


def entries(names, numbered):
    """A paragraph for each demo, as wide as the terminal."""
    width = max(map(len, COURSE + LONGER))
    for number, name in enumerate(names, 1):
        start = f"{number if numbered else '':>2}  {name:<{width}}  "
        yield textwrap.fill(question(name), shutil.get_terminal_size().columns, initial_indent=start,
                            subsequent_indent=" " * len(start))


def main(argv=None):
    name, *rest = (sys.argv[1:] if argv is None else argv) or [None]
    if name is None:
        about = docstring(Path(__file__)).splitlines()[0]
        print(about, "", *entries(COURSE, True), "", *entries(LONGER, False), sep="\n")
        print("\npython -m demos NAME runs one; --help after the name says more about it")
        return 0
    if name not in COURSE + LONGER:
        print(f"demos: expected the name of a demo, got {name!r}; there are {', '.join(COURSE + LONGER)}",
              file=sys.stderr)
        return 2
    sys.argv[1:] = rest
    runpy.run_module(f"demos.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    sys.exit(main())
