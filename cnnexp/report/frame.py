"""What all pages have in common: each is one file, which loads nothing from anywhere."""

from __future__ import annotations

from html import escape
from importlib import resources
from string import Template

SCRIPTS = "; script-src 'unsafe-inline'"


def page_from(
    package: str, title: str, *, style: str | None = None, scripts: bool = True, **parts: str
) -> str:
    """Return a page from the template ``page.html`` of a package.

    Parameters
    ----------
    package : str
        Where the template lies.
    title : str
        The title, as plain text.
    style : str, optional
        CSS in the place of the one that pages share.
    scripts : bool
        Whether the page may run the scripts that it holds.
    **parts : str
        What stands in the other places of the template, as HTML.
    """
    title = escape(title)
    head = Template(_file("cnnexp.report", "head.html")).substitute(
        title=title,
        style=_file("cnnexp.report", "style.css") if style is None else style,
        scripts=SCRIPTS if scripts else "",
    )
    return Template(_file(package, "page.html")).substitute(parts, head=head, title=title)


def _file(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text("utf-8")
