"""From which density on BLAS is faster than skipping closed blocks: one table.

    sdd, dsd, dw   the product of that name, packing included
    step           dw, added to a weight in place
    both           a product with packed units on both sides, against unpacking them first

The density at which both ways take the same time was measured on one core of an AMD EPYC 9005 (AVX-512, 1 MB of
second-level cache) with OpenBLAS under NumPy 2.4, float32, for 128 examples of 784x2000 and 512 of 1024x4096.  It is
lower where the dense operand, which every block reads, does not fit into the core's own cache.  `python -m minigrad
tune` measures the same on your machine, and keeps it in a file that takes the place of the table.

Ratios differ less between machines than times do. Where an entry is slightly wrong, little is lost, because both ways
are then about as fast.
"""

import contextlib
import json
import os
import sys
from pathlib import Path

from .processor import cache_bytes, processor_name
from .vectors import VECTOR_BYTES

_NEVER = 2.0  # no density is that high

# Density from which the dense product is faster, for blocks below 4, 8 and 16 wide, and for wider ones: where the
# dense operand fits into the cache, and where it does not.
_VECTOR_TILE = {
    "sdd": ((0.32, 0.90, 0.95, _NEVER), (0.25, 0.70, 0.75, 0.87)),
    "dsd": ((0.32, 0.55, 0.80, 0.95), (0.23, 0.45, 0.60, 0.70)),
    "dw": ((0.37, 0.90, 0.95, 0.98), (0.28, 0.55, 0.60, 0.62)),
    "step": ((0.40, 0.90, 0.95, 0.98), (0.28, 0.55, 0.55, 0.58)),
    "both": ((0.02, 0.05, 0.10, 0.30),) * 2,
}
_PLAIN_TILE = {
    "sdd": ((0.35, 0.60, 0.60, 0.60),) * 2,
    "dsd": ((0.20, 0.30, 0.30, 0.35),) * 2,
    "dw": ((0.20, 0.20, 0.20, 0.20),) * 2,
    "step": ((0.20, 0.20, 0.20, 0.20),) * 2,
    "both": ((0.05, 0.10, 0.15, 0.30),) * 2,
}


def usual_table():
    """The table of this file: product -> (thresholds where the operand fits, thresholds where it does not)."""
    return _VECTOR_TILE if VECTOR_BYTES else _PLAIN_TILE


def override_path():
    """The file that `python -m minigrad tune` writes: $MINIGRAD_TUNE, or minigrad/tune.json in the user's cache."""
    if named := os.environ.get("MINIGRAD_TUNE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minigrad" / "tune.json"


def override():
    """The table of the file and None, or None and the reason why there is no table."""
    try:
        path = override_path()
        text = path.read_text(encoding="utf-8")
    except (OSError, RuntimeError):     # no file, or no home
        return None, "not measured here"
    try:
        kept = json.loads(text)
        table = {product: tuple(tuple(map(float, row)) for row in kept["table"][product]) for product in _VECTOR_TILE}
        if any(len(row) != 4 for rows in table.values() for row in rows) or {*map(len, table.values())} != {2}:
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        print(f"minigrad: {path} is damaged, so it is not used; write it again with python -m minigrad tune",
              file=sys.stderr)
        return None, f"{path} is damaged"
    if kept.get("processor") != processor_name():
        return None, f"{path} was measured on another processor"
    return table, None


_table = override()[0] or usual_table()


@contextlib.contextmanager
def using(table):
    """Decide by another table inside the `with`, in all threads."""
    global _table
    before, _table = _table, table
    try:
        yield
    finally:
        _table = before


# With fewer examples BLAS reads every weight for little work. With fewer columns it spends most of its time
# on preparations.
_EXAMPLES = {"sdd": 16, "dsd": 1, "dw": 16, "step": 16, "both": 1}
_COLUMNS = 64


def dense_is_faster(product, blocks, block, columns, itemsize=4):
    """Whether to compute `product` (a row of the table) densely, with `columns` numbers of `itemsize` bytes per row."""
    examples = blocks.shape[0]
    too_large = examples * columns * itemsize > cache_bytes(2)
    row = _table[product][int(too_large)]
    threshold = row[(block >= 4) + (block >= 8) + (block >= 16)]
    return blocks.density >= threshold and examples >= _EXAMPLES[product] and columns >= _COLUMNS
