"""Files that claim more than they should: refused before memory is taken for them."""

import gzip
import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image

from cnnexp.data import ImageFolder, Npz, sources
from cnnexp.data import images as images_module
from cnnexp.data.files import File, read
from cnnexp.data.images import FORMATS, as_picture, open_picture
from cnnexp.errors import DataError
from tests.data.made import digest


@pytest.fixture
def little_memory():
    """A bound on what a test allocates; NumPy reports its arrays too."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20


def npy_claiming(shape, dtype="u1", values=b""):
    file = io.BytesIO()
    header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + values


def npz_of(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                for part in content:
                    member.write(part)
    return Npz(file=str(path))


def test_an_npz_that_claims_more_than_it_holds(tmp_path, little_memory):
    source = npz_of(tmp_path / "a.npz", X=[npy_claiming((10**7, 1000))], Y=[npy_claiming((10**7,))])
    with pytest.raises(DataError, match=r"says that it has 10,000,000,000 bytes, and 0 are there"):
        source.check()


def test_an_npz_of_zeros_that_unpacks_to_more_than_is_allowed(tmp_path, monkeypatch, little_memory):
    monkeypatch.setattr(sources, "MOST_BYTES", 2**24)
    zeros, shape = bytes(2**20), (2**20, 5, 4)
    parts = [npy_claiming(shape), *[zeros] * 20]
    source = npz_of(tmp_path / "a.npz", X=parts, Y=[npy_claiming((2**20,)), zeros])
    assert (tmp_path / "a.npz").stat().st_size < 2**16
    with pytest.raises(DataError, match=r"at most 0 GiB are read into it.*data=npy"):
        source.load()


@pytest.mark.parametrize("shape", [(-1, 4, 4), (2**70, 2), "x"])
def test_headers_that_cannot_be(tmp_path, shape):
    source = npz_of(
        tmp_path / "a.npz", X=[npy_claiming(shape)], Y=[npy_claiming((3,), values=b"abc")]
    )
    with pytest.raises(DataError, match=r"a\.npz"):
        source.check()


def test_a_gzip_file_that_unpacks_to_more_than_the_file_can_have(tmp_path, little_memory):
    content = gzip.compress(bytes(2**24))
    (tmp_path / "x.gz").write_bytes(content)
    tracemalloc.reset_peak()
    for unpacked in ("sha256:0", ""):
        file = File("x", digest(content), unpacked, most=2**20)
        with pytest.raises(DataError, match=r"x\.gz: .* it has more than 1,048,576 bytes"):
            read(tmp_path, file)


def test_a_picture_of_too_many_pixels_is_not_decoded(tmp_path, monkeypatch, little_memory):
    Image.new("L", (3000, 2000)).save(tmp_path / "large.png")
    monkeypatch.setattr(images_module, "MOST_PIXELS", 10**6)
    with pytest.raises(DataError, match=r"large\.png: .* 3,000 x 2,000 pixels; at most 1 million"):
        open_picture(tmp_path / "large.png")


def test_a_very_large_picture_gives_an_error_and_no_warning(tmp_path, little_memory):
    """36 kB that would take 14 GB; Pillow itself only warns of it."""
    Image.new("1", (13000, 13000)).save(tmp_path / "large.png")
    with pytest.raises(DataError, match="13,000 x 13,000 pixels; at most 67 million"):
        open_picture(tmp_path / "large.png")


def test_large_pictures_are_reduced_and_stay_upright(tmp_path):
    tall = Image.new("RGB", (2500, 3000), (10, 200, 30))
    tall.paste((250, 0, 0), (0, 0, 2500, 1500))  # the upper half is red
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    for name in ("a.png", "a.jpg", "a.tiff"):
        tall.save(tmp_path / name, exif=exif)
        found = open_picture(tmp_path / name)
        assert 1000 < max(found.size) < 2048
        assert found.size[0] > found.size[1]  # it lies now
        red = np.asarray(found.convert("RGB"))[:, -20:, 0]
        assert red.mean() > 200
    assert open_picture(tmp_path / "a.png", least=1500).size == (3000, 2500)


@pytest.mark.few(3)
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "F", "CMYK"])
def test_large_pictures_of_every_kind_keep_their_brightness(tmp_path, mode):
    grey = Image.new("L", (2200, 2100), 255)
    deep = {"I;16": np.uint16, "I": np.int32}.get(mode)
    image = Image.fromarray(np.full((2100, 2200), 65535, deep)) if deep else None
    image = image or grey.convert("RGB" if mode in ("CMYK", "P") else "L").convert(mode)
    image.save(tmp_path / "x.tiff")
    found = open_picture(tmp_path / "x.tiff")
    assert max(found.size) == 1100
    assert as_picture(found, (8, 8, 1)).min() >= 254


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(x) (w) file\n"


@pytest.mark.parametrize("name", ["x.eps", "x.png", "x.jpg"])
def test_no_reader_but_those_of_the_documented_formats_is_started(tmp_path, name, monkeypatch):
    from PIL import EpsImagePlugin

    def started(*_, **__):
        raise AssertionError("Ghostscript")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", started)
    (tmp_path / name).write_bytes(EPS)
    with pytest.raises(DataError, match=rf"{name}: not an image of a known format. Known: PNG"):
        open_picture(tmp_path / name)
    Image.new("RGB", (9, 9)).save(tmp_path / "x.dds")
    (tmp_path / "x.dds").rename(tmp_path / name)
    with pytest.raises(DataError, match="not an image of a known format"):
        open_picture(tmp_path / name)


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_pictures_are_errors_of_the_family(tmp_path, kind):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (40, 30, 3)).astype(np.uint8))
    file = io.BytesIO()
    image.save(file, kind)
    content, path = bytearray(file.getvalue()), tmp_path / "x"
    path.write_bytes(content)
    assert open_picture(path).size == (30, 40)
    refused = 0
    for k in range(60):
        damaged = bytearray(content)
        for at in rng.integers(0, min(len(content), 200 if k % 2 else len(content)), 4):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(damaged[: len(content) if k % 3 else len(content) // 2])
        try:
            open_picture(path)
        except DataError as error:
            assert str(error).startswith(f"{path}: ")
            refused += 1
    assert refused > 5


def test_a_folder_of_pictures_has_a_bound(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for ending in ("png", "webp", "tiff", "TIF"):
            Image.new("L", (5, 5)).save(tmp_path / name / f"1.{ending}")
    assert len(ImageFolder(dir=str(tmp_path), size=4).load().Y) == 8
    monkeypatch.setattr(sources, "MOST_BYTES", 100)
    with pytest.raises(DataError, match=r"Give a smaller data\.size"):
        ImageFolder(dir=str(tmp_path), size=4).load()


def test_train_and_test_folders_are_an_official_division(tmp_path):
    for part, classes in (("train", ("cat", "dog")), ("test", ("dog", "emu"))):
        for name in classes:
            (tmp_path / part / name).mkdir(parents=True)
            Image.new("L", (5, 5), 90).save(tmp_path / part / name / "1.png")
    source = ImageFolder(dir=str(tmp_path), size=4)
    raw = source.load()
    assert source.default_split == "official"
    assert raw.classes == ("cat", "dog", "emu")
    assert (raw.Y.tolist(), raw.Y_test.tolist()) == ([0, 1], [1, 2])
    (tmp_path / "valid").mkdir()  # then they are three classes like any others
    assert ImageFolder(dir=str(tmp_path), size=4).default_split == 0.8


def test_arrays_in_the_manner_of_keras(tmp_path):
    X, Y = np.zeros((6, 4, 4), np.uint8), np.array([[0], [1], [2], [0], [1], [2]])
    np.savez(tmp_path / "k.npz", x_train=X, y_train=Y, x_test=X[:2], y_test=Y[:2].astype(float))
    source = Npz(file=str(tmp_path / "k.npz"))
    raw = source.load()
    assert (source.default_split, source.image_shape(), source.sample_count()) == (
        "official",
        (4, 4, 1),
        6,
    )
    assert (raw.Y.tolist(), raw.Y_test.tolist()) == ([0, 1, 2, 0, 1, 2], [0, 1])
