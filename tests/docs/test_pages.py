"""Every block of code in README and docs does what the page says.

Each page is run from top to bottom in an empty folder. Blocks that cannot be run here are listed
as skipped, with the reason that the page gives.
"""

from __future__ import annotations

import runpy
import sys

import pytest

from cnnexp import LAYERS, LOSSES, METRICS
from cnnexp.data.augmentation import AUGMENTATIONS
from cnnexp.nn.initializers import INITIALIZERS
from cnnexp.trackers.base import TRACKERS
from cnnexp.train.callbacks import CALLBACKS
from cnnexp.train.optimizer import OPTIMIZERS
from cnnexp.train.schedule import SCHEDULES
from tests.cases import in_one_test
from tests.docs.pages import ROOT, blocks, pages
from tests.docs.running import PageFailed, Runner, compare, missing, run_page

TABLES_OF_NAMES = (
    *(AUGMENTATIONS, CALLBACKS, INITIALIZERS, LAYERS, LOSSES),
    *(METRICS, OPTIMIZERS, SCHEDULES, TRACKERS),
)
GOLDEN = {"mistakes.md"}  # tests/app/test_mistakes.py compares every figure of it
SLOW = {
    "README.md",
    "augmentation.md",
    "comparing.md",
    "data.md",
    "inspect.md",
    "own.md",
    "own_code.md",
    "resuming.md",
    "runs.md",
    "safety.md",
    "sweeps.md",
    "training.md",
}  # many runs; with -m long
PAGES = [page for page in pages() if page.name not in GOLDEN and blocks(page)]
TABLES = runpy.run_path(str(ROOT / "docs" / "tables.py"))
BLOCKS = [block for page in PAGES for block in blocks(page)]
LEFT = [block for block in BLOCKS if "no-run" in block.notes or missing(block)]


def name(thing: object) -> str:
    return str(thing).removeprefix(f"{ROOT}/")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in an empty folder; figures are drawn into files, never on a screen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    for table in TABLES_OF_NAMES:  # what a page adds to them is its own
        monkeypatch.setattr(table, "_things", dict(table._things))
    yield tmp_path
    for module, found in list(sys.modules.items()):
        if (getattr(found, "__file__", None) or "").startswith(f"{tmp_path}/"):
            del sys.modules[module]


@pytest.mark.few(2)
@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in SLOW], ids=name)
def test_a_page_does_what_it_says(page):
    run_page(blocks(page), long=False)


@pytest.mark.long
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_as_it_is_written(page):
    """With its long blocks, and every command through a shell."""
    run_page(blocks(page), long=True)


@pytest.mark.parametrize("block", LEFT, ids=name)
def test_not_run(block):
    pytest.skip(block.notes.get("no-run") or f"{missing(block)} is not installed")


def test_reasons_are_given():
    assert [name(block) for block in BLOCKS if block.notes.get("no-run") == ""] == []


def test_the_site_has_every_page():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.stem == "index" or f"\n{page.stem}\n" in index, page.name


@in_one_test("page", pages())
def test_the_tables_are_those_of_their_files(page):
    content = page.read_text(encoding="utf-8")
    assert TABLES["with_tables"](content) == content, "run: python docs/tables.py"


def test_a_table_from_a_file(folder, monkeypatch):
    rows = "# made here\nstep,ms_per_batch\nim2col,1234.56\nlast,1.23456\n"
    (folder / "steps.csv").write_text(rows)
    monkeypatch.setitem(TABLES["with_tables"].__globals__, "ROOT", folder)
    begin, end = "<!-- table: steps.csv columns=ms_per_batch -->\n", "<!-- end of table -->"
    filled = TABLES["with_tables"](f"{begin}old{end}\n")
    assert filled == f"{begin}\n| ms per batch |\n| ---: |\n| 1,235 |\n| 1.23 |\n\n{end}\n"
    for cell, shown in {"2.2449e+05": "224,490", "2.5e-07": "2.5e-07", "47251": "47,251"}.items():
        assert TABLES["figure"](cell) == shown
    assert [TABLES["figure"](cell) for cell in ("2026", "00017", "1e")] == ["2026", "00017", "1e"]
    some = begin.replace(" -->", " rows=step:last -->")
    filled = TABLES["with_tables"](f"{some}old{end}")
    assert filled == f"{some}\n| ms per batch |\n| ---: |\n| 1.23 |\n\n{end}"
    (folder / "parts.csv").write_text("copy,note\n1.5,\n,\n")
    assert "| 1.5 |  |\n|  |  |" in TABLES["table"](folder / "parts.csv")
    assert "| ---: | --- |" in TABLES["table"](folder / "parts.csv")
    assert TABLES["with_tables"](begin.replace("steps", "none") + "old" + end).count("old") == 1


PAGE = """
```python
print(f"{1 / 3:.3f} of {7}")
```

```text
0.33 of 7
```

<!-- exit: 3 -->
```console
$ echo some words; exit 3
some words
```

`notes/a.txt`:

```text
hello
```

<!-- no-run: it needs a cluster -->
```bash
sbatch job.sh
```
"""


@pytest.fixture
def parts(folder):
    path = ROOT / "docs" / "unwritten.md"
    page = folder / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    found = blocks(page)
    for block in found:
        block.page = path
    return found


def test_the_parts_of_a_page(parts, folder):
    printed, shell, file, cluster = parts
    assert (printed.language, printed.line, printed.output) == ("python", 2, "0.33 of 7\n")
    assert shell.notes == {"exit": "3"}
    assert cluster.notes == {"no-run": "it needs a cluster"}
    texts = run_page(parts, long=False)
    assert [block for block, _ in texts] == [printed, shell, file]
    assert (folder / "notes" / "a.txt").read_text() == "hello\n"


@pytest.mark.parametrize(
    ("shown", "figures"),
    [("0.35 of 7", True), ("0.333 of 8", True), ("0.333 or 7", False), ("0.333", False)],
)
def test_a_page_that_is_wrong_is_found_out(parts, shown, figures):
    with pytest.raises(PageFailed):
        compare(parts[0], "0.333 of 7\n", shown + "\n", figures)


def test_lines_may_be_left_out(parts):
    compare(parts[0], "one\ntwo\nthree\n", "one\n...\nthree\n", figures=True)
    with pytest.raises(PageFailed):
        compare(parts[0], "one\ntwo\nthree\n", "one\n...\nfour\n", figures=True)


def test_a_command_that_ends_otherwise_is_found_out(parts):
    parts[1].notes.clear()
    with pytest.raises(PageFailed, match="ended with 3"):
        Runner().run(parts[1])
