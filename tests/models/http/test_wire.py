"""What is made of a reply: any JSON in any field, any bytes as a body, any word for how it ended; three protocols."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judgebench.codec import encode
from judgebench.models.http.wire import ENDS, NoAnswer, Wire, alternatives, read
from judgebench.models.http.wire_chat import ChatCompletions
from judgebench.models.http.wire_messages import Messages
from judgebench.models.http.wire_responses import Responses
from judgebench.models.pricing import most_tokens
from judgebench.records import ENDINGS, Completion, Message, Request, Sampling, Usage

REQUEST = Request(
    messages=(Message(role="user", content="Which bird sings first?"),),
    sampling=Sampling(max_tokens=50, top_logprobs=5),
)
MOST = Usage(prompt_tokens=8, completion_tokens=50, estimated=True)
Body = Callable[..., dict[str, Any]]


def chat(text: Any = "The robin.", end: Any = "stop", **more: Any) -> dict[str, Any]:
    """A reply of chat completions."""
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    return {"model": "m", "choices": [{"message": message, "finish_reason": end}], "usage": usage, **more}


def responses(text: Any = "The robin.", end: Any = "stop", **more: Any) -> dict[str, Any]:
    """A response, incomplete unless it ended by itself."""
    done = end == "stop"
    message = {"type": "message", "content": [{"type": "output_text", "text": text}]}
    status = {"status": "completed" if done else "incomplete", "incomplete_details": None if done else {"reason": end}}
    usage = {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13}
    return {"model": "m", **status, "output": [message], "usage": usage, **more}


def messages(text: Any = "The robin.", end: Any = "stop", **more: Any) -> dict[str, Any]:
    """A message."""
    reason = "end_turn" if end == "stop" else end
    usage = {"input_tokens": 9, "output_tokens": 4}
    return {"model": "m", "content": [{"type": "text", "text": text}], "stop_reason": reason, "usage": usage, **more}


PROTOCOLS: dict[str, tuple[Wire, Body]] = {
    "chat": (ChatCompletions(), chat),
    "responses": (Responses(), responses),
    "messages": (Messages(), messages),
}
protocols = pytest.mark.parametrize("protocol", PROTOCOLS)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


def reading(protocol: str, body: Any) -> Completion:
    """What is read of a body, encoded as Python's ``json`` does."""
    return read(PROTOCOLS[protocol][0], body if isinstance(body, bytes) else json.dumps(body).encode(), REQUEST, ())


def reading_or_none(protocol: str, body: Any) -> Completion | None:
    """The same; ``None`` for what is no answer. Anything else that is raised fails the test."""
    try:
        return reading(protocol, body)
    except NoAnswer:
        return None


@protocols
@pytest.mark.parametrize(("ending", "word"), [(ending, word) for ending, words in ENDS.items() for word in words])
def test_documented_words_for_an_end_are_ends(protocol: str, ending: str, word: str) -> None:
    """In whichever protocol and case they come; Gemini's with a cause behind a colon."""
    if protocol == "responses" and ending == "stop":
        return
    for written in (word, word.upper(), f"{word}: CAUSE"):
        assert reading(protocol, PROTOCOLS[protocol][1](end=written)).finish_reason == ending


@protocols
@pytest.mark.parametrize(
    "word", ["error", "abort", "network_error", "insufficient_system_resource", "pause_turn", "", 7]
)
def test_a_reply_that_broke_off_is_no_answer(protocol: str, word: Any) -> None:
    """It is said how it ended, and what it cost all the same."""
    with pytest.raises(NoAnswer, match="not how an answer ends") as caught:
        reading(protocol, PROTOCOLS[protocol][1](text="The ro", end=word))
    assert caught.value.cause == "broken off"
    assert caught.value.usage == Usage(prompt_tokens=9, completion_tokens=4)


@protocols
def test_a_reply_that_does_not_say_how_it_ended_is_no_answer(protocol: str) -> None:
    """Null, or nothing at all."""
    body = PROTOCOLS[protocol][1](end=None)
    with pytest.raises(NoAnswer, match="does not say how it ended"):
        reading(protocol, body)
    for holder in (body, *body.get("choices", ())):
        for key in ("finish_reason", "stop_reason", "status", "incomplete_details"):
            holder.pop(key, None)
    with pytest.raises(NoAnswer, match=r"does not say how it ended|status"):
        reading(protocol, body)


@protocols
def test_an_error_beside_the_text_is_an_error(protocol: str) -> None:
    """However well the rest looks; null is no error."""
    body = PROTOCOLS[protocol][1]
    for error in ({"message": "Upstream ended"}, "Upstream ended", [{"message": "Upstream ended"}]):
        with pytest.raises(NoAnswer, match="it holds an error: Upstream ended"):
            reading(protocol, body(error=error))
    assert reading(protocol, body(error=None)).text == "The robin."


def test_an_error_inside_a_choice_is_an_error() -> None:
    """As OpenRouter sends it."""
    body = chat()
    body["choices"][0]["error"] = {"code": 502, "message": "Upstream ended"}
    with pytest.raises(NoAnswer, match="Upstream ended"):
        reading("chat", body)


@protocols
@given(word=JSON)
def test_no_word_makes_an_end_but_those_that_are_documented(protocol: str, word: Any) -> None:
    """Whatever JSON stands where a reply says how it ended: an answer has one of our four ends, or there is none."""
    found = reading_or_none(protocol, PROTOCOLS[protocol][1](end=word))
    assert found is None or found.finish_reason in ENDINGS


@protocols
@given(data=st.binary(max_size=300))
def test_no_bytes_break_the_reading(protocol: str, data: bytes) -> None:
    """No body of junk is an answer."""
    assert reading_or_none(protocol, data) is None


@protocols
@given(data=st.binary(max_size=30), place=st.integers(0, 200), cut=st.integers(0, 40))
def test_no_damage_breaks_the_reading(protocol: str, data: bytes, place: int, cut: int) -> None:
    """Bytes of a good reply lost or put in: an answer that ended, or none; it can be stored and read again."""
    good = json.dumps(PROTOCOLS[protocol][1]()).encode()
    found = reading_or_none(protocol, good[:place] + data + good[place + cut :])
    if found is not None:
        assert found.finish_reason in ENDINGS
        assert_storable(found)


@protocols
@given(field=st.sampled_from(["usage", "model", "id", "created", "logprobs", "reasoning", "refusal", "x"]), value=JSON)
def test_any_value_in_a_side_field_leaves_the_text(protocol: str, field: str, value: Any) -> None:
    """Beside the reply, and beside its text; the cost is then at least nothing and at most a reply's."""
    body = PROTOCOLS[protocol][1](**{field: value})
    for holder in (*body.get("choices", ()), *(choice["message"] for choice in body.get("choices", ()))):
        holder[field] = value
    found = reading(protocol, body)
    assert found.text == "The robin."
    assert 0 <= found.usage.prompt_tokens <= 10**8
    assert 0 <= found.usage.completion_tokens <= 10**8
    assert_storable(found)


@protocols
@given(value=JSON)
def test_any_value_as_text_is_a_text_or_no_answer(protocol: str, value: Any) -> None:
    """What a number depends on is not guessed."""
    found = reading_or_none(protocol, PROTOCOLS[protocol][1](text=value))
    assert found is None or isinstance(found.text, str)


def assert_storable(completion: Completion) -> None:
    """The call store and the run folder give it back as it was."""
    assert msgspec.json.decode(encode(completion), type=Completion) == completion


@protocols
@pytest.mark.parametrize(
    ("prompt", "completion", "expected"),
    [
        (9, 4, Usage(prompt_tokens=9, completion_tokens=4)),
        (9.0, 3.5, Usage(prompt_tokens=9, completion_tokens=4)),
        (None, None, MOST),
        ("9", "4", MOST),
        (True, True, MOST),
        (-9, 4, Usage(prompt_tokens=8, completion_tokens=4, estimated=True)),
        (9, -4, Usage(prompt_tokens=9, completion_tokens=50, estimated=True)),
        (10**9, 10**30, MOST),
        (float("nan"), float("inf"), MOST),
        (0, 0, Usage(prompt_tokens=8, completion_tokens=0, estimated=True)),
    ],
)
def test_tokens_that_are_not_told_count_as_many_as_they_can_be(
    protocol: str, prompt: Any, completion: Any, expected: Usage
) -> None:
    """A number of tokens is a number that can be one; the estimate is marked as such."""
    names = ("prompt_tokens", "completion_tokens") if protocol == "chat" else ("input_tokens", "output_tokens")
    told = dict(zip(names, (prompt, completion), strict=True))
    assert reading(protocol, PROTOCOLS[protocol][1](usage=told)).usage == expected
    assert most_tokens(REQUEST) == MOST


@pytest.mark.parametrize("protocol", ["chat", "responses"])
def test_thinking_that_only_the_total_counts_is_counted(protocol: str) -> None:
    """As Gemini and xAI tell it: what the total has beyond the prompt is the reply's."""
    names = ("prompt_tokens", "completion_tokens") if protocol == "chat" else ("input_tokens", "output_tokens")
    told = {names[0]: 100, names[1]: 10, "total_tokens": 1110}
    usage = reading(protocol, PROTOCOLS[protocol][1](usage=told)).usage
    assert usage == Usage(prompt_tokens=100, completion_tokens=1010)


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + json.dumps(chat("sum 猫")).encode(),
        json.dumps(chat("sum 猫"), ensure_ascii=False).encode("utf-16"),
        b"\n \n" + json.dumps(chat("sum 猫"), ensure_ascii=False).encode(),
        json.dumps(chat("sum 猫", created=float("nan"))).encode(),
    ],
)
def test_unusual_encodings_are_read(body: bytes) -> None:
    """A byte order mark, UTF-16, white space first, Python's NaN."""
    assert reading("chat", body).text == "sum 猫"


@pytest.mark.parametrize("half", [b"\xe5\x86", b"\\ud83d"])
def test_half_a_character_is_replaced(half: bytes) -> None:
    """The text around it is kept."""
    text = reading("chat", json.dumps(chat("a*b")).encode().replace(b"*", half)).text
    assert text is not None
    assert (text[0], text[-1], len(text)) == ("a", "b", 3)


@protocols
def test_a_body_nested_without_end_is_no_answer(protocol: str) -> None:
    """Wherever the nesting is."""
    for body in (b"[" * 100_000, b'{"usage": ' + b'{"a":' * 100_000):
        with pytest.raises(NoAnswer, match=r"nested too deeply|not JSON"):
            reading(protocol, body)


def event(**fields: Any) -> str:
    """One event of a stream."""
    return f"event: {fields.get('type', 'x')}\ndata: {json.dumps(fields)}\n\n"


STREAMS = {
    "chat": [
        event(choices=[{"delta": {"role": "assistant", "content": "The "}}], model="m"),
        event(choices=[{"delta": {"content": "robin."}, "finish_reason": "stop"}]),
        event(choices=[], usage={"prompt_tokens": 9, "completion_tokens": 4}),
    ],
    "responses": [event(type="response.created"), event(type="response.completed", response=responses())],
    "messages": [
        event(type="message_start", message={"model": "m", "content": [], "usage": {"input_tokens": 9}}),
        event(type="content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event(type="content_block_delta", index=0, delta={"type": "text_delta", "text": "The "}),
        event(type="content_block_delta", index=0, delta={"type": "text_delta", "text": "robin."}),
        event(type="message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 4}),
    ],
}


@protocols
def test_a_stream_that_nobody_asked_for_is_read(protocol: str) -> None:
    """Its pieces are the reply; one that breaks off is none."""
    whole = (": keep-alive\n\n" + "".join(STREAMS[protocol]) + "data: [DONE]\n\n").encode()
    found = reading(protocol, whole)
    assert found == Completion(
        text="The robin.",
        finish_reason="stop",
        usage=Usage(prompt_tokens=9, completion_tokens=4),
        model="m",
    )
    with pytest.raises(NoAnswer):
        reading(protocol, "".join(STREAMS[protocol][:1]).encode())


def test_thinking_is_read_in_every_shape_that_servers_give_it() -> None:
    """A field of its own, in words or an object, or parts of the content."""
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "The robin."}]
    found = reading("chat", chat(parts))
    assert (found.text, found.reasoning) == ("The robin.", "hm")
    for shape in (
        {"reasoning": "hm"},
        {"reasoning_content": "hm"},
        {"reasoning": {"text": "hm"}},
        {"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
    ):
        body = chat()
        body["choices"][0]["message"] |= shape
        assert (reading("chat", body).text, reading("chat", body).reasoning) == ("The robin.", "hm")


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        ([{"token": "m", "logprob": -1}], ((("m", -1.0),),)),
        ([{"token": "m", "logprob": -1.0, "top_logprobs": None}], ((("m", -1.0),),)),
        ([{"token": "m", "logprob": -1.0, "top_logprobs": []}], ((("m", -1.0),),)),
        (
            [
                {
                    "token": "m",
                    "logprob": -1.0,
                    "top_logprobs": [{"token": "m", "logprob": -1.0}, {"token": "M", "logprob": -2}],
                }
            ],
            ((("m", -1.0), ("M", -2.0)),),
        ),
        ([{"token": "m", "logprob": -1.0, "top_logprobs": [{"token": "m", "logprob": float("-inf")}]}], ((),)),
        ([{"token": "m", "logprob": float("nan")}], None),
        ([{"token": "m", "logprob": 3.0}], None),
        ([{"token": "m", "logprob": "-1"}], None),
        ([{"token": None, "logprob": -1.0}], None),
        ([{"token": "m", "logprob": -1.0}, "junk"], None),
        ([], None),
        ("junk", None),
        (None, None),
    ],
)
def test_log_probabilities_are_read_whole_or_not_at_all(positions: Any, expected: Any) -> None:
    """An alternative of which the probability is no number would make the others' shares wrong."""
    assert alternatives(positions) == expected
