"""The measurement of exported networks: one preset, and a table that has them all."""

import csv

import pytest

from cnnexp.app.locations import config_root
from experiments import exchange


def test_a_preset_is_measured_in_every_format():
    pytest.importorskip("onnx", reason="needs the extra onnx")
    pytest.importorskip("onnxruntime", reason="onnxruntime is needed to run graphs")
    pytest.importorskip("torch", reason="needs the extra torch")
    found = exchange.differences(exchange.preset("lenet5_bn"))
    assert 0 < found["onnx"] < 1e-4
    assert 0 < found["pytorch"] < 1e-4
    assert found["imported"] == 0


def test_the_table_has_every_preset_and_none_is_far_off():
    with exchange.RESULTS.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = sorted(path.stem for path in (config_root() / "conf" / "model").glob("*.yaml"))
    assert [row["model"] for row in rows] == names
    assert max(float(row[key]) for row in rows for key in ("onnx", "pytorch")) < 1e-3
    assert {float(row["imported"]) for row in rows} == {0.0}
