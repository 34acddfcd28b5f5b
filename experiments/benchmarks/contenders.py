"""Tables that name who is quickest, compiled code among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from experiments.benchmarks.markdown import markdown, number

if TYPE_CHECKING:
    import pandas as pd


def compiled(frame: pd.DataFrame) -> str:
    """Return the table of compiled kernels beside `fast` and PyTorch."""
    cells = []
    keys = ["pass", "net", "batch", "threads"]
    for (which, net, batch, threads), part in frame.groupby(keys, sort=False):
        rows = part.set_index("by")
        own = {by: rows.loc[by] for by in ("compiled", "fast") if by in rows.index}
        ratios = [with_quartiles(row) for row in own.values()]
        quicker = winner({by: float(row["ratio"]) for by, row in own.items()})
        over = number(own["compiled"]["over_fast"]) if "compiled" in own else ""
        cells.append([net, which, f"{batch:,}", threads, *ratios, over, quicker])
    header = ["net", "", "batch", "threads", "compiled ÷ PyTorch's", "fast ÷ PyTorch's"]
    return markdown([*header, "compiled ÷ fast", "quickest"], cells)


def peers(frame: pd.DataFrame) -> str:
    """Return the table of all peers: microseconds per sample over PyTorch's in eager mode."""
    cells = []
    order = ("compiled", "fast", "torch.compile", "jax")
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
