"""What is said beside a table: what runs share, how they compare, what went wrong."""

from __future__ import annotations

from collections import Counter

from cnnexp.report.formats import text
from cnnexp.report.table import Comparison, is_missing
from cnnexp.runs.finding import COLUMNS
from cnnexp.runs.policy import GROUPS

ALWAYS_SAID = (*COLUMNS[2:], "data.limit", "data.validation", "init_from")


def same_line(comparison: Comparison) -> str:
    """Say in one line what is the same in all runs."""
    same = {name: value for name, value in comparison.same.items() if not is_missing(value)}
    said = [f"{name}={text(name, same[name])}" for name in ALWAYS_SAID if name in same]
    if not said:
        return ""
    rest = len([name for name in same if name not in ALWAYS_SAID])
    count = len(comparison.readable)
    start = {1: "settings", 2: "same in both runs"}.get(count, f"same in all {count} runs")
    if count < len(comparison.frame):
        start = f"same in the {count} that can be read"
    return f"{start}: {' '.join(said)}, and {rest} more"


def ratio_lines(comparison: Comparison) -> list[str]:
    """Say how much faster one implementation is, where runs differ in nothing else but seeds.

    The lines are in the order of the table's rows, which is the same for equally fast ones too.
    """
    differing = set(comparison.differing)
    if "impl" not in differing or differing - {"impl", "seed"}:
        return []
    runs = comparison.readable
    if "seconds_per_epoch" not in runs:
        return []
    seconds = runs.groupby("impl", sort=False)["seconds_per_epoch"].mean().dropna()
    if len(seconds) < 2:
        return []
    slowest, most = seconds.idxmax(), seconds.max()
    return [
        f"{impl} takes 1/{_ratio(most / least)} of {slowest}'s time per epoch"
        for impl, least in seconds.drop(slowest).items()
    ]


def _ratio(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def reasons(comparison: Comparison, most: int = 10) -> list[str]:
    """Say of the first runs that did not end well why, and how many more there are."""
    frame = comparison.frame
    bad = frame[frame["reason"].notna()] if "reason" in frame else frame.iloc[:0]
    lines = [
        f"{comparison.short_name(run)} {status}: {_shortened(reason, run)}"
        for run, status, reason in bad[["run", "status", "reason"]]
        .head(most)
        .astype(str)
        .to_numpy()
    ]
    if len(bad) > most:
        lines.append(f"and {len(bad) - most} more with a reason; --csv or --json has all of them")
    return lines


def _shortened(reason: str, run: str) -> str:
    """Leave out the path of a run, which stands before it already, and all but the first line."""
    first, *more = reason.splitlines() or [""]
    if first.startswith((f"{run}:", f"{run}/")):
        first = first.removeprefix(run).lstrip(":/ ")
    return f"{first} (show has {len(more)} more lines)" if len(more) > 1 else first


def short_labels(comparison: Comparison) -> list[str]:
    """Return a short name for each run: in what it differs, or else its folder."""
    frame, names = comparison.frame, comparison.differing
    keys = {name: name if name.count(".") == 0 else name.rpartition(".")[2] for name in names}
    if len(set(keys.values())) < len(keys):
        keys = {name: name for name in names}
    folders = [comparison.short_name(run) for run in frame["run"]]
    if not names:
        return folders
    labels = [
        ", ".join(
            text(name, value) if name in GROUPS else f"{keys[name]}={text(name, value) or 'null'}"
            for name, value in zip(names, row, strict=True)
        )
        for row in frame[names].itertuples(index=False, name=None)
    ]
    counts = Counter(labels)
    return [
        f"{label} ({folder})" if counts[label] > 1 else label
        for label, folder in zip(labels, folders, strict=True)
    ]
