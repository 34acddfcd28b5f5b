"""Resuming a run, bit-for-bit."""

from __future__ import annotations

import copy
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cnnexp.app.compose.messages import dotted
from cnnexp.app.locations import near
from cnnexp.app.running.experiment import go_on
from cnnexp.app.running.extending import refuse_other_rates
from cnnexp.app.running.tracking import own_trackers
from cnnexp.app.screen import say, warn
from cnnexp.app.settings.check import check_settings
from cnnexp.app.settings.options import Plain
from cnnexp.app.settings.schema import Config
from cnnexp.errors import ConfigError, RunError, did_you_mean, foreign
from cnnexp.runs import checkpoint, trust, version1
from cnnexp.runs.checksums import check_all
from cnnexp.runs.environment import describe_environment, differences
from cnnexp.runs.files import refuse_links
from cnnexp.runs.fingerprint import NEWER
from cnnexp.runs.folders import hold
from cnnexp.runs.plugins import load_plugins_of, refusal
from cnnexp.runs.process import this_process
from cnnexp.runs.record import FILE, Record, now, read_record
from cnnexp.runs.record_parts import Resume
from cnnexp.runs.sources import changed
from cnnexp.runs.trust import sign_trackers

ALLOWED = ("epochs", "checkpoint.every", "impl.threads", "trackers")
ABSENT = object()


def resume(
    folder: Path,
    overrides: Sequence[str] = (),
    plugins: Sequence[str] | None = None,
    accept_changes: bool = False,
) -> Record:
    """Continue a run from its last checkpoint, in its own folder.

    Parameters
    ----------
    folder : Path
        The run folder.
    overrides : sequence of str
        ``epochs=…``, ``checkpoint.every=…``, ``impl.threads=…`` or ``trackers=…``.
    plugins : sequence of str, optional
        Modules that the user names; those of the user's own runs are imported without it.
    accept_changes : bool
        Go on also from a checkpoint and logs that are not what the run wrote.

    Returns
    -------
    Record
        At the end; the one that is there if nothing was left to do.

    Raises
    ------
    RunError
        If there is no run, it is still going on, or an override would make it another run.
    """
    with saying_how_to_go_on(folder):
        read_record(folder)  # before a lock is made in a folder that is no run
        with hold(folder):
            return resume_held(folder, overrides, "", plugins, accept_changes)


@contextmanager
def saying_how_to_go_on(folder: Path) -> Iterator[None]:
    """Add to an error of the system how to go on with a run when its reason is gone."""
    try:
        yield
    except OSError as error:
        begun = (folder / FILE).exists()
        what = f"go on with: python -m cnnexp resume {shlex.quote(near(folder))}"
        error.add_note(f"Then {what}" if begun else "Then start again.")
        raise


def resume_held(
    folder: Path,
    overrides: Sequence[str] = (),
    label: str = "",
    plugins: Sequence[str] | None = None,
    accept_changes: bool = False,
) -> Record:
    """Continue a run in a folder that this process holds; see `resume`."""
    record = read_record(folder)
    if record.status == "running":
        process = record.process
        raise RunError(
            f"{folder}: this run is still going on, as process {process.get('pid')} on"
            f" {process.get('host')}; its last sign of life was at {record.heartbeat}. Stop it"
            " first."
        )
    ended = f"{label}{folder} has {record.status} already; there is nothing to go on with."
    if record.status in ("finished", "diverged") and not overrides:
        say(ended)
        return record
    if record.is_of_version_1:
        raise RunError(f"{folder}: cannot be resumed: {version1.NO_RESUME.format(folder=folder)}")
    refuse_links(folder)
    record = use_plugins(folder, record, plugins)
    config = changed_config(folder, record, overrides)
    if not any(override.startswith("trackers=") for override in overrides):
        config["trackers"] = own_trackers(folder, record)
    check_all(folder, accept_changes)
    saved = checkpoint.load(folder, accept_changes)
    if saved is not None:
        checkpoint.check_form(folder, saved)
    place = saved["training"] if saved is not None else {"epoch": 0, "batch": 0}
    _refuse_fewer(folder, config["epochs"], place)
    longer = config["epochs"] > record.config["epochs"]
    if record.status == "diverged" or (record.status == "finished" and not longer):
        say(ended)
        return record
    if record.status == "finished" and place.get("stopped"):
        raise RunError(
            f"{folder}: cannot be extended: it stopped early, because {place['stopped']}. Train"
            f" with more patience: python -m cnnexp rerun {shlex.quote(str(folder))}"
            " early_stopping.patience=N"
        )
    if record.status == "finished" and saved is None:
        raise RunError(f"{folder}: cannot be extended: its {checkpoint.FILE} is gone.")
    refuse_other_rates(folder, record, config, place)
    return go_on(folder, resumed(record, config, place, label), saved, label)


def use_plugins(folder: Path, record: Record, named: Sequence[str] | None) -> Record:
    """Import all plugins of a run; those that the user names are signed from now on.

    Raises
    ------
    RunError
        If one may not be imported.
    """
    if missing := load_plugins_of(folder, record, named):
        raise refusal(folder, missing)
    if not named:
        return record
    fingerprint = None if changed(record.plugins) else record.fingerprint  # else another run
    signed = trust.sign(record.config.get("plugins") or [])
    return replace(record, plugins=signed, fingerprint=fingerprint)


def _refuse_fewer(folder: Path, epochs: int, place: dict[str, Any]) -> None:
    """Refuse fewer epochs than are done."""
    if (epochs, 0) < (place["epoch"], place["batch"]):
        part = f" and {place['batch']} batches" if place["batch"] else ""
        raise RunError(
            f"{folder}: epochs={epochs} is less than the {place['epoch']} epochs{part} that are"
            " done."
        )


def resumed(record: Record, config: Plain, place: dict[str, Any], label: str) -> Record:
    """Return a record with a resume in it, and warn if it happens on another kind of machine."""
    present = describe_environment()
    elsewhere = differences(record.environment, present)
    if elsewhere:
        warn(
            f"{label}warning: this run began elsewhere; its last bits may differ from those of an"
            f" unbroken run: {'; '.join(elsewhere)}"
        )
    entry: Resume = {
        "at": now(),
        "epoch": place["epoch"],
        "batch": place["batch"],
        "differences": elsewhere,
        "command": present["command"],
        "git": present["git"],
    }
    longer = config["epochs"] != record.config["epochs"]  # which makes it another run
    return replace(
        record,
        status="running",
        reason=None,
        ended=None,
        process=this_process(),
        config=config,
        trackers=sign_trackers(config["trackers"]),
        fingerprint=None if longer else record.fingerprint,
        resumed=[*record.resumed, entry],
    )


def changed_config(folder: Path, record: Record, overrides: Sequence[str]) -> Plain:
    """Return the recorded config with some overrides, or say why they are refused.

    Raises
    ------
    ConfigError
        If an override is not allowed, or its value is not.
    """
    recorded = record.config
    with foreign(folder / FILE):
        config = complete(recorded)
    faults = [fault for override in overrides if (fault := _change(config, dotted(override)))]
    if faults:
        raise ConfigError(faults)
    begun_from, config["init_from"] = config["init_from"], None  # it need not be there any more
    return check_settings(config) | {"init_from": begun_from}


def complete(recorded: Plain) -> Plain:
    """Return a copy of a recorded config with the defaults of keys that are newer than it."""
    filled: Plain = asdict(Config()) | copy.deepcopy(NEWER)
    for key, value in copy.deepcopy(recorded).items():
        nested = isinstance(filled.get(key), dict) and isinstance(value, dict)
        filled[key] = filled[key] | value if nested else value
    return filled


def _change(config: Plain, override: str) -> str | None:
    """Change one setting in place, or return why that is refused."""
    key, equals, text = override.partition("=")
    if not equals:
        return f"{override}: cannot be read as key=value."
    try:
        read = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]))
        wanted = read["value"]  # type: ignore[call-overload, index]
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, OverflowError):
        return f"{override}: cannot be read as key=value."
    if key not in ALLOWED:
        return _refusal(key, _setting(config, key), wanted)
    if key == "epochs" and type(wanted) is not int:
        return f"epochs must be a whole number. Got {text!r}."
    group, _, last = key.rpartition(".")
    (config[group] if group else config)[last] = wanted
    return None


def _setting(config: Plain, key: str) -> Any:
    """Return a setting, the name of a group, or ABSENT."""
    found: Any = config
    for part in key.split("."):
        at = int(part) if isinstance(found, list) and part.isdigit() else part
        try:
            found = found[at]
        except (LookupError, TypeError):
            return ABSENT
    return found["name"] if isinstance(found, dict) and "name" in found else found


def _refusal(key: str, then: Any, wanted: Any) -> str | None:
    """Say why a setting may not change; None if it would stay what it is."""
    if then == wanted:
        return None
    what = f"the run has {then}, and {wanted} would make it another run."
    if then is ABSENT:
        what = f"no such key.{did_you_mean(key, ALLOWED)}"
    return f"{key}: {what} Only {', '.join(ALLOWED)} may change; for anything else start a new run."
