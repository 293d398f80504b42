"""Text for streams that are not UTF-8.  Characters that the encoding does not have are written in ASCII: σ as sigma.

    print(output.shown(text))       one text, with characters that sys.stdout can print
    output.adapt()                  for programs: changes everything that is printed from now on
"""

from __future__ import annotations

import codecs
import sys
import unicodedata
from typing import Any

WORDS = {
    "−": "-", "–": "-", "—": "-", "±": "+/-", "×": "x", "·": ".", "⊙": "*", "∕": "/", "⁄": "/", "√": "sqrt ",
    "Σ": "Sum", "∂": "d", "∇": "grad ", "∞": "inf", "∈": "in", "≈": "~", "≠": "!=", "≤": "<=", "≥": ">=",
    "→": "->", "←": "<-", "↔": "<->", "…": "...", "′": "'", "µ": "u", "λ": "lambda", "Λ": "Lambda", "°": " deg",
    "∝": "~", "∫": "int ", "‖": "||", "⌈": "ceil(", "⌉": ")", "⟨": "<", "⟩": ">", "§": "section ",
    "“": '"', "”": '"', "‘": "'", "’": "'", "«": '"', "»": '"', "•": "*",
}


def in_ascii(character: str) -> str:
    """A character in ASCII; "?" if nothing similar is known.

    >>> [in_ascii(x) for x in "θ²ᵢ½±é│█"]
    ['theta', '^2', '_i', '1/2', '+/-', 'e', '|', '#']
    """
    if character.isascii():
        return character
    if character in WORDS:
        return WORDS[character]
    if unicodedata.combining(character):
        return ""
    name, parts = unicodedata.name(character, ""), unicodedata.decomposition(character)
    if name.startswith(("GREEK SMALL LETTER", "GREEK CAPITAL LETTER")):
        letter = name.split()[3].lower()
        return letter.capitalize() if "CAPITAL" in name else letter
    if name.startswith("BOX DRAWINGS"):
        return "+" if " AND " in name else {"HORIZONTAL": "-", "VERTICAL": "|"}.get(name.split()[-1], "+")
    if "BLOCK" in name or "SHADE" in name:
        return "#"
    mark = {"<super>": "^", "<sub>": "_"}.get(parts.split(" ")[0], "")
    if not mark and name.startswith("MODIFIER LETTER"):
        mark = "^"
    plain = unicodedata.normalize("NFKD", character)
    return "?" if plain == character else mark + "".join(map(in_ascii, plain))


def replaced(error: Exception) -> tuple[str, int]:
    """The handler of encoding errors: it replaces characters that cannot be encoded by ASCII."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(in_ascii, error.object[error.start:error.end])), error.end


HANDLER = "minigrad.ascii"
codecs.register_error(HANDLER, replaced)


def shown(text: str) -> str:
    """``text`` with characters that sys.stdout can print.  It is not changed if the encoding has all of them.

    >>> shown("σ(0) = 0.5")
    'σ(0) = 0.5'
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, HANDLER).decode(encoding)


def adapt() -> None:
    """Let sys.stdout and sys.stderr replace characters that their encoding does not have by ASCII."""
    streams: tuple[Any, ...] = (sys.stdout, sys.stderr)
    for stream in streams:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=HANDLER)
