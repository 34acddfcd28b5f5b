"""Where figures come from: commits in files, what is old, and the order of measuring."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from experiments import (
    claims,
    drawn,
    measure,
    original_code,
    provenance,
    release,
    summaries,
    tasks,
)
from experiments.benchmarks import NAMES as BENCHMARKS
from experiments.benchmarks import page as benchmark_page
from experiments.benchmarks import results, speed
from experiments.benchmarks.jobs import Job
from experiments.provenance import ROOT, NoCommit, Stated
from experiments.reliability import NAMES as PARTS
from experiments.tasks import TASKS

A_CLASS = 'class A:\n    """An A."""\n\n    x = 1\n'


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a small repository with code, results, and one commit."""
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    for name, text in (("cnnexp/a.py", A_CLASS), ("experiments/results/a.csv", "x\n1\n")):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    _git(tmp_path, "init", "-q")
    commit(tmp_path, "one")
    yield tmp_path
    forget()


def forget() -> None:
    """Forget what was read of a repository."""
    provenance.changes_since.cache_clear()
    provenance.code_at.cache_clear()


def _git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    command = ["git", "-C", str(folder), *who, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def commit(folder: Path, message: str) -> str:
    _git(folder, "add", "-A")
    _git(folder, "commit", "-qm", message)
    forget()
    return _git(folder, "rev-parse", "HEAD").strip()


# Commits -----------------------------------------------------------------------------------------


def test_results_and_pages_leave_a_commit_clean(repository: Path) -> None:
    first = provenance.commit()
    (repository / "experiments/results/a.csv").write_text("x\n2\n")
    (repository / "README.md").write_text("new")
    assert provenance.commit() == first
    assert len(first) == 10
    (repository / "cnnexp/b.py").write_text("y = 1\n")
    assert provenance.changed_files() == ["cnnexp/b.py"]
    assert provenance.commit() == first + "+"


def test_a_commit_of_results_is_no_change_of_the_code(repository: Path) -> None:
    code = provenance.last_change()
    (repository / "experiments/results/a.csv").write_text("x\n2\n")
    assert commit(repository, "results") != code
    assert provenance.last_change() == code


def test_comments_and_docstrings_are_no_change(repository: Path) -> None:
    first = provenance.commit()
    (repository / "cnnexp/a.py").write_text(A_CLASS.replace("An A", "One") + "# a remark\n")
    commit(repository, "words")
    assert provenance.changes_since(first, ("cnnexp",)) == ()
    (repository / "cnnexp/a.py").write_text(A_CLASS.replace("1", "2"))
    (repository / "cnnexp/new.py").write_text("y = 1\n")
    commit(repository, "code")
    assert provenance.changes_since(first, ("cnnexp",)) == ("cnnexp/a.py", "cnnexp/new.py")
    assert provenance.changes_since(first, ("conf",)) == ()


def notebook(folder: Path, measured: str, other: str) -> None:
    cells = [
        {"source": ["import numpy\n", measured], "metadata": {"tags": ["measured"]}},
        {"source": [other], "metadata": {}},
    ]
    (folder / "docs/notebooks").mkdir(parents=True, exist_ok=True)
    (folder / provenance.MEASURED[0]).write_text(json.dumps({"cells": cells}))


def test_of_a_notebook_the_measured_cells_count(repository: Path) -> None:
    """They changed unseen: no notebook counted as code."""
    paths = ("docs/notebooks/6_naive_to_fast.ipynb",)
    assert paths == provenance.MEASURED
    notebook(repository, "x = 1", "y = 1")
    assert provenance.changed_files() == [*paths]
    first = commit(repository, "lesson")
    notebook(repository, "x = 1  # one", "y = 2")
    assert provenance.changed_files() == []
    commit(repository, "words")
    assert provenance.changes_since(first, paths) == ()
    notebook(repository, "x = 2", "y = 2")
    assert provenance.changed_files() == [*paths]
    code = commit(repository, "code")
    assert provenance.changes_since(first, paths) == paths
    assert provenance.last_change() == code


def test_a_task_depends_on_its_own_script() -> None:
    for task in TASKS:
        words = task.command.split()
        script = f"{words[2].replace('.', '/')}.py"
        assert task.study or not (ROOT / script).exists() or script in task.of, task.name


def test_an_unknown_commit(repository: Path) -> None:
    with pytest.raises(NoCommit):
        provenance.changes_since("0123456789", ("cnnexp",))
    assert release._age(("0123456789",), ("cnnexp",)).state.startswith("of a commit that is not")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x,commit\n1,741a365d13+\n2,741a365d13+\n", Stated(("741a365d13",), True)),
        ("x,commit\n1,741a365d13\n2,01d4b61833\n", Stated(("01d4b61833", "741a365d13"))),
        ("# date: 2026-11-23\n# commit: 741a365d13\nx\n1\n", Stated(("741a365d13",))),
        ("# torch 2, commit beeaafcc3943 and changes\nx\n", Stated(("beeaafcc39",), True)),
        ("# date: 2026-11-23\nx\n1\n", Stated(())),
    ],
)
def test_what_a_file_says_of_its_commit(tmp_path: Path, text: str, expected: Stated) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    assert provenance.stated(path) == expected


def test_uncommitted_code_is_not_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(provenance, "changed_files", lambda: ["cnnexp/a.py"])
    results.refuse_changes(tmp_path)
    for folder in (results.FOLDER, results.FOLDER / "reliability"):
        with pytest.raises(SystemExit, match=r"cnnexp/a\.py: the code has changes"):
            results.refuse_changes(folder)
    monkeypatch.setattr(measure, "changed_files", lambda: ["cnnexp/a.py"])
    with pytest.raises(NoCommit, match="Commit them: figures belong to a commit"):
        measure.measure(TASKS)


# Tasks -------------------------------------------------------------------------------------------


def test_every_file_of_results_has_a_task() -> None:
    known = {task.file for task in TASKS}
    known |= {original_code.FILE.name, measure.TIMES, drawn.FILE.name}
    folder = results.FOLDER
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*.csv")}
    assert found <= known


def test_tasks_name_what_is_there() -> None:
    assert len({task.name for task in TASKS}) == len({task.file for task in TASKS}) == len(TASKS)
    paths = {path for task in TASKS for path in task.of}
    paths |= {path for of in tasks.PICTURES.values() for path in of} | set(tasks.PICTURES)
    assert [path for path in paths if not (ROOT / path).exists()] == []
    modules = [task.command.split()[2] for task in TASKS]
    for name in modules:
        path = ROOT / name.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").exists()
    commands = {tuple(task.command.split()[2:4]) for task in TASKS}
    for module, names in (("benchmarks", BENCHMARKS), ("reliability", PARTS)):
        assert {(f"experiments.{module}", name) for name in names} <= commands
    studies = {task.study for task in TASKS} - {""}
    assert studies == {path.stem for path in (ROOT / "experiments").glob("*.yaml")}


def test_the_list(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "age_of", lambda task: release.Age(release.TODAY))
    assert measure.main(["--list", "--only", "speed", "seeds"]) == 0
    first, second, last = capsys.readouterr().out.splitlines()
    assert first.startswith("speed ") and "min" in first
    assert second.endswith("python -m cnnexp experiments=seeds")
    assert last.startswith("2 tasks, about")
    assert measure.main(["--list", "--old"]) == 0
    assert capsys.readouterr().out.startswith("0 tasks")


def test_tasks_are_left_out_by_the_beginnings_of_their_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = measure._parser().parse_args(["--without", "gpu", "reliability_"])
    left = {task.name for task in TASKS} - {task.name for task in measure.chosen(asked)}
    assert left == {"gpu", *(f"reliability_{name}" for name in PARTS)}
    assert measure.main(["--without", "gpus"]) == 2
    assert "no task's name begins with 'gpus'" in capsys.readouterr().err


def test_a_command_has_the_data_of_here_and_its_own_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("CNNEXP_DATA_DIR", "data")
    monkeypatch.chdir(tmp_path)
    found = measure.environment(tmp_path / "checkout")
    assert found["PYTHONPATH"] == str(tmp_path / "checkout")
    assert found["CNNEXP_DATA_DIR"] == str(tmp_path / "data")
    assert "PYTHONDONTWRITEBYTECODE" not in found


def test_an_unknown_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert measure.main(["--only", "sped"]) == 2
    assert "no task is named 'sped'. Tasks: agreement_benchmark," in capsys.readouterr().err


def test_measuring_goes_on_where_it_was(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two tasks, of which the second fails the first time; a third lacks a package."""
    kept = repository / "experiments/results"
    script = repository / "experiments/write.py"
    script.write_text(
        "import subprocess, sys, pathlib\n"
        "commit = subprocess.run(['git', 'rev-parse', 'HEAD'], capture_output=True).stdout\n"
        "name = sys.argv[1]\n"
        "if name == 'b' and not pathlib.Path('../../../ready').exists(): sys.exit(1)\n"
        "path = pathlib.Path('experiments/results', name + '.csv')\n"
        "path.write_text('x,commit\\n1,' + commit.decode()[:10] + '\\n')\n"
    )
    code = commit(repository, "script")[:10]
    for module, name in ((measure, "ROOT"), (release, "ROOT")):
        monkeypatch.setattr(module, name, repository)
    monkeypatch.setattr(measure, "RESULTS", kept)
    monkeypatch.setattr(measure, "CHECKOUTS", repository / "outputs" / "measure")
    (repository / ".git/info/exclude").write_text("outputs\nready\n")
    two = [tasks.Task(n, f"python experiments/write.py {n}", f"{n}.csv", 1, ()) for n in "ab"]
    lacking = tasks.Task("c", "python none.py", "c.csv", 1, (), ("no_such_package",))

    assert measure.measure([*two, lacking]) == 1
    assert provenance.stated(kept / "a.csv") == Stated((code,))
    assert not (kept / "b.csv").exists()
    (repository / "ready").write_text("")
    commit(repository, "results so far")
    before = (kept / "a.csv").stat().st_mtime_ns
    assert measure.measure(two) == 0
    assert (kept / "a.csv").stat().st_mtime_ns == before
    assert provenance.stated(kept / "b.csv") == Stated((code,))
    assert measure.times().keys() == {"a", "b"}


def test_a_study_is_run_in_a_folder_of_its_own(tmp_path: Path) -> None:
    (seeds,) = [task for task in TASKS if task.name == "seeds"]
    folder = tmp_path / "a folder's name"  # which no shell may take apart
    run, table = measure.commands(seeds, folder)
    python = ["python", "-m"]
    assert run == [*python, "cnnexp", "experiments=seeds", f"sweep.dir={folder}/outputs/seeds"]
    assert table == [*python, "experiments.tables", "--files", "--runs", f"{folder}/outputs/seeds"]
    (flat,) = [task for task in TASKS if task.name == "original_flat"]
    assert measure.commands(flat, folder)[0][-1].startswith("hydra.run.dir=")


# Marks on pages ----------------------------------------------------------------------------------


def test_a_page_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    ages = {
        "speed.csv": release.Age("its code has changed since, in 2 files", ("741a365d13",)),
        "steps.csv": release.Age(release.TODAY, ("01d4b61833",)),
        "memory.csv": release.Age("not measured"),
    }
    monkeypatch.setattr(release, "age_of", lambda task: ages[task.file])
    begin = "<!-- provenance: speed.csv steps.csv memory.csv -->\n"
    marked = release.with_marks(f"{begin}old<!-- end of provenance -->")
    assert "- `steps.csv`: of today's code." in marked
    assert "- `speed.csv`: measured at commit 741a365d13; its code has changed since" in marked
    assert "- `memory.csv`: not measured." in marked
    assert "old" not in marked.replace("of today", "")


def test_a_picture_that_came_out_the_same_is_of_the_commit_it_was_drawn_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was old for ever: git had no commit of a file that did not change."""
    (name, *_) = tasks.PICTURES
    monkeypatch.setattr(drawn, "FILE", tmp_path / "pictures.csv")
    monkeypatch.setattr(drawn, "describe", lambda: {"cpu": "this", "commit": "741a365d13"})
    drawn.note(name)
    drawn.note("docs/other.png")
    assert drawn.noted().keys() == {name, "docs/other.png"}
    monkeypatch.setattr(release, "_age", lambda commits, paths: release.Age("", commits))
    assert release.age_of_picture(name).commits == ("741a365d13",)


def test_marks_name_files_that_are_measured() -> None:
    files = {task.file for task in TASKS} | tasks.PICTURES.keys()
    for page in release.pages():
        assert marked(page) <= files, page.name


def marked(page: Path) -> set[str]:
    """Return the files and pictures of which a page says where they come from."""
    blocks = release.BLOCK.finditer(page.read_text(encoding="utf-8"))
    return {name for match in blocks for name in match["files"].split()}


def shown(page: Path) -> set[str]:
    """Return the measured files of which a page has a table or a picture, and other pictures."""
    text = page.read_text(encoding="utf-8")
    files = {f"{study}.csv" for study in re.findall(r"<!-- results: (\w+) -->", text)}
    files |= set(re.findall(r"<!-- table: experiments/results/(\S+\.csv)\b", text))
    if page == benchmark_page.PAGE:
        files |= {f"{file}.csv" for file, _ in benchmark_page.TABLES.values()}
    for link in re.findall(r"!\[[^\]]*\]\(([^):]+\.(?:png|gif))\)", text):
        path = (page.parent / link).resolve()
        name = path.relative_to(ROOT).as_posix()
        measured = name.startswith("experiments/")
        files |= {f"{path.stem}.csv"} if measured else {name} & tasks.PICTURES.keys()
    return files


FRONT = {"README.md", "index.md"}  # their pictures are marked on the pages that explain them
PAGES = [page for page in release.pages() if page.parent != ROOT and page.name not in FRONT]
PAGES += [ROOT / "experiments" / "README.md", benchmark_page.PAGE]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_marks_the_tables_and_pictures_that_it_shows(page: Path) -> None:
    assert shown(page) <= marked(page)


def test_every_table_and_picture_of_the_front_pages_is_marked_somewhere() -> None:
    everywhere = set().union(*map(marked, release.pages()))
    assert shown(ROOT / "README.md") | shown(ROOT / "docs" / "index.md") <= everywhere


# Figures -----------------------------------------------------------------------------------------


def test_a_ratio_is_of_the_same_quotients_as_its_quartiles() -> None:
    """Medians of the times give 0.5 here, and the quotients 2, 2 and 0.1."""
    figures = {"fast": [2.0, 4.0, 1.0], "channels_last": [1.0, 2.0, 10.0]}
    jobs = [Job("flat", by, 128, 1) for by in figures]
    (row, _) = speed._rows(jobs, "training", figures, 3)
    assert row["ratio"] == 2.0
    assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"]


def test_the_originals_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With stand-ins that have its names: here its page can be followed, not its figures."""
    for name in (original_code.NAIVE, original_code.GROUPS):
        (tmp_path / f"{name}.py").write_text("from cnnexp.classic import *\n")
    import numpy as np

    X, Y = np.random.default_rng(0).random((140, 28, 28, 1)), np.eye(10)[np.arange(140) % 10]
    monkeypatch.setattr(original_code, "mnist", lambda _: (X[:133], Y[:133], X[133:], Y[133:]))
    out = tmp_path / "found.csv"
    words = [str(tmp_path), "--flat-rate", "0.01", "--cnn-rate", "0.01", "--output", str(out)]
    assert original_code.main([*words, "--flat-epochs", "2", "--cnn-epochs", "1"]) == 0
    found = pd.read_csv(out)
    assert list(found["what"])[1:3] == ["seconds until 5 %", "error after 2 epochs"]
    assert found["original"][0].startswith("cnn_numpy.py=")


def test_without_the_originals_code_it_says_what_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert original_code.main([str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "there is no cnn_numpy.py and no cnn_numpy_sg.py." in said
    assert "github.com/neuron-whisperer/cnn-numpy" in said


def test_figures_of_its_code_come_from_the_file() -> None:
    assert summaries.its_error("cnn", "error after epoch 1") == "50 to 68 %"
    assert summaries.its_seconds("flat", "seconds until 5 %") == "not reached"


def test_the_counts_among_the_claims() -> None:
    found = {row.claim: row.here for row in claims.counts()}
    assert found["95 % of 70,000 images"] == "66,500"
    assert found["iterations of stride groups for filters of 3x3"].startswith("9, 9, 9, 9, 9 for")
    assert any("1,416,896,000; of 66,500: 1,438,528,000" in here for here in found.values())


def test_the_errors_among_the_claims_are_of_the_commit_of_their_file() -> None:
    """They were given that of the measurement of the times."""
    machine = {"cpu": "this one", "commit": "today", "date": "today"}
    times = claims.Claim("a", "b", "c", claims.COMMAND)
    assert claims.as_row(times, machine) | machine == claims.as_row(times, machine)
    files = {}
    for study in ("original_flat", "original_cnn"):
        facts = claims.outcomes.load(study).facts
        files[claims.STUDY.format(study)] = {name: facts.get(name, "") for name in machine}
    rows = [claims.as_row(claim, machine) for claim in claims.errors()]
    assert [{name: row[name] for name in machine} for row in rows] == [
        files[row["command"]] for row in rows
    ]
    kept = pd.read_csv(claims.FILE, dtype=str, keep_default_na=False)
    for row in kept.to_dict("records"):
        if row["command"] in files:
            assert {name: row[name] for name in machine} == files[row["command"]]
