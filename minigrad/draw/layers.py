"""Where to put the nodes of a graph: in layers, each below all that it was made of.

After Sugiyama, Tagawa & Toda (1981), "Methods for visual understanding of hierarchical system structures":
choose layers, order each so that few arrows cross, then move nodes close to what they are joined with.
"""

ROUNDS = 8          # down and up again
GAP = 28            # between neighbours
RISE = 44           # between layers


class Layers:
    """Places for boxes, each of which has its parents before it.

    Parameters
    ----------
    parents : list of lists of numbers, in which each is less than that of the box itself.
    sizes : (width, height) of each box.

    Attributes
    ----------
    x, y : centres, of the boxes and then of *bends*, where arrows pass layers on their way.  The arrows
        from one box share their bends.
    sizes : of the boxes and, (0, height of the layer), of the bends.
    links : pairs (upper, lower) of boxes or bends in neighbouring layers.
    width, height : of the whole.

    >>> chain = Layers([[], [0], [1]], [(10, 10), (30, 10), (20, 10)])
    >>> chain.x, chain.y
    ([15.0, 15.0, 15.0], [5.0, 59.0, 113.0])
    """

    def __init__(self, parents, sizes):
        self.sizes = list(sizes)
        self.rows = self.assigned(parents)
        heights = [max(self.sizes[i][1] for i in row) for row in self.rows]
        self.links = self.linked(parents, heights)
        self.above, self.below = ([[] for _ in self.sizes] for _ in range(2))
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

    def assigned(self, parents):
        """The boxes of each layer: below all parents, and leaves right above what uses them first."""
        layer = []
        for above in parents:
            layer.append(1 + max((layer[i] for i in above), default=-1))
        first = {}
        for i, above in enumerate(parents):
            for p in above:
                first[p] = min(layer[i], first.get(p, layer[i]))
        self.layer = [layer[i] if above else first.get(i, 1) - 1 for i, above in enumerate(parents)]
        rows = [[] for _ in range(1 + max(self.layer, default=-1))]
        for i, at in enumerate(self.layer):
            rows[at].append(i)
        return rows

    def linked(self, parents, heights):
        """Links between neighbouring layers, with bends made where a parent is further up."""
        ends, links = {}, []        # where the arrows from a box have got to, by box and layer
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

    def sweep(self, neighbours, reorder):
        """Move every row to the mean of its neighbours above (or below), one row after the other."""
        for row in self.rows if neighbours is self.above else reversed(self.rows):
            wanted = {i: sum(self.x[j] for j in neighbours[i]) / len(neighbours[i]) if neighbours[i] else self.x[i]
                      for i in row}
            if reorder:
                row.sort(key=wanted.get)
            self.settle(row, [wanted[i] for i in row])

    def settle(self, row, wanted):
        """Put a row as near to the wanted places as its order and widths allow, in least squares.

        With the widths subtracted, that is isotonic regression: neighbours that would overlap are pooled.
        """
        offsets, at = [], 0.0
        for i in row:
            at += self.sizes[i][0] / 2
            offsets.append(at)
            at += self.sizes[i][0] / 2 + GAP
        pools = []                  # [sum, count] of pools whose means increase
        for place, offset in zip(wanted, offsets, strict=True):
            pools.append([place - offset, 1])
            while len(pools) > 1 and pools[-2][0] * pools[-1][1] >= pools[-1][0] * pools[-2][1]:
                total, count = pools.pop()
                pools[-1][0] += total
                pools[-1][1] += count
        means = [total / count for total, count in pools for _ in range(count)]
        for i, mean, offset in zip(row, means, offsets, strict=True):
            self.x[i] = mean + offset
