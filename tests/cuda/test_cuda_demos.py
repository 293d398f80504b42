"""Demos with --device cuda give the numbers of the CPU.  Their sizes are small enough for the simulator."""

from functools import partial

import numpy as np
import pytest

import minigrad as mg
from minigrad.data import DigitSplits, synthetic_digits

pytest.importorskip("matplotlib", reason="demos need the packages of the extra `demos`")
pytest.importorskip("tqdm", reason="demos need the packages of the extra `demos`")

from demos import bernoulli_vae, conditional_mnist, gates_that_skip, toy_problem

IMAGES, LABELS = synthetic_digits(8, seed=0)
IMAGES = IMAGES.reshape(8, 7, 4, 7, 4).mean(axis=(2, 4)).reshape(8, 49)
DIGITS = DigitSplits(IMAGES, LABELS, IMAGES[:4], LABELS[:4], IMAGES[4:], LABELS[4:], source="eight digits")


def small(method):
    """A row of the table with a network for 49 pixels."""
    network = partial(mg.nn.ConditionalNetwork, inputs=49, hidden=10)
    return conditional_mnist.METHODS[method]._replace(units=8, network=network)


class Bar:
    """A replacement for the progress bar."""

    def update(self):
        pass


@pytest.mark.parametrize(("method", "recipe"), [
    *((method, "paper") for method in ("straight-through", "sbn", "sts", "noisy-rectifier", "baseline-sigmoid-noise")),
    ("straight-through", "long"),
])
def test_the_papers_experiment(method, recipe):
    settings = {"method": method, "recipe": recipe, "epochs": 1, "batch": 4, "block": 2, "seed": 0}
    histories = {}
    for device in mg.devices.NAMES:
        run = conditional_mnist.Run(settings, DIGITS, small(method), device)
        run.train_epoch(Bar())
        histories[device] = run.history[0]
        assert {x.device for x in run.network.parameters()} == {device}
    assert histories["cuda"] == pytest.approx(histories["cpu"], rel=1e-4)


def test_a_run_goes_on_on_another_device(tmp_path):
    settings = {"method": "sbn", "recipe": "paper", "epochs": 2, "batch": 4, "block": 2, "seed": 0}
    here, there = (conditional_mnist.Run(settings, DIGITS, small("sbn"), device) for device in mg.devices.NAMES)
    here.train_epoch(Bar())
    mg.checkpoint.save(tmp_path / "run", here.state_dict())
    there.load_state_dict(mg.checkpoint.load(tmp_path / "run"))
    for run in (here, there):
        run.train_epoch(Bar())
    assert there.history[0] == here.history[0]
    assert there.history[1] == pytest.approx(here.history[1], rel=1e-4)


def test_variational_autoencoder():
    images = (IMAGES > 0.3).astype(np.float32)
    rules = {name: bernoulli_vae.TEN[name] for name in ("DisARM", "Rebar")}
    options = {"steps": 2, "batch": 4, "seed": 0}
    passes = bernoulli_vae.PASSES
    try:
        bernoulli_vae.PASSES = 2
        here, there = (bernoulli_vae.run(images, rules, **options, device=device) for device in mg.devices.NAMES)
    finally:
        bernoulli_vae.PASSES = passes
    for name, result in here.items():
        for key in ("elbo", "own variance", "same variance"):
            assert there[name][key] == pytest.approx(result[key], rel=1e-3)


def test_toy_problem():
    curves = [toy_problem.learn("Rebar", 0.499, 3, 2, 0, device) for device in mg.devices.NAMES]
    np.testing.assert_allclose(*curves, rtol=1e-10)


SMALL = {"batch": 5, "inputs": 6, "units": 12, "block": 3}


@pytest.mark.parametrize("rule", [mg.estimators.Reinforce, mg.estimators.StraightThrough])
@pytest.mark.parametrize("dense", [False, True])
def test_gates_that_skip(rule, dense):
    here, there = (gates_that_skip.Network(rule(), 0.4, **SMALL, dense=dense, device=device)
                   for device in mg.devices.NAMES)
    for network in (here, there):
        network.step(1)
    np.testing.assert_allclose(mg.devices.put(there.estimate(2), "cpu"), here.estimate(2), rtol=1e-4, atol=1e-5)
    assert there.hidden.weight.device == there.logits.device == "cuda"


def test_steps_are_timed_on_the_device_and_simulated_ones_not_reported(capsys):
    ratios = gates_that_skip.times((0.4,), SMALL, rounds=1, device="cuda")
    assert all(len(found) == 1 and found[0] > 0 for found in ratios.values())
    if mg.devices.describe("cuda") == "cuda (simulated)":
        with pytest.raises(SystemExit):
            gates_that_skip.main(["--device", "cuda"])
        assert "expected a GPU, got a simulated one" in capsys.readouterr().err


@pytest.mark.parametrize("demo", [conditional_mnist, bernoulli_vae, toy_problem, gates_that_skip])
def test_a_device_that_cannot_be_used_is_a_message_not_a_traceback(demo, monkeypatch, capsys):
    def unusable(device):
        raise RuntimeError("device 'cuda' cannot be used: it is away")

    monkeypatch.setattr(mg.devices, "usable", unusable)
    with pytest.raises(SystemExit) as caught:
        demo.main(["--device", "cuda"])
    assert caught.value.code == 2
    assert "device 'cuda' cannot be used: it is away" in capsys.readouterr().err
