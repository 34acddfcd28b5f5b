"""One table a study, in words that a reader needs no code for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnexp.report.formats import amount

if TYPE_CHECKING:
    import pandas as pd

    from experiments.outcomes import Results

Rows = list[list[str]]
Summary = Callable[["Results"], Rows]

MNIST_TRAIN = 60_000
ORIGINAL_CODE = Path(__file__).parent / "results" / "original_code.csv"
SUMMARIES: dict[str, Summary] = {}


def summary(study: str) -> Callable[[Summary], Summary]:
    """Enter what summarises a study; its rows begin with the heads of the columns."""

    def enter(make: Summary) -> Summary:
        SUMMARIES[study] = make
        return make

    return enter


def markdown(rows: Rows) -> str:
    """Return rows as a Markdown table; all columns but the first stand to the right."""
    head, *body = rows
    line = ["---", *["---:"] * (len(head) - 1)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, line, *body))


def percent(fraction: float, digits: int = 2) -> str:
    """Return a fraction in per cent.

    Examples
    --------
    >>> percent(0.01234)
    '1.23 %'
    """
    return f"{100 * fraction:.{digits}f} %"


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it.

    Examples
    --------
    >>> duration(1.23e-5), duration(0.0123), duration(4.56), duration(300), duration(20_000)
    ('12.3 µs', '12.3 ms', '4.56 s', '5.0 min', '5.6 h')
    """
    if seconds < 1e-3:
        return f"{amount(1e6 * seconds)} µs"
    if seconds < 1:
        return f"{amount(1000 * seconds)} ms"
    if seconds < 120:
        return f"{amount(seconds)} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def spread_of(errors: Sequence[float]) -> str:
    """Return the mean of some errors with their standard deviation."""
    import numpy as np

    values = np.asarray(errors, float)
    if len(values) < 2:
        return percent(values[0])
    return f"{percent(values.mean())} ± {100 * values.std(ddof=1):.2f}"


def first_at(epochs: pd.DataFrame, column: str, bound: float) -> str:
    """Say when the figure in a column first was at or below a bound."""
    elapsed = epochs["seconds"].cumsum()
    reached = epochs[column] <= bound
    if not reached.any():
        return "not reached"
    k = reached.idxmax()
    return f"after {duration(elapsed[k])}, epoch {epochs['epoch'][k]:.0f}"


def of_its_code(part: str, what: str) -> tuple[float, float]:
    """Return a figure of the original's own code, from its lowest to its highest value."""
    import pandas as pd

    rows = pd.read_csv(ORIGINAL_CODE).set_index(["part", "what"])
    low, high = rows.loc[(part, what), ["low", "high"]]
    return float(low), float(high)


def its_seconds(part: str, what: str) -> str:
    """Return a time of the original's own code in words."""
    low, _ = of_its_code(part, what)
    return "not reached" if low != low else duration(low)


def its_error(part: str, what: str) -> str:
    """Return an error of the original's own code in words."""
    low, high = (f"{100 * value:.3g}" for value in of_its_code(part, what))
    return f"{low} %" if low == high else f"{low} to {high} %"


@summary("original_flat")
def original_flat(results: Results) -> Rows:
    """Beside the original's page, and its code."""
    epochs = results.epochs
    end = epochs.iloc[-1]
    passes, seconds = f"{end['epoch']:.0f}", duration(epochs["seconds"].sum())
    return [
        ["", "the original's page", "its code, run again", "here"],
        [
            "test error at most 10 %",
            "within 1 min",
            its_seconds("flat", "seconds until 10 %"),
            first_at(epochs, "test_error", 0.10),
        ],
        [
            "test error at most 5 %",
            "within 3 min",
            its_seconds("flat", "seconds until 5 %"),
            first_at(epochs, "test_error", 0.05),
        ],
        [
            f"test error after {passes} epochs",
            "",
            f"{its_error('flat', 'error after 100 epochs')} in"
            f" {its_seconds('flat', 'seconds of 100 epochs')}",
            f"{percent(end['test_error'])} in {seconds}",
        ],
    ]


@summary("original_cnn")
def original_cnn(results: Results) -> Rows:
    """Beside the original's page, and its code."""
    here = [
        f"{percent(row['test_error'])} in {duration(row['seconds'])}"
        for _, row in results.epochs.iterrows()
    ]
    page = ["below 30 % in a little over 2 min", "", "below 3 %, «with more»"]
    first, second = (its_error("cnn", f"error after epoch {number}") for number in (1, 2))
    code = [f"{first} in {its_seconds('cnn', 'seconds of epoch 1')}", second, ""]
    rows = zip(page, code, here, strict=False)
    return [
        ["test error after epoch", "the original's page", "its code, run again", "here"],
        *([str(number), *row] for number, row in enumerate(rows, 1)),
    ]


@summary("naive_vs_sg")
def naive_vs_sg(results: Results) -> Rows:
    """An epoch of all of MNIST is extrapolated from the samples measured."""
    last = results.last
    samples = int(results.facts["data"].split()[1].replace(",", ""))
    naive = float(last.loc[last["impl"] == "naive", "seconds"].iloc[0])
    head = ["implementation", "per sample", f"{MNIST_TRAIN:,} samples (extrapolated)", "naive ÷ it"]
    rows: Rows = [[*head, "cross-entropy on the test set after 3 epochs"]]
    for _, run in last.iterrows():
        one = run["seconds"] / samples
        ratio = f"{naive / run['seconds']:,.0f}"
        whole = duration(one * MNIST_TRAIN)
        rows.append([run["impl"], duration(one), whole, ratio, f"{run['test_loss']:.5f}"])
    return rows


@summary("learning_rates")
def learning_rates(results: Results) -> Rows:
    """Every rate with its seeds."""
    rows: Rows = [
        ["learning rate", "test error, one value per seed", "cross-entropy on training set"]
    ]
    for rate, runs in results.last.groupby("learning_rate"):
        errors = [outcome(run) for _, run in runs.iterrows()]
        losses = [f"{run['train_loss']:.3f}" for _, run in runs.iterrows()]
        rows.append([f"{rate:g}", ", ".join(errors), ", ".join(losses)])
    return rows


def outcome(run: Any) -> str:
    """Return the test error of a run, or that it has none."""
    return "diverged" if run["status"] == "diverged" else percent(run["test_error"])


@summary("batch_size")
def batch_size(results: Results) -> Rows:
    """Batch sizes down, learning rates across; the best of a row stands out."""
    last = results.last
    rates = sorted(last["learning_rate"].unique())
    rows: Rows = [["batch size", *(f"rate {rate:g}" for rate in rates), "an epoch takes"]]
    for size, runs in last.groupby("batch_size"):
        by_rate = runs.set_index("learning_rate")
        best = by_rate.loc[by_rate["status"] == "finished", "test_error"].min()
        cells = [
            f"**{outcome(run)}**" if run["test_error"] == best else outcome(run)
            for run in (by_rate.loc[rate] for rate in rates)
        ]
        rows.append([f"{size}", *cells, duration(runs["seconds"].min())])
    return rows


@summary("depth")
def depth(results: Results) -> Rows:
    """Each network with its size."""
    layers = {"linear": "1", "flat": "2", "cnn": "3, one convolution", "deep": "4, two of them"}
    head = ["model", "layers with weights", "parameters", "test error", "an epoch takes"]
    rows: Rows = [head]
    for model, runs in results.last.groupby("model", sort=False):
        count = f"{runs['parameters'].iloc[0]:,}"
        fastest = duration(runs["seconds"].min())
        rows.append([model, layers[model], count, spread_of(runs["test_error"]), fastest])
    return rows


@summary("initialisation")
def initialisation(results: Results) -> Rows:
    """The error after each epoch, the mean over seeds."""
    epochs = results.epochs.rename(columns=lambda name: name.split(".")[-1])
    means = epochs.pivot_table(
        index="initializer", columns="epoch", values="test_error", sort=False
    )
    rows: Rows = [["initializer", *(f"epoch {epoch:.0f}" for epoch in means)]]
    for name, errors in means.iterrows():
        rows.append([str(name), *(percent(error) for error in errors)])
    return rows


@summary("seeds")
def seeds(results: Results) -> Rows:
    """Mean, deviation and extremes."""
    errors = results.last["test_error"]
    return [
        ["runs", "mean test error", "standard deviation", "least", "largest"],
        [
            f"{len(errors)}",
            percent(errors.mean()),
            percent(errors.std()),
            percent(errors.min()),
            percent(errors.max()),
        ],
    ]


@summary("mnist_99")
def mnist_99(results: Results) -> Rows:
    """Each seed with its way to 99 %."""
    rows: Rows = [["seed", "right on the test set", "training", "99 % first reached"]]
    for seed, epochs in results.epochs.groupby("seed"):
        epochs = epochs.reset_index(drop=True)
        right = percent(1 - epochs["test_error"].iloc[-1])
        reached = first_at(epochs, "test_error", 0.01 + 1e-9)
        rows.append([f"{seed}", right, duration(epochs["seconds"].sum()), reached])
    return rows


@summary("mnist_best")
def mnist_best(results: Results) -> Rows:
    """Each seed with its error, its time and its fastest epoch, and their means."""
    last = results.last
    rows: Rows = [["seed", "test error", "training", "fastest epoch"]]
    for _, run in last.iterrows():
        times = [duration(run["total"]), duration(run["seconds"])]
        rows.append([f"{run['seed']:.0f}", percent(run["test_error"]), *times])
    times = [duration(last["total"].mean()), duration(last["seconds"].mean())]
    return [*rows, ["mean", percent(last["test_error"].mean()), *times]]


summary("mnist_minute")(mnist_best)


CHANGED = {
    "image": "image of {0}x{0} pixels",
    "filters": "{} filters",
    "width": "filters of {0}x{0}",
    "stride": "stride {}",
}
WHAT = ("iterations", "per sample")


@summary("stride_groups_scaling")
def stride_groups_scaling(results: Results) -> Rows:
    """Each case, with four loops and with stride groups."""
    head = [""] + [f"{what}, {by}" for what in WHAT for by in ("loops", "groups")]
    rows: Rows = [[*head, "loops ÷ groups"]]
    for changed, cases in results.epochs.groupby("changed", sort=False):
        for value, pair in cases.groupby(str(changed)):
            naive, sg = (pair[pair["impl"] == impl].iloc[0] for impl in ("naive", "sg"))
            name = CHANGED[str(changed)].format(value)
            counts = [f"{naive['iterations']:,}", f"{sg['iterations']:,}"]
            times = [duration(naive["seconds"]), duration(sg["seconds"])]
            rows.append([name, *counts, *times, f"{naive['seconds'] / sg['seconds']:,.0f}"])
    return rows


@summary("search_cnn")
def search_cnn(results: Results) -> Rows:
    """The five best of the search, by what it chose them by."""
    heads = {
        "learning_rate": "learning rate",
        "optimizer.momentum": "momentum",
        "batch_size": "batch size",
        "model.layers.0.filters": "filters",
        "model.layers.3.units": "units",
    }
    rows: Rows = [["trial", *heads.values(), "validation error", "test error"]]
    for _, run in results.last.nsmallest(5, "validation_error").iterrows():
        chosen = [f"{run[name]:.3g}" for name in heads]
        errors = [percent(run["validation_error"]), percent(run["test_error"])]
        rows.append([f"{run['run'] + 1:.0f}", *chosen, *errors])
    return rows
