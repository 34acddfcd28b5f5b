"""Mutation testing: change the source a little, and see whether a test notices.

A seeded sample of the mutations of ``engine``, ``nn`` and ``runs``; `mutations` says which there
are. Each is tried in a copy of the project, in a fork of a process that has the libraries
imported, with the default tests that execute the changed line, the quickest first, until one
fails. ``judged_mutants.csv`` holds what a person said of survivors: ``equivalent`` where nothing
that a test can see is different, ``weakness`` where a test is missing.
"""

from __future__ import annotations

import argparse
import csv
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, takewhile
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Any

from experiments.benchmarks import results
from experiments.benchmarks.page import markdown

if TYPE_CHECKING:
    import pandas as pd

    from experiments.reliability.mutant_trials import Map, Worker
    from experiments.reliability.mutations import Mutation

SUMMARY = "mutation testing of engine, nn and runs: change the source, see whether a test fails"
SHOWN = ("package", "module", "line", "after", "outcome", "test", "seconds")

# A package, and the default tests for its mutants. Others may kill more of them.
TESTS = {
    "engine": (
        "tests/engine",
        *(f"tests/nn/test_{name}.py" for name in ("fusions", "layers", "passes", "ties")),
        "tests/nn/test_random_networks.py",
        "cnnexp/engine",
    ),
    "nn": (
        *(f"tests/nn/test_{name}.py" for name in ("arguments", "blocks", "gradient_check")),
        *(f"tests/nn/test_{name}.py" for name in ("introspection", "layer_check", "layers")),
        *(f"tests/nn/test_{name}.py" for name in ("losses", "memory", "network", "passes")),
        *(f"tests/nn/test_{name}.py" for name in ("network_errors", "processes", "profile")),
        *("tests/nn/test_timing.py", "tests/app/test_inspect.py", "tests/app/test_profile.py"),
        *(f"tests/nn/test_{name}.py" for name in ("saving", "fusions", "ties", "fifty_steps")),
        *(
            f"tests/train/test_{name}.py"
            for name in ("fitting", "trainer", "batches", "optimizers")
        ),
        *("tests/nn/test_random_networks.py", "tests/nn/test_extremes.py", "tests/test_classic.py"),
        "cnnexp/nn",
    ),
    "runs": (
        "tests/runs",
        "tests/report",
        *(f"tests/app/test_{name}.py" for name in ("compare", "main", "own_things", "resume")),
        *(f"tests/app/test_{name}.py" for name in ("show", "training", "use", "version1")),
        "cnnexp/runs",
    ),
}
PACKAGES = tuple(TESTS)
QUICK_TESTS = ("tests/engine/test_window.py", "cnnexp/engine/window.py")
OWN = ("DeleteStatement", "ReplaceInWithNotIn")
JUDGED = Path(__file__).with_name("judged_mutants.csv")
AROUND = 20  # letters on either side of a change, in the table of survivors
KEY = ("package", "module", "function", "before", "after")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what to sample, and what to try again."""
    parser.add_argument("--packages", nargs="+", choices=PACKAGES, default=list(PACKAGES))
    parser.add_argument("--count", type=int, default=300, help="mutants per package (300)")
    parser.add_argument("--seed", type=int, default=1, help="of the sample (1)")
    parser.add_argument("--jobs", type=int, default=1, help="processes that try mutants (1)")
    parser.add_argument("--most-seconds", type=float, default=10.0, help="of a mutant's tests (10)")
    parser.add_argument("--most-tests", type=int, default=250, help="for a mutant (250)")
    parser.add_argument(
        "--again",
        type=Path,
        metavar="CSV",
        help="keep the mutants that this file says were killed, and try only the others; each row"
        " names the commit at which it was tried",
    )


def measure(chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield a row for every mutant of the sample."""
    try:
        from experiments.reliability import mutant_trials, mutations
    except ImportError as error:
        raise SystemExit(f"{error}: install the extra: pip install 'cnnexp[reliability]'") from None

    kept = _kept(chosen.again)
    for package in chosen.packages if not chosen.quick else ["engine"]:
        sample = mutations.sample(mutant_trials.ROOT, package, chosen.count, chosen.seed)
        if chosen.quick:
            sample = islice((one for one in sample if one.module == "window.py"), 3)
        tests = QUICK_TESTS if chosen.quick else TESTS[package]
        with mutant_trials.workers(chosen.jobs, tests) as workers:
            known = mutant_trials.mapped(workers, tests, package)
            used = len(known.tests) - len(known.failed)
            print(f"  {package}: {used} of {len(known.tests)} tests pass and are used", flush=True)
            yield from _outcomes(workers, known, sample, kept, chosen)


def _outcomes(
    workers: Sequence[Worker],
    known: Map,
    sample: Iterator[Mutation],
    kept: dict[tuple[str, ...], dict[str, Any]],
    chosen: argparse.Namespace,
) -> Iterator[dict[str, Any]]:
    """Yield the rows of mutants as they are known; each worker takes the next one."""
    from experiments.reliability import mutant_trials

    rows: Queue[dict[str, Any] | None] = Queue()
    taking = threading.Lock()

    def work(worker: Worker) -> None:
        try:
            while True:
                with taking:
                    mutation = next(sample, None)
                if mutation is None:
                    return
                facts = _facts(mutation)
                bounds = chosen.most_seconds, chosen.most_tests
                rows.put(
                    kept.get(_key(facts))
                    or {**facts, **mutant_trials.tried(worker, known, mutation, *bounds)}
                )
        finally:
            rows.put(None)  # one has ended

    with ThreadPoolExecutor(len(workers)) as threads:
        ended = [threads.submit(work, worker) for worker in workers]
        for _ in ended:
            yield from iter(rows.get, None)
        for one in ended:
            one.result()


def _facts(mutation: Mutation) -> dict[str, Any]:
    names = ("package", "module", "function", "line", "operator", "before", "after")
    return {name: getattr(mutation, name) for name in names}


def _key(row: Any) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in KEY)


def _kept(path: Path | None) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return the rows of an earlier file whose mutants were killed."""
    if path is None:
        return {}
    frame = results.read(path).astype({"function": object, "test": object})
    frame = frame.fillna({"function": "", "test": ""})
    killed = frame[frame["outcome"] != "survived"]
    return {_key(row): row for row in killed.to_dict("records")}


def judged() -> dict[tuple[str, ...], dict[str, str]]:
    """Return what was said of survivors: verdict and reason, by package, module and source."""
    with JUDGED.open(newline="", encoding="utf-8") as file:
        return {_key(row): row for row in csv.DictReader(file)}


def section(frame: pd.DataFrame) -> str:
    """Return the part of the page: the score per package, the operators, and the survivors."""
    frame = frame.astype({"function": object, "test": object})
    rows = frame.fillna({"function": "", "test": ""}).to_dict("records")
    said, nothing = judged(), {"verdict": "", "reason": "not judged"}
    for row in rows:
        if row["outcome"] == "survived":
            row.update(said.get(_key(row), nothing))
    tables = (HEAD, _scores(rows)), (OPERATORS, _operators(rows)), (SURVIVORS, _survivors(rows))
    return "\n".join(f"{text}\n{table}" for text, table in tables)


HEAD = """## Mutation testing

A mutant is the source with one small change. The default tests that execute the changed line are
run, the quickest first; the mutant is killed when a test fails, or runs without end. The sample is
drawn with a seed from all positions of a package. An equivalent mutant, whose difference no test
can see, does not count.
"""
OPERATORS = """What was changed. The last two operators are ours, the others are Cosmic Ray's. Left
out are types, docstrings, the messages of `raise`, and code for type checkers.
"""
SURVIVORS = "The mutants that no test killed, and why:\n"


def _is_equivalent(row: dict[str, Any]) -> bool:
    return str(row.get("verdict", "")).startswith("equivalent")


def _scores(rows: Sequence[dict[str, Any]]) -> str:
    """Return the table of scores."""
    cells = []
    for package in dict.fromkeys(row["package"] for row in rows):
        part = [row for row in rows if row["package"] == package]
        counts = [sum(row["outcome"] == name for row in part) for name in ("killed", "timeout")]
        equivalent = sum(map(_is_equivalent, part))
        survived = len(part) - sum(counts) - equivalent
        score = sum(counts) / max(len(part) - equivalent, 1)
        cells.append([package, len(part), *counts, survived, equivalent, f"**{score:.1%}**"])
    header = ["package", "mutants", "killed by a failure", "by time", "survived", "equivalent"]
    return markdown([*header, "score"], cells)


def _operators(rows: Sequence[dict[str, Any]]) -> str:
    """Return the table of operators."""
    cells = []
    for operator in sorted({row["operator"] for row in rows}, key=lambda name: (name in OWN, name)):
        part = [row for row in rows if row["operator"] == operator]
        survived = [row for row in part if row["outcome"] == "survived"]
        equivalent = sum(map(_is_equivalent, part))
        cells.append([f"`{operator}`", len(part), len(survived) - equivalent, equivalent])
    return markdown(["operator", "mutants", "survived", "equivalent"], cells)


def _survivors(rows: Sequence[dict[str, Any]]) -> str:
    """Return the table of survivors."""
    cells = []
    for row in rows:
        if row["outcome"] == "survived":
            change = " → ".join(map(_code, _middles(row["before"], row["after"])))
            cells.append([_place(row), change, row["verdict"], row["reason"]])
    return markdown(["where", "change", "verdict", "reason"], cells)


def _place(row: dict[str, Any]) -> str:
    return f"{row['package']}/{row['module']}, {row['function'] or 'module'}"


def _middles(before: str, after: str) -> tuple[str, str]:
    """Return of two lines what differs, with some letters around it."""
    same = _equal_letters(before, after)
    rest = _equal_letters(before[same:][::-1], after[same:][::-1])
    left, right = max(same - AROUND, 0), max(rest - AROUND, 0)
    texts = (text[left : len(text) - right] for text in (before, after))
    one, other = ("…" * (left > 0) + text + "…" * (right > 0) for text in texts)
    return one, other


def _equal_letters(one: str, other: str) -> int:
    """Return how many letters two texts have in common at their beginnings."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _code(text: str) -> str:
    """Return source for a cell of a table."""
    text = text.replace("|", "\\|")
    return f"`` {text} ``" if "`" in text else f"`{text}`"
