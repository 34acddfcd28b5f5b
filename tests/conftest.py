"""What several rooms' tests need: MNIST where it lies, and trained runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.commandline import succeed


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """The folder of MNIST's four files; tests that need it are skipped without it."""
    folder = Path(os.environ.get("CNNEXP_DATA_DIR", "/nowhere")) / "mnist"
    if not list(folder.glob("t10k-images-idx3-ubyte*")):
        pytest.skip("MNIST is not there: CNNEXP_DATA_DIR must name the folder that holds mnist/")
    return folder


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory) -> Path:
    """A run of the default network on the digits; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    succeed(f"hydra.run.dir={folder}")
    return folder


@pytest.fixture(scope="session")
def mnist_run(tmp_path_factory, mnist_folder) -> Path:
    """A run of the default network on a part of MNIST; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("runs") / "mnist"
    succeed(
        f"hydra.run.dir={folder}",
        "data=mnist",
        f"data.dir={mnist_folder}",
        "data.limit=4000",
        "epochs=2",
        "batch_size=32",
    )
    return folder
