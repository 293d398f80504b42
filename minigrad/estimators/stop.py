"""A rule for samples that pass no gradient on, because it takes another way."""

from minigrad.rule import Estimator


class Stop(Estimator):
    """d cost / d logit = 0: the sample is held constant.

    For units whose gradient is routed round the sample, such as stochastic times smooth (h = b √p,
    Eq 2 of Bengio, Léonard & Courville 2013), which differentiates √p and treats b as given.  Needs
    nothing, so nothing is computed for units that sampled 0.  As the only way back it is silent
    about everything the sample did: biased, with variance 0.
    """

    needs_closed_gates = False
    differentiable = True

    def backward(self, node):
        return 0 * node.value
