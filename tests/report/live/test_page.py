"""The page as a file: what it holds, what it refuses, and what foreign names can do in it."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnnexp
from cnnexp.errors import OptionError, RunError
from cnnexp.report.live import page as live
from cnnexp.report.live.page import check_size, evenly, live_page
from tests.commandline import cnnexp as run_main
from tests.conftest import make_run
from tests.report.live.script import Script, array, plain


@pytest.fixture(scope="module")
def kept_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs whose weights were kept."""
    folder = tmp_path_factory.mktemp("live") / "run"
    return make_run(folder, "model=cnn", "checkpoint.keep=all", "model.layers.0.filters=3")


def payload_of(page: str) -> dict[str, Any]:
    """Return what a page carries."""
    found = re.search(r'<script type="application/json" id="data">(.*)</script>', page)
    assert found is not None
    return json.loads(found[1])  # type: ignore[no-any-return]


def test_the_page_needs_nothing_from_elsewhere(kept_run: Path) -> None:
    page = live_page(cnnexp.load_run(kept_run))
    assert page.count("<script") == 2 == page.count("</script")
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert "innerHTML" not in page and "import " not in page.partition("<script type=m")[2]


def test_the_network_on_the_page_gives_what_predict_gives(kept_run: Path) -> None:
    run = cnnexp.load_run(kept_run)
    payload, script = payload_of(live_page(run)), Script()
    values = payload["weights"]["values"]
    script.call("loadNetwork", payload["layers"], payload["loss"], values)
    script._context.eval(
        "const shownImages = (images, shape) => imagesOf(images, shape).map(plainOf);"
    )
    images = script.call("shownImages", payload["images"], payload["shape"])
    facts = payload["images"]["facts"]
    chosen = np.stack([array(image) for image in images])
    X = run.dataset.test.X[[fact["number"] for fact in facts]]
    np.testing.assert_array_equal(chosen.astype(X.dtype), X)
    expected = run.network.predict(X)
    for image, a, fact in list(zip(chosen, expected, facts, strict=True))[::9]:
        found = array(script.call("outputs", plain(image))["softmax1"])
        np.testing.assert_allclose(found, a, atol=1e-5)
        assert fact["said"] == a.argmax()
        assert fact["probability"] == pytest.approx(a.max(), abs=1e-5)


def test_mistakes_come_last_and_the_most_confident_first(kept_run: Path) -> None:
    run = cnnexp.load_run(kept_run)
    images = payload_of(live_page(run))["images"]
    wrong = images["facts"][-images["mistakes"] :]
    assert wrong and all(fact["label"] != fact["said"] for fact in wrong)
    confidences = [fact["probability"] for fact in wrong]
    assert confidences == sorted(confidences, reverse=True)
    right = images["facts"][: -images["mistakes"]]
    assert all(fact["label"] == fact["said"] for fact in right)


def test_the_weights_of_every_epoch_are_on_the_page(kept_run: Path) -> None:
    run, script = cnnexp.load_run(kept_run), Script()
    epochs = payload_of(live_page(run))["epochs"]
    assert [epoch["epoch"] for epoch in epochs["all"]] == [0, 1, 2]
    assert all(epoch["values"] for epoch in epochs["all"])
    assert epochs["all"][0]["train_loss"] is None
    assert epochs["all"][2]["test_error"] == run.results["test_error"]
    script._context.eval("const numbers = (...words) => Array.from(numbersOf(...words));")
    last = script.call("numbers", epochs["all"][2]["values"], epochs["format"])
    final = live.vector(run.network.layers, run.network.weights())
    np.testing.assert_allclose(last, final, rtol=1e-3, atol=1e-6)


def test_a_resumed_run_keeps_the_same_weights(kept_run: Path, tmp_path: Path) -> None:
    settings = ("model=linear", "checkpoint.keep=all", "schedule=constant")
    whole = make_run(tmp_path / "whole", *settings, "epochs=3")
    parts = make_run(tmp_path / "parts", *settings, "epochs=1")
    shutil.copy(parts / "checkpoints/epoch_0001.pkl", parts / "checkpoints/epoch_0007.pkl")
    assert run_main("resume", str(parts), "epochs=3").code == 0
    names = [path.name for path in sorted((whole / "checkpoints").iterdir())]
    assert names == [f"epoch_000{k}.pkl" for k in range(4)]
    assert names == [path.name for path in sorted((parts / "checkpoints").iterdir())]
    for name in names:
        assert (whole / "checkpoints" / name).read_bytes() == (
            parts / "checkpoints" / name
        ).read_bytes()
    recorded = json.loads((whole / "run.json").read_text())["checksums"]["epochs"]
    assert recorded.keys() == set(names)


def test_weights_of_an_epoch_that_were_changed_are_refused(kept_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(kept_run, folder)
    shutil.copy(folder / "checkpoints/epoch_0000.pkl", folder / "checkpoints/epoch_0001.pkl")
    with pytest.raises(RunError, match=r"epoch_0001\.pkl: is not what the run wrote"):
        live_page(cnnexp.load_run(folder))
    assert live_page(cnnexp.load_run(folder, accept_changes=True))


def test_without_kept_weights_there_are_curves_alone(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "model=linear")
    epochs = payload_of(live_page(cnnexp.load_run(run)))["epochs"]["all"]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2]
    assert not any(epoch["values"] for epoch in epochs)


def test_names_cannot_put_anything_into_the_page(kept_run: Path, tmp_path: Path) -> None:
    evil = "</script><img src=x onerror=alert(1)>"
    folder = tmp_path / "run"
    shutil.copytree(kept_run, folder)
    shutil.rmtree(folder / "checkpoints")  # they have the layer by its old name
    record = json.loads((folder / "run.json").read_text())
    record["choices"]["model"] = evil
    record["config"]["model"]["layers"][0]["name"] = "<b>&"
    (folder / "run.json").write_text(json.dumps(record))
    run = cnnexp.load_run(folder, accept_changes=True)
    weights = {path.replace("conv1", "<b>&"): values for path, values in run.weights.items()}
    run.__dict__["weights"] = weights
    classes = (evil, *run.dataset.classes[1:])
    run.__dict__["dataset"] = dataclasses.replace(run.dataset, classes=classes)
    page = live_page(run)
    assert page.count("</script") == 2 and "<img" not in page and "<b>" not in page
    assert payload_of(page)["title"].startswith(evil)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("model=autoencoder", "epochs=1"), "returns its input"),
        (("model=regression", "data=sklearn", "data.set=diabetes"), "learnt real values"),
        (("model=flat", "data=sklearn", "data.set=iris"), "rows of 4 features, and no images"),
        (("learning_rate=1e30",), "diverged; its network answers with what is no number"),
    ],
)
@pytest.mark.few(2)
def test_what_is_no_image_classifier_is_refused_with_a_reason(
    tmp_path: Path, settings: tuple[str, ...], words: str
) -> None:
    run = make_run(tmp_path / "run", *settings)
    answer = run_main("explore", str(run))
    assert answer.code == 2
    assert words in " ".join(answer.err.split())
    assert not (run / "explore.html").exists()


def test_the_command_writes_the_page_and_says_its_size(kept_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    answer = run_main("explore", str(kept_run), "--out", str(path))
    assert answer.code == 0
    assert answer.out == f"wrote {path}, {path.stat().st_size / 1e6:.2f} MB: open it in a browser\n"
    assert run_main("explore", str(kept_run), "--out", str(tmp_path)).code == 2
    assert run_main("explore", str(tmp_path)).code == 2


def test_a_page_above_three_megabytes_says_so() -> None:
    assert check_size("x" * 3_000_000) == ""
    assert "4.2 MB" in check_size("é" * 2_100_000)


def test_epochs_are_thinned_evenly_where_there_is_no_room(
    kept_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LARGEST", 10_000)
    epochs = payload_of(live_page(cnnexp.load_run(kept_run)))["epochs"]["all"]
    assert [bool(epoch["values"]) for epoch in epochs] == [True, False, True]
    assert evenly(range(100), 4) == [0, 33, 66, 99]


def test_errors_of_options_say_what_to_do(kept_run: Path) -> None:
    run = cnnexp.load_run(kept_run)
    run.network.layers[1].__class__ = type("Odd", (type(run.network.layers[1]),), {})
    with pytest.raises(OptionError, match=r"no forward pass for: relu1 \(relu\)"):
        live_page(run)
