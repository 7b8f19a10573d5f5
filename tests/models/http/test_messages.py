"""Models behind Anthropic's Messages API, against a real server process that the vendor's own client can read too."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from judgebench.errors import ModelError, UsageError
from judgebench.models import Model, OpenSettings
from judgebench.models.http.model import HttpChat, anthropic_chat
from judgebench.models.http.wire_messages import Messages
from judgebench.models.opening import open_model, parse_model, price_of
from judgebench.models.opening.backends import ANTHROPIC
from judgebench.models.wrappers import Price
from judgebench.records import Completion, Message, Request, Sampling, Usage
from judgebench.thinking import Thinking, split_completion
from tests.servers.launch import Server

KEY = "sk-ant-right-0123456789abcdef"
StartServer = Callable[..., Server]


def request(*messages: tuple[str, str], **sampling: Any) -> Request:
    """A request of messages as (role, content); of one user message if none are given."""
    said = messages or (("user", "hi"),)
    return Request(messages=tuple(Message(role=r, content=c) for r, c in said), sampling=Sampling(**sampling))


def claude(server: Server, **options: Any) -> HttpChat:
    """A model of the server that does not wait long between attempts."""
    return anthropic_chat("claude", base_url=server.root_url, **{"backoff_seconds": 0.01, **options})


def replies(model: Model, *requests: Request) -> list[Completion]:
    """The reply to each request; the model is closed."""
    try:
        got = dict(model.complete(iter(requests)))
    finally:
        model.close()
    return [got[index] for index in range(len(requests))]


def canned(folder: Path, **lines: dict[str, Any]) -> Path:
    """A file of replies by the last message's text."""
    path = folder / "replies.jsonl"
    rows = [{"key": hashlib.sha256(text.encode()).hexdigest(), **line} for text, line in lines.items()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def message(*content: dict[str, Any], stop_reason: str = "end_turn", **usage: int) -> dict[str, Any]:
    """A line with a whole message of the protocol."""
    counted = {"input_tokens": 10, "output_tokens": 5, **usage}
    whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-served", "stop_sequence": None}
    return {"message": {**whole, "content": list(content), "stop_reason": stop_reason, "usage": counted}}


def text(words: str) -> dict[str, Any]:
    """A text block."""
    return {"type": "text", "text": words}


def thought(words: str) -> dict[str, Any]:
    """A thinking block."""
    return {"type": "thinking", "thinking": words, "signature": "c2ln"}


def sent(requested: Request, wire: Messages | None = None, refused: tuple[str, ...] = ()) -> dict[str, Any]:
    """The body of a request."""
    model = HttpChat("claude", "http://localhost:1", "claude", wire=wire or Messages())
    model.refused = frozenset(refused)
    body: dict[str, Any] = json.loads(model.body(requested))
    return body


def test_the_body_is_the_protocols() -> None:
    """The token limit is always there; system messages at the start become the system prompt; stop strings and
    sampling have the protocol's names, and nothing else is sent.
    """
    user = {"role": "user", "content": "hi"}
    assert sent(request()) == {"model": "claude", "max_tokens": 4096, "messages": [user]}
    several = request(("system", "be"), ("system", "brief"), ("user", "a"), ("assistant", "b"), ("user", "hi"))
    assert sent(several)["system"] == "be\n\nbrief"
    assert [m["content"] for m in sent(several)["messages"]] == ["a", "b", "hi"]
    full = request(temperature=0.0, top_p=0.9, max_tokens=7, stop=("\n",))
    assert sent(full) == {
        "model": "claude",
        "max_tokens": 7,
        "messages": [user],
        "temperature": 0.0,
        "top_p": 0.9,
        "stop_sequences": ["\n"],
    }


def test_a_long_system_prompt_is_marked_for_the_prompt_cache() -> None:
    """Its text is unchanged; a short one, which no model caches, is sent plain."""
    long = "rule " * 500
    assert sent(request(("system", long), ("user", "hi")))["system"] == [
        {"type": "text", "text": long, "cache_control": {"type": "ephemeral"}}
    ]


@pytest.mark.parametrize(
    ("thinking", "refused", "expected"),
    [
        ("auto", (), None),
        ("off", (), {"type": "disabled"}),
        ("on", (), {"type": "adaptive", "display": "summarized"}),
        ("on", ("thinking",), {"type": "enabled", "budget_tokens": 2048}),
    ],
)
def test_thinking_is_asked_for_as_the_policy_says(thinking: str, refused: tuple[str, ...], expected: Any) -> None:
    """Where adaptive thinking is refused, half of the token limit is its budget."""
    assert sent(request(), Messages(thinking), refused).get("thinking") == expected


def test_thinking_within_too_few_tokens_is_told() -> None:
    """A fixed budget has a least size, which must fit under the limit."""
    with pytest.raises(ModelError, match="--gen max_tokens"):
        sent(request(max_tokens=1024), Messages("on"), ("thinking",))
    assert sent(request(max_tokens=1025), Messages("on"), ("thinking",))["thinking"]["budget_tokens"] == 1024


def test_a_reply_is_read_whole(tmp_path: Path, start_chat_server: StartServer) -> None:
    """Text blocks are joined to the answer, thinking blocks to the reasoning, redacted ones left out; tokens written to
    and read from the prompt cache are prompt tokens too.
    """
    blocks = (thought("one"), {"type": "redacted_thinking", "data": "x"}, thought("two"), text("Hello "), text("猫"))
    line = message(*blocks, cache_creation_input_tokens=300, cache_read_input_tokens=2000)
    server = start_chat_server(replies=canned(tmp_path, hi=line))
    assert replies(claude(server), request()) == [
        Completion(
            text="Hello 猫",
            finish_reason="stop",
            usage=Usage(prompt_tokens=2310, completion_tokens=5),
            model="claude-served",
            reasoning="one\n\ntwo",
        )
    ]


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
    ],
)
def test_how_it_ended_is_recorded(
    stop_reason: str, finish_reason: str, tmp_path: Path, start_chat_server: StartServer
) -> None:
    """In the words that are used for all endpoints; a refusal without a text is an empty answer, not a failure."""
    server = start_chat_server(replies=canned(tmp_path, hi=message(stop_reason=stop_reason)))
    (got,) = replies(claude(server), request())
    assert (got.text, got.finish_reason, got.error) == ("", finish_reason, None)


def test_a_model_told_to_think_may_answer_at_once(tmp_path: Path, start_chat_server: StartServer) -> None:
    """The protocol tells thinking from answer, so an answer without thinking is not taken for unfinished thinking."""
    server = start_chat_server(replies=canned(tmp_path, hi=message(text("4")), hm=message(thought("well"))))
    answered, unfinished = replies(claude(server, thinking="on"), request(), request(("user", "hm")))
    assert split_completion(answered, Thinking("on")).answer == "4"
    assert not split_completion(answered, Thinking("on")).unclosed
    assert split_completion(unfinished, Thinking("on")).unclosed


@pytest.mark.parametrize("refuse", ["temperature", "temperature,top_p", "top_p"])
def test_refused_sampling_is_left_out_and_said(refuse: str, start_chat_server: StartServer) -> None:
    """A model that no longer takes a setting is asked without it, each reply says so, and once known it is not tried
    again; what the request does not set is not missed.
    """
    server = start_chat_server(refuse=refuse, log_bodies=1)
    model = claude(server, concurrency=1)
    asked = [request(("user", str(n)), temperature=0.0, top_p=0.9, max_tokens=5) for n in range(5)]
    got = replies(model, *asked, request(max_tokens=5))
    left_out = tuple(sorted(refuse.split(",")))
    assert [completion.left_out for completion in got] == [left_out] * 5 + [()]
    assert {completion.text for completion in got} == {"m"}
    bodies = server.bodies()
    assert len(bodies) == 6 + len(left_out)
    assert all(not set(left_out) & body.keys() for body in bodies[len(left_out) :])
    assert model.retries == {f"refused {name}": 1 for name in left_out}


def test_all_requests_in_flight_give_a_refused_setting_up(start_chat_server: StartServer) -> None:
    """However many were sent before the refusal was known, each is answered, and none is counted as failed."""
    server = start_chat_server(refuse="temperature", delay_ms=20)
    model = claude(server, concurrency=32)
    got = replies(model, *(request(("user", str(n)), temperature=0.0) for n in range(64)))
    assert {(completion.text, completion.left_out) for completion in got} == {("m", ("temperature",))}
    assert server.seen().total() == 64 + model.retries["refused temperature"]


def test_a_wrong_value_is_not_left_out(start_chat_server: StartServer) -> None:
    """A message about a setting's value is the user's to act on."""
    server = start_chat_server(always="400:temperature: Input should be less than or equal to 1")
    with pytest.raises(ModelError, match="less than or equal to 1"):
        replies(claude(server), request(temperature=5.0))


def test_what_the_protocol_lacks_is_said(start_chat_server: StartServer) -> None:
    """A seed and the JSON mode cannot be sent; the reply records that they were not."""
    server = start_chat_server(log_bodies=1)
    (got,) = replies(claude(server), request(seed=1, json_object=True))
    assert got.left_out == ("seed", "json_object")
    assert server.bodies()[0].keys() == {"model", "messages", "max_tokens"}


def test_adaptive_thinking_gives_way_to_a_budget(start_chat_server: StartServer) -> None:
    """A model that knows only the older form is asked in it; temperature, which goes with neither, is left out."""
    server = start_chat_server(refuse="adaptive", log_bodies=1)
    (got,) = replies(claude(server, thinking="on"), request(temperature=0.0, max_tokens=4000))
    assert got.text == "m"
    assert got.left_out == ("temperature",)
    assert server.bodies()[-1]["thinking"] == {"type": "enabled", "budget_tokens": 2000}


FAULTS = ("429", "500", "503", "529", "truncated", "malformed", "string", "no_choices", "disconnect")


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_retried(fault: str, start_chat_server: StartServer) -> None:
    """The policy is the one of all endpoints: the second attempt gets the reply."""
    server = start_chat_server(faults=f"{fault}=1")
    model = claude(server)
    got = replies(model, *(request(("user", str(n))) for n in range(10)))
    assert {completion.text for completion in got} == {"m"}
    cause = {"string": "malformed", "no_choices": "malformed", "disconnect": "connection"}.get(fault, fault)
    assert model.retries == {cause: 10}


def test_retry_after_is_honoured(start_chat_server: StartServer) -> None:
    """The second attempt comes no sooner than the endpoint asked for."""
    server = start_chat_server(faults="529=1", retry_after="1")
    replies(claude(server), request())
    first, second = [event["time"] for event in server.events() if event["event"] == "start"]
    assert second - first >= 0.99


def test_a_judge_without_logprobs_is_found_before_it_is_asked(start_chat_server: StartServer) -> None:
    """The protocol has none: exit 6, with what to do instead, and no call."""
    server = start_chat_server()
    with pytest.raises(ModelError, match="protocol that has none") as caught:
        replies(claude(server), request(top_logprobs=5))
    assert "vLLM" in str(caught.value)
    assert caught.value.exit_code == 6
    assert server.seen() == {}


@pytest.mark.parametrize(
    ("always", "words"),
    [
        ("404:model: claude", "Check the model's name"),
        ("400:Your credit balance is too low to access the Anthropic API", "no quota left"),
        ("402:billing", "no quota left"),
    ],
)
def test_a_set_up_that_cannot_work_ends_the_run(always: str, words: str, start_chat_server: StartServer) -> None:
    """A model that is not there, an account without credit: sure after a few attempts with nothing else under way."""
    server = start_chat_server(always=always)
    with pytest.raises(ModelError, match=words):
        replies(claude(server), request())
    assert server.seen().total() <= 3


def test_a_prompt_that_is_too_long_is_a_row_with_an_error(start_chat_server: StartServer) -> None:
    """It concerns one request, even if it is the first."""
    server = start_chat_server(always="400:prompt is too long: 208310 tokens > 200000 maximum")
    (got,) = replies(claude(server), request())
    assert got.error is not None
    assert "208310" in got.error


def test_the_key_is_sent_and_shown_nowhere(monkeypatch: pytest.MonkeyPatch, start_chat_server: StartServer) -> None:
    """In both headers that servers of the protocol read; not in name, identity or the message about a wrong one that
    the server echoes.
    """
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    server = start_chat_server(key_env="SERVER_KEY", environment={"SERVER_KEY": KEY}, log_bodies=1)
    model = claude(server)
    assert replies(model, request())[0].text == "m"
    (start,) = [event for event in server.events() if event["event"] == "start"]
    assert start["headers"]["x-api-key"] == KEY
    assert start["headers"]["Authorization"] == f"Bearer {KEY}"
    assert start["headers"]["anthropic-version"] == "2023-06-01"
    assert KEY not in model.name + model.identity + repr(model)
    monkeypatch.setenv("OTHER", "wrong/0123456789abcdef")
    with pytest.raises(ModelError, match="refused the key in OTHER") as caught:
        replies(claude(server, api_key_env="OTHER"), request())
    assert "wrong/0123" not in str(caught.value)


def test_only_the_vendors_endpoint_must_have_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """There, a missing one is a usage error that names the variable; a server of one's own may go without."""
    with pytest.raises(UsageError, match="ANTHROPIC_API_KEY"):
        anthropic_chat("claude")
    with pytest.raises(UsageError, match="OTHER"):
        anthropic_chat("claude", base_url="http://localhost:1", api_key_env="OTHER")
    assert "Authorization" not in anthropic_chat("claude", base_url="http://localhost:1").headers
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://localhost:1/")
    assert anthropic_chat("claude").address == "http://localhost:1"


def test_all_that_can_change_a_reply_is_in_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Version, assumed token limit, thinking and effort are; the key is not."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    plain = anthropic_chat("claude").identity
    assert plain == ('anthropic:https://api.anthropic.com#claude?{"anthropic-version":"2023-06-01","max_tokens":4096}')
    thinking, effort = anthropic_chat("claude", thinking="on"), anthropic_chat("claude", reasoning_effort="low")
    assert len({plain, thinking.identity, effort.identity, HttpChat("c", "http://localhost:1", "c").identity}) == 4
    assert json.loads(effort.body(request()))["output_config"] == {"effort": "low"}


def test_it_is_opened_by_its_spec(start_chat_server: StartServer) -> None:
    """``anthropic:NAME`` with an address of one's own; an argument of another backend is named as such."""
    server = start_chat_server()
    spec, arguments = parse_model("anthropic:claude", {"base_url": server.root_url})
    assert (spec.backend, spec.target, spec.local) == (ANTHROPIC, "claude", False)
    assert replies(open_model(spec, OpenSettings(arguments=arguments, thinking="off")), request())[0].text == "m"
    with pytest.raises(UsageError, match=r"it takes .*base_url"):
        open_model(spec, OpenSettings(arguments={"api": "responses"}))


def test_prices_are_looked_up_by_name() -> None:
    """A model of the table has its price, another none."""
    listed, _ = parse_model("anthropic:claude-opus-4-6")
    other, _ = parse_model("anthropic:claude-unheard-of")
    assert price_of(listed, {}) == Price(prompt=5.0, completion=25.0, batch=0.5)
    assert price_of(other, {}) is None


def test_the_vendors_client_reads_the_test_server(tmp_path: Path, start_chat_server: StartServer) -> None:
    """What our tests are served is what the vendor's SDK takes for its protocol: a reply with thinking and cached
    tokens, an overloaded server, a wrong key, a setting that its version has no more.
    """
    anthropic = pytest.importorskip("anthropic")
    line = message(thought("hm"), text("Hello"), cache_read_input_tokens=7)
    server = start_chat_server(
        replies=canned(tmp_path, hi=line), key_env="SERVER_KEY", environment={"SERVER_KEY": KEY}, log_bodies=1
    )
    said = [{"role": "user", "content": "hi"}]
    with anthropic.Anthropic(base_url=server.root_url, api_key=KEY, max_retries=0) as client:
        got = client.messages.create(model="claude", max_tokens=5, messages=said, system="be brief")
        assert [block.type for block in got.content] == ["thinking", "text"]
        assert (got.content[1].text, got.stop_reason, got.usage.cache_read_input_tokens) == ("Hello", "end_turn", 7)
        with pytest.raises(anthropic.BadRequestError, match="temperature: Extra inputs are not permitted"):
            client.messages.create(model="claude", max_tokens=5, messages=said, extra_body={"temperature": 0})
        server.set(rates={"529": 1.0})
        with pytest.raises(anthropic.OverloadedError):
            client.messages.create(model="claude", max_tokens=5, messages=[{"role": "user", "content": "ho"}])
    with (
        anthropic.Anthropic(base_url=server.root_url, api_key="sk-ant-wrong", max_retries=0) as client,
        pytest.raises(anthropic.AuthenticationError),
    ):
        client.messages.create(model="claude", max_tokens=5, messages=said)


def test_what_we_send_is_what_the_vendors_client_sends(start_chat_server: StartServer) -> None:
    """Body for body; of its headers, ours has all but the version, and the reason for that lies beside the constant."""
    anthropic = pytest.importorskip("anthropic")
    server = start_chat_server(log_bodies=1)
    long = "rule " * 500
    asked = request(("system", long), ("user", "hi"), max_tokens=2048, stop=("END",))
    replies(claude(server, thinking="on"), asked)
    with anthropic.Anthropic(base_url=server.root_url, api_key=KEY, max_retries=0) as client:
        client.messages.create(
            model="claude",
            max_tokens=2048,
            system=[{"type": "text", "text": long, "cache_control": {"type": "ephemeral"}}],
            messages=[{"role": "user", "content": "hi"}],
            stop_sequences=["END"],
            thinking={"type": "adaptive", "display": "summarized"},
        )
    ours, theirs = [event for event in server.events() if event["event"] == "start"]
    assert ours["body"] == theirs["body"]
    assert ours["path"] == theirs["path"] == "/v1/messages"
    assert {"anthropic-version", "Content-Type"} <= ours["headers"].keys()
