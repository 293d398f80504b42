"""The table: means and intervals over seeds, beside what the paper has, and the claims that are put to the test.

    mean ± t √(s² / n),  s² the variance over n seeds, t the 97.5 % quantile of Student's t with n − 1 degrees

is a 95 % interval for what another seed gives on average.  It says nothing of what another test set would give:
of 10,000 digits, 1.9 % wrong has a standard error of 0.14 points.  Two rows are compared seed by seed, by the
interval of the differences, for the same seed gives them the same digits in the same order.
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
    """What the paper's table has for a row: the training criterion, and errors in percent."""

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
    """That row ``one`` errs less than row ``other``, whose networks and recipes are the same but for one thing."""

    question: str
    one: str
    other: str


CLAIMS = [
    Claim("Does noise help rectifier gates?", "noisy-rectifier", "baseline-rectifier"),
    Claim("Does noise help sigmoid gates?", "baseline-sigmoid-noise", "baseline-sigmoid"),
    *(Claim("Is straight-through the best of the noisy ones?", "straight-through", other)
      for other in ("noisy-rectifier", "sts", "sbn")),
    Claim("Does the slope of σ help straight-through?", "straight-through-slope", "straight-through"),
    Claim("Does REINFORCE teach the gater anything?", "sbn", "sbn-fixed"),
    Claim("Does √p, as in the paper, beat p, as in its code?", "sts", "sts-code"),
    Claim("Do closed gates cost accuracy? Binary ones", "straight-through", "straight-through-unpenalised"),
    Claim("Rectifiers", "baseline-rectifier", "rectifier-unpenalised"),
    Claim("Against all 2000 units, under smooth gates", "straight-through", "sigmoid-2000"),
    Claim("Against an ordinary layer of 2000 rectifiers", "straight-through", "ordinary-rectifier"),
    Claim("Do gates add anything?", "straight-through", "ordinary-linear"),
]


# ---- statistics -----------------------------------------------------------------------------------------------


def interval(values):
    """Mean and half-width of the 95 % t-interval, None for a single value.

    >>> mean, half = interval([1.0, 2.0, 3.0])
    >>> round(mean, 3), round(half, 3)
    (2.0, 2.484)
    """
    values = np.asarray(values, float)
    count = len(values)
    half = None if count < 2 else float(stdtrit(count - 1, 0.975) * values.std(ddof=1) / np.sqrt(count))
    return float(values.mean()), half


def of(records, row, recipe):
    """The results of a row in a recipe: a dict from seed to result, in the order of seeds."""
    found = (record["result"] for record in records.values())
    return {result["seed"]: result for result in sorted(found, key=lambda result: result["seed"])
            if (result["row"], result["recipe"]) == (row, recipe)}


def differences(records, one, other, recipe):
    """Test error of row ``one`` minus that of row ``other``, for each seed that both have: a list."""
    ours, theirs = of(records, one, recipe), of(records, other, recipe)
    return [ours[seed]["test"] - theirs[seed]["test"] for seed in ours if seed in theirs]


# ---- Markdown -------------------------------------------------------------------------------------------------


def section(records):
    """What was run, the table, how each row came about, and the claims.

    Raises
    ------
    ValueError
        Runs on different digits.
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
        "How they came about, means over seeds:\n\n" + details(records, rows, recipes),
        "Differences of test errors in percentage points, seed by seed, with 95 % t-intervals, each for itself:\n\n"
        + claims(records, recipes),
    ])


def rows_of(results):
    """The paper's rows, then those of ours that have results."""
    return [row for row in ROWS if row in PAPER or any(result["row"] == row for result in results)]


def about(records, digits):
    """What was run, where and when, in a paragraph."""
    results = [record["result"] for record in records.values()]
    finished = sorted(record["finished"][:10] for record in records.values())
    minutes = sorted({record["settings"]["minutes"] for record in records.values()} - {None})
    lengths = {recipe: sorted({record["settings"]["epochs"] for record in records.values()
                               if record["settings"]["recipe"] == recipe}) for recipe in EPOCHS}
    text = [f"Runs on {digits}: {len(results)}, each on one core, finished {span(finished)}, with minigrad "
            f"{span(sorted({record['minigrad'] for record in records.values()}))} on "
            f"{'; '.join(sorted({result['machine'] for result in results}))}."]
    if digits != report.REAL:
        text.append("They say nothing of the paper's experiment, which is on MNIST.")
    if minutes:
        text.append(f"In the recipe \"paper\" a run ends when its validation error has not fallen for {PATIENCE} "
                    f"epochs, or after {span([f'{limit:g}' for limit in minutes])} minutes of computing.")
    text += [f"In the recipe \"{recipe}\" it ends after {span(counts)} epochs, to which its learning rate is fitted."
             for recipe, counts in lengths.items() if counts]
    text.append("The epoch, and the threshold θ of the gates, were chosen on validation data and written down before "
                "the test digits were looked at, once.")
    return "\n".join(text)


def span(values):
    """The first of sorted values, to the last if that is another."""
    return f"{values[0]}" if values[0] == values[-1] else f"{values[0]} to {values[-1]}"


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
    """The table of how each row came about, with every seed's test error: means and intervals can be checked."""
    heads = ["row", "recipe", "chosen epoch", "of", "stopped by", "θ", "training cost", "as it went", "paper's",
             "open in training", "at test", "minutes of a core", "test error of each seed"]
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
    """The table of what the differences between rows say; a claim that nothing was run for has a blank line."""
    lines = []
    for claim in CLAIMS:
        points = {recipe: [100 * difference for difference in differences(records, claim.one, claim.other, recipe)]
                  for recipe in recipes}
        for recipe in [recipe for recipe in recipes if points[recipe]] or [None]:
            found = points.get(recipe, [])
            lines.append([claim.question, f"`{claim.one}` − `{claim.other}`", recipe,
                          plus_minus(*interval(found), "+") if found else None, len(found) or None, verdict(found)])
    return report.table(["claim", "difference", "recipe", "points", "seeds", "so"], lines)


def verdict(found):
    """What differences of error say of the first row, in words; None if there are none."""
    if not found:
        return None
    mean, half = interval(found)
    if half is None:
        return "one seed cannot say"
    if abs(mean) <= half:
        return "no difference beyond the seeds'"
    return "better" if mean < 0 else "worse"


# ---- the picture ----------------------------------------------------------------------------------------------

COLOURS = "#0072b2", "#e69f00", "#009e73", "#cc79a7"        # told apart by all eyes


def picture(records, path):
    """Test errors: a diamond for the paper's, and for each recipe every seed, their mean and its interval."""
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
