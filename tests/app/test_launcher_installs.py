"""Our launcher is found in a clone, in an editable install, and in a wheel."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import cnnexp
from cnnexp import load_run

pytestmark = pytest.mark.long

ROOT = Path(cnnexp.__file__).parent.parent
PARTS = ("cnnexp", "conf", "experiments", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Copy what is needed to build the package, so that building writes nothing into the clone."""
    folder = tmp_path_factory.mktemp("source")
    for name in PARTS:
        part = ROOT / name
        if part.is_dir():
            shutil.copytree(part, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif part.exists():
            shutil.copy(part, folder)
    (folder / "README.md").touch()  # named in pyproject.toml
    return folder


def run(*words: str | Path, folder: Path, **environment: str) -> str:
    """Run a command in a folder without what the environment says of Python."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        list(map(str, words)), cwd=folder, env=kept | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment_with(folder: Path, *install: str | Path) -> Path:
    """Make an environment that has our dependencies and what is to be installed; return Python."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    where = run(python, "-c", "import site; print(site.getsitepackages()[0])", folder=folder)
    theirs = "\n".join(path for path in sys.path if path.endswith("site-packages"))
    Path(where.strip(), "dependencies.pth").write_text(theirs)
    offline = ("--no-deps", "--no-index", "--no-build-isolation", "--quiet")
    run(python, "-m", "pip", "install", *offline, *install, folder=folder)
    return python


def check_sweep(python: Path, where: Path, folder: Path, **environment: str) -> None:
    """Sweep in an empty folder, and again: with our launcher, and with nothing left to do."""
    folder.mkdir()
    code = "import cnnexp; print(cnnexp.__file__)"
    found = run(python, "-c", code, folder=folder, **environment).strip()
    assert Path(found).is_relative_to(where)
    words = ("-m", "data.limit=40", "epochs=1", "model=flat", "seed=1,2", "sweep.dir=S")
    parallel = "hydra.launcher.n_jobs=2"
    first = run(python, "-m", "cnnexp", *words, parallel, folder=folder, **environment)
    assert "2 of 2 jobs have a result" in first
    again = run(python, "-m", "cnnexp", *words, parallel, folder=folder, **environment)
    assert "2 jobs: 2 skipped" in again
    pids = {load_run(folder / "S" / k).record["process"]["pid"] for k in "01"}
    assert len(pids) == 2  # each in a process of its own
    assert sorted(os.listdir(folder)) == ["S"]


def test_in_a_clone(tmp_path):
    check_sweep(Path(sys.executable), ROOT, tmp_path / "work", PYTHONPATH=str(ROOT))


def test_from_a_wheel(source, tmp_path):
    pytest.importorskip("hatchling")
    words = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path)
    run(*words, folder=source)
    (wheel,) = tmp_path.glob("*.whl")
    python = environment_with(tmp_path / "venv", wheel)
    check_sweep(python, tmp_path / "venv", tmp_path / "work")
    script = python.with_name("cnnexp")
    assert "2 skipped" in run(
        script, "-m", "data.limit=40", "epochs=1", "model=flat", "seed=1,2", "sweep.dir=S",
        folder=tmp_path / "work",
    )  # fmt: skip


def test_from_an_editable_install(source, tmp_path):
    """It runs from its sources: a change of the launcher's file is seen at once."""
    pytest.importorskip("hatchling")
    pytest.importorskip("editables")
    python = environment_with(tmp_path / "venv", "-e", source)
    check_sweep(python, source, tmp_path / "work")
    launchers = source / "conf" / "hydra" / "launcher"
    shutil.copy(launchers / "processes.yaml", launchers / "processed.yaml")
    words = ("--info", "config", "hydra/launcher=processed")
    run(python, "-m", "cnnexp", *words, folder=tmp_path / "work")
