"""Options get the types that their fields declare, as OmegaConf would give them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cnnexp.app.settings.options import check_options, convert, ranged

HINTS = [
    int,
    float,
    str,
    bool,
    int | None,
    float | None,
    str | None,
    int | str,
    bool | str,
    float | int | None,
    float | int | str | None,
    list[str],
    list[int] | None,
    list[float] | None,
    Any,
]
NUMBERS = [0, 1, -1, 2.5, 1.0, float("inf"), True, False, None, 10**400]
TEXTS = ["", "3", "2.5", "1e-3", "true", "No", "ON", "abc", "null", b"x"]
NESTED = [[], [1], [1, 2.5], ["a"], [[1]], [None], {}, {"a": 1}]


def by_omegaconf(hint: Any, value: Any) -> str:
    holder = OmegaConf.structured(dataclasses.make_dataclass("Holder", [("value", hint)]))
    try:
        holder.value = value
        return repr(OmegaConf.to_container(holder)["value"])
    except (OmegaConfBaseException, OverflowError):
        return "refused"


def by_us(hint: Any, value: Any) -> str:
    try:
        return repr(convert(hint, value))
    except (ValueError, OverflowError):
        return "refused"


@pytest.mark.parametrize("hint", HINTS, ids=str)
def test_values_become_what_omegaconf_makes_of_them(hint):
    values = [*NUMBERS, *TEXTS, *NESTED]
    if hint is bool:
        values.remove("3")  # OmegaConf takes any number for true
    assert [by_us(hint, v) for v in values] == [by_omegaconf(hint, v) for v in values]


def test_lists_that_may_be_nested_are_checked_by_who_takes_them():
    assert convert(int | Sequence[int], [1, [2, 3]]) == [1, [2, 3]]
    assert convert(Sequence[int], ["4", 4]) == [4, 4]
    with pytest.raises(ValueError):
        convert(int | Sequence[int], [2.5])


def test_every_fault_is_collected_and_leaves_a_default_behind():
    @dataclasses.dataclass
    class Options:
        needed: float
        count: int = ranged(3, lambda value: value > 0, "above 0")
        rates: list[float] = dataclasses.field(default_factory=list)
        name: str = "x"

    faults: list[str] = []
    values = {"count": 0, "rates": ["a"], "name": None, "odd": 1}
    assert check_options([Options], values, "some.", faults) == []
    assert faults == [
        "some.odd: no such option. Options: needed, count, rates, name.",
        "some.needed is missing: it must be a number.",
        "some.count must be above 0. Got 0.",
        "some.rates must be a list, and each of its items a number. Got ['a'].",
        "some.name must be a text. Got null.",
    ]
    assert values == {"count": 3, "rates": [], "name": "x", "odd": 1}
