"""The reference is complete, and is that of today's code."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cnnexp
from cnnexp.app.commands.list import KINDS
from cnnexp.app.compose.hydra_bridge import get_args_parser
from cnnexp.app.reference import contents, since
from cnnexp.runs.folders import LOCK
from tests.cases import in_one_test
from tests.commandline import succeed
from tests.docs import reference
from tests.docs.pages import ROOT, pages

AGAIN = "python -m tests.docs.reference writes it again"
ALL = [
    *["epochs=2", "data.limit=120", "data.validation=0.2", "diagnostics=true", "profile=true"],
    *["checkpoint.keep=all", "best_weights=true", "metrics=[top_3_error]", "hydra.run.dir=run"],
]
OTHERS_WRITE = {"events.out.tfevents.*", "wandb/", "inspect/", "explore.html", "code/"}


@pytest.mark.parametrize("page", reference.PAGES)
def test_a_page_is_that_of_today(page: str) -> None:
    text = (reference.DOCS / f"{page}.md").read_text(encoding="utf-8")
    assert reference.with_generated(page, text) == text, AGAIN


# Settings ----------------------------------------------------------------------------------------


def test_every_setting_has_a_row_of_its_own() -> None:
    text = reference.settings_page()
    anchors = re.findall(r'<a id="([^"]+)"></a>', text)
    assert len(anchors) == len(set(anchors)) == sum(len(s.settings) for s in EVERYTHING)
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(anchors)


EVERYTHING = reference.everything()


def test_released_settings_are_still_there_or_are_known_to_have_gone() -> None:
    gone = {}
    now = {s.name: {x.key.rpartition(".")[2] for x in s.settings} for s in EVERYTHING}
    for version, had in since.RELEASES.items():
        for section, options in had.items():
            gone |= {(section, o): version for o in options.split() if o not in now[section]}
    assert gone == {}


def test_settings_say_since_when() -> None:
    dates = {(s.name, x.key): x.since for s in EVERYTHING for x in s.settings}
    assert dates["optimizer=sgd", "optimizer.nesterov"] == "0.1.0"
    assert dates["a run", "loss"] == dates["impl", "impl.micro_batch"] == since.UNRELEASED
    assert set(dates.values()) <= {*since.RELEASES, since.UNRELEASED}


def test_a_release_enters_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ruff", reason="ruff formats the file")
    monkeypatch.setattr(since, "FILE", tmp_path / "releases.json")
    monkeypatch.setattr(since, "RELEASES", dict(since.RELEASES))
    reference.release("0.2.0")
    assert since.since("a run", "loss") == since.since("type: gelu") == "0.2.0"
    written = json.loads(since.FILE.read_text(encoding="utf-8"))
    assert written == since.RELEASES
    assert "micro_batch" in written["0.2.0"]["impl"].split()
    assert "nesterov" not in written["0.2.0"]["optimizer=sgd"].split()


# Commands ----------------------------------------------------------------------------------------


def test_every_parser_is_of_a_command_in_the_reference() -> None:
    source = Path(cnnexp.__file__).parent.rglob("*.py")
    text = "\n".join(path.read_text(encoding="utf-8") for path in source)
    made = set(re.findall(r"\bparser_of(?:_run)?\(\s*\"([\w -]+)\"", text))
    assert made == set(reference.COMMANDS)
    assert "ArgumentParser(" not in text
    assert text.count(" _Parser(") == 2  # the class, and in `parser_of`


@in_one_test("command", reference.COMMANDS)
def test_every_option_of_a_command_has_a_meaning(command: str) -> None:
    actions = reference.actions_of(reference.parser_of(command))
    assert actions or command == "compile"
    assert [action.dest for action in actions if not action.help] == []
    text = reference.of_command(command)
    for action in actions:
        assert all(f"`{word}`" in text for word in action.option_strings)


def test_every_flag_of_a_training_is_known() -> None:
    flags = {max(a.option_strings, key=len, default="") for a in get_args_parser()._actions}
    assert flags - {""} == reference.FLAGS.keys() | reference.REFUSED


# The run folder ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that writes all that a run can write by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("reference"))
        succeed(*ALL)
        return Path("run").absolute()


def test_every_file_of_a_run_is_described(run: Path) -> None:
    known = {file.name.rstrip("/") for file in contents.FILES}
    found = {path.name for path in run.iterdir()}
    assert found <= known
    absent = {file.name for file in contents.FILES if file.name.rstrip("/") not in found}
    there_or_not = {"code/", LOCK}  # of a changed package; some versions of filelock delete it
    assert absent | there_or_not == OTHERS_WRITE | there_or_not


def test_every_column_is_described_and_there(run: Path) -> None:
    classes = {str(k) for k in range(10)}
    for path in run.glob("*.csv"):
        with path.open(encoding="utf-8") as file:
            header = next(csv.reader(file))
        described = [entry.name for entry in contents.columns() if entry.file == path.name]
        missing = [name for name in header if name not in described and name not in classes]
        assert missing == [], path.name
        measured = re.compile("(train_|test_|validation_)?(binary_|top_5_|mean_absolute_)error")
        absent = [n for n in described if n not in header and not measured.fullmatch(n)]
        assert absent == (["CLASS"] if path.name == "confusion.csv" else []), path.name


def test_every_field_is_described_and_there(run: Path) -> None:
    found = set(_paths(json.loads((run / "run.json").read_text(encoding="utf-8"))))
    described = {entry.name for entry in contents.fields()}
    named = "results.best_validation_error"
    assert found - {named} <= described
    absent = described - found - {"results.best_FIGURE", "network.device"}  # that of a GPU
    measured = re.compile(r"results\.\w+_(binary_|top_5_|mean_absolute_)error")
    absent = {name for name in absent if not measured.fullmatch(name)}
    assert all(name.startswith(("resumed.", "init_from.")) for name in absent), absent


def test_everything_is_described() -> None:
    silent = [entry for entry in contents.entries() if not entry.meaning or not entry.type]
    assert silent == []


def _paths(record: dict[str, Any], before: str = "") -> Iterator[str]:
    """Yield the paths of fields; what lies in settings, choices and lists of names is data."""
    whole = ("config", "choices", "packages", "blas", "git", "scale", "epochs", "logs")
    for key, value in record.items():
        yield before + key
        if isinstance(value, dict) and key not in whole:
            yield from _paths(value, f"{before}{key}.")


# Tables and Python -------------------------------------------------------------------------------


def test_every_thing_with_a_name_has_a_row() -> None:
    text = reference.components_page()
    for kind, (registry, path) in reference.REGISTRIES.items():
        assert kind in KINDS
        assert path in text
        for name in registry:
            assert not reference.own(registry[name]) or f"`{name}`" in text


def test_links_lead_to_headings() -> None:
    headings = re.findall(r"^## (.*)$", reference.settings_page(), re.MULTILINE)
    links = re.findall(r"settings\.md#([\w=-]+)", reference.components_page())
    assert links
    assert set(links) <= set(map(reference.slug, headings))


API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
IMPORT = re.compile(r"^ *from (cnnexp[\w.]*) import ([\w, ]+)$", re.MULTILINE)


def test_every_public_name_is_in_the_api() -> None:
    names = [name for name in cnnexp.__all__ if name != "__version__"]
    assert [name for name in names if not re.search(rf"cnnexp\.{name}\b(?!\.)", API)] == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_what_a_page_imports_is_in_the_api(page: Path) -> None:
    """By its own name, or with the module that it is defined in."""
    for module, names in IMPORT.findall(page.read_text(encoding="utf-8")):
        for name in names.split(", "):
            thing = getattr(pytest.importorskip(module), name)
            home = getattr(thing, "__module__", getattr(thing, "__name__", module))
            places = {f"cnnexp.{name}", f"{module}.{name}", module, home}
            assert any(f"{place}\n" in API for place in places), f"{module}.{name}"
