"""The sizes of micro-batches of a sweep's jobs, measured before any of them runs."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Sequence

from cnnexp.app.running.tuning import TIMES_DEPEND_ON, is_wanted, micro_batch_for
from cnnexp.app.settings.options import Plain
from cnnexp.app.sweeps.job import Job
from cnnexp.app.sweeps.points import source_of
from cnnexp.data import Dataset
from cnnexp.runs import rebuild


def micro_batches_for(jobs: Sequence[Job], cores: int) -> list[int | None]:
    """Return the samples of a micro-batch for each job of a sweep, before any of them runs.

    None stands for the automatic size, as for jobs that cannot train at all.

    Parameters
    ----------
    jobs : sequence of Job
        What is to be run. Jobs that go on have their sizes already: they get None.
    cores : int
        How many cores a job has for itself.
    """

    @functools.lru_cache(maxsize=1)
    def load(text: str) -> Dataset:
        return rebuild.plan_dataset(json.loads(text)).load()

    @functools.cache
    def size(text: str) -> int | None:
        try:
            return _size(json.loads(text), load, cores)
        except Exception:  # the job meets it too, and fails by itself; others go on
            return None

    alike = {"seed": 0, "metrics": []}  # jobs that differ in other settings have the same size
    keys = (*TIMES_DEPEND_ON, "impl", "plugins", "data", "epochs")
    texts = [json.dumps({key: job.config[key] for key in keys} | alike) for job in jobs]
    return [
        None if job.note == "resumed" else size(text) for job, text in zip(jobs, texts, strict=True)
    ]


def _size(config: Plain, load: Callable[[str], Dataset], cores: int) -> int | None:
    """Return the size for a job, None for the automatic one; data are read only if need be."""
    light = rebuild.build_network(config, source_of(config).shape, impl="fast", threads=1)
    most = rebuild.build_source(config).sample_count() or math.inf
    if not is_wanted(config, light, min(most, config["data"].get("limit") or math.inf)):
        return None
    target = {"target": config["model"].get("target")}
    dataset = load(json.dumps({key: config[key] for key in ("data", "dtype")} | {"model": target}))
    network = rebuild.build_network(config, dataset.image_shape, threads=1)
    network.suit_batches(config["batch_size"])
    threads = config["impl"].get("threads", "auto")
    return micro_batch_for(config, network, dataset, cores if threads == "auto" else threads)
