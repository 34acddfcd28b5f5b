"""CSV and Parquet: columns, targets, pixels in rows, and what is wrong with a table."""

import importlib.util

import numpy as np
import pytest

from cnnexp.data import Csv, Dataset, Parquet
from cnnexp.data.dataset import Preparation
from cnnexp.errors import DataError, OptionError
from tests.commandline import cnnexp

FLOWERS = """length,width,species
1.0,10,rose
2.0,20,lily
3.0,30,rose
4.0,50,lily
"""


def csv(tmp_path, text=FLOWERS, **options):
    path = tmp_path / "table.csv"
    path.write_text(text)
    return Csv(file=str(path), **options)


def test_the_last_column_is_learnt_and_text_gives_the_classes(tmp_path):
    source = csv(tmp_path)
    raw = source.load()
    assert raw.X.tolist() == [[1, 10], [2, 20], [3, 30], [4, 50]]
    assert (raw.classes, raw.Y.tolist()) == (("lily", "rose"), [1, 0, 1, 0])
    assert source.image_shape() == (2,)
    assert source.class_count() is None


def test_columns_can_be_named(tmp_path):
    raw = csv(tmp_path, target="width", features=["length"], task="regression").load()
    assert raw.X.tolist() == [[1], [2], [3], [4]]
    assert (raw.Y.tolist(), raw.classes, raw.targets) == ([[10], [20], [30], [50]], (), ("width",))
    several = csv(tmp_path, "a,b,c\n1,2.5,3\n4,5.5,6\n", target=["b", "c"])
    assert several.load().Y.tolist() == [[2.5, 3], [5.5, 6]]
    assert (several.class_count(), several.target_shape()) == (0, (2,))


def test_numbers_are_classes_if_they_are_whole(tmp_path):
    raw = csv(tmp_path, "x,y\n1,7\n2,9\n3,7\n").load()
    assert (raw.classes, raw.Y.tolist()) == (("7", "9"), [0, 1, 0])
    assert csv(tmp_path, "x,y\n1,7.0\n2,9.0\n").load().classes == ("7", "9")
    assert csv(tmp_path, "x,y\n1,True\n2,False\n").load().classes == ("False", "True")
    assert csv(tmp_path, "x,y\n1,0.5\n2,9\n").load().Y.tolist() == [[0.5], [9]]
    assert csv(tmp_path, "x,y\n1,7\n2,9\n", task="regression").load().Y.tolist() == [[7], [9]]


def test_pixels_in_a_row_are_images(tmp_path):
    text = "5," + ",".join("012345") + "\n3," + ",".join("678910")
    source = csv(tmp_path, text, header=False, target="0", shape=[2, 3])
    raw = source.load()
    assert (raw.X.shape, raw.classes) == ((2, 2, 3, 1), ("3", "5"))
    assert raw.X[0, :, :, 0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert source.image_shape() == (2, 3, 1)
    source = csv(tmp_path, f"{text}\n{text}", header=False, target="0", shape=[2, 3])
    found = Dataset.prepare(source, Preparation(split=0.5))
    assert found.train.X.max() <= 1  # pixels, scaled from 0 to 1


def test_a_test_file_is_an_official_division(tmp_path):
    (tmp_path / "test.csv").write_text("length,width,species\n9,9,tulip\n")
    source = csv(tmp_path, test_file=str(tmp_path / "test.csv"))
    raw = source.load()
    assert source.has_official_split
    assert raw.classes == ("lily", "rose", "tulip")
    assert raw.Y_test.tolist() == [2]


def test_columns_are_standardised_by_the_training_part(tmp_path):
    rows = "\n".join(f"{k},{1000 + k * k},{k % 3}" for k in range(50))
    found = Dataset.prepare(csv(tmp_path, f"a,b,y\n{rows}\n"), Preparation(), "float64")
    np.testing.assert_allclose(found.train.X.mean(axis=0), [0, 0], atol=1e-12)
    np.testing.assert_allclose(found.train.X.std(axis=0), [1, 1])
    assert abs(found.test.X.mean(axis=0)).max() > 1e-6
    unit = Dataset.prepare(csv(tmp_path, f"a,b,y\n{rows}\n"), Preparation(scaling="unit"))
    np.testing.assert_allclose(unit.train.X.min(axis=0), [0, 0], atol=1e-6)
    np.testing.assert_allclose(unit.train.X.max(axis=0), [1, 1], atol=1e-6)


MANY = "x,y\n" + "".join(f"{k},{k}\n" for k in range(101))
WRONG = {
    "no such column": (
        FLOWERS,
        {"target": "specis"},
        "no column 'specis'. Did you mean 'species'?",
    ),
    "no such feature": (FLOWERS, {"features": ["length", "depth"]}, "no column 'depth'"),
    "text": ("a,b,y\n3,1,0\nn/k,2,1\n", {}, "no numbers: a. The first is 'n/k', in row 2 of 'a'."),
    "tabs": ("a\ty\n1\t0\n2\t1\n", {}, "data.separator=tab"),
    "semicolons": ("a;y\n1;0\n2;1\n", {}, """data.separator='";"'"""),
    "a gap": ("a,y\n1,0\n,1\n,1\n", {}, "column 'a' has 2 empty cells, the first in row 2"),
    "a gap in the target": ("a,y\n1,0\n2,\n", {}, "column 'y' has 1 empty cells"),
    "infinite": ("a,y\n1,0\ninf,1\n", {}, "Column 'a' has inf in row 2."),
    "no rows": ("a,y\n", {}, "there are no rows in it"),
    "no file": ("", {}, "cannot be read as CSV: No columns"),
    "one column": ("y\n1\n", {}, "there is no column to learn from"),
    "ragged": ("a,y\n1,2,3,4\n1,2\n", {}, "column"),
    "target and feature": (FLOWERS, {"features": ["species", "width"]}, "cannot be a feature too"),
    "pixels": (FLOWERS, {"shape": [3, 3]}, "have 9 pixels, and there are 2 columns"),
    "many whole numbers": (MANY, {}, "101 different whole numbers. Are they classes or values?"),
    "text as values": (FLOWERS, {"task": "regression"}, "real values must be numbers: species"),
    "infinite values": ("x,y\n1,inf\n2,1.5\n", {"task": "regression"}, "targets must be finite"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_with_a_table(tmp_path, wrong):
    text, options, message = WRONG[wrong]
    with pytest.raises(DataError) as raised:
        csv(tmp_path, text, **options).load()
    assert message in str(raised.value)
    assert "table.csv" in str(raised.value)


@pytest.mark.parametrize("separator", ["spaces", r"\s+", ";+"])
def test_other_separators(separator, tmp_path):
    mark = ";;" if separator == ";+" else "  "
    rows = f"a{mark}b{mark}y\n1{mark}2{mark}0\n3{mark}4{mark}1\n"
    assert csv(tmp_path, rows, separator=separator).load().X.tolist() == [[1, 2], [3, 4]]


def test_too_few_whole_numbers_may_be_values(tmp_path):
    with pytest.raises(DataError, match=r"There are 3 in all, of 3 classes\. .*task=regression"):
        Dataset.prepare(csv(tmp_path, "a,y\n1,5\n2,6\n3,7\n"), Preparation())


def test_bytes_that_are_no_table(tmp_path):
    for k, content in enumerate((b"\xff\xfe\x00\x01", b"\x1f\x8b\x08" + bytes(50), bytes(99))):
        path = tmp_path / f"{k}.csv"
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"{k}\\.csv"):
            Csv(file=str(path)).load()
    with pytest.raises(DataError, match=r"data=csv needs data\.file=PATH"):
        Csv().check()
    with pytest.raises(DataError, match="there is no such file"):
        Csv(file=str(tmp_path / "no.csv")).check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": 1.5}, "target must be a column, or a list of columns. Got 1.5."),
        ({"target": []}, "target must be a column"),
        ({"separator": ""}, "separator must be a character, tab or spaces."),
        ({"shape": [28]}, "shape must be [rows, columns]"),
        ({"shape": [0, 3]}, "shape must be [rows, columns]"),
        ({"task": "regresion"}, "Did you mean 'regression'?"),
        ({"task": "classification", "target": ["a", "b"]}, "target must be a single column"),
    ],
)
def test_options_of_a_table(options, message):
    with pytest.raises(OptionError) as raised:
        Csv(**options)
    assert message in str(raised.value)


def test_row_numbers_of_pandas_are_no_feature(tmp_path):
    import pandas as pd

    frame = pd.read_csv(csv(tmp_path).file)
    frame.to_csv(tmp_path / "again.csv")
    source = Csv(file=str(tmp_path / "again.csv"))
    assert source.load().X.tolist() == [[1, 10], [2, 20], [3, 30], [4, 50]]
    assert source.image_shape() == (2,)
    named = Csv(file=str(tmp_path / "again.csv"), features=["Unnamed: 0"])
    assert named.load().X.tolist() == [[0], [1], [2], [3]]
    pd.read_csv(tmp_path / "again.csv").to_csv(tmp_path / "twice.csv")
    assert Csv(file=str(tmp_path / "twice.csv")).image_shape() == (2,)


@pytest.mark.parametrize(
    ("first", "features"),
    [
        ([0, 1, 2], 1),
        ([1, 2, 3], 1),
        ([2, 0, 1], 1),  # shuffled rows
        ([0.5, 1.5, 2.5], 2),
        ([2, 3, 4], 2),
        ([0, 0, 1], 2),
    ],
)
def test_a_first_column_without_a_name_is_a_feature_unless_it_numbers_the_rows(
    first, features, tmp_path
):
    """It was dropped in silence, whatever it held."""
    rows = "".join(f"{value},{k + 5},{k % 2}\n" for k, value in enumerate(first))
    source = csv(tmp_path, ",b,y\n" + rows)
    raw = source.load()
    assert source.image_shape() == raw.X.shape[1:] == (features,)
    assert bool(raw.notice) == (features == 2)


def test_a_column_of_numbers_with_gaps_is_told_to_be_learnt_from(tmp_path):
    """Rows were dropped; once for a run, and once for all jobs of a sweep."""
    source = csv(tmp_path, ",b,y\n" + "".join(f"{2 * k},{k},{k % 2}\n" for k in range(20)))
    words = ("data=csv", f"data.file={source.file}", "model=linear", "epochs=1", "impl=naive")
    ended = cnnexp(*words, f"hydra.run.dir={tmp_path / 'run'}")
    notice = (
        f"{source.file}: Unnamed: 0 has no name there and no row numbers from 0 or 1 in it, so it"
        " is learnt from. data.features=[…] names the columns to learn from."
    )
    assert ended.err == f"note: {notice}\n"
    assert notice in (tmp_path / "run" / "train.log").read_text(encoding="utf-8")
    sweep = ("-m", "seed=0,1", f"sweep.dir={tmp_path / 'S'}", "sweep.jobs=1")
    assert cnnexp(*sweep, *words).err.count(notice) == 1
    assert "note" not in cnnexp(*words, "data.features=[b]", f"hydra.run.dir={tmp_path / 'b'}").err


def test_row_numbers_go_on_in_the_test_file(tmp_path):
    """As where a table was shuffled and cut in two."""
    (tmp_path / "test.csv").write_text(",b,y\n1,5,0\n")
    source = csv(tmp_path, ",b,y\n2,5,0\n0,6,1\n", test_file=str(tmp_path / "test.csv"))
    raw = source.load()
    assert (raw.X.tolist(), raw.X_test.tolist()) == ([[5], [6]], [[5]])


def test_row_numbers_alone_are_told_to_be_taken_for_them(tmp_path):
    with pytest.raises(DataError) as raised:
        csv(tmp_path, ",y\n0,1\n1,0\n").check()
    assert str(raised.value).endswith(
        "there is no column to learn from. Columns: Unnamed: 0, y. Unnamed: 0 is taken for row"
        " numbers; data.features=[…] names it."
    )


def test_parquet_is_read_as_csv_is(tmp_path):
    pytest.importorskip("pyarrow")
    import pandas as pd

    frame = pd.read_csv(csv(tmp_path).file)
    frame.to_parquet(tmp_path / "table.parquet")
    raw, expected = Parquet(file=str(tmp_path / "table.parquet")).load(), csv(tmp_path).load()
    np.testing.assert_array_equal(raw.X, expected.X)
    assert (raw.Y.tolist(), raw.classes) == (expected.Y.tolist(), expected.classes)
    assert raw.checksum == expected.checksum
    frame[frame["length"] > 0].iloc[::-1].to_parquet(tmp_path / "numbered.parquet")
    assert Parquet(file=str(tmp_path / "numbered.parquet")).image_shape() == (2,)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1" + bytes(40) + b"PAR1")
    with pytest.raises(DataError, match=r"bad\.parquet: cannot be read as Parquet"):
        Parquet(file=str(tmp_path / "bad.parquet")).load()


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / "table.parquet").write_bytes(b"PAR1")
    from cnnexp.data import tables

    monkeypatch.setattr(tables, "find_spec", lambda name: None)
    assert importlib.util.find_spec("pandas")
    with pytest.raises(DataError, match=r"data=parquet needs pyarrow: pip install 'cnnexp\[par"):
        Parquet(file=str(tmp_path / "table.parquet")).check()


def test_an_infinite_class_is_refused(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n2,inf\n")
    with pytest.raises(DataError, match=r"x\.csv: targets must be finite numbers"):
        Csv(file=str(tmp_path / "x.csv")).load()


def test_a_table_that_is_one_enormous_row_is_refused_before_its_columns_are_read(tmp_path):
    with open(tmp_path / "x.csv", "wb") as file:
        file.write(b"a,b")
        file.truncate(1 << 32)
    with pytest.raises(DataError, match=r"would take 16\.0 GiB of memory"):
        Csv(file=str(tmp_path / "x.csv")).check()


def test_decimal_commas_are_known_as_such(tmp_path):
    (tmp_path / "x.csv").write_text("a;b\n2;0\n1,5;1\n")
    with pytest.raises(DataError, match=r"'1,5', in row 2 of 'a'\. Numbers need a decimal point"):
        Csv(file=str(tmp_path / "x.csv"), separator=";").load()


def test_a_number_that_no_float_holds_is_refused(tmp_path):
    (tmp_path / "x.csv").write_text(f"a,b\n{'9' * 400},1\nx,2\n")
    with pytest.raises(DataError, match=r"x\.csv: these columns are no numbers: a\. The first is"):
        Csv(file=str(tmp_path / "x.csv")).load()
