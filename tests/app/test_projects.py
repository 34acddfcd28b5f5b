"""Projects of the user's: made by ``init``, and found in the working folder."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore

from cnnexp.app.commands.init import make_project, templates
from cnnexp.app.compose.configs import make_app
from cnnexp.app.locations import config_files, config_root, project_root
from cnnexp.data import SOURCES
from cnnexp.nn.layer import LAYERS
from cnnexp.runs import trust
from cnnexp.runs.reading import load_run
from tests.commandline import cnnexp, succeed

QUICK = ("data.limit=60", "epochs=1", "impl.threads=1")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv(trust.VARIABLE, str(tmp_path / "config"))
    return tmp_path


@pytest.fixture
def project(place, monkeypatch):
    """A project made by ``init``, as the working folder; its module is forgotten afterwards."""
    monkeypatch.delitem(sys.modules, "my_things", raising=False)  # that of another test
    make_project(place / "mine")
    monkeypatch.chdir(place / "mine")
    monkeypatch.setattr(sys, "path", list(sys.path))
    for table in (LAYERS, SOURCES):
        monkeypatch.setattr(table, "_things", dict(table._things))
    make_app()  # so that Hydra's own configs are in its store, to stay there
    store = ConfigStore.instance()
    monkeypatch.setattr(store, "repo", copy.deepcopy(store.repo))
    yield place / "mine"
    sys.modules.pop("my_things", None)


def test_a_project_has_all_that_its_readme_names(place):
    said = succeed("init", "new folder")
    assert "to go on: cd 'new folder', and see README.md" in said
    files = {p.relative_to("new folder").as_posix() for p in Path("new folder").rglob("*.*")}
    assert files == set(templates())
    assert set(files) >= {"my_things.py", "conf/model/two_convs.yaml", ".gitignore"}
    json.loads(Path("new folder", "first_run.ipynb").read_text())


def test_its_model_layer_and_data_set_are_found(project):
    things = "plugins=[my_things]"
    succeed(things, "model=two_convs", *QUICK, "hydra.run.dir=outputs/one")
    run = load_run("outputs/one")
    assert [layer["type"] for layer in run.config["model"]["layers"]][1] == "scaled"
    assert run.network.layers[2].factor == 0.5
    succeed(things, "model=two_convs", "data=bars", *QUICK, "hydra.run.dir=outputs/two")
    assert load_run("outputs/two").record["data"]["classes"] == ["horizontal", "vertical"]


def test_they_are_listed_helped_and_suggested(project):
    assert "two_convs" in succeed("list", "models")
    assert "Which learning rate suits two_convs" in succeed("list", "experiments")
    shown = succeed("--help")
    assert "two_convs" in shown
    assert "rates" in shown
    assert "Did you mean 'two_convs'?" in cnnexp("model=two_conv").err
    assert "name: two_convs" in succeed("model=two_convs", "--cfg", "job")


@pytest.mark.long
def test_its_study_sweeps_and_its_tests_pass(project):
    table = succeed("experiments=rates", *QUICK, "sweep.dir=outputs/rates")
    assert "6 of 6 jobs have a result" in table
    done = subprocess.run([sys.executable, "-m", "pytest", "-q"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.long
def test_its_notebook_runs(project, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    book = nbformat.read("first_run.ipynb", 4)
    nbformat.validate(book)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(config_root()))
    client.NotebookClient(book, timeout=120).execute()
    assert "test_error" in str(book.cells[3].outputs)


def test_a_folder_that_is_in_use_is_left_alone(place):
    Path("mine").mkdir()
    Path("mine", "thesis.txt").write_text("all of it")
    ended = cnnexp("init", "mine")
    assert (ended.code, "mine: is there already, and not empty" in ended.err) == (2, True)
    assert [path.name for path in Path("mine").iterdir()] == ["thesis.txt"]
    Path("file").write_text("")
    assert cnnexp("init", "file").code == 2
    Path("empty").mkdir()
    succeed("init", "empty")


# Folders named conf ----------------------------------------------------------------------------


def write(path, text):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def test_the_settings_of_another_program_are_no_business_of_ours(place):
    write("conf/config.yaml", "defaults: [db: mysql]\nport: 80\n")
    write("conf/db/mysql.yaml", "host: here\n")
    write("conf/hydra/launcher/evil.yaml", "_target_: os.system\n")
    succeed(*QUICK, "hydra.run.dir=one")
    assert "db" not in load_run("one").config
    ended = cnnexp("hydra/launcher=evil", "-m", "seed=0,1")
    assert (ended.code, "there is no such option" in ended.err) == (2, True)
    assert "mysql" not in succeed("--help")


def test_an_option_of_the_project_stands_before_ours(place):
    layers = "[{type: flatten}, {type: dense, activation: softmax}]"
    write("conf/model/cnn.yaml", f"# Mine.\nname: cnn\nlayers: {layers}\n")
    succeed(*QUICK, "hydra.run.dir=one")
    assert len(load_run("one").config["model"]["layers"]) == 2
    assert config_files("model")["cnn"] == Path.cwd() / "conf" / "model" / "cnn.yaml"


def test_a_folder_that_the_user_names_stands_before_the_project(place):
    for folder, rate in (("conf", 0.1), ("named", 0.2)):
        write(f"{folder}/schedule/mine.yaml", f"name: step\nfall: {rate}\n")
    succeed("--config-dir", "named", "schedule=mine", *QUICK, "hydra.run.dir=one")
    assert load_run("one").config["schedule"]["fall"] == 0.2
    succeed("schedule=mine", *QUICK, "hydra.run.dir=two")
    assert load_run("two").config["schedule"]["fall"] == 0.1


def test_what_reads_a_run_does_not_look_into_the_folder_around_it(place):
    """A folder that a stranger filled may have a ``conf`` that names modules."""
    succeed(*QUICK, "hydra.run.dir=one")
    write("evil.py", "from pathlib import Path\nPath('imported').touch()\n")
    write("conf/model/cnn.yaml", "# @package _global_\nplugins: [evil]\nmodel: {name: cnn}\n")
    for command in ("show", "evaluate"):
        cnnexp(command, "one")
    succeed("compare", ".")
    assert not Path("imported").exists()


def test_in_a_clone_there_is_no_other_project(monkeypatch):
    monkeypatch.chdir(config_root())
    assert project_root() is None
    assert "cnn" in config_files("model")


def test_a_broken_file_is_named(place):
    write("conf/model/broken.yaml", "name: [broken\n")
    ended = cnnexp("model=broken")
    assert ended.code == 2
    assert "broken.yaml" in ended.err
