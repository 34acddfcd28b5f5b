"""CIFAR-10's binary format, from small files made for the test."""

import hashlib
import tarfile

import numpy as np
import pytest

from cnnexp.data import Cifar10
from cnnexp.data.cifar import ARCHIVE, FOLDER
from cnnexp.errors import DataError
from tests.data.made import put_cifar


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(Cifar10, "records", 4)


def test_planes_become_channels_and_labels_their_names(tmp_path):
    put_cifar(tmp_path, 4)
    record = np.frombuffer((tmp_path / "data_batch_2.bin").read_bytes(), np.uint8)[3073:6146]
    raw = Cifar10(dir=str(tmp_path)).load()
    assert (raw.X.shape, raw.X_test.shape) == ((20, 32, 32, 3), (4, 32, 32, 3))
    assert raw.Y.tolist() == [0, 1, 2, 3] * 5
    image = raw.X[5]  # the second of the second file
    for channel in range(3):
        for row, column in ((0, 0), (0, 31), (31, 0), (17, 5)):
            assert image[row, column, channel] == record[1 + 1024 * channel + 32 * row + column]
    assert raw.classes[3] == "cat"


def test_the_folder_inside_and_the_archive_are_found_too(tmp_path, monkeypatch):
    put_cifar(tmp_path / "unpacked" / FOLDER, 4)
    expected = Cifar10(dir=str(tmp_path / "unpacked")).load()
    (tmp_path / "packed").mkdir()
    with tarfile.open(tmp_path / "packed" / ARCHIVE, "w:gz") as archive:
        archive.add(tmp_path / "unpacked" / FOLDER, FOLDER)
    source = Cifar10(dir=str(tmp_path / "packed"))
    with pytest.raises(DataError, match=r"not the file it should be\. Expected sha256:c4a38c50"):
        source.load()
    content = (tmp_path / "packed" / ARCHIVE).read_bytes()
    checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
    monkeypatch.setattr(Cifar10, "archive_checksum", checksum)
    found = source.load()
    assert found.checksum == expected.checksum
    np.testing.assert_array_equal(found.X, expected.X)


@pytest.mark.parametrize("name", ["data_batch_1", "cifar-10-python.tar.gz", "cifar-10-batches-py"])
def test_the_version_of_pickles_is_refused_and_never_opened(tmp_path, name):
    (tmp_path / name).write_bytes(b"cos\nsystem\n")
    with pytest.raises(DataError) as raised:
        Cifar10(dir=str(tmp_path)).check()
    assert f"{name}: this is the version for Python, made of pickles" in str(raised.value)
    assert "cifar-10-binary.tar.gz" in str(raised.value)


def test_files_that_lack_or_are_of_another_size(tmp_path):
    with pytest.raises(DataError, match=r"Nothing is downloaded\. Take the «binary version»"):
        Cifar10(dir=str(tmp_path)).check()
    put_cifar(tmp_path, 4)
    (tmp_path / "data_batch_3.bin").write_bytes(b"x" * 100)
    with pytest.raises(DataError, match=r"data_batch_3\.bin must have 12,292 bytes.* Found 100\."):
        Cifar10(dir=str(tmp_path)).load()
    (tmp_path / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match=r"these files lack: data_batch_3\.bin"):
        Cifar10(dir=str(tmp_path)).check()
    put_cifar(tmp_path, 4)
    content = bytearray((tmp_path / "test_batch.bin").read_bytes())
    content[0] = 10
    (tmp_path / "test_batch.bin").write_bytes(content)
    with pytest.raises(DataError, match=r"test_batch\.bin: labels must lie in 0 … 9\. Found 10"):
        Cifar10(dir=str(tmp_path)).load()
