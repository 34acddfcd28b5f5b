"""What the studies found: taken out of run folders into small files, and read back.

Run folders are large and stay where they were made. ``experiments/results/NAME.csv`` keeps a row
for each epoch of each run, below a few lines that say where and how the study was run; tables and
figures are made from these files alone.
"""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnexp import load_run, load_runs
from cnnexp.runs.files import replace_file
from cnnexp.runs.finding import find_runs
from cnnexp.runs.reading import Run

if TYPE_CHECKING:
    import pandas as pd

HERE = Path(__file__).parent
RESULTS = HERE / "results"
INDEX = "sweep.json"
LOGGED = ("epoch", "seconds", "train_loss", "train_error", "test_loss", "test_error")
CHOSEN_BY = "validation_error"  # where samples were kept apart to choose by
DONE = ("finished", "diverged")
LEFT_ALONE = ("impl", "sweep.", "hydra.", "hydra/")  # words that leave a study what it is


@dataclass(frozen=True)
class Results:
    """A study as it was run.

    Attributes
    ----------
    study : str
        Its name.
    facts : dict of str to str
        The command, the date, the processor, and the samples trained on.
    epochs : DataFrame
        A row for each epoch of each run: what differs among the runs, then what was measured.
    """

    study: str
    facts: dict[str, str]
    epochs: pd.DataFrame

    @property
    def last(self) -> pd.DataFrame:
        """The last row of each run; ``seconds`` is the fastest epoch, ``total`` all of them."""
        by_run = self.epochs.groupby("run", sort=False)
        last = by_run.tail(1).set_index("run")
        last = last.assign(seconds=by_run["seconds"].min(), total=by_run["seconds"].sum())
        return last.reset_index()


def path_of(study: str) -> Path:
    """Return where the results of a study are kept."""
    return RESULTS / f"{study}.csv"


def save(results: Results) -> Path:
    """Write results, and return the file."""
    head = "".join(f"# {key}: {value}\n" for key, value in results.facts.items())
    table = results.epochs.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    path = path_of(results.study)
    path.parent.mkdir(exist_ok=True)
    replace_file(path, (head + table).encode())
    return path


def load(study: str) -> Results:
    """Read the kept results of a study."""
    import pandas as pd

    lines = path_of(study).read_text(encoding="utf-8").splitlines(keepends=True)
    head = [line for line in lines if line.startswith("# ")]
    facts = dict(line[2:].rstrip("\n").split(": ", 1) for line in head)
    return Results(study, facts, pd.read_csv(io.StringIO("".join(lines[len(head) :]))))


def collect(root: Path) -> dict[str, Results]:
    """Read the newest whole run of each study below a folder.

    Only what was run as written counts: a study with fewer samples or other data is passed over.
    """
    attempts: dict[Path, list[Run]] = defaultdict(list)
    for folder in map(Path, find_runs(root)):
        in_sweep = (folder.parent / INDEX).exists()
        run = load_run(folder)
        if study_of(run.record["environment"]["command"]):
            attempts[folder.parent if in_sweep else folder].append(run)
    newest: dict[str, list[Run]] = {}
    in_order = sorted(attempts.items(), key=lambda attempt: attempt[1][0].record["created"])
    for folder, runs in in_order:
        if is_whole(folder, runs):
            newest[study_of(runs[0].record["environment"]["command"])] = runs
    return {study: results_of(study, runs) for study, runs in newest.items()}


def is_whole(folder: Path, runs: Sequence[Run]) -> bool:
    """Say whether every job that was planned has a result."""
    index = folder / INDEX
    planned = len(json.loads(index.read_bytes())["jobs"]) if index.exists() else 1
    return len(runs) == planned and all(run.status in DONE for run in runs)


def study_of(command: Sequence[str]) -> str:
    """Return the study that a command runs as it is written, or nothing.

    Examples
    --------
    >>> study_of(["cnnexp", "experiments=seeds", "impl=fast"])
    'seeds'
    >>> study_of(["python", "-m", "cnnexp", "experiments=seeds", "sweep.jobs=1"])
    'seeds'
    >>> study_of(["cnnexp", "experiments=seeds", "data=digits"])
    ''
    """
    words = [word for word in command[1:] if word not in ("-m", "cnnexp", "--multirun")]
    named = [word for word in words if word.startswith("experiments=")]
    if not named or not all(word.startswith((*named, *LEFT_ALONE)) for word in words):
        return ""
    study = named[0].partition("=")[2]
    own = any(word.startswith("impl=") for word in words) and "impl" in swept(study)
    return "" if own else study


def swept(study: str) -> dict[str, Any]:
    """Return what the YAML of a study sweeps."""
    from omegaconf import OmegaConf

    written = OmegaConf.load(HERE / f"{study}.yaml")
    return dict(OmegaConf.select(written, "hydra.sweeper.params") or {})


def results_of(study: str, runs: Sequence[Run]) -> Results:
    """Join the logs of the runs of a study."""
    import pandas as pd

    settings = load_runs(*(run.path for run in runs))
    varied = [name for name in swept(study) if name in settings]
    logged = [*LOGGED, CHOSEN_BY] if any(CHOSEN_BY in run.epochs for run in runs) else LOGGED
    parts = []
    for number, run in enumerate(runs):
        row = settings.iloc[number]
        known = {name: row[name] for name in varied}
        known |= {"parameters": run.record["network"]["parameters"], "status": run.status}
        log = run.epochs.reindex(columns=logged) if len(run.epochs) else [{}]
        parts.append(pd.DataFrame(log, columns=logged).assign(run=number, **known))
    order = ["run", *varied, "parameters", "status", *logged]
    return Results(study, facts_of(study, runs), pd.concat(parts, ignore_index=True)[order])


def facts_of(study: str, runs: Sequence[Run]) -> dict[str, str]:
    """Say how, when and where a study was run."""
    first: Any = runs[0].record
    environment, command = first["environment"], [f"experiments={study}"]
    command += [word for word in environment["command"][1:] if word.startswith("impl")]
    wall = sum(run.record["usage"]["wall_seconds"] for run in runs)
    return {
        "command": f"python -m cnnexp {' '.join(command)}",
        "date": first["created"][:10],
        "cpu": environment["cpu"],
        "cores": str(environment["cores"]),
        "implementation": ", ".join(dict.fromkeys(run.config["impl"]["name"] for run in runs)),
        **versions_of(environment),
        "data": f"{first['choices']['data']}, {first['data']['train']:,} samples to train on and"
        f" {first['data']['test']:,} to test with",
        "seconds of all runs": f"{wall:.0f}",
    }


def versions_of(environment: dict[str, Any]) -> dict[str, str]:
    """Return the versions that a run was made with, and its commit."""
    blas, git = environment["blas"] or {}, environment["git"] or {}
    commit = (git.get("commit") or "")[:10] + ("+" if git.get("dirty") else "")
    return {
        **{name: str(environment[name]) for name in ("system", "python", "numpy", "cnnexp")},
        "blas": str(blas.get("internal_api")),
        "blas_version": str(blas.get("version")),
        "commit": commit,
    }
