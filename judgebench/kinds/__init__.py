"""Benchmarks as TOML files. A kind is code, written once; a benchmark of that kind is data.

``task_files`` reads the file, ``items`` the rows of its prompts, ``judging`` makes its judge; each kind has a module
that says what its own table holds and makes the :class:`~judgebench.task.Task`. Nothing in a file is code.
"""

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path

from judgebench.judges.named import NamedJudge
from judgebench.judges.text import OTHER_JUDGES
from judgebench.kinds.judging import judge_name
from judgebench.kinds.phrases import with_phrases
from judgebench.kinds.task_files import Prompt, TaskFile, read_task_file
from judgebench.task import Task, differing


def factory_of(path: Path, *, bundled: bool = False) -> tuple[TaskFile, Callable[..., Task]]:
    """Read the file of a benchmark, and return it with the function that makes the benchmark.

    Raises :class:`~judgebench.errors.UsageError`, which names file, line and key, if the file is not valid.
    """
    file = read_task_file(path, bundled=bundled)

    def factory(version: str | None, options: Mapping[str, str], *, starter: bool = False) -> Task:
        chosen = file.with_choice(version, options, starter=starter)
        # The module of one kind, with the statistics that it needs.
        task: Task = importlib.import_module(f"judgebench.kinds.{chosen.keys.kind}").make(chosen, starter)
        return dataclasses.replace(
            with_phrases(chosen, task),
            versions=chosen.versions,
            code_hashes=chosen.code_hashes,
            options=differing(chosen.chosen, chosen.usual_options),
            option_help={name: option.about for name, option in chosen.all_options.items()},
            other_judges=_other_judges(chosen),
            named_judges=_named_judges(chosen) if task.judge_models else (),
        )

    return file, factory


def _named_judges(file: TaskFile) -> tuple[NamedJudge, ...]:
    """The judge that the file names."""
    prompt, reads = file.keys.prompt, file.keys.reads or file.keys.verdict.get("read")
    named = NamedJudge(
        name=judge_name(file),
        model=file.judge_model,
        answers=2 if file.keys.kind == "pairwise" else 1,
        reading=str(reads or f"the rule of the kind {file.keys.kind}"),
        prompt=prompt.file if isinstance(prompt, Prompt) else prompt,
    )
    return (named,)


def _other_judges(file: TaskFile) -> Mapping[str, str]:
    """Judges for the time when the official one is no longer served; of other people's files, those they name."""
    usual = OTHER_JUDGES if file.bundled and file.judge_model is not None else {}
    others = {model: note for model, note in usual.items() if model != file.judge_model}
    return file.keys.other_judges or others
