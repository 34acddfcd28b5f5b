"""Presets: the files of config groups, such as ``model=lenet5`` and ``augment=elastic``.

Their values are what `help` shows of a choice that is made of other things.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from cnnexp.app.locations import CHOICES, config_files, config_root


class Preset(NamedTuple):
    """A file of a group: its key as it is typed, its first comment, and its settings as YAML."""

    key: str
    about: str
    text: str


def presets() -> Iterator[Preset]:
    """Yield the files of all groups, of the user's project too.

    Examples
    --------
    >>> [preset.key for preset in presets() if preset.key.endswith("=elastic")]
    ['augment=elastic']
    """
    for group in CHOICES:
        for name, path in config_files(group).items():
            yield Preset(f"{group}={name}", *_parted(path))


def comment(path: Path) -> str:
    """Return the comment with which a YAML file begins, its first sentence."""
    first = re.split(r"(?<=[.?]) ", _parted(path)[0])[0]
    return first if first[-1:] in ".?" else first + "."


def values_in_presets(transform: str, option: str) -> Iterator[tuple[str, Any]]:
    """Yield the names of our presets of ``augment`` that set an option, with its value."""
    for name, entries in _own_transforms().items():
        for entry in entries:
            if entry["type"] == transform and option in entry:
                yield name, entry[option]


@functools.cache
def _own_transforms() -> dict[str, list[dict[str, Any]]]:
    """Return the transforms of our presets of ``augment`` by their names."""
    files = sorted((config_root() / "conf" / "augment").glob("*.yaml"))
    return {
        path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))["transforms"] for path in files
    }


def _parted(path: Path) -> tuple[str, str]:
    """Return the comment with which a YAML file begins, and what follows it."""
    lines = path.read_text(encoding="utf-8").splitlines()
    while lines and lines[0].startswith("# @"):  # where Hydra puts the settings
        del lines[0]
    length = next((k for k, line in enumerate(lines) if not line.startswith("#")), len(lines))
    about = " ".join(line.lstrip("# ").rstrip() for line in lines[:length])
    text = "\n".join(lines[length:]).strip("\n")
    return about, re.sub(r"\Adefaults:\n  - /schema/\S+\n(?! )", "", text)  # keys, no values
