"""Checksums of what a run writes, kept in ``run.json`` and compared when files are read.

``checksums`` in ``run.json`` has

======================  ==========================================================================
``checkpoints``         for each checkpoint that may be there: its checksum, and for each log how
                        long it was then, with a checksum of that prefix
``epochs``              with ``checkpoint.keep=all``, the checksum of the weights after each epoch
``weights.pkl``         the checksum of the final weights
``logs``                length and checksum of each whole log at the end
======================  ==========================================================================

A checkpoint is entered before it replaces the one before it, beside that one: whenever the process
is killed, the file that is there has an entry. What has no entry, as in runs of older versions, is
read without a comparison. Checksums find what a disk or a hand has changed; they are no signature:
whoever changes a file can change ``run.json`` too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cnnexp.errors import RunError
from cnnexp.runs.files import LARGEST_TEXT, Prefix, checksum, is_file, read_bytes
from cnnexp.runs.pickles import LARGEST
from cnnexp.runs.record import FILE, Record, read_record
from cnnexp.runs.record_parts import CheckpointEntry, Checksums

CHECKPOINT = "checkpoint.pkl"
WEIGHTS: Final = "weights.pkl"  # also a key of Checksums
TRIES = 50  # of a run that goes on, and replaces a file between two looks at it


def entry_of(content: bytes, logs: Mapping[str, Prefix]) -> CheckpointEntry:
    """Return the entry of a checkpoint, with the logs as they are at that moment."""
    return {"checkpoint": checksum(content), "logs": {k: list(v) for k, v in logs.items()}}


def read_checked(
    folder: Path, name: str, accept_changes: bool = False, shown: Path | None = None
) -> bytes:
    """Return the contents of a file of a run, compared with its checksum if there is one.

    Parameters
    ----------
    folder : Path
        The run folder.
    name : str
        ``weights.pkl``, ``checkpoint.pkl``, or a log.
    accept_changes : bool
        Read it whatever it contains.
    shown : Path, optional
        The folder as the user named it, for messages.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    RunError
        If it is not what the run wrote.
    """
    largest = LARGEST if name in (WEIGHTS, CHECKPOINT) else LARGEST_TEXT
    for _ in range(TRIES):
        before = _record(folder)  # first, for a log then has at least what this says
        content = read_bytes(folder / name, largest)
        if accept_changes or is_as_recorded(folder, before, name, content):
            return content
        after = _record(folder)
        if is_as_recorded(folder, after, name, content):
            return content
        if before == after:
            break
    path = (shown or folder) / name
    raise RunError(
        f"{path}: is not what the run wrote: its contents do not have the checksum in"
        f" run.json, so it was damaged, or changed. {_remedy(name)} To use it as it is, if you"
        " changed it on purpose: --accept-changes, or load_run(…, accept_changes=True)."
    )


def check_all(folder: Path, accept_changes: bool = False) -> None:
    """Compare every file that has a checksum and is there; see `read_checked`."""
    if accept_changes:
        return
    found = read_record(folder).checksums
    logs = dict(found.get("logs") or {})
    for entry in found.get("checkpoints") or []:
        logs |= entry["logs"]
    for name in (WEIGHTS, CHECKPOINT, *logs):
        if is_file(folder / name):
            read_checked(folder, name)


def _record(folder: Path) -> Record | None:
    """Return what ``run.json`` says, where there is one."""
    return read_record(folder) if is_file(folder / FILE) else None


def is_as_recorded(folder: Path, record: Record | None, name: str, content: bytes) -> bool:
    """Say whether a file has its checksum, or has none."""
    found: Checksums = record.checksums if record is not None else {}
    if name == WEIGHTS:
        return found.get(WEIGHTS) in (None, checksum(content))
    entries = found.get("checkpoints") or []
    if name == CHECKPOINT:
        return not entries or checksum(content) in [entry["checkpoint"] for entry in entries]
    whole = (found.get("logs") or {}).get(name)
    if whole is not None:
        return Prefix.of(content) == tuple(whole)
    entry = _entry_that_holds(folder, entries)
    prefix = entry["logs"].get(name) if entry is not None else None
    return prefix is None or Prefix.of(content[: prefix[0]]) == tuple(prefix)


def _entry_that_holds(folder: Path, entries: list[CheckpointEntry]) -> CheckpointEntry | None:
    """Return the entry of the checkpoint that is there, if there is one."""
    if len(entries) > 1 or (entries and not is_file(folder / CHECKPOINT)):
        try:
            there = checksum(read_bytes(folder / CHECKPOINT, LARGEST))
        except FileNotFoundError:
            return None
        entries = [entry for entry in entries if entry["checkpoint"] == there]
    return entries[0] if entries else None


def _remedy(name: str) -> str:
    if name == CHECKPOINT:
        return "Put the original back, or delete it: the run then starts over when it is resumed."
    return "Put the original back."
