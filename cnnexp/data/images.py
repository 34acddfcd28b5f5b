"""Pictures from anywhere, made like those of a data set.

A network was trained on images of one kind. MNIST's are light digits on black, scaled so that the
longer side of the digit has 20 of 28 pixels, and moved so that the centre of mass of its ink is in
the middle. A photograph or a drawing has to be brought into that form first::

    picture ── how far each pixel is from the paper ── cut out ── scale ── centre ── pixels, 0 to 1

What the paper is, is read off the picture's edge, so dark ink on light paper, light on dark and
colours are all alike, and nothing has to be said about it.

References
----------
Y. LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998 (how MNIST's digits
were scaled and centred)
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnexp.errors import DataError, system_cause, system_reason

if TYPE_CHECKING:
    from PIL.Image import Image

Array = npt.NDArray[Any]

FAINTEST = 0.25  # of the darkest ink: what is fainter does not count as part of the figure
COARSE = 200  # pixels along a side when the figure is looked for
CONTRAST = 0.1  # of full range: below it a picture is taken to be empty
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")  # no other reader is ever started
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
MOST_PIXELS = 2**26  # that are decoded: 8,192 x 8,192
LONGEST = 1024  # rows or columns of a decoded picture; a larger one is reduced


@dataclass(frozen=True)
class Figure:
    """How a data set places one figure, such as a digit, in each image.

    Parameters
    ----------
    share : float
        What the longer side of the figure takes of the image's side.
    fine : int
        The figure is placed on a grid so many times as fine, and averaged down.
    """

    share: float = 1.0
    fine: int = 1


def open_picture(path: str | Path, least: int = 0) -> Image:
    """Open a picture, upright, and read all of it.

    The size is looked at before memory is taken, and a large picture is reduced right after
    decoding, a JPEG while it is decoded. A picture of `MOST_PIXELS` takes at most 600 MB.

    Parameters
    ----------
    path : str or Path
        A file in one of the `FORMATS`.
    least : int
        Rows and columns that are needed: a picture is never reduced below twice as many.

    Raises
    ------
    DataError
        If there is no such file, it is not a picture, or it is too large.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata; sizes are looked at here
            with Image.open(path, formats=FORMATS) as image:
                found = ImageOps.exif_transpose(_decoded(image, max(LONGEST, 2 * least)))
                if found.mode == "F" and not np.isfinite(np.asarray(found)).all():
                    raise ValueError("some of its pixels are no finite numbers")
                return found
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file.") from None
    except UnidentifiedImageError:
        raise DataError(
            f"{path}: not an image of a known format. Known: {', '.join(FORMATS)}."
        ) from None
    except MemoryError:  # which says nothing; a part may claim to have thousands of megabytes
        raise DataError(f"{path}: needs more memory than there is.") from None
    except Exception as error:  # whatever a decoder raises on bytes from elsewhere
        if (cause := system_cause(error)) is not None:
            raise DataError(f"{path}: cannot be read: {system_reason(cause)}.") from None
        raise DataError(f"{path}: not a readable image: {error}") from None


def _decoded(image: Image, longest: int) -> Image:
    """Decode a picture, with sides of at most about `longest` pixels."""
    image.draft(image.mode, (longest, longest))  # a JPEG may be decoded at a half, 1/4 or 1/8
    columns, rows = image.size
    if columns * rows > MOST_PIXELS:
        raise DataError(
            f"it has {columns:,} x {rows:,} pixels; at most {MOST_PIXELS / 1e6:.0f} million are"
            " decoded. Save it smaller."
        )
    image.load()
    factor = max(columns, rows) // longest
    if factor < 2:
        return image
    orientation = image.getexif()
    if image.mode in ("1", "P", "PA"):  # colours that cannot be averaged
        image = image.convert("L" if image.mode == "1" else "RGBA")
    elif image.mode.startswith("I;"):
        image = image.convert("I")
    reduced = image.reduce(factor)
    reduced.info["exif"] = orientation.tobytes()
    return reduced


def as_picture(image: Image, shape: tuple[int, ...]) -> Array:
    """Return a picture in the size and colours of a data set's images, bytes of (ih, iw, n_c).

    Parameters
    ----------
    image : Image
        Any picture.
    shape : tuple of int
        (ih, iw, n_c), with one channel for grey or three for colour.

    Raises
    ------
    DataError
        If there is another number of channels.
    """
    from PIL import Image

    ih, iw, n_c = shape
    if n_c not in (1, 3):
        raise DataError(f"a picture has 1 or 3 channels. The images that are wanted have {n_c}.")
    whole = Image.fromarray((_colours(image) * 255).round().astype(np.uint8))
    sized = whole.convert("L" if n_c == 1 else "RGB").resize((iw, ih))
    return np.asarray(sized).reshape(shape)


def as_figure(image: Image, shape: tuple[int, ...], figure: Figure) -> Array:
    """Return the figure of a picture, light on black, scaled and centred, from 0 to 1.

    Parameters
    ----------
    image : Image
        Any picture of one figure: dark on light or light on dark, grey, coloured, of 16 bits, or
        transparent.
    shape : tuple of int
        (ih, iw, 1).
    figure : Figure
        Where the data set has its figures.

    Raises
    ------
    DataError
        If nothing is drawn on the picture.
    """
    rows, cols = shape[0] * figure.fine, shape[1] * figure.fine
    ink = _fit(_cut_out(_ink(_colours(image, stretched=True))), (rows, cols), figure.share)
    (top, left), (ih, iw) = _corner(ink, (rows, cols)), ink.shape
    frame: Array = np.zeros((rows, cols))
    frame[top : top + ih, left : left + iw] = ink
    blocks = frame.reshape(shape[0], figure.fine, shape[1], figure.fine)
    fitted: Array = blocks.mean(axis=(1, 3))[..., None]
    return fitted


def _colours(image: Image, stretched: bool = False) -> Array:
    """Return the colours of a picture, (rows, columns, 3), from 0 to 1.

    Pictures of more than 8 bits may be stretched: they often use a small part of what they could.
    """
    if image.mode.startswith(("I", "F")):  # more than 8 bits; Pillow would cut them off
        grey = np.asarray(image, np.float64)[..., None]
        low, high = (grey.min(), grey.max()) if stretched else _limits(image.mode, grey)
        return np.repeat((grey - low) / max(high - low, 1e-12), 3, axis=2)
    if image.mode == "La":  # grey, multiplied by its cover; Pillow makes no colours of it at once
        image = image.convert("LA")
    pixels: Array = np.asarray(image.convert("RGBA"), np.float64) / 255
    colours, cover = pixels[..., :3], pixels[..., 3:]
    if cover.min() == 1:
        return colours
    mixed: Array = cover * colours + (1 - cover) * _background(colours, cover[..., 0])
    return mixed


def _limits(mode: str, grey: Array) -> tuple[float, float]:
    """Return the numbers of black and white, where pixels have more than 8 bits."""
    whites = [65535.0] if mode.startswith("I") else [1.0, 255.0, 65535.0]
    highest = float(grey.max())
    return min(float(grey.min()), 0.0), next((w for w in whites if highest <= w), highest)


def _background(colours: Array, cover: Array) -> Array:
    """Return the colour that shows through transparent parts.

    Where what is drawn has a contrast of its own, it is the commonest colour; where it has one
    colour alone, black or white, whichever is farther from it.
    """
    drawn = colours[cover > 0.5] if np.any(cover > 0.5) else colours[cover > 0]
    if not len(drawn):
        return np.zeros(3)
    middle: Array = np.median(drawn, axis=0)
    if np.ptp(np.percentile(drawn, [1, 99], axis=0), axis=0).max() > 0.5:
        return middle
    return np.zeros(3) if middle.mean() > 0.5 else np.ones(3)


def _ink(colours: Array) -> Array:
    """Return how much ink each pixel has, (rows, columns), 0 to 1.

    The paper's colour is the middle one along the edge. Ink is what leads from there towards the
    colours that are farthest from it: brighter spots of paper are none. What most of the edge has
    besides, such as grain or a shadow, is paper too.
    """
    paper = np.median(_edge(colours), axis=0)
    off = colours - paper
    distance = np.sqrt((off**2).sum(axis=2))
    if distance.max() < CONTRAST:
        raise DataError("nothing is drawn on it: all of it has nearly the same colour.")
    towards = off[distance >= 0.75 * distance.max()].mean(axis=0)
    ink: Array = np.clip(off @ towards, 0, None)
    if np.sqrt((towards**2).sum()) < 0.5 * distance.max():  # inks on both sides of the paper
        ink = distance
    grain = np.percentile(_edge(ink), 75)
    if grain < 0.5 * ink.max():  # else the figure itself is cut off by the edge
        ink = np.clip(ink - grain, 0, None)
    ink /= ink.max()
    return ink


def _edge(pixels: Array) -> Array:
    """Return the pixels along the four sides of a picture."""
    sides = [pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]]
    return np.concatenate(sides)


def _cut_out(ink: Array) -> Array:
    """Return the part of a picture that holds its figure; grain alone does not count."""
    step_h, step_w = (max(size // COARSE, 1) for size in ink.shape)
    rows, cols = ink.shape[0] // step_h, ink.shape[1] // step_w
    blocks = ink[: rows * step_h, : cols * step_w].reshape(rows, step_h, cols, step_w)
    seen = blocks.mean(axis=(1, 3))
    inked = seen >= FAINTEST * seen.max()
    return ink[_span(inked.any(axis=1), step_h), _span(inked.any(axis=0), step_w)]


def _span(inked: Array, step: int) -> slice:
    """Return from where to where there is ink, in pixels, of blocks of `step` pixels."""
    found = np.flatnonzero(inked)
    return slice(int(found[0]) * step, (int(found[-1]) + 1) * step)


def _fit(ink: Array, frame: tuple[int, int], share: float) -> Array:
    """Return a figure scaled to its share of a frame, with its own proportions."""
    from PIL import Image

    factor = share * min(frame) / max(ink.shape)
    ih, iw = (max(round(size * factor), 1) for size in ink.shape)
    if (ih, iw) == ink.shape:
        return ink
    scaled = Image.fromarray(ink.astype(np.float32)).resize((iw, ih), Image.Resampling.BICUBIC)
    found: Array = np.clip(np.asarray(scaled, np.float64), 0, None)
    found /= found.max() or 1.0  # thin lines may vanish
    return found


def _corner(ink: Array, frame: tuple[int, int]) -> tuple[int, int]:
    """Return the corner at which a figure's centre of mass is in the middle of a frame."""
    corner = []
    for axis, size in enumerate(frame):
        mass = ink.sum(axis=1 - axis)
        centre = float((mass * np.arange(len(mass))).sum() / (mass.sum() or 1.0))
        corner.append(min(max(round(size / 2 - centre), 0), size - len(mass)))
    return corner[0], corner[1]
