"""A run folder never causes an import by itself; the user's own runs need no word from the user."""

import importlib
import importlib.metadata
import os
import shutil
import sys

import pytest
from PIL import Image

from cnnexp import load_run
from cnnexp.errors import ConfigError, RunError
from cnnexp.nn.layer import LAYERS
from cnnexp.runs import plugins, trust
from cnnexp.runs.record import read_record
from tests.commandline import cnnexp, succeed
from tests.runs.small import change_record, record_in, train, write_data

LAYER = """
from dataclasses import dataclass
from pathlib import Path
from cnnexp import LAYERS, Layer

Path({marker!r}).touch()

@LAYERS.register("{name}")
@dataclass
class Twice(Layer):
    def forward(self, A_prev, context):
        return 2 * A_prev, None

    def backward(self, cache, dA, context):
        return 2 * dA, {{}}
"""


def with_layer(module, layer):
    """Return what puts a layer of a plugin into a config."""

    def change(config):
        config["plugins"] = [module]
        config["model"]["layers"].insert(1, {"type": layer})

    return change


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working folder with data, a configuration folder, and Python as it was before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(trust.VARIABLE, str(tmp_path / "config"))
    monkeypatch.setattr(LAYERS, "_things", dict(LAYERS._things))
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    write_data(tmp_path / "data.npz")
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]  # others, such as pandas, cannot be imported twice


def write_module(folder, module="my_twice", layer="twice"):
    """Write a module that leaves a mark when it is imported."""
    marker = folder / f"{module}.imported"
    (folder / f"{module}.py").write_text(LAYER.format(marker=str(marker), name=layer))
    importlib.invalidate_caches()
    return marker


def forget(module="my_twice", layer="twice"):
    """Be a new process, which has not imported the module."""
    sys.modules.pop(module, None)
    LAYERS._things.pop(layer, None)
    sys.path[:] = [p for p in sys.path if p not in ("", os.getcwd())]


def own_run(place, module="my_twice", layer="twice"):
    """Make a run with a plugin, as the user does; return its folder and the module's mark."""
    marker = write_module(place, module, layer)
    plugins.load_plugins([module])
    train(place / "run", place / "data.npz", change=with_layer(module, layer))
    marker.unlink()
    forget(module, layer)
    return place / "run", marker


COMMANDS = [
    ["show", "."],
    ["show", ".", "--json"],
    ["evaluate", "."],
    ["inspect", "."],
    ["predict", ".", "seven.png"],
    ["export", ".", "weights.npz"],
    ["compare", "."],
    ["resume", "."],
]


@pytest.mark.parametrize(
    "where",
    ["beside run.json", *(pytest.param(w, marks=pytest.mark.long) for w in ("above it", "named"))],
)
def test_a_strangers_run_imports_nothing(where, place, monkeypatch):
    run, _ = own_run(place)
    (place / "my_twice.py").unlink()
    config = record_in(run)["config"]
    folder = run if where != "above it" else place
    name = "run.evil" if where == "above it" else "evil"
    marker = write_module(run, "evil", "twice")
    environment = record_in(run)["environment"] | {"folder": str(run)}
    change_record(
        run, config=config | {"plugins": [name]}, environment=environment, status="interrupted"
    )
    Image.new("L", (20, 20), 255).save("seven.png")
    monkeypatch.chdir(folder if where != "named" else place)
    for words in COMMANDS:
        given = {".": str(run), "seven.png": str(place / "seven.png")}
        words = [given.get(word, word) for word in words]
        ended = cnnexp(*words)
        assert not marker.exists(), words
        if words[0] in ("evaluate", "inspect", "predict", "resume"):
            assert ended.code == 2
            assert f"needs the module '{name}'" in ended.err
            assert f"--plugins {name}" in ended.err
        else:
            assert ended.code == 0, ended.err
    with pytest.raises(RunError, match="needs the module"):
        _ = load_run(run).network
    assert "evil" not in sys.modules


def test_commands_that_need_no_plugin_do_not_speak_of_it(place):
    run, _ = own_run(place)
    change_record(run, plugins=None)
    assert "my_twice" not in succeed("compare", run).replace("plugins=", "")
    assert succeed("export", run, place / "weights.npz")
    assert load_run(run).epochs.shape[0] == 2


def test_a_plugin_that_the_network_does_not_need_is_not_asked_for(place):
    """Such as one with an optimizer: a network is evaluated without it."""
    run, marker = own_run(place)
    config = record_in(run)["config"]
    config["model"]["layers"] = [
        layer for layer in config["model"]["layers"] if layer["type"] != "twice"
    ]
    change_record(run, config=config, plugins=None)
    assert succeed("evaluate", run)
    assert not marker.exists()


def test_the_users_own_run_is_read_from_anywhere(place, monkeypatch):
    run, marker = own_run(place)
    expected = load_run(run).results["test_loss"]
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    found = load_run(run)
    assert found.network.evaluate(found.dataset.test.X, found.dataset.test.Y)[1] == expected
    assert marker.exists()


def test_it_goes_on_from_anywhere(place, monkeypatch):
    run, _ = own_run(place)
    change_record(run, status="interrupted")
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    succeed("resume", run)
    assert record_in(run)["status"] == "finished"


def test_a_namesake_in_the_working_folder_is_not_taken_for_the_users_own(place, monkeypatch):
    run, marker = own_run(place)
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    other = write_module(elsewhere)
    monkeypatch.chdir(elsewhere)
    sys.path.insert(0, str(elsewhere))
    _ = load_run(run).network
    assert marker.exists() and not other.exists()


def test_with_the_key_of_another_user_it_is_foreign(place, monkeypatch):
    run, marker = own_run(place)
    monkeypatch.setenv(trust.VARIABLE, str(place / "another"))
    ended = cnnexp("evaluate", run)
    assert (ended.code, marker.exists()) == (2, False)
    assert "nothing shows that the run is yours" in ended.err
    trust.signing_key(make=True)
    assert "was not signed with your key" in cnnexp("evaluate", run).err
    assert not marker.exists()


@pytest.mark.parametrize("what", ["source", "list", "path", "signature"])
def test_what_was_changed_after_the_signature_is_foreign(what, place):
    run, marker = own_run(place)
    record = record_in(run)
    if what == "source":
        with open(place / "my_twice.py", "a") as file:
            file.write("# changed\n")
    elif what == "list":
        write_module(place, "more", "more")
        change_record(run, config=record["config"] | {"plugins": ["my_twice", "more"]})
    elif what == "path":
        shutil.copy(place / "my_twice.py", place / "other.py")
        record["plugins"]["modules"][0]["path"] = str(place / "other.py")
        change_record(run, plugins=record["plugins"])
    else:
        change_record(run, plugins=record["plugins"] | {"signature": "hmac-sha256:0"})
    ended = cnnexp("evaluate", run)
    assert (ended.code, marker.exists()) == (2, False)
    assert "needs the module" in ended.err
    assert succeed("evaluate", run, "--plugins", "my_twice,more" if what == "list" else "my_twice")


def test_a_signed_module_that_lies_in_the_run_folder_is_not_imported(place):
    run, marker = own_run(place)
    shutil.copytree(place, place / "run" / "copy", ignore=shutil.ignore_patterns("run"))
    record = record_in(run)
    key = trust.signing_key()
    record["plugins"]["modules"][0]["path"] = str(run / "copy" / "my_twice.py")
    record["plugins"]["signature"] = trust._signature(
        key, ["my_twice"], record["plugins"]["modules"]
    )
    change_record(run, plugins=record["plugins"])
    assert "lies in the run folder" in cnnexp("evaluate", run).err
    assert not marker.exists()


def test_the_user_names_the_plugin(place):
    run, marker = own_run(place)
    change_record(run, plugins=None)
    assert cnnexp("evaluate", run).code == 2
    _ = load_run(run, plugins=["my_twice"]).network
    assert marker.exists()
    forget()
    marker.unlink()
    succeed("show", run, "--plugins", "my_twice")
    assert marker.exists()


def test_a_resumed_run_is_signed_by_who_names_its_plugins(place):
    run, _ = own_run(place)
    change_record(run, plugins=None, status="interrupted")
    assert cnnexp("resume", run).code == 2
    succeed("resume", run, "--plugins", "my_twice")
    forget()
    assert read_record(run).plugins is not None
    assert succeed("evaluate", run)


def test_not_even_a_named_module_comes_from_the_run_folder(place, monkeypatch):
    run, _ = own_run(place)
    marker = write_module(run, "evil", "twice")
    monkeypatch.chdir(run)
    ended = cnnexp("evaluate", ".", "--plugins", "evil")
    assert (ended.code, marker.exists()) == (2, False)
    assert "lies in the run folder" in ended.err


def test_a_folder_without_the_module_does_not_get_into_the_path(place, monkeypatch):
    """Else a file there, such as pandas.py, would be imported in place of a package."""
    run, _ = own_run(place)
    change_record(run, plugins=None)
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    sys.path.append(str(place))
    succeed("evaluate", run, "--plugins", "my_twice")
    assert str(place / "elsewhere") not in sys.path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("this", "is a module of Python's own"),
        ("antigravity", "is a module of Python's own"),
        ("os.path", "is a module of Python's own"),
        (".evil", "is not the name of a module"),
        ("a b", "is not the name of a module"),
        ("", "a name is empty"),
    ],
)
def test_names_that_are_not_imported(name, message, place, capsys):
    with pytest.raises(ConfigError, match=message):
        plugins.load_plugins([name])
    assert "Zen" not in capsys.readouterr().out


def test_the_key_is_for_the_user_alone(place):
    assert trust.signing_key() is None
    key = trust.signing_key(make=True)
    path = place / "config" / trust.KEY_FILE
    assert trust.signing_key(make=True) == key == path.read_bytes()
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o644)
        assert trust.signing_key() is None
        path.chmod(0o600)
        path.rename(place / "key")
        path.symlink_to(place / "key")
        assert trust.signing_key() is None


def test_runs_without_plugins_make_no_key(place):
    train(place / "run", place / "data.npz")
    assert record_in(place / "run")["plugins"] is None
    assert not (place / "config").exists()


def test_where_no_key_can_be_kept_a_run_is_not_signed(place, monkeypatch):
    (place / "config").write_text("a file in the place of the folder")
    run, _ = own_run(place)
    assert record_in(run)["plugins"] is None


def test_changed_code_is_told_once_and_is_another_job(place):
    run, _ = own_run(place)
    assert (run / "code" / "my_twice.py").read_text() == (place / "my_twice.py").read_text()
    assert cnnexp("evaluate", run).err == ""
    forget()
    with (place / "my_twice.py").open("a") as file:
        file.write("# changed\n")
    importlib.invalidate_caches()
    ended = cnnexp("evaluate", run, "--plugins", "my_twice")
    assert ended.code == 0
    assert ended.err.count("warning: ") == 1
    assert "run: my_twice is not as when the run was made" in ended.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\ny = (\n", "line 2: SyntaxError: '(' was never closed."),
        ("import json\n\njson.loads('{')\n", "line 3: JSONDecodeError: Expecting"),
        ("raise SystemExit(5)\n", "line 1: SystemExit: 5."),
    ],
)
def test_where_a_plugin_fails_is_said(text, message, place, monkeypatch):
    """The last place in the user's own file, and the reason in one line."""
    folder = place / "broken"
    folder.mkdir()
    (folder / "mine_broken.py").write_text(text)
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError) as caught:
        plugins.load_plugins(["mine_broken"])
    assert f"'mine_broken' fails in {folder / 'mine_broken.py'}, {message}" in str(caught.value)


def test_what_installed_packages_register_is_imported_once(monkeypatch, request):
    plugins.load_installed.cache_clear()
    request.addfinalizer(plugins.load_installed.cache_clear)
    loaded = []

    class Point:
        value = "other_package.layers"

        def load(self):
            loaded.append(self.value)

    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [Point()])
    plugins.load_plugins([])
    plugins.load_plugins([])
    assert loaded == [Point.value]


def test_the_folder_of_the_key_is_for_the_user_alone(place):
    trust.signing_key(make=True)
    if os.name == "posix":
        assert (place / "config").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o601, 0o604, 0o620, 0o610, 0o640, 0o602])
def test_a_key_that_others_can_use_in_any_way_is_none(mode, place):
    key = trust.signing_key(make=True)
    path = place / "config" / trust.KEY_FILE
    path.chmod(mode)
    assert os.name != "posix" or trust.signing_key() is None
    path.chmod(0o600)
    assert trust.signing_key() == key


def test_the_order_of_keys_does_not_change_a_signature():
    one, other = {"name": "a", "path": "b"}, {"path": "b", "name": "a"}
    assert trust._signature(b"k", ["m"], [one]) == trust._signature(b"k", ["m"], [other])


def test_what_an_installed_package_raises_is_said(monkeypatch):
    class Point:
        value = "other_package.layers"

        def load(self):
            raise ValueError("too old")

    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [Point()])
    with pytest.raises(ConfigError, match=r"'other_package\.layers' fails in .*too old"):
        plugins.load_installed.__wrapped__()


def test_the_working_folder_comes_first(place, monkeypatch):
    folder = place / "here"
    folder.mkdir()
    (folder / "mine_here.py").write_text("x = 1\n")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    plugins._look_here("mine_here")
    assert sys.path[0] == str(folder)


def test_a_key_is_made_in_a_folder_that_is_not_there(place, monkeypatch):
    monkeypatch.setenv(trust.VARIABLE, str(place / "a" / "b"))
    assert trust.signing_key(make=True) == trust.signing_key() is not None


def test_a_file_that_lies_where_the_key_is_written_is_not_used(place):
    """Somebody else may have put it there, and may read it."""
    planted = (place / "config" / trust.KEY_FILE).with_suffix(f".{os.getpid()}.tmp")
    planted.parent.mkdir(mode=0o700)
    planted.touch(mode=0o600)
    assert trust.signing_key(make=True) is None


def test_that_a_plugin_was_not_imported_is_said_of_an_activation_too(place, monkeypatch):
    run, _ = own_run(place)
    config = record_in(run)["config"]
    layers = [entry for entry in config["model"]["layers"] if entry["type"] != "twice"]
    layers[1]["activation"] = "twice"
    change_record(run, config=config | {"model": config["model"] | {"layers": layers}})
    monkeypatch.setenv(trust.VARIABLE, str(place / "another"))
    assert "needs the module 'my_twice'" in cnnexp("evaluate", run).err
