"""Functions that code for NumPy and code for a GPU both use.

`arrays` tests what is an array, and whether it is on the host or on the device. `transfer` copies arrays between the
two. `deferred` keeps checks until the host has to wait for the device anyway. `work` counts memory, blocks and
transfers.
"""
