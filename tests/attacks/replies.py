# ruff: noqa: E501
"""Replies made by hand, past the worker's own loop: pickles, frames, bombs for the oracle."""

from __future__ import annotations

import struct

from attacks.corpus import ADDS, NOT_ACCEPTED, Corpus

CORPUS = Corpus("replies")
forger, wrecker = CORPUS.forger, CORPUS.wrecker

# Takes the place of the worker's own loop: finds the two pipes and answers every call with one body.
RAW = """
import fcntl, os, stat, struct, time
def _pipes(mode):
    found = []
    for descriptor in range(3, 256):
        try:
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == mode: found.append(descriptor)
        except OSError: pass
    return found
def send(body, size=None):
    data = struct.pack("<I", len(body) if size is None else size) + body
    for descriptor in _pipes(os.O_WRONLY):
        view = memoryview(data)
        while view: view = view[os.write(descriptor, view):]
def serve(body, size=None):
    send(body, size)
    while os.read(_pipes(os.O_RDONLY)[0], 1 << 16): send(body, size)
    os._exit(0)
def reply(value): return b"\\x80\\x05(\\x8c\\x05value" + value + b"NNt."
"""


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def build(name: str, *arguments: bytes) -> bytes:
    named = b"cgreencode\n" + name.encode() + b"\n"
    return named + b"(" + b"".join(arguments) + b"tR"


def state(**entries: bytes) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in entries.items()) + b"u"


PLAIN = b"cgreencode\nplain\n"
COUNTER = build("counter", b"]")
LONG_4_GIB = b"\x8a\x05\x00\x00\x00\x00\x01"

# name -> value part of a reply; what they ask for must be refused, or come out as plain data.
HOSTILE_PICKLES: dict[str, bytes] = {
    "eval": b"cbuiltins\neval\n(" + text("5") + b"tR",
    "eval-stack-global": text("builtins") + text("eval") + b"\x93(" + text("5") + b"tR",
    "os-system": b"cposix\nsystem\n(" + text("true") + b"tR",
    "getattr": b"cbuiltins\ngetattr\n(K\x01" + text("__class__") + b"tR",
    "type": b"cbuiltins\ntype\n(" + text("T") + b")}tR",
    "inst": b"(K\x05ibuiltins\nint\n",
    "inst-of-builder": b"(" + text("x") + b"igreencode\nopaque\n",
    "obj": b"(cbuiltins\nobject\no",
    "obj-of-builder": b"(" + PLAIN + b"K\x05o",
    "newobj-of-builder": PLAIN + b")\x81",
    "newobj-ex-of-builder": PLAIN + b")}\x92",
    "ext1": b"\x82\x01",
    "ext4": b"\x84\xff\xff\xff\x7f",
    "persid": b"Pidentity\n",
    "binpersid": b"K\x05Q",
    "next-buffer": b"\x97",
    "readonly-buffer": b"K\x05\x98",
    "dotted": b"cgreencode\nplain.__class__\n",
    "builder-class": b"cgreencode\n__class__\n",
    "codec-module": b"ccodec\nBUILDERS\n",
    "unknown-builder": b"cgreencode\nnothing\n",
    "build-on-builder": PLAIN + state(_build=PLAIN) + b"b",
    "slots-on-builder": PLAIN + b"N" + state(_build=PLAIN) + b"\x86b",
    "setitems-on-builder": PLAIN + b"(K\x01K\x02u",
    "appends-on-builder": PLAIN + b"(K\x01K\x02e",
    "build-on-type": build("plain_type", text("list")) + state(__eq__=PLAIN) + b"b",
    "slots-on-type": build("plain_type", text("dict")) + b"N" + state(get=PLAIN) + b"\x86b",
    "appends-on-type": build("plain_type", text("list")) + b"(K\x01K\x02e",
    "additems-on-type": build("plain_type", text("set")) + b"(K\x01\x90",
    "type-of-type": build("plain_type", text("type")),
    "type-of-object": build("plain_type", text("object")),
    "build-on-opaque": build("opaque", text("x")) + state(startswith=PLAIN, __eq__=PLAIN) + b"b",
    "slots-on-opaque": build("opaque", text("x")) + b"N" + state(startswith=PLAIN) + b"\x86b",
    "class-on-opaque": build("opaque", text("x")) + b"N" + state(__class__=build("plain_type", text("int"))) + b"\x86b",
    "build-on-counter": COUNTER + state(most_common=PLAIN, __eq__=PLAIN) + b"b",
    "class-on-counter": COUNTER + b"N" + state(__class__=build("plain_type", text("dict"))) + b"\x86b",
    "build-on-ordered-dict": build("ordered_dict", b"]") + state(get=PLAIN, move_to_end=PLAIN) + b"b",
    "build-on-defaultdict": build("defaultdict", b"]") + b"N" + state(default_factory=PLAIN) + b"\x86b",
    "slots-on-fraction": build("fraction", b"K\x01K\x02") + b"N" + state(_numerator=b"]", _denominator=b"]") + b"\x86b",
    "build-on-deque": build("deque", b"]N") + state(maxlen=b"K\x01") + b"b",
    "build-on-iterator": build("iterator", b"](K\x01K\x02e") + b"K\x7fb",
    "build-on-array": build("array", text("i4") + b"K\x01\x85" + b"C\x04abcd")
    + b"(K\x01K\x01\x85"
    + text("O")
    + b"\x88"
    + b"]tb",
    "object-array": build("array", text("O") + b"K\x01\x85" + b"C\x08abcdefgh"),
    "structured-array": build("array", text("i4,O") + b"K\x01\x85" + b"C\x0cabcdefghijkl"),
    "subarray": build("array", text("(2,)O") + b"K\x01\x85" + b"C\x10abcdefghijklmnop"),
    "array-of-nothing": build("array", text("U0") + b")C\x00"),
    "array-of-huge-shape": build("array", text("i4") + LONG_4_GIB + LONG_4_GIB + b"\x86C\x04abcd"),
    "fraction-of-zero": build("fraction", b"K\x01K\x00"),
    "decimal-of-words": build("decimal", text("five")),
    "decimal-snan": build("decimal", text("sNaN")),
    "datetime-with-zone": build("datetime", b"M\xd0\x07K\x01K\x01K\x00K\x00K\x00K\x00" + build("opaque", text("z"))),
    "date-of-bytes": build("date", b"C\x04abcd"),
    "deque-negative": build("deque", b"]J\xff\xff\xff\xff"),
    "iterator-of-nothing": build("iterator", b"N"),
    "range-of-words": build("range", text("x")),
    "unhashable-key": b"}(]K\x01u",
    "truncated": b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f",
    "frame-opcode": b"\x95\xff\xff\xff\xff\xff\xff\xff\x7f",
    "negative-bytes": b"T\xff\xff\xff\xffx",
    "negative-long": b"\x8b\xff\xff\xff\xff",
    "memo-missing": b"h\x63",
    "pop-nothing": b"0000000",
    "no-mark": b"t",
    "itself": b"]\x94h\x00a",
    "dict-itself": b"}\x94K\x01h\x00s",
    "deep-tuple": b"N" + b"\x85" * 500_000,
    "deep-list": b"]" * 300_000 + b"a" * 299_999,
    "protocol-99": b"\x80\x63K\x05",
    "reduce-int": b"K\x05)R",
    "reduce-none": b"N)R",
}
for name, body in HOSTILE_PICKLES.items():
    forger(f"pickle-{name}", f"{RAW}import zlib\nVALUE = zlib.decompress({__import__('zlib').compress(body)!r})\n"
           "def add(*arguments): serve(reply(VALUE))")  # fmt: skip


def raw(value: bytes) -> str:
    return f"{RAW}\ndef add(*arguments): serve(reply({value!r}))"


# Builders may not lend the tests methods that say yes to everything.
forger("lent-startswith", raw(HOSTILE_PICKLES["build-on-opaque"]), "assert add(2, 3).startswith('abc')")
forger("lent-most-common", raw(HOSTILE_PICKLES["build-on-counter"]), "assert add(2, 3).most_common(1) == 1")
forger("lent-get", raw(HOSTILE_PICKLES["build-on-ordered-dict"]), "assert add(2, 3).get(5) == 5 == add(2, 3).get(5)")
forger("between-everything", raw(HOSTILE_PICKLES["slots-on-fraction"]), "assert 5 <= add(2, 3) <= 5 <= add(2, 3) <= 6")
forger("lent-identity", raw(PLAIN), "assert add(2, 3)('x') == 'x'")
# Memory and time of the oracle are bounded too: what they may take is given in `test_attacks.py`.
BOMBS = {
    "memo": b"K\x05r" + struct.pack("<I", 300_000_000),
    "range": build("iterator", build("range", b"J\x00\x94\x35\x77")),
    "bytes": build("bytearray", build("plain_type", text("bytes")) + LONG_4_GIB + b"\x85R"),
    "sets": b"(" + b"\x8f" * 8_000_000 + b"l",
    "decimal-exponent": build("decimal", text("1e999999999")),
    "hash-collisions": b"}(" + b"".join(
        b"\x8a\x0b" + (i * (2**61 - 1) + 1).to_bytes(11, "little") + b"N" for i in range(20_000)) + b"u",
}  # fmt: skip
for name, body in BOMBS.items():
    wrecker(f"bomb-{name}", f"{RAW}import zlib\nVALUE = zlib.decompress({__import__('zlib').compress(body)!r})\n"
            "def add(*arguments): serve(reply(VALUE))", tests="x = add(2, 3)\nint(x)\n" + ADDS, verdicts=NOT_ACCEPTED, oracle_cpu_s=1.5)  # fmt: skip
for name, statement in {
    "huge-length": "send(b'', 0xFFFFFFFF)",
    "negative-length": "send(b'', 0x80000000)",
    "too-long": "send(b'x' * (20 << 20))",
    "half-a-frame": "send(b'abc', 100); time.sleep(100)",
    "half-a-header": "[os.write(d, b'ab') for d in _pipes(os.O_WRONLY)]; time.sleep(100)",
    "empty": "send(b'')",
    "not-a-pickle": "send(b'accepted')",
    "not-a-reply": "send(b'\\x80\\x05K\\x05.')",
    "status-accepted": "send(b'\\x80\\x05(\\x8c\\x08acceptedNNNt.')",
    "ready-again": "send(b'\\x80\\x05(\\x8c\\x05readyNNNt.')",
    "many-at-once": "[send(reply(b'K\\x05')) for _ in range(100)]",
    "noise": "[os.write(d, os.urandom(1 << 20)) for d in _pipes(os.O_WRONLY)]",
    "reads-own-replies": "[os.open(f'/proc/self/fd/{d}', os.O_RDWR) for d in _pipes(os.O_WRONLY)]; os._exit(0)",
}.items():
    forger(f"frame-{name}", f"{RAW}\ndef add(*arguments): {statement}")
    if "sleep" not in statement:
        forger(f"frame-{name}-at-import", f"{RAW}\n{statement}\ndef add(*arguments): return 0")
