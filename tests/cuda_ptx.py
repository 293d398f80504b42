"""Compile the kernels for CUDA without a GPU, and read the report of the assembler on each kernel.

    python -m tests.cuda_ptx            a table: registers, shared memory and spills of every kernel
    python -m tests.cuda_ptx --every    the same for more sizes and double precision, compiled for each capability
    python -m tests.cuda_ptx --json     for programs

This file has no list of kernels, types and numbers of threads. It calls the functions of `driver` on arrays that
replace those of a GPU. Each launch is recorded instead of made. Numba compiles the recorded kernels to PTX, and ptxas
assembles the PTX. Both get the description of a device, since there may be no GPU. Run this in a separate process: it
replaces parts of Numba and of minigrad.
"""

import argparse
import importlib
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

CAPABILITIES = (8, 0), (9, 0)
MULTIPROCESSORS = 132
#: Examples, blocks, block and width for each way that products take; rows of 255 numbers are no whole vectors.
SHAPES = [(64, 8, block, 256) for block in (1, 8, 16, 32)] + [(64, 8, 1, 255), (64, 8, 32, 255)]
DOUBLE = [(64, 8, 1, 256), (64, 8, 16, 256), (64, 8, 32, 255)]
EVERY = [(64, 8, block, width) for block in (1, 2, 4, 8, 16, 32) for width in (256, 255)]


def toolkit():
    """(path of ptxas, None), or (None, what is missing to compile kernels without a GPU)."""
    from numba import config

    if config.ENABLE_CUDASIM:
        return None, "Numba's CUDA simulator compiles nothing"
    try:
        from numba.cuda.cudadrv.nvvm import NVVM

        NVVM()
    except Exception as error:      # no library, or one of a version that Numba does not know
        return None, f"Numba cannot use libnvvm of a CUDA toolkit: {error}".splitlines()[0]
    homes = [os.environ.get("CUDA_HOME", ""), os.environ.get("CUDA_PATH", ""), "/usr/local/cuda",
             *(f"{folder}/nvidia/{part}" for folder in sys.path for part in ("cuda_nvcc", "cu13"))]
    folders = [os.environ.get("PATH", ""), *(f"{home}/bin" for home in homes)]
    found = shutil.which("ptxas", path=os.pathsep.join(folders))
    return (found, None) if found else (None, "ptxas of a CUDA toolkit is neither on PATH nor under CUDA_HOME")


def stand_ins():
    """Pretend that there is a device: simulated CuPy arrays, 132 multiprocessors, and launches that are only recorded.

    Returns the list of recorded launches, as (kernel, threads, arguments).
    """
    import numpy as np
    from numba import cuda
    from numba.cuda import dispatcher

    from minigrad.kernels.cuda import grid, wide
    from minigrad.kernels.device import arrays

    device = SimpleNamespace(MULTIPROCESSOR_COUNT=MULTIPROCESSORS, compute_capability=CAPABILITIES[0])
    cuda.mapped_array = np.zeros
    cuda.get_current_device = dispatcher.get_current_device = lambda: device
    noted = []
    arrays.simulated = lambda: True
    grid.view = lambda array: array.memory
    grid.configured = lambda kernel, grid, threads: lambda *given: noted.append((kernel, threads, given))
    wide._start = lambda array: array.memory.ctypes.data
    return noted


def launch_everything(every):
    """Call the functions of `driver`, and the simple products, so that every kernel runs in every dtype."""
    import numpy as np

    from minigrad.kernels import Packed
    from minigrad.kernels.cuda import dispatch, driver, plain, shared
    from minigrad.kernels.device import arrays

    library = arrays.device_library()
    for dtype in (np.float32, np.float64):
        for examples, count, block, width in EVERY if every else SHAPES if dtype == np.float32 else DOUBLE:
            def make(*shape, dtype=dtype):
                return library.array(np.ones(shape, dtype))

            gates, x, weight = make(examples, count), make(examples, width), make(count * block, width)
            blocks = driver.open_blocks(gates)
            values = driver.sdd(x, weight, blocks, block)
            driver.dsd(values, weight, blocks, make(examples, width))
            driver.dw(values, x, blocks, make(count * block, width), 0, 1)
            if (block, width) == (16, 256):
                others(driver, make, gates, blocks, values)
                for products in (plain, shared):
                    products.sdd(x, weight, blocks, values)
                    products.dsd(values, weight, blocks, x)
                    products.dw(values, x, blocks, weight, 0, 1)
                packed = Packed(make(examples * count, width // count), blocks, width // count)
                driver.sdd_both(packed, weight, blocks, block)
                driver.dsd_both(values, weight, blocks, blocks, width // count)
                driver.dw_both(values, packed, blocks, weight, 1)
                plain.sdd_both(packed.values, weight, blocks, blocks, values)
                plain.dw_both(values, packed.values, blocks, blocks, weight, 1)
                few = dispatch.slices_for
                dispatch.slices_for = lambda tiles, windows: 2
                driver.dsd(values, weight, blocks, x)
                dispatch.slices_for = few


def others(driver, make, gates, blocks, values):
    """The functions of `driver` that are not products."""
    bias, dense = make(values.shape[1] * blocks.shape[1]), make(blocks.shape[0], values.shape[1] * blocks.shape[1])
    driver.add_bias(values, bias, blocks)
    driver.scale(values, gates, blocks, values)
    driver.sum_examples(values, blocks, bias, 1)
    driver.gate_products(values, values, gates, blocks, gates)
    blocks.scatter(blocks.gather(dense, values.shape[1]))
    driver.bernoulli_gates(gates, driver.uniforms(1, 2, 3, 4, gates.shape, gates.dtype))
    driver.normals(1, 2, 3, 4, gates.shape, gates.dtype)
    driver.logistics(1, 2, 3, 4, gates.shape, gates.dtype)
    driver.open_blocks(gates.astype(bool))


def kernels_of_the_package():
    """The names of all kernels that are not closures.  Closures are in the tables of `tiles`."""
    from numba.cuda.dispatcher import CUDADispatcher

    from minigrad.kernels import cuda

    names = set()
    for found in pkgutil.iter_modules(cuda.__path__):
        if found.ispkg:
            continue
        module = importlib.import_module(f"{cuda.__name__}.{found.name}")
        names |= {called(value) for value in vars(module).values()
                  if isinstance(value, CUDADispatcher) and not value.targetoptions.get("device")}
    return names


def called(kernel):
    function = kernel.py_func
    return f"{function.__module__.rpartition('.')[2]}.{function.__name__}"


def reports(ptxas, every=False):
    """One dict for each kernel, dtype and size of tile, for every capability.

    PTX is written for the lowest capability, and ptxas makes code for all capabilities from it.  With `every`, PTX is
    written for each capability.
    """
    from numba import cuda, typeof

    noted = stand_ins()
    launch_everything(every)
    assert kernels_of_the_package() <= {called(kernel) for kernel, _, _ in noted}, "a kernel that nothing launches"
    seen = set()
    for kernel, threads, given in noted:
        signature = tuple(map(typeof, given))
        if (kernel, signature) in seen:
            continue
        seen.add((kernel, signature))
        dtype = next((name for name in ("float32", "float64") if name in str(signature)), "-")
        constants = dict(zip(kernel.py_func.__code__.co_freevars,
                             (cell.cell_contents for cell in kernel.py_func.__closure__ or ()), strict=True))
        tile = {name: value for name, value in constants.items() if isinstance(value, (int, bool))}
        threads = threads if isinstance(threads, int) else threads[0] * threads[1]
        for capability in CAPABILITIES:
            if every or capability == CAPABILITIES[0]:
                ptx, _ = cuda.compile_ptx(kernel.py_func, signature, cc=capability)
            yield {"kernel": called(kernel), "capability": "sm_{}{}".format(*capability), "tile": tile,
                   "dtype": dtype, "threads": threads, **assembled(ptxas, ptx, capability), **contents(ptx)}


def assembled(ptxas, ptx, capability):
    """The report of ptxas on the registers and memory of a kernel."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "kernel.ptx").write_text(ptx, encoding="utf-8")
        told = subprocess.run([ptxas, "-arch=sm_{}{}".format(*capability), "-v", "kernel.ptx", "-o", "kernel.cubin"],
                              cwd=folder, capture_output=True, text=True, check=False)
    if told.returncode:
        raise RuntimeError(f"{ptxas} refuses what libnvvm, of another toolkit perhaps, wrote: {told.stderr.strip()}")
    told = told.stdout + told.stderr

    def number(pattern):
        return int((re.search(pattern, told) or [0, 0])[1])

    return {"registers": number(r"Used (\d+) registers"), "spilled": number(r"(\d+) bytes spill stores"),
            "stack": number(r"(\d+) bytes stack frame"), "shared": number(r"(\d+) bytes smem")}


def contents(ptx):
    """Facts from the text of the PTX."""
    return {"wide global loads": ptx.count("ld.global.v4.f32"), "wide shared loads": ptx.count("ld.shared.v4.f32"),
            "doubles": len(re.findall(r"\.f64\b", ptx)), "fused": len(re.findall(r"\bfma\.", ptx)),
            "approximate": len(re.findall(r"\b(?:div|sqrt|rcp)\.(?!rn\.f64)\S*f(?:32|64)\b", ptx)),
            "atomics on floats": len(re.findall(r"\b(?:atom|red)\.\S*\.f(?:32|64)\b", ptx)),
            "shared arrays": [int(size) for size in re.findall(r"\.shared \.align \d+ \.b8 [^\[]+\[(\d+)\]", ptx)]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one line of JSON for each kernel")
    parser.add_argument("--every", action="store_true", help="more sizes and types, and PTX for each capability")
    options = parser.parse_args()
    ptxas, missing = toolkit()
    if missing:
        sys.exit(f"cannot compile kernels here: {missing}")
    if not options.json:
        print(f"{'kernel':24}{'dtype':9}{'for':7}{'threads':>8}{'registers':>10}{'shared':>8}{'spilled':>8}  tile")
    for row in reports(ptxas, options.every):
        if options.json:
            print(json.dumps(row), flush=True)
        else:
            tile = " ".join(f"{name}={value:d}" for name, value in row["tile"].items())
            print(f"{row['kernel']:24}{row['dtype']:9}{row['capability']:7}{row['threads']:8}{row['registers']:10}"
                  f"{row['shared']:8}{row['spilled'] + row['stack']:8}  {tile}", flush=True)


if __name__ == "__main__":
    main()
