"""Fixtures that several rooms use: MNIST where it lies, and trained runs."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

# Before NumPy is imported: on small matrices, threads of BLAS wait for each other most of the time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest

from cnnexp.app.exit_codes import DIVERGED
from cnnexp.app.main import main
from cnnexp.engine import IMPLEMENTATIONS as TABLE
from cnnexp.runs.trust import VARIABLE
from tests.commandline import succeed

LEARNING_RATES = (0.2, 0.1, 0.05)
SEEDS = (0, 1)
TINY = ("data.limit=60", "epochs=2")


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path) -> Iterator[list[pytest.Collector]]:
    """Look for no examples in the docstrings of tests: there are none, and it takes seconds."""
    found = yield
    tests = file_path.name.startswith("test_")
    return [node for node in found if not (tests and type(node).__name__ == "DoctestModule")]


def pytest_configure() -> None:
    """Let the garbage collector look less often."""
    gc.set_threshold(5000, 20, 20)


def pytest_collection_finish() -> None:
    """Let the garbage collector never look at modules and tests, which stay until the end."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Skip a test of an implementation that needs what is not installed."""
    for value in getattr(getattr(item, "callspec", None), "params", {}).values():
        if isinstance(value, str) and value in TABLE and TABLE[value].missing():
            item.add_marker(pytest.mark.skip(reason=TABLE[value].missing()))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let all but a few cases of the tests marked so be long."""
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("few") and not item.get_closest_marker("long"):
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for found in cases.values():
        count = found[0].get_closest_marker("few").args[0]
        kept = {k * len(found) // count for k in range(count)}
        for k, item in enumerate(found):
            if k not in kept:
                item.add_marker(pytest.mark.long)


def make_run(folder: Path, *settings: str) -> Path:
    """Train for a moment, in this process, and return the run folder; it may diverge."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a run that diverges overflows first
        assert main([*TINY, *settings, f"hydra.run.dir={folder}"]) in (0, DIVERGED)
    return folder


@pytest.fixture(scope="session", autouse=True)
def config_folder(tmp_path_factory) -> Iterator[None]:
    """Keys that runs with plugins are signed with are no part of the user's configuration."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """The folder of MNIST's four files; tests that need it are skipped without it."""
    folder = Path(os.environ.get("CNNEXP_DATA_DIR", "/nowhere")) / "mnist"
    if not list(folder.glob("t10k-images-idx3-ubyte*")):
        pytest.skip("MNIST is not there: CNNEXP_DATA_DIR must name the folder that holds mnist/")
    return folder
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


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three learning rates with two seeds each, one run that diverged, and one that is damaged."""
    root = tmp_path_factory.mktemp("study")
    pairs = [(rate, seed) for rate in LEARNING_RATES for seed in SEEDS]
    for number, (rate, seed) in enumerate(pairs):
        make_run(root / str(number), f"learning_rate={rate}", f"seed={seed}")
    make_run(root / "6", "learning_rate=1e30")
    (root / "7").mkdir()
    (root / "7" / "run.json").write_text('{"format": 1, "status": "runn')
    return root


@pytest.fixture(scope="session")
def finished(study: Path) -> list[Path]:
    """The folders of the runs of the study that finished."""
    return [study / str(number) for number in range(len(LEARNING_RATES) * len(SEEDS))]


@pytest.fixture(scope="session")
def two_impls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that differ in the implementation only."""
    root = tmp_path_factory.mktemp("impls")
    for impl in ("naive", "sg"):
        make_run(root / impl, f"impl={impl}", "model=original_cnn", "data.limit=10", "epochs=1")
    return root
