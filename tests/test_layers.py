"""Imports point down. The table is the order of the program; a new module must be given its place in it."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LAYERS = """
    records errors
    codec files resources display spreadsheets redaction claims plugins
    sources prompts sheets cache outputs thinking grading_worker markup
    models judges stats grading metric
    task tasks answers integrity settings presets lm_eval accuracy labels stopping
    store run_tasks stages pipeline protocol loading bench manifests scoring importing exporting runner dry_run run_folders formats archive common_fits planning correlating task_check
    ranking comparison gating gate_policy gate_reports sequential_gate tracking explaining progress frames
    cli api pytest_plugin __main__ __init__
"""  # noqa: E501 - a layer is a line
"""From the bottom, layer 0, up. ``models``, ``judges``, ``stats`` and ``cli`` are folders."""

ARROWS = {
    ("codec", "files"),
    ("metric", "stats"),
    ("tasks", "task"),
    ("answers", "task"),
    ("presets", "settings"),
    ("lm_eval", "task"),
    ("lm_eval", "answers"),
    ("accuracy", "task"),
    ("labels", "task"),
    ("stopping", "task"),
    ("stages", "store"),
    ("run_tasks", "store"),
    *(("loading", below) for below in ("run_tasks", "store")),
    ("bench", "stages"),
    *(("pipeline", below) for below in ("stages", "store")),
    *(("manifests", below) for below in ("loading", "protocol", "store")),
    *(("scoring", below) for below in ("loading", "manifests", "stages", "store")),
    *(("importing", below) for below in ("loading", "manifests", "protocol", "scoring", "store")),
    *(("planning", below) for below in ("loading", "run_folders", "run_tasks")),
    *(("importing", below) for below in ("archive", "formats")),
    *(("exporting", below) for below in ("archive", "formats", "loading", "run_folders", "store")),
    ("formats", "run_folders"),
    ("archive", "store"),
    *(("run_folders", below) for below in ("archive", "loading", "run_tasks", "store")),
    *(("common_fits", below) for below in ("run_folders", "store")),
    *(
        ("runner", below)
        for below in ("bench", "loading", "manifests", "pipeline", "protocol", "scoring", "stages", "store")
    ),
    *(("dry_run", below) for below in ("bench", "loading", "stages")),
    *(("gating", below) for below in ("comparison", "gate_policy", "ranking")),
    ("gate_policy", "comparison"),
    ("gate_reports", "gating"),
    *(("sequential_gate", below) for below in ("gate_policy", "gating")),
    ("__init__", "api"),
    ("__main__", "cli"),
}
"""The imports allowed within a layer."""

LAYER = {name: number for number, names in enumerate(LAYERS.strip().splitlines()) for name in names.split()}
HIGHEST_FOR_TASKS = LAYER["task"]


def modules(folder: str) -> dict[str, Path]:
    """Dotted name below the top folder → file, for each module under it; a package is its folder's name."""
    paths = {path.relative_to(ROOT / folder).with_suffix(""): path for path in (ROOT / folder).rglob("*.py")}
    return {".".join(name.parts).removesuffix(".__init__"): path for name, path in paths.items()}


OURS, TASKS = modules("judgebench"), modules("tasks")


def imports(path: Path) -> Iterator[str]:
    """What a file imports, wherever in it: our modules without ``judgebench.``, relative ones with their dots."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.removeprefix("judgebench.") for alias in node.names if is_ours(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield "." * node.level + (node.module or "")
        elif isinstance(node, ast.ImportFrom) and is_ours(node.module or ""):
            package = (node.module or "").removeprefix("judgebench").removeprefix(".")
            for alias in node.names:
                longer = f"{package}.{alias.name}".removeprefix(".")
                yield longer if longer in OURS else package or "__init__"


def is_ours(name: str) -> bool:
    """Whether a dotted name is of this repository."""
    return name.partition(".")[0] in ("judgebench", "tasks", "tests")


def top(name: str) -> str:
    """The entry of the table that a module belongs to."""
    return name.partition(".")[0]


def test_every_module_has_a_layer() -> None:
    """The table names the modules that exist, and no others."""
    assert {top(name) for name in OURS} == set(LAYER)


@pytest.mark.parametrize("name", OURS)
def test_imports_point_down(name: str) -> None:
    """A module imports from lower layers, its own folder, or along an arrow of the table; peers stay strangers."""
    for imported in imports(OURS[name]):
        assert imported in OURS, f"{name} imports {imported}, which is not a module of judgebench"
        own, other = top(name), top(imported)
        allowed = own == other or LAYER[other] < LAYER[own] or (own, other) in ARROWS
        assert allowed, f"{name} (layer {LAYER[own]}) imports {imported} (layer {LAYER[other]})"


def test_there_is_no_cycle() -> None:
    """No chain of imports leads back to its start, imports inside functions counted too."""
    graph = {name: set(imports(path)) - {name} for name, path in OURS.items()}
    list(TopologicalSorter(graph).static_order())


def siblings(name: str) -> set[str]:
    """The modules of its own folder that a module of a benchmark imports."""
    folder = name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(TASKS[name].read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            modules = [node.module] if node.module else [alias.name for alias in node.names]
            found.update(f"{folder}.{module}" for module in modules)
    return found


def test_there_is_no_cycle_within_a_benchmark() -> None:
    """The modules of a task's folder import each other in one direction, imports inside functions counted too."""
    list(TopologicalSorter({name: siblings(name) for name in TASKS}).static_order())


def test_every_arrow_is_used() -> None:
    """An exception that nothing needs any more is taken out of the table."""
    used = {(top(name), top(imported)) for name, path in OURS.items() for imported in imports(path)}
    assert used >= ARROWS


def test_statistics_know_only_errors() -> None:
    """``stats/`` takes arrays: it has never heard of a record, a model or a task."""
    for name in (name for name in OURS if top(name) == "stats"):
        assert {top(imported) for imported in imports(OURS[name])} <= {"stats", "errors"}, name


def test_no_module_imports_a_benchmark() -> None:
    """Tasks are found, never named: neither ``tasks.NAME`` nor ``judgebench.tasks.NAME`` is imported."""
    for name, path in OURS.items():
        assert not [imported for imported in imports(path) if imported.startswith("tasks.")], name


@pytest.mark.parametrize("name", TASKS)
def test_tasks_use_layers_0_to_4(name: str) -> None:
    """A benchmark imports what a benchmark is made of and its own folder, neither another task nor what runs it."""
    for imported in imports(TASKS[name]):
        if not imported.startswith("."):
            assert LAYER.get(top(imported), 99) <= HIGHEST_FOR_TASKS, f"tasks.{name} imports {imported}"
            assert not imported.startswith("tasks"), f"tasks.{name} imports {imported}"
        assert not imported.startswith(".."), f"tasks.{name} imports {imported} of another folder"
