"""The reader of pictures, in every documented format."""

from __future__ import annotations

import functools
import io
import random
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from cnnexp.data.images import FORMATS, Figure, as_figure, as_picture, open_picture
from cnnexp.errors import DataError
from tests.fuzz.reader import Reader, call, one_in

MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "BMP": ("1", "L", "P", "RGB"),
    "GIF": ("L", "P"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"),
    "WEBP": ("RGB", "RGBA"),
}
SAVED: dict[str, tuple[dict[str, Any], ...]] = {
    "JPEG": ({}, {"progressive": True}),
    "TIFF": ({}, {"compression": "tiff_lzw"}, {"compression": "tiff_adobe_deflate"}),
    "WEBP": ({}, {"lossless": True}),
    "PNG": ({}, {"optimize": True}),
}


@functools.cache
def encoded(kind: str, mode: str = "", **options: Any) -> bytes:
    """Return a small picture of a dark bar, in a format; nothing for one that is not known."""
    if kind not in FORMATS:
        return b""
    pixels = np.full((9, 12), 240, np.uint8)
    pixels[2:7, 5:7] = 10
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    if mode == "I;16":
        image = Image.fromarray(pixels.astype(np.uint16) * 200)
    elif mode:
        image = image.convert("RGB").convert(mode)
    image.save(file, kind, **options)
    return file.getvalue()


class Picture(Reader):
    """A picture in one format; ``predict`` and ``data=image_folder`` read it."""

    group, every = "pictures", 1000
    kind: ClassVar[str]

    def made_seeds(self) -> list[bytes]:
        made = [
            encoded(self.kind, mode, **options)
            for mode in MODES[self.kind]
            for options in SAVED.get(self.kind, ({},))
        ]
        exif = Image.Exif()
        exif[0x0112] = 6  # turned by 90 degrees
        more = {} if self.kind in ("BMP", "GIF") else {"exif": exif.tobytes()}
        return [*made, encoded(self.kind, "", **more)]

    def read(self, content: bytes) -> None:
        path = self.folder / f"x.{self.kind.lower()}"
        path.write_bytes(content)
        picture = open_picture(path)
        as_picture(picture, (5, 5, 1))
        if one_in(4, content):
            as_picture(picture, (5, 4, 3))
            try:
                as_figure(picture, (8, 8, 1), Figure(share=20 / 28))
            except DataError as error:  # as predict does
                raise DataError(f"{path}: {error}") from None

    def command(self, content: bytes, rng: random.Random) -> None:
        from tests.fuzz.runs import whole_run

        path = self.folder / "given"
        path.write_bytes(content)
        call("predict", whole_run(self.root), path)


for _kind in FORMATS:
    type(f"{_kind}Picture", (Picture,), {"name": _kind.lower(), "kind": _kind})
