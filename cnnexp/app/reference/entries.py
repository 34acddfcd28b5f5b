"""What ``help`` says of a setting, and of a choice with settings of its own."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator

from cnnexp.app.reference.settings import NO_DEFAULT, Section, Setting, find, sections

WIDTH = 88
GROUP = "group"  # what the docstring of `Config` calls settings with settings of their own


def of_settings(key: str) -> Iterator[str]:
    """Yield the texts for the settings of a name, and for a section of it."""
    chosen = [s for s in sections() if key in (s.name, re.sub("^.*(?:=|: )", "", s.name))]
    found = [
        (section, setting)
        for section, setting in find(key)
        if not chosen or (setting.key == key and setting.type != GROUP)  # which has a section
    ]
    for setting, places in _grouped(found):
        yield "\n".join(of_setting(setting, places))
    yield from ("\n".join(_of_section(section)) for section in chosen)


def wrapped(text: str, indent: str = "  ") -> list[str]:
    """Return a text in lines, without the marks of code."""
    plain = text.replace("`", "")
    return textwrap.wrap(plain, WIDTH, initial_indent=indent, subsequent_indent="  ")


def _grouped(found: Iterable[tuple[Section, Setting]]) -> Iterator[tuple[Setting, list[str]]]:
    """Yield each setting once, with the names of the sections that have it in the same way."""
    places: dict[Setting, list[str]] = {}
    for section, setting in found:
        places.setdefault(setting, []).append(section.name)
    yield from places.items()


def _of_section(section: Section) -> Iterator[str]:
    """Yield what a choice of a group is, and all its options."""
    yield from wrapped(f"{section.name}: {section.what}", "")
    for setting in section.settings:
        yield ""
        yield from of_setting(setting, [])
    if not section.settings:
        yield "It has no options."


def of_setting(setting: Setting, places: list[str]) -> Iterator[str]:
    """Yield the lines for one setting."""
    of = f"  ({', '.join(places)})" if places and "." in setting.key else ""
    yield from textwrap.wrap(f"{setting.key}{of}", WIDTH, subsequent_indent="    ")
    yield from wrapped(setting.meaning)
    takes = f"{setting.type}; {setting.allowed}" if setting.allowed else setting.type
    yield from textwrap.wrap(
        f"takes {takes}", WIDTH, initial_indent="  ", subsequent_indent="        "
    )
    if setting.default:
        yield f"  {'' if setting.default == NO_DEFAULT else 'default: '}{setting.default}"
    if setting.since:
        yield f"  since: {setting.since}"
