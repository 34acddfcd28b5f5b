"""When a training has learnt enough: early stopping, and which of two figures is the better one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cnnexp.errors import OptionError
from cnnexp.nn.losses import METRICS


@dataclass(frozen=True)
class EarlyStopping:
    """Ends training when a figure of the validation part has not improved for some epochs.

    It depends on the figures of the finished epochs alone, so a resumed run stops where an unbroken
    one does.

    Parameters
    ----------
    patience : int
        Training ends after this many epochs in a row without a better figure.
    metric : str, optional
        The figure, for example ``validation_loss``. If not given, ``validation_error``, or
        ``validation_loss`` where no error is measured.
    min_delta : float
        An epoch counts as better only if its figure improves on the best one so far by more than
        this, in absolute terms.

    References
    ----------
    L. Prechelt, Early Stopping - But When?, 1998

    Examples
    --------
    >>> stopping = EarlyStopping(patience=2, metric="validation_loss")
    >>> losses = [1.0, 0.8, 0.9, 0.85]
    >>> history = [{"validation_loss": loss} for loss in losses]
    >>> stopping.reason(history[:3])
    >>> stopping.reason(history)
    'validation_loss has not been below 0.8 for 2 epochs'
    """

    patience: int = 5
    metric: str | None = None
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise OptionError(f"patience must be at least 1. Got {self.patience}.")
        if not 0 <= self.min_delta < math.inf:
            raise OptionError(f"min_delta must be at least 0, and finite. Got {self.min_delta}.")
        if self.metric is not None:
            check_selects("metric", self.metric)

    def reason(
        self, history: Sequence[Mapping[str, float]], metric: str | None = None
    ) -> str | None:
        """Return why the training ends after these epochs, or None if it goes on.

        Parameters
        ----------
        history : sequence of mappings of str to float
            The figures of each finished epoch.
        metric : str, optional
            The figure, where the option leaves it open.
        """
        name = self.metric or metric or "validation_loss"
        best, waited = math.nan, 0
        for figures in history:
            if is_better(name, figures[name], best, self.min_delta):
                best, waited = figures[name], 0
            else:
                waited += 1
        if waited < self.patience:
            return None
        side, epochs = "above" if is_maximised(name) else "below", self.patience
        far = f" by {self.min_delta:g}" if self.min_delta else ""
        words = f"{epochs} epoch{'s' if epochs > 1 else ''}"
        return f"{name} has not been {side} {best:.4g}{far} for {words}"


def check_selects(option: str, metric: str) -> None:
    """Raise OptionError for a figure that nothing may be chosen by: one not of the validation part.

    The training part always gets better, and the test part must tell how good the choice is.
    """
    if not metric.startswith("validation_"):
        raise OptionError(
            f"{option} must be a figure of the validation part, such as validation_error or"
            f" validation_loss. Got '{metric}'."
        )


def is_maximised(metric: str) -> bool:
    """Say whether a larger figure is the better one.

    The loss and all metrics here become smaller. A metric of one's own says otherwise by an
    attribute: ``accuracy.larger_is_better = True``.
    """
    name = metric.partition("_")[2]
    return name in METRICS and bool(getattr(METRICS[name], "larger_is_better", False))


def is_better(metric: str, value: float, than: float, by: float = 0.0) -> bool:
    """Say whether a figure is better than another; any is better than one that is not a number.

    Examples
    --------
    >>> is_better("validation_error", 0.1, 0.2), is_better("validation_error", 0.2, 0.2)
    (True, False)
    >>> is_better("validation_loss", 1.0, math.nan), is_better("validation_loss", math.nan, 1.0)
    (True, False)
    """
    if math.isnan(than):
        return not math.isnan(value)
    return value > than + by if is_maximised(metric) else value < than - by
