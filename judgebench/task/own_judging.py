"""Puts a judge of the user's in the place of a task's judges, and checks that it sees what it is to judge."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from judgebench.errors import UsageError
from judgebench.judges import Judge
from judgebench.judges.own_judges import OpenJudge, OwnJudge
from judgebench.judges.own_prompts import (
    ANSWERS,
    EARLIER,
    QUESTION,
    CaseTexts,
    OwnPrompt,
    require_labels,
    require_names,
    require_shown,
)
from judgebench.judges.scorers import ScoringJudge
from judgebench.records import Answer, Case, Example, Generation, Message
from judgebench.task import Task, TaskData

MOST_COMPARED = 200
"""How many cases are compared with others of the same answer."""


def ordered(own: OwnJudge | None, task: Task, options: Mapping[str, str]) -> dict[str, str]:
    """Add to a task's options those that show pairs in the order that the judge asks for."""
    wanted = {} if own is None or own.order is None else task.orders.get(own.order, {})
    for name, value in wanted.items():
        if own is not None and options.get(name, value) != value:
            raise UsageError(
                f"{own.name} asks for order = {own.order!r}, and {task.label} for {name}={options[name]}; leave out one"
            )
    return {**options, **wanted}


def require_order(own: OwnJudge, task: Task) -> None:
    """Raise :class:`UsageError` if the task cannot show pairs in the order that the judge asks for."""
    if own.order is not None and own.order not in task.orders:
        shown = " and ".join(task.orders)
        why = f"it shows pairs only in {'a drawn' if shown == 'seeded' else 'both'} order{'s' * (shown != 'seeded')}"
        raise UsageError(
            f"{own.name} asks for order = {own.order!r}, but {task.label} has no such order: "
            f"{why if shown else 'its answers are rated one by one'}; leave the key out"
        )


def judged_by(
    own: OwnJudge,
    task: Task,
    data: TaskData,
    where: str | None = None,
    *,
    stored: bool = False,
    prompt: OwnPrompt | None = None,
) -> TaskData:
    """Return the task's data with the judge in the place of the task's own.

    Raises :class:`UsageError` if its prompt shows what the cases do not have, if it leaves out the question or an
    answer, if it does not ask for the labels that are read, or if its rule does not fit the cases. ``where`` is how
    messages call the prompt; ``prompt`` is one that is read already. What a ``stored`` run was judged by may ask for
    any labels: its replies are there.
    """
    judge = own.opened(where or own.name) if prompt is None else OpenJudge(own, prompt)
    # The slots of a published prompt are filled alike for all cases; another prompt may ask what a case has.
    whole = prompt is None or not prompt.published
    cases = _probes(task, data, data.examples if whole else data.examples[:MOST_COMPARED])
    judges = dict(data.judges)
    for name, replaced in data.judges.items():
        if isinstance(replaced, ScoringJudge):  # it chooses among answers, and has no prompt
            continue
        mine = cases.get(name, ())
        texts = getattr(replaced, "texts", None) or CaseTexts(answers=1 if mine and len(mine[0].answers) == 1 else 2)
        try:
            if judge.prompt is not None:
                require_names(judge.prompt, texts, f"{task.name} ({name})")
                require_shown(judge.prompt, texts, mine, f"{task.name} ({name})")
            judges[name] = judge.played(replaced, texts)
            if judge.prompt is not None and not stored:
                require_labels(judge.prompt, getattr(judges[name], "labels", ()), f"{task.name} ({name})")
            if judge.prompt is not None:
                _require_told_apart(judge.prompt, replaced, judges[name], mine)
        except UsageError as error:
            if len({case.judge for some in cases.values() for case in some}) == 1 or "metrics" not in task.option_help:
                raise
            raise UsageError(
                f"{error} The task has several judges, and all of them are replaced; choose one by an option, such as "
                f"{task.name}:metrics=score or {task.name}:metrics=reward"
            ) from error
    fragments = data.fragments if judge.prompt is None else judge.prompt.fragments
    return dataclasses.replace(data, judges=judges, fragments=fragments)


def _require_told_apart(prompt: OwnPrompt, replaced: Judge, played: Judge, cases: Sequence[Case]) -> None:
    """Raise :class:`UsageError` if the prompt is the same for two cases of an answer that the task's own tells apart.

    Such cases are about different criteria, say, and the prompt shows none of them.
    """
    earlier: dict[tuple[str, int], Case] = {}
    for case in cases[:MOST_COMPARED]:
        other = earlier.setdefault((case.example.id, case.turn), case)
        judge, same = replaced.name, other is not case and played.ask(case).messages == played.ask(other).messages
        if same and replaced.ask(case).messages != replaced.ask(other).messages:
            raise UsageError(
                f"the judge prompt {prompt.name} is the same for the cases {other.id} and {case.id} of {judge}, "
                "which ask about different things; show what tells them apart (`judgebench judges info TASK` lists "
                "what there is, and a task of your own adds to it by the field texts of its judge)"
            )


def _probes(task: Task, data: TaskData, examples: Iterable[Example]) -> Mapping[str, Sequence[Case]]:
    """Make the cases of examples by judge, with stand-ins for the question and the answers."""
    found: dict[str, list[Case]] = {}
    if data.lacks:
        return {}
    for example in examples:
        for case in _cases(task, data, example):
            found.setdefault(case.judge, []).append(_with_stand_ins(case))
    return found


def _cases(task: Task, data: TaskData, example: Example) -> Iterator[Case]:
    outputs = ("?",) * (1 + len(example.followups))
    yield from task.cases(data, Generation(example_id=example.id, model="?", outputs=outputs))


def _with_stand_ins(case: Case) -> Case:
    example, count = case.example, max(len(answer.turns) for answer in case.answers)
    questions = [example.instruction, *example.followups]
    questions[min(count, len(questions)) - 1] = QUESTION
    messages = (*example.messages[:-1], Message(role="user", content=questions[0]))
    return msgspec.structs.replace(
        case,
        example=msgspec.structs.replace(example, messages=messages, followups=tuple(questions[1:])),
        answers=tuple(
            Answer(model=answer.model, turns=(*(EARLIER for _ in answer.turns[1:]), stand_in))
            for answer, stand_in in zip(case.answers, ANSWERS, strict=False)
        ),
    )
