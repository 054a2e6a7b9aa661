"""The files a worker needs, taken from the host's own Python: interpreter, standard library, shared libraries, numpy.

They keep their absolute paths, so that run paths and the interpreter's search for its library work unchanged. The same
list fills a container image and a bubblewrap file system.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import io
import json
import os
import platform
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Collection, Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from pytest_greencode.errors import SandboxUnavailable
from pytest_greencode.sandboxes.cache import cached

PACKAGES = "/opt/greencode/packages"
REQUIREMENTS = "/opt/greencode/requirements"
LAYOUT = 3
# Parts of the standard library that no solution needs and that are large.
LEFT_OUT = {"test", "tests", "idlelib", "lib2to3", "ensurepip", "turtledemo", "tkinter", "site-packages",
            "dist-packages", "config", "_pyrepl"}  # fmt: skip
TESTS = {"test", "tests"}  # of the packages that are carried


class Runtime(Struct, frozen=True, dict=True):
    """Host paths. `libraries` maps the path a loader asks for to the file behind it.

    `requirements`: a directory of installed packages, which go before `packages`; `label_of_packages` is what of all
    these a verdict may depend on.
    """

    python: Path
    standard_library: Path
    packages: tuple[Path, ...]
    version: str
    label_of_packages: str
    requirements: Path | None = None

    @property
    def label(self) -> str:
        """What the content depends on."""
        names = ",".join(path.name for path in self.packages)
        return f"python {self.version} {platform.machine()} {self.label_of_packages} [{names}] layout {LAYOUT}"

    @property
    def module_paths(self) -> str:
        """Where the packages are inside, as one text."""
        return f"{REQUIREMENTS}:{PACKAGES}" if self.requirements is not None else PACKAGES

    @property
    def _directories(self) -> tuple[Path, ...]:
        return (*self.packages, *([self.requirements] if self.requirements is not None else []))

    @functools.cached_property
    def libraries(self) -> dict[str, Path]:
        """Found by `ldd`, which takes a while, so kept in the user's cache. Raises SandboxUnavailable."""
        key = hashlib.sha256(f"{self.label} {self.python} {self.python.stat().st_mtime_ns}".encode()).hexdigest()[:16]
        listing = cached(f"libraries-{key}", lambda: json.dumps(self._find_libraries()).encode(), good=_all_there)
        return {name: Path(path) for name, path in json.loads(listing).items()}

    def _find_libraries(self) -> dict[str, str]:
        objects = [self.python, *_shared_objects(self.standard_library, LEFT_OUT)]
        for package in self._directories:
            objects += _shared_objects(package)
        try:
            listing = subprocess.run(
                ["ldd", *map(str, objects)], capture_output=True, text=True, check=False, timeout=120
            ).stdout
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SandboxUnavailable(f"`ldd` is needed to find Python's shared libraries: {error}") from error
        inside = (f"{self.standard_library}/", *(f"{package}/" for package in self._directories))
        libraries = {}
        for match in re.finditer(r"(?:=> )?(/[^\s()]+) \(0x", listing):
            name = os.path.normpath(match.group(1))
            if not name.startswith(inside):
                libraries[name] = os.path.realpath(name)
        return libraries


def _all_there(listing: bytes) -> bool:
    try:
        paths = json.loads(listing).values()
        return bool(paths) and all(map(os.path.exists, paths))
    except (ValueError, AttributeError, TypeError):
        return False


def _numpy_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("numpy")
    except PackageNotFoundError:
        return "none"


def _shared_objects(directory: Path, left_out: Collection[str] = ()) -> Iterator[Path]:
    for path in directory.rglob("*.so*"):
        if path.is_file() and set(left_out).isdisjoint(path.relative_to(directory).parts):
            yield path


@functools.cache
def host_runtime() -> Runtime:
    """The runtime of the interpreter that runs this. Raises SandboxUnavailable off Linux."""
    if sys.platform != "linux":
        raise SandboxUnavailable(f"a worker can be made from the host's Python on Linux only, this is {sys.platform}")
    python = Path(os.path.realpath(sys.executable))
    standard_library = Path(sysconfig.get_path("stdlib", vars={"base": sys.base_prefix}))
    packages: list[Path] = []
    spec = importlib.util.find_spec("numpy")
    if spec is not None and spec.origin is not None:
        numpy = Path(spec.origin).parent
        packages = [path for path in (numpy, numpy.parent / "numpy.libs") if path.is_dir()]
    return Runtime(
        python=python,
        standard_library=standard_library,
        packages=tuple(packages),
        version=platform.python_version(),
        label_of_packages=f"numpy {_numpy_version()}",
    )


def repository_runtime(requirements: Path | None) -> Runtime:
    """The host's Python with pytest in place of numpy, and what a repository requires. Raises SandboxUnavailable."""
    from importlib.metadata import distributions, version

    packages = distribution_paths("pytest")
    found = distributions(path=[str(requirements)]) if requirements is not None else ()
    names = sorted(f"{each.metadata['Name']} {each.version}" for each in found)
    label = ", ".join([f"pytest {version('pytest')}", *names])
    return replace(host_runtime(), packages=packages, label_of_packages=label, requirements=requirements)


def distribution_paths(name: str) -> tuple[Path, ...]:
    """The modules, packages and metadata of an installed distribution and of all that it needs."""
    from importlib.metadata import PackageNotFoundError, distribution

    paths: dict[Path, None] = {}
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # what this Python or platform does not need
        for file in found.files or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not top.endswith(".pth"):
                paths[Path(str(found.locate_file(top)))] = None
        needed = (requirement for requirement in found.requires or () if "extra ==" not in requirement)
        waiting += [re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0] for requirement in needed]
    return tuple(paths)


def _keep(member: tarfile.TarInfo, left_out: Collection[str] = LEFT_OUT) -> tarfile.TarInfo | None:
    if not set(left_out).isdisjoint(member.name.split("/")) or ".opt-" in member.name or member.name.endswith(".a"):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    # The time of change stays: compiled modules are checked against it.
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member


def image_tar(runtime: Runtime) -> bytes:
    """A root file system with the runtime as an uncompressed tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", dereference=True) as tar:
        made: set[str] = set()

        def parents(path: str) -> None:
            for parent in reversed(Path(path).parents):
                name = str(parent).strip("/")
                if name and name not in made:
                    made.add(name)
                    entry = tarfile.TarInfo(name)
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(entry)

        def add(source: Path, target: str, left_out: Collection[str] = LEFT_OUT) -> None:
            parents(target)
            tar.add(source, target.strip("/"), filter=functools.partial(_keep, left_out=left_out))

        for directory in ("/proc/.", "/sys/.", "/dev/.", "/w/.", "/etc/."):
            parents(directory)
        add(runtime.python, str(runtime.python))
        add(runtime.standard_library, str(runtime.standard_library))
        for name, path in runtime.libraries.items():
            add(path, name)
        for package in runtime.packages:
            add(package, f"{PACKAGES}/{package.name}", TESTS)
        if runtime.requirements is not None:
            add(runtime.requirements, REQUIREMENTS, ())
        parents("/usr/local/bin/python3")
        entry = tarfile.TarInfo("usr/local/bin/python3")
        entry.type, entry.linkname = tarfile.SYMTYPE, str(runtime.python)
        tar.addfile(entry)
        passwd = b"root:x:0:0::/w:\nnobody:x:65534:65534::/w:\n"
        entry = tarfile.TarInfo("etc/passwd")
        entry.size, entry.mode = len(passwd), 0o644
        tar.addfile(entry, io.BytesIO(passwd))
    return buffer.getvalue()
