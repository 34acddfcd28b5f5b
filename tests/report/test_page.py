from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cnnexp.report import table
from cnnexp.report.page import save_page
from cnnexp.report.plots import picture_of

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
CLICKS = """<script>
const head = (name) => [...document.querySelectorAll("table.runs th")]
  .find((th) => th.textContent === name);
const column = (name) => [...document.querySelectorAll("table.runs tbody tr")]
  .map((row) => row.cells[head(name).cellIndex].textContent);
const seen = {before: column("test_error")};
head("test_error").querySelector("button").click();
seen.up = column("test_error"); seen.arrow = head("test_error").getAttribute("aria-sort");
head("test_error").querySelector("button").click();
seen.down = column("test_error");
head("status").querySelector("button").click();
seen.status = column("status"); seen.other = head("test_error").getAttribute("aria-sort");
seen.images = [...document.images].map((image) => image.complete && image.naturalWidth > 0);
seen.wider = document.documentElement.scrollWidth > window.innerWidth;
seen.errors = window.errors;
document.body.innerHTML = "<pre id=seen></pre>";
document.getElementById("seen").textContent = JSON.stringify(seen);
</script>"""
LISTEN = """<script>
window.errors = [];
window.addEventListener("error", (event) => window.errors.push(event.message), true);
window.addEventListener("securitypolicyviolation", (event) => window.errors.push(event.blockedURI));
</script>"""


class Tags(HTMLParser):
    """Collects the tags of a page, and notes those that are not closed in order."""

    EMPTY = ("meta", "link", "img", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page_of(folder: Path, path: Path, title: str = "a title") -> str:
    """Write the page of some runs, and return it."""
    comparison = table.Comparison(table.read([folder]))
    shown = comparison.frame[comparison.columns].drop(columns="reason", errors="ignore")
    save_page(path, comparison, shown, picture_of(comparison), title)
    return path.read_text()


def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere(
    study: Path, tmp_path: Path
) -> None:
    page = page_of(study, tmp_path / "page.html")
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    for _, attributes in tags.seen:
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith("data:")  # type: ignore[union-attr]
    assert "http" not in re.sub(r'http-equiv|base64,[^"]*', "", page)
    assert sum(tag == "img" for tag, _ in tags.seen) == 4


def test_the_page_says_what_the_table_says(study: Path, tmp_path: Path) -> None:
    page = page_of(study, tmp_path / "page.html")
    for run in range(6):
        results = json.loads((study / str(run) / "run.json").read_text())["results"]
        assert f'data-value="{results["test_loss"]}"' in page
        assert f">{results['test_loss']:.4f}<" in page
    assert "Unterminated string" in page
    assert "learning_rate</code></td><td>0.2" in page


def test_names_and_settings_cannot_put_anything_into_the_page(
    finished: list[Path], tmp_path: Path
) -> None:
    evil = '<img src=x onerror="alert(1)">&"\''
    for k, run in enumerate(finished[:2]):
        folder = tmp_path / "runs" / f"{k}<b>"
        shutil.copytree(run, folder)
        record = json.loads((folder / "run.json").read_text())
        record["config"]["data"][evil] = f"{evil}{k}"
        record["status"], record["reason"] = "failed", "<script>alert(2)</script>"
        (folder / "run.json").write_text(json.dumps(record))
    page = page_of(tmp_path / "runs", tmp_path / "page.html", title=f"${{table}} {evil}")
    tags = Tags()
    tags.feed(page)
    assert not any("onerror" in attributes for _, attributes in tags.seen)
    assert page.count("<script>") == 1 and "<b>" not in page
    assert page.count(html.escape(evil)) > 4
    assert "${table}" in page


@pytest.mark.long
def test_the_page_works_in_a_browser(study: Path, tmp_path: Path) -> None:
    """Load it in headless Chromium, click on heads of columns, and look at the order of rows."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed; the page was not tried in a browser.")
    page = page_of(study, tmp_path / "page.html")
    tried = page.replace("<title>", f"{LISTEN}<title>").replace("</body>", f"{CLICKS}</body>")
    (tmp_path / "tried.html").write_text(tried)
    answer = subprocess.run(
        [
            CHROMIUM,
            *QUIET,
            f"--user-data-dir={tmp_path / 'profile'}",
            "--enable-logging=stderr",
            "--window-size=1280,900",
            "--dump-dom",
            (tmp_path / "tried.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in answer.stderr
    match = re.search(r'<pre id="seen">(.*)</pre>', answer.stdout)
    assert match is not None
    seen = json.loads(html.unescape(match[1]))
    figures = [cell for cell in seen["before"] if cell]
    empty = [""] * (len(seen["before"]) - len(figures))
    assert seen["up"] == sorted(figures) + empty
    assert seen["down"] == sorted(figures, reverse=True) + empty
    assert seen["up"] != seen["before"]
    assert seen["arrow"] == "ascending" and seen["other"] is None
    assert seen["status"] == sorted(seen["status"])
    assert seen["images"] == [True] * 4
    assert not seen["wider"]
    assert seen["errors"] == []
