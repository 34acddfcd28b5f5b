"""Downloading the files of a data set: mirrors, retries, a lock, checksums, whole files only."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from cnnexp.data.files import File, find
from cnnexp.errors import DataError

TIMEOUT = 30.0  # seconds without a byte before a mirror is given up
RETRIES = 2  # on the same mirror


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
            for file in files:
                if find(folder, file) is None:
                    _fetch(source, file)
    except OSError as error:
        raise DataError(
            f"data={source.name}: cannot write to {folder}: {error.strerror}."
        ) from None


def _fetch(source: Remote, file: File) -> None:
    """Try one mirror after the other."""
    import pooch
    import requests

    packed = f"{file.name}.gz"
    reasons = []
    pooch.get_logger().setLevel("ERROR")
    for mirror in source.mirrors:
        store = pooch.create(
            path=source.folder,
            base_url=mirror,
            registry={packed: file.packed},
            retry_if_failed=RETRIES,
        )
        with _Progress(f"{source.name}: {packed}") as progress:
            fetcher = pooch.HTTPDownloader(progressbar=progress, timeout=TIMEOUT)
            try:
                store.fetch(packed, downloader=fetcher)
            except (requests.RequestException, ValueError) as error:
                reasons.append(f"    {mirror}  {_short(error)}")
            else:
                return
    raise DataError(_nothing_came(source, reasons))


def _nothing_came(source: Remote, reasons: Sequence[str]) -> str:
    """Say what is needed, where it was looked for, and what else can be done."""
    files = "\n".join(f"    {file.name}.gz" for file in source.files)
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

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"answered with HTTP {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return f"gave no answer within {TIMEOUT:g} s"
    if isinstance(error, requests.ConnectionError):
        return "cannot be reached"
    if "hash" in str(error):
        return "sent another file: its checksum is not the known one"
    return f"{type(error).__name__}: {error}"


class _Progress:
    """A bar on a terminal for pooch's downloader; silent elsewhere."""

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
        self.total: float | None = None

    def update(self, count: int) -> None:
        """Advance by some bytes."""
        self._bar.update(self._task, advance=count, total=self.total)

    def reset(self) -> None:
        """Begin again."""
        self._bar.reset(self._task, total=self.total)

    def close(self) -> None:
        """Nothing to do: the bar closes with its block."""

    def __enter__(self) -> Any:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
