"""What notebooks show of a comparison."""

import xml.etree.ElementTree as ET

from cnnexp import load_runs
from cnnexp.report.notebook import MOST_RUNS
from cnnexp.report.table import Comparison


def test_a_comparison(study):
    comparison = Comparison(load_runs(study))
    html = comparison._repr_html_()
    head, *rows = [[cell.text for cell in row] for row in ET.fromstring(html).iter("tr")]
    assert head[:2] == ["run", "status"] and "learning_rate" in head and "reason" not in head
    assert len(rows) == len(comparison.frame)
    first = comparison.frame.iloc[0]
    assert rows[0][head.index("test_error")] == f"{first['test_error']:.4f}"
    assert "damaged: run.json" in html


def test_texts_of_strangers_are_no_markup_and_many_runs_are_counted(study):
    frame = load_runs(study / "0", study / "1")
    frame = frame.iloc[[0, 1] * MOST_RUNS].assign(status="<b>bold</b>")
    html = Comparison(frame)._repr_html_()
    assert "<b>" not in html and "and 100 more" in html
