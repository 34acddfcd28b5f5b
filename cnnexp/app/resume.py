"""Going on with a run: the same run, to the same bits."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cnnexp.app.check import check
from cnnexp.app.experiment import carry_out
from cnnexp.app.messages import in_our_words
from cnnexp.app.schema import Config
from cnnexp.errors import ConfigError, RunError, did_you_mean
from cnnexp.runs import checkpoint
from cnnexp.runs.environment import describe_environment, differences
from cnnexp.runs.process import this_process
from cnnexp.runs.record import Record, now, read_record
from cnnexp.train import SCHEDULES

ALLOWED = ("epochs", "checkpoint.every", "impl.threads")
ENDED = ("finished", "diverged")


def resume(folder: Path, overrides: Sequence[str] = (), label: str = "") -> Record:
    """Continue a run from its last checkpoint, in its own folder.

    Parameters
    ----------
    folder : Path
        The run folder.
    overrides : sequence of str
        ``epochs=…``, ``checkpoint.every=…`` or ``impl.threads=…``.
    label : str
        Stands before every line that is printed.

    Returns
    -------
    dict
        The record at the end; the one that is there if nothing was left to do.

    Raises
    ------
    RunError
        If the run is still going on, or an override would make it another run.
    """
    record = read_record(folder)
    if record["status"] == "running":
        process = record["process"]
        raise RunError(
            f"{folder}: this run is still going on, as process {process['pid']} on"
            f" {process['host']}. Stop it first."
        )
    config = changed_config(folder, record, overrides)
    more = config["epochs"] > record["config"]["epochs"]
    if record["status"] in ENDED and not (more and record["status"] == "finished"):
        print(f"{label}{folder} has {record['status']} already; there is nothing to go on with.")
        return record
    saved = checkpoint.load(folder)
    position = saved["training"] if saved is not None else {"epoch": 0, "batch": 0}
    if config["epochs"] < position["epoch"]:
        raise RunError(
            f"{folder}: epochs={config['epochs']} is less than the {position['epoch']} epochs that"
            " are done."
        )
    present = describe_environment()
    elsewhere = differences(record["environment"], present)
    if elsewhere:
        print(
            f"{label}warning: this run began elsewhere; its last bits may differ from those of an"
            f" unbroken run: {'; '.join(elsewhere)}",
            file=sys.stderr,
        )
    record |= {"status": "running", "reason": None, "ended": None, "process": this_process()}
    record["config"] = config
    record["resumed"].append(
        {
            "at": now(),
            "epoch": position["epoch"],
            "batch": position["batch"],
            "differences": elsewhere,
            "command": present["command"],
        }
    )
    return carry_out(folder, record, label, saved)


def changed_config(folder: Path, record: Record, overrides: Sequence[str]) -> dict[str, Any]:
    """Return the recorded config with some overrides, or say why they are refused."""
    recorded = record["config"]
    base = OmegaConf.merge(OmegaConf.structured(Config), recorded)
    assert isinstance(base, DictConfig)
    with in_our_words(lambda: base):
        try:
            asked = OmegaConf.from_dotlist(list(overrides))
            merged = OmegaConf.merge(base, asked)
        except OmegaConfBaseException as error:
            raise ConfigError([f"{' '.join(overrides)}: {str(error).splitlines()[0]}"]) from None
    assert isinstance(merged, DictConfig)
    faults = []
    for key in (override.partition("=")[0] for override in overrides):
        then, wanted = OmegaConf.select(base, key), OmegaConf.select(merged, key)
        if then != wanted and key not in ALLOWED:
            faults.append(
                f"{key}: the run has {then}, and {wanted} would make it another run."
                f"{did_you_mean(key, ALLOWED)} Only {', '.join(ALLOWED)} may change; for anything"
                " else start a new run."
            )
    if faults:
        raise ConfigError(faults)
    config = check(merged)
    schedule = config["schedule"]["name"]
    if config["epochs"] != recorded["epochs"] and SCHEDULES[schedule].depends_on_epochs:
        raise RunError(
            f"{folder}: epochs={config['epochs']} is refused: the run has schedule={schedule} over"
            f" {recorded['epochs']} epochs, and its learning rates would have been others from the"
            " first batch on. Only a run with schedule=constant can be extended."
        )
    return config
