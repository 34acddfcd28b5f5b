"""``--csv``, ``--md`` and ``--json``: a table as text, in a file or on the screen."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cnnexp.app.screen import say, telling
from cnnexp.errors import OptionError
from cnnexp.report import formats
from cnnexp.runs.files import is_folder, write_output

if TYPE_CHECKING:
    import pandas as pd

TEXT_FORMATS: dict[str, Callable[[pd.DataFrame], str]] = {
    "csv": formats.to_csv,
    "md": formats.to_markdown,
    "json": formats.to_json,
}
WORDS = {"csv": "CSV", "md": "Markdown", "json": "JSON"}
SCREEN = "-"


def add_text_formats(parser: argparse.ArgumentParser) -> None:
    """Add the options; the words of the command go through `joined` first."""
    for name, what in WORDS.items():
        parser.add_argument(
            f"--{name}",
            metavar="FILE",
            help=f"the table as {what}, into FILE.{name} or instead of the table on the screen",
        )


def parsed(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """Parse words with these options among them.

    Raises
    ------
    OptionError
        If the FILE of a format has not its ending.
    """
    whole = joined(words)
    given, left = parser.parse_known_args(whole)
    absent = [str(path) for path in getattr(given, "paths", ()) if not is_folder(path)]
    for name in TEXT_FORMATS:
        for option, word in itertools.pairwise(whole):
            if option == f"--{name}={SCREEN}" and word in (*left[:1], *absent):
                raise OptionError(
                    f"--{name} {word}: the name of its FILE ends in .{name}. Write"
                    f" --{name} {word}.{name}, or put {word} before the options, if it is a run."
                )
    if left:
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    return given


def joined(words: Sequence[str]) -> list[str]:
    """Join options with values that argparse would take for something else.

    ``--sort -test_error`` has a value with a dash; ``--json outputs`` has none, it stands before a
    PATH: a FILE is known by its ending.

    Examples
    --------
    >>> joined(["--sort", "-test_error", "--json", "outputs", "--md", "a.md"])
    ['--sort=-test_error', '--json=-', 'outputs', '--md=a.md']
    """
    result: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--sort" and rest:
            word = f"--sort={rest.pop(0)}"
        elif word.startswith("--") and word[2:] in TEXT_FORMATS:
            is_file = bool(rest) and rest[0].lower().endswith(f".{word[2:]}")
            word += f"={rest.pop(0) if is_file or rest[:1] == [SCREEN] else SCREEN}"
        result.append(word)
    return result


def check_text_formats(given: argparse.Namespace) -> None:
    """Refuse outputs that cannot be written.

    Raises
    ------
    OptionError
        If two are to be shown, or a file cannot be there.
    """
    if [given.csv, given.md, given.json].count(SCREEN) > 1:
        raise OptionError(
            "only one of --csv, --md and --json can be shown; give the others a FILE."
        )
    check_files(given.csv, given.md, given.json)


def check_files(*paths: str | Path | None) -> None:
    """Refuse names of files that are folders, or in no folder.

    Raises
    ------
    OptionError
        For the first such name.
    """
    for path in (Path(path) for path in paths if path not in (None, SCREEN)):
        if path.is_dir():
            raise OptionError(f"{path}: is a folder. Give the name of a file to write.")
        if not path.parent.is_dir():
            raise OptionError(f"{path}: there is no folder {path.parent} to write it into.")


def is_shown(given: argparse.Namespace) -> bool:
    """Say whether one of the formats takes the place of the table on the screen."""
    return SCREEN in (given.csv, given.md, given.json)


def write_texts(frame: pd.DataFrame, given: argparse.Namespace) -> None:
    """Write a table in the formats that were asked for, into files or on the screen."""
    for name, convert in TEXT_FORMATS.items():
        path = getattr(given, name)
        if path == SCREEN:
            say(convert(frame), end="")
        elif path is not None:
            with telling(path):
                write_output(Path(path), convert(frame).encode())
