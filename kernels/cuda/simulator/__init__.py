"""What stands in for a GPU where there is none: a strict stand-in for CuPy, and one repair of Numba's simulator."""
