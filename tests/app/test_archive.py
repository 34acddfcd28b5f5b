"""``archive``, and commands on what it writes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cnnexp import load_run
from tests.commandline import cnnexp, succeed
from tests.runs.small import change_record


@pytest.fixture
def grid(study):
    """A folder with copies of runs, one of which diverged and one is damaged."""
    for name in ("0", "1", "6", "7"):
        shutil.copytree(study / name, Path("grid", name))
    return Path("grid")


@pytest.mark.long
def test_an_archive_reads_as_its_folder_does(grid):
    out = succeed("archive", "grid")
    assert out.startswith("grid.zip: 4 runs, ")
    assert out.endswith("without checkpoints; 1 of them without weights\n")
    for words in (
        ["compare", "grid", "--csv"],
        ["show", "grid/0"],
        ["evaluate", "grid/1", "--json"],
    ):
        command, path, *rest = words
        other = path.replace("grid", "grid.zip")
        here, there = succeed(*words), succeed(command, other, *rest)
        assert there.replace("grid.zip", "grid") == here
    assert "the same: settings" in succeed("diff", "grid/0", "grid.zip/0")
    assert " pictures in pictures" in succeed("inspect", "grid.zip/0", "--out", "pictures")


def test_a_run_begins_from_the_weights_in_an_archive(grid):
    succeed("archive", "grid/0", "best.zip")
    words = ["init_from=best.zip", "epochs=1", "data.limit=60"]
    succeed(*words, "hydra.run.dir=one")
    succeed("init_from=grid/0", *words[1:], "hydra.run.dir=other")
    lines = succeed("diff", "one", "other").splitlines()
    assert next(line for line in lines if line.startswith("weights.pkl")).endswith("same")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["resume", "grid.zip/0"], "lies in an archive, in which nothing can be changed"),
        (["resume", "grid.zip/0", "epochs=9"], "Unpack it first: python -m zipfile -e grid.zip"),
        (["tag", "grid.zip/0", "x"], "lies in an archive"),
        (["note", "grid.zip/0", "x"], "lies in an archive"),
        (["rm", "--yes", "grid.zip/0"], "lies in an archive"),
        (["inspect", "grid.zip/0"], "Name another place for the pictures: --out FOLDER."),
        (["show", "grid.zip"], "not a run, but it holds 4, for example grid.zip/0"),
        (["show", "grid.zip/9"], "there is no such folder"),
        (["archive", "grid.zip", "x.zip"], "is an archive already"),
        (["archive", "grid"], "grid.zip: is there already. Remove it, or name another file."),
        (["archive", "grid", "x.tar"], "the name of an archive must end with .zip"),
        (["archive", "grid", "no/x.zip"], "there is no folder no to write it into"),
        (["archive", "grid", "grid/x.zip"], "would lie in the folder that it is made of"),
        (["archive", "nothing"], "nothing: there is no such folder."),
        (["archive", "."], "holds more than runs, for example grid.zip. Name the runs or sweeps"),
    ],
)
@pytest.mark.few(4)
def test_mistakes(words, text, grid):
    succeed("archive", "grid")
    ended = cnnexp(*words)
    assert (ended.code, ended.out) == (2, "")
    assert text in ended.err
    assert not list(Path().rglob("*.tmp"))
    assert {path.name for path in Path().glob("*.zip")} == {"grid.zip"}


def test_what_goes_on_and_what_is_a_link_is_no_part_of_an_archive(grid):
    from cnnexp.runs.process import this_process
    from cnnexp.runs.record import now

    Path("grid/0/link").symlink_to("/etc/passwd")
    assert "link: is a link, or no file" in cnnexp("archive", "grid/0", "x.zip").err
    change_record(Path("grid/1"), status="running", process=this_process(), heartbeat=now())
    assert "grid/1: is still going on" in cnnexp("archive", "grid", "x.zip").err
    assert not Path("x.zip").exists()


def test_an_archive_is_thrown_away_like_a_run(grid):
    succeed("archive", "grid/0", "best.zip")
    assert "moved to .trash/best.zip" in succeed("rm", "--yes", "best.zip")


def test_a_name_with_a_colon_is_archived_or_refused_at_once(grid, monkeypatch):
    """A run may be called by the time; a file that no archive may hold is told of first."""
    shutil.copytree("grid/0", "12:30:00")
    succeed("archive", "12:30:00", "one.zip")
    assert load_run(Path("one.zip")).status == "finished"
    (Path("12:30:00") / r"a\b.txt").write_text("")
    monkeypatch.setattr("cnnexp.runs.archiving._pack", lambda *_, **__: pytest.fail("was packed"))
    ended = cnnexp("archive", "12:30:00", "two.zip")
    assert ended.code == 2 and not Path("two.zip").exists()
    assert ended.err.startswith("error: 12:30:00/a\\b.txt: its name is not the name of a file")
