"""Four numbers of a row at once: the 16-byte loads and stores of the GPU.

A load of 16 bytes takes as long as a load of 4. So a kernel that loads single numbers is limited by the number of its
loads. Numba has no vectors, so `load4` and `store4` write the instruction themselves: they use the address of an entry
as the address of a vector of four. This address must be a multiple of 16 bytes. (Four doubles take two such loads.)

Numba's simulator does not use LLVM. In the simulator, the same functions move the four numbers one by one. Besides the
sizes of tiles (`dispatch`), this is the only difference between kernels in the simulator and on a GPU.
"""

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import device

if config.ENABLE_CUDASIM:

    def load4(array, row, column):
        return array[row, column], array[row, column + 1], array[row, column + 2], array[row, column + 3]

    def store4(array, row, column, numbers):
        for i in range(4):
            array[row, column + i] = numbers[i]

else:

    @intrinsic
    def load4(typingctx, array, row, column):
        """array[row, column:column + 4] as a tuple. Rows are contiguous, and the address is a multiple of 16 bytes."""
        def write(context, builder, signature, arguments):
            quad = builder.load(_address(context, builder, signature.args[0], *arguments), align=16)
            numbers = [builder.extract_element(quad, ir.Constant(ir.IntType(32), i)) for i in range(4)]
            return context.make_tuple(builder, signature.return_type, numbers)

        return types.UniTuple(array.dtype, 4)(array, types.intp, types.intp), write

    @intrinsic
    def store4(typingctx, array, row, column, numbers):
        """array[row, column:column + 4] = the tuple `numbers`; rows and address as in `load4`."""
        def write(context, builder, signature, arguments):
            address = _address(context, builder, signature.args[0], *arguments[:3])
            quad = ir.Constant(address.type.pointee, ir.Undefined)
            for i, number in enumerate(cgutils.unpack_tuple(builder, arguments[3], 4)):
                quad = builder.insert_element(quad, number, ir.Constant(ir.IntType(32), i))
            builder.store(quad, address, align=16)
            return context.get_dummy_value()

        return types.none(array, types.intp, types.intp, types.UniTuple(array.dtype, 4)), write

    def _address(context, builder, kind, array, row, column):
        """The address of array[row, column], as that of a vector of four."""
        parts = context.make_array(kind)(context, builder, array)
        stride, _ = cgutils.unpack_tuple(builder, parts.strides, 2)
        start = cgutils.pointer_add(builder, parts.data, builder.mul(row, stride))
        vector = ir.VectorType(context.get_data_type(kind.dtype), 4)
        return builder.bitcast(builder.gep(start, [column]), vector.as_pointer())


def fits(*arrays):
    """Whether the rows of these device matrices consist of whole vectors of four, each at a multiple of 16 bytes."""
    return all(array.shape[1] % 4 == 0 and array.strides[0] % 16 == 0 and _start(array) % 16 == 0 for array in arrays)


def _start(array):
    return array.memory.ctypes.data if config.ENABLE_CUDASIM else array.data.ptr


@device
def fetch4(array, row, column, vector):
    """array[row, column:column + 4], with zeros after the last column. `vector` is a constant: the result of `fits`."""
    zero = array.dtype.type(0)
    columns = array.shape[1]
    if vector:
        if column < columns:
            return load4(array, row, column)
        return zero, zero, zero, zero
    return (
        array[row, column] if column < columns else zero,
        array[row, column + 1] if column + 1 < columns else zero,
        array[row, column + 2] if column + 2 < columns else zero,
        array[row, column + 3] if column + 3 < columns else zero,
    )


@device
def keep4(array, row, column, numbers, vector):
    """array[row, column:column + 4] = numbers. Columns that do not exist are left out."""
    if vector:
        if column < array.shape[1]:
            store4(array, row, column, numbers)
    else:
        for i in range(4):
            if column + i < array.shape[1]:
                array[row, column + i] = numbers[i]
