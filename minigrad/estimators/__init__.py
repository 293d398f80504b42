"""Gradient estimators: the rules of binary nodes, one file per family.

A rule answers one question: what is ∂E[cost]/∂logit, judging by one sample?  Choose by what the cost
lets you do:

    differentiate it        StraightThrough, StraightThroughSlope       low variance, biased
    only observe it         Reinforce, Correlation                      unbiased (the first), noisy
    evaluate it elsewhere   SPSA                                        nearly unbiased
    both of the first two   LearnedCorrection                           learns to mend the bias
    route round the sample  Stop

Every rule can be made without arguments.  To write one, see ``minigrad.Estimator``.
"""

from minigrad.estimators.learned import LearnedCorrection
from minigrad.estimators.perturbation import SPSA
from minigrad.estimators.score_function import Correlation, Reinforce
from minigrad.estimators.stop import Stop
from minigrad.estimators.straight_through import StraightThrough, StraightThroughSlope

__all__ = [
    "SPSA", "Correlation", "LearnedCorrection", "Reinforce", "Stop", "StraightThrough", "StraightThroughSlope",
]
