"""The course: each lesson teaches one idea and saves a picture.  Longer demos follow.

    python -m demos                 lists them
    python -m demos NAME ...        runs one, like python -m demos.NAME ...

A lesson is a short file.  It runs alone on a CPU in less than a minute.  It prints a table, saves a picture in
out/, and ends with suggestions of what to change and try.  Each lesson builds on the earlier ones.
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
LONGER = ("conditional_mnist", "paper_table", "compare_estimators", "explorer", "toy_problem", "bernoulli_vae",
          "predict_the_open_units")


def docstring(path):
    """The docstring of a file, read from its text, because modules have no docstring under ``python -OO``."""
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def question(name):
    """The question of a demo: the first line of the docstring that says how to run it.  Nothing is imported."""
    for file in (f"{name}.py", f"{name}/__init__.py", f"{name}/__main__.py"):
        path = Path(__file__).parent / file
        about = docstring(path) if path.exists() else ""
        if f"python -m demos.{name}" in about:
            return about.splitlines()[0]
    raise ValueError(f"demos.{name}: expected a docstring that says python -m demos.{name}, found none")


def entries(names, numbered):
    """One paragraph for each demo, wrapped to the width of the terminal."""
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
        print("\npython -m demos NAME runs one; python -m demos NAME --help describes it")
        return 0
    if name not in COURSE + LONGER:
        print(f"demos: expected the name of a demo, got {name!r}. The demos are {', '.join(COURSE + LONGER)}",
              file=sys.stderr)
        return 2
    sys.argv[1:] = rest
    runpy.run_module(f"demos.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    sys.exit(main())
