"""MNIST's format: four files, packed or not, trusted only if their checksums are right."""

import gzip

import numpy as np
import pytest

from cnnexp.data import Dataset, FashionMnist, Mnist
from cnnexp.data.dataset import Preparation
from cnnexp.data.idx import parse
from cnnexp.data.sources import data_folder
from cnnexp.errors import DataError
from tests.data.made import NAMES, PACKED, UNPACKED, Tiny, put


def assert_whole(source):
    raw = source.load()
    assert raw.X.shape == (6, 28, 28, 1)
    assert raw.X_test.shape == (4, 28, 28, 1)
    assert raw.Y.tolist() == [0, 1, 2, 3, 4, 5]
    assert raw.Y_test.tolist() == [0, 1, 2, 3]
    assert raw.X[0].tobytes() == UNPACKED[NAMES[0]][16 : 16 + 784]
    return raw


@pytest.mark.parametrize("packed", [True, False])
def test_files_packed_or_not(tmp_path, packed):
    assert_whole(Tiny(dir=str(put(tmp_path, packed))))


def test_some_packed_and_some_not(tmp_path):
    put(tmp_path, packed=False)
    (tmp_path / NAMES[0]).unlink()
    (tmp_path / f"{NAMES[0]}.gz").write_bytes(PACKED[f"{NAMES[0]}.gz"])
    assert_whole(Tiny(dir=str(tmp_path)))


def test_the_checksum_does_not_depend_on_packing(tmp_path):
    found = [Tiny(dir=str(put(tmp_path / str(k), k))).load().checksum for k in (True, False)]
    assert found[0] == found[1]


def damaged(content):
    return content[:100] + bytes([content[100] ^ 1]) + content[101:]


DAMAGES = {
    "one bit": (False, lambda content: damaged(content), "not the file it should be"),
    "truncated": (False, lambda content: content[:-5], "not the file it should be"),
    "longer": (False, lambda content: content + b"x", "not the file it should be"),
    "empty": (False, lambda content: b"", "not the file it should be"),
    "another file": (True, lambda content: gzip.compress(b"hello"), "not the file it should be"),
    "packed, truncated": (True, lambda content: content[:-5], "cannot be unpacked"),
    "packed, one bit": (True, lambda content: damaged(content), "cannot be unpacked"),
    "a web page": (True, lambda content: b"<html>not found</html>", "cannot be unpacked"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_not_right_is_refused_and_left(tmp_path, damage):
    packed, change, message = DAMAGES[damage]
    name = f"{NAMES[2]}.gz" if packed else NAMES[2]
    put(tmp_path, packed)
    content = change((PACKED if packed else UNPACKED)[name])
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as raised:
        Tiny(dir=str(tmp_path)).load()
    text = str(raised.value)
    assert text.startswith(f"{tmp_path / name}: {message}")
    assert Tiny.files[2].unpacked in text  # what was expected
    assert "It was left as it is: delete it to have it downloaded again." in text
    assert (tmp_path / name).read_bytes() == content


def test_a_file_that_is_not_right_says_what_was_found(tmp_path):
    put(tmp_path, packed=False)
    (tmp_path / NAMES[1]).write_bytes(b"hello")
    with pytest.raises(DataError) as raised:
        Tiny(dir=str(tmp_path)).load()
    sha = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"  # of hello
    assert f"found sha256:{sha} (5 bytes)" in str(raised.value)


def test_the_two_label_files_cannot_be_mixed_up(tmp_path):
    put(tmp_path, packed=False)
    (tmp_path / NAMES[3]).write_bytes(UNPACKED[NAMES[1]])
    with pytest.raises(DataError, match=f"{NAMES[3]}: not the file it should be"):
        Tiny(dir=str(tmp_path)).load()


# The real ones --------------------------------------------------------------------------------


def test_mnist_is_mnist(mnist_folder):
    raw = Mnist(dir=str(mnist_folder)).load()
    assert raw.X.shape == (60000, 28, 28, 1)
    assert raw.X_test.shape == (10000, 28, 28, 1)
    # The counts that its authors' page and every tutorial show.
    assert raw.Y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert np.bincount(raw.Y_test).tolist() == [
        980,
        1135,
        1032,
        1010,
        982,
        892,
        958,
        1028,
        974,
        1009,
    ]


@pytest.mark.long
def test_mnist_may_be_divided_by_a_ratio(mnist_folder):
    found = Dataset.prepare(Mnist(dir=str(mnist_folder)), Preparation(split=0.95, limit=100))
    assert (found.train.count, found.test.count) == (100, 100)
    whole = Dataset.prepare(Mnist(dir=str(mnist_folder)), Preparation(split=0.95))
    assert (whole.train.count, whole.test.count) == (66500, 3500)


@pytest.mark.parametrize("source", [Mnist, FashionMnist])
def test_what_is_known_before_anything_is_read(source):
    assert source().image_shape() == (28, 28, 1)
    assert source().class_count() == 10
    assert len(source.classes) == 10
    assert len(source.mirrors) >= 2
    assert len({file.name for file in source.files}) == 4


# Where files lie ------------------------------------------------------------------------------


def test_the_folder_given_comes_first(monkeypatch, tmp_path):
    monkeypatch.setenv("CNNEXP_DATA_DIR", str(tmp_path))
    assert data_folder("mnist", "here") == data_folder("other", "here")
    assert str(data_folder("mnist", "here")) == "here"
    assert data_folder("mnist", None) == tmp_path / "mnist"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert data_folder("mnist", "~/digits") == tmp_path / "home" / "digits"


def test_without_a_folder_given_the_users_cache_is_taken(monkeypatch, tmp_path):
    monkeypatch.delenv("CNNEXP_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = data_folder("mnist", None)
    assert folder.name == "mnist"
    assert "cnnexp" in folder.parts
    assert tmp_path in folder.parents


def test_an_array_of_more_axes_than_there_can_be_is_refused():
    """255 axes of length 1 are more than NumPy has."""
    with pytest.raises(DataError, match="labels: not an IDX file of bytes"):
        parse(b"\0\0\x08\xff" + 255 * b"\0\0\0\1" + b"a", "labels")
