"""Weights & Biases: a run there, or one in the run folder that can be sent there later."""

from __future__ import annotations

import netrc
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from cnnexp.errors import OptionError
from cnnexp.trackers.base import TRACKERS, Tracked, Tracker

MODES = ("online", "offline")
FINAL = "final_"  # before results, which are of the weights that were kept


@TRACKERS.register("wandb")
@dataclass
class WeightsAndBiases(Tracker):
    """A run of Weights & Biases; offline, ``wandb sync RUN/wandb/offline-run-*`` sends it.

    Parameters
    ----------
    project : str
        The project that the run belongs to.
    entity : str, optional
        The user or team it belongs to; null: the one whose key is used.
    mode : {"online", "offline"}, optional
        Whether the run is sent at once; null: what ``$WANDB_MODE`` says, or else online if there
        is a key of yours (``wandb login``), and offline if there is none.
    """

    needs: ClassVar[str] = "wandb"
    extra: ClassVar[str] = "wandb"

    project: str = "cnnexp"
    entity: str | None = None
    mode: str | None = None

    def __post_init__(self) -> None:
        if self.mode not in (None, *MODES):
            raise OptionError(f"mode must be {' or '.join(MODES)}. Got '{self.mode}'.")

    def begin(self, run: Tracked, saved: Mapping[str, Any]) -> Mapping[str, Any]:
        """Start a run, or go on with the one that was cut off."""
        import wandb

        mode: Any = self._mode()
        number = str(saved.get("run") or secrets.token_hex(4))
        self._run: Any = wandb.init(
            project=self.project,
            entity=self.entity,
            dir=run.folder,
            id=number,
            resume="allow" if saved and mode == "online" else None,
            name=run.name,
            tags=run.tags,
            notes=run.note or None,
            config=dict(run.settings),
            mode=mode,
            reinit="create_new",
            settings=wandb.Settings(
                silent=True,
                console="off",  # what is printed is in train.log
                disable_git=True,
                disable_code=True,
                x_disable_stats=True,
            ),
        )
        return {"run": number}

    def _mode(self) -> str | None:
        """Return the mode, which depends on whether there is a key; None: what the system says."""
        if self.mode or os.environ.get("WANDB_MODE"):
            return self.mode
        return "online" if has_key() else "offline"

    def epoch_done(self, figures: Mapping[str, float]) -> None:
        """Log each figure at the step of its epoch; W&B keeps the first of a step."""
        self._run.log(dict(figures), step=int(figures["epoch"]))

    def end(self, status: str, results: Mapping[str, float]) -> None:
        """Note results and the status in the summary, and end the run."""
        if not hasattr(self, "_run"):
            return
        summary = {f"{FINAL}{name}": value for name, value in results.items()}
        self._run.summary.update({**summary, "status": status})
        self._run.finish(exit_code=0 if status == "finished" else 1)


def has_key() -> bool:
    """Say whether there is a key where W&B looks for one: ``$WANDB_API_KEY``, or a netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").hostname or ""
    named = os.environ.get("NETRC")
    paths = [Path(named)] if named else [Path.home() / ".netrc", Path.home() / "_netrc"]
    for path in paths:
        try:
            if netrc.netrc(path).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
            continue
    return False
