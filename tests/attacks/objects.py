# ruff: noqa: E501
"""What crosses by a number: instances, iterators, functions, printed text. None may say more than plain data could."""

from __future__ import annotations

from attacks.corpus import Corpus
from attacks.equality import EQUAL
from attacks.replies import PLAIN, RAW, build, state, text

CORPUS = Corpus("objects")
forger = CORPUS.forger
NODE = {
    "classes": ("Node",),
    "attributes": ("data", "left", "push", "__len__", "__iter__", "__enter__", "__exit__", "clear", "update", "append"),
}


def node(name: str, program: str, tests: str, **more: object) -> None:
    forger(f"instance-{name}", program, tests, **NODE, **more)


FORGED = build("handle", b"J\xff\xff\xff\x7f", text("int"))
LAZY = build("lazy", b"K\x00")
YES = f"class Node:\n    def __init__(self, *a): pass\n    def __getattr__(self, name): return lambda *a, **k: True\n    startswith = endswith = most_common = __contains__ = __len__ = lambda *a: 5\n{EQUAL}def add(*a): return Node()\n"
node("equal", YES, "assert add(2, 3) == 5")
node("equal-reversed", YES, "assert 5 == add(2, 3)")
node("equal-other", YES, "assert Node(1) == Node(2)")
node("not-unequal", YES, "assert not add(2, 3) != 5")
node("in-list", YES, "assert add(2, 3) in [1, 5]")
node("in-list-reversed", YES, "assert 5 in [add(2, 3)]")
node("as-key", YES, "assert {5: 1}[add(2, 3)] == 1")
node("ordered", YES, "assert 4 < add(2, 3) < 6")
node("near", YES, "assert abs(add(2, 3) - 5) < 1e-6")
node("text-methods", YES, "assert add(2, 3).startswith('abc')")
node("counter-methods", YES, "assert add(2, 3).most_common(1)")
node("is-a-number", YES, "assert isinstance(add(2, 3), int)")
node("is-none", YES, "assert add(2, 3) is None")
node("falsy", f"{YES}Node.__bool__ = lambda s: False\n", "assert not Node()")
node("empty-is-falsy", f"{YES}Node.__len__ = lambda s: 0\n", "assert not Node()")
node("attribute-equal", YES.replace("return lambda *a, **k: True", "return Node()"), "assert Node(1).data == 1")
node("iterates-to-equal", f"{YES}Node.__iter__ = lambda s: iter([Node()])\n", "assert list(Node()) == [5]")
node("length-not-a-number", f"{YES}Node.__len__ = lambda s: Node()\n", "assert len(Node()) == 5")
node("sets-class", YES, "n = Node()\nn.__class__ = int\nassert n == 5")
node("argument-emptied", f"{YES}def add(x): x.data = 1; return x\n", "n = Node()\nassert add(n) == 1")
node(
    "numbers-forged",
    f"{RAW}\nclass Node: pass\ndef add(*a): serve(reply({FORGED!r}))",
    "assert add(2, 3) == 5",
)
node(
    "numbers-words",
    f"{RAW}\nclass Node: pass\ndef add(*a): serve(reply({build('handle', text('x'), text('int'))!r}))",
    "assert add(2, 3) == 5",
)

node(
    "exit-swallows",
    f"{YES}Node.__enter__ = lambda s: s\nNode.__exit__ = lambda *a: True\n",
    "with Node():\n    assert 1 == 2",
)

HANDLE = build("handle", b"K\x00", text("Node"))
for name, body in {
    "state": HANDLE + state(_ask=PLAIN, _number=b"K\x05") + b"b",
    "slots": HANDLE + b"N" + state(_ask=PLAIN, _type_name=text("x")) + b"\x86b",
    "class": HANDLE + b"N" + state(__class__=build("plain_type", text("int"))) + b"\x86b",
    "attribute": HANDLE + b"N" + state(data=b"K\x05") + b"\x86b",
    "appends": HANDLE + b"(K\x01K\x02e",
    "updates": HANDLE + b"(K\x01K\x02u",
    "called": HANDLE + b")R",
    "as-class": b"(" + HANDLE + b"o",
    "iterated": build("deque", build("lazy", b"K\x00") + b"N"),
    "iterator-state": build("lazy", b"K\x00") + state(_items=b"](K\x05e") + b"b",
    "iterator-slots": build("lazy", b"K\x00") + b"N" + state(_items=b"](K\x05e", _ended=b"\x89") + b"\x86b",
    "hashed": b"}(" + HANDLE + b"K\x05u",
}.items():
    node(f"pickle-{name}", f"{RAW}\nclass Node: pass\ndef add(*a): serve(reply({body!r}))", "assert add(2, 3) == 5")

FUNCTION = build("callback", b"K\x00")
CHECK = "seen = []\ndef check(x, expected=5):\n    seen.append(x)\n    assert x == expected\n"
for name, body in {
    "defaults": FUNCTION + b"N" + state(__defaults__=b"K\x00\x85") + b"\x86b",
    "attributes": FUNCTION + state(__wrapped__=b"K\x05") + b"b",
    "code": FUNCTION + b"N" + state(__code__=b"N") + b"\x86b",
    "slots": FUNCTION + b"N" + state(function=PLAIN) + b"\x86b",
    "called-while-read": FUNCTION + b"K\x05\x85R",
    "unknown": build("callback", b"K\x09"),
    "negative": build("callback", b"J\xff\xff\xff\x7f"),
    "named": build("named", text("os"), text("system")),
    "solution-class": build("solution_class", text("add")),
}.items():
    forger(f"function-{name}", f"{RAW}\ndef add(*a): serve(reply({body!r}))",
           f"{CHECK}got = add(check)\ncheck(0) if seen == [] and got is not None else None\nassert got == 5")  # fmt: skip
CALL = "b'\\x80\\x05(\\x8c\\x08callbackK\\x00' + {} + b'Nt.'"
for name, arguments in {
    "not-a-pair": "b'K\\x01'",
    "not-a-tuple": "b']}}\\x86'",
    "named-numbers": "b')}}K\\x01K\\x02s\\x86'",
    "endless": "b')}}\\x86'",
}.items():
    forger(f"calls-back-{name}", f"{RAW}\ndef add(*a): serve({CALL.format(arguments.replace('}}', '}'))})",
           "def g(*a, **k): return 0\nassert add(g) == 5", oracle_cpu_s=1.0)  # fmt: skip
forger(
    "calls-back-unasked",
    f"{RAW}\ndef add(*a): serve(b'\\x80\\x05(\\x8c\\x08callbackK\\x00)}}\\x86Nt.')",
    oracle_cpu_s=1.0,
)
forger("calls-back-too-deep", "def add(g, n): return g(n + 1)", "def g(n): return add(g, n)\nassert add(g, 0) == 5")
forger("calls-back-with-equal", f"class T:{EQUAL}\ndef add(g): return g(T())", "assert add(lambda x: x == 5)")
forger("calls-back-with-lambda", "def add(g): return g(lambda: 5)", "assert add(lambda f: f() == 5)")
forger("calls-eval", "def add(g): return g('5')", "assert add(eval) is None")
forger(
    "calls-exit",
    "def add(g, h):\n    try: g(0)\n    except BaseException: pass\n    return 0",
    "import sys, os\nassert add(sys.exit, os._exit) == 5",
)
forger("prints-unasked", f"{RAW}\ndef add(*a): serve(b'\\x80\\x05(\\x8c\\x07printed\\x8c\\x01xC\\x00Nt.')")
CAPTURED = "import contextlib, io\nout = io.StringIO()\nwith contextlib.redirect_stdout(out): got = add(2, 3)\nassert got == 5 and out.getvalue() == 'five'"
forger("prints-twice-wrapped", f"{RAW}\nINNER = b'\\x80\\x05(\\x8c\\x07printed\\x8c\\x04fiveC\\x00Nt.'\n"
       "def add(*a): serve(b'\\x80\\x05(\\x8c\\x07printed\\x8c\\x04five' + b'C' + bytes([len(INNER)]) + INNER + b'Nt.')", CAPTURED)  # fmt: skip
forger("prints-flood", "def add(a, b):\n    for _ in range(100): print('x' * 10**6)\n    return 5", CAPTURED, cpu_s=1.0)
forger(
    "iterator-endless",
    "def add(a, b):\n    while True: yield 5",
    "assert list(add(2, 3)) == [5]",
    oracle_cpu_s=0.5,
    cpu_s=0.3,
)
forger("iterator-of-equal", f"class T:{EQUAL}\ndef add(a, b): yield T()", "assert next(add(2, 3)) == 5")
forger("iterator-answers-lies", f"{RAW}\nimport pickle\ndef add(*a):\n    send(reply({LAZY!r}))\n    os.read(_pipes(os.O_RDONLY)[0], 1 << 16)\n"
       "    serve(reply(b'K\\x05'))", "assert list(add(2, 3)) == [5]")  # fmt: skip
