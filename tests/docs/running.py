"""Runs the blocks of a page in order, in one namespace and one folder, and compares their output.

Words have to agree. In what a command prints figures are not compared, because times are among
them; in what Python prints they are, to two per cent where they have a decimal point.

Commands of ours run in this process; the jobs of a sweep too, by Hydra's basic launcher, which
saves a second or two a job. With ``as_written`` all goes through a shell.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib.util
import io
import itertools
import math
import os
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cnnexp.app.main import main
from tests.docs.pages import ROOT, SHELL, Block, commands

NUMBER = re.compile(r"[-+]?\d+(?:[,.]\d+)*(?:e[-+]?\d+)?")
DRAWN = re.compile(r"[\u2580-\u259f\u2800-\u28ff]")  # blocks and braille
OURS = re.compile(r"python -m cnnexp ?(?P<words>.*?)(?: \| (?P<part>head|tail) -(?P<count>\d+))?")
SHELL_SIGNS = set("|;&<>$`*~")


class PageFailed(AssertionError):
    """A block does not do what the page says."""


class Runner:
    """Runs blocks in the working folder.

    Parameters
    ----------
    as_written : bool
        Whether every command is given to a shell as it stands on the page.
    """

    def __init__(self, as_written: bool = False) -> None:
        self.as_written = as_written
        self.namespace: dict[str, Any] = {"__name__": "__main__"}

    def run(self, block: Block) -> list[str]:
        """Run a block, compare, and return what it printed: one text a command."""
        if block.files:
            for name in block.files:
                Path(name).parent.mkdir(parents=True, exist_ok=True)
                Path(name).write_text(block.text, encoding="utf-8")
            return []
        with warnings.catch_warnings():
            if "needs" in block.notes:
                warnings.simplefilter("ignore")  # of packages that are not ours
            return self._commands(block) if block.language in SHELL else [self._python(block)]

    def _python(self, block: Block) -> str:
        if ">>>" in block.text:
            return self._doctest(block)
        printed = io.StringIO()
        code = compile("\n" * block.line + block.text, str(block.page), "exec")
        with contextlib.redirect_stdout(printed):
            exec(code, self.namespace)
        if block.output is not None and "figures differ" not in block.notes:
            compare(block, printed.getvalue(), block.output, figures=True)
        elif block.output is not None:
            compare(block, printed.getvalue(), block.output, figures=False)
        return printed.getvalue()

    def _doctest(self, block: Block) -> str:
        test = doctest.DocTestParser().get_doctest(
            block.text, self.namespace, str(block), str(block.page), block.line
        )
        printed = io.StringIO()
        runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
        failed = runner.run(test, out=printed.write, clear_globs=False).failed
        self.namespace.update(test.globs)
        if failed:
            raise PageFailed(printed.getvalue())
        return ""

    def _commands(self, block: Block) -> list[str]:
        texts = []
        for command, output in commands(block):
            ended = run_command(command, self.as_written)
            expected = int(block.notes.get("exit", 2 if output.startswith("error:") else 0))
            if ended.code != expected:
                raise PageFailed(f"{block}: $ {command}\nended with {ended.code}:\n{ended.text}")
            if output:
                compare(block, ended.text, output, figures=False)
            texts.append(ended.text)
        return texts


class Ended(NamedTuple):
    """How a command ended, and what it wrote on a terminal."""

    code: int
    text: str


def run_command(command: str, as_written: bool) -> Ended:
    """Run a command: in this process if it is ours and has nothing but a tail, else in a shell."""
    ours = OURS.fullmatch(command)
    as_written |= "hydra/" in command or "hydra.launcher" in command
    if ours and not as_written and not SHELL_SIGNS & set(re.sub(r"'[^']*'", "", ours["words"])):
        words = shlex.split(ours["words"])
        if words[:1] == ["-m"]:
            words.append("hydra/launcher=basic")
        ended = _in_process(words)
        return Ended(ended.code, _part(ended.text, ours["part"], ours["count"]))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    pipefail = [] if "| head" in command else ["-o", "pipefail"]  # head may leave the pipe early
    done = subprocess.run(
        ["bash", *pipefail, "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PATH": path},
        check=False,
    )
    return Ended(done.returncode, done.stdout)


def _part(text: str, part: str | None, count: str | None) -> str:
    """Return the first or the last lines of a text, as ``head`` and ``tail`` do."""
    if part is None or count is None:
        return text
    lines = text.splitlines(keepends=True)
    return "".join(lines[: int(count)] if part == "head" else lines[-int(count) :])


def _in_process(words: list[str]) -> Ended:
    """Run ``python -m cnnexp WORDS`` in this process."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        try:
            code = main(words)
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Ended(code, text.getvalue())


def missing(block: Block) -> str:
    """The module that a block needs and that is not installed, or nothing."""
    name = block.notes.get("needs", "")
    with contextlib.suppress(ModuleNotFoundError):
        return "" if not name or importlib.util.find_spec(name) else name
    return name


def compare(block: Block, printed: str, expected: str, figures: bool) -> None:
    """Raise PageFailed unless two texts agree; a line of ``...`` stands for any lines."""
    wanted = [words(part) for part in re.split(r"^ *(?:\.\.\.|…) *\n", expected, flags=re.M)]
    pattern = ".*".join(re.escape(part) for part in wanted)
    if not re.fullmatch(r"\s*" + pattern + r"\s*", words(printed), re.DOTALL):
        where = _first_difference(printed, expected)
        raise PageFailed(f"{block} shows\n{expected}\nbut there is\n{printed}\n{where}")
    if figures and len(wanted) == 1:
        pairs = zip(NUMBER.findall(expected), NUMBER.findall(printed), strict=True)
        for shown, found in pairs:
            if not _alike(shown, found):
                raise PageFailed(f"{block} shows {shown}, but it is {found}, in\n{printed}")


def _first_difference(printed: str, expected: str) -> str:
    """Say where two texts part."""
    pairs = itertools.zip_longest(words(printed).split(), words(expected).split())
    found, shown = next((pair for pair in pairs if pair[0] != pair[1]), ("nothing", "nothing"))
    return f"(first difference: {shown!r} on the page, {found!r} here)"


def words(text: str) -> str:
    """A text without figures, drawings, rules and differences in space."""
    text = re.sub(r"-{3,}", "---", DRAWN.sub("", NUMBER.sub("#", text)))
    return re.sub(r"\s+", " ", text).strip()


def _alike(shown: str, found: str) -> bool:
    """Whether two figures agree: whole numbers exactly, others to two per cent."""
    if "." not in shown and "e" not in shown:
        return shown == found
    values = [float(text.replace(",", "")) for text in (shown, found)]
    return math.isclose(*values, rel_tol=0.02, abs_tol=1e-6)


def run_page(page_blocks: list[Block], long: bool) -> list[tuple[Block, list[str]]]:
    """Run those blocks of a page that can be run here; return what each printed."""
    runner, printed = Runner(as_written=long), []
    for block in page_blocks:
        if "no-run" in block.notes or missing(block) or ("long" in block.notes and not long):
            continue
        try:
            printed.append((block, runner.run(block)))
        except PageFailed:
            raise
        except Exception as error:
            pytest.fail(f"{block}: {type(error).__name__}: {error}")
    return printed
