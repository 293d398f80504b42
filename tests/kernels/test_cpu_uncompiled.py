"""Each function in NumPy gives the results of the compiled function."""

import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels.cpu import driver, uncompiled


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    gates = rng.uniform(-2, 2, (6, 4)) * (rng.random((6, 4)) < 0.6)
    x_gates = rng.random((6, 5)) < 0.5
    x = kernels.Packed.gather(rng.standard_normal((6, 15)), kernels.open_blocks(x_gates), 3)
    return rng, gates, x


def test_every_function_computes_what_the_compiled_one_does(problem):
    rng, gates, x = problem
    weight, bias, g = rng.standard_normal((8, 15)), rng.standard_normal(8), rng.standard_normal((6, 8))
    results = []
    for module in (driver, uncompiled):
        blocks = module.open_blocks(gates)
        values = blocks.gather(g, 2)
        out = [getattr(blocks, name) for name in ("indptr", "indices", "block_indptr", "examples", "positions")]
        out += [blocks.binary, module.sdd(x.to_dense(), weight, blocks, 2), module.sdd_both(x, weight, blocks, 2),
                module.dsd(values, weight, blocks, np.ones((6, 15))),
                module.dsd_both(values, weight, blocks, x.blocks, 3)]
        for keep, rate in ((0, 1), (1, -0.5)):
            target = np.ones((8, 15))
            module.dw(values, x.to_dense(), blocks, target, keep, rate)
            out.append(target)
        target, sums, dgates = np.ones((8, 15)), np.ones(8), np.zeros((6, 4))
        module.dw_both(values, x, blocks, target, -0.5)
        module.sum_examples(values, blocks, sums, -0.5)
        module.gate_products(values, values, gates, blocks, dgates)
        scaled = values.copy()
        module.add_bias(scaled, bias, blocks)
        module.scale(scaled, gates, blocks, scaled)
        results.append([*out, target, sums, dgates, scaled])
    for compiled, ours in zip(*results, strict=True):
        np.testing.assert_allclose(ours, compiled, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("module", [driver, uncompiled], ids=["compiled", "NumPy"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_gates_that_are_not_finite_are_refused(module, bad):
    with pytest.raises(ValueError, match=r"finite values, got (nan|inf) at \(0, 1\)"):
        module.open_blocks(np.array([[1.0, bad]]))
