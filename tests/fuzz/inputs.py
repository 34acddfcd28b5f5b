"""Damaged and hostile inputs, made from seeds: bytes, JSON, pickles, programs of opcodes, texts."""

from __future__ import annotations

import copy
import json
import pickle
import random
from collections.abc import Iterator, Sequence
from typing import Any

ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    float("nan"),
    float("inf"),
    10**30,
    -(10**400),
    "",
    "x" * 3000,
    "\x1b[2J\x07\u202e",
    "../../etc/passwd",
    "9" * 400,
    [],
    {},
    [[[[]]]],
    [None],
    {"name": "x"},
    {"": {"": {"": 3}}},
    [1, "a", {}],
]
OPCODES = b"".join(
    [
        pickle.EMPTY_DICT,
        pickle.EMPTY_LIST,
        pickle.EMPTY_TUPLE,
        pickle.MARK,
        pickle.TUPLE,
        pickle.TUPLE1,
        pickle.TUPLE2,
        pickle.TUPLE3,
        pickle.APPEND,
        pickle.APPENDS,
        pickle.SETITEM,
        pickle.SETITEMS,
        pickle.MEMOIZE,
        pickle.REDUCE,
        pickle.BUILD,
        pickle.STACK_GLOBAL,
        pickle.NONE,
        pickle.NEWTRUE,
    ]
)
NUMBERS = (b"\xff", b"\0", b"9", b"[", b",", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80")


def damaged(content: bytes, rng: random.Random, words: Sequence[bytes] = ()) -> bytes:
    """Return bytes with one or a few faults: flipped bits, parts lost, doubled or put in.

    `words` are texts that mean something to the reader; they are put in too.
    """
    found = bytearray(content)
    flips_alone = rng.random() < 0.2
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(found) + 1)
        part = slice(at, at + rng.choice((1, 4, 60, 1000)))
        kind = 0 if flips_alone else rng.randrange(7 if words else 5)
        if kind == 0 and at < len(found):
            found[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del found[part]
        elif kind == 2:
            found[at:at] = found[part]
        elif kind == 3:
            found[at:at] = rng.randbytes(rng.choice((1, 4, 40)))
        elif kind < 5:
            found[part] = rng.choice(NUMBERS) * rng.choice((1, 30))
        else:
            found[at : at + rng.choice((0, 1, 4))] = rng.choice(words)
    return bytes(found)


def joined(contents: Sequence[bytes], rng: random.Random) -> bytes:
    """Return the beginning of one content and the end of another."""
    first, second = rng.choice(contents), rng.choice(contents)
    return first[: rng.randrange(len(first) + 1)] + second[rng.randrange(len(second) + 1) :]


def programs(rng: random.Random) -> bytes:
    """Return random opcodes that a run writes, in an order that it does not."""
    parts = (
        lambda: bytes([rng.choice(OPCODES)]),
        lambda: b"h" + bytes([rng.randrange(8)]),
        lambda: b"K" + rng.randbytes(1),
        lambda: b"\x8c\x01" + rng.choice((b"a", b"b")),
        lambda: b"C\x04abcd",
        lambda: b"\x8c\x05numpy\x8c\x07ndarray\x93",
        lambda: b"\x8c\x05numpy\x8c\x05dtype\x93\x8c\x02f4\x85R",
        lambda: b"\x8c\x16numpy._core.multiarray\x8c\x0c_reconstruct\x93",
        lambda: b"\x8c\x13numpy._core.numeric\x8c\x0b_frombuffer\x93",
    )
    made = [rng.choice(parts)() for _ in range(rng.randrange(1, 60))]
    return b"".join([b"\x80\x04", *made, b"."])


def changed(content: bytes, rng: random.Random) -> bytes:
    """Return JSON in which one value is another, absent, or nested very deeply."""
    whole = json.loads(content)
    holder, key = rng.choice(list(places(whole)))
    kind = rng.randrange(8)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        holder["more"] = holder[key]
    else:
        holder[key] = copy.deepcopy(rng.choice(ODD))
    text = json.dumps(whole)
    if kind == 2:
        depth = rng.choice((60, 900, 2_000) if rng.randrange(100) else (200_000,))
        text = json.dumps(whole | {"results": "@"}).replace('"@"', "[" * depth + "]" * depth)
    return text.encode()


def changed_pickle(content: bytes, rng: random.Random, odd: Sequence[Any] = ()) -> bytes:
    """Return a pickle of plain values and arrays in which one value is another."""
    saved = pickle.loads(content)
    holder, key = rng.choice(list(places(saved)))
    holder[key] = copy.deepcopy(rng.choice([*ODD, *odd]))
    return pickle.dumps(saved, protocol=rng.choice((2, 4, 4, 5)))


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every object with each of its keys."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield value, key
            yield from places(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from places(inner)
