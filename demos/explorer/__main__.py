"""Which gradient estimators are biased, how large is their variance, and how much time do they take?  A web page.

    python -m demos.explorer                under a minute
    python -m demos.explorer --quick        a coarse version, in ten seconds

The command writes one HTML file.  It needs no network and no server: open it in a browser.  Choose a problem, a rule,
the logit θ, the number of samples per estimate, and a temperature.  The page shows the expected cost, the exact
gradient, the mean of the rule's estimates, their distribution, and their cost.  The command computes every number on
the page, including the estimates in the histograms.
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
DIGITS = 6      # significant digits of each number


def rounded(x):
    """The data with numbers rounded to DIGITS significant digits."""
    if isinstance(x, float):
        return float(f"{x:.{DIGITS}g}")
    if isinstance(x, dict):
        return {name: rounded(value) for name, value in x.items()}
    return [rounded(value) for value in x] if isinstance(x, list) else x


def page(data):
    """The HTML text with style, program and data inserted."""
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
    add("--quick", action="store_true", help="fewer values of θ and fewer estimates per histogram")
    add("--seed", type=lesson.seed_number, default=0, metavar="N", help="seed of all noise (default: %(default)s)")
    add("--out", type=Path, metavar="FILE", default="out/explorer.html", help="the page (default: %(default)s)")
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

# To try: add your own cost to problems.py, or your own rule to mg.estimators.
