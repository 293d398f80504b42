"""Wrong declarations, wrong dtypes, and claims that are not true."""

import random

import numpy as np

from minigrad.estimators import SPSA, Darn, Reinforce, StraightThrough, StraightThroughSlope
from minigrad.testing.mutants.entering import mutant


@mutant("extreme_logits", "not finite at logits ±80")
class Overflowing(Reinforce):
    """The score as (b − θ) / v, times v: 0 / 0 where θ rounds to 1."""

    def backward(self, node):
        v = node.probs * (1 - node.probs)
        return (node.value - node.probs) / v * v * node.cost


@mutant("single_precision", "dtype float32")
class HalfPrecision(Reinforce):
    """Estimates are float16 in a float32 graph."""

    def backward(self, node):
        return super().backward(node).astype(np.float16)


@mutant("needs", "never asks for it")
class AsksTooMuch(Reinforce):
    """Declares that it needs the gradient, so every kernel below computes one that nobody uses."""

    needs = frozenset({"cost", "grad"})


@mutant("closed_gates", "needs_closed_gates = False", StraightThrough())
class ClosedGatesIgnored(StraightThrough):
    """Says that it can do without the gradient at closed gates, and uses it."""

    needs_closed_gates = False


@mutant("documented_mean", "mean off by", StraightThroughSlope())
class SlopeForgotten(StraightThroughSlope):
    """Straight-through without the slope that was asked for."""

    def backward(self, node):
        return node.grad


@mutant("documented_mean", "mean off by", StraightThrough())
class SlopeUnasked(StraightThrough):
    """Straight-through with a slope that nobody asked for."""

    def backward(self, node):
        return node.grad * node.probs * (1 - node.probs)


@mutant("single_precision", "float32 and float64 differ")
class HalfPrecisionInside(Reinforce):
    """float16 arithmetic in a float32 graph, and a float32 result."""

    def backward(self, node):
        estimate = super().backward(node)
        return estimate if node.value.dtype == np.float64 else estimate.astype(np.float16).astype(np.float32)


@mutant("single_precision", "float32 and float64 differ")
class EpsilonForSinglePrecision(Reinforce):
    """A small number "against division by zero" that is not small: 1e-4 in float32."""

    def backward(self, node):
        small = 1e-4 if node.value.dtype == np.float32 else 0.0
        return super().backward(node) / (1 + small)


@mutant("extreme_logits", "not finite at logits ±80")
class RatioOfProbabilities(Reinforce):
    """b/θ − (1 − b)/(1 − θ) times θ(1 − θ): 0 / 0 where θ is 1."""

    def backward(self, node):
        p = node.probs
        return (node.value / p - (1 - node.value) / (1 - p)) * p * (1 - p) * node.cost


@mutant("extreme_logits", "not finite at logits ±800")
class OwnSigmoid(Reinforce):
    """e^x / (1 + e^x), which is ∞ / ∞ for large x."""

    def backward(self, node):
        e = np.exp(node.logits)
        return (node.value - e / (1 + e)) * node.cost


@mutant("needs", "never asks for it")
class AsksForLogWeights(Reinforce):
    """Declares that it needs log-weights."""

    needs = frozenset({"cost", "inner"})


@mutant("determinism", "not deterministic under a seed")
class PythonsNoise(Reinforce):
    """Noise of mean 0 from Python's generator."""

    def backward(self, node):
        return super().backward(node) + 0.1 * (random.random() - 0.5)


@mutant("mean", "biased at logits")
class SlopeClaimed(StraightThroughSlope):
    """Straight-through with the slope of the sigmoid, said to be unbiased."""

    unbiased = True


@mutant("mean", "biased at logits", Darn())
class DarnClaimed(Darn):
    """DARN, exact for quadratic costs, said to be so for all."""

    unbiased = True


@mutant("mean", "biased at logits", SPSA())
class PerturbationClaimed(SPSA):
    """SPSA with a step so small that no sampled test would see its bias."""

    unbiased = True

    def __init__(self):
        super().__init__(c=0.01)
