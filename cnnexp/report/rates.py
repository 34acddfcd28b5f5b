"""The plot of a learning-rate range test: the loss over the rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cnnexp.report.lines import GREY, STYLES
from cnnexp.report.plots import Panel, rendered
from cnnexp.runs.files import replace_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ABOVE = 1.6  # times the first smoothed loss: what is higher is cut off


def draw_rates(
    path: Path, points: Sequence[tuple[float, float, float]], marks: Mapping[str, float]
) -> None:
    """Write a plot of losses over learning rates.

    Parameters
    ----------
    path : Path
        The file, a PNG.
    points : sequence of (float, float, float)
        Learning rate, loss and smoothed loss of each step.
    marks : mapping of str to float
        Rates that are marked, by name.
    """
    rates, losses, smoothed = (list(column) for column in zip(*points, strict=True))

    def draw(axes: Axes) -> None:
        from matplotlib.ticker import FuncFormatter, NullFormatter

        axes.plot(rates, losses, color=GREY.color, linewidth=0.8, label="loss of a step")
        axes.plot(rates, smoothed, color=STYLES[0].color, linewidth=1.8, label="smoothed")
        for (name, rate), style in zip(marks.items(), STYLES[1:], strict=False):
            words = f"{name}, {rate:.2g}"
            axes.axvline(rate, color=style.color, linestyle=style.dashes, label=words)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        least, most = min(smoothed), ABOVE * max(smoothed[0], min(smoothed))
        axes.set_ylim(max(0.0, least - 0.1 * (most - least)), most)
        axes.set_xlabel("learning rate, logarithmic")
        axes.set_ylabel("training loss (lower is better)")
        axes.legend(loc="upper left", fontsize=8, frameon=False)

    panel = Panel("Learning-rate range test", draw)
    replace_file(path, rendered([panel], panel.title, "png"))
