"""The entry point: a first word without ``=`` or a dash is a command, all else is Hydra's."""

from __future__ import annotations

import gc
import io
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cnnexp.app.commands import SUMMARIES, command_of
from cnnexp.app.exit_codes import FAILED, INTERRUPTED, USER_ERROR
from cnnexp.app.running.compiling import show_compiling
from cnnexp.app.screen import warn
from cnnexp.errors import (
    CnnexpError,
    CodeChanged,
    UnknownName,
    did_you_mean,
    system_message,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0: all went well. 1: a run or a job failed. 2: a mistake in what was asked. 3: a single run
    diverged; for a job of a sweep that is a result. 130: interrupted.
    """
    if argv is None:
        _collect_less()
    words = list(sys.argv[1:] if argv is None else argv)
    sys.stdout = sys.stdout or io.StringIO()  # closed by whoever started this
    sys.stderr = sys.stderr or io.StringIO()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character gets "?"
    try:
        with _short_warnings():
            show_compiling()
            return _dispatch(words)
    except CnnexpError as error:
        warn(f"error: {error}")
        return USER_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone
        return 0
    except OSError as error:  # no room, no permission, a file where a folder should be
        warn(f"error: {system_message(error)}")
        return FAILED
    except MemoryError as error:
        print(
            f"error: not enough memory: {error}. Smaller layers, a smaller batch_size, or a"
            " smaller impl.micro_batch need less.",
            file=sys.stderr,
        )
        return FAILED


def _collect_less() -> None:
    """Let the garbage collector look less often, and not at what is there by now.

    Imports and settings make many objects that stay. Walking through all of them again and again
    takes time that a short command would notice.
    """
    gc.freeze()
    gc.set_threshold(5000, 20, 20)


@contextmanager
def _short_warnings() -> Iterator[None]:
    """Print our own warnings on a line, without the place in the code."""
    with warnings.catch_warnings():
        others, shown = warnings.showwarning, set()

        def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
            if not issubclass(category, CodeChanged):
                others(message, category, *place)
            elif str(message) not in shown:
                shown.add(str(message))
                warn(f"warning: {message}")

        warnings.showwarning = show  # type: ignore[assignment]
        warnings.simplefilter("always", CodeChanged)
        yield


def _dispatch(words: list[str]) -> int:
    if words[:1] == ["help"] and (len(words) == 1 or words[1] in SUMMARIES):
        words = [*words[1:2], "--help"]  # help is --help, help compare is compare --help
    if words and "=" not in words[0] and words[0][:1] not in "-+~":
        name, *rest = words
        if name not in SUMMARIES:
            raise UnknownName(_no_command(name, rest))
        return command_of(name)(rest)
    if {"--help", "-h"} & {*words}:
        from cnnexp.app.reference.help import show_help

        return show_help()
    if "--version" in words:
        import cnnexp

        print(f"cnnexp {cnnexp.__version__}")
        return 0
    from cnnexp.app.hydra_app import hydra_main

    return hydra_main(words)


def _is_setting(name: str) -> bool:
    """Say whether a key at the top, or a group, has a name."""
    from cnnexp.app.settings.schema import Config

    return name in Config.__dataclass_fields__


def _no_command(name: str, rest: Sequence[str]) -> str:
    """Say that there is no such command; it may have been meant as a setting."""
    if rest and rest[0].startswith("="):
        value = rest[0].removeprefix("=") or "".join(rest[1:2])
        return f"{name} {' '.join(rest[:2])}: write {name}={value}, without spaces."
    meant = did_you_mean(name, SUMMARIES)
    if _is_setting(name):
        if not rest or rest[0][:1] in "-+~" or "=" in rest[0]:
            return f"{name} is a setting, not a command: write {name}=VALUE.{meant}"
        return f"{name} {rest[0]}: write {name}={rest[0]}.{meant}"
    return (
        f"no command is named '{name}'.{meant} Commands:"
        f" {', '.join(SUMMARIES)}. Settings are given as key=value. Training has no command:"
        " python -m cnnexp epochs=3."
    )
