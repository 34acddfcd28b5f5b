"""One page in one file: the table, the curves, and what differs; it needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cnnexp
from cnnexp.report.formats import cells, exact, header, is_numeric, text
from cnnexp.report.frame import page_from
from cnnexp.report.plots import Panel, Picture, svg_of
from cnnexp.report.sentences import ratio_lines, reasons, same_line, short_labels
from cnnexp.report.table import FIGURES, NO_RESULT, Comparison, comparable, is_missing
from cnnexp.runs.files import write_output

if TYPE_CHECKING:
    import pandas as pd

HIGHER_IS_BETTER = ("samples_per_second",)
MOST_VALUES = 12  # of a setting, before the rest is only counted


def save_page(
    path: Path, comparison: Comparison, frame: pd.DataFrame, picture: Picture, title: str
) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
        The file.
    comparison : Comparison
        The runs.
    frame : DataFrame
        The table to show: a row per run, or per group.
    picture : Picture
        The curves.
    title : str
        Its headline.
    """
    page = page_from(
        "cnnexp.report",
        title,
        same=escape(_sentence(same_line(comparison))),
        lead=_lead(comparison),
        table_title="Runs" if "run" in frame else "Groups of runs",
        table=_table(frame),
        problems=_list(reasons(comparison)),
        note=escape(_sentence(picture.note)),
        plots="\n".join(map(_figure, picture.panels)),
        settings=_differing(comparison) + _same(comparison),
        version=escape(cnnexp.__version__),
    )
    write_output(path, page.encode())


def _lead(comparison: Comparison) -> str:
    """Say which run ended best, and how implementations compare."""
    runs = comparison.readable
    sentences = ratio_lines(comparison)
    if len(runs) > 1 and "test_error" in runs and runs["test_error"].notna().any():
        labels = short_labels(Comparison(runs))
        error, label = min(
            (error, label)
            for error, label in zip(runs["test_error"].tolist(), labels, strict=True)
            if not is_missing(error)
        )
        sentences.insert(0, f"lowest test error: {100 * error:.3g} %, with {label}")
    return "\n".join(f'<p class="lead">{escape(_sentence(words))}</p>' for words in sentences)


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}." if words else ""


def _table(frame: pd.DataFrame) -> str:
    """Return a table whose columns sort; cells carry what they are sorted by."""
    names, rows = cells(frame)
    numeric = [is_numeric(frame, name) for name in names]
    best = {name: _best(frame, name) for name in names}
    heads = "".join(
        f'<th scope="col"{_class("number" * right)}><button type="button">{_broken(name)}</button>'
        "</th>"
        for name, right in zip(names, numeric, strict=True)
    )
    body = []
    for k, row in enumerate(rows):
        tds = [
            _cell(name, shown, frame[name].iloc[k], right, best[name])
            for name, shown, right in zip(names, row, numeric, strict=True)
        ]
        body.append(f"<tr>{''.join(tds)}</tr>")
    return (
        f'<table class="runs"><thead><tr>{heads}</tr></thead>\n'
        f"<tbody>\n{chr(10).join(body)}\n</tbody></table>"
    )


def _broken(name: str) -> str:
    """Return the name of a column, in two lines if it is long."""
    return escape(header(name)).replace("\n", "<br>")


def _cell(name: str, shown: str, value: Any, right: bool, best: Any) -> str:
    """Return one cell."""
    key = exact(value)
    classes = ["number"] * right + ["best"] * (best is not None and key == best)
    inner = escape(shown)
    if name == "status":
        inner = f'<span class="status {escape(shown)}">{inner}</span>'
    elif name == "run":
        classes.append("path")
    value_of = "" if key is None else escape(str(key))
    return f'<td{_class(*classes)} data-value="{value_of}">{inner}</td>'


def _class(*names: str) -> str:
    """Return a class attribute, or nothing."""
    given = " ".join(name for name in names if name)
    return f' class="{given}"' if given else ""


def _best(frame: pd.DataFrame, name: str) -> Any:
    """Return the best figure of a column, if there is something to choose from."""
    if name not in FIGURES or frame[name].nunique() < 2:
        return None
    return exact(frame[name].max() if name in HIGHER_IS_BETTER else frame[name].min())


def _figure(panel: Panel) -> str:
    """Return a panel with its title; an image cannot run anything, nor clash with another."""
    data = base64.b64encode(svg_of(panel)).decode()
    title = escape(panel.title)
    return (
        f"<figure><figcaption>{title}</figcaption>"
        f'<img alt="{title}" src="data:image/svg+xml;base64,{data}"></figure>'
    )


def _differing(comparison: Comparison) -> str:
    """Return a table of all settings that differ, with their values and how many have each."""
    rows = [
        f"<tr><td><code>{escape(name)}</code></td><td>{_values(comparison, name)}</td></tr>"
        for name in comparison.varying
        if not name.startswith(NO_RESULT)
    ]
    if not rows:
        return "<p>No setting differs.</p>"
    return (
        '<div class="scroll" tabindex="0"><table class="wide"><thead><tr>'
        '<th scope="col">setting</th><th scope="col">values, and how many runs have each</th>'
        "</tr></thead>\n"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _values(comparison: Comparison, name: str) -> str:
    """Return the values of a setting."""
    counts: dict[Any, int] = {}
    for value in comparison.readable[name]:
        key = comparable(value)
        counts[key] = counts.get(key, 0) + 1
    said = [
        f"{escape(text(name, value)) or '<span class=soft>none</span>'}"
        f' <span class="soft">({count})</span>'
        for value, count in list(counts.items())[:MOST_VALUES]
    ]
    if len(counts) > MOST_VALUES:
        said.append(f'<span class="soft">and {len(counts) - MOST_VALUES} other values</span>')
    return ", ".join(said)


def _same(comparison: Comparison) -> str:
    """Return all settings that are the same, folded away."""
    same = [
        f"<li><code>{escape(name)}</code> = {escape(text(name, value))}</li>"
        for name, value in comparison.same.items()
        if not is_missing(value)
    ]
    if not same:
        return ""
    return (
        f"<details><summary>{len(same)} settings are the same in all runs</summary>"
        f"<ul>{''.join(same)}</ul></details>"
    )


def _list(lines: Sequence[str]) -> str:
    """Return lines as a list, or nothing."""
    if not lines:
        return ""
    return f'<ul class="soft">{"".join(f"<li>{escape(line)}</li>" for line in lines)}</ul>'
