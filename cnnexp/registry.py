"""Tables from names to things: layers, implementations, optimizers, data sources, and so on.

YAML names a thing from a table (``type: conv``); it never imports code. User code adds a row with
``@LAYERS.register("name")``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from cnnexp.errors import OptionError, UnknownName, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """A table from names to things of one kind.

    Parameters
    ----------
    kind : str
        What the table holds, in the singular; error messages use it.

    Examples
    --------
    >>> SHAPES = Registry("shape")
    >>> @SHAPES.register("round")
    ... class Round: ...
    >>> SHAPES["round"] is Round
    True
    >>> SHAPES["ruond"]
    Traceback (most recent call last):
    ...
    cnnexp.errors.UnknownName: no shape is named 'ruond'. Did you mean 'round'? Known: round.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._things: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that enters the decorated thing under `name`.

        Raises
        ------
        OptionError
            If another thing already has this name. The same definition loaded twice may replace
            itself.
        """

        def enter(thing: T) -> T:
            taken = self._things.get(name)
            if taken is not None and _origin(taken) != _origin(thing):
                raise OptionError(f"a {self.kind} named '{name}' is already registered: {taken!r}")
            self._things[name] = thing
            return thing

        return enter

    def __getitem__(self, name: str) -> T:
        try:
            return self._things[name]
        except KeyError:
            raise UnknownName(self.complaint(name)) from None

    def complaint(self, name: object) -> str:
        """Return the message for a name that is not in the table."""
        return (
            f"no {self.kind} is named '{name}'.{did_you_mean(str(name), self)}"
            f" Known: {', '.join(self)}."
        )

    def name_of(self, thing: T) -> str:
        """Return the name under which a thing is entered, or that of its class if it is not."""
        names = (name for name, entered in self._things.items() if entered is thing)
        return next(names, getattr(thing, "__name__", str(thing)))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._things  # YAML may hold anything

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)


def made(table: Registry[type[T]], options: Mapping[str, Any], key: str) -> T:
    """Make what settings name in a table, with the other settings as its options.

    Parameters
    ----------
    table : Registry
        A table of classes.
    options : mapping
        The settings.
    key : str
        Which of them is the name.

    Examples
    --------
    >>> VALUES = Registry("value")
    >>> VALUES.register("whole")(int)
    <class 'int'>
    >>> made(VALUES, {"type": "whole"}, "type")
    0
    """
    return table[options[key]](**{name: v for name, v in options.items() if name != key})


def _origin(thing: object) -> tuple[object, object]:
    """Say where a class or function was defined."""
    return getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
