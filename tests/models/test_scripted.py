"""The scripted model: what it replies, how it fails, and that a whole run can use it."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import judgebench
from judgebench.errors import ModelError, UsageError
from judgebench.models import Model, OpenSettings
from judgebench.models.opening import open_model, parse_model
from judgebench.models.scripted import ScriptedModel, failure, last_message, playing, reply
from judgebench.records import Completion, Message, Request, Sampling, Usage
from tests.patience import PATIENCE_SECONDS


def ask(*texts: str) -> list[Request]:
    """Requests of one user message each."""
    return [Request(messages=(Message(role="user", content=text),), sampling=Sampling()) for text in texts]


def replies(model: Model, requests: list[Request]) -> list[Completion]:
    """The model's replies, in the order of the requests."""
    found = dict(model.complete(requests))
    return [found[index] for index in range(len(requests))]


def test_it_is_a_model() -> None:
    """Whatever judgebench asks of a model is there."""
    assert isinstance(ScriptedModel([]), Model)


def test_a_script_is_a_function_a_mapping_or_a_sequence() -> None:
    """By the whole request, by the text of the last message, or in order; what was asked is kept."""
    for script in (lambda request: last_message(request).upper(), {"a": "A", "b": "B"}, ["A", "B"], iter(["A", "B"])):
        model = ScriptedModel(script)
        assert [completion.text for completion in replies(model, ask("a", "b"))] == ["A", "B"]
        assert model.asked == ask("a", "b")


def test_a_request_that_the_script_does_not_know_ends_the_run() -> None:
    """With its text, after the replies to the requests before it."""
    for script in ({"a": "A"}, ["A"]):
        found = ScriptedModel(script, name="mine").complete(ask("a", "what?"))
        assert next(found)[1].text == "A"
        with pytest.raises(ModelError, match=r"The script of mine has no reply to 'what\?'"):
            next(found)


def test_a_reply_is_whole() -> None:
    """It says who made it; words stand for tokens unless usage is given; thinking and alternatives are kept."""
    thought = reply("A", thinking="B or A", logprobs={"A": -0.1, "B": -2.4})
    counted = reply("x", usage=Usage(prompt_tokens=9))
    model = ScriptedModel(["two words", thought, counted])
    first, second, third = replies(model, ask("the question is", "a", "b"))
    assert (first.usage, first.finish_reason, first.model) == (
        Usage(prompt_tokens=3, completion_tokens=2),
        "stop",
        "scripted",
    )
    assert (second.reasoning, second.usage.completion_tokens) == ("B or A", 4)
    assert second.top_logprobs == ((("A", -0.1), ("B", -2.4)),)
    assert third.usage == Usage(prompt_tokens=9)


def test_it_fails_as_models_fail() -> None:
    """A request can get no reply, and an exception in the script is raised."""
    assert replies(ScriptedModel([failure("timeout"), "B"]), ask("a", "b"))[0] == Completion(error="timeout")
    with pytest.raises(ModelError, match="gone"):
        replies(ScriptedModel([ModelError("the endpoint is gone")]), ask("a"))


def test_it_answers_several_requests_at_once() -> None:
    """Three replies that wait for each other all come, whatever their number is."""
    together = threading.Barrier(3, timeout=PATIENCE_SECONDS)

    def answer(request: Request) -> str:
        together.wait()
        return last_message(request).upper()

    found = replies(ScriptedModel(answer, at_once=3), ask("a", "b", "c", "d", "e", "f"))
    assert [completion.text for completion in found] == ["A", "B", "C", "D", "E", "F"]


@pytest.mark.parametrize("at_once", [1, 4])
def test_an_error_of_the_requests_comes_after_the_replies(at_once: int) -> None:
    """As the iterable raises it."""

    def requests() -> Iterator[Request]:
        yield from ask("a", "b")
        raise LookupError("no more")

    found = []
    with pytest.raises(LookupError, match="no more"):
        found.extend(ScriptedModel(lambda request: "x", at_once=at_once).complete(requests()))
    assert sorted(index for index, _ in found) == [0, 1]


def test_a_batch_is_answered_when_it_is_full() -> None:
    """Or when no more requests come."""
    pulled = []

    def requests() -> Iterator[Request]:
        for request in ask("a", "b", "c"):
            pulled.append(request)
            yield request

    found = ScriptedModel(["A", "B", "C"], batch=2).complete(requests())
    assert (next(found)[1].text, len(pulled)) == ("A", 2)
    assert [completion.text for _, completion in found] == ["B", "C"]


def test_a_changed_script_is_asked_again() -> None:
    """Two models share an identity, and with it the stored replies, only if they are told to."""
    assert ScriptedModel(["A"]).identity != ScriptedModel(["B"]).identity
    assert ScriptedModel(["A"], identity="mine").identity == ScriptedModel(["B"], identity="mine").identity


def test_it_plays_the_candidate_and_the_judge_of_a_run(tmp_path: Path) -> None:
    """A judge that always likes the answer which it calls A: each of the candidate's answers was shown to it once."""
    candidate = ScriptedModel(lambda request: f"An answer to: {last_message(request)}", name="candidate")
    judge = ScriptedModel(lambda request: reply("A", logprobs={"A": 0.0, "B": -50.0}), name="judge")
    with playing(candidate) as model, playing(judge) as judged_by:
        out = tmp_path / "run"
        run = judgebench.evaluate(model, "alpacaeval", judge=judged_by, starter=True, out=out, progress=False)
    assert len(judge.asked) == len(candidate.asked) == len({*candidate.asked}) == 16
    shown = [last_message(request) for request in judge.asked]
    assert all(any(f"An answer to: {last_message(asked)}" in text for text in shown) for asked in candidate.asked)
    (win_rate,) = (score for score in run.scores if (score.metric, score.group) == ("win_rate", None))
    assert (win_rate.n, win_rate.n_missing) == (16, 0)


def test_a_spec_names_a_model_only_while_it_plays() -> None:
    """In this process; one at a time has a name; a local model has no spec."""
    with playing(ScriptedModel([], name="one")) as spec:
        assert spec == "scripted:one"
        assert open_model(parse_model(spec)[0], OpenSettings()).name == "one"
        with pytest.raises(ValueError, match="another model called one"), playing(ScriptedModel([], name="one")):
            pass
    with pytest.raises(UsageError, match="no scripted model 'one' in this process"):
        open_model(parse_model(spec)[0], OpenSettings())
    with pytest.raises(ValueError, match="is local"), playing(ScriptedModel([], local=True)):
        pass
