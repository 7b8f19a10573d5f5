"""Builds again what a judge was asked, from the run folder and the task's files, and checks it against hashes.

A judgement keeps a hash of the messages of each request, not the messages: the case is in the folder, the prompt is an
official file or the task's own. Nothing is shown as what the judge saw if it is not what the judge saw.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from judgebench.codec import canonical_hash
from judgebench.errors import UsageError
from judgebench.judges import request_after
from judgebench.judges.scorers import as_played
from judgebench.records import Case, Generation, Judgement, Message
from judgebench.run.reading import TaskRun
from judgebench.task import TaskData
from judgebench.thinking import Thinking

State = Literal["exact", "rebuilt", "imported", "differs", "lost", "not asked"]
STATES: Mapping[State, str] = {
    "exact": "exactly as sent (hash matches)",
    "rebuilt": "built again; this run does not record the hash of what was sent",
    "imported": "built by our rules; the verdict was imported, and its file does not say what its judge was sent",
    "differs": "withheld: what can be built today is not what the judge was sent (the hashes differ). The task's files "
    "or options, or an answer, changed since",
    "lost": "cannot be built: the run folder lacks an answer or the text of the question, or the task has no such "
    "judge any more",
    "not asked": "the judge was not asked",
}
"""What each state means, in words."""


@dataclass(frozen=True)
class JudgePrompts:
    """What a judge was asked for one judgement."""

    state: State
    requests: tuple[tuple[Message, ...], ...] = ()
    """The messages of each request, one for each reply; empty unless the state is one of the first three."""

    @property
    def told(self) -> str:
        """The state in words."""
        return STATES[self.state]


class PromptBuilder:
    """Builds the prompts of a run's judgements; consecutive judgements of one example share its cases."""

    def __init__(self, run: TaskRun, data: TaskData, *, imported: bool) -> None:
        self._task, self._data, self._imported = run.task, data, imported
        self._thinking = Thinking(tags=tuple(run.task_manifest.think_tags))
        self._generations = run.generations()
        self._last: tuple[str | None, dict[str, Case]] = (None, {})

    def case(self, judgement: Judgement) -> Case | None:
        """The case that was judged."""
        return self.cases(judgement.example_id).get(judgement.case_id)

    def cases(self, example_id: str) -> Mapping[str, Case]:
        """The cases of an example by id; none if it has no answer."""
        if self._last[0] != example_id:
            self._last = (example_id, self._built(self._generations.get(example_id)))
        return self._last[1]

    def _built(self, generation: Generation | None) -> dict[str, Case]:
        if generation is None or generation.error:
            return {}
        return {case.id: case for case in self._task.cases(self._data, generation)}

    def about(self, judgement: Judgement) -> dict[str, str]:
        """What tells a case apart from the same judge's other cases of the answer, such as its criterion."""
        texts = getattr(self._data.judges.get(judgement.judge), "texts", None)
        cases = self.cases(judgement.example_id)
        if not cases and self._imported:
            # Verdicts made elsewhere may come without the answers that they are about.
            cases = self._built(Generation(example_id=judgement.example_id, model="", outputs=("",)))
        case = cases.get(judgement.case_id)
        if texts is None or case is None or texts.answers != 1:
            return {}
        others = [one for one in cases.values() if one.judge == case.judge]
        if len(others) == 1:
            return {}
        alike = [texts.of(one) for one in others]
        own = texts.of(case)
        told = {
            name: own[name] for name in texts.names if name in own and any(one.get(name) != own[name] for one in alike)
        }
        points = _points(case)
        return told | ({"points": f"{points:g}, so that a yes counts as not met"} if points < 0 else {})

    def prompts(self, judgement: Judgement) -> JudgePrompts:
        """Build the messages of every request again, and compare them with the hashes of what was sent."""
        if not judgement.replies or (judgement.failed and judgement.request_hashes == ()):
            return JudgePrompts("not asked")
        requests = tuple(self._requests(judgement))
        if not isinstance(judgement.request_hashes, tuple):
            known = len(requests) == len(judgement.replies)
            return (
                JudgePrompts("imported" if self._imported else "rebuilt", requests) if known else JudgePrompts("lost")
            )
        if not requests:
            return JudgePrompts("lost")
        alike = tuple(map(canonical_hash, requests)) == judgement.request_hashes
        return JudgePrompts("exact", requests) if alike else JudgePrompts("differs")

    def _requests(self, judgement: Judgement) -> Iterator[tuple[Message, ...]]:
        """Yield the messages of each request, as far as they can be built."""
        judge, case = self._data.judges.get(judgement.judge), self.case(judgement)
        if judge is None or case is None:
            return
        judge = as_played(judge, judgement.replies)
        for place in range(len(judgement.replies)):
            try:
                request = request_after(judge, case, judgement.replies[:place], self._thinking)
            except UsageError:
                # An import may hold verdicts without the texts that they are about.
                return
            if request is None:
                return
            yield request.messages


def _points(case: Case) -> float:
    """The points of the criterion that a case is about; 0 if it is about none."""
    criteria, place = case.example.meta.get("criteria"), case.id.rpartition("#")[2]
    if not isinstance(criteria, list) or not place.isdecimal() or int(place) >= len(criteria):
        return 0.0
    points = criteria[int(place)].get("points", 0.0) if isinstance(criteria[int(place)], dict) else 0.0
    return float(points) if isinstance(points, int | float) else 0.0
