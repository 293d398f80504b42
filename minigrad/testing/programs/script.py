"""Scripts: the samples that a program gets in one run."""

import numpy as np

from minigrad.arguments import described
from minigrad.testing.outcomes import Tape

MOST_CHOICES = 10_000       # in one run; a loop that waits for a rare outcome would never end
SAME = 1e-6                 # probabilities this close count as equal: float32 sums may differ between runs


class Script(Tape):
    """A tape that checks the program: the same samples must lead to the same probabilities of the next choice.

    Alternatives of probability 0 are left out.

    >>> script, found = Script(), {}
    >>> while script.rewind():
    ...     bits = script.bernoulli(np.array([0.25, 1.0]))
    ...     found[tuple(bits.tolist())] = script.probability
    ...     script.close()
    >>> found
    {(False, True): 0.75, (True, True): 0.25}
    """

    def __init__(self):
        super().__init__()
        self.asked = []         # the probabilities of each choice that was made
        self.most = None        # how many choices a run that is repeated may make

    def choose(self, probabilities):
        """The index of one alternative, whose probability is not 0."""
        probabilities = [float(p) for p in probabilities]
        if self.position >= MOST_CHOICES:
            raise ValueError(f"expected a program with finitely many samples, got one that made {MOST_CHOICES} choices "
                             "in one run. Does a loop wait for an outcome? Give it a largest number of steps")
        total = sum(probabilities)
        if not all(p >= 0 for p in probabilities) or not abs(total - 1) < 1e-3:     # false for NaN, too
            raise ValueError(f"expected probabilities that are at least 0 and add up to 1, got {probabilities}. Is a "
                             "logit given for a probability, or is a parameter at the edge of its range?")
        if self.position == self.most:
            raise ValueError(f"expected {self.most} choices, as in the last run with these samples, got more. {ADVICE}")
        if self.position < len(self.asked):
            before = self.asked[self.position]
            if len(before) != len(probabilities) or any(
                    abs(p - q) > SAME for p, q in zip(before, probabilities, strict=True)):
                raise ValueError(f"choice {self.position} of a run: expected the probabilities {before}, because all "
                                 f"samples before it are as in the last run, got {probabilities}. {ADVICE}")
        else:
            self.asked.append(probabilities)
        possible = [i for i, p in enumerate(probabilities) if p > 0]
        return possible[super().choose([probabilities[i] / total for i in possible])]

    def bernoulli(self, probabilities):
        """Bernoulli samples: an array of bools, one for each probability."""
        probabilities = np.asarray(probabilities, float)
        return np.array([self.choose([1 - p, p]) == 1 for p in probabilities.ravel()],
                        bool).reshape(probabilities.shape)

    def close(self):
        """Check at the end of a run that the program made all choices of the script."""
        if self.position != len(self.taken):
            raise ValueError(f"expected {len(self.taken)} choices, as in the last run with these samples, got "
                             f"{self.position}. {ADVICE}")
        del self.asked[self.position:]
        self.most = None

    def rewind(self):
        """Prepare the next run.  Returns False if there is none."""
        found = super().rewind()
        del self.asked[len(self.taken):]
        return found

    def again(self):
        """Prepare a repetition of the last run."""
        self.position, self.probability, self.most = 0, 1.0, len(self.taken)

    @property
    def alike(self):
        """The number of outcomes if all runs are like the last one."""
        count = 1
        for _, alternatives in self.taken:
            count *= alternatives
        return count


ADVICE = ("The result must depend on the samples only. The program may keep a value from run to run (a running mean, a "
          "counter, an optimiser's step), or draw from its own generator. Keep these fixed during the check")


def number(what, x):
    """``x`` as a float, if it is a scalar.  It is the result of the function whose name is ``what``."""
    try:
        found = None if x is None else np.asarray(x, float)
    except (TypeError, ValueError):
        found = None
    if found is None or found.size != 1:
        raise ValueError(f"expected {what} to return a scalar, got {described(x)}. Is a return missing, or a .mean() "
                         "over the samples?")
    return float(found.reshape(()))
