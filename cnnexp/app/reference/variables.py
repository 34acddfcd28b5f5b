"""The environment variables that are read, as data: ``list variables`` and ``help`` show them."""

from __future__ import annotations

from typing import NamedTuple

from cnnexp.app.running import progress
from cnnexp.app.sweeps import warm
from cnnexp.data import sources
from cnnexp.engine import operations, user_cache
from cnnexp.runs import trust


class Variable(NamedTuple):
    """An environment variable: its name, what it does, and what holds where it is not set."""

    name: str
    meaning: str
    default: str


VARIABLES = (
    Variable(
        operations.VARIABLE,
        "The implementation that `impl=auto` stands for on this computer, for example"
        " `fast`. Where `impl` is set to another name, that holds.",
        "compiled where it is installed, else fast",
    ),
    Variable(
        sources.VARIABLE,
        "The folder that holds data sets, each in a folder of its name: `mnist/`, `kmnist/`."
        " Where `data.dir` is set, that holds.",
        "the user's cache folder, where data sets are downloaded",
    ),
    Variable(
        user_cache.VARIABLE,
        "The folder of compiled kernels and measured sizes of micro-batches. It may be deleted.",
        "the user's cache folder",
    ),
    Variable(
        trust.VARIABLE,
        "The folder of the key that signs runs with plugins.",
        "the user's configuration folder",
    ),
    Variable(
        progress.QUIET,
        "With any value, runs have no progress bar and print no line per epoch; `cnnexp.run`"
        " sets it for runs that show nothing.",
        "not set",
    ),
    Variable(
        warm.SERVER,
        "Marks the process that the jobs of a sweep are forked from. Not to be set by hand.",
        "not set",
    ),
)
