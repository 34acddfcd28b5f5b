"""Arrays that stay on disk: the same bits as a copy in memory, and hardly any memory."""

import tracemalloc

import numpy as np
import pytest

from cnnexp import Dense, Flatten, Network
from cnnexp.data import Dataset, Npy, Npz
from cnnexp.data import dataset as dataset_module
from cnnexp.data.dataset import Preparation
from cnnexp.data.scale import ScaledRows
from cnnexp.errors import DataError
from cnnexp.train import OPTIMIZERS, SCHEDULES, Trainer
from tests.data.made import Numbered


def put(folder, X, Y, prefix=""):
    """Save arrays, and return the options that name them."""
    np.save(folder / f"{prefix}X.npy", X)
    np.save(folder / f"{prefix}Y.npy", Y)
    return {
        f"{prefix}images": str(folder / f"{prefix}X.npy"),
        f"{prefix}labels": str(folder / f"{prefix}Y.npy"),
    }


def images(count=60, dtype=np.uint8):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (count, 4, 4)).astype(dtype)
    return X, rng.integers(0, 3, count)


def trained(data, **options):
    net = Network(
        [Flatten(), Dense(8, activation="relu"), Dense(3, activation="softmax")], **options
    )
    sgd, constant = OPTIMIZERS["sgd"](), SCHEDULES["constant"]()
    trainer = Trainer(net, data, sgd, constant, learning_rate=0.05, epochs=2, batch_size=16)
    *_, last = trainer.events()
    net.close()
    return net.weights(), last.test


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
@pytest.mark.parametrize("options", [{}, {"scaling": "standard", "validation": 7, "limit": 40}])
def test_training_gives_the_bits_of_a_copy_in_memory(tmp_path, options, dtype):
    X, Y = images(dtype=dtype)
    np.savez(tmp_path / "own.npz", X=X, Y=Y)
    preparation = Preparation(**options)
    copied = Dataset.prepare(Npz(file=str(tmp_path / "own.npz")), preparation)
    on_disk = Dataset.prepare(Npy(**put(tmp_path, X, Y)), preparation)
    assert isinstance(copied.train.X, np.ndarray)
    assert isinstance(on_disk.train.X, ScaledRows)
    if options:  # a mean over blocks differs in its last bits
        assert on_disk.scale.factor == pytest.approx(copied.scale.factor, rel=1e-12)
        on_disk = Dataset.prepare(Npy(**put(tmp_path, X, Y)), preparation, scale=copied.scale)
    for part in ("train", "test", "validation"):
        if (expected := getattr(copied, part)) is not None:
            np.testing.assert_array_equal(np.asarray(getattr(on_disk, part).X), expected.X)
    weights, figures = trained(copied)
    found, found_figures = trained(on_disk)
    assert figures == found_figures
    for name, array in weights.items():
        np.testing.assert_array_equal(found[name], array)


def test_workers_give_the_same_bits(tmp_path):
    data = Dataset.prepare(Npy(**put(tmp_path, *images())), Preparation())
    one, other = (trained(data, threads=n, micro_batch=4)[0] for n in (1, 2))
    assert all((one[name] == other[name]).all() for name in one)


def test_a_set_of_64_megabytes_is_trained_on_in_8(tmp_path):
    """As floats it would take 256; the file is sparse, so it takes no room on the disk."""
    shape = (4096, 128, 128)
    np.lib.format.open_memmap(tmp_path / "X.npy", "w+", np.uint8, shape).flush()
    np.save(tmp_path / "Y.npy", np.arange(shape[0]) % 3)
    source = Npy(images=str(tmp_path / "X.npy"), labels=str(tmp_path / "Y.npy"))
    net = Network([Flatten(), Dense(3, activation="softmax")], micro_batch=16)
    net.inference_micro_batch = 16
    tracemalloc.start()
    try:
        data = Dataset.prepare(source, Preparation())
        sgd, constant = OPTIMIZERS["sgd"](), SCHEDULES["constant"]()
        trainer = Trainer(net, data, sgd, constant, learning_rate=0.1, epochs=1, batch_size=64)
        assert len(list(trainer.events())) == 53  # 52 mini-batches, one epoch
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * 2**20


def test_a_part_that_would_make_a_very_large_copy_is_scaled_when_it_is_used(monkeypatch):
    expected = Dataset.prepare(Numbered(), Preparation(), "float64")
    monkeypatch.setattr(dataset_module, "LARGEST_COPY", 100)
    found = Dataset.prepare(Numbered(), Preparation(), "float64")
    assert isinstance(found.train.X, ScaledRows)
    np.testing.assert_array_equal(np.asarray(found.train.X), expected.train.X)
    np.testing.assert_array_equal(found.test.X[1], expected.test.X[1])


def test_test_files_are_an_official_division(tmp_path):
    X, Y = images()
    options = put(tmp_path, X, Y) | put(tmp_path, X[:9], Y[:9], "test_")
    source = Npy(**options)
    assert source.has_official_split
    found = Dataset.prepare(source, Preparation())
    assert (found.train.count, found.test.count) == (60, 9)
    with pytest.raises(DataError, match=r"data\.split=0\.5: npy is divided into files"):
        Dataset.prepare(source, Preparation(split=0.5))


def test_the_checksum_is_of_all_bytes(tmp_path):
    X, Y = images()
    before = Npy(**put(tmp_path, X, Y)).load().checksum
    X[-1, -1, -1] ^= 1
    assert Npy(**put(tmp_path, X, Y)).load().checksum != before


def test_real_values_and_tables_stay_on_disk_too(tmp_path):
    X = np.random.default_rng(0).normal(5, 3, (500, 6)).astype("float32")
    source = Npy(**put(tmp_path, X, X @ np.arange(6.0)))
    assert source.image_shape() == (6,)
    found = Dataset.prepare(source, Preparation())
    rows = np.asarray(found.train.X)
    np.testing.assert_allclose(rows.mean(axis=0), np.zeros(6), atol=1e-6)
    np.testing.assert_allclose(rows.std(axis=0), np.ones(6), atol=1e-6)
    np.testing.assert_allclose(found.train.Y.std(), 1, atol=1e-6)
    rows = found.in_units(found.train.Y)
    assert rows.shape == (400, 1)
    assert abs(rows.mean() - 75) < 5


def test_what_is_wrong_with_the_files(tmp_path):
    X, Y = images()
    options = put(tmp_path, X, Y)
    with pytest.raises(DataError, match=r"needs data\.images=PATH and data\.labels=PATH"):
        Npy(images=options["images"]).check()
    with pytest.raises(DataError, match="give both, or none"):
        Npy(**options, test_images="x.npy").check()
    with pytest.raises(DataError, match=r"data\.labels=no\.npy: there is no such file"):
        Npy(images=options["images"], labels="no.npy").check()
    whole = (tmp_path / "X.npy").read_bytes()
    (tmp_path / "X.npy").write_bytes(whole[:-1])
    with pytest.raises(DataError, match="its header says 960 bytes, and 959 are there"):
        Npy(**options).check()
    (tmp_path / "X.npy").write_bytes(b"\x93NUMPY\x01\x00\xff\xff" + whole[10:])
    with pytest.raises(DataError, match=r"data\.images=.*X\.npy: not an \.npy file"):
        Npy(**options).check()
    for array, message in (
        (X[0, 0], "images must be"),
        (X[:9], "Got labels of shape"),
        (np.repeat([1.0, np.nan, 2.0], 20)[:, None, None] * np.ones((2, 2)), "Sample 20, counted"),
        (np.full((60, 2, 2), np.nan), "must be finite numbers. Sample 0, counted from 0, holds"),
        (np.array([{}] * 60), "Python objects"),
    ):
        np.save(tmp_path / "X.npy", array)
        with pytest.raises(DataError, match=message):
            Npy(**options).load()
