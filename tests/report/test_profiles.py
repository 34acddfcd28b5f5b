"""The table of implementations, from figures that are made up."""

from cnnexp.nn.profile import ProfileRow
from cnnexp.nn.timing import Measured
from cnnexp.report.profiles import COLUMNS, csv_rows, groups_of, table_of


def row(layer: str, kind: str, forward: float, backward: float, adds: int = 0) -> ProfileRow:
    return ProfileRow(layer, kind, "4", 0, adds, forward, backward, None, 8)


def loss(seconds: float) -> ProfileRow:
    return row("softmax+cross_entropy", "softmax+cross_entropy", seconds, 0.0)


SLOW = Measured(
    "naive",
    [
        row("conv1", "conv", 1.0, 2.0, 50),
        row("relu1", "relu", 0.5, 0.5),
        row("a", "dense", 1, 1, 7),
        loss(0.25),
    ],
    seconds=7.0,
    samples=2,
    passes=3,
    extrapolated=True,
)
FAST = Measured(
    "fast",
    [row("conv1+relu1", "conv+relu", 0.001, 0.003, 50), row("a", "dense", 0.5, 0.5, 7), loss(0.25)],
    seconds=0.007,
    samples=16,
    passes=9,
    extrapolated=False,
)


def cells(lines: list[str]) -> dict[str, list[str]]:
    """Return the cells of each line by the line's name."""
    return {line[:21].strip(): line[21:].split() for line in lines}


def test_layers_computed_together_by_one_are_one_row_for_all():
    groups = groups_of([SLOW, FAST])
    assert [(group.name, group.multiply_adds) for group in groups] == [
        ("conv1+relu1", 50),
        ("a", 7),
        ("softmax+cross_entropy", 0),
    ]
    assert [len(rows) for rows in groups[0].rows] == [2, 1]
    assert [group.name for group in groups_of([SLOW])] == [
        "conv1",
        "relu1",
        "a",
        "softmax+cross_entropy",
    ]


def test_seconds_are_added_up_and_compared():
    lines = table_of([SLOW, FAST])
    shown = cells(lines)
    assert shown["layer"] == ["multiply-adds", "naive*", "fast", "slowest/fastest"]
    assert shown["conv1+relu1"] == ["50", "4,000,000", "4,000", "1,000x"]
    assert shown["a"] == ["7", "2,000,000", "1,000,000", "2.00x"]
    assert shown["softmax+cross_entropy"] == ["0", "250,000", "250,000", "1.00x"]
    assert shown["all layers"] == ["57", "6,250,000", "1,254,000", "4.98x"]
    assert shown["forward"] == ["2,750,000", "751,000", "3.66x"]
    assert shown["by the clock"] == ["7,000,000", "7,000", "1,000x"]
    assert shown["samples a second"] == ["0.143", "143"]


def test_what_was_extrapolated_is_said():
    lines = table_of([SLOW, FAST])
    assert lines[-2].startswith("* naive is too slow for whole batches in this time: extrapolated")
    assert lines[-2].endswith("(samples of a pass: 2, passes: 3)")
    assert lines[-1] == "as fast as naive, by the clock: fast 1,000 times"
    assert not any("extrapolated" in line for line in table_of([FAST]))


def test_one_alone_is_not_compared():
    assert cells(table_of([FAST]))["layer"] == ["multiply-adds", "fast"]


def test_rows_for_programs():
    rows = csv_rows([SLOW, FAST])
    assert len(rows) == 7
    first = dict(zip(COLUMNS, rows[0], strict=True))
    assert (first["impl"], first["layer"], first["samples"]) == ("naive", "conv1", 2)
    assert first["extrapolated"] == "true"
    assert first["backward_seconds_per_sample"] == 2.0
