"""Tensors and primitives on the device: the values, gradients and errors are those of the CPU."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import devices, ops
from minigrad.kernels import count_work
from minigrad.kernels.device import arrays, transfer
from minigrad.kernels.device.deferred import waiting
from minigrad.tensor import Tensor
from tests.cases import cases


@pytest.fixture(autouse=True)
def nothing_waits():
    """No condition that waits for a transfer passes from one test to another."""
    waiting.clear()
    yield
    waiting.clear()


def at(device, x):
    """An input of a row of the table.  An array becomes a leaf on a device."""
    if isinstance(x, np.ndarray):
        return mg.tensor(x, requires_grad=x.dtype.kind == "f", device=device)
    return [at(device, part) for part in x] if isinstance(x, list) and isinstance(x[0], np.ndarray) else x


def leaves(inputs):
    for x in inputs:
        if isinstance(x, list):
            yield from leaves(x)
        elif isinstance(x, Tensor) and x.requires_grad:
            yield x


@pytest.mark.parametrize("case", [case for case in cases if case.name != "to_device"], ids=str)
def test_value_and_derivatives_of_every_primitive(case):
    found = {}
    for device in devices.NAMES:
        inputs = [at(device, x) for x in case.inputs]
        out = case.call(*inputs)
        found[device] = [out]
        if case.order:
            g = mg.tensor(np.random.default_rng(0).normal(size=out.shape), device=device)
            wanted = list(leaves(inputs))
            found[device] += mg.grad(out, wanted, g, create_graph=case.order > 1)
            if case.order > 1:
                slopes = [x.to_dense() for x in found[device][1:]]
                total = sum((slope * slope).sum() for slope in slopes)
                if total.requires_grad:
                    total.backward()
                found[device] += [mg.tensor(x.grad) for x in wanted if x.grad is not None]
    assert len(found["cpu"]) == len(found["cuda"])
    for here, there in zip(found["cpu"], found["cuda"], strict=True):
        assert (there.device, there.dtype, there.shape) == ("cuda", here.dtype, here.shape)
        np.testing.assert_allclose(there.numpy(), here.numpy(), rtol=1e-10, atol=1e-12)


def test_there_and_back():
    x = mg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    there = (x * 2).to("cuda")
    back = (there * there).to("cpu")
    assert (x.device, there.device, back.device) == ("cpu", "cuda", "cpu")
    back.sum().backward()
    np.testing.assert_array_equal(x.grad, 8 * x.data)
    assert there.to("cuda") is there
    assert mg.to_device(there, "cpu").device == "cpu"


def test_the_gradient_of_a_gradient_crosses_too():
    x = mg.tensor(3.0, requires_grad=True)
    slope = mg.grad((x.to("cuda") ** 3).to("cpu"), x, create_graph=True)
    assert mg.grad(slope, x).item() == 18


def test_memory_order_is_kept():
    for order in "CF":
        x = mg.tensor(np.asarray(np.arange(6.0).reshape(2, 3), order=order), device="cuda")
        assert getattr(x.data.flags, f"{order.lower()}_contiguous")
        assert getattr(x.numpy().flags, f"{order.lower()}_contiguous")


def test_what_a_tensor_of_the_device_shows():
    x = mg.tensor([1.0, 2.0], device="cuda", requires_grad=True)
    assert repr(x) == f"tensor([1., 2.], dtype=float64, device={devices.describe('cuda')!r}, requires_grad=True)"
    assert isinstance(x.numpy(), np.ndarray)
    assert (x[1].item(), x.sum().item()) == (2, 3)
    (x * [3, 4]).sum().backward()           # a list is nowhere, and goes where it is needed
    assert arrays.is_device(x.grad)
    x.grad = None
    x.data = x.data + 1
    x.data += 1
    assert x.numpy().tolist() == [3, 4]
    assert mg.tensor(x.data).device == "cuda"       # where the data is
    assert mg.tensor(x.data).data is not x.data


@pytest.mark.parametrize(("name", "call"), [
    ("add", lambda here, there: here + there),
    ("multiply", lambda here, there: there * here.data),
    ("where", lambda here, there: mg.where(here > 0, there, 0)),
    ("concatenate", lambda here, there: mg.concatenate([here, there])),
    ("getitem", lambda here, there: there[np.array([0, 1])]),
    ("getitem", lambda here, there: here[mg.tensor([0, 1]).to("cuda")]),
    ("matmul", lambda here, there: there @ here),
    ("linear", lambda here, there: mg.linear(there, mg.tensor(np.ones((3, 2))))),
    ("gated_linear", lambda here, there: mg.gated_linear(mg.tensor([[1.0, 2.0]]), mg.tensor(np.ones((2, 2))), None,
                                                         there[None])),
    ("cross_entropy", lambda here, there: mg.cross_entropy(there, mg.tensor(1))),
    ("betaln", lambda here, there: mg.betaln(here, there)),
    ("bernoulli", lambda here, there: mg.bernoulli(there[None], mg.estimators.Stop(), context=here[None])),
])
def test_nothing_is_moved_unasked(name, call):
    with pytest.raises(TypeError, match=rf"^{name}: expected arguments on one device, got .*\.to\(device\)"):
        call(mg.tensor([1.0, 2.0]), mg.tensor([1.0, 2.0], device="cuda"))


def test_mixing_in_the_rest_of_the_engine():
    x = mg.tensor([1.0, 2.0], requires_grad=True, device="cuda")
    with pytest.raises(ValueError, match=r"on 'cuda', got .* on 'cpu'"):
        x.data = np.ones(2)
    with pytest.raises(ValueError, match=r"on 'cuda', got .* on 'cpu'"):
        x.grad = np.ones(2)
    with pytest.raises(ValueError, match=r"on 'cuda', got .* on 'cpu'"):
        (x * x).backward(np.ones(2))
    y = x * x
    with pytest.raises(ValueError, match=r"on 'cuda', got .* on 'cpu'"):
        mg.replay([y.sum()], {y: np.ones(2)})
    (again,) = mg.replay([y.sum()], {y: transfer.to_device(np.ones(2))})
    assert float(again) == 2


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda x: mg.expected(x / 0), ValueError, "expected finite costs"),
    (lambda x: mg.cross_entropy(x, mg.tensor([0, 7], device="cuda")), ValueError, "labels from 0 to 1, got 0 to 7"),
    (lambda x: mg.binary_cross_entropy(x, x * 255), ValueError, r"targets in \[0, 1\], got 255.0 to 1020.0"),
    (lambda x: x[mg.tensor([0, 2], device="cuda")], IndexError, "indices from -2 to 1, got 0 to 2"),
    (lambda x: x[..., mg.tensor([-3], device="cuda")], IndexError, "indices from -2 to 1, got -3 to -3"),
    (lambda x: mg.take_along_axis(x, mg.tensor([[2], [0]], device="cuda")), IndexError, "from -2 to 1, got 0 to 2"),
    (lambda x: mg.bernoulli(x / 0, mg.estimators.Stop()), ValueError, "expected finite logits"),
])
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_what_only_the_device_knows_is_reported_with_the_next_value_fetched(call, error, message):
    x = mg.tensor([[1.0, 2.0], [3.0, 4.0]], device="cuda")
    out = call(x)                           # nobody looks yet
    with pytest.raises(error, match=message):
        out.numpy()
    assert out.numpy() is not None          # said once


def test_conditions_do_not_pile_up():
    x = mg.tensor([1.0], device="cuda")
    with count_work() as work:
        for _ in range(1025):
            mg.expected(x)
    assert len(waiting) == 1
    if arrays.simulated():
        assert work.transfers == 2


def test_uniforms_are_the_same_bits():
    for dtype in (np.float32, np.float64):
        for seed, shape in ((0, (5, 3)), (2**64 - 1, (2, 2, 7))):
            here, there = mg.Generator(seed, 3), mg.Generator(seed, 3, device="cuda")
            for draw in range(2):
                found = there.uniform(shape, dtype)
                assert arrays.is_device(found)
                np.testing.assert_array_equal(found.get(), here.uniform(shape, dtype), err_msg=f"draw {draw}")
    forked = mg.Generator(3, device="cuda").fork(1)
    np.testing.assert_array_equal(forked.uniform((4, 2)).get(), mg.Generator(3).fork(1).uniform((4, 2)))
    for draw in ("normal", "logistic"):
        np.testing.assert_allclose(getattr(mg.Generator(5, device="cuda"), draw)((4, 3)).get(),
                                   getattr(mg.Generator(5), draw)((4, 3)), rtol=1e-12)
    np.testing.assert_array_equal(mg.Generator(5, device="cuda").integers(10, (4, 3)).get(),
                                  mg.Generator(5).integers(10, (4, 3)))


def test_a_draw_is_made_where_the_logits_are():
    logits = np.linspace(-3, 3, 24).reshape(4, 6)
    samples = {(device, home): mg.bernoulli(mg.tensor(logits, device=device), mg.estimators.Stop(),
                                            rng=mg.Generator(2, device=home))
               for device in devices.NAMES for home in devices.NAMES}
    for (device, _), sample in samples.items():
        assert sample.device == device
        np.testing.assert_array_equal(sample.numpy(), samples["cpu", "cpu"].numpy())


def test_a_condition_may_be_a_plain_bool():
    x = mg.tensor([1.0, 2.0], requires_grad=True, device="cuda")
    with count_work() as work:
        chosen = mg.where(True, x, 0), mg.where(False, x, x * 3)
    assert work.transfers == 0
    assert [y.numpy().tolist() for y in chosen] == [[1, 2], [3, 6]]


def test_packed_units_and_factored_gradients():
    x, gates = np.random.default_rng(0).normal(size=(3, 4)), np.array([[1.0, 0], [0, 0], [0.5, 2]])
    found = {}
    for device in devices.NAMES:
        weight = mg.tensor(np.arange(24.0).reshape(6, 4), requires_grad=True, device=device)
        out = mg.gated_linear(mg.tensor(x, device=device), weight, None, mg.tensor(gates, device=device), block=3)
        assert (out.device, type(out.value).__name__) == (device, "Packed")
        (mg.relu(out) * 2).to_dense().sum().backward()
        assert type(weight.gradient) is ops.Factored
        assert bool(ops.packed.is_finite(weight.gradient))
        found[device] = [devices.put(array, "cpu") for array in (out.data, weight.grad)]
    for here, there in zip(*found.values(), strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-12)


def test_alternatives_in_one_replay_are_those_of_many():
    found = {}
    for device in devices.NAMES:
        b = mg.bernoulli(mg.tensor(np.zeros((2, 3)), requires_grad=True, device=device),
                         mg.estimators.LocalExpectation(), rng=mg.Generator(1))
        hidden = mg.tanh(b @ mg.tensor(np.arange(6.0).reshape(3, 2), device=device))
        mg.expected((hidden * hidden).sum(axis=1)).backward()
        found[device] = devices.put(b.parents[0][1].grad, "cpu")
    np.testing.assert_allclose(found["cuda"], found["cpu"], rtol=1e-12)
