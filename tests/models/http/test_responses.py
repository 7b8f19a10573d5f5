"""OpenAI's Responses API, and what its reasoning models change about chat completions, against a real server process
that the vendor's own client can read too.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from judgebench.errors import ModelError, UsageError
from judgebench.models import Model, OpenSettings
from judgebench.models.http.model import openai_chat, served_chat
from judgebench.models.http.wire import cut_at_stop, read, rejected_field
from judgebench.models.http.wire_chat import ChatCompletions
from judgebench.models.http.wire_messages import Messages
from judgebench.models.http.wire_responses import Responses
from judgebench.models.opening import open_model, parse_model
from judgebench.records import Completion, Message, Request, Sampling, Usage
from judgebench.thinking import Thinking, split_completion
from tests.servers.launch import Server

KEY = "sk-right-0123456789abcdef"
FIXED_LOGPROBS = ((("m", -0.1053605), ("M", -2.3025851)),)
StartServer = Callable[..., Server]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendor's models want one."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def ask(content: str = "hi", **sampling: Any) -> Request:
    """A request of one user message."""
    return Request(messages=(Message(role="user", content=content),), sampling=Sampling(**sampling))


def replies(model: Model, *requests: Request) -> list[Completion]:
    """The reply to each request; the model is closed."""
    try:
        got = dict(model.complete(iter(requests)))
    finally:
        model.close()
    return [got[index] for index in range(len(requests))]


def served(server: Server, api: str, **options: Any) -> Model:
    """A model of the server that does not wait long between attempts."""
    return served_chat("judge", server.base_url, api=api, **{"backoff_seconds": 0.01, **options})


def canned(folder: Path, **lines: dict[str, Any]) -> Path:
    """A file of replies by the last message's text."""
    path = folder / "replies.jsonl"
    rows = [{"key": hashlib.sha256(text.encode()).hexdigest(), **line} for text, line in lines.items()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def choice(content: str | None, finish_reason: str = "stop", **more: Any) -> dict[str, Any]:
    """A line with one choice."""
    message = {"role": "assistant", "content": content, **more}
    return {"choice": {"index": 0, "message": message, "finish_reason": finish_reason}}


def test_the_body_is_the_protocols(start_chat_server: StartServer) -> None:
    """Everything by the protocol's names, nothing that is not set but that nothing is to be kept; the server, which
    knows no others, takes it.
    """
    server = start_chat_server(log_bodies=1)
    full = ask("ho", temperature=0.5, top_p=0.9, max_tokens=7, stop=("\n",), seed=1, json_object=True, top_logprobs=2)
    replies(served(server, "responses", reasoning_effort="low", concurrency=1), ask(), full)
    plain, everything = server.bodies()
    effort = {"reasoning": {"effort": "low"}}
    said = {"role": "user", "content": "hi"}
    assert plain == {"model": "judge", "input": [said], "store": False, **effort}
    assert everything == {
        "model": "judge",
        "input": [{"role": "user", "content": "ho"}],
        "store": False,
        "temperature": 0.5,
        "top_p": 0.9,
        "max_output_tokens": 7,
        "text": {"format": {"type": "json_object"}},
        "include": ["message.output_text.logprobs"],
        "top_logprobs": 2,
        **effort,
    }


SCHEMA = {"type": "object", "properties": {"verdict": {"type": "string"}}, "required": ["verdict"]}


def test_a_schema_is_sent_by_each_protocol_s_names(start_chat_server: StartServer) -> None:
    """Strict, in place of any JSON object. A server that refuses it is asked without, and the reply says so."""
    form = {"name": "reply", "strict": True, "schema": SCHEMA}
    request = ask(json_schema=json.dumps(SCHEMA), json_object=True)
    for way, key, wanted in (
        ("responses", "text", {"format": {"type": "json_schema", **form}}),
        ("chat", "response_format", {"type": "json_schema", "json_schema": form}),
    ):
        server = start_chat_server(log_bodies=1)
        replies(served(server, way, concurrency=1), request)
        assert server.bodies()[0][key] == wanted
    wire = ChatCompletions()
    sent = b'{"response_format": {}}'
    assert rejected_field(wire, sent, "response_format of type json_schema is not supported") == "response_format"
    assert "response_format" not in wire.body("m", request, ("response_format",))
    answer = b'{"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}'
    assert read(wire, answer, request, ("response_format",)).left_out == ("json_object", "json_schema")


def test_a_reply_is_read_whole(start_chat_server: StartServer) -> None:
    """Text, end, usage, served model and alternatives are what chat completions of the same reply give."""
    server = start_chat_server()
    over_responses = replies(served(server, "responses"), ask(max_tokens=1, top_logprobs=5))
    assert over_responses == [
        Completion(
            text="m",
            finish_reason="length",
            usage=Usage(prompt_tokens=100, completion_tokens=1),
            top_logprobs=FIXED_LOGPROBS,
            model="judge",
        )
    ]


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_reasoning_and_refusals_are_told_apart(api: str, tmp_path: Path, start_chat_server: StartServer) -> None:
    """The thinking part is not the answer; a refusal ends as the content filter's, its words kept."""
    server = start_chat_server(
        replies=canned(tmp_path, hi=choice("4", reasoning="2 and 2"), ho=choice(None, refusal="I would rather not."))
    )
    thought, refused = replies(served(server, api), ask(), ask("ho"))
    assert (thought.text, thought.reasoning, thought.finish_reason) == ("4", "2 and 2", "stop")
    assert (refused.text, refused.reasoning, refused.finish_reason) == ("I would rather not.", None, "content_filter")


def test_the_older_name_of_reasoning_is_read(tmp_path: Path, start_chat_server: StartServer) -> None:
    """Some servers call it ``reasoning_content``; a reply cut off while thinking has no content."""
    server = start_chat_server(
        replies=canned(tmp_path, hi=choice("4", reasoning_content="hm"), ho=choice(None, "length", reasoning="hm"))
    )
    older, cut_off = replies(served(server, "chat"), ask(), ask("ho"))
    assert (older.text, older.reasoning) == ("4", "hm")
    assert split_completion(cut_off, Thinking("auto")).unclosed
    assert cut_off.finish_reason == "length"


def response(*output: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A line with a whole response."""
    whole = {"status": "completed", "model": "gpt", "usage": {"input_tokens": 3, "output_tokens": 2}}
    return {"response": {**whole, "output": list(output), **more}}


def said(*texts: str) -> dict[str, Any]:
    """A message item."""
    return {"type": "message", "content": [{"type": "output_text", "text": text} for text in texts]}


def test_items_are_joined(tmp_path: Path, start_chat_server: StartServer) -> None:
    """All texts of all messages are the answer; the thinking itself, where a server shows it, comes before its summary;
    of an item of another kind nothing is read.
    """
    summary = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "short"}]}
    shown = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "in full"}]}
    line = response(summary, said("a", "b"), {"type": "web_search_call"}, shown, said("c"))
    (got,) = replies(served(start_chat_server(replies=canned(tmp_path, hi=line)), "responses"), ask())
    assert (got.text, got.reasoning) == ("abc", "short\n\nin full")


@pytest.mark.parametrize(("reason", "finish"), [("max_output_tokens", "length"), ("content_filter", "content_filter")])
def test_why_a_response_is_incomplete_is_recorded(
    reason: str, finish: str, tmp_path: Path, start_chat_server: StartServer
) -> None:
    """In the words of chat completions; one that used all its tokens up for thinking is an empty answer."""
    line = response(status="incomplete", incomplete_details={"reason": reason})
    (got,) = replies(served(start_chat_server(replies=canned(tmp_path, hi=line)), "responses"), ask())
    assert (got.text, got.finish_reason, got.error) == ("", finish, None)


def test_a_failed_response_is_asked_again(tmp_path: Path, start_chat_server: StartServer) -> None:
    """Though its status is 200; if it fails every time, the row says so."""
    line = response(status="failed", error={"code": "server_error", "message": "it broke"})
    server = start_chat_server(replies=canned(tmp_path, hi=line, ho=choice("fine")))
    failed, fine = replies(served(server, "responses", max_attempts=3), ask(), ask("ho"))
    assert failed.error is not None
    assert "it broke" in failed.error
    assert fine.text == "fine"


@pytest.mark.parametrize("fault", ["429", "500", "malformed", "no_choices", "truncated"])
def test_each_fault_is_retried(fault: str, start_chat_server: StartServer) -> None:
    """The policy is the one of all endpoints."""
    server = start_chat_server(faults=f"{fault}=1")
    model = served(server, "responses")
    assert replies(model, ask())[0].text == "m"
    assert model.retries.total() == 1


def test_stop_strings_are_kept_to_where_the_endpoint_cannot(tmp_path: Path, start_chat_server: StartServer) -> None:
    """The reply ends where it would have ended; what the protocol has no place for otherwise is said."""
    server = start_chat_server(replies=canned(tmp_path, hi=choice("4\n\nQuestion: next", "length")))
    (got,) = replies(served(server, "responses"), ask(stop=("Question:", "\n\n"), seed=1))
    assert (got.text, got.finish_reason, got.left_out) == ("4", "stop", ("seed",))


def test_the_first_stop_string_ends_a_text() -> None:
    """Wherever it stands among the stop strings; a text without one is whole."""
    whole = Completion(text="one two three", finish_reason="length")
    assert cut_at_stop(whole, ("three", "two")) == Completion(text="one ", finish_reason="stop")
    assert cut_at_stop(whole, ("four",)) is whole


def test_a_reasoning_model_is_asked_as_it_wants(start_chat_server: StartServer) -> None:
    """One that refuses ``max_tokens`` gets the limit by its newer name, one that refuses temperature its own."""
    server = start_chat_server(refuse="max_tokens,temperature,stop", log_bodies=1)
    model = served(server, "chat", concurrency=1)
    first, second = replies(model, ask(temperature=0.0, max_tokens=5, stop=("x",)), ask("ho", temperature=0.0))
    assert (first.text, first.left_out, second.left_out) == ("m", ("temperature",), ("temperature",))
    assert [body.keys() - {"model", "messages"} for body in server.bodies()[-2:]] == [{"max_completion_tokens"}, set()]
    assert model.retries == {"refused max_tokens": 1, "refused temperature": 1, "refused stop": 1}


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ("`temperature` and `top_p` cannot both be specified for this model.", "top_p"),
        ("temperature: Extra inputs are not permitted", "temperature"),
        ("`temperature` is deprecated for this model.", "temperature"),
        ("`temperature` may only be set to 1 when thinking is enabled.", "temperature"),
        ("'temperature' does not support 0.0 with this model. Only the default (1) value is supported.", "temperature"),
        ("temperature: Input should be less than or equal to 1", None),
        ("Invalid 'temperature': expected a value <= 2, but got 5 instead.", None),
        ("adaptive thinking is not supported on this model", "thinking"),
        ("thinking: Input tag 'adaptive' does not match any of the expected tags: 'enabled'", "thinking"),
        ("seed is not supported", None),
        ("images are not supported", None),
    ],
)
def test_what_a_refusal_gives_up(said: str, field: str | None) -> None:
    """A setting that is refused as such, if it was sent; never one whose value alone is wrong."""
    body = b'{"temperature": 0, "top_p": 0.9, "thinking": {"type": "adaptive"}, "messages": []}'
    assert rejected_field(Messages("on"), body, said) == field


def test_a_word_of_the_prompt_is_not_a_field() -> None:
    """Only fields of the body are given up, whatever the messages are about."""
    body = rb'{"messages": [{"role": "user", "content": "\"temperature\": 3"}]}'
    assert rejected_field(ChatCompletions(), body, "temperature is not supported") is None


def test_thinking_is_told_to_the_chat_template(start_chat_server: StartServer) -> None:
    """Of a server of one's own, over either protocol, and is part of the identity; OpenAI's own models have no such
    switch.
    """
    server = start_chat_server(log_bodies=1)
    for api in ("chat", "responses"):
        on, off, auto = (served(server, api, thinking=policy) for policy in ("on", "off", "auto"))
        assert len({on.identity, off.identity, auto.identity}) == 3
        for model in (on, off, auto):
            replies(model, ask())
        asked = [body.get("chat_template_kwargs") for body in server.bodies()[-3:]]
        assert asked == [{"enable_thinking": True}, {"enable_thinking": False}, None]
    with pytest.raises(UsageError, match="reasoning_effort"):
        openai_chat("gpt-5", thinking="on")


def test_a_model_told_to_think_may_answer_at_once() -> None:
    """The protocol tells thinking from answer, so an answer without thinking is not taken for unfinished thinking."""
    data = json.dumps(response(said("4"))["response"]).encode()
    assert split_completion(read(Responses(thinks=True), data, ask(), ()), Thinking("on")).answer == "4"


def test_the_protocol_follows_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that the vendor serves over one protocol only is asked over it, unless told otherwise."""
    opened = {
        (name, api): open_model(
            parse_model(f"openai:{name}")[0], OpenSettings(arguments={"api": api} if api else {})
        ).identity
        for name, api in (("gpt-4.1", None), ("gpt-4.1", "responses"), ("o3-pro", None), ("o3-pro", "chat"))
    }
    assert opened == {
        ("gpt-4.1", None): "http:https://api.openai.com/v1#gpt-4.1",
        ("gpt-4.1", "responses"): "responses:https://api.openai.com/v1#gpt-4.1",
        ("o3-pro", None): "responses:https://api.openai.com/v1#o3-pro",
        ("o3-pro", "chat"): "http:https://api.openai.com/v1#o3-pro",
    }
    with pytest.raises(UsageError, match="chat or responses"):
        openai_chat("gpt-4.1", api="completions")


def test_the_key_may_lie_in_another_variable(monkeypatch: pytest.MonkeyPatch, start_chat_server: StartServer) -> None:
    """For the vendor's models as for others; one that is not set is named."""
    server = start_chat_server(key_env="SERVER_KEY", environment={"SERVER_KEY": KEY})
    monkeypatch.setenv("OTHER", KEY)
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    for text in ("openai:m", f"{server.base_url}#m"):
        spec, _ = parse_model(text)
        assert replies(open_model(spec, OpenSettings(api_key_env="OTHER")), ask())[0].text == "m"
        with pytest.raises(UsageError, match="MISSING"):
            open_model(spec, OpenSettings(api_key_env="MISSING"))


def test_the_vendors_client_reads_the_test_server(tmp_path: Path, start_chat_server: StartServer) -> None:
    """What our tests are served is what the vendor's SDK takes for its two protocols, and its client sends the body
    that we send.
    """
    openai = pytest.importorskip("openai")
    server = start_chat_server(
        replies=canned(tmp_path, hi=choice("4", "length", reasoning="2 and 2")),
        key_env="SERVER_KEY",
        environment={"SERVER_KEY": KEY},
        refuse="seed",
        log_bodies=1,
    )
    user = {"role": "user", "content": "hi"}
    with openai.OpenAI(base_url=server.base_url, api_key=KEY, max_retries=0) as client:
        whole = client.responses.create(model="judge", input=[user], max_output_tokens=9, store=False)
        assert whole.output_text == "4"
        assert whole.output[0].summary[0].text == "2 and 2"
        assert whole.incomplete_details.reason == "max_output_tokens"
        chat = client.chat.completions.create(model="judge", messages=[user], max_tokens=9)
        assert (chat.choices[0].message.content, chat.choices[0].finish_reason) == ("4", "length")
        with pytest.raises(openai.BadRequestError, match="does not support"):
            client.chat.completions.create(model="judge", messages=[user], seed=1)
    for api in ("responses", "chat"):
        replies(served(server, api, api_key_env="OPENAI_API_KEY"), ask(max_tokens=9))
    bodies = server.bodies()
    assert (bodies[3], bodies[4]) == (bodies[0], bodies[1])


def test_labels_cannot_be_scored(start_chat_server: StartServer) -> None:
    """Over this protocol as little as over the other."""
    with pytest.raises(ModelError, match="local judge"):
        replies(served(start_chat_server(), "responses"), ask(choices=("A", "B")))
