"""Fashion-MNIST, KMNIST and EMNIST, read from small files made for the test."""

import hashlib
import zipfile

import numpy as np
import pytest

from cnnexp.data import SOURCES, Dataset, Emnist, FashionMnist, Kmnist
from cnnexp.data import emnist as emnist_module
from cnnexp.data.dataset import Preparation
from cnnexp.data.emnist import SUBSETS
from cnnexp.data.files import File
from cnnexp.data.idx import parse
from cnnexp.errors import DataError, OptionError
from tests.data.made import NAMES, digest, idx, put_idx

LABELS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]


def emnist_names(subset):
    return [
        f"emnist-{subset}-{part}-{kind}-ubyte"
        for part in ("train", "test")
        for kind in ("images-idx3", "labels-idx1")
    ]


def with_checksums(monkeypatch, source, folder, ending=""):
    """Let a source expect the files that lie in a folder."""
    files = []
    for name in NAMES:
        content = (folder / f"{name}{ending}").read_bytes()
        files.append(File(name, digest(content), "" if ending else digest(content)))
    monkeypatch.setattr(source, "files", tuple(files))


def test_fashion_mnist_is_read_and_names_its_classes(tmp_path, monkeypatch):
    put_idx(tmp_path, NAMES, LABELS)
    with pytest.raises(DataError, match="not the file it should be"):
        FashionMnist(dir=str(tmp_path)).load()
    with_checksums(monkeypatch, FashionMnist, tmp_path)
    raw = FashionMnist(dir=str(tmp_path)).load()
    assert (raw.X.shape, raw.Y.tolist()) == ((10, 28, 28, 1), LABELS)
    assert raw.classes[0] == "T-shirt"
    assert raw.X[3, 3, :9, 0].tolist() == [255] * 9  # rows are rows


def test_kmnist_packed_is_checked_before_it_is_unpacked(tmp_path, monkeypatch):
    put_idx(tmp_path, NAMES, LABELS, ".gz")
    with pytest.raises(
        DataError, match=r"\.gz: not the file it should be\. Expected sha256:51467d"
    ):
        Kmnist(dir=str(tmp_path)).load()
    with_checksums(monkeypatch, Kmnist, tmp_path, ".gz")
    raw = Kmnist(dir=str(tmp_path)).load()
    assert raw.classes == ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    assert raw.Y_test.tolist() == LABELS
    put_idx(tmp_path / "plain", NAMES, LABELS)  # no checksum is published of unpacked files
    plain = Kmnist(dir=str(tmp_path / "plain")).load()
    assert plain.checksum == raw.checksum
    np.testing.assert_array_equal(plain.X, raw.X)


def test_emnist_is_turned_upright_and_labels_begin_at_0(tmp_path):
    labels = [1, 2, 3, 26]
    put_idx(tmp_path, emnist_names("letters"), labels, ".gz")
    raw = Emnist(subset="letters", dir=str(tmp_path)).load()
    assert raw.Y.tolist() == [0, 1, 2, 25]
    assert raw.classes == tuple("abcdefghijklmnopqrstuvwxyz")
    # The file has a bar in a row, the image that comes out has it in the column of that number.
    for k, label in enumerate(labels):
        assert raw.X[k, :9, label, 0].tolist() == [255] * 9
    assert Dataset.prepare(Emnist(subset="letters", dir=str(tmp_path)), Preparation()).test.count


@pytest.mark.parametrize("subset", SUBSETS)
def test_every_division_of_emnist_is_read_from_the_archive(tmp_path, monkeypatch, subset):
    classes = len(SUBSETS[subset][0])
    first = int(subset == "letters")
    put_idx(tmp_path / "made", emnist_names(subset), [first, first + classes - 1], ".gz")
    with zipfile.ZipFile(tmp_path / "gzip.zip", "w") as archive:
        for path in (tmp_path / "made").iterdir():
            archive.write(path, f"gzip/{path.name}")
    with pytest.raises(DataError, match=r"gzip\.zip: not the file it should be"):
        Emnist(subset=subset, dir=str(tmp_path)).load()
    content = (tmp_path / "gzip.zip").read_bytes()
    packed = f"sha256:{hashlib.sha256(content).hexdigest()}"
    monkeypatch.setattr(Emnist, "archive", Emnist.archive._replace(packed=packed))
    raw = Emnist(subset=subset, dir=str(tmp_path)).load()
    assert raw.Y.tolist() == [0, classes - 1]
    assert len(raw.classes) == len(set(raw.classes)) == classes


def test_the_classes_of_emnist_are_those_of_the_paper():
    counts = {
        "byclass": 62,
        "bymerge": 47,
        "balanced": 47,
        "letters": 26,
        "digits": 10,
        "mnist": 10,
    }
    assert {name: len(classes) for name, (classes, _) in SUBSETS.items()} == counts
    assert SUBSETS["balanced"][0][36:] == "abdefghnqrt"  # the small letters that are told apart
    assert SUBSETS["byclass"][0][10] == "A"


def test_emnist_asks_for_its_archive(tmp_path, monkeypatch):
    asked = []

    def refuse(remote, files):
        asked.append((remote.name, [file.packed_name for file in files], list(remote.mirrors)))
        raise DataError("no network")

    monkeypatch.setattr(emnist_module, "download", refuse)
    with pytest.raises(DataError, match="no network"):
        Emnist(dir=str(tmp_path)).load()
    assert asked == [("emnist", ["gzip.zip"], list(Emnist.mirrors))]
    with pytest.raises(OptionError, match="Did you mean 'letters'"):
        Emnist(subset="leters")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "kmnist", "emnist", "cifar10"])
def test_what_is_known_before_anything_is_read(name):
    source = SOURCES[name]()
    assert source.image_shape() == ((32, 32, 3) if name == "cifar10" else (28, 28, 1))
    assert source.class_count() == len(source.classes)
    assert source.sample_count() >= 60_000
    assert source.has_official_split


GOOD = idx(np.arange(6).reshape(2, 3))
ODD = {
    "empty": (b"", "not an IDX file"),
    "no axes": (b"\0\0\x08\0", "not an IDX file"),
    "another type": (b"\0\0\x0d" + GOOD[3:], "not an IDX file"),
    "cut in the header": (GOOD[:9], "not an IDX file"),
    "cut in the values": (GOOD[:-1], "its header says 6 bytes, and 5 are there"),
    "longer": (GOOD + b"x", "its header says 6 bytes, and 7 are there"),
    "huge": (b"\0\0\x08\x02" + b"\xff" * 8, "its header says 18,446,744,065,119,617,025 bytes"),
}


@pytest.mark.parametrize("odd", ODD)
def test_an_idx_file_of_another_form_is_refused(odd):
    content, message = ODD[odd]
    with pytest.raises(DataError, match=f"^x: .*{message}"):
        parse(content, "x")


def test_images_and_labels_must_belong_together(tmp_path):
    names = emnist_names("digits")
    put_idx(tmp_path, names, [0, 1, 2])
    (tmp_path / names[1]).write_bytes(idx(np.array([0, 1])))
    with pytest.raises(DataError, match=r"Found images \(3, 28, 28\) and labels \(2,\)"):
        Emnist(subset="digits", dir=str(tmp_path)).load()
    put_idx(tmp_path, names, [0, 1, 10])
    with pytest.raises(DataError, match=r"labels must lie in 0 … 9\. Found 0 … 10"):
        Emnist(subset="digits", dir=str(tmp_path)).load()
