"""``cnnexp import FILE``: a run whose weights come from PyTorch; it is evaluated, not trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cnnexp.app.arguments import parser_of
from cnnexp.app.compose.own import composer
from cnnexp.app.compose.words import check_words
from cnnexp.app.named_run import HELP, named_run
from cnnexp.app.networks import images_of, networks_of
from cnnexp.app.running.experiment import prepare, save_classes
from cnnexp.app.running.rerun import composed_again
from cnnexp.app.running.single_run import carry_out, composed, told
from cnnexp.app.running.task import record_of
from cnnexp.app.screen import say, warn
from cnnexp.app.settings.check import check
from cnnexp.app.settings.options import Plain
from cnnexp.errors import CnnexpError, OptionError, foreign
from cnnexp.exchange.torch_code import torch_module
from cnnexp.exchange.torch_reading import read_state, weights_from
from cnnexp.nn.network import Network
from cnnexp.runs.files import read_bytes
from cnnexp.runs.record import Record
from cnnexp.runs.recording import recorded
from cnnexp.train.events import named

ENDINGS = (".pt", ".pth")
LARGEST = 1 << 31  # bytes of a file

EPILOG = """\
The settings say which network the weights are for, and on what data it is evaluated. Weights are
matched by the names that "export RUN model.pt" gives them, or, if no name is known, in the order of
the layers. The result is a run folder, for evaluate, predict, inspect and init_from=FOLDER.

examples:
  python -m cnnexp import model.pt model=lenet5 data=mnist
  python -m cnnexp import model.pt --like RUN hydra.run.dir=imported
  python -m cnnexp model=lenet5 data=mnist init_from=imported
"""


def main(words: list[str]) -> int:
    """Make a run folder with the weights of a file."""
    parser = parser_of("import", EPILOG)
    parser.add_argument("file", type=Path, metavar="FILE", help="a .pt or .pth file")
    parser.add_argument(
        "changes", nargs="*", default=[], metavar="KEY=VALUE", help="settings as for a run"
    )
    parser.add_argument(
        "--like", type=named_run, metavar="RUN", help=f"take the settings of a run; {HELP}"
    )
    given = parser.parse_intermixed_args(words)
    state = state_in(given.file)
    return _import(given.file, state, given.changes, given.like)


def state_in(path: Path) -> dict[str, Any]:
    """Return the arrays in a file of PyTorch.

    Raises
    ------
    OptionError
        If there is no such file, or no ``state_dict`` in it.
    """
    if path.suffix not in ENDINGS:
        raise OptionError(f"{path}: must be a file of PyTorch, {' or '.join(ENDINGS)}.")
    try:
        with foreign(path, error=OptionError):
            content = read_bytes(path, LARGEST)
            try:
                return read_state(content)
            except OptionError as error:
                raise OptionError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise OptionError(f"{path}: there is no such file.") from None


def _import(path: Path, state: Mapping[str, Any], words: list[str], like: Path | None) -> int:
    """Check that the weights fit, and carry out a run that takes them."""
    changes = check_words(words).overrides
    with composer(changes) as app:
        if like is None:
            cfg = composed(app, changes)
        else:
            app, cfg, _ = composed_again(like, words)
        config = check(cfg) | {"init_from": None, "trackers": []}
        weights = _fitting(path, state, network_of(config))
        record = replace(record_of(config, cfg.hydra), reason=f"imported from {path}")
        folder = carry_out(app, cfg, record, lambda folder, now: take(folder, now, weights))
    return told(folder)


def network_of(config: Plain) -> Network:
    """Return the network of a config; data are read only where its shape is not known before."""
    (network,) = networks_of({"": config}, images_of(config)).values()
    return network


def _fitting(path: Path, state: Mapping[str, Any], network: Network) -> dict[str, Any]:
    try:
        return weights_from(state, network.weights(), torch_module(network).weights)
    except CnnexpError as error:
        raise type(error)(f"{path}: {error}") from None


def take(folder: Path, record: Record, weights: dict[str, Any]) -> Record:
    """Write weights into a run folder, with the figures of what is not trained on."""
    with recorded(folder, record, warn) as writer:
        trainer, writer.record = prepare(folder, writer.record)
        network, dataset = trainer.network, trainer.dataset
        network.load_weights(weights)
        parts = {"validation": dataset.validation, "test": dataset.test}
        figures = {
            part: network.evaluate_figures(samples.X, samples.Y)[1]
            for part, samples in parts.items()
            if samples is not None
        }
        # Nothing was trained, so no job of a sweep is the same as this run.
        results: dict[str, float | None] = {"epoch": 0, **named(**figures)}
        writer.record = replace(writer.record, results=results, fingerprint=None)
        writer.open_logs(network.figures, dataset.validation is not None)
        writer.weights_at(0, weights)
        save_classes(trainer, writer)
        writer.save_weights(weights)
        writer.finish("finished", record.reason)
    shown = [f"{part} loss {found['loss']:.4f}" for part, found in figures.items()]
    say("  ".join([f"{len(weights)} arrays, {network.parameter_count:,} numbers", *shown]))
    return writer.record
