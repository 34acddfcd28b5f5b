"""Defects 1, 2 and 4: what a stranger's run folder has executed, hung or written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.reliability.child import Ended, Place
from experiments.reliability.reproduced import Happened, reproduction

MARK = "imported.txt"
EVIL = "from pathlib import Path\nPath(__file__).with_name('imported.txt').touch()\n"


def change(run: Path, **values: Any) -> None:
    """Change values in ``run.json``."""
    path = run / "run.json"
    record = json.loads(path.read_bytes())
    path.write_text(json.dumps(record | values))


def record_of(run: Path) -> Mapping[str, Any]:
    """Return ``run.json``."""
    found: Mapping[str, Any] = json.loads((run / "run.json").read_bytes())
    return found


def with_plugin(place: Place, name: str = "evilmod") -> Path:
    """Return a run that names a module, which lies in the run folder and leaves a mark."""
    config = record_of(place.run)["config"]
    change(place.run, config=config | {"plugins": [name]})
    (place.run / "evilmod.py").write_text(EVIL)
    return place.run


def imported(run: Path, ended: Ended) -> Happened:
    """Say whether the module was imported; a command that does not need it may go on."""
    if (run / MARK).exists():
        return f"imported evilmod, exit {ended.code}", False
    return f"imported nothing, {ended.said}", ended.refused or ended.well


@reproduction(1, "`show .` in a run folder that names `evilmod`, which lies in it", quick=True)
def shown(place: Place) -> Happened:
    run = with_plugin(place)
    return imported(run, place.cnnexp("show", ".", where=run))


@reproduction(1, "`evaluate .` there", quick=True)
def evaluated(place: Place) -> Happened:
    run = with_plugin(place)
    return imported(run, place.cnnexp("evaluate", ".", where=run))


@reproduction(1, "`predict . seven.png` there")
def predicted(place: Place) -> Happened:
    from PIL import Image, ImageDraw

    run = with_plugin(place)
    picture = Image.new("L", (20, 20), 255)
    ImageDraw.Draw(picture).line((5, 5, 15, 5, 8, 16), 0, 2)
    picture.save(run / "seven.png")
    return imported(run, place.cnnexp("predict", ".", "seven.png", where=run))


@reproduction(1, "`inspect .` there")
def inspected(place: Place) -> Happened:
    run = with_plugin(place)
    return imported(run, place.cnnexp("inspect", ".", where=run))


@reproduction(1, '`load_run(".").network` there')
def loaded(place: Place) -> Happened:
    run = with_plugin(place)
    code = (
        "import cnnexp, sys\n"
        "try: cnnexp.load_run('.').network\n"
        "except cnnexp.CnnexpError as error: print(error, file=sys.stderr); sys.exit(2)\n"
    )
    return imported(run, place.python("-c", code, where=run))


@reproduction(1, "`evaluate run`, which names `run.evilmod`, from the folder above it")
def from_above(place: Place) -> Happened:
    run = with_plugin(place, "run.evilmod")
    return imported(run, place.cnnexp("evaluate", "run"))


@reproduction(1, "`resume run` with `environment.folder` naming the run folder")
def resumed(place: Place) -> Happened:
    run = with_plugin(place)
    environment = record_of(run)["environment"] | {"folder": str(run)}
    change(run, environment=environment, status="interrupted")
    return imported(run, place.cnnexp("resume", "run"))


@reproduction(1, "`evaluate run` with the plugin `this`, a module of Python's own")
def zen(place: Place) -> Happened:
    with_plugin(place, "this")
    ended = place.cnnexp("evaluate", "run")
    if "Zen of Python" in ended.out:
        return f"imported it, which prints the Zen of Python, exit {ended.code}", False
    return f"imported nothing, {ended.said}", ended.refused or ended.well


def weights(place: Place, content: bytes) -> Happened:
    """Evaluate a run with other weights, and without checksums that would tell."""
    change(place.run, checksums=None)
    (place.run / "weights.pkl").write_bytes(content)
    ended = place.cnnexp("evaluate", "run")
    return ended.said, ended.refused


@reproduction(2, "`evaluate` with weights of tuples nested 2,000,000 deep, as a key", quick=True)
def nested(place: Place) -> Happened:
    return weights(place, b"\x80\x04})" + b"\x85" * 2_000_000 + b"K\x01s.")


@reproduction(2, "`evaluate` with a tuple doubled 40 times through the memo, as a key")
def doubled(place: Place) -> Happened:
    twice = b"".join(b"h%ch%c\x86\x940" % (k, k) for k in range(40))
    return weights(place, b"\x80\x04}K\x01\x85\x940" + twice + b"h%cK\x01s." % 40)


def linked(place: Place, names: tuple[str, ...]) -> Happened:
    """Resume a run of which some files are links to files elsewhere."""
    elsewhere = place.folder / "elsewhere"
    elsewhere.mkdir()
    before = {}
    for name in names:
        target = elsewhere / name
        before[target] = (place.run / name).read_bytes()
        (place.run / name).rename(target)
        (place.run / name).symlink_to(target)
    ended = place.cnnexp("resume", "run", "epochs=3")
    written = [path.name for path, old in before.items() if path.read_bytes() != old]
    if written:
        return f"wrote into {', '.join(written)} elsewhere, exit {ended.code}", False
    return ended.said, ended.refused


@reproduction(4, "`resume` where the logs of the run are links to files elsewhere", quick=True)
def linked_logs(place: Place) -> Happened:
    return linked(place, ("epochs.csv", "batches.csv", "histograms.csv", "train.log"))


@reproduction(4, "`resume` where `run.json` is a link to a file elsewhere")
def linked_record(place: Place) -> Happened:
    return linked(place, ("run.json",))
