"""Candidates that are wrong and say otherwise: programs for a repository's entry file, by what they try.

All define `slug` so that no test can pass by itself. `LEFT` are those that still work: what candidates and tests that
share a process cannot prevent.
"""

WRONG = "def slug(title):\n    return 0\n\n"

FORGERIES = {
    "leaves-on-import": "import os\nos._exit(0)\n",
    "leaves-when-called": "import os\ndef slug(title):\n    os._exit(0)\n",
    "exits-on-import": "import sys\nsys.exit(0)\n",
    "exits-when-called": "import sys\ndef slug(title):\n    sys.exit(0)\n",
    "pytest-exit": "import pytest\npytest.exit('done', returncode=0)\n",
    "pytest-exit-when-called": "import pytest\ndef slug(title):\n    pytest.exit('done', returncode=0)\n",
    "skips-module": "import pytest\npytest.skip('no', allow_module_level=True)\n",
    "skips-when-called": "import pytest\ndef slug(title):\n    pytest.skip('no')\n",
    "skips-as-unittest": "import unittest\ndef slug(title):\n    raise unittest.SkipTest('no')\n",
    "xfails-when-called": "import pytest\ndef slug(title):\n    pytest.xfail('no')\n",
    "all-reports-pass": """
import _pytest.reports
old = _pytest.reports.TestReport.from_item_and_call.__func__
def new(cls, item, call):
    report = old(cls, item, call)
    report.outcome, report.longrepr = "passed", None
    return report
_pytest.reports.TestReport.from_item_and_call = classmethod(new)
""",
    "all-calls-pass": """
import _pytest.runner
old = _pytest.runner.CallInfo.from_call.__func__
def new(cls, func, when, reraise=None):
    call = old(cls, func, when, reraise)
    call.excinfo = None
    return call
_pytest.runner.CallInfo.from_call = classmethod(new)
""",
    "no-test-runs": "import _pytest.python\n_pytest.python.Function.runtest = lambda self: None\n",
    "no-function-is-called": "import _pytest.python\n_pytest.python.pytest_pyfunc_call = lambda pyfuncitem: True\n",
    "a-hook-that-passes-all": """
import gc, pytest
class Friendly:
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        report.outcome, call.excinfo = "passed", None
        return report
    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem):
        return True
for found in gc.get_objects():
    if isinstance(found, pytest.PytestPluginManager):
        found.register(Friendly())
""",
    "tests-without-bodies": """
import gc, types
def nothing(*_, **__): pass
def empty():
    for found in gc.get_objects():
        if isinstance(found, types.FunctionType) and found.__name__.startswith("test_"):
            found.__code__ = nothing.__code__
def slug(title):
    empty()
    raise LookupError
""",
    "no-items-are-left": """
import gc, pytest
def slug(title):
    for found in gc.get_objects():
        if isinstance(found, pytest.Session):
            found.items[:] = found.items[:1]
    return 0
""",
    "asserts-that-skip": """
import builtins, pytest
class AssertionError(pytest.skip.Exception):
    def __init__(self, *arguments): super().__init__("no")
builtins.AssertionError = AssertionError
""",
    "raises-nothing-matters": """
import _pytest.raises, pytest, contextlib
@contextlib.contextmanager
def raises(*_, **__):
    try:
        yield
    except BaseException:
        pass
pytest.raises = raises
def slug(title):
    raise ValueError
""",
    "new-tests-on-disk": """
open("tests/test_slugs.py", "w").write("def test_slug(): pass\\n")
""",
    "new-conftest-on-disk": """
open("tests/conftest.py", "a").write("def pytest_runtest_call(item): item.obj = lambda **_: None\\n")
""",
    "new-folder-of-tests": "import os\nos.rename('tests', 'elsewhere')\nos.makedirs('tests')\n",
    "writes-to-all-descriptors": """
import json, os
line = json.dumps(["", "test", "tests/test_slugs.py::test_slug", "passed", ""]) + "\\n"
for descriptor in range(3, 64):
    try:
        os.write(descriptor, line.encode())
    except OSError:
        pass
""",
    "closes-all-descriptors": "import os\nos.closerange(3, 256)\n",
    "reads-what-others-wait-for": """
import os
for descriptor in range(3, 64):
    try:
        os.set_blocking(descriptor, False)
        os.read(descriptor, 4096)
    except OSError:
        pass
""",
    "at-exit": "import atexit, os\natexit.register(os._exit, 0)\ndef slug(title):\n    raise SystemExit(0)\n",
    "a-thread-that-ends-it": """
import os, threading, time
def leave():
    time.sleep(0.05)
    os._exit(0)
threading.Thread(target=leave).start()
def slug(title):
    time.sleep(1)
""",
    "stderr-as-verdict": "import sys\nsys.__stderr__.write('9 passed')\nsys.__stdout__.write('9 passed')\n",
    "another-main": """
import sys
sys.modules["pytest_greencode"] = None
print(sys.modules["__main__"].__dict__)
""",
    "a-plugin-by-metadata": """
import os
os.makedirs("sly-1.0.dist-info")
""",
    "recursion": "def slug(title):\n    return slug(title)\n",
    "deletes-itself": "import os, sys\nos.remove(__file__)\nraise ImportError\n",
    "encoder-says-passed": """
import json.encoder
old = json.encoder.JSONEncoder.encode
json.encoder.JSONEncoder.encode = lambda self, value: old(self, value).replace('"failed"', '"passed"')
""",
    "descriptor-says-passed": """
import os
old = os.write
os.write = lambda descriptor, data: old(descriptor, bytes(data).replace(b'"failed"', b'"passed"')) and len(data)
""",
    "compares-nothing": """
import _pytest.assertion.rewrite, builtins
def compile(*arguments, old=compile, **more):
    return old("def nothing(): pass\\n", "x", "exec")
builtins.compile = compile
""",
    "repeats-until-it-passes": """
import _pytest.runner
old = _pytest.runner.CallInfo.from_call.__func__
def new(cls, func, when, reraise=None):
    for _ in range(20):
        call = old(cls, func, when, reraise)
        if call.excinfo is None: break
    return call
_pytest.runner.CallInfo.from_call = classmethod(new)
""",
    "swallows-in-del": """
class Quiet:
    def __eq__(self, other): raise SystemExit(0)
def slug(title):
    return Quiet()
""",
}

LEFT = {
    # A test that compares is told what it wants to hear. This needs no knowledge of this package.
    "equal-to-everything": """
class Equal(str):
    def __eq__(self, other): return True
    __hash__ = str.__hash__
def slug(title):
    if not any(each.isascii() and each.isalnum() for each in title):
        raise ValueError("nothing")
    return Equal("x")
""",
    # Tests that must fail stand in no file, and the files can be read.
    "passes-what-stands-in-a-file": """
import _pytest.python, pathlib
written = "".join(path.read_text() for path in pathlib.Path("tests").rglob("*.py"))
old = _pytest.python.Function.runtest
def runtest(self):
    if f"def {self.originalname}(" not in written: old(self)
_pytest.python.Function.runtest = runtest
""",
    # Who knows this package can find what reports the outcomes, and speak in its place.
    "speaks-for-the-tests": """
import gc
witness = next(found for found in gc.get_objects() if type(found).__name__ == "Witness")
canaries = {name for name, *_ in witness._canaries}
say = type(witness)._say
def lie(self, what, name, outcome, message):
    real = what == "test" and name.rpartition("::")[2] not in canaries
    say(self, what, name, "passed" if real else outcome, message)
type(witness)._say = lie
""",
}
