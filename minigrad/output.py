"""Text for streams that are not UTF-8: what their encoding lacks is written in ASCII, σ as sigma and ± as +/-.

    print(output.shown(text))       a text as sys.stdout can print it
    output.adapt()                  for programs: everything that is printed from now on
"""

import codecs
import sys
import unicodedata

WORDS = {
    "−": "-", "–": "-", "—": "-", "±": "+/-", "×": "x", "·": ".", "⊙": "*", "∕": "/", "⁄": "/", "√": "sqrt ",
    "Σ": "Sum", "∂": "d", "∇": "grad ", "∞": "inf", "∈": "in", "≈": "~", "≠": "!=", "≤": "<=", "≥": ">=",
    "→": "->", "←": "<-", "↔": "<->", "…": "...", "′": "'", "µ": "u", "λ": "lambda", "Λ": "Lambda", "°": " deg",
    "∝": "~", "∫": "int ", "‖": "||", "⌈": "ceil(", "⌉": ")", "⟨": "<", "⟩": ">", "§": "section ",
    "“": '"', "”": '"', "‘": "'", "’": "'", "«": '"', "»": '"', "•": "*",
}


def in_ascii(character):
    """A character in ASCII, "?" where nothing similar is known.

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


def replaced(error):
    """The handler of encoding errors that makes a text ASCII where it cannot be encoded."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(in_ascii, error.object[error.start:error.end])), error.end


HANDLER = "minigrad.ascii"
codecs.register_error(HANDLER, replaced)


def shown(text):
    """``text`` as sys.stdout can print it: itself where the encoding has all of its characters.

    >>> shown("σ(0) = 0.5")
    'σ(0) = 0.5'
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, HANDLER).decode(encoding)


def adapt():
    """Have sys.stdout and sys.stderr write in ASCII what their encoding lacks, where they would raise or escape it."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=HANDLER)
