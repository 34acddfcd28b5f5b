"""Defects 5 and 6: files that changed without notice, and damage that ended in a traceback."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from experiments.reliability.child import Place
from experiments.reliability.reproduced import Happened, reproduction
from experiments.reliability.reproduced.imports import change


@reproduction(5, "`evaluate` after one exponent bit flipped in every tenth weight", quick=True)
def flipped_weights(place: Place) -> Happened:
    path = place.run / "weights.pkl"
    saved: Any = pickle.loads(path.read_bytes())
    content = bytearray(path.read_bytes())
    for array in saved.values():
        raw = np.ascontiguousarray(array).tobytes()
        start = bytes(content).find(raw)
        for at in range(start, start + len(raw), 10 * array.itemsize):
            content[at + array.itemsize - 1] ^= 1
    path.write_bytes(content)
    ended = place.cnnexp("evaluate", "run")
    return ended.said, ended.refused


@reproduction(5, "`resume` after one bit flipped in the parameters of the checkpoint")
def flipped_checkpoint(place: Place) -> Happened:
    path = place.run / "checkpoint.pkl"
    content = bytearray(path.read_bytes())
    first = np.ascontiguousarray(next(iter(_weights(place.run).values()))).tobytes()
    at = bytes(content).find(first)
    content[at + 3] ^= 1
    path.write_bytes(content)
    ended = place.cnnexp("resume", "run", "epochs=3")
    return ended.said if at >= 0 else "the parameters were not found", ended.refused


@reproduction(5, "`load_run(run).epochs` after a digit of `epochs.csv` was changed")
def changed_log(place: Place) -> Happened:
    path = place.run / "epochs.csv"
    text = path.read_text()
    at = text.index(".") + 1
    path.write_text(text[:at] + str((int(text[at]) + 3) % 10) + text[at + 1 :])
    ended = place.python("-c", EPOCHS)
    return ended.said, ended.refused


def _weights(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = pickle.loads((run / "weights.pkl").read_bytes())
    return found


def odd_weights(place: Place, content: object, *words: str) -> Happened:
    """Run a command where other things than arrays are the weights."""
    (place.run / "weights.pkl").write_bytes(pickle.dumps(content))
    change(place.run, checksums=None)
    ended = place.cnnexp(*words)
    return ended.said, ended.refused


@reproduction(6, "`evaluate` where the weights are a list", quick=True)
def listed_weights(place: Place) -> Happened:
    return odd_weights(place, [1], "evaluate", "run")


@reproduction(6, "`export` where an array of the weights is a text")
def text_weights(place: Place) -> Happened:
    return odd_weights(place, {"conv1.W": "a"}, "export", "run", "weights.npz")


@reproduction(6, "`resume` where `training` in the checkpoint is None")
def odd_checkpoint(place: Place) -> Happened:
    path = place.run / "checkpoint.pkl"
    saved: Any = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps({**saved, "training": None}))
    change(place.run, checksums=None)
    ended = place.cnnexp("resume", "run", "epochs=3")
    return ended.said, ended.refused


@reproduction(6, "`compare` of two runs, one with a `run.json` of 200,000 opened brackets")
def deep_record(place: Place) -> Happened:
    damaged = place.folder / "damaged"
    damaged.mkdir()
    (damaged / "run.json").write_text("[" * 200_000)
    ended = place.cnnexp("compare", "run", "damaged")
    return ended.said, ended.well and "damaged" in ended.out


@reproduction(6, "`show` where `data` of `run.json` is a number")
def odd_record(place: Place) -> Happened:
    change(place.run, data=3)
    ended = place.cnnexp("show", "run")
    return ended.said, ended.refused


EPOCHS = """
import sys
from cnnexp import load_run
from cnnexp.errors import CnnexpError
try: print(len(load_run("run").epochs))
except CnnexpError as error: print(error, file=sys.stderr); sys.exit(2)
"""
LOGS = {
    "is not UTF-8": b"\xff\xfe\n\xff,1\n",
    "has a cell of 200,000 characters": b'epoch\n"' + b"x" * 200_000 + b"\n",
    "has more cells than names": b"epoch,batch\n1,2,3\n",
}


def _add(what: str, content: bytes) -> None:
    def try_it(place: Place) -> Happened:
        (place.run / "epochs.csv").write_bytes(content)
        change(place.run, checksums=None)
        ended = place.python("-c", EPOCHS)
        return ended.said, ended.refused

    reproduction(6, f"`load_run(run).epochs` where `epochs.csv` {what}")(try_it)


for _what, _content in LOGS.items():
    _add(_what, _content)


def config_file(place: Place, content: bytes) -> Happened:
    """Train from a file of configs of the user's own."""
    folder = place.folder / "mine"
    folder.mkdir()
    (folder / "odd.yaml").write_bytes(content)
    ended = place.cnnexp("--config-dir", folder, "--config-name", "odd", "epochs=1")
    return ended.said, ended.refused


@reproduction(6, "a config in Latin-1", trained=False)
def latin(place: Place) -> Happened:
    return config_file(place, "defaults: [config]\n# f\xfcr\nepochs: 1\n".encode("latin-1"))


@reproduction(6, "a config with a NUL", trained=False)
def nul(place: Place) -> Happened:
    return config_file(place, b"defaults: [config]\nepochs: 1\0\n")


@reproduction(6, "a config with a mapping for `defaults`", trained=False, quick=True)
def mapping(place: Place) -> Happened:
    return config_file(place, b"defaults: {model: cnn}\nepochs: 1\n")


@reproduction(6, "a padding of 400 digits", trained=False)
def digits(place: Place) -> Happened:
    ended = place.cnnexp(f"+model.layers.0.padding={'9' * 400}", "epochs=1", "data.limit=40")
    return ended.said, ended.refused


@reproduction(6, "the override `@=2`", trained=False)
def at_sign(place: Place) -> Happened:
    ended = place.cnnexp("@=2", "epochs=1", "data.limit=40")
    return ended.said, ended.refused
