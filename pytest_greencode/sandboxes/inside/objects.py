"""What is no plain data and still crosses: as a number that stands for it on its own side.

* **Instances** of the solution's classes, in tasks whose own solution has classes that the tests use. The tests hold a
  `Handle`: attributes and methods that the task's own classes have are asked for in S; `==`, truth, order and hash are
  the handle's identity and never asked for. So no object of S can say that it equals something.
* **Iterators** of the solution: fetched when the tests ask, a few items ahead once they have asked for some.
* **Functions** of the tests, as arguments: S calls back, with plain data. What a module provides goes by its name.

Numbers from S are looked up and nothing else; whatever S answers is decoded as plain data, or as handles again.
"""

from __future__ import annotations

import functools
import importlib
import pickle
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from pytest_greencode.sandboxes.inside import codec
from pytest_greencode.sandboxes.inside.codec import MARKERS, ONE_SHOT, Opaque, Reduced

MAX_AHEAD = 1024
# Special methods of a task's own classes that its tests may use through a handle. None that compares or decides.
SPECIAL = frozenset(
    f"__{name}__"
    for name in (
        *("len", "getitem", "setitem", "delitem", "contains", "iter", "next", "str", "call", "enter", "exit"),
        *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "neg", "abs", "radd", "rsub", "rmul"),
    )
)

Ask = Callable[..., Any]


class Handle:
    """An object of the solution, for the tests. `names`: the attributes that may be asked for."""

    __slots__ = ("_ask", "_names", "_number", "_type_name")
    _ask: Ask
    _names: frozenset[str]
    _number: int
    _type_name: str

    def __init__(self, ask: Ask, names: frozenset[str], number: int, type_name: str) -> None:
        for name, value in (("_ask", ask), ("_names", names), ("_number", number), ("_type_name", type_name)):
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        if name not in self._names:
            raise AttributeError(f"{self._type_name!r} object has no attribute {name!r} that the tests could ask for")
        return self._ask(("get", self._number, name))

    def __setattr__(self, name: str, value: object) -> None:
        if name not in self._names:
            raise AttributeError(f"{self._type_name!r} object has no attribute {name!r} that the tests could set")
        self._ask(("set", self._number, name), (value,))

    def __call__(self, *positional: Any, **named: Any) -> Any:
        return self._ask(("call", self._number), positional, named)

    def __bool__(self) -> bool:
        return True

    def __setstate__(self, state: object) -> NoReturn:
        raise pickle.UnpicklingError("a handle has no state")

    def __repr__(self) -> str:
        return f"<a {self._type_name} of the solution>"


def handle_type(special: frozenset[str]) -> type[Handle]:
    """Handles that also have these special methods."""

    def forward(name: str) -> Callable[..., Any]:
        def method(self: Handle, *arguments: Any) -> Any:
            value = self._ask(("method", self._number, name), arguments)
            return None if name == "__exit__" else value  # which could swallow a failed assertion

        return method

    return type("Handle", (Handle,), {"__slots__": (), **{name: forward(name) for name in special & SPECIAL}})


class RemoteClass:
    """A class of the solution that the tests use by name."""

    __slots__ = ("__name__", "_ask", "_names")

    def __init__(self, ask: Ask, name: str, names: frozenset[str]) -> None:
        self.__name__, self._ask, self._names = name, ask, names

    def __call__(self, *positional: Any, **named: Any) -> Any:
        return self._ask(self.__name__, positional, named)

    def __getattr__(self, name: str) -> Any:
        if name not in self._names:
            raise AttributeError(f"class {self.__name__!r} has no attribute {name!r} that the tests could ask for")
        return self._ask(("attribute", self.__name__, name))

    def __instancecheck__(self, value: object) -> bool:
        return isinstance(value, Handle) and self._ask(("isinstance", self.__name__), (value,)) is True


class RemoteIterator:
    """An iterator of the solution. One item at a time at first, then ever more: each question takes a while."""

    __slots__ = ("_ask", "_asked", "_ended", "_items", "_number", "_raised")

    def __init__(self, ask: Ask, number: int) -> None:
        self._ask, self._number, self._asked = ask, number, 0
        self._items: list[Any] = []
        self._ended = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if not self._items:
            if self._ended:
                raise StopIteration
            self._asked += 1
            ahead = 1 if self._asked <= 16 else min(2 ** (self._asked - 16), MAX_AHEAD)
            answer = self._ask(("next", self._number), (ahead,))
            if type(answer) is not tuple or len(answer) != 2 or type(answer[0]) is not list:
                raise TypeError("an iterator of the solution that does not answer as one")
            items, self._ended = answer
            if not items:
                self._ended = True
                raise StopIteration
            self._items = items[::-1]
        return self._items.pop()

    def __setstate__(self, state: object) -> NoReturn:
        raise pickle.UnpicklingError("an iterator has no state")


class Returned:
    """A function of the tests that S hands back, out of reach of the pickle that names it."""

    __slots__ = ("function",)
    function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "function", function)

    def __call__(self, *positional: Any, **named: Any) -> Any:
        if codec.decoding():
            raise pickle.UnpicklingError("a call while an answer is read")
        return self.function(*positional, **named)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(name)

    def __setstate__(self, state: object) -> NoReturn:
        raise pickle.UnpicklingError("a function has no state")


class OracleSide(codec.Bridge):
    """For one attempt: what the tests have handed out, and what they hold of S."""

    def __init__(self, ask: Ask, names: frozenset[str], handles: type[Handle] | None) -> None:
        self._ask, self._names, self._handles = ask, names, handles
        self._held: dict[int, Handle] = {}
        self.functions: list[Callable[..., Any]] = []
        self._numbers: dict[int, int] = {}

    def reduce(self, value: Any) -> Reduced | None:
        if isinstance(value, Handle):
            return (MARKERS.handle, (value._number, value._type_name))
        if isinstance(value, RemoteClass):
            return (MARKERS.solution_class, (value.__name__,))
        if isinstance(value, RemoteIterator):
            return (MARKERS.iterator, (list(value),))
        if isinstance(value, Returned):
            value = value.function
        if not callable(value):
            return None
        module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        if type(module) is str and type(name) is str and module in sys.modules and _found(module, name) is value:
            return (MARKERS.named, (module, name))
        return (MARKERS.callback, (self._number(value),))

    def _number(self, value: Callable[..., Any]) -> int:
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self.functions)
            self.functions.append(value)  # which keeps its id its own
        return number

    def build(self, kind: str, *arguments: Any) -> Any:
        if kind == "handle" and self._handles is not None:
            number, type_name = int(arguments[0]), str(arguments[1])[:80]
            return self._held.setdefault(number, self._handles(self._ask, self._names, number, type_name))
        if kind == "lazy":
            return RemoteIterator(self._ask, int(arguments[0]))
        if kind == "callback":
            return Returned(self.functions[range(len(self.functions))[int(arguments[0])]])
        return Opaque(kind)


class SolutionSide(codec.Bridge):
    """The same for S, where everything is trusted: it has nothing to lose. `objects`: instances may be handed out."""

    def __init__(self, namespace: dict[str, Any], objects: bool, call_back: Callable[[int, Any, Any], Any]) -> None:
        self._namespace, self._objects, self._call_back = namespace, objects, call_back
        self._handed_out: list[Any] = []
        self._numbers: dict[int, int] = {}

    def reduce(self, value: Any) -> Reduced | None:
        if type(value) is functools.partial and value.func == self._call_back:
            return (MARKERS.callback, value.args)
        if isinstance(value, ONE_SHOT):
            return (MARKERS.lazy, (self._number(value),))
        if self._objects and not isinstance(value, (type, types.ModuleType)):
            return (MARKERS.handle, (self._number(value), type(value).__name__))
        return None

    def _number(self, value: Any) -> int:
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self._handed_out)
            self._handed_out.append(value)
        return number

    def build(self, kind: str, *arguments: Any) -> Any:
        if kind == "handle":
            return self._handed_out[arguments[0]]
        if kind == "solution_class":
            return self._namespace[arguments[0]]
        if kind == "callback":
            return functools.partial(self._call_back, arguments[0])
        return _found(*arguments)

    def target(self, request: tuple[Any, ...]) -> Callable[..., Any]:
        """What the tests ask for, as a function to call."""
        kind, which, *rest = request
        if kind in ("attribute", "isinstance"):
            value = self._namespace[which]
            return (lambda: getattr(value, rest[0])) if rest else (lambda each: isinstance(each, value))
        value = self._handed_out[which]
        if kind == "get":
            return lambda: getattr(value, rest[0])
        if kind == "set":
            return lambda new: setattr(value, rest[0], new)
        if kind == "method":
            return getattr(value, rest[0])  # type: ignore[no-any-return]
        return functools.partial(_advance, value) if kind == "next" else value


def _found(module: str, name: str) -> Any:
    """What a module has under a dotted name; None if it has not."""
    try:
        return functools.reduce(getattr, name.split("."), importlib.import_module(module))
    except (ImportError, AttributeError):
        return None


def _advance(iterator: Iterator[Any], count: int) -> tuple[list[Any], bool]:
    """Up to `count` items, and whether it has ended. An exception waits until its place is reached."""
    items: list[Any] = []
    try:
        while len(items) < count:
            items.append(next(iterator))
    except StopIteration:
        return items, True
    except Exception:
        if not items:
            raise
    return items, False
