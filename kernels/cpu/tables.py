"""Adding rows to the rows of a table; `kernels.tables` calls it."""

from .jit import exact


@exact
def add_at(table, indices, rows):
    """table[indices[i]] += rows[i], in order, for 2-D arrays and int64 indices. Negative indices count from the end.

    Returns whether all indices are in range. If not, the table is unchanged.
    """
    count = len(table)
    for i in indices:
        if i < -count or i >= count:
            return False
    for i in range(len(indices)):
        row = indices[i] if indices[i] >= 0 else indices[i] + count
        for c in range(table.shape[1]):
            table[row, c] += rows[i, c]
    return True
