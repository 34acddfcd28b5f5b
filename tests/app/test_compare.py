from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from cnnexp.app.main import main
from cnnexp.app.text_formats import joined
from tests.commandline import cnnexp, succeed
from tests.conftest import LEARNING_RATES

Captured = pytest.CaptureFixture[str]


def lines_of(capsys: Captured) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_the_table_has_what_differs_and_the_figures_of_the_records(
    study: Path, capsys: Captured
) -> None:
    assert main(["compare", str(study)]) == 0
    lines = lines_of(capsys)
    assert lines[0].startswith("8 runs in ")
    assert lines[1].startswith("same in the 7 that can be read: model=cnn impl=fast data=digits")
    assert lines[3].split() == ["learning_", "seconds_", "samples_"]
    assert lines[4].split() == [
        *("run", "status", "rate", "seed", "test_error", "test_loss"),
        *("per_epoch", "per_second", "seconds"),
    ]
    for run, line in enumerate(lines[5:11]):
        record = json.loads((study / str(run) / "run.json").read_text())
        config, results = record["config"], record["results"]
        cells = line.split()
        assert cells[:2] == [str(run), "finished"]
        assert [float(cells[2]), int(cells[3])] == [config["learning_rate"], config["seed"]]
        assert cells[4] == f"{results['test_error']:.4f}"
        assert cells[5] == f"{results['test_loss']:.4f}"
        assert float(cells[6]) == pytest.approx(results["seconds_per_epoch"], rel=0.01)
        assert float(cells[7].replace(",", "")) == pytest.approx(
            results["samples_per_second"], rel=0.01
        )
    assert lines[11].split()[:2] == ["6", "diverged"]
    assert lines[12].split() == ["7", "damaged"]
    assert lines[14].startswith("6 diverged: epoch 1")
    assert lines[15].startswith("7 damaged: run.json: damaged")


@pytest.mark.long
def test_a_ratio_is_said_where_only_the_implementation_differs(
    two_impls: Path, capsys: Captured
) -> None:
    assert main(["compare", str(two_impls)]) == 0
    last = lines_of(capsys)[-1]
    assert last.startswith("sg takes 1/") and last.endswith(" of naive's time per epoch")


@pytest.mark.long
def test_several_folders_are_one_table_and_no_run_stands_in_it_twice(
    study: Path, two_impls: Path, capsys: Captured
) -> None:
    assert main(["compare", str(study), str(two_impls), str(study / "0"), "--json"]) == 0
    runs = [row["run"] for row in json.loads(capsys.readouterr().out)]
    assert len(runs) == len(set(runs)) == 10
    assert str(two_impls / "sg") in runs


def test_sort_where_and_columns(study: Path, capsys: Captured) -> None:
    words = ["--sort", "-test_loss", "--where", "data.limit == 60 and seed == 1", "--csv"]
    assert main(["compare", *words, str(study), "--columns", "run,test_loss,learning_rate"]) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(table) == ["run", "test_loss", "learning_rate"]
    expected = []
    for run in (1, 3, 5):
        record = json.loads((study / str(run) / "run.json").read_text())
        expected.append((record["results"]["test_loss"], record["config"]["learning_rate"]))
    assert list(zip(table["test_loss"], table["learning_rate"], strict=True)) == sorted(
        expected, reverse=True
    )


def test_seconds_to_a_target(study: Path, capsys: Captured) -> None:
    with (study / "0" / "epochs.csv").open() as file:
        rows = list(csv.DictReader(file))
    target = float(rows[0]["test_loss"])  # reached by the first epoch of run 0
    words = [str(study), "--target", f"loss={target!r}", "--json", "--sort", "seconds_to_target"]
    assert main(["compare", *words]) == 0
    table = json.loads(capsys.readouterr().out)
    found = {row["run"]: row["seconds_to_target"] for row in table}
    assert found[str(study / "0")] == float(rows[0]["seconds"])
    for run in range(1, 6):
        with (study / str(run) / "epochs.csv").open() as file:
            log = list(csv.DictReader(file))
        elapsed = 0.0
        expected = None
        for row in log:
            elapsed += float(row["seconds"])
            if expected is None and float(row["test_loss"]) <= target:
                expected = elapsed
        assert found[str(study / str(run))] == (expected and pytest.approx(expected))
    reached = [row["seconds_to_target"] for row in table if row["seconds_to_target"] is not None]
    assert reached == sorted(reached)


def test_groups_show_mean_deviation_and_number(study: Path, capsys: Captured) -> None:
    assert main(["compare", str(study), "--group-by", "learning_rate", "--csv"]) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out)).set_index("learning_rate")
    errors = [
        json.loads((study / str(run) / "run.json").read_text())["results"]["test_error"]
        for run in (0, 1)
    ]
    assert table.loc[0.2, "n"] == 2
    assert table.loc[0.2, "test_error"] == pytest.approx(pd.Series(errors).mean())
    assert table.loc[0.2, "test_error_std"] == pytest.approx(pd.Series(errors).std())
    assert table.loc[1e30, "n"] == 0 and table.loc[1e30, "not_finished"] == 1
    assert main(["compare", str(study), "--group-by", "learning_rate", "--sort=-test_error"]) == 0
    assert " ± " in capsys.readouterr().out


def test_chosen_columns_of_groups_keep_their_spread_in_every_format(
    study: Path, tmp_path: Path, capsys: Captured
) -> None:
    words = ["compare", str(study), "--group-by", "learning_rate", "--columns"]
    columns = "test_error"
    page = tmp_path / "page.html"
    assert main([*words, columns, "--md", str(tmp_path / "t.md"), "--html", str(page)]) == 0
    found = [capsys.readouterr().out, (tmp_path / "t.md").read_text(), page.read_text()]
    for text in found:
        assert len(re.findall(r"\d ± 0\.\d{4}\b", text)) == len(LEARNING_RATES)
    assert main([*words, columns, "--csv"]) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(table) == ["learning_rate", "n", "test_error", "test_error_std"]
    assert main([*words, "test_error_std,test_error", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)[0]
    assert list(first) == ["learning_rate", "n", "test_error_std", "test_error"]


def test_what_groups_are_averaged_over_is_said_on_the_screen_alone(
    study: Path, tmp_path: Path, capsys: Captured
) -> None:
    words = ["compare", str(study), "--group-by", "learning_rate"]
    assert main([*words, "--md", str(tmp_path / "t.md")]) == 0
    assert "\naveraged over: seed (2 values)\n" in capsys.readouterr().out
    assert "averaged" not in (tmp_path / "t.md").read_text()
    for form in ("--csv", "--json", "--md"):
        assert main([*words, form]) == 0
        assert "averaged" not in capsys.readouterr().out
    assert main([*words[:2], "--group-by", "learning_rate,seed"]) == 0
    assert "averaged" not in capsys.readouterr().out


def test_an_option_that_is_given_twice_counts_twice(study: Path, capsys: Captured) -> None:
    twice = ["--sort", "seed", "--sort=-learning_rate", "--columns", "run", "--columns", "seed"]
    where = ["--where", "learning_rate < 1", "--where", "seed < 2"]
    assert main(["compare", str(study), *twice, *where, "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert [list(row) for row in table] == [["run", "seed"]] * 6
    assert [Path(row["run"]).name for row in table] == ["0", "2", "4", "1", "3", "5"]
    assert main(["compare", str(study), "--group-by=seed", "--group-by=model", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)[0])[:3] == ["seed", "model", "n"]


@pytest.mark.long
def test_files_are_written_all_at_once(study: Path, tmp_path: Path, capsys: Captured) -> None:
    names = ["table.csv", "table.md", "table.json", "curves.png", "page.html"]
    options = ["--csv", "--md", "--json", "--plot", "--html"]
    words = [
        word
        for option, name in zip(options, names, strict=True)
        for word in (option, str(tmp_path / name))
    ]
    assert main(["compare", str(study), *words]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("8 runs in ")
    assert captured.err.splitlines() == [f"wrote {tmp_path / name}" for name in names]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)  # no temporary files
    rows = json.loads((tmp_path / "table.json").read_text())
    assert rows[6]["reason"].startswith("epoch 1") and rows[7]["status"] == "damaged"
    assert len((tmp_path / "table.md").read_text().splitlines()) == 10


def test_a_run_that_is_still_going_on_and_one_that_has_begun_are_shown(
    finished: list[Path], tmp_path: Path, capsys: Captured
) -> None:
    shutil.copytree(finished[0], tmp_path / "0")
    (tmp_path / "1" / ".hydra").mkdir(parents=True)
    record = json.loads((tmp_path / "0" / "run.json").read_text())
    record |= {"status": "running", "results": {}, "data": None, "network": None}
    record["process"]["host"] = "elsewhere"
    (tmp_path / "0" / "run.json").write_text(json.dumps(record))
    assert main(["compare", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "0    running" in out
    assert "1 damaged: no run here: there is no run.json." in out


def test_a_run_that_the_system_does_not_let_be_read_is_not_called_damaged(
    finished: list[Path], tmp_path: Path
) -> None:
    shutil.copytree(finished[0], tmp_path / "0")
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "run.json").symlink_to("run.json")  # root may read what has no permission
    out = succeed("compare", str(tmp_path))
    assert "1    unreadable" in out and "1 unreadable: run.json: cannot be read: " in out
    assert "damaged" not in out
    assert "unreadable: run.json" in succeed("compare", str(tmp_path), "--group-by", "model")
    ended = cnnexp("show", str(tmp_path / "1"))
    assert ended.code == 2 and "run.json: cannot be read: " in ended.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["absent"], "absent: there is no such folder."),
        (["."], ".: no runs here."),
        (
            ["STUDY", "--sort", "tset_error"],
            "--sort: no column is named 'tset_error'. Did you mean 'te",
        ),
        (["STUDY", "--columns", "rn"], "--columns: no column is named 'rn'. Did you mean 'run'?"),
        (["STUDY", "--group-by", "sede"], "--group-by: no column is named 'sede'. Did you mean"),
        (["STUDY", "--group-by", "seed", "--sort", "epochs"], "--sort: no column is named"),
        (["STUDY", "--where", "sed == 1"], "no column is named 'sed'. Did you mean 'seed'?"),
        (["STUDY", "--sort", "seconds_to_target"], "seconds_to_target needs a target"),
        (["STUDY", "--target", "test_ec=1"], "no metric is named 'test_ec'. Did you mean"),
        (["STUDY", "--plot", "a.bmp"], "must end in .png, .svg or .pdf"),
        (["STUDY", "--html", "no/a.html"], "there is no folder no to write it into"),
        (["STUDY", "--csv=."], ".: is a folder."),
        (["STUDY", "--csv", "--md"], "only one of --csv, --md and --json can be shown"),
    ],
)
def test_mistakes_get_one_message(
    words: list[str],
    message: str,
    study: Path,
    tmp_path: Path,
    capsys: Captured,
) -> None:
    assert main(["compare", *(word.replace("STUDY", str(study)) for word in words)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert message in captured.err
    assert list(tmp_path.iterdir()) == []


def test_a_path_after_a_format_is_no_file_to_write_into() -> None:
    assert joined(["--json", "outputs"]) == ["--json=-", "outputs"]
    assert joined(["--json", "a.json", "--csv"]) == ["--json=a.json", "--csv=-"]
    assert joined(["--csv", "a.json"]) == ["--csv=-", "a.json"]
    assert joined(["--csv=a.txt", "--md", "-"]) == ["--csv=a.txt", "--md=-"]


@pytest.mark.parametrize("words", ["compare", "compare t", "compare t u", "diff t u"])
def test_a_file_of_a_format_has_its_ending(words: str) -> None:
    ended = cnnexp(*words.split(), "--md", "t")
    assert ended.code == 2
    assert ended.err == (
        "error: --md t: the name of its FILE ends in .md. Write --md t.md, or put t before the"
        " options, if it is a run.\n"
    )


def test_a_narrow_terminal_gets_what_fits(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["compare", str(study)]) == 0
    out = capsys.readouterr().out
    assert "left out, for want of room: samples_per_second, test_loss" in out
    assert main(["compare", str(study), "--columns", "run,samples_per_second"]) == 0
    assert "left out" not in capsys.readouterr().out
