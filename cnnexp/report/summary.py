"""One run in words: how it ended, what it was, how it learnt, and where its time went."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cnnexp.errors import CnnexpError, RunError
from cnnexp.report import confusions, diagnostics
from cnnexp.report.formats import aligned, amount, text
from cnnexp.report.histories import history_of
from cnnexp.report.lines import series_of
from cnnexp.report.table import NO_RESULT, comparable
from cnnexp.report.terminal import bar, chart
from cnnexp.runs import rebuild
from cnnexp.runs.files import is_file, whole_lines
from cnnexp.runs.finding import flatten, name_in
from cnnexp.runs.policy import GROUPS
from cnnexp.runs.reading import Run
from cnnexp.runs.record_parts import Resume

if TYPE_CHECKING:
    from rich.text import Text

CHART_WIDTH, CHART_HEIGHT = 48, 8
BAR_WIDTH = 30
LISTED = 1 << 27  # numbers of the largest weights of a network that is built to be listed


@dataclass
class Section:
    """Some lines under a heading; without lines it is not shown."""

    title: str
    lines: Sequence[str | Text] = field(default_factory=list)


def sections(run: Run, defaults: Mapping[str, Any] | None, all_settings: bool) -> list[Section]:
    """Return everything that is said about a run.

    Parameters
    ----------
    run : Run
        The run.
    defaults : mapping, optional
        All settings under their dotted paths as they are when nothing is asked for; without it,
        what was typed is shown instead of what differs.
    all_settings : bool
        Whether to list every setting as well.
    """
    settings = settings_of(run)
    found = [
        Section("", _heading(run)),
        Section("data", _data(run)),
        Section("network", _network(run)),
        *_config(run, settings, defaults),
        Section("all settings", _listed(settings) if all_settings else []),
        *_curves(run),
        Section("diagnostics", _diagnostics(run)),
        Section("results", _results(run)),
        *_classes(run),
        Section("where the time went", _times(run)),
        Section("time by layer: ▓ forward, █ backward", _layers(run)),
        Section("environment", _environment(run.recorded.environment)),
        Section("resumed", [_resume(entry) for entry in run.recorded.resumed]),
    ]
    return [section for section in found if section.lines]


def settings_of(run: Run) -> dict[str, Any]:
    """Return the settings of a run under dotted paths, the names of its groups first."""
    settings: dict[str, Any] = {group: name_in(run, group) for group in GROUPS}
    flatten(run.config, "", settings)
    return settings


def _heading(run: Run) -> list[str]:
    """Say how it ended, why, and when."""
    record = run.recorded
    lines = [f"{run.path}  {run.status}"]
    if record.reason:
        lines.append(record.reason)
    ended = f", ended {record.ended}" if record.ended else ""
    return [*lines, f"began {record.created}{ended}"]


def _data(run: Run) -> list[str]:
    """Say what it learnt from."""
    data, name = run.recorded.data, run.config["data"]["name"]
    if data is None:
        return [f"{name}, which had not been read yet"]
    counts = {"training": data["train"], "validation": data["validation"], "test": data["test"]}
    parts = [f"{count:,} {words}" for words, count in counts.items() if count]
    learnt = f"in {len(data['classes'])} classes"
    if shape := data.get("target_shape"):
        named = f": {', '.join(data['targets'])}" if data.get("targets") else ""
        learnt = f"of {'x'.join(map(str, shape))} real values{named}"
    return [
        f"{name}: {', '.join(parts)} samples {learnt}",
        f"checksum {data['checksum']}",
    ]


def _network(run: Run) -> list[str]:
    """Return the table of layers."""
    used = run.recorded.network
    if used is None:
        return []
    shape = tuple(used["input_shape"])
    try:
        network = run.rebuilt(
            lambda config: rebuild.build_network(
                config, shape, LISTED, **{"threads": 1, "micro_batch": 1} | rebuild.readable(config)
            )
        )
    except CnnexpError as error:
        return [f"{used['parameters']:,} parameters; its layers cannot be listed here: {error}"]
    return [
        *network.summary().splitlines(),
        f"samples of {' x '.join(map(str, shape))}; threads: {used['threads']}, micro-batches of"
        f" {used['micro_batch']} samples",
        *_device(used.get("device")),
    ]


def _device(found: object) -> list[str]:
    """Say which GPU computed it, if any; what another program recorded may lack its name."""
    if not found or not isinstance(found, Mapping):
        return []
    versions = ", ".join(f"{name} {value}" for name, value in found.items() if name != "device")
    name = found.get("device", "a device without a name")
    return [f"computed on {name} ({versions})" if versions else f"computed on {name}"]


def _config(
    run: Run, settings: Mapping[str, Any], defaults: Mapping[str, Any] | None
) -> list[Section]:
    """Say which settings differ from the defaults, or what was typed."""
    if defaults is None:
        why = "typed on the command line (its defaults cannot be composed here to compare with)"
        return [Section(why, [" ".join(run.recorded.overrides)])]
    lines = []
    for name, value in settings.items():
        default = defaults.get(name)
        if comparable(value) != comparable(default) and not name.startswith(NO_RESULT):
            lines.append((name, _value(name, value), f"(default {_value(name, default)})"))
    title = "settings that differ from the defaults"
    return [Section(title, aligned(lines) or ["none"])]


def _listed(settings: Mapping[str, Any]) -> list[str]:
    """Return all settings."""
    return aligned([(name, _value(name, value)) for name, value in settings.items()])


def _value(name: str, value: Any) -> str:
    return text(name, value) or ("null" if value is None else '""')


def _curves(run: Run) -> list[Section]:
    """Draw error and loss over the epochs."""
    try:
        history = history_of(run.path)
    except FileNotFoundError:
        return []
    except RunError as error:
        return [Section("error and loss, epoch by epoch", [str(error)])]
    loss = str((run.config.get("loss") or {}).get("name", "cross_entropy")).replace("_", " ")
    if loss == "cross entropy":
        loss = "cross-entropy in nats"
    found = []
    for kind, title, form in (
        ("error", "error, epoch by epoch", lambda value: f"{100 * value:.3g} %"),
        ("loss", f"{loss}, epoch by epoch", lambda value: f"{value:.3g}"),
    ):
        curves = {name: history[column] for name, column in series_of(history, kind)}
        found.append(Section(title, chart(curves, CHART_WIDTH, CHART_HEIGHT, form)))
    return found


def _results(run: Run) -> list[str]:
    """Return the figures of the last epoch, the best one, and the totals."""
    return aligned([(name, text(name, value)) for name, value in run.results.items()])


def _diagnostics(run: Run) -> list[str]:
    """Return gradients, updates and dead units, where the run logged them."""
    try:
        return diagnostics.table(run.path)
    except (OSError, CnnexpError) as error:
        return [f"cannot be read: {error}"]


def _classes(run: Run) -> list[Section]:
    """Return precision and recall of the test part's classes, or of the worst of them."""
    head = ("class", "samples", "precision", "recall", "f1")
    try:
        rows = diagnostics.classes(run.path).get("test", [])
    except (OSError, CnnexpError) as error:
        return [Section("classes of the test part", [f"cannot be read: {error}"])]
    if not rows:
        return []
    lines = aligned([head, *rows], right=(1, 2, 3, 4))
    left = len(run.recorded.data["classes"] if run.recorded.data else []) + 1 - len(rows)
    title = "classes of the test part"
    return [
        Section(f"{title}, the worst {len(rows) - 1}" if left > 0 else title, lines),
        Section(
            "confusion matrix: rows are classes, columns what they were taken for", _confused(run)
        ),
    ]


def _confused(run: Run) -> list[str]:
    """Return the confusion matrix of the test part, and the samples that were mistaken."""
    try:
        return [*confusions.matrix(run.path), *confusions.mistaken(run.path)]
    except (OSError, CnnexpError) as error:
        return [f"cannot be read: {error}"]


def _times(run: Run) -> list[str]:
    """Divide the time of the run, from its first to its last moment."""
    results, usage = run.results, run.recorded.usage
    whole = usage.get("wall_seconds")
    if not whole:
        return []
    training, evaluation = (results.get(key) or 0.0 for key in ("seconds", "eval_seconds"))
    rest = max(whole - training - evaluation, 0.0)
    parts = {"training": training, "evaluation": evaluation, "the rest": rest}
    lines = _bars(parts, whole)
    memory = usage.get("peak_memory_bytes")
    return [
        *lines,
        f"{amount(whole)} s by the clock, {amount(usage.get('cpu_seconds') or 0.0)} s of processor"
        + (f", at most {memory / 1e6:,.0f} MB of memory" if memory else ""),
    ]


def _bars(seconds: Mapping[str, float], whole: float) -> list[str]:
    """Return a bar for each part of a time."""
    return aligned(
        [
            (name, f"{amount(value)} s", f"{value / whole:4.0%}", bar(value / whole, BAR_WIDTH))
            for name, value in seconds.items()
        ],
        right=(1, 2),
    )


def _layers(run: Run) -> list[str]:
    """Return the time of each layer, where the run was profiled."""
    path = run.path / "layers.csv"
    if not is_file(path):
        return []
    try:
        rows = list(csv.DictReader(whole_lines(path).splitlines()))
        most = max(sum(_both_ways(row)) for row in rows) or 1.0
        lines = [_layer(row, most) for row in rows]
    except (OSError, CnnexpError, csv.Error, ValueError, KeyError, TypeError) as error:
        return [f"{path.name} cannot be read: {error!r}"]
    head = ("layer", "forward", "backward", "GFLOP/s", "")
    threads = run.recorded.network["threads"] if run.recorded.network else 1
    note = [f"seconds are sums over {threads} threads"] if threads > 1 else []
    return [*aligned([head, *lines], right=(1, 2, 3)), *note]


def _layer(row: Mapping[str, str], most: float) -> tuple[str, ...]:
    """Return the time of one layer, with a bar for its share of the longest."""
    forward, backward = _both_ways(row)
    both = bar((forward + backward) / most, BAR_WIDTH)
    ahead = len(bar(forward / most, BAR_WIDTH))
    speed = f"{float(row['gflops']):.3g}" if row.get("gflops") else ""
    return (
        row["layer"],
        f"{amount(forward)} s",
        f"{amount(backward)} s",
        speed,
        "▓" * ahead + both[ahead:],
    )


def _both_ways(row: Mapping[str, str]) -> tuple[float, float]:
    """Return the seconds of a layer, forward and backward."""
    return float(row["forward_seconds"]), float(row["backward_seconds"])


def _environment(found: Mapping[str, Any]) -> list[str]:
    """Say where it was made."""
    library = found.get("blas") or {}
    blas = " ".join(str(part) for key, part in library.items() if key != "num_threads" and part)
    versions = {"cnnexp": found.get("cnnexp"), "python": found.get("python")}
    versions |= found.get("packages") or {}
    rows = [
        ("command", shlex.join(found.get("command") or [])),
        ("folder", str(found.get("folder"))),
        ("user", str(found.get("user") or "unknown")),
        ("commit of cnnexp", _commit(found.get("git"))),
        ("of the project", _commit(found.get("project"))),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
        ("processor", f"{found.get('cpu')}, {found.get('cores')} cores, {found.get('system')}"),
        ("BLAS", blas or "unknown"),
    ]
    return aligned(rows) if found else []


def _commit(repository: Mapping[str, Any] | None) -> str:
    """Say which commit it was, and whether files were changed since."""
    if not repository:
        return "none"
    return f"{repository['commit']}{', with changes' if repository['dirty'] else ''}"


def _resume(entry: Resume) -> str:
    """Say when a run went on, from where, and what was different."""
    different = entry.get("differences")
    changes = f"; elsewhere: {'; '.join(different)}" if different else ""
    return f"{entry['at']}, after epoch {entry['epoch']}, batch {entry['batch']}{changes}"
