"""Awkward but sensible things that people do: odd names, odd places, odd ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnnexp as package
from cnnexp import load_run, load_runs
from cnnexp.app.compose.texts import quoted
from tests.commandline import cnnexp, succeed

SMALL = ["model=flat", "epochs=1", "data.limit=40"]
LAYER = '''\
from dataclasses import dataclass

import cnnexp
from cnnexp.nn.layer import LAYERS


@LAYERS.register("doubled")
@dataclass
class Doubled(cnnexp.ReLU):
    """Just another name."""
'''


@pytest.fixture(autouse=True)
def folder(tmp_path):
    return tmp_path


@pytest.mark.parametrize("option", ["0.filters", "0.kernel_size", "1.kernel_size"])
@pytest.mark.few(1)
def test_a_number_in_quotation_marks_is_a_number(option):
    plain = json.loads(succeed("data.limit=40", "epochs=1", "hydra.run.dir=a") and read("a"))
    value = plain["config"]["model"]["layers"][int(option[0])][option[2:]]
    succeed("data.limit=40", "epochs=1", f"model.layers.{option}='{value}'", "hydra.run.dir=b")
    again = json.loads(read("b"))
    assert again["config"]["model"] == plain["config"]["model"]
    assert again["fingerprint"] == plain["fingerprint"]


def read(folder: str) -> str:
    return (Path(folder) / "run.json").read_text(encoding="utf-8")


def test_a_type_that_is_no_name():
    ended = cnnexp("model.layers.0.type=[conv]")
    assert (ended.code, "no layer is named" in ended.err) == (2, True)


@pytest.mark.long
@pytest.mark.parametrize("name", ["it's lr=0.1 (a), b", 'say "so" {y}[z]#back\\'])
def test_a_sweep_folder_may_have_any_name(name, folder):
    (folder / name).mkdir()
    os.chdir(name)
    words = ["-m", *SMALL, "seed=0,1", "hydra/launcher=basic"]
    place = quoted(str(folder / name / "s"))
    assert "2 of 2 jobs" in succeed(*words, f"sweep.dir={place}")
    assert "2 of 2 jobs" in succeed(*words, f"sweep.dir={place}")
    assert len(load_runs("s")) == 2


def test_changing_into_the_run_folder():
    succeed(*SMALL, "hydra.run.dir=r", "hydra.job.chdir=true")
    assert load_run("r").status == "finished"
    assert {"train.log", "weights.pkl"} <= {path.name for path in Path("r").iterdir()}


@pytest.mark.long
@pytest.mark.parametrize("place", ["s", ".", "s/0/inside"])
def test_a_run_does_not_hide_others(place):
    succeed("-m", *SMALL, "seed=0,1", "sweep.dir=s", "hydra/launcher=basic")
    ended = cnnexp(*SMALL, f"hydra.run.dir={place}")
    assert ended.code == 2
    assert "run" in ended.err
    assert len(load_runs(".")) == 2


@pytest.mark.long
def test_a_sweep_does_not_lie_in_a_run():
    succeed(*SMALL, "hydra.run.dir=r")
    before = {str(path) for path in Path().rglob("*")}
    ended = cnnexp("-m", *SMALL, "seed=0,1", "sweep.dir=r/inner")
    assert (ended.code, ended.err) == (
        2,
        "error: sweep.dir=r/inner: lies in the folder of a run, r.\n",
    )
    assert {str(path) for path in Path().rglob("*")} == before


@pytest.mark.parametrize(
    "words", [["hydra.run.dir=/proc/r"], ["-m", "seed=0,1", "sweep.dir=/proc/s"]]
)
def test_a_folder_that_cannot_be_made(words):
    ended = cnnexp(*SMALL, *words)
    key = words[-1].partition("=")[0]
    assert ended.code == 2
    assert ended.err.startswith(f"error: {key}=/proc/")
    assert "cannot be made: No such file or directory." in ended.err


@pytest.mark.long
def test_nobody_needs_to_read_what_is_printed():
    run = [sys.executable, "-m", "cnnexp", *SMALL, "hydra.run.dir=r"]
    done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *run], check=False)
    assert done.returncode == 0
    assert load_run("r").status == "finished"


@pytest.mark.long
def test_a_loss_that_only_the_test_samples_make_infinite_is_divergence():
    words = [*SMALL, "batch_size=40", "learning_rate=1e30", "hydra.run.dir=r"]
    ended = cnnexp(*words)
    assert (ended.code, "diverged in epoch 1" in ended.out) == (3, True)
    record = json.loads(read("r"), parse_constant=lambda word: pytest.fail(word))
    assert record["status"] == "diverged"
    assert record["results"]["test_loss"] is None
    Image.fromarray(np.eye(20, dtype=np.uint8) * 255).save("picture.png")
    ended = cnnexp("predict", "r", "picture.png")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: r: this run has diverged;")
    succeed("inspect", "r")


def test_a_run_is_loaded_with_the_layers_that_it_had(folder):
    Path("my_doubled_layer.py").write_text(LAYER, encoding="utf-8")
    layers = "[{type: flatten}, {type: dense, units: 10}, {type: doubled}, {type: softmax}]"
    words = ["plugins=[my_doubled_layer]", f"model.layers={layers}", "epochs=1", "data.limit=40"]
    succeed(*words, "hydra.run.dir=r")
    code = "import cnnexp; print(cnnexp.load_run('r').network)"
    there = os.environ | {"PYTHONPATH": str(Path(package.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=there, capture_output=True, text=True)
    assert done.stdout == (
        "Network(flatten1, dense1, doubled1, softmax1; impl='fast', float32, 650 parameters)\n"
    )


def test_what_was_loaded_is_read_wherever_one_goes(folder):
    succeed(*SMALL, "hydra.run.dir=r")
    run = load_run("r")
    (folder / "elsewhere").mkdir()
    os.chdir("elsewhere")
    assert len(run.epochs) == 1
    assert len(run.weights) == 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"config": None},
        {"config": {"epochs": [1]}},
        {"config": {"model": "x"}},
        {"results": {"test_error": "abc"}},
    ],
    ids=str,
)
@pytest.mark.few(2)
def test_a_record_with_things_of_another_kind_is_damaged(wrong):
    for name in "ab":
        succeed(*SMALL, f"hydra.run.dir=s/{name}")
    record = json.loads(read("s/b"))
    for key, value in wrong.items():
        record[key] = value if value is None else record[key] | value
    Path("s/b/run.json").write_text(json.dumps(record), encoding="utf-8")
    page = succeed("compare", "s", "--group-by", "seed")
    assert "b damaged" in page
    assert cnnexp("show", "s/b").code == 2


def test_a_row_of_a_log_that_is_none():
    succeed(*SMALL, "schedule=constant", "hydra.run.dir=r")
    with Path("r/epochs.csv").open("a") as log:
        log.write("garbage,1\n")
    ended = cnnexp("resume", "r", "epochs=2")
    assert ended.code == 2
    assert "epochs.csv: is not what the run wrote" in ended.err
    ended = cnnexp("resume", "r", "epochs=2", "--accept-changes")
    assert ended.code == 2
    assert "epochs.csv, line 3: damaged." in ended.err


def test_a_link_stays_a_link():
    succeed(*SMALL, "hydra.run.dir=r")
    Path("table.csv").write_text("")
    Path("link.csv").symlink_to("table.csv")
    succeed("compare", "r", "--csv", "link.csv")
    assert Path("link.csv").is_symlink()
    assert "test_error" in Path("table.csv").read_text()


@pytest.mark.long
def test_a_data_set_of_one_class_can_be_inspected():
    X = np.random.default_rng(0).random((40, 8, 8)).astype(np.float32)
    np.savez("one.npz", X=X, Y=np.zeros(40, int))
    layers = "model.layers=[{type: flatten}, {type: dense}, {type: softmax}]"
    succeed("data=npz", "data.file=one.npz", "epochs=1", layers, "hydra.run.dir=r")
    assert "all of them on one page" in succeed("inspect", "r")


@pytest.mark.parametrize("content", ["true", "3.5", "!!binary aGk="])
def test_a_config_file_without_settings_is_named(content, tmp_path):
    """OmegaConf raises OSError for it, which is none of the system."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text(content)
    ended = cnnexp("--config-dir", tmp_path, "model=mine")
    assert ended.code == 2
    assert f"{tmp_path}/model/mine.yaml: must hold settings, as key: value." in ended.err


def test_a_study_that_is_not_utf_8_is_named():
    Path("experiments").mkdir()
    Path("experiments/mine.yaml").write_bytes("# @package _global_\nname: é\n".encode("latin-1"))
    ended = cnnexp("experiments=mine")
    assert ended.code == 2
    assert "experiments/mine.yaml: byte 27 is not UTF-8." in ended.err


@pytest.mark.parametrize("first", ["&a0 [x, x]", "&a0 [*a0]"])
def test_aliases_that_make_a_small_file_enormous_are_refused(first, tmp_path):
    """OmegaConf copies what an alias repeats; twelve lines took all of the memory."""
    (tmp_path / "model").mkdir()
    path = tmp_path / "model" / "mine.yaml"
    lines = [f"a{k + 1}: &a{k + 1} [{', '.join([f'*a{k}'] * 9)}]" for k in range(11)]
    path.write_text("\n".join([f"a0: {first}", *lines]))
    ended = cnnexp("--config-dir", tmp_path, "model=mine")
    assert ended.code == 2
    assert f"{path}: has more than 100,000 values, with all that its aliases repeat" in ended.err
