"""Finds tasks: in a bundled folder, in an installed package's entry point, or in a file.

>>> "gsm8k" in names()
True
>>> info("gsm8k")["metrics"]
['exact_match_strict', 'exact_match_flexible', 'numeric']

``__path__`` makes this module a package whose submodules are the folders under ``tasks/``, so
``judgebench.tasks.alpacaeval.task`` is the same import in a wheel, an editable install and a bare checkout.
Listing imports nothing. A task that fails to import is an error when somebody chooses it, and hides no other.

Only the user may name a file, never a run folder; ``judgebench.run.run_tasks`` finds the task of a run folder.
"""

import hashlib
import importlib
import os
import re
import shlex
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from judgebench.codec import canonical_hash
from judgebench.data import plugins
from judgebench.data.aliases import aliases, key_of
from judgebench.data.resources import folder_module, import_from_folder, resource
from judgebench.data.sources import Source, read_sources
from judgebench.display import did_you_mean, is_plain_name
from judgebench.errors import JudgebenchError, UsageError
from judgebench.files import nothing_at
from judgebench.models.opening import parse_model, shutdown_of
from judgebench.records import TaskCode
from judgebench.task import Task
from judgebench.task.selection import Selection, parse_selection

__path__.insert(0, str(resource("tasks")))

ENTRY_POINTS = "judgebench.tasks"
TASK_FILES = ("task.py", "task.toml")
"""The names of a task's file in its folder."""
DATA_FILES = ("sources.toml", "starter.jsonl", "*.j2")
"""The files of a task's folder, beside its Python files, that judgebench knows to be part of the task."""
MAX_CODE_FILES = 1000
"""The most Python files in the folder of a task that the user names by its file."""


class TaskSpec(msgspec.Struct, frozen=True):
    """``name@version:key=value,…``, the form of ``--tasks``."""

    name: str
    version: str | None = None
    options: dict[str, str] = {}

    @property
    def text(self) -> str:
        """The spec as it is written after ``--tasks``."""
        options = ",".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.name}{f'@{self.version}' if self.version else ''}{f':{options}' if options else ''}"


def parse_specs(text: str) -> list[TaskSpec]:
    """Split ``--tasks``. Commas separate tasks, and also the options of one task.

    >>> [spec.name for spec in parse_specs("alpacaeval@1:order=both,seed=1,gsm8k")]
    ['alpacaeval', 'gsm8k']
    """
    pieces = _pieces(text)
    if not pieces:
        raise UsageError(f"--tasks names no task; known tasks: {', '.join(names())}")
    return [_in_own_words(_parse_spec(piece)) for piece in pieces]


def _pieces(text: str) -> list[str]:
    """Split a text into the specs of single tasks."""
    pieces: list[str] = []
    for piece in filter(None, (part.strip() for part in text.split(","))):
        continues = pieces and "=" in piece and ":" not in piece.split("=")[0]
        if continues and ":" in pieces[-1]:
            pieces[-1] += "," + piece
        else:
            pieces.append(piece)
    return pieces


def own_names(text: str) -> dict[str, str]:
    """The specs of a text, each with how judgebench writes it: benchmarks may be called as other harnesses call them.

    >>> own_names("gsm8k_cot,minerva_math500,ifeval")
    {'gsm8k_cot': 'gsm8k@cot8', 'minerva_math500': 'math@500:prompt=minerva4', 'ifeval': 'ifeval'}
    """
    found = {}
    for piece in _pieces(text):
        typed = _parse_spec(piece)
        own = _in_own_words(typed)
        found[piece] = piece if own == typed else own.text
    return found


def parse_one_spec(text: str) -> TaskSpec:
    """Read the spec of a command that takes one task."""
    specs = parse_specs(text)
    if len(specs) > 1:
        raise UsageError(f"{text!r} names {len(specs)} tasks; this command takes one task at a time")
    return specs[0]


def read_selection(texts: Iterable[str], flag: str, *, bare: bool = False) -> Selection:
    """Read texts such as ``category=math`` and ``mtbench:turn=2``, whose task may be called as another harness does."""

    def own_name(text: str) -> str:
        spec = parse_one_spec(text)
        return spec.name if spec.version is None else f"{spec.name}@{spec.version}"

    return parse_selection(texts, flag, bare=bare).renamed(own_name)


def _parse_spec(piece: str) -> TaskSpec:
    match = re.fullmatch(r"(?P<name>[^@:]+)(?:@(?P<version>[^:]+))?(?::(?P<options>.*))?", piece)
    if match is None:
        raise UsageError(f"--tasks {piece!r} is not NAME[@VERSION][:KEY=VALUE,…]")
    options = {}
    for pair in filter(None, (match["options"] or "").split(",")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--tasks {piece!r}: the option {pair!r} is not KEY=VALUE")
        options[key.strip()] = value.strip()
    return TaskSpec(match["name"], match["version"], options)


def _in_own_words(spec: TaskSpec) -> TaskSpec:
    """The spec of a benchmark that is called as another harness calls it; any other spec as it is.

    Raises :class:`UsageError` for a benchmark of another harness that has no exact equivalent here.
    """
    key, table = key_of(spec.name), aliases()
    if spec.name in (known := _owners()) or is_file(spec.name):
        return spec
    if key in table.near_tasks:
        raise UsageError(f"no task is called {spec.name!r}: {table.near_tasks[key]}")
    if key not in table.tasks:
        return msgspec.structs.replace(spec, name=spec.name.lower()) if spec.name.lower() in known else spec
    meant = _parse_spec(table.tasks[key])
    if spec.version and meant.version and spec.version != meant.version:
        raise UsageError(
            f"{spec.name} is {meant.text} here, so {spec.name}@{spec.version} names two versions; write "
            f"{meant.name}@{spec.version}"
        )
    return TaskSpec(meant.name, spec.version or meant.version, {**meant.options, **spec.options})


def folder(name: str) -> Path:
    """A bundled task's folder, which holds its ``sources.toml`` and starter set."""
    return Path(__path__[0]) / name


def names() -> list[str]:
    """The names of all tasks, sorted; raise :class:`UsageError` if two packages define one name."""
    owners = _owners()
    for name in owners:
        plugins.require_one_owner("task", name, owners)
    return sorted(owners)


def info(name: str) -> dict[str, Any]:
    """What ``judgebench tasks info`` shows of a task, ``NAME[@VERSION]`` or a path to a ``task.py``."""
    spec = parse_one_spec(name)
    origin = find(spec.name)
    task = origin.task(spec.version, spec.options)
    ends = {spec: end for spec in sorted(set(task.judge_models.values())) if (end := served(spec))}
    return {
        "task": task.label,
        "versions": list(task.versions or (task.version,)),
        "metrics": list(task.headline),
        "examples": task.official_examples,
        "judge": dict(task.judge_models) or _no_judge(task),
        **({"served": ends} if ends else {}),
        "options": dict(task.option_help),
        "imports": sorted(task.importers),
        "sources": {key: f"{source.place} ({source.licence})" for key, source in origin.sources.items()},
        "about": task.about,
    }


def _no_judge(task: Task) -> str:
    return "none: answers are verified" if task.verdicts == "verified" else "none official; give --judge"


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """What ``judgebench tasks list`` shows of a task."""

    task: str
    version: str = ""
    """The default."""
    versions: tuple[str, ...] = ()
    verdicts: str = ""
    """``judged``, ``verified``, or both."""
    examples: int | None = None
    judges: tuple[str, ...] = ()
    """Specs of the official judge models."""
    served: dict[str, str] = {}
    """Until when the vendors serve those whose end is known."""
    metrics: tuple[str, ...] = ()
    about: str = ""
    problem: str | None = None
    """Why a task of an installed package cannot be loaded."""


def listed() -> list[Listed]:
    """All tasks with what they measure. One that cannot be loaded is listed with the reason."""
    return [_listed(name) for name in names()]


def _listed(name: str) -> Listed:
    try:
        task, _ = load(TaskSpec(name))
    except JudgebenchError as error:
        return Listed(task=name, problem=str(error))
    judges = tuple(sorted(set(task.judge_models.values())))
    return Listed(
        task=name,
        version=task.version,
        versions=task.versions or (task.version,),
        verdicts=task.verdicts,
        examples=task.official_examples,
        judges=judges,
        served={spec: end.short for spec in judges if (end := shutdown_of(*parse_model(spec)))},
        metrics=task.headline,
        about=task.about,
    )


def served(spec: str) -> str | None:
    """Until when a model's vendor serves it, in a few words; ``None`` if no end is known."""
    end = shutdown_of(*parse_model(spec))
    if end is None:
        return None
    return end.short + (f"; {end.vendor} recommends {end.replaced_by}" if end.replaced_by else "")


@dataclass(frozen=True)
class Origin:
    """Where a task comes from."""

    name: str
    """The name that the user wrote: a task's name, or the path of a file."""
    factory: Callable[..., Task]
    folder: Path
    """The folder of its files."""
    code: TaskCode | None = None
    """The files of a task that the user named by its file."""
    fetched: Mapping[str, Source] = field(default_factory=dict)
    """Official files that its TOML file names; those of ``sources.toml`` are in :attr:`sources`, too."""

    @property
    def is_toml(self) -> bool:
        """Whether it is a TOML file, which says what a task's README would."""
        return self.code is not None and self.code.file.endswith(".toml")

    @property
    def sources(self) -> dict[str, Source]:
        """The official files that the task may fetch, by name."""
        return {**read_sources(self.folder), **self.fetched}

    def task(
        self, version: str | None = None, options: Mapping[str, str] | None = None, *, starter: bool = False
    ) -> Task:
        """Make the task in this version and with these options; raise :class:`UsageError` if it cannot be made."""
        try:
            made = self.factory(version=version, options=dict(options or {}), starter=starter)
        except JudgebenchError:
            raise
        except (Exception, SystemExit) as error:
            raise UsageError(f"the task {self.name!r} cannot be made: {type(error).__name__}: {error}") from error
        if not isinstance(made, Task) or not is_plain_name(made.name):
            found = made.name if isinstance(made, Task) else made
            raise UsageError(
                f"the task {self.name!r} must return a Task whose name consists of letters, digits, - and _, but it "
                f"returns {found!r:.100}"
            )
        if self.code is None and made.name != self.name:
            raise UsageError(
                f"the installed task {self.name!r} calls itself {made.name!r}, so nobody could read its runs again; "
                f"give its entry point the name of the task"
            )
        return made


def load(spec: TaskSpec, *, starter: bool = False) -> tuple[Task, Path]:
    """Load the task that a user's spec names, and return it with the folder of its files.

    Raises :class:`UsageError` for an unknown name, version or option, or a plug-in that fails to import.
    """
    origin = find(spec.name)
    return origin.task(spec.version, spec.options, starter=starter), origin.folder


def find(name: str) -> Origin:
    """Find the task that a user names, also by its folder or file; raise :class:`UsageError` if there is none."""
    origin = from_file(Path(name)) if is_file(name) else find_registered(name)
    if origin is None and _is_path(name):
        raise UsageError(_no_task_at(name))
    if origin is None:
        known, here = names(), task_file_in(Path(name)) is not None
        if beside := f"./{name}" if here else f"./{name}.toml" if Path(f"{name}.toml").is_file() else None:
            raise UsageError(
                f"no task is called {name!r}, but {beside} is one: write {beside}, because a benchmark of your own is "
                "named by its path"
            )
        near = did_you_mean(key_of(name), known)
        raise UsageError(
            f"no task is called {name!r}{near}; known tasks: "
            f"{', '.join(known)}, or a path to a task's folder, task.py or TOML file"
        )
    return origin


def find_registered(name: str) -> Origin | None:
    """Find the bundled or installed task of this name, which is never a path; return ``None`` if there is none."""
    plugins.require_one_owner("task", name, _owners())
    points = {point.name: point for point in plugins.installed(ENTRY_POINTS)}
    with plugins.loading("task", name):
        if name in _bundled():
            return _bundled_origin(name)
        if name in points:
            factory = points[name].load()
            return Origin(name, factory, Path(sys.modules[factory.__module__].__file__ or ".").parent)
    return None


def _bundled_origin(name: str) -> Origin:
    place = folder(name)
    if (place / "task.py").is_file():
        return Origin(name, importlib.import_module(f"judgebench.tasks.{name}.task").task, place)
    from judgebench.kinds import factory_of

    read, factory = factory_of(place / "task.toml", bundled=True)
    return Origin(name, factory, place, fetched=read.sources)


def is_file(name: str) -> bool:
    """Whether a spec's name is the path of a Python or TOML file, or of a folder (``./mine``) with a task's file."""
    path = Path(name)
    return (path.suffix in (".py", ".toml") and path.is_file()) or ("/" in name and task_file_in(path) is not None)


def _is_path(name: str) -> bool:
    """Whether a spec's name can only mean a path, whatever lies there."""
    return "/" in name or Path(name).suffix in (".py", ".toml")


def _no_task_at(name: str) -> str:
    """What to say of a path where no task is: what is there instead, and what is near."""
    path = Path(name)
    if path.is_dir():
        return (
            f"the folder {name} is no benchmark: it has neither a task.py nor a task.toml. `judgebench tasks new "
            f"NAME` writes one that works"
        )
    if path.exists():
        return f"{name} is no task: a task is a folder, a Python file or a TOML file"
    return f"the task {name} cannot be read: {nothing_at(name)}"


def task_file_in(folder: Path) -> Path | None:
    """The file of the task in a folder, if there is one."""
    return next((folder / name for name in TASK_FILES if (folder / name).is_file()), None)


def folders_elsewhere(text: str) -> tuple[Path, ...]:
    """Return the folders of tasks that are not bundled: those that ``--tasks`` names, and of installed packages."""
    named = [Path(spec.name) for spec in parse_specs(text) if is_file(spec.name)] if text else []
    files = ((path if path.is_dir() else path.parent).resolve() for path in named)
    return (*files, *plugins.folders(ENTRY_POINTS))


def from_file(path: Path) -> Origin:
    """Return the task of a file or folder that the user named. A file that changed is imported anew."""
    file = ((task_file_in(path) or path) if path.is_dir() else path).resolve()
    if file.suffix == ".toml":
        # Reads prompts and judge files, which listing the tasks does not need.
        from judgebench.kinds import factory_of

        read, factory = factory_of(file)
        code = TaskCode(file=file.name, sha256=read.hashes())
        return Origin(str(path), factory, file.parent, code, read.sources)
    with plugins.loading("task", str(path)):
        code = code_of(file)
        module = folder_module(file, canonical_hash(code.sha256))
        return Origin(str(path), import_from_folder(module, file).task, file.parent, code)


def code_of(file: Path) -> TaskCode:
    """Return the files of a task that the user named by its file: every Python file in its folder and in the folders of
    Python files below it, and :data:`DATA_FILES`. Other files are left out: results and answers may lie there too.
    """
    found = [file, *(path for path in _python_files(file.parent) if path != file)]
    found += [path for pattern in DATA_FILES for path in file.parent.glob(pattern) if path.is_file()]
    digests = {}
    for path in found:
        with path.open("rb") as opened:
            digests[path.relative_to(file.parent).as_posix()] = hashlib.file_digest(opened, "sha256").hexdigest()
    return TaskCode(file=file.name, sha256=dict(sorted(digests.items())))


def _python_files(folder: Path) -> Iterator[Path]:
    """Find the Python files in a folder, and in the folders below it as long as these hold some."""
    count = 0
    for place, folders, files in os.walk(folder):
        own = sorted(name for name in files if name.endswith(".py"))
        count += len(own)
        if count > MAX_CODE_FILES:
            raise UsageError(
                f"{folder} holds more than {MAX_CODE_FILES} Python files; give the task a folder of its own"
            )
        yield from (Path(place) / name for name in own)
        # Leave out hidden folders and virtual environments.
        folders[:] = sorted(name for name in folders if own and not name.startswith(".") and name != "__pycache__")
        folders[:] = [name for name in folders if not (Path(place) / name / "pyvenv.cfg").exists()]


def named(text: str) -> dict[str, TaskSpec]:
    """The specs of ``--tasks`` by the names of the tasks; a task that is a file says its name itself."""
    found: dict[str, TaskSpec] = {}
    for spec in parse_specs(text) if text else ():
        if _is_path(spec.name) and not is_file(spec.name):
            raise UsageError(_no_task_at(spec.name))
        name = from_file(Path(spec.name)).task().name if is_file(spec.name) else spec.name
        if name in found:
            raise UsageError(
                f"--tasks names {name} twice: {found[name].text} and {spec.text}; run them one after the other, "
                "because each has its own protocol"
            )
        found[name] = spec
    return found


def files_among(given: Mapping[str, TaskSpec]) -> dict[str, Path]:
    """The files among the named tasks, by the names of the tasks."""
    return {name: Path(spec.name) for name, spec in given.items() if is_file(spec.name)}


def task_files(text: str) -> dict[str, Path]:
    """The files of a command that accepts only files as ``--tasks``, by the names of the tasks."""
    for spec in parse_specs(text) if text else ():
        if not is_file(spec.name) and _is_path(spec.name):
            raise UsageError(_no_task_at(spec.name))
        if not is_file(spec.name):
            raise UsageError(
                f"--tasks {spec.name} is no path: here it only says where the runs' own tasks lie, as in --tasks "
                f"./mine/task.py, and every run is taken whole. `judgebench show`, `compare` and `leaderboard` can be "
                f"limited to some tasks (in Python by `task`), and a gate by [tasks.{spec.name}] in its policy"
            )
        if spec.version or spec.options:
            raise UsageError(
                f"--tasks {spec.text}: only the path of your own task is given here; the runs say their version and "
                f"options"
            )
    return files_among(named(text))


def chosen_tasks(texts: Iterable[str]) -> tuple[str | None, str]:
    """What the texts of ``--task`` say to a command about runs: the tasks to limit it to, and where own tasks lie.

    A text with names limits the command to all that it names. Paths alone only say where those tasks lie, so the runs'
    other tasks stay. Without names the first part is ``None``; the second is what :func:`task_files` takes.

    >>> chosen_tasks(["gsm8k,math@500"]), chosen_tasks([])
    (('gsm8k,math@500', ''), (None, ''))
    """
    limited: list[str] = []
    paths: list[str] = []
    for text in texts:
        specs = parse_specs(text)
        own = [spec for spec in specs if _is_path(spec.name) or is_file(spec.name)]
        names = [spec.text for spec in specs if spec not in own]
        paths += [spec.text for spec in own]
        if names:
            limited += [*names, *task_files(",".join(spec.text for spec in own))]
    return ",".join(dict.fromkeys(limited)) or None, ",".join(dict.fromkeys(paths))


def is_among(wanted: str | None, names: Collection[str]) -> bool:
    """Whether a text of specs means the task that has these names; ``None`` means every task.

    >>> is_among("gsm8k,math@500", ["math", "math@500"]), is_among(None, ["math"]), is_among("gsm8k", ["math"])
    (True, True, False)
    """
    return wanted is None or wanted in names or any(spec.text in names for spec in parse_specs(wanted))


def files_flag(text: str) -> str:
    """The flag that commands about a run of these tasks need as well: ``--tasks`` with those that are files.

    >>> files_flag("gsm8k,mtbench:mode=pairwise")
    ''
    """
    files = [spec.name for spec in parse_specs(text) if is_file(spec.name)] if text else []
    return f" --tasks {shlex.quote(','.join(files))}" if files else ""


def on_run(run: Path | str, files: str | Mapping[str, Path] = "") -> str:
    """How a command that is printed names a run: by its path, and with ``--tasks`` if its tasks are files.

    ``files`` are what ``--tasks`` said, or those files by the names of the tasks.

    >>> on_run("my runs/a", {"mine": Path("./mine")})
    "'my runs/a' --tasks ./mine"
    """
    if isinstance(files, str):
        return shlex.quote(str(run)) + files_flag(files)
    named_files = ",".join(map(_as_typed, files.values()))
    return shlex.quote(str(run)) + (f" --tasks {shlex.quote(named_files)}" if named_files else "")


def _as_typed(path: Path) -> str:
    """The path of a task's file or folder so that it is not read as a name."""
    return str(path) if is_file(str(path)) else f"./{path}"


def on_task(run: Path | str, name: str, files: str) -> str:
    """How a command that is printed names one task of a run; a task that is a file by its path and its name.

    >>> on_task("runs/a", "gsm8k", "")
    'runs/a --task gsm8k'
    """
    path = task_files(files).get(name)
    text = name if path is None else f"{_as_typed(path)},{name}"
    return f"{shlex.quote(str(run))} --task {shlex.quote(text)}"


@cache
def _bundled() -> tuple[str, ...]:
    return tuple(sorted({path.parent.name for name in TASK_FILES for path in Path(__path__[0]).glob(f"*/{name}")}))


def _owners() -> dict[str, list[str]]:
    return plugins.owners(ENTRY_POINTS, _bundled())
