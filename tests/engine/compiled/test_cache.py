"""Where kernels are kept: cold and warm, read-only, damaged, for another processor, at once."""

import os
import stat
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba", reason="impl=compiled needs Numba")

from cnnexp.engine.compiled import cache
from cnnexp.engine.compiled.kernel import Kernel, kernel, kernels, plain
from cnnexp.engine.compiled.preparing import make_ready
from cnnexp.engine.user_cache import VARIABLE


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """A cache of its own for each test."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "kernels"


def doubling() -> Kernel:
    """A new kernel, as another process would have it."""

    def double(A, out):  # pragma: no cover - it runs as machine code
        for i in range(len(A)):
            out[i] = 2 * A[i]

    return Kernel(double, "in1 out1")


def check(double: Kernel, dtype=np.float32) -> None:
    A = np.arange(5).astype(dtype)
    out = np.empty_like(A)
    double(A, out)
    np.testing.assert_array_equal(out, 2 * A)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def test_a_kernel_is_compiled_once_and_then_read(folder):
    assert not doubling().is_kept(np.float32)
    assert doubling().make_ready(np.float32)
    (file,) = files(folder)
    assert file.name.startswith("double-float32-")
    again = doubling()
    assert again.is_kept(np.float32)
    assert not again.make_ready(np.float32)
    check(again)
    assert doubling().make_ready(np.float64)  # another type is another file
    assert len(files(folder)) == 2


def test_a_kernel_that_nobody_prepared_prepares_itself():
    double = doubling()
    check(double)
    check(double, np.float64)


def test_a_damaged_file_is_made_again(folder):
    doubling().make_ready(np.float32)
    (file,) = files(folder)
    for damaged in (b"", file.read_bytes()[:1000], b"\x80\x04}."):
        file.write_bytes(damaged)
        double = doubling()
        assert double.make_ready(np.float32)
        check(double)
        assert not doubling().make_ready(np.float32)  # the file is whole again


def test_where_nothing_can_be_written_kernels_live_as_long_as_the_process(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file"))
    double = doubling()
    assert double.make_ready(np.float32)
    check(double)
    assert not double.is_kept(np.float32)


def test_another_processor_and_other_versions_have_other_files(folder, monkeypatch):
    doubling().make_ready(np.float32)
    target = doubling().dispatcher.targetctx.codegen()
    monkeypatch.setattr(type(target), "magic_tuple", lambda self: ("another", "processor", ""))
    assert not doubling().is_kept(np.float32)
    monkeypatch.undo()
    monkeypatch.setenv(VARIABLE, str(folder.parent))
    assert doubling().is_kept(np.float32)
    monkeypatch.setattr(cache, "_versions", lambda: ("later",))
    assert not doubling().is_kept(np.float32)


def test_constants_are_part_of_a_name():
    @kernels("in1 out1")
    def add(number):
        def added(A, out):
            for i in range(len(A)):
                out[i] = A[i] + number

        return added

    assert add(3) is add(3)
    A = np.ones(4)
    for number in (3, 5):
        out = np.empty(4)
        add(number)(A, out)
        np.testing.assert_array_equal(out, 1 + number)
    assert not add(3).make_ready(np.float64)


def test_wrong_arguments_are_refused_and_compile_nothing():
    double = doubling()
    check(double)
    with pytest.raises(TypeError, match="No matching definition"):
        double(np.ones(4, np.float32)[::2], np.empty(2, np.float32))


def test_plain_arrays_are_what_kernels_take():
    A = np.arange(6.0).reshape(2, 3)
    assert plain(A) is A
    locked = A.copy()
    locked.flags.writeable = False
    for other in (A.T, A[:, ::2], locked):
        found = plain(other)
        assert found.flags.carray
        np.testing.assert_array_equal(found, other)


def test_who_listens_is_told_how_far_compiling_is(caplog):
    with caplog.at_level("INFO", "cnnexp.compiling"):
        assert make_ready([doubling(), doubling()], np.float32) == 2
        assert make_ready([doubling()], np.float32) == 0
    assert [record.args for record in caplog.records] == [(0, 2), (1, 2), (2, 2)]


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=os.environ | variables,
        check=False,
    )


TRAIN = """
import numpy as np
from cnnexp import Conv2D, Dense, Flatten, MaxPool2D, Network, ReLU, Softmax
layers = [Conv2D(4, 2), ReLU(), MaxPool2D(3), Flatten(), Dense(3), Softmax()]
net = Network(layers, impl="compiled", dtype="float64")
rng = np.random.default_rng(0)
for _ in range(3):
    net.train(rng.normal(size=(9, 8, 8, 1)), rng.integers(0, 3, 9), 0.1)
print(net.parameters.tobytes().hex())
"""


@pytest.mark.long
def test_numba_may_be_switched_off(folder):
    """The user's own setting holds: then the kernels run as plain Python."""
    on, off = run(TRAIN), run(TRAIN, NUMBA_DISABLE_JIT="1")
    assert on.returncode == 0, on.stderr
    assert off.returncode == 0, off.stderr
    one, other = (np.frombuffer(bytes.fromhex(r.stdout.strip())) for r in (on, off))
    np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.long
def test_eight_processes_that_begin_at_once_get_the_same(folder):
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: run(TRAIN), range(8)))
    assert [result.returncode for result in results] == [0] * 8, results[0].stderr
    assert len({result.stdout for result in results}) == 1
    names = [path.name.partition("-")[0] for path in files(folder)]
    assert len(names) == len(set(names))  # each kernel once, and no half file
    assert run(TRAIN).stdout == results[0].stdout  # warm


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_an_installation_is_never_written_to(tmp_path):
    """From a copy of the package in which nothing can be written, and with a cache elsewhere."""
    import shutil

    import cnnexp

    copy = tmp_path / "site" / "cnnexp"
    shutil.copytree(
        Path(cnnexp.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__")
    )
    everything = [copy.parent, copy, *copy.rglob("*")]
    for path in everything:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    try:
        before = sorted(map(str, everything))
        result = run(TRAIN, PYTHONPATH=str(copy.parent), PYTHONDONTWRITEBYTECODE="1")
        assert result.returncode == 0, result.stderr
        assert sorted(map(str, [copy.parent, copy, *copy.rglob("*")])) == before
    finally:
        for path in everything:
            path.chmod(path.stat().st_mode | stat.S_IWUSR)


@kernel("in1 out1")
def halve(A, out):  # pragma: no cover
    """Halve all numbers."""
    for i in range(len(A)):
        out[i] = A[i] / 2


def test_threads_that_begin_at_once_get_the_same():
    A = np.arange(100.0)
    outs = [np.empty(100) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda out: halve(A, out), outs))
    for out in outs:
        np.testing.assert_array_equal(out, A / 2)
