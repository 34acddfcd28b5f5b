"""Defect 9: what a stranger wrote, in the terminal, in CSV and in Markdown."""

from __future__ import annotations

from experiments.reliability.child import Place
from experiments.reliability.reproduced import Happened, reproduction
from experiments.reliability.reproduced.imports import change, record_of

ESCAPE = "\x1b]0;title\x07\x1b[2J"
FORMULA = "=cmd|' /C calc'!A0"
SCRIPT = "<script>alert(1)</script>"


@reproduction(9, "`show` of a run with terminal escapes in its `reason`", quick=True)
def escapes(place: Place) -> Happened:
    change(place.run, status="failed", reason=ESCAPE)
    return without_escapes(place, "show", "run")


@reproduction(9, "`compare` of a run in a folder with terminal escapes in its name")
def folder(place: Place) -> Happened:
    (place.run).rename(place.folder / "\x1b[2Jrun")
    return without_escapes(place, "compare", ".")


def without_escapes(place: Place, *words: str) -> Happened:
    """Run a command; right is that no control character is printed."""
    ended = place.cnnexp(*words)
    if "\x1b" in ended.out + ended.err:
        return f"prints the escapes, exit {ended.code}", False
    return f"prints no escape, exit {ended.code}", ended.code in (0, 2)


def cell(place: Place, text: str, form: str) -> tuple[str, int]:
    """Return what `compare` prints where the name of a model is `text`."""
    change(place.run, choices={**record_of(place.run)["choices"], "model": text})
    ended = place.cnnexp("compare", "run", form, "--columns", "run,model,epochs")
    return ended.out, ended.code


@reproduction(9, "`compare --csv` where a model has the name of a formula")
def formula(place: Place) -> Happened:
    text, code = cell(place, FORMULA, "--csv")
    line = next((line for line in text.splitlines() if "calc" in line), "")
    first = next((part for part in line.split(",") if "calc" in part), "")
    right = bool(first) and first.strip('"')[0] not in "=+-@"
    return f"writes {first or 'nothing'}, exit {code}", right


@reproduction(9, "`compare --md` where a model has the name of a script")
def script(place: Place) -> Happened:
    text, code = cell(place, SCRIPT, "--md")
    line = next((part.strip() for part in text.split("|") if "script" in part), "nothing")
    return f"writes `{line}`, exit {code}", "<script>" not in text and "script" in text
