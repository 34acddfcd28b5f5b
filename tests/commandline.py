"""The command line in this process: what it prints, and the code it ends with."""

from __future__ import annotations

import contextlib
import io
from typing import NamedTuple

from cnnexp.app.main import main


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def cnnexp(*words: object) -> Ended:
    """Run ``python -m cnnexp WORDS`` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(word) for word in words])
        except SystemExit as ended:  # as argparse ends a program
            code = int(ended.code or 0)
    return Ended(code, out.getvalue(), err.getvalue())


def succeed(*words: object) -> str:
    """Run a command that must end well, and return what it printed."""
    ended = cnnexp(*words)
    assert ended.code == 0, ended.err
    return ended.out
