"""``python -m cnnexp.app.child``: one job of a sweep; what it is comes on standard input."""

from __future__ import annotations

import json
import sys

from hydra._internal.callbacks import Callbacks
from hydra.core.utils import JobStatus, run_job
from hydra.types import HydraContext, RunMode
from omegaconf import open_dict

from cnnexp.app import progress
from cnnexp.app.hydra_app import make_app, train_task
from cnnexp.app.stopping import EXIT_CODE
from cnnexp.errors import CnnexpError
from cnnexp.nn import workers


def main() -> int:
    """Compose the job as its parent did, and run it."""
    task = json.load(sys.stdin)
    workers.limit_cores(task["cores"])
    progress.use_bars(task["bars"])
    app = make_app(task["config_dir"])
    master = app.compose_config(
        config_name=task["config_name"],
        overrides=task["hydra_overrides"] + task["task_overrides"],
        run_mode=RunMode.MULTIRUN,
        with_log_configuration=False,
    )
    cfg = app.config_loader.load_sweep_config(master, task["overrides"])
    with open_dict(cfg):
        cfg.hydra.mode = RunMode.MULTIRUN
        cfg.hydra.job.id = str(task["number"])
        cfg.hydra.job.num = task["number"]
    ret = run_job(
        hydra_context=HydraContext(config_loader=app.config_loader, callbacks=Callbacks(cfg)),
        task_function=train_task,
        config=cfg,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
    if ret.status is JobStatus.COMPLETED:
        return 0
    kind = (
        "error" if isinstance(ret._return_value, CnnexpError) else type(ret._return_value).__name__
    )
    print(f"[{cfg.hydra.sweep.subdir}] {kind}: {ret._return_value}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    try:
        code = main()
    except KeyboardInterrupt:
        code = EXIT_CODE
    sys.exit(code)
