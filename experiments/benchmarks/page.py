"""The tables of ``README.md`` here and of the project, made from the CSV files.

No figure there is typed by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnexp.runs.files import replace_file
from experiments.benchmarks import results
from experiments.benchmarks.contenders import OURS, comparison, peers
from experiments.benchmarks.goals import reached
from experiments.benchmarks.jobs import BATCH_NORM, LAYOUTS
from experiments.benchmarks.markdown import markdown, number
from experiments.summaries import duration

if TYPE_CHECKING:
    import pandas as pd

PAGE = Path(__file__).parent / "README.md"
FRONT = Path(__file__).parents[2] / "README.md"
BLOCK = "<!-- table: {} -->\n{}<!-- end of table -->"
NO_FILE = "Not measured yet.\n"

Table = tuple[str, Callable[[Any], str]]  # its file, and what makes it


def write(folder: Path) -> None:
    """Write all tables of the two pages from the files in a folder."""
    write_page(PAGE, TABLES, folder)
    if FRONT.exists():  # not in an installed package
        write_page(FRONT, FRONT_TABLES, folder)


def write_page(path: Path, tables: Mapping[str, Table], folder: Path) -> None:
    """Write the tables of one page from the files in a folder."""
    page = path.read_text(encoding="utf-8")
    for name, (file, make) in tables.items():
        source = folder / f"{file}.csv"
        text = made(source, make) if source.exists() else NO_FILE
        page, count = re.subn(
            BLOCK.format(name, ".*?"),
            lambda _, name=name, text=text: BLOCK.format(name, f"\n{text}\n"),
            page,
            flags=re.DOTALL,
        )
        if count != 1:
            raise SystemExit(f"{path.name}: there is no place, or more than one, for '{name}'.")
        print(f"{name}: {'from ' + source.name if source.exists() else 'no ' + source.name}")
    replace_file(path, page.encode())


def made(path: Path, make: Callable[[pd.DataFrame], str]) -> str:
    """Return a table, and below it where and when it was measured."""
    frame = results.read(path)
    return f"{make(frame)}\n{where(frame)}"


def where(frame: pd.DataFrame) -> str:
    """Say on which machine, with which libraries and when."""
    first = {str(key): value for key, value in frame.iloc[-1].items()}
    blas = sorted({f"{row.blas} {row.blas_version}" for row in frame.itertuples()})
    torch = f", PyTorch {first['torch']}" if str(first["torch"]) != "nan" else ""
    commits = ", ".join(dict.fromkeys(frame["commit"]))
    architectures = "/".join(map(str, dict.fromkeys(frame["blas_architecture"])))
    return (
        f"{first['cpu']}, {first['cores']} cores; NumPy {first['numpy']} with {', '.join(blas)}"
        f" ({architectures}){torch}; cnnexp {first['cnnexp']} at {commits};"
        f" {first['date']}.\n"
    )


def against_pytorch(frame: pd.DataFrame) -> str:
    """Return the ratios of the project's page; where PyTorch is faster they are bold."""
    ours = frame[frame["by"].isin(OURS) & frame["ratio"].notna()]
    nets, names = (list(dict.fromkeys(ours[column])) for column in ("net", "by"))
    slower = " and ".join(
        f"{(part['ratio'] > 1).sum()} of {len(part)} with `impl={by}`"
        for by, part in ours.groupby("by")
    )
    ours = ours[ours["blas_architecture"] == ours["blas_architecture"].iloc[0]]
    keys = ["net", "by", "pass", "batch", "threads"]
    ratios = ours.drop_duplicates(keys).set_index(keys)["ratio"].to_dict()
    cells = [
        [
            net,
            *(
                " / ".join(_ratio(ratios.get((net, by, *each))) for by in names)
                for each in SETTINGS
            ),
        ]
        for net in nets
    ]
    header = [f"{which}, batch {batch}, {cores(n)}" for which, batch, n in SETTINGS]
    table = markdown([f"{' / '.join(names)}, ÷ PyTorch", *header], cells)
    return f"{table}\nOf the settings measured, PyTorch is faster in {slower}.\n"


SETTINGS = (
    ("training", 128, 1),
    ("training", 128, 2),
    ("training", 32, 2),
    ("inference", 128, 2),
    ("inference", 32, 2),
)


def cores(count: int) -> str:
    """Return a number of cores in words."""
    return "1 core" if count == 1 else f"{count} cores"


def _ratio(value: float | None) -> str:
    if value is None:
        return ""
    return f"**{value:.2f}**" if value > 1 else f"{value:.2f}"


def implementations(frame: pd.DataFrame) -> str:
    """Return the table of all implementations, training with batches of 128."""
    wanted = (frame["pass"] == "training") & (frame["batch"] == 128)
    frame = frame[wanted & (frame["blas_architecture"] == frame["blas_architecture"].iloc[0])]
    cells = []
    timed = [by for by in ("sg", "im2col", "fast", "compiled") if by in set(frame["by"])]
    for (net, threads), part in frame.groupby(["net", "threads"], sort=False):
        times = part.groupby("by")["seconds_per_epoch"].first()
        peers = [times[by] for by in LAYOUTS if by in times]
        shown = [number(times[by]) if by in times else "" for by in timed]
        loops = duration(times["naive"]) if "naive" in times else ""
        cells.append([net, threads, loops, *shown, number(min(peers)) if peers else ""])
    header = ["net", "threads", "naive, extrapolated", *(f"{by} [s]" for by in timed)]
    return markdown([*header, "PyTorch [s]"], cells)


def memory(frame: pd.DataFrame) -> str:
    """Return the table of peak memory."""
    cells = []
    keys = ["malloc", "net", "threads"]
    for (malloc, net, threads), part in frame.groupby(keys, sort=False):
        used = part.set_index("by")["megabytes"]
        peers = [used[by] for by in LAYOUTS if by in used]
        ratio = [number(min(peers)), f"**{used['fast'] / min(peers):.2f}**"] if peers else ["", ""]
        cells.append([net, threads, malloc, number(used["fast"]), *ratio])
    return markdown(["net", "threads", "malloc", "ours [MB]", "PyTorch [MB]", "ratio"], cells)


def layer_pass(frame: pd.DataFrame) -> str:
    """Return the table of a layer's pass."""
    timed = frame[frame["microseconds_per_sample"].notna()]
    cells = []
    for (layer, image), part in timed.groupby(["layer", "image"], sort=False):
        times = part.set_index("by")["microseconds_per_sample"]
        first = part.iloc[0]
        what = f"{layer} {first['kernel']}x{first['kernel']}, stride {first['stride']}"
        size = f"{image}x{image}x{first['channels']}"
        ratio = f"**{part['naive_over_sg'].iloc[0]:,.0f}**"
        cells.append([what, size, number(times["naive"] / 1e3), number(times["sg"]), ratio])
    header = ["layer", "image", "naive [ms per sample]", "sg [µs per sample]", "naive ÷ sg"]
    return markdown(header, cells)


def iterations(frame: pd.DataFrame) -> str:
    """Return the table of Python iterations."""
    frame = frame[frame["microseconds_per_sample"].isna()]
    keys = ["layer", "image", "channels", "filters", "kernel", "stride"]
    cells = []
    for (layer, image, channels, filters, kernel, stride), part in frame.groupby(keys, sort=False):
        counts = part.set_index(["by", "samples"])["iterations"]
        shown = [counts[by, n] for by in ("naive", "sg") for n in (1, 2)]
        size = f"{image}x{image}x{channels}"
        cells.append([layer, size, filters or "", kernel, stride, *(f"{n:,}" for n in shown)])
    header = ["layer", "image", "filters", "kernel", "stride", "naive, 1 sample", "2 samples"]
    return markdown([*header, "sg, 1 sample", "2 samples"], cells)


def growth(frame: pd.DataFrame) -> str:
    """Return the table of growth."""
    cells = []
    column = "microseconds_per_million_multiply_adds"
    for (varied, by), part in frame.groupby(["varied", "by"], sort=False):
        first, last = part.iloc[0], part.iloc[-1]
        cells.append(
            [f"{varied} {first['value']} to {last['value']}", by]
            + [number(first["microseconds_per_sample"]), number(last["microseconds_per_sample"])]
            + [number(x) for x in (first[column], last[column], part[column].min())]
        )
    header = ["varied", "impl", "µs per sample, first", "last", "µs per million products, first"]
    return markdown([*header, "last", "least"], cells)


def steps(frame: pd.DataFrame) -> str:
    """Return the table of steps from im2col to fast."""
    nets = list(dict.fromkeys(frame["net"]))
    times = frame.set_index(["step", "net"])
    cells = []
    for step in dict.fromkeys(frame["step"]):
        rows = [times.loc[(step, net)] for net in nets]
        shown = [f"{row['over_im2col']:.2f} ({number(row['seconds_per_epoch'])} s)" for row in rows]
        cells.append([step, *shown])
    return markdown(["im2col = 1 (an epoch)", *nets], cells)


def augmentation(frame: pd.DataFrame) -> str:
    """Return the table of what augmentation costs."""
    cells = []
    keys = ["net", "threads", "augment"]
    for (net, threads, augment), part in frame.groupby(keys, sort=False):
        rows = part.set_index("made")
        seconds = number(rows["seconds_per_epoch"].iloc[0])
        ratios = [
            f"{rows.loc[made, 'over_none']:.2f}" if made in rows.index and augment != "none" else ""
            for made in ("ahead", "in turn")
        ]
        alone = number(rows["own_seconds"].iloc[0]) if augment != "none" else ""
        cells.append([net, threads, augment, seconds, *ratios, alone])
    header = ["net", "threads", "augment", "epoch [s]", "with ÷ without, made ahead", "in turn"]
    return markdown([*header, "alone [s]"], cells)


def data_path(frame: pd.DataFrame) -> str:
    """Return the table of the data path."""
    cells = [
        [row.net, row.threads, *(f"{1e3 * x:.1f}" for x in (row.epoch_seconds,
         row.gathering_seconds, row.other_seconds)), f"{row.share:.1%}"]
        for row in frame.itertuples()
    ]  # fmt: skip
    header = ["net", "threads", "epoch of 20,480 [ms]", "gathering [ms]", "other [ms]", "share"]
    return markdown(header, cells)


def mnist(frame: pd.DataFrame) -> str:
    """Return the table of the seconds to a target on MNIST."""
    cells = []
    for (net, by), part in frame.groupby(["net", "by"], sort=False):
        who = f"PyTorch, {by.replace('_', ' ')}" if by in LAYOUTS else f"ours, {by}"
        low, seconds, high = (f"{part['seconds'].quantile(q):.1f}" for q in (0, 0.5, 1))
        worst, best = 1 - part["test_error"].max(), 1 - part["test_error"].min()
        reached = f"{part['reached'].sum()} of {len(part)}"
        target = f"{net}, {1 - part['target'].iloc[0]:.0%}"
        accuracy = f"{worst:.2%} to {best:.2%}"
        time = f"**{seconds}** ({low}–{high})"
        cells.append([target, who, part["epochs"].iloc[0], reached, accuracy, time])
    header = ["net, target", "by", "epochs", "seeds that reach it", "test accuracy"]
    return markdown([*header, "seconds, median (all)"], cells)


def agreement(frame: pd.DataFrame) -> str:
    """Return the table of the largest differences, of gradients by implementation."""
    impls = list(frame["by"].unique())
    cells = []
    for (net, dtype), part in frame.groupby(["net", "dtype"], sort=False):
        gradients = part.set_index("by")["gradient_difference"]
        others = (part["loss_difference"].max(), part["step_difference"].max())
        figures = (others[0], *(gradients[impl] for impl in impls), others[1])
        cells.append([net, dtype, *(f"{figure:.1e}" for figure in figures)])
    by = [f"gradients by {impl}" for impl in impls]
    return markdown(["net", "numbers", "loss", *by, "after two steps"], cells)


def run_folders(frame: pd.DataFrame) -> str:
    """Return the table of reading run folders."""
    row = frame.iloc[0]
    header = ["run folders", "load_runs [s]", "only opening and reading the files [s]"]
    cells = [[f"{row['runs']:,}", number(row["load_runs_seconds"])]]
    cells[0] += [number(row["plain_loop_seconds"]), number(row["kilobytes_per_run"])]
    return markdown([*header, "memory [kB per run]"], cells)


def sweeps(frame: pd.DataFrame) -> str:
    """Return the table of what sweeps cost."""
    columns = ("seconds", "cpu_seconds", "ms_per_job", "cpu_ms_per_job")
    cells = [
        [row["what"], row["jobs"], *(number(row[name]) for name in columns)]
        for _, row in frame.iterrows()
    ]
    header = ["", "jobs", "wall [s]", "processors [s]", "overhead of a job, wall [ms]"]
    return markdown([*header, "processors [ms]"], cells)


def kill_and_resume(frame: pd.DataFrame) -> str:
    """Return the table of runs that were killed."""
    cells = [
        [name, len(part), sum(len(str(at).split()) for at in part["killed_after_seconds"]),
         (part["outcome"] == "equal").sum()]
        for name, part in frame.groupby("optimizer", sort=False)
    ]  # fmt: skip
    return markdown(["optimizer", "runs", "kills", "equal to an unbroken run"], cells)


def goals(frame: pd.DataFrame) -> str:
    """Return the table of what was to be reached and what was."""
    cells = []
    for goal in reached(frame):
        if goal.ratio == goal.ratio:  # it was measured
            row = [goal.which, goal.net, goal.by, goal.threads]
            ratios = f"{goal.goal:.2f}", f"{goal.ratio:.2f}", f"{goal.ratio / goal.goal - 1:+.0%}"
            cells.append([*row, *ratios])
    header = ["", "net", "impl", "threads", "goal", "measured", "above the goal"]
    return markdown(header, cells)


def batch_norm(frame: pd.DataFrame) -> str:
    """Return the table of what batch normalisation costs; PyTorch's faster layout counts."""
    cells = []
    with_it = frame[frame["net"].str.endswith(BATCH_NORM)]
    for (net, threads), part in with_it.groupby(["net", "threads"], sort=False):
        rows = part.set_index("by")
        theirs = rows.drop(index="fast").sort_values("microseconds_per_sample")
        row = [net.removesuffix(BATCH_NORM), str(threads), f"{rows.loc['fast', 'over_plain']:.2f}"]
        row.append(f"{theirs['over_plain'].iloc[0]:.2f}" if len(theirs) else "")
        row.append(number(rows.loc["fast", "microseconds_per_sample"]))
        row.append(number(theirs["microseconds_per_sample"].iloc[0]) if len(theirs) else "")
        cells.append(row)
    header = ["net", "threads", "with ÷ without, ours", "PyTorch", "µs per sample with, ours"]
    return markdown([*header, "PyTorch"], cells)


TABLES: dict[str, Table] = {
    "training": ("speed", comparison("training")),
    "inference": ("speed", comparison("inference")),
    "implementations": ("speed", implementations),
    "peers": ("peers", peers),
    "recipes": ("recipes", peers),
    "goals": ("speed", goals),
    "mnist_99": ("mnist_99_peers", mnist),
    "memory": ("memory", memory),
    "steps": ("steps", steps),
    "layer_pass": ("layer_pass", layer_pass),
    "iterations": ("layer_pass", iterations),
    "growth": ("growth", growth),
    "batch_norm": ("batch_norm", batch_norm),
    "augmentation": ("augmentation", augmentation),
    "data_path": ("data_path", data_path),
    "agreement": ("agreement", agreement),
    "run_folders": ("run_folders", run_folders),
    "sweeps": ("sweeps", sweeps),
    "kill_and_resume": ("kill_and_resume", kill_and_resume),
}
FRONT_TABLES: dict[str, Table] = {"against PyTorch": ("speed", against_pytorch)}
