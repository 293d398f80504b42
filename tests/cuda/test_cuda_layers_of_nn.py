"""On the device, packed reductions and rows, layers of nn, optimisers and Jacobians give the results of the CPU."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import devices
from minigrad.kernels import Packed

B, G, K = 5, 3, 2
numbers = np.random.default_rng(0)
X, WEIGHT = numbers.normal(size=(B, 4)), numbers.normal(size=(G * K, 4))
GATES = np.array([[1.0, 1, 1], [0, 0, 0], [1, 0, 1], [0.5, 2, 1], [0, 1, 0]])


def on_both(compute):
    """Compare the results of ``compute`` on both devices, lists of Tensors or arrays."""
    here, there = ([devices.put(getattr(x, "value", x), "cpu") for x in compute(device)] for device in devices.NAMES)
    for a, b in zip(here, there, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("reduction", [
    lambda h: h.sum(), lambda h: h.mean(axis=1), lambda h: h.var(axis=0), lambda h: h.std(axis=1),
    lambda h: h.max(axis=1), lambda h: h.min(axis=0, keepdims=True), lambda h: h.prod(axis=1), lambda h: h.norm(axis=1),
    lambda h: h[1:4].sum(axis=1), lambda h: mg.silu(h[[0, 3, 0]]).sum(axis=1), lambda h: (h > 0).any(axis=1) * h.max(),
])
@pytest.mark.parametrize("gates_want", [False, True])
def test_reductions_and_rows_of_packed_units(reduction, gates_want):
    def compute(device):
        leaves = [mg.tensor(a, requires_grad=gates_want or i < 2, device=device)
                  for i, a in enumerate((X, WEIGHT, GATES))]
        h = mg.gated_linear(*leaves[:2], None, leaves[2], block=K)
        assert isinstance(h[1:3].value, Packed)
        out = reduction(h)
        mg.square(out).sum().backward()
        return [out, *(x.grad for x in leaves if x.requires_grad)]

    on_both(compute)


def test_rows_out_of_range_are_reported():
    h = mg.gated_linear(*(mg.tensor(a, device="cuda") for a in (X, WEIGHT)), None, mg.tensor(GATES, device="cuda"),
                        block=K)
    rows = h[mg.tensor([0, 5], device="cuda")]
    with pytest.raises(IndexError, match="indices from -5 to 4, got 0 to 5"):
        rows.numpy()


@pytest.mark.parametrize("make", [lambda x: mg.optim.AdamW(x, 0.1), lambda x: mg.optim.SGD(x, 0.1, 0.9, nesterov=True)])
def test_a_step_of_a_network_of_these_layers(make):
    def compute(device):
        rng = mg.Generator(1)
        place = {"dtype": np.float64, "device": device}
        table = mg.nn.Embedding(6, 4, rng, **place)
        network = mg.nn.Sequential(mg.nn.LayerNorm(4, **place), mg.nn.Dropout(0.5), mg.nn.Linear(4, 3, rng, **place),
                                   mg.gelu)
        optimiser = make([table, network])
        indices = mg.tensor(np.array([0, 5, 5]), device=device)
        for _ in range(2):
            optimiser.zero_grad()
            mg.expected(mg.square(network(table(indices), rng)).sum(axis=1)).backward()
            optimiser.step()
        return [x.numpy() for x in (*table.parameters(), *network.parameters())]

    on_both(compute)


def test_an_index_out_of_range_is_reported_with_the_next_value():
    rows = mg.nn.Embedding(3, 2, mg.Generator(0), device="cuda")(mg.tensor([3], device="cuda"))
    with pytest.raises(ValueError, match="indices from 0 to 2, got 3 to 3"):
        rows.numpy()


def test_jacobians_and_leaves_made_of_numbers():
    def compute(device):
        x = mg.tensor(X[0], device=device)
        w = mg.tensor(WEIGHT, device=device)
        return [mg.jacobian(lambda x: w @ mg.tanh(x), x), mg.hessian(lambda x: mg.tanh(w @ x).sum(), x),
                *mg.value_and_grad(lambda x: mg.norm(x), x), mg.arange(3, device=device), mg.eye(2, device=device),
                *mg.topk(x, 2), mg.pad(x, 2, mode="reflect"), mg.einsum("ij,j->i", w, x)]

    on_both(compute)
