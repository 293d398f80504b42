"""The kernels for the CPU: NumPy's arrays, loops compiled by Numba.

Read on in this order: `driver` (the functions that `layers` calls), `plain` (the products as they can be read),
`tile` (the same products on vectors), `vectors` (the instructions of a tile), `threads`.
"""
