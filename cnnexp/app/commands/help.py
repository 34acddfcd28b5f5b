"""``cnnexp help KEY``: a setting, or a file, a column, a field of a run folder."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from cnnexp.app.arguments import parser_of
from cnnexp.app.compose.own import KEY, named_plugins
from cnnexp.app.reference import contents
from cnnexp.app.reference.entries import of_setting, of_settings, wrapped
from cnnexp.app.reference.presets import presets
from cnnexp.app.reference.settings import Section, find, sections
from cnnexp.app.reference.variables import VARIABLES
from cnnexp.errors import UnknownName, did_you_mean
from cnnexp.runs.plugins import load_plugins

EPILOG = """\
KEY is a setting as it is typed, a single option of layers or of a group, or a choice of a group;
a column of a CSV file, a field of run.json, a file of a run folder, or an environment variable.

examples
  python -m cnnexp help learning_rate
  python -m cnnexp help optimizer.momentum        of every optimizer that has it
  python -m cnnexp help model.layers.0.padding    of every layer that has it
  python -m cnnexp help optimizer=lion optimizer.beta1
  python -m cnnexp help schedule=cosine           all options of this schedule
  python -m cnnexp help augment=elastic           what this preset sets
  python -m cnnexp help conv                      all options of this layer
  python -m cnnexp help test_error                in epochs.csv, and in run.json
  python -m cnnexp help layers.csv                all columns of this file
  python -m cnnexp help CNNEXP_IMPL               an environment variable
  python -m cnnexp help plugins=[my_layers] swish
"""


def main(words: list[str]) -> int:
    """Print what is known of some settings."""
    parser = parser_of("help", EPILOG)
    parser.add_argument(
        "keys", nargs="+", metavar="KEY", help="a setting, a choice, a column, a field"
    )
    keys = parser.parse_args(words).keys
    load_plugins(named_plugins(keys))
    asked = [key for key in keys if not key.startswith(KEY)]
    print("\n\n".join(_narrowed(asked) or map(_entry, asked)))
    return 0


def _narrowed(keys: list[str]) -> list[str]:
    """Return the texts for options beside their choice: ``optimizer=lion optimizer.beta1``.

    Nothing unless each key is one of a choice with options, or an option of such a choice.
    """
    chosen = [s for s in sections() if "=" in s.name and s.name in keys]
    groups = {s.name.partition("=")[0] for s in chosen}
    options = [key for key in keys if "=" not in key and key.partition(".")[0] in groups]
    if not options or len(chosen) + len(options) < len(keys):
        return []
    found = [(s, [each for each in s.settings if each.key in options]) for s in chosen]
    lacking = set(options) - {each.key for _, settings in found for each in settings}
    if lacking:
        return []
    return ["\n".join(of_setting(each, [s.name])) for s, settings in found for each in settings]


def _entry(key: str) -> str:
    """Return the text for one key.

    Raises
    ------
    UnknownName
        If there is no such setting.
    """
    parts = [*of_settings(key), *_of_presets(key), *_of_contents(key), *_of_variables(key)]
    if not parts:
        known = {name for section in sections() for name in _names(section)} | contents.names()
        known |= {variable.name for variable in VARIABLES} | {preset.key for preset in presets()}
        raise UnknownName(
            f"help: nothing is named '{key}'.{did_you_mean(key, sorted(known))}"
            " All settings: python -m cnnexp list settings. All commands: list commands."
        )
    return "\n\n".join(parts)


def _of_presets(key: str) -> Iterator[str]:
    """Yield what the files of a group set: those of choices that have no section of their own."""
    described = {section.name for section in sections()}
    short = not find(key)  # a study may have the name of the setting that it varies
    for preset in presets():
        asked = key == preset.key or (short and key == preset.key.partition("=")[2])
        if asked and preset.key not in described:
            lines = [*wrapped(f"{preset.key}: {preset.about}", ""), "  sets"]
            yield "\n".join([*lines, textwrap.indent(preset.text, "    ")])


def _of_contents(key: str) -> Iterator[str]:
    """Yield the texts for what is so named in a run folder."""
    for file in (*contents.FILES, *contents.SWEEP_FILES):
        if key == file.name:
            yield "\n".join([*wrapped(f"{file.name}: {file.what}", ""), f"  written: {file.when}"])
    for entry in contents.described(key):
        columns = entry.file.endswith(".csv")
        head = f"{entry.name}  ({'column' if columns else 'field'} of {entry.file})"
        yield "\n".join([head, *wrapped(entry.meaning), f"  {entry.type}"])


def _of_variables(key: str) -> Iterator[str]:
    """Yield the text for an environment variable."""
    for variable in VARIABLES:
        if key == variable.name:
            head = f"{key}  (environment variable)"
            lines = [head, *wrapped(variable.meaning), f"  default: {variable.default}"]
            yield "\n".join(lines)


def _names(section: Section) -> Iterator[str]:
    """Yield all that one may type to ask for a section or a setting of it."""
    yield from (section.name, section.name.rpartition("=")[2].removeprefix("type: "))
    for setting in section.settings:
        yield from (setting.key, setting.key.rpartition(".")[2])
