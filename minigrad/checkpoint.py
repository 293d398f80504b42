"""Checkpoints: one file that holds the state of a run and is, whatever happens, a whole one.

A state is a tree of dicts, lists and tuples whose leaves are NumPy arrays and scalars, numbers, strings,
booleans and None. Its file is an ordinary ``.npz`` archive without pickles: every array is a member of its
own, and a ``manifest`` in JSON holds the tree. So ``numpy.load`` opens it too, and opening a stranger's file
runs no code.
"""

import json
import os
import secrets
import struct
import zipfile
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np

from minigrad.kernels.device.arrays import is_device
from minigrad.kernels.device.transfer import to_host

__all__ = ["load", "save", "whole_file"]

FORMAT = "minigrad checkpoint"
VERSION = 1  # goes up when a file can no longer be read by the code before it
LONGEST = 255  # bytes of a file's name, on all common file systems


@contextmanager
def whole_file(path):
    """Open a new file for writing that takes the name `path` only once it is complete and on disk.

    Whoever opens `path`, even after a kill or a power cut at any moment, finds the old file or the new one
    and never a part of either. (A kill may leave the unfinished file beside it: ``.<random>.part``.)

    Parameters
    ----------
    path : path-like
        Folders on the way to it are made.

    Yields
    ------
    file : binary file, open for writing

    Raises
    ------
    ValueError
        A name that is too long for a file. Nothing has been written then.

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
        os.replace(part, path)  # atomic, since both names are in one folder
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):  # the name is on disk when its folder is; Windows has no call for that
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def save(path, state):
    """Write `state` to `path`, atomically: a kill at any moment leaves the last complete checkpoint there.

    Parameters
    ----------
    path : path-like
        The file to write or to replace, under exactly this name.
    state : tree
        Dicts with string keys, lists and tuples, nested at will; in them NumPy arrays (any shape, any dtype
        but object), NumPy scalars, int, float, complex, str, bool and None. All come back from `load` bit for
        bit, with type, dtype and shape: also empty and 0-d arrays, big integers, infinities, NaNs and -0.0.
        Arrays on a GPU are stored, and come back, as NumPy's.

    Raises
    ------
    TypeError
        For anything else in the tree, named by its place in it. Nothing has been written then.

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


def load(path):
    """Read what `save` wrote to `path`.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    state : tree
        Equal to what was saved, bit for bit; its arrays are new and writable.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When it is damaged, cut short, no checkpoint at all, or of a newer format than this minigrad knows.
    """
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                # Reading a member to its end checks its CRC-32, before anything looks at what is in it.
                members = {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}
            manifest = json.loads(_array(members["manifest"]).tobytes())
            if manifest["format"] != FORMAT:
                raise KeyError(FORMAT)
            version = manifest["version"]
            if version <= VERSION:
                return _decode(manifest["state"], members)
        except Exception as error:  # the readers of zip, npy and JSON fail in a dozen ways that mean the same
            raise ValueError(
                f"{os.fspath(path)}: expected a complete {FORMAT}, got a file of {os.path.getsize(path)} "
                f"bytes that is damaged, cut short or something else ({type(error).__name__}: {error}); "
                f"go back to an earlier checkpoint or start the run afresh"
            ) from error
    raise ValueError(
        f"{os.fspath(path)}: expected a {FORMAT} of format {VERSION} or below, got format {version}; "
        f"it was written by a newer minigrad: install that one to read it"
    )


# The manifest's tree. JSON's own null, booleans, integers, strings and lists stand for themselves; everything
# else is an object of one entry, {kind: content}. Floats are written as their 64 bits, for JSON has no NaN.


def _encode(value, place, arrays):
    """The JSON form of `value`; the arrays in it are appended to `arrays`."""
    kind = type(value)  # exactly: a subclass would come back as something else
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


def _decode(node, members):
    """The inverse of `_encode`; `members` maps the names of the archive to their bytes."""
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


def _member(index):
    return f"array_{index}"


def _array(content):
    return np.load(BytesIO(content), allow_pickle=False)


def _has_npy_form(dtype):
    """Whether the npy format names `dtype` fully: it needs pickle for objects, and would forget bfloat16."""
    described = np.lib.format.descr_to_dtype(np.lib.format.dtype_to_descr(dtype))
    return described == dtype and not dtype.hasobject
