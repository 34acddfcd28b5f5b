"""One page in one file with all pictures of a run."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import cnnexp
from cnnexp.report.frame import page_from
from cnnexp.report.inside.plates import Plate
from cnnexp.runs.finding import name_in
from cnnexp.runs.policy import GROUPS
from cnnexp.runs.reading import Run

EXPLORE = "explore.html"  # what `explore` writes into the run folder
ORDER = ("How it learnt", "What it has learnt", "What it sees", "Where it errs")


def page_of(run: Run, plates: Sequence[Plate]) -> str:
    """Return the page as HTML."""
    sections = [heading for heading in ORDER if any(plate.section == heading for plate in plates)]
    return page_from(
        "cnnexp.report.inside",
        f"Inside {run.path.name}",
        scripts=False,
        lead=escape(_lead(run)),
        path=escape(str(run.path)) if str(run.path) != run.path.name else "",
        links=" · ".join(f'<a href="#{_anchor(name)}">{escape(name)}</a>' for name in sections),
        summary=escape(run.network.summary()),
        explore=_explore(run),
        sections="\n".join(_section(name, plates) for name in sections),
        version=escape(cnnexp.__version__),
    )


def _lead(run: Run) -> str:
    """Say in a sentence what the run is, and how it ended."""
    names = {group: name_in(run, group) for group in GROUPS}
    results = run.results
    ended = f"{run.status}"
    if results.get("test_error") is not None:
        when = f"after {results.get('epoch')} epochs"
        if run.config.get("best_weights"):
            when = f"with the weights of epoch {results.get('best_epoch')}"
        ended = f"test error {100 * results['test_error']:.2f} % {when} ({run.status})"
    return f"model={names['model']}, impl={names['impl']}, data={names['data']}: {ended}."


def _explore(run: Run) -> str:
    """Return a link to the page that runs the network, if it is there; else how it is made."""
    if (run.path / EXPLORE).is_file():
        return f'<p><a href="../{EXPLORE}">Run the network in the browser</a></p>'
    return (
        '<p class="soft">To draw an image and run the network in the browser:'
        " <code>python -m cnnexp explore RUN</code></p>"
    )


def _section(heading: str, plates: Sequence[Plate]) -> str:
    """Return the pictures that stand under a heading."""
    figures = [_figure(plate) for plate in plates if plate.section == heading]
    title = f'<section id="{_anchor(heading)}">\n<h2>{escape(heading)}</h2>\n'
    return f"{title}{''.join(figures)}</section>"


def _figure(plate: Plate) -> str:
    """Return one picture with its caption; the title is in the picture."""
    data = base64.b64encode(plate.png).decode()
    return (
        f'<figure><div class="scroll" tabindex="0"><img alt="{escape(plate.title)}"'
        f' src="data:image/png;base64,{data}"></div>'
        f"<figcaption>{escape(plate.caption)}</figcaption></figure>\n"
    )


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")
