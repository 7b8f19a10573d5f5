"""What scoring models are shown of a case, and the verdicts that are made of their numbers."""

import pytest

from judgebench.judges import read_replies
from judgebench.judges.logprob import LogprobJudge
from judgebench.judges.scorers import ScoringJudge, split_answers
from judgebench.judges.text import TextJudge
from judgebench.records import Answer, Case, Completion, Example, Message, Sampling, Verdict

EXAMPLE = Example(
    id="a", messages=(Message(role="user", content="first?"),), followups=("second?", "third?"), references=()
)
NAMED = TextJudge(
    name="house",
    messages=lambda case: (),
    prompt_sha256="",
    sampling=Sampling(),
    reading="",
    read_text=lambda text: Verdict(value=0.0),
)
LIKELY = LogprobJudge(name="house", messages=lambda case: (), prompt_sha256="", labels=("m", "M"), sampling=Sampling())


def game(*, candidate_first: bool, turns: int = 1) -> Case:
    """A game between two answers of so many turns."""
    own, other = (Answer(model=name, turns=tuple(f"{name} {n}" for n in range(turns))) for name in ("own", "other"))
    answers = (own, other) if candidate_first else (other, own)
    return Case(id="a", judge="house", example=EXAMPLE, answers=answers, candidate=0 if candidate_first else 1)


def scored(*scores: dict[str, float]) -> Completion:
    """A scoring model's reply."""
    return Completion(text="", scores=scores)


def test_a_later_turn_is_scored_after_the_answers_before_it() -> None:
    """The conversation has the answer's own earlier turns and the user's next ones, and ends with the last answer."""
    request = ScoringJudge(NAMED, "pairs").ask(game(candidate_first=True, turns=2))
    (before, answer), (_, other) = split_answers(request.messages)
    assert [(message.role, message.content) for message in before] == [
        ("user", "first?"),
        ("assistant", "own 0"),
        ("user", "second?"),
    ]
    assert (answer, other) == ("own 1", "other 1")


def test_both_orders_of_a_pair_are_one_request_where_answers_are_scored_alone() -> None:
    """A pair ranker is shown the answers in the order of the game."""
    both = [game(candidate_first=order) for order in (True, False)]
    alone, together = ScoringJudge(NAMED, "answers"), ScoringJudge(NAMED, "pairs")
    assert alone.ask(both[0]) == alone.ask(both[1])
    assert together.ask(both[0]) != together.ask(both[1])


@pytest.mark.parametrize("candidate_first", [True, False])
def test_numbers_go_to_the_answers_that_they_are_of(candidate_first: bool) -> None:
    """The other answer comes first in what was asked, whichever the game shows first; the greater reward wins."""
    case = game(candidate_first=candidate_first)
    verdict = read_replies(NAMED, case, [scored({"reward": 1.0}, {"reward": 3.0})])
    assert verdict.value == (1.0 if candidate_first else 0.0)
    assert verdict.details["margin"] == (2.0 if candidate_first else -2.0)


def test_probabilities_are_for_rewards_and_not_for_ratios() -> None:
    """Where a verdict is a probability, a difference of ln 3 is worth 3/4; a ratio names a winner there, too."""
    case, ln3 = game(candidate_first=True), 1.0986122886681098
    for judge, scores, share in (
        (LIKELY, ({"reward": 0.0}, {"reward": ln3}), 0.75),
        (LIKELY, ({"preference": ln3},), 0.75),
        (LIKELY, ({"ratio": 0.0}, {"ratio": ln3}), 1.0),
        (NAMED, ({"reward": 0.0}, {"reward": ln3}), 1.0),
        (NAMED, ({"ratio": 2.0}, {"ratio": 2.0}), 0.5),
        (LIKELY, ({"reward": 0.0}, {"reward": -1e15}), 0.0),
    ):
        assert read_replies(judge, case, [scored(*scores)]).value == pytest.approx(share, abs=1e-12)


@pytest.mark.parametrize("scores", [({"reward": 1.0},), ({"other": 1.0}, {"other": 2.0}), ()])
def test_numbers_that_are_not_those_of_the_case_are_no_verdict(scores: tuple[dict[str, float], ...]) -> None:
    """As a run folder of somebody else's may hold them: they are unread, and nothing fails."""
    verdict = read_replies(NAMED, game(candidate_first=True), [scored(*scores)])
    assert verdict.value is None
    assert verdict.error is not None
