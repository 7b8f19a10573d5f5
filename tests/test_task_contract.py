"""What every task keeps to, whoever wrote it: on its starter set, so that no official file is needed."""

import math
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from judgebench import tasks
from judgebench.codec import encode
from judgebench.errors import UsageError
from judgebench.records import Case, Completion, Generation, Judgement, Sampling, Verdict
from judgebench.sources import read_sources
from judgebench.task import Task, TaskData
from judgebench.tasks import TaskSpec

UNITS = {"percent", "points", "rating", "characters", "usd"}


def no_file(name: str) -> bytes:
    """In place of the fetching of official files."""
    raise AssertionError(f"the starter set fetched the official file {name}")


@pytest.fixture(params=tasks.names())
def name(request: pytest.FixtureRequest) -> str:
    """Each task's name in turn."""
    return str(request.param)


@pytest.fixture
def task(name: str) -> Task:
    """The task with its starter set."""
    return tasks.load(TaskSpec(name), starter=True)[0]


@pytest.fixture
def data(task: Task) -> TaskData:
    """Its data."""
    return task.load(no_file)


def answers(data: TaskData, text: str = "An answer of our own.") -> dict[str, Generation]:
    """One answer for all turns of each example."""
    return {
        example.id: Generation(
            example_id=example.id, model="candidate", outputs=tuple(text for _ in (0, *example.followups))
        )
        for example in data.examples
    }


def judgements(task: Task, data: TaskData, generations: dict[str, Generation]) -> Iterator[Judgement]:
    """Verdicts of 0.7 on all cases but those that are settled without a call; every fifth one is unread."""
    for number, case in enumerate(c for g in generations.values() for c in task.cases(data, g)):
        unread = Verdict(value=None, error="no verdict in the reply")
        yield Judgement(
            case_id=case.id,
            example_id=case.example.id,
            judge=case.judge,
            judge_model="judge",
            answers=tuple(answer.model for answer in case.answers),
            candidate=case.candidate,
            turn=case.turn,
            verdict=case.verdict or (Verdict(value=0.7, label="first") if number % 5 else unread),
            replies=() if case.verdict else (Completion(text="a reply"),),
        )


def cases_of(task: Task, data: TaskData) -> list[Case]:
    """The cases of one answer to each example."""
    return [case for generation in answers(data).values() for case in task.cases(data, generation)]


def test_ids_are_unique(data: TaskData) -> None:
    """Of the examples, and each is a plain word that can stand in a file of ids."""
    ids = [example.id for example in data.examples]
    assert len(set(ids)) == len(ids) >= 12
    assert all(example_id and not any(c.isspace() for c in example_id) for example_id in ids)


def test_loading_twice_gives_the_same(name: str, data: TaskData) -> None:
    """Ids, examples, baselines and judges do not depend on the day, the process or the order of a set."""
    again = tasks.load(TaskSpec(name), starter=True)[0].load(no_file)
    assert again.examples == data.examples
    assert again.baselines == data.baselines
    assert {key: judge.fingerprint for key, judge in again.judges.items()} == {
        key: judge.fingerprint for key, judge in data.judges.items()
    }


def test_the_starter_set_says_so(task: Task) -> None:
    """Nobody takes its numbers for the benchmark's."""
    assert task.starter
    assert not tasks.load(TaskSpec(task.name))[0].starter


def test_a_conversation_ends_with_the_user(data: TaskData) -> None:
    """Each example asks something."""
    for example in data.examples:
        assert example.messages[-1].role == "user"
        assert example.instruction.strip()


def test_every_baseline_answers_every_example(data: TaskData) -> None:
    """The starter set has no gaps."""
    for model, generations in data.baselines.items():
        assert set(generations) == {example.id for example in data.examples}, model
        assert all(generation.model == model and not generation.error for generation in generations.values())


def test_every_case_has_a_judge(task: Task, data: TaskData) -> None:
    """Case ids are unique and the same each time, the judge exists, the candidate is among the answers."""
    cases = cases_of(task, data)
    assert bool(cases) == bool(data.judges)
    assert len({case.id for case in cases}) == len(cases)
    assert cases == cases_of(task, data)
    for case in cases:
        assert case.judge in data.judges
        assert data.judges[case.judge].name == case.judge
        assert case.answers[case.candidate].model == "candidate"
        assert case.example in data.examples


def test_judges_ask_and_read_without_state(task: Task, data: TaskData) -> None:
    """The same case gives the same request; an empty reply is unread with a reason, never a verdict or a crash."""
    for case in cases_of(task, data):
        for judge in (data.judges[case.judge], data.judges[case.judge].constrained()):
            assert judge.ask(case) == judge.ask(case)
            assert judge.ask(case).messages[-1].role == "user"
            for reply in (Completion(), Completion(text=""), Completion(text="\x00]]{[[", top_logprobs=((),))):
                verdict = judge.read(case, (reply,))
                assert verdict.value is None
                assert verdict.error
            encode(judge.fingerprint)


def test_an_answer_equal_to_the_baseline_s_is_a_tie(task: Task, data: TaskData) -> None:
    """Where the protocol does not ask which of two equal texts is better, it is neither."""
    for generations in data.baselines.values():
        for generation in generations.values():
            for case in task.cases(data, msgspec.structs.replace(generation, model="candidate")):
                assert case.verdict is None or case.verdict.value == 0.5


def test_scoring_is_pure(task: Task, data: TaskData) -> None:
    """The same records give the same scores, to the bit, and are not changed."""
    generations = answers(data)
    given = list(judgements(task, data, generations))
    before = encode([generations, given, data.examples, data.baselines])
    example_scores = task.score(data, generations, given)
    scores = task.scores(data, example_scores)
    assert encode(task.score(data, generations, iter(given))) == encode(example_scores)
    assert encode(task.scores(data, example_scores)) == encode(scores)
    assert encode([generations, given, data.examples, data.baselines]) == before


def numbers_in(value: Any) -> Iterator[float]:
    """All floats of nested containers."""
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from numbers_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from numbers_in(inner)


@pytest.mark.parametrize("case", ["judged", "nothing judged", "no answers", "one answer", "all failed"])
def test_every_score_says_what_it_is(task: Task, data: TaskData, case: str) -> None:
    """A value with its method, or none with a reason; unit, n and what is missing; never NaN or infinity."""
    generations = answers(data)
    if case == "no answers":
        generations = {}
    elif case == "one answer":
        generations = dict(list(generations.items())[:1])
    elif case == "all failed":
        generations = {key: msgspec.structs.replace(g, outputs=(), error="timeout") for key, g in generations.items()}
    judged = list(judgements(task, data, generations)) if case in ("judged", "one answer") else []
    scores = task.scores(data, task.score(data, generations, judged))
    assert {score.metric for score in scores} >= set(task.headline)
    assert len({(score.metric, score.group) for score in scores}) == len(scores)
    for score in scores:
        assert score.task == task.name
        assert score.unit in UNITS
        assert score.n >= 0
        assert score.n_missing >= 0
        assert score.reason if score.value is None else score.method
        assert (score.low is None) == (score.high is None) == (score.level is None)
        assert all(math.isfinite(number) for number in numbers_in(msgspec.to_builtins(score)))
        if score.value is not None and score.unit == "percent":
            assert 0 <= score.value <= 100
        if score.value is not None and score.low is not None and score.high is not None:
            assert score.low <= score.high


def test_an_unknown_option_is_answered_with_the_known_ones(task: Task) -> None:
    """The message names the task, the option and all valid ones; a wrong value and version likewise."""
    with pytest.raises(UsageError) as raised:
        tasks.load(TaskSpec(task.name, None, {"no_such_option": "1"}))
    for word in (task.name, "no_such_option", *task.option_help):
        assert word in str(raised.value)
    with pytest.raises(UsageError, match="no-such-version"):
        tasks.load(TaskSpec(task.name, "no-such-version"))
    for option in task.option_help:
        with pytest.raises(UsageError, match=option):
            tasks.load(TaskSpec(task.name, None, {option: "\x00no value"}))


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "0", "1", "2.5", "true", "off"])
def test_an_option_survives_the_manifest(task: Task, text: str) -> None:
    """Whatever an option takes comes back from JSON as it was, so that the run can be scored again."""
    for option in task.option_help:
        try:
            options = tasks.load(TaskSpec(task.name, None, {option: text}))[0].options
        except UsageError:
            continue
        stored = {key: str(value) for key, value in msgspec.json.decode(encode(dict(options))).items()}
        assert tasks.load(TaskSpec(task.name, None, stored))[0].options == options


def test_the_label_names_the_same_task_again(task: Task) -> None:
    """What is shown can be typed."""
    (spec,) = tasks.parse_specs(task.label)
    assert tasks.load(spec)[0].label == task.label


def test_it_says_what_it_measures(task: Task) -> None:
    """In a sentence, with metrics, size and sampling settled."""
    assert task.about.endswith(".")
    assert task.headline
    assert task.official_examples > 0
    assert isinstance(task.sampling, Sampling)


def test_the_folder_documents_it(name: str) -> None:
    """README.md says what is reproduced; sources.toml pins each official file by hash and licence."""
    folder = tasks.load(TaskSpec(name))[1]
    assert (folder / "README.md").read_text().startswith("# ")
    assert (folder / "sources.toml").is_file()
    for source in read_sources(folder).values():
        assert source.sha256 == "unpinned" or len(bytes.fromhex(source.sha256)) == 32
        assert source.licence
