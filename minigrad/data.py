"""Digits: MNIST, from a folder or a download, with its checksums; or synthetic digits if MNIST is not available."""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import sys
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigrad import devices
from minigrad.arguments import described, is_whole
from minigrad.checkpoint import whole_file

if TYPE_CHECKING:
    from minigrad import aliases
    from minigrad.aliases import Array, Shape

__all__ = ["DigitSplits", "digits", "minibatches", "mnist", "synthetic_digits"]


@dataclass(frozen=True, eq=False)
class DigitSplits:
    """Digits of 28 x 28 pixels in three splits, and their source.

    Images are float32 in [0, 1] of shape (n, 784): the rows of the picture, from the top. Labels are int64 of shape
    (n,).
    """

    train_images: Array = field(repr=False)
    train_labels: Array = field(repr=False)
    valid_images: Array = field(repr=False)
    valid_labels: Array = field(repr=False)
    test_images: Array = field(repr=False)
    test_labels: Array = field(repr=False)
    source: str


# ---- MNIST -------------------------------------------------------------------------------------------------


class IdxFile(NamedTuple):
    """A file of MNIST: its usual name, the shape of its array, and the SHA-256 of the decompressed file."""

    name: str
    shape: Shape
    sha256: str


FILES = (
    IdxFile(
        "train-images-idx3-ubyte",
        (60_000, 28, 28),
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    IdxFile(
        "train-labels-idx1-ubyte",
        (60_000,),
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    IdxFile(
        "t10k-images-idx3-ubyte",
        (10_000, 28, 28),
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    IdxFile(
        "t10k-labels-idx1-ubyte",
        (10_000,),
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)
VALID = 10_000  # the last examples of the training file, as is usual

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
TIMEOUT = 5.0  # seconds without an answer before the next mirror is tried


def mnist(folder: aliases.Path | None = None, *, download: bool = True) -> DigitSplits:
    """MNIST: 50,000 training, 10,000 validation and 10,000 test digits.

    The four files are read from `folder`. Without `folder`, they are read from the folder that the environment
    variable ``MINIGRAD_DATA`` names. Without both, they are read from the user's cache, and missing files are
    downloaded first. Each file may be compressed (``.gz``) or not. The SHA-256 of every file is checked every time.

    Parameters
    ----------
    folder : path-like, optional
        The folder with the files. Nothing is ever downloaded into it.
    download : bool
        Whether missing files may be downloaded into the cache.

    Returns
    -------
    DigitSplits
        The validation digits are the last 10,000 of the training file, in its order.

    Raises
    ------
    FileNotFoundError
        `folder` lacks a file, or the cache lacks a file and `download` is false.
    ValueError
        A file is incomplete, damaged or not a file of MNIST. The message names it.
    ConnectionError
        No mirror sends a correct file. The message gives the reason for each mirror.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", Proceedings of
    the IEEE, 1998.
    """
    folder = folder or os.environ.get("MINIGRAD_DATA")
    if folder:
        folder, download = Path(folder), False
        remedy = "put the four files of MNIST there, or pass no folder, and they are downloaded"
    else:
        folder = _cache_folder()
        remedy = "allow the download, or pass a folder that has the files (or set MINIGRAD_DATA to it)"

    contents = []
    for file in FILES:
        path = _find(folder, file)
        if path is None and not download:
            raise FileNotFoundError(
                f"mnist: expected {file.name} or {file.name}.gz in the folder {folder}, got neither; {remedy}"
            )
        contents.append(_download(file, folder) if path is None else _read(path, file))

    train_images, test_images = (
        contents[i].reshape(FILES[i].shape[0], -1).astype(np.float32) / np.float32(255) for i in (0, 2)
    )
    train_labels, test_labels = (contents[i].astype(np.int64) for i in (1, 3))
    return DigitSplits(
        train_images[:-VALID],
        train_labels[:-VALID],
        train_images[-VALID:],
        train_labels[-VALID:],
        test_images,
        test_labels,
        source=f"MNIST, from {folder}",
    )


def _cache_folder() -> Path:
    """The folder for MNIST in the user's cache, which depends on the operating system."""
    if "XDG_CACHE_HOME" in os.environ:
        base = Path(os.environ["XDG_CACHE_HOME"])
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ["LOCALAPPDATA"])
    else:
        base = Path.home() / ".cache"
    return base / "minigrad" / "mnist"


def _find(folder: Path, file: IdxFile) -> Path | None:
    """The path of `file` in `folder` under one of its usual names, or None."""
    dotted = file.name.replace("-idx", ".idx")
    for name in (file.name, f"{file.name}.gz", dotted, f"{dotted}.gz"):
        if (folder / name).is_file():
            return folder / name
    return None


def _read(path: Path, file: IdxFile) -> Array:
    """The array in the IDX file at `path`, which must be `file`."""
    remedy = "delete it and let mnist() download it again, or get a good copy"
    return _checked(path.read_bytes(), file, path, remedy)


def _checked(content: bytes, file: IdxFile, place: object, remedy: str) -> Array:
    """The array in `content`, the bytes from `place`, after a check that they are `file`."""
    size = _header_in_bytes(file) + math.prod(file.shape)
    expected = f"{place}: expected {file.name} of MNIST, {size} bytes with SHA-256 {file.sha256}"
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{expected}, got a broken gzip file ({error}); {remedy}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != file.sha256:
        raise ValueError(f"{expected}, got {len(content)} bytes with {digest}; {remedy}")
    # The checksum is correct, so the header is known and need not be read.
    return np.frombuffer(content, np.uint8, offset=_header_in_bytes(file)).reshape(file.shape)


def _header_in_bytes(file: IdxFile) -> int:
    return 4 + 4 * len(file.shape)  # a magic number, then every dimension


def _download(file: IdxFile, folder: Path) -> Array:
    """The array of `file`, from the first mirror that sends it. The compressed file is written to `folder`."""
    import urllib.request  # slow to import, and only a download needs it
    from http.client import HTTPException

    failures = []
    for mirror in MIRRORS:
        url = f"{mirror}{file.name}.gz"
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
                content = b"".join(_shown(response, url))
            array = _checked(content, file, url, "the mirror is broken")
        except (OSError, HTTPException, ValueError) as error:
            failures.append(f"{url}: {error}")
            continue
        with whole_file(folder / f"{file.name}.gz") as cached:
            cached.write(content)
        return array
    raise ConnectionError(
        f"mnist: expected to download {file.name}.gz, got it from no mirror:\n  "
        + "\n  ".join(failures)
        + "\nget the four files elsewhere and pass their folder (the argument `folder` or MINIGRAD_DATA)"
    )


def _shown(response: Any, url: str) -> Iterator[bytes]:
    """The chunks of a response. Shows a progress bar if tqdm is installed (the demos extra), otherwise a line."""
    chunks = iter(lambda: response.read(1 << 16), b"")
    try:
        from tqdm import tqdm
    except ImportError:
        print(f"downloading {url}", file=sys.stderr)
        yield from chunks
        return
    with tqdm(desc=url, total=response.length, unit="B", unit_scale=True) as bar:
        for chunk in chunks:
            bar.update(len(chunk))
            yield chunk


# ---- synthetic digits --------------------------------------------------------------------------------------


def _arc(x: float, y: float, width: float, height: float, start: float, stop: float, points: int = 9) -> Array:
    """Points of the ellipse around (x, y) with these half axes. Angles are in degrees, clockwise from the right."""
    angle = np.radians(np.linspace(start, stop, points))
    return np.stack([x + width * np.cos(angle), y + height * np.sin(angle)], axis=1)


def _stroke(*parts: Any) -> Array:
    """One stroke: single points and arcs, joined by straight lines."""
    return np.concatenate([np.atleast_2d(part) for part in parts])


# The strokes of each digit. x grows to the right and y downwards, both from about -1 to 1.
GLYPHS = (
    [_stroke(_arc(0, 0, 0.55, 0.85, 0, 360, 17))],
    [_stroke((-0.3, -0.5), (0.05, -0.85), (0.05, 0.85))],
    [_stroke(_arc(0, -0.4, 0.5, 0.45, -170, 40), (-0.55, 0.85), (0.6, 0.85))],
    [_stroke(_arc(-0.05, -0.42, 0.48, 0.43, -150, 90), _arc(-0.05, 0.42, 0.55, 0.43, -90, 150))],
    [_stroke((0.15, -0.85), (-0.55, 0.25), (0.6, 0.25)), _stroke((0.25, -0.3), (0.2, 0.85))],
    [_stroke((0.5, -0.85), (-0.4, -0.85), (-0.45, -0.1), _arc(-0.05, 0.3, 0.55, 0.55, -135, 150))],
    [_stroke((0.4, -0.85), _arc(0.35, 0.3, 0.85, 1, -110, -180, 5), _arc(0, 0.4, 0.5, 0.45, -180, 180, 13))],
    [_stroke((-0.55, -0.8), (0.55, -0.85), (0.15, 0.0), (-0.15, 0.85))],
    [_stroke(_arc(0, -0.42, 0.42, 0.43, 90, 450, 13)), _stroke(_arc(0, 0.43, 0.52, 0.43, -90, 270, 13))],
    [_stroke(_arc(0, -0.38, 0.48, 0.45, 0, 360, 13), (0.45, 0.1), (0.25, 0.85))],
)


def synthetic_digits(samples: int, seed: int) -> tuple[Array, Array]:
    """Digits that look handwritten: strokes with random bends, affine maps, thickness and noise.

    Parameters
    ----------
    samples : int
        How many digits.
    seed : int
        The digits are a function of `samples` and `seed` (through `numpy.random.default_rng`).

    Returns
    -------
    images : float32 array of shape (samples, 784), in [0, 1]
    labels : int64 array of shape (samples,), uniform over the ten digits

    Raises
    ------
    ValueError
        `samples` or `seed` is not an int of at least 0.

    Examples
    --------
    >>> images, labels = synthetic_digits(100, seed=0)
    >>> images.shape, images.dtype, labels.dtype
    ((100, 784), dtype('float32'), dtype('int64'))
    """
    if not is_whole(samples):
        raise ValueError(f"synthetic_digits: expected samples >= 0, got {described(samples)}; ask for 0 or more digits")
    if not is_whole(seed):
        raise ValueError(f"synthetic_digits: expected an int of at least 0 as seed, got {described(seed)}; choose one")
    rng = np.random.default_rng(seed)
    labels = rng.integers(10, size=samples)
    images = np.empty((samples, 784), np.float32)
    for digit, strokes in enumerate(GLYPHS):
        chosen = np.flatnonzero(labels == digit)
        images[chosen] = _written(strokes, len(chosen), rng)
    images *= rng.uniform(0.6, 1, images.shape)  # uneven ink on clean paper
    return images, labels


def _written(strokes: list[Array], samples: int, rng: np.random.Generator) -> Array:
    """`samples` drawings of the digit with these strokes, float32 (samples, 784) in [0, 1]."""

    def uniform(low: float, high: float) -> Array:
        return rng.uniform(low, high, (samples, 1))

    # The map from the coordinates of the glyph to pixels, one per drawing: bend, scale, shear, rotate, shift.
    bend_x, bend_y = uniform(-0.2, 0.2), uniform(-0.2, 0.2)
    phase_x, phase_y = uniform(0, 2 * np.pi), uniform(0, 2 * np.pi)
    width, height = uniform(6.0, 9.5), uniform(8.0, 10.5)
    shear, angle = uniform(-0.35, 0.35), uniform(-0.3, 0.3)
    right, down = uniform(11.5, 15.5), uniform(11.5, 15.5)
    nearest = np.full((samples, 28, 28), np.inf, np.float32)  # squared distance from pixels to strokes
    for points in strokes:
        x, y = points.T[:, None] + rng.normal(0, 0.04, (2, samples, len(points)))
        x, y = x + bend_x * np.sin(2 * y + phase_x), y + bend_y * np.sin(2 * x + phase_y)
        x, y = width * (x + shear * y), height * y
        x, y = np.cos(angle) * x - np.sin(angle) * y + right, np.sin(angle) * x + np.cos(angle) * y + down
        for i in range(len(points) - 1):
            np.minimum(nearest, _squared_distance(x[:, i : i + 2], y[:, i : i + 2]), out=nearest)
    thickness, softness = uniform(0.7, 1.7), uniform(0.6, 1.2)
    ink = 0.5 + (thickness - np.sqrt(nearest.reshape(samples, 784))) / softness
    return ink.clip(0, 1).astype(np.float32)


def _squared_distance(x: Array, y: Array) -> Array:
    """The squared distance of every pixel from the line segment with ends x, y, both (samples, 2).

    float32 (samples, 28, 28).
    """
    x, y = x.astype(np.float32)[:, :, None, None], y.astype(np.float32)[:, :, None, None]
    pixels = np.arange(28, dtype=np.float32)
    from_x, from_y = pixels - x[:, 0], pixels[:, None] - y[:, 0]
    along_x, along_y = x[:, 1] - x[:, 0], y[:, 1] - y[:, 0]
    length = along_x**2 + along_y**2
    foot = (from_x * (along_x / length) + from_y * (along_y / length)).clip(0, 1)
    return (from_x - foot * along_x) ** 2 + (from_y - foot * along_y) ** 2


# ---- MNIST or synthetic digits, and minibatches ------------------------------------------------------------


def digits(folder: aliases.Path | None = None, *, download: bool = True) -> DigitSplits:
    """MNIST if it is available, otherwise synthetic digits, with a warning that says why.

    Parameters
    ----------
    folder : path-like, optional
        As for `mnist`. If you name a folder, here or by ``MINIGRAD_DATA``, it must have the files: synthetic digits
        are never used in place of them.
    download : bool
        As for `mnist`.

    Returns
    -------
    DigitSplits
        MNIST, or 10,000 training, 2,000 validation and 2,000 test digits of `synthetic_digits`, which are the same
        every time. `source` says which.

    Raises
    ------
    FileNotFoundError, ValueError
        As `mnist`.
    """
    try:
        return mnist(folder, download=download)
    except OSError as reason:  # no files, no mirror that answers, or a cache that cannot be written
        if folder or os.environ.get("MINIGRAD_DATA"):
            raise
        warnings.warn(f"using synthetic digits instead of MNIST, since: {reason}", stacklevel=2)
    images, labels = synthetic_digits(14_000, seed=0)
    train, valid, test = slice(0, 10_000), slice(10_000, 12_000), slice(12_000, 14_000)
    return DigitSplits(
        images[train],
        labels[train],
        images[valid],
        labels[valid],
        images[test],
        labels[test],
        source="synthetic digits (minigrad.data.synthetic_digits)",
    )


def minibatches(samples: int, batch: int, *, seed: int, epoch: int, device: str = "cpu") -> list[Array]:
    """The indices of the minibatches of one epoch, in a random order that is a function of (seed, epoch).

    So a run that was stopped resumes with the same batches. Its checkpoint needs the number of the epoch only
    (and how many of its batches are done). The order comes from NumPy and may change with NumPy's version.

    Parameters
    ----------
    samples : int
        The number of examples.
    batch : int
        The number of examples in a minibatch. The last minibatch may have fewer.
    seed, epoch : int
        At least 0.
    device : str
        The device of the indices. On "cuda", the indices of the whole epoch are moved at once. If the data are on
        the GPU too, selecting a minibatch then moves nothing.

    Returns
    -------
    list of int64 arrays
        Every index from 0 to ``samples - 1`` is in exactly one of them, once.

    Raises
    ------
    ValueError
        `samples` or `batch` is not an int of at least 1, or `seed` or `epoch` is not an int of at least 0.

    Examples
    --------
    >>> [indices.size for indices in minibatches(10, 4, seed=0, epoch=1)]
    [4, 4, 2]
    """
    if not is_whole(seed) or not is_whole(epoch):
        raise ValueError(f"minibatches: expected ints of at least 0 as seed and epoch, got {described(seed)} and "
                         f"{described(epoch)}; count epochs from 0")
    if not is_whole(samples, 1) or not is_whole(batch, 1):
        raise ValueError(
            f"minibatches: expected at least 1 example and batches of at least 1, got samples={described(samples)} "
            f"and batch={described(batch)}; pass len(images) and a positive batch size"
        )
    order = devices.put(np.random.default_rng([seed, epoch]).permutation(samples), device)
    return [order[start : start + batch] for start in range(0, samples, batch)]
