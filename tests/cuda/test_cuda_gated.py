"""Networks of gated layers in the graph: the device gives the results of the CPU, computes the same blocks, and does
not wait."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.kernels import count_work
from minigrad.kernels.cpu import dispatch

B, D, G, K, C = 6, 5, 3, 2, 4


class OpenOnly(mg.Estimator):
    """A straight-through rule that does not use the gradients of closed gates."""
    needs = {"grad"}
    needs_closed_gates = False

    def backward(self, node):
        return node.grad * node.value


def train(device, rule, both_sides):
    """(the loss, the parameters, the work) of the second step of SGD on two gated layers and a linear one."""
    rng = np.random.default_rng(0)
    shapes = [(G * K, D), (G * K,), (G * K, G * K if both_sides else D), (C, G * K), (B, G), (D, G * K)]
    parameters = [mg.tensor(rng.standard_normal(shape), requires_grad=True, device=device) for shape in shapes]
    first, bias, second, last, logits, middle = parameters
    if both_sides:
        parameters.pop()
    x, labels = mg.tensor(rng.standard_normal((B, D)), device=device), mg.tensor(np.arange(B) % C, device=device)
    optimiser = mg.optim.SGD(parameters, lr=0.1)
    keys = mg.Generator(5)

    def step():
        gates = mg.bernoulli(logits, rule, rng=keys)
        h = mg.relu(mg.gated_linear(x, first, bias, gates, block=K))
        if not both_sides:
            h = mg.linear(h, middle, None)
        h = mg.tanh(mg.gated_linear(h, second, None, gates * 2, block=K)) * 3
        loss = mg.expected(mg.cross_entropy(mg.linear(h, last, None), labels))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss

    step()
    with count_work() as work:
        loss = step()
    return loss.item(), [p.numpy() for p in parameters], work


@pytest.mark.parametrize("both_sides", [False, True])
@pytest.mark.parametrize("rule", [mg.estimators.StraightThrough, mg.estimators.Reinforce, OpenOnly])
def test_training_on_the_device_is_the_cpus(monkeypatch, rule, both_sides):
    monkeypatch.setattr(dispatch, "dense_is_faster", lambda *case: False)
    loss, parameters, work = train("cuda", rule(), both_sides)
    wanted_loss, wanted, on_cpu = train("cpu", rule(), both_sides)
    assert loss == pytest.approx(wanted_loss, rel=1e-10)
    for ours, theirs in zip(parameters, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    assert work.transfers == 0
    if rule is OpenOnly:        # gates * 2 is read only where a gate is open; to see that would take a transfer
        assert work.blocks > on_cpu.blocks
    else:
        assert work.blocks == on_cpu.blocks
