"""The enumeration of a program, its differences and its messages, on functions in NumPy."""

import inspect
import pickle
import signal
import sys

import numpy as np
import pytest

from minigrad.testing import EstimatorReport
from minigrad.testing.programs import numpy as programs
from minigrad.testing.programs.checking import Check
from minigrad.testing.programs.report import ProgramMoments, ProgramReport, coordinates
from minigrad.testing.programs.script import MOST_CHOICES, Script
from minigrad.testing.programs.session import Session, within


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class Layers:
    """Two layers of bits, the second fed by the first."""

    def __init__(self, dtype=float):
        self.first = np.array([0.3, -0.7], dtype)
        self.second = np.array([[0.5, -1.0], [1.5, 0.2]], dtype)
        self.params = {"first": self.first, "second": self.second}

    def run(self, choices):
        p = sigmoid(self.first)
        a = choices.bernoulli(p)
        q = sigmoid(a @ self.second - 0.4)
        b = choices.bernoulli(q)
        cost = np.exp(0.5 * b[0] + b[1] * a[0]) + (b[1] - 0.3) ** 2 * (1 + a[1])
        return cost, [a - p, np.outer(a, b - q)]

    def cost(self, choices):
        return self.run(choices)[0]

    def reinforce(self, choices):
        cost, scores = self.run(choices)
        return [cost * s for s in scores]

    def second_forgotten(self, choices):
        cost, (first, second) = self.run(choices)
        return [cost * first, 0 * second]


def test_two_layers_against_the_sum_by_hand():
    net = Layers()
    report = programs.check_estimator(net.cost, net.params, net.reinforce)
    p = sigmoid(net.first)
    gradient, second_moment = np.zeros(2), np.zeros(2)
    for a in np.ndindex(2, 2):
        for b in np.ndindex(2, 2):
            a, b = np.array(a, float), np.array(b, float)
            q = sigmoid(a @ net.second - 0.4)
            weight = np.prod(np.where(a, p, 1 - p)) * np.prod(np.where(b, q, 1 - q))
            cost = np.exp(0.5 * b[0] + b[1] * a[0]) + (b[1] - 0.3) ** 2 * (1 + a[1])
            gradient += weight * cost * (a - p)
            second_moment += weight * (cost * (a - p)) ** 2
    assert isinstance(report, EstimatorReport)
    assert (report.exact, report.unbiased, report.runs) == (True, True, 16)
    np.testing.assert_allclose(report.gradient["first"], gradient, rtol=1e-10)
    np.testing.assert_allclose(report.mean["first"], gradient, rtol=1e-12)
    np.testing.assert_allclose(report.variance["first"], second_moment - gradient**2, rtol=1e-12)
    assert report.mean["second"].shape == (2, 2)
    assert "16 outcomes enumerated: exact" in repr(report)
    assert pickle.loads(pickle.dumps(report)).fault() is None


def test_a_layer_without_gradient_is_named():
    net = Layers()
    with pytest.raises(AssertionError, match=r"biased at second\[\d, \d\] by .* exactly.*silent zero at second"):
        programs.assert_unbiased(net.cost, net.params, net.second_forgotten)


def test_a_pathwise_part_of_the_cost_counts():
    """The cost also depends on the parameter directly, so the score alone is not its gradient."""
    logits = np.array([0.4])

    def cost(choices):
        return (choices.bernoulli(sigmoid(logits)) * logits).sum()

    def score_alone(choices):
        b = choices.bernoulli(sigmoid(logits))
        return b * logits * (b - sigmoid(logits))

    def both(choices):
        b = choices.bernoulli(sigmoid(logits))
        return b * logits * (b - sigmoid(logits)) + b

    assert programs.check_estimator(cost, logits, both).unbiased
    report = programs.check_estimator(cost, logits, score_alone)
    np.testing.assert_allclose(report.bias, -sigmoid(logits), rtol=1e-10)


def test_float32_gets_a_coarser_verdict():
    net = Layers(np.float32)
    report = programs.check_estimator(net.cost, net.params, net.reinforce)
    assert report.unbiased
    assert 1e-5 < np.max(report.detectable["first"]) < 1e-2
    assert not programs.check_estimator(net.cost, net.params,
                                        lambda c: [1.01 * g for g in net.reinforce(c)]).unbiased


def test_categories_and_lengths_that_depend_on_samples():
    """A sequence ends with the first 0, at the latest after three steps."""
    logits = np.array([0.2, -0.3, 0.5])

    def run(choices):
        p = np.exp(logits) / np.exp(logits).sum()
        cost, score = 0.0, np.zeros(3)
        for step in range(3):
            k = int(choices.categorical(p))
            cost += (k + 1) * (step + 0.5)
            score += np.eye(3)[k] - p
            if k == 0:
                break
        return cost, score

    def reinforce(choices):
        cost, score = run(choices)
        return cost * score

    report = programs.check_estimator(lambda c: run(c)[0], logits, reinforce)
    assert (report.unbiased, report.runs) == (True, 1 + 2 * (1 + 2 * 3))


def test_outcomes_without_probability_are_left_out():
    script, runs = Script(), 0
    while script.rewind():
        script.bernoulli(np.array([0.0, 1.0, 0.5]))
        script.close()
        runs += 1
    assert runs == 2


# ---- noise that is not finite --------------------------------------------------------------------------------


def gaussian(theta, slope):
    def cost(choices):
        return float((theta[0] + choices.normal() * np.exp(theta[1])) ** 2)

    def estimate(choices):
        noise = choices.normal()
        x = theta[0] + noise * np.exp(theta[1])
        return np.array([slope * x, 2 * x * noise * np.exp(theta[1])])
    return cost, theta, estimate


def test_continuous_noise_is_sampled_with_its_power():
    report = programs.check_estimator(*gaussian(np.array([0.5, -0.2]), 2.0), samples=3000, seed=1)
    assert (report.exact, report.unbiased) == (False, True)
    assert report.noise == ("normal numbers",)
    assert "draws of normal numbers, 1 outcome enumerated for each: sampled" in repr(report)
    assert np.all(report.detectable < 1e-3)        # the differences use the same noise: no error of sampling is left
    with pytest.raises(AssertionError, match=r"biased at gradient\[0\].* The noise of normal numbers was sampled"):
        programs.assert_unbiased(*gaussian(np.array([0.5, -0.2]), 1.9), samples=3000, seed=1)


@pytest.mark.parametrize(("first", "second", "unbiased"), [
    ([1.0, 0.0], [1.0, 0.0], False), ([1.0, 1e-4], [0.0, 1.0], True), ([1.0, 0.0], [-1.0, 0.0], True),
    ([0.0, 0.0], None, True)])
def test_samples_reject_only_what_others_confirm(monkeypatch, first, second, unbiased):
    """A bias must be found in the same coordinate and direction in both sets of samples."""
    reports = []
    for bias in (first, second):
        if bias is not None:
            moments = ProgramMoments(np.array(bias), np.ones(2), np.ones(2), 1.0, 100, False, error=np.full(2, 1e-3))
            reports.append(ProgramReport(coordinates("x", [np.zeros(2)], 1e-9), np.zeros(2), moments, 1e-6,
                                         uncertainty=np.zeros(2)))
    monkeypatch.setattr(Check, "sampled", lambda self, *arguments: reports.pop(0))
    check = object.__new__(Check)
    check.coordinates, check.significance = reports[0].problem, 1e-6
    assert check.repeated(100).unbiased is unbiased
    assert not reports


def test_power_is_as_stated():
    """A bias of the stated size is nearly always found.  A fifth of this bias is nearly never found."""
    logits = np.array([0.3])

    def cost(choices):
        return float(choices.bernoulli(sigmoid(logits))[0])

    def noisy(bias):
        def estimate(choices):
            b = choices.bernoulli(sigmoid(logits))
            return b * (b - sigmoid(logits)) + bias + choices.normal()
        return estimate

    def found(bias):
        return sum(not programs.check_estimator(cost, logits, noisy(bias), samples=400, seed=i).unbiased
                   for i in range(20))

    stated = float(programs.check_estimator(cost, logits, noisy(0.0), samples=400, seed=0).detectable[0])
    assert 0.3 < stated < 0.8       # (4.9 + 2.3) / sqrt(200), a little more for Student's t
    assert found(stated * 1.3) >= 19
    assert found(stated / 5) == 0


def test_too_few_seeds_are_refused():
    with pytest.raises(ValueError, match=r"samples = 100 runs, got one that needs 270: 1 outcome .* for 30 seeds"):
        programs.check_estimator(*gaussian(np.array([0.5, -0.2]), 2.0), samples=100)


# ---- many parameters -----------------------------------------------------------------------------------------


def many(factor, size=300):
    theta = np.linspace(-1, 1, size)
    weight = np.cos(np.arange(size)) / 10

    def run(choices):
        p = sigmoid(weight @ theta)
        b = choices.bernoulli(p)
        return float(b * 3 + 1), (b - p) * weight

    def estimate(choices):
        cost, score = run(choices)
        return cost * score + factor * np.sin(np.arange(size))
    return lambda choices: run(choices)[0], theta, estimate


def test_directions_stand_for_many_coordinates():
    report = programs.check_estimator(*many(0.0), seed=3)
    assert (report.unbiased, report.gradient.shape, report.bias.shape) == (True, (20,), (20,))
    assert "20 random directions in 300 coordinates" in repr(report)
    assert "root mean square" in repr(report)
    bias = 20 * report.missed       # far above what may be missed, far below the gradient's size
    assert bias < 1e-4
    assert not programs.check_estimator(*many(bias * np.sqrt(2)), seed=3).unbiased


def test_directions_can_be_asked_for():
    net = Layers()
    report = programs.check_estimator(net.cost, net.params, net.second_forgotten, directions=3, seed=0)
    assert report.mean.shape == (3,)
    with pytest.raises(AssertionError, match="biased at direction"):
        programs.assert_unbiased(net.cost, net.params, net.second_forgotten, directions=3, seed=0)


# ---- bad input -----------------------------------------------------------------------------------------------


@pytest.fixture
def logits():
    return np.array([0.3, -0.5])


def reinforce(logits):
    def estimate(choices):
        p = sigmoid(logits)
        b = choices.bernoulli(p)
        return (b.sum() - 0.4) ** 2 * (b - p)
    return estimate


def plain(logits):
    return lambda choices: (choices.bernoulli(sigmoid(logits)).sum() - 0.4) ** 2


def test_a_program_that_draws_another_number_of_samples_when_it_is_run_again(logits):
    runs = []

    def cost(choices):
        runs.append(1)
        return choices.bernoulli(sigmoid(logits[: 1 + len(runs) % 2])).sum()
    with pytest.raises(ValueError, match=r"expected 2 choices, as in the last run with these samples, got 1\. The"):
        programs.check_estimator(cost, logits, reinforce(logits))

    def more(choices):
        runs.append(1)
        return choices.bernoulli(sigmoid(logits[: 1 + (len(runs) > 10)])).sum()
    runs.clear()
    runs.extend([1] * 9)
    with pytest.raises(ValueError, match="expected 1 choices, as in the last run with these samples, got more"):
        programs.check_estimator(more, logits, reinforce(logits))


def test_a_program_that_asks_for_other_probabilities_when_it_is_run_again(logits):
    runs = []

    def cost(choices):
        runs.append(1)
        return choices.bernoulli(sigmoid(logits + len(runs))).sum()
    with pytest.raises(ValueError, match=r"choice 0 of a run: expected the probabilities \[.*keep a value from run"):
        programs.check_estimator(cost, logits, reinforce(logits))


def test_a_running_mean_is_found(logits):
    """It changes the estimate from run to run, and no probability."""
    mean = [0.0]

    def estimate(choices):
        p = sigmoid(logits)
        b = choices.bernoulli(p)
        cost = (b.sum() - 0.4) ** 2
        mean[0] += 0.1 * (cost - mean[0])
        return (cost - mean[0]) * (b - p)
    with pytest.raises(ValueError, match=r"expected the estimate to give the same for the same samples.*running mean"):
        programs.check_estimator(plain(logits), logits, estimate)


def test_state_that_changes_late_is_found(logits):
    """The first outcome is run again at the end."""
    worst = [0.0]

    def estimate(choices):
        b = choices.bernoulli(sigmoid(logits))
        worst[0] = max(worst[0], b.sum())
        return (b.sum() - worst[0]) * (b - sigmoid(logits))
    with pytest.raises(ValueError, match="expected the estimate to give the same for the same samples"):
        programs.check_estimator(plain(logits), logits, estimate)


def test_an_optimisers_step_is_found(logits):
    def estimate(choices):
        gradient = reinforce(logits)(choices)
        logits[:] -= 0.1 * gradient
        return gradient
    before = logits.copy()
    with pytest.raises(ValueError, match="expected the estimate not to change the parameters"):
        programs.check_estimator(plain(logits), logits, estimate)
    np.testing.assert_array_equal(logits, before)


@pytest.mark.parametrize(("returned", "got"), [(np.ones(2), r"a numpy.ndarray of shape \(2,\)"), (None, "None"),
                                               ("a", "'a'")])
def test_a_cost_that_is_no_scalar(logits, returned, got):
    with pytest.raises(ValueError, match=rf"expected cost\(choices\) to return a scalar, got {got}"):
        programs.check_estimator(lambda choices: returned, logits, reinforce(logits))


def test_no_parameter_that_matters(logits):
    copy = logits.copy()
    with pytest.raises(ValueError, match=r"expected a cost that depends on the parameters, .*copies of them"):
        programs.check_estimator(plain(copy), logits, lambda choices: np.zeros(2))


def test_nan_is_named(logits):
    with pytest.raises(AssertionError, match=r"not finite: the estimate is nan at gradient\[1\]"):
        programs.check_estimator(plain(logits), logits, lambda choices: np.array([0.0, np.nan]))
    with pytest.raises(AssertionError, match="not finite: the cost is inf"):
        programs.check_estimator(lambda choices: np.inf, logits, reinforce(logits))


def test_too_many_outcomes():
    logits = np.zeros(40)
    with pytest.raises(ValueError, match=r"samples = 50000 outcomes .*40 choices, there are 1\.1e\+12 outcomes"):
        programs.check_estimator(plain(logits), logits, reinforce(logits))


def test_too_many_runs_for_differences():
    logits = np.zeros(6)
    with pytest.raises(ValueError, match=r"samples = 1000 runs, got one that needs 1664: 64 outcomes of the estimate, "
                                         r"and 64 of the cost at 4 points for each of 6 coordinates.*samples=1664"):
        programs.check_estimator(plain(logits), logits, reinforce(logits), samples=1000)
    assert programs.check_estimator(plain(logits), logits, reinforce(logits), samples=1664).unbiased


def test_a_loop_that_may_never_end():
    logits = np.array([0.0])

    def cost(choices):
        steps = 0
        while not choices.bernoulli(sigmoid(logits))[0]:
            steps += 1
        return steps
    with pytest.raises(ValueError, match=f"made {MOST_CHOICES} choices in one run. Does a loop wait"):
        programs.check_estimator(cost, logits, reinforce(logits))


def test_logits_in_place_of_probabilities(logits):
    with pytest.raises(ValueError, match=r"got \[1.5, -0.5\]. Is a logit given for a probability"):
        programs.check_estimator(lambda c: c.bernoulli(logits).sum(), logits, reinforce(logits))


def test_a_probability_at_the_edge_of_its_range():
    p = np.array([0.0005, 0.5])

    def estimate(choices):
        b = choices.bernoulli(p)
        return b.sum() * (b - p) / (p * (1 - p))

    def cost(choices):
        return choices.bernoulli(p).sum()
    with pytest.raises(ValueError, match=r"(?s)with gradient\[0\] moved by -0.001: expected prob.*smaller step"):
        programs.check_estimator(cost, p, estimate)
    assert programs.check_estimator(cost, p, estimate, step=1e-4).unbiased


@pytest.mark.parametrize("at", [0.0, 0.0006, 0.0013])
def test_a_kink_is_named(at):
    theta = np.array([at])
    with pytest.raises(ValueError, match=r"expected a smooth expected cost.*a rectifier at 0"):
        programs.check_estimator(lambda c: np.maximum(theta, 0).sum(), theta, lambda c: (theta > 0).astype(float))


def test_a_sharp_but_smooth_cost_is_not_taken_for_a_kink():
    theta = np.array([0.01])
    assert programs.check_estimator(lambda c: np.tanh(30 * theta[0]), theta,
                                    lambda c: 30 / np.cosh(30 * theta) ** 2).unbiased


@pytest.mark.parametrize("params", [[0.1, 0.2], np.array([1, 2]), "logits", {"a": 1.0}])
def test_params_that_are_no_arrays(params):
    with pytest.raises(TypeError, match="expected params to be a writable array of float64 or float32"):
        programs.check_estimator(lambda c: 0.0, params, lambda c: 0.0)


def test_an_estimate_of_another_shape(logits):
    with pytest.raises(ValueError, match=r"of shapes \[\(2,\)\], got \[\(\)\]"):
        programs.check_estimator(plain(logits), logits, lambda choices: 0.0)


@pytest.mark.parametrize("options", [{"samples": 1}, {"seed": -1}, {"directions": 0}, {"step": 0.0},
                                     {"significance": 2.0}])
def test_options_out_of_range(logits, options):
    with pytest.raises(ValueError, match=f"expected {'a ' if 'significance' in options else ''}{next(iter(options))}"):
        programs.check_estimator(plain(logits), logits, reinforce(logits), **options)


# ---- interrupts ----------------------------------------------------------------------------------------------


@pytest.fixture
def ctrl_c():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_error_leaves_the_parameters(logits):
    before, runs = logits.copy(), []

    def cost(choices):
        runs.append(1)
        if len(runs) == 20:
            raise ZeroDivisionError
        return choices.bernoulli(sigmoid(logits)).sum()
    with pytest.raises(ValueError, match="ZeroDivisionError"):
        programs.check_estimator(cost, logits, reinforce(logits))
    np.testing.assert_array_equal(logits, before)


def test_ctrl_c_at_any_line_leaves_the_parameters(ctrl_c):
    logits = np.array([0.3])
    before = logits.copy()
    lines, stop = [0], [0]
    # A trace function comes before every line; Python's own look for signals is never right before this one.
    source, first = inspect.getsourcelines(within)
    never = first + next(i for i, line in enumerate(source) if "closing = True" in line)

    def trace(frame, event, argument):
        if "programs" not in frame.f_code.co_filename or frame.f_code.co_filename == __file__:
            return None
        if event == "line" and (frame.f_code.co_name, frame.f_lineno) != ("within", never):
            lines[0] += 1
            if lines[0] == stop[0]:
                signal.raise_signal(signal.SIGINT)
        return trace

    def interrupted(at):
        lines[0], stop[0] = 0, at
        sys.settrace(trace)
        try:
            programs.check_estimator(plain(logits), logits, reinforce(logits), seed=0)
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(None)
        return False

    assert not interrupted(-1)
    total = lines[0]
    count = 0
    for at in [*range(1, total - 40, 7), *range(total - 40, total + 1)]:
        count += interrupted(at)
        np.testing.assert_array_equal(logits, before)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert count > 100


def test_ctrl_c_waits_while_things_are_put_back(ctrl_c):
    done = []

    class Pressing(Session):
        def restore(self):
            signal.raise_signal(signal.SIGINT)
            done.append("restored")

    with pytest.raises(KeyboardInterrupt):
        within(Pressing(), lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        within(Pressing(), lambda: None)
    assert done == ["restored"] * 2
