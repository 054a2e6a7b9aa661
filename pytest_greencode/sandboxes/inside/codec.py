"""What crosses between the solution and the oracle: plain data, both ways.

The solution's side encodes with the C pickler. Exact built-in types take its fast path; everything else comes to
`Encoder.reducer_override`, which can say a few more types and says "opaque" of the rest. It runs beside hostile code,
so nothing is promised of it. The oracle's side decodes with `Decoder`, and that is where the promise is kept: its
`find_class` knows only the builders below. They are instances without state, not classes, so that no pickle opcode can
call, subclass or alter anything else, and no foreign `__eq__` can arrive.
"""

from __future__ import annotations

import collections
import importlib
import io
import itertools
import pickle
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, Protocol, cast

MAX_ITERATOR_ITEMS = 1_000_000
PROTOCOL = 5

Reduced = tuple[Callable[..., Any], tuple[Any, ...]]


class Opaque:
    """A value of the solution that plain data cannot carry; equal to nothing but itself, and without a state."""

    __slots__ = ("type_name",)
    type_name: str

    def __init__(self, type_name: str) -> None:
        object.__setattr__(self, "type_name", type_name)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(name)

    def __setstate__(self, state: object) -> NoReturn:
        raise pickle.UnpicklingError("an opaque value has no state")

    def __repr__(self) -> str:
        return f"<a {self.type_name} of the solution>"


class Builder:
    """A callable that a pickle can name but never change, and that does nothing once the pickle is read."""

    __slots__ = ("_build",)
    _build: Callable[..., Any]

    def __init__(self, build: Callable[..., Any]) -> None:
        object.__setattr__(self, "_build", build)

    def __call__(self, *arguments: Any) -> Any:
        if _made is None:
            raise TypeError("not callable")
        value = self._build(*arguments)
        if type(value).__name__ in _WITH_STATE:
            _made.append((value, _parts(value)))
        return value

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(name)

    def __setstate__(self, state: object) -> NoReturn:
        raise pickle.UnpicklingError("a builder has no state")


class Bridge(Protocol):
    """What is no plain data and still crosses, on this side (see `objects`)."""

    def reduce(self, value: Any) -> Reduced | None:
        """How `value` is named to the other side; None if it cannot be."""

    def build(self, kind: str, *arguments: Any) -> Any:
        """What the other side named so."""


# For the current attempt; None: such values are opaque.
bridge: Bridge | None = None
# Whether its tests use numpy themselves.
numpy_known = False


def _bridged(kind: str) -> Callable[..., Any]:
    return lambda *arguments: Opaque(kind) if bridge is None else bridge.build(kind, *arguments)


# What the current `decode` has built of types whose instances a pickle could give attributes afterwards (BUILD), with
# which a method or a comparison can be made to say yes. None: nothing is being decoded.
_made: list[tuple[Any, object]] | None = None
_trusted = False
_WITH_STATE = {"Fraction", "Counter", "OrderedDict", "defaultdict"}


def _parts(value: Any) -> object:
    """All that makes up such a value besides its items."""
    if type(value).__name__ == "Fraction":
        parts = (value._numerator, value._denominator)
        return (*parts, *map(type, parts))  # 1.0 == 1
    if type(value) is collections.defaultdict:
        return value.default_factory
    return dict(vars(value))


# Types that may be values themselves. Not `type` or `object`: calling `type` would make a class.
PLAIN_TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, type(None))
}


def _from(module: str) -> Any:
    """A module of the standard library, imported when first needed."""
    return importlib.import_module(module)


def _array(dtype: object, shape: tuple[int, ...], data: bytes) -> Any:
    # Imported for whoever comes first: a verdict may not depend on what ran before.
    try:
        np: Any = importlib.import_module("numpy")
    except ImportError:
        return Opaque("ndarray")
    kind = np.dtype(str(dtype))
    if kind.kind not in "biufcSUMm":
        raise pickle.UnpicklingError("an array of objects")
    array = np.frombuffer(data, dtype=kind).reshape(shape)
    if kind.char in "gG":  # of which no number is Python's
        array = array.astype(kind.char.replace("g", "d").replace("G", "D"))
    if shape:
        return array.copy()
    scalar = array[()]
    # To tests that do not know numpy as Python's own: numpy's 5 == [5] comes to array([True]), which is true.
    return scalar if _trusted or numpy_known or kind.kind in "Mm" else scalar.item()


BUILDERS = {
    name: Builder(build)
    for name, build in dict[str, Callable[..., Any]](
        opaque=lambda type_name: Opaque(str(type_name)[:80]),
        plain=lambda value: value,
        plain_type=PLAIN_TYPES.__getitem__,
        iterator=lambda items: iter(list(items)),
        range=range,
        slice=slice,
        dict_keys=lambda items: dict.fromkeys(items).keys(),
        dict_values=lambda items: dict(enumerate(items)).values(),
        dict_items=lambda items: dict(items).items(),
        complex=complex,
        bytearray=lambda data: bytearray(bytes(data)),
        fraction=lambda numerator, denominator: _from("fractions").Fraction(int(numerator), int(denominator)),
        decimal=lambda text: _from("decimal").Decimal(str(text)),
        date=lambda *parts: _from("datetime").date(*parts),
        time=lambda *parts: _from("datetime").time(*parts),
        datetime=lambda *parts: _from("datetime").datetime(*parts),
        timedelta=lambda *parts: _from("datetime").timedelta(*parts),
        deque=collections.deque,
        counter=lambda items: collections.Counter(dict(items)),
        ordered_dict=collections.OrderedDict,
        defaultdict=lambda items: collections.defaultdict(None, items),
        array=_array,
        ellipsis=lambda: Ellipsis,
        not_implemented=lambda: NotImplemented,
        **{kind: _bridged(kind) for kind in ("handle", "lazy", "callback", "named", "solution_class")},
    ).items()
}


class Decoder(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Builder:
        if module == "greencode":
            return BUILDERS[name]
        raise pickle.UnpicklingError(f"{module}.{name} is not plain data")


def decoding() -> bool:
    """Whether a pickle is being read: nothing may be asked of the other side then."""
    return _made is not None


def decode(data: bytes, *, trusted: bool = False) -> Any:
    """What the other side sent. Raises what a hostile pickle makes the C unpickler raise.

    `trusted`: it comes from the oracle, so numpy's scalars stay what they are.
    """
    global _made, _trusted  # noqa: PLW0603 - builders are called by the unpickler, which passes nothing on
    _made, _trusted = [], trusted
    try:
        value = Decoder(io.BytesIO(data)).load()
        for built, parts in _made:
            after = _parts(built)
            if after != parts or type(after) is not type(parts):
                raise pickle.UnpicklingError("a value that was altered after it was built")
        return value
    finally:
        _made = None


def _marker(name: str) -> Callable[[], NoReturn]:
    """What the pickler writes as the global `greencode.<name>`."""

    def marker() -> NoReturn:
        raise TypeError(name)

    marker.__module__, marker.__qualname__, marker.__name__ = "greencode", name, name
    return marker


MARKERS = types.SimpleNamespace(**{name: _marker(name) for name in BUILDERS})
sys.modules["greencode"] = cast(types.ModuleType, MARKERS)  # all that the pickler asks of a module

# Iterated once, equal to themselves only: sent eagerly and rebuilt as an iterator, so that `== [...]` stays false.
_VIEWS: tuple[Iterable[Any], ...] = ({}.values(), {}.items(), range(0), collections.deque())
_ONE_SHOT: set[type] = {
    types.GeneratorType,
    map,
    filter,
    zip,
    enumerate,
    reversed,
    type(reversed([])),
    type(reversed({})),
}
_ONE_SHOT |= {type(iter(kind())) for kind in (list, tuple, str, bytes, dict, set)}
_ONE_SHOT |= {type(iter(view)) for view in _VIEWS}
_ONE_SHOT |= {kind for name, kind in vars(itertools).items() if isinstance(kind, type) and not name.startswith("_")}
ONE_SHOT = tuple(_ONE_SHOT)

# By name, so that nothing is imported for types that few solutions use.
EXACT: dict[tuple[str, str], Callable[[Any], Reduced]] = {
    ("builtins", "range"): lambda v: (MARKERS.range, (v.start, v.stop, v.step)),
    ("builtins", "slice"): lambda v: (MARKERS.slice, (v.start, v.stop, v.step)),
    ("builtins", "complex"): lambda v: (MARKERS.complex, (v.real, v.imag)),
    ("builtins", "bytearray"): lambda v: (MARKERS.bytearray, (bytes(v),)),
    ("builtins", "dict_keys"): lambda v: (MARKERS.dict_keys, (list(v),)),
    ("builtins", "dict_values"): lambda v: (MARKERS.dict_values, (list(v),)),
    ("builtins", "dict_items"): lambda v: (MARKERS.dict_items, (list(v),)),
    ("builtins", "ellipsis"): lambda v: (MARKERS.ellipsis, ()),
    ("builtins", "NotImplementedType"): lambda v: (MARKERS.not_implemented, ()),
    ("fractions", "Fraction"): lambda v: (MARKERS.fraction, (v.numerator, v.denominator)),
    ("decimal", "Decimal"): lambda v: (MARKERS.decimal, (str(v),)),
    ("datetime", "date"): lambda v: (MARKERS.date, (v.year, v.month, v.day)),
    ("datetime", "time"): lambda v: (MARKERS.time, (v.hour, v.minute, v.second, v.microsecond)),
    ("datetime", "datetime"): lambda v: (MARKERS.datetime, (*v.timetuple()[:6], v.microsecond)),
    ("datetime", "timedelta"): lambda v: (MARKERS.timedelta, (v.days, v.seconds, v.microseconds)),
    ("collections", "deque"): lambda v: (MARKERS.deque, (list(v), v.maxlen)),
    ("collections", "Counter"): lambda v: (MARKERS.counter, (list(v.items()),)),
    ("collections", "OrderedDict"): lambda v: (MARKERS.ordered_dict, (list(v.items()),)),
    ("collections", "defaultdict"): lambda v: (MARKERS.defaultdict, (list(v.items()),)),
}

# A subclass arrives as what it would be without its overrides.
BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (int, int.__int__),
    (float, float.__float__),
    (str, lambda v: str.__getitem__(v, slice(None))),
    (bytes, lambda v: bytes.__getitem__(v, slice(None))),
    (tuple, lambda v: tuple(tuple.__iter__(v))),
    (list, lambda v: list(list.__iter__(v))),
    (dict, lambda v: dict(dict.items(v))),
    (set, lambda v: set(set.__iter__(v))),
    (frozenset, lambda v: frozenset(frozenset.__iter__(v))),
)


def _numpy(value: Any) -> Reduced:
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    if kind is None or kind not in "biufcSUMm" or not hasattr(value, "tobytes"):
        return (MARKERS.opaque, (type(value).__name__,))
    return (MARKERS.array, (value.dtype.str, value.shape, value.tobytes()))


class Encoder(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        kind = type(value)
        name = (kind.__module__, kind.__qualname__)
        if name in EXACT:
            return EXACT[name](value)
        if kind is types.FunctionType and value.__module__ == "greencode":
            return NotImplemented  # a marker of ours, pickled by its name
        if kind.__module__ == "numpy":
            return _numpy(value)
        for base, plain in BASES:
            if isinstance(value, base):
                return (MARKERS.plain, (plain(value),))
        if kind is type and value in PLAIN_TYPES.values():
            return (MARKERS.plain_type, (cast(type, value).__name__,))
        if bridge is not None and (reduced := bridge.reduce(value)) is not None:
            return reduced
        if isinstance(value, ONE_SHOT):
            return (MARKERS.iterator, (list(itertools.islice(cast(Iterable[Any], value), MAX_ITERATOR_ITEMS)),))
        return (MARKERS.opaque, (kind.__name__,))


def encode(value: object) -> bytes:
    """`value` as bytes for `decode`."""
    buffer = io.BytesIO()
    Encoder(buffer, PROTOCOL).dump(value)
    return buffer.getvalue()
