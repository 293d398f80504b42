"""The innermost loops of `tile`, written as LLVM instructions on vectors.

A matrix product is fast if numbers stay in registers. A tile of ROWS x UNITS sums (or of ROWS x
VECTORS vectors of a result) stays in vector registers during one loop over the dimension that is
summed. So each vector that is loaded is used several times. Compilers do not make such tiles from
simple loops like those of `plain`. So the three functions below write the LLVM instructions of a tile
themselves, and Numba inlines them into the kernels of `tile`.

    dot_tile       sums[r, u] = x[row r] · weight[unit u]             rows through an index list
    update_tile    out[row r] += the sum over units of value · weight[unit]
    gradient_tile  sums[u] = the sum over rows of value · x[row]

They take addresses (int64) and strides in bytes, as BLAS takes pointers and leading dimensions. They
never read or write memory outside the rows and columns of their arguments: if the last columns do not
fill a vector, they are loaded and stored with a mask. Each sum has the same order in every tile, so
results do not depend on how rows are grouped into tiles.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .processor import vector_bytes

ROWS = 6


VECTOR_BYTES = vector_bytes()
# The sums of a tile take 24 of 32 registers, or 12 of 16. The others hold the numbers that are multiplied.
UNITS = VECTORS = 4 if VECTOR_BYTES == 64 else 2
WIDE = 4  # vectors in a row of a gradient tile; 2 · WIDE if the tile has one unit

INT = ir.IntType(64)
INT32 = ir.IntType(32)
_BYTE_POINTER = ir.IntType(8).as_pointer()


class Writer:
    """Writes instructions on vectors of one dtype."""

    def __init__(self, builder, dtype):
        self.builder = builder
        self.itemsize = dtype.bitwidth // 8
        self.scalar = ir.FloatType() if dtype.bitwidth == 32 else ir.DoubleType()
        self.lanes = VECTOR_BYTES // self.itemsize
        self.vector = ir.VectorType(self.scalar, self.lanes)
        self.suffix = f"v{self.lanes}f{dtype.bitwidth}"

    def call(self, name, result, *arguments):
        kind = ir.FunctionType(result, [a.type for a in arguments])
        function = self.builder.module.globals.get(name) or ir.Function(self.builder.module, kind, name)
        return self.builder.call(function, arguments)

    def int(self, value):
        return ir.Constant(INT, value)

    def pointer(self, address, kind):
        return self.builder.inttoptr(address, kind.as_pointer())

    def shifted(self, address, count, stride):
        """address + count · stride, for a count that is a Python int."""
        return self.builder.add(address, self.builder.mul(self.int(count), stride)) if count else address

    def indexed(self, base, stride, indices, r):
        """base + stride · indices[r], for a list of int32 at the address `indices`."""
        place = self.pointer(self.builder.add(indices, self.int(4 * r)), INT32)
        index = self.builder.sext(self.builder.load(place), INT)
        return self.builder.add(base, self.builder.mul(index, stride))

    def load(self, address, mask=None):
        pointer = self.pointer(address, self.vector)
        if mask is None:
            return self.builder.load(pointer, align=self.itemsize)
        align = ir.Constant(INT32, self.itemsize)
        return self.call(f"llvm.masked.load.{self.suffix}.p0", self.vector, pointer, align, mask, self.zero())

    def store(self, value, address, mask=None):
        pointer = self.pointer(address, self.vector)
        if mask is None:
            return self.builder.store(value, pointer, align=self.itemsize)
        align = ir.Constant(INT32, self.itemsize)
        return self.call(f"llvm.masked.store.{self.suffix}.p0", ir.VoidType(), value, pointer, align, mask)

    def stream(self, value, address):
        """Store without writing to the caches. The address must be a multiple of the size of a vector."""
        store = self.builder.store(value, self.pointer(address, self.vector), align=VECTOR_BYTES)
        store.set_metadata("nontemporal", self.builder.module.add_metadata([ir.Constant(INT32, 1)]))

    def prefetch(self, address):
        """Load a cache line into the second cache, because the first one is full. Any address is allowed."""
        pointer = self.builder.inttoptr(address, _BYTE_POINTER)
        read, locality, data = (ir.Constant(INT32, value) for value in (0, 2, 1))
        self.call("llvm.prefetch.p0", ir.VoidType(), pointer, read, locality, data)

    def zero(self):
        return ir.Constant(self.vector, [0.0] * self.lanes)

    def fused(self, a, b, c):
        """a · b + c with one rounding."""
        return self.call(f"llvm.fma.{self.suffix}", self.vector, a, b, c)

    def broadcast(self, scalar):
        """A vector with the same number in every lane."""
        return self._broadcast(scalar, self.vector)

    def _broadcast(self, scalar, kind):
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(INT32, 0))
        lanes = ir.Constant(ir.VectorType(INT32, kind.count), [0] * kind.count)
        return self.builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), lanes)

    def broadcast_from(self, address):
        return self.broadcast(self.builder.load(self.pointer(address, self.scalar), align=self.itemsize))

    def mask(self, count):
        """Lanes 0 .. count - 1."""
        kind = ir.VectorType(INT, self.lanes)
        lane = ir.Constant(kind, list(range(self.lanes)))
        return self.builder.icmp_signed("<", lane, self._broadcast(count, kind))

    def reduced(self, vectors):
        """A vector whose lane u is the sum of vectors[u], for 1, 2 or 4 vectors.

        Neighbouring lanes are added until one lane per vector is left. So different vectors are never added
        to each other, and the order of a sum does not depend on the number of vectors.
        """
        count = len(vectors)
        while len(vectors) > 1:
            vectors = [self._pairs(a, b) for a, b in zip(vectors[::2], vectors[1::2], strict=True)]
        (vector,) = vectors
        while vector.type.count > count:
            vector = self._pairs(vector)
        return vector

    def _pairs(self, a, b=None):
        """The sums of neighbouring lanes of a, then of b."""
        lanes = a.type.count if b is None else 2 * a.type.count
        b = ir.Constant(a.type, ir.Undefined) if b is None else b
        kind = ir.VectorType(INT32, lanes // 2)
        even, odd = (
            self.builder.shuffle_vector(a, b, ir.Constant(kind, list(range(first, lanes, 2))))
            for first in (0, 1)
        )
        return self.builder.fadd(even, odd)

    def columns(self, count, carried, body):
        """carried = body(offset in bytes, mask, carried) for every vector of a row of `count` numbers.

        The mask is None for full vectors. The last numbers may be fewer than a vector and get a mask.
        """
        width = self.builder.mul(count, self.int(self.itemsize))
        full = self.builder.and_(width, self.int(-VECTOR_BYTES))
        rest = self.mask(self.builder.srem(count, self.int(self.lanes)))
        step = self.int(VECTOR_BYTES)
        carried = self.loop(self.int(0), full, step, carried, lambda at, now: body(at, None, now))
        return self.loop(full, width, step, carried, lambda at, now: body(at, rest, now))

    def loop(self, start, stop, step, carried, body):
        """for i in range(start, stop, step): carried = body(i, carried); returns carried."""
        builder = self.builder
        before = builder.block
        head, inside, done = (builder.append_basic_block(name) for name in ("loop", "inside", "done"))
        builder.branch(head)
        builder.position_at_end(head)
        i = builder.phi(INT)
        i.add_incoming(start, before)
        phis = [builder.phi(value.type) for value in carried]
        for phi, value in zip(phis, carried, strict=True):
            phi.add_incoming(value, before)
        builder.cbranch(builder.icmp_signed("<", i, stop), inside, done)
        builder.position_at_end(inside)
        results = body(i, phis)
        for phi, value in zip(phis, results, strict=True):
            phi.add_incoming(value, builder.block)
        i.add_incoming(builder.add(i, step), builder.block)
        builder.branch(head)
        builder.position_at_end(done)
        return phis


def each_size(builder, rows, row_sizes, columns, column_sizes, write):
    """Write one branch with write(r, c) for every pair of sizes. `rows` and `columns` choose a branch at run time."""
    key = builder.add(builder.mul(rows, ir.Constant(INT, 64)), columns)
    done = builder.append_basic_block("tile_done")
    switch = builder.switch(key, done)
    for r in row_sizes:
        for c in column_sizes:
            case = builder.append_basic_block(f"tile_{r}_{c}")
            switch.add_case(ir.Constant(INT, 64 * r + c), case)
            builder.position_at_end(case)
            write(r, c)
            builder.branch(done)
    builder.position_at_end(done)


def described(number, count, write):
    """The two things that an intrinsic returns: its signature, and a function that writes its instructions."""
    def generate(context, builder, signature, arguments):
        write(Writer(builder, number), *arguments)
        return context.get_dummy_value()

    return types.void(number, *[types.int64] * count), generate


@intrinsic
def dot_tile(typingctx, zero, rows, units, x, x_stride, examples, weight, weight_stride, columns, ahead,
             values, values_stride, positions):
    """values[position r, u] = x[example r] · weight[u], for rows <= ROWS and units in (UNITS, 1).

    `examples` and `positions` are addresses of int32 lists. `zero` is a number of the dtype. `ahead` is the
    distance in bytes from these weights to the next ones. The next weights are loaded into the cache meanwhile.
    """
    def write(w, zero, rows, units, x, x_stride, examples, weight, weight_stride, columns, ahead, values,
              values_stride, positions):
        b = w.builder

        def tile(n_rows, n_units):
            x_rows = [w.indexed(x, x_stride, examples, r) for r in range(n_rows)]
            weight_rows = [w.shifted(weight, u, weight_stride) for u in range(n_units)]

            def body(at, mask, sums):
                weights = [w.load(b.add(row, at), mask) for row in weight_rows]
                if mask is None and n_rows > 1:  # for one row, memory is the limit and this would not help
                    for row in weight_rows:
                        w.prefetch(b.add(row, b.add(at, ahead)))
                results = []
                for r, row in enumerate(x_rows):
                    vector = w.load(b.add(row, at), mask)
                    for u, factor in enumerate(weights):
                        results.append(w.fused(vector, factor, sums[r * n_units + u]))
                return results

            sums = w.columns(columns, [w.zero()] * (n_rows * n_units), body)
            for r in range(n_rows):
                total = w.reduced(sums[r * n_units:(r + 1) * n_units])
                place = w.indexed(values, values_stride, positions, r)
                b.store(total, w.pointer(place, total.type), align=w.itemsize)

        each_size(b, rows, range(1, ROWS + 1), units, (UNITS, 1), tile)

    return described(zero, 12, write)


@intrinsic
def update_tile(typingctx, zero, rows, lanes, out, out_stride, examples, values, values_stride, positions,
                weight, weight_stride, units, ahead):
    """out[example r] += the sum over u < units of values[position r, u] · weight[u].

    rows <= ROWS. If `lanes` is 0, the tile has as many columns as fit into VECTORS vectors. Else it has `lanes`
    columns, at most one vector. `out` and `weight` are addresses of the first column.
    """
    def write(w, zero, rows, lanes, out, out_stride, examples, values, values_stride, positions,
              weight, weight_stride, units, ahead):
        b = w.builder
        mask = w.mask(lanes)

        def tile(n_rows, masked):
            n_vectors, lanes_used = (1, mask) if masked else (VECTORS, None)
            offsets = [w.int(v * VECTOR_BYTES) for v in range(n_vectors)]
            out_rows = [w.indexed(out, out_stride, examples, r) for r in range(n_rows)]
            places = [b.add(row, offset) for row in out_rows for offset in offsets]
            value_rows = [w.indexed(values, values_stride, positions, r) for r in range(n_rows)]

            def body(u, sums):
                unit = b.add(weight, b.mul(u, weight_stride))
                weights = [w.load(b.add(unit, offset), lanes_used) for offset in offsets]
                for offset in offsets:
                    w.prefetch(b.add(b.add(unit, offset), ahead))
                results = []
                for r, row in enumerate(value_rows):
                    value = w.broadcast_from(b.add(row, b.mul(u, w.int(w.itemsize))))
                    for v, vector in enumerate(weights):
                        results.append(w.fused(value, vector, sums[r * n_vectors + v]))
                return results

            sums = [w.load(place, lanes_used) for place in places]
            for total, place in zip(w.loop(w.int(0), units, w.int(1), sums, body), places, strict=True):
                w.store(total, place, lanes_used)

        masked = b.zext(b.icmp_signed("!=", lanes, w.int(0)), INT)
        each_size(b, rows, range(1, ROWS + 1), masked, (0, 1), tile)

    return described(zero, 12, write)


@intrinsic
def gradient_tile(typingctx, rate, units, vectors, lanes, x, x_stride, examples, values, values_stride,
                  positions, rows, out, out_stride, keep):
    """out[u] = keep · out[u] + rate · the sum over r < rows of values[position r, u] · x[example r].

    units is UNITS or 1. If `vectors` is 2 · WIDE or WIDE, the tile has as many columns as fill these vectors. If
    `vectors` is 1, it has `lanes` columns, at most one vector. With keep 0 the rate must be 1, and the sums replace
    `out`. If they fill aligned vectors, they are stored without writing to the caches, since nothing reads them soon.
    With keep 1, the rows of `out` are loaded into the cache while the sums are computed.
    """
    def write(w, rate, units, vectors, lanes, x, x_stride, examples, values, values_stride, positions,
              rows, out, out_stride, keep):
        b = w.builder
        mask = w.mask(lanes)
        rates = w.broadcast(rate)

        def tile(n_units, n_vectors):
            masked = n_vectors == 1
            lanes_used = mask if masked else None
            offsets = [w.int(v * VECTOR_BYTES) for v in range(n_vectors)]

            def body(r, sums):
                list_offset = b.mul(r, w.int(4))
                row = w.indexed(x, x_stride, b.add(examples, list_offset), 0)
                value = w.indexed(values, values_stride, b.add(positions, list_offset), 0)
                inputs = [w.load(b.add(row, offset), lanes_used) for offset in offsets]
                results = []
                for u in range(n_units):
                    factor = w.broadcast_from(b.add(value, w.int(u * w.itemsize)))
                    for v, vector in enumerate(inputs):
                        results.append(w.fused(factor, vector, sums[u * n_vectors + v]))
                return results

            places = [b.add(w.shifted(out, u, out_stride), offset)
                      for u in range(n_units) for offset in offsets]
            with b.if_then(b.icmp_signed("!=", keep, w.int(0))):
                for place in places:
                    w.prefetch(place)
            sums = w.loop(w.int(0), rows, w.int(1), [w.zero()] * (n_units * n_vectors), body)
            with b.if_else(b.icmp_signed("==", keep, w.int(0))) as (replace, add):
                with replace:
                    if masked:
                        for total, place in zip(sums, places, strict=True):
                            w.store(total, place, mask)
                    else:
                        misaligned = b.and_(b.or_(out, out_stride), w.int(VECTOR_BYTES - 1))
                        with b.if_else(b.icmp_signed("==", misaligned, w.int(0))) as (aligned, other):
                            with aligned:
                                for total, place in zip(sums, places, strict=True):
                                    w.stream(total, place)
                            with other:
                                for total, place in zip(sums, places, strict=True):
                                    w.store(total, place)
                with add:
                    for total, place in zip(sums, places, strict=True):
                        w.store(w.fused(rates, total, w.load(place, lanes_used)), place, lanes_used)

        each_size(b, units, (UNITS, 1), vectors, (2 * WIDE, WIDE, 1), tile)

    return described(rate, 13, write)
