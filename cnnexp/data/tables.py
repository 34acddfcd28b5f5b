"""Tables: CSV and Parquet files, one row for each sample.

A table is learnt from its features, or, with ``shape``, as images whose pixels stand in a row.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cnnexp.data.sources import (
    SOURCES,
    Array,
    Raw,
    Shape,
    Source,
    array_checksum,
    refuse_too_large,
)
from cnnexp.data.table_faults import (
    no_numbers,
    other_separator,
    refuse_gaps,
    some,
    taken_for_features,
    taken_for_row_numbers,
)
from cnnexp.data.targets import Targets, check_task, named_classes
from cnnexp.errors import DataError, OptionError, did_you_mean, foreign

if TYPE_CHECKING:
    import pandas as pd

HEADLESS = re.compile(r"Unnamed: 0(\.\d+)?")  # pandas' name of a first column without one
INDEX = "__index_level_0__"  # pandas' name of its index in Parquet
AMBIGUOUS = 100  # different whole numbers, beyond which it must be said what they are


@dataclass
class Table(Source):
    """What CSV and Parquet files share.

    Parameters
    ----------
    file : str
        The table; all samples, or those that are trained on.
    test_file : str, optional
        A table of the same columns: the test part.
    target : str or list of str, optional
        The column that is learnt, or several with real values; by default the last column.
    features : list of str, optional
        The columns that it is learnt from; by default all others, but for row numbers: a first
        column without a name that counts the rows from 0 or 1.
    shape : list of int, optional
        ``[rows, columns]`` or ``[rows, columns, channels]``, where the features are the pixels of
        an image, row by row.
    task : {"classification", "regression"}, optional
        What is learnt, if it is not what the target looks like.
    """

    file: str = ""
    test_file: str | None = None
    target: Any = None
    features: list[str] | None = None
    shape: list[int] | None = None
    task: str | None = None

    stratified: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_task(self.task)
        names = [self.target] if isinstance(self.target, (str, int)) else self.target
        if names is not None and not (isinstance(names, list) and names):
            raise OptionError(f"target must be a column, or a list of columns. Got {names!r}.")
        self._targets = None if names is None else [str(name) for name in names]
        self._numbers: set[str] | None = None  # see _row_numbers
        if self.shape is not None and (len(self.shape) not in (2, 3) or min(self.shape) < 1):
            raise OptionError(
                "shape must be [rows, columns] or [rows, columns, channels], each at least 1."
                f" Got {self.shape}."
            )
        if self.task == "classification" and len(self._targets or []) > 1:
            raise OptionError("target must be a single column where the task is classification.")

    @property
    def default_split(self) -> float | str:  # type: ignore[override]
        """The official one where there is a test file, else 0.8."""
        return "official" if self.test_file else 0.8

    @abstractmethod
    def columns_of(self, path: str) -> list[str]:
        """Return the names of the columns; no row is read."""

    @abstractmethod
    def frame_of(self, path: str, columns: list[str]) -> pd.DataFrame:
        """Return some of the columns."""

    def check(self) -> None:
        """Raise DataError unless the files are there, with the columns that are needed."""
        if not self.file:
            raise DataError(f"data={self.name} needs data.file=PATH, the file of the table.")
        for path in self._paths():
            if not Path(path).is_file():
                raise DataError(f"data.file={path}: there is no such file.")
            self._chosen(path)

    def load(self) -> Raw:
        """Return features and targets of all rows."""
        self.check()
        with foreign(self.file, error=DataError):
            return self._load()

    def _load(self) -> Raw:
        features, targets = self._chosen(self.file)
        paths = self._paths()
        frames = [self.frame_of(path, [*features, *targets]) for path in paths]
        for frame, path in zip(frames, paths, strict=True):
            if not len(frame):
                raise DataError(f"{path}: there are no rows in it.")
            refuse_gaps(frame, path)
        Ys, classes = self._learnt([frame[targets] for frame in frames])
        Xs = [
            self._samples(frame[features], path) for frame, path in zip(frames, paths, strict=True)
        ]
        if any(len(X) != len(Y) for X, Y in zip(Xs, Ys, strict=True)):
            raise DataError(f"{self.file}: damaged: its columns have different numbers of rows.")
        arrays = [array for pair in zip(Xs, Ys, strict=True) for array in pair]
        largest = max(float(abs(X).max()) for X in Xs) or 1.0
        named = () if classes else tuple(targets)
        checksum = array_checksum(*arrays)
        notice = "" if self.features else taken_for_features(self.file, without_name(features))
        raw = Raw(Xs[0], Ys[0], largest, classes, checksum, targets=named, notice=notice)
        if self.test_file:
            raw.X_test, raw.Y_test = Xs[1], Ys[1]
        return raw

    def feature_names(self) -> list[str]:
        """Return the columns that are learnt from."""
        return self._chosen(self.file)[0]

    def image_shape(self) -> Shape | None:
        """Return the shape given, or the number of features."""
        if self.shape is not None:
            return (*self.shape, 1) if len(self.shape) == 2 else tuple(self.shape)
        try:
            return (len(self._chosen(self.file)[0]),)
        except DataError:
            return None

    def class_count(self) -> int | None:
        """Return 0 where real values are asked for."""
        return 0 if self.target_shape() else None

    def target_shape(self) -> Shape | None:
        """Return the number of real values where they are asked for."""
        count = len(self._targets or [""])
        return (count,) if self.task == "regression" or count > 1 else None

    def _paths(self) -> list[str]:
        return [self.file, *([self.test_file] if self.test_file else [])]

    def _chosen(self, path: str) -> tuple[list[str], list[str]]:
        """Return the names of features and targets, which must be columns."""
        columns = self.columns_of(path)
        targets = self._targets or columns[-1:]
        others = [name for name in columns if name not in targets]
        features = self.features or self._without_row_numbers(others)
        for name in [*targets, *features]:
            if name not in columns:
                raise DataError(
                    f"{path}: there is no column '{name}'.{did_you_mean(name, columns)} Columns:"
                    f" {some(columns)}.{other_separator(columns)}"
                )
        if both := sorted(set(targets) & set(features)):
            raise DataError(f"{path}: a target cannot be a feature too: {some(both)}.")
        if not features:
            raise DataError(
                f"{path}: there is no column to learn from. Columns: {some(columns)}."
                f"{taken_for_row_numbers(others)}{other_separator(columns)}"
            )
        if self.shape is not None and np.prod(self.shape, dtype=object) != len(features):
            raise DataError(
                f"{path}: images of shape {self.shape} have"
                f" {np.prod(self.shape, dtype=object):,} pixels, and there are {len(features):,}"
                " columns of features."
            )
        return features, targets

    def _without_row_numbers(self, names: list[str]) -> list[str]:
        """Return the names of columns but for those that hold row numbers."""
        if INDEX not in names and not without_name(names):
            return names
        if self._numbers is None:  # the files are read for it once
            self._numbers = self._row_numbers()
        return [name for name in names if name not in self._numbers]

    def _row_numbers(self) -> set[str]:
        """Return the columns that number the rows, of the first file or of both together."""
        found: dict[str, list[Array]] = {}
        for path in self._paths():
            names = without_name(self.columns_of(path))
            if names:
                frame = self.frame_of(path, names)
                for name in names:
                    found.setdefault(name, []).append(frame[name].to_numpy())
        numbers = {
            name
            for name, parts in found.items()
            if _numbers_rows(parts[0]) or _numbers_rows(np.concatenate(parts))
        }
        return {INDEX, *numbers}

    def _samples(self, frame: pd.DataFrame, path: str) -> Array:
        """Return features as numbers: a table, or images."""
        from pandas.api.types import is_bool_dtype, is_numeric_dtype

        odd = [c for c in frame if not (is_numeric_dtype(frame[c]) or is_bool_dtype(frame[c]))]
        if odd:
            raise DataError(no_numbers(path, odd, frame[odd[0]]))
        X = frame.to_numpy(np.float64)
        if not np.isfinite(X).all():
            row, column = np.argwhere(~np.isfinite(X))[0]
            raise DataError(
                f"{path}: features must be finite numbers. Column '{frame.columns[column]}' has"
                f" {X[row, column]} in row {row + 1}."
            )
        return X if self.shape is None else X.reshape(len(X), *(self.image_shape() or ()))

    def _learnt(self, frames: list[pd.DataFrame]) -> Targets:
        """Return the targets of the training rows, and of the test rows if there are any."""
        from pandas.api.types import is_bool_dtype, is_numeric_dtype

        names = list(frames[0])
        plain = all(
            is_numeric_dtype(frame[name]) and not is_bool_dtype(frame[name])
            for frame in frames
            for name in names
        )
        if self.target_shape():
            if not plain:
                raise DataError(f"{self.file}: real values must be numbers: {some(names)}.")
            return _values(frames, self.file)
        columns = [frame[names[0]] for frame in frames]
        if not plain:
            return named_classes([[str(v) for v in column] for column in columns], self.file)
        parts = [column.to_numpy(np.float64) for column in columns]
        _refuse_infinite(parts, self.file)
        whole = all(bool((part == np.floor(part)).all()) for part in parts)
        if not whole and self.task is None:
            return _values(frames, self.file)
        different = len(set().union(*(np.unique(part).tolist() for part in parts)))
        if different > AMBIGUOUS and self.task is None:
            raise DataError(
                f"{self.file}: column '{names[0]}' has {different:,} different whole numbers. Are"
                " they classes or values? Say data.task=classification or data.task=regression."
            )
        kind: Any = int if whole else float
        return named_classes([[kind(v) for v in part] for part in parts], self.file)


@SOURCES.register("csv")
@dataclass
class Csv(Table):
    """A CSV file: one row for each sample, a column for the target, the others are features.

    Parameters
    ----------
    file : str
        The table; all samples, or those that are trained on.
    test_file : str, optional
        A table of the same columns: the test part.
    target : str or list of str, optional
        The column that is learnt, or several with real values; by default the last column.
    features : list of str, optional
        The columns that it is learnt from; by default all others, but for row numbers: a first
        column without a name that counts the rows from 0 or 1.
    shape : list of int, optional
        ``[rows, columns]`` or ``[rows, columns, channels]``, where the features are the pixels of
        an image, row by row.
    task : {"classification", "regression"}, optional
        What is learnt, if it is not what the target looks like.
    separator : str
        The character between two cells, ``tab``, or ``spaces`` for any number of blanks.
    header : bool
        Whether the first row names the columns; else they are called 0, 1, 2 …
    """

    separator: str = ","
    header: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        known = {"tab": "\t", "\\t": "\t", "spaces": r"\s+"}
        self._separator = known.get(self.separator, self.separator)
        if not self._separator:
            raise OptionError("separator must be a character, tab or spaces. Got ''.")

    def columns_of(self, path: str) -> list[str]:
        """Return the cells of the first row, or numbers."""
        return [str(name) for name in self._parsed(path, nrows=int(not self.header)).columns]

    def frame_of(self, path: str, columns: list[str]) -> pd.DataFrame:
        """Return some of the columns."""
        frame = self._parsed(path)
        frame.columns = [str(name) for name in frame.columns]
        return frame[columns]

    def _parsed(self, path: str, nrows: int | None = None) -> pd.DataFrame:
        import pandas as pd

        if not Path(path).is_file():
            raise DataError(f"data.file={path}: there is no such file.")
        size = Path(path).stat().st_size  # all of it may be one row, even that of the names
        refuse_too_large(4 * size, path, "Save it as arrays: data=npy stays on disk.")
        try:
            return pd.read_csv(
                path,
                sep=self._separator,
                header=0 if self.header else None,
                nrows=nrows,
                engine=None if len(self._separator) == 1 or self._separator == r"\s+" else "python",
                compression=None,  # a packed file may hold far more than its size tells
                skipinitialspace=True,
            )
        except Exception as error:  # whatever a reader raises on bytes from elsewhere
            first = str(error).strip().partition("\n")[0]
            raise DataError(f"data.file={path}: cannot be read as CSV: {first}") from None


@SOURCES.register("parquet")
@dataclass
class Parquet(Table):
    """A Parquet file, read as a CSV file is; needs ``pip install 'cnnexp[parquet]'``."""

    def columns_of(self, path: str) -> list[str]:
        """Return the names in the file's schema."""
        return [str(name) for name in self._opened(path).schema_arrow.names]

    def frame_of(self, path: str, columns: list[str]) -> pd.DataFrame:
        """Return some of the columns."""
        file = self._opened(path)
        refuse_too_large(
            8 * file.metadata.num_rows * len(columns),
            path,
            "Save it as arrays: data=npy stays on disk.",
        )
        try:
            frame: pd.DataFrame = file.read(columns=columns).to_pandas()[columns]
        except Exception as error:  # whatever a reader raises on bytes from elsewhere
            raise DataError(f"{path}: cannot be read as Parquet: {error}") from None
        return frame

    def _opened(self, path: str) -> Any:
        if find_spec("pyarrow") is None:
            raise DataError("data=parquet needs pyarrow: pip install 'cnnexp[parquet]'.")
        import pyarrow.parquet

        try:
            return pyarrow.parquet.ParquetFile(path)
        except Exception as error:  # whatever a reader raises on bytes from elsewhere
            first = str(error).partition("\n")[0]
            raise DataError(f"data.file={path}: cannot be read as Parquet: {first}") from None


def _values(frames: list[pd.DataFrame], where: str) -> Targets:
    """Return real-valued targets (n_m, targets)."""
    parts = [frame.to_numpy(np.float64) for frame in frames]
    _refuse_infinite(parts, where)
    return Targets(parts, ())


def _refuse_infinite(parts: list[Array], where: str) -> None:
    """Raise DataError unless all targets are finite."""
    if not all(np.isfinite(part).all() for part in parts):
        raise DataError(f"{where}: targets must be finite numbers.")


def without_name(columns: list[str]) -> list[str]:
    """Return the first columns that have no name in the file."""
    return [name for name in columns if HEADLESS.fullmatch(name)]


def _numbers_rows(column: Array) -> bool:
    """Say whether a column holds 0, 1, 2 … or 1, 2, 3 …, in any order: rows may be shuffled."""
    if column.dtype.kind not in "iuf":
        return False
    ordered = np.sort(column)
    return any(np.array_equal(ordered, first + np.arange(len(column))) for first in (0, 1))
