"""Stages joined by iterators: what is asked, in which order, how often, and what is left when something breaks."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from judgebench.errors import ModelError
from judgebench.grading.pool import GradingPool
from judgebench.models.pricing import Price
from judgebench.models.scripted import ScriptedModel, last_message
from judgebench.records import (
    Answer,
    Case,
    Completion,
    Example,
    ExampleScore,
    Generation,
    Judgement,
    Message,
    Request,
    Sampling,
    Score,
    Usage,
    Verdict,
)
from judgebench.run.folder import TaskFolder
from judgebench.run.pipeline import Pipeline, converse
from judgebench.run.scoring import Scored, score
from judgebench.run.stages import JudgeCall, JudgeSeat, RunningTask, generation_step
from judgebench.task import Task, TaskData
from judgebench.task.metric import Metric
from tests.patience import PATIENCE_SECONDS, wait_for

POOL = GradingPool()
"""Nothing is verified here: it starts no process."""
USAGE = Usage(prompt_tokens=10, completion_tokens=2)
T = TypeVar("T")


def said(text: str, **more: Any) -> Completion:
    """A reply with a text."""
    return Completion(text=text, finish_reason="stop", usage=USAGE, model="served-name", **more)


def echo(request: Request) -> Completion:
    """Says what it was asked, in capitals."""
    return said(last_message(request).upper())


def example(number: int, *followups: str) -> Example:
    """A numbered example."""
    return Example(id=f"e{number}", messages=(Message(role="user", content=f"question {number}"),), followups=followups)


@dataclass(frozen=True)
class Grader:
    """A judge that reads a number; anything else is unreadable."""

    name: str = "grader"
    max_reasks: int = 0
    fingerprint: dict[str, Any] = field(default_factory=dict)

    def ask(self, case: Case) -> Request:
        """The answer itself is the prompt."""
        return Request(messages=(Message(role="user", content=case.answers[0].text),), sampling=Sampling())

    def ask_again(self, case: Case, replies: tuple[Completion, ...]) -> Request | None:
        """The same prompt, ``max_reasks`` times."""
        return self.ask(case) if len(replies) <= self.max_reasks else None

    def read(self, case: Case, replies: tuple[Completion, ...]) -> Verdict:
        """The last reply's number."""
        text = replies[-1].text or ""
        return Verdict(value=float(text)) if text.isdigit() else Verdict(value=None, error="no number")

    def constrained(self) -> "Grader":
        """Itself."""
        return self


def make_task(examples: tuple[Example, ...], judge: Grader) -> tuple[Task, TaskData]:
    """A task that has each answer graded, and settles the answer SKIP without a call."""
    data = TaskData(examples=examples, baselines={}, judges={judge.name: judge})

    def cases(data: TaskData, generation: Generation) -> tuple[Case, ...]:
        return (
            Case(
                id=generation.example_id,
                judge=judge.name,
                example=data.by_id[generation.example_id],
                answers=(Answer(model=generation.model, turns=generation.outputs),),
                verdict=Verdict(value=0.0, label="skip") if generation.outputs[-1] == "SKIP" else None,
            ),
        )

    def scores(data: TaskData, generations: Any, judgements: Iterable[Judgement]) -> list[ExampleScore]:
        return [ExampleScore(example_id=j.example_id, metric="grade", value=j.verdict.value) for j in judgements]

    def summary(data: TaskData, found: Any) -> list[Score]:
        values = [one.value for one in found if one.value is not None]
        return [Score(task="graded", metric="grade", value=sum(values), unit="rating", method="sum", n=len(values))]

    task = Task(
        name="graded",
        version="1",
        options={},
        metrics=(Metric(name="grade", unit="rating"),),
        judge_models={},
        sampling=Sampling(temperature=0.0),
        official_examples=len(examples),
        starter=False,
        load=lambda fetch: data,
        cases=cases,
        score=scores,
        summarise=summary,
    )
    return task, data


MakeRun = Callable[..., RunningTask]


@pytest.fixture
def make_run() -> Iterator[MakeRun]:
    """Makes a task on its way, in a folder of its own; all folders are closed with the test."""
    with ExitStack() as stack:

        def make(
            path: Path,
            examples: tuple[Example, ...],
            judge_model: ScriptedModel | None,
            *,
            max_reasks: int = 0,
            price: Price | None = None,
            key: str = "graded",
        ) -> RunningTask:
            judge = Grader(max_reasks=max_reasks)
            task, data = make_task(examples, judge)
            folder = TaskFolder(path)
            stack.callback(folder.close)
            return RunningTask(
                key=key,
                task=task,
                data=data,
                folder=folder,
                sampling=task.sampling,
                generations={generation.example_id: generation for generation in folder.generations()},
                seats={} if judge_model is None else {judge.name: (JudgeSeat(judge, judge_model, price),)},
            )

        yield make


def scored(run: RunningTask) -> Scored:
    """What the task's folder comes to."""
    run.folder.finish(run.data.examples)
    generations = {generation.example_id: generation for generation in run.folder.generations()}
    return score(run.task, run.data, generations, run.folder.judged(), [])


def nothing(run: RunningTask, stage: str) -> None:
    """An observer that does not look."""


# -- converse


def ending(step: Callable[[T, tuple[Completion, ...]], Request | None]) -> Callable[..., Request | bool]:
    """A step that ends where ``step`` has no more requests, or a reply failed."""

    def stepped(item: T, replies: tuple[Completion, ...]) -> Request | bool:
        return True if replies and replies[-1].error else step(item, replies) or True

    return stepped


def test_an_item_may_be_dropped_at_any_point() -> None:
    """Before its first request, or between two: it does not come back, and the others do."""

    def step(item: int, replies: tuple[Completion, ...]) -> Request | str | None:
        if len(replies) == item:
            return None if item < 2 else "done"
        return Request(messages=(Message(role="user", content=f"{item}.{len(replies)}"),), sampling=Sampling())

    for workers in (1, 4):
        model = ScriptedModel(echo, at_once=workers)
        assert sorted(item for item, *_ in converse(model, [3, 0, 2, 1], step)) == [2, 3]
        assert sorted(map(last_message, model.asked)) == ["1.0", "2.0", "2.1", "3.0", "3.1", "3.2"]


def test_each_item_is_carried_to_its_end() -> None:
    """Items need different numbers of requests; each comes back once, with its replies in order."""

    def step(item: int, replies: tuple[Completion, ...]) -> Request | None:
        if len(replies) == item:
            return None
        return Request(messages=(Message(role="user", content=f"{item}.{len(replies)}"),), sampling=Sampling())

    for workers in (1, 4):
        found = converse(ScriptedModel(echo, at_once=workers), iter([3, 1, 2, 5, 4]), ending(step))
        assert {item: [reply.text for reply in replies] for item, replies, _ in found} == {
            item: [f"{item}.{n}" for n in range(item)] for item in range(1, 6)
        }


def test_without_items_nothing_is_asked() -> None:
    """An empty run ends."""
    model = ScriptedModel(echo)
    assert list(converse(model, [], lambda item, replies: None)) == []
    assert model.asked == []


def test_followups_see_the_model_s_own_reply() -> None:
    """Each later user turn comes after the model's reply to the one before, below the system message."""
    model = ScriptedModel(echo)
    step = generation_step(Sampling(temperature=0.0), "Be brief.")
    ((_, replies, _),) = converse(model, [example(1, "and then?", "so?")], ending(step))
    assert [reply.text for reply in replies] == ["QUESTION 1", "AND THEN?", "SO?"]
    assert [(m.role, m.content) for m in model.asked[-1].messages] == [
        ("system", "Be brief."),
        ("user", "question 1"),
        ("assistant", "QUESTION 1"),
        ("user", "and then?"),
        ("assistant", "AND THEN?"),
        ("user", "so?"),
    ]
    assert {request.sampling.temperature for request in model.asked} == {0.0}
    assert {request.repeat for request in model.asked} == {0}


def test_an_example_s_own_sampling_wins() -> None:
    """A category may be sampled warmer than the rest."""
    warm = msgspec.structs.replace(example(1), sampling=Sampling(temperature=0.7))
    request = generation_step(Sampling(temperature=0.0), None)(warm, ())
    assert request is not None
    assert request.sampling == Sampling(temperature=0.7)
    assert len(request.messages) == 1


def test_an_error_ends_its_item_and_no_other() -> None:
    """The turns after a failed one are not asked."""
    failing = ScriptedModel(lambda r: Completion(error="timeout") if last_message(r) == "question 2" else echo(r))
    found = {
        item.id: replies
        for item, replies, _ in converse(
            failing, [example(n, "more") for n in (1, 2, 3)], ending(generation_step(Sampling(), None))
        )
    }
    assert {key: [reply.error for reply in replies] for key, replies in found.items()} == {
        "e1": [None, None],
        "e2": ["timeout"],
        "e3": [None, None],
    }


@pytest.mark.parametrize("workers", [1, 4])
def test_items_that_do_not_exist_yet_hold_nothing_up(workers: int) -> None:
    """While the iterator of items blocks, replies that came are yielded, and the next turns of open items are asked."""
    release = threading.Event()

    def items() -> Iterator[Example]:
        yield example(1, "more")
        assert release.wait(PATIENCE_SECONDS), "the first item never finished"
        yield example(2)

    replies = converse(ScriptedModel(echo, at_once=workers), items(), ending(generation_step(Sampling(), None)))
    assert next(replies)[0].id == "e1"
    release.set()
    assert [item.id for item, *_ in replies] == ["e2"]


def test_an_error_of_the_items_reaches_the_caller() -> None:
    """After the items before it."""

    def items() -> Iterator[Example]:
        yield example(1)
        raise RuntimeError("no more questions")

    replies = converse(ScriptedModel(echo), items(), ending(generation_step(Sampling(), None)))
    assert next(replies)[0].id == "e1"
    with pytest.raises(RuntimeError, match="no more questions"):
        next(replies)


@pytest.mark.parametrize(("readable_at", "reasks", "asked"), [(0, 3, 1), (2, 3, 3), (9, 3, 4), (9, 0, 1)])
def test_an_unreadable_reply_is_asked_for_again(readable_at: int, reasks: int, asked: int) -> None:
    """With another repeat index each time, so that the call store does not answer; at most ``max_reasks`` times."""
    judge = Grader(max_reasks=reasks)
    model = ScriptedModel(lambda request: said("7" if request.repeat == readable_at else "hm"))
    case = Case(id="c", judge="grader", example=example(1), answers=(Answer(model="m", turns=("text",)),))
    call = JudgeCall(case, JudgeSeat(judge, model))
    ((_, replies, verdict),) = converse(model, [call], JudgeCall.step)
    assert [request.repeat for request in model.asked] == list(range(asked))
    assert len({request.messages for request in model.asked}) == 1
    assert len(replies) == asked
    assert judge.read(case, replies) == verdict
    assert (verdict.value == 7.0) == (readable_at < asked)


# -- Pipeline

GRADES = {"QUESTION 1": "1", "QUESTION 2": "hm", "QUESTION 3": "3"}


def grade(request: Request) -> Completion:
    """The grade of an answer; answers that have none fail."""
    text = last_message(request)
    if text == "QUESTION 4":
        return Completion(error="HTTP 500 after 5 attempts")
    return said(GRADES.get(text, "5"))


def candidate(request: Request) -> Completion:
    """Answers all but question 5; to question 6 it says SKIP."""
    if last_message(request) == "question 5":
        return Completion(error="timeout")
    return said("SKIP") if last_message(request) == "question 6" else echo(request)


@pytest.mark.parametrize("workers", [1, 5])
def test_counts_add_up(make_run: MakeRun, tmp_path: Path, workers: int) -> None:
    """Every case ends as exactly one of read, re-asked and read, unread, failed, skipped, without an answer."""

    def judge(request: Request) -> Completion:
        if last_message(request) == "QUESTION 7" and request.repeat == 0:
            return said("hm")
        return grade(request)

    run = make_run(
        tmp_path,
        tuple(map(example, range(1, 13))),
        ScriptedModel(judge, at_once=workers),
        max_reasks=1,
        price=Price(prompt=1e6, completion=0.0),
    )
    Pipeline([run], ScriptedModel(candidate, at_once=workers), None, nothing, POOL).run(generate=True, judge=True)
    counts = scored(run).counts
    assert counts == {
        "examples": 12,
        "without_answer": 1,
        "read": 7,
        "reasked_and_read": 1,
        "unread": 1,
        "failed": 1,
        "skipped": 1,
        "missing": 0,
    }
    assert sum(counts.values()) == 2 * counts["examples"]
    made, judged = run.count("generate"), run.count("judge")
    assert (made.total, made.asked, made.failed, made.cached, made.resumed) == (12, 11, 1, 0, 0)
    assert (judged.total, judged.asked, judged.failed, judged.skipped, judged.unread) == (11, 9, 1, 1, 1)
    assert judged.asked + judged.failed + judged.skipped + judged.cached + judged.resumed == judged.total
    # Nine readable or unread replies and one more for each of the two re-asks; the failed call cost nothing.
    assert judged.reasked == 2
    assert judged.usage == Usage(prompt_tokens=110, completion_tokens=22)
    assert judged.usd == 110.0
    assert made.usd == 0.0
    assert made.unpriced == made.usage
    assert run.judge_models_returned == {"served-name"}


def test_cached_replies_are_counted_as_such_and_cost_nothing(make_run: MakeRun, tmp_path: Path) -> None:
    """Tokens are those of calls asked now."""
    model = ScriptedModel(lambda request: said("5", cached=last_message(request) == "QUESTION 1"))
    run = make_run(tmp_path, (example(1), example(2)), model)
    Pipeline([run], ScriptedModel(echo), None, nothing, POOL).run(generate=True, judge=True)
    judged = run.count("judge")
    assert (judged.cached, judged.asked, judged.usage) == (1, 1, USAGE)
    assert not any(judgement.reply and judgement.reply.cached for judgement in run.folder.judgements())


def test_a_second_start_asks_only_what_is_missing(make_run: MakeRun, tmp_path: Path) -> None:
    """Answers and verdicts on disk are kept; failed ones are asked again."""
    examples = tuple(map(example, range(1, 8)))
    first = make_run(tmp_path, examples, ScriptedModel(grade))
    Pipeline([first], ScriptedModel(candidate), None, nothing, POOL).run(generate=True, judge=True)
    first.folder.close()
    judge, model = ScriptedModel(lambda request: said("9")), ScriptedModel(echo)
    second = make_run(tmp_path, examples, judge)
    Pipeline([second], model, None, nothing, POOL).run(generate=True, judge=True)
    assert [last_message(request) for request in model.asked] == ["question 5"]
    assert sorted(last_message(request) for request in judge.asked) == ["QUESTION 4", "QUESTION 5"]
    assert second.count("generate").resumed == 6
    assert second.count("judge").resumed == 5
    counts = scored(second).counts
    assert (counts["failed"], counts["missing"]) == (0, 0)


def test_an_answer_is_judged_before_the_last_one_is_made(make_run: MakeRun, tmp_path: Path) -> None:
    """Stages are joined by iterators: the candidate can wait for the verdict on its first answer."""
    judged = threading.Event()

    def answer(request: Request) -> Completion:
        if last_message(request) == "question 2":
            assert judged.wait(PATIENCE_SECONDS), "the first answer was not judged"
        return echo(request)

    def verdict(request: Request) -> Completion:
        judged.set()
        return said("5")

    run = make_run(tmp_path, (example(1), example(2)), ScriptedModel(verdict))
    Pipeline([run], ScriptedModel(answer), None, nothing, POOL).run(generate=True, judge=True)
    assert run.count("judge").asked == 2


def test_the_next_task_is_answered_while_the_last_is_judged(make_run: MakeRun, tmp_path: Path) -> None:
    """The judge can keep every verdict on the first task back until the second one's last answer is made."""
    answered = threading.Event()

    def answer(request: Request) -> Completion:
        if last_message(request) == "question 4":
            answered.set()
        return echo(request)

    def verdict(request: Request) -> Completion:
        assert answered.wait(PATIENCE_SECONDS), "the second task waited for the verdicts on the first"
        return said("5")

    judge = ScriptedModel(verdict)
    runs = [make_run(tmp_path / key, (example(n), example(n + 1)), judge, key=key) for key, n in (("a", 1), ("b", 3))]
    Pipeline(runs, ScriptedModel(answer), None, nothing, POOL).run(generate=True, judge=True)
    assert [run.count("judge").asked for run in runs] == [2, 2]


def test_lines_are_on_disk_as_soon_as_the_observer_hears_of_them(make_run: MakeRun, tmp_path: Path) -> None:
    """What was reported as finished survives a kill."""
    run = make_run(tmp_path, tuple(map(example, range(1, 4))), ScriptedModel(grade))
    seen = []

    def look(run: RunningTask, stage: str) -> None:
        folder = TaskFolder(tmp_path)
        seen.append((len(list(folder.generations())), run.count("generate").asked, len(list(folder.judgements()))))

    Pipeline([run], ScriptedModel(echo), None, look, POOL).run(generate=True, judge=True)
    assert all(lines == counted for lines, counted, _ in seen)
    assert seen[-1] == (3, 3, 3)


@pytest.mark.parametrize("breaks", ["candidate", "judge"])
def test_an_error_of_a_model_reaches_the_caller_after_what_is_finished_is_written(
    make_run: MakeRun, tmp_path: Path, breaks: str
) -> None:
    """Nobody waits for a model that is gone, and nothing that was paid for is lost."""

    def broken(request: Request) -> Completion:
        if "7" in last_message(request):
            raise ModelError("the key was refused")
        return said("5")

    good = ScriptedModel(echo)
    models = (ScriptedModel(broken), ScriptedModel(grade)) if breaks == "candidate" else (good, ScriptedModel(broken))
    run = make_run(tmp_path, tuple(map(example, range(1, 10))), models[1])
    with pytest.raises(ModelError, match="the key was refused"):
        Pipeline([run], models[0], None, nothing, POOL).run(generate=True, judge=True)
    run.folder.close()
    if breaks == "candidate":
        assert [g.example_id for g in run.folder.generations()] == [f"e{n}" for n in range(1, 7)]
    else:
        assert [j.example_id for j in run.folder.judgements()] == [f"e{n}" for n in range(1, 7)]


def test_a_model_that_breaks_leaves_no_thread_behind() -> None:
    """The thread that waits for further requests ends with the model that would have asked them."""

    def broken(request: Request) -> Completion:
        raise ModelError("the key was refused")

    over, before = threading.Event(), set(threading.enumerate())

    def items() -> Iterator[Example]:
        yield example(1)
        over.wait(PATIENCE_SECONDS)

    found = converse(ScriptedModel(broken, at_once=2), items(), ending(generation_step(Sampling(), None)))
    with pytest.raises(ModelError):
        list(found)
    over.set()
    wait_for(lambda: not [own for own in set(threading.enumerate()) - before if own.name.startswith("judgebench-")])


def test_stages_can_be_run_one_by_one(make_run: MakeRun, tmp_path: Path) -> None:
    """``generate`` alone asks no judge, ``judge`` alone no candidate."""
    judge = ScriptedModel(grade)
    run = make_run(tmp_path, (example(1), example(3)), judge)
    Pipeline([run], ScriptedModel(echo), None, nothing, POOL).run(generate=True, judge=False)
    assert judge.asked == []
    Pipeline([run], None, None, nothing, POOL).run(generate=False, judge=True)
    assert [j.verdict.value for j in run.folder.judgements()] == [1.0, 3.0]


def test_two_tasks_share_a_judge(make_run: MakeRun, tmp_path: Path) -> None:
    """Their cases go through one call of the model, and come back to the right task."""
    judge = ScriptedModel(grade)
    runs = [make_run(tmp_path / key, (example(n), example(n + 1)), judge, key=key) for key, n in (("a", 1), ("b", 7))]
    Pipeline(runs, ScriptedModel(echo), None, nothing, POOL).run(generate=True, judge=True)
    assert [sorted(j.example_id for j in run.folder.judgements()) for run in runs] == [["e1", "e2"], ["e7", "e8"]]
    assert len(judge.asked) == 4


def counting(run: RunningTask) -> tuple[RunningTask, list[str], list[str]]:
    """The task, and lists that note the id of an example whenever its cases are made, and whenever a reply is read."""
    made: list[str] = []
    read: list[str] = []

    class Counting(Grader):
        def read(self, case: Case, replies: tuple[Completion, ...]) -> Verdict:
            read.append(case.example.id)
            return super().read(case, replies)

    def cases(data: TaskData, generation: Generation) -> tuple[Case, ...]:
        made.append(generation.example_id)
        return run.task.cases(data, generation)

    judge = Counting(max_reasks=1)
    seats = {"grader": (replace(run.seats["grader"][0], judge=judge),)}
    task, data = replace(run.task, cases=cases), replace(run.data, judges={"grader": judge})
    return replace(run, task=task, data=data, seats=seats), made, read


def test_cases_are_made_and_replies_read_once(make_run: MakeRun, tmp_path: Path) -> None:
    """Once while the run goes on (a verdict that was re-asked is read after each reply), and once for the scores."""
    run, made, read = counting(make_run(tmp_path, tuple(map(example, range(1, 4))), ScriptedModel(grade)))
    Pipeline([run], ScriptedModel(echo), None, nothing, POOL).run(generate=True, judge=True)
    assert sorted(made) == ["e1", "e2", "e3"]
    assert sorted(read) == ["e1", "e2", "e2", "e3"]
    made.clear(), read.clear()
    scored(run)
    assert sorted(made) == sorted(read) == ["e1", "e2", "e3"]


def test_few_cases_are_in_memory_however_many_answers_there_are(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers that were there before are given to the judges bit by bit, as those that are being made are."""
    monkeypatch.setattr("judgebench.run.pipeline.MAX_IN_FLIGHT", 3)
    made: list[str] = []
    ahead = []

    def verdict(request: Request) -> Completion:
        ahead.append(len(made) - len(ahead))
        return said("5")

    whole = tuple(map(example, range(40)))
    first = make_run(tmp_path, whole, ScriptedModel(verdict))
    Pipeline([first], ScriptedModel(echo), None, nothing, POOL).run(generate=True, judge=False)
    first.folder.close()
    run, made, _ = counting(make_run(tmp_path, whole, ScriptedModel(verdict)))
    Pipeline([run], None, None, nothing, POOL).run(generate=False, judge=True)
    assert run.count("judge").asked == 40
    assert max(ahead) <= 3


def test_scoring_reads_the_replies_again(make_run: MakeRun, tmp_path: Path) -> None:
    """Today's rule decides, not the verdict that was stored; nothing is asked."""
    run = make_run(tmp_path, (example(1), example(3)), ScriptedModel(grade))
    Pipeline([run], ScriptedModel(echo), None, nothing, POOL).run(generate=True, judge=True)
    stale = [msgspec.structs.replace(j, verdict=Verdict(value=100.0)) for j in run.folder.judgements()]
    for judgement in stale:
        run.folder.append(judgement)
    found = scored(run)
    assert [score.value for score in found.scores] == [4.0]
    assert found.counts["read"] == 2
