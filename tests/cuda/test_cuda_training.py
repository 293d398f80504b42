"""Rules, networks, optimisers and checkpoints work on the device as on the CPU, and training does not wait."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import devices
from minigrad.kernels import count_work
from minigrad.kernels.device.arrays import is_device, simulated
from minigrad.kernels.device.deferred import settle, waiting
from minigrad.kernels.device.transfer import to_device

RULES = {name: getattr(mg.estimators, name) for name in mg.estimators.__all__}
RULES |= {"Reinforce, mean": lambda: mg.estimators.Reinforce("mean"),
          "Reinforce, optimal": lambda: mg.estimators.Reinforce("optimal"),
          "Rebar, learned": lambda: mg.estimators.Rebar(rate=0.1),
          "LeaveOneOut, 3": lambda: mg.estimators.LeaveOneOut(3),
          "LearnedCorrection, trained": lambda: trained_correction()}

rng = np.random.default_rng(7)
LOGITS, WEIGHT, X, CONTEXT = (rng.normal(size=shape) for shape in ((3, 4), (4, 2), (3, 4), (3, 2)))


def trained_correction():
    """A rule whose memory comes from a checkpoint."""
    rule = mg.estimators.LearnedCorrection()
    rule.state = {"alpha": np.ones(4), "weight": np.full((3, 4), 0.1), "biased_scale": np.ones(4),
                  "input_scale": np.ones(3)}
    return rule


@pytest.fixture(autouse=True)
def nothing_waits():
    """No condition that waits for a transfer passes from one test to another."""
    waiting.clear()
    yield
    settle()


def placed(device, dtype):
    """The arrays on a device, the first to be differentiated."""
    return [mg.tensor(x.astype(dtype), requires_grad=x is LOGITS, device=device) for x in (LOGITS, WEIGHT, X, CONTEXT)]


def loss_of(rule, logits, weight, x, context):
    """Two layers of binary nodes, of which the first has the rule."""
    if isinstance(rule, mg.estimators.Vimco):
        above = mg.bernoulli(mg.stack([logits, 0.5 * logits], axis=1), rule, rng=mg.Generator(3))
        return 2 * mg.expected((above * mg.expand_dims(x, 1)).sum(axis=2), over=1)
    above = mg.bernoulli(logits, rule, rng=mg.Generator(3), context=context)
    below = mg.bernoulli(above @ weight, mg.estimators.StraightThrough(), rng=mg.Generator(4))
    costs = ((below - 0.3) ** 2).sum(axis=1) + (above * x).sum(axis=1) ** 2
    return 0.7 * mg.expected(costs) + 0.001 * above.sum()


@pytest.mark.parametrize("name", RULES)
@pytest.mark.filterwarnings("ignore:.*is unbiased only if")
def test_every_rule_gives_the_cpus_gradients_and_waits_for_nothing(name):
    for dtype, tolerance in ((np.float64, 1e-10), (np.float32, 5e-5)):
        found, memories = {}, {}
        for device in devices.NAMES:
            rule, found[device] = RULES[name](), []
            for step in range(3):               # what the rule remembers comes in from the second on
                logits, *others = placed(device, dtype)
                with count_work() as work:
                    loss = loss_of(rule, logits, *others)
                    loss.backward()
                if step and simulated():
                    assert work.transfers == 0
                assert devices.of(logits.grad) == device
                found[device] += [loss.item(), devices.put(logits.grad, "cpu")]
            memories[device] = rule.state_dict()
        for here, there in zip(found["cpu"], found["cuda"], strict=True):
            np.testing.assert_allclose(there, here, rtol=tolerance, atol=tolerance)
        assert memories["cuda"].keys() == memories["cpu"].keys()
        for key, here in memories["cpu"].items():
            assert isinstance(memories["cuda"][key], np.ndarray)
            np.testing.assert_allclose(memories["cuda"][key], here, rtol=100 * tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["Reinforce, mean", "LearnedCorrection, trained", "Nvil", "Relax", "Rodeo"])
@pytest.mark.filterwarnings("ignore:.*is unbiased only if")
def test_a_memory_is_where_the_last_sample_was_drawn(name):
    rule, passes = RULES[name](), 0
    for device in ("cpu", "cuda", "cuda", "cpu"):
        first = loss_of(rule, *placed(device, np.float64))
        with mg.no_grad():
            loss_of(rule, *placed(device, np.float64))          # a draw that moves nothing invalidates nothing
        state = rule.state
        first.backward()
        assert rule.pending(), device
        assert rule.state is state
        assert {devices.of(x) for x in rule.merged().values() if np.ndim(x)} == {device}
        with mg.testing.frozen_memories():
            loss_of(rule, *placed("cpu" if device == "cuda" else "cuda", np.float64)).backward()
        assert rule.state is state
        passes += 1
    if "steps" in rule.state_dict():
        assert rule.state_dict()["steps"] == passes


def test_a_rule_of_ones_own_is_told_where_its_estimate_belongs():
    class Careless(mg.Estimator):
        def backward(self, node):
            return np.zeros(node.shape)

    logits = mg.tensor(LOGITS, requires_grad=True, device="cuda")
    with pytest.raises(ValueError, match=r"Careless.*an estimate on 'cuda', got one on 'cpu'"):
        mg.expected(mg.bernoulli(logits, Careless(), rng=mg.Generator(1)).sum(axis=1)).backward()


IMAGES, LABELS = rng.normal(size=(12, 6)), rng.integers(0, 3, 12)
OPTIMISERS = {
    "sgd": lambda network: mg.optim.SGD(network, lr=0.1),
    "momentum and norm": lambda network: mg.optim.SGD(network, lr=0.1, momentum=0.9, max_norm=0.5),
    "adam": lambda network: mg.optim.Adam(network, lr=0.01),
    "lazy adam": lambda network: mg.optim.Adam(network, lr=0.01, lazy=True),
    "lazy momentum": lambda network: mg.optim.SGD(network, lr=0.1, momentum=0.9, lazy=True),
}


class Run:
    """A conditional network on a device, with the whole state of its training."""

    def __init__(self, device, optimiser="sgd", dtype=np.float32):
        self.rng = mg.Generator(5)
        self.network = mg.nn.ConditionalNetwork(self.rng, inputs=6, hidden=5, units=8, outputs=3, block=2, dtype=dtype,
                                                device=device)
        self.network.rule = mg.estimators.Reinforce("mean")
        self.optimiser = OPTIMISERS[optimiser](self.network)
        self.images = mg.tensor(IMAGES.astype(dtype), device=device)
        self.labels = mg.tensor(LABELS, device=device)
        self.batches = mg.data.minibatches(12, 4, seed=0, epoch=0, device=device)

    def step(self, number):
        """Loss and gates of one step, on their device, and how often the step waited for the device."""
        with count_work() as work:
            x, labels = self.images[self.batches[number]], self.labels[self.batches[number]]
            logits = self.network.logits(x)
            gates = mg.bernoulli(logits, self.network.rule, rng=self.rng)
            costs = mg.cross_entropy(self.network.scores(x, gates), labels)
            loss = mg.expected(costs) + 0.01 * gates.mean()
            self.optimiser.zero_grad()
            loss.backward()
            self.gradients = {name: x.grad for name, x in self.network.named_parameters().items()}
            self.optimiser.step()
        return loss, gates, work.transfers


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_training_is_the_cpus_and_waits_for_nothing(optimiser, dtype):
    tolerance = 1e-4 if dtype == np.float32 else 1e-10
    here, there = (Run(device, optimiser, dtype) for device in devices.NAMES)
    for step in range(3):
        (loss, gates, _), (its_loss, its_gates, waits) = here.step(step), there.step(step)
        np.testing.assert_array_equal(its_gates.numpy(), gates.numpy())
        np.testing.assert_allclose(its_loss.item(), loss.item(), rtol=tolerance)
        for name, gradient in here.gradients.items():
            np.testing.assert_allclose(there.gradients[name].get(), gradient, rtol=tolerance, atol=tolerance)
        if step and simulated():
            assert waits == 0
    for name, value in here.network.state_dict().items():
        got = there.network.state_dict()[name]
        for x, y in zip(*(list(v.values()) if isinstance(v, dict) else [v] for v in (value, got)), strict=True):
            np.testing.assert_allclose(y, x, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_a_run_goes_on_where_its_checkpoint_says(optimiser, tmp_path):
    whole, first, second = (Run("cuda", optimiser) for _ in range(3))
    whole_losses = [whole.step(step)[0].item() for step in range(3)]
    losses = [first.step(step)[0].item() for step in range(2)]
    parts = ("network", "optimiser", "rng")
    mg.checkpoint.save(tmp_path / "run", {part: getattr(first, part).state_dict() for part in parts})
    for part, state in mg.checkpoint.load(tmp_path / "run").items():
        getattr(second, part).load_state_dict(state)
    assert [*losses, second.step(2)[0].item()] == whole_losses
    for x, y in zip(whole.network.parameters(), second.network.parameters(), strict=True):
        assert y.device == "cuda"
        assert y.data.flags.f_contiguous == x.data.flags.f_contiguous
        np.testing.assert_array_equal(x.numpy(), y.numpy())


def test_arrays_of_the_device_are_saved_as_numpys(tmp_path):
    mg.checkpoint.save(tmp_path / "x", {"x": to_device(np.arange(3.0)), "zero": to_device(np.zeros((), np.float32))})
    loaded = mg.checkpoint.load(tmp_path / "x")
    assert type(loaded["x"]) is np.ndarray
    np.testing.assert_array_equal(loaded["x"], np.arange(3.0))
    assert (loaded["zero"].shape, loaded["zero"].dtype) == ((), np.float32)


def test_a_module_moves_with_everything_in_it():
    run = Run("cpu", "adam")
    run.step(0)
    before, weight = run.network.state_dict(), run.network.output.weight
    run.network.scale = mg.tensor([2.0])
    assert run.network.to("cuda") is run.network
    assert run.network.output.weight is weight
    assert {x.device for x in (*run.network.parameters(), run.network.scale)} == {"cuda"}
    assert weight.gradient is None
    assert weight.data.flags.f_contiguous
    assert all(is_device(x) for x in run.network.rule.state.values())
    for x in run.network.parameters():
        x.grad = x.data
    with pytest.raises(ValueError, match=r"mean on 'cpu' \(make the optimiser after Module.to\)"):
        run.optimiser.step()
    run.network.to("cpu")
    for name, value in before.items():
        np.testing.assert_equal(run.network.state_dict()[name], value)


def test_a_graph_recorded_before_a_move_is_stale():
    layer = mg.nn.Linear(2, 1, mg.Generator(1), dtype=np.float64)
    loss = layer(mg.tensor([[1.0, 2.0]])).sum()
    layer.to("cuda")
    with pytest.raises(ValueError, match="changed in place"):
        loss.backward()


def test_initial_values_do_not_depend_on_the_device_or_the_generators():
    values = [mg.nn.Linear(3, 2, mg.Generator(1, device=home), device=device).weight.numpy()
              for home in devices.NAMES for device in devices.NAMES]
    assert all((value == values[0]).all() for value in values)


def test_a_gradient_that_is_not_finite_is_reported_by_name_and_step():
    x = mg.tensor([1.0, 2.0], requires_grad=True, device="cuda")
    optimiser = mg.optim.SGD([x], lr=0.1)
    (x * x).sum().backward()
    optimiser.step()
    optimiser.zero_grad()
    (x * np.inf).sum().backward()
    optimiser.step()                            # nobody looks yet
    with pytest.raises(ValueError, match=r"SGD.step: .* 0 had NaN or infinity at step 1 \(try a smaller"):
        x.numpy()


def test_minibatches_of_an_epoch_are_moved_at_once():
    with count_work() as work:
        there = mg.data.minibatches(10, 4, seed=1, epoch=2, device="cuda")
    for x, y in zip(there, mg.data.minibatches(10, 4, seed=1, epoch=2), strict=True):
        np.testing.assert_array_equal(x.get(), y)
    assert work.transfers == 1


def test_the_harness_works_on_the_cpu_and_says_so():
    logits = mg.tensor([[0.3, -0.2]], requires_grad=True, device="cuda")

    def fn(rng):
        return mg.expected(mg.bernoulli(logits, mg.estimators.StraightThrough(), rng=rng).sum(axis=1))

    for check in (lambda: mg.testing.exact_gradient(lambda: fn(mg.Generator(1)), logits),
                  lambda: mg.testing.check_estimator(fn, logits), lambda: mg.testing.check_rows(fn),
                  lambda: mg.testing.gradcheck(mg.exp, [logits])):
        with pytest.raises(ValueError, match=r"a computation on 'cpu', got one on 'cuda'\. Compute it"):
            check()
