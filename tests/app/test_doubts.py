"""What is odd about the samples that were read is said once, and the run goes on."""

import numpy as np
import pytest
from PIL import Image

from cnnexp.app.settings.doubts import doubts_about_classes, doubts_about_counts, labels_in
from tests.commandline import cnnexp

QUICK = ("model=flat", "model.layers.1.units=3", "epochs=1", "impl=fast", "impl.threads=1")
MISSPELT = (
    "classes that cannot be learnt: 'kreuzz' (test samples and none to train on), 'leer'"
    " (no samples). Is a folder or a label misspelt?"
)
ONE = "there is only one class, 'Apfel': nothing can be learnt from it. Is data.target right?"


def pictures(folder, **of_part):
    """Make two 3x3 pictures in each class of each part, and return the settings that read them."""
    for part, classes in of_part.items():
        for grey, name in enumerate(classes):
            (folder / part / name).mkdir(parents=True)
            for k in range(2):
                Image.new("L", (3, 3), 40 * grey + k).save(folder / part / name / f"{k}.png")
    return ("data=image_folder", f"data.dir={folder}", "data.size=3", *QUICK)


def table(path, labels):
    """Write a table with a column of labels, and return the settings that read it."""
    rows = "".join(f"{k},{label}\n" for k, label in enumerate(labels))
    path.write_text(f"size,kind\n{rows}", encoding="utf-8")
    return ("data=csv", f"data.file={path}", "data.target=kind", *QUICK)


def said(*words):
    """Run, and return the warnings."""
    ended = cnnexp(*words)
    assert ended.code == 0, ended.err
    return [line for line in ended.err.splitlines() if line.startswith("warning: ")]


@pytest.fixture
def misspelt(tmp_path):
    found = pictures(tmp_path / "p", train=["kreis", "kreuz"], test=["kreis", "kreuzz"])
    (tmp_path / "p" / "train" / "leer").mkdir()
    return found


def test_a_misspelt_folder_and_an_empty_one_are_named(misspelt):
    assert said(*misspelt) == [f"warning: {MISSPELT}"]


@pytest.mark.long
def test_a_sweep_names_them_once(misspelt):
    assert said("-m", *misspelt, "seed=1,2") == [f"warning: data=image_folder: {MISSPELT}"]


@pytest.mark.long
def test_samples_that_are_divided_anew_have_but_the_empty_folder(misspelt):
    expected = (
        "classes that cannot be learnt: 'leer' (no samples). Is a folder or a label misspelt?"
    )
    assert said(*misspelt, "data.split=0.5") == [f"warning: {expected}"]
    swept = said("-m", *misspelt, "data.split=0.5,0.6")
    assert swept == [f"warning: data=image_folder: {expected}"]


def test_nothing_is_said_where_the_limit_has_cut_classes_off(tmp_path):
    words = pictures(tmp_path / "p", train=["a", "b"], test=["a", "b"])
    assert said(*words, "data.limit=2") == []
    assert said(*words) == []


def test_a_single_class_is_said_with_its_name(tmp_path):
    words = table(tmp_path / "t.csv", ["Apfel"] * 20)
    assert said(*words) == [f"warning: {ONE}"]
    assert said("-m", *words, "seed=1,2") == [f"warning: data=csv: {ONE}"]


@pytest.mark.long
def test_a_network_that_returns_its_input_needs_no_classes(tmp_path):
    words = table(tmp_path / "t.csv", ["Apfel"] * 20)
    layers = "model.layers=[{type: dense, units: 1}]"
    own = (layers, "model.target=input", "loss=mean_squared_error")
    assert said(*words, *own) == said("-m", *words, *own, "seed=3,4") == []


@pytest.mark.parametrize(
    ("classes", "trained", "tested", "expected"),
    [
        ("ab", {0, 1}, {0}, []),
        ("ab", {1}, {1}, ["there is only one class, 'b': nothing can be learnt from it. Are the"]),
        ("0123", {1, 2, 3}, {1}, ["'0' (no samples). Are the labels numbers from 0?"]),
        ("abcdefgh", {0, 1}, {0}, ["'c', 'd', 'e', 'f', 'g' and 1 more (no samples)"]),
    ],
)
def test_what_is_odd_about_classes(classes, trained, tested, expected):
    found = doubts_about_classes({"data": {"name": "npz"}}, [*classes], trained, tested)
    assert len(found) == len(expected)
    assert all(text in doubt for text, doubt in zip(expected, found, strict=True))


def test_a_validation_part_that_takes_whole_classes_is_told(tmp_path):
    words = pictures(tmp_path / "p", train=["a", "b", "c"], test=["a", "b", "c"])
    assert said(*words, "data.validation=2") == [
        "warning: all training samples of 'c' are in the validation part, which is the end of the"
        " training part. data.split=0.8 shuffles all samples first."
    ]


def test_a_validation_part_that_leaves_hardly_anything_is_told(tmp_path):
    words = table(tmp_path / "t.csv", np.array(["a", "b"])[np.arange(20) % 2])
    assert said(*words, "data.validation=0.9") == [
        "warning: data.validation=0.9 keeps 14 of 16 training samples apart, which leaves 2 to"
        " train on."
    ]
    assert said(*words, "data.validation=6") == []


@pytest.mark.long
def test_a_sweep_tells_of_each_such_validation_part(tmp_path):
    words = table(tmp_path / "t.csv", np.array(["a", "b"])[np.arange(40) % 2])
    swept = said("-m", *words, "data.validation=2,0.9,30", "seed=1,2")
    kept = [(0.9, 29, 3), (30, 30, 2)]
    assert swept == [
        f"warning: data=csv: data.validation={validation} keeps {apart} of 32 training samples"
        f" apart, which leaves {left} to train on."
        for validation, apart, left in kept
    ]
    assert said("-m", *words, "data.validation=0.9", "data.limit=9", "seed=1,2") == []


@pytest.mark.parametrize(
    ("settings", "trained", "tested", "left"),
    [
        ({"split": "official", "validation": 90}, 98, 50, 8),
        ({"split": 0.5, "validation": 70}, 98, 50, 4),
        ({"split": 0.5, "validation": 15, "limit": 20}, 98, 50, 5),
        ({"split": 0.5, "validation": 100}, 98, 50, None),  # that is refused
        ({"split": 0.5, "validation": None, "limit": 5}, 98, 50, None),
    ],
)
def test_how_many_samples_will_be_left_to_train_on(settings, trained, tested, left):
    data = {"name": "digits", "limit": None} | settings
    found = doubts_about_counts({"data": data}, trained, tested)
    assert [f"which leaves {left} to train on" in doubt for doubt in found] == [True] * bool(left)


def test_labels_that_are_none_are_left_to_those_who_refuse_them():
    config = {"data": {"name": "digits", "split": "official"}}
    assert doubts_about_classes(config, ("a", "b"), {0, 1, 7}, {-1, 0}) == []
    assert labels_in(np.array([0.0, np.nan, 1.0])) == {0, 1}


def test_a_class_that_the_draw_has_put_into_one_part_is_not_called_misspelt():
    config = {"data": {"name": "csv", "split": 0.5}}
    (doubt,) = doubts_about_classes(config, ("a", "b", "z"), {0, 1}, {1, 2})
    assert doubt.endswith("They have few samples: data.split or data.seed divide these otherwise.")
