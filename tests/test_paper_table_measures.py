"""Measurements that the paper does not have: times, sizes, and the gradient of every rule.  No time is asserted."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the demos need matplotlib")
pytest.importorskip("tqdm", reason="the demos need tqdm")
pytest.importorskip("threadpoolctl", reason="the measurements state their threads with it")

import minigrad as mg
from demos.conditional_mnist import METHODS
from demos.paper_table import dense, gradients, report, sizes, timing
from minigrad.data import DigitSplits, synthetic_digits
from minigrad.testing.mutants import FirstUnitFrozen, OneSignFlipped

QUICK = SimpleNamespace(quick=True, rows=list(METHODS), recipes=["quick"], seeds=1, minutes=1.0)
PARTS = [timing, sizes, gradients]


@pytest.fixture(scope="module")
def data():
    images, labels = synthetic_digits(400, seed=0)
    parts = [part for span in (slice(0, 200), slice(200, 300), slice(300, 400))
             for part in (images[span], labels[span])]
    return DigitSplits(*parts, source="few digits")


@pytest.fixture
def few(data, monkeypatch):
    for part in PARTS:
        monkeypatch.setattr(part, "digits", lambda folder: data)


def recorded(part, folder, names):
    """Records of some runs of a part, as a study would keep them."""
    made = part.runs(QUICK)
    return {name: {"settings": made[name], "result": part.run(data=None, folder=str(folder), **made[name])}
            for name in names}


@pytest.mark.parametrize("part", PARTS)
def test_a_section_of_nothing_says_so_and_keeps_its_place(part):
    text = report.insert("# Results\n", "part", part.section({}))
    assert "Not measured yet." in text
    assert report.insert(text, "part", part.section({})) == text
    assert part.ALONE
    assert part.CAPTION


# ---- dense networks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("block", [1, 4])
@pytest.mark.parametrize("method", METHODS)
def test_dense_networks_compute_what_the_gated_one_does(method, block, momentum):
    dense.check(method, block, momentum)


def test_a_dense_network_that_computes_something_else_is_found():
    class Wrong(dense.InNumPy):
        def linear_backward(self, name, g, x):
            super().linear_backward(name, g, x)
            self.gradients[f"{name}.bias"] *= 1 + 1e-6

    with pytest.raises(AssertionError, match="straight-through, wrong"):
        dense.check("straight-through", others={"wrong": Wrong})


def test_multiply_adds_are_the_papers():
    assert timing.multiply_adds(2000, 0) == 1_113_600                                      # the gater
    assert timing.multiply_adds(2000, 2000) - timing.multiply_adds(2000, 0) == 1_568_000 + 20_000
    assert timing.multiply_adds(2000, 2000) == 2_701_600
    assert timing.multiply_adds(2000, 200) == 1_272_400
    assert timing.products((2000,)) == 1_588_000
    assert timing.products((400, 25)) == 784 * 400 + 400 * 25 + 25 * 10
    gater, some, every = (int(count.replace(",", "")) for count in sizes.products(4096, 16))
    assert (gater, some, every) == (64 * (784 + 256), 192 * 794, 4096 * 794)


# ---- timing ------------------------------------------------------------------------------------------------


def test_a_row_is_trained_and_timed_beside_plain_networks(few, tmp_path):
    records = recorded(timing, tmp_path, ["row-sbn", "plain-784-25-10"])
    result = records["row-sbn"]["result"]
    names = {"minigrad", "NumPy"} | ({"torch"} & set(dense.libraries()))
    plain = {key for key in result["example"] if key.startswith("784-")}
    assert set(result["example"]) - plain == names
    assert set(result["step"]) - plain == names | {name + timing.PLAIN_SGD for name in names}
    assert {key.split()[0] for key in plain} == set(timing.QUICK)
    assert all(seconds > 0 for seconds in [*result["step"].values(), *result["example"].values()])
    assert result["open at test"] == pytest.approx(0.1, abs=0.05)
    assert "minigrad 1" in result["threads"]

    text = timing.section(records)
    ratio = result["step"]["NumPy"] / result["step"]["minigrad"]
    assert f"| `sbn` | {100 * result['open in training']:.2f} % | " in text
    assert f"| {ratio:.2f} |" in text
    assert "| `sts` | – | – |" in text
    timing.picture(records, tmp_path / "timing.png")
    assert (tmp_path / "timing.png").stat().st_size > 10_000


def test_steps_that_are_timed_leave_the_network_as_it_was(data):
    run, _ = timing.train_row("straight-through", data, epochs=1, seed=0)
    before = run.network.state_dict()
    timing.time_row(run, data, ["784-12-10"], rounds=1, burst=1e-4)
    assert all((x == before[name]).all() for name, x in run.network.state_dict().items())


def test_as_accurate_is_the_fastest_and_as_fast_the_most_accurate():
    plain = {"784-12-10": {"test": 0.05}, "784-50-10": {"test": 0.02}, "784-400-10": {"test": 0.019},
             "784-1600-10": {"test": 0.01}}
    steps = dict(zip((f"{name} minigrad" for name in plain), (1.0, 2.0, 4.0, 16.0), strict=True))
    found = {"test": 0.02, "step": steps | {"minigrad": 8.0, "784-50-10 torch": 1.5},
             "example": steps | {"minigrad": 5.0}}
    assert timing.plain_networks("sbn", found, plain) == [
        "`sbn`", "2.00", "784-50-10", "2.00", "0.188", "0.400", "784-400-10", "1.90"]
    found["test"] = 0.001
    assert timing.plain_networks("sbn", found, plain)[2:6] == [None] * 4
    assert timing.plain_networks("sbn", None, plain)[1:] == [None] * 7


def test_plain_networks_learn(data):
    found = timing.train_plain((50,), data, epochs=40, seed=0)
    assert found["valid"] < 0.4                             # guessing: 0.9
    assert set(found) == {"valid", "test"}


# ---- sizes -------------------------------------------------------------------------------------------------


def test_regularisers_by_hand():
    probs = mg.tensor([[0.5, 0.1, 0.0], [0.1, 0.3, 0.0]], requires_grad=True)
    # means of blocks 0.3, 0.2, 0; of examples 0.2, 0.4 / 3; variances 0.04, 0.01, 0
    assert sizes.fairness(probs, 0.25).item() == pytest.approx(0.05 + 0.05 + 0.25, rel=1e-14)
    assert sizes.sparseness(probs, 0.15).item() == pytest.approx((0.05 + 0.15 - 0.4 / 3) / 2, rel=1e-14)
    assert sizes.sameness(probs).item() == pytest.approx(-0.05, rel=1e-14)

    sizes.fairness(probs, 0.25).backward()
    np.testing.assert_allclose(probs.grad, [[0.5, -0.5, -0.5]] * 2, rtol=1e-14)             # ± 1 / batch
    probs.grad = None
    sizes.sparseness(probs, 0.15).backward()
    np.testing.assert_allclose(probs.grad, [[1 / 6] * 3, [-1 / 6] * 3], rtol=1e-14)         # ± 1 / (batch · blocks)
    probs.grad = None
    sizes.sameness(probs).backward()
    np.testing.assert_allclose(probs.grad, [[-0.2, 0.1, 0], [0.2, -0.1, 0]], atol=1e-15)    # −2 (σ − mean) / batch


def test_a_network_of_any_size_has_as_many_units_open(data):
    for units in 2048, 8192:
        sized = sizes.Sized(units, 16, mg.Generator(0), data.train_images)
        gates = sized.gates(mg.tensor(sized.logits(data.train_images))).numpy()
        assert gates.shape == (200, units // 16)
        assert np.mean(gates != 0) * units == pytest.approx(192, rel=0.1)
        assert sized.logits(data.train_images).std() == pytest.approx(3, rel=0.01)


def test_the_threshold_follows_the_open_gates(data):
    sized = sizes.Sized(2048, 16, mg.Generator(0), data.train_images)
    logits = mg.tensor(sized.logits(data.train_images))
    started, sized.threshold = sized.threshold, sized.threshold - 2.0
    for _ in range(40):
        sized.gates(logits)
    assert sized.threshold == pytest.approx(started, abs=0.4)


def test_sizes_and_policies_run_and_are_reported(few, tmp_path):
    made = list(sizes.runs(QUICK))
    names = [made[0], "policy, seed 0", "32 dense, seed 0"]
    records = recorded(sizes, tmp_path, names)
    result = records[names[0]]["result"]
    assert set(result["step"]) == {"minigrad", "smallest", "NumPy"}
    assert result["open at test"] * 2048 == pytest.approx(192, rel=0.25)
    assert 0 < result["used"] <= 1
    assert 0 < records["policy, seed 0"]["result"]["open at test"] < 0.2
    text = sizes.section(records)
    assert f"| 16 | 2,048 | {100 * result['test']:.2f} | 1 |" in text
    assert f"| {result['step']['NumPy'] / result['step']['minigrad']:.1f} |" in text
    assert "| 256 dense | 1.9 | – |" in text
    sizes.picture(records, tmp_path / "sizes.png")
    assert (tmp_path / "sizes.png").stat().st_size > 10_000


def test_every_size_in_blocks_of_both_widths_has_a_run():
    made = sizes.runs(SimpleNamespace(quick=False)).values()
    timed = [(settings["units"], settings["block"]) for settings in made
             if settings["network"] == "sized" and settings["rounds"]]
    assert sorted(timed) == sorted((units, block) for units in sizes.UNITS for block in sizes.BLOCKS)


# ---- gradients ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny():
    """A problem with 4 gates and 2 digits of 3 pixels, and its exact gradient as a reference."""
    network = mg.nn.ConditionalNetwork(mg.Generator(3), inputs=3, hidden=2, units=8, outputs=3, block=2, dtype=float)
    network.output.weight.data *= 3
    problem = gradients.Problem(network, np.random.default_rng(0).standard_normal((2, 3)), np.array([0, 2]))
    rule = mg.estimators.Stop()
    exact = mg.testing.exact_gradient(lambda: problem.loss(problem.draw(rule, mg.Generator(0))), problem.gater)
    exact = np.concatenate([g.ravel() for g in exact])
    return problem, gradients.Sample(exact[None], np.zeros(1), 0)


def compared(tiny, rule, each=60):
    problem, reference = tiny
    return gradients.Comparison(gradients.Sample.of(problem, rule, each, mg.Generator(5)), reference)


def enumerated(tiny, rule):
    """Exact mean and variance of a rule's estimate, end to end."""
    problem, _ = tiny
    found = mg.testing.check_estimator(lambda rng: problem.loss(problem.draw(rule, rng)), problem.gater, seed=1)
    assert found.exact
    return (np.concatenate([x.ravel() for x in arrays]) for arrays in (found.mean, found.variance))


def test_the_problem_has_the_cost_of_the_network(tiny):
    problem, _ = tiny
    gates = mg.tensor(np.array([[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0]]))
    costs = mg.cross_entropy(problem.network.scores(problem.images, gates), problem.labels)
    assert problem.loss(gates).item() == pytest.approx(costs.numpy().mean(), rel=1e-14)


@pytest.mark.parametrize("name", ["StraightThrough", "StraightThroughSlope", "DisARM", "Reinforce"])
def test_bias_and_variance_are_those_of_enumeration(tiny, name):
    """The limit is six standard errors.  For 24 normal numbers, a false alarm has a probability below 1e-7."""
    rule = getattr(mg.estimators, name)()
    mean, variance = enumerated(tiny, rule)
    g = tiny[1].means[0]
    found, length = compared(tiny, rule), g @ g
    wanted = {
        "along": mean @ g / length, "length": mean @ mean / length, "variance": variance.sum() / length,
        "cosine": mean @ g / np.sqrt(length * (mean @ mean)), "squared_bias": (mean - g) @ (mean - g) / length,
        "signal": (mean @ g) ** 2 / (length * (variance.sum() + mean @ mean)),
    }
    for key, value in wanted.items():
        got, error = getattr(found, key)
        assert abs(got - value) <= 6 * error + 1e-9, key
        assert error <= 0.4 * (1 + abs(value)), key
    assert found.biased == (name.startswith("StraightThrough"))


@pytest.mark.parametrize("mutant", [OneSignFlipped, FirstUnitFrozen])
def test_a_wrong_rule_shows_up_as_biased(tiny, mutant):
    assert compared(tiny, mutant(), each=100).biased


def test_the_reference_is_the_gradient(tiny):
    found = compared(tiny, mg.estimators.LocalExpectation())
    assert not found.biased
    assert found.along[0] == pytest.approx(1, abs=6 * found.along[1])
    assert found.along[1] < 0.02


def test_products_of_means_are_those_of_different_groups():
    own = gradients.Sample(np.array([[2.0, 1.0], [2.0, -1.0]]), np.array([9.0, 11.0]), 1)
    g = gradients.Sample(np.array([[1.0, 0.0]]), np.zeros(1), 1)
    found = gradients.Comparison(own, g)
    assert found.length[0] == 3                             # ⟨(2, 1), (2, −1)⟩, not |(2, 0)|² = 4
    assert found.along == (2.0, 0.0)
    assert found.squared_bias[0] == 3 - 4 + 1
    assert found.variance[0] == 10 - 3
    assert found.signal[0] == 4 / 10


def test_what_sampling_hides_is_not_claimed():
    noise = np.random.default_rng(1).standard_normal((16, 400))
    g = np.zeros((1, 400))
    g[0, 0] = 1e-3
    sample = gradients.Sample(noise, (noise**2).sum(axis=1), 1)
    found = gradients.Comparison(sample, gradients.Sample(g, np.zeros(1), 1))
    assert found.cosine == (None, None)
    assert not found.biased
    row = found.numbers() | {"unbiased": True, "evaluations": 1, "samples": 16, "ms": 1.0}
    base = row | {"signal": [0.5, 0.01]}
    assert gradients.line("rule", row, base)[4] is None
    assert gradients.line("rule", row, base)[5].startswith("< ")


def test_all_rules_are_examined_or_left_out_with_a_reason():
    assert set(gradients.RULES) >= set(mg.estimators.__all__)
    assert gradients.LEFT_OUT.keys() < gradients.RULES.keys()


def test_a_stopped_run_goes_on_and_the_report_says_what_won(few, tmp_path, monkeypatch):
    chosen = ["StraightThrough", "Nvil", "Reinforce, baseline optimal", "Vimco", "LocalExpectation"]
    monkeypatch.setattr(gradients, "RULES", {name: gradients.RULES[name] for name in chosen})
    monkeypatch.setattr(gradients, "GROUPS", 4)
    examine, asked = gradients.examine, []

    def stops_at_the_third(name, *arguments):
        asked.append(name)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return examine(name, *arguments)

    monkeypatch.setattr(gradients, "examine", stops_at_the_third)
    settings = gradients.runs(QUICK)["fresh"] | {"samples": 8, "batch": 2}
    with pytest.raises(KeyboardInterrupt):
        gradients.run(data=None, folder=str(tmp_path), **settings)
    result = gradients.run(data=None, folder=str(tmp_path), **settings)
    assert asked == [*chosen[:2], *[chosen[2]] * 2, chosen[4]]
    assert list(result["rules"]) == [name for name in chosen if name != "Vimco"]
    assert result["rules"]["LocalExpectation"]["evaluations"] == 2001
    assert result["rules"]["StraightThrough"]["coordinates"] == 1_116_000

    records = {"fresh": {"settings": settings, "result": result}}
    text = gradients.section(records)
    assert "- `Vimco` is left out" in text
    assert "- **fresh**: the highest signal has `LocalExpectation`" in text
    assert text.index("| `LocalExpectation`") < text.index("| `StraightThrough`")
    gradients.picture(records, tmp_path / "gradients.png")
    assert (tmp_path / "gradients.png").stat().st_size > 10_000
