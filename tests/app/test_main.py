"""The entry point: exit codes, and what is a command."""

import sys

import pytest
import yaml

import cnnexp as package
from cnnexp.app import main as entry
from cnnexp.app.arguments import ALSO_SETTINGS
from cnnexp.app.commands import SUMMARIES, command_of
from cnnexp.app.compose.configs import make_app
from cnnexp.app.locations import config_root
from cnnexp.app.settings.schema import Config
from tests.cases import in_one_test
from tests.commandline import cnnexp, succeed


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["seed", "3"], "seed 3: write seed=3."),
        (["learning_rate", "0.1", "epochs", "3"], "learning_rate 0.1: write learning_rate=0.1."),
        (["epochs"], "epochs is a setting, not a command: write epochs=VALUE."),
        (["name", "-x"], "name is a setting, not a command: write name=VALUE."),
        (["seed", "epochs=3"], "seed is a setting, not a command: write seed=VALUE."),
        (["tags", "first"], "tags first: write tags=first. Did you mean 'tag'?"),
    ],
)
def test_a_setting_is_no_command(words, expected):
    """Most of them got the list of all commands; a flag was taken for a value."""
    assert cnnexp(*words).err == f"error: {expected}\n"


@pytest.mark.parametrize("words", [["--version"], ["epochs=1", "--version"]])
def test_version(words):
    assert succeed(*words) == f"cnnexp {package.__version__}\n"


@pytest.mark.parametrize(
    "words",
    [["help"], ["--help"], ["-h"], ["-m", "--help"], ["epochs=1", "-h"], ["model=cnn", "--help"]],
)
def test_help_is_one_page(words):
    page = succeed(*words)
    for word in (
        "model",
        "autoencoder, cnn, ",
        "impl",
        "naive",
        "epochs=10",
        "--cfg job",
        *SUMMARIES,
    ):
        assert word in page
    assert len(page.splitlines()) < 60
    assert max(len(line) for line in page.splitlines()) <= 100


@in_one_test("name", SUMMARIES)
def test_every_command_has_a_summary_and_a_help_page(name):
    assert f"usage: cnnexp {name}" in succeed(name, "--help")
    assert succeed("help", name) == succeed(name, "--help")


def test_help_of_a_word_that_is_a_command_and_a_setting_tells_of_both() -> None:
    both = [name for name in SUMMARIES if name in Config.__dataclass_fields__]
    assert both == sorted(ALSO_SETTINGS, key=both.index)
    for name in both:
        command, _, setting = succeed("help", name).partition("\nthe setting of this name\n\n")
        assert command.startswith(f"usage: cnnexp {name}")
        assert setting.startswith(f"{name}\n  ") and "\n  takes " in setting
    assert "the setting" not in succeed("help", "compare")
    assert SUMMARIES[name]
    assert callable(command_of(name))


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (
            PermissionError(13, "Permission denied", "out"),
            1,
            "error: out: Permission denied. Check who may read and write there.\n",
        ),
        (
            OSError(28, "No space left on device", "out/run.json"),
            1,
            "error: out/run.json: No space left on device. Make room on the disk.\n",
        ),
        (OSError(5, "Input/output error"), 1, "error: Input/output error. Check the disk, or the"),
        (MemoryError("Unable to allocate 9 TiB"), 1, "error: not enough memory: Unable to"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_what_is_no_mistake_has_its_own_code_and_no_traceback(error, code, text, monkeypatch):
    def fail(words):
        raise error

    monkeypatch.setattr(entry, "_dispatch", fail)
    ended = cnnexp("epochs=1")
    assert ended.code == code
    assert ended.err.startswith(text)


def test_a_bug_shows_its_traceback(monkeypatch):
    def fail(words):
        raise ZeroDivisionError

    monkeypatch.setattr(entry, "_dispatch", fail)
    with pytest.raises(ZeroDivisionError):
        cnnexp("epochs=1")


def test_words_come_from_the_command_line_by_default(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["cnnexp", "--version"])
    assert entry.main() == 0
    assert capsys.readouterr().out.startswith("cnnexp ")


PLUGIN = """
from dataclasses import dataclass
from cnnexp import LAYERS, Layer

@LAYERS.register("scale")
@dataclass
class Scale(Layer):
    factor: float = 2.0

    def forward(self, A_prev, context):
        return A_prev * self.factor, None

    def backward(self, cache, dA, context):
        return dA * self.factor, {}
"""


def test_a_layer_of_ones_own(tmp_path, monkeypatch):
    (tmp_path / "my_scale.py").write_text(PLUGIN)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(package.LAYERS, "_things", dict(package.LAYERS._things))
    layers = "[{type: flatten},{type: scale, factor: 3},{type: dense},{type: softmax}]"
    settings = ["plugins=[my_scale]", "epochs=1", "data.limit=50", "hydra.run.dir=run"]
    succeed(*settings, f"model.layers={layers}")
    assert package.load_run("run").network.layers[1].factor == 3
    faulty = cnnexp(*settings, f"model.layers={layers.replace('3', 'much')}")
    assert "model.layers.1 (scale): factor must be a number. Got 'much'." in faulty.err
    assert "loss" in succeed("evaluate", "run")


def test_configs_of_ones_own(tmp_path):
    (tmp_path / "own" / "model").mkdir(parents=True)
    (tmp_path / "own" / "model" / "tiny.yaml").write_text(
        "name: tiny\nlayers:\n  - {type: flatten}\n  - {type: dense, activation: softmax}\n"
    )
    succeed(
        "--config-dir", "own", "model=tiny", "epochs=1", "data.limit=50", "hydra.run.dir=run"
    )  # fmt: skip
    assert package.load_run("run").config["model"]["name"] == "tiny"


@pytest.mark.long
def test_hydras_help_does_not_walk_through_what_lies_around_the_experiments(monkeypatch, tmp_path):
    """A virtual environment, say; with it the page took minutes."""
    for folder in ("conf", "experiments"):
        (tmp_path / folder).symlink_to(config_root() / folder)
    (tmp_path / ".venv" / "deep" / "inside").mkdir(parents=True)
    monkeypatch.setattr("cnnexp.app.compose.configs.config_root", lambda: tmp_path)
    groups = make_app().list_all_config_groups()
    assert {"model", "impl", "experiments", "hydra/launcher"} <= set(groups)
    assert not [group for group in groups if group.startswith(".venv")]


@pytest.mark.parametrize("folder", ["plugins", "metrics", "seed"])
def test_folders_around_the_experiments_are_no_config_groups(folder, monkeypatch, tmp_path):
    """An installed package has a folder ``plugins``; ``plugins=[…]`` was taken for a group."""
    for name in ("conf", "experiments"):
        (tmp_path / name).symlink_to(config_root() / name)
    (tmp_path / folder).mkdir()
    monkeypatch.setattr("cnnexp.app.compose.configs.config_root", lambda: tmp_path)
    words = ("plugins=[numpy]", "metrics=[top_3_error]", "seed=4", "experiments=seeds")
    shown = yaml.safe_load(succeed("--cfg", "job", *words))
    assert [shown[key] for key in ("plugins", "metrics", "seed")] == [["numpy"], ["top_3_error"], 4]
