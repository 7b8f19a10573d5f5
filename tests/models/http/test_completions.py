"""Log-likelihoods of texts from servers of completions, which may say anything."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from judgebench.errors import ModelError
from judgebench.models.http.model import anthropic_chat, served_chat
from judgebench.models.http.probing import gives_likelihoods
from judgebench.models.http.wire import NoAnswer, read
from judgebench.models.http.wire_completions import EchoedCompletions
from judgebench.models.pricing import most_tokens
from judgebench.records import Message, Request, Sampling
from tests.models.llama import answers
from tests.servers.launch import Server, chat_server, echo_server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that gives log-likelihoods."""
    with echo_server() as started:
        yield started


def asking(context: str, *continuations: str, raw: bool = True) -> Request:
    """A request for likelihoods."""
    sampling = Sampling(continuations=continuations, raw=raw)
    return Request(messages=(Message(role="user", content=context),), sampling=sampling)


SKY = asking("The sky is", " blue", " green grass")
CHOICES = [
    {"index": 0, "logprobs": {"token_logprobs": [None, -2.0, -1.5, -9.0]}},
    {"index": 1, "logprobs": {"token_logprobs": [None, -2.0, -1.5, -2.5, -9.0]}},
    {"index": 2, "logprobs": {"token_logprobs": [None, -2.0, -1.5, -3.0, -3.0, -9.0]}},
]
USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}


def test_a_served_model_gives_likelihoods_beside_its_chat(server: Server) -> None:
    """The text of both is asked at its own address; spaces at the end of the prompt belong to what follows."""
    model = served_chat("echo", server.base_url)
    try:
        likely, glued, said = answers(
            model,
            [SKY, asking("The sky is ", "blue", "green grass"), Request(messages=SKY.messages, sampling=Sampling())],
        )
    finally:
        model.close()
    assert likely.top_logprobs == (((" blue", -2.5), (" green grass", -6.0)),)
    assert likely.text == " blue"
    assert likely.usage.prompt_tokens == 12
    assert glued.top_logprobs == ((("blue", -2.5), ("green grass", -6.0)),)
    assert said.text == "B"


@pytest.mark.parametrize("without", ["echo", "logprobs"])
def test_a_server_that_cannot_is_found_out(without: str) -> None:
    """By its refusal, or because its reply has no log-probabilities."""
    with echo_server(without=without) as server:
        assert gives_likelihoods(served_chat("echo", server.base_url)) is False


def test_a_server_that_can_is_found_out(server: Server) -> None:
    """One short call says so."""
    assert gives_likelihoods(served_chat("echo", server.base_url)) is True


def test_nothing_is_said_of_a_server_that_does_not_answer() -> None:
    """Whoever listens nowhere, or has no time, may be able to; a server of chats alone is not."""
    assert gives_likelihoods(served_chat("echo", "http://127.0.0.1:9/v1")) is None
    with chat_server(always="503:busy") as busy:
        assert gives_likelihoods(served_chat("judge", busy.base_url)) is False  # it has no such path
    with chat_server() as chat:
        assert gives_likelihoods(served_chat("judge", chat.base_url)) is False


def reply(choices: Any = CHOICES, usage: Any = USAGE) -> bytes:
    """A body."""
    return json.dumps({"choices": choices, "usage": usage, "model": "echo"}).encode()


def test_a_reply_is_read_by_the_tokens_of_the_prompt_alone() -> None:
    """In any order of the choices; a server that counts no tokens, or writes none of its own, is read too."""
    for choices, usage in (
        (CHOICES, USAGE),
        (CHOICES[::-1], USAGE),
        (CHOICES, None),
        ([{**c, "logprobs": {"token_logprobs": c["logprobs"]["token_logprobs"][:-1]}} for c in CHOICES], USAGE),  # type: ignore[index]
    ):
        completion = read(EchoedCompletions(SKY), reply(choices, usage), SKY, ())
        assert completion.top_logprobs == (((" blue", -2.5), (" green grass", -6.0)),)
    impossible = [*CHOICES[:2], {"index": 2, "logprobs": {"token_logprobs": [None, -2, -1.5, -3, -float("inf"), -9]}}]
    completion = read(EchoedCompletions(SKY), reply(impossible), SKY, ())
    assert completion.top_logprobs is not None
    assert completion.top_logprobs[0][1] == (" green grass", -1e9)


def changed(place: int, **fields: Any) -> list[Any]:
    """The choices, one of them changed."""
    return [{**choice, **fields} if number == place else choice for number, choice in enumerate(CHOICES)]


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'"hello"',
        reply([]),
        reply(CHOICES[:2]),
        reply([*CHOICES, CHOICES[0]]),
        reply(changed(1, index=0)),
        reply(changed(1, index=None)),
        reply(changed(1, logprobs=None)),
        reply(changed(1, logprobs={"token_logprobs": []})),
        reply(changed(1, logprobs={"token_logprobs": "no"})),
        reply(changed(1, logprobs={"token_logprobs": [None, -2.0, -1.5, None, -9.0]})),
        reply(changed(1, logprobs={"token_logprobs": [None, -2.0, -1.5, 3.0, -9.0]})),
        reply(changed(1, logprobs={"token_logprobs": [None, -2.0, -1.5, float("nan"), -9.0]})),
        reply(changed(1, logprobs={"token_logprobs": [None, -2.0, -1.5, True, -9.0]})),
        reply(changed(1, logprobs={"token_logprobs": [None, -2.0, -1.5, -9.0]})),
        reply(CHOICES, {**USAGE, "prompt_tokens": 7}),
        reply(changed(0, error="out of memory")),
        b'data: {"choices": []}\n\ndata: [DONE]\n\n',
    ],
)
def test_a_reply_that_cannot_be_read_is_none(body: bytes) -> None:
    """Nothing is guessed of it, so that it is asked for again."""
    with pytest.raises(NoAnswer):
        read(EchoedCompletions(SKY), body, SKY, ())


@pytest.mark.parametrize("request_", [asking("Hi", " a", " b", raw=False), asking("  ", " a", " b")])
def test_what_no_server_can_say_is_refused_in_words(server: Server, request_: Request) -> None:
    """Continuations of chat prompts and of nothing are for local models."""
    model = served_chat("echo", server.base_url)
    try:
        with pytest.raises(ModelError, match="Use a local model"):
            answers(model, [request_])
    finally:
        model.close()


def test_every_prompt_that_is_sent_counts() -> None:
    """The upper estimate holds the prompt once by itself and once with each continuation, and a token after each."""
    estimate = most_tokens(SKY)
    assert estimate.prompt_tokens >= (3 * len("The sky is") + len(" blue green grass")) // 3
    assert estimate.completion_tokens == 3


def test_other_protocols_give_none(server: Server) -> None:
    """A model of Anthropic's protocol is not asked for likelihoods at all."""
    from judgebench.models.opening.backends import ANTHROPIC, HTTP, OPENAI

    assert (ANTHROPIC.gives_likelihoods, OPENAI.gives_likelihoods, HTTP.gives_likelihoods) == (False, False, None)
    assert gives_likelihoods(anthropic_chat("echo", base_url="http://127.0.0.1:9")) is None
