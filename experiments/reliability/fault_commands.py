"""Scenarios beside runs and sweeps: commands that read, commands that write, and a download."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.server
import os
import signal
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np

from experiments.reliability.fault_scenarios import (
    RUN,
    SETTINGS,
    Judge,
    Scenario,
    equal,
    expect,
    finished,
)
from experiments.reliability.trials import Place, fork

OLD = b"what was here before"
OUTPUTS = "outputs"


def with_old_outputs(*names: str) -> Callable[[Place], None]:
    """Return what prepares a finished run, a picture, and files that are to be replaced."""

    def prepare(place: Place) -> None:
        from PIL import Image

        finished()(place)
        Image.fromarray(np.eye(4, dtype=np.uint8) * 255).save(place.root / "picture.png")
        (place.root / OUTPUTS).mkdir()
        for name in names:
            (place.root / OUTPUTS / name).write_bytes(OLD)

    return prepare


def judge_command(words: Sequence[str], *names: str) -> Judge:
    """Return a judge: the run is untouched, and a file is the old one or the new one."""

    def judge(place: Place) -> list[str]:
        faults = []
        if contents(place.root / RUN) != contents(place.whole / RUN):
            faults.append("the run was changed")
        for name in names:
            content = (place.root / OUTPUTS / name).read_bytes()
            last = 1 if name.endswith(".csv") else 12  # bytes that any whole file ends with
            end = (place.whole / OUTPUTS / name).read_bytes()[-last:]
            if content != OLD and not content.endswith(end):  # a run may be told to be damaged
                faults.append(f"{name} is neither old nor new")
        expect(faults, "again", *words)
        wanted, found = (contents(folder / OUTPUTS, names) for folder in (place.whole, place.root))
        if wanted != found:
            faults.append("the command that is repeated writes something else")
        return faults

    return judge


def contents(folder: Path, names: Sequence[str] | None = None) -> dict[str, bytes]:
    """Return the files in a folder, or some of them."""
    paths = [folder / name for name in names] if names is not None else sorted(folder.rglob("*"))
    return {path.name: path.read_bytes() for path in paths if path.is_file()}


def reading(name: str, *words: str) -> Scenario:
    """Return a command that only reads a run."""
    return Scenario(name, with_old_outputs(), words, judge_command(words), only_reads=True)


def writing(name: str, files: Sequence[str], *words: str) -> Scenario:
    """Return a command that writes files into ``outputs``."""
    return Scenario(name, with_old_outputs(*files), words, judge_command(words, *files))


def output(name: str) -> str:
    """Return the path of a file in ``outputs``."""
    return f"{OUTPUTS}/{name}"


COMMANDS = [
    reading("show", "show", RUN),
    reading("compare", "compare", "."),
    reading("evaluate", "evaluate", RUN),
    reading("predict", "predict", RUN, "picture.png"),
    writing("export", ["w.npz"], "export", RUN, output("w.npz")),
    writing(
        "compare into files",
        ["t.csv", "p.html"],
        *("compare", ".", "--csv", output("t.csv"), "--html", output("p.html")),
    ),
]

# Download ----------------------------------------------------------------------------------------

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
FETCH = (
    *(word for word in SETTINGS if not word.startswith(("data", "checkpoint"))),
    "data=mnist",
    "data.dir=mnist",
    f"hydra.run.dir={RUN}",
)


def packed_files() -> dict[str, bytes]:
    """Return four files in the form of MNIST's, packed: 40 and 20 images."""
    rng = np.random.default_rng(0)
    found = {}
    for name in NAMES:
        count = 40 if name.startswith("train") else 20
        shape = (count, 28, 28) if "images" in name else (count,)
        values = rng.integers(0, 10, shape).astype(np.uint8)
        head = struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)
        found[f"{name}.gz"] = gzip.compress(head + values.tobytes(), mtime=0)
    return found


class _Handler(http.server.BaseHTTPRequestHandler):
    files = packed_files()

    def do_GET(self) -> None:
        """Send a file."""
        content = self.files[self.path.lstrip("/")]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextlib.contextmanager
def served() -> Iterator[None]:
    """Let MNIST be four small files on a server of this machine."""
    import pooch  # noqa: F401
    import requests  # noqa: F401

    from cnnexp.data.files import File
    from cnnexp.data.idx import Mnist

    server = http.server.HTTPServer(("127.0.0.1", 0), _Handler)
    pid = fork(lambda: server.serve_forever() or 0)
    server.server_close()
    files = tuple(
        File(name, digest(content), digest(gzip.decompress(content)))
        for name, content in zip(NAMES, _Handler.files.values(), strict=True)
    )
    proxies = dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1")
    try:
        with (
            mock.patch.object(Mnist, "files", files),
            mock.patch.object(Mnist, "mirrors", (f"http://127.0.0.1:{server.server_port}/",)),
            mock.patch("pooch.core.time", SimpleNamespace(sleep=lambda seconds: None)),
            mock.patch.dict(os.environ, proxies),
        ):
            yield
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


def digest(content: bytes) -> str:
    """Return a checksum as data sets have them."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def judge_download(place: Place) -> list[str]:
    """Judge the folder of data: whole files only, and the next start fetches the rest."""
    faults = [
        f"{path.name} is not whole"
        for path in (place.root / "mnist").glob("*.gz")
        if path.read_bytes() != _Handler.files.get(path.name)
    ]
    again = FETCH
    if (place.root / RUN / "run.json").exists():
        again = ("resume", RUN)
    expect(faults, "again", *again)
    left = {path.name for path in (place.root / "mnist").rglob("*")}
    if extra := left - {*_Handler.files, ".download.lock", ".partial"}:
        faults.append(f"left over: {', '.join(sorted(extra))}")
    return faults + equal(place.whole / RUN, place.root / RUN)


DOWNLOADS = [
    Scenario("download", lambda place: None, FETCH, judge_download, watched="mnist"),
]
