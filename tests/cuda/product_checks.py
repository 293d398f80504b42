"""Checks of the products on the device.  They are used for several modules."""

import numpy as np

from minigrad import kernels
from minigrad.kernels import specification
from minigrad.kernels.device.arrays import device_library
from minigrad.kernels.device.transfer import to_device, to_host

DENSITIES = 0.0, 0.1, 0.5, 1.0


def problem(examples, count, block, width, density, dtype, seed=0):
    """Gates, x, weight and a cotangent; NumPy arrays."""
    rng = np.random.default_rng(seed)
    gates = (rng.random((examples, count)) < density).astype(dtype)
    return gates, *(rng.standard_normal(shape).astype(dtype) for shape in (
        (examples, width), (count * block, width), (examples, count * block)))


def packed(dense, gates, block):
    """The open blocks of a dense array, then zeros: (examples · blocks, block)."""
    values = np.zeros((gates.size, block), dense.dtype)
    found = dense.reshape(*gates.shape, block)[gates != 0]
    values[:len(found)] = found
    return values


def assert_close(got, wanted):
    got = to_host(got)
    assert got.dtype == wanted.dtype
    scale = max(1, np.nanmax(np.abs(wanted), initial=1))
    np.testing.assert_allclose(got, wanted, rtol=0, atol=200 * np.finfo(wanted.dtype).eps * scale)


def check_products(products, shape, density, dtype, seed=0):
    """sdd, dsd and dw of a module (`dispatch`, `plain` or `shared`); shape (examples, blocks, block, width)."""
    examples, count, block, width = shape
    gates, x, weight, g = problem(*shape, density, dtype, seed)
    blocks = kernels.open_blocks(to_device(gates))
    values = device_library().zeros((gates.size, block), x.dtype)
    products.sdd(to_device(x), to_device(weight), blocks, values)
    assert_close(values, packed(specification.packed_linear_dh(x, weight.T, gates, block), gates, block))
    values = to_device(packed(g, gates, block))
    out = to_device(np.ones((examples, width), dtype))
    products.dsd(values, to_device(weight), blocks, out)
    assert_close(out, 1 + specification.gated_linear_dx(g, weight, gates, block))
    dw = specification.gated_linear_dw(g, x, gates, block)
    for keep, rate in ((0, 1), (1, -0.5)):
        out = to_device(np.ones((count * block, width), dtype))
        products.dw(values, to_device(x), blocks, out, keep, rate)
        assert_close(out, (keep + rate * dw).astype(dtype))
