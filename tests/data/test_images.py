"""Pictures become images like those of a data set."""

import errno

import numpy as np
import pytest
from PIL import Image

from cnnexp.data.images import Figure, as_figure, as_picture, open_picture
from cnnexp.errors import DataError
from tests.cases import in_one_test

MNIST = Figure(share=20 / 28)
SHAPE = (28, 28, 1)


def stroke(height=100, width=60, top=20, left=10, paper=255, ink=0, mode="L"):
    """A bar of 40x10 pixels on paper."""
    image = Image.new(mode, (width, height), paper)
    image.paste(ink, (left, top, left + 10, top + 40))
    return image


def test_the_longer_side_has_20_of_28_pixels_and_the_mass_is_in_the_middle():
    found = as_figure(stroke(), SHAPE, MNIST)[..., 0]
    rows, cols = np.nonzero(found > 0.5)
    assert (np.ptp(rows) + 1, np.ptp(cols) + 1) == (20, 5)  # 40x10 halved
    # The middle of 28 pixels is pixel 14 by MNIST's rule; an integer shift comes within half of it.
    assert (rows.mean(), cols.mean()) == pytest.approx((14, 14), abs=0.5)
    assert found.max() == 1
    assert found[0, 0] == 0


def test_the_centre_of_mass_counts_and_not_that_of_the_box():
    image = stroke()
    image.paste(0, (10, 50, 40, 60))  # a foot to the right: an L
    found = as_figure(image, SHAPE, MNIST)[..., 0]
    mass = found.sum(axis=0)
    assert (mass * np.arange(28)).sum() / mass.sum() == pytest.approx(14, abs=0.5)
    inked = np.flatnonzero(mass > 0.5)
    assert (inked[0] + inked[-1]) / 2 > 15


@pytest.mark.parametrize("top", [0, 30, 60])
@pytest.mark.parametrize("left", [0, 25, 50])
def test_where_the_figure_stands_does_not_matter(top, left):
    expected = as_figure(stroke(), SHAPE, MNIST)
    found = as_figure(stroke(top=top, left=left), SHAPE, MNIST)
    np.testing.assert_array_equal(found, expected)


def coloured(paper, ink):
    return stroke(paper=paper, ink=ink, mode="RGB")


def transparent(ink, alpha=255, paper=(0, 0, 0, 0)):
    return stroke(paper=paper, ink=(*ink, alpha), mode="RGBA")


def sixteen_bits(low, high):
    return Image.fromarray(np.where(np.asarray(stroke()) > 128, high, low).astype(np.uint16))


def sticker():
    """Dark ink on an opaque white box, and nothing around it."""
    image = Image.new("RGBA", (90, 130), (0, 0, 0, 0))
    image.paste(stroke().convert("RGBA"), (15, 15))
    return image


PICTURES = {
    "dark on light": lambda: stroke(),
    "light on dark": lambda: stroke(paper=0, ink=255),
    "grey on grey": lambda: stroke(paper=150, ink=90),
    "red on green": lambda: coloured((90, 160, 90), (200, 40, 40)),
    "yellow on white": lambda: coloured((255, 255, 255), (255, 255, 0)),
    "colours of the same grey": lambda: coloured((0, 130, 0), (255, 0, 0)),
    "16 bits": lambda: sixteen_bits(60000, 2000),
    "12 bits in 16": lambda: sixteen_bits(0, 4095),
    "floats": lambda: Image.fromarray(np.asarray(stroke(), np.float32) / 255),
    "two colours": lambda: stroke().convert("1"),
    "palette": lambda: coloured((255, 255, 200), (10, 60, 10)).quantize(2, dither=0),
    "CMYK": lambda: stroke().convert("CMYK"),
    "black on nothing": lambda: transparent((0, 0, 0)),
    "white on nothing": lambda: transparent((255, 255, 255)),
    "half transparent": lambda: transparent((0, 0, 0), alpha=120),
    "grey and transparent": lambda: transparent((0, 0, 0)).convert("LA"),
    "opaque, with transparency": lambda: stroke().convert("RGBA"),
    "a sticker": sticker,
}


@in_one_test("kind", PICTURES)
def test_paper_ink_and_format_do_not_matter(kind):
    expected = as_figure(stroke(), SHAPE, MNIST)
    np.testing.assert_allclose(as_figure(PICTURES[kind](), SHAPE, MNIST), expected, atol=0.02)


def test_grain_and_uneven_light_are_paper():
    rng = np.random.default_rng(0)
    paper = np.asarray(stroke(400, 300, 100, 150), float) * 0.5 + 80
    paper *= 1 - 0.2 * np.hypot(*np.meshgrid(np.linspace(-1, 1, 300), np.linspace(-1, 1, 400)))
    photograph = Image.fromarray((paper + rng.normal(0, 4, paper.shape)).astype(np.uint8))
    found = as_figure(photograph, SHAPE, MNIST)
    assert np.abs(found - as_figure(stroke(), SHAPE, MNIST)).mean() < 0.02  # a row at most
    assert np.count_nonzero(found > 0.1) < 150


def test_a_shadow_from_one_side_is_paper():
    lit = np.asarray(stroke(400, 300, 100, 150), float) / 255 * 160 + 40
    lit[lit > 100] *= np.broadcast_to(np.linspace(1.27, 0.73, 300), lit.shape)[lit > 100]
    found = as_figure(Image.fromarray(lit.astype(np.uint8)), SHAPE, MNIST)
    assert np.abs(found - as_figure(stroke(), SHAPE, MNIST)).mean() < 0.02


def test_ink_may_be_darker_and_lighter_than_the_paper():
    image = stroke(paper=128, ink=0)
    image.paste(254, (10, 40, 20, 60))
    rows, cols = np.nonzero(as_figure(image, SHAPE, MNIST)[..., 0] > 0.5)
    assert (np.ptp(rows) + 1, np.ptp(cols) + 1) == (20, 5)


def test_an_image_of_the_data_set_stays_as_it_is(mnist_folder):
    from cnnexp.data import Mnist

    for X in Mnist(dir=str(mnist_folder)).load().X_test[:50]:
        found = as_figure(Image.fromarray(X[..., 0]), SHAPE, MNIST) * 255
        assert np.abs(found - X).mean() < 2


def test_a_figure_may_fill_the_image():
    found = as_figure(stroke(), (8, 8, 1), Figure(share=1.0, fine=4))[..., 0]
    # 40x10 becomes 32x8 on a grid four times as fine: all 8 rows, and 2 columns' worth of ink.
    np.testing.assert_allclose(found.sum(axis=1), np.full(8, 2), atol=0.2)


@pytest.mark.parametrize("size", [(1, 1), (3, 1000), (1000, 3), (30, 30)])
def test_an_empty_picture_is_refused(size):
    with pytest.raises(DataError, match="nothing is drawn"):
        as_figure(Image.new("L", size, 200), SHAPE, MNIST)
    with pytest.raises(DataError, match="nothing is drawn"):
        as_figure(Image.new("RGBA", size, (0, 0, 0, 0)), SHAPE, MNIST)


def test_odd_pictures_give_something():
    """A figure cut off by the edge, inks on both sides of the paper, a single pixel."""
    two = stroke(paper=128, ink=0)
    two.paste(255, (30, 20, 40, 60))
    dot = Image.new("L", (9, 9), 255)
    dot.putpixel((4, 4), 0)
    for image in (stroke(40, 12, 0, 0), stroke(40, 14, 0, 2), two, dot, stroke(3000, 11, 5, 1)):
        found = as_figure(image, SHAPE, MNIST)
        assert found.shape == SHAPE
        assert np.isfinite(found).all()
        assert found.min() >= 0
        assert found.max() <= 1


def test_pictures_without_a_figure_are_scaled_alone():
    image = Image.new("RGB", (40, 20), (255, 0, 0))
    assert as_picture(image, (5, 5, 3)).tolist() == np.full((5, 5, 3), [255, 0, 0]).tolist()
    assert set(as_picture(image, (5, 4, 1)).ravel()) == {76}  # 0.299 · 255
    with pytest.raises(DataError, match="1 or 3 channels"):
        as_picture(image, (5, 5, 2))


def test_files_that_are_no_pictures(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        open_picture(tmp_path / "no.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(DataError, match=r"text\.png: not an image of a known format\."):
        open_picture(tmp_path / "text.png")
    stroke().save(tmp_path / "whole.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:90])
    with pytest.raises(DataError, match=r"half.png: not a readable image"):
        open_picture(tmp_path / "half.png")
    with pytest.raises(DataError, match="not a readable image"):
        open_picture(tmp_path)


def test_a_photograph_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by a quarter to the right
    stroke().save(tmp_path / "turned.jpg", exif=exif)
    assert open_picture(tmp_path / "turned.jpg").size == (100, 60)


def test_pictures_of_16_bits_keep_their_brightness():
    """Stretching each by itself would make a dark one and a bright one the same."""
    grey = np.full((8, 8), 50000, np.uint16)
    grey[0, 0] += 10
    bright = as_picture(Image.fromarray(grey), (8, 8, 1))
    assert bright.min() == bright.max() == round(50000 / 65535 * 255)
    dark = as_picture(Image.fromarray(np.full((8, 8), 0.25, np.float32)), (8, 8, 1))
    assert set(dark.ravel().tolist()) == {64}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_picture_of_numbers_that_are_not_finite_is_refused(value, tmp_path):
    """It became black without a word, or an IndexError."""
    Image.fromarray(np.full((9, 9), value, np.float32)).save(tmp_path / "x.tiff")
    with pytest.raises(DataError, match=r"x\.tiff: .* some of its pixels are no finite numbers"):
        open_picture(tmp_path / "x.tiff")


def test_a_picture_that_lacks_memory_says_so(tmp_path, monkeypatch):
    def lack(*_, **__):
        raise MemoryError

    Image.new("L", (9, 9)).save(tmp_path / "x.png")
    monkeypatch.setattr(Image, "open", lack)
    with pytest.raises(DataError, match=r"x\.png: needs more memory than there is"):
        open_picture(tmp_path / "x.png")


def test_grey_that_was_multiplied_by_its_cover_is_read():
    """A TIFF may have it; it was a ValueError."""
    picture = Image.new("LA", (9, 9), (200, 255)).convert("La")
    assert as_picture(picture, (3, 3, 1)).tolist() == [[[200]] * 3] * 3


def test_a_picture_that_may_not_be_read_is_no_damaged_one(tmp_path, monkeypatch):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")

    def denied(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Image, "open", denied)
    with pytest.raises(DataError, match=r"a\.png: cannot be read: Permission denied\. Check who"):
        open_picture(tmp_path / "a.png")
