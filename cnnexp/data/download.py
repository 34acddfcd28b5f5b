"""Downloading the files of a data set: mirrors, retries, a lock, checksums, whole files only.

A server cannot keep a program busy for ever: a file has a largest size, a longest time, and a rate
below which it counts as stalled.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from cnnexp.data.files import File, find
from cnnexp.errors import DataError, system_cause, system_reason

TIMEOUT = 30.0  # seconds without an answer, or of too few bytes, before a mirror is given up
SLOWEST = 1_000.0  # bytes per second, over TIMEOUT seconds
MOST_SECONDS = 3_600.0  # that one file may take
RETRIES = 2  # on the same mirror
PARTIAL = ".partial"  # the folder of what has not come whole yet
CHUNK = 2**16  # bytes that are asked for at a time


class Remote(Protocol):
    """A source whose files lie on mirrors: addresses of folders that hold them packed."""

    @property
    def name(self) -> str:
        """Its name in the table of sources."""

    @property
    def folder(self) -> Path:
        """The folder that will hold them."""

    @property
    def files(self) -> Sequence[File]:
        """All files."""

    @property
    def mirrors(self) -> Sequence[str]:
        """Addresses, the first of them first."""


class Refused(Exception):
    """A download that was broken off; the message says why."""


def download(source: Remote, files: Sequence[File]) -> None:
    """Fetch packed files into the folder of a source.

    Jobs that run side by side wait for one another and download once. Each file is checked before
    it is moved into place, so that a file is there whole or not at all.

    Raises
    ------
    DataError
        If the folder cannot be written, or no mirror gave a file.
    """
    from filelock import FileLock

    folder = source.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".download.lock"):
            shutil.rmtree(folder / PARTIAL, ignore_errors=True)  # of one that was killed
            for file in files:
                if find(folder, file) is None:
                    _fetch(source, file)
            shutil.rmtree(folder / PARTIAL, ignore_errors=True)
    except OSError as error:
        reason = system_reason(system_cause(error) or error)  # pooch makes longer texts of some
        raise DataError(f"data={source.name}: cannot write to {folder}: {reason}.") from None


def _fetch(source: Remote, file: File) -> None:
    """Try one mirror after the other."""
    import pooch
    import requests

    reasons = []
    pooch.get_logger().setLevel("ERROR")
    for mirror in source.mirrors:
        store = pooch.create(
            path=source.folder / PARTIAL,
            base_url=mirror,
            registry={file.packed_name: file.packed},
            retry_if_failed=RETRIES,
        )
        with _Progress(f"{source.name}: {file.packed_name}") as progress:
            try:
                whole = store.fetch(file.packed_name, downloader=_Downloader(file.most, progress))
            except (requests.RequestException, Refused, ValueError) as error:
                reasons.append(f"    {mirror}  {_short(error)}")
            else:
                Path(whole).replace(source.folder / file.packed_name)
                return
    raise DataError(_nothing_came(source, reasons))


class _Downloader:
    """Writes what an address gives into a file, as pooch asks for it, within bounds.

    Parameters
    ----------
    most : int
        Bytes that are taken.
    progress : _Progress
        Is told of the bytes that came.
    """

    def __init__(self, most: int, progress: _Progress) -> None:
        self.most, self.progress = most, progress

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        """Download `url` into the path `output_file`."""
        import requests

        # Packed files are taken as they are, never unpacked on the way.
        headers = {"Accept-Encoding": "identity"}
        began = time.monotonic()
        with requests.get(url, stream=True, timeout=TIMEOUT, headers=headers) as response:
            response.raise_for_status()
            length = int(response.headers.get("content-length") or 0)
            if length > self.most:
                raise Refused(f"announces {length:,} bytes; at most {self.most:,} are taken")
            self.progress.begin(length or None)
            with open(output_file, "wb") as file:
                count = self._copy(_reader(response), file, began)
        if count < length:
            raise requests.ConnectionError(f"broke off after {count:,} of {length:,} bytes")

    def _copy(self, read: Callable[[int], bytes], file: IO[bytes], began: float) -> int:
        """Copy all bytes, and return their number."""
        count, window, before = 0, began, 0
        while block := read(CHUNK):
            file.write(block)
            count += len(block)
            self.progress.advance(len(block))
            now = time.monotonic()
            if count > self.most:
                raise Refused(f"sends more than the {self.most:,} bytes that are taken")
            if now - began > MOST_SECONDS:
                raise Refused(f"took longer than {MOST_SECONDS:,.0f} s")
            if now - window > TIMEOUT:
                if count - before < SLOWEST * TIMEOUT:
                    raise Refused(
                        f"stalled: sent {count - before:,} bytes in {now - window:.2g} s, after"
                        f" {before:,} before"
                    )
                window, before = now, count
        return count


def _reader(response: Any) -> Callable[[int], bytes]:
    """Return a function that gives the next bytes of an answer, as soon as there are some.

    Raises
    ------
    Refused
        From that function, if nothing comes for `TIMEOUT` seconds.
    """
    import requests
    from urllib3.exceptions import HTTPError, ReadTimeoutError

    raw = response.raw
    # read() would wait until there are as many bytes as were asked for
    read = raw.read1 if hasattr(raw, "read1") else lambda _: raw.read(1024)

    def next_bytes(most: int) -> bytes:
        try:
            found: bytes = read(most)
        except (ReadTimeoutError, TimeoutError):
            raise Refused(f"stalled: sent nothing for {TIMEOUT:g} s") from None
        except OverflowError:  # a chunk that claims more bytes than there are numbers for
            raise requests.ConnectionError("broke off: a part has no possible length") from None
        except HTTPError as error:
            raise requests.ConnectionError(f"broke off: {error}") from None
        return found

    return next_bytes


def _nothing_came(source: Remote, reasons: Sequence[str]) -> str:
    """Say what is needed, where it was looked for, and what else can be done."""
    files = "\n".join(f"    {file.packed_name}" for file in source.files)
    return (
        f"data={source.name}: its files are not there and could not be downloaded.\n"
        f"  files (packed or unpacked):\n{files}\n"
        f"  folder:\n    {source.folder}\n"
        "  mirrors that were tried:\n" + "\n".join(reasons) + "\n"
        f"Put the files into the folder, or name theirs with data.dir=FOLDER, or the folder that"
        f" holds {source.name}/ with the environment variable CNNEXP_DATA_DIR; or use"
        " data=digits, which needs no download."
    )


def _short(error: Exception) -> str:
    """Say in a few words why a mirror gave nothing."""
    import requests

    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"answered with HTTP {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return f"gave no answer within {TIMEOUT:g} s"
    if isinstance(error, requests.ConnectionError):
        text = str(error)
        return text if text.startswith("broke off") else "cannot be reached"
    if "hash" in str(error):
        return "sent another file: its checksum is not the known one"
    return f"{type(error).__name__}: {error}"


class _Progress:
    """A bar on a terminal; silent elsewhere."""

    def __init__(self, title: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task(title, total=None)

    def begin(self, total: int | None) -> None:
        """Begin, or begin again, with so many bytes to come."""
        self._bar.reset(self._task, total=total)

    def advance(self, count: int) -> None:
        """Show some more bytes."""
        self._bar.update(self._task, advance=count)

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
