"""The commands: each takes the words after its name and returns an exit code."""

from __future__ import annotations

import importlib
import keyword
from collections.abc import Callable

SUMMARIES = {
    "compare": "a table of runs: what differs, results, times; plots and pages of them",
    "show": "one run: its settings, curves, results, and where the time went",
    "diff": "how two runs differ: settings, code, data, machine, results",
    "watch": "a live table of runs while they run",
    "explore": "a page that runs a run's network in the browser: draw, and look inside",
    "inspect": "pictures of what a run's network does; the stride groups of a window",
    "summary": "a network as a table: shapes, receptive fields, parameters, memory of a step",
    "profile": "where the time goes, layer by layer, under every implementation",
    "find-lr": "find a learning rate: train while it grows, and watch the loss",
    "gradcheck": "compare the gradient of every parameter with finite differences of the loss",
    "check-layer": "check a layer of your own against the rules that all layers keep",
    "evaluate": "evaluate a run's network again, on its own or on another data set",
    "predict": "predict the classes of pictures",
    "export": "write a run's network for ONNX or PyTorch, or its weights for NumPy",
    "import": "make a run whose weights come from PyTorch",
    "compile": "compile the kernels of impl=compiled ahead of time",
    "help": "a setting, a column or a field: meaning, type, range and default: help learning_rate",
    "list": "what there is: layers, models, implementations, data sets, and so on",
    "tag": "give a run tags, to find it by",
    "note": "write a note on a run",
    "archive": "a run or a sweep as one compressed file, which the other commands read",
    "rm": "move runs to a trash folder",
    "init": "make a project of your own: a model, a layer, a study, tests",
    "rerun": "a new run with the settings of another one, some of them changed",
    "resume": "continue an interrupted run or sweep, or extend a finished run",
}


def command_of(name: str) -> Callable[[list[str]], int]:
    """Return a command; its module is imported only now."""
    # "import" is a word of Python, so its file is import_.
    module = f"{name}_" if keyword.iskeyword(name) else name.replace("-", "_")
    command: Callable[[list[str]], int] = importlib.import_module(f"{__name__}.{module}").main
    return command
