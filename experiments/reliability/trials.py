"""Commands in forked processes: a program that is imported already, once for each trial.

Composing a config takes longer than a tiny run, and gives the same for the same words: it is
remembered. A job of a sweep is forked too, instead of being started as a new interpreter.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import gc
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, Any, NamedTuple
from unittest import mock

from hydra.core.config_loader import ConfigLoader

from experiments.reliability.injection import Injection

if TYPE_CHECKING:
    from cnnexp.app.sweeps.child import Task

CRASHED = 99  # exit code of an error that nothing caught


class Ended(NamedTuple):
    """How a command ended: its exit code, below 0 for a signal, and what it printed."""

    code: int
    text: str


class Place:
    """A folder for trials.

    Parameters
    ----------
    base : Path
        Holds all of it.

    Attributes
    ----------
    root : Path
        Where a scenario is carried out, always under the same name.
    whole : Path
        How it looks after a scenario that nothing disturbed; `text` is what that printed.
    """

    def __init__(self, base: Path) -> None:
        self.base = base.resolve()
        self.root, self.whole = self.base / "root", self.base / "whole"
        self._template, self._screen = self.base / "template", self.base / "screen.txt"
        self.text = ""
        self.log = self.base / "operations.txt"

    def empty(self) -> None:
        """Make an empty root."""
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)

    def keep_template(self) -> None:
        """Remember the root as it is."""
        shutil.rmtree(self._template, ignore_errors=True)
        shutil.copytree(self.root, self._template, symlinks=True)

    def keep_whole(self) -> None:
        """Keep the root as what a scenario leaves."""
        shutil.rmtree(self.whole, ignore_errors=True)
        shutil.copytree(self.root, self.whole, symlinks=True)

    def restore(self) -> None:
        """Make the root what it was when it was remembered."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self._template, self.root, symlinks=True)

    def command(self, words: list[str], injection: Injection | None = None) -> Ended:
        """Run ``cnnexp WORDS`` in a process of its own, in the root."""

        def run() -> int:
            from cnnexp.app.main import main

            os.chdir(self.root)
            if injection is not None:
                injection.begin()
            return main(list(words))

        with open(self._screen, "wb") as screen:
            pid = fork(run, screen)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return Ended(code, self._screen.read_text(errors="replace"))

    def ask(self, question: Callable[[], list[str]]) -> list[str]:
        """Answer a question in a process of its own."""
        answer = self.base / "answer.json"

        def run() -> int:
            os.chdir(self.root)
            answer.write_text(json.dumps(question()))
            return 0

        with open(self._screen, "wb") as screen:
            pid = fork(run, screen)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code:
            return [f"the judge ended with {code}: {self._screen.read_text(errors='replace')}"]
        found: list[str] = json.loads(answer.read_text())
        return found


def fork(run: Callable[[], int], screen: IO[bytes] | None = None) -> int:
    """Run a function in a forked process, and return its number.

    Parameters
    ----------
    run : callable
        Returns the exit code.
    screen : file, optional
        Takes what is printed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = CRASHED
    gc.disable()  # it ends soon
    try:
        if screen is not None:
            os.dup2(screen.fileno(), 1)
            os.dup2(screen.fileno(), 2)
            sys.stdout = os.fdopen(1, "w", closefd=False)
            sys.stderr = os.fdopen(2, "w", closefd=False)
        code = run()
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


class ForkedJob:
    """A job of a sweep, forked from this process."""

    def __init__(self, task: Task, isolation: str) -> None:
        def run() -> int:
            from cnnexp.app.stopping import SIGNALS
            from cnnexp.app.sweeps import child

            for number in SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            return child._code_of(task)

        self.pid = fork(run)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, if it has ended."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)


@contextlib.contextmanager
def warm() -> Iterator[None]:
    """Import everything, and make what is the same in every trial only once."""
    import filelock  # noqa: F401
    import pandas  # noqa: F401
    import psutil  # noqa: F401
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from omegaconf import OmegaConf

    import cnnexp.app.commands.compare
    import cnnexp.app.commands.resume  # noqa: F401
    from cnnexp.app.commands import show
    from cnnexp.app.compose import configs as composing
    from cnnexp.app.running import resume, single_run
    from cnnexp.app.sweeps import processes
    from cnnexp.runs import environment, writing

    compose = remembered(ConfigLoaderImpl.load_configuration)
    plain = SimpleNamespace(
        load=functools.cache(OmegaConf.load),
        select=OmegaConf.select,
        to_container=OmegaConf.to_container,
    )
    described = remembered(environment.describe_environment)
    composing.register_sources()
    with (
        mock.patch.object(composing, "register_sources", lambda: None),
        mock.patch.object(show, "default_settings", remembered(show.default_settings)),
        mock.patch.object(single_run, "OmegaConf", plain),
        mock.patch.object(ConfigLoaderImpl, "load_configuration", compose),
        mock.patch.object(environment, "git", lambda: None),
        mock.patch.object(environment, "describe_environment", described),
        mock.patch.object(resume, "describe_environment", described),
        mock.patch.object(writing, "HEARTBEAT", 1e6),
        mock.patch.object(processes, "POLL", 0.002),
        mock.patch.object(processes, "start", ForkedJob),
        mock.patch.object(processes, "describe_environment", described),
        mock.patch.object(os, "fsync", lambda descriptor: None),
    ):
        yield


def remembered(make: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function, or a method, that remembers what it gave."""
    known: dict[str, Any] = {}

    def recall(*words: Any, **options: Any) -> Any:
        key = repr(([word for word in words if not isinstance(word, ConfigLoader)], options))
        if key not in known:
            known[key] = make(*words, **options)
        return copy.deepcopy(known[key])

    return recall
