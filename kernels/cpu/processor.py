"""Facts of this processor that decide how products are computed: the width of its vectors, the size of its caches."""

import platform
from functools import cache
from pathlib import Path

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
# Where the operating system does not say: what most processors have at least.
_USUAL = {1: 32 << 10, 2: 1 << 20, 3: 8 << 20}


def vector_bytes():
    """The size in bytes of the widest vectors that this processor computes well with: 64, 32, or 0 for none."""
    from numba.core import codegen, config

    if config.DISABLE_JIT:  # the instructions of `vectors` have no meaning in Python
        return 0
    features = config.CPU_FEATURES
    if features is None:
        features = codegen.get_host_cpu_features()
    enabled = {name[1:] for name in features.split(",") if name.startswith("+")}
    if {"avx512f", "avx512vl", "avx512dq"} <= enabled:
        return 64
    return 32 if {"avx2", "fma"} <= enabled else 0


@cache
def cache_bytes(level):
    """The size in bytes of the data cache of this level, 1 to 3, as Linux reports it; elsewhere a usual size."""
    try:
        for place in sorted(_CACHES.glob("index*")):
            kind, text = ((place / name).read_text().strip() for name in ("type", "size"))
            if int((place / "level").read_text()) == level and kind != "Instruction":
                return int(text[:-1]) * _UNITS[text[-1]]
    except (OSError, ValueError, KeyError):     # a file is missing, or says something else
        pass
    return _USUAL[level]


@cache
def model():
    """The name of this processor."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            name = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), name)
    except OSError:     # not Linux
        pass
    return name


def processor_name():
    """The name of this processor and the width of its vectors, for tables that were measured on it."""
    return f"{model()}, vectors of {vector_bytes()} bytes"
