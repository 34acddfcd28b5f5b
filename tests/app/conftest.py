"""What every test of the command line needs."""

import logging
import sys

import pytest

from cnnexp.nn.layer import LAYERS


@pytest.fixture(autouse=True)
def layers_of_plugins_are_forgotten(monkeypatch):
    """A layer that a test brings is in the table during that test only."""
    monkeypatch.setattr(LAYERS, "_things", dict(LAYERS._things))
    monkeypatch.delitem(sys.modules, "accidents", raising=False)


@pytest.fixture(autouse=True)
def logging_stays_as_it_is(monkeypatch):
    """What Hydra and its plugins set up for a run is gone with the test."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [*root.handlers])
    monkeypatch.setattr(root, "level", root.level)
