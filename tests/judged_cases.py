"""Judgements of starter sets, made without a model: replies by number of the case, for every judged benchmark."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from judgebench.records import Case, Completion, Generation, Judgement, Verdict
from judgebench.run.loading import load_tasks
from judgebench.run.scoring import Scored, score
from judgebench.run.settings import Settings
from judgebench.task import Task, TaskData

TASKS = (
    *("alpacaeval", "alpacaeval:order=both", "mtbench", "mtbench:mode=pairwise", "wildbench"),
    *("arenahard@v2.0", "arenahard@v0.1"),
)
SAID: dict[str, tuple[str | float, ...]] = {
    "house_pairwise_label": (0.8, 0.3, 0.6, 0.0, 1.0),
    "house_rating": ("[[7]]", "[[4]]", "[[9]]", "[[1]]", "[[10]]"),
    "house_verdict": ("[[A]]", "[[C]]", "[[B]]", "[[B]]", "[[A]]"),
    "score": tuple(f'{{"score": "{rating}"}}' for rating in (7, 4, 9, 1, 10)),
    "pairwise": tuple(f'{{"choice": "{choice}"}}' for choice in ("A+", "A=B", "B+", "B++", "A++")),
}
"""By judge: three replies, then the lowest and the highest; of pairs, for the answer shown first."""
FIVE = ("[[A>B]]", "[[A=B]]", "[[B>A]]", "[[B>>A]]", "[[A>>B]]")
"""Those of Arena-Hard's judges, whose names are categories."""
NOT_READ = Verdict(value=None, error="not read yet")
UNREADABLE = Completion(text="Hm.", top_logprobs=((("Hm", -0.1),),))


def reply(case: Case, place: int) -> Completion:
    """One of the three replies, or the lowest (3) or the highest (4) for the candidate."""
    if len(case.answers) == 2 and case.candidate == 1 and place > 2:
        place = 7 - place
    said = SAID.get(case.judge, FIVE)[place]
    if isinstance(said, str):
        return Completion(text=said, finish_reason="stop")
    shares = {"A": said, "B": 1 - said}
    return Completion(text="A", top_logprobs=(tuple((label, math.log(s)) for label, s in shares.items() if s),))


def judged(case: Case, judge: str, repeat: int, reply: Completion, verdict: Verdict = NOT_READ) -> Judgement:
    """What a judge said of a case, as a run stores it."""
    return Judgement(
        case_id=case.id,
        example_id=case.example.id,
        judge=case.judge,
        judge_model=judge,
        answers=tuple(answer.model for answer in case.answers),
        candidate=case.candidate,
        turn=case.turn,
        repeat=repeat,
        verdict=verdict,
        replies=(reply,),
    )


@dataclass(frozen=True)
class StarterSet:
    """A starter set with answers to all of it."""

    task: Task
    data: TaskData
    generations: dict[str, Generation]

    @classmethod
    def of(cls, name: str) -> "StarterSet":
        """Load it, and write the answers, which differ in length."""
        (loaded,) = load_tasks(Settings(tasks=name, starter=True))
        generations = {
            example.id: Generation(
                example_id=example.id,
                model="m",
                outputs=tuple(f"Answer {number}. " * (3 + number % 7) for _ in range(1 + len(example.followups))),
            )
            for number, example in enumerate(loaded.data.examples)
        }
        return cls(loaded.task, loaded.data, generations)

    @property
    def cases(self) -> list[Case]:
        """All cases of all answers."""
        return [case for own in self.generations.values() for case in self.task.cases(self.data, own)]

    def scored(
        self, said: Callable[[Case, int, str, int], Completion], judges: tuple[str, ...] = ("j",), repeats: int = 1
    ) -> Scored:
        """Score what each judge says of each numbered case in each repeat."""
        judgements = [
            judged(case, judge, repeat, said(case, number, judge, repeat))
            for number, case in enumerate(self.cases)
            for judge in judges
            for repeat in range(repeats)
        ]
        return score(self.task, self.data, self.generations, judgements, ())
