"""A chain of layers for one example in one compiled call: a small machine that runs a list of steps.

Called from Python, a layer takes some ten microseconds besides its arithmetic. For one example that is often longer
than the arithmetic. Here a whole network is one call.

A program has three arrays:

    steps (n, WIDTH) int64    one row per step: an operation, then the numbers that its line in OPERATIONS names
    weights                   all weights and biases, one after another
    space                     constants, the input, and room for the result of each step

A *vector* is a place in `space` and a length. Packed units are a vector whose closed blocks hold nothing of use, and a
*list* in the array `lists`: the number of open blocks, then their indices. All offsets are in entries.
"""

import math

import numpy as np

from .jit import kernel

WIDTH = 12

#: The arguments of each operation. `out`, `x`, `y`, `z` and `gates` are places in space, `n`, `units` and `count`
#: lengths, `weight` and `bias` places in weights (-1: no bias), `list` and `x_list` places in lists (-1: not packed).
OPERATIONS = {
    "linear": ("out", "units", "x", "n", "weight", "bias", "x_list", "x_block"),
    "gated_linear": ("out", "list", "x", "n", "weight", "bias", "gates", "count", "block", "x_list", "x_block"),
    "to_dense": ("out", "n", "x", "x_list", "x_block"),
    "fill": ("out", "n", "x"),
    "unary": ("out", "n", "x", "function", "list", "block"),
    "binary": ("out", "n", "x", "y", "function", "list", "block"),
    "where": ("out", "n", "x", "y", "z"),
    "reduce": ("out", "x", "n", "function"),
    "normalise": ("out", "n", "x", "function"),
}
CODES = {name: code for code, name in enumerate(OPERATIONS)}
LINEAR, GATED, TO_DENSE, FILL, UNARY, BINARY, WHERE, REDUCE, NORMALISE = range(len(CODES))

#: The functions of single entries, of pairs of entries, and of whole vectors, by their numbers.
OF_ONE = ("relu", "sigmoid", "negative", "absolute", "square", "sqrt", "exp", "log", "reciprocal", "sign", "tanh",
          "softplus", "silu", "logical_not")
OF_TWO = ("multiply", "add", "greater", "mask", "subtract", "divide", "maximum", "minimum", "less", "less_equal",
          "greater_equal", "equal", "not_equal", "logical_and", "logical_or")
REDUCTIONS = ("sum", "mean", "max", "min")
NORMALISATIONS = ("softmax", "log_softmax")


@kernel
def run(steps, weights, space, lists, chosen, x, start):
    """Copy x to `space` at `start`, then run the steps. `chosen` is room for as many int32 as the widest vector has."""
    for d in range(len(x)):
        space[start + d] = x[d]
    for s in range(len(steps)):
        a = steps[s]
        code = a[0]
        if code == LINEAR:
            linear(a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], weights, space, lists, chosen)
        elif code == GATED:
            open_list(a[7], a[8], a[2], space, lists)
            if a[10] < 0:
                gated_linear(a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[9], weights, space, lists)
            else:
                gated_packed(a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[9], a[10], a[11], weights, space, lists)
        elif code == TO_DENSE:
            to_dense(a[1], a[2], a[3], a[4], a[5], space, lists)
        elif code == FILL:
            space[a[1]:a[1] + a[2]] = space[a[3]]
        elif code == UNARY:
            unary(a[1], a[2], a[3], a[4], a[5], a[6], space, lists)
        elif code == BINARY:
            binary(a[1], a[2], a[3], a[4], a[5], a[6], a[7], space, lists)
        elif code == WHERE:
            where(a[1], a[2], a[3], a[4], a[5], space)
        elif code == REDUCE:
            reduction(a[1], a[2], a[3], a[4], space)
        else:
            normalisation(a[1], a[2], a[3], a[4], space)


@kernel
def linear(out, units, x, n, weight, bias, x_open, x_block, weights, space, lists, chosen):
    """out = bias + the sum over inputs that are not 0 of x · weight[input], for a weight (inputs, units).

    An input that is 0 adds nothing, so its weights are not read.
    """
    result = space[out:out + units]
    if bias < 0:
        result[:] = 0
    else:
        result[:] = weights[bias:bias + units]
    entries = space[x:x + n]
    count = np.uint64(0)
    if x_open < 0:
        for d in range(n):
            chosen[count] = d
            count += np.uint64(entries[d] != 0)
    else:
        for p in range(lists[x_open]):
            first = lists[x_open + 1 + p] * x_block
            for d in range(first, first + x_block):
                chosen[count] = d
                count += np.uint64(entries[d] != 0)
    number = np.int64(count)
    k = 0
    while k + 4 <= number:
        d0, d1, d2, d3 = chosen[k], chosen[k + 1], chosen[k + 2], chosen[k + 3]
        x0, x1, x2, x3 = entries[d0], entries[d1], entries[d2], entries[d3]
        row0 = weights[weight + d0 * units:weight + (d0 + 1) * units]
        row1 = weights[weight + d1 * units:weight + (d1 + 1) * units]
        row2 = weights[weight + d2 * units:weight + (d2 + 1) * units]
        row3 = weights[weight + d3 * units:weight + (d3 + 1) * units]
        for u in range(units):
            result[u] += (x0 * row0[u] + x1 * row1[u]) + (x2 * row2[u] + x3 * row3[u])
        k += 4
    while k < number:
        d0 = chosen[k]
        x0 = entries[d0]
        row0 = weights[weight + d0 * units:weight + (d0 + 1) * units]
        for u in range(units):
            result[u] += x0 * row0[u]
        k += 1


@kernel
def open_list(gates, count, out, space, lists):
    """List the gates that are not 0."""
    values = space[gates:gates + count]
    places = lists[out + 1:out + 2 + count]
    end = np.uint64(0)
    for j in range(count):
        places[end] = j
        end += np.uint64(values[j] != 0)
    lists[out] = end


@kernel
def gated_linear(out, open_blocks, x, n, weight, bias, gates, block, weights, space, lists):
    """gate · (x · weight[unit] + bias[unit]) for the units of open blocks, for a weight (units, inputs)."""
    entries = space[x:x + n]
    for p in range(lists[open_blocks]):
        j = lists[open_blocks + 1 + p]
        gate = space[gates + j]
        u = j * block
        stop = u + block
        while u + 4 <= stop:
            row0 = weights[weight + u * n:weight + (u + 1) * n]
            row1 = weights[weight + (u + 1) * n:weight + (u + 2) * n]
            row2 = weights[weight + (u + 2) * n:weight + (u + 3) * n]
            row3 = weights[weight + (u + 3) * n:weight + (u + 4) * n]
            s0 = s1 = s2 = s3 = space.dtype.type(0)
            for d in range(n):
                v = entries[d]
                s0 += v * row0[d]
                s1 += v * row1[d]
                s2 += v * row2[d]
                s3 += v * row3[d]
            if bias >= 0:
                s0 += weights[bias + u]
                s1 += weights[bias + u + 1]
                s2 += weights[bias + u + 2]
                s3 += weights[bias + u + 3]
            space[out + u] = gate * s0
            space[out + u + 1] = gate * s1
            space[out + u + 2] = gate * s2
            space[out + u + 3] = gate * s3
            u += 4
        while u < stop:
            row0 = weights[weight + u * n:weight + (u + 1) * n]
            s0 = space.dtype.type(0)
            for d in range(n):
                s0 += entries[d] * row0[d]
            if bias >= 0:
                s0 += weights[bias + u]
            space[out + u] = gate * s0
            u += 1


@kernel
def gated_packed(out, open_blocks, x, n, weight, bias, gates, block, x_open, x_block, weights, space, lists):
    """`gated_linear` for packed x: the weights of its closed blocks are not read."""
    for p in range(lists[open_blocks]):
        j = lists[open_blocks + 1 + p]
        gate = space[gates + j]
        for u in range(j * block, (j + 1) * block):
            row = weights[weight + u * n:weight + (u + 1) * n]
            total = space.dtype.type(0)
            for q in range(lists[x_open]):
                first = lists[x_open + 1 + q] * x_block
                entries, part = space[x + first:x + first + x_block], row[first:first + x_block]
                for d in range(x_block):
                    total += entries[d] * part[d]
            if bias >= 0:
                total += weights[bias + u]
            space[out + u] = gate * total


@kernel
def to_dense(out, n, x, open_blocks, block, space, lists):
    """The units of open blocks, and zeros elsewhere."""
    space[out:out + n] = 0
    for p in range(lists[open_blocks]):
        first = lists[open_blocks + 1 + p] * block
        for d in range(first, first + block):
            space[out + d] = space[x + d]


@kernel
def unary(out, n, x, function, open_blocks, block, space, lists):
    """A function of each entry, for packed units at open blocks alone."""
    if open_blocks < 0:
        _map(function, space[x:x + n], space[out:out + n])
        return
    for p in range(lists[open_blocks]):
        first = lists[open_blocks + 1 + p] * block
        _map(function, space[x + first:x + first + block], space[out + first:out + first + block])


@kernel
def _map(function, x, out):
    one, zero = out.dtype.type(1), out.dtype.type(0)
    if function == 0:
        for d in range(len(out)):
            out[d] = zero if x[d] < 0 else x[d]
    elif function == 1:
        for d in range(len(out)):
            out[d] = _sigmoid(x[d], one)
    else:
        for d in range(len(out)):
            v = x[d]
            if function == 2:
                r = -v
            elif function == 3:
                r = abs(v)
            elif function == 4:
                r = v * v
            elif function == 5:
                r = math.sqrt(v)
            elif function == 6:
                r = math.exp(v)
            elif function == 7:
                r = math.log(v)
            elif function == 8:
                r = one / v
            elif function == 9:
                r = v if v != v else (one if v > 0 else (-one if v < 0 else zero))
            elif function == 10:
                r = math.tanh(v)
            elif function == 11:
                r = max(v, zero) + math.log1p(math.exp(-abs(v)))
            elif function == 12:
                r = v * _sigmoid(v, one)
            else:
                r = one if v == 0 else zero
            out[d] = r


@kernel
def _sigmoid(v, one):
    e = math.exp(-abs(v))
    return one / (one + e) if v >= 0 else e / (one + e)


@kernel
def binary(out, n, x, y, function, open_blocks, block, space, lists):
    """A function of the entries of two vectors of n entries, for packed units at open blocks alone."""
    if open_blocks < 0:
        _combine(function, space[x:x + n], space[y:y + n], space[out:out + n])
        return
    for p in range(lists[open_blocks]):
        first = lists[open_blocks + 1 + p] * block
        _combine(function, space[x + first:x + first + block], space[y + first:y + first + block],
                 space[out + first:out + first + block])


@kernel
def _combine(function, x, y, out):
    one, zero = out.dtype.type(1), out.dtype.type(0)
    if function == 0:
        for d in range(len(out)):
            out[d] = x[d] * y[d]
    elif function == 1:
        for d in range(len(out)):
            out[d] = x[d] + y[d]
    elif function == 2:
        for d in range(len(out)):
            out[d] = one if x[d] > y[d] else zero
    elif function == 3:
        for d in range(len(out)):
            out[d] = x[d] if y[d] != 0 else zero
    else:
        for d in range(len(out)):
            a, b = x[d], y[d]
            if function == 4:
                r = a - b
            elif function == 5:
                r = a / b
            elif function == 6:
                r = a if a != a or a > b else b
            elif function == 7:
                r = a if a != a or a < b else b
            elif function == 8:
                r = one if a < b else zero
            elif function == 9:
                r = one if a <= b else zero
            elif function == 10:
                r = one if a >= b else zero
            elif function == 11:
                r = one if a == b else zero
            elif function == 12:
                r = one if a != b else zero
            elif function == 13:
                r = one if a != 0 and b != 0 else zero
            else:
                r = one if a != 0 or b != 0 else zero
            out[d] = r


@kernel
def where(out, n, x, y, z, space):
    """y where x is not 0, else z."""
    for d in range(n):
        space[out + d] = space[y + d] if space[x + d] != 0 else space[z + d]


@kernel
def reduction(out, x, n, function, space):
    """The sum, mean, largest or smallest of the entries."""
    entries = space[x:x + n]
    result = entries[0]
    for d in range(1, n):
        v = entries[d]
        if function < 2:
            result += v
        elif function == 2:
            result = v if v != v or v > result else result
        else:
            result = v if v != v or v < result else result
    space[out] = result / space.dtype.type(n) if function == 1 else result


@kernel
def normalisation(out, n, x, function, space):
    """softmax, or its logarithm."""
    entries, result = space[x:x + n], space[out:out + n]
    largest = entries[0]
    for d in range(1, n):
        largest = max(largest, entries[d])
    total = space.dtype.type(0)
    for d in range(n):
        result[d] = math.exp(entries[d] - largest)
        total += result[d]
    if function == 0:
        for d in range(n):
            result[d] /= total
    else:
        shift = largest + math.log(total)
        for d in range(n):
            result[d] = entries[d] - shift
