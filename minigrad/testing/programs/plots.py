"""Bias and spread of an estimate, drawn in text."""

import numpy as np

from minigrad.testing.statistics import MOST_LINES

WIDTH = 60


def picture(report, width=WIDTH):
    """One line for each coordinate: the gradient (|), the mean (o), and one standard deviation on both sides (-).

    If gradient and mean are at the same place, it shows *.

    Parameters
    ----------
    report : EstimatorReport.
    width : width of the plot in characters, without the names of the coordinates.

    Returns
    -------
    str.  If there are more than 30 coordinates, it shows the 30 with the largest bias.

    >>> import numpy as np
    >>> from minigrad.testing.programs import numpy as programs
    >>> logits = np.array([0.0, 1.0])
    >>> def cost(choices):
    ...     return choices.bernoulli(1 / (1 + np.exp(-logits))).sum()
    >>> def half(choices):
    ...     p = 1 / (1 + np.exp(-logits))
    ...     bits = choices.bernoulli(p)
    ...     return 0.5 * bits.sum() * (bits - p)
    >>> print(picture(programs.check_estimator(cost, logits, half), width=30))
    gradient[0]  --------------o-----|---------
    gradient[1]      ---------o----|----
                 -0.202                   0.452
    | gradient   o mean of the estimate   * both   - one standard deviation of an estimate
    """
    m, truth = report.moments, report.truth
    spread = np.sqrt(m.variance)
    shown = np.sort(np.argsort(-np.abs(report.difference), kind="stable")[:MOST_LINES])
    low = min((m.mean - spread)[shown].min(), truth[shown].min())
    high = max((m.mean + spread)[shown].max(), truth[shown].max())
    scale = (width - 1) / (high - low) if high > low else 0.0

    def column(x):
        return round((x - low) * scale)

    margin = max(len(report.problem.coordinates[i]) for i in shown)
    lines = []
    for i in shown:
        line = [" "] * width
        for x in range(column(m.mean[i] - spread[i]), column(m.mean[i] + spread[i]) + 1):
            line[x] = "-"
        line[column(truth[i])] = "|"
        line[column(m.mean[i])] = "*" if column(m.mean[i]) == column(truth[i]) else "o"
        lines.append(f"{report.problem.coordinates[i]:{margin}}  {''.join(line).rstrip()}")
    left, right = f"{low:.3g}", f"{high:.3g}"
    lines.append(" " * (margin + 2) + left + right.rjust(width - len(left)))
    lines.append("| gradient   o mean of the estimate   * both   - one standard deviation of an estimate")
    return "\n".join(lines)
