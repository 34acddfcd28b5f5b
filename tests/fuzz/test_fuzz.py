"""Damaged and hostile inputs are read or refused, by every reader, within bounds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.fuzz.broken import Broken
from tests.fuzz.child import CRASH, ERROR, LARGE, SLOW
from tests.fuzz.reader import CORPUS, READERS
from tests.fuzz.trial import Found, names_of, trial

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="needs limits of the process"
)
FAULTS = (ERROR, SLOW, LARGE, CRASH)
GROUPS = (("runs", "settings"), pytest.param(("data", "pictures"), marks=pytest.mark.long))


def wrong(found: list[Found]) -> list[str]:
    """Return what went wrong, for people to read."""
    kept = [f"{fault['input']}: {fault['where']}" for one in found for fault in one.faults]
    return [*kept, *(one.reader for one in found if any(map(one.count, FAULTS)))]


@pytest.mark.parametrize("groups", GROUPS, ids="-".join)
def test_some_hostile_inputs_and_the_corpus(groups, tmp_path):
    names = names_of(*groups)
    corpus = max(len(list((CORPUS / name).glob("*"))) for name in names)
    found = trial(tmp_path, names, corpus + 5)
    assert wrong(found) == []
    assert all(one.row()["inputs"] == corpus + 5 for one in found)


@pytest.mark.long
@pytest.mark.parametrize("name", names_of())
def test_many_hostile_inputs(name, tmp_path):
    assert wrong(trial(tmp_path, [name], 1000, seed=1)) == []


def test_every_folder_of_the_corpus_belongs_to_a_reader():
    assert {path.name for path in CORPUS.glob("*")} <= {*READERS}


@pytest.mark.long
def test_faults_of_every_kind_are_found_and_their_inputs_kept(tmp_path):
    """The process begins again after a crash, and so do the inputs."""
    (found,) = trial(tmp_path, ["broken"], 6)
    assert found.rows["outcome"].tolist() == [ERROR, ERROR, LARGE, LARGE, CRASH, ERROR]
    kept = [Path(fault["input"]).read_bytes() for fault in found.faults]
    assert kept[:5] == [*Broken.kinds][1:]
    assert "exit code -11" in found.faults[4]["error"]


@pytest.mark.long
def test_what_does_not_end_is_stopped_and_the_rest_is_tried(tmp_path):
    (found,) = trial(tmp_path, ["stuck"], 2)
    assert found.rows["outcome"].tolist() == [SLOW, SLOW]
    assert found.faults[1]["error"] in ("stuck", "TooSlow()")  # as often as C asks for signals
