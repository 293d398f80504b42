"""What is used in place of a GPU: a strict stand-in for CuPy (`cupy`, `cupyx`), and a repair of Numba's simulator."""
