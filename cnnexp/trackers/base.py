"""What a tracker is: something that is told how a run begins, of each epoch, and how it ends."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from cnnexp.registry import Registry


class Tracked(NamedTuple):
    """What a tracker is told of a run at its start.

    Attributes
    ----------
    folder : Path
        The run folder.
    name : str
        What the run is called; without a name of its own, the last two parts of its folder.
    tags : tuple of str
        Words to find it by.
    note : str
        What is worth knowing about it.
    settings : dict
        Numbers, texts, lists of them and None by dotted keys such as ``model.layers.0.filters``.
        No paths are among them.
    epochs : int
        Epochs that the tracker was told of before the run was cut off; 0 at its start.
    """

    folder: Path
    name: str
    tags: tuple[str, ...]
    note: str
    settings: dict[str, Any]
    epochs: int = 0


class Tracker:
    """Base of all trackers. The dataclass fields of a subclass are its options.

    All hooks may be left out, and may raise what they like: the run goes on with a warning. An
    epoch that could not be told is told again together with the next one.

    Attributes
    ----------
    needs, extra : str
        A module that must be there, and the extra of this package that installs it.
    """

    needs: ClassVar[str] = ""
    extra: ClassVar[str] = ""

    @classmethod
    def missing(cls) -> str | None:
        """Say what to install if something is missing; nothing is imported."""
        if not cls.needs or importlib.util.find_spec(cls.needs) is not None:
            return None
        install = f"pip install 'cnnexp[{cls.extra}]'" if cls.extra else f"pip install {cls.needs}"
        return f"needs the package {cls.needs}, which is not installed: {install}"

    def begin(self, run: Tracked, saved: Mapping[str, Any]) -> Mapping[str, Any]:
        """Begin, or go on with a run that was cut off.

        Parameters
        ----------
        run : Tracked
            What the run is.
        saved : mapping
            What this method returned when the run began; empty if it begins now.

        Returns
        -------
        mapping
            Numbers and texts by which to find the tracked run again, for ``trackers.json``.
        """
        return saved

    def epoch_done(self, figures: Mapping[str, float]) -> None:
        """Log the row of ``epochs.csv``: ``epoch``, figures such as ``train_loss``, and times."""

    def end(self, status: str, results: Mapping[str, float]) -> None:
        """End with a status, such as ``finished``, and the results of ``run.json``.

        It is called once also where `begin` or an epoch failed.
        """


TRACKERS: Registry[type[Tracker]] = Registry("tracker")
