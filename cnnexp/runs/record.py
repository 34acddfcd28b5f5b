"""``run.json``: one small file that tells all about a run.

`Record` says what is in it. A record is built by `new_record` and `described`; whoever goes on with
a run makes a changed copy. This file alone knows how a record looks as JSON.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cnnexp.errors import RunError, foreign
from cnnexp.runs import environment as environments
from cnnexp.runs import trust
from cnnexp.runs.files import read_bytes, replace_json
from cnnexp.runs.fingerprint import config_hash, fingerprint
from cnnexp.runs.forms import COUNT, NUMBER, Maybe, fault_of, form_of, is_nested_too_deeply
from cnnexp.runs.process import Process, is_gone, is_here, this_process
from cnnexp.runs.record_parts import Checksums, DataRecord, NetworkRecord, Origin, Resume
from cnnexp.runs.sources import Signed, Source, sources_of
from cnnexp.runs.version1 import FORMAT as FORMAT_1
from cnnexp.runs.version1 import translate_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnnexp.data.dataset import Dataset
    from cnnexp.nn.network import Network

FORMAT = 2
SILENCE = 300.0  # seconds without a sign of life after which a run on another host is given up
FILE = "run.json"
LARGEST = 1 << 26  # bytes of run.json; it has some thousands
NEWER = {"augment": {"name": "none", "transforms": []}}  # settings that older runs do not have

Config = dict[str, Any]
CONFIG = {
    "model": {"name": Maybe(str), "layers": [{"type": str, "name": Maybe(str)}]},
    **dict.fromkeys(("impl", "data", "optimizer", "schedule", "loss"), Maybe({"name": str})),
    "metrics": Maybe([str]),
    "learning_rate": Maybe(NUMBER),
    **dict.fromkeys(("epochs", "batch_size", "seed"), Maybe(COUNT)),
    "dtype": Maybe(str),
    **dict.fromkeys(("plugins", "tags"), Maybe([str])),
    **dict.fromkeys(("init_from", "name", "note"), Maybe(str)),
}
ENVIRONMENT = {
    "command": Maybe([str]),
    "packages": Maybe({str: Maybe(str)}),
    "blas": Maybe(dict),
    **dict.fromkeys(("git", "project"), Maybe({"commit": str, "dirty": bool})),
    "user": Maybe(str),
    "folder": Maybe(str),
}


@dataclass(frozen=True, kw_only=True)
class Record:
    """All that ``run.json`` says of a run.

    What has no default here must be in the file; runs of earlier versions lack some of the rest.

    Attributes
    ----------
    format : int
        The format of the file.
    status : str
        running, finished, diverged, interrupted or failed. ``running`` is read as ``killed`` if the
        process no longer exists, or is on another host and has been silent for long.
    reason : str or None
        Why the run diverged, failed or stopped early.
    created : str
        When it began, with the offset from universal time.
    ended : str or None
        When it ended.
    heartbeat : str
        When its process last gave a sign of life.
    process : Process
        Host, number and start of the process.
    config : dict
        All settings.
    config_hash : str or None
        SHA-256 of the settings that the result depends on.
    fingerprint : str or None
        SHA-256 of all that the result depends on: settings, data, initial weights, your modules. A
        sweep recognises a finished job by it.
    init_from : Origin or None
        Checksum of the weights that ``init_from`` named.
    choices : dict
        The names chosen in the groups.
    overrides : list of str
        What was typed.
    data : DataRecord or None
        Checksum and sizes of the data set.
    network : NetworkRecord or None
        The network that was built.
    results : dict
        The figures of the weights that were kept (those of the last epoch, or of the best one with
        ``best_weights``), the best epoch, and totals.
    usage : dict
        Wall and processor seconds, peak memory.
    environment : dict
        Versions, machine, commits, and what was typed.
    resumed : list of Resume
        An entry for each time the run was resumed.
    plugins : Signed or None
        The modules that were imported, and the user's signature of them.
    trackers : str or None
        The user's signature of the trackers.
    checksums : Checksums
        Checksums of weights, checkpoints and logs.
    rerun_of : str or None
        The run whose settings these are, if ``rerun`` made this one.
    unknown : dict
        What another version of this program wrote beside these; it is kept.
    """

    format: int = FORMAT
    status: str
    reason: str | None
    created: str
    ended: str | None = None
    heartbeat: str
    process: Process
    config: Config = field(metadata={"form": CONFIG})
    config_hash: str | None = None
    fingerprint: str | None = None
    init_from: Origin | None = None
    choices: dict[str, str | None]
    overrides: list[str] = field(default_factory=list)
    data: DataRecord | None = None
    network: NetworkRecord | None = None
    results: dict[str, float | None]
    usage: dict[str, float | None] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict, metadata={"form": ENVIRONMENT})
    resumed: list[Resume] = field(default_factory=list)
    plugins: Signed | None = None
    trackers: str | None = None
    checksums: Checksums = field(default_factory=lambda: Checksums())
    rerun_of: str | None = None
    unknown: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return what stands in ``run.json``."""
        return {key: getattr(self, key) for key in _FORM} | self.unknown

    @property
    def is_of_version_1(self) -> bool:
        """Whether version 0.1.0 made the run."""
        return self.format == FORMAT_1


_FORM = {key: form for key, form in form_of(Record).items() if key != "unknown"}
_NEEDED = [key for key, form in _FORM.items() if key == "reason" or not isinstance(form, Maybe)]


def new_record(
    config: Config,
    choices: dict[str, str | None],
    overrides: list[str],
    described: dict[str, Any] | None = None,
) -> Record:
    """Return the record of a run that is about to begin, in an environment that may be known."""
    return Record(
        status="running",
        reason=None,
        created=now(),
        heartbeat=now(),
        process=this_process(),
        config=config,
        config_hash=config_hash(config),
        choices=choices,
        overrides=overrides,
        results={},
        environment=described or environments.describe_environment(),
        plugins=trust.sign(config.get("plugins") or []),
        trackers=trust.sign_trackers(config.get("trackers") or []),
    )


def described(record: Record, dataset: Dataset, network: Network) -> Record:
    """Return a record with the data and the network, and the fingerprint that follows from them."""
    config, weights = record.config, (record.init_from or {}).get("checksum")
    data: DataRecord = {
        "checksum": dataset.checksum,
        "train": dataset.train.count,
        "validation": dataset.validation.count if dataset.validation else 0,
        "test": dataset.test.count,
        "classes": list(dataset.classes),
        "targets": list(dataset.targets),
        "target_shape": list(dataset.target_shape) if dataset.target_shape else None,
        "scale": dataset.scale.as_record(),
        "target_scale": dataset.target_scale.as_record() if dataset.target_scale else None,
    }
    built: NetworkRecord = {
        "input_shape": list(network.input_shape),
        "parameters": network.parameter_count,
        "multiply_adds": sum(layer.multiply_adds for layer in network.layers),
        "threads": int(network.threads),
        "micro_batch": int(network.micro_batch),
        "inference_micro_batch": int(network.inference_micro_batch),
    }
    if network.implementation.device is not None:
        built["device"] = network.implementation.device.describe()
    return dataclasses.replace(
        record,
        data=cast(DataRecord, {**(record.data or {}), **data}),  # with what is not known here
        network=cast(NetworkRecord, {**(record.network or {}), **built}),
        config_hash=config_hash(config),
        fingerprint=record.fingerprint
        or fingerprint(config, dataset.checksum, weights, sources_in(record)),
    )


def sources_in(record: Record) -> Sequence[Source] | None:
    """Return the sources of a run's modules: those that were signed, else as they are now."""
    signed = record.plugins
    return signed["modules"] if signed else sources_of(record.config.get("plugins") or [])


def now() -> str:
    """Return the time, with its offset from universal time."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def write_record(folder: Path, record: Record) -> None:
    """Write ``run.json`` whole; JSON has no word for a result that is not finite, but null."""
    results = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in record.results.items()
    }
    replace_json(folder / FILE, record.as_json() | {"results": results})


def read_record(folder: Path | str) -> Record:
    """Read ``run.json`` and set its status right.

    Raises
    ------
    RunError
        If there is none, or it is not what a run writes.
    """
    path = Path(folder, FILE)
    try:
        with foreign(path):
            found = json.loads(read_bytes(path, LARGEST))
    except FileNotFoundError:
        raise RunError(f"{folder}: no run here: there is no {FILE}.") from None
    version = found.get("format") if isinstance(found, dict) else type(found).__name__
    with foreign(path):
        if is_nested_too_deeply(found):
            raise RecursionError
        if version == FORMAT_1:
            found = translate_record(found)
        elif version != FORMAT:
            raise RunError(
                f"{path}: not a run of this version: expected format {FORMAT}, found"
                f" {version!s:.20}."
            )
        if absent := [key for key in _NEEDED if key not in found]:
            raise RunError(f"{path}: damaged: there is no {', '.join(absent)} in it.")
        if fault := fault_of(found, _FORM):
            raise RunError(f"{path}: damaged: {fault}.")
        record = _from_json(found)
        return dataclasses.replace(record, status=true_status(record))


def _from_json(found: dict[str, Any]) -> Record:
    """Return a record from what ``run.json`` holds, once its form was checked."""
    for key, value in NEWER.items():
        found["config"].setdefault(key, copy.deepcopy(value))
    known = {k: v for k, v in found.items() if k in _FORM and (v is not None or k == "reason")}
    return Record(**known, unknown={k: v for k, v in found.items() if k not in _FORM})


def true_status(record: Record) -> str:
    """Return the status; a run that says running while its process is gone was killed.

    Processes of another host cannot be seen, but a run there writes a sign of life every few
    seconds: after a long silence it counts as killed too.
    """
    if record.status != "running":
        return record.status
    gone = is_gone(record.process) if is_here(record.process) else silence(record) > SILENCE
    return "killed" if gone else record.status


def silence(record: Record) -> float:
    """Return the seconds since a run's last sign of life."""
    last = datetime.fromisoformat(record.heartbeat)
    return (datetime.now().astimezone() - last).total_seconds()


def is_a_run(folder: Path) -> bool:
    """Say whether there is a run's ``run.json`` in a folder."""
    if not (folder / FILE).is_file():
        return False
    try:
        read_record(folder)
    except RunError:
        return False
    return True


def holds_a_run(folder: Path) -> bool:
    """Say whether a folder already belongs to a run."""
    return (folder / FILE).exists() or (folder / ".hydra").exists()
