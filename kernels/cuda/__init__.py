"""The same kernels for a GPU, on numba.cuda; or in its simulator (NUMBA_ENABLE_CUDASIM=1), on few threads.

`layers`, `packed`, `gates` and `draws` check arguments and then call `driver`, which offers the functions of
`cpu.driver`. The type of the arrays decides which of the two is called (`backend`). Read on in this order: `layout`
(what lies where), `lists` (how it is made), `plain` (the products as they can be read), `epilogue`, `philox`, `noise`,
`driver`. Then come `shared` (the same products with the tile of textbooks), and `dispatch` with the files that it
names, for the products as they are used.

**The number of open blocks stays on the device.** No function here waits for the GPU. Lists are made, read and
dropped on the device. The host learns how many blocks are open only if somebody asks (`n_open`, `density`, `repr`),
which is a transfer and is counted (`device.work`). So everything sized by that number is allocated for all B·G
blocks, and kernels read how much of it is used: time follows the density of open gates, memory does not.

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
    values  of a Packed array, (B·G, block): the first n_open rows, zeros below. Functions that keep zero
            keep these zeros, so sums and tests for NaN over the whole buffer are right.

`DeviceBlocks.tiles(rows)` is the work list of tiles: an int32 array (1 + capacity, 3) on the device. Row 0 starts
with the number of tiles. Row t + 1 is (block, start, stop): at most `rows` entries of one block, at places
start..stop of `examples` and `positions`. Kernels with a fixed grid walk it.

**Binary gates.** Bool gates are known to be 1 where they are open. Products are multiplied by all other gates, also
where these are ones, because the host does not know that they are.

**Views.** To convert an array of CuPy for numba.cuda takes ten times as long as the launch. `views.view(array)`
converts an array once, and forgets the result when the array is freed. Launches go to the default stream.

**Errors.** Kernels notice gates or logits that are not finite when they read them, and mark it where the host can
read it (`errors`). The next transfer to the host raises before it returns anything.

**Determinism.** Numbers are never added by atomics. Lists are sorted and sums have a fixed order, so the same call on
the same device gives the same bits. (In the whole engine, one operation is CuPy's and adds by atomics:
`ops.scatter_add`, the cotangent of an index that names a place more than once.)

**Random bits** come from the same scalar functions as on the CPU (`cpu.philox`, `cpu.noise`), bit for bit.
"""
