"""Checks of the arguments of layers: arrays, gates, and blocks of units.

Every function raises a ValueError or TypeError that says what was expected, what arrived and what to do. The kernels
do not check their arguments. With a wrong shape they would read memory outside their arrays.
"""

import numpy as np

from .blocks import OpenBlocks
from .device.arrays import check_device, is_array

FLOATS = np.dtype(np.float32), np.dtype(np.float64)
_INT32_MAX = np.iinfo(np.int32).max


def check_array(name, array, shape, like):
    """Check for an array of this shape, of the dtype of `like` and on its device."""
    if not is_array(array):
        raise TypeError(f"{name}: expected a NumPy array, got {type(array).__name__}; use np.asarray")
    check_device(name, array, like)
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}; pass one entry per unit")
    if array.dtype != like.dtype:
        raise TypeError(f"{name}: expected dtype {like.dtype} as the other arrays, got {array.dtype}; use .astype")


def check_writeable(name, array):
    """Check for an array that is not read-only, or None (for a missing bias)."""
    if isinstance(array, np.ndarray) and not array.flags.writeable:
        raise ValueError(f"{name}: expected a writeable array, got a read-only one; pass a copy")


def check_inputs(x, like=None):
    """Check for inputs (examples, inputs): an array or a Packed. `like` is the cotangent of the output, or None."""
    if not (is_array(x) or isinstance(getattr(x, "blocks", None), OpenBlocks)):
        raise TypeError(f"x: expected a NumPy array or Packed, got {type(x).__name__}; use np.asarray")
    if x.dtype not in FLOATS:
        raise TypeError(f"x: expected dtype float32 or float64, got {x.dtype}; use x.astype(...)")
    if x.ndim != 2:
        raise ValueError(
            f"x: expected shape (examples, inputs), got {x.shape}; reshape to one row per example"
        )
    if like is not None:
        check_device("x", x, like)
        if x.dtype != like.dtype:
            raise TypeError(f"x: expected dtype {like.dtype} as the cotangent, got {x.dtype}; use .astype")


def check_weight(weight, like, inputs=None):
    """Check for a weight (units, inputs), of the dtype of `like` and on its device. `inputs` None: any number."""
    if not is_array(weight):
        raise TypeError(f"weight: expected a NumPy array, got {type(weight).__name__}; use np.asarray")
    check_device("weight", weight, like)
    if weight.ndim != 2 or (inputs is not None and weight.shape[1] != inputs):
        expected = "inputs" if inputs is None else inputs
        raise ValueError(f"weight: expected shape (units, {expected}), got {weight.shape}; one row per unit")
    if weight.dtype != like.dtype:
        raise TypeError(f"weight: expected dtype {like.dtype} as the input, got {weight.dtype}; use .astype")


def check_block(units, block):
    """Check for a number of units per block that divides the number of units."""
    if isinstance(block, bool) or not isinstance(block, (int, np.integer)) or block < 1:
        raise ValueError(f"block: expected an int, at least 1, got {block!r}; pass the units per block")
    if units % block:
        raise ValueError(
            f"block: expected a divisor of the {units} units of the layer, got {block}; "
            "change the width or the block"
        )


def check_units(name, units, blocks, block):
    """Check for the number of units that these blocks have."""
    if units != blocks.shape[1] * block:
        raise ValueError(
            f"{name}: expected {blocks.shape[1]} blocks of {block} = {blocks.shape[1] * block} units, "
            f"got {units}; pass the weight and block of the forward product"
        )


def check_gates(gates):
    """Check for gates (B, G) of float32, float64 or bool, at most as many as int32 can count."""
    if not is_array(gates):
        raise TypeError(f"gates: expected a NumPy array, got {type(gates).__name__}; use np.asarray(gates)")
    if gates.dtype not in FLOATS and gates.dtype != np.bool_:
        raise TypeError(
            f"gates: expected dtype float32, float64 or bool, got {gates.dtype}; use gates.astype(...)"
        )
    if gates.ndim != 2:
        raise ValueError(
            f"gates: expected shape (examples, blocks), got {gates.shape}; reshape to one row per example"
        )
    if gates.size > _INT32_MAX:
        raise ValueError(
            f"gates: expected at most {_INT32_MAX} gates (positions are int32), got {gates.size}; "
            "split the batch"
        )


def check_gates_of_layer(gates, shape, like):
    """Check for gates of this shape (examples, blocks), on the device of `like`."""
    check_gates(gates)
    check_device("gates", gates, like)
    if gates.shape != shape:
        raise ValueError(f"gates: expected shape (examples, blocks) = {shape}, got {gates.shape}; "
                         "give one gate per example and block")


def check_finite_gates(gates):
    """Check for finite gates on the CPU. (On a GPU the kernels check this.)"""
    if not np.isfinite(gates).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(gates))[0])
        raise ValueError(
            f"gates: expected finite values, got {gates[where]} at {where}; look for an overflow in their computation"
        )


def check_open_blocks(blocks, gates, shape, like):
    """Check for the OpenBlocks of gates of this shape. Gates that are not binary need the dtype of `like`."""
    check_device("blocks", blocks, like)
    if blocks.shape != shape:
        raise ValueError(f"blocks: expected shape {shape}, got {blocks.shape}; use open_blocks(gates)")
    if not blocks.binary and gates.dtype != like.dtype:
        raise TypeError(
            f"gates: expected dtype {like.dtype} as the input, got {gates.dtype}; use gates.astype(...)"
        )


def check_input_blocks(x_blocks, weight, blocks, like):
    """Check for the open blocks of a packed input: the same examples, and blocks that divide the inputs."""
    check_device("x_blocks", x_blocks, like)
    if x_blocks.shape[0] != blocks.shape[0] or weight.shape[1] % max(1, x_blocks.shape[1]):
        raise ValueError(
            f"x_blocks: expected {blocks.shape[0]} examples and blocks that divide {weight.shape[1]} inputs, "
            f"got {x_blocks.shape}; pass the open blocks of x"
        )
