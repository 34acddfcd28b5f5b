"""The digits, files of one's own, and folders of images."""

import numpy as np
import pytest
from PIL import Image

from cnnexp.data import SOURCES, Dataset, headers
from cnnexp.data.arrays import Npz
from cnnexp.data.bundled import Digits
from cnnexp.data.dataset import Preparation
from cnnexp.data.image_folder import ImageFolder
from cnnexp.data.sources import array_checksum
from cnnexp.errors import DataError


def test_the_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    images, labels = load_digits().images, load_digits().target
    raw = Digits().load()
    np.testing.assert_array_equal(raw.X[..., 0], images)
    np.testing.assert_array_equal(raw.Y, labels)
    assert (raw.largest, raw.X_test) == (16.0, None)
    assert Digits().image_shape() == raw.X.shape[1:]
    assert Digits().class_count() == len(raw.classes) == 10


def test_the_checksum_of_the_digits_is_that_of_all_runs_before():
    """Runs of the version that read scikit-learn's file can be resumed."""
    expected = "sha256:aff01bba78c1d7943350c5e417fb60d4d289bd560568a5a1d9f2ecbd375af151"
    assert Digits().load().checksum == expected


def test_every_source_knows_its_name():
    assert all(SOURCES[name].name == name for name in SOURCES)
    assert set(SOURCES) >= {"digits", "mnist", "fashion_mnist", "npz", "image_folder"}


def test_a_checksum_depends_on_values_shape_and_type():
    a = np.arange(6)
    others = [a + 1, a.reshape(2, 3), a.astype("int32")]
    assert array_checksum(a) == array_checksum(a.copy())
    assert array_checksum(a.reshape(2, 3).T) == array_checksum(a.reshape(2, 3).T.copy())
    assert len({array_checksum(other) for other in [a, *others]}) == 4


# npz ------------------------------------------------------------------------------------------


X = np.random.default_rng(0).integers(0, 256, (20, 5, 4)).astype(np.uint8)
Y = np.arange(20) % 3
WITH_INF = np.where(np.arange(20)[:, None, None] == 2, np.inf, X)


def saved(tmp_path, **arrays):
    np.savez(tmp_path / "own.npz", **arrays)
    return Npz(file=str(tmp_path / "own.npz"))


def test_arrays_of_ones_own(tmp_path):
    source = saved(tmp_path, X=X, Y=Y)
    raw = source.load()
    np.testing.assert_array_equal(raw.X, X[..., None])
    assert (raw.classes, raw.largest, source.default_split) == (("0", "1", "2"), 255.0, 0.8)
    assert Dataset.prepare(source, Preparation()).train.count == 16


def test_arrays_of_ones_own_that_are_divided(tmp_path):
    source = saved(tmp_path, X_train=X[:15], Y_train=Y[:15], X_test=X[15:], Y_test=Y[15:])
    assert source.default_split == "official"
    found = Dataset.prepare(source, Preparation(scaling="none"))
    np.testing.assert_array_equal(found.train.X[..., 0], X[:15])
    np.testing.assert_array_equal(found.test.Y, Y[15:])


def test_colours_and_numbers_of_any_size(tmp_path):
    colours = np.random.default_rng(0).standard_normal((20, 5, 4, 3)) * 7
    raw = saved(tmp_path, X=colours, Y=Y).load()
    assert raw.X.shape == (20, 5, 4, 3)
    assert raw.largest == np.abs(colours).max()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": X}, "needs the arrays X and Y, or X_train, Y_train, X_test and Y_test. Found: X."),
        ({"X_train": X, "X_test": X, "Y_test": Y}, "Found: X_train, X_test, Y_test."),
        ({}, "Found: none."),
        ({"X": X[0, 0], "Y": Y[:4]}, "images must be (n_m, ih, iw) or (n_m, ih, iw, n_c), or a"),
        ({"X": X, "Y": Y[:9]}, "Got labels of shape (9,) for 20 images."),
        ({"X": X, "Y": Y + np.nan}, "labels or targets must be finite numbers."),
        ({"X": X, "Y": np.array(["a"] * 20, object)}, "holds Python objects"),
        ({"X": X, "Y": np.array(5)}, "labels must be one for each sample. Got ()."),
        ({"X": X, "Y": Y + 10**10}, "would make 10,000,000,003 classes; at most 100,000"),
        ({"X": X, "Y": Y - 1}, "labels must be at least 0. Found -1."),
        ({"X": X[:0], "Y": Y[:0]}, "there are no images in it."),
        ({"X": np.array(["a"] * 20), "Y": Y}, "images must be"),
        ({"X": np.full((20, 2, 2), "a"), "Y": Y}, "images must be numbers. Got <U1."),
        ({"X": np.full((20, 2, 2), np.nan), "Y": Y}, "X: images must be finite numbers. Sample 0"),
        (
            {"X_train": X, "Y_train": Y, "X_test": WITH_INF, "Y_test": Y},
            "X_test: images must be finite numbers. Sample 2, counted from 0, holds inf.",
        ),
        (
            {"X_train": X, "Y_train": Y, "X_test": X[:, :3], "Y_test": Y},
            "training and test images must have one shape. Got (5, 4, 1) and (3, 4, 1).",
        ),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, arrays, message):
    with pytest.raises(DataError) as raised:
        saved(tmp_path, **arrays).load()
    assert str(raised.value).startswith(str(tmp_path / "own.npz"))
    assert message in str(raised.value)


def test_arrays_that_would_run_code_are_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        saved(tmp_path, X=np.array([print] * 20, object), Y=Y).load()


def test_files_that_are_no_archives(tmp_path):
    with pytest.raises(DataError, match=r"data=npz needs data.file=PATH"):
        Npz().load()
    with pytest.raises(DataError, match="there is no such file"):
        Npz(file=str(tmp_path / "no.npz")).load()
    (tmp_path / "text.npz").write_text("hello")
    np.save(tmp_path / "one.npy", X)
    saved(tmp_path, X=X, Y=Y)
    (tmp_path / "half.npz").write_bytes((tmp_path / "own.npz").read_bytes()[:200])
    for name in ("text.npz", "one.npy", "half.npz"):
        with pytest.raises(DataError, match=r"not an \.npz file"):
            Npz(file=str(tmp_path / name)).load()


# Folders of images ----------------------------------------------------------------------------


def draw(path, colour, size=(6, 9)):
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.new("RGB", size, colour).save(path)


def test_a_folder_for_each_class(tmp_path):
    for k in range(3):
        draw(tmp_path / "red" / f"{k}.png", (255, 0, 0))
        draw(tmp_path / "blue" / f"{k}.PNG", (0, 0, 255))
    (tmp_path / ".thumbnails").mkdir()  # what other programs leave behind is no class
    (tmp_path / "red" / "notes.txt").write_text("no image")
    (tmp_path / "readme.txt").write_text("no folder")
    source = ImageFolder(dir=str(tmp_path), size=4, channels=3)
    raw = source.load()
    assert raw.classes == ("blue", "red")
    assert raw.X.shape == (6, 4, 4, 3)
    assert raw.Y.tolist() == [0, 0, 0, 1, 1, 1]
    assert raw.X[0, 0, 0].tolist() == [0, 0, 255]
    assert source.image_shape() == (4, 4, 3)
    assert ImageFolder(dir=str(tmp_path), size=4).load().X.shape == (6, 4, 4, 1)


def test_folders_that_hold_nothing_of_use(tmp_path):
    with pytest.raises(DataError, match=r"data=image_folder needs data.dir=FOLDER"):
        ImageFolder().load()
    with pytest.raises(DataError, match="there is no such folder"):
        ImageFolder(dir=str(tmp_path / "no")).load()
    (tmp_path / "class").mkdir()
    with pytest.raises(DataError, match=r"Found no image \(.*\) in its folders: class\."):
        ImageFolder(dir=str(tmp_path)).load()
    (tmp_path / "class" / "bad.png").write_text("hello")
    with pytest.raises(DataError, match=r"bad.png: not an image"):
        ImageFolder(dir=str(tmp_path)).load()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size must be at least 1. Got 0."),
        ({"channels": 2}, "channels must be 1 for grey or 3 for colour. Got 2."),
    ],
)
def test_options_of_an_image_folder(options, message):
    with pytest.raises(ValueError, match=message):
        ImageFolder(**options)


def test_a_disk_that_fails_is_no_reason_for_other_defaults(tmp_path, monkeypatch):
    """The shape would be unknown, and images would be scaled as a table is."""

    def fail(self, *_):
        raise OSError(5, "Input/output error")

    np.savez(tmp_path / "own.npz", X=np.zeros((4, 2, 2)), Y=np.arange(4))
    source = Npz(file=str(tmp_path / "own.npz"))
    assert source.image_shape() == (2, 2, 1)
    monkeypatch.setattr(headers.zipfile.ZipFile, "open", fail)
    with pytest.raises(DataError, match=r"cannot be read: Input/output error. Check the disk"):
        source.image_shape()
