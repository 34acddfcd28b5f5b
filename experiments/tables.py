"""Write the tables and figures of ``experiments/README.md`` from runs.

    python -m experiments.tables           # of the newest runs below outputs/
    python -m experiments.tables --kept    # of the small files in experiments/results/ alone
    python -m experiments.tables --files   # write these small files only, and no page

A study is found by the command that started it. What was started with fewer samples or other data
is passed over: a table shows a study as it is written.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from cnnexp.errors import CnnexpError, RunError
from cnnexp.runs.files import replace_file
from experiments import outcomes as kept
from experiments.figures import FIGURES, save_figure
from experiments.outcomes import Results
from experiments.summaries import SUMMARIES, markdown

README = Path(__file__).parent / "README.md"
BLOCK = "<!-- results: {} -->\n{}<!-- end of results -->"


def main(words: Sequence[str] | None = None) -> int:
    """Collect what is new, and write the page."""
    parser = argparse.ArgumentParser(prog="experiments.tables", description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=Path, default=Path("outputs"), help="where run folders lie")
    parser.add_argument("--kept", action="store_true", help="read no run folders")
    parser.add_argument("--files", action="store_true", help="write the files, and no page")
    args = parser.parse_args(words)
    try:
        found = {} if args.kept else kept.collect(args.runs)
        for results in found.values():
            if results.study in SUMMARIES:
                print(f"{results.study}: {results.facts['date']} -> {kept.save(results).name}")
        if args.files:
            return 0
        write_page([kept.load(study) for study in SUMMARIES if kept.path_of(study).exists()])
    except CnnexpError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def write_page(studies: Sequence[Results]) -> None:
    """Write all blocks of the page, and draw the figures."""
    page = README.read_text(encoding="utf-8")
    for results in studies:
        page = with_block(page, results.study, block(results))
        if results.study in FIGURES:
            save_figure(results)
    replace_file(README, page.encode())


def block(results: Results) -> str:
    """Return what stands between the marks of a study."""
    facts = results.facts
    parts = [markdown(SUMMARIES[results.study](results))]
    if results.study in FIGURES:
        parts.append(f"![{FIGURES[results.study][0]}](figures/{results.study}.png)\n")
    cores = "1 core" if facts["cores"] == "1" else f"{facts['cores']} cores"
    where = f"{facts['date']}, {facts['cpu']}, {cores}, NumPy {facts['numpy']}"
    where += f", {facts['implementation']}" if "implementation" in facts else ""
    where += f", at commit {facts['commit']}" if "commit" in facts else ""
    parts.append(f"`{facts['command']}`  \n{where}; {facts['data']}.\n")
    return "\n" + "\n".join(parts) + "\n"


def with_block(page: str, study: str, text: str) -> str:
    """Return a page with the block of a study replaced.

    Raises
    ------
    RunError
        If the page has no place for it.
    """
    pattern = re.compile(BLOCK.format(re.escape(study), ".*?"), re.DOTALL)
    if not pattern.search(page):
        raise RunError(f"{README.name}: there is no place for the results of '{study}'.")
    return pattern.sub(lambda _: BLOCK.format(study, text), page)


if __name__ == "__main__":
    sys.exit(main())
