"""One trained network, and its page, for all tests in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.report.live.browser import write


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A trained network on the digits, with the weights of every epoch."""
    settings = ("model=cnn", "checkpoint.keep=all", "epochs=4", "data.limit=1000")
    return write(tmp_path_factory.mktemp("drawn"), *settings)
