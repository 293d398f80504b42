"""Measure on this machine from which density on BLAS is faster than skipping, and keep the answer in a file.

`breakeven` reads the file when it is loaded, if the file is of this processor. Without a file it uses its own table.
"""

import json
import os
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np

from ..device import work
from . import breakeven, dispatch, driver, threads
from .processor import cache_bytes, processor_name

DENSITIES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def measured(seconds=0.004, rounds=5, say=lambda text: None):
    """The table of `breakeven` for this machine, measured on one thread in about a minute.

    seconds, rounds : each of both ways is timed for so long, so often, in turns.
    say : called with a line of text about each entry.
    """
    table = {product: (list(small), list(large)) for product, (small, large) in breakeven.usual_table().items()}
    before = threads.get_num_threads()
    threads.set_num_threads(1)
    try:
        for size in (0, 1):
            for column, block in enumerate((1, 4, 8, 16)):
                for product in PRODUCTS:
                    crossing = _crossing(product, size, block, seconds, rounds)
                    table[product][size][column] = crossing
                    fit = "fits into" if size == 0 else "is larger than"
                    say(f"{product:5} blocks of {block:2}, operand {fit} the cache: " + (
                        "skipping is faster at every density" if crossing > 1 else f"dense from {crossing:g} open"))
    finally:
        threads.set_num_threads(before)
    return table


PRODUCTS = {
    "sdd": lambda x, weight, values, blocks, block: dispatch.sdd(x, weight, blocks, block),
    "dsd": lambda x, weight, values, blocks, block:
        dispatch.dsd(values, weight, blocks, np.zeros(x.shape, x.dtype)),
    "dw": lambda x, weight, values, blocks, block: dispatch.dw(values, x, blocks, weight, 0, 1),
    "step": lambda x, weight, values, blocks, block: dispatch.dw(values, x, blocks, weight, 1, 1e-30),
}


def _crossing(product, size, block, seconds, rounds):
    """The lowest of DENSITIES from which the dense product is faster, or 2 if there is none."""
    low, high = 0, len(DENSITIES)
    while low < high:
        middle = (low + high) // 2
        skipping, dense = _times(product, size, block, DENSITIES[middle], seconds, rounds)
        if dense < skipping:
            high = middle
        else:
            low = middle + 1
    return DENSITIES[low] if low < len(DENSITIES) else 2.0


def _times(product, size, block, density, seconds, rounds):
    """Seconds of one call: (skipping closed blocks, densely)."""
    examples, columns, units = (128, 768, 1536) if size == 0 else (512, cache_bytes(2) // 1024, 2048)
    rng = np.random.default_rng(0)
    x, weight = (work.aligned(rng.standard_normal(shape).astype(np.float32))
                 for shape in ((examples, columns), (units, columns)))
    blocks = driver.open_blocks((rng.random((examples, units // block)) < density).astype(np.float32))
    values = rng.standard_normal((blocks.n_open, block)).astype(np.float32)
    times = [], []
    for _ in range(rounds):
        for threshold, found in zip((2.0, 0.0), times, strict=True):
            with breakeven.using(dict.fromkeys(breakeven.usual_table(), ((threshold,) * 4,) * 2)):
                PRODUCTS[product](x, weight, values, blocks, block)
                begin, calls = process_time(), 0
                while calls == 0 or process_time() - begin < seconds:
                    PRODUCTS[product](x, weight, values, blocks, block)
                    calls += 1
                found.append((process_time() - begin) / calls)
    return tuple(map(median, times))


def save(table, path=None):
    """Write a table for `breakeven`, and return the path of the file. Another process never sees half of it."""
    path = Path(path or breakeven.override_path())
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps({"processor": processor_name(), "table": table}, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)
    return path


def main(path):
    """Measure, print what was found, and save it: what ``python -m minigrad tune`` runs in a process of its own."""
    table = measured(say=lambda text: print(text, flush=True))
    print(f"{save(table, path or None)}: read by every process that starts from now on; delete it to undo this")
