"""Bounds of the readers and writers of a run: the last value that is taken, and the next."""

import pickle
import zipfile
from typing import NotRequired, TypedDict

import numpy as np
import pytest

from cnnexp.errors import RunError, UnsafePickle
from cnnexp.runs import archives, checksums, code, files, finding, forms, opcodes, trust
from cnnexp.runs.finding import _number_first, find_runs, flatten, refuse_folder_of_runs
from cnnexp.runs.foreign_text import json_of
from cnnexp.runs.histograms import rows_of
from cnnexp.runs.opcodes import Reader
from cnnexp.runs.pickled_arrays import NAMES, Dtype, make_array
from cnnexp.runs.reading import _is_a_path
from cnnexp.runs.record import read_record
from cnnexp.runs.version1 import translate_record

END = pickle.STOP


def read(*parts):
    return Reader(pickle.PROTO + b"\x04" + b"".join(parts) + END).read()


def nested(depth):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_as_deep_as_allowed_and_one_deeper():
    deepest = nested(opcodes.MAX_DEPTH)
    assert Reader(pickle.dumps(deepest, 4)).read() == deepest
    with pytest.raises(UnsafePickle, match="nested more than 16 deep"):
        Reader(pickle.dumps(nested(opcodes.MAX_DEPTH + 1), 4)).read()


@pytest.mark.parametrize("kind", [tuple, list, "dict"])
def test_every_container_counts_as_a_level(kind):
    value = 1
    for _ in range(opcodes.MAX_DEPTH):
        value = {"k": value} if kind == "dict" else kind([value])
    assert Reader(pickle.dumps(value, 4)).read() == value
    with pytest.raises(UnsafePickle, match="deep"):
        Reader(pickle.dumps([value], 4)).read()


def test_as_many_values_as_allowed_and_one_more(monkeypatch):
    monkeypatch.setattr(opcodes, "MAX_VALUES", 4)
    assert read(pickle.EMPTY_LIST, *[pickle.NONE + pickle.APPEND] * 3) == [None] * 3
    with pytest.raises(UnsafePickle, match="more than 4 values"):
        read(pickle.EMPTY_LIST, *[pickle.NONE + pickle.APPEND] * 4)


def test_as_high_a_stack_as_allowed_and_one_higher(monkeypatch):
    monkeypatch.setattr(opcodes, "MAX_STACK", 3)
    four = pickle.MARK + pickle.NONE * 4 + pickle.TUPLE
    assert read(four) == (None,) * 4
    with pytest.raises(UnsafePickle, match="values"):
        read(pickle.MARK + pickle.NONE * 5 + pickle.TUPLE)


def test_a_name_as_long_as_allowed_and_one_letter_longer():
    for size, message in ((opcodes.MAX_NAME, "asks for"), (opcodes.MAX_NAME + 1, "too long")):
        with pytest.raises(UnsafePickle, match=message):
            read(pickle.GLOBAL + b"m" * size + b"\n" + b"n\n")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_protocols_that_are_read(protocol):
    assert Reader(pickle.PROTO + bytes([protocol]) + pickle.NONE + END).read() is None


@pytest.mark.parametrize("protocol", [0, 1, 6])
def test_protocols_that_are_not(protocol):
    with pytest.raises(UnsafePickle, match="no pickle as a run writes it"):
        Reader(pickle.PROTO + bytes([protocol]) + pickle.NONE + END).read()


def test_arrays_may_be_as_large_as_their_file_together():
    content = bytes(40)
    reader = Reader(content)
    reader.push_made(np.zeros(5))
    with pytest.raises(UnsafePickle, match="larger than itself"):
        reader.push_made(np.zeros(1, np.int8))


def test_a_frame_may_reach_to_the_end_and_no_further():
    rest = pickle.NONE + END
    for size in (len(rest), len(rest) + 1):
        content = pickle.PROTO + b"\x04" + pickle.FRAME + size.to_bytes(8, "little") + rest
        if size == len(rest):
            assert Reader(content).read() is None
        else:
            with pytest.raises(UnsafePickle, match="cut off"):
                Reader(content).read()


@pytest.mark.parametrize(
    "state", [(3, "<", None, None), (3, "<", 1, None, None), (3, "<", None, 1, None),
              (3, "<", None, None, 1)]
)  # fmt: skip
def test_an_array_type_has_a_byte_order_and_nothing_else(state):
    with pytest.raises(UnsafePickle, match="with fields"):
        Dtype("f4").build(state)
    kind = Dtype("f4")
    kind.build((3, ">", None, None, None, -1, -1, 0))
    assert kind.real() == np.dtype(">f4")
    with pytest.raises(UnsafePickle, match="with fields"):
        kind.build((3, "<", None, None, None))  # a second time


def test_shapes_of_arrays():
    nothing = memoryview(b"")
    for shape, message in (
        ((1 << 48,), "a size that cannot be"),
        ((-1,), "a size that cannot be"),
        ((True,), "a size that cannot be"),
        ((0,) * 33, "no tuple of sizes"),
        (((1 << 48) - 1,), "does not have 0 bytes"),
    ):
        with pytest.raises(UnsafePickle, match=message):
            make_array(nothing, Dtype("f4"), shape, "C")
    assert make_array(nothing, Dtype("f4"), (0,) * 32, "C").shape == (0,) * 32
    with pytest.raises(UnsafePickle, match="truth values"):
        make_array(memoryview(b"\x01\x02"), Dtype("b1"), (2,), "C")
    assert make_array(memoryview(b"\x01\x00"), Dtype("b1"), (2,), "C").tolist() == [True, False]


def test_a_call_may_have_eight_arguments():
    calls = []
    name = type(NAMES["numpy", "dtype"])(lambda *given: calls.append(given) or 0)
    for count in (8, 9):
        reader = Reader(b"")
        reader.stack = [name, opcodes.Container((0,) * count)]
        if count == 8:
            opcodes._reduce(reader)
        else:
            with pytest.raises(UnsafePickle, match="other arguments"):
                opcodes._reduce(reader)
    assert calls == [(0,) * 8]


def test_a_module_of_the_most_bytes_is_kept_and_a_larger_one_is_not(tmp_path):
    sources = []
    for name, size in (("fits", code.LARGEST_COPY), ("larger", code.LARGEST_COPY + 1)):
        (tmp_path / f"{name}.py").write_bytes(b"#" * size)
        sources.append({"name": name, "path": str(tmp_path / f"{name}.py")})
    run = tmp_path / "run"
    run.mkdir()
    code.keep(run, "", sources)
    assert [path.name for path in (run / code.FOLDER).iterdir()] == ["fits.py"]


@pytest.mark.parametrize(("value", "low", "high"), [(5.0, 2.5, 7.5), (0.0, -0.5, 0.5)])
def test_intervals_around_a_single_value_are_as_wide_as_it_or_one(value, low, high):
    ((_, _, *found, _),) = rows_of(1, {"b": np.array([value, value])})
    assert found == [low, high]


@pytest.mark.parametrize("name", ["epochs.csv", ".hydra/config.yaml"])
def test_a_link_among_what_a_run_writes_is_refused(name, tmp_path):
    (tmp_path / ".hydra").mkdir()
    files.refuse_links(tmp_path)
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="is a symbolic link"):
        files.refuse_links(tmp_path)


def test_bytes_have_no_depth():
    deepest = b"x"
    for _ in range(opcodes.MAX_DEPTH):
        deepest = [deepest]
    assert Reader(pickle.dumps(deepest, 4)).read() == deepest


def test_as_many_open_marks_as_allowed_and_one_more():
    for count in (opcodes.MAX_DEPTH + 1, opcodes.MAX_DEPTH + 2):
        reader = Reader(b"")
        for _ in range(opcodes.MAX_DEPTH + 1):
            opcodes._mark(reader)
        if count > opcodes.MAX_DEPTH + 1:
            with pytest.raises(UnsafePickle, match="deep"):
                opcodes._mark(reader)


@pytest.mark.parametrize("number", [-(1 << 40), (1 << 40), -1, -129])
def test_whole_numbers_have_their_sign(number):
    assert Reader(pickle.dumps(number, 4)).read() == number


def test_nothing_is_read_beyond_the_end():
    reader = Reader(bytes(10))
    reader.take(6)
    with pytest.raises(UnsafePickle, match="cut off"):
        reader.take(5)
    assert len(reader.take(4)) == 4


def test_an_empty_name_is_none_that_is_known():
    with pytest.raises(UnsafePickle, match="asks for"):
        read(pickle.GLOBAL + b"\n" + b"n\n")


@pytest.mark.parametrize("kind", ["O8", "V8", "U4", "M8", 8, None, ("f4",)])
def test_types_of_arrays_that_are_no_numbers(kind):
    with pytest.raises(UnsafePickle, match="numbers only"):
        NAMES["numpy", "dtype"].call(kind, False, True)


def test_a_log_that_is_a_link_is_refused_by_its_name(tmp_path):
    (tmp_path / "log").symlink_to(tmp_path / "elsewhere")
    for write in (files.open_to_append, lambda path: files.replace_file(path, b"")):
        with pytest.raises(RunError, match="is a symbolic link"):
            write(tmp_path / "log")


def test_a_name_in_an_archive_has_a_bound(tmp_path):
    for name, fits in (("a/" * 49 + "x", True), ("a/" * 50 + "x", False), ("n" * 1001, False)):
        info = zipfile.ZipInfo(name)
        assert (archives.fault_of(info) == "") is fits


@pytest.mark.parametrize("name", ["²", "9" * 5000])
def test_a_folder_of_an_odd_number_is_no_job(name, tmp_path):
    assert _number_first(name) == (-1, name)


def test_numbers_of_a_record_are_those_that_a_float_holds():
    form = {"a": forms.Number()}
    assert forms.fault_of({"a": 10**299}, form) == ""
    assert forms.fault_of({"a": 10**300}, form) == "a is too large a number"
    assert forms.fault_of({"a": -(10**300)}, form) == "a is too large a number"
    assert "must be a number" in forms.fault_of({"a": True}, form)


def test_nested_settings_are_rows_of_dotted_paths():
    row = {}
    layers = [{"type": "dense", "units": 5}, {"type": "relu"}]
    flatten({"model": {"name": "flat", "layers": layers}, "name": "mine", "tags": ["a"]}, "", row)
    assert row == {
        "model.layers.0.type": "dense",
        "model.layers.0.units": 5,
        "model.layers.1.type": "relu",
        "name": "mine",
        "tags": ["a"],
    }


def test_json_has_letters_as_they_are_and_no_control_characters():
    assert json_of({"a": "é\x9b\x1b"}) == '{\n "a": "é\\u009b\\u001b"\n}'


def test_a_signature_is_a_text_and_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv(trust.VARIABLE, str(tmp_path / "config"))
    assert not trust.is_signed(["a"], "hmac-sha256:0")  # there is no key
    signature = trust.sign_words(["a"])
    assert trust.is_signed(["a"], signature)
    for words, other in ((["b"], signature), (["a"], None), (["a"], 5), (["a"], "\ud800")):
        assert not trust.is_signed(words, other)


def test_a_run_of_the_first_version_has_one_micro_batch():
    found = translate_record({"config": {"impl": {"name": "sg"}}, "network": {"micro_batch": 8}})
    assert found["config"]["impl"]["inference_micro_batch"] == "auto"
    assert found["config"]["impl"]["fuse"] is True
    assert found["network"]["inference_micro_batch"] == 8


def test_links_to_folders_of_runs_are_not_followed(tmp_path):
    (tmp_path / "real" / "0").mkdir(parents=True)
    (tmp_path / "real" / "0" / "run.json").write_text("{}")
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    assert len(list(find_runs(tmp_path))) == 1


def test_a_record_has_a_largest_size(tmp_path):
    with (tmp_path / "run.json").open("wb") as file:
        file.truncate((1 << 26) + 1)
    with pytest.raises(RunError, match="are read"):
        read_record(tmp_path)


def test_a_log_has_a_smaller_bound_than_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(checksums, "LARGEST_TEXT", 4)
    for name in ("weights.pkl", "epochs.csv"):
        (tmp_path / name).write_bytes(b"12345")
    assert checksums.read_checked(tmp_path, "weights.pkl") == b"12345"
    with pytest.raises(RunError, match="are read"):
        checksums.read_checked(tmp_path, "epochs.csv")


def test_a_type_of_numbers_has_a_state_of_five_parts_or_more():
    kind = Dtype("f4")
    kind.build((3, "<", None, None, None))
    assert kind.real() == np.dtype("<f4")
    with pytest.raises(UnsafePickle, match="fields"):
        Dtype("f4").build((3, "<", None, None))


@pytest.mark.parametrize("name", ["dense1", "../a.b", "a\\b.c", "a.\x1b"])
def test_what_is_no_name_of_a_parameter(name):
    assert _is_a_path("dense1.b") and not _is_a_path(name)


def test_a_folder_of_runs_is_told_apart_from_a_run(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text("{}")
    refuse_folder_of_runs(tmp_path / "a")
    with pytest.raises(RunError, match="it holds 2, for example"):
        refuse_folder_of_runs(tmp_path)


def test_a_folder_that_cannot_be_listed_does_not_hide_the_others(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text("{}")
    real = finding.entries_of

    def entries(folder):
        if folder == str(tmp_path / "a"):
            raise PermissionError(13, "Permission denied", folder)
        return real(folder)

    monkeypatch.setattr(finding, "entries_of", entries)
    assert list(find_runs(tmp_path)) == [str(tmp_path / "a"), str(tmp_path / "b")]


def test_sixty_characters_of_a_wrong_value_are_shown():
    assert forms._must("a", "short", "x" * 100).endswith("'" + "x" * 59)
    assert forms._must("a", "short", "y" * 58).endswith("is '" + "y" * 58 + "'")


def test_a_key_that_may_be_absent_is_one():
    class Entry(TypedDict):
        name: str
        more: NotRequired[int]

    assert [isinstance(form, forms.Maybe) for form in forms.form_of(Entry).values()] == [
        False,
        True,
    ]
