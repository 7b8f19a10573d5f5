"""Dialogues with judges whose replies hold no verdict: what is read, what is asked next, and when it ends."""

import dataclasses
import tomllib
from typing import Any

import msgspec
import pytest

from judgebench.judges import REASKS, next_step, read_replies, usual_reasks
from judgebench.judges.own_judges import OwnJudge
from judgebench.judges.own_prompts import CaseTexts
from judgebench.judges.text import TextJudge
from judgebench.judges.verdict_rules import VerdictRule
from judgebench.records import Answer, Case, Completion, Example, Message, Request, Sampling, Verdict
from tests.judges.bad_replies import CUT_OFF, ODD_BUT_READABLE, READINGS, UNREADABLE

EXAMPLE = Example(id="1", messages=(Message(role="user", content="question"),))
PROMPT = (Message(role="user", content="Which is better?"),)


def a_case(answers: int) -> Case:
    """A case of one answer, or two."""
    shown = tuple(Answer(model=name, turns=(name,)) for name in "ab"[:answers])
    return Case(id="1", judge="j", example=EXAMPLE, answers=shown)


def made(reading: str, *, reminds: bool = True) -> Any:
    """A judge that reads by a rule of a judge file, with a prompt of the user's or a published one."""
    rates = READINGS[reading].rates
    texts = CaseTexts(answers=1 if rates else 2, scale=(1.0, 10.0) if rates else None)
    plain = TextJudge(
        name="j",
        messages=lambda _: PROMPT,
        prompt_sha256="",
        sampling=Sampling(),
        reading="",
        read_text=lambda _: Verdict(value=None, error="?"),
    )
    rule = msgspec.convert(tomllib.loads(READINGS[reading].toml), VerdictRule)
    judge: Any = OwnJudge(name="file", verdict=rule).opened("file").played(plain, texts)
    return dataclasses.replace(judge, reminds=reminds)


def completion(choice: dict[str, Any]) -> Completion:
    """A reply as a backend makes it of a choice."""
    tokens = (choice.get("logprobs") or {}).get("content")
    return Completion(
        text=choice["message"]["content"],
        finish_reason=choice["finish_reason"],
        top_logprobs=tokens
        and tuple(tuple((one["token"], one["logprob"]) for one in token["top_logprobs"]) for token in tokens),
    )


@pytest.mark.parametrize("reading", READINGS)
def test_no_verdict_is_guessed(reading: str) -> None:
    """None of the bad replies is read as one, by any rule; a reply that names two verdicts names none."""
    own = READINGS[reading]
    case, judge = a_case(1 if own.rates else 2), made(reading)
    for kind, text in UNREADABLE.items():
        for spelled in own.verdicts:
            reply = completion(own.reply(text, spelled, cut_off=kind in CUT_OFF))
            verdict = read_replies(judge, case, [reply])
            assert verdict.value is None, f"{kind}: {reply.text!r} was read as {verdict}"
            assert verdict.error


@pytest.mark.parametrize("reading", [name for name, own in READINGS.items() if not own.logprobs])
def test_dress_hides_no_verdict(reading: str) -> None:
    """Bold, quoted, listed or after some thinking, the verdict is read as it is spelled."""
    own = READINGS[reading]
    case, judge = a_case(1 if own.rates else 2), made(reading)
    for kind, text in ODD_BUT_READABLE.items():
        for spelled, value in own.verdicts.items():
            verdict = read_replies(judge, case, [completion(own.reply(text, spelled))])
            # Two objects of JSON are no JSON, be they equal.
            expected = None if (reading, kind) == ("JSON", "twice the same") else value
            assert verdict.value == expected, f"{kind}: {spelled}"


@pytest.mark.parametrize("reading", READINGS)
def test_a_judge_is_reminded_of_the_form_and_read_anew(reading: str) -> None:
    """The conversation goes on with the end of its reply and the form; what it said is no part of the verdict."""
    own = READINGS[reading]
    case, judge = a_case(1 if own.rates else 2), made(reading)
    assert usual_reasks(judge) == REASKS == 3
    spelled = next(iter(own.verdicts))
    bad = completion(own.reply("{other}, and {spelled}" + " more" * 500, spelled))
    again = next_step(judge, case, [bad])
    assert isinstance(again, Request)
    assert [message.role for message in again.messages] == ["user", "assistant", "user"]
    assert again.messages[0] == PROMPT[0]
    assert str(bad.text).endswith(again.messages[1].content)
    assert len(again.messages[1].content) == 1000
    form = again.messages[2].content
    assert "No verdict could be read" in form
    assert {"rating": "from 1 to 10", "JSON": '"winner"', "logprob": "A B"}.get(reading, spelled) in form
    verdict = next_step(judge, case, [bad, completion(own.good(spelled))])
    assert isinstance(verdict, Verdict)
    assert verdict.value == pytest.approx(own.verdicts[spelled], abs=0.01)


def test_a_judge_that_said_nothing_is_sent_no_empty_turn() -> None:
    """Several APIs reject one: the reminder ends the prompt."""
    for nothing in ("", "  \n", "<think>It is [[A]]"):
        again = next_step(made("label"), a_case(2), [Completion(text=nothing)])
        assert isinstance(again, Request)
        (message,) = again.messages
        assert message.content.startswith(f"{PROMPT[0].content}\n\nNo verdict")


def test_a_published_prompt_is_sent_again_as_it_is() -> None:
    """And only if the user says so."""
    judge, case, bad = made("label", reminds=False), a_case(2), Completion(text="hm")
    assert isinstance(next_step(judge, case, [bad]), Verdict)
    again = next_step(judge, case, [bad], reasks=1)
    assert isinstance(again, Request)
    assert again.messages == PROMPT
    assert isinstance(next_step(judge, case, [bad, bad], reasks=1), Verdict)


def test_a_follow_up_of_the_protocols_own_comes_first() -> None:
    """It belongs to the attempt, whose replies are read together; the next attempt begins with the prompt."""
    labels = {"[[A]]": 1.0, "[[B]]": 0.0}
    judge = TextJudge(
        name="j",
        messages=lambda _: PROMPT,
        prompt_sha256="",
        sampling=Sampling(),
        reading="",
        read_text=lambda text: Verdict(
            value=next((v for label, v in labels.items() if label in text), None), error=text
        ),
        follow_up=lambda text: "go on",
    )
    case, bad = a_case(2), Completion(text="hm")
    steps = [next_step(judge, case, [bad] * asked, reasks=1) for asked in range(1, 5)]
    last = [step.messages[-1].content if isinstance(step, Request) else step for step in steps]
    assert last[:3] == ["go on", PROMPT[0].content, "go on"]
    assert last[3] == Verdict(value=None, error="hm\nhm")
