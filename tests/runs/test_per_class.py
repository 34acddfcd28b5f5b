"""Confusion matrix, precision and recall, by hand and against scikit-learn."""

import csv

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from cnnexp.nn.predictions import predicted_classes
from cnnexp.runs.per_class import MACRO, Classified, as_texts, class_rows, confusion, write

NAMES = ("cat", "dog", "fish")
TRUE, TAKEN = np.array([0, 0, 0, 0, 1, 1, 1]), np.array([0, 0, 0, 1, 1, 1, 0])


def test_figures_worked_by_hand():
    """Cats: 4, of which 3 are found, among 4 that are called cats. No fish, and none is found."""
    cat, dog, fish, mean = class_rows("test", Classified(TRUE, TAKEN), NAMES)
    assert cat == ("test", "cat", 4, 0.75, 0.75, 0.75)
    assert dog == (
        "test",
        "dog",
        3,
        pytest.approx(2 / 3),
        pytest.approx(2 / 3),
        pytest.approx(2 / 3),
    )
    assert fish == ("test", "fish", 0, 0.0, 0.0, 0.0)
    assert mean == ("test", MACRO, 7, *(3 * [pytest.approx((0.75 + 2 / 3) / 3)]))


@pytest.mark.parametrize("classes", [2, 5, 12])
def test_they_are_those_of_scikit_learn(classes):
    generator = np.random.default_rng(classes)
    true, taken = generator.integers(0, classes, (2, 60))
    taken[:30] = true[:30]
    found, labels = Classified(true, taken), list(range(classes))
    np.testing.assert_array_equal(
        confusion(found, classes), confusion_matrix(true, taken, labels=labels)
    )
    *rows, mean = class_rows("test", found, [str(label) for label in labels])
    for average, ours in ((None, rows), ("macro", [mean])):
        wanted = precision_recall_fscore_support(
            true, taken, labels=labels, average=average, zero_division=0
        )
        for k, figure in enumerate(("precision", "recall", "f1")):
            np.testing.assert_allclose(
                [getattr(row, figure) for row in ours], wanted[k], rtol=1e-12
            )


def test_the_files(tmp_path):
    write(tmp_path, {"validation": Classified(TRUE, TRUE), "test": Classified(TRUE, TAKEN)}, NAMES)
    with (tmp_path / "confusion.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["part", "class", "cat", "dog", "fish"]
    assert rows[1:4] == [
        ["validation", "cat", "4", "0", "0"],
        ["validation", "dog", "0", "3", "0"],
        ["validation", "fish", "0", "0", "0"],
    ]
    assert rows[4] == ["test", "cat", "3", "1", "0"]
    lines = (tmp_path / "per_class.csv").read_text().splitlines()
    assert lines[0] == "part,class,samples,precision,recall,f1" and len(lines) == 9
    assert lines[5] == "test,cat,4,0.75,0.75,0.75"
    with (tmp_path / "predictions.csv").open() as file:
        head, *rows = list(csv.reader(file))
    assert head == ["part", "sample", "class", "predicted"]
    test = [row[1:] for row in rows if row[0] == "test"]
    assert [int(row[0]) for row in test] == list(range(len(TRUE)))
    assert [row[1] for row in test] == [NAMES[k] for k in TRUE]
    assert [row[2] for row in test] == [NAMES[k] for k in TAKEN]


class Classifier:
    """What `predicted_classes` asks of a network."""

    def __init__(self, last, figures=("loss", "error")):
        self.layers, self.figures = [type("Last", (), {"type": last})], figures


@pytest.mark.parametrize(
    ("last", "A", "classes", "wanted"),
    [
        ("softmax", [[0.1, 0.9], [0.5, 0.5]], 2, [1, 0]),  # of equal outputs the first counts
        ("sigmoid", [[0.4], [0.6]], 2, [0, 1]),
        ("dense", [[-0.4], [0.4]], 2, [0, 1]),
        ("softmax", [[1.0], [1.0]], 1, [0, 0]),
        ("dense", [[1.0, 2.0]], 10, None),
        ("dense", [[[1.0, 2.0]]], 2, None),
    ],
)
def test_which_class_outputs_mean(last, A, classes, wanted):
    found = predicted_classes(Classifier(last), np.array(A), classes)
    assert (None if found is None else found.tolist()) == wanted
    assert predicted_classes(Classifier(last, ("loss",)), np.array(A), classes) is None


def test_rows_as_texts_have_the_names_of_their_columns_above():
    rows = class_rows("test", Classified(TRUE, TAKEN), NAMES)
    head, first, *_ = as_texts(rows)
    assert head == ("class", "samples", "precision", "recall", "f1")
    assert (first[0], first[-1]) == ("cat", "0.7500")
