"""Wrong or missing digits raise an error that names the file.  Nothing is replaced without a warning.

Most tests use four small files in MNIST's format, with a table of checksums of their own, and mirrors on
this machine. The real files are tested when MINIGRAD_DATA names their folder.
"""

import builtins
import gzip
import hashlib
import os
import shutil
import socket
import struct
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from minigrad import data

REAL = os.environ.get("MINIGRAD_DATA")
TRAIN, VALID, TEST = 20, 10, 12


def idx(array):
    """The bytes of an IDX file."""
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def arrays():
    rng = np.random.default_rng(3)
    return [
        rng.integers(256, size=(TRAIN + VALID, 28, 28)),
        rng.integers(10, size=TRAIN + VALID),
        rng.integers(256, size=(TEST, 28, 28)),
        rng.integers(10, size=TEST),
    ]


@pytest.fixture
def files(arrays, tmp_path, monkeypatch):
    """{name: bytes} of a small MNIST; the cache is empty, no folder is set, no mirror is known."""
    contents = {file.name: idx(array) for file, array in zip(data.FILES, arrays, strict=True)}
    table = [
        data.IdxFile(file.name, array.shape, hashlib.sha256(contents[file.name]).hexdigest())
        for file, array in zip(data.FILES, arrays, strict=True)
    ]
    monkeypatch.setattr(data, "FILES", table)
    monkeypatch.setattr(data, "VALID", VALID)
    monkeypatch.setattr(data, "MIRRORS", ())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    return contents


@pytest.fixture
def folder(files, tmp_path):
    """A folder with all four, compressed."""
    folder = tmp_path / "given"
    write(folder, files, ".gz")
    return folder


def write(folder, files, ending=""):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}{ending}").write_bytes(gzip.compress(content) if ending == ".gz" else content)


def cache(tmp_path):
    return tmp_path / "cache" / "minigrad" / "mnist"


@pytest.fixture
def serve(monkeypatch):
    """serve(*tables) makes one mirror for each dict {path: bytes}, and returns the list of requests."""
    servers, asked = [], []

    def start(*tables):
        for table in tables:

            class Handler(BaseHTTPRequestHandler):
                answers = table

                def do_GET(self):
                    asked.append(self.path)
                    content = self.answers.get(self.path)
                    self.send_response(404 if content is None else 200)
                    self.send_header("Content-Length", str(len(content or b"")))
                    self.end_headers()
                    self.wfile.write(content or b"")

                def log_message(self, *_):
                    pass

            servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
            threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        urls = [f"http://127.0.0.1:{server.server_port}/" for server in servers]
        monkeypatch.setattr(data, "MIRRORS", urls)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        return asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def compressed(files):
    return {f"/{name}.gz": gzip.compress(content) for name, content in files.items()}


# ---- reading -----------------------------------------------------------------------------------------------


def test_the_splits_are_the_files_in_their_order(folder, arrays):
    splits = data.mnist(folder)
    train, train_labels, test, test_labels = arrays
    for images, expected in [
        (splits.train_images, train[:TRAIN]),
        (splits.valid_images, train[TRAIN:]),
        (splits.test_images, test),
    ]:
        assert images.dtype == np.float32
        np.testing.assert_array_equal(images, (expected.reshape(-1, 784) / 255).astype(np.float32))
    for labels, expected in [
        (splits.train_labels, train_labels[:TRAIN]),
        (splits.valid_labels, train_labels[TRAIN:]),
        (splits.test_labels, test_labels),
    ]:
        assert labels.dtype == np.int64
        np.testing.assert_array_equal(labels, expected)
    assert str(folder) in splits.source
    assert repr(splits) == f"DigitSplits(source={splits.source!r})"


@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_every_usual_spelling_is_found(files, tmp_path, ending, dotted):
    names = {name.replace("-idx", ".idx") if dotted else name: content for name, content in files.items()}
    write(tmp_path / "given", names, ending)
    assert len(data.mnist(tmp_path / "given").train_images) == TRAIN


def test_the_argument_comes_before_the_environment_and_that_before_the_cache(files, tmp_path, monkeypatch):
    for name in ("argument", "environment"):
        write(tmp_path / name, files)
    write(cache(tmp_path), files, ".gz")
    assert str(cache(tmp_path)) in data.mnist().source
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "environment"))
    assert str(tmp_path / "environment") in data.mnist().source
    assert str(tmp_path / "argument") in data.mnist(str(tmp_path / "argument")).source


def test_an_empty_variable_counts_as_unset(files, tmp_path, monkeypatch):
    write(cache(tmp_path), files)
    monkeypatch.setenv("MINIGRAD_DATA", "")
    assert str(cache(tmp_path)) in data.mnist().source


# ---- refusing ----------------------------------------------------------------------------------------------


def damage(content, how):
    return {
        "empty": b"",
        "cut short": content[:-1],
        "one byte more": content + b"\0",
        "one bit changed": content[:-1] + bytes([content[-1] ^ 1]),
        "gzip cut short": gzip.compress(content)[:-20],
        "gzip corrupt": gzip.compress(content)[:15] + b"\xff" * 9 + gzip.compress(content)[24:],
        "gzip of another": gzip.compress(b"another"),
        "a web page": b"<html>404</html>",
    }[how]


@pytest.mark.parametrize(
    "how",
    [
        "empty",
        "cut short",
        "one byte more",
        "one bit changed",
        "gzip cut short",
        "gzip corrupt",
        "gzip of another",
        "a web page",
    ],
)
@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("load", [data.mnist, data.digits])
def test_a_damaged_file_is_refused_by_name(folder, files, load, which, how):
    name = data.FILES[which].name
    (folder / f"{name}.gz").write_bytes(damage(files[name], how))
    with pytest.raises(ValueError, match=rf"{name}\.gz: expected {name} of MNIST, .*, got .*; delete it"):
        load(folder)


def test_a_damaged_file_in_the_cache_is_refused_too(files, tmp_path):
    write(cache(tmp_path), files)
    (cache(tmp_path) / data.FILES[0].name).write_bytes(b"short")
    with pytest.raises(ValueError, match=r"cache.*train-images-idx3-ubyte: expected .* got 5 bytes"):
        data.digits()


@pytest.mark.parametrize("load", [data.mnist, data.digits])
@pytest.mark.parametrize("by", ["argument", "environment"])
def test_a_named_folder_that_lacks_a_file_is_an_error(folder, monkeypatch, serve, files, load, by):
    asked = serve(compressed(files))
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    if by == "environment":
        monkeypatch.setenv("MINIGRAD_DATA", str(folder))
    with pytest.raises(FileNotFoundError, match=r"expected t10k-labels-idx1-ubyte .*given, got neither"):
        load(folder if by == "argument" else None)
    assert asked == []


# ---- downloading -------------------------------------------------------------------------------------------


def test_what_the_cache_lacks_is_downloaded_once(files, tmp_path, serve):
    asked = serve(compressed(files))
    write(cache(tmp_path), {name: content for name, content in files.items() if "labels" in name})
    assert len(data.mnist().test_labels) == TEST
    assert asked == ["/train-images-idx3-ubyte.gz", "/t10k-images-idx3-ubyte.gz"]
    data.mnist()
    assert len(asked) == 2
    assert sorted(path.name for path in cache(tmp_path).iterdir()) == [
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte",
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte",
    ]


def test_the_next_mirror_helps_out(files, tmp_path, serve):
    portal = dict.fromkeys(compressed(files), b"<html>please log in</html>")
    truncated = {path: content[:-30] for path, content in compressed(files).items()}
    asked = serve({}, portal, truncated, compressed(files))
    assert len(data.mnist().train_images) == TRAIN
    assert len(asked) == 16


def test_a_mirror_that_does_not_answer_is_given_up(files, serve, monkeypatch):
    serve(compressed(files))
    monkeypatch.setattr(data, "TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        urls = [f"http://127.0.0.1:{silent.getsockname()[1]}/", *data.MIRRORS]
        monkeypatch.setattr(data, "MIRRORS", urls)
        assert len(data.mnist().train_images) == TRAIN


def test_where_no_mirror_helps_each_is_named_with_its_failure(files, tmp_path, serve):
    serve({}, dict.fromkeys(compressed(files), b"<html>please log in</html>"))
    with pytest.raises(ConnectionError, match=r"(?s)404.*got 26 bytes.*MINIGRAD_DATA"):
        data.mnist()
    assert not cache(tmp_path).exists()


def test_download_can_be_forbidden(files, serve):
    asked = serve(compressed(files))
    with pytest.raises(FileNotFoundError, match="allow the download"):
        data.mnist(download=False)
    assert asked == []


def test_progress_is_shown_with_and_without_tqdm(files, tmp_path, serve, capsys, monkeypatch):
    serve(compressed(files))
    importer = builtins.__import__

    def without_tqdm(name, *rest):
        if name == "tqdm":
            raise ImportError
        return importer(name, *rest)

    data.mnist()
    assert capsys.readouterr().err.count("train-images-idx3-ubyte.gz: 100%") == 1
    shutil.rmtree(cache(tmp_path))
    monkeypatch.setattr(builtins, "__import__", without_tqdm)
    data.mnist()
    assert capsys.readouterr().err.count("downloading http://127.0.0.1") == 4


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [("linux", "HOME", ".cache"), ("darwin", "HOME", "Library/Caches"), ("win32", "LOCALAPPDATA", ".")],
)
def test_the_cache_is_where_the_system_keeps_such_things(tmp_path, monkeypatch, platform, variable, expected):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setattr(data.sys, "platform", platform)
    assert data._cache_folder() == tmp_path / expected / "minigrad" / "mnist"


# ---- falling back ------------------------------------------------------------------------------------------


def test_digits_are_mnist_where_it_is_found(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert data.digits(folder).source.startswith("MNIST")


def test_without_mnist_the_digits_are_synthetic_and_say_so(files, serve):
    serve({})
    with pytest.warns(UserWarning, match="(?s)synthetic digits instead of MNIST, since: .*404"):
        splits = data.digits()
    assert splits.source.startswith("synthetic")
    assert len(splits.train_images) == len(splits.train_labels) == 10_000
    assert len(splits.valid_images) == len(splits.valid_labels) == 2_000
    assert len(splits.test_images) == len(splits.test_labels) == 2_000


def test_a_cache_that_cannot_be_written_is_told_too(files, tmp_path, serve):
    serve(compressed(files))
    (tmp_path / "cache").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.warns(UserWarning, match="synthetic digits instead of MNIST, since: .*cache"):
        data.digits()


# ---- synthetic digits --------------------------------------------------------------------------------------


def test_synthetic_digits_have_the_form_of_mnist():
    images, labels = data.synthetic_digits(500, seed=1)
    assert (images.shape, images.dtype) == ((500, 784), np.float32)
    assert (labels.shape, labels.dtype) == ((500,), np.int64)
    assert images.min() == 0
    assert 0.9 < images.max() <= 1
    assert set(labels) == set(range(10))
    ink = images.sum(axis=1)
    assert ink.min() > 20  # nothing is blank,
    edge = np.ones((28, 28), bool)
    edge[1:-1, 1:-1] = False
    assert images[:, edge.ravel()].mean() < 0.01  # nor off the page


def test_synthetic_digits_are_a_function_of_the_seed():
    one, again, other = (data.synthetic_digits(50, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one[0], again[0])
    np.testing.assert_array_equal(one[1], again[1])
    assert not np.array_equal(one[0], other[0])


def test_there_may_be_no_digits_but_not_fewer():
    images, labels = data.synthetic_digits(0, seed=0)
    assert (images.shape, labels.shape) == ((0, 784), (0,))
    with pytest.raises(ValueError, match="expected samples >= 0, got -1"):
        data.synthetic_digits(-1, seed=0)


def test_synthetic_digits_can_be_told_apart_but_not_trivially():
    images, labels = data.synthetic_digits(3_000, seed=0)
    train, test = slice(0, 2_500), slice(2_500, 3_000)
    means = np.stack([images[train][labels[train] == digit].mean(axis=0) for digit in range(10)])
    nearest_mean = ((images[test, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    neighbour = (images[train] ** 2).sum(axis=1) - 2 * images[test] @ images[train].T
    nearest_neighbour = labels[train][neighbour.argmin(axis=1)]
    assert 0.1 < np.mean(nearest_mean != labels[test]) < 0.5
    assert np.mean(nearest_neighbour != labels[test]) < 0.1


# ---- minibatches -------------------------------------------------------------------------------------------


def test_an_epoch_has_every_example_once_in_an_order_of_its_own():
    orders = [np.concatenate(data.minibatches(103, 10, seed=4, epoch=epoch)) for epoch in (0, 1)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(103))
    assert not np.array_equal(*orders)
    np.testing.assert_array_equal(orders[1], np.concatenate(data.minibatches(103, 10, seed=4, epoch=1)))
    assert not np.array_equal(orders[1], np.concatenate(data.minibatches(103, 10, seed=5, epoch=1)))


@pytest.mark.parametrize(("samples", "batch", "sizes"), [(10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 10, [3])])
def test_the_last_minibatch_has_what_is_left(samples, batch, sizes):
    assert [len(indices) for indices in data.minibatches(samples, batch, seed=0, epoch=0)] == sizes


@pytest.mark.parametrize(("samples", "batch"), [(0, 4), (4, 0), (-1, 4), (4, -1)])
def test_minibatches_of_nothing_are_refused(samples, batch):
    with pytest.raises(ValueError, match=f"got samples={samples} and batch={batch}; pass"):
        data.minibatches(samples, batch, seed=0, epoch=0)


# ---- the real files ----------------------------------------------------------------------------------------


@pytest.mark.skipif(not REAL, reason="MINIGRAD_DATA names no folder with MNIST")
def test_the_real_mnist():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        splits = data.digits(Path(REAL))
    assert (splits.train_images.shape, splits.train_labels.shape) == ((50_000, 784), (50_000,))
    assert (splits.valid_images.shape, splits.valid_labels.shape) == ((10_000, 784), (10_000,))
    assert (splits.test_images.shape, splits.test_labels.shape) == ((10_000, 784), (10_000,))
    np.testing.assert_array_equal(splits.train_labels[:10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4])
    np.testing.assert_array_equal(splits.test_labels[:10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9])
    for images in (splits.train_images, splits.valid_images, splits.test_images):
        assert images.min() == 0
        assert images.max() == 1
    assert abs(splits.train_images.mean() - 0.1307) < 0.001
