"""PyTorch's samplers are replaced in all their forms, and everything is restored at the end."""

import signal
import sys
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import torch.nn.functional as F  # noqa: E402
from torch import bernoulli  # noqa: E402
from torch.distributions import (  # noqa: E402
    Bernoulli,
    Binomial,
    Categorical,
    Independent,
    OneHotCategorical,
    OneHotCategoricalStraightThrough,
    RelaxedBernoulli,
)

from minigrad.testing.programs import pytorch  # noqa: E402
from tests.interrupted import interrupt  # noqa: E402


def leaf(value, dtype=torch.float64):
    return torch.tensor(value, dtype=dtype, requires_grad=True)


def curved(bits):
    return torch.exp(0.7 * bits[0]) + (bits[1] - 0.3) ** 2 * (1 + bits[0])


def into_out(p):
    out = torch.zeros(2, dtype=p.dtype)
    torch.bernoulli(p.detach(), out=out)
    return out


def logistic(logits, u):
    z = logits + torch.log(u) - torch.log1p(-u)
    return (z > 0).to(z.dtype)


def logistic_in_one(logits, u):
    return (logits + (u.log() - (1 - u).log()) > 0).to(logits.dtype)


TWO_BITS = {
    "torch.bernoulli": torch.bernoulli,
    "imported by name": bernoulli,
    "with out": into_out,
    "with a generator": lambda p: torch.bernoulli(p, generator=torch.Generator()),
    "method": lambda p: p.bernoulli(),
    "in place, a tensor": lambda p: torch.empty(2, dtype=p.dtype).bernoulli_(p.detach()),
    "in place, floats": lambda p: torch.stack([torch.empty((), dtype=p.dtype).bernoulli_(q.item()) for q in p]),
    "a float": lambda p: torch.stack([torch.bernoulli(torch.empty((), dtype=p.dtype), q.item()) for q in p]),
    "Bernoulli": lambda p: Bernoulli(p).sample(),
    "Bernoulli of logits": lambda p: Bernoulli(logits=torch.logit(p)).sample(),
    "Independent": lambda p: Independent(Bernoulli(p), 1).sample(),
    "Binomial": lambda p: Binomial(1, p).sample(),
    "Categorical": lambda p: Categorical(torch.stack([1 - p, p], 1)).sample().to(p.dtype),
    "Categorical of logits": lambda p: Categorical(logits=torch.stack([0 * p, torch.logit(p)], 1)).sample().to(p.dtype),
    "OneHotCategorical": lambda p: OneHotCategorical(torch.stack([p, 1 - p], 1)).sample()[:, 0],
    "multinomial": lambda p: torch.multinomial(torch.stack([1 - p, p], 1), 1)[:, 0].to(p.dtype),
    "multinomial of weights": lambda p: torch.multinomial(3 * torch.stack([1 - p, p], 1), 1)[:, 0].to(p.dtype),
    "rand <": lambda p: (torch.rand(2) < p).to(p.dtype),
    "rand <=": lambda p: (torch.rand(2, dtype=p.dtype) <= p).to(p.dtype),
    "> rand": lambda p: (p > torch.rand(2)).to(p.dtype),
    "rand >": lambda p: 1 - (torch.rand(2) > p).to(p.dtype),
    "rand_like": lambda p: (torch.rand_like(p) < p).to(p.dtype),
    "rand.lt": lambda p: torch.rand(2).lt(p).to(p.dtype),
    "uniform_": lambda p: (torch.empty(2).uniform_() < p).to(p.dtype),
    "uniform_ of another range": lambda p: (torch.empty(2).uniform_(-1, 3) < 4 * p - 1).to(p.dtype),
    "Uniform": lambda p: (torch.distributions.Uniform(0.0, 1.0).sample((2,)) < p).to(p.dtype),
    "rand in rows": lambda p: (torch.rand(1, 2).double()[0] < p).to(p.dtype),
    "rand reshaped": lambda p: (torch.rand(2, 1).view(1, 2).expand(1, 2).squeeze(0).clone() < p).to(p.dtype),
    "1 - rand": lambda p: (1 - torch.rand(2) < p).to(p.dtype),
    "p - rand": lambda p: (p - torch.rand(2) > 0).to(p.dtype),
    "rand - p": lambda p: (torch.rand(2) - p < 0).to(p.dtype),
    "rand.sub with alpha": lambda p: (torch.rand(2).sub(p, alpha=2) < -p).to(p.dtype),
    "rsub with alpha": lambda p: (torch.rsub(torch.rand(2), p, alpha=0.5) > 0.5 * p).to(p.dtype),
    "scaled": lambda p: (torch.rand(2) * -2 / 4 > -p / 2).to(p.dtype),
    "log rand": lambda p: (torch.rand(2).log() < torch.log(p)).to(p.dtype),
    "log(1 - rand)": lambda p: (torch.log(1 - torch.rand(2)) < torch.log(p)).to(p.dtype),
    "log1p(-rand)": lambda p: (torch.log(p) > torch.log1p(-torch.rand(2))).to(p.dtype),
    "logit of rand": lambda p: (torch.logit(p) - torch.logit(torch.rand(2)) >= 0).to(p.dtype),
    "logistic noise": lambda p: logistic(torch.logit(p), torch.rand(2, dtype=p.dtype)),
    "logistic noise in one": lambda p: logistic_in_one(torch.logit(p), torch.rand(2)),
    "1 - rand, scaled": lambda p: ((1 - torch.rand(2)) * 3 < 3 * p).to(p.dtype),
    "where": lambda p: torch.where(torch.rand(2) < p, torch.ones_like(p), torch.zeros_like(p)),
    "one by one": lambda p: torch.stack([torch.tensor(float(bool(torch.rand(()) < q)), dtype=p.dtype) for q in p]),
    "in a loop": lambda p: torch.stack([torch.bernoulli(q) for q in p]),
}


@pytest.mark.parametrize("sample", TWO_BITS.values(), ids=TWO_BITS)
def test_a_sampler_is_answered(sample):
    logits = leaf([0.4, -0.9])

    def run():
        p = torch.sigmoid(logits)
        bits = sample(p).detach()
        return curved(bits), (bits * torch.log(p) + (1 - bits) * torch.log1p(-p)).sum()

    def reinforce():
        cost, log_prob = run()
        return cost * log_prob

    report = pytorch.assert_unbiased(lambda: run()[0], logits, reinforce)
    assert (report.exact, report.runs) == (True, 4)
    p = torch.sigmoid(logits.detach())
    truth = p * (1 - p) * torch.stack([curved(torch.tensor(a)) - curved(torch.tensor(b)) for a, b in [
        ((1.0, 0.0), (0.0, 0.0)), ((0.0, 1.0), (0.0, 0.0))]])
    more = p * (1 - p) * torch.stack([curved(torch.tensor(a)) - curved(torch.tensor(b)) for a, b in [
        ((1.0, 1.0), (0.0, 1.0)), ((1.0, 1.0), (1.0, 0.0))]])
    other = p.flip(0)
    np.testing.assert_allclose(report.gradient, (1 - other) * truth + other * more, rtol=1e-7)


DROPOUTS = {
    "dropout": lambda x: F.dropout(x, 0.3),
    "in place": lambda x: F.dropout(x * 1, 0.3, inplace=True),
    "module": lambda x: torch.nn.Dropout(0.3)(x),
    "torch.dropout": lambda x: torch.dropout(x, 0.3, True),
    "dropout1d": lambda x: F.dropout1d(x[:, None, None], 0.3)[:, 0, 0],
}


@pytest.mark.parametrize("dropped", DROPOUTS.values(), ids=DROPOUTS)
def test_dropout_is_answered(dropped):
    theta = leaf([0.5, -1.0, 2.0])
    report = pytorch.assert_unbiased(lambda: (dropped(theta).sum() - 1) ** 2, theta)
    assert (report.exact, report.runs) == (True, 8)
    x = theta.detach()
    np.testing.assert_allclose(report.gradient, 2 * (x.sum() - 1) + 2 * x * 0.3 / 0.7, rtol=1e-9)


def test_draws_of_several_categories():
    logits = leaf([0.1, 0.5, -0.4])

    def run(replacement):
        p = torch.softmax(logits, 0)
        drawn = torch.multinomial(p, 2, replacement)
        first, second = p[drawn]
        log_prob = torch.log(first) + torch.log(second if replacement else second / (1 - first))
        return (drawn * torch.tensor([1.0, 3.0])).sum() ** 2, log_prob

    for replacement, outcomes in [(True, 9), (False, 6)]:
        def reinforce(replacement=replacement):
            cost, log_prob = run(replacement)
            return cost * log_prob
        report = pytorch.assert_unbiased(lambda replacement=replacement: run(replacement)[0], logits, reinforce)
        assert report.runs == outcomes


def test_a_count_of_more_than_one():
    logit = leaf([0.3])

    def run():
        binomial = Binomial(4, logits=logit)
        count = binomial.sample()
        return (count - 1.5).sum() ** 2, binomial.log_prob(count).sum()

    def reinforce():
        cost, log_prob = run()
        return cost.detach() * log_prob
    assert pytorch.assert_unbiased(lambda: run()[0], logit, reinforce).runs == 5


@pytest.mark.slow
def test_through_two_layers_of_a_module():
    """The samples of later layers depend on those of earlier layers."""
    torch.manual_seed(3)
    model = torch.nn.ModuleDict({"first": torch.nn.Linear(3, 3), "second": torch.nn.Linear(3, 3)}).double()
    x = torch.tensor([1.0, -0.5, 2.0])

    def run():
        first = Bernoulli(logits=model["first"](x.double()))
        a = first.sample()
        second = Bernoulli(logits=model["second"](a))
        b = second.sample()
        cost = (b.sum() - a @ torch.tensor([1.0, 2.0, 0.5], dtype=a.dtype)) ** 2
        return cost, first.log_prob(a).sum() + second.log_prob(b).sum()

    def with_baseline(baseline):
        def surrogate():
            cost, log_prob = run()
            return (cost - baseline(cost)).detach() * log_prob
        return surrogate

    report = pytorch.assert_unbiased(lambda: run()[0], model, with_baseline(lambda cost: 2.0))
    assert (report.exact, report.runs) == (True, 64)
    assert set(report.bias) == {"first.weight", "first.bias", "second.weight", "second.bias"}
    with pytest.raises(AssertionError, match=r"biased at params.*24 of 24.*the mean is 0\.5 times the gradient"):
        pytorch.assert_unbiased(lambda: run()[0], model.parameters(), with_baseline(lambda cost: 0.5 * cost))


def test_a_module_in_float32_is_held_against_differences_in_float64():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    x, weight = torch.tensor([1.0, -0.5, 2.0]), torch.tensor([1.0, -2.0])

    def run():
        logits = model(x).float()
        bits = (torch.rand(2) < torch.sigmoid(logits)).float()
        total = torch.zeros((), dtype=torch.float32)
        total += bits @ weight
        return (total - 0.3) ** 2, -F.binary_cross_entropy_with_logits(logits, bits, reduction="sum")

    def scaled(factor):
        def surrogate():
            cost, log_prob = run()
            return factor * cost.detach() * log_prob
        return surrogate

    report = pytorch.check_estimator(lambda: run()[0], model, scaled(1.0))
    assert report.unbiased
    assert np.max(report.uncertainty) < 1e-7       # of the gradient, which float32 would not allow
    largest = max(np.abs(g).max() for g in report.gradient.values())
    assert max(np.max(d) for d in report.detectable.values()) < 1e-3 * largest
    assert not pytorch.check_estimator(lambda: run()[0], model, scaled(1.002)).unbiased


def test_a_part_that_insists_on_float32_gets_coarser_differences():
    logits = leaf([0.4, -0.9], torch.float32)

    def run():
        assert logits.dtype is torch.float32
        p = torch.sigmoid(logits)
        bits = torch.bernoulli(p)
        return curved(bits), (bits * torch.log(p) + (1 - bits) * torch.log1p(-p)).sum()

    def reinforce():
        cost, log_prob = run()
        return cost.detach() * log_prob
    report = pytorch.assert_unbiased(lambda: run()[0], logits, reinforce)
    assert 1e-8 < np.max(report.uncertainty) < 1e-3


# ---- continuous noise ----------------------------------------------------------------------------------------


NOISE = {
    "torch.randn": lambda x: (x + torch.randn(1)) ** 2,
    "Tensor.normal_": lambda x: (x + torch.empty(1).normal_()) ** 2,
    "Tensor.exponential_": lambda x: x**2 * torch.empty(1).exponential_(),
    "torch.rand": lambda x: (x + torch.log(torch.rand(1))) ** 2,
    "torch.randint": lambda x: x * torch.randint(3, (1,)),
}


@pytest.mark.parametrize("name", NOISE)
def test_other_noise_is_sampled_and_named(name):
    x = leaf([0.6])
    report = pytorch.check_estimator(lambda: NOISE[name](x).sum(), x, samples=1000, seed=0)
    assert (report.exact, report.unbiased, report.noise) == (False, True, (name,))
    assert f"draws of {name}, 1 outcome enumerated for each: sampled" in repr(report)
    report = pytorch.check_estimator(lambda: NOISE[name](x).sum(), x, lambda: 1.1 * NOISE[name](x).sum(), samples=1000,
                                     seed=0)
    assert not report.unbiased


def test_a_number_that_is_compared_first_and_used_then():
    """The comparison is enumerated.  The number itself is sampled, given the result of the comparison."""
    logits = leaf([0.4])
    seen = []

    def run():
        p = torch.sigmoid(logits)
        u = torch.rand(1, dtype=torch.float64)
        bit = (u < p).double()
        seen.append((bit.item(), u.item(), p.item()))
        return (bit - 0.2) ** 2 + bit * u.log().exp(), bit, p

    report = pytorch.check_estimator(lambda: run()[0], logits, lambda: run()[0] * 0 + run()[0].detach() * 0,
                                     samples=2000, seed=0)
    assert report.noise == ("torch.rand",)
    assert all((u < p) == bool(bit) for bit, u, p in seen)
    # E[(b − t)²] + E[b u] = p (0.8² − 0.2²) + 0.2² + p²/2
    p = torch.sigmoid(logits.detach())
    np.testing.assert_allclose(report.gradient, p * (1 - p) * (0.6 + p), rtol=0.05)


def test_a_number_that_is_used_first_and_compared_then():
    """After the number was used in a computation, it is fixed.  So the comparison has only one result."""
    logits = leaf([0.4])
    seen = []

    def cost():
        p = torch.sigmoid(logits)
        u = torch.rand(1, dtype=torch.float64)
        before = torch.sin(u).item()
        bit = (u < p).double()
        seen.append((before, np.sin(u.item()), bit.item(), u.item() < p.item()))
        return (bit * p * before).sum()

    report = pytorch.check_estimator(cost, logits, samples=300, seed=0)
    assert (report.noise, report.moments.outcomes) == (("torch.rand",), 1)
    assert all(before == pytest.approx(after) and bool(bit) is below for before, after, bit, below in seen)


def test_a_second_comparison_knows_of_the_first():
    """1 − u < p and u < p for antithetic pairs: four cells, of which each has its probability."""
    logits = leaf([-0.4])
    seen = set()

    def arm():
        p = torch.sigmoid(logits)
        u = torch.rand(1)
        first, second = (u < p).double(), (1 - u < p).double()
        seen.add((first.item(), second.item()))
        return [0.5 * ((first - 0.1) ** 2 - (second - 0.1) ** 2) * (first - second) * torch.maximum(p, 1 - p)]

    def cost():
        return ((torch.rand(1) < torch.sigmoid(logits)).double() - 0.1).square()
    report = pytorch.check_estimator(cost, logits, estimate=arm)
    assert (report.exact, report.unbiased, report.runs) == (True, True, 3)
    assert seen == {(0, 0), (1, 0), (0, 1)}


def test_the_power_of_two_numbers_that_are_compared_with_each_other():
    x = leaf([0.6])
    report = pytorch.check_estimator(lambda: (x * (torch.rand(1) < torch.rand(1)).double()).sum(), x, samples=1000)
    assert report.noise == ("torch.rand",)


def test_a_number_that_only_numpy_sees_is_sampled():
    x = leaf([0.6])
    report = pytorch.check_estimator(lambda: x.sum() * float(torch.rand(1).numpy()[0]), x, samples=1000)
    assert report.noise == ("torch.rand",)


@pytest.mark.slow
def test_a_hard_gumbel_sample_is_enumerated():
    """The distribution of the categories and of the noise given them is that of PyTorch's own function."""
    logits = leaf([0.5, -0.3, 0.1])
    weight = torch.tensor([1.0, 3.0, -2.0], dtype=torch.float64)

    def cost(tau=0.7, scale=1.0):
        return (scale * F.gumbel_softmax(logits, tau, hard=True) @ weight) ** 2

    report = pytorch.check_estimator(cost, logits, samples=3000, seed=1)
    assert not report.exact
    assert not report.unbiased
    p = torch.softmax(logits.detach(), 0)
    truth = p * (weight**2 - p @ weight**2)
    np.testing.assert_allclose(report.gradient, truth, rtol=1e-8)      # no error of sampling
    torch.manual_seed(0)
    many = logits.detach().expand(200_000, 3).clone().requires_grad_()
    ((F.gumbel_softmax(many, 0.7, hard=True) @ weight) ** 2).sum().backward()
    z = (report.mean - many.grad.mean(0).numpy()) / np.hypot(report.stderr, many.grad.std(0).numpy() / 200_000**0.5)
    assert np.abs(z).max() < 5
    assert np.abs(report.mean).max() > 20 * report.stderr.max()


def test_relaxed_samples_are_pathwise():
    logits = leaf([0.5])

    def cost():
        return (RelaxedBernoulli(torch.tensor(0.8, dtype=torch.float64), logits=logits).rsample() - 0.3).square().sum()
    report = pytorch.check_estimator(cost, logits, samples=1000, seed=0)
    assert (report.exact, report.unbiased) == (False, True)


def test_a_straight_through_distribution_is_biased():
    logits = leaf([0.5, -0.3, 0.1])
    weight = torch.tensor([1.0, 3.0, -2.0], dtype=torch.float64)

    def cost():
        return (OneHotCategoricalStraightThrough(logits=logits).rsample() @ weight) ** 2
    report = pytorch.check_estimator(cost, logits)
    assert (report.exact, report.unbiased, report.runs) == (True, False, 3)


# ---- compiled and transformed functions ----------------------------------------------------------------------


def test_a_scripted_function_is_answered():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")     # it is deprecated, and still in use
        @torch.jit.script
        def sample(p):
            return torch.bernoulli(p)

    logits = leaf([0.4])

    def run():
        p = torch.sigmoid(logits)
        b = sample(p).detach()
        return ((b - 0.2) ** 2).sum(), (b * torch.log(p) + (1 - b) * torch.log1p(-p)).sum()

    def reinforce():
        cost, log_prob = run()
        return cost * log_prob
    assert pytorch.assert_unbiased(lambda: run()[0], logits, reinforce).exact


def test_vmap_over_samples_is_answered():
    logits = leaf([0.4])

    def run():
        p = torch.sigmoid(logits)
        b = torch.func.vmap(lambda _: torch.bernoulli(p), randomness="different")(torch.zeros(3)).detach()
        return ((b.sum(1) - 0.2) ** 2).mean(), b, p

    def reinforce():
        cost, b, p = run()
        return cost.detach() * (b * torch.log(p) + (1 - b) * torch.log1p(-p)).sum()
    assert pytorch.assert_unbiased(lambda: run()[0], logits, reinforce).runs == 8


# ---- bad input -----------------------------------------------------------------------------------------------


def bit():
    logits = leaf([0.4])
    return (lambda: Bernoulli(logits=logits).sample().sum()), logits


@pytest.mark.parametrize(("params", "got"), [
    (torch.zeros(2), "a leaf of torch.float32 on cpu with requires_grad=False"),
    ([2 * torch.zeros(2, requires_grad=True)], "a result of other tensors of torch.float32"),
    (torch.zeros(2, dtype=torch.float16, requires_grad=True), "a leaf of torch.float16"),
    (np.zeros(2), "a numpy.float64"), ({"a": 0.5}, "0.5"), (3, "3")])
def test_params_that_are_no_leaves(params, got):
    with pytest.raises(TypeError, match=f"expected params to be leaf tensors .*; got {got}"):
        pytorch.check_estimator(bit()[0], params)


def test_no_params():
    with pytest.raises(ValueError, match="expected parameters with at least one number in them, got none"):
        pytorch.check_estimator(bit()[0], [])


def test_both_ways_to_estimate():
    cost, logits = bit()
    with pytest.raises(TypeError, match="expected surrogate or estimate, got both"):
        pytorch.check_estimator(cost, logits, cost, estimate=cost)
    with pytest.raises(TypeError, match=r"expected cost as a function without arguments, got a torch.Tensor"):
        pytorch.check_estimator(cost(), logits)


def test_a_cost_for_every_sample():
    logits = leaf([0.4, 0.1])
    with pytest.raises(ValueError, match=r"cost\(\) to return a scalar, got a numpy.ndarray of shape \(2,\)"):
        pytorch.check_estimator(lambda: torch.bernoulli(torch.sigmoid(logits)), logits)


def test_a_surrogate_that_has_called_backward():
    cost, logits = bit()

    def surrogate():
        loss = (logits * Bernoulli(logits=logits).sample()).sum()
        loss.backward()
        return loss
    with pytest.raises(ValueError, match=r"expected surrogate\(\) not to change p.grad"):
        pytorch.check_estimator(cost, logits, surrogate)

    def estimate():
        surrogate()
        return [logits.grad]
    assert not pytorch.check_estimator(cost, logits, estimate=estimate).unbiased


def test_a_sample_without_gradient_is_a_silent_zero():
    cost, logits = bit()
    with pytest.raises(AssertionError, match=r"silent zero: expected 0.24.* No gradient comes back through"):
        pytorch.assert_unbiased(cost, logits)


def test_params_that_the_program_does_not_use():
    cost, _ = bit()
    with pytest.raises(ValueError, match="expected a cost that depends on the parameters"):
        pytorch.check_estimator(cost, leaf([0.4]))


def test_an_optimisers_step():
    cost, logits = bit()
    optimiser = torch.optim.SGD([logits], lr=0.1)

    def surrogate():
        loss = (logits * Bernoulli(logits=logits).sample()).sum()
        logits.grad = torch.ones(1, dtype=torch.float64)
        optimiser.step()
        logits.grad = None
        return loss
    with pytest.raises(ValueError, match="expected the estimate not to change the parameters"):
        pytorch.check_estimator(cost, logits, surrogate)
    assert logits.item() == 0.4


def test_a_running_mean():
    logits, mean = leaf([0.4]), [0.0]

    def surrogate():
        bits = Bernoulli(logits=logits)
        b = bits.sample()
        mean[0] = 0.9 * mean[0] + 0.1 * (b.item() + 2)
        return (b + 2 - mean[0]) * bits.log_prob(b)
    with pytest.raises(ValueError, match="expected the estimate to give the same for the same samples"):
        pytorch.check_estimator(bit()[0], logits, surrogate)


def test_a_generator_of_its_own():
    x, generator = leaf([0.4]), torch.Generator()
    with pytest.raises(ValueError, match="its own generator"):
        pytorch.check_estimator(lambda: (x + torch.randn(1, generator=generator)).sum(), x)


def test_an_estimate_that_is_nan():
    logits = leaf([0.4, 0.1])

    def cost():
        return torch.bernoulli(torch.sigmoid(logits)).sum()
    with pytest.raises(AssertionError, match=r"not finite: the estimate is nan at params\[0\]\[1\]"):
        pytorch.check_estimator(cost, [logits], estimate=lambda: [torch.tensor([0.0, float("nan")])])


def test_an_estimate_of_another_shape():
    logits = leaf([0.4, 0.1])
    with pytest.raises(ValueError, match=r"of shapes \[\(2,\)\], got \[\(2,\), \(2,\)\]"):
        pytorch.check_estimator(bit()[0], [logits], estimate=lambda: [torch.zeros(2)] * 2)


def test_parameters_without_estimate_count_as_zero():
    used, unused = leaf([0.4]), leaf([1.0])

    def run():
        bits = Bernoulli(logits=used)
        b = bits.sample()
        return b.sum(), bits.log_prob(b).sum()

    def reinforce():
        cost, log_prob = run()
        return cost * log_prob
    report = pytorch.assert_unbiased(lambda: run()[0], {"used": used, "unused": unused}, reinforce)
    assert report.mean["unused"] == 0


# ---- what is left behind -------------------------------------------------------------------------------------


class State:
    """Everything that a check might change."""

    def __init__(self, leaves):
        self.leaves = leaves
        self.values = [(p.data, p.data.clone(), p.dtype, p.grad, None if p.grad is None else p.grad.clone())
                       for p in leaves]
        self.rng, self.dtype, self.grad = torch.get_rng_state(), torch.get_default_dtype(), torch.is_grad_enabled()
        self.modes = self.stacks()
        self.gumbel_softmax, self.threads = F.gumbel_softmax, torch.get_num_threads()

    @staticmethod
    def stacks():
        from torch.overrides import _get_current_function_mode_stack
        from torch.utils import _python_dispatch
        return (len(_python_dispatch._get_current_dispatch_mode_stack()), len(_get_current_function_mode_stack()),
                _python_dispatch._is_in_torch_dispatch_mode)

    def check(self):
        for p, (data, value, dtype, grad, gradient) in zip(self.leaves, self.values, strict=True):
            assert p.data_ptr() == data.data_ptr()
            assert p.dtype is dtype
            assert torch.equal(p.data, value)
            assert p.grad is grad
            assert grad is None or torch.equal(grad, gradient)
        assert torch.equal(torch.get_rng_state(), self.rng)
        assert torch.get_default_dtype() is self.dtype
        assert torch.is_grad_enabled() is self.grad
        assert self.stacks() == self.modes
        assert F.gumbel_softmax is self.gumbel_softmax
        assert torch.get_num_threads() == self.threads
        assert signal.getsignal(signal.SIGINT) is self.handler

    handler = signal.default_int_handler


@pytest.fixture
def ctrl_c():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)        # a check uses one
    yield
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def task(ctrl_c):
    """A cost and its surrogate in float32, with noise, and their parameters, of which one has a gradient."""
    leaves = [leaf([0.3], torch.float32), leaf([0.1], torch.float32)]
    leaves[0].grad = torch.ones(1)

    def run():
        bits = Bernoulli(logits=leaves[0])
        b = bits.sample()
        return (b + leaves[1] - 0.3).square().sum(), bits.log_prob(b).sum()

    def surrogate():
        cost, log_prob = run()
        return cost.detach() * log_prob + cost
    return lambda: run()[0], leaves, surrogate


def test_a_check_leaves_nothing_behind(task):
    state = State(task[1])
    pytorch.assert_unbiased(*task)
    state.check()
    with torch.no_grad():
        state = State(task[1])
        pytorch.assert_unbiased(*task)
        state.check()


@pytest.mark.parametrize("at", [1, 2, 5, 12, 20])
def test_an_error_leaves_nothing_behind(task, at):
    cost, leaves, surrogate = task
    runs = []

    def failing(function):
        def run():
            runs.append(1)
            torch.set_default_dtype(torch.float64)
            if len(runs) >= at:
                raise ZeroDivisionError
            return function()
        return run

    state = State(leaves)
    with pytest.raises((ZeroDivisionError, ValueError)):
        pytorch.check_estimator(failing(cost), leaves, failing(surrogate))
    state.check()


@pytest.mark.slow
def test_ctrl_c_at_any_line_leaves_nothing_behind(task):
    lines, stop = [0], [0]

    def trace(frame, event, argument):
        name = frame.f_code.co_filename
        if "testing/programs" not in name and "_python_dispatch" not in name and "contextlib" not in name:
            return None
        if event == "line" and frame.f_code.co_name != "within":
            lines[0] += 1
            if lines[0] == stop[0]:
                signal.raise_signal(signal.SIGINT)
        return trace

    def interrupted(at):
        lines[0], stop[0] = 0, at
        sys.settrace(trace)
        try:
            pytorch.check_estimator(*task, seed=0)
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(None)
        return False

    assert not interrupted(-1)
    total, count = lines[0], 0
    state = State(task[1])
    for at in [*range(1, 250), *range(250, total - 100, 97), *range(total - 100, total + 1)]:
        count += interrupted(at)
        state.check()
    assert count > 300


@pytest.mark.slow
def test_100_interrupts():
    status, said = interrupt("""
import torch
from minigrad.testing.programs import pytorch
logits = torch.tensor([0.3, 0.1], requires_grad=True)
before = logits.data
torch.manual_seed(0)
state = torch.get_rng_state()

def run():
    bits = torch.distributions.Bernoulli(logits=logits)
    b = bits.sample()
    return (b.sum() - 0.3) ** 2, bits.log_prob(b).sum()

def surrogate():
    cost, log_prob = run()
    return cost * log_prob

def check():
    from torch.overrides import _get_current_function_mode_stack
    from torch.utils._python_dispatch import _get_current_dispatch_mode_stack
    assert logits.data_ptr() == before.data_ptr() and logits.dtype is torch.float32 and logits.grad is None
    assert torch.equal(torch.get_rng_state(), state) and torch.get_default_dtype() is torch.float32
    assert not _get_current_dispatch_mode_stack() and not _get_current_function_mode_stack()

pytorch.check_estimator(lambda: run()[0], logits, surrogate)
interrupted(100, lambda: pytorch.check_estimator(lambda: run()[0], logits, surrogate), check)
print("right")
""", 0.03)
    assert (status, said) == (0, "right\n")
