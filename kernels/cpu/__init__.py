"""The kernels for the CPU: NumPy's arrays, loops compiled by Numba.

Read the files in this order: `driver` (the functions that `layers` calls), `plain` (the products as simple loops),
`tile` (the same products on vectors), `vectors` (the instructions of a tile), `threads`.
"""
