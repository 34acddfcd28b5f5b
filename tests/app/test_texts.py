"""What is typed for a text stays as it was typed, though Hydra could read a number."""

import json
from pathlib import Path

import pytest
import yaml

import cnnexp as package
from cnnexp.app.compose.texts import as_typed
from tests.cases import in_one_test
from tests.commandline import succeed

SMALL = ["model=flat", "epochs=1", "data.limit=40"]
NUMBERS = ["2024_01_01", "1e-3", "1.10", "true", "007", "-0", "+1", ".5", "1_000", "2024", "nan"]


def shown(*words):
    return yaml.safe_load(succeed("--cfg", "job", *words))


@pytest.mark.parametrize("text", NUMBERS)
@pytest.mark.few(3)
def test_a_text_is_shown_as_it_was_typed(text):
    keys = ("name", "note", "init_from", "sweep.dir")
    found = shown(*(f"{key}={text}" for key in keys), f"tags=[{text},a]")
    texts = [found["name"], found["note"], found["init_from"], found["sweep"]["dir"]]
    assert [str(value) for value in [*texts, *found["tags"]]] == [text] * 5 + ["a"]


@in_one_test(
    "word",
    [
        "name=null",
        "name='1.10'",
        'name="1.10"',
        "name=glob(*)",
        "name=choice(1.10,2.20)",
        "name=${seed}",
        "~name=1.10",
        "+epochs=1_0",
        "learning_rate=1e-3",
        "early_stopping.min_delta=1e-3",
        "best_weights=true",
        "impl.threads=1_0",
        "optimizer.weight_decay=1e-4",
        "data.limit=1_000",
        "nothing.of_the_kind=1.10",
        "model.layers.0.filters=[1_0]",
        "sweep.points=[{epochs: 1_0, note: '1.10'}]",
        "sweep.points=[{}]",
        "name=12:30",
        "name=]",
        "name",
    ],
)
def test_other_words_are_left_alone(word):
    assert as_typed(word) == word


@pytest.mark.parametrize("key", ["data.dir", "data.file", "hydra.run.dir", "hydra.sweep.dir"])
def test_other_texts(key):
    assert as_typed(f"{key}=2024_01_01") == f"{key}='2024_01_01'"


@pytest.mark.parametrize(
    ("word", "typed"),
    [
        ("sweep.points=[{name: 1.10}]", "sweep.points=[{name: '1.10'}]"),
        (
            "+sweep.points=[{name: 1.10,seed: 1_0},{tags: [1e3, a], note:true}]",
            "+sweep.points=[{name: '1.10',seed: 1_0},{tags: ['1e3', a], note:'true'}]",
        ),
        (
            "sweep.points=[{trackers: [{type: mlflow, experiment: 1.10}]}]",
            "sweep.points=[{trackers: [{type: mlflow, experiment: '1.10'}]}]",
        ),
        (
            "early_stopping={metric: 1_0, min_delta: 1e-3}",
            "early_stopping={metric: '1_0', min_delta: 1e-3}",
        ),
        (
            "sweep.points=[{note: 'a, {b}', name: 1.10}]",
            "sweep.points=[{note: 'a, {b}', name: '1.10'}]",
        ),
        ("tags=['1.10', 1.10]", "tags=['1.10', '1.10']"),
        ("trackers.0.experiment=1.10", "trackers.0.experiment='1.10'"),
    ],
)
def test_texts_in_mappings(word, typed):
    assert as_typed(word) == typed


def test_a_point_of_a_sweep_keeps_the_name_that_was_typed():
    succeed("-m", *SMALL, "sweep.points=[{name: 1.10}, {name: 1.20, seed: 1}]", "sweep.dir=points")
    records = [json.loads(p.read_text("utf-8")) for p in Path("points").glob("*/run.json")]
    assert sorted(record["config"]["name"] for record in records) == ["1.10", "1.20"]


def test_spaces_around_elements_stay():
    assert as_typed("tags=[ 1.10 , b],[]") == "tags=[ '1.10' , b],[]"


def test_a_run_and_one_that_begins_with_its_weights():
    succeed(*SMALL, "hydra.run.dir=1.10", "name=1e-3", "tags=[1e-3,007,true]")
    record = json.loads(Path("1.10/run.json").read_text(encoding="utf-8"))
    assert record["config"]["name"] == "1e-3"
    assert record["config"]["tags"] == ["1e-3", "007", "true"]
    succeed(*SMALL, "init_from=1.10", "hydra.run.dir=2024_01_01")
    assert Path("2024_01_01/run.json").is_file()
    succeed("rerun", "1.10", "hydra.run.dir=1.20", "note=1e-3")
    record = json.loads(Path("1.20/run.json").read_text(encoding="utf-8"))
    assert record["config"]["note"] == "1e-3"


@pytest.mark.long
def test_a_sweep():
    succeed("-m", *SMALL, "seed=0,1", "note=1e-3,1e-4", "sweep.dir=2024_01_01")
    records = [json.loads(p.read_text("utf-8")) for p in Path("2024_01_01").glob("*/run.json")]
    assert {record["config"]["note"] for record in records} <= {"1e-3", "1e-4"}
    succeed("resume", "2024_01_01")


def test_python_may_type_words_too():
    run = package.run(["name=1.10"], model="flat", epochs=1, data={"limit": 40}, note="1e-3")
    assert (run.config["name"], run.config["note"]) == ("1.10", "1e-3")


@in_one_test(
    ("word", "typed"),
    [
        ("name=größe", "name='größe'"),
        ("note=R&D, really", "note='R&D', really"),
        ("note=it#s", "note='it#s'"),
        ("tags=[é,b]", "tags=['é',b]"),
        ("data.dir=my folder/ä", "data.dir='my folder/ä'"),
        ("epochs=é", "epochs=é"),
    ],
)
def test_what_hydra_cannot_read_is_quoted_in_a_text(word, typed):
    assert as_typed(word) == typed


def test_a_folder_may_have_any_letter():
    succeed(*SMALL, "hydra.run.dir=größe/ä & b", "note=it's R&D")
    assert package.load_run("größe/ä & b").config["note"] == "it's R&D"
