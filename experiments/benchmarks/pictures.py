"""Pictures of results: bars against PyTorch, steps, growth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnexp.report.lines import STYLES
from cnnexp.report.plots import DPI, RC

if TYPE_CHECKING:
    import pandas as pd

PEER_COLOR, OUR_COLOR = "#999999", STYLES[0].color
SPEED_COLORS = {"compiled": STYLES[4].color, "fast": OUR_COLOR}
WORDS = {
    "image": "pixels along an edge of the image, logarithmic\n(batch 32)",
    "channels": "channels of the image, logarithmic\n(28x28 pixels, batch 128)",
    "batch": "samples of a batch, logarithmic\n(28x28 pixels)",
}


@contextmanager
def panels(path: Path, count: int, size: tuple[float, float], title: str) -> Iterator[Any]:
    """Give axes side by side under a title, and save them."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context(RC):
        figure = Figure(figsize=size, dpi=DPI)
        figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
        FigureCanvasAgg(figure)
        figure.suptitle(title, x=0.012, ha="left", fontsize=12, wrap=True)
        yield figure.subplots(1, count, squeeze=False)[0]
        figure.savefig(path)


def draw_growth(frame: pd.DataFrame, path: Path) -> None:
    """Draw the time per work against the size of images, channels and batches."""
    with panels(path, 3, (13, 4.3), "A convolution: time for the same work, as it grows") as axes:
        for ax, (varied, part) in zip(axes, frame.groupby("varied", sort=False), strict=True):
            for style, (by, line) in zip(STYLES, part.groupby("by", sort=False), strict=False):
                y = line["microseconds_per_million_multiply_adds"]
                ax.plot(line["value"], y, color=style.color, marker=style.marker)
                last = (line["value"].iloc[-1], y.iloc[-1])
                ax.annotate(by, last, (7, 0), textcoords="offset points", va="center")
            _logarithmic(ax, sorted(set(part["value"])))
            ax.set_xlabel(WORDS[str(varied)])
            ax.set_title(f"growing {varied}", loc="left")
        axes[0].set_ylabel("µs per million multiply-adds,\nforward and backward (lower is better)")


def _logarithmic(ax: Any, values: list[int]) -> None:
    from matplotlib.ticker import NullLocator

    ax.set_xscale("log")
    ax.set_xticks(values, [str(value) for value in values])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(values[0] / 1.2, values[-1] * 1.7)
    ax.set_ylim(bottom=0)


def draw_steps(frame: pd.DataFrame, path: Path) -> None:
    """Draw for each net how long training takes with each idea, im2col being 1."""
    nets = list(dict.fromkeys(frame["net"]))
    title = "Training with one idea after another"
    with panels(path, len(nets), (4.6 * len(nets), 3.7), title) as axes:
        for ax, net in zip(axes, nets, strict=True):
            part = frame[frame["net"] == net]
            bars(ax, list(part["step"]), list(part["over_im2col"]), [OUR_COLOR] * len(part))
            ax.set_title(f"{net}, batch 128", loc="left")
            ax.set_xlabel("time of training, im2col = 1 (lower is better)")
            if ax is not axes[0]:
                ax.set_yticklabels([])


def draw_layouts(frame: pd.DataFrame, path: Path) -> None:
    """Draw for each layer how long each step takes forward and backward, in both layouts."""
    layers = list(dict.fromkeys(frame["layer"]))
    title = "One convolution in the same memory and two layouts, and with ReLU and max-pooling"
    with panels(path, len(layers), (12, 4.2), title) as axes:
        for ax, layer in zip(axes, layers, strict=True):
            part = frame[(frame["layer"] == layer) & (frame["pass"] == "both")]
            steps = [row["step"].replace("together", "the three together") for row in _rows(part)]
            names = [f"{step}, {at}" for step, at in zip(steps, part["layout"], strict=True)]
            colors = [
                OUR_COLOR if name.endswith("batch-last") else STYLES[4].color for name in names
            ]
            bars(ax, names, list(part["microseconds_per_sample"]), colors)
            ax.set_title(layer, loc="left")
            ax.set_xlabel("µs for one sample, forward and backward (lower is better)")
            if ax is not axes[0]:
                ax.set_yticklabels([])


def draw_speed(frame: pd.DataFrame, path: Path) -> None:
    """Draw the ratio to PyTorch for each net, training and inference, both implementations."""
    kernels = str(frame["blas_architecture"].iloc[0])  # others stand in the table
    mine = frame["by"].isin(list(SPEED_COLORS)) & (frame["blas_architecture"] == kernels)
    frame = frame[mine & (frame["batch"] == 128)]
    height = 1.2 + 0.27 * int(frame["pass"].value_counts().max())
    title = "Our time ÷ PyTorch's: below 1 cnnexp is faster, above 1 PyTorch"
    with panels(path, 2, (12, max(height, 3) + 0.3), title) as axes:
        for ax, which in zip(axes, ("training", "inference"), strict=True):
            part = frame[frame["pass"] == which].sort_values(["threads"], kind="stable")
            part = part.sort_values("net", key=_in_order(frame["net"]), kind="stable")
            names = [_name(row) for row in _rows(part)]
            bars(ax, names, list(part["ratio"]), [SPEED_COLORS[by] for by in part["by"]])
            ax.axvline(1, color="#555555", linewidth=1, zorder=1)
            ax.annotate(
                "PyTorch", (1, 1), (3, 3), xycoords=("data", "axes fraction"),
                textcoords="offset points", color="#555555",
            )  # fmt: skip
            ax.set_title(f"{which}, batch 128", loc="left", pad=18)
            ax.set_xlabel("our time ÷ PyTorch's time (lower is better)")


def _in_order(nets: pd.Series[str]) -> Callable[[pd.Series[str]], pd.Series[int]]:
    """Return what sorts nets as they come first."""
    places = {net: k for k, net in enumerate(dict.fromkeys(nets))}
    return lambda column: column.map(places)


def _name(row: dict[str, Any]) -> str:
    threads = f"{row['threads']} thread" + "s" * (row["threads"] > 1)
    return f"{row['net']}, {threads}, {row['by']}"


def draw_memory(frame: pd.DataFrame, path: Path) -> None:
    """Draw the memory of each net, ours and PyTorch's, with the malloc that everybody has."""
    frame = frame[(frame["malloc"] == "default") & (frame["threads"] == frame["threads"].max())]
    names = {"fast": "ours", "channels_first": "PyTorch", "channels_last": "PyTorch, channels last"}
    with panels(path, 1, (8, 4.7), "Memory of training, ours and PyTorch's") as axes:
        labels = [f"{row['net']}, {names.get(row['by'], row['by'])}" for row in _rows(frame)]
        colors = [OUR_COLOR if row["by"] not in names or row["by"] == "fast" else PEER_COLOR
                  for row in _rows(frame)]  # fmt: skip
        bars(axes[0], labels, list(frame["megabytes"]), colors)
        axes[0].set_xlabel("MB at the peak of training, beyond imports and data (lower is better)")


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def bars(ax: Any, names: list[str], values: list[float], colors: list[str]) -> None:
    """Draw bars from top to bottom with their values beside them."""
    places = range(len(names))
    ax.barh(places, values, color=colors, height=0.7)
    ax.set_yticks(places, names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(0, max(*values, 0.0) * 1.15)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    for place, value in zip(places, values, strict=True):
        text = f"{value:.2f}" if value < 10 else f"{value:.0f}"
        label = ax.annotate(text, (value, place), (4, 0), textcoords="offset points", va="center")
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})
