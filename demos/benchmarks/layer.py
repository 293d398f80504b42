"""One gated layer in several libraries: some also compute the closed blocks, others skip them.

Each function at the end of the file prepares one library for a layer.  It returns a dict from a part of the
computation to a function that computes this part for one input of the layer's pool:

    forward   out = gates · (x Wᵀ + b)
    dx        dX = g W, for the cotangent g of the open blocks
    dw        dW = gᵀ x
    sgd       W -= rate · gᵀ x and b -= rate · Σ g, in place
    both      forward, then dX, dW and db from g

The comparison favours the other libraries.  If a library can write into an existing array, it gets one, and sparse
formats are prepared beforehand.  For minigrad, the time includes the gate lists and the allocation of results.  A dense
library computes the layer without its gates; multiplying by the gates would take additional time.
"""

import warnings
from functools import cache
from importlib.util import find_spec
from itertools import cycle

import numpy as np

from minigrad import kernels

PARTS = "forward", "dx", "dw", "sgd", "both"
RATE = 1e-3


class Layer:
    """A layer, and a pool of inputs.  Each input has its own gates and cotangents.

    A fraction `density` of the gates is open (at least one), at random positions.
    """

    def __init__(self, batch, inputs, units, block, density, dtype="float32"):
        rng = np.random.default_rng(0)
        self.block = block
        self.weight = rng.standard_normal((units, inputs), dtype)
        self.bias = rng.standard_normal(units, dtype)
        # One example opens few blocks.  Several inputs are used in turn, so that their weights do not stay in a cache.
        self.pool = range(16 if batch == 1 else 2)
        self.x = [rng.standard_normal((batch, inputs), dtype) for _ in self.pool]
        entries = batch * units // block
        self.n_open = max(1, round(density * entries))
        self.density = self.n_open / entries
        self.gates, self.cotangents = [], []
        for _ in self.pool:
            gates = np.zeros(entries, dtype)
            gates[rng.permutation(entries)[:self.n_open]] = 1
            self.gates.append(gates.reshape(batch, units // block))
            self.cotangents.append(rng.standard_normal((self.n_open, block), dtype))

    def packed(self, i):
        """The packed cotangent of input i."""
        return kernels.Packed(self.cotangents[i], kernels.open_blocks(self.gates[i]), self.block)

    def mask(self, i):
        """The gates of input i, one for each unit."""
        return np.repeat(self.gates[i], self.block, axis=1)


def minigrad(layer):
    weight, bias, block = layer.weight, layer.bias, layer.block
    dw = np.empty_like(weight)
    cotangents = [layer.packed(i) for i in layer.pool]
    trained, shift = weight.copy(), bias.copy()

    def forward(i):
        return kernels.gated_linear(layer.x[i], weight, bias, layer.gates[i], block)

    def dx(i):
        g = cotangents[i]
        return kernels.gated_linear_dx(g, weight, layer.gates[i], g.blocks, block)

    def weights(i):
        g = cotangents[i]
        return kernels.gated_linear_dw(g, layer.x[i], layer.gates[i], g.blocks, block, out=dw)

    def sgd(i):
        g = cotangents[i]
        kernels.gated_linear_sgd(g, layer.x[i], layer.gates[i], g.blocks, trained, shift, RATE)
        return trained, shift

    def both(i):
        x, gates = layer.x[i], layer.gates[i]
        out = forward(i)
        g = out.with_values(layer.cotangents[i])
        return (out, kernels.gated_linear_dx(g, weight, gates, out.blocks, block),
                kernels.gated_linear_dw(g, x, gates, out.blocks, block, out=dw),
                kernels.gated_linear_db(g, gates, out.blocks, block))

    return {"forward": forward, "dx": dx, "dw": weights, "sgd": sgd, "both": both}


def numpy_dense(layer):
    weight, bias = layer.weight, layer.bias
    cotangents = [layer.packed(i).to_dense() for i in layer.pool]
    out, dx, dw = np.empty_like(cotangents[0]), np.empty_like(layer.x[0]), np.empty_like(weight)
    trained, shift = weight.copy(), bias.copy()

    def forward(i):
        np.matmul(layer.x[i], weight.T, out=out)
        return np.add(out, bias, out=out)

    def cotangent_of_x(i):
        return np.matmul(cotangents[i], weight, out=dx)

    # For one example, multiply is faster than matmul.
    times = np.multiply if len(dx) == 1 else np.matmul

    def weights(i):
        return times(cotangents[i].T, layer.x[i], out=dw)

    def sgd(i):
        weights(i)
        np.multiply(dw, RATE, out=dw)
        return np.subtract(trained, dw, out=trained), np.subtract(shift, RATE * cotangents[i].sum(axis=0), out=shift)

    def both(i):
        g = cotangents[i]
        return forward(i), cotangent_of_x(i), times(g.T, layer.x[i], out=dw), g.sum(axis=0)

    return {"forward": forward, "dx": cotangent_of_x, "dw": weights, "sgd": sgd, "both": both}


def torch_dense(layer):
    import torch

    weight, bias = map(torch.from_numpy, (layer.weight, layer.bias))
    x = [torch.from_numpy(layer.x[i]) for i in layer.pool]
    cotangents = [torch.from_numpy(layer.packed(i).to_dense()) for i in layer.pool]
    out, dx, dw = map(torch.empty_like, (cotangents[0], x[0], weight))
    trained, shift = weight.clone(), bias.clone()

    def forward(i):
        return torch.addmm(bias, x[i], weight.t(), out=out)

    def cotangent_of_x(i):
        return torch.mm(cotangents[i], weight, out=dx)

    def weights(i):
        return torch.mm(cotangents[i].t(), x[i], out=dw)

    def sgd(i):
        return trained.addmm_(cotangents[i].t(), x[i], alpha=-RATE), shift.sub_(cotangents[i].sum(0), alpha=RATE)

    def both(i):
        g = cotangents[i]
        return forward(i), cotangent_of_x(i), torch.mm(g.t(), x[i], out=dw), g.sum(0)

    return {"forward": forward, "dx": cotangent_of_x, "dw": weights, "sgd": sgd, "both": both}


def torch_csr(layer):
    """Sparse rows (CSR) with one entry for each open unit.  Forward is a product sampled at these entries."""
    import torch

    warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state")
    weight, bias = map(torch.from_numpy, (layer.weight, layer.bias))
    x = [torch.from_numpy(layer.x[i]) for i in layer.pool]
    masks = [torch.from_numpy(layer.mask(i)) for i in layer.pool]
    biases = [(mask * bias).to_sparse_csr() for mask in masks]
    cotangents = [torch.from_numpy(layer.packed(i).to_dense()).to_sparse_csr() for i in layer.pool]
    ones = x[0].new_ones(len(x[0]), 1)

    def forward(i):
        return torch.sparse.sampled_addmm(biases[i], x[i], weight.t())

    def dx(i):
        return cotangents[i] @ weight

    def both(i):
        g = cotangents[i]
        return forward(i), dx(i), g.t() @ x[i], (g.t() @ ones)[:, 0]

    return {"forward": forward, "dx": dx, "both": both}


def torch_bsr(layer):
    """Sparse rows of blocks (BSR).  torch has the product with a dense matrix, but no sampled product."""
    import torch

    weight = torch.from_numpy(layer.weight)
    cotangents = [torch.from_numpy(layer.packed(i).to_dense()).to_sparse_bsr((1, layer.block)) for i in layer.pool]
    return {"dx": lambda i: cotangents[i] @ weight}


def scipy_bsr(layer):
    """Sparse rows of blocks (BSR).  SciPy has the product with a dense matrix, but no sampled product."""
    from scipy.sparse import bsr_array

    cotangents = []
    for i in layer.pool:
        g = layer.packed(i)
        lists = g.values[:, None, :], g.blocks.indices, g.blocks.indptr
        cotangents.append(bsr_array(lists, shape=g.shape, blocksize=(1, g.block)))
    return {"dx": lambda i: cotangents[i] @ layer.weight}


def naive_loops(layer):
    """Simple loops, compiled by Numba."""
    weight, bias, block = layer.weight, layer.bias, layer.block
    cotangents = [layer.packed(i).to_dense() for i in layer.pool]
    loop_forward, loop_dx, loop_dw = compiled_loops()

    def forward(i):
        out = np.zeros_like(cotangents[0])
        loop_forward(layer.x[i], weight, bias, layer.gates[i], block, out)
        return out

    def dx(i):
        out = np.zeros_like(layer.x[i])
        loop_dx(cotangents[i], weight, layer.gates[i], block, out)
        return out

    def both(i):
        dw, db = np.zeros_like(weight), np.zeros_like(bias)
        out, cotangent_of_x = forward(i), dx(i)
        loop_dw(cotangents[i], layer.x[i], layer.gates[i], block, dw, db)
        return out, cotangent_of_x, dw, db

    return {"forward": forward, "dx": dx, "both": both}


@cache
def compiled_loops():
    import numba

    @numba.njit(fastmath=True)
    def forward(x, weight, bias, gates, block, out):
        for i in range(len(x)):
            for u in range(len(weight)):
                if gates[i, u // block] != 0:
                    total = bias[u]
                    for d in range(x.shape[1]):
                        total += x[i, d] * weight[u, d]
                    out[i, u] = gates[i, u // block] * total

    @numba.njit(fastmath=True)
    def dx(g, weight, gates, block, out):
        for i in range(len(g)):
            for u in range(len(weight)):
                if gates[i, u // block] != 0:
                    for d in range(weight.shape[1]):
                        out[i, d] += g[i, u] * weight[u, d]

    @numba.njit(fastmath=True)
    def dw(g, x, gates, block, out, db):
        for i in range(len(g)):
            for u in range(len(out)):
                if gates[i, u // block] != 0:
                    db[u] += g[i, u]
                    for d in range(x.shape[1]):
                        out[u, d] += g[i, u] * x[i, d]

    return forward, dx, dw


DENSE = {"NumPy": numpy_dense, "torch": torch_dense}
SPARSE = {"naive loops": naive_loops, "torch CSR": torch_csr, "torch BSR": torch_bsr, "SciPy BSR": scipy_bsr}


def libraries(sparse):
    """The installed libraries by name, with those of SPARSE if `sparse` is true."""
    chosen = {"minigrad": minigrad, **DENSE, **(SPARSE if sparse else {})}
    return {name: make for name, make in chosen.items() if "torch" not in name or find_spec("torch")}


def agreeing(layer, functions, part):
    """The functions of all libraries that support a part.  `functions` is a dict from library to function.

    A library that does not support the part is left out.  Results that differ from minigrad's raise AssertionError.
    """
    mask = layer.mask(0)
    agreeing, expected = {}, None
    for name, function in functions.items():
        try:
            result = function(0)
        except RuntimeError:        # torch: not implemented for this format
            continue
        arrays = [plain(array) for array in (result if isinstance(result, tuple) else [result])]
        if part in ("forward", "both"):         # dense libraries do not multiply by the gates
            arrays[0] = arrays[0] * mask
        agreeing[name] = function
        if expected is None:
            expected = [array.copy() for array in arrays]
        for array, wanted in zip(arrays, expected, strict=True):
            assert_close(name, array, wanted)
    return agreeing


def assert_close(name, array, wanted):
    """Raise AssertionError unless an array equals the expected one up to rounding."""
    rtol = {"float32": 1e-4, "float64": 1e-11}[wanted.dtype.name]
    error, size = abs(array - wanted).max(), abs(wanted).max()
    if not error <= rtol * size:
        raise AssertionError(f"{name} differs from minigrad by {error:.2g} in entries of up to {size:.2g}")


def rotating(function, pool):
    """A function that calls `function` with the next input of the pool."""
    inputs = cycle(pool)
    return lambda: function(next(inputs))


def plain(array):
    """A result of any library as a NumPy array."""
    if isinstance(array, np.ndarray):
        return array
    dense = array.to_dense()
    return dense if isinstance(dense, np.ndarray) else dense.numpy()
