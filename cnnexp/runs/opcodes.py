"""A reader of pickles that knows only what a run writes.

A pickle is a program for a machine with a stack and a memo. Of its 68 opcodes a run's files need
some thirty. They push plain values, fill lists and dictionaries, and put arrays together; nothing
else is done, and what a file names is looked up in a table of five names and never imported.

What bounds the work, so that a small file cannot ask for much:

- A declared length never exceeds what is left of the file, and the bytes of all arrays together
  never exceed the file.
- A container is used once. The memo gives back texts and arrays, never containers, so nothing can
  be doubled again and again, or hold itself.
- Keys are texts: hashing one takes no longer than reading it.
- `MAX_VALUES` bounds the values that are pushed, `MAX_DEPTH` how deeply containers are nested.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Sequence
from types import NoneType
from typing import Any

import numpy as np

from cnnexp.errors import UnsafePickle
from cnnexp.runs.pickled_arrays import NAMES, Dtype, Name, Unbuilt, make_array

MAX_VALUES = 2_000_000  # a checkpoint has about 15 for each epoch
MAX_DEPTH = 16  # a checkpoint has 4
MAX_STACK = MAX_DEPTH * 2100  # containers are filled in batches of 1000 keys with their values
MAX_NAME = 100  # characters of the name of a module or a function
USED = object()  # what the memo has of a container
PLAIN = (NoneType, bool, int, float, str, bytes, np.ndarray)


class Container:
    """A list, dictionary or tuple while the reader has it on its stack.

    Attributes
    ----------
    value : list, dict or tuple
        What it is.
    depth : int
        How many containers are nested in it, itself included.
    plain : bool
        Whether it may be part of the result; arguments of a call need not be.
    """

    __slots__ = ("depth", "plain", "value")

    def __init__(self, value: Any, depth: int = 1, plain: bool = True) -> None:
        self.value, self.depth, self.plain = value, depth, plain


class Reader:
    """Reads one pickle.

    Parameters
    ----------
    content : bytes
        The whole file.
    """

    def __init__(self, content: bytes) -> None:
        self.content, self.at = memoryview(content), 0
        self.stack: list[Any] = []
        self.marks: list[int] = []  # heights of the stack
        self.memo: list[Any] = []
        self.pushed = self.array_bytes = 0

    def read(self) -> Any:
        """Return what the pickle holds.

        Raises
        ------
        UnsafePickle
            If it holds, names or does anything that a run does not write.
        """
        if bytes(self.take(1)) != pickle.PROTO or not 2 <= self.number("B") <= 5:
            raise UnsafePickle("refused, because it is no pickle as a run writes it.")
        while (code := bytes(self.take(1))) != pickle.STOP:
            operation = OPERATIONS.get(code)
            if operation is None:
                raise UnsafePickle(
                    f"refused, because it uses {_name_of(code)}, which no run writes. It is"
                    " damaged, or not from a run."
                )
            operation(self)
        if len(self.stack) != 1 or self.marks or self.at != len(self.content):
            raise UnsafePickle("not a whole pickle: its end is not where it should be.")
        return _finished(self.stack.pop())[0]

    def take(self, size: int) -> memoryview:
        """Return the next bytes."""
        if size > len(self.content) - self.at:
            raise UnsafePickle("not a whole pickle: it is cut off.")
        self.at += size
        return self.content[self.at - size : self.at]

    def number(self, form: str) -> int:
        """Return the next number of a form of `struct`."""
        found: int = struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))[0]
        return found

    def line(self) -> str:
        """Return the next line of text."""
        rest = bytes(self.content[self.at : self.at + MAX_NAME + 1])
        size = rest.find(b"\n")
        if size < 0:
            raise UnsafePickle("refused, because it has a name that is too long.")
        return bytes(self.take(size + 1)[:-1]).decode()

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self.pushed += 1
        if self.pushed > MAX_VALUES or len(self.stack) > MAX_STACK:
            raise UnsafePickle(f"refused, because it has more than {MAX_VALUES:,} values.")
        self.stack.append(value)

    def push_made(self, value: Any) -> None:
        """Put on the stack what was made from bytes of the file; a few must not make many."""
        if isinstance(value, np.ndarray):
            self.array_bytes += value.nbytes
            if self.array_bytes > len(self.content):
                raise UnsafePickle("refused, because its arrays are larger than itself.")
        self.push(value)

    def pop(self) -> Any:
        """Take the top of the stack, which must lie above the last mark."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise UnsafePickle("not a whole pickle: a value is missing.")
        return self.stack.pop()

    def pop_marked(self) -> list[Any]:
        """Take everything above the last mark, and the mark."""
        if not self.marks:
            raise UnsafePickle("not a whole pickle: a mark is missing.")
        at = self.marks.pop()
        found = self.stack[at:]
        del self.stack[at:]
        return found

    def top(self, kind: type | tuple[type, ...]) -> Any:
        """Return the top of the stack, which must be of a kind."""
        value = self.pop()
        if not isinstance(value, kind):
            raise UnsafePickle("refused, because it would change something that it may not.")
        self.stack.append(value)
        return value

    def container(self, kind: type) -> Container:
        """Return the list or the dictionary on top of the stack."""
        found: Container = self.top(Container)
        if not isinstance(found.value, kind):
            raise UnsafePickle("not a whole pickle: a value is added to what holds none.")
        return found


def _name_of(code: bytes) -> str:
    """Return the name of an opcode."""
    import pickletools  # needed by a message alone

    known = {opcode.code: opcode.name for opcode in pickletools.opcodes}
    return known.get(code.decode("latin-1"), f"the unknown opcode {code!r}")


def _finished(value: Any) -> tuple[Any, int]:
    """Return a value as it is in the result, and its depth.

    Raises
    ------
    UnsafePickle
        If it is not plain.
    """
    if isinstance(value, Container) and value.plain:
        return value.value, value.depth
    if isinstance(value, memoryview):
        return bytes(value), 0
    if isinstance(value, PLAIN):
        return value, 0
    kind = {Name: "a function or a type", Dtype: "an array type by itself"}
    raise UnsafePickle(f"refused, because it holds {kind.get(type(value), 'something unfinished')}")


def _deeper(depths: Sequence[int], depth: int = 1) -> int:
    """Return the depth of a container with values of some depths."""
    deepest = max([depth, *(inner + 1 for inner in depths)])
    if deepest > MAX_DEPTH:
        raise UnsafePickle(f"refused, because it is nested more than {MAX_DEPTH} deep.")
    return deepest


def _add(container: Container, values: Sequence[Any]) -> None:
    """Append values to a list."""
    found = [_finished(value) for value in values]
    container.value.extend(value for value, _ in found)
    container.depth = _deeper([depth for _, depth in found], container.depth)


def _set(container: Container, items: Sequence[Any]) -> None:
    """Enter keys and values, one after the other, into a dictionary."""
    keys, found = items[::2], [_finished(value) for value in items[1::2]]
    if len(keys) != len(found):
        raise UnsafePickle("not a whole pickle: a key has no value.")
    if not all(isinstance(key, str) for key in keys):
        raise UnsafePickle("refused, because a key is no text.")
    container.value.update(zip(keys, (value for value, _ in found), strict=True))
    container.depth = _deeper([depth for _, depth in found], container.depth)


def _tuple(reader: Reader, values: Sequence[Any]) -> None:
    """Push a tuple; one that is not plain can only be the arguments of a call, or a state."""
    plain = not any(isinstance(v, (Name, Dtype, Unbuilt, memoryview)) for v in values)
    plain = plain and all(v.plain for v in values if isinstance(v, Container))
    if not plain:
        reader.push(Container(tuple(values), plain=False))
        return
    found = [_finished(value) for value in values]
    depth = _deeper([depth for _, depth in found])
    reader.push(Container(tuple(value for value, _ in found), depth))


def _memoize(reader: Reader) -> None:
    """Keep the top of the stack; of a container nothing is kept, since it is used once."""
    value = reader.top(object)
    if isinstance(value, Unbuilt):
        value.places.append(len(reader.memo))
    reader.memo.append(USED if isinstance(value, Container) else value)


def _put(reader: Reader, form: str) -> None:
    if reader.number(form) != len(reader.memo):
        raise UnsafePickle("refused, because its memo is out of order.")
    _memoize(reader)


def _get(reader: Reader, form: str) -> None:
    """Push what was kept, unless it is a container."""
    place = reader.number(form)
    if place >= len(reader.memo):
        raise UnsafePickle("not a whole pickle: it refers to a value that is not there.")
    value = reader.memo[place]
    if value is USED or isinstance(value, Unbuilt):
        raise UnsafePickle("refused, because it uses one container twice.")
    reader.push(value)


def _lookup(reader: Reader, module: Any, name: Any) -> None:
    """Push what a name stands for."""
    found = NAMES.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None
    if found is None:
        asked = f"{str(module)[:MAX_NAME]}.{str(name)[:MAX_NAME]}"
        raise UnsafePickle(
            f"refused, because it asks for {asked}. Only NumPy arrays of numbers and plain"
            " containers are loaded; nothing of it was run."
        )
    reader.push(found)


def _stack_global(reader: Reader) -> None:
    name, module = reader.pop(), reader.pop()
    _lookup(reader, module, name)


def _reduce(reader: Reader) -> None:
    """Call what the table knows."""
    arguments, function = reader.pop(), reader.pop()
    if not isinstance(function, Name) or not isinstance(arguments, Container):
        raise UnsafePickle("refused, because it calls what is no function of arrays.")
    if not isinstance(arguments.value, tuple) or len(arguments.value) > 8:
        raise UnsafePickle("refused, because it calls a function with other arguments.")
    reader.push_made(function.call(*arguments.value))


def _build(reader: Reader) -> None:
    """Give an array type its byte order, or an array its contents."""
    state = reader.pop()
    if not isinstance(state, Container) or not isinstance(state.value, tuple):
        raise UnsafePickle("refused, because a state is no tuple.")
    target = reader.top((Dtype, Unbuilt))
    if isinstance(target, Dtype):
        target.build(state.value)
        return
    if len(state.value) != 5:
        raise UnsafePickle("refused, because the state of an array is not of five parts.")
    _, shape, dtype, fortran, data = state.value
    reader.stack.pop()
    reader.push_made(make_array(data, dtype, shape, "F" if fortran else "C"))
    for place in target.places:
        reader.memo[place] = reader.stack[-1]


def _text(reader: Reader, form: str) -> None:
    reader.push(str(reader.take(reader.number(form)), "utf-8"))


def _bytes(reader: Reader, form: str) -> None:
    reader.push(reader.take(reader.number(form)))


def _long(reader: Reader) -> None:
    reader.push(int.from_bytes(reader.take(reader.number("B")), "little", signed=True))


def _frame(reader: Reader) -> None:
    """Check a frame's length; frames are for reading from a slow file, and mean nothing here."""
    if reader.number("Q") > len(reader.content) - reader.at:
        raise UnsafePickle("not a whole pickle: it is cut off.")


def _append(reader: Reader) -> None:
    value = reader.pop()
    _add(reader.container(list), [value])


def _appends(reader: Reader) -> None:
    values = reader.pop_marked()
    _add(reader.container(list), values)


def _setitem(reader: Reader) -> None:
    value, key = reader.pop(), reader.pop()
    _set(reader.container(dict), [key, value])


def _setitems(reader: Reader) -> None:
    items = reader.pop_marked()
    _set(reader.container(dict), items)


def _small_tuple(reader: Reader, size: int) -> None:
    _tuple(reader, [reader.pop() for _ in range(size)][::-1])


def _mark(reader: Reader) -> None:
    if len(reader.marks) > MAX_DEPTH:
        raise UnsafePickle(f"refused, because it is nested more than {MAX_DEPTH} deep.")
    reader.marks.append(len(reader.stack))


OPERATIONS: dict[bytes, Callable[[Reader], None]] = {
    pickle.FRAME: _frame,
    pickle.MARK: _mark,
    pickle.MEMOIZE: _memoize,
    pickle.BINPUT: lambda reader: _put(reader, "B"),
    pickle.LONG_BINPUT: lambda reader: _put(reader, "I"),
    pickle.BINGET: lambda reader: _get(reader, "B"),
    pickle.LONG_BINGET: lambda reader: _get(reader, "I"),
    pickle.NONE: lambda reader: reader.push(None),
    pickle.NEWTRUE: lambda reader: reader.push(True),
    pickle.NEWFALSE: lambda reader: reader.push(False),
    pickle.BININT: lambda reader: reader.push(reader.number("i")),
    pickle.BININT1: lambda reader: reader.push(reader.number("B")),
    pickle.BININT2: lambda reader: reader.push(reader.number("H")),
    pickle.LONG1: _long,
    pickle.BINFLOAT: lambda reader: reader.push(struct.unpack(">d", reader.take(8))[0]),
    pickle.BINUNICODE: lambda reader: _text(reader, "I"),
    pickle.SHORT_BINUNICODE: lambda reader: _text(reader, "B"),
    pickle.BINUNICODE8: lambda reader: _text(reader, "Q"),
    pickle.BINBYTES: lambda reader: _bytes(reader, "I"),
    pickle.SHORT_BINBYTES: lambda reader: _bytes(reader, "B"),
    pickle.BINBYTES8: lambda reader: _bytes(reader, "Q"),
    pickle.BYTEARRAY8: lambda reader: _bytes(reader, "Q"),
    pickle.EMPTY_LIST: lambda reader: reader.push(Container([])),
    pickle.APPEND: _append,
    pickle.APPENDS: _appends,
    pickle.EMPTY_TUPLE: lambda reader: reader.push(Container(())),
    pickle.TUPLE: lambda reader: _tuple(reader, reader.pop_marked()),
    pickle.TUPLE1: lambda reader: _small_tuple(reader, 1),
    pickle.TUPLE2: lambda reader: _small_tuple(reader, 2),
    pickle.TUPLE3: lambda reader: _small_tuple(reader, 3),
    pickle.EMPTY_DICT: lambda reader: reader.push(Container({})),
    pickle.SETITEM: _setitem,
    pickle.SETITEMS: _setitems,
    pickle.GLOBAL: lambda reader: _lookup(reader, reader.line(), reader.line()),
    pickle.STACK_GLOBAL: _stack_global,
    pickle.REDUCE: _reduce,
    pickle.BUILD: _build,
}
