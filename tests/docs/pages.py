"""The code blocks of a page, and the notes that stand before them.

A note is a comment of HTML on the line before a block, which readers do not see:

- ``<!-- no-run: reason -->``: it cannot be run here; a skipped test names the reason.
- ``<!-- long: reason -->``: it takes minutes; run with ``-m long``.
- ``<!-- needs: module -->``: it is run where that module is installed.
- ``<!-- exit: 1 -->``: the code that its command ends with, if it is not 0.
- ``<!-- figures differ -->``: the figures in the output are times, or come from the machine.

A block of ``text`` right after one of ``python`` is what that prints. A block after a line that
holds nothing but names of files and a colon is the content of these files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(
    r"^(?P<before>[^\n]*)\n(?P<gap>\n?)```(?P<info>[^\n`]*)\n(?P<text>(?:(?!```)[^\n]*\n)*)```$",
    re.MULTILINE,
)
NOTE = re.compile(r"<!-- (?P<name>no-run|long|needs|exit|figures differ)(?:: (?P<value>.*?))? -->")
FILES = re.compile(r"(?:`[^`\n]+`(?:, )?)+:")
SHELL = ("console", "bash", "sh", "shell")


@dataclass
class Block:
    """A block of code, and what it prints if the page says so."""

    page: Path
    line: int
    language: str
    text: str
    notes: dict[str, str]
    files: list[str] = field(default_factory=list)
    output: str | None = None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every page that readers are given, as far as it is there."""
    docs = ROOT / "docs"
    found = [*sorted(docs.glob("*.md")), *sorted(docs.glob("course/*.md")), ROOT / "README.md"]
    return [page for page in found if page.exists()]


def blocks(page: Path) -> list[Block]:
    """The blocks of a page that are code, in their order."""
    content = page.read_text(encoding="utf-8")
    found: list[Block] = []
    end = -1
    for match in FENCE.finditer(content):
        language = match["info"].split(maxsplit=1)[0] if match["info"].strip() else ""
        line = content.count("\n", 0, match.start("info")) + 1
        block = Block(page, line, language, match["text"], _notes(match["before"]))
        between = content[end : match.start("info") - 3].strip()
        if language == "text" and not between and found and found[-1].language == "python":
            found[-1].output = match["text"]
        elif FILES.fullmatch(_paragraph_before(content, match)):
            block.files = re.findall(r"`([^`]+)`", _paragraph_before(content, match))
            found.append(block)
        elif language in ("python", *SHELL):
            found.append(block)
        end = match.end()
    return found


def commands(block: Block) -> list[tuple[str, str]]:
    """The commands of a shell block, each with the output that stands below it."""
    if block.language != "console":
        text = block.text.replace("\\\n", " ")
        return [(line, "") for line in text.splitlines() if line.strip() and line[0] != "#"]
    text = re.sub(r"\\\n(?:> )?", " ", block.text)
    found = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE)
    return [(command, output) for command, output in found]


def _notes(line: str) -> dict[str, str]:
    """The notes on the line before a block."""
    return {match["name"]: match["value"] or "" for match in NOTE.finditer(line)}


def _paragraph_before(content: str, match: re.Match[str]) -> str:
    """The line before a block, if it is a paragraph of its own."""
    return match["before"].strip()
