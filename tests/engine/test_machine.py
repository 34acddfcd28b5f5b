"""The size of the cache: what the system says, else what a file says, else a megabyte."""

import os

import pytest

from cnnexp.engine import machine


def size(monkeypatch, sysconf, text):
    """Return what is found where `os.sysconf` and the file say so; an error is raised."""

    def asked(name):
        assert name == "SC_LEVEL2_CACHE_SIZE"
        if isinstance(sysconf, Exception):
            raise sysconf
        return sysconf

    class File:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def read(self):
            return text

    def opened(path):
        if isinstance(text, Exception):
            raise text
        return File()

    monkeypatch.setattr(os, "sysconf", asked)
    monkeypatch.setattr(machine, "open", opened, raising=False)
    return machine.cache_bytes.__wrapped__()


def test_the_system_is_asked_first(monkeypatch):
    assert size(monkeypatch, 2_097_152, "512K") == 2_097_152
    assert size(monkeypatch, 1, "512K") == 1


@pytest.mark.parametrize("answer", [0, -1, AttributeError(), ValueError(), OSError()])
def test_the_file_is_read_where_the_system_does_not_know(monkeypatch, answer):
    assert size(monkeypatch, answer, "512K\n") == 512 * 1024


@pytest.mark.parametrize("text", ["", "none", FileNotFoundError(), PermissionError()])
def test_a_megabyte_is_assumed_where_nobody_knows(monkeypatch, text):
    assert size(monkeypatch, 0, text) == 1024 * 1024


def test_it_is_asked_once():
    assert machine.cache_bytes() == machine.cache_bytes()
    assert machine.cache_bytes.cache_info().currsize == 1
