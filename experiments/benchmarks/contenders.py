"""Tables that name who is quickest, ours or another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from experiments.benchmarks.markdown import markdown, number

if TYPE_CHECKING:
    import pandas as pd

OURS = ("compiled", "fast")


def comparison(which: str) -> Callable[[pd.DataFrame], str]:
    """Return what makes the table of training or of inference against PyTorch."""

    def make(frame: pd.DataFrame) -> str:
        frame = frame[(frame["pass"] == which) & frame["ratio"].notna()]
        for column in ("batch", "threads", "net", "blas_architecture"):
            frame = frame.sort_values(column, key=in_order, kind="stable")
        keys = ["net", "batch", "blas_architecture", "threads"]
        cells = []
        for (net, batch, architecture, threads), part in frame.groupby(keys, sort=False):
            rows = part.set_index("by")
            peer = str(rows["best_peer"].iloc[0])
            row = [net, f"{batch:,}", architecture, threads]
            row += [number(rows.loc[peer, "seconds_per_epoch"]), peer.replace("_", " ")]
            found = {by: rows.loc[by] for by in OURS if by in rows.index}
            ratios = [with_quartiles(found[by]) if by in found else "" for by in OURS]
            quickest = winner({by: float(found[by]["ratio"]) for by in found})
            cells.append([*row, *ratios, quickest])
        header = ["net", "batch", "BLAS for", "threads", "PyTorch [s]", "its layout"]
        return markdown([*header, *(f"{by} ÷ PyTorch" for by in OURS), "quickest"], cells)

    return make


def in_order(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return what to sort by: numbers by their size, names as they first came."""
    if column.name in ("batch", "threads"):
        return column.astype(int)
    places = {name: k for k, name in enumerate(dict.fromkeys(column))}
    return column.map(places)


def peers(frame: pd.DataFrame) -> str:
    """Return the table of all peers: microseconds per sample over PyTorch's in eager mode."""
    cells = []
    order = (*OURS, "torch.compile", "jax")
    for (net, threads), part in frame.groupby(["net", "threads"], sort=False):
        rows = part.set_index("by")
        eager = rows.loc[str(rows["best_peer"].iloc[0])]
        found = {by: rows.loc[by] for by in order if by in rows.index}
        ratios = [with_quartiles(found[by]) if by in found else "" for by in order]
        quickest = winner({by: float(row["ratio"]) for by, row in found.items()})
        cells.append([net, threads, number(eager["microseconds_per_sample"]), *ratios, quickest])
    header = ["net", "threads", "PyTorch eager [µs per sample]", *(f"{by} ÷ it" for by in order)]
    return markdown([*header, "quickest"], cells)


def with_quartiles(row: Any) -> str:
    """Return a ratio with its quartiles."""
    return f"**{row['ratio']:.2f}** ({row['ratio_low']:.2f}–{row['ratio_high']:.2f})"


def winner(ratios: dict[str, float]) -> str:
    """Return who is quickest, given times over those of PyTorch in eager mode.

    Examples
    --------
    >>> winner({"compiled": 0.6, "fast": 0.8}), winner({"fast": 1.2})
    ('compiled', 'PyTorch')
    """
    by = min(ratios, key=lambda name: ratios[name])
    return by if ratios[by] < 1 else "PyTorch"
