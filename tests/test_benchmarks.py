"""The benchmark of gated layers runs, and its tables show what it measured.  No test asserts a speed."""

import contextlib
import io
import re
import sys

import numpy as np
import pytest

from minigrad.kernels.compiler import serving

pytest.importorskip("threadpoolctl")

from demos.benchmarks import adam, characters, draws, gated, layer, one_example, step


@pytest.fixture(scope="module")
def run():
    """(rows, printed text) of a quick run."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        rows = gated.main(["--quick"])
    return rows, text.getvalue()


def test_every_part_is_measured_at_every_batch_density_and_block(run):
    rows, _ = run
    cases = {(row.part, row.batch, row.block, row.density) for row in rows}
    assert cases == {(part, 4, block, density) for part in gated.TITLES for block in (1, 8)
                     for density in (0.25, 1.0)}
    assert len(rows) == len(cases)


def test_ratios_and_efficiencies_follow_from_the_times(run):
    for row in run[0]:
        assert all(seconds is None or seconds > 0 for seconds in row.seconds.values())
        assert row.ratio("NumPy") * row.seconds["minigrad"] == pytest.approx(row.seconds["NumPy"])
        assert (row.least is None) == (row.part == "step")
        if row.least:
            assert row.warm_share == pytest.approx(row.least / row.seconds["minigrad"])
            assert 0 < row.least <= row.cold[1]
        assert row.share_open == pytest.approx(row.density, abs=1 / 64)


def test_the_tables_print_what_was_measured(run):
    rows, text = run
    for part, title in gated.TITLES.items():
        row = next(row for row in rows if row.part == part)
        table = text[text.index(f", {title}, 1 thread"):].splitlines()
        numbers = [float(number) for number in re.findall(r"[\d.]+", table[2])]
        shown = [row.batch, row.density, 1e3 * row.seconds["minigrad"], row.ratio("NumPy")]
        assert numbers[:4] == pytest.approx(shown, abs=0.051)
    assert re.search(r"threads: .*minigrad 1", text)


def test_a_library_that_computes_something_else_is_found():
    made = layer.Layer(3, 8, 16, 4, 0.5)
    ours, dense = layer.minigrad(made)["both"], layer.numpy_dense(made)["both"]
    assert set(layer.agreeing(made, {"minigrad": ours, "NumPy": dense}, "both")) == {"minigrad", "NumPy"}
    with pytest.raises(AssertionError, match="wrong"):
        layer.agreeing(made, {"minigrad": ours, "wrong": lambda i: tuple(2 * a for a in dense(i))}, "both")


@pytest.mark.skipif(serving() != "numba", reason="compile_one needs Numba")
def test_one_example_is_measured_compiled_and_not(capsys):
    rows = one_example.main(["--quick", "--rounds", "3"])
    lines = capsys.readouterr().out.splitlines()[-len(rows):]
    assert len(rows) == len(one_example.QUICK) * len(one_example.SHARES)
    for (sizes, share, seconds), line in zip(rows, lines, strict=True):
        assert min(seconds.values()) > 0
        assert line.split()[:3] == ["-".join(map(str, sizes[:3])), str(sizes[3]), f"{share:.0%}"]
        assert float(line.split()[3]) == pytest.approx(1e6 * seconds["compiled"], abs=0.051)


def test_a_step_of_adam_is_measured_beside_the_formula(capsys):
    seconds, on_words = adam.main(["--quick", "--rounds", "3"])
    assert {"minigrad", "NumPy"} <= set(seconds)
    assert {"minigrad", "minigrad, lazy"} <= set(on_words)
    assert min(seconds.values()) > 0 < min(on_words.values())
    printed = capsys.readouterr().out
    assert "a step of Adam on 7910 parameters" in printed
    assert "a table of 1000 words of 4 numbers, of which a batch uses 10" in printed


def test_steps_of_the_character_model_are_measured(capsys):
    seconds = characters.main(["--quick", "--rounds", "3"])
    assert {"gated 256", "dense 16", "dense 32"} <= set(seconds)
    assert min(seconds.values()) > 0
    printed = capsys.readouterr().out
    assert f"gated 256{1e3 * seconds['gated 256']:19.2f} ms" in printed
    assert 2 < float(re.search(r"([\d.]+) % of the gates open", printed)[1]) < 10


def test_the_character_model_predicts_what_follows(monkeypatch):
    """With an ordinary rate each network learns; the examples are pieces of the text."""
    monkeypatch.setattr(characters, "RATE", 0.01)
    text = characters.characters(least=1000)
    assert text.max() == characters.CLASSES - 1 or len(set(text)) < characters.CLASSES
    batches = characters.Batches(text, 7)
    given, following = batches.next()
    places = [np.flatnonzero(np.all(np.lib.stride_tricks.sliding_window_view(text, 17) == [*row, last], axis=1))
              for row, last in zip(given, following, strict=True)]
    assert all(len(found) for found in places)
    for make in (characters.Gated, characters.Dense):
        network = make(text, 64, 128)
        losses = [network.step() for _ in range(30)]
        assert losses[-1] < losses[0] - 0.3


def test_the_profile_of_the_character_model_names_its_kernels(capsys):
    if sys.version_info >= (3, 12):                 # the profiler has stopped seeing compiled functions
        pytest.skip("the profiler sees no compiled functions")
    assert characters.main(["--quick", "--rounds", "1", "--profile"]) is None
    printed = capsys.readouterr().out
    kernels, others = re.split(r"^kernels$|^other functions.*$", printed, flags=re.MULTILINE)[1:]
    found = re.findall(r"([\d.]+) ms  ([\w.]+)", kernels)
    assert {"adam.adam_step", "probabilities.cross_entropy", "tables.add_at"} <= {name for _, name in found}
    total = float(re.search(r"in kernels ([\d.]+) ms", printed)[1])
    assert sum(float(time) for time, _ in found) == pytest.approx(total, abs=0.15)
    assert "adam.adam_step" not in others


def test_draws_are_measured_beside_numpy(capsys):
    seconds = draws.main(["--quick", "--rounds", "3"])
    assert {"normal, float32", "normal, float32, NumPy", "gates of given uniforms, float64"} <= set(seconds)
    assert min(seconds.values()) > 0
    assert "128 numbers, median of 3 turns" in capsys.readouterr().out


def test_networks_that_learn_otherwise_are_found():
    class Wrong(step.InNumPy):
        def step(self):
            super().step()
            self.bias += 1

    step.check(step.networks(), 3, 6, 8, 2, 4)
    with pytest.raises(AssertionError, match="wrong"):
        step.check({**step.networks(), "wrong": Wrong}, 3, 6, 8, 2, 4)


def test_the_profile_names_the_kernels_of_a_step():
    network = step.InMinigrad(**step.problem(3, 6, 8, 2, 4, 0.5))
    if sys.version_info >= (3, 12):                 # the profiler has stopped seeing compiled functions
        with pytest.raises(ValueError, match=r"use Python 3\.11"):
            step.share_in_kernels(network, rounds=1, steps=2)
        return
    whole, inside, _ = step.share_in_kernels(network, rounds=1, steps=2)
    assert whole > 0
    assert {"lists.list_open"} < inside.keys()


def test_the_picture_is_drawn(run, tmp_path):
    pytest.importorskip("matplotlib")
    gated.draw(run[0], tmp_path / "gated.png")
    assert (tmp_path / "gated.png").stat().st_size > 10_000
