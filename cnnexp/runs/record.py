"""``run.json``: one small file that tells all about a run.

========== ==================================================================================
status     running, finished, diverged, interrupted or failed; read on the same host after the
           process has gone, ``running`` becomes ``killed``
reason     why a run diverged or failed
process    host, number and start of the process; heartbeat: when it last gave a sign of life
config     all settings; choices: the names chosen in the groups; overrides: what was typed
data       checksum and sizes
network    parameters, multiply-adds, threads and sub_batch as they were used
results    the last epoch's figures, the best epoch, and totals
usage      wall and processor seconds, peak memory
========== ==================================================================================
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from cnnexp.errors import RunError
from cnnexp.runs.files import replace_json
from cnnexp.runs.process import is_gone

FORMAT = 1
FILE = "run.json"
STATUSES = ("running", "finished", "diverged", "interrupted", "failed", "killed")

Record = dict[str, Any]


def now() -> str:
    """Return the time, with its offset from universal time."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def write_record(folder: Path, record: Record) -> None:
    """Write ``run.json`` whole."""
    replace_json(folder / FILE, record)


def read_record(folder: Path | str) -> Record:
    """Read ``run.json`` and set its status right.

    Raises
    ------
    RunError
        If there is none, or it is not what a run writes.
    """
    path = os.path.join(folder, FILE)
    try:
        with open(path, "rb") as file:
            record = json.loads(file.read())
    except FileNotFoundError:
        raise RunError(f"{folder}: no run here: there is no {FILE}.") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: damaged: {error}") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT or "status" not in record:
        found = record.get("format") if isinstance(record, dict) else type(record).__name__
        raise RunError(
            f"{path}: not a run of this version: expected format {FORMAT}, found {found}."
        )
    record["status"] = true_status(record)
    return record


def true_status(record: Record) -> str:
    """Return the status; a run that says running while its process is gone was killed."""
    status = str(record["status"])
    if status == "running" and is_gone(record.get("process", {})):
        return "killed"
    return status


def holds_a_run(folder: Path) -> bool:
    """Say whether a folder already belongs to a run."""
    return (folder / FILE).exists() or (folder / ".hydra").exists()
