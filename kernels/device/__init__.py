"""What code for NumPy and code for a GPU share.

`arrays` says what an array is and where it lives. `transfer` copies arrays between host and device. `deferred` holds
checks until the host has to wait for the device anyway. `work` counts memory, blocks and transfers.
"""
