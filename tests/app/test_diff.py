"""``diff RUN RUN``: what differs is shown, what is the same is not."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from cnnexp.report.differences import MOST_LINES
from tests.commandline import cnnexp, succeed


def parts(text: str) -> dict[str, dict[str, list[str]]]:
    """Return the rows of each part, by their names."""
    found: dict[str, dict[str, list[str]]] = {}
    for block in text.strip().split("\n\n"):
        head, *lines = block.splitlines()
        cells = [re.split(r" {2,}", line) for line in lines]
        found[head] = {name: row for name, *row in cells}
    return found


@pytest.fixture
def pair(finished, tmp_path):
    """Copies of two runs that differ in their seeds, to be changed."""
    for name, run in zip(("a", "b"), finished, strict=False):
        shutil.copytree(run, name)
    return tmp_path


def change(name: str, **values: object) -> None:
    """Change entries of a record."""
    with open(f"{name}/run.json") as file:
        record = json.load(file)
    for key, value in values.items():
        record[key] = record[key] | value if isinstance(value, dict) and record[key] else value
    with open(f"{name}/run.json", "w") as file:
        json.dump(record, file)


def test_settings_that_differ_and_all_results(pair):
    shown = parts(succeed("diff", "a", "b"))
    assert shown["settings"] == {"": ["a", "b"], "seed": ["0", "1"]}
    results = [json.loads((pair / name / "run.json").read_text())["results"] for name in "ab"]
    first, second = (result["test_loss"] for result in results)
    assert shown["results"]["test_loss"] == [
        f"{first:.4f}",
        f"{second:.4f}",
        f"{second - first:+.4f}",
    ]
    assert shown["results"]["epoch"] == ["2", "2", "same"]
    assert "the same: labels, code, data, network, environment" in shown


def test_a_run_and_its_copy_are_the_same(finished, tmp_path):
    copy = shutil.copytree(finished[0], tmp_path / "copy")
    shown = parts(succeed("diff", finished[0], copy))
    assert {row[-1] for row in list(shown["results"].values())[1:]} == {"same"}
    assert shown["results"]["weights.pkl"][0].startswith("sha256:")
    assert "the same: settings, labels, code, data, network, environment" in shown


def test_options_of_a_choice_that_the_other_run_did_not_make(pair):
    with open("b/run.json") as file:
        config = json.load(file)["config"]
    config["optimizer"] = {"name": "adam", "beta1": 0.9}
    change("b", config=config, choices={"optimizer": "adam"})
    rows = parts(succeed("diff", "a", "b"))["settings"]
    assert rows["optimizer"] == ["sgd", "adam"]
    assert rows["optimizer.momentum"] == ["0.9", "-"]
    assert rows["optimizer.beta1"] == ["-", "0.9"]


def test_labels_code_data_and_machine(pair):
    change("a", config={"tags": ["best"]}, data={"checksum": f"sha256:{'0' * 64}"})
    change("b", environment={"git": {"commit": "c" * 40, "dirty": True}, "blas": {"version": "9"}})
    (pair / "b" / "code").mkdir(exist_ok=True)
    (pair / "b" / "code" / "changes.diff").write_text("# /x, at commit 1\n-one\n+two\n")
    shown = parts(succeed("diff", "a", "b", "--code"))
    assert shown["labels"]["tags"] == ['["best"]', "-"]
    assert shown["data"]["checksum"][0] == "sha256:000000000000"
    assert shown["code"]["commit of cnnexp"][1] == f"{'c' * 40}, with changes"
    assert shown["code"]["code/changes.diff"][1].startswith("sha256:")
    assert shown["environment"]["blas.version"][1] == "9"
    assert "+two" in succeed("diff", "a", "b", "--code")


def test_changed_modules_and_their_lines(pair):
    for name, text in (("a", "one\n"), ("b", "two\n")):
        (pair / name / "code").mkdir(exist_ok=True)
        (pair / name / "code" / "mine.py").write_text(text)
        source = {"name": "mine", "path": "/mine.py", "checksum": f"sha256:{name * 64}"}
        change(name, plugins={"modules": [source], "signature": ""})
    out = succeed("diff", "a", "b", "--code")
    assert parts(out)["code"]["module mine"] == ["sha256:aaaaaaaaaaaa", "sha256:bbbbbbbbbbbb"]
    assert out.endswith("-one\n+two\n")
    (pair / "a" / "code" / "mine.py").write_text("\n" * (MOST_LINES + 1))
    assert f"mine.py: has more than {MOST_LINES:,} lines" in succeed("diff", "a", "b", "--code")


def test_texts_for_programs(pair):
    rows = json.loads(succeed("diff", "a", "b", "--json"))
    assert rows[0] == {"part": "settings", "what": "seed", "a": 0, "b": 1, "change": None}
    loss = next(row for row in rows if row["what"] == "test_loss")
    assert loss["change"] == loss["b"] - loss["a"]
    succeed("diff", "a", "b", "--csv", "table.csv", "--md", "table.md")
    assert (pair / "table.csv").read_text().splitlines()[:2] == [
        "part,what,a,b,change",
        "settings,seed,0,1,",
    ]
    assert "| settings | seed | 0 | 1 |  |" in (pair / "table.md").read_text()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["a", "nothing"], "nothing: no run here: there is no run.json."),
        (["a"], "the following arguments are required: RUN"),
        (["a", "."], "not a run, but it holds 2"),
        (["a", "b", "--csv", "--json"], "only one of --csv, --md and --json can be shown"),
        (["a", "b", "--csv", "no/table.csv"], "there is no folder no to write it into"),
    ],
)
def test_mistakes(words, text, pair):
    ended = cnnexp("diff", *words)
    assert (ended.code, ended.out) == (2, "")
    assert text in ended.err


def test_control_characters_are_written_out(pair):
    change("b", config={"note": "\x1b[2J"})
    assert "\\x1b[2J" in succeed("diff", "a", "b")
