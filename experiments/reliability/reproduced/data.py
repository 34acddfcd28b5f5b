"""Defects 3, 7 and 8, and the data of 6: memory, Ghostscript, servers, damaged pictures."""

from __future__ import annotations

import gzip
import http.server
import io
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, features

from experiments.reliability.child import Place, short
from experiments.reliability.reproduced import Happened, reproduction

BLOCK = 1 << 26  # of zeros that are written at a time
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(x) (w) file\n"
DAMAGED = 300  # pictures that are tried


def trained_on(place: Place, file: Path) -> Happened:
    """Train on a file of arrays."""
    ended = place.cnnexp("data=npz", f"data.file={file}", "epochs=1", "model=flat")
    return ended.said, ended.refused


@reproduction(3, "training on an `.npz` with one label of 10¹⁰", trained=False)
def label(place: Place) -> Happened:
    file = place.folder / "data.npz"
    Y = np.arange(40) % 3
    Y[7] = 10**10
    np.savez(file, X=np.zeros((40, 8, 8)), Y=Y)
    return trained_on(place, file)


@reproduction(3, "training on an `.npz` of 4 GiB of zeros, packed into 4 MB", trained=False)
def zeros(place: Place) -> Happened:
    file, blocks = place.folder / "data.npz", 64
    header = io.BytesIO()
    shape = (blocks * BLOCK // 4096, 64, 64)
    fields = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    labels = io.BytesIO()
    np.save(labels, np.arange(shape[0]) % 3)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("Y.npy", labels.getvalue())
        with archive.open("X.npy", "w", force_zip64=True) as member:
            for part in [header.getvalue(), *[bytes(BLOCK)] * blocks]:
                member.write(part)
    return trained_on(place, file)


@reproduction(3, "training on MNIST where a `.gz` of 4 MB unpacks to 4 GiB", trained=False)
def unpacked(place: Place) -> Happened:
    folder = place.folder / "mnist"
    folder.mkdir()
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (folder / f"{name}-ubyte.gz").write_bytes(gzip.compress(b"", mtime=0))
    # A gzip file may have any number of members.
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(BLOCK)) * 64)
    ended = place.cnnexp("data=mnist", f"data.dir={folder}", "epochs=1", "model=flat")
    return ended.said, ended.refused


@reproduction(3, "`predict` on a 36 kB picture of 13,000 x 13,000 pixels")
def pixels(place: Place) -> Happened:
    Image.new("1", (13_000, 13_000)).save(place.folder / "large.png")
    ended = place.cnnexp("predict", "run", "large.png")
    return ended.said, ended.refused


@reproduction(6, "training on an `.npz` with a damaged header", trained=False)
def header(place: Place) -> Happened:
    file = place.folder / "data.npz"
    values = io.BytesIO()
    np.save(values, np.zeros((40, 8, 8)))
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("X.npy", values.getvalue().replace(b"}", b"("))
        archive.writestr("Y.npy", values.getvalue())
    return trained_on(place, file)


CODE = """
import random, sys, warnings
from pathlib import Path
from cnnexp.data.images import open_picture
from cnnexp.errors import CnnexpError
warnings.simplefilter("ignore")
whole, raised = Path(sys.argv[1]).read_bytes(), {}
for seed in range(int(sys.argv[2])):
    rng, content = random.Random(seed), bytearray(whole)
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    Path("damaged").write_bytes(content)
    try: open_picture(Path("damaged"))
    except CnnexpError: pass
    except Exception as error: raised[seed] = type(error).__name__
print(len(raised), *sorted(set(raised.values())))
"""


@reproduction(6, f"opening {DAMAGED} AVIF pictures with one flipped bit each", trained=False)
def pictures(place: Place) -> Happened:
    if not features.check("avif"):
        return "Pillow reads no AVIF here", True
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (40, 30, 3)).astype(np.uint8))
    picture.save(place.folder / "whole", "AVIF")
    ended = place.python("-c", CODE, "whole", DAMAGED)
    if not ended.well:
        return ended.said, False
    count, *kinds = ended.out.split()
    return f"{count} raise another error than ours {' '.join(kinds)}".rstrip(), count == "0"


@reproduction(7, "`predict` on an EPS file with the name `fake.png`")
def ghostscript(place: Place) -> Happened:
    (place.folder / "fake.png").write_bytes(EPS)
    program = place.folder / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {place.folder}/started\nexit 1\n")
    program.chmod(0o755)
    ended = place.cnnexp("predict", "run", "fake.png", PATH=f"{program.parent}:/usr/bin:/bin")
    if (place.folder / "started").exists():
        return f"started gs, exit {ended.code}", False
    return ended.said, ended.refused


FETCH = """
import sys
from cnnexp.data import SOURCES, download
from cnnexp.errors import CnnexpError
source = SOURCES["mnist"]
source.mirrors = (sys.argv[1],)
download.TIMEOUT, download.RETRIES = 2.0, 0
try: source(dir="mnist").load()
except CnnexpError as error:
    print(*[line for line in str(error).splitlines() if "127.0.0.1" in line], file=sys.stderr)
    sys.exit(2)
"""
HEAD = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n"


def from_server(place: Place, answer: Callable[[socket.socket], int]) -> tuple[str, bool, int]:
    """Download from a server on this machine: how it ended, whether refused, the bytes sent."""
    with served(answer) as (url, sent):
        ended = place.python("-c", FETCH, url, no_proxy="*")
        said = ended.said.replace(url, "").replace("exit 2: ", "exit 2: the mirror ")
        return short(said), ended.refused, sum(sent)


@contextmanager
def served(answer: Callable[[socket.socket], int]) -> Iterator[tuple[str, list[int]]]:
    """Serve whatever `answer` writes to a connection."""
    sent: list[int] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent.append(answer(self.connection))

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = server.block_on_close = False
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", sent
        finally:
            server.shutdown()


def send(connection: socket.socket, length: int, parts: Iterator[bytes], pause: float) -> int:
    """Announce a length and send parts, as long as the other side listens; return the bytes."""
    count = 0
    try:
        connection.sendall(HEAD % length)
        for part in parts:
            connection.sendall(part)
            count += len(part)
            threading.Event().wait(pause)
    except OSError:  # the other side has had enough
        pass
    return count


@reproduction(8, "a server that announces 10¹² bytes and sends them", trained=False)
def endless(place: Place) -> Happened:
    blocks = (bytes(1 << 20) for _ in range(200))
    said, refused, count = from_server(place, lambda to: send(to, 10**12, blocks, 0))
    return f"{said}; {count >> 20} MiB were taken", refused and count < 1 << 24


@reproduction(8, "a server that sends a byte every 0.3 s", trained=False)
def dripping(place: Place) -> Happened:
    drops = (b"x" for _ in range(200))
    said, refused, _ = from_server(place, lambda to: send(to, 1000, drops, 0.3))
    return said, refused and "stalled" in said


@reproduction(8, "a server that stops in the middle of a file", trained=False)
def stalled(place: Place) -> Happened:
    parts = iter([b"x" * 500, b""])
    said, refused, _ = from_server(place, lambda to: send(to, 1000, parts, 4))
    return said, refused and "stalled" in said
