"""A network as a table for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from cnnexp.nn.html import escape, table
from cnnexp.nn.layer import Layer
from cnnexp.nn.memory import StepMemory
from cnnexp.nn.plan import Plan

HEAD = ("layer", "type", "output shape", "receptive field", "parameters", "state", "multiply-adds")


def summary(layers: Sequence[Layer], plan: Plan, memory: StepMemory) -> str:
    """Return a table of built layers, what a step needs of memory, and notes on the plan.

    Parameters
    ----------
    layers : sequence of Layer
        Built layers.
    plan : Plan
        Says what is computed together, or taken from another implementation.
    memory : StepMemory
        What a training step needs.
    """
    return "\n".join([_table(rows_of(layers)), *notes_of(plan, memory)])


def html(layers: Sequence[Layer], plan: Plan, memory: StepMemory) -> str:
    """Return the same as HTML, for notebooks."""
    notes = "<br>".join(map(escape, notes_of(plan, memory)))
    return f"<div>{table(rows_of(layers), left=2)}<small>{notes}</small></div>"


def rows_of(layers: Sequence[Layer]) -> list[tuple[str, ...]]:
    """Return the rows of the table, the names of its columns first, and the totals last."""
    total, fields = _add_up(layers), receptive_fields(layers)
    rows: list[tuple[str, ...]] = [HEAD, *_rows(layers, fields, "")]
    rows.append(("total", "", "", "", *(f"{number:,}" for number in total)))
    if not total[1]:  # most networks have no state
        rows = [row[:5] + row[6:] for row in rows]
    if len(layers[0].input_shape) != 3:  # rows of features have no neighbours
        rows = [row[:3] + row[4:] for row in rows]
    return rows


def notes_of(plan: Plan, memory: StepMemory) -> list[str]:
    """Return what is said below the table."""
    together, folded = _fused(plan), _fused(plan.inference)
    notes = [memory.sentence()]
    notes += [f"computed together: {step}" for step in together]
    notes += [f"in inference: {step}" for step in folded if step not in together]
    notes += [
        f"taken from {origin}: {', '.join(operations)}"
        for origin, operations in plan.taken().items()
    ]
    return notes


def _fused(plan: Plan) -> list[str]:
    """Return the names of steps that are several layers, and how they are computed."""
    return [f"{step.name} ({step.fusion.name})" for step in plan.all_steps if step.fusion]


def receptive_fields(layers: Sequence[Layer]) -> dict[int, str]:
    """Return what a pixel of each layer's result depends on, by the identity of the layer.

    Fields grow from layer to layer by ``(extent - 1) · step``, with the step of all layers before.
    Behind a container it is the largest of its branches.

    References
    ----------
    A. Araujo, W. Norris, J. Sim, Computing Receptive Fields of Convolutional Neural Networks,
    2019, https://distill.pub/2019/computing-receptive-fields
    """
    found: dict[int, str] = {}
    _follow(layers, _Field((1.0, 1.0), (1.0, 1.0)), found)
    return found


class _Field(NamedTuple):
    """Rows and columns of a receptive field, and pixels of the image from one to the next."""

    size: tuple[float, float]
    step: tuple[float, float]

    def behind(self, layer: Layer) -> _Field:
        """Return the field of a pixel of a layer's result, given that of its input."""
        reach = layer.reach
        if reach is None:
            return _Field((math.inf, math.inf), self.step)
        size = [n + (e - 1) * s for n, e, s in zip(self.size, reach.extent, self.step, strict=True)]
        step = [s * t for s, t in zip(self.step, reach.step, strict=True)]
        return _Field((size[0], size[1]), (step[0], step[1]))

    def __str__(self) -> str:
        if math.inf in self.size:
            return "all"
        return " x ".join(str(math.ceil(round(n, 6))) for n in self.size)


def _follow(layers: Sequence[Layer], field: _Field, found: dict[int, str]) -> _Field:
    """Note the field of each layer, and return that of the last one."""
    for layer in layers:
        branches = [_follow(inner, field, found) for inner in layer.children().values()]
        if branches:
            sizes = zip(*(branch.size for branch in branches), strict=True)
            rows, cols = (max(along) for along in sizes)
            field = _Field((rows, cols), branches[0].step)
        else:
            field = field.behind(layer)
        found[id(layer)] = str(field)
    return field


def _rows(
    layers: Sequence[Layer], fields: Mapping[int, str], indent: str
) -> Iterator[tuple[str, ...]]:
    """Yield a row for each layer; those inside a block are indented."""
    for layer in layers:
        shape = " x ".join(str(size) for size in layer.output_shape)
        numbers = _add_up([layer])
        row = indent + layer.name, layer.type, shape, fields[id(layer)]
        yield *row, *(f"{number:,}" for number in numbers)
        for branch, inner in layer.children().items():
            if branch and inner:
                yield f"{indent}  {branch}", *[""] * (len(HEAD) - 1)
            yield from _rows(inner, fields, f"{indent}    " if branch else f"{indent}  ")


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
