"""The pages of the reference, generated: ``python -m tests.docs.reference`` writes them again.

========================  =====================================================================
``docs/settings.md``      every setting, from the dataclasses
``docs/commands.md``      every command and its options, from the parsers
``docs/run_folder.md``    every file, column and field, from `cnnexp.app.reference.contents`
``docs/components.md``    layers, losses, optimizers and so on, from the tables of names
========================  =====================================================================

What stands outside the marks of a page is written by hand. ``--release 0.2.0`` enters all settings
that are not yet released into ``cnnexp/app/reference/releases.json``.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any
from unittest import mock

from cnnexp.app.commands import SUMMARIES, command_of
from cnnexp.app.commands.list import KINDS, Entry
from cnnexp.app.compose.hydra_bridge import get_args_parser
from cnnexp.app.reference import contents, since
from cnnexp.app.reference.settings import NO_DEFAULT, Section, Setting, sections
from cnnexp.data import SOURCES
from cnnexp.data.augmentation import AUGMENTATIONS
from cnnexp.engine import IMPLEMENTATIONS
from cnnexp.nn.initializers import INITIALIZERS
from cnnexp.nn.layer import LAYERS
from cnnexp.nn.losses import LOSSES, METRICS
from cnnexp.registry import Registry
from cnnexp.trackers import TRACKERS
from cnnexp.train import CALLBACKS, OPTIMIZERS, SCHEDULES

DOCS = Path(__file__).parents[2] / "docs"
BEGIN, END = "<!-- generated: {} -->", "<!-- end of generated -->"
REGISTRIES: dict[str, tuple[Registry[Any], str]] = {  # where each table is imported from
    "layers": (LAYERS, "cnnexp.LAYERS"),
    "losses": (LOSSES, "cnnexp.LOSSES"),
    "metrics": (METRICS, "cnnexp.METRICS"),
    "initializers": (INITIALIZERS, "cnnexp.nn.initializers.INITIALIZERS"),
    "optimizers": (OPTIMIZERS, "cnnexp.train.OPTIMIZERS"),
    "schedules": (SCHEDULES, "cnnexp.train.SCHEDULES"),
    "callbacks": (CALLBACKS, "cnnexp.train.CALLBACKS"),
    "augmentations": (AUGMENTATIONS, "cnnexp.data.augmentation.AUGMENTATIONS"),
    "data": (SOURCES, "cnnexp.data.SOURCES"),
    "impls": (IMPLEMENTATIONS, "cnnexp.engine.IMPLEMENTATIONS"),
    "trackers": (TRACKERS, "cnnexp.trackers.TRACKERS"),
}
SECTION_OF = {  # the settings of what a table has
    "layers": "type: {}",
    "losses": "loss={}",
    "optimizers": "optimizer={}",
    "schedules": "schedule={}",
    "callbacks": "callback: {}",
    "augmentations": "transform: {}",
    "data": "data={}",
    "trackers": "tracker: {}",
}
ELSEWHERE = ("settings", "commands")  # kinds of `list` that have pages of their own
FLAGS = {  # of the command that trains; Hydra's parser takes them
    "--help": "A page of commands, groups and common settings.",
    "--hydra-help": "Hydra's own page.",
    "--version": "The version of this program.",
    "--cfg": "Print the settings instead of running: `--cfg job`, `hydra` or `all`.",
    "--resolve": "With `--cfg`: with values in place of `${…}`.",
    "--package": "With `--cfg`: a part of the settings, for example `--package model`.",
    "--run": "Train once, as without it.",
    "--multirun": "Train once for each combination of values: a sweep.",
    "--config-name": "Another primary config than `config`.",
    "--config-dir": "A folder with configs of yours.",
    "--info": "What Hydra has found: `all`, `config`, `defaults`, `defaults-tree`, `plugins` or"
    " `searchpath`.",
    "--shell-completion": "Install completion of settings for a shell, or remove it.",
}
REFUSED = {"--config-path", "--experimental-rerun"}  # with a message that says what to type


def own(thing: object) -> bool:
    """Whether a thing is ours; other tests may have entered some of theirs."""
    return getattr(thing, "__module__", "cnnexp.").startswith("cnnexp.")


def everything() -> list[Section]:
    """Return all settings that are ours."""
    return [section for section in sections() if not section.foreign]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)


def cell(text: str) -> str:
    """Return text for a cell: on one line, without bars, and with code as Markdown has it."""
    return " ".join(text.replace("``", "`").replace("|", "\\|").split())


def code(text: str) -> str:
    """Return text as code, if there is any."""
    return f"`{text}`" if text else ""


# Settings ----------------------------------------------------------------------------------------


def settings_page() -> str:
    """Return an index of all settings, and a table for each section."""
    return "\n\n".join(["## Index", *index(), *map(of_section, everything())])


def index() -> Iterator[str]:
    """Yield a line for each letter: settings by their last word, with links to their rows."""
    first: dict[str, str] = {}
    for section in everything():
        for setting in section.settings:
            first.setdefault(setting.key, anchor(section, setting))
    keys = sorted(first, key=lambda key: (key.rpartition(".")[2], key))
    for letter, found in groupby(keys, key=lambda key: key.rpartition(".")[2][0]):
        links = (f'<a href="#{first[key]}"><code>{key}</code></a>' for key in found)
        yield f"**{letter}** " + " · ".join(links)


def anchor(section: Section, setting: Setting) -> str:
    """Return the anchor of a row.

    Examples
    --------
    >>> anchor(Section("optimizer=sgd", "", ()), Setting("optimizer.nesterov", "", "", "", ""))
    'optimizer-sgd-nesterov'
    """
    option = setting.key.rpartition(".")[2]
    return re.sub("[^a-z0-9_]+", "-", f"{section.name}-{option}".lower())


def of_section(section: Section) -> str:
    """Return a heading, what the section is, and a row for each of its settings."""
    name = code(section.name) if re.search("[:=]", section.name) else section.name
    parts = [f"## {name}", section.what]
    if section.settings:
        head = ("setting", "takes; range", "default", "meaning", "since")
        parts.append(table(head, [row_of(section, setting) for setting in section.settings]))
    return "\n\n".join(parts)


def row_of(section: Section, setting: Setting) -> list[str]:
    """Return the cells of a setting."""
    key = f'<a id="{anchor(section, setting)}"></a>`{setting.key}`'
    default = setting.default if setting.default == NO_DEFAULT else code(setting.default)
    takes = f"{setting.type}; {setting.allowed}" if setting.allowed else setting.type
    return [key, takes, default, setting.meaning, setting.since]


# Commands ----------------------------------------------------------------------------------------


PARTS = {"inspect": ["inspect stride-groups"]}  # what has a parser of its own below a command
COMMANDS = [name for command in SUMMARIES for name in (command, *PARTS.get(command, []))]


class Caught(Exception):
    """A parser, caught when it was about to parse."""


def parser_of(command: str) -> argparse.ArgumentParser:
    """Return the parser of a command, as it is just before it parses."""

    def catch(parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        raise Caught(parser)

    names = ("parse_args", "parse_intermixed_args", "parse_known_args")
    with mock.patch.multiple(argparse.ArgumentParser, **dict.fromkeys(names, catch)):
        try:
            name, *words = command.split()
            command_of(name)(words)
        except Caught as caught:
            parser: argparse.ArgumentParser = caught.args[0]
            return parser
    raise AssertionError(f"{command} parses nothing")


def actions_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return what a parser takes, but for --help."""
    return [action for action in parser._actions if action.dest != "help"]


def commands_page() -> str:
    """Return the flags of a training, and all commands."""
    parts = ["## Training", "`python -m cnnexp [KEY=VALUE …] [FLAG …]`", flags()]
    links = [f"[`{name}`](#{name}): {summary}" for name, summary in SUMMARIES.items()]
    parts += ["## All commands", "\n".join(f"- {link}" for link in links)]
    return "\n\n".join([*parts, *map(of_command, COMMANDS)])


def flags() -> str:
    """Return the flags of the command that trains."""
    rows = []
    for action in get_args_parser()._actions:
        long = max(action.option_strings, key=len, default="")
        if long in FLAGS:
            rows.append([", ".join(map(code, sorted(action.option_strings, key=len))), FLAGS[long]])
    return table(("flag", "meaning"), rows)


def of_command(name: str) -> str:
    """Return a command: what it does, how it is typed, its options, and its own examples."""
    parser = parser_of(name)
    parts = [f"## {name}", str(parser.description), usage(parser)]
    if rows := [of_action(action) for action in actions_of(parser)]:
        parts.append(table(("option", "takes", "default", "meaning"), rows))
    if parser.epilog:
        parts.append(f"```text\n{parser.epilog.strip()}\n```")
    return "\n\n".join(parts)


def usage(parser: argparse.ArgumentParser) -> str:
    """Return how a command is typed."""
    actions = actions_of(parser)
    words = [shown(action) for action in actions if not action.option_strings]
    more = ["[OPTION …]"] if any(action.option_strings for action in actions) else []
    return code(" ".join(["python -m", parser.prog, *words, *more]))


def shown(action: argparse.Action) -> str:
    """Return an argument as usage has it."""
    name = str(action.metavar or action.dest)
    if action.nargs in ("*", "+"):
        name += " …"
    return f"[{name}]" if action.nargs in ("*", "?") else name


def of_action(action: argparse.Action) -> list[str]:
    """Return the cells of an option."""
    names = ", ".join(map(code, action.option_strings)) or code(str(action.metavar or action.dest))
    if action.nargs == 0:
        takes = "nothing"
    elif action.choices is not None:
        takes = ", ".join(map(code, map(str, action.choices)))
    else:
        kind = {int: "a whole number", float: "a number"}.get(action.type, "")  # type: ignore
        takes = f"{code(str(action.metavar)) if action.option_strings else ''} {kind}".strip()
        takes += {"+": " one or more", "*": " any number"}.get(str(action.nargs), "")
    given = [] if action.default in (None, False, argparse.SUPPRESS) else action.default
    default = ", ".join(map(str, given if isinstance(given, list | tuple) else [given]))
    text = (action.help or "").replace("%%", "%")
    return [names, takes, code(default), text]


# Run folder --------------------------------------------------------------------------------------


def run_folder_page() -> str:
    """Return the files of a run folder, their columns, and the fields of the record."""
    return "\n\n".join(
        [
            "## Files of a run",
            of_files(contents.FILES),
            *of_entries(contents.columns(), "column"),
            *of_entries(contents.fields(), "field"),
            "## Files of a sweep",
            of_files(contents.SWEEP_FILES),
            *of_entries(contents.sweep_fields(), "field"),
        ]
    )


def of_files(files: Sequence[contents.File]) -> str:
    """Return a table of files."""
    rows = [[code(file.name), file.when, file.what] for file in files]
    return table(("file", "written", "what it is"), rows)


def of_entries(entries: Iterator[contents.Entry], kind: str) -> Iterator[str]:
    """Yield the columns or fields of each file."""
    files: dict[str, list[list[str]]] = defaultdict(list)
    for entry in entries:
        name = f'<a id="{entry.file}-{entry.name}"></a>`{entry.name}`'
        files[entry.file].append([name, entry.type, entry.meaning])
    for file, rows in files.items():
        yield f"## {file}"
        yield table((kind, "type", "meaning"), rows)


# Components --------------------------------------------------------------------------------------


def components_page() -> str:
    """Return a table for each kind of thing that settings name."""
    return "\n\n".join(of_kind(kind) for kind in KINDS if kind not in ELSEWHERE)


def of_kind(kind: str) -> str:
    """Return everything of one kind."""
    about = KINDS[kind]
    parts = [f"## {kind}", f"{about.what.capitalize()}. Used as: `{about.usage}`"]
    if kind in REGISTRIES:
        parts[-1] += f" In Python: `{REGISTRIES[kind][1]}`."
    registry = REGISTRIES[kind][0] if kind in REGISTRIES else {}
    found = [e for e in about.entries() if e.name not in registry or own(registry[e.name])]
    head = ["name", "what it is", "options and defaults", "source"]
    rows = [of_entry(kind, entry) for entry in found]
    filled = [k for k in range(len(head)) if any(row[k] for row in rows)]
    parts.append(table([head[k] for k in filled], [[row[k] for k in filled] for row in rows]))
    return "\n\n".join(parts)


def of_entry(kind: str, entry: Entry) -> list[str]:
    """Return the cells of one thing."""
    name = code(entry.name)
    if kind in SECTION_OF and entry.options:
        name = f"[{name}](settings.md#{slug(SECTION_OF[kind].format(entry.name))})"
    registry = REGISTRIES.get(kind, ({}, ""))[0]
    source = source_of(registry[entry.name]) if entry.name in registry else ""
    return [name, entry.what, code(entry.options), source]


def slug(heading: str) -> str:
    """Return the anchor that a heading has on the site and on GitHub."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def source_of(thing: Any) -> str:
    """Return the first reference that a docstring names."""
    found = re.search(r"References\n\s*-+\n(.+?)(?:\n\s*\n|\Z)", thing.__doc__ or "", re.DOTALL)
    return " ".join(found[1].split()) if found else ""


# All of them -------------------------------------------------------------------------------------

PAGES: dict[str, Callable[[], str]] = {
    "settings": settings_page,
    "commands": commands_page,
    "run_folder": run_folder_page,
    "components": components_page,
}


def with_generated(page: str, text: str) -> str:
    """Return a page with what is generated in it as it is today."""
    begin = BEGIN.format(page)
    before, after = text.partition(begin)[0], text.partition(END)[2]
    return f"{before}{begin}\n\n{PAGES[page]()}\n\n{END}{after}"


def write() -> None:
    """Write all pages."""
    for page in PAGES:
        path = DOCS / f"{page}.md"
        path.write_text(with_generated(page, path.read_text(encoding="utf-8")), encoding="utf-8")


def release(version: str) -> None:
    """Enter all settings that are not yet released."""
    found: dict[str, str] = {}
    for section in everything():
        options = [s.key.rpartition(".")[2] for s in section.settings]
        new = [option for option in options if since.since(section.name, option) == "unreleased"]
        if new or since.since(section.name) == "unreleased":
            found[section.name] = " ".join(new)
    since.RELEASES[version] = found
    since.FILE.write_text(json.dumps(since.RELEASES, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--release"]:
        release(sys.argv[2])
    write()
