"""The same kernels for a GPU, on numba.cuda.

`layers`, `packed`, `gates` and `draws` check arguments and then call either `cpu` or `cuda.driver`, which
offer the same functions; which of them is decided by the type of the arrays (`arrays.is_device`).

**The number of open blocks stays on the device.** Nothing here waits for the GPU: lists are built, read and
thrown away there, and the host learns how many blocks are open only if somebody asks (`n_open`, `density`,
`repr`), which is a transfer and is counted (`work`). So everything sized by that number is allocated for all
B·G blocks, and kernels read how much of it is filled:

    lists   int32, one buffer for a gate array (one argument of a launch instead of eight), in this order:
                indptr (B + 1), block_indptr (G + 1),
                indices (B·G), rows (B·G)              block and example of each position
                examples (B·G), positions (B·G)        the same entries block by block
                starts (W·B)                           position of the first entry of a word of `masks`
                block_starts (V·G)                     the same for block_masks, a place in `examples`
            with W = ⌈G/32⌉, V = ⌈B/32⌉; the number of open blocks is indptr[B].
    masks   uint32, the gates as bits: masks (W, B), then block_masks (V, G). Bit b of masks[w, i] says
            whether gate (i, 32·w + b) is open; bit r of block_masks[v, j] is gate (32·v + r, j). With
            `starts` this finds the position of any entry at once:
            starts[w, i] + popc(masks[w, i] & ((1 << b) - 1)).
    values  of a Packed array, (B·G, block): the first n_open rows, zeros below. Functions that keep zero
            keep these zeros, so sums and tests for NaN over the whole buffer are right.

The layout is written once, in `layout`, as device functions that cut the buffers inside a kernel.
`DeviceBlocks.tiles(rows)` is the work list of register tiles: an int32 array (1 + capacity, 3) on the device;
row 0 starts with the number of tiles, row t + 1 is (block, start, stop): at most `rows` entries of
one block, places start..stop of `examples` and `positions`. Kernels with a fixed grid walk it.

**Products** (`sdd`, `dsd`, `dw`, `*_both`) take checked device arrays with contiguous rows, in the order of
`cpu`'s functions, and launch through `views` and `launch`; blocks are `DeviceBlocks`.

**Views.** A launch converts a foreign array each time, which takes ten times as long as the launch.
`views.view(array)` converts once per array object and forgets with it.

**Errors.** Gates or logits that are not finite are noticed by the kernels that read them and marked in a word
on the device (`errors`); the next transfer to the host raises, before it returns anything.

**Determinism.** No atomics: lists are sorted, sums have a fixed order.

**Random bits** are compiled from the same scalar functions as on the CPU (`philox_cpu`).

In Numba's simulator (NUMBA_ENABLE_CUDASIM=1) the same kernels run on few threads, which `launch` chooses.
"""
