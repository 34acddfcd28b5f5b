"""The three ways to have this program: a clone, an editable install, a wheel.

Each gets a new virtual environment, with all it needs from the package index, and is used from an
empty folder. Only what is committed is tested.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
RUN = ["model=flat", "epochs=1", "data.limit=50"]
SWEEP = ["-m", "seed=0,1", "sweep.dir=grid", *RUN]
PLUGIN = """
import numpy as np
from cnnexp import LAYERS, Pointwise


@LAYERS.register("doubled")
class Doubled(Pointwise):
    monotonic, from_output = True, True

    def apply(self, Z, out):
        np.multiply(Z, 2, out=out)

    def gradient(self, dA, kept, out):
        np.multiply(dA, 2, out=out)
"""
LEFT_OUT = ("PYTHONPATH", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")


class Installed(NamedTuple):
    """A way to have the program: its Python, what to set for it, and where the package lies."""

    python: Path
    environment: dict[str, str]
    package: Path | None

    def run(self, folder: Path, *words: str) -> str:
        """Run ``python -m cnnexp`` in a folder."""
        return call([self.python, "-m", "cnnexp", *words], folder, self.environment)


def call(command: list[object], folder: Path, extra: dict[str, str] | None = None) -> str:
    """Run a program that must end well, and return what it printed."""
    environment = {k: v for k, v in os.environ.items() if k not in LEFT_OUT} | (extra or {})
    ended = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def new_environment(folder: Path) -> Path:
    """Make a virtual environment and return its Python."""
    call([sys.executable, "-m", "venv", folder], folder.parent)
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A clone of what is committed."""
    folder = tmp_path_factory.mktemp("source")
    call(["git", "clone", "--quiet", "--no-hardlinks", ROOT, folder / "cnnexp"], folder)
    return folder / "cnnexp"


@pytest.fixture(scope="module", params=["clone", "editable", "wheel"])
def installed(request, clone, tmp_path_factory) -> Installed:
    """One of the three ways."""
    python = new_environment(tmp_path_factory.mktemp(request.param) / "venv")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if request.param == "clone":
        needs = tomllib.loads((clone / "pyproject.toml").read_text())["project"]["dependencies"]
        call([*pip, *needs], clone)
        return Installed(python, {"PYTHONPATH": str(clone)}, clone / "cnnexp")
    if request.param == "editable":
        call([*pip, "-e", clone], clone)
        return Installed(python, {}, clone / "cnnexp")
    call([*pip, clone], clone)
    return Installed(python, {}, None)


def test_the_package_lies_where_it_should(installed, tmp_path):
    code = "import cnnexp; print(cnnexp.__file__)"
    found = Path(call([installed.python, "-c", code], tmp_path, installed.environment).strip())
    expected = installed.package or installed.python.parents[1]
    assert expected in found.parents


def test_a_run(installed, tmp_path):
    assert "results in outputs" in installed.run(tmp_path, *RUN)
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]
    assert len(list(tmp_path.glob("outputs/*/*/weights.pkl"))) == 1


def test_a_sweep(installed, tmp_path):
    """Our launcher is found, and its processes find everything again."""
    assert "2 of 2 jobs have a result" in installed.run(tmp_path, *SWEEP)


def test_plugins(installed, tmp_path):
    """A module in the working folder, named as any user would name it."""
    (tmp_path / "my_layers.py").write_text(PLUGIN)
    words = ["plugins=[my_layers]", "model.layers.1.activation=doubled", "hydra.run.dir=run", *RUN]
    assert "results in run" in installed.run(tmp_path, *words)
    assert "loss" in installed.run(tmp_path, "evaluate", "run")
    assert "all rules are kept" in installed.run(tmp_path, "check-layer", "my_layers.Doubled")
    assert "all agree" in installed.run(tmp_path, "gradcheck", "--entries", "2", *words[:2], *RUN)


def test_a_project_that_init_made(installed, tmp_path):
    """All that its README names, and the commands around a run."""
    installed.run(tmp_path, "init", "mine")
    mine, quick = tmp_path / "mine", ("epochs=1", "data.limit=60")
    things = ("plugins=[my_things]", "model=two_convs", *quick)
    assert "results in first" in installed.run(mine, *things, "hydra.run.dir=first")
    assert "results in bars" in installed.run(mine, *things, "data=bars", "hydra.run.dir=bars")
    study = installed.run(mine, "experiments=rates", *quick, "sweep.dir=rates")
    assert "6 of 6 jobs have a result" in study
    pairs = installed.run(mine, "experiments=optimizers", *quick, "sweep.dir=pairs")
    assert "3 of 3 jobs have a result" in pairs
    assert "results in again" in installed.run(mine, "rerun", "first", "hydra.run.dir=again")
    weights = [(mine / run / "weights.pkl").read_bytes() for run in ("first", "again")]
    assert weights[0] == weights[1]
    assert installed.run(mine, "tag", "first", "good").strip() == "first: good"
    assert "6 finished" in installed.run(mine, "watch", "rates")
    assert "two_convs" in installed.run(mine, "list", "models")
    assert "data=bars" in installed.run(mine, "evaluate", "bars")


def test_help(installed, clone, tmp_path):
    page = installed.run(tmp_path, "--help")
    for path in [*clone.glob("conf/*/*.yaml"), *clone.glob("experiments/*.yaml")]:
        assert path.stem in page
    assert not list(tmp_path.iterdir())


def test_every_study_is_there(installed, clone, tmp_path):
    names = {path.stem for path in clone.glob("experiments/*.yaml")}
    for name in sorted(names - {"search_cnn"}):  # which needs an extra
        assert "model:" in installed.run(tmp_path, f"experiments={name}", "--cfg", "job")
    assert not list(tmp_path.iterdir())


def test_the_console_script(installed, tmp_path):
    if installed.environment:
        pytest.skip("a clone alone has no console script")
    script = installed.python.with_name("cnnexp")
    assert call([script, "--version"], tmp_path).startswith("cnnexp ")
    assert "model:" in call([script, "--cfg", "job"], tmp_path)
