"""``run.json``: one small file that tells all about a run.

========== ==================================================================================
status     running, finished, diverged, interrupted or failed; ``running`` is read as ``killed``
           when the process has gone, or has been silent for long on another host
reason     why a run diverged, failed or stopped early
process    host, number and start of the process; heartbeat: when it last gave a sign of life
config     all settings; choices: the names chosen in the groups; overrides: what was typed
init_from  checksum of the weights it began from, where it began from a run's
data       checksum and sizes
network    parameters, multiply-adds, threads and micro_batch as they were used
results    the figures of the weights that are kept (those of the last epoch, or with
           ``best_weights`` of the best one), the best epoch, and totals
usage      wall and processor seconds, peak memory
resumed    for each time it was resumed: when, from where, and how the machine differed
========== ==================================================================================
"""

from __future__ import annotations

import copy
import json
import math
import os
from datetime import datetime
from pathlib import Path
from types import NoneType
from typing import Any, cast

from cnnexp.errors import RunError
from cnnexp.runs.files import replace_json
from cnnexp.runs.process import is_gone, is_here
from cnnexp.runs.version1 import FORMAT as FORMAT_1
from cnnexp.runs.version1 import translate_record

FORMAT = 2
SILENCE = 300.0  # seconds without a sign of life after which a run on another host is given up
FILE = "run.json"
NEEDED = ("status", "reason", "created", "heartbeat", "process", "config", "choices", "results")
NEWER = {"augment": {"name": "none", "transforms": []}}  # settings that older runs do not have

Record = dict[str, Any]


def now() -> str:
    """Return the time, with its offset from universal time."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def write_record(folder: Path, record: Record) -> None:
    """Write ``run.json`` whole; JSON has no word for a result that is not finite, but null."""
    results = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in record.get("results", {}).items()
    }
    replace_json(folder / FILE, record | {"results": results})


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
    found = record.get("format") if isinstance(record, dict) else type(record).__name__
    if found == FORMAT_1:
        record = translate_record(record)
    elif found != FORMAT:
        raise RunError(
            f"{path}: not a run of this version: expected format {FORMAT}, found {found}."
        )
    absent = [key for key in NEEDED if key not in record]
    if absent:
        raise RunError(f"{path}: damaged: there is no {', '.join(absent)} in it.")
    if wrong := _wrong_kinds(record):
        raise RunError(f"{path}: damaged: {wrong}.")
    for key, value in NEWER.items():
        record["config"].setdefault(key, copy.deepcopy(value))
    try:
        record["status"] = true_status(record)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path}: damaged: {type(error).__name__}: {error}") from None
    return cast(Record, record)


def _wrong_kinds(record: Record) -> str:
    """Say what is not of the kind that a run writes; an empty text if all is."""
    config, results = record["config"], record["results"]
    if not (isinstance(config, dict) and isinstance(results, dict)):
        return "config and results must be objects"
    if not isinstance(record["choices"], dict):
        return "choices must be an object"
    model = config.get("model")
    if not (isinstance(model, dict) and isinstance(model.get("layers"), list)):
        return "config.model.layers must be a list"
    numbers = {f"config.{key}": config.get(key) for key in ("epochs", "batch_size", "seed")}
    numbers |= {f"results.{key}": value for key, value in results.items()}
    odd = [key for key, value in numbers.items() if not isinstance(value, (int, float, NoneType))]
    return f"{odd[0]} must be a number, and is {numbers[odd[0]]!r}" if odd else ""


def true_status(record: Record) -> str:
    """Return the status; a run that says running while its process is gone was killed.

    Processes of another host cannot be seen, but a run there writes a sign of life every few
    seconds: after a long silence it counts as killed too.
    """
    status = str(record["status"])
    if status != "running":
        return status
    process = record.get("process", {})
    gone = is_gone(process) if is_here(process) else silence(record) > SILENCE
    return "killed" if gone else status


def silence(record: Record) -> float:
    """Return the seconds since a run's last sign of life."""
    last = datetime.fromisoformat(record["heartbeat"])
    return (datetime.now().astimezone() - last).total_seconds()


def is_a_run(folder: Path) -> bool:
    """Say whether there is a run's ``run.json`` in a folder."""
    if not (folder / FILE).is_file():
        return False
    try:
        read_record(folder)
    except RunError:
        return False
    return True


def holds_a_run(folder: Path) -> bool:
    """Say whether a folder already belongs to a run."""
    return (folder / FILE).exists() or (folder / ".hydra").exists()
