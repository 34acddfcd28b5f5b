"""``export`` to ONNX and PyTorch, and ``import``, from the command line."""

from __future__ import annotations

import json
import os
import runpy
import sys

import numpy as np
import pytest

from cnnexp import load_run
from cnnexp.runs import environment
from tests.commandline import cnnexp, succeed
from tests.runs.small import record_in, settings, write_data

CONV = ("model.layers=[{type: conv, filters: 3, kernel_size: 2, activation: relu},{type: flatten}",)
LAYERS = f"{CONV[0]},{{type: batch_norm}},{{type: dense, activation: softmax}}]"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with a convolution, batch normalisation, and a scaling of its own."""
    root = tmp_path_factory.mktemp("outlets")
    data = write_data(root / "data.npz")
    words = [word for word in settings(data) if "layers.1" not in word]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "git", lambda: None)
        patch.setattr(os, "fsync", lambda _: None)
        options = [LAYERS, "data.scaling=standard", f"hydra.run.dir={root / 'run'}"]
        succeed(*words, *options)
    return root / "run"


def pixels(run) -> np.ndarray:
    """Return images as the file of the run holds them."""
    with np.load(run.parent / "data.npz") as found:
        return found["X"][..., None].astype(np.float32)


def expected(run) -> np.ndarray:
    """Return what the run's network gives for them."""
    from cnnexp.data.scale import Scale

    found = load_run(run)
    scale = Scale.from_record(found.record["data"]["scale"])
    return found.network.predict(scale(pixels(run), "float32"))


def test_onnx_takes_pixels_as_files_hold_them(run, tmp_path):
    pytest.importorskip("onnx", reason="needs the extra onnx")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is needed to run graphs")
    out = succeed("export", run, "model.onnx")
    assert out == "model.onnx: opset 17, 153 numbers\n"
    session = runtime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"input": pixels(run)})
    np.testing.assert_allclose(found, expected(run), rtol=1e-4, atol=1e-5)
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == ["0", "1", "2"]
    succeed("export", run, "model.onnx", "--scaled", "--channels-first")
    session = runtime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["n", 1, 4, 4]
    X = load_run(run).dataset.test.X
    (found,) = session.run(None, {"input": X.transpose(0, 3, 1, 2)})
    np.testing.assert_allclose(found, load_run(run).network.predict(X), rtol=1e-4, atol=1e-5)


def test_the_module_beside_a_state_dict_needs_pytorch_alone(run, tmp_path):
    torch = pytest.importorskip("torch", reason="needs the extra torch")
    succeed("export", run, "model.pt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.pt", "model.py"]
    assert "cnnexp import" not in (tmp_path / "model.py").read_text()
    names = runpy.run_path("model.py")
    module = names["Model"]()
    module.load_state_dict(torch.load("model.pt", weights_only=True))
    found = module.eval()(names["prepared"](pixels(run))).detach().numpy()
    np.testing.assert_allclose(found, expected(run), rtol=1e-4, atol=1e-5)
    assert names["CLASSES"] == ["0", "1", "2"]


def test_a_file_of_ones_own_is_not_written_over(run, tmp_path):
    pytest.importorskip("torch", reason="needs the extra torch")
    (tmp_path / "model.py").write_text("mine")
    ended = cnnexp("export", run, "model.pt")
    assert ended.code == 2
    assert "model.py: is there already" in ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["model.py"]
    succeed("export", run, "other.pt")
    succeed("export", run, "other.pt")  # what was written before is replaced


def test_what_is_exported_can_be_imported(run, tmp_path):
    pytest.importorskip("torch", reason="needs the extra torch")
    succeed("export", run, "model.pt")
    out = succeed("import", "model.pt", "--like", run, "hydra.run.dir=imported")
    loss = record_in(run)["results"]["test_loss"]
    assert out == f"8 arrays, 153 numbers  test loss {loss:.4f}\nresults in imported\n"
    record, before = record_in(tmp_path / "imported"), record_in(run)
    assert (record["status"], record["reason"]) == ("finished", "imported from model.pt")
    assert record["fingerprint"] is None
    assert record["results"]["epoch"] == 0
    assert record["results"]["test_loss"] == pytest.approx(before["results"]["test_loss"])
    weights = load_run("imported").weights
    for path, array in load_run(run).weights.items():
        np.testing.assert_array_equal(weights[path], array)
    assert "test part: loss" in succeed("evaluate", "imported")
    assert "imported" in succeed("show", "imported")
    assert "nothing to go on with" in succeed("resume", "imported")
    succeed("rerun", run, "init_from=imported", "epochs=1", "hydra.run.dir=on")
    assert record_in(tmp_path / "on")["init_from"]["checksum"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["absent.pt"], "absent.pt: there is no such file."),
        (["w.pkl"], "w.pkl: must be a file of PyTorch, .pt or .pth."),
        (["broken.pt"], "broken.pt: it is not a file of torch.save"),
        (["zip.pt"], "zip.pt: damaged"),
        (["model.pt", "model=flat"], "model.pt: does not fit the network: dense1.weight"),
        (["model.pt", "model=nix"], "model"),
    ],
)
def test_mistakes_are_told_before_anything_is_made(words, message, run, tmp_path):
    import zipfile

    torch = pytest.importorskip("torch", reason="needs the extra torch")
    (tmp_path / "broken.pt").write_bytes(b"nothing")
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as archive:
        archive.writestr("a/data.pkl", b"x")
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "model.pt")
    before = sorted(tmp_path.iterdir())
    ended = cnnexp("import", *words)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("package", ["onnx", "torch"])
def test_without_a_package_nothing_is_written(package, run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    ended = cnnexp("export", run, "model.onnx" if package == "onnx" else "model.pt")
    assert ended.code == 2
    assert f"pip install 'cnnexp[{package}]'" in ended.err
    assert not list(tmp_path.iterdir())
