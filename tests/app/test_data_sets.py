"""Every data set is trained on from the command line; real values and tables go all the way."""

import json

import numpy as np
import pytest
from PIL import Image

from cnnexp import load_run, load_runs
from cnnexp.data import SOURCES, Cifar10, FashionMnist, Kmnist, Mnist
from cnnexp.data.files import File
from tests.commandline import cnnexp, succeed
from tests.data.made import NAMES, digest, put_cifar, put_idx

QUICK = ("epochs=1", "model=flat", "model.layers.1.units=5", "impl.threads=1")
REAL = ("model=regression", "loss=mean_squared_error", "impl.threads=1")


def own(folder, name, monkeypatch):
    """Make a small data set of a name, and return the settings that choose it."""
    rng = np.random.default_rng(0)
    X, Y = rng.integers(0, 256, (30, 6, 6)).astype(np.uint8), np.arange(30) % 3
    if name in ("digits", "sklearn"):
        return ["data.limit=50"]
    if name in ("mnist", "fashion_mnist", "kmnist"):
        put_idx(folder, NAMES, [*range(10)] * 3)
        files = [File(n, "", digest((folder / n).read_bytes())) for n in NAMES]
        for source in (Mnist, FashionMnist, Kmnist):
            monkeypatch.setattr(source, "files", files)
        return [f"data.dir={folder}"]
    if name == "emnist":
        kinds = ("images-idx3-ubyte", "labels-idx1-ubyte")
        names = [f"emnist-letters-{p}-{kind}" for p in ("train", "test") for kind in kinds]
        put_idx(folder, names, range(1, 27))
        return [f"data.dir={folder}", "data.subset=letters"]
    if name == "cifar10":
        monkeypatch.setattr(Cifar10, "records", 10)
        put_cifar(folder, 10)
        return [f"data.dir={folder}"]
    if name == "npz":
        np.savez(folder / "a.npz", X=X, Y=Y)
        return [f"data.file={folder / 'a.npz'}"]
    if name == "npy":
        np.save(folder / "X.npy", X)
        np.save(folder / "Y.npy", Y)
        return [f"data.images={folder / 'X.npy'}", f"data.labels={folder / 'Y.npy'}"]
    if name == "image_folder":
        for k, image in enumerate(X):
            (folder / f"class {k % 3}").mkdir(exist_ok=True)
            Image.fromarray(image).save(folder / f"class {k % 3}" / f"{k}.webp", lossless=True)
        return [f"data.dir={folder}", "data.size=6"]
    rows = "\n".join(f"{k},{k * k},{'odd' if k % 2 else 'even'}" for k in range(30))
    (folder / "t.csv").write_text(f"a,b,c\n{rows}\n")
    if name == "parquet":
        pytest.importorskip("pyarrow")
        import pandas as pd

        pd.read_csv(folder / "t.csv").to_parquet(folder / "t.parquet")
    return [f"data.file={folder / f't.{name}'}", "data.target=c"]


OFTEN = ("digits", "mnist", "npz", "parquet")  # other tests train on them, or on their like
SETS = [pytest.param(n, marks=pytest.mark.long) if n in OFTEN else n for n in SOURCES]


@pytest.mark.parametrize("name", SETS)
@pytest.mark.long
def test_each_data_set_trains_and_is_evaluated_again(name, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    settings = own(tmp_path / "data", name, monkeypatch)
    run = tmp_path / "run"
    succeed(f"data={name}", *settings, *QUICK, f"hydra.run.dir={run}")
    record = load_run(run).record
    again = json.loads(succeed("evaluate", run, "--json"))
    assert again["error"] == record["results"]["test_error"]
    assert again["n"] == record["data"]["test"] > 0


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A run that learnt how bright an image is and where, in units far from 1; and its data."""
    folder = tmp_path_factory.mktemp("measured")
    rng = np.random.default_rng(0)
    level = rng.integers(20, 230, 300)
    X = np.clip(level[:, None, None] + rng.integers(-9, 10, (300, 6, 6)), 0, 255).astype(np.uint8)
    np.savez(folder / "a.npz", X=X, Y=np.stack([1000 + 3.5 * level, level / 1e4], axis=1))
    run = folder / "run"
    settings = ["epochs=20", "learning_rate=0.02", f"hydra.run.dir={run}"]
    succeed("data=npz", f"data.file={folder / 'a.npz'}", *REAL, *settings)
    return run


def test_predict_gives_real_values_in_their_own_unit(measured, tmp_path):
    Image.new("L", (30, 30), 100).save(tmp_path / "grey.png")
    (found,) = json.loads(succeed("predict", measured, tmp_path / "grey.png", "--json"))
    values = found["values"]
    assert values["value 1"] == pytest.approx(1350, rel=0.05)
    assert values["value 2"] == pytest.approx(0.01, rel=0.2)
    assert "value 1 13" in succeed("predict", measured, tmp_path / "grey.png")


def test_real_values_are_recorded_shown_and_compared(measured):
    run = load_run(measured)
    data = run.record["data"]
    assert (data["classes"], data["target_shape"]) == ([], [2])
    assert data["target_scale"] == run.dataset.target_scale.as_record()
    assert run.results["test_loss"] < 0.1  # of the variance
    units = run.dataset.in_units(run.network.predict(run.dataset.test.X))
    expected = run.dataset.in_units(run.dataset.test.Y)
    assert np.abs(units - expected)[:, 0].mean() < 30
    assert "of 2 real values" in succeed("show", measured)
    assert "test_loss" in succeed("compare", measured)
    assert load_runs(measured)["test_loss"].notna().all()


@pytest.mark.long
def test_curves_and_weights_are_drawn_of_a_run_on_real_values(measured, tmp_path):
    assert "pictures in" in succeed("inspect", measured, "--out", tmp_path / "drawn")
    assert (tmp_path / "drawn" / "index.html").exists()


def test_other_samples_are_scaled_as_those_of_the_run(measured):
    whole, part = (
        json.loads(succeed("evaluate", measured, *words, "--json"))
        for words in ((), ("data.limit=50",))
    )
    assert (whole["n"], part["n"]) == (60, 50)
    A, _, _ = load_run(measured).network.evaluate(*_first(measured, 50))
    _, Y = _first(measured, 50)
    assert part["loss"] == pytest.approx(float(((A - Y) ** 2).mean()), rel=1e-5)


def _first(folder, count):
    test = load_run(folder).dataset.test
    return test.X[:count], test.Y[:count]


def test_classes_and_real_values_are_not_mixed_up(measured, tmp_path):
    ended = cnnexp("evaluate", measured, "data=digits")
    assert (ended.code, "has learnt real values" in ended.err) == (2, True)
    Image.new("L", (9, 9)).save(tmp_path / "x.png")
    ended = cnnexp("inspect", measured, tmp_path / "x.png")
    assert (ended.code, "inspect it without images" in ended.err) == (2, True)


@pytest.mark.long
def test_a_run_on_a_table_says_what_it_takes(tmp_path):
    run = tmp_path / "run"
    succeed("data=sklearn", *QUICK, f"hydra.run.dir={run}")
    Image.new("L", (9, 9)).save(tmp_path / "x.png")
    ended = cnnexp("predict", run, tmp_path / "x.png")
    assert (ended.code, "has learnt from a table of 4 features" in ended.err) == (2, True)
    assert "2 pictures" in succeed("inspect", run)
    ended = cnnexp("evaluate", run, "data.set=wine")
    assert (ended.code, "knows no class named 'class_0'" in ended.err) == (2, True)
    profile = ["profile", "data=sklearn", "model=flat", "impl=sg", "--seconds", "0.2"]
    assert "dense1" in succeed(*profile)


@pytest.mark.long
def test_a_run_on_real_values_goes_on_where_it_stopped(tmp_path):
    settings = ["data=sklearn", "data.set=diabetes", *REAL, "schedule=constant", "epochs=1"]
    succeed(*settings, f"hydra.run.dir={tmp_path / 'once'}")
    succeed("resume", tmp_path / "once", "epochs=3")
    succeed(*settings[:-1], "epochs=3", f"hydra.run.dir={tmp_path / 'whole'}")
    once, whole = (load_run(tmp_path / name).weights for name in ("once", "whole"))
    assert all((once[name] == whole[name]).all() for name in whole)


FAULTS = {
    "loss=cross_entropy: it is for classes, and the targets of data=sklearn are real": [
        "loss=cross_entropy"
    ],
    "metrics: error is for classes": ["loss=huber", "metrics=[error]"],
    "gives 10 numbers for each sample, and the real values of data=sklearn are 1.": [
        "loss=huber",
        "model.layers.3.units=10",
    ],
}


@pytest.mark.parametrize("message", FAULTS)
def test_what_does_not_suit_real_values_is_found_before_anything_is_read(message, tmp_path):
    words = ["data=sklearn", "data.set=diabetes", "model=regression", *FAULTS[message]]
    ended = cnnexp(*words, f"hydra.run.dir={tmp_path / 'run'}")
    assert ended.code == 2
    assert message in ended.err
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_whole_numbers_under_a_loss_for_values_are_asked_about(tmp_path):
    rows = "".join(f"{k},{k * 7 % 5},{k % 9}\n" for k in range(60))
    (tmp_path / "table.csv").write_text(f"a,b,price\n{rows}")
    words = ["data=csv", f"data.file={tmp_path / 'table.csv'}", "model=regression", "epochs=1"]
    ended = cnnexp(*words, f"hydra.run.dir={tmp_path / 'one'}")
    assert (ended.code, "taken for 9 classes" in ended.err) == (2, True)
    succeed(*words, "data.task=regression", f"hydra.run.dir={tmp_path / 'two'}")
    assert load_run(tmp_path / "two").network.output_shape == (1,)
    succeed(*words, "data.task=classification", f"hydra.run.dir={tmp_path / 'three'}")
