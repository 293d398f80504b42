"""A replacement for a GPU: a strict simulation of CuPy (`cupy`, `cupyx`), and a repair of Numba's simulator."""
