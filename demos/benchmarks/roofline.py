"""The least time that a product can take on this processor: its roofline.

    python -m demos.benchmarks.roofline                 what this processor can do, some seconds

Two things limit a product: the multiply-adds, and the bytes that have to move.  The least time is the larger of

    2 · multiply-adds of open blocks / peak             and             bytes / bandwidth of where they are

Each array is counted once: it is read, or written, or both.  Weights are read from the smallest cache into which they
fit, if they are *warm*, that is, used a moment ago.  *Cold* weights come from memory.  No program can reach the
roofline fully: multiply-adds wait for loads, and lists of open blocks are read as well.
(Williams, Waterman & Patterson, 2009, "Roofline: an insightful visual performance model".)
"""

from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np

from demos.benchmarks import measure
from minigrad.kernels.cpu.processor import cache_bytes
from minigrad.kernels.device.work import aligned

LEVELS = "L1", "L2", "L3", "memory"


@dataclass(frozen=True)
class Processor:
    """What one core can do.

    peak : multiply-adds counted twice, per second, in the dtype that was measured.
    sizes : the largest number of bytes that count as being in each of LEVELS.
    read, write : bytes per second, by level.
    latency : seconds until a number from memory arrives.
    """

    peak: float
    sizes: tuple
    read: tuple
    write: tuple
    latency: float

    def level(self, nbytes):
        """The number of the smallest level into which an array of so many bytes fits."""
        return next(i for i, size in enumerate(self.sizes) if nbytes <= size)

    def seconds(self, flops, reads, writes, cold=()):
        """The least time of a computation.

        reads, writes : sizes in bytes of the arrays that are read and written.
        cold : sizes of arrays that are read from memory, however small they are.
        """
        moved = sum(n / self.read[self.level(n)] for n in reads) + sum(n / self.write[self.level(n)] for n in writes)
        return max(flops / self.peak, moved + sum(n / self.read[-1] for n in cold))

    def __str__(self):
        bandwidths = ", ".join(f"{name} {read / 1e9:.0f} / {write / 1e9:.0f}"
                               for name, read, write in zip(LEVELS, self.read, self.write, strict=True))
        return (f"one core: {self.peak / 1e9:.0f} GFLOP/s; read / write in GB/s: {bandwidths}; "
                f"latency of memory {1e9 * self.latency:.0f} ns")


def measured(dtype="float32", seconds=0.02):
    """The Processor on which this runs.  Takes some seconds."""
    import numba

    @numba.njit(fastmath=True, nogil=True)
    def total(x, times):
        result = x.dtype.type(0)
        for _ in range(times):
            part = x.dtype.type(0)
            for i in range(len(x)):
                part += x[i]
            result += part
        return result

    @numba.njit(nogil=True)
    def fill(x, times):
        for i in range(times):
            x[:] = i

    @numba.njit(nogil=True)
    def chase(following, steps):
        place = 0
        for _ in range(steps):
            place = following[place]
        return place

    caches = [cache_bytes(level) for level in (1, 2, 3)]
    sizes = [size // 2 for size in caches[:2]] + [min(caches[2] // 2, 16 << 20), 4 * caches[2]]
    read, write = [], []
    for size in sizes:
        x = ones((size // np.dtype(dtype).itemsize,), dtype)
        times = max(1, (64 << 20) // x.nbytes)      # so that the call and the clock do not matter
        read.append(times * x.nbytes / fastest(partial(total, x, times), seconds))
        write.append(times * x.nbytes / fastest(partial(fill, x, times), seconds))
    # Every step depends on the one before, and no two steps are in one page.
    entries = 4 * caches[2] // 8
    order = np.random.default_rng(0).permutation(entries // 512) * 512
    following = np.zeros(entries, np.int64)
    following[order] = np.roll(order, -1)
    steps = min(len(order), 20_000)
    latency = fastest(lambda: chase(following, steps), seconds) / steps
    limits = (caches[0], caches[1], caches[2], float("inf"))
    return Processor(peak(dtype, seconds), limits, tuple(read), tuple(write), latency)


def peak(dtype, seconds):
    """The most multiply-adds per second, counted twice: of the library's own tile in the first cache, or of BLAS."""
    a = ones((768, 768), dtype)
    out = np.empty_like(a)
    best = 2 * 768**3 / fastest(lambda: np.matmul(a, a, out=out), 5 * seconds)
    from minigrad.kernels.cpu.vectors import ROWS, UNITS, VECTOR_BYTES

    if VECTOR_BYTES:
        from minigrad.kernels.cpu import tile

        columns = 2048 // a.itemsize
        x, weight = (ones((n, columns), dtype) for n in (ROWS, UNITS))
        entries = 500 * ROWS            # the same rows again and again
        lists = (np.array([0, entries], np.int32), np.tile(np.arange(ROWS, dtype=np.int32), 500),
                 np.arange(entries, dtype=np.int32))
        values = np.empty((entries, UNITS), dtype)
        taken = fastest(lambda: tile.sdd(0, 1, *lists, tile.operand(x), tile.operand(weight), values), seconds)
        best = max(best, 2 * values.size * columns / taken)
    return best


def ones(shape, dtype):
    """An array of ones that starts at a multiple of 64 bytes, however small it is."""
    count = prod(shape)
    return aligned(np.ones(max(count, 1 << 14), dtype))[:count].reshape(shape)


def fastest(run, seconds):
    """Seconds of one call on one thread: the median over nine rounds, each of about so many seconds."""
    with measure.threads(1):
        return measure.interleaved({"": run}, 9, seconds)[""]


def of_layer(part, made, cold=False):
    """(flops, reads, writes, cold reads) of a part of ``layer.Layer``, for ``Processor.seconds``."""
    gates = made.gates[0]
    n, (units, inputs), s = made.n_open * made.block, made.weight.shape, made.weight.itemsize
    opened = int(np.count_nonzero(gates.any(axis=0))) * made.block * inputs * s     # bytes of weights of open blocks
    x, values, whole = made.x[0].nbytes, n * s, units * inputs * s
    weights = ([], [opened]) if cold else ([opened], [])
    one = {
        "forward": (2 * n * inputs, [x, *weights[0]], [values], weights[1]),
        "dx": (2 * n * inputs, [values, *weights[0]], [x], weights[1]),
        "dw": (2 * n * inputs, [values, x], [whole], []),
        "sgd": (2 * n * inputs, [values, x, *weights[0]], [opened], weights[1]),
    }
    return [one[name] for name in {"both": ("forward", "dx", "dw")}.get(part, (part,))]


def main():
    print(measure.machine())
    print(measured())


if __name__ == "__main__":
    measure.without_presets()
    main()
