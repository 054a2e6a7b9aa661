"""The codec by itself: what is plain arrives as it was, and a hostile pickle makes nothing but plain data."""

from __future__ import annotations

import collections
import contextlib
import datetime
import decimal
import fractions
import gc
import itertools
import math
import pickle
import resource
from typing import Any

import psutil
import pytest
from attacks.replies import BOMBS, HOSTILE_PICKLES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_greencode.sandboxes.inside.codec import BUILDERS, Builder, Opaque, decode, encode

HASHABLE = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(st.characters(blacklist_categories=[]))
    | st.binary()
    | st.fractions()
    | st.decimals(allow_nan=False)
    | st.dates()
    | st.datetimes()
    | st.times()
    | st.timedeltas()
    | st.builds(range, st.integers(-99, 99), st.integers(-99, 99), st.integers(1, 9))
)
VALUES = st.recursive(
    HASHABLE | st.binary().map(bytearray),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.lists(inner).map(collections.deque)
        | st.dictionaries(HASHABLE, inner)
        | st.dictionaries(HASHABLE, inner).map(collections.OrderedDict)
        | st.sets(HASHABLE)
        | st.frozensets(HASHABLE)
        | st.dictionaries(HASHABLE, st.integers()).map(collections.Counter)
    ),
    max_leaves=20,
)


def same(left: Any, right: Any) -> bool:
    """Equal, of the same types all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return len(left) == len(right) and all(map(same, left.items(), right.items()))
    if isinstance(left, (list, tuple, collections.deque)):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(VALUES)
def test_round_trip(value: Any) -> None:
    assert same(decode(encode(value)), value)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
def test_noise_makes_plain_data_or_nothing(data: bytes) -> None:
    with contextlib.suppress(Exception):
        assert_plain(decode(data))


OPCODES = [value for name, value in vars(pickle).items() if name.isupper() and type(value) is bytes and len(value) == 1]
PIECES = st.sampled_from(
    [*OPCODES, b"K\x01", b"\x8c\x01x", b"}", b"]", b")", b"(", b"h\x00", b"\x94"]
) | st.sampled_from([f"cgreencode\n{name}\n".encode() for name in BUILDERS])


@settings(max_examples=1000, deadline=None)
@given(st.lists(PIECES, max_size=30))
def test_random_programs_make_plain_data_or_nothing(pieces: list[bytes]) -> None:
    with bounded_memory(), builders_unchanged(), contextlib.suppress(Exception):
        assert_plain(decode(b"".join(pieces) + b"."))


@contextlib.contextmanager
def bounded_memory() -> Any:
    """What the oracle's process has too: random programs find the bombs. Little of it, as filling it takes time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    used = psutil.Process().memory_info().data
    resource.setrlimit(resource.RLIMIT_DATA, (used + (256 << 20), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


PLAIN_KINDS = {
    kind.__module__ + "." + kind.__qualname__
    for kind in (
        *(
            type(None),
            bool,
            int,
            float,
            complex,
            str,
            bytes,
            bytearray,
            list,
            tuple,
            dict,
            set,
            frozenset,
            range,
            slice,
        ),
        *(fractions.Fraction, decimal.Decimal, datetime.date, datetime.time, datetime.datetime, datetime.timedelta),
        *(collections.deque, collections.Counter, collections.OrderedDict, collections.defaultdict, Opaque, Builder),
        *map(type, ({}.keys(), {}.values(), {}.items(), iter([]), Ellipsis, NotImplemented, type)),
    )
}


def assert_plain(value: Any) -> None:
    """Only exact types that the codec promises, none with state that a pickle gave it."""
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        kind = type(item)
        if kind.__module__ == "numpy" or kind.__module__.startswith("numpy."):
            assert item.dtype.kind in "biufcSUMm"
            continue
        assert kind.__module__ + "." + kind.__qualname__ in PLAIN_KINDS, kind
        if kind in (collections.Counter, collections.OrderedDict):
            assert not vars(item), "a container with lent methods"
        if kind is fractions.Fraction:
            assert type(item.numerator) is type(item.denominator) is int
        if kind is Opaque:
            assert set(getattr(item, "__dict__", {})) <= {"type_name"}, "an object with lent methods"
            assert type(item.type_name) is str
        if kind is dict or isinstance(item, (collections.Counter, collections.OrderedDict, collections.defaultdict)):
            waiting += item.keys()
            waiting += item.values()
        elif isinstance(item, (list, tuple, set, frozenset, collections.deque)):
            waiting += item


@contextlib.contextmanager
def builders_unchanged() -> Any:
    before = {name: (id(builder), id(builder._build)) for name, builder in BUILDERS.items()}
    classes = len(object.__subclasses__())
    opaque = dict(vars(Opaque)), dict(vars(Builder))
    yield
    assert {name: (id(builder), id(builder._build)) for name, builder in BUILDERS.items()} == before
    assert (dict(vars(Opaque)), dict(vars(Builder))) == opaque
    if len(object.__subclasses__()) > classes:
        gc.collect()  # only where it matters: looking through all of a test session's objects takes time
        assert len(object.__subclasses__()) <= classes


REFUSED = [
    "eval",
    "eval-stack-global",
    "os-system",
    "getattr",
    "type",
    "inst",
    "obj",
    "newobj-of-builder",
    "newobj-ex-of-builder",
    "ext1",
    "ext4",
    "persid",
    "binpersid",
    "next-buffer",
    "codec-module",
    "builder-class",
    "dotted",
    "unknown-builder",
    "build-on-builder",
    "slots-on-builder",
    "build-on-type",
    "slots-on-type",
    "type-of-type",
    "type-of-object",
    "object-array",
    "structured-array",
    "subarray",
    "truncated",
    "negative-long",
    "negative-bytes",
    "memo-missing",
    "pop-nothing",
    "no-mark",
    "fraction-of-zero",
    "decimal-of-words",
    "datetime-with-zone",
    "unhashable-key",
    "reduce-int",
    "reduce-none",
    "class-on-opaque",
    "class-on-counter",
    "build-on-opaque",
    "slots-on-opaque",
    "build-on-counter",
    "build-on-ordered-dict",
    "slots-on-fraction",
    "build-on-array",
]


@pytest.mark.parametrize("name", sorted({**HOSTILE_PICKLES}))
def test_hostile_pickle(name: str) -> None:
    pytest.importorskip("numpy")
    decode(encode(__import__("numpy").zeros(1)))  # so that its classes are there before they are counted
    data = b"\x80\x05" + HOSTILE_PICKLES[name] + b"."
    try:
        with builders_unchanged():
            value = decode(data)
    except AssertionError:
        raise
    except Exception:
        return
    assert_plain(value)
    assert name not in REFUSED, value


def test_bombs_are_small() -> None:
    assert all(len(body) < 16 << 20 for body in BOMBS.values())


@pytest.mark.parametrize("base", [int, float, str, bytes, list, tuple, dict, set, frozenset])
def test_subclass_arrives_as_its_base(base: type) -> None:
    liar = type("Liar", (base,), {"__eq__": lambda self, other: True, "__hash__": base.__hash__})
    value = decode(encode(liar()))
    assert type(value) is base
    assert value != "anything"


def test_opaque_is_equal_to_nothing_else() -> None:
    class Liar:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = object.__hash__

    value = decode(encode(Liar()))
    assert type(value) is Opaque
    assert value != 5
    assert value != 5
    assert value != decode(encode(Liar()))
    assert value == value


def test_iterators_come_as_iterators() -> None:
    for make in (lambda: iter([1, 2]), lambda: (x for x in (1, 2)), lambda: map(int, "12"), lambda: reversed([2, 1])):
        value = decode(encode(make()))
        assert value != [1, 2]
        assert list(value) == [1, 2]
    assert len(list(decode(encode(itertools.count())))) == 1_000_000


def test_special_values() -> None:
    assert math.isnan(decode(encode(float("nan"))))
    assert math.copysign(1, decode(encode(-0.0))) == -1
    assert decode(encode(10**5000)) == 10**5000
    assert decode(encode("\ud800\0")) == "\ud800\0"
    assert decode(encode(True)) is True
    assert decode(encode({}.keys())) == {}.keys()
    assert decode(encode(list)) is list
    assert type(decode(encode(type))) is Opaque
    one = [1]
    twice = decode(encode([one, one]))
    assert twice[0] is twice[1]


@pytest.mark.parametrize("kind", ["b1", "i1", "u8", "f4", "f8", "c16", "S3", "U3", "M8[ns]", "m8[s]", ">i4"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 1)])
def test_arrays(kind: str, shape: tuple[int, ...]) -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.zeros(shape, dtype=kind) if shape else numpy.array(numpy.ones(1, dtype=kind)[0])
    value = decode(encode(array), trusted=True)
    assert value.dtype == array.dtype
    assert value.shape == array.shape
    assert (value == array).all()
    if shape:
        assert type(value) is numpy.ndarray
        assert value.flags.writeable


@pytest.mark.parametrize("scalar", ["bool_(True)", "int64(5)", "float32(0.5)", "complex128(1j)", "str_('x')"])
def test_array_scalars(scalar: str) -> None:
    numpy = pytest.importorskip("numpy")
    value = eval(f"numpy.{scalar}", {"numpy": numpy})
    assert type(decode(encode(value), trusted=True)) is type(value)
    arrived = decode(encode(value))
    assert type(arrived) is type(value.item())
    assert arrived == value
    assert (arrived == [value]) is False


def test_object_arrays_are_opaque() -> None:
    numpy = pytest.importorskip("numpy")
    for array in (numpy.array([{}], dtype=object), numpy.zeros(2, dtype="i4,f8")):
        assert type(decode(encode(array))) is Opaque
