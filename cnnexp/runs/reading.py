"""Reading run folders back: one run as an object, many as a table."""

from __future__ import annotations

import copy
import csv
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cnnexp.data.dataset import Dataset
from cnnexp.data.sources import array_checksum
from cnnexp.errors import OptionError, RunError, ShapeError, UnknownName, foreign
from cnnexp.runs import checkpoint, checksums, pickles, plugins, rebuild, version1
from cnnexp.runs.checksums import WEIGHTS, read_checked
from cnnexp.runs.files import entries_of, is_file, is_folder, lines_of
from cnnexp.runs.fingerprint import FOR_PEOPLE
from cnnexp.runs.forms import fits
from cnnexp.runs.notebook import html_of, losses_of
from cnnexp.runs.policy import GROUPS as GROUPS  # others import it from here
from cnnexp.runs.record import FILE, Record, read_record

if TYPE_CHECKING:
    import pandas as pd

    from cnnexp.nn.network import Network

COLUMNS = ("run", "status", *GROUPS, "learning_rate", "epochs", "batch_size", "seed", "dtype")

Thing = TypeVar("Thing")


class Run:
    """One run, read from its folder.

    Attributes
    ----------
    path : Path
        The folder.
    recorded : Record
        What ``run.json`` says, with types.
    """

    def __init__(
        self,
        path: str | Path,
        plugins: Sequence[str] | None = None,
        accept_changes: bool = False,
    ) -> None:
        self.path = Path(path)
        self.named_plugins = [plugins] if isinstance(plugins, str) else plugins
        self.accept_changes = accept_changes
        self._folder = self.path.absolute()  # logs and weights are read later
        self.recorded: Record = read_record(self.path)

    @property
    def record(self) -> dict[str, Any]:
        """All of ``run.json``, as plain dictionaries."""
        return self.recorded.as_json()

    @property
    def status(self) -> str:
        """One of running, finished, diverged, interrupted, failed, killed."""
        return self.recorded.status

    @property
    def config(self) -> dict[str, Any]:
        """The settings, as they were after all defaults were filled in."""
        return copy.deepcopy(self.recorded.config)

    @property
    def results(self) -> dict[str, Any]:
        """The last epoch's figures, the best epoch, and totals."""
        return dict(self.recorded.results)

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """The log of epochs, a row each."""
        return self._log("epochs.csv")

    @cached_property
    def batches(self) -> pd.DataFrame:
        """The log of batches, a row each."""
        return self._log("batches.csv")

    @cached_property
    def diagnostics(self) -> pd.DataFrame:
        """Gradients, updates and dead units; empty unless the run had ``diagnostics=true``."""
        return self._log("diagnostics.csv")

    @cached_property
    def dataset(self) -> Dataset:
        """The data set, rebuilt, and checked to be the same.

        Raises
        ------
        DataError
            If its files are not there.
        ConfigError
            If a module named in ``plugins`` cannot be imported.
        RunError
            If its checksum is not the recorded one.
        """
        found = self.rebuilt(rebuild.plan_dataset).load()
        recorded = self.recorded.data and self.recorded.data["checksum"]
        if recorded and found.checksum != recorded:
            raise RunError(
                f"{self.path}: the data set is not the one this run used. Expected"
                f" {recorded}, found {found.checksum}."
            )
        return found

    @cached_property
    def network(self) -> Network:
        """The network with its weights; it computes as it did in the run."""
        used = self.recorded.network
        if used is None:
            raise RunError(f"{self.path}: this run ended before its network was built.")

        def build(config: dict[str, Any]) -> Network:
            return rebuild.build_network(
                config,
                tuple(used["input_shape"]),
                largest,
                threads=used["threads"],
                micro_batch=used["micro_batch"],
                inference_micro_batch=used["inference_micro_batch"],
            )

        weights = self.weights
        largest = max((array.size for array in weights.values()), default=0)
        network = self.rebuilt(build)
        try:
            with foreign(self.path / WEIGHTS):
                return network.load_weights(weights)
        except ShapeError as error:
            raise RunError(f"{self.path / WEIGHTS}: {error}") from None

    @cached_property
    def weights(self) -> dict[str, Any]:
        """The weights that the run kept, or would have kept at its last checkpoint."""
        path = self.path / WEIGHTS
        try:
            found = pickles.loads(self._read(WEIGHTS), path)
        except FileNotFoundError:
            path = self.path / checkpoint.FILE
            saved = checkpoint.load(self._folder, self.accept_changes)
            if saved is None:
                raise RunError(
                    f"{self.path}: no weights yet: the run is {self.status}, and neither {WEIGHTS}"
                    f" nor {checkpoint.FILE} is there."
                ) from None
            training = saved["training"]
            found = training.get("best_weights") or training.get("average") or training["weights"]
        if not fits(found, {str: np.ndarray}) or not all(map(_is_a_path, found)):
            raise RunError(f"{path}: damaged: it must hold arrays by the paths of parameters.")
        return dict(found)

    @property
    def weights_checksum(self) -> str:
        """A checksum of the names and the contents of the weights."""
        parts = [f"{name} {array_checksum(array)}" for name, array in sorted(self.weights.items())]
        return f"sha256:{hashlib.sha256(' '.join(parts).encode()).hexdigest()}"

    def rebuilt(self, build: Callable[[dict[str, Any]], Thing]) -> Thing:
        """Return what is built from the settings, with the run's plugins as far as it is allowed.

        Raises
        ------
        RunError
            If a plugin is needed that may not be imported, or ``run.json`` is damaged.
        """
        missing = plugins.load_plugins_of(self._folder, self.recorded, self.named_plugins)
        try:
            with foreign(self.path / FILE):
                return build(self.config)
        except UnknownName as error:
            if missing:
                raise plugins.refusal(self.path, missing) from None
            raise RunError(f"{self.path / FILE}: {error}") from None
        except (OptionError, ShapeError) as error:
            raise RunError(f"{self.path / FILE}: {error}") from None

    def check_files(self) -> None:
        """Compare all files that have a checksum with it.

        Raises
        ------
        RunError
            If one is not what the run wrote.
        """
        checksums.check_all(self._folder, self.accept_changes)

    def _read(self, name: str) -> bytes:
        """Return the contents of a file, compared with its checksum."""
        return read_checked(self._folder, name, self.accept_changes, self.path)

    def _log(self, name: str) -> pd.DataFrame:
        import pandas as pd

        try:
            content = self._read(name)
        except FileNotFoundError:
            content = b""
        with foreign(self.path / name):
            text = lines_of(content)
            columns, *rows = csv.reader(io.StringIO(text)) if text else [[]]
            if self.recorded.is_of_version_1:
                columns = [version1.new_name(name) for name in columns]
            if any(len(row) != len(columns) for row in rows):
                raise ValueError("a row has more or fewer cells than there are columns")
            # Python's own numbers, because a parser of tables may round the last bit
            return pd.DataFrame([[_number(cell) for cell in row] for row in rows], columns=columns)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, status={self.status!r})"

    def _repr_html_(self) -> str:
        """Return status, results, loss and settings for notebooks."""
        record = self.recorded
        settings: dict[str, Any] = {}
        flatten(self.config, "", settings)
        settings |= {group: name_in(self, group) for group in GROUPS}
        lines = [record.reason or "", f"began {record.created}"]
        title = f"{self.path}  {self.status}"
        try:
            losses = losses_of(self._log("epochs.csv"))
        except RunError:
            losses = {}
        return html_of(title, lines, self.results, settings, losses)


def load_run(
    path: str | Path, *, plugins: Sequence[str] | None = None, accept_changes: bool = False
) -> Run:
    """Read one run.

    Parameters
    ----------
    path : str or Path
        A run folder, or an archive of one. Nothing in it is executed.
    plugins : sequence of str, optional
        Modules to import before the network or the data set is rebuilt: those in which the layers
        of the run are defined. Those of your own runs are imported without it.
    accept_changes : bool
        Read weights, checkpoint and logs also if they are not what the run wrote.

    Returns
    -------
    Run
        With ``config``, ``epochs`` and ``batches`` (DataFrames), ``dataset`` and ``network``;
        the last three are read when they are first asked for.

    Raises
    ------
    RunError
        If there is no run in the folder, or it is damaged.
    """
    refuse_folder_of_runs(path)
    return Run(path, plugins, accept_changes)


def refuse_folder_of_runs(path: str | Path) -> None:
    """Raise RunError for a folder that is no run and holds some, and say how to look at them."""
    if not is_folder(Path(path)) or is_file(Path(path) / FILE):
        return
    inside = [run for run in find_runs(path) if run != str(path)]
    if inside:
        raise RunError(
            f"{path}: not a run, but it holds {len(inside)}, for example {inside[0]}. To see"
            f" all of them: python -m cnnexp compare {path}"
        )


def load_runs(*paths: str | Path) -> pd.DataFrame:
    """Read all runs below some folders into a table, from their ``run.json`` alone.

    Parameters
    ----------
    *paths : str or Path
        Folders or archives that hold runs at any depth, or run folders; ``outputs`` if none is
        given.

    Returns
    -------
    DataFrame
        A row for each run: ``run`` (its path), ``status``, the names chosen in the groups
        (``model``, ``impl``, ``data``, ``optimizer``, ``schedule``), all settings under their
        dotted paths, and the results. A damaged folder has the status ``damaged`` and a ``reason``.

    Raises
    ------
    RunError
        If a folder is not there.
    """
    import pandas as pd

    found: Iterable[str] = (f for path in paths or ("outputs",) for f in find_runs(path))
    if len(paths) > 1:  # one may lie within another
        found = {os.path.realpath(folder): folder for folder in found}.values()
    frame = pd.DataFrame([flat_row(folder) for folder in found])
    first = [column for column in COLUMNS if column in frame]
    return frame[first + [column for column in frame if column not in first]]


def find_runs(path: str | Path) -> Iterator[str]:
    """Yield the run folders at or below a folder, or in an archive, in order of their names.

    Raises
    ------
    RunError
        If there is no such folder.
    """
    root = str(path)
    with foreign(root):
        there = is_folder(Path(root))
    if not there:
        raise RunError(f"{root}: there is no such folder.")
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            entries = entries_of(folder)
        except OSError:
            yield folder  # reading its record will say what is wrong
            continue
        found = sorted(entries, key=lambda entry: _number_first(entry.name), reverse=True)
        if any(entry.name == FILE for entry in found):
            yield folder
            continue
        inner = [e.path for e in found if e.is_dir(follow_symlinks=False)]
        if any(os.path.basename(name) == ".hydra" for name in inner) and not any(
            entry.name == "multirun.yaml" for entry in found
        ):
            yield folder  # begun, and ended before its record was written
            continue
        waiting += [name for name in inner if not os.path.basename(name).startswith(".")]


def flat_row(folder: str) -> dict[str, Any]:
    """Return one run as a row of the table; a damaged one as a row that says what is wrong."""
    try:
        with foreign(os.path.join(folder, FILE)):
            return _row(folder, read_record(folder))
    except RunError as error:
        reason = str(error)
    return {"run": folder, "status": "damaged", "reason": reason}


def _row(folder: str, record: Record) -> dict[str, Any]:
    """Return a record as a row."""
    config = record.config
    row: dict[str, Any] = {"run": folder, "status": record.status, "reason": record.reason}
    for group in GROUPS:
        row[group] = record.choices.get(group) or (config.get(group) or {}).get("name")
    flatten({key: value for key, value in config.items() if key not in FOR_PEOPLE}, "", row)
    row |= labels_of(config)
    row |= record.results
    row["created"] = record.created
    return row


def labels_of(config: dict[str, Any]) -> dict[str, str]:
    """Return name, tags and note of a run; empty texts where it has none."""
    tags = ", ".join(map(str, config.get("tags") or []))
    found = {"name": config.get("name"), "tags": tags, "note": config.get("note")}
    return {key: str(value or "") for key, value in found.items()}


def name_in(run: Run, group: str) -> str | None:
    """Return what a run chose in a group, such as ``model``."""
    return run.recorded.choices.get(group) or (run.config.get(group) or {}).get("name")


def flatten(value: Any, path: str, row: dict[str, Any]) -> None:
    """Enter nested settings under dotted paths; a group's own name is its column already."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not (key == "name" and path in GROUPS):
                flatten(inner, f"{path}.{key}" if path else str(key), row)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for k, item in enumerate(value):
            flatten(item, f"{path}.{k}", row)
    else:
        row[path] = value


def _is_a_path(name: str) -> bool:
    """Say whether a name is that of a parameter, such as ``conv1.W``, and not that of a file."""
    return "." in name and name.isprintable() and not any(c in name for c in "/\\")


def _number(cell: str) -> int | float | str:
    """Return a cell of a log as the number it was written from; an empty one is not a number."""
    for kind in (int, float):
        try:
            return kind(cell or "nan")
        except ValueError:
            continue
    return cell


def _number_first(name: str) -> tuple[int, str]:
    """Sort numbered folders by their numbers."""
    return (int(name), "") if name.isdigit() else (-1, name)
