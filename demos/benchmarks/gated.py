"""How fast are gated layers, next to computing everything and multiplying by gates?

    python -m demos.benchmarks.gated                        everything below, about 20 minutes
    python -m demos.benchmarks.gated --quick                the same at tiny sizes, some seconds
    python -m demos.benchmarks.gated --part step --batch 128 --density .1
    python -m demos.benchmarks.gated --profile              where the time of a training step goes
    python -m demos.benchmarks.gated --device cuda          a layer on a GPU, next to torch there (``gpu``)

Measured side by side in one process: one layer forward, and forward and backward (``layer``), and a
whole training step (``step``), in minigrad, dense NumPy and, where they are installed, dense torch,
the sparse formats of torch and SciPy, and plain Numba loops.  The last, which are slow, run for a
batch of 128 and blocks of 1 and 16 alone, unless ``--all`` is given.  All results are compared before
they are timed.

    share of the roofline = least time that this processor allows / time of minigrad

is 1 where no program could be faster (``roofline``).  It is given for warm weights, which the call before has used, and
for cold weights, which come from memory.  Needs threadpoolctl, and matplotlib for the picture.
"""

import argparse
from dataclasses import dataclass
from itertools import product
from statistics import median
from time import process_time

import numpy as np

from demos.benchmarks import gpu, layer, measure, roofline, step
from demos.benchmarks.layer import rotating
from minigrad import devices

DENSITIES = 0.02, 0.05, 0.1, 0.25, 0.5, 1.0
LAYERS = (1024, 4096), (784, 2048)
NETWORKS = (784, 2000, 10), (1024, 4096, 1024)
QUICK = {"batch": [4], "density": [0.25, 1.0], "block": [1, 8], "size": [(64, 128)], "threads": [1],
         "rounds": 3, "network": [(64, 128, 10)], "burst": 1e-4, "all": True}
USUAL = {"batch": [1, 32, 128, 512], "density": list(DENSITIES), "block": [1, 8, 16, 32], "size": list(LAYERS),
         "threads": [1, 2], "rounds": 7, "network": list(NETWORKS), "burst": 5e-3}
TITLES = {"forward": "forward", "dx": "gradient of the input", "dw": "gradient of the weight", "sgd": "step of SGD",
          "both": "forward and backward", "step": "training step"}
USUAL_PARTS = "forward", "sgd", "both"


@dataclass(frozen=True)
class Row:
    """What was measured for one layer or network: `seconds` by library, None where it refuses."""

    part: str
    size: tuple
    batch: int
    block: int
    density: float          # asked for
    share_open: float       # of the gates that were drawn
    threads: int
    seconds: dict
    least: float | None = None          # seconds that the processor allows, with warm weights
    cold: tuple | None = None           # with cold weights: seconds of minigrad, seconds that the processor allows

    @property
    def warm_share(self):
        return None if self.least is None else self.least / self.seconds["minigrad"]

    @property
    def cold_share(self):
        return None if self.cold is None else self.cold[1] / self.cold[0]

    def ratio(self, library):
        """How many times as long as minigrad a library takes."""
        return self.seconds[library] / self.seconds["minigrad"]


def main(argv=None):
    """Measure, print and draw what the command line asks for; returns the rows of all tables."""
    options = parsed(argv)
    if options.device == "cuda":
        return gpu.main(options)
    print(measure.machine())
    if options.profile:
        print_profile(options)
        return []
    print(f"{options.dtype}, median of {options.rounds} interleaved rounds")
    core = roofline.measured(options.dtype)
    print(core)
    rows = []
    for count in options.threads:
        with measure.threads(count):
            print(measure.thread_counts())
            cases = product(options.size, options.batch, options.block, options.density)
            if options.part != "step":
                for case in measure.progress(list(cases)):
                    rows += of_layer(options, core, count, *case)
            cases = product(options.network, options.batch, options.block, options.density)
            if options.part in (None, "step"):
                for case in measure.progress(list(cases)):
                    rows += of_step(options, count, *case)
    print_tables(rows)
    if options.out:
        draw(rows, options.out)
        print(f"\n{options.out}: time against density")
    return rows


def parsed(argv):
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    for name, kind in (("batch", int), ("density", float), ("block", int), ("threads", int)):
        parser.add_argument(f"--{name}", type=kind, nargs="+", help=f"default {USUAL[name]}")
    parser.add_argument("--size", type=sizes, nargs="+", metavar="INxOUT", help="layers, such as 1024x4096")
    parser.add_argument("--network", type=sizes, nargs="+", metavar="INxHIDDENxOUT", help="for the training step")
    parser.add_argument("--part", choices=list(TITLES), help="measure this alone")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--rounds", type=int, help=f"measurements of each, default {USUAL['rounds']}")
    parser.add_argument("--out", metavar="FILE.png", help="draw time against density")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything runs")
    parser.add_argument("--all", action="store_true", help="run the slow libraries everywhere")
    parser.add_argument("--profile", action="store_true", help="where the time of a training step goes")
    parser.add_argument("--device", choices=devices.NAMES, default="cpu")
    options = parser.parse_args(argv)
    if options.device == "cuda" and (options.part == "step" or options.profile or options.out):
        parser.error("--device cuda measures a layer, as a table: leave --part step, --profile and --out away")
    quick, usual = (gpu.QUICK, gpu.USUAL) if options.device == "cuda" else (QUICK, USUAL)
    for name, value in (quick if options.quick else usual).items():
        if not getattr(options, name, None):
            setattr(options, name, value)
    return options


def sizes(text):
    return tuple(map(int, text.split("x")))


def of_layer(options, core, threads, size, batch, block, density):
    """The rows of one layer: forward, and both ways; with the sparse libraries also dx alone."""
    if size[1] % block:
        return
    sparse = options.all or (batch == 128 and block in (1, 16) and density < 1 and threads == options.threads[0])
    made = layer.Layer(batch, *size, block, density, options.dtype)
    prepared = {name: make(made) for name, make in layer.libraries(sparse).items()}
    for part in [options.part] if options.part else layer.PARTS if sparse else USUAL_PARTS:
        functions = {name: parts[part] for name, parts in prepared.items() if part in parts}
        runs = {name: rotating(function, made.pool)
                for name, function in layer.agreeing(made, functions, part).items()}
        seconds = measure.interleaved(runs, options.rounds, options.burst)
        least, cold = shares(core, part, made, functions["minigrad"], options.rounds) if threads == 1 else (None, None)
        yield Row(part, size, batch, block, density, made.density, threads,
                  dict.fromkeys(functions) | seconds, least, cold)


def shares(core, part, made, function, rounds):
    """(least seconds with warm weights, (seconds, least seconds) with cold weights) of a part of a layer."""
    warm, cold = (sum(core.seconds(*one) for one in roofline.of_layer(part, made, cold=cold)) for cold in (False, True))
    other = np.zeros(2 * core.sizes[2], np.uint8)
    times = []
    for i in range(rounds):
        other += 1                      # leaves nothing else in the caches
        begin = process_time()
        function(i % len(made.pool))
        times.append(process_time() - begin)
    return warm, (median(times), cold)


def of_step(options, threads, size, batch, block, density):
    """The row of one network's training step."""
    if size[1] % block:
        return
    networks = step.networks()
    if density == options.density[0]:
        step.check(networks, min(batch, 32), *size, block)
    given = step.problem(batch, *size, block, density, options.dtype)
    runs = {name: network(**given).step for name, network in networks.items()}
    seconds = measure.interleaved(runs, options.rounds, options.burst)
    yield Row("step", size, batch, block, density, density, threads, seconds)


def print_tables(rows):
    def of(row):
        return row.part, row.size, row.threads

    for part, size, threads in dict.fromkeys(map(of, rows)):
        group = [row for row in rows if of(row) == (part, size, threads)]
        blocks = list(dict.fromkeys(row.block for row in group))
        title = f"{'-'.join(map(str, size))}, {TITLES[part]}, {threads} thread{'s' * (threads > 1)}"
        print(f"\n{title}: ms, speed-up over NumPy, over torch"
              + (", share of the roofline with warm weights, with cold ones" if group[0].least else ""))
        print("batch density" + "".join(f"{f'blocks of {block}':>{33 if group[0].least else 21}}" for block in blocks))
        for batch, density in dict.fromkeys((row.batch, row.density) for row in group):
            line = [row for row in group if (row.batch, row.density) == (batch, density)]
            print(f"{batch:5}{density:8g}" + "".join(map(cell, line)))
    sparse = [row for row in rows if layer.SPARSE.keys() & row.seconds.keys()]
    if sparse:
        names = ["minigrad", *layer.DENSE, *layer.SPARSE]
        print("\nWith the libraries for sparse arrays: ms; (no) where it refuses, - where it has no such product")
        print(f"{'':44}" + "".join(f"{name:>13}" for name in names))
        for row in sparse:
            print(f"{'-'.join(map(str, row.size)):>9} {TITLES[row.part]:21}{row.batch:4}{row.block:3}"
                  f"{row.density:6g}" + "".join(f"{milliseconds(row, name):>13}" for name in names))


def cell(row):
    torch = f"{row.ratio('torch'):6.1f}" if "torch" in row.seconds else f"{'-':>6}"
    ours = 1e3 * row.seconds["minigrad"]
    shares = f"{row.warm_share:6.2f}{row.cold_share:6.2f}" if row.least else ""
    return f"{ours:9.{2 if ours >= 1 else 3}f}{row.ratio('NumPy'):6.1f}{torch}{shares}"


def milliseconds(row, name):
    if name not in row.seconds:
        return "-"
    return "(no)" if row.seconds[name] is None else f"{1e3 * row.seconds[name]:.3f}"


def print_profile(options):
    """Print where the time of a training step goes, for the first network, on one thread."""
    batch, block, density = 128, 16, 0.1
    size = NETWORKS[0]
    with measure.threads(1):
        print(measure.thread_counts())
        network = step.InMinigrad(**step.problem(batch, *size, block, density, options.dtype))
        whole, inside, statistics = step.share_in_kernels(network, options.rounds)
    print(f"\n{'-'.join(map(str, size))}, batch {batch}, block {block}, density {density}: "
          f"{1e6 * whole:.0f} µs a step, {sum(inside.values()) / whole:.0%} of it in kernels")
    for name, seconds in sorted(inside.items(), key=lambda entry: -entry[1]):
        print(f"{1e6 * seconds:9.1f} µs  {name}")
    print("\nThe rest, as Python's profiler sees it (which makes it slower):")
    statistics.strip_dirs().sort_stats("tottime").print_stats(25)


def draw(rows, file):
    """Time against density for the first size and thread count, a picture for each part and batch."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    size, threads = next((row.size, row.threads) for row in rows)
    rows = [row for row in rows if row.part in ("forward", "both")
            and (row.size, row.threads) == (size, threads)]
    parts, batches = (list(dict.fromkeys(values)) for values in
                      ([row.part for row in rows], [row.batch for row in rows]))
    figure, places = pyplot.subplots(len(parts), len(batches), squeeze=False, sharex=True, layout="constrained",
                                     figsize=(1 + 3.6 * len(batches), 1.2 + 3.4 * len(parts)))
    for (part, batch), place in zip(product(parts, batches), places.flat, strict=True):
        panel = [row for row in rows if (row.part, row.batch) == (part, batch)]
        draw_panel(place, panel)
        place.set_title(f"{TITLES[part]}, batch {batch}", fontsize=10)
    for place in places[-1]:
        place.set_xlabel("density of open blocks")
    for place in places[:, 0]:
        place.set_ylabel("time, ms")
    labelled = {}
    for place in places.flat:
        handles, labels = place.get_legend_handles_labels()
        labelled |= dict(zip(labels, handles, strict=True))
    figure.suptitle(f"A gated layer of {size[0]}×{size[1]}, {threads} thread{'s' * (threads > 1)}")
    figure.legend(labelled.values(), labelled.keys(), loc="outside lower center", ncols=1 + len(batches), frameon=False)
    figure.savefig(file, dpi=130)
    pyplot.close(figure)


def draw_panel(place, panel):
    """One picture: a line for each block, the dense libraries, the ideal, and loops and CSR if measured."""
    def line(name, block, label, scale=1.0, **style):
        chosen = [row for row in panel if row.block == block and row.seconds.get(name)]
        if chosen:
            place.loglog([row.share_open for row in chosen],
                         [1e3 * row.seconds[name] * (row.share_open if scale == "density" else 1) for row in chosen],
                         label=label, **style)

    blocks = sorted({row.block for row in panel})
    largest = blocks[-1]
    line("NumPy", largest, "NumPy, dense", color="black", linestyle="--")
    line("torch", largest, "torch, dense", color="grey", linestyle="-.")
    line("NumPy", largest, "ideal: density × NumPy, dense", scale="density", color="black", linestyle=":")
    for block, color, marker in zip(blocks, ("#D55E00", "#E69F00", "#56B4E9", "#0072B2"), "osD^", strict=False):
        line("minigrad", block, f"minigrad, block {block}", color=color, marker=marker, markersize=4)
    line("naive loops", 16, "naive loops, block 16", color="#CC79A7", marker="x", markersize=4, linewidth=0.8)
    line("torch CSR", 16, "torch CSR, block 16", color="#009E73", marker="+", markersize=5, linewidth=0.8)
    place.grid(which="major", alpha=0.3)


if __name__ == "__main__":
    measure.without_presets()
    main()
