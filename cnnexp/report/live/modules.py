"""The page's JavaScript: modules in files of their own, joined into one script.

A page that opens by double click cannot load modules from other files, so they are put one after
another, each after those that it imports; lines that import and words that export are left out. Two
modules must not give the same name to different things.
"""

from __future__ import annotations

import re
from collections import Counter
from importlib import resources

IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.MULTILINE)
TOP_LEVEL = re.compile(r"^(?:async )?(?:function\*?|const|let|class) (\w+)", re.MULTILINE)


def source(name: str) -> str:
    """Return the text of a file of the page."""
    return resources.files("cnnexp.report.live").joinpath(name).read_text("utf-8")


def joined(*names: str) -> str:
    """Return modules, and all that they import, as one script.

    Parameters
    ----------
    *names : str
        Names of modules, without the ending.

    Raises
    ------
    ValueError
        If two modules have the same name at their top level.
    """
    found: dict[str, str] = {}
    for name in names:
        _collect(name, found)
    script = "\n".join(f"// {name}.js\n{text}" for name, text in found.items())
    twice = [name for name, count in Counter(TOP_LEVEL.findall(script)).items() if count > 1]
    if twice:
        raise ValueError(f"several modules of the page have {', '.join(sorted(twice))}")
    return script


def _collect(name: str, found: dict[str, str], above: tuple[str, ...] = ()) -> None:
    """Enter a module after those that it imports."""
    if name in found:
        return
    if name in above:
        raise ValueError(f"modules of the page import each other: {' > '.join((*above, name))}")
    text = source(f"{name}.js")
    for needed in IMPORT.findall(text):
        _collect(needed, found, (*above, name))
    found[name] = re.sub(r"^export ", "", IMPORT.sub("", text), flags=re.MULTILINE)
