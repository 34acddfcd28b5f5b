"""What an installation without extras says, where one is needed."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys

import pytest

from cnnexp.app.main import main
from cnnexp.errors import OptionError, require

RUN = ["model=flat", "epochs=1", "data.limit=30"]


@pytest.fixture
def without(monkeypatch):
    """Hide what the extras bring, and work in an empty folder."""
    real = importlib.util.find_spec

    def find_spec(name, *more):
        hidden = name.partition(".")[0] in ("matplotlib", "scipy", "sklearn")
        return None if hidden else real(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    monkeypatch.setattr("cnnexp.app.commands.find_lr.find_spec", find_spec)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["compare", "--plot", "a.png"], "--plot needs matplotlib, {} 'cnnexp[plots]'"),
        (["compare", "--html", "a.html"], "--html needs matplotlib, {} 'cnnexp[plots]'"),
        (["inspect", "run"], "inspect needs matplotlib, {} 'cnnexp[plots]'"),
        (
            ["inspect", "stride-groups", "--input", "4x4", "--filter", "2", "--out", "a.png"],
            "--out needs matplotlib, {} 'cnnexp[plots]'",
        ),
        (["data=sklearn", "model=flat"], "data.set=iris needs scikit-learn, {} 'cnnexp[sklearn]'"),
        (
            ["augment=mixup", "model=flat"],
            "augment.transforms.0 (mixup): mixup needs SciPy, {} 'cnnexp[mixup]'",
        ),
    ],
)
def test_the_extra_is_named_before_anything_is_done(without, words, said, capsys, tmp_path):
    assert main(words) == 2
    expected = said.format("which is not installed: pip install")
    assert expected in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_find_lr_leaves_out_the_plot(without, capsys):
    assert main(["find-lr", "model=flat", "data.limit=200", "--steps", "30", "--out", "rates"]) == 0
    said = capsys.readouterr().out
    assert "rates/find_lr.csv\n" in said and "cnnexp[plots]" in said


def test_a_run_and_its_table_need_no_extra(tmp_path):
    """In a process where they cannot be imported; elastic deformations among it."""
    hide = "import sys; sys.modules.update(dict.fromkeys(('matplotlib', 'scipy', 'sklearn')))"
    run = ["augment=elastic", "hydra.run.dir=outputs/run", *RUN]
    code = f"{hide}\nfrom cnnexp.app.main import main\nsys.exit(main({run}) or main(['compare']))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "test_error" in done.stdout


def test_the_estimator_says_what_it_needs(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.delitem(sys.modules, "cnnexp.sklearn", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"cnnexp\[sklearn\]"):
        importlib.import_module("cnnexp.sklearn")


def test_what_is_installed_is_not_imported():
    require("json", "a test", "none")
    with pytest.raises(OptionError, match="a test needs Nothing, which is not installed"):
        require("no_such_module", "a test", "none", "Nothing")
