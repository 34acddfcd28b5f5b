"""Pickles are read without running anything that they ask for."""

import collections
import copyreg
import ctypes
import datetime
import json
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cnnexp.errors import UnsafePickle
from cnnexp.runs import pickles
from tests.cases import in_one_test

# Where NumPy keeps what its pickles name, before version 2 and since.
CORE = np.zeros(1).__reduce__()[0].__module__.rpartition(".")[0]
CANARY, SOURCE, OBJECTS, SCRIPT = "canary", "source", "objects.npy", "script.py"


def text(word: str) -> bytes:
    return pickle.BINUNICODE + struct.pack("<I", len(word)) + word.encode()


def name(module: str, attribute: str) -> bytes:
    return text(module) + text(attribute) + pickle.STACK_GLOBAL


def call(module: str, attribute: str, *arguments: bytes) -> bytes:
    """Return the opcodes that call a named thing."""
    return name(module, attribute) + b"(" + b"".join(arguments) + b"tR"


def whole(*parts: bytes) -> bytes:
    return b"\x80\x04" + b"".join(parts) + b"."


class Calls:
    """Pickled, it asks for a function to be called."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def dangerous(folder: Path) -> dict[str, bytes]:
    """Return pickles that make the canary when ``pickle.load`` reads them."""
    canary = str(folder / CANARY)
    touch = f"touch {canary}"
    python = f"open({canary!r}, 'w').close()"
    system = call("builtins", "getattr", call("importlib", "import_module", text("os")),
                  text("system"))  # fmt: skip
    return {
        "os.system": pickle.dumps(Calls(os.system, touch)),
        "os.system, protocol 0": pickle.dumps(Calls(os.system, touch), protocol=0),
        "builtins.eval": pickle.dumps(Calls(eval, python)),
        "builtins.exec": pickle.dumps(Calls(exec, python)),
        "builtins.open": pickle.dumps(Calls(open, canary, "w")),
        "subprocess.call": pickle.dumps(Calls(subprocess.call, ["touch", canary])),
        "nested reductions": whole(system, b"(", text(touch), b"tR"),
        "in a dictionary": pickle.dumps({"conv1.W": Calls(os.system, touch)}),
        "in a key": pickle.dumps({(Calls(os.system, touch),): 1}),
        "after an array": pickle.dumps([np.zeros(2), Calls(os.system, touch)]),
        "as an argument of a scalar": whole(
            call(f"{CORE}.multiarray", "scalar", call("os", "system", text(touch)), text("x"))
        ),
        "in the state of an array": whole(
            call(
                f"{CORE}.multiarray",
                "_reconstruct",
                name("numpy", "ndarray"),
                b"K\x00\x85",
                b"C\x01b",
            ),
            b"(K\x01",
            call("os", "system", text(touch)),
            b"NNNt",
            b"b",
        ),
        "in an object array": pickle.dumps(np.array([Calls(os.system, touch), 1], dtype=object)),
        "numpy.load": whole(call("numpy", "load", text(str(folder / OBJECTS)), b"N", b"\x88")),
        "numpy.savetxt": whole(call("numpy", "savetxt", text(canary), b"]K\x01a")),
        "numpy.save": whole(call("numpy", "save", text(canary[:-4]), b"K\x01")),
        "numpy.memmap": whole(
            call("numpy", "memmap", text(canary), text("uint8"), text("w+"), b"K\x00", b"K\x04")
        ),
        "shutil.copyfile": whole(
            call("shutil", "copyfile", text(str(folder / SOURCE)), text(canary))
        ),
        "pathlib.Path.touch": whole(
            call("pathlib", "Path.touch", call("pathlib", "Path", text(canary)))
        ),
        "logging.FileHandler": whole(call("logging", "FileHandler", text(canary))),
        "runpy.run_path": whole(call("runpy", "run_path", text(str(folder / SCRIPT)))),
        "the old opcode INST": b"(" + text(touch) + b"ios\nsystem\n.",
        "the old opcode OBJ": b"(cos\nsystem\n" + text(touch) + b"o.",
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pickles")
    canary = str(folder / CANARY)
    (folder / SOURCE).write_text("x")
    (folder / SCRIPT).write_text(f"open({canary!r}, 'w').close()")
    objects = np.array([Calls(os.system, f"touch {canary}")], dtype=object)
    np.save(folder / OBJECTS, objects, allow_pickle=True)
    return folder


def made(folder: Path) -> bool:
    """Say whether a canary was made, and remove it."""
    found = [path for path in folder.iterdir() if path.name.startswith(CANARY[:2])]
    for path in found:
        path.unlink()
    return bool(found)


@pytest.mark.parametrize("kind", list(dangerous(Path("unused"))))
def test_dangerous_pickles_are_refused_and_nothing_is_run(kind, folder):
    with pytest.raises(UnsafePickle, match="refused"):
        pickles.loads(dangerous(folder)[kind])
    assert not made(folder)


HARM = """
import json, pickle, sys
from pathlib import Path
folder, harmful = Path(sys.argv[1]), []
for kind, content in pickle.load(sys.stdin.buffer).items():
    try:
        pickle.loads(content)
    except Exception as error:
        pass
    found = [path for path in folder.iterdir() if path.name.startswith("ca")]
    harmful += [kind] * bool(found)
    for path in found:
        path.unlink()
print(json.dumps(harmful))
"""


def test_the_dangerous_pickles_do_harm_where_they_are_trusted(folder):
    """Without this the test above might pass with pickles that do nothing."""
    content = dangerous(folder)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HARM, str(folder)],
        input=pickle.dumps(content),
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout) == list(content)


ARRAY = pickle.dumps(np.arange(3.0))
REFUSED = {
    "ctypes": whole(call("ctypes", "CDLL", b"N")),
    "a ctypes object": pickle.dumps(ctypes.c_int(3)),
    "a class": pickle.dumps(collections.OrderedDict(a=1)),
    "a function": pickle.dumps(os.system),
    "a function of NumPy": pickle.dumps(np.loadtxt),
    "a universal function": pickle.dumps(np.add),
    "a date": pickle.dumps(datetime.date(2020, 1, 1)),
    "a set": pickle.dumps({1}),
    "a frozen set": pickle.dumps(frozenset([1])),
    "a complex number": pickle.dumps(1j),
    "a type by itself": pickle.dumps(np.dtype("f4")),
    "an object array": pickle.dumps(np.array([1, None], dtype=object)),
    "an empty object array": pickle.dumps(np.empty(0, dtype=object)),
    "an array of texts": pickle.dumps(np.array(["a", "b"])),
    "an array of dates": pickle.dumps(np.array(["2020-01-01"], "M8[D]")),
    "an array of records": pickle.dumps(np.zeros(2, dtype=[("a", "f4"), ("b", "O")])),
    "a record array": pickle.dumps(np.rec.array([(1, 2.0)])),
    "a masked array": pickle.dumps(np.ma.array([1, 2], mask=[0, 1])),
    "a matrix": pickle.dumps(np.zeros((2, 2)).view(np.matrix)),
    "complex numbers": pickle.dumps(np.zeros(2, complex)),
    "a random generator": pickle.dumps(np.random.default_rng(0)),
    "ndarray called": whole(call("numpy", "ndarray", b"K\x02\x85")),
    "a stand-in by itself": whole(name("numpy", "dtype")),
    "state for a stand-in": whole(
        name("numpy", "dtype"), b"}", text("_function"), name("numpy", "ndarray"), b"sb"
    ),
    "slots for a stand-in": whole(
        name("numpy", "dtype"), b"N}", text("_function"), name("numpy", "ndarray"), b"s\x86b"
    ),
    "a method of a stand-in": whole(name("numpy", "dtype.__init__.__globals__")),
    "an attribute by path": whole(name("numpy", "ndarray.tofile")),
    "a persistent id": b"Pos.system\n.",
    "a persistent id, binary": whole(text("os.system"), b"Q"),
    "NEWOBJ": whole(name("numpy", "dtype"), text("f4"), b"\x85\x81"),
    "NEWOBJ_EX": whole(name("numpy", "dtype"), text("f4"), b"\x85}\x92"),
    "a buffer outside": b"\x80\x05\x97.",
}


@in_one_test("kind", REFUSED)
def test_all_but_plain_things_and_arrays_of_numbers_is_refused(kind):
    with pytest.raises(UnsafePickle):
        pickles.loads(REFUSED[kind])


@pytest.mark.parametrize("opcode", [b"\x82\xf0", b"\x83\xf0\x00", b"\x84\xf0\x00\x00\x00"])
def test_extension_codes_are_refused_even_if_they_were_used_before(opcode, folder):
    """A registered code that was looked up once is called without asking for its name."""
    attack = whole(opcode + b"(" + text(f"touch {folder / CANARY}") + b"tR")
    copyreg.add_extension("os", "system", 240)
    try:
        assert pickle.loads(whole(opcode)) is os.system
        with pytest.raises(UnsafePickle, match="EXT"):
            pickles.loads(attack)
    finally:
        copyreg.remove_extension("os", "system", 240)
        copyreg._extension_cache.pop(240, None)
    assert not made(folder)


def array_of(shape: bytes, data: bytes) -> bytes:
    dtype = call("numpy", "dtype", text("f8"), b"\x89", b"\x88")
    return whole(call("numpy._core.numeric", "_frombuffer", data, dtype, shape, text("C")))


def doubled(times: int) -> bytes:
    """Return a tuple of two times the same tuple of two times the same …, as a key."""
    parts = [b"\x80\x04}K\x01\x94"]
    parts += [b"h" + bytes([k]) + b"h" + bytes([k]) + b"\x86\x94" for k in range(times)]
    return b"".join([*parts, b"K\x01s."])


def shared_array(times: int) -> bytes:
    """Return arrays of a megabyte that are all made from the same bytes."""
    data = b"B" + struct.pack("<I", 1 << 20) + bytes(1 << 20) + b"\x94"
    dtype = call("numpy", "dtype", text("u1"), b"\x89", b"\x88") + b"\x94"
    kept = b"]\x94(" + data + dtype
    one = name("numpy._core.numeric", "_frombuffer") + b"(h\x01h\x02J\x00\x00\x10\x00\x85"
    return b"\x80\x04" + kept + (one + text("C") + b"tR") * times + b"e."


BOMBS = {
    "tuples two million deep, as a key": b"\x80\x04})" + b"\x85" * 2_000_000 + b"K\x01s.",
    "lists two million deep": b"\x80\x04" + b"]" * 2_000_000 + b"a" * 1_999_999 + b".",
    "marks without end": b"\x80\x04" + b"(" * 2_000_000 + b".",
    "a tuple doubled forty times": doubled(40),
    "a list doubled forty times": b"\x80\x02]q\x00" + b"".join(
        b"](" + (b"h" + bytes([k])) * 2 + b"eq" + bytes([k + 1]) for k in range(40)) + b".",
    "a thousand arrays of the same bytes": shared_array(1000),
    "ten million values": b"\x80\x04](" + b"N" * 10_000_000 + b"e.",
    "a number of a gigabyte": b"\x80\x04\x8b\xff\xff\xff\x3fx.",
    "a text of exabytes": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"x.",
    "a frame of exabytes": b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"N.",
    "keys with one hash": b"\x80\x04}(" + b"".join(
        b"\x8a\x10" + (k * (2**61 - 1)).to_bytes(16, "little") + b"N" for k in range(9)) + b"u.",
    "a name without end": b"\x80\x02c" + b"x" * 1_000_000 + b"\n\n.",
    "a shape of exabytes": array_of(b"\x8a\x07" + bytes(6) + b"\x01K\x00\x86", b"C\x00"),
}  # fmt: skip

LIMITED = """
import pickle, resource, sys, time
from cnnexp.errors import UnsafePickle
from cnnexp.runs import pickles
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, [pages * resource.getpagesize() + (1 << 30)] * 2)
for kind, content in pickle.load(sys.stdin.buffer).items():
    start = time.process_time()
    try:
        pickles.loads(content)
        print(kind, "was read")
    except UnsafePickle:
        pass
    if time.process_time() - start > 5:
        print(kind, "took too long")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs limits of the process")
def test_bombs_are_refused_in_little_time_and_memory():
    """In a process of its own: the first one once ended it, and the fourth never ended."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED],
        input=pickle.dumps(BOMBS),
        capture_output=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_container_is_used_once_and_an_array_as_often_as_one_likes():
    array = np.arange(3.0)
    found = pickles.loads(pickle.dumps({"a": array, "b": array}))
    assert found["a"] is found["b"]
    shared = [1]
    with pytest.raises(UnsafePickle, match="one container twice"):
        pickles.loads(pickle.dumps([shared, shared]))


def test_arrays_whose_axes_are_stored_in_another_order_come_back():
    """As NumPy writes them in protocol 5."""
    array = np.arange(24.0).reshape(2, 3, 4).transpose(1, 2, 0)
    found = pickles.loads(pickle.dumps(array, protocol=5))
    np.testing.assert_array_equal(found, array)


DAMAGED = {
    "empty": b"",
    "no pickle": b"\x89PNG\r\n\x1a\n",
    "cut off": ARRAY[:-20],
    "cut off at its end": ARRAY[:-1],
    "a length of exabytes": b"\x80\x05\x8e" + struct.pack("<Q", 1 << 60) + b"x.",
    "a memo of gigabytes": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "too few bytes": array_of(b"K\x03\x85", b"C\x08" + bytes(8)),
    "a negative size": array_of(b"J\xff\xff\xff\xff\x85", b"C\x08" + bytes(8)),
    "no shape": array_of(b"N", b"C\x08" + bytes(8)),
    "numbers for bytes": array_of(b"K\x01\x85", b"K\x08"),
    "a list that holds itself": b"\x80\x02]q\x00h\x00a.",
    "nesting without end": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_pickles_are_refused(kind):
    with pytest.raises(UnsafePickle, match="the file: "):
        pickles.loads(DAMAGED[kind], "the file")


@pytest.mark.parametrize("protocol", [3, 4, 5])
@in_one_test(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.asfortranarray(np.arange(24.0).reshape(2, 3, 4)),
        np.arange(20)[::3],
        np.zeros((0, 3)),
        np.array(3, dtype=np.int64),
        np.array([True, False]),
        np.arange(4, dtype=">f8"),
        np.arange(4, dtype=np.uint8),
        np.float32(0.1),
        np.array([np.nan, np.inf, -0.0], dtype=np.float16),
    ],
)
def test_arrays_come_back_bit_for_bit(array, protocol):
    found = pickles.loads(pickle.dumps({"W": array}, protocol=protocol))["W"]
    assert (found.shape, found.dtype) == (array.shape, array.dtype)
    assert found.tobytes() == array.tobytes()
    assert found.flags.writeable


def test_plain_things_come_back(tmp_path):
    content = {"a": [1, -2.5, None, True, "ü", b"x", (1 << 80,)], "3": {}, "t": [()]}
    pickles.save(tmp_path / "p", content)
    assert pickles.load(tmp_path / "p") == content


def test_plain_pickle_reads_what_is_written(tmp_path):
    pickles.save(tmp_path / "p", {"conv1.W": np.ones(3)})
    with open(tmp_path / "p", "rb") as file:
        found = pickle.load(file)
    assert list(found) == ["conv1.W"]
    assert isinstance(found["conv1.W"], np.ndarray)


def test_what_is_written_names_only_what_older_numpys_have_too(tmp_path):
    """The function that protocol 5 uses for arrays came with NumPy 2."""
    pickles.save(tmp_path / "a.pkl", {"W": np.eye(3)})
    content = (tmp_path / "a.pkl").read_bytes()
    assert content[:2] == b"\x80\x04"
    assert b"_frombuffer" not in content


def test_the_message_names_the_file_and_what_was_asked_for(tmp_path):
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps(Calls(os.system, "true")))
    expected = (
        f"{path}: refused, because it asks for {os.system.__module__}.system. Only NumPy arrays of"
        " numbers and plain containers are loaded; nothing of it was run."
    )
    with pytest.raises(UnsafePickle) as caught:
        pickles.load(path)
    assert str(caught.value) == expected


def test_the_module_names_of_older_numpys_are_known():
    new = pickle.dumps(np.arange(3.0), protocol=3)
    assert f"{CORE}.multiarray".encode() in new
    for core in (b"numpy.core", b"numpy._core"):
        other = new.replace(CORE.encode(), core)
        np.testing.assert_array_equal(pickles.loads(other), np.arange(3.0))
