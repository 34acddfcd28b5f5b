"""Reading run folders back: one run as an object, many as a table."""

from __future__ import annotations

import copy
import csv
import hashlib
import io
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cnnexp.data.dataset import Dataset
from cnnexp.data.sources import array_checksum
from cnnexp.errors import OptionError, RunError, ShapeError, UnknownName, foreign
from cnnexp.runs import checkpoint, checksums, pickles, plugins, rebuild, version1
from cnnexp.runs.checksums import WEIGHTS, read_checked
from cnnexp.runs.files import lines_of
from cnnexp.runs.finding import flatten, name_in, refuse_folder_of_runs
from cnnexp.runs.forms import fits
from cnnexp.runs.notebook import html_of, losses_of
from cnnexp.runs.policy import GROUPS
from cnnexp.runs.record import FILE, Record, read_record

if TYPE_CHECKING:
    import pandas as pd

    from cnnexp.nn.network import Network


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
        """The network with its weights; it computes as it did in the run.

        If what it was trained with is not here, a GPU or an extra, `fast` computes.
        """
        used = self.recorded.network
        if used is None:
            raise RunError(f"{self.path}: this run ended before its network was built.")

        def build(config: dict[str, Any]) -> Network:
            recorded = {
                "threads": used["threads"],
                "micro_batch": used["micro_batch"],
                "inference_micro_batch": used["inference_micro_batch"],
            }
            options = recorded | rebuild.readable(config)
            return rebuild.build_network(config, tuple(used["input_shape"]), largest, **options)

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
        except (UnknownName, OptionError, ShapeError) as error:
            if missing:  # a name of theirs may also be the value of an option, as an activation is
                raise plugins.refusal(self.path, missing) from None
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
