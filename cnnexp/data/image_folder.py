"""Pictures in folders, one folder for each class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cnnexp.data.images import ENDINGS, as_picture, open_picture
from cnnexp.data.sources import SOURCES, Array, Raw, Source, array_checksum, refuse_too_large
from cnnexp.data.targets import MOST_CLASSES
from cnnexp.errors import DataError, OptionError

PARTS = ("train", "test")


@SOURCES.register("image_folder")
@dataclass
class ImageFolder(Source):
    """A folder with one folder of images for each class, or with two such, ``train`` and ``test``.

    Parameters
    ----------
    dir : str
        The folder; the names of its folders, sorted, are the classes. Where it has the folders
        ``train`` and ``test`` and no other, these are an official division.
    size : int
        Rows and columns that every image is scaled to.
    channels : int
        1 for grey, 3 for colour.
    """

    dir: str = ""
    size: int = 28
    channels: int = 1

    stratified: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.size < 1:
            raise OptionError(f"size must be at least 1. Got {self.size}.")
        if self.channels not in (1, 3):
            raise OptionError(f"channels must be 1 for grey or 3 for colour. Got {self.channels}.")

    @property
    def default_split(self) -> float | str:  # type: ignore[override]
        """The official one where there are the folders ``train`` and ``test``, else 0.8."""
        return "official" if self._is_divided() else 0.8

    def check(self) -> None:
        """Raise DataError unless there is such a folder."""
        if not self.dir:
            raise DataError(
                "data=image_folder needs data.dir=FOLDER, with a folder of images for each class."
            )
        if not Path(self.dir).is_dir():
            raise DataError(f"data.dir={self.dir}: there is no such folder.")

    def load(self) -> Raw:
        """Return all images, scaled to one size."""
        self.check()
        roots = [Path(self.dir)]
        if self._is_divided():
            roots = [Path(self.dir, part) for part in PARTS]
        classes = sorted({name for root in roots for name in folders_in(root)})
        if len(classes) > MOST_CLASSES:
            raise DataError(f"data.dir={self.dir}: more than {MOST_CLASSES:,} folders.")
        arrays: list[Any] = []
        for root in roots:
            files = [
                (p, label) for label, name in enumerate(classes) for p in pictures(root / name)
            ]
            if not files:
                raise DataError(
                    f"data.dir={root}: needs one folder of images for each class. Found no image"
                    f" ({', '.join(ENDINGS)}) in its folders: {', '.join(classes) or 'none'}."
                )
            arrays += [self._read([path for path, _ in files]), np.array([k for _, k in files])]
        checksum = array_checksum(*arrays)
        return Raw(arrays[0], arrays[1], 255.0, tuple(classes), checksum, *arrays[2:])

    def image_shape(self) -> tuple[int, int, int]:
        """Return (size, size, channels)."""
        return self.size, self.size, self.channels

    def _read(self, paths: list[Path]) -> Array:
        """Return pictures as one array of bytes."""
        shape = (len(paths), *self.image_shape())
        refuse_too_large(
            int(np.prod(shape, dtype=object)), f"data.dir={self.dir}", "Give a smaller data.size."
        )
        X = np.empty(shape, np.uint8)
        for row, path in zip(X, paths, strict=True):
            row[...] = as_picture(open_picture(path, self.size), self.image_shape())
        return X

    def _is_divided(self) -> bool:
        """Say whether the folder holds a training and a test part."""
        return (
            bool(self.dir)
            and sorted(folders_in(Path(self.dir))) == sorted(PARTS)
            and all(folders_in(Path(self.dir, part)) for part in PARTS)
        )


def folders_in(root: Path) -> list[str]:
    """Return the names of the folders in a folder, hidden ones left out."""
    if not root.is_dir():
        return []
    return [path.name for path in root.iterdir() if path.is_dir() and path.name[0] != "."]


def pictures(folder: Path) -> list[Path]:
    """Return the pictures in a folder, in the order of their names."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
