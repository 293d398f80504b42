"""Training one bit with each rule: it follows the exact gradient, converges to the wrong end, or does not converge."""

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the demos need matplotlib")
pytest.importorskip("tqdm", reason="the demos need tqdm")

import minigrad as mg
from demos import toy_problem as demo

T, STEPS = 0.499, 1200


def learn(name, seed=1):
    return demo.learn(name, T, STEPS, runs=8, seed=seed)


@pytest.fixture(scope="module")
def exact():
    return learn(demo.EXACT)


def test_the_exact_gradient_brings_p_down(exact):
    assert exact.shape == (STEPS + 1, 8)
    np.testing.assert_allclose(exact[0], 1 / (1 + np.exp(-demo.START)))
    assert np.all(np.diff(exact, axis=0) < 0)
    assert np.all(exact[-1] < 0.02)


@pytest.mark.parametrize("name", ["DisARM", "LeaveOneOut", "LocalExpectation"])
def test_rules_of_little_variance_follow_it(name, exact):
    curve = learn(name)
    assert np.all(curve[-1] < 0.05)
    assert demo.verdict(curve, exact, T) == "arrives"


@pytest.mark.parametrize("name", ["StraightThrough", "StraightThroughSlope"])
def test_straight_through_converges_to_the_wrong_end(name, exact):
    """It descends 2(p − t) on average, which is 0 at p = t, wherever the cost is least."""
    curve = learn(name)
    assert curve[-STEPS // 3:].mean() == pytest.approx(T, abs=0.04)
    assert demo.verdict(curve, exact, T) == "stops at p = t"


def test_reinforce_wanders(exact):
    """Its noise is some hundred times the gradient, so different runs end at different values."""
    curve = learn("Reinforce")
    assert np.ptp(curve[-1]) > 0.1
    assert demo.verdict(curve, exact, T) == "neither"


def test_a_broken_rule_does_not_arrive(monkeypatch, exact):
    class WrongSign(mg.estimators.DisARM):
        def backward(self, node):
            return -super().backward(node)

    monkeypatch.setattr(mg.estimators, "DisARM", WrongSign)
    assert demo.verdict(learn("DisARM"), exact, T) == "neither"


def test_it_prints_a_table_and_saves_a_picture(tmp_path, capsys):
    picture = tmp_path / "made" / "picture.png"
    arguments = ["--rules", "DisARM,StraightThrough", "--steps", "30", "--runs", "2", "--out", str(picture)]
    assert demo.main(arguments) == 0
    printed = capsys.readouterr().out
    for name in (demo.EXACT, "DisARM", "StraightThrough"):
        assert name in printed
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("wrong", [["--rules", "Unknown"], ["--steps", "0"], ["--runs", "0"]])
def test_wrong_arguments_are_named(wrong, capsys):
    with pytest.raises(SystemExit):
        demo.main(wrong)
    assert wrong[0] in capsys.readouterr().err
