"""One call to the judge about all criteria of an answer: what it is shown, and how all its verdicts are read."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judgebench.judges import Judge
from judgebench.judges.lists import MET, counted, list_verdict, of_parts
from judgebench.judges.text import TextJudge
from judgebench.judges.verdict_rules import LIST, VerdictRule, json_object
from judgebench.kinds.criteria import ALL, criteria_of, ends_of_criterion
from judgebench.kinds.items import Criterion
from judgebench.records import Answer, Case, Completion, Example, Generation, Verdict
from judgebench.task import TaskData

HOUSE = "all_criteria"
"""The house prompt that asks for all verdicts."""
NAMES = {
    LIST: "how many criteria there are",
    "criteria": "the criteria, numbered from 1, one a line",
    "bullets": "the criteria, one a line after a dash",
}
"""What a prompt can show of such a case."""
RULE = VerdictRule(read="json:verdicts", labels={"true": 1.0, "false": 0.0})


@dataclass(frozen=True, kw_only=True)
class WholeJudge(TextJudge):
    """A judge whose replies hold a verdict on each criterion of a case."""

    rule: VerdictRule

    def read(self, case: Case, replies: tuple[Completion, ...]) -> Verdict:
        """Read the verdicts; their number is that of the case's criteria."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(TextJudge)}
        read = TextJudge(**{**plain, "read_text": lambda text: verdicts_in(text, self.rule, criteria_of(case.example))})
        return read.read(case, replies)


def of_wholes(judge: Judge, rule: VerdictRule) -> Judge:
    """Make a judge read a verdict on each criterion; one that reads no text is left as it is."""
    if not isinstance(judge, TextJudge):
        return judge
    plain = {field.name: getattr(judge, field.name) for field in dataclasses.fields(TextJudge)}
    return WholeJudge(**plain, rule=rule)


def whole_cases(judge: str, data: TaskData, generation: Generation) -> tuple[Case, ...]:
    """One case about all criteria."""
    answer = Answer(model=generation.model, turns=generation.outputs)
    example, turn = data.by_id[generation.example_id], len(generation.outputs)
    return (Case(id=f"{example.id}#{ALL}", judge=judge, example=example, answers=(answer,), turn=turn),)


def all_shown(case: Case, of_one: Callable[[Criterion], str]) -> Mapping[str, str]:
    """The texts of :data:`NAMES`; ``of_one`` says how one criterion is shown."""
    shown = [of_one(criterion) for criterion in criteria_of(case.example)]
    return {
        LIST: str(len(shown)),
        "criteria": "\n".join(f"{number}. {text}" for number, text in enumerate(shown, 1)),
        "bullets": "\n".join(f"- {text}" for text in shown),
    }


def verdicts_in(text: str, rule: VerdictRule, criteria: Sequence[Criterion]) -> Verdict:
    """Read a verdict on each criterion: a list in the last line, or in JSON a list, or an object by number or text."""
    if rule.kind == "list":
        return counted(list_verdict(text, rule.labels), len(criteria))
    found = json_object(text, rule)
    if isinstance(found, str):
        return Verdict(value=None, error=found)
    given = found.get(rule.key)
    if isinstance(given, dict):
        given = [given.get(one.text, given.get(str(number))) for number, one in enumerate(criteria, 1)]
    if not isinstance(given, list) or len(given) != len(criteria):
        what = f"a list of {len(given)}" if isinstance(given, list) else "neither a list nor an object"
        return Verdict(value=None, error=f"{rule.key!r} holds {what}, and there are {len(criteria)} criteria")
    values = [_value(one, rule) for one in given]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        odd = given[values.index(None)]
        return Verdict(value=None, error=f"{str(odd)[:40]!r} in {rule.key!r} is none of {', '.join(rule.labels)}")
    return of_parts(known)


def _value(given: Any, rule: VerdictRule) -> float | None:
    return rule.labels.get(str(given).lower() if isinstance(given, bool) else str(given).strip())


def ends_of_case(example: Example, case_id: str) -> tuple[Verdict, Verdict]:
    """The worst and the best verdict for the candidate: on one criterion, or on all of them."""
    if not case_id.endswith(f"#{ALL}"):
        return ends_of_criterion((0.0, 1.0), example, case_id)
    good = [one.wanted == (one.points > 0) for one in criteria_of(example)]
    worst, best = (Verdict(value=0.5, details={MET: [float(end == one) for one in good]}) for end in (False, True))
    return worst, best
