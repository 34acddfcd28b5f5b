from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path

import pytest

from cnnexp.app.compose.configs import App
from cnnexp.app.main import main
from cnnexp.errors import foreign
from cnnexp.report import histories

Captured = pytest.CaptureFixture[str]

LAYERS = """\
layer,type,output_shape,parameters,multiply_adds,forward_seconds,backward_seconds,gflops,cache_bytes
conv1+relu1,conv,6x6x32,320,10368,0.5,1.0,5.25,1000
dense1,dense,100,28900,28800,0.25,0.5,,1000
"""


def parts(capsys: Captured) -> dict[str, list[str]]:
    """Return what was shown, by heading."""
    found = {}
    for part in capsys.readouterr().out.strip().split("\n\n"):
        head, *lines = part.splitlines()
        found[head] = lines
    return found


@pytest.fixture
def copy(finished: list[Path], tmp_path: Path) -> Path:
    """Return a copy of a finished run, to be changed."""
    return shutil.copytree(finished[0], tmp_path / "run")


def change(run: Path, **values: object) -> None:
    """Change entries of a record."""
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | values))


def test_settings_are_composed_twice_at_most(
    finished: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The defaults, and those with the run's choices: it takes most of the time of the command."""
    asked = []
    settings = App.settings
    monkeypatch.setattr(App, "settings", lambda *words: asked.append(words) or settings(*words))
    assert main(["show", str(finished[0])]) == 0
    assert len(asked) == 2


def test_everything_about_a_run(finished: list[Path], capsys: Captured) -> None:
    run = finished[0]
    record = json.loads((run / "run.json").read_text())
    assert main(["show", str(run)]) == 0
    shown = parts(capsys)
    assert list(shown) == [
        f"{run}  finished",
        "data",
        "network",
        "settings that differ from the defaults",
        "error, epoch by epoch",
        "cross-entropy in nats, epoch by epoch",
        "results",
        "classes of the test part",
        "confusion matrix: rows are classes, columns what they were taken for",
        "where the time went",
        "environment",
    ]
    assert shown["data"][0] == "digits: 60 training, 60 test samples in 10 classes"
    assert shown["network"][0].split()[:2] == ["layer", "type"]
    assert ["total", "30,230", "40,168"] in [line.split() for line in shown["network"]]
    assert [line.split() for line in shown["settings that differ from the defaults"]] == [
        ["data.limit", "60", "(default", "null)"],
        ["learning_rate", "0.2", "(default", "0.1)"],
        ["epochs", "2", "(default", "4)"],
    ]
    assert f"test_error          {record['results']['test_error']:.4f}" in shown["results"]
    assert shown["error, epoch by epoch"][-1].endswith("2 epoch")


def test_times_add_up_to_that_of_the_clock(copy: Path, capsys: Captured) -> None:
    record = json.loads((copy / "run.json").read_text())
    change(
        copy,
        results=record["results"] | {"seconds": 6.0, "eval_seconds": 3.0},
        usage={"wall_seconds": 12.0, "cpu_seconds": 11.0, "peak_memory_bytes": 5_000_000},
    )
    assert main(["show", str(copy)]) == 0
    training, evaluation, rest, total = parts(capsys)["where the time went"]
    assert training.split() == ["training", "6.00", "s", "50%", "█" * 15]
    assert evaluation.split()[:4] == ["evaluation", "3.00", "s", "25%"]
    assert rest.split()[:5] == ["the", "rest", "3.00", "s", "25%"]
    assert total == "12.0 s by the clock, 11.0 s of processor, at most 5 MB of memory"


def test_a_profile_is_drawn_layer_by_layer(copy: Path, capsys: Captured) -> None:
    (copy / "layers.csv").write_text(LAYERS)
    assert main(["show", str(copy)]) == 0
    _, conv, dense, *_ = parts(capsys)["time by layer: ▓ forward, █ backward"]
    assert conv.split() == ["conv1+relu1", "0.500", "s", "1.00", "s", "5.25", "▓" * 10 + "█" * 20]
    assert dense.split() == ["dense1", "0.250", "s", "0.500", "s", "▓" * 5 + "█" * 10]


def test_a_damaged_profile_does_not_hide_the_rest(copy: Path, capsys: Captured) -> None:
    (copy / "layers.csv").write_text(LAYERS[:130])
    assert main(["show", str(copy)]) == 0
    shown = parts(capsys)
    assert "layers.csv cannot be read" in shown["time by layer: ▓ forward, █ backward"][0]
    assert "environment" in shown


@pytest.mark.long
def test_other_choices_are_compared_with_their_own_defaults(
    two_impls: Path, capsys: Captured
) -> None:
    assert main(["show", str(two_impls / "naive"), "--config"]) == 0
    shown = parts(capsys)
    differing = {line.split()[0] for line in shown["settings that differ from the defaults"]}
    assert differing == {"model", "impl", "data.limit", "epochs"}
    assert "model.layers.0.filters      32" in shown["all settings"]


def test_a_choice_that_is_not_here_is_answered_with_what_was_typed(
    copy: Path, capsys: Captured
) -> None:
    record = json.loads((copy / "run.json").read_text())
    change(copy, choices=record["choices"] | {"model": "mine"})
    assert main(["show", str(copy)]) == 0
    title = "typed on the command line (its defaults cannot be composed here to compare with)"
    assert "data.limit=60 epochs=2" in parts(capsys)[title][0]


def test_what_follows_from_the_data_and_from_the_machine_is_no_difference(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table has no data by default, its batch size follows from them, and auto was fast then."""
    rows = ["a,b,c", *(f"{k},{k % 7},{'xy'[k % 2]}" for k in range(40))]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    run = tmp_path / "run"
    data = ("data=csv", f"data.file={tmp_path / 't.csv'}", "data.target=c", "model=flat")
    assert main([*data, "epochs=1", f"hydra.run.dir={run}"]) == 0
    monkeypatch.setenv("CNNEXP_IMPL", "sg")
    capsys.readouterr()
    assert main(["show", str(run)]) == 0
    shown = parts(capsys)["settings that differ from the defaults"]
    differing = {line.split()[0] for line in shown}
    assert differing == {"data", "data.file", "data.target", "model", "epochs"}


@pytest.mark.long
def test_a_layer_that_is_not_here_is_said_and_the_rest_shown(copy: Path, capsys: Captured) -> None:
    record = json.loads((copy / "run.json").read_text())
    record["config"]["model"]["layers"][1]["type"] = "mine"
    change(copy, config=record["config"] | {"plugins": ["not_installed"]})
    assert main(["show", str(copy)]) == 0
    captured = capsys.readouterr()
    assert "needs the module 'not_installed'" in captured.out
    assert "--plugins not_installed" in captured.out
    assert captured.err == ""


@pytest.mark.long
def test_why_and_where_a_run_went_on_is_shown(study: Path, copy: Path, capsys: Captured) -> None:
    assert main(["show", str(study / "6")]) == 0
    reason = json.loads((study / "6" / "run.json").read_text())["reason"]
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.endswith("  diverged") and lines[0] == reason
    entry = {"at": "2026-01-01", "epoch": 1, "batch": 3, "differences": ["cpu: a then, b now"]}
    change(copy, resumed=[entry], network=None, data=None, results={}, usage={})
    assert main(["show", str(copy)]) == 0
    shown = parts(capsys)
    assert shown["resumed"] == ["2026-01-01, after epoch 1, batch 3; elsewhere: cpu: a then, b now"]
    assert shown["data"] == ["digits, which had not been read yet"]


def test_json_is_the_record_with_a_true_status(copy: Path, capsys: Captured) -> None:
    record = json.loads((copy / "run.json").read_text())
    change(copy, status="running", process=record["process"] | {"pid": 2**22 + 1})
    assert main(["show", str(copy), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["status"] == "killed"
    assert shown["config"] == record["config"]


def test_a_terminal_without_the_characters_gets_question_marks(
    finished: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["show", str(finished[0])]) == 0
    out.flush()
    assert b"% ???" in out.buffer.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("STUDY", "not a run, but it holds 8, for example"),
        ("STUDY/7", "damaged: Unterminated string"),
        ("absent", "absent: there is no such folder."),
        ("empty", "empty: no run here: there is no run.json."),
        ("lacking", "damaged: there is no reason, created"),
    ],
)
def test_mistakes_get_one_message(
    path: str,
    message: str,
    study: Path,
    tmp_path: Path,
    capsys: Captured,
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "lacking").mkdir()
    (tmp_path / "lacking" / "run.json").write_text('{"format": 1, "status": "finished"}')
    assert main(["show", path.replace("STUDY", str(study))]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert message in captured.err


def test_a_log_that_cannot_be_read_is_told(
    copy: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, *_: object) -> bytes:
        with foreign(path):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(histories, "read_bytes", fail)
    assert main(["show", str(copy)]) == 0
    assert (
        "epochs.csv: cannot be read: Input/output error. Check the disk" in capsys.readouterr().out
    )
