from __future__ import annotations

import pandas as pd
import pytest

from cnnexp.errors import OptionError, RunError, UnknownName
from cnnexp.report.selection import ordered, where

FRAME = pd.DataFrame(
    {
        "run": ["a", "b", "c", "d"],
        "status": ["finished", "finished", "failed", "damaged"],
        "impl": ["sg", "naive", "sg", None],
        "data": ["digits", "digits", "mnist", None],
        "data.limit": [200, None, 100, None],
        "optimizer.nesterov": [True, False, True, None],
        "impl.threads": ["auto", 2, 10, None],
        "test_error": [0.1, 0.3, None, None],
    }
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ('impl == "sg"', "ac"),
        ("impl == 'sg' and data.limit > 150", "a"),
        ("data.limit == 200 or data.limit == 100", "ac"),
        ("`data.limit` == 200", "a"),
        ("data.limit.isna()", "bd"),
        ("status.str.startswith('f')", "abc"),
        ('run == "data.limit" or run == "b"', "b"),
        ("test_error < 0.2 or not status == 'finished'", "acd"),
        ("optimizer.nesterov == true", "ac"),
        ("sqrt(test_error) > 0.5", "b"),
        ("run in ['a', 'd']", "ad"),
        ("run == 'a=b' or run == 'c'", "c"),
        ("test_error>=0.3", "b"),
        ("test_error<=0.1", "a"),
        ("test_error==0.1", "a"),
        ("impl!='sg'", "bd"),
    ],
)
def test_conditions_choose_rows(condition: str, expected: str) -> None:
    assert "".join(where(FRAME, condition)["run"]) == expected


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("imp == 'sg'", "no column is named 'imp'. Did you mean 'impl'?"),
        ("data.limt == 3", "no column is named 'data.limt'. Did you mean 'data.limit'?"),
        ("`data.limt` == 3", "no column is named 'data.limt'"),
        ("seconds_to_target < 3", "needs a target"),
        ("impl == sg", "no column is named 'sg'. A text is written in quotes: \"sg\"."),
        ("run != a", "no column is named 'a'. A text is written in quotes: \"a\"."),
    ],
)
def test_unknown_columns_are_named(condition: str, message: str) -> None:
    with pytest.raises(UnknownName) as caught:
        where(FRAME, condition)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("impl = 'sg'", "is not a condition. Did you mean --where \"impl == 'sg'\"?"),
        ("impl=sg", "Did you mean --where 'impl == \"sg\"'?"),
        ("impl=sg and data.limit=200", "'impl == \"sg\" and data.limit == 200'?"),
        ("optimizer.nesterov=true", "'optimizer.nesterov == true'?"),
        ("data.limit=null", "'data.limit.isna()'?"),
        ("impl", "is not a condition"),
        ("impl ==", "cannot be read"),
        ("impl > 3", "cannot be read"),
        ("@nothing == 3", "cannot be read"),
        ("", "cannot be read"),
        ("data.limit == null", "write NAME.isna()"),
        ("data.limit == None", "write NAME.isna()"),
    ],
)
def test_what_is_no_condition_says_so(condition: str, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        where(FRAME, condition)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_condition_that_nothing_fulfils_says_so() -> None:
    with pytest.raises(RunError, match="holds for none of 4 runs"):
        where(FRAME, "test_error > 2")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["test_error"], "abcd"),
        (["-test_error"], "bacd"),
        (["impl", "-run"], "bcad"),
        (["-impl", "test_error"], "acbd"),
        (["impl.threads"], "bcad"),
    ],
)
def test_order_with_empty_cells_last(keys: list[str], expected: str) -> None:
    assert "".join(ordered(FRAME, keys)["run"]) == expected


def test_an_unknown_column_to_sort_by_is_named() -> None:
    with pytest.raises(
        UnknownName, match=r"--sort: no column is named 'tset_error'. Did you mean 'te"
    ):
        ordered(FRAME, ["-tset_error"])
