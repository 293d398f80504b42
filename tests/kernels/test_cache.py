"""Numba's cache on disk, if it is damaged or the disk is full."""

import numba
import pytest

from minigrad.kernels import cache
from minigrad.kernels.cpu.jit import exact


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", [
    lambda data: b"", lambda data: data[:20], lambda data: data[:-1], lambda data: bytes(len(data)),
    lambda data: b"garbage" * 9, lambda data: data[:-30] + bytes(30),
], ids=["empty", "cut", "one byte short", "zeros", "garbage", "zeros at the end"])
def test_a_damaged_cache_is_removed_and_built_again(suffix, damage, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    cache._say.cache_clear()
    assert exact(twice)(2.5) == 5
    (path,) = tmp_path.rglob(f"*{suffix}")
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    again = exact(twice)
    assert again(2.5) == 5
    assert len(path.read_bytes()) > len(whole) // 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.startswith(f"minigrad: removed damaged files from the cache of compiled kernels, {path.parent}")
    read = exact(twice)
    assert read(2.5) == 5
    assert sum(read.stats.cache_hits.values()) == 1
    assert capsys.readouterr().err == ""


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, capsys, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(numba.core.caching.IndexDataCacheFile, "save", full)
    cache._say.cache_clear()
    assert exact(twice)(2.5) == 5
    told = capsys.readouterr().err
    assert told.startswith("minigrad: cannot store compiled kernels in ")
    assert "No space left on device" in told


def twice(x):
    return x + x
