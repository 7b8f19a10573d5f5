"""What a task folder must keep to, checked on its starter set: no official file, no model and no network is needed.

A benchmark of one's own passes here before anybody waits for a run. Each check is a sentence that holds or does not.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from judgebench import tasks
from judgebench.errors import JudgebenchError
from judgebench.grading import GradingPool
from judgebench.metric import UNITS
from judgebench.records import Completion, Generation, Judgement, Score, Verdict
from judgebench.sources import read_sources
from judgebench.task import Task, TaskData

FEWEST_EXAMPLES = 12
ANSWERS = ("An answer of two sentences. It is nobody's own.", "")
"""What stands in for a model's answers: something, and nothing."""


@dataclass(frozen=True)
class Checked:
    """One sentence about a task, and why it does not hold, if it does not."""

    what: str
    problem: str | None


class _Fails(Exception):
    """Carries the reason."""


def check_task(name: str) -> list[Checked]:
    """Check a task by its name, its folder or its ``task.py``. What cannot be checked after a failure is left out.

    Raises :class:`UsageError` if no task of that name can be loaded at all.
    """
    path = Path(name)
    spec = tasks.TaskSpec(str(path / "task.py") if (path / "task.py").is_file() else name)
    task, folder = tasks.load(spec, starter=True)
    checked: list[Checked] = []

    def run(what: str, check: Callable[[], Any]) -> Any:
        found = None
        try:
            found, problem = check(), None
        except _Fails as failure:
            problem = str(failure)
        except JudgebenchError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - a task is somebody's code
            problem = f"{type(error).__name__}: {error}"
        checked.append(Checked(what, problem))
        return found

    run("README.md begins with a heading", lambda: _readme(folder))
    run("sources.toml pins every official file with its licence", lambda: _sources(folder))
    run("it says what it measures, and with which metrics", lambda: _about(task))
    data = run("the starter set loads without any official file", lambda: task.load(_no_file))
    if data is None:
        return checked
    run("loading again gives the same examples", lambda: _same_again(spec, data))
    run(f"there are {FEWEST_EXAMPLES} examples, whose ids are plain and unique", lambda: _examples(data))
    run("every example ends with what is asked", lambda: _conversations(data))
    run("every baseline answers every example", lambda: _baselines(data))
    given: list[tuple[str, Any]] = [("no answer", ({}, []))]
    for text in ANSWERS:
        judged = run(f"answers such as {text!r} can be judged", partial(_judged, task, data, text))
        if judged is not None:
            given.append((repr(text), judged))
    for title, (generations, judgements) in given:
        run(f"the scores of {title} say what they are", partial(_scores, task, data, generations, judgements))
    return checked


def _no_file(name: str) -> bytes:
    raise _Fails(f"it fetches the official file {name!r}")


def _require(holds: object, reason: str) -> None:
    if not holds:
        raise _Fails(reason)


def _readme(folder: Path) -> None:
    _require((folder / "README.md").is_file(), f"{folder / 'README.md'} is missing")
    _require((folder / "README.md").read_text().startswith("# "), "its first line is no heading")


def _sources(folder: Path) -> None:
    for name, source in read_sources(folder).items():
        pinned = source.sha256 == "unpinned" or len(bytes.fromhex(source.sha256)) == 32
        _require(pinned, f"the sha256 of {name!r} is neither 64 hexadecimal digits nor 'unpinned'")
        _require(source.licence, f"{name!r} has no licence")


def _about(task: Task) -> None:
    _require(task.about.endswith("."), "`about` is no sentence")
    _require(task.headline, "`metrics` has none that tables show")
    _require(task.official_examples > 0, "`official_examples` is not above 0")
    _require(task.starter, "it was asked for its starter set and says that it is not one")


def _same_again(spec: tasks.TaskSpec, data: TaskData) -> None:
    again = tasks.load(spec, starter=True)[0].load(_no_file)
    _require(again.examples == data.examples, "the examples differ")
    _require(again.baselines == data.baselines, "the baselines differ")
    prints = [
        [{name: rule.fingerprint for name, rule in found.items()} for found in (one.judges, one.verifiers)]
        for one in (data, again)
    ]
    _require(prints[0] == prints[1], "fingerprints of judges or verifiers differ")


def _examples(data: TaskData) -> None:
    ids = [example.id for example in data.examples]
    _require(len(ids) >= FEWEST_EXAMPLES, f"there are {len(ids)}")
    double = sorted({example_id for example_id in ids if ids.count(example_id) > 1})
    _require(not double, f"ids occur twice: {', '.join(double[:5])}")
    odd = [example_id for example_id in ids if not example_id or any(c.isspace() for c in example_id)]
    _require(not odd, f"ids with white space, or without anything: {odd[:5]}")


def _conversations(data: TaskData) -> None:
    for example in data.examples:
        asked = example.messages and example.messages[-1].role == "user" and example.instruction.strip()
        _require(asked, f"{example.id} does not end with a user's message")


def _baselines(data: TaskData) -> None:
    for model, generations in data.baselines.items():
        lacking = {example.id for example in data.examples} - set(generations)
        _require(not lacking, f"{model} lacks {', '.join(sorted(lacking)[:5])}")


def _judged(task: Task, data: TaskData, text: str) -> tuple[dict[str, Generation], list[Judgement]]:
    """Answers, and verdicts: of real verifiers, or made up in place of a judge model's."""
    generations = {
        example.id: Generation(
            example_id=example.id, model="candidate", outputs=tuple(text for _ in (0, *example.followups))
        )
        for example in data.examples
    }
    judgements = list(_judgements_of_cases(task, data, generations))
    checks = [check for generation in generations.values() for check in task.checks(data, generation)]
    _require(len({check.id for check in checks}) == len(checks), "ids of checks occur twice")
    unknown = {check.verifier for check in checks} - set(data.verifiers)
    _require(not unknown, f"checks name verifiers that there are not: {', '.join(sorted(unknown))}")
    _require(judgements or checks, "an answer gives rise to neither a case for a judge nor a check")
    with GradingPool() as pool:
        verdicts = pool.verify(data.verifiers, checks)
    for check, verdict in zip(checks, verdicts, strict=True):
        _require(verdict.label != "error", f"{check.id}: {verdict.details.get('error')}")
        judgements.append(
            Judgement(
                case_id=check.id,
                example_id=check.example_id,
                judge=check.verifier,
                judge_model="judgebench",
                answers=("candidate",),
                candidate=0,
                verdict=verdict,
            )
        )
    return generations, judgements


def _judgements_of_cases(task: Task, data: TaskData, generations: dict[str, Generation]) -> Iterator[Judgement]:
    cases = [case for generation in generations.values() for case in task.cases(data, generation)]
    _require(len({case.id for case in cases}) == len(cases), "ids of cases occur twice")
    for case in cases:
        _require(case.judge in data.judges, f"{case.id} names the judge {case.judge!r}, which there is not")
        judge = data.judges[case.judge]
        _require(judge.ask(case) == judge.ask(case), f"{case.id} is not asked in the same words twice")
        unread = judge.read(case, (Completion(text=""),))
        _require(unread.value is None and unread.error, f"{case.id}: an empty reply is read as a verdict")
        yield Judgement(
            case_id=case.id,
            example_id=case.example.id,
            judge=case.judge,
            judge_model="judge",
            answers=tuple(answer.model for answer in case.answers),
            candidate=case.candidate,
            turn=case.turn,
            verdict=case.verdict or Verdict(value=0.7, label="first"),
            replies=() if case.verdict else (Completion(text="a reply"),),
        )


def _scores(task: Task, data: TaskData, generations: dict[str, Generation], judgements: Sequence[Judgement]) -> None:
    example_scores = task.score(data, generations, judgements)
    scores = task.scores(data, example_scores)
    lacking = set(task.headline) - {score.metric for score in scores}
    _require(not lacking, f"metrics have no score: {', '.join(sorted(lacking))}")
    keys = [(score.metric, score.group) for score in scores]
    _require(len(set(keys)) == len(keys), "a metric occurs twice in one group")
    for score in scores:
        _require(not (problem := _problem(score, task)), f"{score.metric} ({score.group or 'all'}): {problem}")
    again = task.scores(data, task.score(data, generations, iter(judgements)))
    _require(again == scores, "the same verdicts give other scores the second time")


def _problem(score: Score, task: Task) -> str | None:
    if score.task != task.name:
        return f"it is filed under {score.task!r}"
    if score.unit not in UNITS:
        return f"the unit {score.unit!r} is none of {', '.join(UNITS)}"
    if (wanted := task.metric(score.metric, "undefined").unit) != score.unit:
        return f"its unit is {score.unit}, and `metrics` says {wanted}"
    if score.value is None:
        return None if score.reason else "there is neither a value nor a reason"
    numbers = (score.value, score.stderr, score.low, score.high)
    if not all(number is None or math.isfinite(number) for number in numbers):
        return f"a number is not finite: {json.dumps(msgspec.to_builtins(numbers), default=str)}"
    if not score.method:
        return "its method is not said"
    if (score.low is None) != (score.high is None):
        return "its interval has one end"
    if score.unit == "percent" and not -1e-9 <= score.value <= 100 + 1e-9:
        return f"{score.value} percent is no share"
    return None
