"""Choosing among runs: which rows, in which order, and which columns."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Container, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from cnnexp.errors import OptionError, RunError, UnknownName, did_you_mean
from cnnexp.report.table import FIGURES, TARGET, is_missing
from cnnexp.runs.finding import COLUMNS
from cnnexp.runs.version1 import new_name

if TYPE_CHECKING:
    import pandas as pd

# texts in quotes, names in backticks, and names with dots; everything else stays as it is
WORDS = re.compile(r"""("[^"]*"|'[^']*'|`[^`]*`)|(?<![\w.@])([A-Za-z_]\w*(?:\.\w+)*)""")
# a name, a single "=", and a value; what stands in quotes is not looked at
ASSIGNED = re.compile(
    r"""("[^"]*"|'[^']*'|`[^`]*`)|([A-Za-z_][\w.]*)\s*(?<![=!<>])=(?!=)\s*("[^"]*"|'[^']*'|[^\s"'()]+)"""
)
MATHEMATICS = ("abs", "sqrt", "log", "log10", "exp", "floor", "ceil")  # what a query may call

YAML = {"true": "True", "false": "False"}
# a value that is written without quotes, or has them already
PLAIN = re.compile(r"""["'].*["']|true|false|True|False|[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?""")
NULLS = ("null", "None", "nan", "NaN")


def check_columns(option: str, names: Iterable[str], frame: pd.DataFrame) -> None:
    """Raise UnknownName for the first name that is not a column.

    Parameters
    ----------
    option : str
        What the names were given to, for the message.
    names : iterable of str
        Names of columns.
    frame : DataFrame
        The table.
    """
    for name in names:
        if name == TARGET and name not in frame:
            raise UnknownName(
                f"{option}: {TARGET} needs a target, for example --target error=0.02."
            )
        if name not in frame:
            known = [str(column) for column in frame]
            main = [column for column in known if column in COLUMNS or column in FIGURES]
            raise UnknownName(
                f"{option}: no column is named '{name}'.{did_you_mean(new_name(name), known)}"
                f" Columns: {', '.join(main)}, and {len(known) - len(main)} more, settings under"
                " their dotted paths among them."
            )


def where(frame: pd.DataFrame, condition: str) -> pd.DataFrame:
    """Return the rows for which a condition holds.

    Parameters
    ----------
    frame : DataFrame
        Runs.
    condition : str
        As `pandas.DataFrame.query` takes it; dotted columns need no backticks.

    Raises
    ------
    UnknownName
        If it names a column that is not there.
    OptionError
        If it is not a condition.
    RunError
        If no run fulfils it.
    """
    import pandas as pd

    option = f"--where {condition!r}"
    if (meant := _with_comparisons(condition, frame)) != condition:
        raise OptionError(f"{option}: is not a condition. Did you mean --where {meant!r}? {HELP}")
    query = quoted(condition, option, frame)
    try:
        holds: Any = frame.eval(query)
    except Exception as error:  # pandas raises anything from SyntaxError to TypeError
        raise OptionError(f"{option}: cannot be read as a condition: {error}. {HELP}") from None
    if not isinstance(holds, pd.Series) or not pd.api.types.is_bool_dtype(holds):
        raise OptionError(f"{option}: is not a condition, true or false for each run. {HELP}")
    if not holds.any():
        raise RunError(f"{option}: holds for none of {len(frame)} runs.")
    return frame[holds]


HELP = "Compare with == != < >, join with and, or; for example 'impl == \"sg\" and epochs > 4'."


def _with_comparisons(condition: str, names: Container[str]) -> str:
    """Return a condition with comparisons in the place of ``name=value``, the way of settings.

    Examples
    --------
    >>> names = {"model", "seed", "note"}
    >>> _with_comparisons("model=flat and seed=1", names)
    'model == "flat" and seed == 1'
    >>> _with_comparisons("note == 'a=b' and note.str.contains('a', case=False)", names)
    "note == 'a=b' and note.str.contains('a', case=False)"
    """

    def one(match: re.Match[str]) -> str:
        literal, name, value = match.groups()
        if literal is not None:
            return str(literal)
        if name not in names or value.startswith("["):
            return match[0]
        if value in NULLS:
            return f"{name}.isna()"
        return f"{name} == {value if PLAIN.fullmatch(value) else json.dumps(value)}"

    return ASSIGNED.sub(one, condition)


def quoted(condition: str, option: str, frame: pd.DataFrame) -> str:
    """Put backticks around the dotted columns of a condition.

    Examples
    --------
    >>> import pandas
    >>> frame = pandas.DataFrame({"data": ["digits"], "data.limit": [200]})
    >>> quoted("data.limit == 200 and data.str.len() > 2", "", frame)
    '`data.limit` == 200 and data.str.len() > 2'
    """

    def one(match: re.Match[str]) -> str:
        literal, name = match.groups()
        if literal is not None:
            if literal.startswith("`"):
                check_columns(option, [literal.strip("`")], frame)
            return str(literal)
        try:
            return _quoted_name(name, option, frame)
        except UnknownName:
            if condition[: match.start()].rstrip().endswith(("==", "!=")) and "." not in name:
                raise UnknownName(
                    f"{option}: no column is named '{name}'. A text is written in quotes:"
                    f' "{name}".'
                ) from None
            raise

    return WORDS.sub(one, condition)


def _quoted_name(name: str, option: str, frame: pd.DataFrame) -> str:
    """Return one name as a query needs it: the longest column, and what is asked of it."""
    if name in NULLS and name not in frame:
        raise OptionError(f"{option}: nothing equals {name}. For an empty cell write NAME.isna().")
    if name in YAML and name not in frame:
        return YAML[name]
    if keyword.iskeyword(name) or name in MATHEMATICS:
        return name
    parts = name.split(".")
    for k in range(len(parts), 0, -1):
        column, attributes = ".".join(parts[:k]), parts[k:]
        if column in frame and (not attributes or hasattr(frame[column], attributes[0])):
            return ".".join([f"`{column}`" if k > 1 else column, *attributes])
    check_columns(option, [name], frame)
    return name


def ordered(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return the rows in order of some columns, empty cells last.

    Parameters
    ----------
    frame : DataFrame
        Runs, or groups of them.
    keys : sequence of str
        Columns; a minus before one turns its order round.
    """
    check_columns("--sort", [key.removeprefix("-") for key in keys], frame)
    order = list(range(len(frame)))
    for key in reversed(keys):
        values = frame[key.removeprefix("-")].tolist()
        there = [k for k in order if not is_missing(values[k])]
        missing = [k for k in order if is_missing(values[k])]
        there.sort(key=lambda k: sort_key(values[k]), reverse=key.startswith("-"))
        order = there + missing
    return frame.iloc[order]


def sort_key(value: Any) -> tuple[int, float, str]:
    """Return a key that sorts numbers before texts, whatever else stands in the column."""
    if isinstance(value, (int, float)):
        return 0, float(value), ""
    return 1, 0.0, str(value)
