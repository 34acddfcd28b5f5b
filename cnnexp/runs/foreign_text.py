"""Text that somebody else wrote, made harmless for where it is shown."""

from __future__ import annotations

import json
import re
from typing import Any

# Control characters but newline and tab, marks that turn the direction of writing, lone surrogates.
CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what makes a cell a formula in a spreadsheet


def printable(text: str) -> str:
    r"""Return text with all control characters written out.

    A terminal obeys them: they can hide what is printed, set its title, or have it type something.

    Examples
    --------
    >>> print(printable("a\x1b[2Jb"))
    a\x1b[2Jb
    """
    return text if text.isprintable() else CONTROLS.sub(_written_out, text)


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def json_of(content: Any) -> str:
    """Return JSON for people and programs; control characters that JSON allows are escaped too."""
    text = json.dumps(content, indent=1, ensure_ascii=False)
    return text if text.isascii() else CONTROLS.sub(lambda m: f"\\u{ord(m[0]):04x}", text)


def cell(text: str) -> str:
    """Return text as a cell of a CSV file that no spreadsheet takes for a formula.

    Examples
    --------
    >>> cell("=1+1"), cell("-1.5e3"), cell("conv1")
    ("'=1+1", '-1.5e3', 'conv1')
    """
    if not text.startswith(FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def markdown(text: str) -> str:
    r"""Return text in one line in which nothing is Markdown's own, or HTML.

    Examples
    --------
    >>> markdown("<b>a|b</b> [x](y)")
    '&lt;b&gt;a\\|b&lt;/b&gt; \\[x\\](y)'
    """
    text = " ".join(printable(text).split())
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(character, entity)
    return re.sub(r"([\\|*`\[\]~])", r"\\\1", text)
