"""The defects of version 0.1.0, each as what was typed or called to see it.

A reproduction gets a `Place`, and returns what happened in a few words and whether that is right.
It asks for nothing that one of the two trees does not have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from experiments.reliability.child import Place

Happened = tuple[str, bool]


class Reproduction(NamedTuple):
    """What shows a defect."""

    defect: int
    what: str
    try_it: Callable[[Place], Happened]
    quick: bool
    trained: bool  # whether it needs a run


REPRODUCTIONS: list[Reproduction] = []


def reproduction(
    defect: int, what: str, *, quick: bool = False, trained: bool = True
) -> Callable[[Callable[[Place], Happened]], Callable[[Place], Happened]]:
    """Add a function to the table."""

    def add(try_it: Callable[[Place], Happened]) -> Callable[[Place], Happened]:
        REPRODUCTIONS.append(Reproduction(defect, what, try_it, quick, trained))
        return try_it

    return add


def found() -> list[Reproduction]:
    """Return all reproductions, in the order of the defects."""
    from experiments.reliability.reproduced import api, damage, data, imports, outputs  # noqa: F401

    return sorted(REPRODUCTIONS, key=lambda one: one.defect)
