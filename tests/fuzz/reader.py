"""What all readers that are fuzzed share, and the table of them."""

from __future__ import annotations

import contextlib
import io
import random
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from cnnexp.app.main import main
from tests.fuzz.inputs import damaged, joined

CORPUS = Path(__file__).parent / "corpus"
READERS: dict[str, type[Reader]] = {}


class Reader(ABC):
    """A reader of one kind of bytes.

    Attributes
    ----------
    name : str
        In the table, and of its folder in the corpus.
    group : str
        What it belongs to: runs, data, pictures, settings.
    every : int
        Of so many inputs, one goes through a whole command as well; 0: none.
    pure : bool
        Whether it only computes, so that atheris may choose its inputs.
    names_files : bool
        Whether every refusal names the file.
    words : tuple of bytes
        Texts that mean something to it, put into inputs.
    """

    name: ClassVar[str]
    group: ClassVar[str]
    every: ClassVar[int] = 0
    pure: ClassVar[bool] = True
    names_files: ClassVar[bool] = True
    words: ClassVar[tuple[bytes, ...]] = ()

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / self.name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.named = str(self.folder) if self.names_files else ""
        self.seeds = [*self.made_seeds(), *(path.read_bytes() for path in corpus_of(self.name))]

    def __init_subclass__(cls) -> None:
        if "name" in vars(cls):
            READERS[cls.name] = cls

    @abstractmethod
    def made_seeds(self) -> list[bytes]:
        """Return inputs that are as they should be, and hostile ones that are known."""

    @abstractmethod
    def read(self, content: bytes) -> None:
        """Read an input; nothing but an error of the family may be raised."""

    def make(self, rng: random.Random) -> bytes:
        """Return a damaged or hostile input."""
        content = joined(self.seeds, rng) if rng.random() < 0.1 else rng.choice(self.seeds)
        return damaged(content, rng, self.words)

    @staticmethod
    def is_there() -> bool:
        """Say whether what it needs is installed."""
        return True

    def command(self, content: bytes, rng: random.Random) -> None:  # noqa: B027  (many have none)
        """Give an input to a whole command."""


def corpus_of(name: str) -> list[Path]:
    """Return the files of past failures of a reader."""
    return sorted((CORPUS / name).glob("*"))


def one_in(count: int, content: bytes) -> bool:
    """Say whether an input is among the few that are read more slowly as well."""
    return zlib.crc32(content) % count == 0


def chosen(options: Sequence[Any], content: bytes) -> Any:
    """Return one of some options; the same input always has the same."""
    return options[zlib.crc32(content) % len(options)]


def call(*words: object) -> None:
    """Run a command in this process; it must end with a code, and print no traceback."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            code = main([str(word) for word in words])
        except SystemExit as ended:  # as argparse ends a program
            code = ended.code
    text = out.getvalue()
    if code not in (0, 1, 2) or "Traceback" in text or "\x1b" in text:
        raise AssertionError(f"{words[0]}: code {code}: {text[-500:]}")
