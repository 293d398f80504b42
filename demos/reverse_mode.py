"""How does a program compute the derivative of another program, and how can the result be checked?

    python -m demos.reverse_mode

A computed Tensor stores the primitive that computed it and the arguments of that primitive.  These links
form a graph.  Derivatives are computed from the output backward.  Each value has a cotangent: the derivative
of the output with respect to this value.  A node multiplies its cotangent by its derivative with respect to an
argument, and passes the product to that argument.  A value adds up all products that it receives.
In b = a + a, the value a receives two.

A node must receive all its products before it passes its own cotangent on.  So backward visits the nodes in
the reverse of the order in which they were created.  Another order can lose some of the products.

Finite differences check a derivative.  For a step h, they compute (f(a + h) − f(a − h)) / 2h.  If h is large, the
error is mostly curvature, f‴h²/6.  If h is small, it is mostly rounding, εf/h.  On logarithmic axes the error
against h has the shape of a V.  At its lowest point, near h = 6·10⁻⁶, ten digits are correct.
``mg.testing.gradcheck`` uses this step.
"""

import sys
from operator import add

import numpy as np

import minigrad as mg
from demos import lesson

STEPS = np.logspace(-13, 0, 79)
TRY = """
  In compute, write c = mg.exp(b). The numbers change. Does the V in the right panel change?
  As the first line of main, write mg.sin.vjps(lambda g, out, x: 1.001 * g * mg.cos(x)), a derivative that is wrong by
    0.1 %. What does gradcheck report? Remove gradcheck. How does the V change? The right derivatives are in
    minigrad/ops.
  --samples 1 draws the V for a single point. Why is its left side jagged?
"""


def compute(a):
    """A small program.  Returns its values by name."""
    b = a + a
    c = mg.sin(b)
    return {"a": a, "b": b, "c": c, "y": b * c}


def pull_back(order, combine=add):
    """Reverse mode.  Returns the cotangent of each value, and all products in the order of the walk."""
    cotangents, shares = {order[0]: 1.0}, []
    for node in order:
        for _, argument, product in node.parents:
            share = product(cotangents[node], node.data, *node.operands, **node.options)
            cotangents[argument] = combine(cotangents[argument], share) if argument in cotangents else share
            shares.append(float(share))
    return cotangents, shares


def slopes(values):
    """dy/da, computed once in the right order and in two wrong ways."""
    a, b, c, y = values.values()
    return {
        "y, c, b": pull_back([y, c, b])[0][a],
        "y, b, c: b is visited too early": pull_back([y, b, c])[0][a],
        "y, c, b: the last product replaces the others": pull_back([y, c, b], lambda old, new: new)[0][a],
    }


def errors(points, seed):
    """Errors of finite differences and the two predictions, by step: root mean squares over points."""
    x = mg.tensor(0.5 + mg.Generator(seed).uniform((points,)), requires_grad=True)
    y = compute(x)["y"]
    first = mg.grad(y.sum(), x, create_graph=True)
    third = mg.grad(mg.grad(first.sum(), x, create_graph=True).sum(), x)
    h = STEPS[:, None]
    right, left = (compute(mg.tensor(x.data + step))["y"].data for step in (h, -h))
    found = {
        "two-sided": (right - left) / (2 * h) - first.data,
        "one-sided": (right - y.data) / h - first.data,
        "curvature f‴h²/6": third.data * h**2 / 6,
        "rounding εf/h": np.finfo(float).eps * y.data / h,
    }
    return {name: np.sqrt((error**2).mean(axis=1)) for name, error in found.items()}


def draw_graph(axes, values):
    _, b, c, y = values.values()
    cotangents, shares = pull_back([y, c, b])
    places = {"a": (0, 0), "b": (1.3, 0), "c": (1.95, 1), "y": (2.6, 0)}
    arrows = [("y", "b", 0), ("y", "c", 0), ("c", "b", 0), ("b", "a", 0.5), ("b", "a", -0.5)]    # as pull_back walks
    for (start, end, bend), share in zip(arrows, shares, strict=True):
        (x0, y0), (x1, y1) = places[start], places[end]
        style = {"arrowstyle": "->", "color": lesson.RED, "shrinkA": 26, "shrinkB": 26}
        axes.annotate("", (x1, y1), (x0, y0), arrowprops=style | {"connectionstyle": f"arc3,rad={bend}"})
        axes.text((x0 + x1) / 2 + bend * (y1 - y0) / 2, (y0 + y1) / 2 - bend * (x1 - x0) / 2, f"{share:+.3f}",
                  color=lesson.RED, ha="center", va="center", bbox={"color": "white", "pad": 1})
    box = {"boxstyle": "round", "facecolor": "white", "edgecolor": lesson.GREY}
    for name, node in values.items():
        made = f"{name}: {node.primitive.name}" if node.primitive else name
        axes.text(*places[name], f"{made}\n{node.item():.3f}\n", ha="center", va="center", color=lesson.BLUE, bbox=box)
        axes.text(*places[name], f"\n\n{cotangents[node]:.3f}", ha="center", va="center", color=lesson.RED)
    axes.set(xlim=(-0.4, 3), ylim=(-0.6, 1.4), aspect="equal")
    axes.set_axis_off()
    axes.set_title("Values are computed forward (blue),\ncotangents and products backward (red)", fontsize=11)


def draw(values, found):
    figure, (left, right) = lesson.figure(1, 2, height=4.2)
    draw_graph(left, values)
    styles = [(lesson.BLUE, "-"), (lesson.ORANGE, "-"), (lesson.GREY, ":"), (lesson.GREY, "--")]
    for (name, error), (colour, line) in zip(found.items(), styles, strict=True):
        right.plot(STEPS, error, line, color=colour, label=name)
    right.axvline(6e-6, color=lesson.GREY, linewidth=0.8)
    right.text(8e-6, 1, "6·10⁻⁶", color=lesson.GREY)
    right.set(xscale="log", yscale="log", ylim=(1e-12, 10), xlabel="step h", ylabel="difference from backward")
    right.set_title("Error of finite differences", fontsize=11)
    right.legend(frameon=False, loc="lower left")
    return figure


def main(argv=None):
    given = lesson.parser(__file__, __doc__, seed=0, samples=200).parse_args(argv)
    values, found = compute(mg.tensor(0.7, requires_grad=True)), errors(given.samples, given.seed)
    print(mg.draw(values["y"], values=True, names=values), "\n")
    lesson.table(["order of the nodes", "dy/da"], slopes(values).items())
    print("y.backward(), which uses the order y, c, b:", mg.grad(values["y"], values["a"]).item())
    mg.testing.gradcheck(lambda a: compute(a)["y"], [values["a"]])
    print("gradcheck confirms it\n")
    lesson.table(["step h", *found], [(f"{STEPS[i]:.0e}", *(error[i] for error in found.values()))
                                      for i in range(0, len(STEPS), 6)])
    lesson.close(draw(values, found), given.out, TRY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
