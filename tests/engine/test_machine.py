"""The size of the cache, where the system tells it and where it does not."""

import builtins
import io
import os

import pytest

from cnnexp.engine import machine
from cnnexp.engine.machine import DEFAULT_CACHE, cache_bytes


def fails(*_):
    raise OSError("not here")


@pytest.fixture(autouse=True)
def no_memory_of_it():
    cache_bytes.cache_clear()
    yield
    cache_bytes.cache_clear()


@pytest.mark.parametrize(
    ("told", "file", "expected"),
    [
        (lambda _: 512, None, 512),
        (lambda _: 0, "2048K\n", 2048 * 1024),  # a virtual machine that says 0
        (fails, "64K\n", 64 * 1024),
        (fails, "large\n", DEFAULT_CACHE),
        (fails, None, DEFAULT_CACHE),
    ],
)
def test_what_the_system_says_of_the_cache(told, file, expected, monkeypatch):
    monkeypatch.setattr(os, "sysconf", told)
    opened = fails if file is None else lambda *_: io.StringIO(file)
    monkeypatch.setattr(machine, "open", opened, raising=False)
    assert cache_bytes() == expected
    assert machine.open is not builtins.open
