"""Reports: what every part of the experiment offers, and where its section of a Markdown file goes.

A part is a module that the command runs from beginning to end without knowing more of it than this:

    runs(given)                        the runs of its study: a dict from name to settings (dicts that JSON can hold)
    run(*, data, folder, **settings)   carries one of them out, in another process, and returns what JSON can hold
    section(records)                   its part of the report, in Markdown; the command puts a title above it
    picture(records, path)             its picture, saved as PNG; called where there are records
    CAPTION                            what that shows, in a line, which the command puts below the section
    ALONE                              whether its runs are timed, so that nothing else may run beside them

``given`` are the arguments of the command: ``quick`` (whether three minutes are all there is), ``rows``,
``recipes``, ``seeds`` (how many) and ``minutes``.  ``data`` is what ``digits`` in ``rows`` takes.  ``folder`` is the
run's own, for checkpoints.  ``records`` are the finished runs: a dict from name to a dict of "settings" and "result".
There may be none yet, or some of them only: what nobody measured is a dash in the section, and left out of the
picture.  (The command notes under "data", in each result, which digits it is on.)

The results of a part go to a folder of its name, and its section between these two lines, which are found again when
it is written anew:

    <!-- paper table: NAME -->
    <!-- end: NAME -->
"""

import re
from pathlib import Path

from minigrad.checkpoint import whole_file

MISSING = "–"
REAL, SYNTHETIC = "MNIST", "synthetic digits"


def with_source(run, *, data, **settings):
    """The result of a part's ``run``, with the digits that it is on under "data"; only real ones are published."""
    return {**run(data=data, **settings), "data": SYNTHETIC if data == "quick" else REAL}


def insert(text, name, section):
    """The Markdown `text` with `section` between the markers of `name`, or at its end if it has none.

    Raises
    ------
    ValueError
        One marker without the other, one of them twice, or the end before the beginning.

    >>> once = insert("# Results\\n", "rows", "none yet")
    >>> print(once)
    # Results
    <BLANKLINE>
    <!-- paper table: rows -->
    none yet
    <!-- end: rows -->
    <BLANKLINE>
    >>> insert(once, "rows", "none yet") == once
    True
    """
    first, last = f"<!-- paper table: {name} -->", f"<!-- end: {name} -->"
    block = f"{first}\n{section.strip()}\n{last}"
    found = [match[0] for match in re.finditer(f"{re.escape(first)}|{re.escape(last)}", text)]
    if not found:
        return f"{text.rstrip()}\n\n{block}\n".lstrip()
    if found != [first, last]:
        raise ValueError(f"insert: expected the lines {first} and {last} once each, in this order, found "
                         f"{', '.join(found)}. Leave one pair, or delete all of them to have the section at the end")
    return text[:text.index(first)] + block + text[text.index(last) + len(last):]


def write(path, sections):
    """Put the sections, a dict from name to Markdown, into the file at `path`, which is made if there is none."""
    path = Path(path)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    for name, section in sections.items():
        text = insert(text, name, section)
    with whole_file(path) as file:
        file.write(text.encode())


def table(heads, rows):
    """A Markdown table; what is None in a row is missing.

    >>> print(table(["row", "test error"], [["sbn", None]]))
    | row | test error |
    |---|---|
    | sbn | – |
    """
    lines = [heads, *([MISSING if cell is None else cell for cell in row] for row in rows)]
    head, *body = [f"| {' | '.join(map(str, line))} |" for line in lines]
    return "\n".join([head, "|" + "---|" * len(heads), *body])
