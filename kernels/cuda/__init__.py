"""The kernels for a GPU, written with numba.cuda. They also run in its simulator (NUMBA_ENABLE_CUDASIM=1).

`layers`, `packed`, `gates` and `draws` check arguments and then call `driver`, which offers the functions of
`cpu.driver`. The type of the arrays decides which of the two is called (`backend`). Read the files in this order:
`layout` (the buffers and their parts), `lists` (how the buffers are filled), `plain` (the products as simple loops),
`epilogue`, `philox`, `noise`, `driver`. Then read `shared` (the same products with the tile of textbooks). The fast
products are in `dispatch` and the files that it names.

**The number of open blocks stays on the device.** No function here waits for the GPU. Lists are made and used on the
device. The host gets the number of open blocks only if a program asks for it (`n_open`, `density`, `repr`). This is a
transfer, and it is counted (`device.work`). So an array with one row per open block is allocated for all B·G
blocks, and kernels read on the device how many rows are used. Time is proportional to the density of open gates, but
memory is not.

    lists   int32, one buffer for a gate array (one argument of a launch instead of eight), in this order:
                indptr (B + 1), block_indptr (G + 1),
                indices (B·G), rows (B·G)              block and example of each position
                examples (B·G), positions (B·G)        the same entries block by block
                starts (W·B)                           position of the first entry of a word of `masks`
                block_starts (V·G)                     the same for block_masks, a place in `examples`
            with W = ⌈G/32⌉, V = ⌈B/32⌉; the number of open blocks is indptr[B].
    masks   uint32, the gates as bits: masks (W, B), then block_masks (V, G). Bit b of masks[w, i] says
            whether gate (i, 32·w + b) is open; bit r of block_masks[v, j] is gate (32·v + r, j). With
            `starts` this gives the position of any entry at once (`layout.position`).
    values  of a Packed array, (B·G, block): the values are in the first n_open rows, and zeros in the rows
            after them. Functions with f(0) = 0 keep these zeros. So a sum or a test for NaN over the whole
            buffer gives the right result.

`DeviceBlocks.tiles(rows)` is the work list of tiles: an int32 array (1 + capacity, 3) on the device. Row 0 starts
with the number of tiles. Row t + 1 is (block, start, stop): at most `rows` entries of one block, at places
start..stop of `examples` and `positions`. Kernels with a fixed grid loop over it.

**Binary gates.** An open bool gate is 1, so products need not be multiplied by it. Products are multiplied by gates
of other dtypes, even if these are all 0 or 1, because the host does not know their values.

**Views.** The conversion of a CuPy array for numba.cuda takes ten times as long as a launch. `views.view(array)`
converts an array once and keeps the result until the array is freed. Launches go to the default stream.

**Errors.** If a kernel reads gates or logits that are not finite, it sets a word that the host can read (`errors`).
The next transfer to the host then raises a ValueError and returns nothing.

**Determinism.** Kernels never add numbers with atomic operations. Lists are sorted and sums have a fixed order, so the
same call on the same device gives the same bits. (One operation of the engine is an exception, because CuPy computes
it with atomic operations: `ops.scatter_add`, the cotangent of indexing that reads an entry more than once.)

**Random bits** come from the same scalar functions as on the CPU (`cpu.philox`, `cpu.noise`), and are equal to them.
"""
