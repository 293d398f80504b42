"""Scalar arithmetic that gives the same bits on every CPU and every GPU.

Additions, multiplications, divisions and square roots are rounded correctly everywhere. But some compilers fuse a
product and a sum into one instruction, which rounds once instead of twice. So every product that is added to something
is computed by `product`, which is never fused. Products with a power of two are exact and do not need it.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .jit import exact


@intrinsic
def product(typingctx, a, b):
    """a · b in double precision. It is rounded before anything is added to it, as in NumPy.

    The compiler for GPUs would otherwise fuse the product with the addition, and round once.
    """
    def write(context, builder, signature, arguments):
        if "nvptx" not in builder.module.triple:
            return builder.fmul(*arguments)
        double = ir.DoubleType()
        rounded = builder.module.declare_intrinsic("llvm.nvvm.mul.rn.d", (), ir.FunctionType(double, [double, double]))
        return builder.call(rounded, arguments)

    return types.float64(types.float64, types.float64), write


@intrinsic
def from_bits(typingctx, bits):
    """The number in double precision that has these bits, an int64."""
    def write(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), write


@intrinsic
def to_bits(typingctx, x):
    """The bits of a number in double precision, as int64."""
    def write(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), write


@exact
def polynomial(x, coefficients):
    """The value of a polynomial at x, by Horner's rule. The tuple of coefficients begins with the highest power."""
    value = coefficients[0]
    for k in range(1, len(coefficients)):
        value = product(value, x) + coefficients[k]
    return value
