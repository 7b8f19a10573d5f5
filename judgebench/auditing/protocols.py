"""How a judge is asked in an audit: by a benchmark's own prompt and rule, by the user's, or by ours.

An audit measures a prompt and a rule together with the model that plays them. ``--task`` takes those of a benchmark,
which chooses among its judges by the case, as in a run; without it they are ours, or those of a judge file.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec

from judgebench.auditing.items import Item, order_of
from judgebench.auditing.probes import FORGED, sanity_pairs, wanted_verdict, with_verdict
from judgebench.data.resources import resource
from judgebench.errors import JudgebenchError, UsageError
from judgebench.judges import Judge
from judgebench.judges.own_prompts import CaseTexts, OwnPrompt
from judgebench.judges.text import OTHER_JUDGES, TextJudge
from judgebench.judges.verdict_rules import VerdictRule, reader
from judgebench.records import Answer, Case, Example, Generation, Sampling
from judgebench.run.loading import LoadedTask, load_tasks, with_own_judge
from judgebench.run.settings import Settings
from judgebench.task import Task, TaskData

OURS = "audit"
"""Name of what asks if no benchmark does."""
PAIR, RATING = "pair", "rating"
SCALE = (1.0, 10.0)
SAMPLING = Sampling(temperature=0.0, max_tokens=2048)
RULES = {
    PAIR: VerdictRule(read="label", labels={"[[A]]": 1.0, "[[C]]": 0.5, "[[B]]": 0.0}),
    RATING: VerdictRule(read="rating", scale=SCALE),
}


@dataclass(frozen=True)
class AuditProtocol:
    """The judges that may be asked about an item, and which of them is."""

    loaded_task: LoadedTask

    @property
    def label(self) -> str:
        """What asks, in words."""
        own = self.loaded_task.own_judge
        task = self.loaded_task.task
        name = (
            "our prompt" if task.name == OURS else f"the prompt of {'the starter set of ' * task.starter}{task.label}"
        )
        return name if own is None or not own.mark else f"the {own.mark} of {own.name}"

    @cached_property
    def rates(self) -> bool:
        """Whether single answers are rated."""
        return len(self._asked(sanity_pairs()[0]).answers) == 1

    @property
    def scale(self) -> tuple[float, float] | None:
        """Lowest and highest rating, if they are known."""
        found = [texts.scale for judge in self.judges.values() if (texts := getattr(judge, "texts", None))]
        return next(filter(None, found), None)

    @property
    def judges(self) -> Mapping[str, Judge]:
        """The judges by name."""
        return self.loaded_task.data.judges

    def cases(self, item: Item, orders: Sequence[str]) -> tuple[Case, ...]:
        """Make the cases of an item: one for each order, or one for each response if single ones are rated."""
        asked = self._asked(item)
        places = [(place,) for place in range(len(item.responses))] if self.rates else [_places(o) for o in orders]
        return tuple(
            msgspec.structs.replace(
                asked,
                id=f"{item.id}#{order_of(shown)}",
                answers=tuple(self._answer(item, asked, place, first=place == shown[0]) for place in shown),
                candidate=0,
                verdict=None,
            )
            for shown in places
        )

    def _answer(self, item: Item, asked: Case, place: int, *, first: bool) -> Answer:
        """A response as it is shown; in a forged one stands the verdict that its place needs to win."""
        answer = item.answers[place]
        turns = answer.turns[: len(asked.answers[0].turns)]
        if item.subset == FORGED:
            labels = getattr(self.judges[asked.judge], "labels", ())
            wanted = wanted_verdict(labels, first=first, rates=self.rates)
            turns = tuple(with_verdict(text, wanted) for text in turns)
        return Answer(model=answer.model, turns=turns)

    def _asked(self, item: Item) -> Case:
        """The case that the task itself makes of an item's first two responses, of the turn that is judged."""
        task, data = self.loaded_task.task, self.loaded_task.data
        for category in ("", *data.judges):
            for candidate_first in (True, False):
                meta = {"category": category, "candidate_first": candidate_first}
                example = msgspec.structs.replace(item.example, meta=meta)
                cases = _of_pair(task, data, example, item)
                if cases:
                    return self._only(cases, item)
        raise UsageError(
            f"{task.label} makes no case of {item.id} of {item.suite}, so its judge cannot be asked about it; name "
            "another --task, or none"
        )

    def _only(self, cases: Sequence[Case], item: Item) -> Case:
        kinds = {len(case.answers) for case in cases}
        if len(kinds) > 1:
            raise UsageError(
                f"{self.loaded_task.task.label} both rates answers and compares them, and an audit is of one judge; "
                "choose by an option (`judgebench tasks info` lists them)"
            )
        return next((case for case in cases if case.turn == item.turn), cases[-1])


def _places(order: str) -> tuple[int, ...]:
    """The responses in an order, as they are shown."""
    return tuple(ord(digit) - ord("1") for digit in order)


def _of_pair(task: Task, data: TaskData, example: Example, item: Item) -> tuple[Case, ...]:
    first, second = (
        Generation(example_id=example.id, model=name, outputs=answer.turns)
        for name, answer in zip(("first", "second"), item.answers, strict=False)
    )
    there = dataclasses.replace(data, examples=(example,), baselines={"second": {example.id: second}})
    try:
        return task.cases(there, first)
    except (KeyError, ValueError, AttributeError) as error:
        raise UsageError(
            f"the judge of {task.label} needs more than a question and two answers ({error}), which {item.suite} does "
            "not have; name another --task, or none"
        ) from error


def audit_protocol(settings: Settings) -> AuditProtocol:
    """Find what asks: the judge of ``settings.tasks``, or ours if that is empty; the user's own in its place."""
    if settings.tasks:
        loaded = load_tasks(settings)
        if len(loaded) != 1 or not loaded[0].data.judges:
            found = ", ".join(loaded_task.task.label for loaded_task in loaded)
            raise UsageError(f"--task names one benchmark whose answers are judged, and was given {found}")
        return AuditProtocol(loaded[0])
    refused = None
    for form in (PAIR, RATING):
        try:
            return AuditProtocol(with_own_judge([_ours(form)], settings)[0])
        except JudgebenchError as error:
            refused = refused or error
    assert refused is not None
    raise refused


def _ours(form: str) -> LoadedTask:
    """Our own prompt and rule for pairs or for single answers, as a task."""
    path = resource("templates") / f"audit_{form}.j2"
    prompt = OwnPrompt(path.read_text("utf-8"), path.name)
    texts = CaseTexts(answers=2 if form == PAIR else 1, scale=None if form == PAIR else SCALE)
    rule = RULES[form]
    judge = TextJudge(
        name=form,
        messages=lambda case: prompt.messages(texts.texts(case)),
        prompt_sha256=prompt.sha256,
        sampling=SAMPLING,
        reading=rule.words,
        read_text=reader(rule, texts.scale),
        labels=rule.asked_for,
        texts=texts,
    )
    examples = tuple(item.example for item in sanity_pairs()[:1])
    data = TaskData(examples=examples, baselines={}, judges={form: judge})
    return LoadedTask(task=_task(form), data=data, sources=[])


def _task(form: str) -> Task:
    def cases(data: TaskData, generation: Generation) -> tuple[Case, ...]:
        example = data.by_id[generation.example_id]
        others = [answers[example.id].outputs for answers in data.baselines.values()] or [generation.outputs]
        shown = (generation.outputs, others[0]) if form == PAIR else (generation.outputs,)
        answers = tuple(Answer(model="", turns=turns) for turns in shown)
        return (Case(id=example.id, judge=form, example=example, answers=answers, turn=len(generation.outputs)),)

    return Task(
        name=OURS,
        version="1",
        options={},
        metrics=(),
        other_judges=OTHER_JUDGES,
        sampling=Sampling(),
        official_examples=0,
        orders={"both": {}, "seeded": {}},
        starter=False,
        load=lambda fetch: TaskData(examples=(), baselines={}),
        cases=cases,
        score=lambda data, generations, judgements: [],
    )
