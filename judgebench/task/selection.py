"""Selects by group, in the words that scores use: ``category=math``, ``mtbench:turn=2``.

``--where`` selects the examples of a run, ``--group`` those of a table or a page. A text is ``[TASK:]KEY=VALUE[,…]``.
Values of one key are alternatives; an example must fit every key. The keys of examples are those of the task's groups
(``Task.groups``), then ``id``, ``item``, ``repeat`` and ``turn``, then plain entries of the example's ``meta``.
Judgements also have ``baseline`` and ``judge``.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import chain
from typing import Protocol

from judgebench.display import printable
from judgebench.errors import UsageError
from judgebench.records import Example, Judgement

GroupsOf = Callable[[Example], Iterable[str]]
"""The names of the groups that an example belongs to, such as ``category=math``."""
Facets = dict[str, tuple[str, ...]]
"""The values of each key."""

OF_VERDICTS = ("turn", "baseline", "judge")
"""Keys of which an example may have several values, while each of its judgements has one."""
LONGEST_VALUE = 80
"""Entries of ``meta`` that are longer are texts, not groups."""
MOST_NAMED = 20
"""The number of values that a message names."""


class Grouped(Protocol):
    """What a selection needs of a ``Task``."""

    @property
    def name(self) -> str:
        """The task's name."""

    @property
    def label(self) -> str:
        """Its name with version and options."""

    @property
    def groups(self) -> GroupsOf:
        """The groups of its examples."""


@dataclass(frozen=True)
class Clause:
    """One text of the user's."""

    text: str
    task: str | None
    """The task that it is about; ``None`` for every task."""
    key: str
    values: tuple[str, ...]
    """Alternatives; none stands for all values of the key."""
    whole: str
    """All values as they were written, because a value may hold a comma."""

    def resolved(self, known: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return which of the known values are meant, and which of its own values are unknown.

        A value is also known in other letters, upper or lower case.
        """
        exact = {value: value for value in known}
        folded = {value.casefold(): value for value in reversed(exact)}
        named = {value: exact.get(value) or folded.get(value.casefold()) for value in (self.whole, *self.values)}
        if whole := named[self.whole]:
            return (whole,), ()
        found = tuple(named[value] or "" for value in self.values)
        return tuple(filter(None, found)), tuple(value for value in self.values if not named[value])


@dataclass(frozen=True)
class Selection:
    """What the user wrote after one flag."""

    flag: str
    clauses: tuple[Clause, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is selected at all."""
        return bool(self.clauses)

    def of_task(self, *names: str) -> "Selection":
        """Return what is said of the task with these names, of which a label also stands for itself without options."""
        names = (*names, *(name.partition(":")[0] for name in names))
        return Selection(self.flag, tuple(one for one in self.clauses if one.task is None or one.task in names))

    def renamed(self, name_of: Callable[[str], str]) -> "Selection":
        """Return the selection with other names of its tasks."""
        clauses = (replace(one, task=one.task and name_of(one.task)) for one in self.clauses)
        return Selection(self.flag, tuple(clauses))

    def keys_alone(self) -> tuple["Selection", "Selection"]:
        """Return what names values, and what is a key alone."""
        named, alone = (tuple(one for one in self.clauses if bool(one.values) == has) for has in (True, False))
        return Selection(self.flag, named), Selection(self.flag, alone)

    def require_tasks(self, names: Collection[str]) -> None:
        """Raise :class:`UsageError` if a text is about a task that is not one of these."""
        for clause in self.clauses:
            if clause.task is not None and clause.task not in names:
                raise UsageError(
                    f"{self.flag} {printable(clause.text, 200)} is about {printable(clause.task, 60)!r}, a task that "
                    f"is not here; write it for {' or '.join(sorted(names))}, or without a task"
                )


def parse_selection(texts: Iterable[str], flag: str, *, bare: bool = False) -> Selection:
    """Parse what the user wrote; with ``bare``, a key alone means each of its values.

    >>> [(c.task, c.key, c.values) for c in parse_selection(["mtbench:turn=2", "subject='a, b',c"], "--where").clauses]
    [('mtbench', 'turn', ('2',)), (None, 'subject', ('a, b', 'c'))]
    """
    return Selection(flag, tuple(_clause(text, flag, bare=bare) for text in texts))


_VALUE = re.compile(r"""\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<plain>[^,]*?))\s*(?:,|$)""")


def _clause(text: str, flag: str, *, bare: bool) -> Clause:
    left, equals, right = text.partition("=")
    task, _, key = left.strip().rpartition(":")
    values = tuple(next(v for v in found.groups() if v is not None) for found in _VALUE.finditer(right.strip()))
    values = tuple(value for value in dict.fromkeys(values) if value)
    if not key.strip() or bool(values) != bool(equals) or not (equals or bare):
        wanted = "KEY=VALUE or KEY" if bare else "KEY=VALUE"
        raise UsageError(
            f"{flag} {printable(text, 200)!r} does not name a group: expected {wanted}, such as category=math, "
            "category=math,coding or mtbench:turn=2"
        )
    return Clause(text, task.strip() or None, key.strip().replace("-", "_"), values, right.strip())


NOTHING_SAID = Selection("--group")
"""A selection of everything."""


@dataclass(frozen=True)
class Chosen:
    """A selection of one task's examples and judgements."""

    groups: GroupsOf
    wanted: Mapping[str, frozenset[str]]
    """The values that fit, by key."""

    def keeps(self, example: Example) -> bool:
        """Whether an example fits, whatever its judgements are."""
        facets = example_facets(self.groups, example)
        return all(
            not values.isdisjoint(facets.get(key, ())) or (key in OF_VERDICTS and key not in facets)
            for key, values in self.wanted.items()
        )

    def keeps_judgement(self, example: Example, judgement: Judgement) -> bool:
        """Whether a judgement on an example fits."""
        facets = example_facets(self.groups, example) | judgement_facets(judgement)
        return all(not values.isdisjoint(facets.get(key, ())) for key, values in self.wanted.items())


def choose(
    selection: Selection, task: Grouped, examples: Sequence[Example], judgements: Iterable[Judgement] = ()
) -> Chosen:
    """Apply what is said of a task to its examples, and to judgements on them.

    Raises :class:`UsageError`, which names the keys and values there are, for another one.
    """
    of_examples = (example_facets(task.groups, example) for example in examples)
    known = all_facets(chain(of_examples, map(judgement_facets, judgements)))
    own = {name.partition("=")[0] for example in examples for name in task.groups(example)}
    told = [key for key in known if key in (*own, *OF_VERDICTS) or 2 * len(known[key]) <= len(examples)]
    wanted: dict[str, frozenset[str]] = {}
    for clause in selection.of_task(task.name, task.label).clauses:
        values = resolve(selection.flag, clause, task.name, known, told)
        wanted[clause.key] = wanted.get(clause.key, frozenset()) | frozenset(values)
    return Chosen(task.groups, wanted)


def resolve(
    flag: str, clause: Clause, task: str, known: Mapping[str, Sequence[str]], told: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the known values that a text means.

    Raises :class:`UsageError` for a key or a value that is not known; it names the keys in ``told``, or all.
    """
    about = f"{flag} {printable(clause.text, 200)}"
    if clause.key not in known:
        keys = told or list(known)
        close = _groups_of_value(clause.key, known) or get_close_matches(clause.key, known, 1)
        hinted = clause.task is None and flag == "--where"
        others = f"; write it for the task that has it, as TASK:{printable(clause.key, 60)}=…" if hinted else ""
        raise UsageError(
            f"{about}: {task} has no group called {printable(clause.key, 60)!r}; it has {_listed(keys)}"
            f"{f' (did you mean {close[0]}?)' if close else ''}{others}"
        )
    values = known[clause.key]
    found, unknown = clause.resolved(values)
    if unknown:
        close = get_close_matches(unknown[0], values, 1) or [v for v in values if unknown[0].casefold() in v.casefold()]
        raise UsageError(
            f"{about}: {task} has no {printable(clause.key, 60)} {printable(unknown[0], 80)!r}; it has "
            f"{_listed(values)}{f' (did you mean {printable(close[0], 80)}?)' if close else ''}"
        )
    return found or tuple(values)


def _groups_of_value(text: str, known: Mapping[str, Sequence[str]]) -> list[str]:
    """The groups that have a text, meant as a key, as their value."""
    wanted = text.casefold()
    return [
        printable(f"{key}={value}", 120)
        for key, values in known.items()
        for value in values
        if value.casefold().replace("-", "_") == wanted
    ]


def _listed(values: Sequence[str]) -> str:
    named = [printable(value, 80) for value in values[:MOST_NAMED]]
    more = len(values) - len(named)
    return (", ".join(named) or "none") + (f" and {more:,} more" if more else "")


def example_facets(groups: GroupsOf, example: Example) -> Facets:
    """The keys and values of an example."""
    facets: dict[str, tuple[str, ...]] = {}
    for name in groups(example):
        key, _, value = name.partition("=")
        facets[key] = (*facets.get(key, ()), value)
    if example.followups:
        facets["turn"] = tuple(str(turn) for turn in range(1, len(example.followups) + 2))
    facets["id"], facets["item"] = (example.id,), (example.item or example.id,)
    if example.item is not None:
        facets["repeat"] = (str(example.repeat),)
    for key, value in example.meta.items():
        values = value if isinstance(value, list | tuple) else [value]
        plain = tuple(_text(part) for part in values if isinstance(part, str | int | float))
        if key not in facets and plain and len(plain) == len(values) and max(map(len, plain)) <= LONGEST_VALUE:
            facets[key] = plain
    return facets


def _text(value: str | float) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def judgement_facets(judgement: Judgement) -> Facets:
    """The keys and values that a judgement has beside those of its example."""
    others = tuple(name for place, name in enumerate(judgement.answers) if place != judgement.candidate)
    return {
        "turn": (str(judgement.turn),),
        "judge": (judgement.judge_model,),
        **({"baseline": others} if others else {}),
    }


def all_facets(facets: Iterable[Facets]) -> dict[str, tuple[str, ...]]:
    """All keys with all their values, in the order in which they occur."""
    found: dict[str, dict[str, None]] = {}
    for own in facets:
        for key, values in own.items():
            found.setdefault(key, {}).update(dict.fromkeys(values))
    return {key: tuple(values) for key, values in found.items()}


def in_groups(groups_of: GroupsOf, example: Example, names: Collection[str]) -> bool:
    """Whether an example is in one of some groups; groups that examples do not have (``k=500``) say nothing of it."""
    facets = example_facets(groups_of, example)
    about = [key_and_value for name in names if (key_and_value := name.partition("="))[0] in facets]
    return not about or any(value in facets[key] for key, _, value in about)


def chosen_groups(selection: Selection, task: Sequence[str], groups: Iterable[str]) -> tuple[str, ...]:
    """Which of the groups of a task's scores are meant, in their own order; each is a group of its own.

    ``task`` holds the names of the task. Raises :class:`UsageError`, which names the groups there are, for another one.
    """
    named = list(dict.fromkeys(groups))
    known = all_facets({key: (value,)} for key, _, value in (name.partition("=") for name in named))
    found = {
        f"{clause.key}={value}"
        for clause in selection.of_task(*task).clauses
        for value in resolve(selection.flag, clause, task[0], known)
    }
    return tuple(name for name in named if name in found)
