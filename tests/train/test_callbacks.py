"""Callbacks: when they are called, what they may ask for, and what happens when one fails."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from cnnexp.errors import CallbackError, OptionError
from cnnexp.train import CALLBACKS, Callback, EpochDone
from cnnexp.train.callbacks import StopAt
from tests.train.trainings import dataset, trainer


@dataclass
class Noting(Callback):
    """Notes what it is told."""

    seen: list = field(default_factory=list)

    def begin(self, trainer):
        self.seen.append("begin")

    def batch_done(self, trainer, event):
        self.seen.append((event.epoch, event.batch, trainer.state.batch))

    def epoch_done(self, trainer, figures):
        assert figures == trainer.state.history[-1]
        self.seen.append(sorted(figures))

    def end(self, trainer, figures):
        self.seen.append(sorted(figures))


def test_hooks_are_called_in_order():
    noting = Noting()
    list(trainer(dataset(10), callbacks=[noting], epochs=1, evaluate="at_end").events())
    train, test = ["train_error", "train_loss"], ["test_error", "test_loss"]
    assert noting.seen == ["begin", (1, 1, 1), (1, 2, 2), (1, 3, 3), train, [*test, *train]]


def test_a_callback_changes_no_bits():
    plain, watched = trainer(), trainer(callbacks=[Noting(), StopAt(metric="train_loss", value=0)])
    list(plain.events()), list(watched.events())
    assert plain.network.parameters.tobytes() == watched.network.parameters.tobytes()


class StopSoon(Callback):
    def batch_done(self, trainer, event):
        if event.batch == 2:
            trainer.stop("two are enough")


def test_a_training_that_is_stopped_finishes_its_epoch():
    training = trainer(callbacks=[StopSoon()], evaluate="at_end")
    events = list(training.events())
    assert [type(event).__name__ for event in events] == 3 * ["BatchDone"] + ["EpochDone"]
    assert training.state.stopped == "two are enough" and events[-1].test is not None


def test_stop_at_a_figure():
    whole = [e for e in trainer(epochs=9).events() if isinstance(e, EpochDone)]
    losses = [event.train["loss"] for event in whole]
    callback = StopAt(metric="train_loss", value=losses[4])
    training = trainer(epochs=9, callbacks=[callback])
    assert len([e for e in training.events() if isinstance(e, EpochDone)]) == 5
    assert training.state.stopped.startswith("train_loss is ")
    assert callback.figures() == ("train_loss",)
    with pytest.raises(OptionError, match="must not be of the test part"):
        StopAt(metric="test_error", value=0.1)


@dataclass
class Counting(Callback):
    """Stops after so many mini-batches, which it counts itself."""

    most: int = 5
    count: int = 0

    def batch_done(self, trainer, event):
        self.count += 1
        if self.count >= self.most:
            trainer.stop("enough")

    def state(self):
        return {"count": self.count}

    def restore(self, state):
        self.count = state["count"]


def test_what_a_callback_remembers_goes_on_with_the_training():
    unbroken = trainer(epochs=9, callbacks=[Counting()])
    events = [event[:4] for event in unbroken.events()]
    assert len(events) == 8  # two epochs of three mini-batches
    first = trainer(epochs=9, callbacks=[Counting()])
    stream = first.events()
    done = [next(stream)[:4] for _ in range(4)]
    second = trainer(epochs=9, callbacks=[Counting()])
    second.restore(first.snapshot())
    assert done + [event[:4] for event in second.events()] == events


class Broken(Callback):
    def __init__(self, hook):
        setattr(self, hook, self._fail)

    def _fail(self, *_):
        return 1 / 0


@pytest.mark.parametrize("hook", ["begin", "batch_done", "epoch_done", "end"])
def test_a_callback_that_fails_is_named(hook, monkeypatch):
    monkeypatch.setattr(CALLBACKS, "_things", CALLBACKS._things | {"broken": Broken})
    with pytest.raises(CallbackError) as error:
        list(trainer(callbacks=[Broken(hook)]).events())
    text = str(error.value)
    assert text.startswith(f"callbacks: 'broken' failed in {hook}, ")
    assert text.endswith("ZeroDivisionError: division by zero")
    assert "test_callbacks.py, line " in text


def test_a_callback_that_ends_the_program_has_failed_and_was_not_interrupted():
    class Ends(Callback):
        def epoch_done(self, *_):
            raise SystemExit("enough")

    with pytest.raises(CallbackError, match=r"failed in epoch_done, .*SystemExit: enough"):
        list(trainer(callbacks=[Ends()]).events())


@pytest.mark.parametrize("state", [{"a": {1, 2}}, {"a": object()}, [1], {3: 1}, {"a": np.int64(3)}])
def test_a_state_that_no_checkpoint_can_hold_is_refused(state):
    class Odd(Callback):
        def state(self):
            return state

    with pytest.raises(CallbackError, match="the state of 'Odd' must be a dictionary of"):
        trainer(callbacks=[Odd()]).snapshot()
