"""The reader of archives of runs."""

from __future__ import annotations

import io
import random
import shutil
import zipfile
from typing import Any

from cnnexp import load_run
from cnnexp.errors import CnnexpError
from cnnexp.report.histories import read_history
from cnnexp.runs.archiving import ended_runs, write_archive
from cnnexp.runs.finding import find_runs, flat_row
from tests.fuzz.inputs import damaged
from tests.fuzz.reader import Reader, call, one_in
from tests.fuzz.runs import whole_run

NAMES = ("../run.json", "/run.json", "run/./run.json", "C:/run.json", "run\\run.json", "", "a/")


def repacked(content: bytes, change: Any) -> bytes:
    """Return an archive with the same files, of which a function changes name, contents, entry."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            found = zipfile.ZipInfo(info.filename, info.date_time)
            found.external_attr = info.external_attr
            new.writestr(found, change(found, old.read(info)), zipfile.ZIP_DEFLATED)
    return out.getvalue()


class ArchiveOfRuns(Reader):
    """A run, and a sweep of one job, as ``archive`` writes them."""

    name, group, every = "archive", "runs", 200
    words = (
        b"PK\3\4",
        b"PK\1\2",
        b"PK\5\6",
        b"PK\6\6",
        b"PK\6\7",
        b"\xff\xff",
        b"\0\0\0\0",
        b"../",
    )

    def made_seeds(self) -> list[bytes]:
        whole = whole_run(self.root)
        sweep = self.root / "sweep_of_one"
        if not sweep.exists():
            shutil.copytree(whole, sweep / "0")
        made = []
        for folder in (whole, sweep):
            path = self.folder / "new.zip"
            write_archive(folder, path, ended_runs(folder))
            made.append(path.read_bytes())
            path.unlink()
        return made

    def make(self, rng: random.Random) -> bytes:
        if rng.random() < 0.5:
            return super().make(rng)

        def change(info: zipfile.ZipInfo, content: bytes) -> bytes:
            kind = rng.randrange(12)
            if kind == 0:
                info.filename = rng.choice((*NAMES, "run/run.json"))
            elif kind == 1:
                info.external_attr = rng.getrandbits(32)
            elif kind == 2:
                return b"\0" * rng.choice((1 << 10, 1 << 21, 1 << 24))
            return damaged(content, rng) if kind == 3 else content

        return repacked(self.seeds[0], change)

    def read(self, content: bytes) -> None:
        path = self.folder / "input.zip"
        path.write_bytes(content)
        faults = []
        for run in find_runs(path):
            flat_row(run)
            read_history(run)
            try:
                opened = load_run(run)
                _ = opened.epochs, opened.weights
                if one_in(20, content):
                    _ = opened.network
            except CnnexpError as error:
                faults.append(error)
        if faults:
            raise faults[0]

    def command(self, content: bytes, rng: random.Random) -> None:
        path = self.folder / "input.zip"
        path.write_bytes(content)
        words = [["show", path], ["compare", path], ["evaluate", path], ["diff", path, path]]
        call(*rng.choice([*words, ["resume", path], ["tag", path, "x"]]))
