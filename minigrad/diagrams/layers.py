"""The positions of the nodes of a graph, in layers.  Each node is in a layer below those of its parents.

After Sugiyama, Tagawa & Toda (1981), "Methods for visual understanding of hierarchical system structures": choose
the layers, order the nodes of each layer so that few arrows cross, then move nodes close to those they are linked to.
"""

from __future__ import annotations

from collections.abc import Sequence

ROUNDS = 8          # sweeps down and up
GAP = 28            # between neighbours in a layer
RISE = 44           # between layers


class Layers:
    """The positions of boxes.  Each box comes after its parents.

    Parameters
    ----------
    parents : for each box, the list of its parents' numbers, which are smaller than its own number.
    sizes : (width, height) of each box.

    Attributes
    ----------
    x, y : centres of the boxes, followed by those of *bends*, the points where an arrow passes a layer.  All arrows
        from one box share their bends.
    sizes : of the boxes, followed by those of the bends, (0, height of the layer).
    links : pairs (upper, lower) of boxes or bends in neighbouring layers.
    width, height : of the whole picture.

    >>> chain = Layers([[], [0], [1]], [(10, 10), (30, 10), (20, 10)])
    >>> chain.x, chain.y
    ([15.0, 15.0, 15.0], [5.0, 59.0, 113.0])
    """

    def __init__(self, parents: Sequence[Sequence[int]], sizes: Sequence[tuple[float, float]]) -> None:
        self.sizes = list(sizes)
        self.rows = self.assigned(parents)
        heights = [max(self.sizes[i][1] for i in row) for row in self.rows]
        self.links = self.linked(parents, heights)
        self.above: list[list[int]] = [[] for _ in self.sizes]
        self.below: list[list[int]] = [[] for _ in self.sizes]
        for upper, lower in self.links:
            self.above[lower].append(upper)
            self.below[upper].append(lower)
        self.x = [0.0] * len(self.sizes)
        for row in self.rows:
            self.settle(row, [0.0] * len(row))
        for neighbours in [self.above, self.below] * ROUNDS:
            self.sweep(neighbours, reorder=True)
        for neighbours in [self.above, self.below] * ROUNDS:
            self.sweep(neighbours, reorder=False)
        left = min((x - w / 2 for x, (w, _) in zip(self.x, self.sizes, strict=True)), default=0.0)
        self.x = [x - left for x in self.x]
        self.width = max((x + w / 2 for x, (w, _) in zip(self.x, self.sizes, strict=True)), default=0.0)
        self.y, self.height = [0.0] * len(self.sizes), 0.0
        for row, height in zip(self.rows, heights, strict=True):
            for i in row:
                self.y[i] = self.height + height / 2
            self.height += height + RISE
        self.height = max(0.0, self.height - RISE)

    def assigned(self, parents: Sequence[Sequence[int]]) -> list[list[int]]:
        """The boxes of each layer.  A box is below all its parents; a leaf is just above its first use."""
        layer: list[int] = []
        for above in parents:
            layer.append(1 + max((layer[i] for i in above), default=-1))
        first: dict[int, int] = {}
        for i, above in enumerate(parents):
            for p in above:
                first[p] = min(layer[i], first.get(p, layer[i]))
        self.layer = [layer[i] if above else first.get(i, 1) - 1 for i, above in enumerate(parents)]
        rows: list[list[int]] = [[] for _ in range(1 + max(self.layer, default=-1))]
        for i, at in enumerate(self.layer):
            rows[at].append(i)
        return rows

    def linked(self, parents: Sequence[Sequence[int]], heights: Sequence[float]) -> list[tuple[int, int]]:
        """The links between neighbouring layers.  Adds a bend in each layer between a box and its parent."""
        ends: dict[tuple[int, int], int] = {}       # the bend of the arrows from a box, by box and layer
        links: list[tuple[int, int]] = []
        for i, above in enumerate(parents):
            for p in dict.fromkeys(above):
                end = p
                for at in range(self.layer[p] + 1, self.layer[i]):
                    if (p, at) not in ends:
                        ends[p, at] = len(self.sizes)
                        self.sizes.append((0, heights[at]))
                        self.rows[at].append(ends[p, at])
                        links.append((end, ends[p, at]))
                    end = ends[p, at]
                links.append((end, i))
        return links

    def sweep(self, neighbours: list[list[int]], reorder: bool) -> None:
        """Move every box to the mean position of its neighbours above (or below), layer by layer."""
        for row in self.rows if neighbours is self.above else reversed(self.rows):
            wanted = {i: sum(self.x[j] for j in neighbours[i]) / len(neighbours[i]) if neighbours[i] else self.x[i]
                      for i in row}
            if reorder:
                row.sort(key=wanted.__getitem__)
            self.settle(row, [wanted[i] for i in row])

    def settle(self, row: Sequence[int], wanted: Sequence[float]) -> None:
        """Place a row as close to the wanted positions as its order and widths allow, in least squares.

        If the widths are subtracted, this is isotonic regression: neighbours that would overlap are pooled.
        """
        offsets, at = [], 0.0
        for i in row:
            at += self.sizes[i][0] / 2
            offsets.append(at)
            at += self.sizes[i][0] / 2 + GAP
        pools: list[list[float]] = []       # [sum, count] of pools whose means increase
        for place, offset in zip(wanted, offsets, strict=True):
            pools.append([place - offset, 1])
            while len(pools) > 1 and pools[-2][0] * pools[-1][1] >= pools[-1][0] * pools[-2][1]:
                total, count = pools.pop()
                pools[-1][0] += total
                pools[-1][1] += count
        means = [total / count for total, count in pools for _ in range(int(count))]
        for i, mean, offset in zip(row, means, offsets, strict=True):
            self.x[i] = mean + offset
