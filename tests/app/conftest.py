"""What every test of the command line needs."""

import logging
import os
import signal
import sys

import pytest

from cnnexp.nn.layer import LAYERS
from cnnexp.runs import environment


@pytest.fixture(autouse=True)
def an_empty_folder(tmp_path, monkeypatch):
    """Runs lie where a test stands; it asks no git, and does not wait for the disk."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(environment, "git", lambda: None)
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(autouse=True)
def layers_of_plugins_are_forgotten(monkeypatch):
    """A layer that a test brings is in the table during that test only."""
    monkeypatch.setattr(LAYERS, "_things", dict(LAYERS._things))
    monkeypatch.delitem(sys.modules, "accidents", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # folders are compared before and after


@pytest.fixture(autouse=True)
def logging_stays_as_it_is(monkeypatch):
    """What Hydra and its plugins set up for a run is gone with the test."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [*root.handlers])
    monkeypatch.setattr(root, "level", root.level)


@pytest.fixture(autouse=True)
def signals_are_as_in_a_terminal():
    """A shell that starts the tests in the background has them ignored, and so has nohup."""
    usual = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
