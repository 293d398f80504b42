"""The paper's experiment as a whole: test digits are used once, at the end, and the table shows the results."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the demos need matplotlib")
pytest.importorskip("threadpoolctl", reason="the benchmarks need threadpoolctl")
pytest.importorskip("tqdm", reason="the demos need tqdm")

import minigrad as mg
from demos import conditional_mnist
from demos.paper_table import __main__ as command
from demos.paper_table import report, rows, table
from minigrad.data import synthetic_digits


class Digits:
    """300 digits to train on, 100 for validation, 100 for test.  It records every use of the test digits."""

    source = "few digits, for a test"

    def __init__(self):
        images, labels = synthetic_digits(500, seed=0)
        self.train_images, self.valid_images, self.tests = images[:300], images[300:400], images[400:]
        self.train_labels, self.valid_labels, self.test_labels = labels[:300], labels[300:400], labels[400:]
        self.looks = []

    @property
    def test_images(self):
        self.looks.append(self.on_look())
        return self.tests

    def on_look(self):
        return None


@pytest.fixture
def few(monkeypatch):
    digits = Digits()
    monkeypatch.setattr(rows, "digits", lambda data: digits)
    return digits


def run(folder, **changed):
    usual = {"row": "straight-through", "recipe": "quick", "seed": 0, "epochs": 2, "minutes": None, "patience": None}
    return rows.run(data=None, folder=folder, **usual | changed)


# ---- one run -----------------------------------------------------------------------------------------------


def test_the_test_digits_are_looked_at_once_after_the_choices_are_saved(few, tmp_path):
    path = tmp_path / "sbn paper 3.choice.json"
    few.on_look = lambda: json.loads(path.read_text(encoding="utf-8"))
    result = run(tmp_path, row="sbn", recipe="paper", seed=3, epochs=3)
    [saved] = few.looks
    assert saved["epoch"] == result["epoch"]
    assert saved["theta"] == result["theta"]
    assert saved["valid"] == result["valid"] == min(epoch["valid"] for epoch in result["history"])
    assert result["history"][result["epoch"] - 1]["valid"] == result["valid"]


def test_what_a_run_reports_is_true_of_the_network_it_chose(few, tmp_path):
    result = run(tmp_path, epochs=3)
    state = mg.checkpoint.load(tmp_path / "straight-through quick 0.ckpt")["run"]
    network = mg.nn.ConditionalNetwork(mg.Generator(0))
    network.load_state_dict(state["best"]["network"])
    logits = [network.logits(images).numpy() for images in (few.valid_images, few.tests, few.train_images)]
    cut = np.quantile(logits[0], 0.9)
    assert result["theta"] == pytest.approx(1 / (1 + np.exp(-cut)))
    gates = [(a > cut).astype(np.float32) for a in logits]
    assert result["open"] == pytest.approx(gates[1].mean())
    scores = [network.scores(images, mg.tensor(g)).numpy().astype(float)
              for images, g in zip((few.valid_images, few.tests, few.train_images), gates, strict=True)]
    errors = [np.mean(s.argmax(axis=1) != y)
              for s, y in zip(scores, (few.valid_labels, few.test_labels, few.train_labels), strict=True)]
    assert [result[key] for key in ("valid", "test", "train")] == pytest.approx(errors)
    costs = np.log(np.exp(scores[2]).sum(axis=1)) - scores[2][np.arange(300), few.train_labels]
    assert result["cost"] == pytest.approx(costs.mean(), rel=1e-5)
    assert result["open while training"] == result["history"][result["epoch"] - 1]["open"]


def test_a_run_that_was_killed_ends_as_if_it_had_not_been(few, tmp_path, monkeypatch):
    whole = run(tmp_path / "whole", row="noisy-rectifier", epochs=3)
    step, calls = conditional_mnist.Run.training_step, []

    def killed(training, images, labels):
        calls.append(1)
        if len(calls) == 5:                                     # the second step of the second epoch
            raise KeyboardInterrupt
        return step(training, images, labels)

    monkeypatch.setattr(conditional_mnist.Run, "training_step", killed)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", row="noisy-rectifier", epochs=3)
    assert len(few.looks) == 1
    parts = run(tmp_path / "parts", row="noisy-rectifier", epochs=3)
    assert len(calls) == 3 + 2 + 6
    for result in whole, parts:
        assert result.pop("seconds") > 0
        assert result.pop("core seconds") > 0
    assert whole == parts


def test_why_a_run_stops():
    training = SimpleNamespace(settings={"epochs": 9}, history=[None] * 5, best={"epoch": 2})
    assert rows.why_stop(training, {"core seconds": 100}, None, None) is None
    assert rows.why_stop(training, {"core seconds": 100}, 2, 4) is None
    assert rows.why_stop(training, {"core seconds": 100}, 2, 3) == "patience"
    assert rows.why_stop(training, {"core seconds": 120}, 2, 4) == "minutes"
    training.history *= 2
    assert rows.why_stop(training, {"core seconds": 0}, 2, 9) == "epochs"
    nothing_yet = SimpleNamespace(settings={"epochs": 9}, history=[], best={"valid": np.inf})
    assert rows.why_stop(nothing_yet, {"core seconds": 0}, 2, 3) is None


def test_there_is_a_run_for_every_row_recipe_and_seed():
    given = SimpleNamespace(rows=["sbn", "sts"], recipes=list(conditional_mnist.RECIPES), seeds=3, minutes=7.0,
                            quick=False)
    made = rows.runs(given)
    assert len(made) == 2 * len(conditional_mnist.RECIPES) * 3
    assert made["sbn paper 2"] == {"row": "sbn", "recipe": "paper", "seed": 2, "epochs": 1000, "minutes": 7.0,
                                   "patience": 50}
    assert made["sts quick 0"] == {"row": "sts", "recipe": "quick", "seed": 0, "epochs": 5, "minutes": None,
                                   "patience": None}


@pytest.mark.parametrize("row", [row for row in rows.ROWS if row not in conditional_mnist.METHODS])
def test_the_rows_that_the_paper_does_not_have(row, few, tmp_path):
    result = run(tmp_path, row=row, epochs=3)
    assert result["history"][2]["cost"] < result["history"][0]["cost"]
    assert (result["theta"] is None) == (row in ("rectifier-unpenalised", "sigmoid-2000", "ordinary-rectifier",
                                                 "ordinary-linear"))


@pytest.mark.parametrize("recipe", ["quick", "long"])
def test_a_fixed_gater_stays_and_its_experts_learn(recipe):
    digits = rows.digits("quick")
    settings = {"method": "sbn-fixed", "recipe": recipe, "epochs": 2, "block": 1, "seed": 0, "batch": 200}
    training = conditional_mnist.Run(settings, digits, rows.ROWS["sbn-fixed"])
    before = training.network.state_dict()
    training.train_epoch(SimpleNamespace(update=lambda: None))
    after = training.network.state_dict()
    changed = {name.split(".")[0] for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"experts", "output"}


def test_the_gates_of_those_rows():
    rng, logits = mg.Generator(0), mg.tensor(np.zeros((10, 2000), np.float32))
    paper, code = (rows.ROWS[row].gates() for row in ("sts", "sts-code"))
    probs = 1 / (1 + np.exp(-paper.noise))
    for gates, share in ((paper, np.sqrt(probs).mean()), (code, probs.mean())):
        values = gates.training(logits, rng)[0].numpy()
        assert np.mean(values != 0) == pytest.approx(share, abs=0.021)      # six standard errors
        assert values.max() <= np.sqrt(probs.max()) + 1e-6
    half = rows.ROWS["straight-through-unpenalised"].gates()
    assert half.test(mg.tensor([-0.1, 0.1]), cut=5.0).numpy().tolist() == [0, 1]


def test_the_ordinary_network_is_one():
    network = rows.OrdinaryNetwork(mg.Generator(0), units=4, block=1, inputs=3, outputs=2)
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    hidden = x @ network.gater[0].weight.numpy().T
    wanted = {"ordinary-rectifier": np.maximum(hidden, 0), "ordinary-linear": hidden}
    for row, h in wanted.items():
        gates = rows.ROWS[row].gates()
        for made in gates.training(network.logits(x), None)[0], gates.test(network.logits(x), 0.0):
            np.testing.assert_allclose(network.scores(x, made).numpy(), h @ network.output.weight.numpy().T, atol=1e-6)


# ---- the table ---------------------------------------------------------------------------------------------


def record(row, seed, test, recipe="paper", data="MNIST", theta=0.2, **changed):
    result = {"row": row, "recipe": recipe, "seed": seed, "data": data, "test": test, "valid": test + 0.001,
              "theta": theta, "epoch": 7, "epochs": 9, "stopped": "minutes", "cost": 0.01, "cost while training": 0.02,
              "open": 0.1, "open while training": 0.11, "core seconds": 90, "machine": "a machine"}
    settings = {"row": row, "recipe": recipe, "seed": seed, "epochs": 1000, "minutes": 20.0, "patience": 50}
    return {"settings": settings, "result": result | changed, "minigrad": "0.1.0",
            "finished": "2026-11-21T07:00:00+00:00"}


def records(*made):
    return dict(enumerate(made))


def test_the_interval_of_a_mean():
    # Student's t: 12.7062 for 1 degree of freedom, 4.3027 for 2, 2.7764 for 4.
    assert table.interval([1.0, 2.0]) == pytest.approx((1.5, 12.7062 * np.sqrt(0.5 / 2)), rel=1e-5)
    assert table.interval([1.0, 2.0, 3.0]) == pytest.approx((2.0, 4.30265 / np.sqrt(3)), rel=1e-5)
    assert table.interval([2.1, 1.9, 2.0, 2.4, 1.6]) == pytest.approx((2.0, 2.77645 * np.sqrt(0.085 / 5)), rel=1e-5)
    assert table.interval([1.5]) == (1.5, None)


def test_rows_are_compared_seed_by_seed():
    made = records(record("sbn", 2, 0.04), record("sts", 0, 0.01), record("sbn", 0, 0.03), record("sts", 1, 0.02),
                   record("sbn", 0, 0.9, recipe="quick"), record("sts", 2, 0.015), record("sbn", 5, 0.8))
    assert table.differences(made, "sbn", "sts", "paper") == pytest.approx([0.02, 0.025])
    assert table.differences(made, "sbn", "sts", "quick") == []


def cells(markdown, *starts):
    [line] = [line for line in markdown.splitlines() if line.startswith("| " + " | ".join(starts) + " |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_section_says_what_was_measured_and_leaves_the_rest_blank():
    text = table.section(records(
        record("noisy-rectifier", 0, 0.03, theta=None), record("noisy-rectifier", 1, 0.032, theta=None),
        record("baseline-rectifier", 1, 0.02, theta=None), record("baseline-rectifier", 0, 0.019, theta=None),
        record("sbn", 0, 0.05)))
    assert cells(text, "`noisy-rectifier`", "1.52") == [
        "`noisy-rectifier`", "1.52", "1.87", "3.20 ± 1.27", "3.10 ± 1.27", "2"]
    assert cells(text, "`sbn`", "1.78")[1:] == ["1.78", "1.89", "5.10", "5.00", "1"]
    assert cells(text, "`sts`", "1.86")[1:] == ["1.86", "1.96", "–", "–", "–"]
    assert "`sts-code`" not in text.split("Details")[0]
    assert cells(text, "`sbn`", "paper")[2:] == [
        "7", "9", "minutes", "0.200", "0.01", "0.02", "0.0099", "11.0 %", "10.0 %", "1.5", "5.00"]
    assert cells(text, "`baseline-rectifier`", "paper")[-1] == "1.90, 2.00"
    noise = cells(text, "Does noise help rectifier gates?")
    assert noise[2:] == ["paper", "+1.15 ± 0.64", "2", "worse"]
    assert cells(text, "Is √p (the paper) better than p (its code)?")[2:] == ["–", "–", "–", "–"]
    assert "each on one core, with minigrad 0.1.0 on a machine" in text
    assert "or after 20 minutes of processor time." in text
    assert table.section({}) == "No run has finished yet."


@pytest.mark.parametrize(("found", "said"), [
    ([], None), ([1.0], "one seed: not tested"), ([-1.0, -1.01], "better"), ([1.0, 1.01], "worse"),
    ([1.0, -1.0], "no significant difference"), ([-1.0, -2.0], "no significant difference"),
])
def test_what_differences_say(found, said):
    assert table.verdict(found) == said


def test_every_claim_is_of_rows_that_exist():
    for claim in table.CLAIMS:
        assert {claim.one, claim.other} <= rows.ROWS.keys()
    assert table.PAPER.keys() == conditional_mnist.METHODS.keys()
    for row, published in table.PAPER.items():
        assert conditional_mnist.METHODS[row].paper.startswith(f"{published.test:.2f} %")


def test_the_picture_is_drawn(tmp_path):
    made = records(record("sbn", 0, 0.05), record("sbn", 1, 0.06), record("sts", 0, 0.02, recipe="quick"))
    table.picture(made, tmp_path / "table.png")
    assert (tmp_path / "table.png").stat().st_size > 10_000


# ---- the report --------------------------------------------------------------------------------------------


def test_a_section_goes_between_its_markers_and_nothing_else_changes():
    text = ("# Results\n\n<!-- paper table: a -->\nold\n<!-- end: a -->\n\nbetween\n\n"
            "<!-- paper table: b -->\n<!-- end: b -->")
    new = report.insert(text, "a", "\nnew\n\n| 1 |\n")
    assert new == text.replace("old", "new\n\n| 1 |")
    assert report.insert(new, "a", "new\n\n| 1 |") == new
    longer = report.insert(new, "c", "third")
    assert longer == new + "\n\n<!-- paper table: c -->\nthird\n<!-- end: c -->\n"
    assert report.insert(longer, "c", "third") == longer


@pytest.mark.parametrize("text", [
    "<!-- paper table: a -->", "<!-- end: a -->", "<!-- end: a --> <!-- paper table: a -->",
    "<!-- paper table: a --><!-- end: a --><!-- paper table: a --><!-- end: a -->"])
def test_half_a_pair_of_markers_is_refused(text):
    with pytest.raises(ValueError, match="once each, in this order, found <!--"):
        report.insert(text, "a", "new")


# ---- the command -------------------------------------------------------------------------------------------


def test_the_quick_command_runs_reports_and_does_nothing_twice(tmp_path, capsys):
    arguments = ["--quick", "--parts", "table", "--rows", "baseline-sigmoid", "--recipes", "quick", "--seeds", "1",
                 "--jobs", "1", "--folder", str(tmp_path)]
    assert command.main(arguments) == 0
    folder = tmp_path / "quick"
    assert not (folder / "table" / "runs").exists()
    first = (folder / "table" / "baseline-sigmoid quick 0.json").read_bytes()
    text = (folder / "RESULTS.md").read_text(encoding="utf-8")
    assert "Runs on synthetic digits: 1, each" in text
    assert "They are not results of the paper's experiment" in text
    [link] = re.findall(r"\]\((.*)\)", text)
    assert (folder / link).stat().st_size > 10_000
    assert command.main(arguments) == 0
    assert (folder / "table" / "baseline-sigmoid quick 0.json").read_bytes() == first
    assert (folder / "RESULTS.md").read_text(encoding="utf-8") == text


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A temporary file into which the command publishes."""
    path = tmp_path / "benchmarks" / "RESULTS.md"
    monkeypatch.setattr(command, "PUBLISHED", path)
    monkeypatch.setattr(command, "PICTURES", tmp_path / "pictures")
    return path


def put(folder, *made):
    for number, one in enumerate(made):
        (folder / "table").mkdir(parents=True, exist_ok=True)
        (folder / "table" / f"{number}.json").write_text(json.dumps(one), encoding="utf-8")


def test_results_on_real_digits_are_published(tmp_path, published):
    put(tmp_path / "real", record("sbn", 0, 0.0589))
    arguments = ["--report", "--publish", "--parts", "table", "--folder", str(tmp_path / "real")]
    assert command.main(arguments) == 0
    text = published.read_text(encoding="utf-8")
    assert "5.89" in text
    assert "$ python -m demos.paper_table --parts table\n" in text
    assert "The runs finished on 2026-11-21." in text
    assert "](../pictures/paper_table.png)" in text
    assert (tmp_path / "pictures" / "paper_table.png").exists()


def test_the_real_table_has_no_synthetic_digits(tmp_path, published, monkeypatch, capsys):
    def unreachable(folder):
        raise ConnectionError("MNIST is out of reach")

    monkeypatch.setattr(mg.data, "mnist", unreachable)
    with pytest.raises(ConnectionError):
        rows.digits(None)
    put(tmp_path / "other", record("sbn", 0, 0.05, data="synthetic digits"))
    for arguments, remedy in [
        (["--folder", str(tmp_path / "none")], "MNIST is out of reach"),
        (["--quick", "--publish", "--folder", str(tmp_path / "none")], "leave out --quick"),
        (["--report", "--publish", "--folder", str(tmp_path / "other")], "is on synthetic digits"),
    ]:
        with pytest.raises(SystemExit) as stopped:
            command.main(["--parts", "table", *arguments])
        assert stopped.value.code == 2
        assert remedy in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    assert not published.exists()
    with pytest.raises(ValueError, match="some on MNIST and some on synthetic digits"):
        table.section(records(record("sbn", 0, 0.05), record("sbn", 1, 0.05, data="synthetic digits")))


@pytest.mark.parametrize(("arguments", "remedy"), [
    (["--minutes", "0"], "a number above 0, got '0'"),
    (["--rows", "magic"], "invalid choice: 'magic'"),
    (["--quick", "--executor", "slurm"], "'dask://host:port'"),
    (["--quick", "--executor", "mpi", "--jobs", "2"], "no jobs for an executor that has its own workers"),
])
def test_wrong_arguments_are_answered_with_a_remedy(arguments, remedy, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main([*arguments, "--folder", str(tmp_path / "none")])
    assert stopped.value.code == 2
    assert remedy in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_failed_run_is_named_and_ends_the_command_with_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command.study, "run", lambda *given, **named: mg.study.Outcome({}, {"sbn paper 0": "why"}))
    assert command.main(["--quick", "--parts", "table", "--folder", str(tmp_path)]) == 1
    assert "sbn paper 0.error.txt" in capsys.readouterr().err
