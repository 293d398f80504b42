"""The experiment as its users run it: every method, the regularisers, resuming, and wrong arguments."""

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the demos need matplotlib")
pytest.importorskip("tqdm", reason="the demos need tqdm")

import minigrad as mg
from demos import conditional_mnist as demo
from minigrad.data import DigitSplits, synthetic_digits


@pytest.fixture(autouse=True)
def few_digits(monkeypatch):
    """300 digits to train on and 100 each for validation and test, instead of MNIST."""
    images, labels = synthetic_digits(500, seed=0)
    splits = [part for span in (slice(0, 300), slice(300, 400), slice(400, 500))
              for part in (images[span], labels[span])]
    data = DigitSplits(*splits, source="few digits")
    monkeypatch.setattr(mg.data, "digits", lambda folder: data)
    return data


def settings(**changed):
    usual = {"method": "straight-through", "recipe": "quick", "epochs": 2, "batch": 50, "block": 1, "seed": 0}
    return usual | changed


def run_command(tmp_path, *arguments):
    return demo.main(["--batch", "50", "--out", str(tmp_path / "made" / "picture.png"), *arguments])


@pytest.mark.parametrize("method", [*demo.METHODS, "StraightThroughSlope"])
def test_every_method_trains_and_reports(method, tmp_path, capsys):
    assert run_command(tmp_path, "--method", method, "--epochs", "1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "few digits: 300 digits to train on, 6 steps an epoch"
    assert lines[-2].startswith("epoch 1, the best on validation data: training error ")
    assert (tmp_path / "made" / "picture.png").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("method", ["straight-through", "noisy-rectifier"])
def test_training_lowers_cost_and_error(method, few_digits):
    run = demo.Run(settings(method=method, epochs=12, block=4), few_digits)
    for _ in range(12):
        run.train_epoch(bar=SilentBar())
    first, last = run.history[0], run.history[-1]
    assert last["cost"] < 0.6 * first["cost"]
    assert last["valid"] < 0.4                               # guessing: 0.9


class SilentBar:
    def update(self):
        pass


def test_the_papers_recipe(few_digits):
    run = demo.Run(settings(recipe="paper", method="sbn"), few_digits)
    run.train_epoch(SilentBar())
    rates = {name: rate(1000) for name, rate in run.optimiser.rates.items()}
    assert rates["group 1: 0.weight"] == pytest.approx(0.032)
    assert rates["group 0: 0.weight"] == 0.1
    for x in run.network.parameters():
        if x.ndim == 2:
            assert np.linalg.norm(x.numpy(), axis=1).max() < 2.0001


# ---- the long recipe ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("method", "gater_rate"), [("straight-through", 1), ("sbn", 0.005), ("baseline-rectifier", 1)])
def test_the_long_recipe(method, gater_rate, few_digits):
    run = demo.Run(settings(recipe="long", method=method, epochs=4), few_digits)
    for _ in range(4):
        run.train_epoch(SilentBar())
    assert run.history[-1]["cost"] < 0.8 * run.history[0]["cost"]
    assert isinstance(run.optimiser, mg.optim.Adam)
    for name, first in ("group 0: 0.weight", 0.0015), ("group 1: 0.weight", 0.0015 * gater_rate):
        rates = [run.optimiser.rates[name](step) for step in (0, 12, 18, 24)]       # of 24
        np.testing.assert_allclose(rates, first * np.array([1, 1, 0.5, 0]), rtol=1e-12)


def test_gater_and_experts_see_different_noise_on_the_same_digits(few_digits, monkeypatch):
    run = demo.Run(settings(recipe="long"), few_digits)
    seen, network = {}, mg.nn.ConditionalNetwork
    for name, method in ("gater", network.logits), ("experts", network.scores):
        def spy(self, x, *gates, name=name, method=method):
            seen[name] = x.numpy()
            return method(self, x, *gates)
        monkeypatch.setattr(network, method.__name__, spy)
    run.training_step(run.images[:50], run.labels[:50])
    images = run.images.numpy()[:50]
    empty, ink = images == 0, images > 0.7
    for gater, experts in ((seen["gater"][empty], seen["experts"][empty]),                    # the added noise alone
                           (seen["gater"][ink] < 0.5, seen["experts"][ink] < 0.5)):           # hidden or not
        assert gater.std() > 0.2
        correlation = np.corrcoef(gater, experts)[0, 1]
        assert abs(correlation) < 6 / np.sqrt(len(gater))    # a correct program exceeds it once in 5e8


def test_noisy_digits_have_the_mean_and_variance_that_they_should():
    images = mg.tensor(np.tile(np.float32([0, 0.25, 1]), (100_000, 1)))
    made = demo.noisy(images, mg.Generator(3)).numpy()
    assert made.dtype == np.float32
    variance = np.array([0, 0.25, 1]) ** 2 * 0.3 / 0.7 + 1 / 12
    error = np.sqrt(variance / 100_000)
    np.testing.assert_array_less(np.abs(made.mean(axis=0, dtype=np.float64) - [0, 0.25, 1]), 6 * error)
    np.testing.assert_allclose(made.var(axis=0, dtype=np.float64), variance, rtol=0.02)
    np.testing.assert_allclose(np.corrcoef(made.T), np.eye(3), atol=0.02)
    assert np.abs(made[:, 0]).max() <= 0.5


def test_a_contrast_is_the_difference_of_two_digits_of_two_classes(few_digits):
    images, labels = few_digits.train_images[:100], few_digits.train_labels[:100]
    layer = mg.nn.Linear(784, 40, mg.Generator(1))
    demo.contrasts(layer, images, labels, mg.Generator(2))
    entering = layer(images).numpy()
    np.testing.assert_allclose(entering.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(entering.std(axis=0), 1, rtol=1e-4)
    of_two_classes = labels[:, None] != labels
    differences = (images[:, None] - images)[of_two_classes]
    differences /= np.linalg.norm(differences, axis=1, keepdims=True)
    weight = layer.weight.numpy()
    cosines = (weight / np.linalg.norm(weight, axis=1, keepdims=True)) @ differences.T
    np.testing.assert_allclose(cosines.max(axis=1), 1, rtol=1e-5)
    assert len(set(cosines.argmax(axis=1))) > 35


def test_sharp_gates_are_open_for_a_tenth_of_the_digits_each(few_digits):
    images = few_digits.train_images
    network = mg.nn.ConditionalNetwork(mg.Generator(1))
    before = network.logits(images).numpy()
    demo.sharpen(network, 3.0, mg.tensor(images))
    after = network.logits(images).numpy()
    np.testing.assert_allclose(after - after.mean(axis=0), 3 * (before - before.mean(axis=0)), atol=1e-4)
    assert set((after > 0).sum(axis=0)) <= {29, 30, 31}


# ---- gates --------------------------------------------------------------------------------------------------


def test_a_tenth_of_the_gates_are_open_where_the_threshold_was_chosen(few_digits):
    run = demo.Run(settings(), few_digits)
    gate = run.test_gate()
    gates = gate(run.network.logits(few_digits.valid_images)).numpy()
    assert np.unique(gates).tolist() == [0, 1]
    assert gates.mean() == pytest.approx(0.1, abs=1e-4)


def test_the_usage_penalty_is_least_where_a_tenth_is_open():
    probs = mg.tensor([[0.05, 0.3], [0.15, 0.1]], requires_grad=True)           # means 0.1 and 0.2
    penalty = demo.usage_penalty(probs)
    wanted = sum(-0.1 * np.log(p) - 0.9 * np.log(1 - p) for p in (0.1, 0.2))
    assert penalty.item() == pytest.approx(wanted, rel=1e-14)
    penalty.backward()
    slope = (-0.1 / 0.2 + 0.9 / 0.8) / 2
    np.testing.assert_allclose(probs.grad, [[0, slope], [0, slope]], atol=1e-15)


@pytest.mark.parametrize(("method", "recipe", "weight"), [
    ("straight-through", "paper", 0.1), ("straight-through", "long", 0.03), ("sbn", "long", 1.0)])
def test_a_recipe_may_weigh_the_penalty_otherwise(method, recipe, weight, few_digits):
    assert demo.Run(settings(method=method, recipe=recipe), few_digits).penalty == weight


def test_the_rectifiers_penalty_follows_the_share_of_open_gates(few_digits):
    run = demo.Run(settings(method="noisy-rectifier"), few_digits)
    run.train_epoch(SilentBar())
    assert run.history[0]["open"] > 0.11                     # half of the gates, at first
    assert run.penalty == pytest.approx(1e-5 * 1.1**6, rel=1e-12)
    run.network.gater[1].bias.data -= np.float32(100)        # and now none
    run.train_epoch(SilentBar())
    assert run.penalty == pytest.approx(1e-5 * 1.1**6 * 0.9**6, rel=1e-12)


def test_the_noise_of_smooth_gates_has_the_moments_of_its_distribution():
    noise = demo.SmoothGates().noise
    alpha, beta, scale = (0.1 * 38.1 + 1) / 0.9, 40.1, np.log(99)
    mean = alpha / (alpha + beta)
    assert noise.mean() == pytest.approx(scale * (mean - 0.5), abs=1e-4)
    assert noise.var() == pytest.approx(scale**2 * mean * (1 - mean) / (alpha + beta + 1), rel=1e-3)


def test_use_is_counted_by_digit():
    network = mg.nn.ConditionalNetwork(mg.Generator(0), inputs=10, hidden=2, units=10, dtype=np.float64)
    network.experts.weight.data[:] = 0
    network.experts.bias.data[:] = 1
    network.output.weight.data[:] = np.eye(10)
    labels = np.array([3, 3, 4, 9])
    opened = np.eye(10)[[3, 4, 4, 9]]                        # the second is taken for a 4
    error, use = demo.evaluate(network, lambda logits: mg.tensor(opened), np.zeros((4, 10)), labels)
    assert error == 0.25
    assert use[3].tolist() == [0, 0, 0, 0.5, 0.5, 0, 0, 0, 0, 0]
    assert (use[4, 4], use[9, 9], use.sum()) == (1, 1, 3)


# ---- resuming ----------------------------------------------------------------------------------------------


def same(one, other):
    """Whether two trees are equal bit for bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    return one == other


@pytest.mark.slow
@pytest.mark.parametrize("method", ["straight-through", "sbn", "sts", "noisy-rectifier"])
def test_a_resumed_run_is_the_same_bit_for_bit(method, tmp_path, monkeypatch, capsys):
    arguments = ["--method", method, "--epochs", "3", "--block", "4", "--checkpoint"]
    assert run_command(tmp_path, *arguments, str(tmp_path / "whole.npz")) == 0
    whole_report = capsys.readouterr().out.splitlines()[-2]

    step, calls = demo.Run.training_step, []

    def interrupted(run, images, labels):
        calls.append(1)
        if len(calls) == 9:                                  # the third step of the second epoch
            raise KeyboardInterrupt
        return step(run, images, labels)

    monkeypatch.setattr(demo.Run, "training_step", interrupted)
    assert run_command(tmp_path, *arguments, str(tmp_path / "parts.npz")) == 130
    assert "stopped in epoch 2 of 3. " + str(tmp_path / "parts.npz") in capsys.readouterr().out
    assert len(mg.checkpoint.load(tmp_path / "parts.npz")["history"]) == 1
    assert run_command(tmp_path, *arguments, str(tmp_path / "parts.npz"), "--resume") == 0
    assert capsys.readouterr().out.splitlines()[-2] == whole_report
    assert same(*(mg.checkpoint.load(tmp_path / name) for name in ("whole.npz", "parts.npz")))


def test_a_checkpoint_holds_what_the_run_has_learnt(few_digits):
    run = demo.Run(settings(method="sbn"), few_digits)
    run.train_epoch(SilentBar())
    state = run.state_dict()
    assert state["gates"]["rule"]["weight"].shape == (2000,)
    assert state["rng"]["draws"] > 6
    assert state["optimiser"]["steps"] == 6


# ---- wrong arguments ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arguments", "remedy"), [
    (["--method", "magic"], "expected one of straight-through, sbn"),
    (["--block", "3"], "divides 2000 units, got 3"),
    (["--epochs", "0"], "expected a whole number above 0, got '0'"),
    (["--seed", "-1"], "seed in [0, 2**64), got -1"),
    (["--resume"], "--checkpoint FILE"),
    (["--resume", "--checkpoint", "nowhere.npz"], "nowhere.npz"),
    (["--out", "picture.txt"], ".png, .svg or .pdf"),
])
def test_wrong_arguments_are_answered_with_a_remedy(arguments, remedy, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        demo.main(arguments)
    assert stopped.value.code == 2
    assert remedy in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_is_not_overwritten_nor_resumed_as_another_run(tmp_path, capsys):
    path = str(tmp_path / "run.npz")
    assert run_command(tmp_path, "--epochs", "1", "--checkpoint", path) == 0
    written = (tmp_path / "run.npz").read_bytes()
    for arguments, remedy in ([], "Add --resume"), (["--resume", "--seed", "5"], "seed 0, not 5"):
        with pytest.raises(SystemExit):
            run_command(tmp_path, "--epochs", "1", "--checkpoint", path, *arguments)
        assert remedy in capsys.readouterr().err
    assert (tmp_path / "run.npz").read_bytes() == written
