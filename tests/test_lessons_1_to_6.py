"""The lessons from reverse mode to antithetic pairs: the plotted numbers show each fact of the lesson.

For each fact there is also a wrong rule or product for which it does not hold.  Most numbers are exact.  Sampled
numbers must have |z| ≤ 6.5.  A right one exceeds this with probability 1e-10.
"""

from functools import partial
from itertools import pairwise, product

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the demos need matplotlib")
pytest.importorskip("tqdm", reason="the demos need tqdm")

import minigrad as mg
from demos import antithetic_pairs, baselines, lesson, reverse_mode, score_function, smooth_parts, straight_through
from minigrad.estimators.baselines import MeanCost
from minigrad.testing import mutants

SMALL = {       # arguments, and a grid of which every fourth point will do
    reverse_mode: (["--samples", "20"], "STEPS"),
    score_function: (["--samples", "200"], "GRID"),
    baselines: (["--samples", "20"], "CONSTANTS"),
    straight_through: ([], "CURVATURES"),
    smooth_parts: (["--samples", "200"], "GRID"),
    antithetic_pairs: (["--samples", "200"], "PROBABILITIES"),
}
Z = 6.5
close = np.testing.assert_allclose


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# -- all of them, and what they share ---------------------------------------------------------------


@pytest.mark.parametrize("demo", SMALL, ids=lambda demo: demo.__name__)
def test_a_lesson_asks_prints_a_table_saves_a_picture_and_ends_with_ideas(demo, tmp_path, capsys, monkeypatch):
    assert demo.__doc__.splitlines()[0].endswith("?")
    picture, (arguments, grid) = tmp_path / "made" / "picture.png", SMALL[demo]
    monkeypatch.setattr(demo, grid, getattr(demo, grid)[::4])
    assert demo.main([*arguments, "--out", str(picture)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") > 7
    assert f"picture: {picture}\n\nTry:\n  " in printed
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("wrong", [["--samples", "0"], ["--samples", "many"], ["--seed", "-1"], ["--seed", str(2**64)],
                                   ["--device", "abacus"], ["--out", "picture.txt"]])
def test_wrong_arguments_are_named_with_what_was_expected(wrong, capsys):
    with pytest.raises(SystemExit):
        lesson.parser("demos/x.py", "What?", seed=0, samples=1, device="cpu").parse_args(wrong)
    said = capsys.readouterr().err
    assert f"argument {wrong[0]}: " in said
    assert "expected" in said
    assert wrong[1] in said


def test_arguments_that_a_lesson_has_no_use_for_are_not_offered(capsys):
    parser = lesson.parser("demos/x.py", "What?")
    assert str(parser.parse_args([]).out) == "out/x.png"
    with pytest.raises(SystemExit):
        parser.parse_args(["--samples", "3"])


def test_samples_do_not_pass_for_exact(monkeypatch):
    monkeypatch.setattr(mg.testing, "check_estimator", partial(mg.testing.check_estimator, samples=50))
    logits = mg.tensor([0.0], requires_grad=True)
    with pytest.raises(ValueError, match="50 samples"):
        lesson.exact(lambda rng: mg.expected(mg.bernoulli(logits, mg.estimators.ARM(), rng=rng)), logits)


def test_a_table_has_columns(capsys):
    lesson.table(["rule", "variance"], [("Reinforce", 1.23456), ("a longer name", 2)])
    assert capsys.readouterr().out.splitlines() == [
        "rule            variance", "Reinforce          1.235", "a longer name          2"]


# -- reverse mode -----------------------------------------------------------------------------------


def test_in_the_right_order_the_walk_is_backward():
    found = list(reverse_mode.slopes(reverse_mode.compute(mg.tensor(0.7, requires_grad=True))).values())
    sin, cos = np.sin(1.4), np.cos(1.4)
    close(found, [2 * (sin + 1.4 * cos), 2 * sin, 1.4 * cos], rtol=1e-14)


def best(errors, kind):
    return reverse_mode.STEPS[np.argmin(errors[kind])], errors[kind].min()


def test_differences_are_best_near_the_cube_root_of_rounding():
    errors = reverse_mode.errors(50, seed=0)
    step, error = best(errors, "two-sided")
    assert 1e-6 < step < 2e-5
    assert error < 1e-9
    step, error = best(errors, "one-sided")
    assert 1e-9 < step < 1e-7
    assert 1e-9 < error < 1e-6
    two_sided, h = errors["two-sided"], reverse_mode.STEPS
    coarse, fine = (h > 1e-4) & (h < 1e-2), h < 1e-7
    close(two_sided[coarse], errors["curvature f‴h²/6"][coarse], rtol=1e-3)
    share = two_sided[fine] / errors["rounding εf/h"][fine]
    assert 0.02 < share.min() < share.max() < 2


def test_a_wrong_derivative_takes_the_point_off_the_v(monkeypatch):
    monkeypatch.setattr(mg.sin, "products", (lambda g, out, x: 1.0001 * g * mg.cos(x),))
    assert best(reverse_mode.errors(50, seed=0), "two-sided")[1] > 1e-5
    with pytest.raises(AssertionError, match="primitive sin"):
        reverse_mode.main([])


# -- score function ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def score():
    return score_function.measure(4000, seed=0)


def binomial_slope(theta):
    """Of E[(heads − 2)²] = 5p(1 − p) + (5p − 2)²."""
    p = sigmoid(theta)
    return p * (1 - p) * (5 - 10 * p + 10 * (5 * p - 2))


def test_the_cloud_averages_to_the_slope(score):
    p = sigmoid(score["θ"])
    close(score["E[cost]"], 5 * p * (1 - p) + (5 * p - 2) ** 2, rtol=1e-12)
    close(score["slope"], binomial_slope(score["θ"]), rtol=1e-12)
    close(score["mean"], score["slope"], rtol=1e-10, atol=1e-12)
    theta, estimates = score["cloud"]
    deviation = np.interp(theta, score["θ"], score["deviation"])
    z = np.sum(estimates - binomial_slope(theta)) / np.sqrt(np.sum(deviation**2))
    assert abs(z) < Z
    assert np.mean(np.abs(estimates - binomial_slope(theta)) > np.abs(binomial_slope(theta))) > 0.4     # far off
    for middle, mean, stderr in score_function.bins(theta, estimates):
        assert abs(mean - binomial_slope(middle)) < Z * stderr + 0.1                # the slope varies within a bin


def test_a_throw_with_noise_held_is_constant_but_for_five_jumps(score):
    for path in score["jumps"][1]:
        assert set(path) <= {0.0, 1.0, 4.0, 9.0}
        assert 1 <= np.count_nonzero(np.diff(path)) <= 5


@pytest.mark.parametrize("mutant", [mutants.Uncentred, mutants.SlopeTwice])
def test_a_wrong_score_does_not_average_to_the_slope(monkeypatch, mutant):
    monkeypatch.setattr(mg.estimators, "Reinforce", mutant)
    monkeypatch.setattr(score_function, "GRID", np.array([-1.0, 0.0, 1.0]))
    found = score_function.measure(20, seed=0)
    close(found["slope"], binomial_slope(found["θ"]), rtol=1e-12)
    assert np.abs(found["mean"] - found["slope"]).max() > 1


# -- baselines --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def parabolas():
    return baselines.measure(400, seed=0)


def vertices(found):
    a, b, _ = np.polyfit(baselines.CONSTANTS, found["parabolas"], 2)
    return -b / (2 * a)


def test_the_formula_has_the_least_variance_and_no_baseline_a_bias(parabolas):
    assert parabolas["bias"] < 1e-12
    close(vertices(parabolas), parabolas["best"], rtol=1e-8)
    variance = parabolas["variance"]
    assert variance["0"].sum() == pytest.approx(2.76528, abs=1e-5)
    assert np.all(variance["best"] <= parabolas["parabolas"])
    close(parabolas["best"][1], parabolas["mean cost"], rtol=1e-12)         # p = ½
    assert np.all(variance["best"][[0, 2]] < 0.98 * variance["E[L]"][[0, 2]])


def test_two_moving_averages_find_it(parabolas):
    close(parabolas["learned"][200:].mean(axis=0), parabolas["best"], rtol=0.02)
    close(parabolas["variance"]["learned"], parabolas["variance"]["best"], rtol=0.02)


def test_the_moving_average_of_the_cost_alone_finds_another(monkeypatch, parabolas):
    monkeypatch.setattr(baselines, "LeastVariance", MeanCost)
    _, curve = baselines.learn(400, seed=0)
    close(curve[200:].mean(), parabolas["mean cost"], rtol=0.02)
    assert np.all(np.abs(curve[200:].mean() - parabolas["best"][[0, 2]]) > 0.15)


def test_a_baseline_that_is_added_or_knows_its_own_cost_is_noticed(monkeypatch):
    monkeypatch.setattr(mg.estimators, "Reinforce", mutants.BaselineAdded)
    reports = [baselines.examine(mg.estimators.Reinforce(c)) for c in (0.0, 2.0)]
    close(reports[0].variance, reports[1].variance, rtol=1e-9)              # no parabola
    assert np.abs(baselines.examine(mutants.OwnCostInBaseline()).bias).max() > 0.1


# -- straight-through -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bias():
    return straight_through.measure()


def test_straight_through_has_the_wrong_sign_at_the_stated_point(bias):
    means, ratios, marked = bias
    gradient, identity, slope, reinforce = means["(b - 0.499)²"]
    close([gradient, identity, slope], [0.00020998, -0.7596, -0.079752], rtol=1e-4)
    assert reinforce == pytest.approx(gradient, rel=1e-9)
    assert marked == pytest.approx(slope / gradient) == pytest.approx(1 + 1000 * (0.1192 - 0.5))
    gradient, _, slope, _ = means["straight"]
    assert slope == pytest.approx(gradient, rel=1e-12)
    for p, found in ratios.items():
        close(found, 1 + straight_through.CURVATURES * (p - 0.5), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("rule", "mutant"), [("StraightThroughSlope", mutants.SlopeForgotten),
                                              ("StraightThrough", mutants.SlopeUnasked)])
def test_with_the_slope_mixed_up_the_means_are_others(monkeypatch, bias, rule, mutant):
    monkeypatch.setattr(mg.estimators, rule, mutant)
    means, ratios, _ = straight_through.measure()
    column = 1 + straight_through.RULES.index(rule)
    for name in means:
        assert abs(means[name][column] / bias[0][name][column] - 1) > 0.5
    if rule == "StraightThroughSlope":
        assert ratios[0.5][0] == pytest.approx(4)           # p (1 − p) is missing


# -- smooth parts -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def units():
    return smooth_parts.measure(2000, seed=0)


def z(sampled, exact):
    mean, stderr = sampled
    return np.abs(mean - exact) / (stderr + 1e-12)


def test_how_often_and_how_large(units):
    p = sigmoid(smooth_parts.GRID)
    close(units["sts"]["on"], np.sqrt(p), rtol=1e-12)
    close(units["sts"]["mean"], p, rtol=1e-12)
    assert z(units["rectifier"]["on"], p).max() < Z
    assert z(units["rectifier"]["mean"], np.log1p(np.exp(smooth_parts.GRID))).max() < Z


def test_backward_sees_half_of_sts_and_all_of_the_rectifier(units):
    for (name, share), expected in zip(units["share"].items(), (1 / 2, 2 / 3, 3 / 4, 1), strict=True):
        close(share, expected, rtol=1e-9, err_msg=name)
    assert z(units["rectifier's share"], 1).max() < Z


def test_wrong_noise_and_wrong_rules_are_noticed(monkeypatch):
    monkeypatch.setattr(mg.neurons, "Stop", mutants.Uncentred)
    monkeypatch.setattr(mg.estimators, "Reinforce", mutants.Descending)
    monkeypatch.setattr(mg.Generator, "logistic", mg.Generator.normal)
    found = smooth_parts.measure(2000, seed=0)
    assert np.abs(found["share"]["cost h"] - 0.5).min() > 0.005
    close(found["share"]["cost h, and REINFORCE"], 0, atol=1e-9)            # what it should add, it takes away
    assert z(found["rectifier"]["mean"], np.log1p(np.exp(smooth_parts.GRID))).max() > 20


# -- antithetic pairs -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pairs():
    return antithetic_pairs.measure(20_000, seed=0)


@pytest.mark.parametrize("seed", range(5))
def test_the_rules_are_what_the_replays_give_by_hand(seed):
    u, values, found = antithetic_pairs.replays(0.6, seed)
    _, bits, mirrored = values[0]
    close(mirrored, 1 - u < 0.6)
    for _, value, again in values[1:]:
        assert value.shape == again.shape == (1,)
    for name, estimate in found.items():
        close(antithetic_pairs.estimates(name, 0.6, mg.Generator(seed)), estimate, rtol=1e-12)
    assert np.all(found["DisARM"][bits == mirrored] == 0)


def variance_of_arm(p):
    """Integrated over u: each unit is in one of the intervals on which its pair of bits is constant."""
    def integral(low, high, power):
        return ((high - 0.5) ** (power + 1) - (low - 0.5) ** (power + 1)) / (power + 1)

    def cost(b):
        return (b @ antithetic_pairs.WEIGHTS.data - 0.5) ** 2

    edges = sorted({0.0, p, 1 - p, 1.0})
    first, second = np.zeros(3), np.zeros(3)
    for cell in product(pairwise(edges), repeat=3):
        middle = np.array([(low + high) / 2 for low, high in cell])
        difference = cost(1.0 * (1 - middle < p)) - cost(1.0 * (middle < p))
        for i in range(3):
            others = np.prod([high - low for j, (low, high) in enumerate(cell) if j != i])
            first[i] += others * difference * integral(*cell[i], 1)
            second[i] += others * difference**2 * integral(*cell[i], 2)
    return np.sum(second - first**2)


def test_disarm_has_no_more_variance_than_arm(pairs):
    arm = np.array([variance_of_arm(p) for p in antithetic_pairs.PROBABILITIES])
    close(pairs["ARM"], arm, rtol=0.1)
    assert np.all(pairs["DisARM"] < 0.9 * pairs["ARM"])
    assert np.all(pairs["DisARM"] < pairs["LeaveOneOut, two throws"])


@pytest.mark.parametrize("mutant", [mutants.AntitheticWhole, mutants.AntitheticFresh])
def test_a_wrong_disarm_is_noticed(monkeypatch, pairs, mutant):
    monkeypatch.setattr(mg.estimators, "DisARM", mutant)
    found = antithetic_pairs.estimates("DisARM", 0.6, mg.Generator(1))
    assert np.abs(found - antithetic_pairs.replays(0.6, 1)[2]["DisARM"]).max() > 1
    if mutant is mutants.AntitheticWhole:
        assert antithetic_pairs.variance("DisARM", 0.5) > pairs["ARM"].max() / 2
