"""Rules of minigrad in a graph of PyTorch: the same estimates as in minigrad's own graphs."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import minigrad as mg  # noqa: E402
import minigrad.torch  # noqa: E402
from minigrad.testing.programs import pytorch  # noqa: E402

LOGITS = np.array([[0.4, -0.9], [1.1, 0.2]])
WEIGHT = np.array([[0.5, -1.0], [1.5, 0.2]])


def small(rule):
    return set(rule.needs) <= {"grad", "cost"} and "sample" not in vars(type(rule))


def instance(name):
    kind = getattr(mg.estimators, name)
    try:
        return kind()
    except TypeError:
        return None


RULES = {name: rule for name in mg.estimators.__all__ if (rule := instance(name)) is not None and small(rule)}
NOISY = {"GumbelStraightThrough", "GumbelRao", "Relax"}        # rules with continuous noise of their own


def curved(bits, exp):
    return exp(0.5 * bits[:, 0] + bits[:, 1] * bits[:, 0]) + (bits[:, 1] - 0.3) ** 2


def in_minigrad(rule, rows=slice(None)):
    logits = mg.tensor(LOGITS[rows], requires_grad=True)

    def fn(rng):
        return mg.expected(curved(mg.bernoulli(logits, rule, rng=rng), mg.exp))
    return fn, logits


def in_torch(rule, rows=slice(None)):
    logits = torch.tensor(LOGITS[rows], requires_grad=True)

    def cost():
        with mg.testing.frozen_memories():
            return mg.torch.expected(curved(mg.torch.bernoulli(logits, rule), torch.exp))
    return cost, logits


def test_there_are_rules_to_look_at():
    assert {"Reinforce", "StraightThrough", "ReinMax", "Darn", "Zgr", "Correlation", "Nvil"} <= set(RULES)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in NOISY)) for name in RULES])
def test_a_rule_has_the_same_mean_and_variance(name):
    rule = RULES[name]
    ours = mg.testing.check_estimator(*in_minigrad(rule), samples=1000, seed=0)
    theirs = pytorch.check_estimator(*in_torch(rule), samples=1500, seed=0)
    assert theirs.exact is (name not in NOISY)
    np.testing.assert_allclose(theirs.gradient, ours.gradient, atol=1e-9)
    if theirs.exact and ours.exact:
        assert theirs.runs == 16
        np.testing.assert_allclose(theirs.mean, ours.mean, atol=1e-9)
        np.testing.assert_allclose(theirs.variance, ours.variance, atol=1e-9)
        assert theirs.unbiased is ours.unbiased
    else:
        error = np.hypot(ours.stderr, theirs.stderr)
        assert (np.abs(theirs.mean - ours.mean) < 6 * error + 1e-9).all()
    if rule.unbiased:
        assert theirs.unbiased


class Layers:
    """Two layers, the second fed by the first, and a loss of two terms with weights."""

    def __init__(self, first, second):
        self.rules = first, second
        self.params = {"logits": torch.tensor(LOGITS[:1], requires_grad=True),
                       "weight": torch.tensor(WEIGHT, requires_grad=True)}

    def cost(self):
        with mg.testing.frozen_memories():
            a = mg.torch.bernoulli(self.params["logits"], self.rules[0])
            b = mg.torch.bernoulli(a @ self.params["weight"] - 0.4, self.rules[1])
            return (0.75 * mg.torch.expected(curved(b, torch.exp) * (1 + a[:, 0]))
                    - 0.5 * mg.torch.expected(a[:, 1] * (b[:, 0] - 0.4) ** 2) + self.params["weight"].sum())


def test_two_layers_and_weighted_terms():
    reinforce = mg.estimators.Reinforce()
    layers = Layers(reinforce, reinforce)
    report = pytorch.assert_unbiased(layers.cost, layers.params)
    assert (report.exact, report.runs) == (True, 16)
    layers = Layers(reinforce, mg.estimators.StraightThroughSlope())
    report = pytorch.check_estimator(layers.cost, layers.params)
    assert np.abs(report.bias["logits"]).max() < 1e-9       # it does not look at the gradient from above
    assert not report.unbiased


def test_costs_that_have_no_derivative():
    logits = torch.tensor(LOGITS, requires_grad=True)

    def cost(link=True):
        bits = mg.torch.bernoulli(logits, mg.estimators.Reinforce())
        costs = (bits.detach().sum(1) > 1).double()
        return mg.torch.expected(costs, [bits] if link else ())
    pytorch.assert_unbiased(cost, logits)
    with pytest.raises(ValueError, match=r"expected costs that depend on a sample .*pass samples="):
        cost(link=False)


def test_several_samples_share_a_cost():
    """Three samples of each of two examples, and one cost for all three."""
    logits = torch.tensor(LOGITS[:1], requires_grad=True)

    def cost():
        bits = mg.torch.bernoulli(logits[:, None].expand(1, 2, 2), mg.estimators.Reinforce())
        return mg.torch.expected(bits.sum((1, 2)) ** 2)
    assert pytorch.assert_unbiased(cost, logits).runs == 16


def test_a_learned_baseline_learns():
    rule = mg.estimators.Reinforce("mean")
    logits = torch.tensor(LOGITS, requires_grad=True)
    for _ in range(3):
        mg.torch.expected(5 + mg.torch.bernoulli(logits, rule).sum(1)).backward()
    rule.update()
    assert float(np.ravel(rule.state_dict()["weight"])[0]) > 0
    with pytest.raises(ValueError, match="keep a value from run to run"):
        pytorch.check_estimator(lambda: mg.torch.expected(5 + mg.torch.bernoulli(logits, rule).sum(1)), logits)


def test_each_pass_has_its_own_costs():
    logits = torch.tensor(LOGITS, requires_grad=True)
    bits = mg.torch.bernoulli(logits, mg.estimators.Reinforce())
    losses = [mg.torch.expected(bits.sum(1) * 0 + c) for c in (1.0, 5.0)]
    first, second = (torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in losses)
    torch.testing.assert_close(second, 5 * first)
    assert first.abs().min() > 0


def test_a_context_reaches_the_rule():
    rule = mg.estimators.Nvil()
    logits = torch.tensor(LOGITS, requires_grad=True)
    bits = mg.torch.bernoulli(logits, rule, context=torch.ones(2, 3, dtype=torch.float64))
    mg.torch.expected(bits.sum(1)).backward()
    assert torch.isfinite(logits.grad).all()


def test_dtype_seed_and_second_passes():
    for dtype in (torch.float32, torch.float64):
        logits = torch.zeros(1000, 2, dtype=dtype, requires_grad=True)
        draws = []
        for _ in range(2):
            torch.manual_seed(3)
            draws.append(mg.torch.bernoulli(logits, mg.estimators.ReinMax()))
        assert draws[0].dtype is dtype
        assert torch.equal(*draws)
        assert 900 < draws[0].sum() < 1100
        loss = (draws[0] ** 2).sum()
        loss.backward(retain_graph=True)
        first = logits.grad.clone()
        loss.backward()
        assert torch.equal(logits.grad, 2 * first)
        assert logits.grad.dtype is dtype
    generator = torch.Generator().manual_seed(5)
    first = mg.torch.bernoulli(logits, mg.estimators.Stop(), generator=generator)
    assert torch.equal(first, mg.torch.bernoulli(logits, mg.estimators.Stop(),
                                                 generator=torch.Generator().manual_seed(5)))


@pytest.mark.parametrize(("name", "needs"), [("ARM", "cost_at"), ("Vimco", "inner"), ("MuProp", "cost_and_grad_at")])
def test_rules_that_need_another_run_are_refused(name, needs):
    with pytest.raises(ValueError, match=f"expected a rule that needs grad or cost alone, got {name}.*needs {needs}"):
        mg.torch.bernoulli(torch.zeros(1, 2, requires_grad=True), getattr(mg.estimators, name)())


@pytest.mark.parametrize("logits", [np.zeros((1, 2)), torch.zeros(1, 2, dtype=torch.float16),
                                    torch.zeros(1, 2, dtype=torch.int64)])
def test_logits_that_are_none(logits):
    with pytest.raises(TypeError, match=r"expected logits that are a torch.Tensor of float32 or float64 on the CPU"):
        mg.torch.bernoulli(logits, mg.estimators.Stop())


def test_a_cost_is_asked_for():
    logits = torch.zeros(1, 2, requires_grad=True)
    with pytest.raises(ValueError, match=r"Average the costs with minigrad.torch.expected"):
        mg.torch.bernoulli(logits, mg.estimators.Reinforce()).sum().backward()
    with pytest.raises(TypeError, match=r"expected a floating torch.Tensor of costs, got 3"):
        mg.torch.expected(3)
    with pytest.raises(ValueError, match=r"one cost for each sample, of shape \(1,\) .*got \(1, 2\)"):
        mg.torch.expected(mg.torch.bernoulli(logits, mg.estimators.Reinforce()))
