"""What a run records of the code that it was made with."""

import os
import subprocess
import sys
import types

import pytest

from cnnexp.runs import code, environment, sources
from cnnexp.runs.files import checksum
from cnnexp.runs.fingerprint import fingerprint
from cnnexp.runs.sources import changed, sources_of
from tests.runs.small import record_in, train, write_data


def git(folder, *words):
    names = ("-c", "user.name=a", "-c", "user.email=a@b")
    done = subprocess.run(
        ["git", "-C", str(folder), *names, *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def changes(run):
    return code.changes({"git": None, "project": code.project(code.git())}, run)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository with one commit as the working folder; the package lies outside of any."""
    monkeypatch.setattr(code.cnnexp, "__file__", str(tmp_path / "site" / "__init__.py"))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    git(folder, "init", "-q")
    (folder / "plugin.py").write_text("x = 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_the_commit_of_the_project_is_recorded_and_whether_files_were_changed(project):
    wanted = {"commit": git(project, "rev-parse", "HEAD"), "dirty": False, "folder": str(project)}
    assert (code.git(), code.project(code.git())) == (None, wanted)
    (project / "plugin.py").write_text("x = 2\n")
    assert code.project(code.git()) == wanted | {"dirty": True}


def test_a_folder_without_a_repository_has_no_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert code.project(code.git()) is None


def test_in_a_clone_the_package_is_the_project(project, monkeypatch):
    (project / "__init__.py").touch()
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "second")
    monkeypatch.setattr(code.cnnexp, "__file__", str(project / "__init__.py"))
    assert code.git()["folder"] == str(project)
    assert code.project(code.git()) is None


def test_changes_since_the_commit_are_kept_up_to_a_bound(project, monkeypatch):
    (project / "plugin.py").write_text("x = 2\n")
    (project / "new.py").touch()
    run = project / "run"
    run.mkdir()
    (run / "run.json").touch()
    code.keep(run, changes(run), [])
    kept = (run / code.FOLDER / code.DIFF).read_text()
    assert "-x = 1\n+x = 2" in kept
    assert "# new: new.py" in kept
    assert "run.json" not in kept
    monkeypatch.setattr(code, "LARGEST_DIFF", 30)
    code.keep(run, changes(run), [])
    shorter = (run / code.FOLDER / code.DIFF).read_text()
    assert len(shorter) < len(kept)
    assert "# cut off here: it has " in shorter


def test_nothing_is_kept_where_nothing_was_changed(project, tmp_path):
    code.keep(tmp_path, changes(tmp_path), [])
    assert not (tmp_path / code.FOLDER).exists()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["/site/cnnexp/__main__.py", "epochs=3"], ["python", "-m", "cnnexp", "epochs=3"]),
        (["/usr/bin/cnnexp", "resume", "r"], ["cnnexp", "resume", "r"]),
        (["study.py", "3"], ["study.py", "3"]),
        (["/mine/cnnexp/study.py", "3"], ["/mine/cnnexp/study.py", "3"]),
        (["/mine/tool/__main__.py"], ["/mine/tool/__main__.py"]),
    ],
)
def test_the_recorded_command_can_be_typed_again(argv, words, monkeypatch):
    monkeypatch.setattr(sys, "argv", argv)
    assert code.command() == words


def test_who_has_no_name_is_nobody(monkeypatch):
    def unknown():
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(code.getpass, "getuser", unknown)
    assert code.user() is None


# The user's modules ---------------------------------------------------------------------------


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A module that imports another one beside it, which imports a third within a function."""
    files = {
        "mine_first.py": "import json\nimport cnnexp\nfrom mine_second import f\n",
        "mine_second.py": "def f():\n    from mine_package.third import g\n",
        "mine_package/__init__.py": "",
        "mine_package/third.py": "from .fourth import h\nfrom . import fifth\n",
        "mine_package/fourth.py": "h = 1\n",
        "mine_package/fifth.py": "",
        "unused.py": "",
    }
    (tmp_path / "mine_package").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    __import__("mine_first")
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("mine_")]:
        del sys.modules[name]


def test_what_a_module_imports_beside_it_belongs_to_it(modules):
    found = sources_of(["mine_first"])
    assert [source["name"] for source in found] == [
        "mine_first",
        "mine_package",
        "mine_package.fifth",
        "mine_package.fourth",
        "mine_package.third",
        "mine_second",
    ]
    assert sources_of([]) == ()  # which those who keep it cannot change
    assert sources_of(["mine_absent"]) is None


def test_a_change_gives_another_fingerprint_and_is_told(modules):
    before = sources_of(["mine_first"])
    assert changed({"modules": before}) == []
    (modules / "mine_second.py").write_text("def f():\n    return 2\n")
    after = sources_of(["mine_first"])
    assert changed({"modules": before}) == ["mine_second"]
    plain, one, other = (fingerprint({}, "d", None, found) for found in ([], before, after))
    assert len({plain, one, other}) == 3
    assert plain == fingerprint({}, "d")


def test_modules_are_copied_into_the_run(modules, tmp_path, monkeypatch):
    monkeypatch.setattr(code, "LARGEST_COPY", 50)
    run = tmp_path / "run"
    run.mkdir()
    code.keep(run, "", sources_of(["mine_first"]))
    kept = {path.name: path.read_text() for path in (run / code.FOLDER).iterdir()}
    assert kept["mine_second.py"] == (modules / "mine_second.py").read_text()
    assert "mine_first.py" not in kept  # which is longer than the bound here


def test_a_run_records_where_its_code_comes_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(environment, "git", lambda: None)
    monkeypatch.setattr(environment, "user", lambda: "ada")
    train(tmp_path / "run", write_data(tmp_path / "data.npz"))
    found = record_in(tmp_path / "run")["environment"]
    assert (found["git"], found["project"], found["user"]) == (None, None, "ada")


def test_no_program_that_a_repository_names_is_started(project):
    program = project / "evil.sh"
    program.write_text("#!/bin/sh\ntouch started\n")
    program.chmod(0o755)
    for key in ("core.fsmonitor", "diff.external"):
        git(project, "config", key, str(program))
    (project / "plugin.py").write_text("x = 2\n")
    assert "+x = 2" in changes(project / "run")
    assert not list(project.glob("**/started"))


def test_files_of_runs_are_no_changes_of_the_code(project):
    (project / "outputs" / "one" / ".hydra").mkdir(parents=True)
    for name in ("run.json", "epochs.csv", ".hydra/config.yaml"):
        (project / "outputs" / "one" / name).touch()
    assert code.project(code.git())["dirty"] is False
    (project / "new.py").touch()
    assert code.project(code.git())["dirty"] is True


def test_a_chain_of_a_thousand_modules_is_followed(tmp_path, monkeypatch):
    for k in range(1200):
        (tmp_path / f"mine_{k}.py").write_text(f"def f():\n    import mine_{k + 1}\n")
    (tmp_path / "mine_1200.py").write_text('x = "\\d"\nimport mine_0\n')  # a circle
    monkeypatch.syspath_prepend(tmp_path)
    __import__("mine_0")
    assert len(sources_of(["mine_0"])) == 1201
    del sys.modules["mine_0"]


def test_imports_by_dots_count_the_packages_around(tmp_path, monkeypatch):
    """Two dots are the package around the package, and there may be one inside it."""
    files = {
        "mine_outer/__init__.py": "",
        "mine_outer/beside.py": "",
        "mine_outer/inner/__init__.py": "",
        "mine_outer/inner/first.py": "from ..beside import x\nfrom .. import also\n",
        "mine_outer/also.py": "",
        "mine_outer/inner/beside.py": "",
        "mine_outer/inner/also.py": "",
    }
    (tmp_path / "mine_outer" / "inner").mkdir(parents=True)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("mine_outer", "mine_outer.inner", "mine_outer.inner.first"):
        module = types.ModuleType(name)
        place = tmp_path.joinpath(*name.split("."))
        module.__file__ = str(place / "__init__.py" if place.is_dir() else f"{place}.py")
        monkeypatch.setitem(sys.modules, name, module)
    names = {source["name"] for source in sources_of(["mine_outer.inner.first"])}
    assert {"mine_outer.beside", "mine_outer.also"} <= names
    assert not {"mine_outer.inner.beside", "mine_outer.inner.also"} & names


def test_a_source_that_cannot_be_read_has_no_checksum(tmp_path, monkeypatch):
    path = tmp_path / "large.py"
    path.write_text("x = 1\n")
    monkeypatch.setattr(sources, "LARGEST_SOURCE", 6)
    assert sources.checksum_of(path) == checksum(b"x = 1\n")
    monkeypatch.setattr(sources, "LARGEST_SOURCE", 5)
    assert sources.checksum_of(path) is None
    assert sources.checksum_of(tmp_path / "absent.py") is None


def test_where_git_fails_there_is_no_repository(tmp_path, monkeypatch):
    def missing(*words):
        raise FileNotFoundError("git")

    monkeypatch.setattr(code, "_ask_git", missing)
    assert code.git() is None
    assert code._repository(tmp_path) is None
    found = {"dirty": True, "folder": str(tmp_path), "commit": "0"}
    assert code.changes({"git": found}, tmp_path / "run") == ""


def test_a_package_that_is_not_under_version_control_has_no_commit(monkeypatch):
    def tracked(folder, *words):
        if words[0] == "ls-files":
            raise subprocess.CalledProcessError(1, "git")
        return "commit"

    monkeypatch.setattr(code, "_ask_git", tracked)
    assert code.git() is None


def test_a_package_that_is_not_read_leaves_the_others(modules, monkeypatch):
    """What a module imports and cannot be read is passed over, and the rest is found."""
    (modules / "mine_second.py").write_text("x" * 100)
    monkeypatch.setattr(sources, "LARGEST_SOURCE", 90)
    names = [source["name"] for source in sources_of(["mine_first"])]
    assert names == ["mine_first"]
    assert sources_of(["mine_second"]) is None


def test_a_file_that_is_too_large_does_not_hide_the_others(modules, monkeypatch):
    (modules / "mine_large.py").write_text("#" * 200)
    (modules / "mine_first.py").write_text("import mine_second\nimport mine_large\n")
    monkeypatch.setattr(sources, "LARGEST_SOURCE", 100)
    names = [source["name"] for source in sources_of(["mine_first"])]
    assert "mine_second" in names and "mine_large" not in names


def test_a_package_may_import_what_lies_beside_it(modules):
    (modules / "mine_package" / "__init__.py").write_text("import mine_second\n")
    __import__("mine_package")
    assert "mine_second" in [source["name"] for source in sources_of(["mine_package"])]


def test_of_installed_packages_only_the_importers_own_counts(modules, monkeypatch):
    monkeypatch.setattr(sources, "INSTALLED", {os.path.realpath(modules)})
    own = sources._file_below(modules, "mine_package.third", "mine_package.fourth")
    assert own == modules / "mine_package" / "third.py"
    assert sources._file_below(modules, "mine_second", "mine_package.fourth") is None
    assert sources._file_below(modules, "mine_second", "mine_second") is not None
