"""Judgements in a few bytes each are the judgements that were added."""

import tracemalloc

import msgspec

from judgebench.judges.lean import LeanJudgements
from judgebench.judges.panel import panel_members
from judgebench.records import Completion, Judgement, Usage, Verdict

VERDICTS = (
    Verdict(value=1.0, label="A"),
    Verdict(value=0.25),
    Verdict(value=1, label="A"),
    Verdict(value=None, error="no verdict"),
    Verdict(value=0.5, label="tie", details={"parts": [1, 2]}),
)


def judgement(number: int, *, judge_model: str = "m", repeat: int = 0, failed: bool = False) -> Judgement:
    """One of several of a case."""
    reply = Completion(error="no reply") if failed else Completion(text="why not" * 20, usage=Usage(prompt_tokens=7))
    return Judgement(
        case_id=f"e{number}#first",
        example_id=f"e{number}",
        judge="j",
        judge_model=judge_model,
        answers=("one", "other"),
        candidate=number % 2,
        verdict=VERDICTS[number % len(VERDICTS)],
        repeat=repeat,
        replies=(reply,),
        request_hashes=("sha256:0",),
    )


def without_replies(judgements: list[Judgement]) -> list[Judgement]:
    """What is kept of them."""
    return [
        msgspec.structs.replace(one, replies=one.replies if one.failed else (), request_hashes=msgspec.UNSET)
        for one in judgements
    ]


def test_what_is_added_comes_back() -> None:
    """In the same order, with numbers of the same type, and with the reply of a call that failed."""
    given = [judgement(n % 7, judge_model="ab"[n % 2], repeat=n % 3, failed=n == 11) for n in range(40)]
    kept = LeanJudgements(given)
    assert len(kept) == len(given)
    assert list(map(msgspec.json.encode, kept)) == list(map(msgspec.json.encode, without_replies(given)))
    assert [one.failed for one in kept] == [one.failed for one in given]
    assert kept.example_ids == {one.example_id for one in given}


def test_a_panel_is_the_same() -> None:
    """Whether its members are looked up among kept judgements or in a list, and as often as one likes."""
    given = without_replies([judgement(n // 6, judge_model="ab"[n % 2], repeat=n % 3) for n in range(60)])
    expected = {name: list(own) for name, own in panel_members(given).items()}
    found = panel_members(LeanJudgements(given))
    assert len(expected) == 6
    for _ in range(2):
        assert {name: list(own) for name, own in found.items()} == expected


def test_a_judgement_takes_a_few_bytes() -> None:
    """Of many on each case, whatever the replies say."""
    tracemalloc.start()
    try:
        kept = LeanJudgements(judgement(n // 50 * 5, repeat=n % 50) for n in range(20_000))
        size = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert size / len(kept) < 48
