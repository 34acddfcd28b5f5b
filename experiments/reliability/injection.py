"""Counting the file operations of a program, and letting one of them fail.

What is opened, renamed, made, removed or listed is seen through an audit hook, whoever calls it.
What has no audit event (reads, writes, syncs, closes, questions for a file's state) is seen through
replaced functions and a file object of our own. Only what lies below one folder counts. Processes
that are forked share the count.
"""

from __future__ import annotations

import _io
import builtins
import contextlib
import errno
import io
import mmap
import os
import signal
import struct
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

CREATING = ("open to write", "write", "sync", "close", "rename", "mkdir", "link", "lock")
CHANGING = (*CREATING, "unlink", "rmdir", "truncate", "chmod")
ALL = (*CHANGING, "open to read", "read", "list", "stat")
BY_PATH = ("open to write", "open to read", "rename", "mkdir", "link", "unlink", "rmdir", "list")


class Kind(NamedTuple):
    """A kind of failure: its name, its number, what can meet it, and whether it lasts."""

    name: str
    errno: int
    operations: Sequence[str]
    lasting: bool = False


# A disk without room refuses what needs room, a right is asked for where a path is looked up, a
# disk may fail at anything. Between two changes a kill leaves the same files behind: it is tried
# at every change.
KINDS = {
    kind.name: kind
    for kind in (
        Kind("disk full", errno.ENOSPC, CREATING),
        Kind("disk stays full", errno.ENOSPC, CREATING, lasting=True),
        Kind("no permission", errno.EACCES, BY_PATH),
        Kind("I/O error", errno.EIO, ALL),
        Kind("kill", 0, CHANGING),
    )
}
EVENTS = {
    "os.rename": "rename",
    "os.mkdir": "mkdir",
    "os.remove": "unlink",
    "os.rmdir": "rmdir",
    "os.link": "link",
    "os.symlink": "link",
    "os.truncate": "truncate",
    "os.chmod": "chmod",
    "os.utime": "chmod",
    "os.listdir": "list",
    "os.scandir": "list",
    "fcntl.flock": "lock",
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
Number = struct.Struct("q")


class Operation(NamedTuple):
    """One file operation."""

    name: str
    path: str


class Injection:
    """The file operations below a folder, in this process and in those it forks.

    Parameters
    ----------
    root : Path
        The folder.
    at : int
        Which operation fails, counted from 1; 0 for none.
    kind : Kind, optional
        How it fails.
    log : Path, optional
        Where all operations are written, for `operations_in`; outside of the folder.
    who : {"all", "parent", "jobs"}
        Whose operations count: those of this process, of those that it forks, or all.
    """

    def __init__(
        self,
        root: Path,
        at: int = 0,
        kind: Kind | None = None,
        log: Path | None = None,
        who: str = "all",
    ) -> None:
        self.root = str(root)
        self.at, self.kind = at, kind
        self._count = mmap.mmap(-1, Number.size)  # shared with the processes that are forked
        self._log = -1 if log is None else os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._who, self._parent = who, 0
        self._active = False
        self._opener_tells = False
        self._paths: dict[int, str] = {}

    def begin(self) -> None:
        """Count from now on, in this process, until it ends."""
        sys.addaudithook(self._hear)
        self._replace_functions()
        self._parent = os.getpid()
        self._active = True

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._active:
            return
        if event == "open":
            path, _, flags = arguments
            if self._opener_tells:
                self._opener_tells = False
            elif not isinstance(path, int):
                self.meet("open to write" if flags & WRITING else "open to read", path)
        elif (name := EVENTS.get(event)) is not None:
            self.meet(name, arguments[0])

    def meet(self, name: str, path: Any) -> None:
        """Count an operation on a path or a descriptor, and let it fail if it is its turn."""
        if (error := self.failure(name, path)) is not None:
            raise error

    def failure(
        self, name: str, path: Any, before_a_kill: Callable[[], object] = int
    ) -> OSError | None:
        """Count an operation, and return the error that it is to raise; a kill comes here."""
        if not self._counts() or (place := self._place(path)) is None:
            return None
        (count,) = Number.unpack(self._count[: Number.size])
        self._count[: Number.size] = Number.pack(count + 1)
        if self._log >= 0:
            _write(self._log, f"{name}\t{place}\n".encode())
        kind = self.kind
        if kind is None or name not in kind.operations:
            return None
        if count + 1 != self.at and not (kind.lasting and count + 1 > self.at):
            return None
        if not kind.errno:
            before_a_kill()
            os.kill(os.getpid(), signal.SIGKILL)
        return OSError(kind.errno, os.strerror(kind.errno), place)

    def _counts(self) -> bool:
        """Say whether this process's operations count."""
        role = "parent" if os.getpid() == self._parent else "jobs"
        return self._active and self._who in ("all", role)

    def _place(self, path: Any) -> str | None:
        """Return the absolute path, if it is below the folder."""
        if isinstance(path, int):
            return self._paths.get(path)
        try:
            absolute = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 (no link is followed)
        except (TypeError, OSError):
            return None
        inside = absolute == self.root or absolute.startswith(self.root + os.sep)
        return absolute if inside else None

    def opened(self, descriptor: int, path: Any) -> None:
        """Note the path of a descriptor."""
        self._paths.pop(descriptor, None)
        if not isinstance(path, int) and (place := self._place(path)) is not None:
            self._paths[descriptor] = place

    def _replace_functions(self) -> None:
        for name, what in (("stat", "stat"), ("lstat", "stat"), ("fstat", "stat")):
            setattr(os, name, self._before(getattr(os, name), what))
        os.fsync = self._before(os.fsync, "sync")
        os.ftruncate = self._before(os.ftruncate, "truncate")
        os.open = self._noting(os.open)
        opened = _opener(self)
        for module in (builtins, io, _io):
            module.open = opened  # type: ignore[attr-defined]

    def _before(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """Return a function that counts, and then does what it did."""

        def replaced(path: Any, *rest: Any, **options: Any) -> Any:
            if options.get("dir_fd") is None:
                self.meet(name, path)
            return function(path, *rest, **options)

        return replaced

    def _noting(self, function: Callable[..., int]) -> Callable[..., int]:
        """Return `os.open`, which notes the paths of descriptors."""

        def replaced(path: Any, *rest: Any, **options: Any) -> int:
            descriptor = function(path, *rest, **options)
            self.opened(descriptor, path)
            return descriptor

        return replaced

    def opens_through(self, opener: Any) -> None:
        """Note that a file is opened by a function, which tells of it again."""
        self._opener_tells = opener is not None


_write = os.write


class _Raw(io.FileIO):
    """A file whose every read and write counts."""

    def __init__(
        self, injection: Injection, file: Any, mode: str, closefd: bool, opener: Any
    ) -> None:
        self._injection = injection
        self._due: OSError | None = None
        injection.opens_through(opener)
        super().__init__(file, mode, closefd, opener)
        if not isinstance(file, int):
            injection.opened(self.fileno(), file)

    def write(self, content: Any) -> int:
        """Write; before a failure half of it is written, and said to be, as a kernel does."""
        if (error := self._due) is not None:
            self._due = None
            raise error
        write, whole = super().write, memoryview(content).cast("B")
        half = whole[: len(whole) // 2]
        error = self._injection.failure("write", self.fileno(), lambda: write(half))
        if error is None:
            return write(whole)
        if not half:
            raise error
        self._due = error
        return write(half)

    def readinto(self, buffer: Any) -> int | None:
        """Read into a buffer."""
        self._injection.meet("read", self.fileno())
        return super().readinto(buffer)

    def readall(self) -> bytes:
        """Read all."""
        self._injection.meet("read", self.fileno())
        return super().readall()

    def truncate(self, size: int | None = None) -> int:
        """Cut it off."""
        self._injection.meet("truncate", self.fileno())
        return super().truncate(size)

    def close(self) -> None:
        """Close; what fails is closed all the same."""
        if self.closed:
            return
        descriptor, writes = self.fileno(), self.writable()
        try:
            if writes:
                self._injection.meet("close", descriptor)
        finally:
            super().close()


def _opener(injection: Injection) -> Callable[..., Any]:
    """Return `open`, made of the same layers, above a file of ours."""

    def opened(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        plain = mode.replace("b", "").replace("t", "")
        raw = _Raw(injection, file, plain, closefd, opener)
        if buffering == 0:
            return raw
        try:
            return _layers(raw, mode, encoding, errors, newline, buffering == 1)
        except BaseException:
            with contextlib.suppress(OSError):
                raw.close()
            raise

    return opened


def _layers(
    raw: _Raw,
    mode: str,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
    by_line: bool,
) -> Any:
    """Put a buffer, and for text a decoder, above a file."""
    if "+" in mode:
        buffer: Any = io.BufferedRandom(raw)
    else:
        buffer = io.BufferedReader(raw) if "r" in mode else io.BufferedWriter(raw)
    if "b" in mode:
        return buffer
    text = io.TextIOWrapper(buffer, encoding, errors, newline, by_line)
    text.mode = mode  # type: ignore[misc]
    return text


def operations_in(log: Path) -> list[Operation]:
    """Return the operations that were written to a log."""
    lines = log.read_text(errors="surrogateescape").splitlines()
    return [Operation(*line.split("\t", 1)) for line in lines]
