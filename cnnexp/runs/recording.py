"""A run folder while a run writes in it: what is logged, and how an error that ends it is noted."""

from __future__ import annotations

import io
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cnnexp.errors import CallbackError, CnnexpError, system_reason
from cnnexp.runs.files import open_to_append
from cnnexp.runs.policy import CheckpointPolicy
from cnnexp.runs.record import Record
from cnnexp.runs.writing import RunWriter

log = logging.getLogger("cnnexp")


@contextmanager
def recorded(folder: Path, record: Record, warn: Callable[[str], None]) -> Iterator[RunWriter]:
    """Give a writer for a run folder, and record an error that ends the run.

    Parameters
    ----------
    folder, record : Path, Record
        The run.
    warn : callable
        Is told if lines of ``train.log`` may be lost.
    """
    with _logged(folder, warn):
        writer = RunWriter(folder, record, CheckpointPolicy(**record.config["checkpoint"]))
        try:
            yield writer
        except CnnexpError as error:
            trace = isinstance(error, CallbackError)  # whose it is wants to see where
            log.error("%s", traceback.format_exc() if trace else error)
            writer.finish("failed", str(error))
            raise
        except (KeyboardInterrupt, SystemExit):
            writer.finish("interrupted")
            raise
        except BaseException as error:
            log.error("%s", traceback.format_exc())
            writer.finish("failed", f"{type(error).__name__}: {error}")
            raise


@contextmanager
def _logged(folder: Path, warn: Callable[[str], None]) -> Iterator[None]:
    """Write what is logged to ``train.log`` in a run folder."""
    path = folder / "train.log"
    file = io.TextIOWrapper(open_to_append(path), "utf-8")
    handler = _Lines(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()
        try:
            file.close()
        except OSError as error:
            handler.trouble = error
        if handler.trouble is not None:
            why = system_reason(handler.trouble)
            warn(f"warning: {path}: some of its lines may be lost: {why}.")


class _Lines(logging.StreamHandler[io.TextIOWrapper]):
    """Writes lines; one that cannot be written does not end the run."""

    trouble: OSError | None = None

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Keep the error, to tell of it at the end."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        else:
            self.trouble = error
