"""One figure a study, where a picture says more than its table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cnnexp.report.drawing import End, draw_line, finish_curves, spread
from cnnexp.report.lines import STYLES, Style
from cnnexp.report.plots import Panel, Picture, save_plot

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from experiments.outcomes import Results

FOLDER = Path(__file__).parent / "figures"
Panels = Callable[["Results"], list[Panel]]
FIGURES: dict[str, tuple[str, Panels]] = {}  # title, and what makes the panels


def figure(study: str, title: str) -> Callable[[Panels], Panels]:
    """Enter what draws a study."""

    def enter(make: Panels) -> Panels:
        FIGURES[study] = (title, make)
        return make

    return enter


def save_figure(results: Results) -> Path:
    """Draw a study, and return the file."""
    title, make = FIGURES[results.study]
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{results.study}.png"
    save_plot(path, Picture(make(results)), title)
    make_small(path)
    return path


def make_small(path: Path) -> None:
    """Keep as many colours as a drawing needs, which makes its file smaller."""
    from PIL import Image

    with Image.open(path) as image:
        few = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


# Curves over epochs or time ------------------------------------------------------------------


@figure("original_flat", "Two dense layers on MNIST: test error over the time of training")
def original_flat(results: Results) -> list[Panel]:
    """One curve, and the bound that the original names."""
    epochs = results.epochs
    pairs = (epochs["seconds"].cumsum().tolist(), epochs["test_error"].tolist())
    return [Panel("", partial(curves, ends=[End("test error", pairs, STYLES[0])], mark=0.05))]


@figure("initialisation", "The deep network on 5,000 digits: what its first weights decide")
def initialisation(results: Results) -> list[Panel]:
    """The mean over seeds of each initializer."""
    epochs = results.epochs.rename(columns=lambda name: name.split(".")[-1])
    means = epochs.pivot_table(
        index="epoch", columns="initializer", values="test_error", sort=False
    )
    pairs = {str(name): (means.index.tolist(), means[name].tolist()) for name in means}
    return [Panel("", partial(curves, ends=named(pairs), x="epoch"))]


@figure("mnist_99", "LeNet-5 on MNIST, five seeds: test error epoch by epoch")
def mnist_99(results: Results) -> list[Panel]:
    """A curve per seed."""
    pairs = {
        f"seed {seed}": (epochs["epoch"].tolist(), epochs["test_error"].tolist())
        for seed, epochs in results.epochs.groupby("seed")
    }
    return [Panel("", partial(curves, ends=named(pairs), x="epoch", mark=0.01))]


def named(pairs: Mapping[str, tuple[list[float], list[float]]]) -> list[End]:
    """Give each line a look."""
    return [End(name, pairs[name], style) for name, style in zip(pairs, STYLES, strict=False)]


def curves(axes: Axes, ends: Sequence[End], x: str = "elapsed", mark: float | None = None) -> None:
    """Draw lines of test errors, named at their ends."""
    for end in ends:
        draw_line(axes, end.pairs, end.style)
    finish_curves(axes, ends, x, "error", mark)


# Errors over a setting -----------------------------------------------------------------------


@figure("learning_rates", "One convolution on 20,000 digits: test error after three epochs")
def learning_rates(results: Results) -> list[Panel]:
    """A mean with its seeds; what diverged stands at 90 %, where guessing is."""
    return [Panel("", partial(over_rates, lines={"mean of two seeds": results.last}))]


@figure("batch_size", "One convolution on 20,000 digits: each batch size has its learning rate")
def batch_size(results: Results) -> list[Panel]:
    """Errors over rates, and the time of an epoch."""
    groups = dict(list(results.last.groupby("batch_size")))
    lines = {f"batches of {size}": runs for size, runs in groups.items()}
    seconds = [float(runs["seconds"].min()) for runs in groups.values()]
    return [
        Panel("Test error after three epochs", partial(over_rates, lines=lines)),
        Panel("Time of an epoch", partial(times, sizes=list(groups), seconds=seconds)),
    ]


def over_rates(axes: Axes, lines: Mapping[str, pd.DataFrame]) -> None:
    """Draw test errors over learning rates, both logarithmic."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    ends = []
    for (name, runs), style in zip(lines.items(), STYLES, strict=False):
        errors = runs["test_error"].fillna(0.9)
        axes.plot(runs["learning_rate"], errors, "_", color=style.color, alpha=0.6)
        means = errors.groupby(runs["learning_rate"]).mean()
        draw_line(axes, (means.index.tolist(), means.tolist()), style)
        ends.append((name, means.index[0], means.iloc[0], style))
    percents(axes)
    axes.set_xlabel("learning rate, logarithmic")
    if len(ends) > 1:
        name_left(axes, ends)


def percents(axes: Axes) -> None:
    """Name the axis of errors."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylabel("wrongly classified samples, logarithmic")


def name_left(axes: Axes, ends: Sequence[tuple[str, float, float, Style]]) -> None:
    """Write names before the first points of lines, with room for them."""
    axes.set_xlim(left=min(x for _, x, _, _ in ends) / 10)
    for name, x, y, style in ends:
        axes.annotate(
            name,
            (x, y),
            (-9, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            color=style.color,
        )


def name_right(axes: Axes, ends: Sequence[tuple[str, float, float, Style]]) -> None:
    """Write names at the right edge, apart from each other."""
    axes.get_xlim(), axes.get_ylim()  # they are set when they are first asked for
    to_axes = axes.transData + axes.transAxes.inverted()
    heights = [to_axes.transform((x, y))[1] for _, x, y, _ in ends]
    for (name, _, _, style), height in zip(ends, spread(heights, 0.075), strict=True):
        axes.text(1.03, height, name, color=style.color, va="center", transform=axes.transAxes)


def times(axes: Axes, sizes: Sequence[int], seconds: Sequence[float]) -> None:
    """Draw the time of an epoch over batch sizes."""
    axes.plot(range(len(sizes)), seconds, "o-", color=STYLES[0].color, linewidth=1.8)
    axes.set_xticks(range(len(sizes)), [str(size) for size in sizes])
    axes.set_ylim(0, max(seconds) * 1.15)
    axes.set_xlabel("samples of a batch")
    axes.set_ylabel("seconds of training an epoch")


@figure("seeds", "One convolution on 20,000 digits: the same run with ten seeds")
def seeds(results: Results) -> list[Panel]:
    """A dot per seed, and the mean."""
    return [Panel("", partial(dots, errors=results.last["test_error"].tolist()))]


def dots(axes: Axes, errors: Sequence[float]) -> None:
    """Draw errors as dots in their order."""
    from matplotlib.ticker import FuncFormatter

    mean = sum(errors) / len(errors)
    axes.plot(errors, "o", color=STYLES[0].color, markersize=7)
    axes.axhline(mean, color=STYLES[1].color, linestyle="--", linewidth=1)
    axes.annotate(f"mean {100 * mean:.2f} %", (1.02, mean), xycoords=("axes fraction", "data"))
    axes.set_xticks(range(len(errors)))
    axes.set_ylim(0, max(errors) * 1.15)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.1f} %"))
    axes.set_xlabel("seed")
    axes.set_ylabel("wrongly classified test samples")


# Stride groups -------------------------------------------------------------------------------

ACROSS = {
    "image": "width of the image in pixels",
    "filters": "number of filters",
    "width": "width of a filter in pixels",
    "stride": "stride in pixels",
}


@figure("stride_groups_scaling", "A convolution with four loops and with stride groups")
def stride_groups_scaling(results: Results) -> list[Panel]:
    """Iterations at the left, time at the right, a row for each thing that is changed."""
    panels = []
    for changed, cases in results.epochs.groupby("changed", sort=False):
        for column, words in (("iterations", "Iterations"), ("seconds", "Time")):
            draw = partial(both_ways, cases=cases, x=str(changed), y=column)
            panels.append(Panel(words, draw))
    return panels


def both_ways(axes: Axes, cases: pd.DataFrame, x: str, y: str) -> None:
    """Draw a line for the loops, and one for the groups."""
    from matplotlib.ticker import EngFormatter, MaxNLocator, NullFormatter

    axes.set_yscale("log")
    ends = []
    for (impl, name), style in zip(
        (("naive", "four loops"), ("sg", "stride groups")), STYLES, strict=False
    ):
        rows = cases[cases["impl"] == impl].sort_values(x)
        draw_line(axes, (rows[x].tolist(), rows[y].tolist()), style)
        ends.append((name, rows[x].iloc[-1], rows[y].iloc[-1], style))
    axes.set_xlabel(ACROSS[x])
    unit = "time per sample" if y == "seconds" else "iterations for 64 samples"
    axes.set_ylabel(f"{unit}, logarithmic")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(EngFormatter(unit="s" if y == "seconds" else "", sep=" "))
    axes.yaxis.set_minor_formatter(NullFormatter())
    name_right(axes, ends)
