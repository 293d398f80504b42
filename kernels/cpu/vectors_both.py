"""Tiles for layers that are gated on both sides: their input is packed too.

Only the columns of the weight that belong to open input blocks are used. In each row they are short
runs of `x_block` numbers. Two examples rarely have the same runs. So a tile belongs to one example, and
is `count` runs wide. `indices` is the address of the list of the example's open input blocks. `x` is the
address of their packed values, which follow one another in memory. Addresses, strides and masks are as
in `vectors`.
"""

from numba.extending import intrinsic

from .vectors import UNITS, described, each_size

RUNS = 4


@intrinsic
def packed_dot_tile(typingctx, zero, units, x, indices, count, x_block, weight, weight_stride, values):
    """values[u] = the sum over open runs of x · weight[u], for units in (UNITS, 1)."""
    def write(w, zero, units, x, indices, count, x_block, weight, weight_stride, values):
        b = w.builder
        width = b.mul(x_block, w.int(w.itemsize))

        def tile(n_units, _):
            rows = [w.shifted(weight, u, weight_stride) for u in range(n_units)]

            def run(p, sums):
                numbers = b.add(x, b.mul(p, width))
                column = w.indexed(w.int(0), width, b.add(indices, b.mul(p, w.int(4))), 0)

                def body(at, mask, sums):
                    vector = w.load(b.add(numbers, at), mask)
                    place = b.add(column, at)
                    return [w.fused(vector, w.load(b.add(row, place), mask), total)
                            for row, total in zip(rows, sums, strict=True)]

                return w.columns(x_block, sums, body)

            total = w.reduced(w.loop(w.int(0), count, w.int(1), [w.zero()] * n_units, run))
            b.store(total, w.pointer(values, total.type), align=w.itemsize)

        each_size(b, units, (UNITS, 1), w.int(0), (0,), tile)

    return described(zero, 8, write)


@intrinsic
def packed_update_tile(typingctx, zero, runs, out, indices, x_block, values, weight, weight_stride, units):
    """out[r] += the sum over u < units of values[u] · weight[u, run r], for runs <= RUNS."""
    def write(w, zero, runs, out, indices, x_block, values, weight, weight_stride, units):
        b = w.builder
        width = b.mul(x_block, w.int(w.itemsize))

        def tile(n_runs, _):
            columns = [w.indexed(weight, width, indices, r) for r in range(n_runs)]

            def body(at, mask, nothing):
                places = [b.add(w.shifted(out, r, width), at) for r in range(n_runs)]

                def unit(u, sums):
                    value = w.broadcast_from(b.add(values, b.mul(u, w.int(w.itemsize))))
                    offset = b.add(at, b.mul(u, weight_stride))
                    return [w.fused(value, w.load(b.add(column, offset), mask), total)
                            for column, total in zip(columns, sums, strict=True)]

                sums = w.loop(w.int(0), units, w.int(1), [w.load(place, mask) for place in places], unit)
                for total, place in zip(sums, places, strict=True):
                    w.store(total, place, mask)
                return nothing

            w.columns(x_block, [], body)

        each_size(b, runs, range(1, RUNS + 1), w.int(0), (0,), tile)

    return described(zero, 8, write)


@intrinsic
def packed_gradient_tile(typingctx, rate, units, x, indices, count, x_block, values, out, out_stride):
    """out[u, run] += rate · values[u] · x[run] for every open run, for units in (UNITS, 1)."""
    def write(w, rate, units, x, indices, count, x_block, values, out, out_stride):
        b = w.builder
        width = b.mul(x_block, w.int(w.itemsize))
        rates = w.broadcast(rate)

        def tile(n_units, _):
            rows = [w.shifted(out, u, out_stride) for u in range(n_units)]
            factors = [b.fmul(rates, w.broadcast_from(b.add(values, w.int(u * w.itemsize))))
                       for u in range(n_units)]

            def run(p, nothing):
                numbers = b.add(x, b.mul(p, width))
                column = w.indexed(w.int(0), width, b.add(indices, b.mul(p, w.int(4))), 0)

                def body(at, mask, nothing):
                    vector = w.load(b.add(numbers, at), mask)
                    for row, factor in zip(rows, factors, strict=True):
                        place = b.add(row, b.add(column, at))
                        w.store(w.fused(factor, vector, w.load(place, mask)), place, mask)
                    return nothing

                return w.columns(x_block, nothing, body)

            w.loop(w.int(0), count, w.int(1), [], run)

        each_size(b, units, (UNITS, 1), w.int(0), (0,), tile)

    return described(rate, 8, write)
