"""Small files that ask for very much: what each is, and what reads it.

``python -m experiments.reliability.hostile NAME FOLDER`` makes a file and reads it in this process,
and prints its size, what the reading took, and how it ended, as JSON.
"""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import resource
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple

import numpy as np

BLOCK = 1 << 24  # bytes of zeros that are packed once and repeated


class Hostile(NamedTuple):
    """A file that asks for very much.

    Attributes
    ----------
    bound : str
        What is promised for its reader.
    megabytes : float
        Memory that reading it may take, beyond what the process had.
    make : callable
        Writes it into a folder, and returns its path.
    read : callable
        Reads it.
    """

    bound: str
    megabytes: float
    make: Callable[[Path], Path]
    read: Callable[[Path], object]


def _npy_header(shape: tuple[int, ...], dtype: str) -> bytes:
    file = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


def _packed_zeros(count: int) -> Iterator[bytes]:
    """Yield a raw deflate stream of so many blocks of zeros, each packed alike."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)
    for _ in range(count):
        yield block
    yield zlib.compressobj(9, zlib.DEFLATED, -15).flush()


def one_large_label(folder: Path) -> Path:
    """Six images with labels, one of which is 10**10."""
    path = folder / "x.npz"
    np.savez(path, X=np.zeros((6, 4, 4), np.uint8), Y=np.array([10**10, 0, 0, 0, 0, 0]))
    return path


def npz_of_zeros(folder: Path) -> Path:
    """An archive whose array of images unpacks to 6 GiB, as its header says."""
    count = 384
    header = _npy_header((count * BLOCK // 784, 28, 28), "|u1")
    rest = count * BLOCK - count * BLOCK // 784 * 784
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(header[:-rest] if rest else header) + packer.flush(zlib.Z_FULL_FLUSH)
    size = count * BLOCK + len(header) - rest
    packed = b"".join([first, *_packed_zeros(count)])
    path, entries, start = folder / "x.npz", [], 0
    with open(path, "wb") as file:
        for name, content, length in (
            ("X.npy", packed, size),
            ("Y.npy", *_stored(_npy_header((count * BLOCK // 784,), "|u1"))),
        ):
            extra = struct.pack("<HHQQ", 1, 16, length, len(content))
            head = struct.pack("<HHHHHLLLHH", 45, 0, 8, 0, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF, 5, 20)
            file.write(b"PK\3\4" + head + name.encode() + extra + content)
            entry = (
                b"PK\1\2" + struct.pack("<H", 45) + head + struct.pack("<HHHLL", 0, 0, 0, 0, start)
            )
            entries.append(entry + name.encode() + extra)
            start = file.tell()
        whole = b"".join(entries)
        file.write(whole + b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, 2, 2, len(whole), start, 0))
    return path


def _stored(content: bytes) -> tuple[bytes, int]:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush(), len(content)


def gz_of_zeros(folder: Path) -> Path:
    """Packed labels that unpack to 8 GiB."""
    from tests.data.made import NAMES, PACKED

    for name, content in PACKED.items():
        (folder / name).write_bytes(content)
    path = folder / f"{NAMES[1]}.gz"
    path.write_bytes(b"\x1f\x8b\x08" + bytes(6) + b"\xff" + b"".join(_packed_zeros(512)))
    return path


def wide_picture(folder: Path) -> Path:
    """A PNG of 13,000 x 13,000 pixels of one bit."""
    return _picture(folder / "x.png", "1", 13_000)


def largest_picture(folder: Path) -> Path:
    """A PNG of as many pixels as are decoded, of four channels."""
    return _picture(folder / "x.png", "RGBA", 8192)


def _picture(path: Path, mode: str, side: int) -> Path:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (side, side)).save(path)
    return path


def folder_with_a_giant(folder: Path) -> Path:
    """Two folders of small pictures, with one of 13,000 x 13,000 pixels among them."""
    for k in range(3):
        _picture(folder / "images" / "a" / f"{k}.png", "L", 20)
        _picture(folder / "images" / "b" / f"{k}.png", "L", 20)
    return _picture(folder / "images" / "b" / "9.png", "1", 13_000)


def deep_pickle(folder: Path) -> Path:
    """Tuples in one another, 2,000,000 deep, as the key of a dictionary."""
    path = folder / "weights.pkl"
    path.write_bytes(b"\x80\x04})" + b"\x85" * 2_000_000 + b"K\x01s.")
    return path


def doubled_pickle(folder: Path) -> Path:
    """A tuple that is doubled 40 times through the memo, as a key."""
    path, at = folder / "weights.pkl", b"".join(b"\x94h" + bytes([k]) + b"\x86" for k in range(40))
    path.write_bytes(b"\x80\x04})" + at + b"K\x01s.")
    return path


def claiming_pickle(folder: Path) -> Path:
    """A pickle that announces 10**12 bytes."""
    path = folder / "weights.pkl"
    path.write_bytes(b"\x80\x04" + pickle.BINBYTES8 + struct.pack("<Q", 10**12) + b"ab.")
    return path


def repeated_array(folder: Path) -> Path:
    """A pickle whose memo gives back one array of 1 MB a hundred thousand times."""
    path, array = folder / "weights.pkl", np.zeros(1 << 20, np.uint8)
    whole = pickle.dumps([array], protocol=4)
    again = b"(" + b"j" + struct.pack("<I", 12) + b"e"
    path.write_bytes(whole[:-1] + again * 100_000 + b".")
    return path


def deep_record(folder: Path) -> Path:
    """A ``run.json`` of 10,000,000 brackets."""
    path = folder / "run.json"
    path.write_bytes(b"[" * 10_000_000)
    return path


def long_row(folder: Path) -> Path:
    """A table with one cell of 50 MB in a row, and a million columns in another."""
    path = folder / "x.csv"
    path.write_bytes(b"a,b\n" + b"9" * 50_000_000 + b",1\n" + b"1," * 1_000_000 + b"1\n")
    return path


def large_table(folder: Path) -> Path:
    """A table that would take more memory than is allowed; most of the file has no blocks."""
    path = folder / "x.csv"
    with open(path, "wb") as file:
        file.write(b"a,b\n1,2\n")
        file.truncate(1 << 30)
    return path


def laughs(folder: Path) -> Path:
    """Config of twelve lines, in which aliases repeat one another."""
    path = folder / "model" / "mine.yaml"
    path.parent.mkdir()
    lines = [f"a{k + 1}: &a{k + 1} [{', '.join([f'*a{k}'] * 9)}]" for k in range(11)]
    path.write_text("\n".join(["a0: &a0 [x, x]", *lines]))
    return path


def no_file(folder: Path) -> Path:
    """No file: what a server sends is meant."""
    return folder / "sent"


def read_npz(path: Path) -> object:
    """Load a data set."""
    from cnnexp.data import Npz

    return Npz(file=str(path)).load()


def read_csv(path: Path) -> object:
    """Load a table."""
    from cnnexp.data.tables import Csv

    return Csv(file=str(path)).load()


def read_idx(path: Path) -> object:
    """Load four IDX files without their checksums."""
    from tests.fuzz.data import Unchecked

    return Unchecked(dir=str(path.parent)).load()


def read_picture(path: Path) -> object:
    """Open a picture."""
    from cnnexp.data.images import as_picture, open_picture

    return as_picture(open_picture(path), (28, 28, 1))


def read_folder(path: Path) -> object:
    """Load a folder of pictures."""
    from cnnexp.data import ImageFolder

    return ImageFolder(dir=str(path.parents[1])).load()


def read_pickle(path: Path) -> object:
    """Read weights."""
    from cnnexp.runs import pickles

    return pickles.load(path)


def read_record_of(path: Path) -> object:
    """Read ``run.json``."""
    from cnnexp.runs.record import read_record

    return read_record(path.parent)


def read_config(path: Path) -> object:
    """Compose a config."""
    from hydra.types import RunMode

    from cnnexp.app.hydra_app import make_app

    app = make_app(str(path.parents[1]))
    return app.compose_config("config", ["model=mine"], RunMode.RUN)


def read_claimed(path: Path) -> object:
    """Download from a server that announces 10**12 bytes."""
    return _download(path, 10**12)


def read_endless(path: Path) -> object:
    """Download from a server that announces nothing, and sends without end."""
    return _download(path, None)


def _download(path: Path, claimed: int | None) -> None:
    """Download a file of a data set from a server of this process."""
    from cnnexp.data import download
    from tests.fuzz.downloads import FILE, Mirror

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            if claimed is not None:
                self.send_header("Content-Length", str(claimed))
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(bytes(1 << 16))

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        source = Mirror(path.parent)
        source.mirrors = [f"http://127.0.0.1:{server.server_port}/"]
        try:
            download.download(source, [FILE])
        finally:
            server.shutdown()


PICKLE = "64 MiB more than the file"
FILES: dict[str, Hostile] = {
    "npz, a label of 10^10": Hostile("100,000 classes", 64, one_large_label, read_npz),
    "npz of zeros, 6 GiB": Hostile("2 GiB, by its header", 64, npz_of_zeros, read_npz),
    "IDX .gz of zeros, 8 GiB": Hostile("64 MiB unpacked", 160, gz_of_zeros, read_idx),
    "PNG, 13,000 x 13,000": Hostile("67 million pixels", 64, wide_picture, read_picture),
    "PNG, 8,192 x 8,192 RGBA": Hostile("600 MB for a picture", 600, largest_picture, read_picture),
    "a giant in a folder": Hostile("67 million pixels", 64, folder_with_a_giant, read_folder),
    "CSV, a cell of 50 MB": Hostile("4 times the file", 208, long_row, read_csv),
    "CSV of 1 GiB": Hostile("2 GiB, by its size", 64, large_table, read_csv),
    "pickle, 2,000,000 deep": Hostile(PICKLE, 66, deep_pickle, read_pickle),
    "pickle, doubled 40 times": Hostile(PICKLE, 64, doubled_pickle, read_pickle),
    "pickle claiming 10^12 bytes": Hostile(PICKLE, 64, claiming_pickle, read_pickle),
    "pickle, an array repeated": Hostile(PICKLE, 66, repeated_array, read_pickle),
    "run.json, 10,000,000 deep": Hostile("64 MiB, 50 levels", 128, deep_record, read_record_of),
    "YAML, aliases of aliases": Hostile("100,000 values", 64, laughs, read_config),
    "server claiming 10^12 bytes": Hostile("the file's most", 64, no_file, read_claimed),
    "server that sends for ever": Hostile("the file's most", 64, no_file, read_endless),
}


def main() -> None:
    """Make a file, read it, and print what that took."""
    from cnnexp.errors import CnnexpError

    name, folder = sys.argv[1:]
    hostile = FILES[name]
    path = hostile.make(Path(folder))
    _warm_up()
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # forget the most that was used to make it
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    try:
        hostile.read(path)
        outcome = "read"
    except CnnexpError as error:
        outcome = f"refused: {error}"
    except Exception as error:
        outcome = f"{type(error).__name__}: {error}"
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    size = path.stat().st_size if path.exists() else 0
    found = {"file_bytes": size, "peak_mb": peak * 1024 / 1e6, "seconds": seconds}
    print(json.dumps(found | {"outcome": outcome.replace(folder, ".")}))


def _warm_up() -> None:
    """Import what readers need: that takes memory of its own."""
    import pandas  # noqa: F401
    import requests  # noqa: F401
    from PIL import Image

    import cnnexp  # noqa: F401
    from cnnexp.app import hydra_app  # noqa: F401

    Image.init()


if __name__ == "__main__":
    main()
