"""Which mutations there are of a module: Cosmic Ray's operators, and two more.

A mutation is a small change of the source that a test should notice: ``<`` becomes ``<=``, a
statement becomes ``pass``. Cosmic Ray finds the positions and makes the changes. It has eleven
replacements for each ``+``, most of which no test could miss, so only the likely mistakes are
used here (`REPLACEMENTS`), and a position counts once in the sample, whatever may be put there.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import MutationVisitor
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator
from parso.python import tree

from experiments.reliability.mutants import OWN

BINARY = (
    "Add_Sub Sub_Add Mul_Div Mul_Add Div_Mul FloorDiv_Div FloorDiv_Mul Mod_FloorDiv Pow_Mul "
    "LShift_RShift RShift_LShift BitAnd_BitOr BitOr_BitAnd BitXor_BitAnd"
)
COMPARISON = (
    "Lt_LtE Lt_GtE LtE_Lt LtE_Gt Gt_GtE Gt_LtE GtE_Gt GtE_Lt Eq_NotEq NotEq_Eq Is_IsNot IsNot_Is"
)
UNARY = "Delete_USub Delete_Invert Delete_Not"
OTHER = (
    "AddNot ReplaceTrueWithFalse ReplaceFalseWithTrue ReplaceAndWithOr ReplaceOrWithAnd "
    "ReplaceBreakWithContinue ReplaceContinueWithBreak ExceptionReplacer NumberReplacer "
    "RemoveDecorator ZeroIterationForLoop"
)


class ReplaceInWithNotIn(Operator):  # type: ignore[misc]
    """``x in y`` becomes ``x not in y``, and the other way round."""

    OTHER = {"in": " not in", "not in": " in"}

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        """Yield where ``in`` or ``not in`` compares."""
        if node.type == "comparison":
            for word in node.children[1::2]:
                if word.get_code().strip() in self.OTHER:
                    yield word.start_pos, word.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """Replace the word with this index."""
        places = [
            k
            for k in range(1, len(node.children), 2)
            if node.children[k].get_code().strip() in self.OTHER
        ]
        old = node.children[places[index]].get_code().strip()
        node.children[places[index]] = get_ast(self.OTHER[old])
        return node

    @classmethod
    def examples(cls) -> tuple[Any, ...]:
        """Return none; the tests have them."""
        return ()


class DeleteStatement(Operator):  # type: ignore[misc]
    """A call whose result is not used, or an assignment into an object, becomes ``pass``."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        """Yield the statement if it is one of these."""
        if node.parent is None or node.parent.type != "simple_stmt":
            return
        call = node.type == "atom_expr" and node.children[-1].children[0] == "("
        if call or (node.type == "expr_stmt" and _changes_an_object(node)):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """Return ``pass``, as far to the right as the statement."""
        return tree.Keyword("pass", node.start_pos, prefix=node.get_first_leaf().prefix)

    @classmethod
    def examples(cls) -> tuple[Any, ...]:
        """Return none; the tests have them."""
        return ()


def _changes_an_object(statement: Any) -> bool:
    """Say whether it is ``x += y``, ``x[k] = y`` or ``x.name = y``."""
    target, sign = statement.children[:2]
    augmented = sign.type == "operator" and sign.value != "="
    return augmented or (sign == "=" and target.type == "atom_expr")


@dataclass(frozen=True)
class Mutation:
    """One change of one module.

    Parameters
    ----------
    package, module : str
        ``"engine"``, ``"window.py"``; a path below the package.
    function : str
        The function it is in, ``Class.method``; empty outside functions.
    line : int
        Of the first changed token, from 1.
    operator : str
        Cosmic Ray's name of what is changed to what.
    before, after : str
        The first changed line.
    code : str
        The whole module, changed.
    spans : tuple of pairs of int
        First and last line of the token and of everything around it, the smallest first.
    """

    package: str
    module: str
    function: str
    line: int
    operator: str
    before: str
    after: str
    code: str
    spans: tuple[tuple[int, int], ...]

    @property
    def path(self) -> str:
        """Where the module lies in the project."""
        return f"cnnexp/{self.package}/{self.module}"


@dataclass(frozen=True)
class _Place:
    """Where an operator can be used: its how-manieth use, and the first changed token."""

    path: Path
    operator: str
    occurrence: int
    start: tuple[int, int]


def sample(root: Path, package: str, count: int, seed: int) -> Iterator[Mutation]:
    """Draw mutations of a package: positions first, then what to put there.

    Parameters
    ----------
    root : Path
        The project.
    package : str
        The name of a folder of ``cnnexp``.
    count : int
        How many; fewer if there are not as many positions.
    seed : int
        Of the draw; the same for the same source.
    """
    draw = random.Random(f"{package} {seed}")
    folder = root / "cnnexp" / package
    positions = [place for path in sorted(folder.rglob("*.py")) for place in _positions(path)]
    draw.shuffle(positions)
    made = (_made(draw.choice(choices), package, folder) for choices in positions)
    return islice(filter(None, made), count)


def names() -> list[str]:
    """Return the names of all operators that are used."""
    binary = [f"ReplaceBinaryOperator_{name}" for name in BINARY.split()]
    comparison = [f"ReplaceComparisonOperator_{name}" for name in COMPARISON.split()]
    unary = [f"ReplaceUnaryOperator_{name}" for name in UNARY.split()]
    return [*binary, *comparison, *unary, *OTHER.split(), *OWN]


def _operator(name: str) -> Any:
    return globals()[name]() if name in OWN else get_operator(f"core/{name}")()


@cache
def _positions(path: Path) -> list[list[_Place]]:
    """Return, for every position of a module, the ways to change it."""
    nodes = list(ast_nodes(_tree(path.read_text(encoding="utf-8"))))
    left_out = {id(node) for node in nodes if _is_left_out(node)}
    found: dict[tuple[Any, Any], list[_Place]] = {}
    for name in names():
        operator, occurrence = _operator(name), 0
        for node in nodes:
            for start, end in operator.mutation_positions(node):
                if id(node) not in left_out:
                    place = _Place(path, name, occurrence, start)
                    found.setdefault((start, end), []).append(place)
                occurrence += 1
    return [found[key] for key in sorted(found)]


def _is_left_out(node: Any) -> bool:
    """Say whether a node is a message, a type, or code that never runs."""
    if "pragma" in _line_of(node):
        return True
    if node.type == "decorator" and "overload" in node.get_code():
        return True
    if node.type == "if_stmt" and "TYPE_CHECKING" in node.children[1].get_code():
        return True
    while node.parent is not None:
        if _left_out_of(node, node.parent):
            return True
        node = node.parent
    return False


def _left_out_of(node: Any, parent: Any) -> bool:
    """Say whether a child of a node is a message, a type, or code that never runs."""
    if parent.type == "raise_stmt":
        return True
    if parent.type in ("tfpdef", "param"):
        return node.type == "tfpdef" or (parent.type == "tfpdef" and node is parent.children[-1])
    if parent.type == "annassign":
        return node is parent.children[1]
    if parent.type == "funcdef":
        return node is parent.annotation
    if parent.type == "if_stmt":
        return "TYPE_CHECKING" in parent.children[1].get_code()
    if parent.type == "expr_stmt":
        alias = node.type == "expr" and parent.parent.parent.type == "file_input"
        return alias or parent.children[0].get_code().strip() == "__all__"
    return False


def _line_of(node: Any) -> str:
    lines = _lines(node.get_root_node())
    return str(lines[node.start_pos[0] - 1]) if node.start_pos[0] <= len(lines) else ""


@cache
def _lines(root: Any) -> list[str]:
    return str(root.get_code()).splitlines()


def _made(place: _Place, package: str, folder: Path) -> Mutation | None:
    """Make a mutation; None where what comes out is no Python or no change."""
    source = place.path.read_text(encoding="utf-8")
    try:
        code = MutationVisitor.mutate_code(source, _operator(place.operator), place.occurrence)
    except AttributeError:  # Cosmic Ray replaces no dotted name of an exception
        return None
    if code is None or code == source or not _compiles(code):
        return None
    old, new = source.splitlines(), code.splitlines()
    line = place.start[0]
    removed = place.operator == "RemoveDecorator"
    leaf = _tree(source).get_leaf_for_position(place.start, include_prefixes=True)
    return Mutation(
        package,
        place.path.relative_to(folder).as_posix(),
        _function(leaf),
        line,
        place.operator,
        old[line - 1].strip(),
        "(no decorator)" if removed else new[line - 1].strip(),
        code,
        tuple(_spans(leaf)),
    )


@cache
def _tree(source: str) -> Any:
    return get_ast(source)


def _compiles(code: str) -> bool:
    try:
        compile(code, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def _around(leaf: Any) -> Iterator[Any]:
    while leaf is not None:
        yield leaf
        leaf = leaf.parent


def _function(leaf: Any) -> str:
    """Return the qualified name of the function or class around a token."""
    parts = [node.name.value for node in _around(leaf) if node.type in ("funcdef", "classdef")]
    return ".".join(reversed(parts))


def _spans(leaf: Any) -> Sequence[tuple[int, int]]:
    """Return the lines of a token and of everything around it, without repetition."""
    spans = [(node.start_pos[0], node.end_pos[0]) for node in _around(leaf)]
    return list(dict.fromkeys(spans))
