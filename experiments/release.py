"""What is older than the code it shows: ``python -m experiments.release``, before a release.

    python -m experiments.release           figures and tables that are old; exit code 1 if any is
    python -m experiments.release --mark    writes below the tables of pages where they come from

A file of results is old if the code on which its figures depend has changed since the commit that
it names, if that code had changes that were not committed, or if it names no commit. Of pictures
that are made of no file, ``pictures.csv`` has the commit. ``experiments.measure --old`` measures
what is old again.

A page says where the mark goes, and of which files below ``experiments/results`` and pictures that
are made of no file::

    <!-- provenance: speed.csv docs/comparing.png -->
    <!-- end of provenance -->
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from experiments import drawn
from experiments.provenance import RESULTS, ROOT, SHORT, NoCommit, changes_since, git, stated
from experiments.tasks import PICTURES, TASKS, Task

BLOCK = re.compile(
    r"(?P<begin><!-- provenance: (?P<files>[^>]+?) -->\n).*?(?P<end><!-- end of provenance -->)",
    re.DOTALL,
)
TODAY = "of today's code"


class Age(NamedTuple):
    """How old a file is: in words, its commits, and the files of code that have changed since."""

    state: str
    commits: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


def main(words: Sequence[str] | None = None) -> int:
    """Print what is old, or mark pages, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.release",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--mark", action="store_true", help="write the marks into the pages")
    parser.add_argument("--files", action="store_true", help="name the code that has changed")
    asked = parser.parse_args(words)
    try:
        git("rev-parse", "HEAD")
    except NoCommit as error:
        print(f"error: {error}. The check needs the repository.", file=sys.stderr)
        return 2
    if asked.mark:
        for page in marked_pages():
            print(f"marked {page.relative_to(ROOT)}")
        return 0
    return report(asked.files)


def report(with_files: bool = False) -> int:
    """Print what is old, and return 1 if anything is."""
    found = {f"experiments/results/{task.file}": age_of(task) for task in TASKS}
    found |= {picture: age_of_picture(picture) for picture in PICTURES}
    old = {name: age for name, age in found.items() if age.state != TODAY}
    wide = max(map(len, old), default=0)
    for name, age in old.items():
        print(f"{name:<{wide}}  {', '.join(age.commits):<12} {age.state}")
        if with_files:
            print("".join(f"    {file}\n" for file in age.changed), end="")
    print(f"{len(old)} of {len(found)} figures and tables are not of today's code.")
    return bool(old)


def age_of(task: Task) -> Age:
    """Return how old the file of a task is."""
    path = RESULTS / task.file
    if not path.exists():
        return Age("not measured")
    found = stated(path)
    if not found.commits:
        return Age("no commit is named")
    age = _age(found.commits, task.of)
    state = f"with uncommitted changes; {age.state}" if found.dirty else age.state
    return age._replace(state=state)


def age_of_picture(name: str) -> Age:
    """Return how old a picture is, by the commit that it was drawn at, or that changed it last."""
    noted = drawn.noted().get(name, {}).get("commit", "")
    commit = noted or git("log", "-1", "--format=%H", "--", name).strip()[:SHORT]
    return _age((commit.rstrip("+"),), PICTURES[name]) if commit else Age("not committed")


def _age(commits: tuple[str, ...], paths: tuple[str, ...]) -> Age:
    """Return whether code has changed since any of some commits."""
    try:
        changed = sorted({file for commit in commits for file in changes_since(commit, paths)})
    except NoCommit:
        return Age("of a commit that is not in this repository", commits)
    if not changed:
        return Age(TODAY, commits)
    files = "1 file" if len(changed) == 1 else f"{len(changed)} files"
    return Age(f"its code has changed since, in {files}", commits, tuple(changed))


# Marks on pages ----------------------------------------------------------------------------------


def marked_pages() -> Iterator[Path]:
    """Write the marks of all pages that have a place for them, and yield these."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        if (now := with_marks(text)) != text:
            page.write_text(now, encoding="utf-8")
        if BLOCK.search(text):
            yield page


def pages() -> list[Path]:
    """Return every page."""
    found = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("experiments/**/*.md")]
    return [page for page in found if page.exists()]


def with_marks(text: str) -> str:
    """Return a page with its marks as they are today."""

    def marked(match: re.Match[str]) -> str:
        return f"{match['begin']}\n{mark(match['files'].split())}\n\n{match['end']}"

    return BLOCK.sub(marked, text)


def mark(files: Sequence[str]) -> str:
    """Return where some files come from; those of which the same holds share a line."""
    tasks = {task.file: task for task in TASKS}
    sentences: dict[str, list[str]] = {}
    for file in files:
        made = "drawn" if file in PICTURES else "measured"
        age = age_of_picture(file) if file in PICTURES else age_of(tasks[file])
        commits = f"{made} at commit {', '.join(age.commits)}; " if age.commits else ""
        state = age.state if age.state == TODAY else commits + age.state
        sentences.setdefault(state, []).append(f"`{Path(file).name}`")
    lines = [f"{', '.join(names)}: {state}." for state, names in sentences.items()]
    if len(lines) == 1:
        return f"Where this comes from (`python -m experiments.release`): {lines[0]}"
    head = "Where these figures come from (`python -m experiments.release`):"
    return "\n".join([head, "", *(f"- {line}" for line in lines)])


if __name__ == "__main__":
    sys.exit(main())
