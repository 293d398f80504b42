"""Functions that all demos use: the command line, exact results, tables, pictures, and the last lines of the output.

    given = lesson.parser(__file__, __doc__, seed=0, samples=1000).parse_args(argv)
    found = measure(given.samples, given.seed)
    lesson.table(["baseline", "variance"], rows)
    lesson.close(draw(found), given.out, TRY)
"""

import argparse
import sys
from io import BytesIO
from pathlib import Path

import minigrad as mg
from minigrad import output

try:
    from matplotlib.figure import Figure
    from tqdm import tqdm as progress
except ModuleNotFoundError as missing:
    sys.exit(f'{missing}: the demos need matplotlib and tqdm; in a checkout, python -m pip install -e ".[demos]"')

__all__ = [
    "BLUE", "GREEN", "GREY", "ORANGE", "PURPLE", "RED", "SKY",
    "close", "exact", "figure", "parser", "positive", "progress", "rules", "seed_number", "table",
]

# The palette of Okabe & Ito (2008), which colour-blind readers can distinguish.
GREY, BLUE, ORANGE, RED = "#888888", "#0072b2", "#e69f00", "#d55e00"
GREEN, SKY, PURPLE = "#009e73", "#56b4e9", "#cc79a7"


def positive(text):
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def rules(text):
    names = text.split(",")
    unknown = [name for name in names if name not in mg.estimators.__all__]
    if unknown:
        raise argparse.ArgumentTypeError(f"expected names from {', '.join(mg.estimators.__all__)}, "
                                         f"got {', '.join(unknown)}")
    return names


def seed_number(text):
    if not text.isdecimal() or int(text) >= 2**64:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to 2**64 - 1, got {text!r}")
    return int(text)


def picture(text):
    if Path(text).suffix not in (".png", ".svg", ".pdf"):
        raise argparse.ArgumentTypeError(f"expected a file name that ends in .png, .svg or .pdf, got {text!r}")
    return Path(text)


def usable_device(text):
    try:
        return mg.devices.usable(text)
    except (ValueError, RuntimeError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def in_notebook():
    """Whether this process is the kernel of a notebook."""
    return "ipykernel" in sys.modules


class Parser(argparse.ArgumentParser):
    """A parser that ignores ``sys.argv`` in a notebook, because these are the arguments of the notebook's kernel."""

    def parse_args(self, args=None, namespace=None):
        started = Path(sys.argv[0]).name
        return super().parse_args([] if args is None and started.startswith("ipykernel") else args, namespace)


def parser(file, about, *, seed=None, samples=None, device=None):
    """The command line of a demo: --out, and those of --seed, --samples and --device that have a default."""
    name = Path(file).stem
    made = Parser(prog=f"python -m demos.{name}", description=about,
                  formatter_class=argparse.RawDescriptionHelpFormatter)
    add, default = made.add_argument, "(default: %(default)s)"
    if seed is not None:
        add("--seed", type=seed_number, default=seed, metavar="N", help=f"seed of all random numbers {default}")
    if samples is not None:
        add("--samples", type=positive, default=samples, metavar="N", help=f"number of samples {default}")
    if device is not None:
        add("--device", type=usable_device, default=device, metavar="cpu|cuda", help=f"device {default}")
    add("--out", type=picture, default=f"out/{name}.png", metavar="FILE", help=f"file for the picture {default}")
    return made


def exact(loss, params):
    """The report of ``check_estimator``, which must be exact.

    Raises
    ------
    ValueError
        ``check_estimator`` could not enumerate all outcomes of the noise and drew samples instead.
    """
    report = mg.testing.check_estimator(loss, params, seed=0)
    if not report.exact:
        raise ValueError(f"expected noise whose outcomes can all be enumerated, got {report.runs} samples of it. "
                         "Use fewer units, or a rule that only compares its uniforms with other numbers")
    return report


def table(header, rows):
    """Print a table.  The first column is aligned left, the others right; floats have four significant digits."""
    rows = [[output.shown(f"{x:.4g}" if isinstance(x, float) else str(x)) for x in row] for row in [header, *rows]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [f"{x:>{width}}" for x, width in zip(others, widths[1:], strict=True)]
        print("   ".join([f"{first:<{widths[0]}}", *cells]))


def figure(rows=1, columns=1, height=3.8, **options):
    """An empty figure of the standard width, and its axes.  The options are those of ``subplots``."""
    made = Figure(figsize=(9, height), layout="constrained")
    return made, made.subplots(rows, columns, **options)


def close(drawn, path, ideas):
    """Save the picture, and show it if this is a notebook.  Then print its path and what to try next."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn.savefig(path, dpi=150)
    if in_notebook():
        from IPython.display import Image, display

        shown = BytesIO()
        drawn.savefig(shown, format="png", dpi=100)
        display(Image(shown.getvalue()))
    print(f"picture: {path}", "", "Try:", ideas.strip("\n"), sep="\n")
