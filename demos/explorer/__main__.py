"""Which gradient estimator is right, how far does it scatter, and what does it cost?  A page to try it out.

    python -m demos.explorer                under a minute
    python -m demos.explorer --quick        a coarse one, in ten seconds

Writes one HTML file that needs no network and no server: open it in a browser.  Choose a problem, a
rule, the logit θ, how many samples an estimate is made of, and a temperature; see the expected cost, the
exact gradient, what the rule makes of it on average, how its estimates scatter, and what they cost.
Every number on the page is computed here and now, the histograms' estimates among them.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path

import numpy as np

from demos import lesson
from demos.explorer import measure

HERE = Path(__file__).parent
DIGITS = 6      # of each number


def rounded(x):
    """Numbers with as many digits as can be seen."""
    if isinstance(x, float):
        return float(f"{x:.{DIGITS}g}")
    if isinstance(x, dict):
        return {name: rounded(value) for name, value in x.items()}
    return [rounded(value) for value in x] if isinstance(x, list) else x


def page(data):
    """The page with its style, its program and its data in place."""
    text = (HERE / "page.html").read_text(encoding="utf-8")
    parts = {name: (HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js")}
    # A "</" would end the script that holds the data.
    parts["data"] = json.dumps(rounded(data), ensure_ascii=False, separators=(",", ":")).replace("</", r"<\/")
    for name, part in parts.items():
        text = text.replace(f"/* {name} */", part)
    return text


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m demos.explorer", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--quick", action="store_true", help="fewer θ, and fewer estimates in histograms")
    add("--seed", type=lesson.seed_number, default=0, metavar="N", help="of all noise (default: %(default)s)")
    add("--out", type=Path, metavar="FILE", default="out/explorer.html", help="page (default: %(default)s)")
    given = parser.parse_args(argv)
    thetas, draws = (np.linspace(-3, 3, 5), 512) if given.quick else (np.linspace(-4, 4, 17), 4096)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    progress = partial(lesson.progress, unit="rule", leave=False)
    data = measure.grid(thetas, draws, given.seed, progress=progress)
    given.out.write_text(page(data), encoding="utf-8")
    print(f"page: {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

# Change and try: a cost of your own in problems.py; a rule of your own, entered into mg.estimators.
