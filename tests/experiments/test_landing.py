from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from experiments import landing, outcomes

HAS_TORCH = importlib.util.find_spec("torch") is not None


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Results and figures that may be written."""
    monkeypatch.setattr(outcomes, "RESULTS", tmp_path)
    monkeypatch.setattr(landing, "FOLDER", tmp_path)
    return tmp_path


def test_the_fastest_turn_counts_and_the_better_pytorch(monkeypatch):
    asked = []

    def in_own_process(name, samples):
        asked.append((name, samples))
        return {"torch": 3.0, "torch, channels last": 2.0}.get(name, 10.0 - len(asked) / 100)

    monkeypatch.setattr(landing, "in_own_process", in_own_process)
    monkeypatch.setattr(landing.importlib.util, "find_spec", lambda name: True)
    frame = landing.measured(samples=256)
    times = dict(frame.itertuples(index=False, name=None))
    assert list(times) == list(landing.NAMES)
    assert times["torch"] == 2.0
    last_of_fast = max(k for k, (name, _) in enumerate(asked, 1) if name == "fast")
    assert times["fast"] == 10.0 - last_of_fast / 100
    assert asked.count(("naive", landing.SAMPLES["naive"])) == 1


@pytest.mark.parametrize("absent", [("torch",), ("numba",), ("torch", "numba")])
def test_what_is_not_installed_is_left_out(monkeypatch, absent):
    monkeypatch.setattr(landing, "in_own_process", lambda name, samples: 1.0)
    find = landing.importlib.util.find_spec
    monkeypatch.setattr(
        landing.importlib.util, "find_spec", lambda name: None if name in absent else find("json")
    )
    found = landing.measured(samples=256)["by"].tolist()
    assert found == [name for name in landing.NAMES if landing.NEEDS.get(name) not in absent]


@pytest.mark.parametrize("by", ["sg", "fast"])
def test_a_turn_takes_time(by):
    assert landing.turn(by, 64) > 0


@pytest.mark.long
@pytest.mark.skipif(not HAS_TORCH, reason="torch is not installed")
def test_pytorch_trains_the_same_network():
    """Its parameters are as many as those of model=original_cnn; a step changes them."""
    model = landing.torch_model()
    step = landing.torch_step(model, channels_last=True)
    before = [values.detach().clone() for values in model.parameters()]
    step(np.ones((4, 28, 28, 1), np.float32), np.arange(4))
    assert sum(values.numel() for values in before) == 260_470
    assert all((a != b).any() for a, b in zip(before, model.parameters(), strict=True))


def test_the_picture_is_small_and_light(places: Path):
    frame = pd.DataFrame({"by": ["naive", "sg", "fast"], "seconds_a_sample": [0.3, 3e-4, 4e-5]})
    outcomes.save(outcomes.Results("landing", landing.facts(), frame))
    assert landing.main(["--kept"]) == 0
    path = places / "landing.png"
    assert path.stat().st_size < 100_000
    with Image.open(path) as image:
        assert image.width >= 800
        assert image.convert("L").getpixel((2, 2)) > 250
