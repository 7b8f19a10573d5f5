"""Scoring models as judges: what a reward model, a pair ranker or a density ratio is shown of a case, and its verdict.

They read no prompt and write no reply. What they found is in ``Completion.scores``, and every verdict of theirs is made
of it here, whichever judge of a benchmark they play.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from judgebench.records import Case, Completion, Message, Request, Sampling, Verdict

ANSWER = "answer"
"""Role of the message that is to be scored, which ends a conversation."""
Scores = Literal["answers", "pairs"]
"""What a scoring model gives a number to: to each answer by itself, or to two side by side."""
UNSAMPLED = Sampling(max_tokens=0)
PREFERENCE, REWARD, RATIO = "preference", "reward", "ratio"
"""Names of the number that is a verdict: by how much the first answer of a pair is preferred, how good one answer is,
and how much likelier a strong model finds it than a weak one."""


@dataclass(frozen=True)
class ScoringJudge:
    """A judge of a benchmark that a scoring model plays, in place of its prompt and its rule."""

    played: Any
    """The benchmark's own judge."""
    scores: Scores
    deterministic = True
    """Whether asking again would be the same call, so that a repeat takes the reply that is there."""

    @property
    def name(self) -> str:
        """The name of the judge it plays."""
        return str(self.played.name)

    @property
    def texts(self) -> Any:
        """What the cases hold."""
        return getattr(self.played, "texts", None)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Everything that can change a verdict besides the model."""
        rule = "by probability" if shares_wins(self.played) else "the greater wins"
        return {"prompt": None, "sampling": msgspec.to_builtins(UNSAMPLED), "reading": f"scores: {rule}"}

    def ask(self, case: Case) -> Request:
        """The conversations that end with the case's answers; without regard to order if answers are scored alone."""
        order = shown_order(case) if self.scores == "answers" else range(len(case.answers))
        messages = tuple(message for place in order for message in conversation(case, place))
        return Request(messages=messages, sampling=UNSAMPLED)

    def ask_again(self, case: Case, replies: tuple[Completion, ...]) -> None:
        """There is nothing else to ask."""

    def read(self, case: Case, replies: tuple[Completion, ...]) -> Verdict:
        """Make the verdict of the numbers."""
        return read_scores(self.played, case, replies[-1])

    def constrained(self) -> "ScoringJudge":
        """Return the judge itself: it writes nothing."""
        return self


def as_played(judge: Any, replies: Sequence[Completion]) -> Any:
    """The judge that these replies are of: a scoring model that played it, if they are such a model's."""
    scores = replies[-1].scores if replies else None
    if scores is None or isinstance(judge, ScoringJudge):
        return judge
    return ScoringJudge(judge, "pairs" if any(PREFERENCE in found for found in scores) else "answers")


def split_answers(messages: Sequence[Message]) -> list[tuple[tuple[Message, ...], str]]:
    """Split the messages of such a request into conversations, each with the answer that ends it."""
    found: list[tuple[tuple[Message, ...], str]] = []
    before: list[Message] = []
    for message in messages:
        if message.role == ANSWER:
            found.append((tuple(before), message.content))
            before = []
        else:
            before.append(message)
    return found


def conversation(case: Case, place: int) -> tuple[Message, ...]:
    """The conversation up to one of the case's answers, which is its last message."""
    turns = case.answers[place].turns
    found = list(case.example.messages)
    for answer, followup in zip(turns[:-1], case.example.followups, strict=False):
        found += [Message(role="assistant", content=answer), Message(role="user", content=followup)]
    return (*found, Message(role=ANSWER, content=turns[-1]))


def shown_order(case: Case) -> list[int]:
    """The answers' places in an order that does not depend on the order in which the case shows them."""
    return sorted(range(len(case.answers)), key=lambda place: case.answers[place].turns)


def shares_wins(judge: Any) -> bool:
    """Whether a judge's verdict on a pair may be a share: a probability, or by how much an answer is better."""
    return getattr(judge, "binarise", True) is False or getattr(judge, "graded", False)


def read_scores(judge: Any, case: Case, reply: Completion) -> Verdict:
    """The verdict of a scoring model that plays a judge: of one answer its number, of two the share of the first."""
    scores = reply.scores or ()
    if len(scores) == 1 and PREFERENCE in scores[0] and len(case.answers) == 2:
        return _of_margin(judge, scores[0][PREFERENCE], calibrated=True)
    if len(scores) != len(case.answers) or not all(map(_number_of, scores)):
        return Verdict(value=None, error=f"{len(case.answers)} answers were to be scored, and {len(scores)} were")
    numbers = dict(zip(shown_order(case), scores, strict=True))
    values = [_value(numbers[place]) for place in range(len(case.answers))]
    if len(values) == 1:
        return Verdict(value=values[0])
    verdict = _of_margin(judge, values[0] - values[1], calibrated=REWARD in scores[0])
    return msgspec.structs.replace(verdict, details={**verdict.details, "first": values[0], "second": values[1]})


def _number_of(scores: Mapping[str, float]) -> str | None:
    return next((name for name in (REWARD, RATIO) if name in scores), None)


def _value(scores: Mapping[str, float]) -> float:
    return scores[_number_of(scores) or REWARD]


def _of_margin(judge: Any, margin: float, *, calibrated: bool) -> Verdict:
    """The share of the first answer: what Bradley and Terry's model says of the difference, or a side."""
    if shares_wins(judge) and calibrated:
        share = 1 / (1 + math.exp(-margin)) if margin > -700 else 0.0
    else:
        share = 0.5 if margin == 0 else float(margin > 0)
    return Verdict(value=share, details={"margin": margin})
