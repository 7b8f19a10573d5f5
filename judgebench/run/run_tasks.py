"""Finds the task of a run from its manifest. Everything that reads a run gets its task here.

A run folder may come from anybody, and a task is code. So a manifest may name only bundled tasks and those of installed
packages, never a file. The code of a task in a file comes from the user's own command line (or the argument ``tasks``
in Python), and it must be the code that the run was made with: the manifest keeps its hashes.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from judgebench import tasks
from judgebench.display import is_plain_name
from judgebench.errors import UsageError
from judgebench.files import sha256_of
from judgebench.models.opening import scores_of
from judgebench.records import Case, Generation, TaskCode
from judgebench.run.folder import TaskManifest
from judgebench.task import Fetch, Task, TaskData
from judgebench.task.best_of import with_selection

T = TypeVar("T")
TaskFiles = Mapping[str, Path]
"""Files that the user named, by the names of their tasks."""
NO_FILES: TaskFiles = {}
HOUSE = "house"
"""What earlier versions called the judge of every TOML file; their runs are still read."""


class TaskUnavailable(UsageError):
    """The code that a run was made with is not here, so that only what the run recorded can be read."""


def find_task(
    task_manifest: TaskManifest, run: Path, files: TaskFiles = NO_FILES, options: Mapping[str, str] | None = None
) -> tuple[Task, tasks.Origin]:
    """Find a run's task in the run's version, with the run's options, which the user's ``options`` override.

    Raises :class:`UsageError` if the task is neither bundled nor installed nor among the ``files``, or if its file is
    not the one that the run was made with.
    """
    run_options = {name: str(value) for name, value in task_manifest.options.items()}
    origin = _origin(task_manifest, run, files)
    task = origin.task(task_manifest.version, {**run_options, **(options or {})}, starter=task_manifest.starter)
    if task.name != task_manifest.name:
        raise UsageError(
            f"{run} is of the task {task_manifest.name!r}, but {origin.name} defines {task.name!r} in that version"
        )
    task = _with_recorded_name(judged_by_models(task, task_manifest.judge_models), task_manifest)
    return task if task_manifest.select is None else with_selection(task, task_manifest.select), origin


def _with_recorded_name(task: Task, task_manifest: TaskManifest) -> Task:
    """The task with its judge called as the run calls it, if that is the name that all judges of TOML files had."""
    recorded = task_manifest.protocol.get("judges")
    if not isinstance(recorded, Mapping) or HOUSE not in recorded or HOUSE in task.judge_models:
        return task

    def load(fetch: Fetch) -> TaskData:
        data = task.load(fetch)
        return dataclasses.replace(data, judges=_renamed(data.judges)) if len(data.judges) == 1 else data

    def cases(data: TaskData, generation: Generation) -> tuple[Case, ...]:
        found = task.cases(data, generation)
        return tuple(msgspec.structs.replace(case, judge=HOUSE) for case in found) if HOUSE in data.judges else found

    return dataclasses.replace(task, load=load, cases=cases, judge_models=_renamed(task.judge_models))


def _renamed(by_name: Mapping[str, T]) -> dict[str, T]:
    """The only entry of a mapping under that name; nothing if there is none."""
    return dict(zip((HOUSE,), by_name.values(), strict=False))


def judged_by_models(task: Task, judges: Iterable[str]) -> Task:
    """The task as these models judge it: scoring models rate on a scale of their own, which has no ends."""
    rated_freely = task.on_rewards is not None and any(scores_of(text) == "answers" for text in judges)
    return task.on_rewards() if task.on_rewards is not None and rated_freely else task


def _origin(task_manifest: TaskManifest, run: Path, files: TaskFiles) -> tasks.Origin:
    """Find where a run's task comes from. The name in a manifest is never taken for the path of a file."""
    name, given = task_manifest.name, files.get(task_manifest.name)
    if not is_plain_name(name):
        raise UsageError(
            f"{run} is damaged: its manifest names the task {name!r:.200}, but the name of a task consists of letters, "
            f"digits, - and _"
        )
    if task_manifest.code is not None:
        return _same_file(task_manifest.code, name, run, given)
    registered = tasks.find_registered(name)
    if registered is not None:
        if given is None:
            return registered
        raise UsageError(
            f"{run} was made with the task {name!r} that is installed here, not with {given}; leave that file out, or "
            f"evaluate again with it"
        )
    if given is None:
        raise TaskUnavailable(
            f"{run} is of the task {name!r}, which is neither bundled nor part of an installed package. Install the "
            f"package that has it, or name the file of that task with --tasks, as in --tasks ./{name}/task.py. "
            f"Known tasks: {', '.join(tasks.names())}"
        )
    return tasks.from_file(given)


def _as_given(name: str, file: str) -> str:
    """How a user would write the file of a task: the one of a folder, or a file that has the task's own name."""
    return f"./{name}/{file}" if file in tasks.TASK_FILES else file


def _same_file(code: TaskCode, name: str, run: Path, given: Path | None) -> tasks.Origin:
    if given is None:
        raise TaskUnavailable(
            f"{run} is of the task {name!r}, which was given as a file ({code.file}), and a run folder may not choose "
            f"the files and the code that are used. Name that file yourself, as in --tasks {_as_given(name, code.file)}"
        )
    origin = tasks.from_file(given)
    now = origin.code.sha256 if origin.code else {}
    paths = sorted({*code.sha256, *now})
    changed = [path for path in paths if not _is_same(code.sha256.get(path), now.get(path), origin.folder / path)]
    if changed:
        raise TaskUnavailable(
            f"{run} was made with another version of the task {name!r} than {given}: {', '.join(changed[:5])} changed "
            f"since. Numbers belong to the code they were made with: restore that code, or evaluate again with "
            f"today's (replies to unchanged prompts come from the call store and cost nothing)"
        )
    return origin


def _is_same(recorded: str | None, now: str | None, file: Path) -> bool:
    """Whether a file is what a run recorded; of TOML files earlier versions recorded the bytes, comments and all."""
    if recorded is None or now is None or recorded == now:
        return recorded == now
    return file.suffix == ".toml" and sha256_of(file) == recorded
