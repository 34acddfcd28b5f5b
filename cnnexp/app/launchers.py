"""Other people's launchers, made to wait for all jobs when one of them is lost.

Submitit's and Ray's launchers collect results one after the other, and raise at the first job whose
process has gone, while others are still running. Here such a job gives a failed result, as a job
that raised does, and the rest is waited for.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

RAISED = re.compile(r"^[\w.]+(?:Error|Exception|Exit|Interrupt)\b.*", re.MULTILINE)


def patient(launcher: Launcher) -> AbstractContextManager[None]:
    """Return a context in which a launcher waits for all its jobs."""
    module = type(launcher).__module__
    if ".hydra_submitit_launcher." in module:
        jobs = importlib.import_module("submitit.core.core").Job
        return _swapped(jobs, "results", lambda wait: lambda job: [_result(lambda: wait(job)[0])])
    if ".hydra_ray_launcher." in module:
        core = importlib.import_module("hydra_plugins.hydra_ray_launcher._core")
        return _swapped(
            core, "ray", lambda ray: SimpleNamespace(get=lambda job: _result(lambda: ray.get(job)))
        )
    return nullcontext()


def _result(wait: Callable[[], JobReturn]) -> JobReturn:
    """Return what a job gives, or a failed result if it is lost."""
    try:
        return wait()
    except Exception as error:
        return JobReturn(status=JobStatus.FAILED, _return_value=first_words(error))


def first_words(error: Exception) -> str:
    r"""Return the kind of an error and the beginning of its text, as one line.

    If the text holds the traceback of a job, what the job raised is returned.

    Examples
    --------
    >>> first_words(ValueError("so\nit is\nlong"))
    'ValueError: so it is'
    >>> first_words(ValueError("the trace:\nTraceback …\n  raise …\nKeyError: 1\nSee the logs."))
    'KeyError: 1'
    """
    raised = RAISED.findall(str(error))
    text = " ".join(str(error).split("\n")[:2]).strip()
    return str(raised[-1]) if raised else f"{type(error).__name__}: {text}"


@contextmanager
def _swapped(owner: Any, name: str, change: Callable[[Any], Any]) -> Iterator[None]:
    """Put something else in the place of an attribute for a while."""
    before = getattr(owner, name)
    setattr(owner, name, change(before))
    try:
        yield
    finally:
        setattr(owner, name, before)
