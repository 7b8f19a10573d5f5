"""Which groups of scores a user means by ``--group``, over several runs."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from judgebench.display import printable
from judgebench.errors import UsageError
from judgebench.run.reading import TaskRun
from judgebench.task.selection import Selection, chosen_groups

LONGEST_GROUP = 120
"""Length of a group's name that can head a column."""


def require_groups(selection: Selection, runs: Iterable[TaskRun]) -> dict[str, tuple[str, ...]]:
    """The groups that are meant, by task with version; tasks without such a group are left out.

    Raises :class:`UsageError`, which names the groups there are, for a text that fits no task.
    """
    runs = list(runs)
    selection.require_tasks({name for run in runs for name in run.names})
    known: dict[str, tuple[TaskRun, dict[str, None]]] = {}
    for run in runs:
        _, groups = known.setdefault(label_of(run), (run, {}))
        groups.update((group, None) for score in run.scores if (group := score.group) is not None and _plain(group))
    found = [_of_clause(replace(selection, clauses=(clause,)), known) for clause in selection.clauses]
    meant = {label: {group for of_clause in found for group in of_clause.get(label, ())} for label in known}
    return {
        label: tuple(group for group in groups if group in meant[label])
        for label, (_, groups) in known.items()
        if meant[label]
    }


def _of_clause(clause: Selection, known: Mapping[str, tuple[TaskRun, Iterable[str]]]) -> dict[str, tuple[str, ...]]:
    """The groups that one text means, by task."""
    found, problems = {}, {}
    for label, (run, groups) in known.items():
        try:
            found[label] = chosen_groups(clause, (run.key, *run.names), groups)
        except UsageError as error:
            problems[label] = str(error)
    if any(found.values()):
        return found
    if not problems:
        raise UsageError(f"{clause.flag} {printable(clause.clauses[0].text, 200)}: there is no run here with groups")
    keys = {label: dict.fromkeys(group.partition("=")[0] for group in groups) for label, (_, groups) in known.items()}
    # A task with such a key, but not such a value, is the one that is meant.
    first = min(problems, key=lambda label: clause.clauses[0].key not in keys[label])
    if clause.clauses[0].key in keys[first]:
        raise UsageError(problems[first])
    others = (f"; {label} has {', '.join(keys[label]) or 'none'}" for label in problems if label != first)
    raise UsageError(problems[first] + "".join(others))


def label_of(run: TaskRun) -> str:
    """A task's name and version."""
    return f"{run.task_manifest.name}@{run.task_manifest.version}"


def _plain(group: str) -> bool:
    """Whether a group's name can head a column: the folder may come from anyone."""
    return len(group) <= LONGEST_GROUP and printable(group) == group
