"""Imports point down. The table is the order of the rooms, which are folders; a new folder must be given its place."""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

WORDS = ("records", "errors", "codec", "files", "display", "redaction", "thinking", "activity")
"""The modules at the top of the package that every room may use."""
DOORS = ("__main__", "pytest_plugin")
"""Those that start the program."""
ROOMS = (
    "words",
    "stats",
    "data",
    "grading",
    "judges",
    "models",
    "models.http",
    "models.local",
    "models.opening",
    "task",
    "kinds",
    "tasks",
    "run",
    "auditing",
    "analysis",
    "arena",
    "exchange",
    "gating",
    "report",
    "api",
    "cli",
    "doors",
)
"""From the bottom up: a room uses those before it. A folder within a folder is a room of its own."""
PLACE = {room: number for number, room in enumerate(ROOMS)}
HIGHEST_FOR_TASKS = PLACE["task"]
MOST_ON_THE_LANDING = 12


def modules(folder: str) -> dict[str, Path]:
    """Dotted name below the top folder → file, for each module under it; a package is its folder's name."""
    paths = {path.relative_to(ROOT / folder).with_suffix(""): path for path in (ROOT / folder).rglob("*.py")}
    return {".".join(name.parts).removesuffix(".__init__"): path for name, path in paths.items()}


OURS, TASKS = modules("judgebench"), modules("tasks")


@cache
def nodes(path: Path) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """All import statements of a file, wherever they stand in it."""
    tree = ast.walk(ast.parse(path.read_text()))
    return tuple(node for node in tree if isinstance(node, ast.Import | ast.ImportFrom))


def imports(path: Path) -> Iterator[str]:
    """What a file imports: our modules without ``judgebench.``, relative ones with their dots."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name.removeprefix("judgebench.") for alias in node.names if is_ours(alias.name))
        elif node.level:
            yield "." * node.level + (node.module or "")
        elif is_ours(node.module or ""):
            package = (node.module or "").removeprefix("judgebench").removeprefix(".")
            for alias in node.names:
                longer = f"{package}.{alias.name}".removeprefix(".")
                yield longer if longer in OURS else package or "__init__"


def is_ours(name: str) -> bool:
    """Whether a dotted name belongs to this repository."""
    return name.partition(".")[0] in ("judgebench", "tasks", "tests")


def room(name: str) -> str:
    """The room of a module: its folder, or what the table calls a module at the top of the package."""
    if name in WORDS:
        return "words"
    if name in DOORS:
        return "doors"
    if name in ("api", "__init__"):
        return "api"
    return name if OURS[name].name == "__init__.py" else name.rpartition(".")[0]


def test_every_module_lies_in_a_room() -> None:
    """The table names the folders that exist, and no others; at most a dozen files lie outside the folders."""
    assert {room(name) for name in OURS} == set(ROOMS)
    assert len(list((ROOT / "judgebench").glob("*.py"))) <= MOST_ON_THE_LANDING


@pytest.mark.parametrize("name", OURS)
def test_imports_point_down(name: str) -> None:
    """A module imports from its own room and from lower ones."""
    for imported in imports(OURS[name]):
        assert imported in OURS, f"{name} imports {imported}, which is not a module of judgebench"
        own, other = room(name), room(imported)
        assert PLACE[other] <= PLACE[own], f"{name} (in {own}) imports {imported} (in {other}, above it)"


def test_there_is_no_cycle() -> None:
    """No chain of imports leads back to its start, imports inside functions counted too."""
    graph = {name: set(imports(path)) - {name} for name, path in OURS.items()}
    list(TopologicalSorter(graph).static_order())


def siblings(name: str) -> set[str]:
    """The modules of its own folder that a module of a benchmark imports."""
    folder = name.rpartition(".")[0]
    found = set()
    for node in nodes(TASKS[name]):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            modules = [node.module] if node.module else [alias.name for alias in node.names]
            found.update(f"{folder}.{module}" for module in modules)
    return found


def test_there_is_no_cycle_within_a_benchmark() -> None:
    """The modules of a task's folder import each other in one direction, imports inside functions counted too."""
    list(TopologicalSorter({name: siblings(name) for name in TASKS}).static_order())


def test_statistics_know_only_errors() -> None:
    """``stats/`` takes arrays: it has never heard of a record, a model or a task."""
    for name in (name for name in OURS if room(name) == "stats"):
        assert {imported for imported in imports(OURS[name]) if room(imported) != "stats"} <= {"errors"}, name


def test_no_module_imports_a_benchmark() -> None:
    """Tasks are found, never named: neither ``tasks.NAME`` nor ``judgebench.tasks.NAME`` is imported."""
    for name, path in OURS.items():
        named = [imported for imported in imports(path) if imported.startswith("tasks.") and imported not in OURS]
        assert not named, name


@pytest.mark.parametrize("name", TASKS)
def test_tasks_use_the_lower_rooms(name: str) -> None:
    """A benchmark imports what a benchmark is made of and its own folder, neither another task nor what runs it."""
    for imported in imports(TASKS[name]):
        if not imported.startswith("."):
            assert imported in OURS, f"tasks.{name} imports {imported}"
            assert PLACE[room(imported)] <= HIGHEST_FOR_TASKS, f"tasks.{name} imports {imported}"
        assert not imported.startswith(".."), f"tasks.{name} imports {imported} of another folder"
