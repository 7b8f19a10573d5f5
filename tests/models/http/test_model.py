"""HttpChat against a real server process on loopback: replies, every kind of fault, and what ends a run at once."""

import asyncio
import hashlib
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from email.utils import formatdate
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import quote, unquote

import msgspec
import pytest

from judgebench.errors import ModelError, UsageError
from judgebench.models.http.model import HttpChat, openai_chat
from judgebench.models.http.pacing import ConcurrencyLimit, Pace, retry_after, wait_in_body
from judgebench.models.http.run import UNREACHABLE_WAITS, _Retry
from judgebench.records import Completion, Message, Request, Sampling, Usage
from tests.patience import PATIENCE_SECONDS
from tests.servers.launch import Server, chat_server, odd_server
from tests.threads import our_threads

KEY = "sk-right-0123456789abcdef"
WRONG_KEY = "wrong/0123456789abcdef"
FIXED_LOGPROBS = ((("m", -0.1053605), ("M", -2.3025851)),)


def ask(content: str = "hi", **sampling: Any) -> Request:
    """A request of one user message."""
    return Request(messages=(Message(role="user", content=content),), sampling=Sampling(**sampling))


def many(count: int, **sampling: Any) -> Iterator[Request]:
    """Different requests."""
    return (ask(str(number), **sampling) for number in range(count))


def chat(server: Server, **options: Any) -> HttpChat:
    """A model of the server that does not wait long between attempts."""
    return HttpChat("judge", server.base_url, "served-judge", **{"backoff_seconds": 0.01, **options})


def answers(model: HttpChat, requests: Iterable[Request]) -> dict[int, Completion]:
    """All replies by index; the model is closed and leaves no thread."""
    try:
        got = dict(model.complete(requests))
    finally:
        model.close()
        assert our_threads() == []
    return got


def failure(model: HttpChat, requests: Iterable[Request]) -> str:
    """The message of the ModelError that ends the run."""
    with pytest.raises(ModelError) as caught:
        answers(model, requests)
    assert caught.value.exit_code == 6
    message = str(caught.value)
    assert "\n" not in message
    return message


def attempts_of_each(server: Server) -> list[int]:
    """How often the server saw each request."""
    return sorted(server.seen().values())


def test_only_what_is_set_is_sent() -> None:
    """An unset setting is left to the endpoint; logprobs are asked for only with alternatives."""
    model = HttpChat("judge", "http://localhost:1/v1", "served-judge")
    messages = [{"role": "user", "content": "hi"}]
    assert json.loads(model.body(ask())) == {"model": "served-judge", "messages": messages}
    full = ask(temperature=0.0, top_p=0.9, max_tokens=1, stop=("\n",), seed=3, top_logprobs=5)
    assert json.loads(model.body(full)) == {
        "model": "served-judge",
        "messages": messages,
        "temperature": 0.0,
        "top_p": 0.9,
        "max_tokens": 1,
        "stop": ["\n"],
        "seed": 3,
        "logprobs": True,
        "top_logprobs": 5,
    }


def test_an_extra_body_is_sent_and_is_part_of_the_identity() -> None:
    """What changes replies changes the key of the call store."""
    plain = HttpChat("judge", "http://localhost:1/v1", "m")
    extra = HttpChat("judge", "http://localhost:1/v1", "m", extra_body={"n": 1})
    assert json.loads(extra.body(ask()))["n"] == 1
    assert plain.identity == "http:http://localhost:1/v1#m"
    assert extra.identity != plain.identity


def test_a_reply_is_read_whole() -> None:
    """Text, finish reason, usage, served model and alternatives come from the reply; unknown fields are no matter."""
    with chat_server() as server:
        got = answers(chat(server), [ask(max_tokens=1, top_logprobs=5)])
    assert got[0] == Completion(
        text="m",
        finish_reason="length",
        usage=Usage(prompt_tokens=100, completion_tokens=1),
        top_logprobs=FIXED_LOGPROBS,
        model="fixed",
    )


def test_replies_are_those_of_their_requests(tmp_path: Path) -> None:
    """Two hundred different replies, finished in any order, keep their indices; a null text is an empty one."""

    def choice(number: int) -> dict[str, Any]:
        content = None if number == 7 else f"reply {number} 猫"
        return {"message": {"role": "assistant", "content": content}, "finish_reason": "stop", "logprobs": None}

    lines = [
        {"key": hashlib.sha256(str(number).encode()).hexdigest(), "choice": choice(number)} for number in range(200)
    ]
    replies = tmp_path / "replies.jsonl"
    replies.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with chat_server(replies=replies) as server:
        got = answers(chat(server, concurrency=32), many(200))
    assert [got[number].text for number in range(200)] == [
        "" if number == 7 else f"reply {number} 猫" for number in range(200)
    ]


def test_requests_that_do_not_exist_yet_delay_no_reply() -> None:
    """A reply is yielded while the iterable blocks; its next request is made from that reply."""
    follow: Queue[Request | None] = Queue()
    follow.put(ask("0"))
    with chat_server() as server:
        model = chat(server)
        for index, _ in model.complete(iter(follow.get, None)):
            follow.put(ask(str(index + 1)) if index < 20 else None)
        model.close()
        assert server.counts()["finish"] == 21
    assert our_threads() == []


FAULTS = ("429", "500", "503", "truncated", "malformed", "string", "no_choices", "no_logprobs", "disconnect")
CAUSES = {"string": "malformed", "no_choices": "malformed", "disconnect": "connection"}


def test_faults_change_no_result_and_the_counts_add_up() -> None:
    """With every kind of fault, 2 % each, all replies are the good ones and retries are counted by cause."""
    with chat_server(faults=",".join(f"{fault}=0.02" for fault in FAULTS)) as server:
        model = chat(server)
        got = answers(model, many(600, top_logprobs=2))
        events = server.counts()
    assert events["start"] == 600 + sum(model.retries.values())
    assert len(got) == 600
    assert {completion.top_logprobs for completion in got.values()} == {FIXED_LOGPROBS}
    expected: Counter[str] = Counter()
    for fault in FAULTS:
        assert events[fault] > 0, fault
        expected[CAUSES.get(fault, fault)] += events[fault]
    assert model.retries == expected


def test_what_takes_longer_than_the_timeout_is_asked_again() -> None:
    """Each attempt that was given up is counted, those of a reply that only the machine kept too."""
    with chat_server(faults="slow=1", slow_ms=3_600_000) as server:
        model = chat(server, timeout_seconds=1.0, max_attempts=100)
        got = answers(model, many(5))
        starts = server.counts()["start"]
    assert {completion.text for completion in got.values()} == {"m"}
    assert starts == 5 + model.retries["timeout"] >= 10
    assert model.retries.keys() == {"timeout"}


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "no_logprobs"])
def test_each_fault_alone_is_retried(fault: str) -> None:
    """The first attempt of every request fails, the second gets the reply."""
    with chat_server(faults=f"{fault}=1") as server:
        model = chat(server)
        got = answers(model, many(30))
        assert attempts_of_each(server) == [2] * 30
    assert {completion.text for completion in got.values()} == {"m"}
    assert model.retries == {CAUSES.get(fault, fault): 30}


def test_a_request_that_always_fails_is_a_row_with_an_error() -> None:
    """The others are not touched; the error says what the endpoint said last."""
    with chat_server(faults="500=0.1", fault_attempts=99) as server:
        got = answers(chat(server, max_attempts=4), many(100))
        failed = [completion for completion in got.values() if completion.error]
        assert Counter(attempts_of_each(server)).keys() <= {1, 2, 3, 4}
    good = [completion for completion in got.values() if completion.text == "m"]
    assert len(good) + len(failed) == 100
    for completion in failed:
        assert completion.error is not None
        assert "4 attempts" in completion.error
        assert "HTTP 500: The server had an error" in completion.error


def test_an_endpoint_that_never_answers_ends_the_run() -> None:
    """Not every request is tried in vain: after a few, the run stops and says what the endpoint said."""
    with chat_server(always="500:out of memory") as server:
        message = failure(chat(server, max_attempts=3, concurrency=4), many(1000))
        assert len(server.seen()) < 30
    assert "out of memory" in message


@pytest.mark.parametrize("field", ["Retry-After", "retry-after-ms"])
def test_retry_after_is_honoured(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its second attempt a request waits no shorter than the endpoint asked for."""
    waits: list[float] = []
    sleep = asyncio.sleep

    async def counted(seconds: float) -> None:
        waits.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", counted)
    value = "25" if field == "Retry-After" else "25000"
    with chat_server(faults="429=1", retry_after=value, retry_after_field=field) as server:
        answers(chat(server), many(3))
        assert attempts_of_each(server) == [2] * 3
    assert len(waits) == 3
    assert min(waits) >= 25


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "soon"}, None),
        ({"retry-after-ms": "250", "Retry-After": "7"}, 0.25),
        ({"Retry-After": formatdate(1_000_030, usegmt=True)}, 30.0),
        ({"Retry-After": formatdate(999_000, usegmt=True)}, 0.0),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds or a date; nonsense is as if nothing was said."""
    assert retry_after(headers, now=1_000_000.0) == seconds


def test_a_wrong_key_stops_at_once_and_is_never_shown() -> None:
    """The message names the endpoint and what to check; the key that the server echoes is taken out."""
    with chat_server(key_env="SERVER_KEY", environment={"SERVER_KEY": KEY}) as server:
        message = failure(chat(server, api_key=WRONG_KEY), many(1000))
        assert len(server.seen()) <= 64
        assert server.base_url in message
    assert WRONG_KEY not in message
    assert "refused the API key" in message
    assert "[key]" in message


def test_a_right_key_is_sent() -> None:
    """The endpoint that demands it answers; neither name nor identity holds it."""
    with chat_server(key_env="SERVER_KEY", environment={"SERVER_KEY": KEY}) as server:
        model = chat(server, api_key=KEY)
        assert answers(model, [ask()])[0].text == "m"
    assert KEY not in model.name + model.identity + repr(model)


def test_no_key_is_named_as_such() -> None:
    """A server that wants a key is told from one that refuses the key given."""
    with chat_server(key_env="SERVER_KEY", environment={"SERVER_KEY": KEY}) as server:
        assert "refused a request without a key" in failure(chat(server), [ask()])


def test_a_key_like_text_in_an_error_is_taken_out() -> None:
    """Keys of other kinds, and control characters, do not reach the terminal."""
    model = HttpChat("judge", "http://localhost:1/v1", "m", api_key=KEY)
    shown = model.error_message(
        b'{"error": {"message": "bad ' + KEY.encode() + b' or sk-proj-abc***xyz \\u001b[31m\\u202e"}}'
    )
    assert shown == "bad [key] or [key] [31m"
    assert KEY not in model.error_message(KEY.encode() * 40)


def test_credentials_in_the_address_are_sent_but_not_shown() -> None:
    """They are in no message, name or identity."""
    with chat_server(key_env="SERVER_KEY", environment={"SERVER_KEY": KEY}) as server:
        address = server.base_url.replace("http://", "http://somebody:secret-word@") + "?token=hidden-token"
        model = HttpChat("judge", address, "m")
        message = failure(model, [ask()])
    for text in (message, model.identity, model.name, model.address, str(model.url)):
        assert "secret-word" not in text
        assert "somebody" not in text
    assert "hidden-token" not in message + model.identity + model.address
    assert model.headers["Authorization"].startswith("Basic ")


def test_a_closed_port_stops_after_a_few_tries() -> None:
    """Of one request among a thousand; then a message names the address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    model = HttpChat("judge", f"http://127.0.0.1:{port}/v1", "m", concurrency=1)
    message = failure(model, many(1000))
    assert model.retries == {"connection": len(UNREACHABLE_WAITS)}
    assert f"http://127.0.0.1:{port}/v1" in message
    assert "cannot be reached" in message
    assert "Check the address" in message


def test_an_endpoint_that_comes_back_is_waited_for() -> None:
    """After a first success, refused connections are retried until the server is there again."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    model = HttpChat("judge", f"http://127.0.0.1:{port}/v1", "m", concurrency=4, backoff_seconds=0.2)
    with chat_server(port=port):
        replies = iter(model.complete(many(200)))
        first = next(replies)
    restarted = threading.Event()

    def later() -> None:
        time.sleep(0.7)
        with chat_server(port=port):
            restarted.wait(PATIENCE_SECONDS)

    thread = threading.Thread(target=later)
    thread.start()
    got = dict([first, *replies])
    restarted.set()
    thread.join()
    model.close()
    assert len(got) == 200
    assert all(completion.error is None for completion in got.values())
    assert model.retries["connection"] > 0


def test_a_judge_without_logprobs_is_found_at_once() -> None:
    """One reply is asked for again to be sure; the message says what is missing and what to do."""
    with chat_server(faults="no_logprobs=1", fault_attempts=99) as server:
        message = failure(chat(server, concurrency=1), many(1000, top_logprobs=5))
        assert attempts_of_each(server) == [2]
        assert server.base_url in message
    assert "log-probabilities of judge" in message
    assert "vLLM" in message
    assert "hf:" in message


def test_one_reply_without_logprobs_is_asked_again() -> None:
    """A reply that lacks what others have is a fault of the reply, not of the judge."""
    with chat_server(faults="no_logprobs=0.2") as server:
        model = chat(server)
        got = answers(model, many(100, top_logprobs=5))
    assert {completion.top_logprobs for completion in got.values()} == {FIXED_LOGPROBS}
    assert model.retries.keys() == {"no_logprobs"}


def test_logprobs_that_nobody_asked_for_are_not_missed() -> None:
    """Without alternatives in the request, a reply without them is whole."""
    with chat_server(faults="no_logprobs=1") as server:
        got = answers(chat(server), many(10))
    assert {completion.text for completion in got.values()} == {"m"}


def test_an_endpoint_that_refuses_logprobs_is_found() -> None:
    """A 400 that names logprobs gets the same advice."""
    with chat_server(always="400:logprobs are not supported by this model") as server:
        assert "hf:" in failure(chat(server), many(100, top_logprobs=5))


def test_a_setting_that_is_always_refused_ends_the_run() -> None:
    """The same 400 for the first requests is the set-up's fault; one request alone is enough if there is but one."""
    with chat_server(always="400:Unsupported parameter: max_tokens, use max_completion_tokens") as server:
        message = failure(chat(server, concurrency=2), many(1000))
        assert len(server.seen()) <= 8
        assert "use max_completion_tokens" in message
        assert "use max_completion_tokens" in failure(chat(server), many(1))


def test_a_prompt_that_is_too_long_is_a_row_with_an_error() -> None:
    """A context length concerns one request, even if it is the first."""
    with chat_server(always="400:This model's maximum context length is 8192 tokens") as server:
        got = answers(chat(server), many(10))
    assert len(got) == 10
    for completion in got.values():
        assert completion.error is not None
        assert "8192" in completion.error


def test_a_model_that_is_not_there_ends_the_run() -> None:
    """A 404 is told in the server's words."""
    with chat_server(always="404:The model `served-judge` does not exist") as server:
        message = failure(chat(server), many(100))
    assert "served-judge" in message
    assert "does not exist" in message


def test_an_account_without_quota_ends_the_run() -> None:
    """A 429 that no waiting will cure is not retried."""
    with chat_server(always="429:insufficient_quota: check your plan") as server:
        assert "no quota left" in failure(chat(server), many(100))


def test_labels_cannot_be_scored_over_http() -> None:
    """A request with choices ends the run with advice."""
    with chat_server() as server:
        assert "local judge" in failure(chat(server), [ask(choices=("A", "B"))])
        assert server.counts()["start"] == 0


def test_an_error_of_the_requests_comes_after_those_in_flight() -> None:
    """What was asked before the iterable failed is answered and yielded."""

    def requests() -> Iterator[Request]:
        yield from many(10)
        raise LookupError("no more")

    with chat_server(delay_ms=50) as server:
        model = chat(server)
        got: list[tuple[int, Completion]] = []
        with pytest.raises(LookupError, match="no more"):
            got.extend(model.complete(requests()))
        model.close()
    assert len(got) == 10


def test_an_abandoned_iterator_leaves_nothing_behind() -> None:
    """Calls in flight are cancelled, with no thread, session or warning left; the model can be used again before."""
    with chat_server(faults="slow=0.5", slow_ms=60_000) as server:
        model = chat(server)
        for _ in range(2):
            replies = model.complete(many(1000))
            next(replies)
            del replies
        model.close()
        assert our_threads() == []


def test_closing_ends_a_wait_in_another_thread() -> None:
    """Whoever waits for a reply of a model that is closed is told the end."""
    with chat_server(delay_ms=60_000) as server:
        model = chat(server)
        got: list[Any] = []
        waiting = threading.Thread(target=lambda: got.append(list(model.complete(many(3)))))
        waiting.start()
        while server.counts()["start"] < 3:
            time.sleep(0.01)
        model.close()
        waiting.join(PATIENCE_SECONDS)
        assert got == [[]]
        assert our_threads() == []


def test_two_runs_share_the_limit() -> None:
    """Two iterations of one model together keep to its concurrency."""
    with chat_server(delay_ms=20) as server:
        model = chat(server, concurrency=8)
        threads = [threading.Thread(target=lambda: list(model.complete(many(50)))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        model.close()
        assert max(event["in_flight"] for event in server.events()) <= 8
        assert server.counts()["finish"] == 100


def test_concurrency_goes_down_on_429_and_recovers() -> None:
    """An endpoint that takes 4 at once is soon asked little more than that; once it takes all, the limit comes back."""
    with chat_server(delay_ms=5, max_in_flight=4) as server:
        model = chat(server, concurrency=64, max_attempts=50)
        assert all(completion.error is None for _, completion in model.complete(many(400)))
        assert model.gate.routes[0].limit.limit < 32
        assert model.retries.keys() == {"429"}
        low = model.gate.routes[0].limit.limit
        server.set(max_in_flight=0)
        assert all(completion.error is None for _, completion in model.complete(many(4000)))
        assert model.gate.routes[0].limit.limit > 2 * low
        model.close()


def test_one_burst_of_refusals_counts_once() -> None:
    """Refusals of requests sent before the last decrease change nothing; successes raise the limit up to the cap."""
    limit = ConcurrencyLimit(100)
    for _ in range(100):
        limit.overloaded(sent_at=1.0, now=2.0)
    assert limit.limit == pytest.approx(70)
    limit.overloaded(sent_at=2.5, now=3.0)
    assert limit.limit == pytest.approx(49)
    for _ in range(49):
        limit.succeeded()
    assert limit.limit == pytest.approx(49 + 100 / 32, rel=0.01)
    for _ in range(10_000):
        limit.succeeded()
    assert limit.limit == 100
    for now in range(10, 100):
        limit.overloaded(sent_at=now, now=now)
    assert limit.limit == 1


def test_the_pace_is_even() -> None:
    """60 a minute are one each second, whatever came before; no limit never waits."""
    pace = Pace(60)
    assert [pace.wait_for(1, now=100.0) for _ in range(3)] == pytest.approx([0.0, 1.0, 2.0])
    assert pace.wait_for(1, now=110.0) == 0.0
    assert Pace(None).wait_for(1000, now=0.0) == 0.0


def test_requests_per_minute_are_kept() -> None:
    """The server sees them no closer together than asked."""
    with chat_server() as server:
        answers(chat(server, rpm=1200), many(10))
        times = [event["time"] for event in server.events() if event["event"] == "start"]
    assert times[-1] - times[0] >= 9 * 0.05 - 0.04


def test_openai_wants_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing key is a usage error that names the variable."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UsageError, match="OPENAI_API_KEY"):
        openai_chat("gpt-4o")


def test_openai_address_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """OPENAI_BASE_URL is honoured; without it, it is OpenAI's own."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert openai_chat("gpt-4o").identity == "http:https://api.openai.com/v1#gpt-4o"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1/v1/")
    assert openai_chat("gpt-4o").identity == "http:http://localhost:1/v1#gpt-4o"


@pytest.mark.parametrize(
    "address", ["localhost:8000/v1", "", "ftp://host/v1", "http://user:secret-word@/v1", "http://["]
)
def test_a_bad_address_is_a_usage_error(address: str) -> None:
    """The message shows it without credentials."""
    with pytest.raises(UsageError, match="address") as caught:
        HttpChat("judge", address, "m")
    assert "secret-word" not in str(caught.value)


def test_a_key_with_a_line_break_is_a_usage_error() -> None:
    """It cannot be sent; it is not shown either."""
    with pytest.raises(UsageError, match="unprintable") as caught:
        HttpChat("judge", "http://localhost:1/v1", "m", api_key="sk-abc\ndef")
    assert "sk-abc" not in str(caught.value)


def test_completions_survive_the_trip_through_json() -> None:
    """What is read from a reply is what the call store gives back."""
    with chat_server() as server:
        got = answers(chat(server), [ask(top_logprobs=2)])[0]
    assert msgspec.json.decode(msgspec.json.encode(got), type=Completion) == got


def sums(count: int) -> Iterator[Request]:
    """Different sums, for the server that knows them."""
    return (ask(f"What is {number} + 1?", max_tokens=8) for number in range(count))


def adder(server: Server, **options: Any) -> HttpChat:
    """A model of that server."""
    return HttpChat("m", server.base_url, "m", **{"backoff_seconds": 0.02, **options})


def test_a_window_without_a_word_loses_nothing() -> None:
    """Ten answers in half a second, and 429 to everybody else: whoever is turned away has his turn in a later window,
    though it takes him more attempts than a request is given up after.
    """
    with odd_server(rate=0, per_window=10, window_seconds=0.5) as server:
        got = answers(adder(server, max_attempts=6, backoff_seconds=0.05), sums(80))
        assert server.events_named("429 window") > 80
    assert [completion.error for completion in got.values()] == [None] * 80


def test_the_default_outlasts_a_window_of_a_minute() -> None:
    """The waits between its attempts are a minute at least, if the endpoint says nothing of when to come back."""
    with chat_server() as server:
        model = HttpChat("m", server.base_url, "m")
        ((_, completion),) = model.complete([ask()])
        run = model.complete(iter(()))._run  # type: ignore[attr-defined]
        waits = [run._wait(_Retry("429", "HTTP 429"), attempt) for attempt in range(1, model.max_attempts)]
        model.close()
    assert completion.error is None
    assert sum(waits) >= 60


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (b'[{"error": {"code": 429, "details": [{"@type": "x", "retryDelay": "59.8s"}]}}]', 59.8),
        (b'{"error": {"message": "Please try again in 12.5s."}}', 12.5),
        (b'{"error": {"message": "Rate limit reached. Please try again in 1m30s. Visit"}}', 90.0),
        (b'{"error": {"message": "Please try again in 250ms."}}', 0.25),
        (b'{"error": {"message": "Please retry in 3 seconds"}}', 3.0),
        (b'{"error": {"message": "please wait 2 minutes"}}', 120.0),
        (b'{"retry_after": 7}', 7.0),
        (b'{"retryAfter": "7.5"}', 7.5),
        (b'{"error": {"message": "Too many requests"}}', None),
        (b'{"error": {"message": "You may try again in some time"}}', None),
        (b"\xff\xfe", None),
    ],
)
def test_a_wait_told_in_the_body_is_found(body: bytes, seconds: float | None) -> None:
    """In a field, or in words, in any unit."""
    found = wait_in_body(body)
    assert found == (seconds if seconds is None else pytest.approx(seconds))


def test_a_wait_told_in_the_body_is_waited() -> None:
    """The second attempt comes no earlier than the first reply says."""
    with chat_server(always="429:Please try again in 0.7s.") as server:
        answers(chat(server, max_attempts=2), [ask()])
        first, second = (event["time"] for event in server.events() if event["event"] == "start")
    assert second - first >= 0.7


REFUSALS = (
    "400:Content Exists Risk",
    "400:Input data may contain inappropriate content.",
    "400:This prompt was flagged as potentially violating our usage policy",
    "400:Detected an error in the prompt",
    "403:Your chosen model requires moderation and your input was flagged",
    "422:The response was filtered due to the content policy",
)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_refusals_of_prompts_say_nothing_of_the_others(refusal: str) -> None:
    """However many there are, first and last: each is a row with the endpoint's words."""
    with chat_server(always=refusal) as server:
        got = answers(chat(server, concurrency=4), many(40))
        assert server.seen().total() == 40
    assert all(refusal.partition(":")[2] in str(completion.error) for completion in got.values())


def test_a_few_refusals_in_unknown_words_end_nothing() -> None:
    """Ten of a hundred are refused at once, in words that nobody knows, while the others take their time: the ninety
    are answered.
    """
    refused = ",".join(map(str, range(10)))
    with odd_server(rate=0, delay_ms=300, refused=refused, refusal="This one I do not like") as server:
        got = answers(adder(server, concurrency=100), sums(100))
    assert sum(completion.error is None for completion in got.values()) == 90
    assert sum("do not like" in str(completion.error) for completion in got.values()) == 10


def test_refusals_in_unknown_words_end_a_run_that_has_nothing_else() -> None:
    """Once a score of them is all there was: the rest is not sent."""
    with chat_server(always="400:This one I do not like") as server:
        assert "do not like" in failure(chat(server, concurrency=4), many(1000))
        assert server.seen().total() <= 30


def test_refusals_end_no_run_of_an_endpoint_that_answered_before() -> None:
    """That the few left over are refused does not mean that the settings are wrong."""
    with chat_server(always="400:This one I do not like") as server:
        model = chat(server, concurrency=4)
        model.answered_before = True
        got = answers(model, many(40))
    assert all(completion.error for completion in got.values())


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_moment_of_denial_ends_nothing(status: int) -> None:
    """A proxy that denies a few requests, the first among them, is asked again."""
    with odd_server(rate=0.3, only=f"{status} now and then", seed=3) as server:
        got = answers(adder(server, concurrency=4), sums(60))
        assert server.events_named(f"{status} now and then") > 10
    assert [completion.error for completion in got.values()] == [None] * 60


def test_a_403_that_names_logprobs_gets_the_advice_on_logprobs() -> None:
    """It is not the key."""
    with chat_server(always="403:You are not allowed to request logprobs from this model") as server:
        assert "hf:" in failure(chat(server), many(100, top_logprobs=5))


def test_a_422_that_names_a_field_is_like_a_400_that_does() -> None:
    """FastAPI's way to say that a field is not known."""
    said = '{"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}'
    with chat_server(refuse="seed", refuse_status=422, refuse_body=said) as server:
        (completion,) = answers(chat(server), [ask(seed=1)]).values()
    assert (completion.text, completion.left_out) == ("m", ("seed",))


def test_replies_that_were_paid_for_in_vain_are_counted() -> None:
    """Told tokens as told, untold ones at the most they can be; whoever keeps a budget hears of each at once."""
    told: list[Usage] = []
    with odd_server(rate=0) as server:
        for oddity, usage in (
            ("ended by error", Usage(prompt_tokens=20, completion_tokens=10)),
            ("half", Usage(prompt_tokens=8, completion_tokens=8, estimated=True)),
            ("500", Usage()),
        ):
            model = adder(server, max_attempts=3)
            model.on_discarded = told.append
            (completion,) = answers(model, [ask(f"<<{oddity}>> What is 1 + 1?", max_tokens=8)]).values()
            assert completion.error
            assert (completion.discarded.prompt_tokens, completion.discarded.completion_tokens) == (
                3 * usage.prompt_tokens,
                3 * usage.completion_tokens,
            )
            assert completion.discarded.estimated == usage.estimated
            assert len(told) == (3 if usage.prompt_tokens else 0)
            told.clear()


def test_a_body_without_end_is_not_read() -> None:
    """Nor one that is without end once it is inflated."""
    with odd_server(rate=0) as server:
        (completion,) = answers(adder(server, max_attempts=2), [ask("<<bomb>> What is 1 + 1?")]).values()
    assert "more than 32 MiB" in str(completion.error)


@pytest.mark.parametrize("place", ["text", "finish", "model"])
def test_a_server_that_says_the_key_is_not_believed_with_it(place: str) -> None:
    """Wherever it says it, in whichever form: it is in no record and no message."""
    key = "k+/=ey%2F0123456789"
    for form in (key, quote(key, safe=""), unquote(key)):
        with odd_server(rate=0, echo=f"{place}:{form}") as server:
            (completion,) = answers(HttpChat("m", server.base_url, "m", key, max_attempts=1), [ask()]).values()
        assert form not in msgspec.json.encode(completion).decode()
        assert "[key]" in str(completion)
