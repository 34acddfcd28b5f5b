"""``cnnexp help KEY``: what a setting means; and the page that ``cnnexp --help`` shows."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from cnnexp.app.arguments import parser_of
from cnnexp.app.commands import SUMMARIES
from cnnexp.app.locations import CHOICES, config_files
from cnnexp.app.own import KEY, named_plugins
from cnnexp.app.settings import NO_DEFAULT, Section, Setting, find, sections
from cnnexp.errors import UnknownName, did_you_mean
from cnnexp.runs.plugins import load_plugins

WIDTH = 88
PAGE_WIDTH = 100
EPILOG = """\
KEY is a setting as it is typed, a single option of layers or of a group, or a choice of a group.

examples
  python -m cnnexp help learning_rate
  python -m cnnexp help optimizer.momentum        of every optimizer that has it
  python -m cnnexp help model.layers.0.padding    of every layer that has it
  python -m cnnexp help schedule=cosine           all options of this schedule
  python -m cnnexp help conv                      all options of this layer
  python -m cnnexp help plugins=[my_layers] swish
"""
HEAD = """\
cnnexp - experiments with convolutional networks in NumPy

  python -m cnnexp [KEY=VALUE ...]                 train once
  python -m cnnexp -m KEY=VALUE,VALUE ...          train once for each combination of values
  python -m cnnexp COMMAND ...                     look at runs; COMMAND --help tells more
"""

KEYS = """\
keys that people change (python -m cnnexp --cfg job shows all of them)
  epochs=10  learning_rate=0.05  batch_size=64  seed=1  dtype=float64  data.limit=1000
  data.validation=0.1  data.dir=FOLDER  data.split=0.95  impl.threads=1  checkpoint.every=100
  model.layers.0.filters=16  optimizer.momentum=0  early_stopping.patience=5  best_weights=true
  ema=0.99  accumulate=4  diagnostics=true  profile=true  init_from=RUN  sweep.dir=FOLDER
  sweep.jobs=2  hydra.run.dir=FOLDER
"""

EXAMPLES = """\
examples: python -m cnnexp -m learning_rate=0.3,0.1,0.03   python -m cnnexp compare outputs
exit code: 0 all well, 1 a run or job failed, 2 a mistake in what was asked, 3 diverged, 130 stopped
also: --cfg job, --info, --config-dir FOLDER, --version, and Hydra's own page: --hydra-help
"""


def show_help() -> int:
    """Print the page."""
    commands = "\n".join(f"  {name:<12} {summary}" for name, summary in SUMMARIES.items())
    groups = "\n".join(_of_group(group) for group in CHOICES)
    print(
        "\n".join([HEAD, f"commands\n{commands}\n", f"groups and their options\n{groups}\n", KEYS])
    )
    print(EXAMPLES, end="")
    return 0


def _of_group(group: str) -> str:
    """Return a group with its options, on lines that fit a terminal."""
    names = ", ".join(config_files(group))
    return textwrap.fill(
        names, PAGE_WIDTH, initial_indent=f"  {group:<12} ", subsequent_indent=" " * 15
    )


def main(words: list[str]) -> int:
    """Print what is known of some settings."""
    parser = parser_of("help", EPILOG)
    parser.add_argument("keys", nargs="+", metavar="KEY", help="a setting, an option or a choice")
    keys = parser.parse_args(words).keys
    load_plugins(named_plugins(keys))
    found = [_entry(key) for key in keys if not key.startswith(KEY)]
    print("\n\n".join(found))
    return 0


def _entry(key: str) -> str:
    """Return the text for one key.

    Raises
    ------
    UnknownName
        If there is no such setting.
    """
    for section in sections():
        if key in (section.name, section.name.partition("=")[2], section.name[6:]):
            return "\n".join(_of_section(section))
    found = find(key)
    if not found:
        known = {name for section in sections() for name in _names(section)}
        raise UnknownName(
            f"help: no setting is named '{key}'.{did_you_mean(key, sorted(known))}"
            " All of them: python -m cnnexp list settings."
        )
    return "\n".join(line for setting, places in _grouped(found) for line in _of(setting, places))


def _names(section: Section) -> Iterator[str]:
    """Yield all that one may type to ask for a section or a setting of it."""
    yield from (section.name, section.name.rpartition("=")[2].removeprefix("type: "))
    for setting in section.settings:
        yield from (setting.key, setting.key.rpartition(".")[2])


def _grouped(found: Iterable[tuple[Section, Setting]]) -> Iterator[tuple[Setting, list[str]]]:
    """Yield each setting once, with the names of the sections that have it in the same way."""
    places: dict[Setting, list[str]] = {}
    for section, setting in found:
        places.setdefault(setting, []).append(section.name)
    yield from places.items()


def _of_section(section: Section) -> Iterator[str]:
    """Yield what a choice of a group is, and all its options."""
    yield f"{section.name}: {section.what}"
    for setting in section.settings:
        yield ""
        yield from _of(setting, [])
    if not section.settings:
        yield "It has no options."


def _of(setting: Setting, places: list[str]) -> Iterator[str]:
    """Yield the lines for one setting."""
    of = f"  ({', '.join(places)})" if places and "." in setting.key else ""
    yield from textwrap.wrap(f"{setting.key}{of}", WIDTH, subsequent_indent="    ")
    meaning = setting.meaning.replace("`", "")
    yield from textwrap.wrap(meaning, WIDTH, initial_indent="  ", subsequent_indent="  ")
    takes = f"{setting.type}; {setting.allowed}" if setting.allowed else setting.type
    yield from textwrap.wrap(
        f"takes {takes}", WIDTH, initial_indent="  ", subsequent_indent="        "
    )
    if setting.default:
        yield f"  {'' if setting.default == NO_DEFAULT else 'default: '}{setting.default}"
