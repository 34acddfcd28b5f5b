"""Files of compiled kernels, one for each kernel, type of numbers, processor, and version.

Numba keeps compiled functions itself, but in an index for each function, which processes that
compile at the same time overwrite for each other; and it does not notice a change in another file.
So they are kept here: one file a kernel, written beside its place and renamed, so that nobody reads
half of one. All that the code depends on is in its name::

    ~/.cache/cnnexp/kernels/  direct_forward_4_1-float32-3f0c…e1   machine code

that is the source of all kernels, versions of Python, NumPy and Numba, the user's settings of
Numba, and processor and instructions. Computers that share a home directory have files of their
own, and an installation is never written to. A process that compiles a kernel holds a lock; others
wait and read its file. A file that cannot be read is made again. Where none can be written the
kernel lives as long as the process.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pickle
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cnnexp.engine.user_cache import user_cache

PATIENCE = 120  # seconds to wait for another process that compiles the same kernel


def folder() -> Path:
    """Return the folder of the files."""
    return user_cache("kernels")


def holds(dispatcher: Any, name: str, types: tuple[Any, ...]) -> bool:
    """Say whether there is a file of a kernel for these types."""
    return _is_there(_path(dispatcher, name, types))


def load_or_compile(dispatcher: Any, name: str, types: tuple[Any, ...]) -> bool:
    """Give Numba's object the machine code for these types; say whether it was compiled."""
    path = _path(dispatcher, name, types)
    dispatcher._cache = found = _file_cache(path)
    with contextlib.nullcontext() if _is_there(path) else _alone(path):
        dispatcher.compile(types)
    return not found.loaded


def _is_there(path: Path) -> bool:
    """Say whether there is a file; one in a folder that may not be looked into is not."""
    return os.path.isfile(path)  # noqa: PTH113 (never an OSError)


def _path(dispatcher: Any, name: str, types: tuple[Any, ...]) -> Path:
    """Return the file of a kernel for these types of arguments."""
    machine = dispatcher.targetctx.codegen().magic_tuple()
    options = [  # sets in order: that of their own differs from process to process
        (option, sorted(value) if isinstance(value, set) else value)
        for option, value in sorted(dispatcher.targetoptions.items())
    ]
    key = repr((_versions(), machine, types, options)).encode()
    return folder() / f"{name}-{types[0].dtype}-{hashlib.sha256(key).hexdigest()[:16]}"


@functools.cache
def _versions() -> tuple[str, ...]:
    """Return what machine code depends on besides a kernel and the processor."""
    import llvmlite
    import numba

    source = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        source.update(file.read_bytes())
    settings = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("NUMBA_") and "CACHE" not in name and "THREAD" not in name
    }
    return (
        source.hexdigest(),
        sys.version,
        np.__version__,
        numba.__version__,
        llvmlite.__version__,
        repr(sorted(settings.items())),
    )


@functools.cache
def _classes() -> Any:
    """Return the class of Numba's caches that keeps a kernel in one file."""
    from numba.core.caching import NullCache
    from numba.core.compiler import CompileResult
    from numba.core.serialize import dumps

    class FileCache(NullCache):  # type: ignore[misc]  # Numba has no types
        def __init__(self, path: Path) -> None:
            self.path, self.loaded = path, False

        def load_overload(self, sig: Any, target_context: Any) -> Any:
            target_context.refresh()
            try:
                found = pickle.loads(self.path.read_bytes())
                result = CompileResult._rebuild(target_context, *found)
            except Exception:  # absent, damaged, or of another build: it is compiled again
                return None
            self.loaded = True
            return result

        def save_overload(self, sig: Any, data: Any) -> None:
            with contextlib.suppress(OSError):
                _write(self.path, dumps(data._reduce()))

    return FileCache


def _file_cache(path: Path) -> Any:
    return _classes()(path)


def _write(path: Path, data: bytes) -> None:
    """Write a file beside its place and rename it, so that it is there as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time compile a kernel, where files can be locked."""
    from filelock import FileLock, Timeout

    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=PATIENCE)
    except (OSError, NotImplementedError, Timeout):  # read-only, or no locks: everyone compiles
        pass
    try:
        yield
    finally:
        lock.release()
