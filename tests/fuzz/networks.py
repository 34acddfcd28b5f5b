"""The readers of networks outside run folders: files of `Network.save`, and of PyTorch."""

from __future__ import annotations

import importlib.util
import io
import random
import zipfile
from functools import cached_property
from typing import Any

from cnnexp import Conv2D, Dense, Flatten, MaxPool2D, Network, Softmax
from cnnexp.app.commands.import_ import _fitting, state_in
from cnnexp.nn.saving import OPTIONS
from tests.fuzz.archives import repacked
from tests.fuzz.inputs import changed, damaged
from tests.fuzz.reader import Reader, call

ZIP = (b"PK\3\4", b"PK\1\2", b"PK\5\6", b"\xff\xff", b"\0\0\0\0", b"data.pkl", b"c", b"q\0", b".")
WRONG: tuple[Any, ...] = (3, "a", None, [1.0], {"x": 1}, {})


def network() -> Network:
    """Return a small network of the digits' shape."""
    layers = [Conv2D(2, 3, activation="relu"), MaxPool2D(2), Flatten(), Dense(10), Softmax()]
    return Network(layers, threads=1).build((8, 8, 1))


class SavedNetwork(Reader):
    """A file of `Network.save`: its options make a network, and its arrays are the weights."""

    name, group = "network", "runs"
    words = (*ZIP, b"conv1.W.npy", b"NUMPY", b"'shape'", b"99999999999", b"network.json")

    def made_seeds(self) -> list[bytes]:
        path = self.folder / "whole.npz"
        network().save(path)
        return [path.read_bytes()]

    def make(self, rng: random.Random) -> bytes:
        if rng.random() < 0.4:
            return super().make(rng)

        def change(info: zipfile.ZipInfo, content: bytes) -> bytes:
            if info.filename == OPTIONS:
                return changed(content, rng) if rng.random() < 0.7 else content
            kind = rng.randrange(20)
            if kind == 0:
                info.filename = rng.choice(("x.npy", "../x.npy", "conv1.npy", "", OPTIONS))
            return damaged(content, rng) if kind == 1 else content

        return repacked(self.seeds[0], change)

    def read(self, content: bytes) -> None:
        path = self.folder / "input.npz"
        path.write_bytes(content)
        Network.load(path, threads=1)


class TorchState(Reader):
    """A ``state_dict`` in a file of PyTorch, and the weights that a network takes from it."""

    name, group, every = "state_dict", "runs", 500
    words = (*ZIP, b"ctorch._utils\n_rebuild_tensor_v2\n", b"cos\nsystem\n", b"FloatStorage")

    @staticmethod
    def is_there() -> bool:
        return importlib.util.find_spec("torch") is not None

    @cached_property
    def network(self) -> Network:
        return network()

    def made_seeds(self) -> list[bytes]:
        return [self.saved(self.state()), self.saved({"model": self.state(), "epoch": 3})]

    def state(self) -> dict[str, Any]:
        """Return the weights of the network as PyTorch's own module has them."""
        import torch

        shapes = {"0.weight": (2, 1, 3, 3), "0.bias": (2,), "4.weight": (10, 18), "4.bias": (10,)}
        return {key: torch.full(shape, 0.5) for key, shape in shapes.items()}

    @staticmethod
    def saved(value: Any) -> bytes:
        """Return what ``torch.save`` writes."""
        import torch

        out = io.BytesIO()
        torch.save(value, out)
        return out.getvalue()

    def make(self, rng: random.Random) -> bytes:
        kind = rng.random()
        if kind < 0.4:
            return super().make(rng)
        if kind < 0.7:
            return self._other_values(rng)

        def change(info: zipfile.ZipInfo, content: bytes) -> bytes:
            info.compress_type = zipfile.ZIP_STORED
            return damaged(content, rng, self.words) if rng.random() < 0.3 else content

        return stored(self.seeds[0], change)

    def _other_values(self, rng: random.Random) -> bytes:
        """Return a ``state_dict`` in which one value is of another kind, shape or name."""
        import torch

        made = (
            torch.zeros(0),
            torch.full((2, 1, 3, 3), float("nan")),
            torch.zeros(2, 1, 3, 3, dtype=torch.complex64),
            torch.zeros(1).expand(1 << 33),
            torch.eye(3).to_sparse(),
            torch.zeros(2, 1, 3, 3, dtype=torch.bfloat16),
            torch.zeros(2, 1, 3, 3, dtype=torch.bool),
            torch.zeros(2, 1, 3, 3, device="meta"),
            torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
        )
        state: dict[Any, Any] = self.state()
        state[rng.choice([*state, "x", "module.x", 3, ""])] = rng.choice((*made, *WRONG))
        return self.saved(rng.choice((state, {"state_dict": state}, [state])))

    def read(self, content: bytes) -> None:
        path = self.folder / "input.pt"
        path.write_bytes(content)
        _fitting(path, state_in(path), self.network)

    def command(self, content: bytes, rng: random.Random) -> None:
        path = self.folder / "input.pt"
        path.write_bytes(content)
        call("import", path, "model=flat", "data.limit=30", f"hydra.run.dir={self.folder / 'run'}")


def stored(content: bytes, change: Any) -> bytes:
    """Return an archive whose parts are changed by a function, and packed by nothing."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            found = zipfile.ZipInfo(info.filename, info.date_time)
            new.writestr(found, change(found, old.read(info)), zipfile.ZIP_STORED)
    return out.getvalue()
