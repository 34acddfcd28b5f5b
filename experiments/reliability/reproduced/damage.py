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
    change(place.run, status="interrupted")
    ended = place.cnnexp("resume", "run", "epochs=4")
    return ended.said if at >= 0 else "the parameters were not found", ended.refused


@reproduction(5, "`show` after a digit of `epochs.csv` was changed")
def changed_log(place: Place) -> Happened:
    path = place.run / "epochs.csv"
    text = path.read_text()
    at = text.index(".") + 1
    path.write_text(text[:at] + str((int(text[at]) + 3) % 10) + text[at + 1 :])
    ended = place.cnnexp("show", "run")
    told = "epochs.csv" in ended.err
    return ended.said if told else "shows other figures without a word, exit 0", told


def _weights(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = pickle.loads((run / "weights.pkl").read_bytes())
    return found


@reproduction(6, "`evaluate` with the first 200 bytes of `weights.pkl`", quick=True)
def short_weights(place: Place) -> Happened:
    path = place.run / "weights.pkl"
    path.write_bytes(path.read_bytes()[:200])
    ended = place.cnnexp("evaluate", "run")
    return ended.said, ended.refused


@reproduction(6, "`evaluate` with weights that are a number")
def odd_weights(place: Place) -> Happened:
    (place.run / "weights.pkl").write_bytes(pickle.dumps({"conv1.W": 3}))
    ended = place.cnnexp("evaluate", "run")
    return ended.said, ended.refused


@reproduction(6, "`resume` with a checkpoint without its inner keys")
def odd_checkpoint(place: Place) -> Happened:
    (place.run / "checkpoint.pkl").write_bytes(pickle.dumps({"format": 1, "epoch": 1}))
    change(place.run, status="interrupted", checksums=None)
    ended = place.cnnexp("resume", "run", "epochs=4")
    return ended.said, ended.refused


@reproduction(6, "`compare` of two runs, one with a `run.json` of 200,000 opened brackets")
def deep_record(place: Place) -> Happened:
    damaged = place.folder / "damaged"
    damaged.mkdir()
    (damaged / "run.json").write_text("[" * 200_000)
    ended = place.cnnexp("compare", "run", "damaged")
    return ended.said, ended.well and "damaged" in ended.out


@reproduction(6, "`compare` where `config` of a `run.json` is a list")
def odd_record(place: Place) -> Happened:
    change(place.run, config=[])
    ended = place.cnnexp("compare", "run")
    return ended.said, "Traceback" not in ended.err and not ended.stopped


@reproduction(6, "`show` of a run whose `epochs.csv` is not UTF-8")
def odd_log(place: Place) -> Happened:
    (place.run / "epochs.csv").write_bytes(b"\xff\xfe\n\xff,1\n")
    ended = place.cnnexp("show", "run")
    return ended.said, "Traceback" not in ended.err and ended.code in (0, 2)


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
