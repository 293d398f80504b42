"""Right and wrong estimators for binary variables, as people write them in PyTorch.

Each name says what is right or wrong about the estimator.  If the bias has a closed form, it is compared with it.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import torch.nn.functional as F  # noqa: E402
from torch.distributions import Bernoulli, RelaxedBernoulli  # noqa: E402

from minigrad.testing.programs import pytorch  # noqa: E402

RIGHT, WRONG = {}, {}


def right(function):
    RIGHT[function.__name__] = function
    return function


def wrong(**facts):
    """A biased estimator.  If its mean is a multiple of the gradient of a parameter, the factor is given."""
    def add(function):
        WRONG[function.__name__] = (function, facts)
        return function
    return add


class Model:
    """Two bits of a latent variable, a decoder w that the cost depends on, and a baseline c."""

    def __init__(self, dtype=torch.float64):
        self.logits = torch.tensor([0.4, -0.9], dtype=dtype, requires_grad=True)
        self.w = torch.tensor([1.5, -0.5], dtype=dtype, requires_grad=True)
        self.c = torch.tensor(0.8, dtype=dtype, requires_grad=True)
        self.params = {"logits": self.logits, "w": self.w}

    def f(self, bits):
        """The cost at bits, or at anything between them: curved, and coupling both bits."""
        return (bits @ self.w - 0.45) ** 2 + torch.exp(0.5 * bits[..., 0] + bits[..., 1] * bits[..., 0])

    def cost(self):
        return self.f(Bernoulli(logits=self.logits).sample())

    def sampled(self, *shape):
        q = Bernoulli(logits=self.logits)
        b = q.sample(shape)
        return self.f(b), q.log_prob(b).sum(-1)


@pytest.fixture
def model():
    return Model()


# ---- right ---------------------------------------------------------------------------------------------------


@right
def reinforce(m):
    cost, log_prob = m.sampled()
    return cost.detach() * log_prob + cost


@right
def reinforce_against_a_constant(m):
    cost, log_prob = m.sampled()
    return (cost.detach() - 0.8) * log_prob + cost


@right
def reinforce_against_a_learned_baseline(m):
    cost, log_prob = m.sampled()
    return (cost - m.c).detach() * log_prob + cost + 0.5 * (cost.detach() - m.c) ** 2


@right
def reinforce_against_the_cost_of_another_sample(m):
    cost, log_prob = m.sampled()
    with torch.no_grad():
        other = m.cost()
    return (cost.detach() - other) * log_prob + cost


@right
def reinforce_against_the_most_likely_bits(m):
    cost, log_prob = m.sampled()
    greedy = m.f((m.logits > 0).double()).detach()
    return (cost.detach() - greedy) * log_prob + cost


@right
def leave_one_out(m):
    cost, log_prob = m.sampled(3)
    c = cost.detach()
    baseline = (c.sum() - c) / 2
    return ((c - baseline) * log_prob + cost).mean()


@right
def magic_box(m):
    """DiCE (Foerster et al., 2018)."""
    cost, log_prob = m.sampled()
    return torch.exp(log_prob - log_prob.detach()) * cost


@right
def sum_over_both_values_of_each_bit(m):
    """The local expectation gradient: one bit is summed out, the other one is sampled."""
    p = torch.sigmoid(m.logits)
    b = torch.bernoulli(p).detach()
    total = m.f(b)
    for i in range(2):
        at = [torch.where(torch.arange(2) == i, value, b) for value in (0.0, 1.0)]
        total = total + p[i] * (m.f(at[1]) - m.f(at[0])).detach()
    return total


@right
def disarm(m):
    """In a loop, with the pair of samples from one uniform number (Dong, Mnih & Tucker, 2020)."""
    p = torch.sigmoid(m.logits)
    u = torch.rand(2, dtype=p.dtype)
    first, second = (u < p).double(), (u > 1 - p).double()
    difference = m.f(first).detach() - m.f(second).detach()
    g = torch.zeros(2, dtype=torch.float64)
    for i in range(2):
        if first[i] != second[i]:
            g[i] = 0.5 * difference * (first[i] - second[i]) * torch.sigmoid(m.logits[i].abs()).detach()
    return (g * m.logits).sum() + m.f(first)


@right
def arm(m):
    """Yin & Zhou, 2019; the numbers are used as numbers, too, so the estimate is sampled."""
    p = torch.sigmoid(m.logits)
    u = torch.rand(2, dtype=p.dtype)
    first, second = (u > 1 - p).double(), (u < p).double()
    return ((m.f(first) - m.f(second)).detach() * (u - 0.5) * m.logits).sum() + m.f(second)


def relaxed(m, leak=False, correction=True):
    """REBAR with temperature 0.7 (Tucker et al., 2017), as RELAX is usually written."""
    p = torch.sigmoid(m.logits)
    u, v = torch.rand(2, 2, dtype=p.dtype)
    z = m.logits + torch.log(u) - torch.log1p(-u)
    b = (z > 0).double().detach()
    q = p.detach() if leak else p
    v = torch.where(b == 1, v * q + (1 - q), v * (1 - q))       # so that the sample is b
    z_given_b = m.logits + torch.log(v) - torch.log1p(-v)
    c, c_given_b = (m.f(torch.sigmoid(x / 0.7)) for x in (z, z_given_b))
    score = (m.f(b) - c_given_b).detach() * Bernoulli(logits=m.logits).log_prob(b).sum()
    return score + c - c_given_b if correction else score


@right
def rebar(m):
    return logits_alone(m, relaxed)


def logits_alone(m, function, **options):
    """An estimator of the gradient of the logits, and beside it the gradient of w for these samples."""
    w = m.w
    m.w = w.detach()
    try:
        estimate = function(m, **options)
    finally:
        m.w = w
    return estimate + m.cost()


def log_weights(m, k=3):
    """Samples of a latent variable, their log-weights log p − log q, and log q."""
    q = Bernoulli(logits=m.logits)
    b = q.sample((k,))
    log_q = q.log_prob(b).sum(-1)
    return -m.f(b) - log_q, log_q


def bound(m, k=3):
    """The importance-weighted bound, as a cost."""
    return -(torch.logsumexp(log_weights(m, k)[0], 0) - np.log(k))


@right
def vimco(m, k=3):
    """Mnih & Rezende, 2016, in a loop."""
    log_w, log_q = log_weights(m, k)
    total = torch.logsumexp(log_w, 0) - np.log(k)
    surrogate = total
    for i in range(k):
        others = torch.cat([log_w[:i], log_w[i + 1:]])
        replaced = torch.cat([others, others.mean(0, keepdim=True)])
        signal = total - (torch.logsumexp(replaced, 0) - np.log(k))
        surrogate = surrogate + signal.detach() * log_q[i]
    return -surrogate


# ---- wrong ---------------------------------------------------------------------------------------------------


@wrong(logits=0.5, w=1.0)
def own_cost_in_the_baseline(m):
    cost, log_prob = m.sampled()
    return (cost - 0.5 * cost).detach() * log_prob + cost


@wrong(logits=2 / 3, w=1.0)
def mean_of_the_batch_as_baseline(m):
    """The baseline contains the sample's own cost, so the factor is (n − 1) / n."""
    cost, log_prob = m.sampled(3)
    return ((cost - cost.mean()).detach() * log_prob + cost).mean()


@wrong(w=1.0)
def smallest_cost_of_the_batch_as_baseline(m):
    cost, log_prob = m.sampled(2)
    return ((cost - cost.min()).detach() * log_prob + cost).mean()


@wrong(w=1.0)
def standardized_costs(m):
    cost, log_prob = m.sampled(3)
    c = cost.detach()
    return ((c - c.mean()) / (c.std() + 1e-6) * log_prob + cost).mean()


@wrong(logits=1.0)
def forgotten_detach(m):
    cost, log_prob = m.sampled()
    return cost * log_prob + cost


@wrong(logits=1.0, w=2.0)
def pathwise_term_counted_twice(m):
    cost, log_prob = m.sampled()
    return cost.detach() * log_prob + cost + cost


@wrong(logits=1.0, w=0.0)
def pathwise_term_forgotten(m):
    cost, log_prob = m.sampled()
    return cost.detach() * log_prob


@wrong(logits=0.5, w=1.0)
def mean_over_units_of_the_log_probability(m):
    q = Bernoulli(logits=m.logits)
    b = q.sample()
    cost = m.f(b)
    return cost.detach() * q.log_prob(b).mean() + cost


@wrong(logits=-1.0, w=1.0)
def sign_of_a_reward(m):
    cost, log_prob = m.sampled()
    return -cost.detach() * log_prob + cost


@wrong(logits=0.0, w=1.0)
def log_probability_of_another_sample(m):
    cost, _ = m.sampled()
    _, log_prob = m.sampled()
    return cost.detach() * log_prob + cost


@wrong(logits=0.0, w=1.0)
def log_probability_detached(m):
    cost, log_prob = m.sampled()
    return cost.detach() * log_prob.detach() + cost


@wrong(w=1.0)
def log_probability_of_ones_alone(m):
    """As in b · log p, without (1 − b) · log(1 − p)."""
    p = torch.sigmoid(m.logits)
    b = torch.bernoulli(p).detach()
    cost = m.f(b)
    return cost.detach() * (b * torch.log(p)).sum() + cost


@wrong(w=1.0)
def clamped_probabilities(m):
    p = torch.sigmoid(m.logits)
    b = torch.bernoulli(p).detach()
    p = p.clamp(0.3, 0.7)
    cost = m.f(b)
    return cost.detach() * (b * torch.log(p) + (1 - b) * torch.log1p(-p)).sum() + cost


@wrong(w=1.0)
def straight_through(m):
    p = torch.sigmoid(m.logits)
    b = torch.bernoulli(p).detach()
    return m.f(b + m.logits - m.logits.detach())


@wrong(w=1.0)
def straight_through_with_slope(m):
    p = torch.sigmoid(m.logits)
    b = torch.bernoulli(p).detach()
    return m.f(b + p - p.detach())


@wrong(w=1.0)
def straight_through_clipped(m):
    b = torch.bernoulli(torch.sigmoid(m.logits)).detach()
    x = F.hardtanh(m.logits, -0.5, 0.5)
    return m.f(b + x - x.detach())


@wrong()
def mean_field(m):
    """The cost at the mean in place of the mean of the cost."""
    return m.f(torch.sigmoid(m.logits))


@wrong(w=1.0)
def hard_gumbel(m):
    """Straight-through Gumbel-softmax over both values of each bit."""
    both = torch.stack([m.logits, torch.zeros_like(m.logits)], -1)
    return m.f(F.gumbel_softmax(both, tau=0.8, hard=True)[..., 0])


@wrong()
def relaxed_samples(m):
    return m.f(RelaxedBernoulli(torch.tensor(0.5, dtype=torch.float64), logits=m.logits).rsample())


@wrong(w=1.0)
def rebar_with_a_leak(m):
    """The sample given b is cut off from the probabilities that it depends on."""
    return logits_alone(m, relaxed, leak=True)


@wrong(w=1.0)
def rebar_without_its_correction(m):
    return logits_alone(m, relaxed, correction=False)


@wrong(logits=2.0, w=1.0)
def disarm_without_the_half(m):
    p = torch.sigmoid(m.logits)
    u = torch.rand(2, dtype=p.dtype)
    first, second = (u < p).double(), (u > 1 - p).double()
    difference = (m.f(first) - m.f(second)).detach()
    g = difference * (first - second) * torch.sigmoid(m.logits.abs()).detach()
    return (g * m.logits).sum() + m.f(first)


@wrong(logits=-1.0, w=1.0)
def arm_with_the_samples_swapped(m):
    p = torch.sigmoid(m.logits)
    u = torch.rand(2, dtype=p.dtype)
    first, second = (u < p).double(), (u > 1 - p).double()
    return ((m.f(first) - m.f(second)).detach() * (u - 0.5) * m.logits).sum() + m.f(first)


@wrong(w=1.0)
def disarm_from_independent_pairs(m):
    p = torch.sigmoid(m.logits)
    first, second = (torch.rand(2, dtype=p.dtype) < p).double(), (torch.rand(2, dtype=p.dtype) < p).double()
    difference = (m.f(first) - m.f(second)).detach()
    g = 0.5 * difference * (first - second) * torch.sigmoid(m.logits.abs()).detach()
    return (g * m.logits).sum() + m.f(first)


def vimco_with_itself(m, k=3):
    """The mean that replaces a weight contains this weight."""
    log_w, log_q = log_weights(m, k)
    total = torch.logsumexp(log_w, 0) - np.log(k)
    surrogate = total
    for i in range(k):
        replaced = torch.cat([log_w[:i], log_w.mean(0, keepdim=True), log_w[i + 1:]])
        signal = total - (torch.logsumexp(replaced, 0) - np.log(k))
        surrogate = surrogate + signal.detach() * log_q[i]
    return -surrogate


def vimco_without_its_pathwise_part(m, k=3):
    log_w, log_q = log_weights(m, k)
    total = (torch.logsumexp(log_w, 0) - np.log(k)).detach()
    return -(total * log_q).sum()


# ---- the verdicts --------------------------------------------------------------------------------------------

SAMPLED = {"arm", "rebar", "hard_gumbel", "relaxed_samples", "rebar_with_a_leak",
           "rebar_without_its_correction", "arm_with_the_samples_swapped"}


def report_on(function, model, cost=None):
    return pytorch.check_estimator(cost or model.cost, model.params, lambda: function(model), samples=2500, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in RIGHT if name != "vimco"])
def test_a_right_estimator(name, model):
    report = report_on(RIGHT[name], model)
    assert report.fault() is None
    assert report.exact is (name not in SAMPLED)
    assert max(np.max(d) for d in report.detectable.values()) < (1e-7 if report.exact else 0.4)


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_estimator(name, model):
    function, factors = WRONG[name]
    report = report_on(function, model)
    assert not report.unbiased
    assert report.exact is (name not in SAMPLED)
    for parameter, factor in factors.items():
        difference = np.abs(report.mean[parameter] - factor * report.gradient[parameter])
        assert (difference <= report.detectable[parameter]).all(), parameter


def test_the_importance_weighted_bound():
    for function, unbiased in [(vimco, True), (vimco_with_itself, False), (vimco_without_its_pathwise_part, False)]:
        model = Model()
        report = report_on(function, model, lambda model=model: bound(model))
        assert (report.exact, report.runs, report.unbiased) == (True, 64, unbiased), function.__name__


def test_a_forgotten_detach_shows_in_the_decoder_alone(model):
    """The additional term is log q(b) ∂cost/∂w."""
    report = report_on(forgotten_detach, model)
    expected = torch.zeros(2, dtype=torch.float64)
    for bits in [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)]:
        b = torch.tensor(bits, dtype=torch.float64)
        log_prob = Bernoulli(logits=model.logits).log_prob(b).sum().detach()
        expected += log_prob.exp() * log_prob * 2 * (b @ model.w.detach() - 0.45) * b
    np.testing.assert_allclose(report.bias["w"], expected, rtol=1e-9)


def test_straight_through_with_slope_is_right_for_linear_costs(model):
    model.f = lambda bits: bits @ model.w
    assert report_on(straight_through_with_slope, model).unbiased
    report = report_on(straight_through, model)
    p = torch.sigmoid(model.logits.detach()).numpy()
    np.testing.assert_allclose(report.mean["logits"], report.gradient["logits"] / (p * (1 - p)), rtol=1e-9)


@pytest.mark.parametrize("name", ["reinforce", "leave_one_out", "magic_box", "own_cost_in_the_baseline",
                                  "mean_of_the_batch_as_baseline", "forgotten_detach"])
def test_in_float32_the_verdict_is_the_same(name):
    model = Model(torch.float32)
    function = RIGHT.get(name) or WRONG[name][0]
    report = report_on(function, model)
    assert report.unbiased is (name in RIGHT)
    assert 1e-6 < max(np.max(d) for d in report.detectable.values()) < 1e-2


def test_there_are_enough_of_them():
    assert len(RIGHT) >= 10
    assert len(WRONG) >= 20
