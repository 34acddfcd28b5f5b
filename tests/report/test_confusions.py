"""The confusion matrix and the mistaken samples of a run, for people to read."""

import pytest

from cnnexp.errors import RunError
from cnnexp.report.confusions import matrix, mistaken

CONFUSION = """\
part,class,cat,dog
validation,cat,9,9
validation,dog,9,9
test,cat,1200,1
test,dog,0,3
"""
PREDICTIONS = """\
part,sample,class,predicted
validation,0,cat,dog
test,0,cat,cat
test,1,dog,cat
test,2,cat,dog
"""


def test_a_matrix(tmp_path):
    (tmp_path / "confusion.csv").write_text(CONFUSION)
    assert [line.split() for line in matrix(tmp_path)] == [
        ["cat", "dog"],
        ["cat", "1,200", "1"],
        ["dog", ".", "3"],
    ]


def test_of_many_classes_the_most_frequent_mistakes(tmp_path):
    names = [f"c{k}" for k in range(13)]
    rows = [[5 if k == j else 0 for j in range(13)] for k in range(13)]
    rows[3][4], rows[7][0] = 2, 11
    lines = [
        ",".join(["test", name, *map(str, row)]) for name, row in zip(names, rows, strict=True)
    ]
    (tmp_path / "confusion.csv").write_text(
        "\n".join([f"part,class,{','.join(names)}", *lines, ""])
    )
    assert [line.split() for line in matrix(tmp_path)] == [
        ["c7", "taken", "for", "c0", "11", "of", "16"],
        ["c3", "taken", "for", "c4", "2", "of", "7"],
    ]


def test_mistaken_samples(tmp_path):
    (tmp_path / "predictions.csv").write_text(PREDICTIONS)
    (line,) = mistaken(tmp_path)
    assert line == "2 of 3 are taken for another class: samples 1 (dog for cat), 2 (cat for dog)"


def test_runs_without_them(tmp_path):
    assert matrix(tmp_path) == mistaken(tmp_path) == []


@pytest.mark.parametrize(
    "text",
    ["", "part,class,a,b\ntest,a,1\n", "part,class,a\ntest,a,x\n", "part,class,a\ntest,b,1\n"],
)
def test_damaged_files_are_named(text, tmp_path):
    for name, read in (("confusion.csv", matrix), ("predictions.csv", mistaken)):
        (tmp_path / name).write_text(text)
        with pytest.raises(RunError, match=name):
            read(tmp_path)
