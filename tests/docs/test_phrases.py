"""The glossary, tested: no banned phrase is used, and the terms that replace them are.

Searched are README and the other pages, docs, notebooks, studies, docstrings, comments, messages
and the texts of pictures. Exempt are what speaks of the original's names, and readers of old runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, pages

RATE = (
    r"\b(?:times?|ms|µs|s|min|h|\w*seconds?|minutes?|hours?|bytes|MB|kB|GB|flops|mini-batches|"
    r"steps?|batches|products?|iterations?|multiply-adds|samples|rows?|lines?|curves?|dots?|values?)"
    r" an? (?:sample|epoch|step|batch|mini-batch|seed|run|layer)\b(?! (?:has|takes|of|keeps))"
)
BANNED = {  # a regular expression, in which a space is any gap: what to write instead
    r"sub(?:[-_]| )batch(?:es)?": "micro-batch",
    r"pieces? of (?:a|the|each|its) (?:mini-)?batch": "micro-batch",
    r"places? of (?:a|the|each|every) windows?": "position of the window",
    r"what (?:a|the|each|every|its|one) layers? gives?": "feature map",
    r"way (?:there|back)\b": "forward pass, backward pass",
    r"(?:samples?|batch) (?:(?:is|are|lies?) )?innermost": "batch-last layout (CHWN)",
    r"what (?:one|you) turns?\b": "hyperparameter, setting",
    r"batches that go through": "mini-batch, epoch, step",
    r"mak(?:e|es|ing) (?:the|a|its) loss (?:as )?(?:small|large)": "minimise, maximise",
    r"helper process(?:es)?\b": "worker process",
    r"by heart\b": "overfit",
    r"what it looks at\b": "receptive field",
    r"\b(?:[a-z]+_)?c?ce\b": "loss, error",
    r"(?:go(?:es|ing)? on with|resumes? (?:to|with)|ends? with|to) the same bits": "bit-for-bit",
    r"says? to mistakes": "error messages",
    r"\bends? in (?:an? |another |the )?(?:\w*Error|error)\b": "raises …",
    r"\bcomplain(?:s|ed|ing)?\b": "raises …, or what is refused",
    r"gradient ?slots?\b": "gradient buffer",
    r"(?:this|the) (?:one|project) (?:this one )?began from": "cnn-numpy, the original",
    RATE: "… per sample, per epoch",
}
EXEMPT = {  # files: what may stand in them
    "cnnexp/classic.py": r"c?ce",  # the original's names
    "tests/test_classic.py": r"c?ce",
    "docs/original.md": r".*",
    "cnnexp/runs/version1.py": r".*",  # readers of old runs, and what tests them
    "tests/runs/*": r".*",
    "docs/reliability.md": r"c?ce",  # what 0.1.0 printed
    "experiments/results/*": r".*",  # measured; what is shown of it stands on pages
    "CHANGELOG.md": r"c?ce|sub_batch",  # says what the old names have become
    "tests/docs/test_phrases.py": r".*",
}
TERMS = {  # the terms that apply to what readers see, and to the code
    ("README.md", "docs", "experiments"): [
        *["micro-batch", "position", "feature map", "forward pass", "backward pass", "batch-last"],
        *["hyperparameter", "setting", "logits", "probabilities", "mini-batch", "epoch", "step"],
        *["minimise", "overfit", "generalise", "receptive field", "loss", "error", "bit-for-bit"],
        *["error message", "implementation", "worker process", "raises", "cnn-numpy"],
        *["the original", "per sample", "per epoch"],
    ],
    ("cnnexp",): ["control block", "generation", "GradientBuffer", "CHWN"],
}
LINES = 300  # of a page that is written by hand
BLOCK = re.compile(r"<!-- (?:generated|results|table|provenance)\b.*?<!-- end of", re.DOTALL)
WHOLE = {"mistakes.md", "reliability.md"}  # generated from the first line to the last
PAGES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
KINDS = {".md", ".py", ".yaml", ".html", ".js", ".ipynb", ".svg", ".txt"}
# A space of a phrase is also the end of a line, in comments and between parts of a text.
GAP = r"(?:\s+(?:[#>*/|]+\s+)?|\s?[\"']\s*\n\s*f?[\"'])"


def files() -> Iterator[Path]:
    """Return everything that has words of ours."""
    yield from (ROOT / page for page in PAGES)
    for folder in ("docs", "experiments", "cnnexp", "conf", "tests"):
        for path in sorted((ROOT / folder).rglob("*")):
            hidden = any(part.startswith(("_build", ".")) for part in path.relative_to(ROOT).parts)
            if path.suffix in KINDS and not hidden and "generated" not in path.parts:
                yield path


def text_of(path: Path) -> str:
    """Return what readers see: of a notebook, its cells and what they printed."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    parts = ["".join(cell["source"]) for cell in cells]
    for cell in cells:
        parts += ["".join(output.get("text", "")) for output in cell.get("outputs", [])]
    return "\n".join(parts)


def faults(name: str, text: str) -> list[str]:
    """Return a line for each banned phrase: where, what, and what to write instead."""
    allowed = [pattern for files, pattern in EXEMPT.items() if fnmatch(name, files)]
    found = []
    for phrase, instead in BANNED.items():
        for match in compiled(phrase).finditer(text):
            if not any(re.fullmatch(pattern, match[0]) for pattern in allowed):
                line = text.count("\n", 0, match.start()) + 1
                words = " ".join(match[0].split())
                found.append(f"{name}:{line}: '{words}': write '{instead}'")
    return found


def compiled(phrase: str) -> re.Pattern[str]:
    """Return a pattern that also finds a phrase that runs over the end of a line."""
    return re.compile(re.sub(r" ", lambda _: GAP, phrase), re.IGNORECASE)


def test_no_banned_phrase_is_used() -> None:
    found = [
        fault for path in files() for fault in faults(str(path.relative_to(ROOT)), text_of(path))
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\nit goes on with\n# the same bits", 2),
        ("cut into sub-batches", 1),
        ("It makes the loss small", 1),
        ('f"12 µs a "\n"sample"', 1),
        ("one product a layer", 1),
        ("the test_ce", 1),
        ("it ends in a ValueError", 1),
        ("samples lie\n    innermost", 1),
        ("Seconds an epoch", 1),
    ],
)
def test_a_phrase_is_found_over_lines(text: str, line: int) -> None:
    (fault,) = faults("docs/page.md", text)
    assert fault.startswith(f"docs/page.md:{line}: ")
    assert "write '" in fault


@pytest.mark.parametrize("text", ["force", "a piece of code", "how many samples a mini-batch has"])
def test_ordinary_english_is_left_alone(text: str) -> None:
    assert faults("docs/page.md", text) == []


def test_what_speaks_of_the_original_is_exempt() -> None:
    assert faults("cnnexp/classic.py", "layers, cce, ce = net.train()") == []
    assert faults("cnnexp/classic.py", "sub_batch") != []


@pytest.mark.parametrize("where", TERMS, ids=" ".join)
def test_the_terms_of_the_glossary_are_used(where: tuple[str, ...]) -> None:
    """Not in tests: this file has all of them."""
    texts = [text_of(path) for path in files() if path.relative_to(ROOT).parts[0] in where]
    everything = " ".join(" ".join(texts).lower().split())
    assert [term for term in TERMS[where] if term.lower() not in everything] == []


HAND = {*pages(), *(ROOT / page for page in PAGES), *(ROOT / "experiments").rglob("*.md")}


@pytest.mark.parametrize("page", sorted(HAND), ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_written_by_hand_are_short(page: Path) -> None:
    """Generated parts do not count."""
    if page.name in WHOLE:
        pytest.skip("generated")
    written = BLOCK.sub("", page.read_text(encoding="utf-8"))
    assert written.count("\n") <= LINES
