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
checksums  of weights, checkpoint and logs; see `checksums`
plugins    the modules that were imported, and the user's signature; see `trust`
rerun_of   the run whose settings these are, where it was begun by ``rerun``
resumed    for each time it was resumed: when, from where, and how the machine differed
========== ==================================================================================
"""

from __future__ import annotations

import copy
import json
import math
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from cnnexp.errors import RunError, foreign
from cnnexp.runs.files import read_bytes, replace_json
from cnnexp.runs.forms import COUNT, NUMBER, Maybe, fault_of, is_nested_too_deeply
from cnnexp.runs.process import is_gone, is_here
from cnnexp.runs.version1 import FORMAT as FORMAT_1
from cnnexp.runs.version1 import translate_record

FORMAT = 2
SILENCE = 300.0  # seconds without a sign of life after which a run on another host is given up
FILE = "run.json"
LARGEST = 1 << 26  # bytes of run.json; it has some thousands

NEEDED = ("status", "reason", "created", "heartbeat", "process", "config", "choices", "results")
NEWER = {"augment": {"name": "none", "transforms": []}}  # settings that older runs do not have
SCALE = {"factor": object, "shift": object, "largest": NUMBER}  # a number, or one for each column
FORM = {
    "status": str,
    "reason": Maybe(str),
    "created": str,
    "ended": Maybe(str),
    "heartbeat": str,
    "process": {"host": Maybe(str), "pid": Maybe(COUNT), "started": Maybe(NUMBER)},
    "config": {
        "model": {"name": Maybe(str), "layers": [{"type": str, "name": Maybe(str)}]},
        **dict.fromkeys(("impl", "data", "optimizer", "schedule", "loss"), Maybe({"name": str})),
        "metrics": Maybe([str]),
        "learning_rate": Maybe(NUMBER),
        **dict.fromkeys(("epochs", "batch_size", "seed"), Maybe(COUNT)),
        "dtype": Maybe(str),
        **dict.fromkeys(("plugins", "tags"), Maybe([str])),
        **dict.fromkeys(("init_from", "name", "note"), Maybe(str)),
    },
    "config_hash": Maybe(str),
    "fingerprint": Maybe(str),
    "init_from": Maybe({"checksum": Maybe(str)}),
    "choices": {str: Maybe(str)},
    "overrides": Maybe([str]),
    "data": Maybe(
        {
            "checksum": str,
            **dict.fromkeys(("train", "validation", "test"), COUNT),
            "classes": [str],
            "target_shape": Maybe([COUNT]),
            "scale": Maybe(SCALE),
            "target_scale": Maybe(SCALE),
        }
    ),
    "network": Maybe(
        {
            "input_shape": [COUNT],
            "parameters": COUNT,
            "multiply_adds": COUNT,
            "threads": COUNT,
            "micro_batch": COUNT,
            "inference_micro_batch": COUNT,
        }
    ),
    "results": {str: Maybe(NUMBER)},
    "usage": Maybe({str: Maybe(NUMBER)}),
    "environment": Maybe(
        {
            "command": Maybe([str]),
            "packages": Maybe({str: Maybe(str)}),
            "blas": Maybe(dict),
            **dict.fromkeys(("git", "project"), Maybe({"commit": str, "dirty": bool})),
            "user": Maybe(str),
            "folder": Maybe(str),
        }
    ),
    "rerun_of": Maybe(str),
    "resumed": Maybe(
        [{"at": str, "epoch": COUNT, "batch": COUNT, "differences": Maybe([str])}],
    ),
    "plugins": Maybe(
        {"modules": [{"name": str, "path": str, "checksum": str}], "signature": str},
    ),
    "checksums": Maybe(
        {
            "weights.pkl": Maybe(str),
            "checkpoints": Maybe([{"checkpoint": str, "logs": {str: [object]}}]),
            "logs": Maybe({str: [object]}),
        }
    ),
}

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
    path = Path(folder, FILE)
    try:
        with foreign(path):
            record = json.loads(read_bytes(path, LARGEST))
    except FileNotFoundError:
        raise RunError(f"{folder}: no run here: there is no {FILE}.") from None
    found = record.get("format") if isinstance(record, dict) else type(record).__name__
    with foreign(path):
        if is_nested_too_deeply(record):
            raise RecursionError
        if found == FORMAT_1:
            record = translate_record(record)
        elif found != FORMAT:
            raise RunError(
                f"{path}: not a run of this version: expected format {FORMAT}, found {found!s:.20}."
            )
        if absent := [key for key in NEEDED if key not in record]:
            raise RunError(f"{path}: damaged: there is no {', '.join(absent)} in it.")
        if fault := fault_of(record, FORM):
            raise RunError(f"{path}: damaged: {fault}.")
        for key, value in NEWER.items():
            record["config"].setdefault(key, copy.deepcopy(value))
        record["status"] = true_status(record)
    return cast(Record, record)


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
