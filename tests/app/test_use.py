"""Using a run: evaluate, predict, export."""

import csv
import json
import pickle
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont, ImageOps

from cnnexp import load_run
from tests.commandline import cnnexp, succeed


def test_evaluate_gives_the_recorded_figures_again(digits_run):
    run, found = load_run(digits_run), json.loads(succeed("evaluate", digits_run, "--json"))
    last = list(csv.DictReader((digits_run / "epochs.csv").read_text().splitlines()))[-1]
    assert [found["loss"], found["error"]] == [float(last["test_loss"]), float(last["test_error"])]
    assert (found["data"], found["n"]) == ("digits", run.record["data"]["test"])


def test_evaluate_prints_a_line(digits_run):
    results = load_run(digits_run).results
    assert succeed("evaluate", digits_run) == (
        f"data=digits, test part: loss {results['test_loss']:.4f}"
        f"  error {results['test_error']:.4f}  n 359\n"
    )


def test_evaluate_keeps_what_is_not_overridden(tmp_path):
    run = tmp_path / "run"
    succeed(f"hydra.run.dir={run}", "model=flat", "epochs=1", "data.seed=3", "data.limit=100")
    whole = json.loads(succeed("evaluate", run, "--json"))
    part = json.loads(succeed("evaluate", run, "data.limit=50", "--json"))
    assert (whole["n"], part["n"]) == (100, 50)
    loaded = load_run(run)
    test = loaded.dataset.test
    _, loss, error = loaded.network.evaluate(test.X[:50], test.Y[:50])  # of the same division
    assert (part["loss"], part["error"]) == (loss, error)


def test_evaluate_on_other_data(digits_run, tmp_path):
    run = load_run(digits_run)
    X = (run.dataset.test.X[:40] * 16).astype(np.float32)
    np.savez(tmp_path / "own.npz", X_train=X, Y_train=np.arange(40) % 10, X_test=X, Y_test=np.zeros(
        40, int
    ))  # fmt: skip
    found = json.loads(
        succeed("evaluate", digits_run, "data=npz", f"data.file={tmp_path / 'own.npz'}", "--json")
    )
    _, loss, error = run.network.evaluate(X / np.float32(16), np.zeros(40, int))
    assert found["n"] == 40
    assert (found["loss"], found["error"]) == pytest.approx((loss, error))


def folders_of(folder, run, names):
    """Save the test samples of some classes as pictures, in folders with other names; count."""
    test, count = load_run(run).dataset.test, 0
    for name, label in names.items():
        (folder / name).mkdir(parents=True)
        count += len(saved(folder / name, test.X[label == test.Y], lambda image: image))
    return count


def test_evaluate_matches_classes_by_name_and_takes_all_samples_of_another_set(
    digits_run, tmp_path
):
    count = folders_of(tmp_path / "own", digits_run, {"3": 3, "7": 7})
    words = ["evaluate", digits_run, "data=image_folder", f"data.dir={tmp_path / 'own'}"]
    found = json.loads(succeed(*words, "--per-class", "--json"))
    run = load_run(digits_run)
    chosen = np.isin(run.dataset.test.Y, [3, 7])
    right = run.network.predict(run.dataset.test.X).argmax(axis=1) == run.dataset.test.Y
    assert (found["n"], found["part"]) == (count, "all")
    assert found["error"] == pytest.approx(1 - right[chosen].mean(), abs=1.5 / count)  # 8 bits
    rows = {row["name"]: row for row in found["per_class"]}
    assert list(rows) == ["3", "7", "macro average"]  # the other eight do not occur
    assert rows["3"]["samples"] + rows["7"]["samples"] == rows["macro average"]["samples"] == count
    recalls = [rows[name]["recall"] for name in "37"]
    assert rows["macro average"]["recall"] == pytest.approx(np.mean(recalls))
    pictures = sorted((tmp_path / "own" / "7").iterdir())
    predicted = json.loads(succeed("predict", digits_run, *pictures, "--json"))
    assert {row["class"] for row in predicted} <= set("0123456789")  # the same names
    assert succeed(*words).startswith("data=image_folder, all samples: loss ")
    limited = json.loads(succeed(*words, "data.limit=20", "--json", "--per-class"))
    assert limited["n"] == 20
    assert len(limited["per_class"]) == 3  # drawn from both folders
    part = json.loads(succeed(*words, "data.split=0.8", "--json"))
    assert (part["part"], part["n"]) == ("test", pytest.approx(0.2 * count, abs=1))


def test_evaluate_refuses_classes_that_the_run_does_not_know(digits_run, tmp_path):
    folders_of(tmp_path / "own", digits_run, {"3": 3, "cat": 5, "dog": 7})
    (tmp_path / "own" / "no pictures").mkdir()
    words = ["data=image_folder", f"data.dir={tmp_path / 'own'}"]
    ended = cnnexp("evaluate", digits_run, *words)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        f"error: data=image_folder: {digits_run}: knows no class named 'cat', 'dog'. It knows '0',"
        " '1', '2', '3', '4', '5', '6', '7', '8', '9'. Name the classes as it does, and leave out"
        " the others.\n"
    )


@pytest.mark.parametrize("scaling", ["standard", "none"])
@pytest.mark.long
def test_evaluate_scales_other_pictures_as_the_run_scaled_its_own(scaling, tmp_path):
    run = tmp_path / "run"
    succeed(f"hydra.run.dir={run}", f"data.scaling={scaling}", "learning_rate=0.01")
    scale, test = load_run(run).dataset.scale, load_run(run).dataset.test
    pixels = (test.X + scale.shift) / scale.factor  # 0 to 16; as bytes, 0 to 255
    np.savez(tmp_path / "own.npz", X=(pixels / 16 * 255).round().astype(np.uint8), Y=test.Y)
    own = json.loads(succeed("evaluate", run, "--json"))
    words = ("data=npz", f"data.file={tmp_path / 'own.npz'}")
    other = json.loads(succeed("evaluate", run, *words, "--json"))
    assert other["n"] == own["n"]
    assert other["loss"] == pytest.approx(own["loss"], rel=0.02)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["epochs=3"], "epochs=3: evaluate takes data=NAME and data.KEY=VALUE only."),
        (["data.limt=3"], "data.limt: data=digits has no such option. Did you mean 'limit'?"),
        (["data.limit=0"], "data.limit must be at least 1. Got 0."),
        (["data=digitz"], "data=digitz: there is no such option. Did you mean 'digits'?"),
    ],
)
def test_evaluate_refuses_other_settings(digits_run, words, message):
    ended = cnnexp("evaluate", digits_run, *words)
    assert ended.code == 2
    assert message in ended.err


@pytest.mark.long
def test_evaluate_says_when_images_do_not_fit(digits_run, mnist_folder):
    ended = cnnexp("evaluate", digits_run, "data=mnist", f"data.dir={mnist_folder}")
    assert ended.code == 2
    assert "its samples are images of 28x28x1" in ended.err
    assert "from images of 8x8x1" in ended.err


def saved(folder, X, change):
    """Save images as pictures that are changed in some way, and return their paths."""
    paths = []
    for k, x in enumerate(X):
        image = Image.fromarray((x[..., 0] / x.max() * 255).round().astype(np.uint8))
        path = folder / f"{k}.png"
        change(image).save(path)
        paths.append(path)
    return paths


def moved_and_large(image):
    large = image.resize((image.width * 9, image.height * 9), Image.Resampling.BICUBIC)
    canvas = Image.new("L", (400, 500), 0)
    canvas.paste(large, (130, 20))
    return ImageOps.invert(canvas)


def as_transparency(image):
    drawn = Image.new("RGBA", image.size, (20, 20, 120, 255))
    drawn.putalpha(image)
    return drawn


def as_colours(image):
    return ImageOps.colorize(image, black=(250, 240, 200), white=(150, 20, 40))


def as_16_bits(image):
    return Image.fromarray(np.asarray(image).astype(np.uint16) * 257)


CHANGES = [lambda image: image, ImageOps.invert, moved_and_large, as_transparency, as_colours,
           as_16_bits]  # fmt: skip
NAMES = ["as it is", "inverted", "moved and large", "transparent", "coloured", "16 bits"]


@pytest.mark.long
@pytest.mark.parametrize("change", CHANGES, ids=NAMES)
@pytest.mark.parametrize("kind", ["digits", pytest.param("mnist", marks=pytest.mark.long)])
def test_predictions_stay_the_same_on_changed_pictures(kind, change, request, tmp_path):
    folder = request.getfixturevalue(f"{kind}_run")
    run = load_run(folder)
    X = run.dataset.test.X[:100]
    expected = run.network.predict(X).argmax(axis=1)
    found = json.loads(succeed("predict", folder, *saved(tmp_path, X, change), "--json"))
    same = np.mean([int(result["class"]) == y for result, y in zip(found, expected, strict=True)])
    assert same >= 0.93


def test_predict_says_what_was_drawn(mnist_run, tmp_path):
    font = ImageFont.load_default(size=150)
    for digit in "2357":
        image = Image.new("RGB", (300, 250), (240, 240, 210))
        ImageDraw.Draw(image).text((90, 30), digit, fill=(30, 40, 150), font=font, stroke_width=2)
        image.save(tmp_path / f"{digit}.png")
    paths = sorted(tmp_path.glob("*.png"))
    lines = succeed("predict", mnist_run, *paths).splitlines()
    assert [line.split()[0] for line in lines] == [str(path) for path in paths]
    assert sum(line.split()[1] == path.stem for line, path in zip(lines, paths, strict=True)) >= 3


def test_probabilities_add_up_and_lead_to_the_class(digits_run, tmp_path):
    (path,) = saved(tmp_path, load_run(digits_run).dataset.test.X[:1], lambda image: image)
    (found,) = json.loads(succeed("predict", digits_run, path, "--json"))
    probabilities = found["probabilities"]
    assert list(probabilities) == list("0123456789")
    assert sum(probabilities.values()) == pytest.approx(1)
    assert max(probabilities, key=probabilities.get) == found["class"]


@pytest.mark.parametrize("scaling", ["standard", "none"])
@pytest.mark.long
def test_pictures_are_scaled_as_the_run_scaled_its_images(scaling, tmp_path):
    run = tmp_path / "run"
    succeed(f"hydra.run.dir={run}", f"data.scaling={scaling}", "learning_rate=0.01")
    loaded = load_run(run)
    raw = load_run(run).dataset.test
    scale = loaded.dataset.scale
    pixels = (raw.X[:60] + scale.shift) / scale.factor
    assert pixels.max() == pytest.approx(16, abs=1e-3)
    found = json.loads(succeed("predict", run, *saved(tmp_path, pixels, lambda i: i), "--json"))
    right = [int(result["class"]) == y for result, y in zip(found, raw.Y[:60], strict=True)]
    assert np.mean(right) > 0.85


def test_pictures_for_a_folder_of_images_are_scaled_to_size(tmp_path):
    rng = np.random.default_rng(0)
    for name, colour in (("blue", (20, 30, 200)), ("red", (200, 20, 30))):
        (tmp_path / "own" / name).mkdir(parents=True)
        for k in range(8):
            pixels = np.clip(rng.normal(colour, 20, (10, 12, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "own" / name / f"{k}.png")
    run = tmp_path / "run"
    succeed(f"hydra.run.dir={run}", "data=image_folder", f"data.dir={tmp_path / 'own'}",
            "data.size=10", "data.channels=3", "model=flat", "epochs=5")  # fmt: skip
    Image.new("RGB", (50, 50), (180, 40, 50)).save(tmp_path / "new.png")
    (found,) = json.loads(succeed("predict", run, tmp_path / "new.png", "--json"))
    assert found["class"] == "red"


def test_predict_names_the_picture_that_cannot_be_used(digits_run, tmp_path):
    Image.new("L", (20, 20), 255).save(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("hello")
    for name, message in (
        ("empty.png", "nothing is drawn on it"),
        ("text.png", "not an image"),
        ("no.png", "there is no such file"),
    ):
        ended = cnnexp("predict", digits_run, tmp_path / name)
        assert ended.code == 2
        assert ended.err.startswith(f"error: {tmp_path / name}: {message}")


@pytest.fixture(scope="module")
def mixed(digits_run, tmp_path_factory):
    """A folder with three pictures of digits, one with nothing on it, a damaged one and a text."""
    folder = tmp_path_factory.mktemp("mixed")
    saved(folder, load_run(digits_run).dataset.test.X[:3], lambda image: image)
    Image.new("L", (20, 20), 255).save(folder / "1a.png")
    (folder / "1b.png").write_text("hello")
    (folder / "notes.txt").write_text("no picture, and in a folder not taken for one")
    return folder


def test_pictures_that_cannot_be_used_are_left_out_and_the_others_predicted(digits_run, mixed):
    paths = sorted(mixed.glob("*.png"))
    ended = cnnexp("predict", digits_run, *paths)
    good = [str(mixed / f"{k}.png") for k in range(3)]
    assert ended.code == 2
    assert [line.split()[0] for line in ended.out.splitlines()] == good
    empty, damaged, count = ended.err.splitlines()
    assert empty.startswith(f"error: {mixed / '1a.png'}: nothing is drawn on it")
    assert damaged.startswith(f"error: {mixed / '1b.png'}: not an image of a known format")
    assert count == "left out: 2 of 5"
    assert ended.out == succeed("predict", digits_run, *good)  # each on its own, as ever


def test_a_folder_stands_for_all_pictures_in_it_by_name(digits_run, mixed, tmp_path):
    ended = cnnexp("predict", digits_run, mixed, "--json")
    assert ended.code == 2
    assert [one["image"] for one in json.loads(ended.out)] == [
        str(mixed / f"{k}.png") for k in range(3)
    ]
    assert ended.err.count("error: ") == 2
    ended = cnnexp("predict", digits_run, tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"error: {tmp_path}: there is no picture (.png, .jpg,")


def test_export_to_npz(digits_run, tmp_path):
    out = succeed("export", digits_run, tmp_path / "weights.npz")
    assert out == f"{tmp_path / 'weights.npz'}: 6 arrays, 30,230 numbers\n"
    with np.load(tmp_path / "weights.npz") as found:
        expected = pickle.loads((digits_run / "weights.pkl").read_bytes())
        assert list(found) == list(expected)
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array)


def test_export_to_safetensors(digits_run, tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    succeed("export", digits_run, tmp_path / "weights.safetensors")
    found = safetensors.load_file(tmp_path / "weights.safetensors")
    for name, array in load_run(digits_run).weights.items():
        np.testing.assert_array_equal(found[name], array)


def test_export_says_how_to_get_safetensors(digits_run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    ended = cnnexp("export", digits_run, tmp_path / "weights.safetensors")
    assert ended.code == 2
    assert "pip install 'cnnexp[safetensors]'" in ended.err
    assert not list(tmp_path.iterdir())


def test_export_refuses_other_formats_and_places(digits_run, tmp_path):
    ended = cnnexp("export", digits_run, "weights.h5")
    assert ended.code == 2
    assert ".npz, .safetensors" in ended.err
    ended = cnnexp("export", digits_run, tmp_path / "no" / "weights.npz")
    assert ended.code == 2
    assert f"there is no folder {tmp_path / 'no'} to write it into" in ended.err


@pytest.mark.parametrize("command", ["evaluate", "predict", "export"])
def test_commands_that_use_a_run_need_one(command, tmp_path):
    ended = cnnexp(command, tmp_path, *(["x.png"] if command != "evaluate" else []))
    assert ended.code == 2
    if command != "export":
        assert "no run here" in ended.err


def test_commands_make_nothing(digits_run, tmp_path):
    before = sorted(path.name for path in digits_run.iterdir())
    succeed("evaluate", digits_run, "data.limit=5")
    assert not list(tmp_path.iterdir())
    assert sorted(path.name for path in digits_run.iterdir()) == before


def test_a_file_is_no_run(digits_run):
    ended = cnnexp("show", digits_run / "run.json")
    assert ended.code == 2
    assert f"run.json: is a file, not a run. The run is {digits_run}." in ended.err


def test_predict_names_the_folders_that_have_pictures(digits_run, tmp_path):
    for name in ("seven", "nine"):
        (tmp_path / name).mkdir()
        Image.new("L", (8, 8)).save(tmp_path / name / "a.png")
    ended = cnnexp("predict", digits_run, tmp_path)
    assert ended.code == 2
    assert f"There are some in {tmp_path}/nine, {tmp_path}/seven." in ended.err


def test_a_run_beside_other_files_is_warned_of(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    ended = cnnexp(f"hydra.run.dir={tmp_path}", "model=flat", "epochs=1", "data.limit=50")
    assert ended.code == 0
    assert f"warning: {tmp_path} holds other files" in ended.err
