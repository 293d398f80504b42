"""sdd for narrow blocks and for few examples: one dot product for each open pair of an example and a unit.

If a block has one unit, or few examples open it, a tile in registers would be almost empty. So a tile here is 32
examples (the examples of a word of `masks`) times UNITS units. Every row of x is used by all open units of its
example, and every row of the weight is used by all examples. So both are copied to shared memory, DEPTH columns at a
time. The open pairs of the tile are listed. Teams of LANES threads go through the list, and each thread of a team takes
a part of the columns. A team keeps the sums of PAIRS pairs in registers. If the tile has more open pairs, it is
computed in several rounds.
"""

import functools

import numpy as np
from numba import cuda

from . import layout
from .jit import kernel
from .wide import fetch4, load4, store4

ROWS = 32


@functools.cache
def sdd(dtype, units, depth, teams, lanes, pairs, vector):
    """The kernel for a dtype and tile: see above. Threads: teams · lanes.

    `vector`: whether `wide.fits` holds for x and weight.
    """
    DTYPE, UNITS, DEPTH, TEAMS, LANES, PAIRS, VECTOR = np.dtype(dtype).type, units, depth, teams, lanes, pairs, vector
    THREADS = teams * lanes
    LINES = ROWS + units
    PITCH = depth + 4  # so rows of neighbouring pairs begin in different banks
    QUADS = depth // 4
    MOST = ROWS * units

    @kernel
    def sdd(lists, masks, x, weight, values):
        shared = cuda.shared.array((LINES, PITCH), DTYPE)
        scratch = cuda.shared.array(THREADS, DTYPE)
        counts = cuda.shared.array(UNITS, np.int32)
        count = cuda.shared.array(4, np.int32)      # [0]: the number of open pairs in the tile
        listed = cuda.shared.array(MOST, np.int32)  # example · UNITS + unit, within the tile
        sums = cuda.local.array(PAIRS, DTYPE)
        thread = cuda.threadIdx.x
        team, lane = thread // LANES, thread % LANES
        examples, height, block = x.shape[0], weight.shape[0], values.shape[1]
        blocks = height // block
        words = layout.bits(masks, examples, blocks)[1]
        starts = layout.starts(lists, examples, blocks)[1]
        positions = layout.by_block(lists, examples, blocks)[1]
        across = (height + UNITS - 1) // UNITS
        for tile in range(cuda.blockIdx.x, (examples + ROWS - 1) // ROWS * across, cuda.gridDim.x):
            v, first = tile // across, tile % across * UNITS
            for i in range(thread, UNITS, THREADS):
                counts[i] = 0
                if first + i < height:
                    counts[i] = layout.ones(words[v * blocks + (first + i) // block])
            cuda.syncthreads()
            for i in range(thread, UNITS, THREADS):
                place = 0
                for before in range(i):
                    place += counts[before]
                if counts[i]:
                    word = words[v * blocks + (first + i) // block]
                    while word != 0:
                        listed[place] = (cuda.ffs(word) - 1) * UNITS + i
                        word &= word - np.uint32(1)
                        place += 1
                if i == UNITS - 1:
                    count[0] = place
            cuda.syncthreads()
            total = count[0]
            for low in range(0, total, TEAMS * PAIRS):
                for n in range(PAIRS):
                    sums[n] = 0
                for column in range(0, x.shape[1], DEPTH):
                    for q in range(thread, LINES * QUADS, THREADS):
                        i, k = q // QUADS, q % QUADS * 4
                        if i < ROWS:
                            if v * ROWS + i < examples:
                                store4(shared, i, k, fetch4(x, v * ROWS + i, column + k, VECTOR))
                        elif counts[i - ROWS]:
                            store4(shared, i, k, fetch4(weight, first + i - ROWS, column + k, VECTOR))
                    cuda.syncthreads()
                    for n in range(PAIRS):
                        if low + n * TEAMS + team < total:
                            pair = listed[low + n * TEAMS + team]
                            for k in range(4 * lane, DEPTH, 4 * LANES):
                                a = load4(shared, pair // UNITS, k)
                                b = load4(shared, ROWS + pair % UNITS, k)
                                for c in range(4):
                                    sums[n] += a[c] * b[c]
                    cuda.syncthreads()
                for n in range(PAIRS):
                    scratch[thread] = sums[n]
                    cuda.syncthreads()
                    if lane == 0 and low + n * TEAMS + team < total:
                        pair = listed[low + n * TEAMS + team]
                        i, unit = pair // UNITS, first + pair % UNITS
                        word = v * blocks + unit // block
                        position = positions[starts[word] + layout.ones_below(words[word], i)]
                        result = scratch[thread]
                        for other in range(1, LANES):
                            result += scratch[thread + other]
                        values[position, unit % block] = result
                    cuda.syncthreads()

    return sdd
