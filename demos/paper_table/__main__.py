"""The command: runs everything that has no result yet, one part after the other, and writes the report.

    python -m demos.paper_table --rows sbn sts --seeds 5 --jobs 2
    python -m demos.paper_table --executor dask://host:8786          on Dask's workers
    mpiexec -n 9 python -m mpi4py.futures -m demos.paper_table --executor mpi

Finished runs are never repeated.  You can stop the command with Ctrl-C and start it again, for example with more seeds.
"""

import argparse
import os
import shutil
import sys
from functools import partial
from math import inf
from pathlib import Path

# This must be set before NumPy is loaded, as in demos.conditional_mnist.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from demos.benchmarks.measure import PRESETS
from demos.conditional_mnist import RECIPES, positive
from demos.paper_table import gradients, report, rows, sizes, table, timing
from minigrad import study

PARTS = {"table": table, "timing": timing, "sizes": sizes, "gradients": gradients}
TITLES = {"table": "The paper's experiment", "timing": "Time per step and per answer",
          "sizes": "More units, with a fixed number of open units",
          "gradients": "The gradient of every rule in the paper's network"}
QUESTIONS = {"table": "Which errors do the paper's methods reach, and do the paper's claims hold?",
             "timing": "How much time does skipping save in the paper's network?",
             "sizes": "How do error and time change if the number of units grows, but not the number of open units?",
             "gradients": "Which rule gives the gater the best gradient?"}

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED, PICTURES = ROOT / "demos" / "benchmarks" / "RESULTS.md", ROOT / "demos" / "pictures"


def above_zero(text):
    number = float(text)
    if not 0 < number < inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return number


def make_parser():
    parser = argparse.ArgumentParser(
        prog="python -m demos.paper_table", formatter_class=argparse.RawTextHelpFormatter,
        description="Run the whole experiment of the paper, and write the report.")
    add = parser.add_argument
    add("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="NAME",
        help=f"{', '.join(PARTS)} (default: all)")
    add("--rows", nargs="+", choices=rows.ROWS, default=list(rows.ROWS), metavar="NAME",
        help=f"rows of the table:\n{chr(10).join(rows.ROWS)}\n(default: all)")
    add("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES), metavar="NAME",
        help=f"{', '.join(RECIPES)} (default: all)")
    add("--seeds", type=positive, metavar="N", help="seeds for each row (default: 5, with --quick 2)")
    add("--minutes", type=above_zero, default=20.0, metavar="N",
        help="processor time after which a run in the paper's recipe ends (default: 20)")
    add("--data", metavar="FOLDER", help="folder of the four files of MNIST (default: found or downloaded)")
    add("--folder", default="out/paper_table", help="for results and checkpoints (default: %(default)s)")
    add("--jobs", type=positive, metavar="N", help="parallel runs on this machine (default: one for each core)")
    add("--executor", default="local", metavar="WHERE", help="local, dask://host:port or mpi (default: local)")
    add("--quick", action="store_true", help="few synthetic digits and epochs, in its own folder: three minutes")
    add("--report", action="store_true", help="run nothing; write the report from the existing results")
    add("--publish", action="store_true",
        help="also write the report into demos/benchmarks/RESULTS.md,\nand its pictures to demos/pictures")
    return parser


def carry_out(given, data, folder):
    """Run everything that has no result yet.  Returns whether all runs have a result now."""
    complete = True
    for name in sorted(given.parts, key=lambda name: PARTS[name].ALONE):       # timed parts come last
        part = PARTS[name]
        print(f"{name}:", flush=True)
        if part.ALONE:          # its workers load NumPy again, without presets that slow it down
            for preset in PRESETS:
                os.environ.pop(preset, None)
        outcome = study.run(
            partial(report.with_source, part.run, data=data, folder=str(folder / name / "runs")),
            part.runs(given), folder / name,
            executor="local" if part.ALONE else given.executor, jobs=1 if part.ALONE else given.jobs)
        for run in outcome.failures:
            print(f"failed: {folder / name / run}.error.txt", file=sys.stderr)
        complete = complete and not outcome.failures
        if given.quick and not outcome.failures:
            shutil.rmtree(folder / name / "runs", ignore_errors=True)     # checkpoints: a gigabyte
    return complete


def write_report(given, folder, results, pictures):
    """Write the sections of the parts into the file `results`, and their pictures into the folder `pictures`."""
    pictures.mkdir(parents=True, exist_ok=True)
    sections = {}
    for name in given.parts:
        part, records = PARTS[name], study.records(folder / name)
        heading = f"## {TITLES[name]}\n\n{QUESTIONS[name]}\n\n```\n$ python -m demos.paper_table --parts {name}\n```"
        sections[name] = "\n\n".join([heading, *report.finished(records), part.section(records)])
        if records:
            path = pictures / f"paper_{name}.png"
            part.picture(records, path)
            link = os.path.relpath(path, results.parent).replace(os.sep, "/")
            sections[name] += f"\n\n![{part.CAPTION}]({link})"
    report.write(results, sections)
    print(f"report: {results}")


def refuse_other_digits(given, folder):
    """Raise ValueError unless all results are on MNIST."""
    for name in given.parts:
        digits = {record["result"]["data"] for record in study.records(folder / name).values()}
        if given.quick or digits - {report.REAL}:
            raise ValueError(f"--publish: expected results on {report.REAL}, but --quick or a run in {folder / name} "
                             "is on synthetic digits; leave out --quick, or name another --folder")


def main(argv=None):
    parser = make_parser()
    given = parser.parse_args(argv)
    given.seeds = given.seeds or (2 if given.quick else 5)
    folder = Path(given.folder, "quick") if given.quick else Path(given.folder)
    data = "quick" if given.quick else given.data and os.path.abspath(given.data)
    complete = True
    try:
        if given.publish:
            refuse_other_digits(given, folder)
        if not given.report:
            rows.digits(data)               # an error here stops before the workers start
            complete = carry_out(given, data, folder)
    except (ValueError, OSError, ImportError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        print("\nstopped; the same command continues from there", file=sys.stderr)
        return 130
    write_report(given, folder, folder / "RESULTS.md", folder)
    if given.publish:
        write_report(given, folder, PUBLISHED, PICTURES)
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
