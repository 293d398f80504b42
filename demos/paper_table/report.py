"""Reports: the interface of every part of the experiment, and how its section is written into a Markdown file.

A part is a module with the following names.  The command uses only these:

    runs(given)                        the runs of its study: a dict from name to settings (JSON values)
    run(*, data, folder, **settings)   executes one run, in another process, and returns its result (JSON values)
    section(records)                   its section of the report, in Markdown, without the title
    picture(records, path)             saves its picture as PNG; only called if there are records
    CAPTION                            the caption of the picture
    ALONE                              whether its runs are timed, so that no other run may run at the same time

``given`` are the arguments of the command: ``quick``, ``rows``, ``recipes``, ``seeds`` (how many) and ``minutes``.
``data`` is the argument of ``digits`` in ``rows``.  ``folder`` is a folder for checkpoints.  ``records`` are the
finished runs: a dict from name to a dict of "settings" and "result".  Some or all of them may be missing.  A missing
value is a dash in the section, and is left out of the picture.  (The command adds to each result, under "data", the
name of the digits.)

The results of a part are in a folder of its name.  Its section is between these two lines, and is replaced when it is
written again:

    <!-- paper table: NAME -->
    <!-- end: NAME -->
"""

import re
from pathlib import Path

from minigrad.checkpoint import whole_file

MISSING = "–"
REAL, SYNTHETIC = "MNIST", "synthetic digits"


def with_source(run, *, data, **settings):
    """The result of a part's ``run``, with the name of the digits under "data"."""
    return {**run(data=data, **settings), "data": SYNTHETIC if data == "quick" else REAL}


def insert(text, name, section):
    """The Markdown `text` with `section` between the markers of `name`, or at the end if there are no markers.

    Raises
    ------
    ValueError
        A marker is missing or occurs twice, or the end is before the beginning.

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
                         f"{', '.join(found)}. Keep one pair, or delete all markers to add the section at the end")
    return text[:text.index(first)] + block + text[text.index(last) + len(last):]


def write(path, sections):
    """Write the sections, a dict from name to Markdown, into the file `path`.  Create it if it does not exist."""
    path = Path(path)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    for name, section in sections.items():
        text = insert(text, name, section)
    with whole_file(path) as file:
        file.write(text.encode())


def span(values):
    """The first and the last of sorted values, or one value if they are equal."""
    return f"{values[0]}" if values[0] == values[-1] else f"{values[0]} to {values[-1]}"


def finished(records):
    """A sentence with the dates of the runs, as a list; an empty list if there are no runs."""
    dates = sorted(record["finished"][:10] for record in records.values())
    return [f"The runs finished on {span(dates)}."] if dates else []


def table(heads, rows):
    """A Markdown table.  None in a row becomes a dash.

    >>> print(table(["row", "test error"], [["sbn", None]]))
    | row | test error |
    |---|---|
    | sbn | – |
    """
    lines = [heads, *([MISSING if cell is None else cell for cell in row] for row in rows)]
    head, *body = [f"| {' | '.join(map(str, line))} |" for line in lines]
    return "\n".join([head, "|" + "---|" * len(heads), *body])
