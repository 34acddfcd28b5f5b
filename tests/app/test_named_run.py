"""A run is named by its folder, by the beginning of its name, or as the last one."""

import shutil
from pathlib import Path

import pytest

from cnnexp.app.named_run import named_run
from cnnexp.errors import RunError
from tests.commandline import cnnexp
from tests.runs.small import change_record, train, write_data

RUNS = {
    "outputs/2026-01-31/12-00-00": "2026-01-31T12:00:00+00:00",
    "outputs/2026-02-01/09-30-00": "2026-02-01T09:30:00+00:00",
    "outputs/rates/1": "2026-02-03T10:00:00+00:00",
    "outputs/rates/10": "2026-02-02T10:00:01+00:00",
    "own/first": "2027-01-01T00:00:00+00:00",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with copies of one run under several names."""
    root = tmp_path_factory.mktemp("named")
    first = train(root / "run", write_data(root / "data.npz"))
    for name, created in RUNS.items():
        shutil.copytree(first, root / name)
        change_record(root / name, created=created)
    shutil.rmtree(first)
    (root / "outputs" / "damaged").mkdir()
    (root / "outputs" / "damaged" / "run.json").write_text('{"form')
    return root


@pytest.fixture(autouse=True)
def folder(made, monkeypatch):
    monkeypatch.chdir(made)
    return made


@pytest.mark.parametrize(
    ("word", "run"),
    [
        ("outputs/rates/1", "outputs/rates/1"),
        ("last", "outputs/rates/1"),
        ("2026-01", "outputs/2026-01-31/12-00-00"),
        ("outputs/2026-02", "outputs/2026-02-01/09-30-00"),
        ("./outputs/2026-02-01/09", "outputs/2026-02-01/09-30-00"),
        ("09-30", "outputs/2026-02-01/09-30-00"),
        ("rates/1", "outputs/rates/1"),  # the whole of a name, though that of another begins so
        ("1", "outputs/rates/1"),
        ("own/f", "own/first"),
        ("nothing", "nothing"),
    ],
)
def test_what_a_word_means(word, run):
    assert named_run(word) == Path(run)


def test_an_absolute_path_may_be_begun_as_well(made):
    assert named_run(f"{made}/own/fi") == made / "own" / "first"


def test_what_is_there_comes_first(made):
    (made / "last").mkdir()
    try:
        assert named_run("last") == Path("last")
    finally:
        (made / "last").rmdir()


def test_a_beginning_of_several_names_is_refused():
    ended = cnnexp("show", "2026-0")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "error: 2026-0: begins the names of 2 runs: outputs/2026-01-31/12-00-00,"
        " outputs/2026-02-01/09-30-00. Give more of it.\n"
    )


def test_there_may_be_no_last_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="last: there is no run below outputs"):
        named_run("last")


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["show", "last"], "outputs/rates/1  finished"),
        (["compare", "last"], "outputs/rates/1\n"),
        (["evaluate", "last", "--json"], '"run": "outputs/rates/1"'),
        (["resume", "last"], "outputs/rates/1 has finished already"),
        (["export", "last", "weights.npz"], "weights.npz: "),
        (["predict", "last", "nowhere.png"], "error: nowhere.png: there is no such file"),
    ],
    ids=lambda words: words[0] if isinstance(words, list) else "",
)
def test_every_command_that_takes_a_run_takes_its_name(words, answer):
    ended = cnnexp(*words)
    assert answer in ended.out + ended.err
