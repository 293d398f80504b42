"""Check an estimator from a terminal: is it unbiased, and how large is its variance?

    python -m minigrad.testing check FILE::FUNCTION

FUNCTION has no arguments.  It returns (cost, params, estimate) in PyTorch, JAX or NumPy, the arguments of
``minigrad.testing.programs``.  A test with the mark ``unbiased`` is such a function.  The exit status is 0 if the
estimate is unbiased, 1 if it is biased, and 2 if it cannot be checked.
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minigrad import output
from minigrad.testing.programs.frameworks import check_returned
from minigrad.testing.programs.plots import picture

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def load(target: str) -> Callable[..., Any]:
    """The function that ``FILE::FUNCTION`` names.

    Raises
    ------
    ValueError
        ``target`` has another form, the file does not exist, or it has no such function.
    """
    file, _, name = target.partition("::")
    path = Path(file)
    if not name or not path.is_file():
        raise ValueError(f"expected FILE::FUNCTION, with a Python file, got {target}"
                         + ("" if path.is_file() else f". There is no file {file}"))
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"expected FILE::FUNCTION, with a Python file, got {target}. Its name must end with .py")
    module = module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    sys.path.insert(0, str(path.resolve().parent))      # so that the file can import from its folder
    spec.loader.exec_module(module)
    if not callable(getattr(module, name, None)):
        functions = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ValueError(f"expected a function of {file}, got {name}. It has {', '.join(functions) or 'none'}")
    return getattr(module, name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.  Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m minigrad.testing", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("check", help="print the report on an estimator, and draw it")
    command.add_argument("target", metavar="FILE::FUNCTION", help="a function that returns (cost, params, estimate)")
    for name, kind in (("samples", int), ("seed", int), ("directions", int), ("step", float), ("significance", float)):
        command.add_argument(f"--{name}", type=kind, default=argparse.SUPPRESS, help="as in check_estimator")
    options = vars(parser.parse_args(arguments))
    target = options.pop("target")
    del options["command"]
    try:
        report = check_returned(target, load(target)(), **options)
    except (TypeError, ValueError, ImportError) as error:
        print(f"{target} could not be checked: {error}", file=sys.stderr)
        return 2
    except AssertionError as error:
        print(f"{target}: {error}")
        return 1
    print(report)
    print()
    print(picture(report))
    return 0 if report.unbiased else 1


if __name__ == "__main__":
    output.adapt()
    sys.exit(main())
