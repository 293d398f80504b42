"""The demo that computes only the units that it predicts to be on."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.kernels.compiler import serving

pytest.importorskip("matplotlib")
pytest.importorskip("tqdm")
if serving() != "numba":
    pytest.skip("compile_one needs Numba", allow_module_level=True)

from demos import predict_the_open_units as demo


def problem(units=30, count=400):
    rng = np.random.default_rng(0)
    images = (rng.random((count, 784)) * (rng.random(784) < 0.3) * rng.random(784)).astype(np.float32)
    layers = demo.network(units, mg.Generator(1))
    layers[0].bias.data = rng.standard_normal(units).astype(np.float32)
    return layers, images


def test_the_approximation_is_the_best_of_its_rank_over_the_images():
    """Its mean squared error is the sum of the squares of the singular values that were cut off."""
    layers, images = problem()
    weight = layers[0].weight.numpy().astype(float)
    moment = images.T.astype(float) @ images / len(images) + 1e-3 * np.eye(784)
    root = np.linalg.cholesky(moment)
    for rank in (1, 5, 29, 30):
        wide, thin = demo.narrow(weight, images, rank)
        assert wide.shape == (30, rank)
        assert thin.shape == (rank, 784)
        lost = np.linalg.norm((weight - wide.astype(float) @ thin) @ root) ** 2
        cut = np.linalg.svd(weight @ root, compute_uv=False)[rank:]
        np.testing.assert_allclose(lost, (cut**2).sum(), rtol=1e-3, atol=1e-9)


def test_the_answers_are_those_of_the_units_above_the_threshold():
    layers, images = problem()
    wide, thin = demo.narrow(layers[0].weight.numpy(), images, 5)
    scores = images @ thin.T @ wide.T + layers[0].bias.numpy()
    hidden = np.maximum(demo.preactivations(layers[0], images), 0)
    threshold = np.median(scores)
    answer = demo.predicting(layers, (wide, thin), threshold)
    fast = mg.compile_one(answer, images[:1])
    whole = {name: make(layers) for name, make in (("NumPy", demo.in_numpy), ("zeros", demo.skipping_zeros))}
    for i in range(20):
        if abs(scores[i] - threshold).min() < 1e-5:
            continue
        v, c = layers[1].weight.numpy(), layers[1].bias.numpy()
        expected = (hidden[i] * (scores[i] > threshold)) @ v.T + c
        np.testing.assert_allclose(answer(images[i:i + 1]).numpy()[0], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(fast(images[i:i + 1])[0], expected, rtol=1e-4, atol=1e-5)
        for name, function in whole.items():
            np.testing.assert_allclose(function(images[i:i + 1])[0], hidden[i] @ v.T + c, rtol=1e-4, atol=1e-5,
                                       err_msg=name)


@pytest.mark.slow
def test_the_demo_runs_and_prints_what_it_measured(tmp_path, monkeypatch, capsys):
    images, labels = mg.data.synthetic_digits(900, seed=0)
    splits = [part for start, stop in ((0, 600), (600, 750), (750, 900)) for part in (images[start:stop],
                                                                                   labels[start:stop])]
    monkeypatch.setattr(mg.data, "digits", lambda folder: mg.data.DigitSplits(*splits, source="a few digits"))
    monkeypatch.setattr(demo, "UNITS", 64)
    monkeypatch.setattr(demo, "TIMED", 8)
    found = demo.main(["--epochs", "1", "--rank", "8", "--out", str(tmp_path / "picture.png")])
    assert (tmp_path / "picture.png").stat().st_size > 10_000
    text = capsys.readouterr().out
    name, share, error, microseconds = found["rows"][-1]
    assert f"{share:.1%}" in text
    assert f"the error is {error:.2f} %; with all it is {found['full']:.2f} %" in text
    assert f"The speed-up is {found['dense'] / microseconds:.1f} over the fastest dense library" in text
    assert next(row[0] for row in found["rows"]) == "all units, NumPy"
    shares = [point[0] for point in found["curve"]]
    assert shares == sorted(shares, reverse=True)
    assert name == "predicted units, rank 8"


@pytest.mark.parametrize("arguments", [["--rank", "785"], ["--rank", "0"], ["--penalty", "-1"], ["--epochs", "none"]])
def test_bad_arguments_are_refused_before_any_work(arguments, capsys):
    with pytest.raises(SystemExit):
        demo.main(arguments)
    assert arguments[0] in capsys.readouterr().err
