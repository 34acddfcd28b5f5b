"""A run as a notebook shows it: how it ended, its figures, its curves of the loss, its settings.

All of it is text from a file that a stranger may have made, so all of it is escaped, and none of it
is endless.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cnnexp.nn.html import cell, table
from cnnexp.runs.foreign_text import printable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["cell", "html_of", "losses_of", "svg_of", "table"]

MOST_ROWS = 300
MOST_POINTS = 200  # of a curve
WIDTH, HEIGHT, EDGE, LABELS = 260, 110, 6, 130  # of the drawing, in pixels
COLOURS = {"train": "#0072b2", "validation": "#009e73", "test": "#d55e00"}
SAID = ("model", "impl", "data", "optimizer", "schedule", "loss")
VALUES = ("learning_rate", "epochs", "batch_size", "seed")

Curves = dict[str, list[float]]


def html_of(
    title: str,
    lines: Sequence[str],
    results: Mapping[str, Any],
    settings: Mapping[str, Any],
    curves: Curves,
) -> str:
    """Return the HTML of a run.

    Parameters
    ----------
    title : str
        Its path and status.
    lines : sequence of str
        What else is said of it.
    results : mapping
        Figures by name.
    settings : mapping
        All settings under their dotted paths.
    curves : dict of str to list of float
        The loss after each epoch, by the part of the data set.
    """
    said = [f"{key}={settings[key]}" for key in (*SAID, *VALUES) if settings.get(key) is not None]
    figures = [(printable(name), _shown(value)) for name, value in results.items()][:MOST_ROWS]
    every = [(printable(key), _shown(value)) for key, value in settings.items()][:MOST_ROWS]
    drawn = f'<td style="vertical-align:top">{svg_of(curves)}</td>' if curves else ""
    return (
        f"<div><b>{_safe(title)}</b>"
        f"{''.join(f'<br>{_safe(line)}' for line in (*lines, ' '.join(said)) if line)}"
        f'<table><tr><td style="vertical-align:top">{table(figures, head=False)}</td>{drawn}</tr>'
        f"</table><details><summary>all settings</summary>{table(every, left=2, head=False)}"
        "</details></div>"
    )


def losses_of(log: pd.DataFrame) -> Curves:
    """Return the loss after each epoch from the log of epochs, by the part of the data set."""
    parts = [part for part in COLOURS if f"{part}_loss" in log]
    return {part: [_real(value) for value in log[f"{part}_loss"]] for part in parts}


def _real(value: Any) -> float:
    """Return a cell of a log as a float; not a number, where it is none."""
    try:
        return float(value)
    except (ValueError, TypeError, OverflowError):
        return math.nan


def _safe(text: str) -> str:
    return cell(printable(text))


def _shown(value: Any) -> str:
    """Return a value as text."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return printable(str(value))


def svg_of(curves: Curves) -> str:
    """Return a small drawing of curves over the epochs; a large range is drawn on a log axis.

    Examples
    --------
    >>> svg_of({"train": [1.0, 0.5]}).count("<polyline")
    1
    """
    curves = {name: ys for name, ys in curves.items() if any(map(math.isfinite, ys))}
    finite = [y for values in curves.values() for y in values if math.isfinite(y)]
    if not finite:
        return ""
    logarithmic = min(finite) > 0 and max(finite) > 10 * min(finite)
    low, high = (_scaled(y, logarithmic) for y in (min(finite), max(finite)))
    length = max(len(values) for values in curves.values())

    def place(k: int, y: float) -> str:
        across = k / max(length - 1, 1)
        up = (_scaled(y, logarithmic) - low) / ((high - low) or 1.0)
        return f"{EDGE + across * WIDTH:.1f},{EDGE + (1 - up) * HEIGHT:.1f}"

    parts = []
    for number, (name, values) in enumerate(curves.items()):
        every = max(len(values) // MOST_POINTS, 1)
        points = [place(k, y) for k, y in enumerate(values) if k % every == 0 and math.isfinite(y)]
        colour = COLOURS.get(name, "currentColor")
        parts.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}"/>')
        parts.append(_text(number, f"{name} {values[-1]:.4g}", colour))
    axis = f"loss, epochs 1 to {length}{', log' if logarithmic else ''}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH + LABELS}"'
        f' height="{HEIGHT + 3 * EDGE + 12}" font-size="11" font-family="sans-serif">'
        f"{''.join(parts)}"
        f'<text x="{EDGE}" y="{HEIGHT + 2 * EDGE + 10}" fill="currentColor">{axis}</text></svg>'
    )


def _scaled(y: float, logarithmic: bool) -> float:
    return math.log(y) if logarithmic else y


def _text(number: int, words: str, colour: str) -> str:
    """Return the name of a curve, beside the drawing."""
    x, y = WIDTH + 2 * EDGE, EDGE + 12 + 15 * number
    return f'<text x="{x}" y="{y}" fill="{colour}">{cell(words)}</text>'
