"""The lessons from relaxations to Boltzmann machines, and the list of the course: the plotted numbers show each fact.

For each fact there is also a wrong rule or kernel for which it does not hold.  All numbers except those of the last
lesson are exact, or integrals over evenly spaced noise.  test_demos_boltzmann.py has more tests of the last lesson, and
test_demos_write_your_own_rule.py runs the whole of write_your_own_rule.
"""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the demos need matplotlib")
pytest.importorskip("tqdm", reason="the demos need tqdm")

import minigrad as mg
from demos import __main__ as course
from demos import (
    boltzmann_machine,
    depth,
    gates_that_skip,
    kernel_step_by_step,
    one_rule_four_names,
    relaxations,
    write_your_own_rule,
)
from minigrad.kernels.cpu import tile, vectors
from minigrad.testing import mutants
from tests.test_lessons_1_to_6 import SMALL as EARLIER

ROOT = Path(__file__).resolve().parents[1]
SMALL = {       # arguments, and names of the lesson with values that take less time
    relaxations: (["--samples", "200"], {"LESSONS": 3}),
    one_rule_four_names: (["--samples", "20"], {}),
    depth: ([], {"DEPTH": 2}),
    gates_that_skip: ([], {"DENSITIES": (0.1,)}),
    kernel_step_by_step: ([], {"BLOCKS": (16,)}),
    boltzmann_machine: (["--samples", "3", "--steps", "3"], {}),
}
close = np.testing.assert_allclose


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("demo", SMALL, ids=lambda demo: demo.__name__)
def test_a_lesson_asks_prints_a_table_saves_a_picture_and_ends_with_ideas(demo, tmp_path, capsys, monkeypatch):
    arguments, small = SMALL[demo]
    for name, value in small.items():
        monkeypatch.setattr(demo, name, value)
    assert demo.__doc__.splitlines()[0].endswith("?")
    picture = tmp_path / "made" / "picture.png"
    assert demo.main([*arguments, "--out", str(picture)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") > 8
    assert f"picture: {picture}\n\nTry:\n  " in printed
    assert picture.read_bytes().startswith(b"\x89PNG")


# -- the list ---------------------------------------------------------------------------------------


def test_every_demo_is_listed_once_with_its_question(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    has_main = re.compile(r'^if __name__ == "__main__":$', re.MULTILINE)
    files = [p for p in (ROOT / "demos").glob("*.py") if p.name != "__main__.py"]
    names = [p.stem for p in files if has_main.search(p.read_text(encoding="utf-8"))]
    names += [p.parent.name for p in (ROOT / "demos").glob("*/__main__.py")]
    assert sorted(course.COURSE + course.LONGER) == sorted(names), "a demo is not listed in demos/__main__.py, or twice"
    assert course.main([]) == 0
    printed = capsys.readouterr().out
    for number, name in enumerate(course.COURSE, 1):
        assert re.search(rf"^{number:>2}  {name} +{re.escape(course.question(name))}$", printed, re.MULTILINE)
    for name in course.LONGER:
        assert re.search(rf"^ +{name} +{re.escape(course.question(name))}$", printed, re.MULTILINE)


def test_every_lesson_is_tested_here_or_with_those_before():
    tested = [demo.__name__.removeprefix("demos.") for demo in (*EARLIER, *SMALL, write_your_own_rule)]
    assert sorted(course.COURSE) == sorted(tested)


def test_a_demo_that_does_not_say_how_to_run_it_is_named():
    with pytest.raises(ValueError, match=r"demos\.lesson: expected a docstring"):
        course.question("lesson")


# -- relaxations ------------------------------------------------------------------------------------


def relaxed(samples=3000):
    truth, found = relaxations.measure(samples)
    biases = {name: np.abs(values[:, 0] - truth) for name, values in found.items()}
    return biases, {name: values[:, 1] for name, values in found.items()}


def bias_grows_and_variance_falls(biases, variances):
    return bool((np.diff(biases["GumbelSigmoid"]) > 0).all() and (np.diff(variances["GumbelSigmoid"]) < 0).all())


def the_others_are_unbiased(biases):
    return all((biases[name] < 1e-5).all() for name in ("Rebar", "Relax", "Reinforce"))


def rebar_is_calmer_than_reinforce(variances):
    return bool((variances["Rebar"] < variances["Reinforce"]).all())


def test_heat_trades_variance_for_bias_unless_it_is_only_subtracted():
    biases, variances = relaxed()
    assert bias_grows_and_variance_falls(biases, variances)
    assert (np.diff(variances["GumbelStraightThrough"]) < 0).all()
    assert biases["GumbelStraightThrough"][-1] > 0.2
    assert the_others_are_unbiased(biases)
    assert rebar_is_calmer_than_reinforce(variances)
    assert variances["Relax"].max() < 1e-4 * variances["Reinforce"].min()
    p, truth = relaxations.P, relaxations.P * (1 - relaxations.P) * (np.e - 1)
    close(variances["Reinforce"], p * (1 - p) * ((1 - p) * np.e**2 + p) - truth**2, rtol=1e-3)


def test_broken_relaxations_do_not(monkeypatch):
    def with_rule(name, rule):
        with monkeypatch.context() as patch:
            patch.setattr(mg.estimators, name, rule)
            return relaxed(300)

    assert not bias_grows_and_variance_falls(*with_rule("GumbelSigmoid", lambda temperature: mutants.SlopeUnasked()))
    assert not the_others_are_unbiased(with_rule("Rebar", lambda temperature: mutants.Uncentred())[0])
    biases, variances = with_rule("Rebar", lambda temperature: mutants.BaselineAdded())
    assert the_others_are_unbiased(biases)
    assert not rebar_is_calmer_than_reinforce(variances)


def test_even_noise_is_spread_over_samples_and_is_the_same_in_forks():
    even = relaxations.Even(0)
    close(even.uniform((4, 2))[:, 1], [0.125, 0.375, 0.625, 0.875])
    close(even.fork(1, 2).uniform((1, 2, 3), event_ndim=2)[0, :, 0], [0.25, 0.75])


# -- one rule, four names ---------------------------------------------------------------------------


NAMES = "Darn()", "ReinMax()", "Zgr()"


def farthest(factors):
    return max(np.abs(factors[name] - factors["Darn()"]).max() for name in NAMES)


def test_three_rules_are_one_and_the_fourth_comes_close():
    lesson = one_rule_four_names
    factors, biases, distances = lesson.measure(1500)
    assert farthest(factors) < 1e-12
    p = sigmoid(lesson.LOGITS)
    close(factors["Darn()"], [p / 2, (1 - p) / 2], rtol=1e-12)
    for name in NAMES:
        close(biases[name], [0, np.max(p * (1 - p)) * (1.5 - 0.5 * np.e)], atol=1e-12)       # the trapezoid's error
    from_one = np.abs(np.log(lesson.TEMPERATURES))
    reinmax, rao = (np.array(distances[name]) for name in ("ReinMax", "GumbelRao"))
    assert reinmax[from_one < 1e-9].max() < 1e-12
    assert reinmax[from_one > 1e-9].min() > 0.01
    assert (np.diff(rao) > 0).all()
    assert rao[0] < 0.01
    close(rao[1] / rao[0], lesson.TEMPERATURES[1] / lesson.TEMPERATURES[0], rtol=0.05)         # proportional to τ
    assert np.abs(factors["Darn('mean')"] - factors["Darn()"]).max() > 0.4


@pytest.mark.parametrize(("name", "rule"), [("Zgr", mutants.SlopeUnasked),
                                            ("ReinMax", lambda temperature=1.0: mutants.SlopeForgotten())])
def test_another_rule_under_one_of_the_names_is_not(name, rule, monkeypatch):
    monkeypatch.setattr(mg.estimators, name, rule)
    assert farthest(one_rule_four_names.measure(2)[0]) > 0.1


# -- a rule of one's own ----------------------------------------------------------------------------


@pytest.mark.slow
def test_the_harness_passes_what_is_right_and_tells_what_is_not(monkeypatch):
    lesson = write_your_own_rule
    monkeypatch.setattr(lesson, "RULES", [lesson.LikelyFlip, lesson.WrongOdds, lesson.SecondHand])
    reports, complaints = lesson.examine()
    assert all(report.exact for report in reports.values())
    assert complaints["LikelyFlip"] == []
    assert np.abs(lesson.flat(reports["LikelyFlip"].bias)).max() < 1e-15
    assert len(complaints["WrongOdds"]) == len(complaints["SecondHand"]) == 1
    assert np.abs(lesson.in_errors(reports["WrongOdds"])).max() > reports["WrongOdds"].critical
    # The lesson: what a thousand samples cannot see, enumeration does.
    assert np.abs(lesson.in_errors(reports["SecondHand"])).max() < reports["SecondHand"].critical / 2
    assert not reports["SecondHand"].unbiased


@pytest.mark.slow
def test_a_flip_with_the_wrong_weight_does_not_pass(monkeypatch):
    lesson = write_your_own_rule
    monkeypatch.setattr(lesson, "RULES", [mutants.Flip, mutants.FlipUnweighted, mutants.FlipByOwnNoise])
    _, complaints = lesson.examine()
    assert [len(found) > 0 for found in complaints.values()] == [False, True, True]


# -- depth ------------------------------------------------------------------------------------------


UNBIASED = "Reinforce", "DisARM", "LocalExpectation"


def mean_is_the_gradient(values):
    return np.allclose(values[:, 1], values[:, 0], rtol=1e-10)


def test_errors_multiply_and_noise_outlasts_the_signal():
    deepest = 4
    found = depth.measure(deepest)
    w, p = depth.WEIGHT, sigmoid(depth.FIRST)
    k = np.arange(deepest)
    passed, slope = np.tanh(w / 4), w * sigmoid(w / 2) * sigmoid(-w / 2)
    gradient = p * (1 - p) * passed**k * (np.e - 1)
    on = [p]                                    # the probability that the last bit is 1
    for _ in k[1:]:
        on.append(on[-1] * sigmoid(w / 2) + (1 - on[-1]) * sigmoid(-w / 2))
    mean_cost = 1 + np.array(on) * (np.e - 1)
    for values in found.values():
        close(values[:, 0], gradient, rtol=1e-12)
    close(found["StraightThrough"][:, 1], w**k * mean_cost, rtol=1e-12)
    close(found["StraightThroughSlope"][:, 1], p * (1 - p) * slope**k * mean_cost, rtol=1e-12)
    for name in UNBIASED:
        assert mean_is_the_gradient(found[name]), name
    noise = {name: values[:, 2] / gradient for name, values in found.items()}
    close(noise["LocalExpectation"], np.sqrt(1 / passed**k - 1), rtol=1e-10, atol=1e-10)
    for fast, slow in ((noise["Reinforce"], noise["DisARM"]), (noise["DisARM"], noise["LocalExpectation"])):
        assert (fast > slow).all()
    close([b / a for a, b in pairwise(noise["Reinforce"][1:])], 1 / passed, rtol=0.03)
    assert (np.diff(noise["StraightThroughSlope"]) < 0).all()


@pytest.mark.parametrize(("name", "rule"), [("DisARM", mutants.AntitheticSlope), ("LocalExpectation", mutants.FlipEach),
                                            ("LocalExpectation", mutants.FlipSlopeless)])
def test_a_wrong_rule_has_another_mean_at_some_depth(name, rule, monkeypatch):
    monkeypatch.setattr(mg.estimators, name, rule)
    monkeypatch.setattr(depth, "STYLE", {name: depth.STYLE[name]})
    assert mean_is_the_gradient(depth.measure(2)[name]) == (rule in {type(right) for right in mutants.RIGHT})


# -- gates that skip --------------------------------------------------------------------------------


def declared_as_it_is(name):
    """Whether the rule changes without closed gates' gradients exactly if it says that it needs them."""
    size, declared = gates_that_skip.change(name)
    return (size > 1e-5) == declared


@pytest.mark.parametrize("name", mg.estimators.__all__)
def test_rules_say_whether_they_need_closed_gates(name):
    if name == "GumbelSigmoid":         # never 0, so no gate is closed, whatever it says
        assert gates_that_skip.change(name)[0] < 1e-5
    else:
        assert declared_as_it_is(name)


@pytest.mark.parametrize(("name", "rule"), [("StraightThrough", mutants.ClosedGatesIgnored),
                                            ("Reinforce", mutants.AsksTooMuch)])
def test_a_rule_that_says_otherwise_is_seen(name, rule, monkeypatch):
    monkeypatch.setattr(mg.estimators, name, rule)
    assert not declared_as_it_is(name)


def test_the_dense_network_is_the_same_network():
    small = {"density": 0.4, "batch": 5, "inputs": 6, "units": 12, "block": 3}
    gated, dense = (gates_that_skip.Network(mg.estimators.StraightThrough(), dense=d, **small) for d in (False, True))
    for network in (gated, dense):
        network.step(1)
    close(gated.estimate(2), dense.estimate(2), rtol=1e-4, atol=1e-4)
    for ours, theirs in ((gated.hidden.weight, dense.hidden.weight), (gated.output.weight, dense.output.weight)):
        close(ours.data, theirs.data, rtol=1e-4, atol=1e-6)


def test_ratios_are_measured_for_both_rules():
    ratios = gates_that_skip.times((0.1, 0.9), {"batch": 4, "inputs": 8, "units": 16, "block": 4}, rounds=1)
    assert ratios.keys() == {"Reinforce", "StraightThrough"}
    assert all(len(found) == 2 and min(found) > 0 for found in ratios.values())


# -- a kernel, step by step -------------------------------------------------------------------------


SIZES = [(1, 3, 5, 7, 0.5), (4, 17, 64, 32, 0.1), (3, 6, 40, 12, 1.0), (16, 9, 33, 48, 0.0), (5, 1, 16, 10, 0.6)]


def largest_error(block, batch, inputs, units, density):
    problem = kernel_step_by_step.Problem(block, batch, inputs, units, density)
    functions, _ = kernel_step_by_step.steps(problem)
    return max(kernel_step_by_step.error(function(), problem.expected()) for function in functions.values())


@pytest.mark.parametrize("sizes", SIZES)
def test_all_steps_give_the_same(sizes):
    assert largest_error(*sizes) < 1e-4


@pytest.mark.skipif(not vectors.VECTOR_BYTES, reason="no vector tile on this processor")
def test_a_step_that_forgets_a_block_does_not(monkeypatch):
    def forgetful(start, stop, *arguments):
        arguments[-1][:] = 0
        right(start, stop - 1, *arguments)

    right = tile.sdd
    monkeypatch.setattr(tile, "sdd", forgetful)
    assert largest_error(4, 17, 64, 32, 0.5) > 0.5


def test_every_step_runs_or_says_why_not_and_names_its_source():
    lesson = kernel_step_by_step
    functions, missing = lesson.steps(lesson.Problem(4, 3, 8, 16, 0.5))
    assert {"specification", *functions, *missing} == lesson.SOURCES.keys()
    assert not functions.keys() & missing.keys()
    assert all(missing.values())
    for source in lesson.SOURCES.values():
        for file, function in re.findall(r"(kernels/\S+\.py): (\w+)", source):
            assert f"def {function}(" in (ROOT / file).read_text(encoding="utf-8")
    ratios, efficiencies, errors, _ = lesson.measure((4, 8), rounds=1, batch=3, inputs=8, units=16, density=0.5)
    assert ratios.keys() == efficiencies.keys() == {"specification", *errors}
    assert max(map(max, errors.values())) < 1e-5


def test_one_name_for_the_product_in_the_specification_and_in_every_version():
    assert {source for name, source in kernel_step_by_step.SOURCES.items() if name != "blocks"} == {
        f"kernels/{file}.py: sdd" for file in ("specification", "cpu/plain", "cpu/tile", "cuda/plain", "cuda/shared",
                                               "cuda/tile")}


def test_the_steps_for_a_gpu_give_the_same_in_the_simulator():
    errors = kernel_step_by_step.simulated()
    assert list(errors) == kernel_step_by_step.CUDA
    assert max(errors.values()) < 1e-5
    problem = kernel_step_by_step.Problem(**kernel_step_by_step.SMALL)
    assert 0 < problem.open.density < 1
    assert kernel_step_by_step.error(0 * problem.expected(), problem.expected()) == 1


def test_a_step_for_a_gpu_that_does_not_run_is_an_error(monkeypatch):
    monkeypatch.setattr(kernel_step_by_step.sys, "executable", "false")
    with pytest.raises(RuntimeError, match="do not run in Numba's simulator"):
        kernel_step_by_step.simulated()


# -- a Boltzmann machine ----------------------------------------------------------------------------


def test_centring_that_is_forgotten_would_learn_after_all():
    """test_demos_boltzmann.py tests that the slope of the centred rule is 0.  Without centring, it is not."""
    machine, _ = boltzmann_machine.learn(None, 150, seed=1)
    assert boltzmann_machine.slope(*boltzmann_machine.compare(machine, mutants.Uncentred(), 100, seed=1)) > 0.7
    assert boltzmann_machine.slope(*boltzmann_machine.compare(machine, mg.estimators.Reinforce(), 100, seed=1)) < 0.3
