"""MLflow: a run in a SQLite file, in a folder, or on a server."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from cnnexp.trackers.base import TRACKERS, Tracked, Tracker

SQLITE = "sqlite:///"
LARGEST_VALUE = 6000  # characters of a parameter, in every version of MLflow
AT_ONCE = 100  # parameters or figures of a request
WAIT = 300.0  # seconds for other jobs of a sweep to begin
STATUS = {"finished": "FINISHED", "interrupted": "KILLED"}
FINAL = "final_"  # before results, which are of the weights that were kept


@TRACKERS.register("mlflow")
@dataclass
class MLflow(Tracker):
    """A run of MLflow: ``mlflow ui --backend-store-uri sqlite:///mlflow.db`` shows it.

    Parameters
    ----------
    uri : str, optional
        Where MLflow keeps runs: ``sqlite:///FILE``, a folder, or a server; null: what
        ``$MLFLOW_TRACKING_URI`` says, or ``mlflow.db`` in the working folder.
    experiment : str
        The experiment of MLflow that the run belongs to; it is made if it is not there.
    """

    needs: ClassVar[str] = "mlflow"
    extra: ClassVar[str] = "mlflow"

    uri: str | None = None
    experiment: str = "cnnexp"

    def __post_init__(self) -> None:
        self.uri = absolute(self.uri)

    def begin(self, run: Tracked, saved: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make a run, or open the one that was cut off, and find out which epochs it has."""
        import mlflow

        _quiet()
        if self.uri is not None and "://" not in self.uri:
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # it was asked for by name
        self._known: set[int] = set()
        with one_at_a_time(self.uri):
            self._client = mlflow.MlflowClient(self.uri)  # makes the tables
            return self._begin(run, saved)

    def _begin(self, run: Tracked, saved: Mapping[str, Any]) -> Mapping[str, Any]:
        if saved:
            self._run: str = str(saved["run"])
            self._client.update_run(self._run, status="RUNNING")
            history = self._client.get_metric_history(self._run, "epoch")
            self._known = {metric.step for metric in history}
        else:
            tags = {f"tag.{tag}": "true" for tag in run.tags} | {"cnnexp.folder": str(run.folder)}
            tags |= {"mlflow.note.content": run.note} if run.note else {}
            made = self._client.create_run(self._experiment_id(), tags=tags, run_name=run.name)
            self._run = made.info.run_id
            self._log_settings(run.settings)
        return {"run": self._run}

    def epoch_done(self, figures: Mapping[str, float]) -> None:
        """Log each figure at the step of its epoch, unless a run that was cut off did so."""
        step = int(figures["epoch"])
        if step not in self._known:
            self._log(step, figures)
            self._known.add(step)

    def end(self, status: str, results: Mapping[str, float]) -> None:
        """Log results and the status, and end the run."""
        if not hasattr(self, "_run"):
            return
        step = int(results.get("epoch", 0))
        self._log(step, {f"{FINAL}{name}": value for name, value in results.items()})
        self._client.set_tag(self._run, "cnnexp.status", status)
        self._client.set_terminated(self._run, STATUS.get(status, "FAILED"))

    def _experiment_id(self) -> str:
        """Return the experiment's number; another process may make it at the same moment."""
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(self.experiment)
        if found is None:
            try:
                return str(self._client.create_experiment(self.experiment))
            except MlflowException:
                found = self._client.get_experiment_by_name(self.experiment)
                if found is None:
                    raise
        return str(found.experiment_id)

    def _log_settings(self, settings: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        params = [Param(key, _as_text(value)) for key, value in settings.items()]
        for k in range(0, len(params), AT_ONCE):
            self._client.log_batch(self._run, params=params[k : k + AT_ONCE])

    def _log(self, step: int, figures: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        moment = round(time.time() * 1000)
        metrics = [Metric(name, value, moment, step) for name, value in figures.items()]
        self._client.log_batch(self._run, metrics=metrics)


def absolute(uri: str | None) -> str | None:
    """Return where runs are kept, so that it means the same in every folder.

    Examples
    --------
    >>> absolute("http://localhost:5000"), absolute("sqlite:////a/b.db")
    ('http://localhost:5000', 'sqlite:////a/b.db')
    """
    if uri is None:
        if os.environ.get("MLFLOW_TRACKING_URI"):
            return None
        uri = f"{SQLITE}mlflow.db"
    if uri.startswith(SQLITE):
        return f"{SQLITE}{Path(uri.removeprefix(SQLITE)).expanduser().absolute()}"
    return uri if ":" in uri else str(Path(uri).expanduser().absolute())


def one_at_a_time(uri: str | None) -> AbstractContextManager[Any]:
    """Let one process at a time begin in a SQLite file: two cannot make its tables together."""
    if uri is None or not uri.startswith(SQLITE):
        return nullcontext()
    from filelock import FileLock

    return FileLock(f"{uri.removeprefix(SQLITE)}.lock", timeout=WAIT)


def _as_text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= LARGEST_VALUE else f"{text[: LARGEST_VALUE - 1]}…"


def _quiet() -> None:
    """Keep off the screen what MLflow says while it makes its tables."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
