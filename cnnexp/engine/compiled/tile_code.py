"""Instructions for the operations on tiles: what `tiles` says in Python, said to the compiler.

A tile is an array of vectors for LLVM, which keeps each of them in a register. Every operation has
a function here, its name with an underscore before it: it gets the values as LLVM sees them, and
makes the rows of the result one after the other, as their number is known when a kernel is
compiled.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic, models, register_model

from cnnexp.engine.compiled.registers import lanes

WORD, BIT = ir.IntType(64), ir.IntType(1)
CODE: dict[str, tuple[Callable[[Any], Any], Callable[..., Any]]] = {}


class Tile(types.Type):
    """Numba's type of a tile: the type of its numbers, how many rows, and samples of each."""

    def __init__(self, of: Any, rows: int, samples: int) -> None:
        self.of, self.rows, self.samples = of, rows, samples
        super().__init__(f"Tile({of}, {rows}, {samples})")


@register_model(Tile)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Tile) -> None:
        one = BIT if kind.of == types.boolean else manager.lookup(kind.of).get_value_type()
        super().__init__(manager, kind, ir.ArrayType(ir.VectorType(one, kind.samples), kind.rows))


def _whole_number(array: Any) -> Any:
    """Return the type of whole numbers as wide as the numbers of an array."""
    return types.int32 if array.dtype.bitwidth == 32 else types.int64


# The type of a result, given its rows and the types of the arguments:


def _new(rows: int, array: Any, *_others: Any) -> Any:
    return Tile(array.dtype, rows, lanes(array.dtype.bitwidth // 8))


def _new_whole(rows: int, array: Any, *_others: Any) -> Any:
    return Tile(_whole_number(array), rows, lanes(array.dtype.bitwidth // 8))


def _question(_rows: int, tile: Any, *_others: Any) -> Any:
    return Tile(types.boolean, tile.rows, tile.samples)


def _as_first(_rows: int, tile: Any, *_others: Any) -> Any:
    return tile


def _as_last(_rows: int, *arguments: Any) -> Any:
    return arguments[-1]


def _nothing(*_arguments: Any) -> Any:
    return types.none


def code(result: Callable[..., Any]) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Return a decorator for what makes the instructions of an operation with such a result."""

    def enter(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
        CODE[make.__name__[1:]] = make, result
        return make

    return enter


def type_of(function: Callable[..., Any], constants: tuple[int, ...]) -> Any:
    """Return Numba's type of an operation, given what says in Python what it does."""
    make, result = CODE[function.__name__]
    rows = constants[0] if constants else 0

    def typed(_context, *arguments):
        def instructions(context, builder, signature, values):
            return make(Values(context, builder, signature, values))

        return result(rows, *arguments)(*arguments), instructions

    # Numba asks for the names of arguments, the first of which is a context of its own.
    names = list(inspect.signature(function).parameters.values())[len(constants) :]
    first = inspect.Parameter("_context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    typed.__signature__ = inspect.Signature([first, *names])  # type: ignore[attr-defined]
    made = intrinsic(typed)
    _made.append(made)
    cpu_target.typing_context.refresh()
    return cpu_target.typing_context.resolve_value_type(made)


_made: list[Any] = []  # Numba refers to them weakly


class Values:
    """The values of a call, and what makes instructions.

    Arguments are named by their position, and rows of tiles by their number.
    """

    def __init__(self, context: Any, builder: Any, signature: Any, values: Any) -> None:
        self.context, self.builder, self.values = context, builder, values
        self.types, self.result = signature.args, signature.return_type

    def number(self, k: int, kind: Any = types.int64) -> Any:
        """Return a whole number."""
        return self.context.cast(self.builder, self.values[k], self.types[k], kind)

    def sum(self, number: Any, more: int) -> Any:
        """Return a whole number and a constant, added."""
        return self.builder.add(number, ir.Constant(WORD, more))

    def row(self, k: int, r: int) -> Any:
        """Return a row of a tile; a tile of one row has it for all."""
        return self.builder.extract_value(self.values[k], min(r, self.types[k].rows - 1))

    def each(self, make: Callable[[int], Any]) -> Any:
        """Return the result, of which a function makes each row."""
        found = ir.Constant(self.context.get_value_type(self.result), ir.Undefined)
        for r in range(self.result.rows):
            found = self.builder.insert_value(found, make(r), r)
        return found

    def address(self, k: int, at: Any, samples: int = 0) -> Any:
        """Return where a number of an array lies, or a row that begins with it."""
        array = self.context.make_array(self.types[k])(self.context, self.builder, self.values[k])
        found = self.builder.gep(array.data, [at])
        if not samples:
            return found
        return self.builder.bitcast(found, ir.VectorType(found.type.pointee, samples).as_pointer())

    def item(self, k: int, at: Any) -> Any:
        """Return a number of an array."""
        return self.builder.load(self.address(k, at))

    def read(self, k: int, at: Any, samples: int) -> Any:
        """Return a row of an array."""
        address = self.address(k, at, samples)
        return self.builder.load(address, align=self.types[k].dtype.bitwidth // 8)

    def write(self, k: int, at: Any, row: Any) -> None:
        """Write a row of an array."""
        address = self.address(k, at, row.type.count)
        self.builder.store(row, address, align=self.types[k].dtype.bitwidth // 8)

    def spread(self, number: Any, samples: int) -> Any:
        """Return a number for all samples."""
        kind = ir.VectorType(number.type, samples)
        first = ir.Constant(ir.IntType(32), 0)
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), number, first)
        return self.builder.shuffle_vector(one, one, _indices([0] * samples))

    def add_product(self, z: Any, x: Any, y: Any) -> Any:
        """Return ``z + x · y``, which may be one instruction."""
        product = self.builder.fmul(x, y, flags=("contract",))
        return self.builder.fadd(z, product, flags=("contract",))

    def if_below(self, r: int, count: Any) -> Any:
        """Return a context: instructions for a row that is among the first `count`."""
        return self.builder.if_then(self.builder.icmp_signed("<", ir.Constant(WORD, r), count))

    def strided(self, at: int, step: int, count: int, r: int) -> Any:
        """Return where a row begins, of rows with a step; behind the last one, that of the last."""
        b, last, row = self.builder, self.sum(self.number(count), -1), ir.Constant(WORD, r)
        row = b.select(b.icmp_signed("<", row, last), row, last) if r else row
        return b.add(self.number(at), b.mul(row, self.number(step)))

    def at_offset(self, at: int, offsets: int, first: int, r: int) -> Any:
        """Return where a row begins, given a table of offsets."""
        offset = self.item(offsets, self.sum(self.number(first), r))
        return self.builder.add(self.number(at), offset)


def _indices(numbers: Any) -> Any:
    kind = ir.IntType(32)
    found = [ir.Constant(kind, number) for number in numbers]
    return ir.Constant(ir.VectorType(kind, len(found)), found)


@code(lambda *_arguments: types.int64)
def _width(v):
    return ir.Constant(WORD, lanes(v.types[0].dtype.bitwidth // 8))


@code(_new)
def _load(v):
    return v.each(lambda r: v.read(0, v.strided(1, 2, 3, r), v.result.samples))


@code(lambda rows, *arguments: _new_whole(rows, arguments[4]))
def _load_bytes(v):
    wide = ir.VectorType(ir.IntType(v.result.of.bitwidth), v.result.samples)

    def row(r):
        return v.builder.zext(v.read(0, v.strided(1, 2, 3, r), v.result.samples), wide)

    return v.each(row)


@code(_new)
def _gather(v):
    return v.each(lambda r: v.read(0, v.at_offset(1, 2, 3, r), v.result.samples))


@code(_new)
def _spread(v):
    return v.each(lambda r: v.spread(v.item(0, v.sum(v.number(1), r)), v.result.samples))


@code(_new)
def _full(v):
    row = v.spread(v.values[1], v.result.samples)
    return v.each(lambda _r: row)


@code(_new_whole)
def _whole(v):
    row = v.spread(v.number(1, v.result.of), v.result.samples)
    return v.each(lambda _r: row)


@code(_as_first)
def _add_products(v):
    def row(r):
        weight = v.spread(v.item(2, v.sum(v.number(3), r)), v.result.samples)
        return v.add_product(v.row(0, r), v.row(1, r), weight)

    return v.each(row)


@code(_as_first)
def _add_strided_products(v):
    def row(r):
        at = v.builder.add(v.number(3), v.builder.mul(v.number(4), ir.Constant(WORD, r)))
        return v.add_product(v.row(0, r), v.row(1, r), v.spread(v.item(2, at), v.result.samples))

    return v.each(row)


@code(_as_first)
def _add_outer(v):
    n = v.types[2].rows
    return v.each(lambda r: v.add_product(v.row(0, r), v.row(1, r // n), v.row(2, r % n)))


@code(_question)
def _greater(v):
    def row(r):
        z = v.row(0, r)
        nan = v.builder.fcmp_unordered("uno", z, z)
        return v.builder.or_(v.builder.fcmp_ordered(">", z, v.row(1, r)), nan)

    return v.each(row)


@code(_question)
def _above(v):
    floor = v.spread(v.values[1], v.result.samples)
    return v.each(lambda r: v.builder.fcmp_ordered(">", v.row(0, r), floor))


@code(_question)
def _is_number(v):
    k = v.spread(v.number(1, v.types[0].of), v.result.samples)
    return v.each(lambda r: v.builder.icmp_signed("==", v.row(0, r), k))


@code(_question)
def _has_bit(v):
    bit = _bit(v, v.types[0])
    return v.each(lambda r: v.builder.icmp_signed("==", v.builder.and_(v.row(0, r), bit), bit))


@code(_as_last)
def _with_bit(v):
    bit = _bit(v, v.result)

    def row(r):
        tile = v.row(2, r)
        return v.builder.select(v.row(0, r), v.builder.or_(tile, bit), tile)

    return v.each(row)


def _bit(v: Values, tile: Any) -> Any:
    """Return the bit of the second argument, for all samples."""
    kind = ir.IntType(tile.of.bitwidth)
    return v.spread(v.builder.shl(ir.Constant(kind, 1), v.number(1, tile.of)), tile.samples)


@code(_as_last)
def _chosen(v):
    return v.each(lambda r: v.builder.select(v.row(0, r), v.row(1, r), v.row(2, r)))


@code(_as_last)
def _noted(v):
    k = v.spread(v.number(1, v.result.of), v.result.samples)
    return v.each(lambda r: v.builder.select(v.row(0, r), k, v.row(2, r)))


@code(_as_last)
def _only(v):
    def row(r):
        tile = v.row(1, r)
        return v.builder.select(v.row(0, r), tile, ir.Constant(tile.type, None))

    return v.each(row)


@code(_as_first)
def _at_least(v):
    floor = v.spread(v.values[1], v.result.samples)

    def row(r):
        low = v.builder.fcmp_ordered("<", v.row(0, r), floor)
        return v.builder.select(low, floor, v.row(0, r))

    return v.each(row)


@code(_as_first)
def _plus(v):
    return v.each(lambda r: v.builder.fadd(v.row(0, r), v.row(1, r)))


@code(_as_first)
def _times(v):
    factor = v.spread(v.values[1], v.result.samples)
    return v.each(lambda r: v.builder.fmul(v.row(0, r), factor))


@code(_nothing)
def _store(v):
    for r in range(v.types[4].rows):
        with v.if_below(r, v.number(3)):
            row = v.row(4, r)
            if v.types[0].dtype == types.uint8:
                row = v.builder.trunc(row, ir.VectorType(ir.IntType(8), row.type.count))
            step = v.builder.mul(v.number(2), ir.Constant(WORD, r))
            v.write(0, v.builder.add(v.number(1), step), row)
    return v.context.get_dummy_value()


@code(_nothing)
def _add_at(v):
    for r in range(v.types[5].rows):
        with v.if_below(r, v.number(4)):
            at, row = v.at_offset(1, 2, 3, r), v.row(5, r)
            v.write(0, at, v.builder.fadd(v.read(0, at, row.type.count), row))
    return v.context.get_dummy_value()


@code(_nothing)
def _copy_square(v):
    n = lanes(v.types[0].dtype.bitwidth // 8)
    first = v.builder.add(v.number(1), v.number(3))
    steps = (v.builder.mul(v.number(2), ir.Constant(WORD, r)) for r in range(n))
    rows = [v.read(0, v.builder.add(first, step), n) for step in steps]
    half = n // 2
    low, high = (_indices(k // 2 + start + n * (k % 2) for k in range(n)) for start in (0, half))
    for _ in range(half.bit_length()):  # each time two rows are shuffled like cards
        pairs = list(zip(rows[:half], rows[half:], strict=True))
        rows = [v.builder.shuffle_vector(*pair, mask) for pair in pairs for mask in (low, high)]
    for r, row in enumerate(rows):
        v.write(4, v.at_offset(5, 6, 3, r), row)
    return v.context.get_dummy_value()


@code(_nothing)
def _add_sums(v):
    for r in range(v.types[2].rows):
        address = v.address(0, v.sum(v.number(1), r))
        total = v.builder.fadd(v.builder.load(address), _total(v, v.row(2, r)))
        v.builder.store(total, address)
    return v.context.get_dummy_value()


def _total(v: Values, row: Any) -> Any:
    """Return the sum of a row: its halves are added to each other until one number is left."""
    while (half := row.type.count // 2) > 0:
        parts = _indices(range(half)), _indices(range(half, 2 * half))
        row = v.builder.fadd(*(v.builder.shuffle_vector(row, row, part) for part in parts))
    return v.builder.extract_element(row, ir.Constant(ir.IntType(32), 0))
