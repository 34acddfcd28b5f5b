"""The size of a run's micro-batches: measured once on a machine, kept, and recorded with the run.

What was measured is kept in the user's cache, a file for each network and machine, with all that it
depends on inside. It is written as a whole, and a damaged one is measured anew. Several processes
that want the same wait for the first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import cnnexp
from cnnexp.app.running.progress import QUIET, screen_may_be_gone
from cnnexp.app.screen import say
from cnnexp.app.settings.options import Plain
from cnnexp.data import Dataset
from cnnexp.engine.user_cache import user_cache
from cnnexp.errors import RunError
from cnnexp.nn import tuning
from cnnexp.nn.network import Network
from cnnexp.runs import environment
from cnnexp.runs.files import read_bytes, replace_json
from cnnexp.runs.fingerprint import RESULTS_VERSION
from cnnexp.runs.sources import sources_of

ENOUGH_WORK = 1e11  # multiply-adds of all forward passes: about ten seconds of training
PATIENCE = 20  # seconds to wait for another process that measures the same
TIMES_DEPEND_ON = ("model", "loss", "dtype", "batch_size")  # and on `impl`


def micro_batch_for(
    config: Plain, network: Network, dataset: Dataset, workers: int | None = None
) -> int:
    """Return the samples of a micro-batch of a run that is about to begin.

    Parameters
    ----------
    config : dict
        The checked config.
    network : Network
        Built from it, with the automatic size, which stays where nothing is to be measured.
    dataset : Dataset
        Its data.
    workers : int, optional
        Who will share the micro-batches, if not as many as the network has.
    """
    if not is_wanted(config, network, dataset.train.count):
        return int(network.micro_batch)
    batch = dataset.train.at(slice(config["batch_size"]))
    what = _depends_on(config, network)
    path = user_cache("micro_batches") / f"{_digest(what)}.json"
    usual = min(int(network.micro_batch), batch.count)
    with _alone(path):
        seconds = _kept(path, what, tuning.sizes_around(usual, batch.count))
        if seconds is None:
            start = time.monotonic()
            seconds = tuning.measured(network, batch.X, batch.Y)
            _tell(time.monotonic() - start, _keep(path, {"of": what, "seconds": seconds}))
    if not seconds:
        return int(network.micro_batch)
    return tuning.best_size(seconds, batch.count, workers or int(network.threads))


def is_wanted(config: Plain, network: Network, samples: float) -> bool:
    """Say whether a size is to be measured: if it is asked for, and training takes long enough.

    Whether it takes long is read off the network and the samples, never off a clock: the same
    settings give the same answer.
    """
    impl = config["impl"]
    asked = impl.get("tune", False) and impl.get("micro_batch", "auto") == "auto"
    return (
        asked
        and tuning.can_be_tuned(network)
        and work_of(network) * samples * config["epochs"] >= ENOUGH_WORK
    )


def work_of(network: Network) -> int:
    """Return the multiply-adds of the forward pass of one sample."""
    return sum(layer.multiply_adds for layer in network.layers)


def _keep(path: Path, content: Plain) -> bool:
    """Write a file, and say whether it could be written."""
    try:
        replace_json(path, content)
    except OSError:
        return False
    return True


def _tell(seconds: float, kept: bool) -> None:
    """Say how long measuring took, where runs show anything."""
    if QUIET not in os.environ:
        once = ", once on this machine" if kept else ""
        with screen_may_be_gone():
            say(f"sizes of micro-batches: measured in {seconds:.1f} s{once}", flush=True)


def _depends_on(config: Plain, network: Network) -> Plain:
    """Return all that the times depend on: network, mini-batches, plugins, and the machine."""
    blas = environment.blas() or {}
    machine = {
        "cnnexp": [cnnexp.__version__, RESULTS_VERSION],
        "numpy": np.__version__,
        "blas": {key: value for key, value in blas.items() if key != "num_threads"},
        "cpu": environment.cpu_name(),
        "cores": os.cpu_count(),
        "cache": network.limits.cache,  # the automatic size follows from it
        "jit": os.environ.get("NUMBA_DISABLE_JIT"),
    }
    sources = sources_of(config.get("plugins") or ()) or ()
    plugins = [[source["name"], source["checksum"]] for source in sources]
    impl = {key: config["impl"].get(key) for key in ("name", "fuse")}
    of_network = {key: config[key] for key in TIMES_DEPEND_ON} | {
        "input_shape": network.input_shape
    }
    found = of_network | {"impl": impl, "plugins": plugins, "machine": machine}
    plain: Plain = json.loads(json.dumps(found))
    return plain


def _digest(content: Plain) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _kept(path: Path, what: Plain, sizes: Sequence[int]) -> dict[int, float] | None:
    """Return the seconds by size that a file holds; None if it is absent or damaged."""
    try:
        found = json.loads(read_bytes(path))
        if found["of"] != what:
            return None
        seconds = {int(size): float(value) for size, value in found["seconds"].items()}
    except (OSError, RunError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    whole = all(size in sizes and 0 < value < math.inf for size, value in seconds.items())
    return seconds if whole else None


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time measure, where files can be locked."""
    from filelock import FileLock, Timeout

    lock = FileLock(path.with_suffix(".lock"))
    with contextlib.suppress(OSError, NotImplementedError, Timeout):  # else everyone measures
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=PATIENCE)
    try:
        yield
    finally:
        lock.release()
