"""One figure a study, where a picture says more than its table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cnnexp.report.drawing import End, Pairs, draw_band, draw_line, finish_curves, spread
from cnnexp.report.lines import STYLES, Style
from cnnexp.report.plots import Panel, Picture, save_plot
from experiments.summaries import duration, of_its_code

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


ITS_CODE, ITS_PAGE = "the original's code", "the original's page"
PAGE_FLAT, PAGE_CNN = [(60.0, 0.10), (180.0, 0.05)], [(125.0, 0.30)]  # seconds and test error
CHANCE = 0.9  # the error of guessing among ten digits


@figure("original_flat", "Two dense layers on MNIST: test error over the time of training")
def original_flat(results: Results) -> list[Panel]:
    """Our curve, and what is known of the original's."""
    epochs = results.epochs
    ours = (epochs["seconds"].cumsum().tolist(), epochs["test_error"].tolist())
    (first, _), (last, _) = (
        of_its_code("flat", what) for what in ("seconds until 10 %", "seconds of 100 epochs")
    )
    its = ([first, last], [0.1, of_its_code("flat", "error after 100 epochs")[0]])
    ends = named({"here": ours, ITS_CODE: its, ITS_PAGE: pairs_of(PAGE_FLAT)})
    return [Panel("", partial(curves, ends=ends, chance=CHANCE, wide=True))]


@figure("original_cnn", "One convolution on MNIST: test error here and of the original")
def original_cnn(results: Results) -> list[Panel]:
    """Our curve and the original's, over epochs and over time."""
    epochs = results.epochs
    errors = epochs["test_error"].tolist()
    first = of_its_code("cnn", "error after epoch 1")
    its = [sum(first) / 2, of_its_code("cnn", "error after epoch 2")[0]]
    seconds = of_its_code("cnn", "seconds of epoch 1")[0]
    by_epoch = {"here": (epochs["epoch"].tolist(), errors), ITS_CODE: ([1.0, 2.0], its)}
    by_time = {
        "here": (epochs["seconds"].cumsum().tolist(), errors),
        ITS_CODE: ([seconds, 2 * seconds], its),
        ITS_PAGE: pairs_of(PAGE_CNN),
    }
    draw = partial(with_spread, spread=first)
    return [
        Panel("Epoch by epoch", partial(draw, ends=named(by_epoch), x="epoch", at=1)),
        Panel(
            "Over the time of training",
            partial(draw, ends=named(by_time), x="elapsed", at=seconds),
        ),
    ]


def pairs_of(points: Sequence[tuple[float, float]]) -> Pairs:
    """Return points as their coordinates."""
    return [x for x, _ in points], [y for _, y in points]


def with_spread(
    axes: Axes, ends: Sequence[End], x: str, at: float, spread: tuple[float, float]
) -> None:
    """Draw curves, and how far the first epoch of the original's code spreads."""
    axes.vlines(at, *spread, color=STYLES[1].color, alpha=0.35, linewidth=6)
    curves(axes, ends, x, chance=CHANCE)


@figure("initialisation", "Initial weights of the deep network: mean and range of two seeds")
def initialisation(results: Results) -> list[Panel]:
    """The mean over seeds of each initializer, in the band of its seeds."""
    epochs = results.epochs.rename(columns=lambda name: name.split(".")[-1])
    return [
        Panel("", partial(banded, groups=dict(list(epochs.groupby("initializer", sort=False)))))
    ]


@figure("mnist_99", "LeNet-5 on MNIST: mean test error of five seeds, and their range")
def mnist_99(results: Results) -> list[Panel]:
    """The mean of all seeds, in their band."""
    return [Panel("", partial(banded, groups={"mean of five": results.epochs}, mark=0.01))]


def banded(axes: Axes, groups: Mapping[str, pd.DataFrame], mark: float | None = None) -> None:
    """Draw the mean of each group over its seeds, in a band from the lowest to the highest."""
    pairs: dict[str, Pairs] = {}
    for (name, epochs), style in zip(groups.items(), STYLES, strict=False):
        errors = epochs.groupby("epoch")["test_error"]
        xs = errors.mean().index.tolist()
        draw_band(axes, (xs, errors.min().tolist(), errors.max().tolist()), style)
        pairs[str(name)] = (xs, errors.mean().tolist())
    curves(axes, named(pairs), "epoch", mark, CHANCE)


def named(pairs: Mapping[str, Pairs]) -> list[End]:
    """Give each line a look."""
    return [End(name, pairs[name], style) for name, style in zip(pairs, STYLES, strict=False)]


def curves(
    axes: Axes,
    ends: Sequence[End],
    x: str = "elapsed",
    mark: float | None = None,
    chance: float | None = None,
    wide: bool = False,
) -> None:
    """Draw lines of test errors, named at their ends; `wide` makes both axes logarithmic."""
    for end in ends:
        draw_line(axes, end.pairs, end.style)
    finish_curves(axes, ends, x, "error", mark, chance, wide)


# Costs beside each other ---------------------------------------------------------------------


@figure("naive_vs_sg", "The same network by four implementations, 40 digits")
def naive_vs_sg(results: Results) -> list[Panel]:
    """The time per sample as dots, and losses that are the same."""
    last, samples = results.last, int(results.facts["data"].split()[1])
    seconds = {str(run["impl"]): run["seconds"] / samples for _, run in last.iterrows()}
    epochs = results.epochs.groupby("impl", sort=False)
    losses = {
        str(name): (part["epoch"].tolist(), part["test_loss"].tolist()) for name, part in epochs
    }
    return [
        Panel("Training time per sample", partial(time_dots, seconds=seconds)),
        Panel("They compute the same: test loss", partial(same_losses, losses=losses)),
    ]


def time_dots(axes: Axes, seconds: Mapping[str, float], words: str = "per sample") -> None:
    """Draw times as dots on a logarithmic axis, each with its time."""
    from matplotlib.ticker import EngFormatter, NullFormatter

    axes.set_xscale("log")
    axes.plot(list(seconds.values()), range(len(seconds)), "o", color=STYLES[0].color, markersize=8)
    axes.set_yticks(range(len(seconds)), list(seconds))
    axes.set_ylim(len(seconds) - 0.5, -0.5)
    axes.set_xlim(min(seconds.values()) / 3, max(seconds.values()) * 12)
    axes.xaxis.set_major_formatter(EngFormatter(unit="s", sep=" "))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"processor time {words}, logarithmic (lower is better)")
    for place, value in enumerate(seconds.values()):
        axes.annotate(
            duration(value), (value, place), (9, 0), textcoords="offset points", va="center"
        )


def same_losses(axes: Axes, losses: Mapping[str, Pairs]) -> None:
    """Draw curves that lie upon each other, the first as the widest."""
    for k, ((name, pairs), style) in enumerate(zip(losses.items(), STYLES, strict=False)):
        width = 3 * (len(losses) - k) - 1.5
        axes.plot(*pairs, color=style.color, linewidth=width, alpha=0.75, label=name)
    axes.set_xticks(next(iter(losses.values()))[0])
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss, mean of all samples\n(lower is better)")
    axes.legend(frameon=False)


@figure("depth", "10,000 digits: what further layers bring, and what they cost")
def depth(results: Results) -> list[Panel]:
    """Error over time, a stroke for each seed and the mean."""
    return [Panel("", partial(error_over_time, runs=results.last))]


def error_over_time(axes: Axes, runs: pd.DataFrame) -> None:
    """Draw each model at its time per epoch and its errors."""
    from matplotlib.ticker import EngFormatter, FuncFormatter

    axes.set_xscale("log")
    middle = math.sqrt(runs["seconds"].min() * runs["seconds"].max())
    for (model, part), style in zip(runs.groupby("model", sort=False), STYLES, strict=False):
        fastest, mean = part["seconds"].min(), part["test_error"].mean()
        axes.plot([fastest] * len(part), part["test_error"], "_", color=style.color, markersize=14)
        axes.plot(fastest, mean, style.marker, color=style.color, markersize=8)
        words = f"{model}, {part['parameters'].iloc[0]:,} parameters"
        at, side = ((12, 6), "left") if fastest < middle else ((-12, -14), "right")
        axes.annotate(words, (fastest, mean), at, textcoords="offset points", ha=side, fontsize=9)
    low, high = runs["seconds"].min(), runs["seconds"].max()
    axes.set(xlim=(low / 1.6, high * 1.6), ylim=(0, runs["test_error"].max() * 1.2))
    axes.xaxis.set_major_formatter(EngFormatter(unit="s", sep=" "))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axes.set_xlabel("training time per epoch, logarithmic\n(lower is better; a stroke is a seed)")
    axes.set_ylabel("wrongly classified test samples\n(lower is better; chance: 90 %)")


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
        errors = runs["test_error"].fillna(CHANCE).groupby(runs["learning_rate"])
        rates, means = errors.mean().index.tolist(), errors.mean().tolist()
        draw_band(axes, (rates, errors.min().tolist(), errors.max().tolist()), style)
        draw_line(axes, (rates, means), style)
        ends.append((name, rates[0], means[0], style))
    axes.axhline(CHANCE, color="#999999", linewidth=1, linestyle=(0, (1, 2)), zorder=1)
    axes.annotate("chance: 90 %", (0.5, CHANCE), (0, 3), xycoords=axes.get_yaxis_transform(),
                  textcoords="offset points", fontsize=8.5, color="#777777")  # fmt: skip
    axes.set_ylim(top=1.3)
    percents(axes)
    many = any(runs["learning_rate"].duplicated().any() for runs in lines.values())
    bands = "\n(the line is the mean of the seeds, the band their range)" if many else ""
    axes.set_xlabel(f"learning rate, logarithmic{bands}")
    if len(ends) > 1:
        name_left(axes, ends)


def percents(axes: Axes) -> None:
    """Name the axis of errors."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylabel("wrongly classified samples, logarithmic\n(lower is better)")


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
    axes.set_xlabel("samples per mini-batch")
    axes.set_ylabel("seconds of training per epoch\n(lower is better)")


@figure("seeds", "One convolution on 20,000 digits: the same run with ten seeds")
def seeds(results: Results) -> list[Panel]:
    """A dot per seed, the mean, and the standard deviation as a band."""
    return [Panel("", partial(dots, errors=results.last["test_error"].tolist()))]


def dots(axes: Axes, errors: Sequence[float]) -> None:
    """Draw errors as dots in their order."""
    from matplotlib.ticker import FuncFormatter

    mean, deviation = statistics.mean(errors), statistics.stdev(errors)
    axes.axhspan(mean - deviation, mean + deviation, color=STYLES[1].color, alpha=0.12, linewidth=0)
    axes.plot(errors, "o", color=STYLES[0].color, markersize=7)
    axes.axhline(mean, color=STYLES[1].color, linestyle="--", linewidth=1)
    words = f"mean {100 * mean:.2f} %\n± {100 * deviation:.2f}"
    axes.annotate(words, (1.02, mean), xycoords=("axes fraction", "data"), va="center")
    axes.set_xticks(range(len(errors)))
    axes.set_ylim(0, max(errors) * 1.15)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.1f} %"))
    axes.set_xlabel("seed")
    axes.set_ylabel("wrongly classified test samples\n(lower is better; chance: 90 %)")


# Stride groups -------------------------------------------------------------------------------

ACROSS = {
    "image": "width of the image in pixels",
    "filters": "number of filters",
    "width": "width of a filter in pixels",
    "stride": "stride in pixels",
}


TITLES = {"image": "Larger images", "filters": "More filters", "width": "Wider filters",
          "stride": "Longer strides"}  # fmt: skip


@figure("stride_groups_scaling", "A convolution with four loops and with stride groups")
def stride_groups_scaling(results: Results) -> list[Panel]:
    """Iterations at the left, time at the right, a row for each thing that is changed."""
    panels = []
    for changed, cases in results.epochs.groupby("changed", sort=False):
        for column, words in (("iterations", "iterations"), ("seconds", "time")):
            draw = partial(both_ways, cases=cases, x=str(changed), y=column)
            panels.append(Panel(f"{TITLES[str(changed)]}: {words}", draw))
    return panels


def both_ways(axes: Axes, cases: pd.DataFrame, x: str, y: str) -> None:
    """Draw a line for the loops, and one for the groups."""
    from matplotlib.ticker import EngFormatter, NullFormatter

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
    axes.set_ylabel(f"{unit}, logarithmic\n(lower is better)")
    axes.set_xticks(sorted(set(cases[x])))
    axes.yaxis.set_major_formatter(EngFormatter(unit="s" if y == "seconds" else "", sep=" "))
    axes.yaxis.set_minor_formatter(NullFormatter())
    name_right(axes, ends)
