"""``profile``: one table for all implementations, and mistakes."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.commandline import cnnexp, succeed
from tests.nn.networks import HERE

QUICK = ("--seconds", "0.2")


@pytest.fixture(autouse=True)
def empty(tmp_path: Path) -> Path:
    return tmp_path


@pytest.mark.long
def test_all_implementations_at_the_same_shapes(empty: Path) -> None:
    shown = succeed("profile", "batch_size=4", "impl.threads=1", *QUICK)
    lines = shown.splitlines()
    assert lines[0] == "model=cnn, images of 8x8x1 (made up), batches of 4, float32"
    head = next(line.split() for line in lines if line.startswith("layer"))
    assert head[2].rstrip("*") == "naive"
    assert {name.rstrip("*") for name in head[2:-1]} == {*HERE}
    assert any(line.startswith("conv1+relu1+max_pool1") for line in lines)
    assert not list(empty.iterdir())


def test_settings_are_those_of_a_run(empty: Path) -> None:
    shown = succeed(
        "profile",
        "impl=fast,sg",
        "data=mnist",
        "model=original_cnn",
        "batch_size=2",
        "impl.fuse=false",
        "model.layers[0].filters=4",
        *QUICK,
        "--csv",
        "layers.csv",
    )
    assert "model=original_cnn, images of 28x28x1" in shown
    with Path("layers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["impl"] for row in rows} == {"fast", "sg"}
    assert [row["layer"] for row in rows if row["impl"] == "fast"][:2] == ["conv1", "relu1"]
    assert rows[0]["output_shape"] == "27x27x4"
    assert all(int(row["cache_bytes"]) > 0 for row in rows if row["type"] == "conv")


def test_images_of_unknown_shape_are_read(empty: Path) -> None:
    from tests.runs.small import write_data

    write_data(empty / "data.npz")
    shown = succeed("profile", "impl=sg", "data=npz", "data.file=data.npz", "model=flat", *QUICK)
    assert "images of 4x4x1" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("impl=fastt", "impl=fastt: there is no such option. Did you mean 'fast'?"),
        ("lerning_rate=3", "lerning_rate: no such key. Did you mean 'learning_rate'?"),
        ("batch_size=0", "batch_size must be at least 1. Got 0."),
        ("model", "model: cannot be read as key=value."),
        ("--seconds 0", "--seconds must be above 0, and finite. Got 0."),
        ("--csv no/a.csv", "--csv no/a.csv: must be a file in a folder that is there."),
        ("model=deep data=mnist impl=naive --seconds 0.1", "--seconds 0.1 is too short: naive is"),
        ("model.layers[0].kernel_size=9", "model.layers.0 (conv): a 9x9 window does not fit"),
    ],
)
@pytest.mark.few(4)
def test_mistakes_get_one_message(words: str, message: str, empty: Path) -> None:
    ended = cnnexp("profile", *words.split())
    assert ended.code == 2
    assert ended.err.startswith(f"error: {message}")
    assert not list(empty.iterdir())
