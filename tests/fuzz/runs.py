"""The readers of run folders: weights, checkpoints, ``run.json``, and logs."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import pickle
import random
import shutil
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cnnexp import load_run
from cnnexp.app.running import tracking
from cnnexp.app.running.resume import complete
from cnnexp.errors import CnnexpError, RunError, ShapeError, foreign
from cnnexp.report import confusions, diagnostics, summary
from cnnexp.report.histories import read_history
from cnnexp.runs import checkpoint, environment, pickles, rebuild
from cnnexp.runs.files import keep_rows
from cnnexp.runs.finding import flat_row
from cnnexp.runs.histograms import read_histograms
from cnnexp.runs.reading import Run
from tests.fuzz.inputs import ODD, changed, changed_pickle, places, programs
from tests.fuzz.reader import Reader, call, one_in
from tests.runs.small import train, write_data

MORE = ("profile=true", "diagnostics=true", "checkpoint.every=2")
WRONG = [3, "a", None, np.zeros(0), np.zeros((3, 3)), np.full((16, 5), np.nan), [1.0]]
DEEP = b"\x80\x04})" + b"\x85" * 20_000 + b"K\x01s."


def whole_run(root: Path) -> Path:
    """Return a run without checksums, so that whatever its files hold is looked at."""
    whole = root / "whole"
    if not whole.exists():
        environment.git = lambda: None
        with contextlib.redirect_stdout(io.StringIO()):
            train(whole, write_data(root / "data.npz"), *MORE)
        record = json.loads((whole / "run.json").read_bytes())
        record |= {"checksums": None, "status": "interrupted"}
        (whole / "run.json").write_text(json.dumps(record))
    return whole


class RunReader(Reader):
    """Reads one file of a run."""

    group = "runs"
    file: ClassVar[str]

    def __init__(self, root: Path) -> None:
        self.whole = whole_run(root)
        self.run = root / self.name / "run"
        self._whole_again = False
        super().__init__(root)
        self.fresh()

    def made_seeds(self) -> list[bytes]:
        return [(self.whole / self.file).read_bytes()]

    def fresh(self) -> Path:
        """Make the folder as it was."""
        shutil.rmtree(self.run, ignore_errors=True)
        shutil.copytree(self.whole, self.run)
        return self.run

    def put(self, content: bytes) -> Path:
        """Put an input in the place of the file."""
        if self._whole_again:
            self.fresh()
            self._whole_again = False
        (self.run / self.file).write_bytes(content)
        return self.run

    def call(self, content: bytes, *words: object) -> None:
        """Run a command, which may write into the folder."""
        run = self.put(content)
        self._whole_again = True
        call(*(run if word is RUN else word for word in words))


RUN = object()  # stands for the folder


class Pickle(Reader):
    """Bytes that were a pickle, and opcodes in any order."""

    name, group, names_files = "pickle", "runs", False

    def made_seeds(self) -> list[bytes]:
        values: list[Any] = [
            {"a": np.arange(3.0), "b": [1, 2.5, "x", None, True], "c": (1, b"y", {"d": -(10**9)})},
            {"w": np.asfortranarray(np.ones((2, 3), np.float32)), "n": np.float64(2)},
        ]
        whole = (whole_run(self.root) / "checkpoint.pkl").read_bytes()
        made = [pickle.dumps(value, protocol=p) for value in values for p in (2, 3, 4, 5)]
        return [*made, whole, DEEP]

    def make(self, rng: random.Random) -> bytes:
        return programs(rng) if rng.random() < 0.4 else super().make(rng)

    def read(self, content: bytes) -> None:
        pickles.loads(content)


class Weights(RunReader):
    """``weights.pkl``: the network is rebuilt with what it holds."""

    name, file, every = "weights", "weights.pkl", 200

    @cached_property
    def network(self) -> Any:
        return load_run(self.whole).network

    def make(self, rng: random.Random) -> bytes:
        if rng.random() < 0.5:
            return super().make(rng)
        weights: Any = pickle.loads(self.seeds[0])
        weights[rng.choice([*weights, "../x", 3])] = rng.choice(WRONG)
        return pickle.dumps(weights, protocol=4)

    def read(self, content: bytes) -> None:
        run = self.put(content)
        opened = load_run(run)
        if one_in(20, content):
            _ = opened.network
            return
        try:
            self.network.load_weights(opened.weights)
        except ShapeError as error:  # as the above does
            raise RunError(f"{run}: {error}") from None

    def command(self, content: bytes, rng: random.Random) -> None:
        self.call(content, "evaluate", RUN)
        self.call(content, "export", RUN, self.root / "weights.npz")


class Checkpoint(RunReader):
    """``checkpoint.pkl``, damaged, or with other values inside."""

    name, file, every = "checkpoint", "checkpoint.pkl", 200

    @cached_property
    def training(self) -> Any:
        return pickle.loads((self.whole / self.file).read_bytes())["training"]

    def make(self, rng: random.Random) -> bytes:
        if rng.random() < 0.3:
            return super().make(rng)
        return changed_pickle(self.seeds[0], rng, [np.zeros(2), np.zeros((2, 2, 2))])

    def read(self, content: bytes) -> None:
        run = self.put(content)
        saved = checkpoint.load(run)
        assert saved is not None
        checkpoint.check_form(run, saved)
        checkpoint.largest_array(saved)
        checkpoint.check_fits(run, saved, self.training)

    def command(self, content: bytes, rng: random.Random) -> None:
        self.call(content, "resume", RUN)


class RecordFile(RunReader):
    """``run.json``: read, made into a row, and everything rebuilt that it describes."""

    name, file, every = "run_json", "run.json", 200

    def make(self, rng: random.Random) -> bytes:
        return changed(self.seeds[0], rng) if rng.random() < 0.7 else super().make(rng)

    def read(self, content: bytes) -> None:
        folder = self.put(content)
        flat_row(str(folder))
        run = Run(folder)
        repr(run), run.results, run.config
        if one_in(4, content):
            run.rebuilt(rebuild.plan_dataset)
            run.rebuilt(rebuild.build_layers)
            run.rebuilt(rebuild.build_loss)
        if one_in(50, content):
            with foreign(folder / self.file):
                complete(run.record["config"])
                summary.sections(run, None, True)

    def command(self, content: bytes, rng: random.Random) -> None:
        words = [["show", RUN, "--config"], ["compare", self.whole, RUN], ["evaluate", RUN]]
        words += [["resume", RUN], ["predict", RUN, digit(self.root), "--json"]]
        self.call(content, *rng.choice(words))


class Log(RunReader):
    """A log of a run."""

    every = 500
    words = (b",", b"\n", b'"', b"nan", b"inf", b"1e400", b"-1", b"\r", b"\0", b"9" * 400)

    def command(self, content: bytes, rng: random.Random) -> None:
        words = [["show", RUN], ["compare", RUN, "--target", "error=0.02"], ["resume", RUN]]
        self.call(content, *rng.choice(words))


class Epochs(Log):
    """``epochs.csv``; ``batches.csv`` is read in the same way."""

    name, file = "epochs_csv", "epochs.csv"

    def read(self, content: bytes) -> None:
        run = self.put(content)
        read_history(run)
        with contextlib.suppress(CnnexpError):
            keep_rows(run / self.file, lambda row: int(row["epoch"]) <= 1)
        run = self.put(content)
        _ = load_run(run).epochs


class Histograms(Log):
    """``histograms.csv``."""

    name, file = "histograms_csv", "histograms.csv"

    def read(self, content: bytes) -> None:
        read_histograms(self.put(content))


class Layers(Log):
    """``layers.csv``, the times of the layers."""

    name, file = "layers_csv", "layers.csv"

    @cached_property
    def opened(self) -> Run:
        return load_run(self.run)

    def read(self, content: bytes) -> None:
        self.put(content)
        summary._layers(self.opened)


class Diagnostics(Log):
    """``diagnostics.csv``, gradients and dead units."""

    name, file = "diagnostics_csv", "diagnostics.csv"

    def read(self, content: bytes) -> None:
        diagnostics.table(self.put(content))


class PerClass(Log):
    """``per_class.csv``, precision and recall."""

    name, file = "per_class_csv", "per_class.csv"

    def made_seeds(self) -> list[bytes]:
        many = "".join(f"test,{k},3,0.5,0.25,{k / 20}\n" for k in range(20))
        return [*super().made_seeds(), f"part,class,samples,precision,recall,f1\n{many}".encode()]

    def read(self, content: bytes) -> None:
        diagnostics.classes(self.put(content))


class Confusion(Log):
    """``confusion.csv``, what was taken for what."""

    name, file = "confusion_csv", "confusion.csv"

    def made_seeds(self) -> list[bytes]:
        many = "".join(f"test,{k}{',1' * 20}\n" for k in range(20))
        head = ",".join(map(str, range(20)))
        return [*super().made_seeds(), f"part,class,{head}\n{many}".encode()]

    def read(self, content: bytes) -> None:
        confusions.matrix(self.put(content))


class Predictions(Log):
    """``predictions.csv``, the class of each sample."""

    name, file = "predictions_csv", "predictions.csv"

    def read(self, content: bytes) -> None:
        confusions.mistaken(self.put(content))


class Trackers(RunReader):
    """``trackers.json``, what each tracker calls the run; damaged, it counts as absent."""

    name, file, every = "trackers_json", "trackers.json", 500

    def made_seeds(self) -> list[bytes]:
        entries = [
            {"type": "tensorboard", "found": {"folder": "tensorboard"}, "epochs": 2},
            {"type": "wandb", "found": {"id": "x", "step": 3}, "epochs": 0},
        ]
        return [json.dumps(entries).encode(), b"[]"]

    def make(self, rng: random.Random) -> bytes:
        return changed_list(self.seeds[0], rng) if rng.random() < 0.6 else super().make(rng)

    def read(self, content: bytes) -> None:
        saved = tracking.read_saved(self.put(content))
        for k, name in enumerate(("tensorboard", "wandb", "mlflow")):
            entry = tracking._entry(saved, k, name)
            assert entry["type"] == name
            assert type(entry.get("epochs", 0)) is int

    def command(self, content: bytes, rng: random.Random) -> None:
        self.call(content, *rng.choice([["show", RUN], ["resume", RUN]]))


def changed_list(content: bytes, rng: random.Random) -> bytes:
    """Return a JSON list in which one value is another, absent, or nested very deeply."""
    whole = {"list": json.loads(content)}
    holder, key = rng.choice(list(places(whole)))
    kind = rng.randrange(8)
    if kind == 0:
        return b"[" * 5000 + b"]" * 5000
    if kind == 1:
        del holder[key]
    else:
        holder[key] = copy.deepcopy(rng.choice(ODD))
    return json.dumps(whole.get("list")).encode()


def digit(root: Path) -> Path:
    """Return a picture of a dark point."""
    from PIL import Image

    path = root / "point.png"
    if not path.exists():
        picture = Image.new("L", (20, 20), 255)
        picture.putpixel((9, 9), 0)
        picture.save(path)
    return path


os.fsync = lambda _: None  # nothing here has to outlive a power cut
