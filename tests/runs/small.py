"""Runs that take a few hundredths of a second, and folders as a kill leaves them."""

import copy
import functools
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hydra.types import RunMode

from cnnexp.app.compose.configs import make_app
from cnnexp.app.running.experiment import begin
from cnnexp.app.settings.check import check
from cnnexp.runs.folders import hold
from cnnexp.runs.record import new_record

SIZE, CLASSES = 4, 3


def write_data(path: Path, samples: int = 60, seed: int = 0) -> Path:
    """Write images whose classes can be learnt: a bright row tells the class."""
    rng = np.random.default_rng(seed)
    Y = rng.integers(0, CLASSES, samples)
    X = rng.integers(0, 120, (samples, SIZE, SIZE)).astype(np.uint8)
    X[np.arange(samples), Y] += 100
    np.savez(path, X=X, Y=Y)
    return path


SMALL = (
    "data=npz",
    "model=flat",
    "model.layers.1.units=5",
    "batch_size=8",
    "epochs=2",
    "impl.threads=1",
)


def settings(data: Path, *more: str) -> list[str]:
    """Return overrides for a small run: 2 epochs of 6 batches."""
    return [*SMALL, f"data.file={data}", *more]


@functools.cache
def checked(*overrides: str) -> dict:
    """Compose and check a config; that takes longer than the run."""
    app = make_app()
    with tempfile.TemporaryDirectory() as folder:
        words = [*overrides, f"data.file={write_data(Path(folder) / 'data.npz')}"]
        return check(
            app.compose_config(config_name="config", overrides=words, run_mode=RunMode.RUN)
        )


def train(
    folder: Path, data: Path, *more: str, change: Callable[[dict], None] | None = None
) -> Path:
    """Make a run in a folder, as the command line does; `change` may change its config."""
    config = copy.deepcopy(checked(*SMALL, *more))
    config["data"]["file"] = str(data)
    if change is not None:
        change(config)
    folder.mkdir()
    with hold(folder):
        begin(folder, new_record(config, {}, list(more)))
    return folder


def record_in(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_bytes())


def change_record(folder: Path, **changes: object) -> None:
    (folder / "run.json").write_text(json.dumps(record_in(folder) | changes))


def as_killed(folder: Path, target: Path) -> Path:
    """Copy a folder as it is; in the copy, the process that writes it has gone."""
    shutil.copytree(folder, target)
    if (target / "run.json").exists():
        process = record_in(target)["process"]
        change_record(target, process=process | {"started": process["started"] - 1000})
    return target


def snapshot(root: Path) -> dict[str, bytes]:
    """Return all files below a folder with their contents."""
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
