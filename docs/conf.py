"""How Sphinx builds the site: ``sphinx-build -W docs docs/_build``."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import cnnexp  # noqa: E402

project = "cnnexp"
author = "the cnnexp authors"
release = version = cnnexp.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary"]
extensions += ["sphinx.ext.viewcode", "numpydoc"]
exclude_patterns = ["_build", "templates"]
templates_path = ["templates"]
html_theme = "furo"
html_title = "cnnexp"
html_static_path = ["static"]
html_css_files = ["tables.css"]
html_show_copyright = False

myst_heading_anchors = 3
nb_execution_mode = "off"  # the tests run them; here they are shown as they were kept
suppress_warnings = ["misc.highlighting_failure"]  # `!` with a backslash
autosummary_generate = True
autodoc_typehints = "none"  # the docstrings have types, and shapes
autodoc_member_order = "bysource"
autodoc_default_options = {  # scikit-learn gives them to every estimator
    "exclude-members": "set_fit_request, set_score_request"
}
numpydoc_show_class_members = False
default_role = "code"

LINK = re.compile(r"\]\(\.\./(?P<path>(?:cnnexp/[\w/]+\.py|experiments/README\.md))\)")


LIVE_PAGE = "live.html"  # as docs/explore.md embeds it


def on_site(app: Sphinx, page: str, source: list[str]) -> None:
    """Let links to files of the project, as they work on GitHub, lead to pages of the site."""

    def target(match: re.Match[str]) -> str:
        if match["path"].startswith("experiments"):
            return "](experiments.md)"
        module = match["path"].removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        return f"](api/generated/{module}.rst)"

    source[0] = LINK.sub(target, source[0])


def add_live_page(app: Sphinx, error: Exception | None) -> None:
    """Train a small network for some seconds, and write its live page beside the others."""
    if error is not None or app.builder.format != "html":
        return
    from cnnexp.report.live.page import live_page

    small = {"model.layers.0.filters": 8, "model.layers.3.units": 32}
    with tempfile.TemporaryDirectory() as folder:
        run = cnnexp.run(
            model="cnn",
            epochs=8,
            folder=Path(folder, "digits"),
            **small,
            **{"checkpoint.keep": "all"},
        )
        Path(app.outdir, LIVE_PAGE).write_text(live_page(run), encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Register what is done to pages before they are read, and after all are written."""
    app.connect("source-read", on_site)
    app.connect("build-finished", add_live_page)
