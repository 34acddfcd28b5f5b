"""What notebooks show of a run: harmless HTML, with the figures that were recorded."""

import json
import shutil
import xml.etree.ElementTree as ET

import pytest

import cnnexp
from cnnexp.runs.notebook import EDGE, MOST_POINTS, MOST_ROWS, WIDTH, html_of, svg_of
from tests.runs.small import train, write_data

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("notebook")
    return train(root / "run", write_data(root / "data.npz"))


def parsed(html: str) -> ET.Element:
    """Parse HTML, which is to be well-formed as XML too."""
    return ET.fromstring(html.replace("<br>", "<br/>"))


def test_a_run(run):
    opened = cnnexp.load_run(run)
    html = opened._repr_html_()
    cells = [cell.text for cell in parsed(html).iter("td")]
    assert cells[cells.index("test_loss") + 1] == f"{opened.results['test_loss']:.4g}"
    assert cells[cells.index("batch_size") + 1] == "8"
    assert len(list(parsed(html).iter(f"{SVG}polyline"))) == 2
    assert f"{run}  finished" in html and "model=flat" in html


def test_nothing_of_a_strangers_run_is_markup(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    record = json.loads((copy / "run.json").read_text())
    evil = "<script>alert(1)</script>\x1b[2J"
    record |= {"status": evil, "reason": evil, "created": evil}
    record["config"] |= {"note": evil, evil: evil, "name": "x" * 10_000}
    record["results"][evil] = 1.0
    record["choices"]["model"] = evil
    (copy / "run.json").write_text(json.dumps(record))
    (copy / "epochs.csv").write_text(f"epoch,train_loss,test_loss\n1,{'9' * 400},{evil}\n")
    html = cnnexp.load_run(copy, accept_changes=True)._repr_html_()
    assert "<script" not in html and "\x1b" not in html and "x" * 1000 not in html
    parsed(html)


def test_a_run_without_logs_or_with_a_damaged_one_has_no_curves(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    (copy / "epochs.csv").write_text("epoch,train_loss\n1\n")
    assert "<svg" not in cnnexp.load_run(copy)._repr_html_()
    (copy / "epochs.csv").unlink()
    assert "<svg" not in cnnexp.load_run(copy)._repr_html_()


def test_curves():
    """A hand-worked drawing: half of the range is drawn at half of the height."""
    svg = ET.fromstring(svg_of({"train": [3.0, 2.0, 1.0], "test": [1.0, float("nan"), 2.0]}))
    first, second = (line.get("points").split() for line in svg.iter(f"{SVG}polyline"))
    assert first == ["6.0,6.0", "136.0,61.0", "266.0,116.0"]
    assert second == ["6.0,116.0", "266.0,61.0"]
    large = ET.fromstring(svg_of({"train": [100.0, 10.0, 1.0]}))
    (line,) = large.iter(f"{SVG}polyline")
    assert line.get("points").split()[1] == "136.0,61.0"  # on a logarithmic axis
    assert "log" in [text.text for text in large.iter(f"{SVG}text")][-1]


def test_nothing_is_endless():
    many = {f"k{k}": 1.0 for k in range(10 * MOST_ROWS)}
    html = html_of("run", [], many, many, {"train": [1.0 / (k + 1) for k in range(10**5)]})
    assert html.count("<tr>") <= 2 * MOST_ROWS + 1
    (line,) = parsed(html).iter(f"{SVG}polyline")
    assert len(line.get("points").split()) <= 2 * MOST_POINTS
    assert svg_of({"train": [float("nan")]}) == ""


def test_why_a_run_ended_is_shown_and_figures_are_no_headings():
    html = html_of("run", ["out of memory", "began"], {"loss": 1.0}, {}, {})
    assert "<br>out of memory<br>began" in html
    assert "<th" not in html.partition("<details>")[0]


def test_the_recorded_reason_is_shown(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    record = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(record | {"reason": "out of memory"}))
    assert "<br>out of memory<br>began" in cnnexp.load_run(copy)._repr_html_()


def test_names_of_curves_stand_below_each_other():
    drawn = ET.fromstring(svg_of({"train": [2.0, 1.0], "test": [2.0, 1.5]}))
    names = [text for text in drawn.iter() if text.tag.endswith("text")]
    places = {text.text: (int(text.get("x")), int(text.get("y"))) for text in names}
    assert places["train 1"] == (WIDTH + 2 * EDGE, EDGE + 12)
    assert places["test 1.5"] == (WIDTH + 2 * EDGE, EDGE + 27)
