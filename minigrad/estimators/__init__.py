"""Gradient estimators: the rules of binary nodes, one file per family.

A rule answers one question: what is ∂E[cost]/∂logit, judging by one sample?  Choose by what the cost
lets you do:

    differentiate it        StraightThrough, …Slope, …Clipped       low variance, biased
                            Darn, ReinMax                           less bias: none for quadratics
    only observe it         Reinforce                               unbiased, noisy
                            Correlation                             with the bias that centring removes
    evaluate it elsewhere   ARM, DisARM, BitFlip                    unbiased, one evaluation more
                            SPSA                                    nearly so, two evaluations more
                            LocalExpectation, Enumerate             least variance, many evaluations
    the first two           LearnedCorrection                       learns to mend the bias
    route round the sample  Stop                                    nothing at all

Every rule can be made without arguments.  To write one, see ``minigrad.Estimator``.
"""

from minigrad.estimators.antithetic import ARM, DisARM
from minigrad.estimators.flips import BitFlip, Enumerate, LocalExpectation
from minigrad.estimators.learned import LearnedCorrection
from minigrad.estimators.perturbation import SPSA
from minigrad.estimators.score_function import Correlation, Reinforce
from minigrad.estimators.second_order import Darn, ReinMax
from minigrad.estimators.stop import Stop
from minigrad.estimators.straight_through import (
    StraightThrough,
    StraightThroughClipped,
    StraightThroughSlope,
)

__all__ = [
    "ARM", "SPSA", "BitFlip", "Correlation", "Darn", "DisARM", "Enumerate", "LearnedCorrection",
    "LocalExpectation", "ReinMax", "Reinforce", "Stop", "StraightThrough", "StraightThroughClipped",
    "StraightThroughSlope",
]
