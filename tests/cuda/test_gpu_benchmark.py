"""The benchmark for a GPU runs. In the simulator it measures no times, and reports what it did not measure."""

import sys

import pytest

pytest.importorskip("threadpoolctl")

from demos.benchmarks import gated, gpu, on_gpu
from demos.benchmarks.layer import Layer
from minigrad.kernels.device.arrays import simulated


def test_every_part_has_its_row(capsys):
    rows = gated.main(["--device", "cuda", "--quick"])
    assert {(row.part, row.block) for row in rows} == {(part, block) for part in gpu.PARTS for block in (1, 8)}
    for row in rows:
        assert all((seconds is None) == simulated() for seconds in (*row.seconds.values(), *row.host.values()))
        assert (gpu.TO_READ[0] in row.seconds) == (row.part == "forward" and row.block == 8)
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(rows)
    assert len({line.count("|") for line in table}) == 1
    if simulated():
        assert all(line.split("|")[5:] == [" – "] * 9 + [""] for line in table[2:])


def test_what_follows_from_the_times():
    row = gpu.Row("forward", (1000, 2000), 50, 1, 0.1, {"minigrad": 2e-6, "torch": 8e-6}, {"minigrad": 3e-5})
    assert row.ratio("torch") == pytest.approx(4)
    assert row.efficiency == pytest.approx(0.4)
    assert row.teraflops == pytest.approx(2 * 50 * 1000 * 2000 * 0.1 / 2e-6 / 1e12)
    last = gpu.markdown([row]).splitlines()[-1]
    assert last == "| 50 | 1 | 0.1 | forward | 0.002 | 0.008 | – | – | – | 4.00 | 0.40 | 10.0 | 30 |"


def test_wrong_results_are_found():
    layer = Layer(3, 4, 8, 2, 0.5)
    ours = gpu.in_minigrad(layer)
    gpu.check(layer, ours, None)
    with pytest.raises(AssertionError, match="dw differs"):
        gpu.check(layer, {"both": lambda i: [2 * array if place == 2 else array
                                             for place, array in enumerate(ours["both"](i))]}, None)


def test_a_part_that_a_gpu_has_not_got_is_refused(capsys):
    with pytest.raises(SystemExit):
        gated.main(["--device", "cuda", "--part", "step"])
    assert "--part step" in capsys.readouterr().err


def test_steps_report_what_became_of_them(tmp_path):
    def outcome(name, code, limit=60, missing=""):
        return on_gpu.run(on_gpu.Step(name, [sys.executable, "-c", code], limit, missing), tmp_path / name)

    outcomes = [outcome("benchmark", "print('| a table |')"),
                outcome("tests", "print('one failed'); raise SystemExit(1)"),
                outcome("ptx", "import time; print('begun', flush=True); time.sleep(60)", limit=1),
                outcome("memcheck", "", missing="no such tool")]
    assert [outcome.result for outcome in outcomes] == ["passed", "failed", "out of time", "not run"]
    text = on_gpu.markdown(outcomes)
    assert "| memcheck | not run: no such tool | – |" in text
    assert "\n| a table |\n" in text
    assert "one failed" in text
    begun, *last_words = (tmp_path / "ptx").read_text(encoding="utf-8").splitlines()
    assert begun == "begun"
    assert last_words[-1] == "KeyboardInterrupt", "killed before it could say what it was doing"


def test_all_steps_together_take_eight_minutes_at_most():
    steps = on_gpu.steps(quick=True)
    assert [step.name for step in steps] == ["tests", "memcheck", "racecheck", "ptx", "benchmark"]
    assert sum(step.limit for step in steps) <= 8 * 60
    assert steps[3].missing
    assert bool(steps[1].missing) >= simulated()
