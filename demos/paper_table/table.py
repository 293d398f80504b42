"""The table: means and intervals over seeds, next to the paper's values, and comparisons of rows.

    mean ± t √(s² / n),  s² the variance over n seeds, t the 97.5 % quantile of Student's t with n − 1 degrees

is a 95 % interval for the expected result of another seed.  It does not include the choice of the test set: for an
error of 1.9 % of 10,000 digits, the standard error is 0.14 points.  Two rows are compared seed by seed, by the
interval of their differences, because the same seed gives both rows the same digits in the same order.
"""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy.special import stdtrit

from demos.paper_table import report
from demos.paper_table.rows import EPOCHS, PATIENCE, ROWS, run, runs

__all__ = ["ALONE", "CAPTION", "picture", "run", "runs", "section"]

ALONE = False
CAPTION = "test errors of every row: the paper's, and ours in each recipe with 95 % intervals"


class Published(NamedTuple):
    """The values of a row in the paper's table: the training criterion, and errors in percent."""

    cost: float
    valid: float
    test: float


PAPER = {
    "noisy-rectifier": Published(6.7e-4, 1.52, 1.87),
    "straight-through": Published(3.3e-3, 1.42, 1.39),
    "sts": Published(4.4e-3, 1.86, 1.96),
    "sbn": Published(9.9e-3, 1.78, 1.89),
    "baseline-rectifier": Published(6.3e-5, 1.66, 1.60),
    "baseline-sigmoid-noise": Published(1.8e-3, 1.88, 1.87),
    "baseline-sigmoid": Published(3.2e-3, 1.97, 1.92),
}


class Claim(NamedTuple):
    """The claim that row ``one`` has a lower error than row ``other``, which differs from it in one respect."""

    question: str
    one: str
    other: str


CLAIMS = [
    Claim("Does noise help rectifier gates?", "noisy-rectifier", "baseline-rectifier"),
    Claim("Does noise help sigmoid gates?", "baseline-sigmoid-noise", "baseline-sigmoid"),
    *(Claim("Is straight-through the best noisy method?", "straight-through", other)
      for other in ("noisy-rectifier", "sts", "sbn")),
    Claim("Does the slope of σ help straight-through?", "straight-through-slope", "straight-through"),
    Claim("Does training the gater with REINFORCE help?", "sbn", "sbn-fixed"),
    Claim("Is √p (the paper) better than p (its code)?", "sts", "sts-code"),
    Claim("Does the penalty cost accuracy? Binary gates", "straight-through", "straight-through-unpenalised"),
    Claim("Does the penalty cost accuracy? Rectifier gates", "baseline-rectifier", "rectifier-unpenalised"),
    Claim("Are 200 open units better than 2000 with smooth gates?", "straight-through", "sigmoid-2000"),
    Claim("Are 200 open units better than 2000 rectifiers?", "straight-through", "ordinary-rectifier"),
    Claim("Are gates better than a linear layer?", "straight-through", "ordinary-linear"),
]


# ---- statistics -----------------------------------------------------------------------------------------------


def interval(values):
    """Mean and half-width of the 95 % t-interval.  The half-width of a single value is None.

    >>> mean, half = interval([1.0, 2.0, 3.0])
    >>> round(mean, 3), round(half, 3)
    (2.0, 2.484)
    """
    values = np.asarray(values, float)
    count = len(values)
    half = None if count < 2 else float(stdtrit(count - 1, 0.975) * values.std(ddof=1) / np.sqrt(count))
    return float(values.mean()), half


def of(records, row, recipe):
    """The results of a row and recipe: a dict from seed to result, sorted by seed."""
    found = (record["result"] for record in records.values())
    return {result["seed"]: result for result in sorted(found, key=lambda result: result["seed"])
            if (result["row"], result["recipe"]) == (row, recipe)}


def differences(records, one, other, recipe):
    """Test error of row ``one`` minus that of row ``other``: a list over the seeds that both have."""
    ours, theirs = of(records, one, recipe), of(records, other, recipe)
    return [ours[seed]["test"] - theirs[seed]["test"] for seed in ours if seed in theirs]


# ---- Markdown -------------------------------------------------------------------------------------------------


def section(records):
    """The section: what was run, the errors, details of each row, and the claims.

    Raises
    ------
    ValueError
        The runs are on different digits.
    """
    results = [record["result"] for record in records.values()]
    digits = {result["data"] for result in results}
    if len(digits) > 1:
        raise ValueError("section: expected runs on the same digits, got some on "
                         f"{' and some on '.join(sorted(digits))}. Keep them in different folders")
    if not results:
        return "No run has finished yet."
    recipes = list(dict.fromkeys(result["recipe"] for result in results))
    rows = rows_of(results)
    return "\n\n".join([
        about(records, digits.pop()),
        errors(records, rows, recipes),
        "Details, means over seeds:\n\n" + details(records, rows, recipes),
        "Differences of test errors in percentage points, with 95 % t-intervals over seeds (not corrected for the "
        "number of comparisons):\n\n"
        + claims(records, recipes),
    ])


def rows_of(results):
    """The rows of the paper, then our other rows that have results."""
    return [row for row in ROWS if row in PAPER or any(result["row"] == row for result in results)]


def about(records, digits):
    """A paragraph: what was run, and where."""
    results = [record["result"] for record in records.values()]
    minutes = sorted({record["settings"]["minutes"] for record in records.values()} - {None})
    lengths = {recipe: sorted({record["settings"]["epochs"] for record in records.values()
                               if record["settings"]["recipe"] == recipe}) for recipe in EPOCHS}
    text = [f"Runs on {digits}: {len(results)}, each on one core, with minigrad "
            f"{report.span(sorted({record['minigrad'] for record in records.values()}))} on "
            f"{'; '.join(sorted({result['machine'] for result in results}))}."]
    if digits != report.REAL:
        text.append("They are not results of the paper's experiment, which uses MNIST.")
    if minutes:
        text.append(f"With the recipe \"paper\" a run ends when its validation error has not decreased for {PATIENCE} "
                    f"epochs, or after {report.span([f'{limit:g}' for limit in minutes])} minutes of processor time.")
    text += [f"With the recipe \"{recipe}\" a run has {report.span(counts)} epochs; the learning rate decreases to 0."
             for recipe, counts in lengths.items() if counts]
    text.append("The epoch and the threshold θ of the gates were chosen on validation data.  The test error was then "
                "measured once.")
    return "\n".join(text)


def errors(records, rows, recipes):
    """The table of errors in percent."""
    heads = ["row", "paper: valid", "test"]
    for recipe in recipes:
        heads += [f"recipe \"{recipe}\": valid", "test", "seeds"]
    lines = []
    for row in rows:
        paper = PAPER.get(row)
        line = [f"`{row}`", paper and f"{paper.valid:.2f}", paper and f"{paper.test:.2f}"]
        for recipe in recipes:
            found = of(records, row, recipe).values()
            line += [percent(found, "valid"), percent(found, "test"), len(found) or None]
        lines.append(line)
    return report.table(heads, lines)


def percent(results, key):
    """The mean in percent with its interval, or None."""
    if not results:
        return None
    return plus_minus(*interval([100 * result[key] for result in results]))


def plus_minus(mean, half, sign=""):
    text = f"{mean:{sign}.2f}".replace("-", "−")
    return text if half is None else f"{text} ± {half:.2f}"


def details(records, rows, recipes):
    """The table of details, with the test error of every seed."""
    heads = ["row", "recipe", "chosen epoch", "of", "stopped by", "θ", "training cost", "during training", "paper",
             "open in training", "open at test", "processor minutes", "test error of each seed"]
    lines = []
    for recipe in recipes:
        for row in rows:
            found = of(records, row, recipe).values()
            if not found:
                continue

            def mean(key, found=found):
                return float(np.mean([result[key] for result in found]))

            has_theta = all(result["theta"] is not None for result in found)
            lines.append([
                f"`{row}`", recipe, f"{mean('epoch'):.0f}", f"{mean('epochs'):.0f}",
                ", ".join(sorted({result["stopped"] for result in found})),
                f"{mean('theta'):.3f}" if has_theta else None,
                f"{mean('cost'):.2g}", f"{mean('cost while training'):.2g}",
                f"{PAPER[row].cost:.2g}" if row in PAPER else None,
                f"{100 * mean('open while training'):.1f} %", f"{100 * mean('open'):.1f} %",
                f"{mean('core seconds') / 60:.2g}",
                ", ".join(f"{100 * result['test']:.2f}" for result in found),
            ])
    return report.table(heads, lines)


def claims(records, recipes):
    """The table of claims, with the differences between rows.  A claim without runs has a line of dashes."""
    lines = []
    for claim in CLAIMS:
        points = {recipe: [100 * difference for difference in differences(records, claim.one, claim.other, recipe)]
                  for recipe in recipes}
        for recipe in [recipe for recipe in recipes if points[recipe]] or [None]:
            found = points.get(recipe, [])
            lines.append([claim.question, f"`{claim.one}` − `{claim.other}`", recipe,
                          plus_minus(*interval(found), "+") if found else None, len(found) or None, verdict(found)])
    return report.table(["claim", "difference", "recipe", "points", "seeds", "result"], lines)


def verdict(found):
    """Whether the first row is better or worse, in words.  None without differences."""
    if not found:
        return None
    mean, half = interval(found)
    if half is None:
        return "one seed: not tested"
    if abs(mean) <= half:
        return "no significant difference"
    return "better" if mean < 0 else "worse"


# ---- the picture ----------------------------------------------------------------------------------------------

COLOURS = "#0072b2", "#e69f00", "#009e73", "#cc79a7"        # for colour-blind readers


def picture(records, path):
    """Test errors: diamonds for the paper, and for each recipe all seeds, their mean and its interval."""
    results = [record["result"] for record in records.values()]
    recipes = list(dict.fromkeys(result["recipe"] for result in results))
    rows = rows_of(results)
    figure = Figure(figsize=(8, 1.2 + 0.36 * len(rows)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(rows))
    if all(result["data"] == report.REAL for result in results):
        published = [(PAPER[row].test, y) for row, y in zip(rows, places, strict=True) if row in PAPER]
        axes.plot(*zip(*published, strict=True), "D", color="#d55e00", markersize=5, label="the paper", zorder=3)
    for index, (recipe, colour) in enumerate(zip(recipes, COLOURS, strict=False)):
        label = f"ours, recipe \"{recipe}\""
        for y, row in zip(places + 0.2 * (index - (len(recipes) - 1) / 2), rows, strict=True):
            tests = [100 * result["test"] for result in of(records, row, recipe).values()]
            if not tests:
                continue
            mean, half = interval(tests)
            axes.plot(tests, [y] * len(tests), "|", color=colour, alpha=0.6, markersize=7)
            axes.errorbar(mean, y, xerr=half, fmt="o", color=colour, markersize=4.5, capsize=3, label=label)
            label = None
    axes.set(xlabel="wrong answers at test (%): seeds, their mean, 95 % interval", yticks=places, yticklabels=rows)
    axes.invert_yaxis()
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    figure.legend(frameon=False, loc="outside upper center", ncols=4)
    figure.savefig(path, dpi=150)
