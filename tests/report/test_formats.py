from __future__ import annotations

import csv
import io
import json

import pandas as pd
import pytest

from cnnexp.report import formats

FRAME = pd.DataFrame(
    {
        "run": ["a|b", 'say "hi", then\nleave'],
        "data.limit": [200, None],
        "nesterov": [True, None],
        "tags": [["x"], []],
        "test_error": [0.12345678901234567, float("inf")],
        "seconds": [1234.5, float("nan")],
    }
)


def test_csv_has_all_digits_and_quotes_what_must_be() -> None:
    rows = list(csv.DictReader(io.StringIO(formats.to_csv(FRAME))))
    assert [row["run"] for row in rows] == FRAME["run"].tolist()
    assert float(rows[0]["test_error"]) == FRAME["test_error"][0]
    assert (rows[0]["data.limit"], rows[1]["data.limit"]) == ("200", "")
    assert (rows[0]["nesterov"], rows[0]["tags"]) == ("true", '["x"]')


def test_json_is_json_with_null_for_an_empty_cell() -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    first, second = json.loads(formats.to_json(FRAME), parse_constant=refuse)
    assert first == {
        "run": "a|b",
        "data.limit": 200,
        "nesterov": True,
        "tags": ["x"],
        "test_error": 0.12345678901234567,
        "seconds": 1234.5,
    }
    assert second["seconds"] is None and second["data.limit"] is None
    assert second["test_error"] == "inf"


def test_markdown_cells_do_not_break_the_table() -> None:
    head, rule, *rows = formats.to_markdown(FRAME).splitlines()
    assert head == "| run | data.limit | nesterov | tags | test_error | seconds |"
    assert rule == "| --- | ---: | --- | --- | ---: | ---: |"
    assert len(rows) == 2
    assert rows[0].startswith("| a\\|b | 200 | true |")


def test_a_deviation_stands_behind_its_mean() -> None:
    frame = pd.DataFrame(
        {"n": [2, 1], "test_error": [0.5, 0.25], "test_error_std": [0.125, float("nan")]}
    )
    names, rows = formats.cells(frame)
    assert names == ["n", "test_error"]
    assert rows == [["2", "0.5000 ± 0.1250"], ["1", "0.2500"]]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (12345.6, "12,346"),
        (99.94, "99.9"),
        (1.0, "1.00"),
        (0.00123, "0.00123"),
        (0.0, "0"),
        (3.21e-6, "3.2e-06"),
    ],
)
def test_amounts_have_three_figures(value: float, expected: str) -> None:
    assert formats.amount(value) == expected


def test_numbers_stand_to_the_right_under_heads_of_two_lines() -> None:
    frame = pd.DataFrame({"run": ["a", "bb"], "seconds_per_epoch": [0.5, 12.0]})
    head, rows = formats.to_terminal(frame)
    assert head == ["      seconds_", "run  per_epoch"]
    assert rows == ["a        0.500", "bb        12.0"]


def test_columns_are_left_out_until_a_table_fits() -> None:
    frame = pd.DataFrame(
        {"run": ["a"], "test_error": [0.5], "samples_per_second": [9.0], "seconds": [1.0]}
    )
    whole, none = formats.fitting(frame, 100)
    assert none == [] and list(whole) == list(frame)
    narrow, left_out = formats.fitting(frame, 25)
    assert left_out == ["samples_per_second"]
    assert list(narrow) == ["run", "test_error", "seconds"]
    assert list(formats.fitting(frame, 1)[0]) == ["run", "test_error"]


def test_csv_holds_no_formulas_but_numbers_stay_numbers() -> None:
    cells = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "-1.5", "+3e4", "a=b"]
    frame = pd.DataFrame({"=head": cells, "x": [-0.5] * len(cells)})
    head, *rows = csv.reader(io.StringIO(formats.to_csv(frame)))
    assert head == ["'=head", "x"]
    assert [row[0] for row in rows] == [f"'{cell}" for cell in cells[:5]] + cells[5:]
    assert {row[1] for row in rows} == {"-0.5"}


def test_markdown_holds_no_html_and_no_links() -> None:
    frame = pd.DataFrame({"<b>": ["<script>alert(1)</script>|[x](javascript:y)&lt;\x1b[2J"]})
    text = formats.to_markdown(frame)
    assert text.splitlines()[0] == "| &lt;b&gt; |"
    assert text.splitlines()[2] == (
        r"| &lt;script&gt;alert(1)&lt;/script&gt;\|\[x\](javascript:y)&amp;lt;\\x1b\[2J |"
    )
