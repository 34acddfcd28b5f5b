"""A network as a table for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from cnnexp.nn.layer import Layer
from cnnexp.nn.plan import Plan


def summary(layers: Sequence[Layer], plan: Plan) -> str:
    """Return a table of built layers, and what the plan computes together or takes elsewhere."""
    rows: list[tuple[str, ...]] = [
        ("layer", "type", "output shape", "parameters", "state", "multiply-adds")
    ]
    rows += _rows(layers, "")
    total = _add_up(layers)
    rows.append(("total", "", "", *(f"{number:,}" for number in total)))
    if not total[1]:  # most networks have no state
        rows = [row[:4] + row[5:] for row in rows]
    notes = [
        f"computed together: {step.name} ({step.fusion.name})"
        for step in plan.all_steps
        if step.fusion is not None
    ]
    notes += [
        f"taken from {origin}: {', '.join(operations)}"
        for origin, operations in plan.taken().items()
    ]
    return "\n".join([_table(rows), *notes])


def _rows(layers: Sequence[Layer], indent: str) -> Iterator[tuple[str, ...]]:
    """Yield a row for each layer; those inside a block are indented."""
    for layer in layers:
        shape = " x ".join(str(size) for size in layer.output_shape)
        numbers = _add_up([layer])
        yield indent + layer.name, layer.type, shape, *(f"{number:,}" for number in numbers)
        for branch, inner in layer.children().items():
            if branch and inner:
                yield f"{indent}  {branch}", "", "", "", "", ""
            yield from _rows(inner, f"{indent}    " if branch else f"{indent}  ")


def _add_up(layers: Sequence[Layer]) -> tuple[int, int, int]:
    """Return parameters, numbers of state, and multiply-adds of layers and all inside them."""

    def numbers(what: str, layer: Layer) -> int:
        own: int = sum(math.prod(array.shape) for array in getattr(layer, what).values())
        branches = layer.children().values()
        return own + sum(numbers(what, inner) for branch in branches for inner in branch)

    return (
        sum(numbers("params", layer) for layer in layers),
        sum(numbers("state", layer) for layer in layers),
        sum(layer.multiply_adds for layer in layers),
    )


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows as text, two columns to the left and the others to the right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if k < 2 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    rule = "-" * max(len(line) for line in lines)
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])
