"""Measuring this machine, and the file that replaces the default table."""

import json

import numpy as np
import pytest

from minigrad.__main__ import main
from minigrad.kernels import open_blocks
from minigrad.kernels.cpu import breakeven, tune
from minigrad.kernels.cpu.processor import cache_bytes, processor_name


@pytest.fixture
def kept(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "tune.json"
    monkeypatch.setenv("MINIGRAD_TUNE", str(path))
    return path


def test_a_measured_table_is_read_again(kept):
    table = dict.fromkeys(breakeven.usual_table(), ((0.1, 0.2, 0.3, 0.4), (0.5, 0.6, 0.7, 2.0)))
    assert breakeven.override() == (None, "not measured here")
    assert tune.save(table) == kept
    assert breakeven.override() == (table, None)
    assert [file.name for file in kept.parent.iterdir()] == ["tune.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"table": {"sdd": 1}}', "\0\0\0"])
def test_a_damaged_file_is_named_and_not_used(kept, text, capsys):
    kept.parent.mkdir()
    kept.write_text(text)
    assert breakeven.override() == (None, f"{kept} is damaged")
    assert "python -m minigrad tune" in capsys.readouterr().err


def test_the_table_of_another_processor_is_not_used(kept):
    tune.save(breakeven.usual_table())
    content = json.loads(kept.read_text())
    assert content["processor"] == processor_name()
    kept.write_text(json.dumps(content | {"processor": "another"}))
    assert breakeven.override() == (None, f"{kept} was measured on another processor")


def test_the_table_decides():
    blocks = open_blocks(np.random.default_rng(0).random((32, 64)) < 0.5)
    for size, columns in enumerate((128, cache_bytes(2))):
        for column, block in enumerate((1, 4, 8, 16)):
            for threshold in (0.4, 0.6):
                rows = np.full((2, 4), 2 - threshold)
                rows[size, column] = threshold
                with breakeven.using({"sdd": rows}):
                    assert breakeven.dense_is_faster("sdd", blocks, block, columns) == (threshold == 0.4)


def test_measuring(monkeypatch):
    """The search finds the lowest density from which the dense product is faster, whatever the times are."""
    asked = []

    def times(product, size, block, density, seconds, rounds):
        asked.append((product, size, block))
        return density, 0.25 * block        # skipping costs more than densely from density block / 4 on

    monkeypatch.setattr(tune, "_times", times)
    said = []
    table = tune.measured(say=said.append)
    for product in tune.PRODUCTS:
        assert table[product] == ([0.3, 2.0, 2.0, 2.0],) * 2
    assert table["both"] == tuple(map(list, breakeven.usual_table()["both"]))
    assert len(said) == len(set(asked)) == len(tune.PRODUCTS) * 8


def test_both_ways_are_timed():
    """Very short measurements: every product runs in both ways, and the default table is restored afterwards."""
    before = breakeven._table
    for product in tune.PRODUCTS:
        skipping, dense = tune._times(product, 0, 4, 0.3, 0, 1)
        assert skipping > 0
        assert dense > 0
    assert breakeven._table is before


def test_the_command(kept, monkeypatch, capfd):
    monkeypatch.setattr(tune, "measured", lambda say: breakeven.usual_table())
    tune.main("")
    assert capfd.readouterr().out.startswith(f"{kept}: ")
    assert main([]) == 0
    assert f"measured here: {kept}" in capfd.readouterr().out
