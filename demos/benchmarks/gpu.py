"""A gated layer on a GPU, next to torch computing all of it there; called by ``gated --device cuda``.

    python -m demos.benchmarks.gated --device cuda              everything below, two minutes
    python -m demos.benchmarks.gated --device cuda --quick      tiny sizes, to see that everything runs

What is measured, on inputs that change from call to call:

    forward   gate lists and out = gates · (x Wᵀ + b)
    dx, dw    the gradients of input and weight, for the cotangent of the open blocks
    both      forward, then dx, dw and the gradient of the bias

in minigrad, in torch in float32, and, to know what accuracy could buy, in torch with tf32, whose factors have 10 bits.
The forward product is also measured with the kernels that are there to be read: a thread per number ("plain") and the
shared-memory tile of textbooks ("16x16 tile").  Results are compared before they are timed.

Times are the GPU's, between two events around as many calls as last a while, so queueing is in them where it takes
longer than the work.  ``host`` is the time that a call takes to queue, on the host's clock, when nothing is waiting.

    efficiency = density × time of torch / time of minigrad

is 1 where closed blocks cost nothing at all and open ones are computed as fast as torch does.  In Numba's simulator
everything runs, and no time is given.
"""

import platform
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from itertools import cycle, product
from statistics import median
from time import perf_counter

from demos.benchmarks import measure
from demos.benchmarks.layer import Layer
from minigrad import devices, kernels
from minigrad.kernels import Packed
from minigrad.kernels.device import arrays, transfer

PARTS = "forward", "dx", "dw", "both"
TO_READ = "plain", "16x16 tile"
USUAL = {"batch": [512], "density": [0.1, 0.25, 1.0], "block": [1, 16, 32], "size": [(4096, 16384), (1024, 4096)],
         "rounds": 7, "burst": 2e-2}
QUICK = {"batch": [3], "density": [0.25], "block": [1, 8], "size": [(5, 16)], "rounds": 1, "burst": 0.0}


@dataclass(frozen=True)
class Row:
    """What was measured of one part of a layer: by library, None where no time can be given."""

    part: str
    size: tuple
    batch: int
    block: int
    density: float
    seconds: dict       # of the GPU, for a call
    host: dict          # of the host, to queue a call

    def ratio(self, library):
        """How many times as long as minigrad a library takes, or None."""
        times = self.seconds.get(library), self.seconds["minigrad"]
        return times[0] / times[1] if all(times) else None

    @property
    def efficiency(self):
        ratio = self.ratio("torch")
        return ratio and self.density * ratio

    @property
    def teraflops(self):
        """Of the products of open blocks, in minigrad: 10¹² multiplications and additions in a second."""
        products = 3 if self.part == "both" else 1
        work = 2 * products * self.batch * self.size[0] * self.size[1] * self.density
        return self.seconds["minigrad"] and work / self.seconds["minigrad"] / 1e12


def main(options):
    """Measure what the command line asks for, print it as Markdown and return the rows."""
    devices.usable("cuda")
    print(machine())
    print(f"{options.dtype}, median of {options.rounds} interleaved rounds\n")
    rows = []
    cases = list(product(options.size, options.batch, options.block, options.density))
    for case in measure.progress(cases):
        rows += of_layer(options, *case)
        if case[0] not in [size for size, *_ in cases[cases.index(case) + 1:]]:
            # Each table as soon as it is complete: time may run out before the next.
            print(markdown([row for row in rows if row.size == case[0]]), flush=True)
    return rows


def of_layer(options, size, batch, block, density):
    """The rows of one layer."""
    layer = Layer(batch, *size, block, density, options.dtype)
    ours = in_minigrad(layer)
    libraries = {"minigrad": ours}
    if usable_torch():
        libraries["torch"] = in_torch(layer)
        libraries["torch tf32"] = {part: with_tf32(run) for part, run in libraries["torch"].items()}
    check(layer, ours, libraries.get("torch"))
    if options.part in (None, "forward") and block >= 8:
        libraries |= to_read(layer)
    for part in PARTS if options.part is None else [options.part]:
        runs = {name: rotating(parts[part], layer.pool) for name, parts in libraries.items() if part in parts}
        seconds, host = timed(runs, options.rounds, options.burst)
        yield Row(part, size, batch, block, layer.density, seconds, host)


def in_minigrad(layer):
    """Functions of the number of an input, by part."""
    weight, bias, block = transfer.to_device(layer.weight), transfer.to_device(layer.bias), layer.block
    x, gates = ([transfer.to_device(array) for array in each] for each in (layer.x, layer.gates))
    blocks = [kernels.open_blocks(array) for array in gates]
    cotangents = [Packed.gather(transfer.to_device(layer.packed(i).to_dense()), blocks[i], block) for i in layer.pool]
    target = arrays.device_library().empty(weight.shape, weight.dtype)

    def forward(i):
        return kernels.gated_linear(x[i], weight, bias, gates[i], block)

    def dx(i):
        return kernels.gated_linear_dx(cotangents[i], weight, gates[i], blocks[i], block)

    def dw(i):
        return kernels.gated_linear_dw(cotangents[i], x[i], gates[i], blocks[i], block, out=target)

    def both(i):
        out = forward(i)
        g = out.with_values(cotangents[i].values)
        return (out, kernels.gated_linear_dx(g, weight, gates[i], out.blocks, block),
                kernels.gated_linear_dw(g, x[i], gates[i], out.blocks, block, out=target),
                kernels.gated_linear_db(g, gates[i], out.blocks, block))

    return {"forward": forward, "dx": dx, "dw": dw, "both": both}


def to_read(layer):
    """The forward product by the kernels that are there to be read, lists and all."""
    from minigrad.kernels.cuda import plain, shared

    weight = transfer.to_device(layer.weight)
    x, gates = ([transfer.to_device(array) for array in each] for each in (layer.x, layer.gates))

    def by(products):
        def forward(i):
            blocks = kernels.open_blocks(gates[i])
            values = blocks.empty(layer.block, weight.dtype)
            products.sdd(x[i], weight, blocks, values)
            return values

        return {"forward": forward}

    return dict(zip(TO_READ, map(by, (plain, shared)), strict=True))


def in_torch(layer):
    """The same, all blocks computed, into arrays that are there already, without the gates."""
    import torch

    def here(array):
        return torch.from_numpy(array).cuda()

    weight, bias = here(layer.weight), here(layer.bias)
    x, cotangents = ([here(array) for array in each] for each in (
        layer.x, [layer.packed(i).to_dense() for i in layer.pool]))
    out, into_x, into_w = map(torch.empty_like, (cotangents[0], x[0], weight))

    def forward(i):
        return torch.addmm(bias, x[i], weight.t(), out=out)

    def dx(i):
        return torch.mm(cotangents[i], weight, out=into_x)

    def dw(i):
        return torch.mm(cotangents[i].t(), x[i], out=into_w)

    def both(i):
        return forward(i), dx(i), dw(i), cotangents[i].sum(0)

    return {"forward": forward, "dx": dx, "dw": dw, "both": both}


def with_tf32(run):
    """The same products with the multipliers for factors of 10 bits."""
    import torch

    def run_with_tf32(i):
        torch.backends.cuda.matmul.allow_tf32 = True
        try:
            return run(i)
        finally:
            torch.backends.cuda.matmul.allow_tf32 = False

    return run_with_tf32


@cache
def usable_torch():
    """Whether torch is installed and has the GPU."""
    if arrays.simulated() or not find_spec("torch"):
        return False
    import torch

    return torch.cuda.is_available()


def check(layer, ours, theirs):
    """Raise AssertionError unless forward and backward are what torch, or NumPy in its place, computes."""
    out, *gradients = (transfer.to_host(array) for array in dense(ours["both"](0)))
    if theirs:
        wanted = [array.cpu().numpy() for array in theirs["both"](0)]
    else:
        g = layer.packed(0).to_dense()
        wanted = [layer.x[0] @ layer.weight.T + layer.bias, g @ layer.weight, g.T @ layer.x[0], g.sum(axis=0)]
    wanted[0] = wanted[0] * layer.mask(0)
    for name, found, right in zip(("forward", "dx", "dw", "db"), (out, *gradients), wanted, strict=True):
        error, scale = abs(found - right).max(), abs(right).max()
        if not error <= {"float32": 1e-4, "float64": 1e-11}[right.dtype.name] * scale:
            raise AssertionError(f"{name} differs by {error:.2g} in entries of up to {scale:.2g}")


def dense(results):
    return [array.to_dense() if isinstance(array, Packed) else array for array in results]


def rotating(function, pool):
    """A function that calls `function` with the next input of the pool."""
    inputs = cycle(pool)
    return lambda: function(next(inputs))


def timed(runs, rounds, burst):
    """Seconds of the GPU, and of the host, for one call of each function in `runs`: medians of interleaved rounds.

    None for all in the simulator, where each is called once.
    """
    from numba import cuda

    if arrays.simulated():
        for run in runs.values():
            run()
        return dict.fromkeys(runs), dict.fromkeys(runs)
    begin, end = cuda.event(), cuda.event()

    def several(run, calls):
        cuda.synchronize()
        start = perf_counter()
        begin.record()
        for _ in range(calls):
            run()
        end.record()
        queued = perf_counter() - start
        end.synchronize()
        return 1e-3 * cuda.event_elapsed_time(begin, end) / calls, queued / calls

    calls = {}
    for name, run in runs.items():
        several(run, 3)                                     # compiled, and memory taken from the driver
        calls[name] = max(3, round(burst / several(run, 3)[0]))
    seconds, host = ({name: [] for name in runs} for _ in range(2))
    for _ in range(rounds):
        for name, run in runs.items():
            seconds[name].append(several(run, calls[name])[0])
            # Few calls, so that the queue does not fill up and the host never waits for the GPU.
            host[name].append(several(run, 3)[1])
    return ({name: median(times) for name, times in each.items()} for each in (seconds, host))


def machine():
    """The GPU and the versions of what is measured, in a few lines."""
    from numba import cuda

    distributions = packages_distributions()
    installed = [f"{distributions[name][0]} {version(distributions[name][0])}"
                 for name in ("numpy", "numba", "numba_cuda", "cupy", "torch") if name in distributions]
    lines = [devices.describe("cuda")]
    if not arrays.simulated():
        device = cuda.get_current_device()
        lines[0] += ", compute capability {}.{}".format(*device.compute_capability)
        lines[0] += f", {device.MULTIPROCESSOR_COUNT} multiprocessors"
    return "\n".join([*lines, f"Python {platform.python_version()}, " + ", ".join(installed)])


def markdown(rows):
    """A table for each size, as Markdown; a dash where nothing was measured."""
    lines = []
    for size in dict.fromkeys(row.size for row in rows):
        lines += [f"A layer of {size[0]}×{size[1]}: milliseconds of the GPU, and microseconds of the host.",
                  "", "| batch | block | density | part | minigrad | torch | torch tf32 | " + " | ".join(TO_READ)
                  + " | torch / minigrad | efficiency | Tflop/s | host |", "|---:" * 3 + "|---" + "|---:" * 9 + "|"]
        for row in (row for row in rows if row.size == size):
            times = [number(row.seconds.get(name), 1e3, 3) for name in ("minigrad", "torch", "torch tf32", *TO_READ)]
            lines.append(f"| {row.batch} | {row.block} | {row.density:.3g} | {row.part} | " + " | ".join(times)
                         + f" | {number(row.ratio('torch'), 1, 2)} | {number(row.efficiency, 1, 2)}"
                         f" | {number(row.teraflops, 1, 1)} | {number(row.host['minigrad'], 1e6, 0)} |")
        lines.append("")
    return "\n".join(lines)


def number(value, scale, digits):
    return "–" if value is None else f"{scale * value:.{digits}f}"
