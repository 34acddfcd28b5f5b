"""The readers of settings: config files in YAML, overrides of the command line, a sweep's index."""

from __future__ import annotations

import contextlib
import copy
import json
import random
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from cnnexp.app.compose.configs import App, composing, make_app
from cnnexp.app.compose.messages import dotted
from cnnexp.app.compose.words import check_words
from cnnexp.app.settings import check as checking
from cnnexp.app.settings.options import check_options
from cnnexp.app.settings.schema import TABLES, Config
from cnnexp.app.sweep_again import is_a_sweep, last_start
from cnnexp.app.sweeps.sweep import INDEX, read_index
from cnnexp.errors import CnnexpError, RunError
from tests.fuzz.inputs import changed
from tests.fuzz.reader import Reader, call, chosen

BASE = ["model=flat", "data=digits"]
YAMLS = (
    "name: sgd\nmomentum: 0.9\nnesterov: true\n",
    "name: cosine\nwarmup: 2\n",
    "name: flat\nlayers:\n  - {type: flatten}\n  - {type: dense, units: 10, activation: softmax}\n",
    "defaults:\n  - flat\n  - _self_\nlayers: []\n",
    "# @package _global_\ndefaults:\n  - override /optimizer: adam\nepochs: 3\n",
    "a: &a [x, x]\nb: &b [*a, *a]\nname: *b\n",
    "name: ${optimizer.momentum}\nmomentum: ${oc.env:HOME}\nnesterov: ${optimizer.nesterov}\n",
    "name: !!python/object/apply:os.system ['true']\n",
    "? [a, b]\n: 1\n1: 2\nnull: 3\n1.5: x\n",
    "momentum: 1_000\nname: 2026-01-01\nx: !!binary aGVsbG8=\ny: !!set {a, b}\nz: 0o17\n",
    "a: &a [*a]\n",
    "a0: &a0 [x]\n" + "".join(f"a{k + 1}: &a{k + 1} [*a{k}, *a{k}, *a{k}]\n" for k in range(30)),
    "true",
    "- a\n- b\n",
    "--- 1\n--- 2\n",
    "[" * 300 + "]" * 300,
)
OVERRIDES = (
    "epochs=3",
    "batch_size=8",
    "learning_rate=1e-3",
    "model=flat",
    "model.layers.0.units=5",
    "model.layers=[{type: flatten}, {type: dense, units: 3}]",
    "optimizer=adam",
    "optimizer.beta1=0.5",
    "schedule@x=cosine",
    "+data.more=1",
    "++data.limit=100",
    "~optimizer.momentum",
    "data.dir='a b'",
    "seed=1,2,3",
    "seed=range(1,9)",
    "learning_rate=interval(0.1,1)",
    "epochs=glob(*)",
    "epochs=${seed}",
    "hydra.run.dir=x",
    "metrics=[top_3_error]",
    "sweep.objective=test_error",
    "impl.threads=auto",
    "data.file=\\=x\\,y",
    "--cfg=job",
    "-m",
    "@=2",
    "epochs=" + "9" * 400,
    "init_from=null",
)
TOKENS = (b"${", b"}", b"[", b"]", b"{", b"}", b"=", b",", b".", b"@", b":", b"+", b"~", b"'", b'"',
          b"\\", b"null", b"true", b"nan", b"inf", b"1e999", b"\n", b"  ", b"\t", b"\0", b"\xff",
          b"&a", b"*a", b"<<: ", b"!!", b"%", b"|", b">", b"- ", b"? ", b"defaults:",
          b"oc.env:X", b"choice(", b"sort(", b"shuffle(", b"\xe2\x80\xa8")  # fmt: skip


class SettingsReader(Reader):
    """Reads settings with Hydra."""

    group, words, pure, names_files = "settings", TOKENS, False, False

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        for group in (*TABLES, "model", "experiments"):
            (self.folder / group).mkdir(exist_ok=True)

    @cached_property
    def app(self) -> App:
        return make_app(str(self.folder))

    @cached_property
    def base(self) -> DictConfig:
        """A config of which some settings are replaced."""
        cfg: DictConfig = self.app.compose_config(
            config_name="config", overrides=BASE, run_mode=RunMode.RUN, with_log_configuration=False
        )
        return cfg

    def composed(self, words: list[str]) -> DictConfig:
        """Compose and check a config."""
        cfg = self.app.compose_config(
            config_name="config",
            overrides=[*BASE[1:], *words],
            run_mode=RunMode.RUN,
            with_log_configuration=False,
        )
        checking.check(cfg)
        return cfg


class Yaml(SettingsReader):
    """A file in a folder of configs, as the choice of a group."""

    name, every = "yaml", 400

    def made_seeds(self) -> list[bytes]:
        latin, utf16 = "name: é\n".encode("latin-1"), "name: x\n".encode("utf-16")
        return [*(text.encode() for text in YAMLS), latin, utf16, b"\0", b""]

    @cached_property
    def source(self) -> Any:
        sources = self.app.config_loader.repository.get_sources()
        return next(source for source in sources if source.provider == "command-line")

    def put(self, content: bytes) -> str:
        group: str = chosen((*TABLES, "model"), content)
        (self.folder / group / "given.yaml").write_bytes(content)
        return group

    def read(self, content: bytes) -> None:
        group = self.put(content)
        try:
            with composing(lambda: self.base):
                loaded = self.source.load_config(f"{group}/given").config
                merged = OmegaConf.merge(self.kept(group), {group: loaded})
            if group in TABLES:
                faults: list[str] = []
                checking._check_group(checking.plain(merged), group, faults)
        finally:
            (self.folder / group / "given.yaml").unlink()

    def kept(self, group: str) -> DictConfig:
        """Return a part of the config, to be changed."""
        return copy.deepcopy(self.parts[group])

    @cached_property
    def parts(self) -> dict[str, DictConfig]:
        return {key: OmegaConf.masked_copy(self.base, [key]) for key in self.base if key != "hydra"}

    def command(self, content: bytes, rng: random.Random) -> None:
        group = self.put(content)
        try:
            self.composed([f"{group}=given"])
        except CnnexpError:
            return
        finally:
            (self.folder / group / "given.yaml").unlink()


class Overrides(SettingsReader):
    """Words of the command line, each in a line."""

    name, every = "overrides", 400

    def made_seeds(self) -> list[bytes]:
        return [word.encode() for word in OVERRIDES]

    @cached_property
    def parser(self) -> OverridesParser:
        return OverridesParser.create()

    parts = Yaml.parts
    parts.__set_name__(SettingsReader, "parts")

    def read(self, content: bytes) -> None:
        words = [dotted(word) for word in self.typed(content)]
        check_words(words)
        key = words[0].lstrip("+~").partition("=")[0].partition(".")[0].partition("@")[0]
        part = copy.deepcopy(self.parts.get(key, self.parts["seed"]))
        with composing(lambda: self.base):
            given = self.parser.parse_overrides([w for w in words if not w.startswith("-")])
            self.app.config_loader._apply_overrides_to_config(given, part)
        check_options([Config], checking.plain(part), "", [])

    def typed(self, content: bytes) -> list[str]:
        """Return an input as words; an argument of a program holds no NUL."""
        lines = content.replace(b"\0", b"").split(b"\n")[:3]
        return [line.decode("utf-8", "surrogateescape") for line in lines] or [""]

    def command(self, content: bytes, rng: random.Random) -> None:
        words = self.typed(content)
        if any(word.startswith("-") or "plugins" in word or "hydra" in word for word in words):
            return  # flags do other things, and need other tests
        if rng.random() < 0.3:
            call("data=digits", *words, "--cfg", "job")
            return
        try:
            check_words(words)
            self.composed([dotted(word) for word in words])
        except CnnexpError:
            return


class SweepIndex(Reader):
    """``sweep.json``, the jobs of a sweep and their folders."""

    name, group = "sweep_json", "settings"

    def made_seeds(self) -> list[bytes]:
        started = [{"at": "2026-01-01T00:00:00+00:00", "command": ["cnnexp", "-m"]}]
        started[0] |= {"words": ["seed=1,2"], "folder": "/home/me", "signature": "hmac-sha256:0"}
        index = {"jobs": {"sha256:a": "0", "sha256:b": "1"}, "started": started}
        return [json.dumps(index).encode()]

    def make(self, rng: random.Random) -> bytes:
        return changed(self.seeds[0], rng) if rng.random() < 0.6 else super().make(rng)

    def read(self, content: bytes) -> None:
        (self.folder / INDEX).write_bytes(content)
        read_index(self.folder)
        if is_a_sweep(self.folder):
            with contextlib.suppress(RunError):  # nobody has signed it
                last_start(self.folder)
