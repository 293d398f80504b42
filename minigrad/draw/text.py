"""A graph as text: one line per node."""


def text(graph):
    """The Items of a graph, each line a node with its number."""
    lines = []
    for number, x in enumerate(graph):
        more = ", requires grad" * (x.kind == "parameter") + "".join(f", {name} {n}" for name, n in x.shown.items())
        rule = " ~ {} {}, {}".format(*x.rule) if x.rule else ""
        lines.append(f"%{number} = {x.call('%{}')} {x.shape}{more}{rule}")
    return "\n".join(lines)
