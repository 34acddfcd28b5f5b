"""Writing a run, or a folder of runs, as one archive."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from cnnexp.errors import RunError
from cnnexp.runs.archives import ENDING, Archive, fault_of, is_too_dense, place_of
from cnnexp.runs.checksums import CHECKPOINT, WEIGHTS
from cnnexp.runs.files import read_bytes, replacing
from cnnexp.runs.finding import find_runs, flat_row
from cnnexp.runs.folders import LOCK, TRASH
from cnnexp.runs.pickles import LARGEST

LEFT_OUT = (CHECKPOINT, LOCK, ".sweep.lock", TRASH)
DATE = (1980, 1, 1, 0, 0, 0)  # of every file: the same runs give the same bytes


class Archived(NamedTuple):
    """What was put into an archive.

    Attributes
    ----------
    runs, files : int
        How many there are.
    without_weights : int
        Runs whose weights are in a checkpoint alone, which is left out.
    size : int
        Bytes of the archive.
    """

    runs: int
    files: int
    without_weights: int
    size: int


def write_archive(folder: Path, file: Path, runs: Sequence[Path]) -> Archived:
    """Write the files below a folder, all but checkpoints and locks, into a new archive.

    Parameters
    ----------
    folder : Path
        A run, or a folder of runs.
    file : Path
        The archive.
    runs : sequence of Path
        What `ended_runs` found in the folder.

    Raises
    ------
    RunError
        If a file is none that an archive may hold, or the archive is there already.
    """
    _check_place(folder, file)
    top = folder.resolve().name.replace(":", "-").replace("\\", "-")  # a time, for example
    files = {f"{top}/{name}": path for name, path in _files_of(folder, "")}
    _check_names(files)
    with replacing(file) as out:
        dense = _pack(out, files, stored=set())
        if dense:  # as a stranger's archive it would be refused
            out.seek(0)
            out.truncate()
            _pack(out, files, stored=dense)
        out.flush()
        Archive(Path(out.name))
    without = [run for run in runs if not (run / WEIGHTS).exists()]
    return Archived(len(runs), len(files), len(without), file.stat().st_size)


def ended_runs(folder: Path) -> list[Path]:
    """Return the runs below a folder.

    Raises
    ------
    RunError
        If there is none, one is still going on, or they are in an archive.
    """
    if place_of(folder) is not None:
        raise RunError(f"{folder}: is an archive already.")
    runs = [Path(run) for run in find_runs(folder)]
    for run in runs:
        if flat_row(str(run))["status"] == "running":
            raise RunError(f"{run}: is still going on. Wait for its end, or stop it first.")
    if not runs:
        raise RunError(f"{folder}: there is no run in it.")
    return runs


def _check_place(folder: Path, file: Path) -> None:
    """Refuse a place for the archive that is taken, or would be part of it."""
    if file.suffix.lower() != ENDING:
        raise RunError(f"{file}: the name of an archive must end with {ENDING}.")
    if os.path.lexists(file):
        raise RunError(f"{file}: is there already. Remove it, or name another file.")
    if not file.parent.is_dir():
        raise RunError(f"{file}: there is no folder {file.parent} to write it into.")
    if file.resolve().is_relative_to(folder.resolve()):
        raise RunError(f"{file}: would lie in the folder that it is made of. Name another place.")


def _check_names(files: dict[str, Path]) -> None:
    """Refuse, before anything is packed, names that a reader of archives would refuse."""
    for name, path in files.items():
        fault = fault_of(zipfile.ZipInfo(name)) if _is_text(name) else "is not text"
        if fault:
            raise RunError(f"{path}: its name {fault}, as archives need it. Rename it first.")


def _is_text(name: str) -> bool:
    """Say whether a name can be written in UTF-8; the bytes of some are no text."""
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def _files_of(folder: Path, before: str) -> Iterator[tuple[str, Path]]:
    """Yield the files below a folder by their names, in order.

    Raises
    ------
    RunError
        If one is a link, or no file: it would be another thing elsewhere.
    """
    for path in sorted(folder.iterdir()):
        kind = path.lstat().st_mode
        if path.name in LEFT_OUT or (path.name.startswith(".") and path.suffix == ".tmp"):
            continue
        if stat.S_ISDIR(kind):
            yield from _files_of(path, f"{before}{path.name}/")
        elif stat.S_ISREG(kind):
            yield f"{before}{path.name}", path
        else:
            raise RunError(
                f"{path}: is a link, or no file, which an archive does not hold. Put the file"
                " itself in its place, or remove it."
            )


def _pack(out: BinaryIO, files: dict[str, Path], stored: set[str]) -> set[str]:
    """Write an archive, some files of it as they are; return those that were packed too well."""
    with zipfile.ZipFile(out, "w") as archive:
        for name, path in files.items():
            info = zipfile.ZipInfo(name, DATE)
            info.create_system = 3  # Unix, whose permissions these are
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            method = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
            archive.writestr(info, read_bytes(path, LARGEST), method)
        return {info.filename for info in archive.infolist() if is_too_dense(info)}
