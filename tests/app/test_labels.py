"""Names, tags and notes: for people; and runs that are thrown away."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path

import pytest

from cnnexp.app.commands import rm
from cnnexp.runs import labels
from cnnexp.runs.record import read_record
from tests.commandline import cnnexp, succeed

QUICK = ("data.limit=60", "epochs=1", "impl.threads=1")
VERSION_1 = Path(__file__).parents[1] / "runs" / "version_0_1_0" / "finished"


def config_of(run):
    return read_record(Path(run)).config


def test_a_run_may_have_a_name_tags_and_a_note_from_its_start():
    succeed(*QUICK, "name=first", "tags=[a,b]", "note='so it is'", "hydra.run.dir=one")
    config = config_of("one")
    assert (config["name"], config["tags"], config["note"]) == ("first", ["a", "b"], "so it is")
    shown = succeed("show", "one")
    assert "first" in shown
    assert "so it is" in shown


@pytest.mark.long
def test_they_change_nothing_of_the_result():
    succeed(*QUICK, "hydra.run.dir=one")
    succeed(*QUICK, "name=x", "tags=[y]", "note=z", "hydra.run.dir=two")
    one, two = (read_record(Path(run)) for run in ("one", "two"))
    assert one.fingerprint == two.fingerprint
    assert one.config_hash == two.config_hash
    grid = ("-m", *QUICK, "learning_rate=0.1,0.3", "sweep.dir=S")
    succeed(*grid)
    assert "2 skipped" in succeed(*grid, "tags=[again]", "note=more")


def test_tags_are_added_and_taken_away():
    succeed(*QUICK, "tags=[a]", "hydra.run.dir=one")
    before = read_record(Path("one"))
    assert succeed("tag", "one", "b", "c", "a").strip() == "one: a, b, c"
    assert succeed("tag", "one", "--remove", "a", "b").strip() == "one: c"
    after = read_record(Path("one"))
    assert after.config.pop("tags") == ["c"]
    before.config.pop("tags")
    assert after == before
    assert succeed("tag", "one", "--remove", "c").strip() == "one: no tags"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([""], "a tag is a text that is not empty, and without commas. Got ''."),
        (["b", " "], "a tag is a text that is not empty, and without commas. Got ' '."),
        (["b,c"], "a tag is a text that is not empty, and without commas. Got 'b,c'."),
        (["b", "--remove", "nothere"], "one: has no tag 'nothere'. Tags: a."),
    ],
)
@pytest.mark.few(1)
def test_tags_that_are_refused(words, said):
    succeed(*QUICK, "tags=[a]", "hydra.run.dir=one")
    ended = cnnexp("tag", "one", *words)
    assert (ended.code, ended.err) == (2, f"error: {said}\n")
    assert config_of("one")["tags"] == ["a"]


def test_a_note_is_written_printed_and_replaced():
    succeed(*QUICK, "hydra.run.dir=one")
    assert succeed("note", "one").strip() == "no note"
    assert succeed("note", "one", "the best = so far").strip() == "the best = so far"
    assert config_of("one")["note"] == "the best = so far"
    assert succeed("note", "one", "").strip() == "no note"


@pytest.mark.long
def test_a_comparison_shows_names_and_tags_and_finds_by_them():
    succeed(*QUICK, "name=low", "learning_rate=0.01", "hydra.run.dir=runs/one")
    succeed(*QUICK, "tags=[good,new]", "hydra.run.dir=runs/two")
    head = next(line for line in succeed("compare", "runs").splitlines() if "status" in line)
    assert head.split()[:5] == ["run", "status", "name", "tags", "rate"]  # learning_rate, wrapped
    found = succeed("compare", "runs", "--where", "name == 'low'", "--columns", "run")
    assert found.split()[-1] == "one"
    found = succeed("compare", "runs", "--where", "tags.str.contains('good')")
    assert "two" in found


def test_runs_of_the_same_settings_but_other_names_are_the_same_settings():
    succeed(*QUICK, "name=a", "hydra.run.dir=runs/one")
    succeed(*QUICK, "name=b", "impl=sg", "hydra.run.dir=runs/two")
    assert "time per epoch" in succeed("compare", "runs")


@pytest.mark.parametrize("words", [("tag", "{}", "a"), ("note", "{}", "a"), ("rm", "--yes", "{}")])
@pytest.mark.few(1)
def test_a_run_that_goes_on_is_left_alone(words):
    succeed(*QUICK, "hydra.run.dir=one")
    record = json.loads(Path("one/run.json").read_text())
    record |= {"status": "running", "process": record["process"] | {"host": "elsewhere"}}
    Path("one/run.json").write_text(json.dumps(record))
    ended = cnnexp(*(word.format("one") for word in words))
    assert (ended.code, "one: is still going on" in ended.err) == (2, True)
    assert Path("one/run.json").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tag", "one", "a"), "one: cannot be written: Permission denied. Check who may"),
        (("note", "one", "a"), "one: cannot be written: Permission denied. Check who may"),
        (("rm", "--yes", "one"), "one: cannot be moved: .trash: Permission denied. Check who may"),
    ],
)
def test_a_folder_that_cannot_be_written_to(words, said, monkeypatch):
    succeed(*QUICK, "hydra.run.dir=one")

    def refuse(path, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(labels, "write_record", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    ended = cnnexp(*words)
    assert (ended.code, ended.err.startswith(f"error: {said}")) == (2, True), ended.err
    assert Path("one/run.json").exists()


def test_runs_are_moved_to_the_trash_and_can_be_moved_back():
    for name in ("one", "two"):
        succeed(*QUICK, f"hydra.run.dir=runs/{name}")
    assert succeed("rm", "--yes", "runs/one") == "runs/one: moved to runs/.trash/one\n"
    assert "runs/one" not in succeed("compare", "runs", "--columns", "run", "--csv")
    assert not Path("runs/one").exists()
    Path("runs/.trash/one").rename("runs/one")
    succeed("show", "runs/one")
    succeed("rm", "--yes", "runs/one")
    succeed(*QUICK, "hydra.run.dir=runs/one")
    assert "moved to runs/.trash/one_2" in succeed("rm", "--yes", "runs/one")


@pytest.mark.long
def test_a_sweep_goes_as_a_whole():
    succeed("-m", *QUICK, "learning_rate=0.1,0.3", "sweep.dir=runs/S")
    succeed("rm", "--yes", "runs/S")
    assert Path("runs/.trash/S/1/run.json").exists()


def test_what_is_no_run_is_left_where_it_is():
    succeed(*QUICK, "hydra.run.dir=thesis/outputs/one")
    Path("thesis/thesis.tex").write_text("all of it")
    ended = cnnexp("rm", "--yes", "thesis/outputs/one", "thesis")
    assert (ended.code, "holds more than runs, for example thesis/thesis.tex" in ended.err) == (
        2,
        True,
    )
    assert Path("thesis/outputs/one/run.json").exists()  # nothing is moved if one of them cannot be
    assert succeed("rm", "--yes", "thesis/outputs").startswith("thesis/outputs: moved to")


def test_without_a_word_it_asks(monkeypatch):
    succeed(*QUICK, "hydra.run.dir=one")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert "Say --yes" in cnnexp("rm", "one").err
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    for answer, moved in (("n", False), ("", False), ("y", True)):
        monkeypatch.setattr("builtins.input", lambda text, answer=answer: answer)
        assert rm.main(["one"]) == 0
        assert Path("one").exists() is not moved


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("tag", "no", "a"), "no run here"),
        (("note", "no", "a"), "no run here"),
        (("rm", "--yes", "no"), "there is no such folder"),
        (("rm", "--yes", "."), "is the working folder, or around it. Nothing was moved."),
        (("rm", "--yes", "config"), "there is no run in it. Nothing was moved."),
        (("tag", VERSION_1, "a"), "was made by version 0.1.0"),
        (("tags=5", *QUICK), "tags"),
    ],
)
def test_mistakes(words, message):
    Path("config").mkdir(exist_ok=True)
    ended = cnnexp(*words)
    assert (ended.code, message in ended.err, "Traceback" in ended.err) == (2, True, False)
