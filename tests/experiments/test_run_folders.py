from __future__ import annotations

import sys

import pytest

from experiments.benchmarks import run_folders


def test_the_benchmark_reads_all_the_folders_it_makes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["run_folders", "--runs", "120"])
    run_folders.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("120 run folders, ")
    assert any(line.startswith("load_runs ") for line in lines)
    assert any(line.split()[:2] == ["table", "120"] for line in lines)
