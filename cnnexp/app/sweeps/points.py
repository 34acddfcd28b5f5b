"""The points of a sweep: composed, checked against the data, known by a fingerprint."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import NamedTuple

from cnnexp.app.screen import warn
from cnnexp.app.settings.check import check_plain, recheck
from cnnexp.app.settings.check_model import Images
from cnnexp.app.settings.doubts import (
    doubts_about_classes,
    doubts_about_counts,
    is_official,
    labels_in,
)
from cnnexp.app.settings.options import Plain
from cnnexp.app.sweeps.composer import SweepComposer
from cnnexp.app.sweeps.job import Point
from cnnexp.app.sweeps.search import search_faults
from cnnexp.data import SOURCES
from cnnexp.errors import ConfigError
from cnnexp.runs.fingerprint import fingerprint
from cnnexp.runs.reading import load_run
from cnnexp.runs.rebuild import options_of
from cnnexp.runs.sources import Source, sources_of


def make_point(
    overrides: Sequence[str],
    composer: SweepComposer,
    search: bool = False,
    sources: Callable[[tuple[str, ...]], Sequence[Source] | None] = sources_of,
) -> Point:
    """Compose and check one point.

    Parameters
    ----------
    overrides : sequence of str
        What distinguishes it.
    composer : SweepComposer
        Composes it.
    search : bool
        Whether the point was chosen by results, which has rules of its own.
    sources : callable
        Returns the sources of some modules; a sweep reads each once.

    Raises
    ------
    ConfigError
        If it cannot be composed.
    DataError
        If its data cannot be read.
    """
    words = list(overrides)
    composed = composer.compose(words)
    try:
        config = check_plain(composed.settings, search)
        source = source_of(config)
        recheck(config, source.images)
        for doubt in _doubts(config, source):
            _warn_once(f"data={config['data']['name']}: {doubt}", source.checksum)
        if search and (faults := search_faults(config)):
            raise ConfigError(faults)
    except ConfigError as error:
        return Point(words, faults=error.faults)
    weights = None
    if config["init_from"] is not None:
        weights = load_run(config["init_from"]).weights_checksum
    key = fingerprint(config, source.checksum, weights, sources(tuple(config["plugins"])))
    return Point(words, config, composed.hydra, key)


def faults_of(points: Sequence[Point], others: Sequence[Point] = ()) -> list[str]:
    """Return the faults of points, each after what tells its point from all others."""
    keys = varying([*points, *others])
    return [
        _with_place(" ".join(chosen(point, keys)), fault)
        for point in points
        for fault in point.faults
    ]


def unfit(points: Sequence[Point], globs: Collection[str]) -> list[Point]:
    """Return the points that a glob made and that cannot be run, while its other choices can.

    ``model=glob(*)`` asks for all models that fit. If none fits with the other settings, these are
    at fault, and the points are none of those returned.

    Parameters
    ----------
    points : sequence of Point
        All points.
    globs : collection of str
        The keys whose values are given by ``glob(…)``.
    """

    def others(point: Point) -> tuple[str, ...]:
        return tuple(o for o in point.overrides if o.partition("=")[0] not in globs)

    fitting = {others(point) for point in points if not point.faults}
    return [point for point in points if globs and point.faults and others(point) in fitting]


def _with_place(place: str, fault: str) -> str:
    """Put before a fault what tells its point from others, unless it begins with that."""
    told = not place or fault.startswith((f"{place}: ", f"{place} "))
    return fault if told else f"{place}: {fault}"


def varying(things: Sequence[Point]) -> list[str]:
    """Return the keys whose overrides differ, or that only some have, in the order they came."""
    values: dict[str, list[str]] = {}
    for thing in things:
        for override in thing.overrides:
            values.setdefault(override.partition("=")[0], []).append(override)
    return [key for key, v in values.items() if len({*v}) > 1 or len(v) < len(things)]


def equals(points: Sequence[Point]) -> list[str]:
    """Say of each point that has the result of an earlier one, which that is.

    Examples
    --------
    >>> pairs = [("impl=auto", "a"), ("impl=fast", "b"), ("impl=compiled", "a"), ("impl=fast", "b")]
    >>> equals([Point([override], fingerprint=key) for override, key in pairs])
    ['impl=compiled as impl=auto', 'impl=fast again']
    """
    first: dict[str, str] = {}
    found, keys = [], varying(points)
    for point in points:
        name = " ".join(chosen(point, keys)) or "the same values"
        if point.fingerprint in first:
            earlier = first[point.fingerprint]
            found.append(f"{name} again" if earlier == name else f"{name} as {earlier}")
        first.setdefault(point.fingerprint, name)
    return found


def chosen(thing: Point, keys: Sequence[str]) -> list[str]:
    """Return the overrides of some keys."""
    return [override for override in thing.overrides if override.partition("=")[0] in keys]


class Data(NamedTuple):
    """What is known of a data set once it was read."""

    checksum: str
    images: Images
    shape: tuple[int, ...]  # of an image
    samples: tuple[int, int]  # to train on, or all if not divided, and to test on
    classes: tuple[str, ...]
    trained: frozenset[int]  # classes of the samples to train on, or of all, if not divided
    tested: frozenset[int] | None  # those of the test samples, if these are a part of their own


def source_of(config: Plain) -> Data:
    """Read the data set of a config; each is read once."""
    name = config["data"]["name"]
    return _read(name, json.dumps(options_of(SOURCES[name], config["data"])))


@lru_cache(maxsize=16)
def _read(name: str, options: str) -> Data:
    raw = SOURCES[name](**json.loads(options)).load()
    if raw.notice:
        warn(f"note: {raw.notice}")
    shape = raw.X.shape[1:]
    images = Images(name, shape, len(raw.classes), raw.target_shape)
    trained = frozenset(labels_in(raw.Y) if raw.classes else ())
    divided = raw.classes and raw.Y_test is not None
    tested = frozenset(labels_in(raw.Y_test)) if divided else None
    samples = len(raw.Y), 0 if raw.Y_test is None else len(raw.Y_test)
    return Data(raw.checksum, images, shape, samples, raw.classes, trained, tested)


def _doubts(config: Plain, data: Data) -> list[str]:
    """Return what is odd about a data set, as a point of a sweep divides it."""
    found = doubts_about_counts(config, *data.samples)
    if not data.classes or config["model"].get("target") == "input":
        return found
    tested = data.tested or data.trained
    trained = data.trained if is_official(config) else data.trained | tested
    return found + doubts_about_classes(config, data.classes, {*trained}, {*tested})


@lru_cache(maxsize=64)
def _warn_once(doubt: str, checksum: str) -> None:
    """Say once what is odd about a data set, known by its checksum; many points have the same."""
    warn(f"warning: {doubt}")
