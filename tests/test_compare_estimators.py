"""The comparison has the known numbers and the right verdicts, and it shows that a broken rule is broken."""

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the demos need matplotlib")
pytest.importorskip("tqdm", reason="the demos need tqdm")

import minigrad as mg
from demos import compare_estimators as demo


@pytest.fixture(autouse=True, scope="module")
def little_warm_up():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "WARM_UP", 4)
        yield


def measure(problem, name, samples=500):
    return demo.measure(problem, demo.exact_gradient(problem), name, getattr(mg.estimators, name), samples, seed=1)


@pytest.fixture(scope="module")
def everything():
    """Problem B, every rule."""
    return demo.compare(demo.products(), samples=500, seed=1)


# ---- numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("t", [0.45, 0.49, 0.499])
@pytest.mark.parametrize("logit", [0.0, -2.0])
def test_variances_of_the_toy_problem(t, logit):
    """Each rule's estimate has two or three values, so its variance is a line of algebra."""
    p = 1 / (1 + np.exp(-logit))
    f0, f1, v, larger = t**2, (1 - t)**2, p * (1 - p), max(p, 1 - p)
    difference = f1 - f0
    known = {
        "Reinforce": v * ((1 - p) * f1**2 + p * f0**2) - (v * difference)**2,
        "LeaveOneOut": v * difference**2 * (0.5 - v),
        "DisARM": v * difference**2 * (0.5 * larger - v),
        "LocalExpectation": 0.0,
        "StraightThrough": 4 * v,
        "StraightThroughSlope": 4 * v**3,
    }
    gradient = v * (1 - 2 * t)
    means = {"StraightThrough": 2 * (p - t), "StraightThroughSlope": 2 * (p - t) * v}
    problem = demo.toy(t, p)
    for name, variance in known.items():
        result, mean = measure(problem, name), means.get(name, gradient)
        assert result.samples is None, name
        np.testing.assert_allclose(result.gradient, [gradient], rtol=1e-12)
        np.testing.assert_allclose(result.mean, [mean], rtol=1e-9, err_msg=name)
        np.testing.assert_allclose(result.variance, [variance], rtol=1e-6, atol=1e-16, err_msg=name)
        assert result.biased == (abs(mean - gradient) > 1e-8), name         # none in the slope's at p = ½


@pytest.mark.parametrize(("logit", "variances"), [
    (0.0, {"Reinforce": 0.438420, "LeaveOneOut": 0.007275, "DisARM": 0.00465, "BitFlip": 0.00585}),
    (-4.0, {"Reinforce": 0.0335568, "LeaveOneOut": 3.8102e-4, "DisARM": 3.7435e-4, "BitFlip": 2.920e-5}),
    (2.3, {"Reinforce": 0.136815, "LeaveOneOut": 1.96145e-3, "DisARM": 1.80296e-3, "BitFlip": 6.4201e-4}),
])
def test_variances_of_three_bits_with_one_logit(logit, variances):
    for name, variance in variances.items():
        result = measure(demo.shared_logit(logit), name)
        assert not result.biased
        assert result.variance[0] == pytest.approx(variance, rel=2e-4 if logit == -4 else 5e-6), name


def test_variances_and_biases_of_three_bits_with_products(everything):
    results = {r.rule: r for r in everything[0]}
    np.testing.assert_allclose(results["Reinforce"].gradient, [-0.0561747, 0.5312630, 0.1744670], atol=5e-8)
    for name, variance in {"Reinforce": 2.76528, "LeaveOneOut": 0.858959, "DisARM": 0.618571,
                           "LocalExpectation": 0.0895807, "Enumerate": 0.0}.items():
        assert results[name].variance.sum() == pytest.approx(variance, rel=2e-6, abs=1e-20), name
    assert np.abs(results["StraightThroughSlope"].bias).max() == pytest.approx(0.0691, abs=5e-5)
    assert np.abs(results["Darn"].bias).max() == pytest.approx(0.0563, abs=5e-5)
    np.testing.assert_allclose(results["ReinMax"].variance, results["Darn"].variance, rtol=1e-9)
    assert results["DisARM"].variance[0] > results["LeaveOneOut"].variance[0]       # though its sum is less


def test_unbiased_rules_are_found_to_be(everything):
    results, misfits = everything
    assert {r.rule for r in results} | misfits.keys() == set(mg.estimators.__all__)
    for r in results:
        if getattr(mg.estimators, r.rule).unbiased:
            assert not r.biased, r
    for name in ("Correlation", "Stop", "StraightThrough", "StraightThroughSlope", "Darn"):
        assert next(r for r in results if r.rule == name).biased, name


def test_evaluations_are_counted(everything):
    evaluations = {r.rule: r.evaluations for r in everything[0]}
    known = {"StraightThrough": 1, "Reinforce": 1, "DisARM": 2, "LocalExpectation": 4, "Enumerate": 9}
    assert {name: evaluations[name] for name in known} == known


# ---- broken on purpose ---------------------------------------------------------------------------------------


class WithoutHalf(mg.estimators.DisARM):
    def backward(self, node):
        return 2 * super().backward(node)


class OneSample(mg.estimators.Rebar):
    """Its noise is continuous, so samples must show the error."""

    def backward(self, node):
        return 1.5 * super().backward(node)


class Uncentred(mg.estimators.Reinforce):
    """Right on average; a baseline of the wrong sign."""

    def __init__(self):
        super().__init__(baseline=-0.25)


@pytest.mark.parametrize("rule", [WithoutHalf, OneSample])
def test_a_rule_with_a_wrong_factor_is_biased(rule):
    problem = demo.products()
    assert demo.measure(problem, demo.exact_gradient(problem), "wrong", rule, 10_000, seed=1).biased


def test_a_rule_that_is_merely_noisier_is_not_biased_but_noisier():
    problem = demo.toy(0.499)
    wrong = demo.measure(problem, demo.exact_gradient(problem), "wrong", Uncentred, 500, seed=1)
    assert not wrong.biased
    assert wrong.variance[0] > 3.9 * measure(problem, "Reinforce").variance[0]


# ---- networks and digits -------------------------------------------------------------------------------------


def test_states_of_the_first_layer_as_rows_give_the_exact_gradient():
    problem = demo.network(units=2)
    plain = demo.exact_gradient(problem._replace(layers=1))         # all states one by one
    np.testing.assert_allclose(demo.exact_gradient(problem), plain, rtol=1e-10, atol=1e-14)


def test_a_network_layer_by_layer():
    problem = demo.network()
    gradient = demo.exact_gradient(problem)
    results = {name: demo.measure(problem, gradient, name, getattr(mg.estimators, name), 2000, seed=1)
               for name in ("StraightThrough", "Reinforce", "DisARM", "LocalExpectation")}
    assert {name for name, r in results.items() if r.biased} == {"StraightThrough"}
    first = slice(0, 5)
    assert results["LocalExpectation"].part(first).variance.sum() < results["DisARM"].part(first).variance.sum() \
        < results["Reinforce"].part(first).variance.sum()
    assert results["LocalExpectation"].cosine > 0.99 > results["StraightThrough"].cosine
    lines = demo.layer_table(list(results.values()), problem.params).splitlines()
    assert lines[0].split() == ["layer", "1", "layer", "2", "layer", "3"]
    assert [len(line.split()) for line in lines[2:]] == [10] * 4


def test_digits_whose_bits_are_enumerated():
    """Where one layer holds all the noise, Enumerate is the exact gradient."""
    images, _ = mg.data.synthetic_digits(60, seed=0)
    problem = demo.vae(images, digits=3, bits=4)
    result = measure(problem, "Enumerate", samples=100)
    assert result.gradient.shape == (12,)
    np.testing.assert_allclose(result.mean, result.gradient, rtol=1e-9, atol=1e-12)
    assert result.variance.max() < 1e-20
    assert not measure(problem, "LeaveOneOut").biased
    assert measure(problem, "StraightThrough").biased


# ---- the command ---------------------------------------------------------------------------------------------


def test_the_frontier_falls(everything):
    best = demo.frontier(everything[0])
    assert best[-1].rule == "Enumerate"
    variances, evaluations = [r.variance.sum() for r in best], [r.evaluations for r in best]
    assert variances == sorted(variances, reverse=True)
    assert evaluations == sorted(set(evaluations))
    assert not any(r.biased for r in best)


@pytest.mark.parametrize("problem", ["toy-0.499", "A", "network"])
def test_it_prints_a_table_and_saves_a_picture(problem, tmp_path, capsys):
    picture = tmp_path / "made" / "picture.png"
    rules = "Reinforce,DisARM,StraightThrough,Rebar"
    assert demo.main(["--problem", problem, "--rules", rules, "--samples", "200", "--out", str(picture)]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in rules.split(","))
    assert "200 samples" in printed
    assert ("enumeration" in printed) == (problem != "network")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_rule_that_does_not_fit_is_named_with_its_reason(monkeypatch, tmp_path, capsys):
    class Choosy(mg.Estimator):
        def backward(self, node):
            raise ValueError("expected a quieter problem")

    monkeypatch.setattr(mg.estimators, "Stop", Choosy)
    demo.main(["--problem", "A", "--rules", "DisARM,Stop", "--samples", "200", "--out", str(tmp_path / "a.png")])
    assert "Stop does not fit: expected a quieter problem" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [["--rules", "Unknown"], ["--samples", "10"], ["--problem", "C"],
                                   ["--data", "nowhere", "--problem", "vae"]])
def test_wrong_arguments_are_named(wrong, tmp_path, capsys):
    with pytest.raises(SystemExit):
        demo.main([*wrong, "--out", str(tmp_path / "picture.png")])
    assert wrong[0] in capsys.readouterr().err
