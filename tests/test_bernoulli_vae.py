"""The demo at a tiny size, and its objective against the sum over all states of three bits."""

from itertools import product

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the demos need matplotlib")
pytest.importorskip("tqdm", reason="the demos need tqdm")

import minigrad as mg
from demos import bernoulli_vae as demo
from minigrad.data import DigitSplits, synthetic_digits


@pytest.fixture
def small():
    """A model with three bits and no parameter that is 0, and four images of six pixels; float64."""
    rng = mg.Generator(1)
    x = (rng.uniform((4, 6)) > 0.5).astype(float)
    vae = demo.Vae(x.mean(axis=0), rng, bits=3, dtype=np.float64)
    for parameter in vae.parameters():
        parameter.data += rng.normal(parameter.shape)
    return vae, x


def enumerated_elbo(vae, x):
    """Σ_b q(b|x) (log p(x|b) + log p(b) − log q(b|x)), averaged over x, in plain NumPy."""
    def log_bernoulli(values, logits):
        return (values * logits - np.logaddexp(0, logits)).sum(axis=-1)

    q = (x - vae.mean.data) @ vae.encoder.weight.data.T + vae.encoder.bias.data
    total = 0
    for b in map(np.array, product((0.0, 1.0), repeat=3)):
        pixels = vae.decoder.weight.data @ b + vae.decoder.bias.data
        log_q = log_bernoulli(b, q)
        total += np.exp(log_q) * (log_bernoulli(x, pixels) + log_bernoulli(b, vae.prior.data) - log_q)
    return total.mean()


def test_the_loss_is_minus_the_elbo_of_all_states(small):
    vae, x = small
    loss = mg.testing.exact_expectation(lambda: vae.loss(x, mg.estimators.Stop(), mg.Generator(0)))
    assert loss == pytest.approx(-enumerated_elbo(vae, x), rel=1e-12)


def test_measured_elbo_agrees(small):
    vae, x = small
    copies = np.repeat(x, 3000, axis=0)         # a standard error of about 0.03
    assert demo.elbo(vae, copies, seed=2) == pytest.approx(enumerated_elbo(vae, x), abs=0.15)


@pytest.mark.parametrize("name", ["LeaveOneOut", "DisARM", "MuProp"])
def test_unbiased_rules_follow_the_gradient_of_the_elbo(name, small):
    """The mean over all outcomes of the rule's noise is the slope of the enumerated ELBO, by every parameter."""
    vae, x = small
    x, params = x[:1], vae.named_parameters()
    report = mg.testing.check_estimator(lambda rng: vae.loss(x, demo.TEN[name](), rng), params, samples=300, seed=0)
    assert report.exact
    for key, parameter in params.items():
        slopes = np.empty(parameter.shape)
        for i in np.ndindex(parameter.shape):
            value, ends = parameter.data[i], []
            for shift in (1e-5, -1e-5):
                parameter.data[i] = value + shift
                ends.append(enumerated_elbo(vae, x))
            parameter.data[i] = value
            slopes[i] = (ends[0] - ends[1]) / 2e-5
        np.testing.assert_allclose(-report.mean[key], slopes, atol=1e-7, err_msg=key)


def test_variance_of_reinforce_in_closed_form(small):
    """Of (b − p) f(b), over the eight states of three bits."""
    vae, x = small
    rule, q = mg.estimators.Reinforce(), vae.logits(x).numpy()
    p, moments = 1 / (1 + np.exp(-q)), np.zeros((2, *q.shape))
    for b in map(np.array, product((0.0, 1.0), repeat=3)):
        probability = np.prod(np.where(b, p, 1 - p), axis=1, keepdims=True)
        g = (b - p) * vae.reconstruction(mg.tensor(np.tile(b, (4, 1))), x).numpy()[:, None]
        moments += probability * np.array([g, g * g])
    exact = (moments[1] - moments[0] ** 2).sum(axis=1).mean()
    copies = np.repeat(x, 50, axis=0)
    assert demo.variance(vae, rule, copies, seed=3) == pytest.approx(exact, rel=0.1)


# ---- the command ---------------------------------------------------------------------------------------------


@pytest.fixture
def few_digits(monkeypatch):
    images, labels = synthetic_digits(200, seed=0)
    data = DigitSplits(*[images, labels] * 3, source="few digits")
    monkeypatch.setattr(mg.data, "digits", lambda folder: data)
    monkeypatch.setattr(demo, "PASSES", 3)
    return (images > 0.5).astype(np.float32)


@pytest.mark.slow
def test_ten_rules_in_a_table_and_a_picture(few_digits, tmp_path, capsys):
    picture = tmp_path / "made" / "vae.png"
    assert demo.main(["--steps", "6", "--batch", "20", "--out", str(picture)]) == 0
    printed = capsys.readouterr().out
    assert "few digits: 200 digits to train on" in printed
    assert len(demo.TEN) == 10
    assert all(f"\n{name} " in printed for name in demo.TEN)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_training_raises_the_elbo(few_digits):
    rules = {"DisARM": mg.estimators.DisARM, "GumbelRao": mg.estimators.GumbelRao}
    for name, result in demo.run(few_digits, rules, steps=100, batch=50, seed=0).items():
        (_, before), *_, (last, after) = result["curve"]
        assert last == 100
        assert after > before + 5, name
        assert result["seconds"] > 0
        assert min(result["own variance"], result["same variance"]) > 0


def test_a_stopped_run_goes_on_with_the_rules_that_are_missing(few_digits, tmp_path, monkeypatch):
    rules = {name: demo.TEN[name] for name in ("Reinforce", "DisARM", "Nvil")}
    options = {"steps": 10, "batch": 20, "seed": 0}
    whole = demo.run(few_digits, rules, **options)

    def stopped(images, make, *others):
        if make is rules["Nvil"]:
            raise KeyboardInterrupt
        return work(images, make, *others)

    work, path = demo.result, tmp_path / "results.npz"
    monkeypatch.setattr(demo, "result", stopped)
    with pytest.raises(KeyboardInterrupt):
        demo.run(few_digits, rules, path=path, **options)
    asked = []
    monkeypatch.setattr(demo, "result", lambda images, make, *others: asked.append(make) or work(images, make, *others))
    resumed = demo.run(few_digits, rules, path=path, **options)
    assert asked == [rules["Nvil"]]
    for found in (whole, resumed):
        for result in found.values():
            del result["seconds"]
    assert resumed == whole
    assert demo.run(few_digits, rules, path=path, **options).keys() == rules.keys()
    assert len(asked) == 1
    with pytest.raises(ValueError, match="Name another file"):
        demo.run(few_digits, rules, path=path, **options | {"steps": 11})


def test_the_command_says_how_to_go_on(few_digits, tmp_path, monkeypatch, capsys):
    def stopped(*others):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "train", stopped)
    assert demo.main(["--steps", "2", "--results", str(tmp_path / "r.npz"), "--out", str(tmp_path / "p.png")]) == 130
    assert "the same command continues" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [["--rules", "Nobody"], ["--steps", "0"], ["--batch", "0"]])
def test_wrong_arguments(wrong, few_digits, tmp_path):
    with pytest.raises(SystemExit):
        demo.main([*wrong, "--out", str(tmp_path / "p.png")])
