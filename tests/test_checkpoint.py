"""A checkpoint loads bit for bit, or raises an error that names it.  A kill never leaves half a checkpoint."""

import io
import json
import os
import signal
import stat
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minigrad import checkpoint

QUIET_NAN = np.array(0x7FF8000000000000, np.uint64).view(np.float64)
NAN_WITH_PAYLOAD = np.array(0xFFF8000000C0FFEE, np.uint64).view(np.float64)


def assert_same(one, other):
    """Equal in type, dtype, shape and bits (`==` would miss NaN, -0.0 and True against 1)."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    elif isinstance(one, (np.ndarray, np.generic)):
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    elif isinstance(one, (float, complex)):
        assert np.array(one).tobytes() == np.array(other).tobytes()
    else:
        assert one == other


def saved_and_loaded(state, folder):
    checkpoint.save(folder / "run.ckpt", state)
    return checkpoint.load(folder / "run.ckpt")


STATE = {
    "epoch": 7,
    "big": 2**130 + 1,
    "negative": -(2**70),
    "rate": 0.1,
    "best": float("inf"),
    "nan": float("nan"),
    "zero": -0.0,
    "complex": complex(-0.0, float("nan")),
    "name": "straight-through, Léonard \N{SNOWMAN} \ud800",
    "nothing": None,
    "flags": [True, False, 1, 0],
    "pair": (1, [2.0, ()]),
    "dict": {"dict": {"float": 1.0}, "array": 0, "": {}},
    "random": np.random.default_rng(5).bit_generator.state,
    "weights": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "strided": np.arange(12.0)[::-3],
    "scalar array": np.array(3, np.int16),
    "scalar": np.float32(0.1),
    "float64 scalar": np.float64("nan"),
    "bool scalar": np.bool_(True),
    "empty": np.zeros((0, 5), np.float16),
    "big-endian": np.arange(3, dtype=">i4"),
    "bools": np.array([True, False]),
    "strings": np.array(["gate", "expert"]),
    "nans": np.array([QUIET_NAN, NAN_WITH_PAYLOAD, -np.inf, -0.0]),
}


def test_everything_comes_back_bit_for_bit(tmp_path):
    assert_same(saved_and_loaded(STATE, tmp_path), STATE)


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, min_side=0, max_side=3))
)


def branches(tree):
    return st.lists(tree) | st.dictionaries(st.text(), tree) | st.tuples(tree, tree)


@given(st.recursive(leaves, branches))
def test_any_tree_comes_back_bit_for_bit(tmp_path_factory, tree):
    assert_same(saved_and_loaded(tree, tmp_path_factory.mktemp("tree")), tree)


def test_what_is_loaded_can_be_trained_on(tmp_path):
    loaded = saved_and_loaded({"weights": np.ones(3)}, tmp_path)
    loaded["weights"] += 1
    np.testing.assert_array_equal(loaded["weights"], 2)


def test_the_same_state_makes_the_same_file(tmp_path):
    checkpoint.save(tmp_path / "a", STATE)
    checkpoint.save(tmp_path / "b", STATE)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_name_is_taken_as_it_is_and_folders_are_made(tmp_path):
    checkpoint.save(tmp_path / "runs" / "1" / "last", {})
    assert [file.name for file in (tmp_path / "runs" / "1").iterdir()] == ["last"]


class Unknown:
    pass


OVERLAPPING = np.dtype({"names": ["a", "b"], "formats": ["u1", "u1"], "offsets": [0, 0]})


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (Unknown(), r"state\['a'\]\[1\], got Unknown"),
        ({1, 2}, r"state\['a'\]\[1\], got set"),
        ({3: 1}, r"the keys of state\['a'\]\[1\], got 3 \(int\)"),
        (np.array([None]), r"state\['a'\]\[1\], got ndarray of dtype object"),
        (np.zeros(2, OVERLAPPING), r"state\['a'\]\[1\], got ndarray of dtype .*'offsets'"),
        (np.ma.array([1.0]), r"state\['a'\]\[1\], got MaskedArray of dtype float64"),
    ],
)
def test_what_cannot_come_back_is_refused_before_anything_is_written(tmp_path, value, place):
    with pytest.raises(TypeError, match=place):
        checkpoint.save(tmp_path / "run.ckpt", {"a": [0, value]})
    assert list(tmp_path.iterdir()) == []


def test_a_dtype_that_the_format_would_change_is_refused(tmp_path):
    """The npy format stores bfloat16 as two bytes without a meaning."""
    bfloat16 = pytest.importorskip("ml_dtypes", reason="ml_dtypes, which has bfloat16, is not installed").bfloat16
    with pytest.raises(TypeError, match=r"state\[0\], got ndarray of dtype bfloat16"):
        checkpoint.save(tmp_path / "run.ckpt", [np.zeros(3, bfloat16)])


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_beside_it(tmp_path, monkeypatch):
    checkpoint.save(tmp_path / "run.ckpt", {"epoch": 1})

    def disk_full(file, **members):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoint.np, "savez", disk_full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(tmp_path / "run.ckpt", {"epoch": 2})
    assert [file.name for file in tmp_path.iterdir()] == ["run.ckpt"]
    assert checkpoint.load(tmp_path / "run.ckpt") == {"epoch": 1}


def test_a_missing_file_is_just_that(tmp_path):
    with pytest.raises(FileNotFoundError):
        checkpoint.load(tmp_path / "run.ckpt")


def test_a_file_cut_short_anywhere_is_refused_by_name(tmp_path):
    whole = tmp_path / "whole"
    checkpoint.save(whole, STATE)
    content = whole.read_bytes()
    short = tmp_path / "short.ckpt"
    for length in [*range(0, len(content), 97), len(content) - 1]:
        short.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"short\.ckpt: expected a complete minigrad checkpoint"):
            checkpoint.load(short)


def test_a_flipped_bit_anywhere_is_refused_or_does_not_matter(tmp_path):
    # Some bytes of an archive say nothing about its content (time stamps, say), so they may change.
    whole = tmp_path / "whole"
    checkpoint.save(whole, STATE)
    content = whole.read_bytes()
    flipped = tmp_path / "flipped.ckpt"
    refused = 0
    for position in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        flipped.write_bytes(damaged)
        try:
            loaded = checkpoint.load(flipped)
        except ValueError:
            refused += 1
        else:
            assert_same(loaded, STATE)
    assert refused > len(content) / 7 / 2


def npz(**members):
    file = io.BytesIO()
    np.savez(file, **members)
    return file.getvalue()


def manifest(**entries):
    return np.frombuffer(json.dumps(entries).encode(), np.uint8)


def pickled():
    file = io.BytesIO()
    np.savez(file, manifest=np.array([{"format": checkpoint.FORMAT}], dtype=object))
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        npz(weights=np.zeros(3)),
        npz(manifest=np.zeros(3)),
        npz(manifest=manifest(format="another", version=1, state=None)),
        npz(manifest=manifest(format=checkpoint.FORMAT, version=1, state={"array": 0})),
        npz(manifest=manifest(format=checkpoint.FORMAT, version=1, state={"unheard of": 0})),
        pickled(),
    ],
)
def test_what_is_no_checkpoint_is_refused_by_name(tmp_path, content):
    (tmp_path / "other.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"other\.npz: expected a complete minigrad checkpoint, got a"):
        checkpoint.load(tmp_path / "other.npz")


def test_a_newer_format_is_refused_with_its_number(tmp_path):
    (tmp_path / "run.ckpt").write_bytes(
        npz(manifest=manifest(format=checkpoint.FORMAT, version=checkpoint.VERSION + 1, state={"new": 1}))
    )
    with pytest.raises(ValueError, match=r"run\.ckpt: .* 1 or below, got format 2; .* newer minigrad"):
        checkpoint.load(tmp_path / "run.ckpt")


def test_numpy_alone_can_open_it(tmp_path):
    checkpoint.save(tmp_path / "run.ckpt", {"weights": np.arange(3)})
    with np.load(tmp_path / "run.ckpt", allow_pickle=False) as members:
        assert set(members) == {"manifest", "array_0"}
        np.testing.assert_array_equal(members["array_0"], np.arange(3))
    assert zipfile.is_zipfile(tmp_path / "run.ckpt")


SAVE_FOR_EVER = """
import sys
import numpy as np
from minigrad import checkpoint
epoch = 0
while True:
    checkpoint.save(sys.argv[1], {"epoch": epoch, "weights": np.full(200_000, epoch)})
    print(epoch, flush=True)
    epoch += 1
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_kill_at_any_moment_leaves_the_last_checkpoint_whole(tmp_path):
    path = tmp_path / "run.ckpt"
    moments = np.random.default_rng().uniform(0, 0.05, size=10)
    for moment in moments:
        command = [sys.executable, "-c", SAVE_FOR_EVER, path]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        process.stdout.readline()  # the first one is complete
        try:
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        reported, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL
        state = checkpoint.load(path)
        last_reported = int(reported.split()[-1]) if reported else 0
        assert state["epoch"] in (last_reported, last_reported + 1)
        np.testing.assert_array_equal(state["weights"], np.full(200_000, state["epoch"]))


def test_a_new_file_has_the_ordinary_permissions(tmp_path):
    (tmp_path / "ordinary").touch()
    checkpoint.save(tmp_path / "run.ckpt", {})
    assert os.stat(tmp_path / "run.ckpt").st_mode == os.stat(tmp_path / "ordinary").st_mode


def test_a_name_too_long_for_a_file_is_refused(tmp_path):
    """The longest possible name works.  For a name that is one byte longer, the error contains it."""
    checkpoint.save(tmp_path / ("n" * 255), {"one": 1})
    assert checkpoint.load(tmp_path / ("n" * 255)) == {"one": 1}
    with pytest.raises(ValueError, match="a name of at most 255 bytes for a file, got one of 256: 'nnn"):
        checkpoint.save(tmp_path / "new" / ("n" * 256), {"one": 1})
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(not hasattr(os, "O_DIRECTORY"), reason="this system has no call that writes a folder to disk")
def test_a_power_cut_finds_the_file_on_disk_before_its_name_and_then_its_name(tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace

    def noted_fsync(descriptor):
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noted_replace(part, path):
        done.append("name")
        replace(part, path)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    checkpoint.save(tmp_path / "run.ckpt", {"epoch": 1})
    assert done == ["file", "name", "folder"]
