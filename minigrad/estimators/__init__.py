"""Gradient estimators: the rules of binary nodes, one file per family.

A rule estimates ∂E[cost]/∂logit from one sample.  Choose by what you can do with the cost:

    differentiate it        StraightThrough, …Slope, …Clipped,      low variance, biased
                            …Annealed, Surrogate
                            Darn, ReinMax, Zgr                      less bias; none for quadratic costs
                            GumbelStraightThrough, GumbelRao,       biased; the temperature trades
                            GumbelSigmoid                           bias for variance
    only observe it         Reinforce                               unbiased, high variance
                            Nvil, Relax                             less variance, once they have learned
                            Vimco                                   for importance-weighted bounds
                            Correlation                             biased, since it is not centred
    evaluate it elsewhere   ARM, DisARM, BitFlip, PrunedFlip        unbiased, one evaluation more
                            LeaveOneOut, ARMS                       unbiased, K − 1 evaluations more
                            SPSA                                    almost unbiased, two evaluations more
                            LocalExpectation, Enumerate             least variance, many evaluations
    differentiate, observe  LearnedCorrection                       learns to correct the bias
    all three               MuProp, Rebar, DoubleControlVariate,    unbiased, less variance
                            Rodeo
    bypass the sample       Stop                                    passes no gradient

Every rule can be made without arguments.  To write your own, see ``minigrad.Estimator``.
"""

from minigrad.estimators.antithetic import ARM, DisARM
from minigrad.estimators.concrete import GumbelRao, GumbelSigmoid, GumbelStraightThrough
from minigrad.estimators.control_variates import DoubleControlVariate, MuProp, Rebar
from minigrad.estimators.flips import BitFlip, Enumerate, LocalExpectation
from minigrad.estimators.learned import LearnedCorrection
from minigrad.estimators.multi_sample import ARMS, LeaveOneOut
from minigrad.estimators.nvil import Nvil
from minigrad.estimators.perturbation import SPSA
from minigrad.estimators.pruned import PrunedFlip
from minigrad.estimators.relax import Relax
from minigrad.estimators.rodeo import Rodeo
from minigrad.estimators.score_function import Correlation, Reinforce
from minigrad.estimators.second_order import Darn, ReinMax, Zgr
from minigrad.estimators.stop import Stop
from minigrad.estimators.straight_through import (
    StraightThrough,
    StraightThroughClipped,
    StraightThroughSlope,
)
from minigrad.estimators.surrogate import StraightThroughAnnealed, Surrogate
from minigrad.estimators.vimco import Vimco

__all__ = [
    "ARM", "ARMS", "SPSA", "BitFlip", "Correlation", "Darn", "DisARM", "DoubleControlVariate", "Enumerate",
    "GumbelRao", "GumbelSigmoid", "GumbelStraightThrough", "LearnedCorrection", "LeaveOneOut",
    "LocalExpectation", "MuProp", "Nvil", "PrunedFlip", "Rebar", "ReinMax", "Reinforce", "Relax", "Rodeo", "Stop",
    "StraightThrough", "StraightThroughAnnealed", "StraightThroughClipped", "StraightThroughSlope", "Surrogate",
    "Vimco", "Zgr",
]
