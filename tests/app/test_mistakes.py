"""``docs/mistakes.md`` is what users are told: every text on it is what the program says.

``python -m tests.app.test_mistakes`` writes the page again with the texts of today; read what has
changed before you keep it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from tests.commandline import cnnexp, succeed

PAGE = Path(__file__).parents[2] / "docs" / "mistakes.md"
ENTRY = re.compile(r"```console\n\$ python -m cnnexp ?(?P<words>.*)\n(?P<text>(?:.*\n)*?)```")
FILE = re.compile(r"^(?P<names>`[^\n]+`):\n\n```\w+\n(?P<content>(?:.*\n)*?)```", re.MULTILINE)
HOME = "/home/me"  # stands on the page for the working folder
BEGINNING = re.compile(r"\A(training \w+ on .* with impl=.*\n)?(features: .*\n)?")
"""What a run says before it reads data, with a folder named after the time; not on the page."""


class Mistake(NamedTuple):
    """A command of the page, and the text it shows."""

    words: str
    text: str


def mistakes() -> list[Mistake]:
    page = PAGE.read_text(encoding="utf-8")
    return [Mistake(match["words"], match["text"]) for match in ENTRY.finditer(page)]


def prepare(folder: Path) -> None:
    """Make the files that the page names, and the run ``first``."""
    for match in FILE.finditer(PAGE.read_text(encoding="utf-8")):
        for name in re.findall(r"`([^`]+)`", match["names"]):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(match["content"], encoding="utf-8")
    succeed("model=flat", "epochs=1", "data.limit=50", f"hydra.run.dir={folder / 'first'}")


def make(words: str) -> tuple[int, str]:
    """Make a mistake in the working folder; return the exit code, and the text for the page."""
    ended = cnnexp(*shlex.split(words))
    text = (ended.out + ended.err).replace(os.getcwd(), HOME).replace(os.path.realpath("."), HOME)
    return ended.code, BEGINNING.sub("", text)


def without_network() -> pytest.MonkeyPatch:
    """Cut the network off, and let nothing wait for it."""

    def refuse(*_, **__):
        raise requests.ConnectionError("no network")

    patch = pytest.MonkeyPatch()
    patch.setattr(requests, "get", refuse)
    patch.setattr("pooch.core.time.sleep", lambda seconds: None)
    return patch


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistakes")
    prepare(folder)
    return folder


@pytest.fixture
def folder(prepared, tmp_path, monkeypatch):
    """A folder of one's own with the page's files, without network."""
    shutil.copytree(prepared, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    patch = without_network()
    yield tmp_path / "work"
    patch.undo()


def everything(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }


@pytest.mark.parametrize("mistake", mistakes(), ids=lambda mistake: mistake.words)
@pytest.mark.few(6)
def test_the_page_says_what_the_program_says(mistake, folder):
    before = everything(folder)
    code, text = make(mistake.words)
    assert text == mistake.text
    assert code == 2
    left = {name for name in everything(folder) - before if not name.startswith("elsewhere")}
    assert not left  # but for the folder of a download that was tried


def test_the_page_is_long_enough():
    words = [mistake.words for mistake in mistakes()]
    assert len(words) == len(set(words)) >= 40


def rewrite() -> None:
    """Write the page again with the texts of today."""
    page = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as kept:
        prepare(Path(kept))
        patch = without_network()

        def texts(match: re.Match[str]) -> str:
            with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
                shutil.copytree(kept, "work")
                with contextlib.chdir("work"):
                    code, text = make(match["words"])
                if code != 2:
                    print(f"code {code}: {match['words']}")
            return f"```console\n$ python -m cnnexp {match['words']}\n{text}```"

        page = ENTRY.sub(texts, page)
        patch.undo()
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    rewrite()
