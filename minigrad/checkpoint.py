"""Checkpoints: one file with the state of a run.  The file is always complete, even after a crash.

A state is a tree of dicts, lists and tuples whose leaves are NumPy arrays and scalars, numbers, strings,
booleans and None. The file is an ordinary ``.npz`` archive without pickles. Each array is a member of the archive.
The member ``manifest`` contains the tree in JSON. So ``numpy.load`` can open the file too, and a file from an
untrusted source cannot run code.
"""

from __future__ import annotations

import json
import os
import secrets
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from minigrad.kernels.device.arrays import is_device
from minigrad.kernels.device.transfer import to_host

if TYPE_CHECKING:
    from minigrad import aliases
    from minigrad.aliases import Array

__all__ = ["load", "save", "whole_file"]

FORMAT = "minigrad checkpoint"
VERSION = 1  # increased for each new format that older code cannot read
LONGEST = 255  # bytes of a file's name, on all common file systems


@contextmanager
def whole_file(path: aliases.Path) -> Iterator[IO[bytes]]:
    """Open a new file for writing. It gets the name `path` only when it is complete and on disk.

    A program that opens `path` gets the complete old file or the complete new file. This holds even if the process is
    killed or the power fails at any moment. (Then an unfinished file, ``.<random>.part``, may stay in the folder.)

    Parameters
    ----------
    path : path-like
        Missing folders are made.

    Yields
    ------
    file : binary file, open for writing

    Raises
    ------
    ValueError
        The name is too long for a file. Nothing has been written.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "note.txt")
    >>> with whole_file(path) as file:
    ...     _ = file.write(b"complete")
    ...     print(path.exists())
    False
    >>> path.read_bytes()
    b'complete'
    """
    path = Path(path)
    if len(os.fsencode(path.name)) > LONGEST:
        raise ValueError(f"expected a name of at most {LONGEST} bytes for a file, got one of "
                         f"{len(os.fsencode(path.name))}: {path.name!r}. Choose a shorter one")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with open(part, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)  # atomic, since both files are in the same folder
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):  # flushing the folder writes the name to disk; Windows has no call for that
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def save(path: aliases.Path, state: Any) -> None:
    """Write `state` to `path`. Even if the process is killed at any moment, `path` is a complete checkpoint.

    Parameters
    ----------
    path : path-like
        The file to write or to replace. No suffix is added.
    state : tree
        Dicts with string keys, lists and tuples, nested to any depth. They hold NumPy arrays (any shape, any dtype
        except object), NumPy scalars, int, float, complex, str, bool and None. `load` returns all of them bit for
        bit, with type, dtype and shape. This includes empty and 0-d arrays, big integers, infinities, NaNs and
        -0.0. Arrays on a GPU are stored, and returned, as NumPy arrays.

    Raises
    ------
    TypeError
        The tree has something else in it. The message says where. Nothing has been written.
    ValueError
        The name is too long for a file. Nothing has been written.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "run.ckpt")
    >>> save(path, {"epoch": 3, "weights": [np.eye(2), np.zeros(2)], "best": float("inf")})
    >>> load(path)["weights"][0]
    array([[1., 0.],
           [0., 1.]])
    """
    arrays = []
    tree = _encode(state, "state", arrays)
    manifest = json.dumps({"format": FORMAT, "version": VERSION, "state": tree})
    members = {_member(index): array for index, array in enumerate(arrays)}
    with whole_file(path) as file:
        np.savez(file, manifest=np.frombuffer(manifest.encode(), np.uint8), **members)


def load(path: aliases.Path) -> Any:
    """Read what `save` wrote to `path`.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    state : tree
        Equal to what was saved, bit for bit. Its arrays are new and writable.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is damaged, incomplete, not a checkpoint, or of a newer format than this version can read.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "run.ckpt")
    >>> save(path, {"epoch": 3})
    >>> load(path)
    {'epoch': 3}
    """
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                # Reading a member to its end checks its CRC-32, before its content is used.
                members = {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}
            manifest = json.loads(_array(members["manifest"]).tobytes())
            if manifest["format"] != FORMAT:
                raise KeyError(FORMAT)
            version = manifest["version"]
            if version <= VERSION:
                return _decode(manifest["state"], members)
        except Exception as error:  # the readers of zip, npy and JSON raise many kinds of errors
            raise ValueError(
                f"{os.fspath(path)}: expected a complete {FORMAT}, got a file of {os.path.getsize(path)} "
                f"bytes that is damaged, incomplete or something else ({type(error).__name__}: {error}); "
                f"go back to an earlier checkpoint or start the run again"
            ) from error
    raise ValueError(
        f"{os.fspath(path)}: expected a {FORMAT} of format {VERSION} or below, got format {version}; "
        f"it was written by a newer minigrad: install that one to read it"
    )


# The tree in the manifest. None, bools, ints, strings and lists have the usual form in JSON. Everything else is an
# object with one entry, {kind: content}. Floats are written as their 64 bits, since JSON has no NaN.


def _encode(value: Any, place: str, arrays: list[Array]) -> Any:
    """The JSON form of `value`. Its arrays are appended to `arrays`."""
    kind = type(value)  # no subclasses: they would be returned as another type
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return {"float": struct.pack(">d", value).hex()}
    if kind is complex:
        return {"complex": struct.pack(">dd", value.real, value.imag).hex()}
    if kind is list or kind is tuple:
        items = [_encode(item, f"{place}[{index}]", arrays) for index, item in enumerate(value)]
        return items if kind is list else {"tuple": items}
    if kind is dict:
        for key in value:
            if type(key) is not str:
                raise TypeError(
                    f"save: expected strings as the keys of {place}, got {key!r} ({type(key).__name__}); "
                    f"use str(key), or a list of pairs"
                )
        return {"dict": {key: _encode(item, f"{place}[{key!r}]", arrays) for key, item in value.items()}}
    if is_device(value):
        value, kind = to_host(value), np.ndarray
    if (kind is np.ndarray or isinstance(value, np.generic)) and _has_npy_form(value.dtype):
        arrays.append(np.asarray(value))
        return {"array" if kind is np.ndarray else "scalar": len(arrays) - 1}
    what = f"{kind.__name__} of dtype {value.dtype}" if hasattr(value, "dtype") else kind.__name__
    raise TypeError(
        f"save: expected a dict, list, tuple, NumPy array or scalar, number, string, bool or None at "
        f"{place}, got {what}; convert it first (a Tensor: its .numpy(), a Path: its str, a set: sorted)"
    )


def _decode(node: Any, members: dict[str, bytes]) -> Any:
    """The inverse of `_encode`. `members` maps the names of the archive to their bytes."""
    if isinstance(node, list):
        return [_decode(item, members) for item in node]
    if not isinstance(node, dict):
        return node
    [(kind, content)] = node.items()
    if kind == "float":
        return struct.unpack(">d", bytes.fromhex(content))[0]
    if kind == "complex":
        return complex(*struct.unpack(">dd", bytes.fromhex(content)))
    if kind == "tuple":
        return tuple(_decode(item, members) for item in content)
    if kind == "dict":
        return {key: _decode(item, members) for key, item in content.items()}
    array = _array(members[_member(content)])
    return array if kind == "array" else array[()]


def _member(index: int) -> str:
    return f"array_{index}"


def _array(content: bytes) -> Array:
    return np.load(BytesIO(content), allow_pickle=False)


def _has_npy_form(dtype: np.dtype[Any]) -> bool:
    """Whether the npy format can describe `dtype`. It needs pickle for objects, and it cannot describe bfloat16."""
    try:
        described = np.lib.format.descr_to_dtype(np.lib.format.dtype_to_descr(dtype))
    except ValueError:  # fields that overlap or are out of order
        return False
    return described == dtype and not dtype.hasobject
