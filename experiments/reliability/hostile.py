"""Small files that ask for very much: what each is, and what reads it.

``python -m experiments.reliability.hostile NAME FOLDER`` makes a file and reads it in this process,
and prints its size, what the reading took, and how it ended, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple

from experiments.reliability import hostile_files as files


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

    from cnnexp.app.compose.configs import make_app

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
    "npz, a label of 10^10": Hostile("100,000 classes", 64, files.one_large_label, read_npz),
    "npz of zeros, 6 GiB": Hostile("2 GiB, by its header", 64, files.npz_of_zeros, read_npz),
    "IDX .gz of zeros, 8 GiB": Hostile("64 MiB unpacked", 160, files.gz_of_zeros, read_idx),
    "PNG, 13,000 x 13,000": Hostile("67 million pixels", 64, files.wide_picture, read_picture),
    "PNG, 8,192 x 8,192": Hostile("600 MB", 600, files.largest_picture, read_picture),
    "a giant in a folder": Hostile("67 million pixels", 64, files.folder_with_a_giant, read_folder),
    "CSV, a cell of 50 MB": Hostile("8 times the file", 416, files.long_row, read_csv),
    "CSV, a row of 1 GiB": Hostile("512 MiB, its size", 64, files.large_table, read_csv),
    "pickle, 2,000,000 deep": Hostile(PICKLE, 66, files.deep_pickle, read_pickle),
    "pickle, doubled 40 times": Hostile(PICKLE, 64, files.doubled_pickle, read_pickle),
    "pickle claiming 10^12 bytes": Hostile(PICKLE, 64, files.claiming_pickle, read_pickle),
    "pickle, an array repeated": Hostile(PICKLE, 66, files.repeated_array, read_pickle),
    "run.json, 10^7 deep": Hostile("64 MiB, 50 levels", 128, files.deep_record, read_record_of),
    "YAML, aliases of aliases": Hostile("100,000 values", 64, files.laughs, read_config),
    "server claiming 10^12 bytes": Hostile("the file's most", 64, files.no_file, read_claimed),
    "server that sends for ever": Hostile("the file's most", 64, files.no_file, read_endless),
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
