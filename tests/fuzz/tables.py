"""The readers of tables, and of folders of pictures."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from typing import Any

from cnnexp.data import ImageFolder
from cnnexp.data.tables import Csv, Parquet
from tests.fuzz.data import DataReader
from tests.fuzz.pictures import encoded
from tests.fuzz.reader import chosen

OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"header": False},
    {"separator": ";"},
    {"task": "regression"},
    {"task": "classification"},
    {"shape": [2, 1]},
    {"target": "a"},
    {"target": ["a", "b"]},
    {"features": ["a"], "target": "b"},
)


class CsvFile(DataReader):
    """A table as CSV, under several options."""

    name = "csv"
    words = (b",", b"\n", b'"', b";", b"nan", b"inf", b"1e999", b"True", b"\0", b"\xef\xbb\xbf",
             b"0x1f", b"9" * 400, b"1_000", b"\xff")  # fmt: skip

    def made_seeds(self) -> list[bytes]:
        rows = "".join(f"{k},{k / 3},{'xyz'[k % 3]}\n" for k in range(8))
        whole = "".join(f"{k},{k * k}\n" for k in range(130))
        return [
            f"a,b,c\n{rows}".encode(),
            f"a,b\n{whole}".encode(),
            rows.replace(",", ";").encode(),
            b'a,b\n"1,5",2\n"x\ny",3\n',
            b"a,a,b\n1,2,3\n",
            b"a,b\n1,99999999999999999999999\n2,1\n",
            b"a,b\n" + b"9" * 5000 + b",1\n",
        ]

    def read(self, content: bytes) -> None:
        path = self.folder / "x.csv"
        path.write_bytes(content)
        self.load(Csv(file=str(path), **chosen(OPTIONS, content)), content)


class ParquetFile(DataReader):
    """A table as Parquet."""

    name = "parquet"

    def made_seeds(self) -> list[bytes]:
        import pandas as pd

        frames = [
            pd.DataFrame({"a": [1, 2, 3], "b": [0.5, 1.5, 2.5], "c": ["x", "y", "x"]}),
            pd.DataFrame({"a": [True, False, True], "b": pd.to_datetime(["2026-01-01"] * 3)}),
            pd.DataFrame({"a": [1, None, 3], "b": [[1], [2], [3]]}),
        ]
        return [frame.to_parquet(None) for frame in frames]

    def read(self, content: bytes) -> None:
        path = self.folder / "x.parquet"
        path.write_bytes(content)
        self.load(Parquet(file=str(path), **chosen(OPTIONS[3:5], content)), content)

    @staticmethod
    def is_there() -> bool:
        return find_spec("pyarrow") is not None


class Folder(DataReader):
    """A folder of pictures: names and contents, a line for each."""

    name = "image_folder"
    words = (b"/", b"\t", b"\n", b"train/", b"test/", b".hidden/", b"\xff", b"png", b"folder",
             b"loop", b"nothing", b".PNG", b" ")  # fmt: skip

    def made_seeds(self) -> list[bytes]:
        lines = ["cat/1.png\tpng", "cat/2.jpg\tjpeg", "dog/x.webp\twebp", "dog/3.tif\ttiff"]
        parts = ["train/a/1.png\tpng", "train/b/2.gif\tgif", "test/a/3.bmp\tbmp"]
        odd = ["a/1.png\tfolder", "b/2.png\tloop", "c/3.png\tnothing", "d.png\tpng"]
        return ["\n".join(part).encode() for part in (lines, parts, odd, lines + odd)]

    def read(self, content: bytes) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        for line in content.split(b"\n")[:8]:
            name, _, kind = line.partition(b"\t")
            self._put(name.decode("utf-8", "surrogateescape"), kind.decode("latin-1"))
        self.load(
            ImageFolder(dir=str(self.folder), size=5, channels=chosen((1, 3), content)), content
        )

    def _put(self, name: str, kind: str) -> None:
        """Make a file or a folder, as far as the system allows its name."""
        parts = [part for part in name.split("/") if part not in ("", ".", "..")]
        path = self.folder.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "folder":
                path.mkdir(exist_ok=True)
            elif kind == "loop":
                path.symlink_to(path.name)
            else:
                path.write_bytes(encoded(kind.upper()))
        except (OSError, ValueError):
            return
