"""A graph as a picture: SVG, with text that can be selected, and colours for light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from minigrad.diagrams.layers import Layers
from minigrad.diagrams.text import as_text

if TYPE_CHECKING:
    from minigrad.diagrams.item import Item

LETTER, LINE = 7.3, 17      # width and height of a character of the font below
PAD, MARGIN, TIP = 10, 16, 8
STYLE = """
.minigrad { font: 12px "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.minigrad .page { fill: #ffffff; }
.minigrad text { fill: #4a4a4a; text-anchor: middle; }
.minigrad .heading { fill: #111111; font-weight: bold; }
.minigrad .value { fill: #00598c; }
.minigrad .cotangent { fill: #a34700; }
.minigrad .link { fill: none; stroke: #888888; stroke-width: 1.3; }
.minigrad .tip { fill: #888888; }
.minigrad .box { fill: #f6f6f4; stroke: #888888; }
.minigrad .parameter .box { fill: #e8f2f9; stroke: #0072b2; stroke-width: 2; }
.minigrad .stochastic .box { fill: #fdf0d2; stroke: #e69f00; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
  .minigrad .page { fill: #16181b; }
  .minigrad text { fill: #c4c4c4; }
  .minigrad .heading { fill: #ffffff; }
  .minigrad .value { fill: #7cc4ef; }
  .minigrad .cotangent { fill: #f4a978; }
  .minigrad .box { fill: #24272b; }
  .minigrad .parameter .box { fill: #12293a; stroke: #56b4e9; }
  .minigrad .stochastic .box { fill: #3d2f0c; }
}
"""


def as_svg(graph: Sequence[Item]) -> str:
    """The Items of a graph as an SVG document.  Leaves have round ends, and stochastic nodes have six corners."""
    places = Layers([x.parents for x in graph], [size(x) for x in graph])
    width, height = round(places.width + 2 * MARGIN), round(places.height + 2 * MARGIN)
    random = sum(x.kind == "stochastic" for x in graph)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="minigrad" role="img" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">',
        f"<title>Graph of {len(graph)} leaves and nodes, {random} of them stochastic</title>",
        f"<desc>{escape(as_text(graph))}</desc>",
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{width}" height="{height}" rx="8"/>',
        f'<g transform="translate({MARGIN} {MARGIN})">',
        *(link(places, upper, lower, arrow=lower < len(graph)) for upper, lower in places.links),
        *(node(x, places.x[i], places.y[i]) for i, x in enumerate(graph)),
        "</g>", "</svg>",
    ]
    return "\n".join(parts) + "\n"


def size(x: Item) -> tuple[float, float]:
    """The width and height of the box of an item."""
    lines = x.lines()
    sides = LINE if x.kind == "stochastic" else 0       # the width of its slanted sides
    return LETTER * max(map(len, lines)) + 2 * (PAD + sides), LINE * len(lines) + PAD


def node(x: Item, centre: float, middle: float) -> str:
    """The box of an item with its text; (centre, middle) is its centre."""
    width, height = size(x)
    left, top = centre - width / 2, middle - height / 2
    if x.kind == "stochastic":
        right, bottom = left + width, top + height
        box = (f'<path class="box" d="M{left:.1f},{middle:.1f} L{left + LINE:.1f},{top:.1f} H{right - LINE:.1f} '
               f'L{right:.1f},{middle:.1f} L{right - LINE:.1f},{bottom:.1f} H{left + LINE:.1f} Z"/>')
    else:
        corner = 4 if x.kind == "primitive" else min(18, height / 2)
        box = (f'<rect class="box" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" '
               f'rx="{corner:.1f}"/>')
    words = []
    for i, line in enumerate(x.lines()):
        kind = "heading" if i == 0 else next((name for name in x.shown if line == f"{name} {x.shown[name]}"), "words")
        words.append(f'<text class="{kind}" x="{centre:.1f}" y="{top + PAD / 2 + LINE * (i + 0.75):.1f}">'
                     f"{escape(line)}</text>")
    return "\n".join([f'<g class="{x.kind}">', box, *words, "</g>"])


def link(places: Layers, upper: int, lower: int, arrow: bool) -> str:
    """A line from one box or bend down to the next.  At a box it ends with a tip; at a bend it crosses the layer."""
    (x, y), (to, end) = ((places.x[i], places.y[i]) for i in (upper, lower))
    y += places.sizes[upper][1] / 2
    end -= places.sizes[lower][1] / 2 + TIP * arrow
    half = (y + end) / 2
    curve = f"M{x:.1f},{y:.1f} C{x:.1f},{half:.1f} {to:.1f},{half:.1f} {to:.1f},{end:.1f}"
    if not arrow:
        return f'<path class="link" d="{curve} v{places.sizes[lower][1]:.1f}"/>'
    tip = f"M{to - TIP / 2:.1f},{end:.1f} h{TIP} l{-TIP / 2},{TIP} Z"
    return f'<path class="link" d="{curve}"/><path class="tip" d="{tip}"/>'
