"""Benchmarks as TOML files. A kind is code, written once; a benchmark of that kind is data.

``task_files`` reads the file, ``items`` the rows of its prompts, ``judging`` makes its judge; each kind has a module
that says what its own table holds and makes the :class:`~judgebench.task.Task`. Nothing in a file is code.
"""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path

from judgebench.kinds.task_files import TaskFile, read_task_file
from judgebench.task import Task


def factory_of(path: Path) -> tuple[TaskFile, Callable[..., Task]]:
    """Read the file of a benchmark, and return it with the function that makes the benchmark.

    Raises :class:`~judgebench.errors.UsageError`, which names file, line and key, if the file is not valid.
    """
    file = read_task_file(path)

    def factory(version: str | None, options: Mapping[str, str], *, starter: bool = False) -> Task:
        file.require_options(version, options)
        # The module of one kind, with the statistics that it needs.
        task: Task = importlib.import_module(f"judgebench.kinds.{file.keys.kind}").make(file, starter)
        return task

    return file, factory
