"""Modules import from their own floor or a lower one; the lower floors know no pytest, Docker or environment."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_greencode

ROOT = Path(pytest_greencode.__file__).parent
FLOORS = {
    1: (
        "model",
        "plain",
        "statistics",
        "estimators",
        "errors",
        "reasons",
        "records",
        "toml_files",
        "patches",
        "repository",
    ),
    2: (
        "carbon",
        "attribution",
        "pricing",
        "provenance",
        "uncertainty",
        "accounts",
        "candidate_tests",
        "accounting",
        "comparison",
        "findings",
        "economics",
        "history",
        "green_capacity",
        "ledger",
        "project_account",
        "project_records",
        "project_costs",
        "conditions",
        "report_account",
        "run_account",
        "gate",
        "baseline",
        "run_gate",
        "samples",
        "extraction",
        "data",
    ),
    3: (
        "sites",
        "runner",
        "sandboxes",
        "meters",
        "generation",
        "importers",
        "suites",
        "reports",
        "intensity_sources",
    ),
    4: (
        "plugin",
        "options",
        "collection",
        "workload",
        "live",
        "session",
        "closing",
        "run_facts",
        "task_hooks",
        "project",
        "hookspecs",
        "cli",
        "commands",
        "doctor",
    ),
}
FLOOR_OF = {name: floor for floor, names in FLOORS.items() for name in names}
FORBIDDEN_BELOW = {"pytest", "_pytest", "pluggy", "docker", "subprocess"}
INSIDE = ROOT / "sandboxes" / "inside"
OPTIONAL_INSIDE = {"numpy", "pytest"}  # an image may carry it; the codec knows its arrays where a test has loaded it
BESIDE = {path.stem for path in INSIDE.glob("*.py")}  # modules there may import each other by their bare names
MODULES = sorted(ROOT.rglob("*.py"))
OUTSIDE = [path for path in MODULES if INSIDE not in path.parents and path != ROOT / "__init__.py"]


def room(path: Path) -> str:
    """The first name below the package: a module, or a folder."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def floor(path: Path) -> int:
    return FLOOR_OF[room(path)]


def running(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that only a type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield other
                yield from running(other)
        else:
            yield node
            yield from running(node)


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, absolute name) of everything that a module imports, wherever in it."""
    package = ("pytest_greencode", *path.relative_to(ROOT).parts[:-1])
    for node in running(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            if module == "pytest_greencode":
                yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module


def rooms_imported(path: Path) -> Iterator[tuple[int, str]]:
    for line, name in imported(path):
        parts = name.split(".")
        if parts[0] == "pytest_greencode" and len(parts) > 1:
            yield line, parts[1]


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", OUTSIDE, ids=shown)
def test_a_module_has_its_floor(path: Path) -> None:
    assert room(path) in FLOOR_OF, f"{shown(path)} stands on no floor: give it one in the design, and here"


@pytest.mark.parametrize("path", OUTSIDE, ids=shown)
def test_a_module_imports_from_its_own_floor_or_lower(path: Path) -> None:
    higher = [
        f"{shown(path)}:{line} (floor {floor(path)}) imports {name} (floor {FLOOR_OF[name]})"
        for line, name in rooms_imported(path)
        if FLOOR_OF.get(name, 0) > floor(path)
    ]
    assert higher == []


@pytest.mark.parametrize("path", [path for path in OUTSIDE if FLOOR_OF.get(room(path), 9) <= 2], ids=shown)
def test_the_lower_floors_know_no_pytest_docker_or_environment(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = [f"{shown(path)}:{line} {name}" for line, name in imported(path) if name.split(".")[0] in FORBIDDEN_BELOW]
    found += [
        f"{shown(path)}:{node.lineno} os.{node.attr}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv") and ast.unparse(node.value) == "os"
    ]
    assert found == []


@pytest.mark.parametrize("path", sorted(INSIDE.glob("*.py")), ids=shown)
def test_what_runs_inside_imports_the_standard_library_and_its_neighbours(path: Path) -> None:
    neighbours = "pytest_greencode.sandboxes.inside"
    foreign = [
        f"{shown(path)}:{line} {name}"
        for line, name in imported(path)
        if name.split(".")[0] not in sys.stdlib_module_names | BESIDE | OPTIONAL_INSIDE
        and not f"{name}.".startswith(f"{neighbours}.")
    ]
    assert foreign == []


def test_every_module_is_looked_at() -> None:
    assert len(OUTSIDE) >= 20
    assert {room(path) for path in OUTSIDE} >= {"model", "ledger", "runner", "plugin"}
    assert any(line and name == "model" for line, name in rooms_imported(ROOT / "runner.py"))
    assert any(name == "model" for _, name in rooms_imported(ROOT / "accounting.py"))


def test_what_only_a_type_checker_sees_is_no_import() -> None:
    tree = ast.parse("if TYPE_CHECKING:\n    import a\nelse:\n    import b\ndef f():\n    import c\n")
    assert [node.names[0].name for node in running(tree) if isinstance(node, ast.Import)] == ["b", "c"]
